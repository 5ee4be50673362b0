-- Tests the server's peers (other Orthancs): their entries and transfers to them, with two real servers of each version, and with faultd
-- for faults.
local empty = require "spec.support.archive".empty
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local json = modalua.json
local orthanc = require "spec.support.orthanc"
local running_jobs = require "spec.support.part" "core.running_jobs"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local contains, eventually, fails, throws = expect.contains, expect.eventually, expect.fails, expect.throws

local PASSWORD = "pass:word w1th blank"
local NOBODY = "ffffffff-ffffffff-ffffffff-ffffffff-ffffffff"

-- Asserts that no field of an error or of a result contains a secret.
local function tells_nothing_of(secret, value)
  assert.is_nil((json.encode(value) .. tostring(value)):find(secret, 1, true))
end

-- What the server answers to a GET, with the secrets that modalua would hide.
local function raw_get(server, path)
  local line = ([[exec 3<>/dev/tcp/127.0.0.1/%d; printf "GET %s HTTP/1.0\r\n\r\n" >&3; cat <&3]]):format(server.http_port, path)
  local pipe <close> = assert(io.popen(("bash -c '%s'"):format(line)))
  return pipe:read "a"
end

for _, version in ipairs(versions) do
  describe("A peer of the Orthanc " .. version.name, function()
    local far, near, client, at_far, peer, study, instances

    setup(function()
      far = orthanc.start { binary = version.binary, aet = "FAR", users = { us = PASSWORD } }
      near = orthanc.start { binary = version.binary, aet = "NEAR", extra = { OrthancPeers = { filed = { "http://127.0.0.1:1/" } } } }
      client = modalua.connect(near.url)
      at_far = modalua.connect(far.url, { username = "us", password = PASSWORD })
      assert(samples.store(client))
      study = assert(client:get("/studies"))[1]
      instances = #assert(client:get("/studies/" .. study .. "/instances"))
      peer = client:peer "far"
    end)

    teardown(function()
      near:close()
      far:close()
    end)

    before_each(function()
      assert(client:put("/peers/far", { Url = far.url, Username = "us", Password = PASSWORD }))
      empty(at_far)
    end)

    local function arrived()
      return assert(at_far:get("/statistics")).CountInstances
    end

    local function works()
      return assert(peer:system()).Name == "FAR"
    end

    local function set(changes)
      changes.Url, changes.Username, changes.Password = far.url, "us", PASSWORD
      assert(client:put("/peers/far", changes))
    end

    it("is listed", function()
      local names = assert(client:peers())
      table.sort(names)
      assert.are.same({ "far", "filed" }, names)
      local entries = assert(client:peers { expand = true })
      assert.are.same({ far.url .. "/", "us", json.null }, { entries.far.Url, entries.far.Username, entries.far.Password })
      throws("did you mean 'expand'", client.peers, client, { expanded = true })
    end)

    it("is an object that is made without a request", function()
      local nowhere = modalua.connect "http://127.0.0.1:1"
      local other = nowhere:peer("any-name_1", { max_moves = 1 })
      assert.are.same({ nowhere, "any-name_1", "modalua.Peer (any-name_1)" }, { other.client, other.peer, tostring(other) })
      assert.is_nil(other.modality)
      throws("a peer has no 'find'", function() return other.find end)
      for _, name in ipairs { "", "a/b", "a b", ("x"):rep(64) } do
        throws(("'%s' is not a valid name"):format(name), client.peer, client, name)
      end
      throws("name of a peer expected, got number", client.peer, client, 1)
      throws("name of a peer expected, got table", client.peer, client, {})
      throws("'a.b' is not a valid name", client.peer, client, "a.b")
      throws("modalua.Modality expected", client:modality("pacs").echo, peer)
      throws("modalua.Peer expected", peer.store, client:modality "pacs", study)
    end)

    it("returns its system information", function()
      assert.are.same({ "FAR", "FAR" }, { assert(peer:system()).DicomAet, peer:system { wait_timeout = 20 }.Name })
      assert.is_nil(peer:system().DatabaseBackendPlugin) -- the server sends null
    end)

    it("reports that it does not answer, refuses, or is unknown", function()
      fails({ kind = "orthanc", code = "peer_failed", op = "system", status = 500, orthanc_status = 9 }, client:peer("filed"):system())
      assert(client:put("/peers/far", { Url = far.url, Username = "us", Password = "wr0ng" }))
      local err = fails({ kind = "orthanc", code = "peer_failed" }, peer:system())
      contains(err.message, "the peer refuses, or is not an Orthanc: Username, Password or Url may be wrong")
      for _, options in ipairs { {}, { Synchronous = true } } do
        err = fails({ kind = "orthanc", code = "peer_failed", op = "store", orthanc_status = 9 }, peer:store(study, options))
        tells_nothing_of("wr0ng", err)
        fails({ kind = "orthanc", code = "peer_failed" }, client:peer("filed"):store(study, options))
        fails({ kind = "orthanc", code = "unknown_peer", status = 404 }, client:peer("nosuch"):store(study, options))
      end
      for _, name in ipairs { "system", "configuration", "remove" } do
        fails({ kind = "orthanc", code = "unknown_peer", op = name, status = 404 }, client:peer("nosuch")[name](client:peer "nosuch"))
      end
      assert.are.equal(0, arrived())
    end)

    describe("has an entry that", function()
      it("can be read, without its secrets", function()
        set { HttpHeaders = { Token = "t0ken" }, Timeout = 5 }
        assert.are.same({ Url = far.url .. "/", Username = "us", Password = json.null, HttpHeaders = { "Token" }, Pkcs11 = false,
          Timeout = 5 }, (assert(peer:configuration())))
      end)

      it("is not written if that would lose values that the server does not tell", function()
        set { HttpHeaders = { Token = "t0ken" }, CertificateFile = near.log, CertificateKeyFile = near.log, Timeout = 5 }
        local before = assert(peer:configuration())
        local err = fails({ kind = "refused", code = "hidden_settings", op = "configure", path = "/peers/far", method = "PUT" },
          peer:configure { Timeout = 6 })
        contains(err.message, "never tells Password, HttpHeaders, CertificateKeyFile, CertificateKeyPassword, so")
        err = fails({ code = "hidden_settings" },
          peer:configure { Timeout = 6, HttpHeaders = {}, CertificateKeyFile = "", CertificateKeyPassword = "" })
        contains(err.message, "never tells Password, so")
        assert.are.same(before, (assert(peer:configuration())))
      end)

      it("changes only the settings that are given", function()
        set { HttpHeaders = { Token = "t0ken" }, Timeout = 5, VerifyPeer = "1" }
        local expected = assert(peer:configuration())
        local secrets = { Password = PASSWORD, HttpHeaders = { Token = "t0ken" } }
        for key, value in pairs { Timeout = 6, Pkcs11 = false, Url = far.url .. "//" } do
          local settings = { [key] = value, Password = secrets.Password, HttpHeaders = secrets.HttpHeaders }
          local entry, note = peer:configure(settings)
          assert(entry, note)
          contains(note, '"OrthancPeersInDatabase" : true')
          expected.Timeout, expected.Url = key == "Timeout" and 6 or entry.Timeout, entry.Url
          assert.are.same(expected, entry)
        end
        secrets.Url = far.url
        assert(peer:configure(secrets))
        assert.is_true(works())
        assert.are.same({ "A", "B" }, (function(entry)
          table.sort(entry.HttpHeaders)
          return entry.HttpHeaders
        end)(assert(peer:configure { Password = PASSWORD, HttpHeaders = { A = "1", B = "2" } })))
        local none = assert(peer:configure { Password = PASSWORD, HttpHeaders = {} }).HttpHeaders
        assert.are.equal("[]", json.encode(none))
        assert(peer:configure { Password = PASSWORD, HttpHeaders = none })
        assert.is_true(works())
        local entry = assert(peer:configure { Username = "", Password = "" })
        assert.are.same({ nil, nil, "1" }, { entry.Username, entry.Password, entry.VerifyPeer })
        assert(peer:configure { Username = "us", Password = PASSWORD })
        assert.is_true(works())
      end)

      it("is created only on request, and can be removed", function()
        local new = client:peer "new"
        contains(fails({ code = "unknown_peer", op = "configure" }, new:configure { Url = far.url }).message, "create = true")
        contains(fails({ code = "missing_setting" }, new:configure { create = true, Timeout = 5 }).message, "cannot do without Url")
        local err = fails({ code = "missing_setting" }, new:configure { create = true, Url = far.url, Password = PASSWORD })
        contains(err.message, "cannot do without Username")
        tells_nothing_of(PASSWORD, err)
        assert.are.equal("1", assert(new:configure { create = true, Url = far.url, Username = "us", Password = PASSWORD,
          extra = { VerifyPeer = true } }).VerifyPeer)
        assert.are.equal("FAR", assert(new:system()).Name)
        assert.is_true(new:remove())
        fails({ code = "unknown_peer", op = "remove", method = "DELETE" }, new:remove())
      end)

      it("is read again and compared with the request", function()
        local err = fails({ kind = "orthanc", code = "not_taken" }, -- Orthanc drops it without CertificateFile
          peer:configure { Password = PASSWORD, CertificateKeyFile = "/dev/null" })
        contains(err.message, "it did not take: CertificateKeyFile")
        tells_nothing_of(PASSWORD, err)
        err = fails({ kind = "orthanc", code = "bad_certificate", status = 404 },
          peer:configure { Password = PASSWORD, CertificateFile = "/nonexistent" })
        contains(err.message, "/nonexistent")
        tells_nothing_of(PASSWORD, err)
        assert(peer:configure { Password = PASSWORD, extra = { Number = 4, Text = "x", No = false } })
      end)
    end)

    describe("receives", function()
      it("the named resources, by a job that is waited for", function()
        local result = assert(peer:store(study))
        assert.are.same({ instances, 0, { study } }, { result.InstancesCount, result.FailedInstancesCount, result.ParentResources })
        assert.are.equal(instances, arrived())
        assert(peer:store(assert(client:get("/patients"))))
        assert.are.equal(#assert(client:get("/instances")), arrived())
      end)

      it("resources in one blocking request, compressed, or by a job for later", function()
        local result = assert(peer:store(study, { Synchronous = true, Compress = true, Transcode = "1.2.840.10008.1.2.1" }))
        assert.are.same({ instances, true, "1.2.840.10008.1.2.1" }, { result.InstancesCount, result.Compress, result.Transcode })
        assert.are.equal(instances, arrived())
        local job = client:job(assert(peer:store({ study }, { Synchronous = false, Priority = 3 })))
        assert.are.equal(instances, assert(job:wait()).InstancesCount)
        assert.are.equal(3, assert(job:status()).Priority)
        job = client:job(assert(client:peer("filed"):store(study, { Asynchronous = true })))
        fails({ kind = "orthanc", code = "peer_failed", orthanc_status = 9, job = job.ID }, job:wait())
      end)

      it("nothing if a resource does not exist", function()
        for _, options in ipairs { {}, { Synchronous = true } } do
          for _, ids in ipairs { { NOBODY }, { study, NOBODY }, { NOBODY, study } } do
            local expected = { kind = "orthanc", code = "not_found", status = 404, orthanc_status = 17 }
            if version.number > 11207 then -- which stores the study, and says nothing of the other
              expected = ids[1] == study and { kind = "orthanc", code = "not_found" }
                or { kind = "orthanc", status = 500, orthanc_status = -1 }
            end
            expected.op, expected.path = "store", "/peers/far/store"
            fails(expected, peer:store(ids, options))
          end
        end
        fails({ kind = "refused", code = "bad_identifier" }, peer:store "1.2.3")
        fails({ kind = "refused", code = "bad_identifier" }, peer:store {})
      end)

      it("UserData, where the server supports them", function()
        if version.number >= 11209 then
          local job = assert(peer:store(study, { UserData = { a = 1 }, Synchronous = false })).ID
          assert.are.same({ a = 1 }, assert(client:job(job):status()).UserData)
        else
          local err = fails({ kind = "orthanc", code = "unsupported" }, peer:store(study, { UserData = 1 }))
          contains(err.message, "'UserData' of store needs Orthanc 1.12.9")
          assert.are.equal(0, arrived())
        end
      end)
    end)

    it("never has its secrets shown in a result", function()
      set { HttpHeaders = { Token = "t0ken" } } -- the server writes these headers into the record of its job
      for _, options in ipairs { {}, { Synchronous = true } } do
        local result = assert(peer:store(study, options))
        assert.are.equal("…", (result.Peer.HttpHeaders or {}).Token)
        tells_nothing_of("t0ken", result)
      end
      local job = assert(peer:store(study, { Synchronous = false }))
      local result = assert(client:job(job):wait())
      assert.are.equal(instances, result.InstancesCount)
      tells_nothing_of("t0ken", result)
      assert.are.equal(job.ID, running_jobs.ended_store(assert(client:jobs { expand = true }), study, { url = far.url }, ""))
    end)

    it("never has its secrets shown in an error", function()
      set { HttpHeaders = { Token = "t0ken" } } -- the server writes these headers into the record of its job
      far:signal "STOP" -- so that the job keeps running
      local err = select(2, peer:store(study, { wait_timeout = 3 })) -- in which the job is submitted
      far:signal "CONT"
      assert.are.same({ "timeout", true }, { err.kind, err.still_running })
      assert(client:put("/peers/cred", { Url = "http://us:s3cret@127.0.0.1:1/", HttpHeaders = { Token = "t0ken" } }))
      for _, failed in ipairs { select(2, client:peer("cred"):store(study)), select(2, client:peer("cred"):system()),
        select(2, client:peer("cred"):store(study, { Synchronous = true })) } do
        assert.are.equal("peer_failed", failed.code)
        tells_nothing_of("s3cret", failed)
      end
      local failed = select(2, client:peer("cred"):store(study))
      assert.are.equal("http://…@127.0.0.1:1/", failed.result.Peer.Url)
      tells_nothing_of("t0ken", failed)
      assert(client:delete "/peers/cred")
      assert.is_table(client:job(err.job):wait())
    end)

    it("never has its secrets shown by anything that tells of jobs or peers", function()
      assert(client:put("/peers/cred", { Url = "http://us:s3cret@127.0.0.1:1/", HttpHeaders = { Token = "t0ken" }, ApiKey = "k3y" }))
      local job = client:job(assert(client:peer("cred"):store(study, { Synchronous = false })))
      job:wait()
      local cred = client:peer "cred"
      local configured = assert(cred:configure { Timeout = 7, HttpHeaders = { Token = "t0ken" } })
      for name, told in pairs {
        status = job:status(), jobs = client:jobs { expand = true }, peers = client:peers { expand = true },
        configuration = cred:configuration(),
        configured = configured, ["GET /jobs/ID"] = client:get("/jobs/" .. job.ID), ["GET /jobs"] = client:get("/jobs", { expand = true }),
        ["GET /peers"] = client:get "/peers?expand", ["GET /peers/cred"] = client:get "/peers/cred/configuration",
        ["below /jobs"] = modalua.connect(near.url .. "/jobs"):get("/" .. job.ID),
        ["GET /%6Aobs"] = client:get("/%6Aobs", { expand = true }), ["GET /%70eers"] = client:get "/%70eers/cred/configuration",
        ["below /%6aobs"] = modalua.connect(near.url .. "/%6aobs"):get("/" .. job.ID),
      } do
        for _, secret in ipairs { "s3cret", "t0ken", "k3y" } do
          assert(not json.encode(told):find(secret, 1, true), name .. ": " .. json.encode(told))
        end
        contains(json.encode(told), "127.0.0.1:1")
      end
      local as_xml = modalua.connect(near.url, { headers = { Accept = "application/xml" } })
      for _, path in ipairs { "/jobs?expand", "/peers/cred/configuration" } do
        local err = fails({ kind = "decode" }, as_xml:get(path))
        contains(err.message, "ask for JSON")
        assert.is_nil(json.encode(err):find("s3cret", 1, true))
      end
      contains(as_xml:get "/studies", "<root>")
      local file = os.tmpname()
      os.remove(file)
      for _, path in ipairs { "/jobs?expand", "/jobs/" .. job.ID, "/peers?expand", "/%70eers/cred/configuration" } do
        local err = fails({ kind = "decode", op = "download" }, client:download(path, file))
        contains(err.message, "use client:get")
        assert.is_nil(io.open(file))
      end
      contains(raw_get(near, "/peers/cred/configuration"), "us:s3cret@") -- what the server has is as it was
      assert(client:delete "/peers/cred")
    end)
  end)
end

describe("A peer's", function()
  local peer = modalua.connect("http://127.0.0.1:1"):peer "far"

  it("settings are checked before any request is sent, and not shown", function()
    local function bad(part, settings)
      local ok, message = pcall(peer.configure, peer, settings)
      assert.is_false(ok)
      contains(message, part)
      assert.is_nil(message:find("s3cret", 1, true), message)
    end
    for _, url in ipairs { "", "far", "ftp://far/", "http://", "http:///x", "http://us:s3cret@far/", "https://s3cret@far", 1, {} } do
      bad("configure: 'Url' must be an address that begins with http:// or https://", { Url = url })
    end
    bad("'Password' must be a string", { Password = { "s3cret" } })
    bad("'Password' must be a string", { Password = "s3cret\0" })
    bad("'CertificateKeyPassword' must be a string", { CertificateKeyPassword = 1 })
    for _, headers in ipairs { "Token: s3cret", { "s3cret" }, { Token = 1 }, { Token = "s3cret\r\nX: y" }, { ["To:ken"] = "s3cret" } } do
      bad("'HttpHeaders' must be a table from names of headers to values", { HttpHeaders = headers })
    end
    bad("'Timeout' must be", { Timeout = -1 })
    bad("'Pkcs11' must be true or false", { Pkcs11 = 1 })
    bad("did you mean 'Password'", { password = "s3cret" })
    bad("unknown key 'AET'", { AET = "X" })
  end)

  it("secrets are not replaced by the mark that answers show in their place", function()
    local client = modalua.connect("http://127.0.0.1:1") -- nothing listens there
    for path, body in pairs { ["/peers/far"] = { Url = "http://far/", Password = "…" }, ["/peers/near"] = '["http://far/","us","…"]',
      ["/peers/url"] = { Url = "http://…@far/" } } do
      local err = fails({ kind = "refused" }, client:put(path, body))
      contains(err.message, "give the secret itself")
    end
    fails({ kind = "network" }, client:put("/peers/far", { Url = "http://far/", Password = "s3cret" }))
    fails({ kind = "network" }, client:put("/modalities/far", { AET = "…", Host = "far", Port = 104 }))
  end)

  it("options of store are checked", function()
    throws("'Permissive' cannot be given: it hides failures", peer.store, peer, NOBODY, { Permissive = true })
    throws("'Timeout' cannot be given", peer.store, peer, NOBODY, { Timeout = 1 })
    throws("the identifiers are the first argument", peer.store, peer, NOBODY, { Resources = { NOBODY } })
    throws("unknown key 'verify'", peer.store, peer, NOBODY, { verify = true })
    throws("contradict each other", peer.store, peer, NOBODY, { Synchronous = true, Asynchronous = true })
  end)
end)

describe("A peer, or a transfer to it,", function()
  local ID = "12345678-1234-1234-1234-123456789abc"
  local server, client, peer

  local function answer(path, value)
    return { path = path, to = faultd.route("/delay", { s = 0, body = json.encode(value) }) }
  end

  local function start(record)
    record.ID = ID
    server = faultd.start { answer("/peers/far/store", { ID = ID, Path = "/jobs/" .. ID }), answer("/modalities/far/store", { ID = ID }),
      answer("/jobs/" .. ID, record), { path = "/jobs/" .. ID .. "/cancel", to = "/ok" } }
    client = modalua.connect(server.url)
    peer = client:peer "far"
  end

  after_each(function()
    server:close()
  end)

  local function count(path)
    return assert(client:get("/count", { of = path }))
  end

  it("fails if a part of it failed", function()
    start { State = "Success", Content = { InstancesCount = 3, FailedInstancesCount = 1, Peer = { "http://far/" } } }
    local err = fails({ kind = "orthanc", code = "incomplete", job = ID, path = "/peers/far/store" }, peer:store(NOBODY))
    assert.are.equal(1, err.result.FailedInstancesCount)
    fails({ kind = "orthanc", code = "incomplete" }, client:job(ID):wait())
  end)

  it("that succeeds shows no secret of the peer", function()
    for told, shown in pairs {
      [{ Url = "http://us:s3cret@far/", Username = "us", HttpHeaders = { Token = "s3cret", Other = "s3cret" } }] =
        { Url = "http://…@far/", Username = "us", HttpHeaders = { Token = "…", Other = "…" } },
      [json.array { "http://us:s3cret@far/", "us", "" }] = json.array { "http://…@far/", "us", "" },
      [json.array { "http://us@far/", "us", "s3cret" }] = json.array { "http://…@far/", "us", "…" },
      [{ Url = "http://far/", Password = "s3cret", CertificateKeyPassword = "s3cret", Username = "us", PASSWORD = json.null,
        HttpHeaders = json.array { "Token" },
        UserProperties = { ["X-Api-Key"] = "s3cret", Access_Token = 7, Cookies = "", Label = "ward" } }] =
        { Url = "http://far/", Password = "…", CertificateKeyPassword = "…", Username = "us", PASSWORD = json.null,
          HttpHeaders = json.array { "Token" },
          UserProperties = { ["X-Api-Key"] = "…", Access_Token = "…", Cookies = "", Label = "ward" } },
    } do
      start { State = "Success", Content = { InstancesCount = 3, FailedInstancesCount = 0, Peer = told } }
      for _, result in ipairs { assert(peer:store(NOBODY)), assert(client:job(ID):wait()) } do
        assert.are.same({ 3, shown }, { result.InstancesCount, result.Peer })
      end
      assert.are.same(shown, client:job(ID):status().Content.Peer)
      assert.are.same(shown, client:get("/jobs/" .. ID).Content.Peer)
      server:close()
    end
  end)

  it("is not believed if the server has forgotten the job", function()
    start {}
    assert(client:get(faultd.map { path = "/jobs/" .. ID }))
    assert(client:get(faultd.map { path = "/jobs/" .. ID, to = faultd.route("/status", { code = 404 }) }))
    local err = fails({ kind = "unknown", code = "unproven", op = "store", job = ID }, peer:store(NOBODY))
    contains(err.message, "cannot ask a peer which instances it has")
    local handle = assert(peer:store(NOBODY, { Synchronous = false }))
    fails({ kind = "unknown", code = "unproven", op = "wait", job = ID }, client:job(handle):wait())
  end)

  it("is stopped on the server when its task is cancelled", function()
    start { State = "Running" }
    local t = task.spawn(peer.store, peer, NOBODY)
    assert(eventually(function() return count("/jobs/" .. ID) > 0 end))
    t:cancel()
    assert.are.equal("cancelled", select(2, t:join()).kind)
    assert(eventually(function() return count("/jobs/" .. ID .. "/cancel") == 1 end))
  end)

  it("waits for its turn: at most two to one peer, or max_moves; a modality with the same name does not count", function()
    start { State = "Running" }
    local tasks = {}
    local function spawn(remote)
      table.insert(tasks, task.spawn(function() return remote:store(NOBODY) end))
    end
    for _ = 1, 2 do
      spawn(client:modality "far")
    end
    for _ = 1, 3 do
      spawn(modalua.connect(server.url):peer("far", { max_moves = 3 }))
    end
    assert(eventually(function() return count("/peers/far/store") == 3 and count("/modalities/far/store") == 2 end))
    tasks[5]:cancel() -- this leaves two
    assert(eventually(function() return count("/jobs/" .. ID .. "/cancel") == 1 end))
    fails({ kind = "timeout", code = "not_started" }, peer:store(NOBODY, { wait_timeout = 1 }))
    assert.are.equal(3, count("/peers/far/store"))
    for _, t in ipairs(tasks) do
      t:cancel()
    end
    for _, t in ipairs(tasks) do
      t:join()
    end
  end)

  it("is asked for its system with the server's own time limit, unless a timeout is given", function()
    local body = [[{"Name":"FAR","Version":"1.12.7"}]]
    server = faultd.start { { path = "/peers/far/system", to = faultd.route("/hold", { name = "system", body = body }) } }
    local control, far = modalua.connect(server.url), modalua.connect(server.url, { timeout = 1 }):peer "far"
    fails({ kind = "timeout", op = "system", still_running = true }, far:system { wait_timeout = 1 })
    local asking = task.spawn(far.system, far)
    task.sleep(1.5) -- longer than the timeout
    assert(control:get("/release", { name = "system" }))
    assert.are.equal("FAR", assert(asking:join()).Name)
  end)

  it("is sent only once, on a new connection, even if it fails", function()
    server = faultd.start { { path = "/peers/far/store", to = "/drop" } }
    client = modalua.connect(server.url)
    fails({ kind = "unknown", code = "network", retryable = false, path = "/peers/far/store" }, client:peer("far"):store(NOBODY))
    assert.are.equal(1, count("/peers/far/store"))
  end)
end)
