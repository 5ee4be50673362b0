-- Tests that an outcome is what is known: the end of jobs that are waited for several times, or that another client has started; errors of
-- kind "unknown"; what a failure leaves on the server. Uses real servers, and faultd for answers that no Orthanc gives.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local json = modalua.json
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local contains, happens, fails = expect.contains, expect.happens, expect.fails

local ID <const> = "12345678-1234-1234-1234-123456789abc" -- of a job
local QUERY <const> = "87654321-1234-1234-1234-123456789abc"
local STORED <const> = "ffffffff-ffffffff-ffffffff-ffffffff-ffffffff"
local HANDLE <const> = json.encode { ID = ID, Path = "/jobs/" .. ID }
local PATIENT <const> = { PatientID = "MOD-0001" }

for _, version in ipairs(versions) do
  describe("An outcome, with the Orthanc " .. version.name .. ",", function()
    local peer, silent, pacs, server, client, source, found

    setup(function()
      peer, silent = dicomd.start(), dicomd.start()
      local ports = orthanc.free_ports(1)
      pacs = orthanc.start { aet = "PACS", modalities = { ["local"] = { "LOCAL", "127.0.0.1", ports[1] } } }
      server = orthanc.start { binary = version.binary, aet = "LOCAL", dicom_port = ports[1], http_port = orthanc.free_ports(1)[1],
        verbose = true, extra = { JobsHistorySize = 1000 },
        modalities = { pacs = pacs:modality(), archive = { "ARCHIVE", "127.0.0.1", 1 }, silent = silent:modality "HELDF3",
          held = peer:modality "HELD", empty = peer:modality "OK0", unknown = peer:modality "MSTA801", refuses = peer:modality "REJ113",
          unable = peer:modality "MSTC000", limited = peer:modality "FANFE00" } }
      assert(samples.store(modalua.connect(pacs.url)))
      client = modalua.connect(server.url)
      source = client:modality "pacs"
      found = assert(source:find { Level = "Study", Query = PATIENT })
      assert.is_true(#found.answers > 0)
    end)

    teardown(function()
      server:close()
      pacs:close()
      peer:close()
      silent:close()
    end)

    -- The first test: no removal of an earlier query is under way.
    local function queries()
      return #assert(client:queries())
    end

    it("of a find that was cancelled, or timed out, leaves no query on the server", function()
      local before, removals = queries(), server:count_logged "DELETE /queries/"
      local function find(wait_timeout)
        return client:modality "silent":find { Level = "Study", Query = { PatientID = "X" }, wait_timeout = wait_timeout }
      end
      local cancelled = task.spawn(find)
      happens(function() return silent:count "C-FIND" == 1 end)
      cancelled:cancel()
      fails({ kind = "cancelled" }, cancelled:join())
      fails({ kind = "timeout", still_running = true, op = "find" }, find(2)) -- in which the request leaves
      happens(function() return silent:count "C-FIND" == 2 end)
      silent:let(2)
      local lines = version.number < 11300 and 1 or 2 -- in the log for each request
      happens(function() return server:count_logged "DELETE /queries/" == removals + 2 * lines end)
      happens(function() return queries() == before end)
    end)

    -- The job has ended.
    local function started(modality, options)
      options.Synchronous = false
      local handle = assert(modality:move(found, options))
      happens(function()
        local state = assert(client:job(handle):status()).State
        return state == "Success" or state == "Failure"
      end)
      return handle
    end

    local function others()
      return modalua.connect(server.url)
    end

    it("that nobody knows stays unknown each time it is waited for, and for another client", function()
      local handle = started(source, { TargetAet = "NOBODY", Permissive = true })
      for _, who in ipairs { client, client, others(), others() } do
        local err = select(2, who:job(handle):wait())
        if version.number < 11210 then
          fails({ kind = "unknown", code = "unproven", op = "wait", job = handle.ID }, nil, err)
          contains(err.message, "Permissive")
        else -- the record shows what Permissive hid
          fails({ kind = "dicom", code = "incomplete", dimse_status = 0xC000, op = "wait", job = handle.ID }, nil, err)
        end
      end
    end)

    it("that is a success is the same each time, and is still known when the server has removed the job", function()
      local handle = started(source, { TargetAet = "LOCAL", Permissive = true })
      local first = assert(client:job(handle):wait())
      for _, study in ipairs(assert(client:get "/studies")) do
        assert(client:delete("/studies/" .. study))
      end
      assert.are.equal(first, assert(client:job(handle):wait()))
      local none, err = others():job(handle):wait() -- this client has not seen the success, and the images are gone
      assert.is_nil(none)
      if version.number < 11200 then -- the record does not show the destination
        fails({ kind = "unknown", code = "unproven" }, none, err)
      else
        fails({ kind = "dicom", code = "incomplete" }, none, err)
      end
    end)

    it("of a job that another client has started is compared with what has arrived", function()
      local handle = started(source, { TargetAet = "LOCAL" })
      local result, err = others():job(handle):wait()
      if version.number < 11200 then
        fails({ kind = "unknown", code = "unproven" }, result, err)
        contains(err.message, "destination")
      else
        assert.are.equal("LOCAL", assert(result, tostring(err)).TargetAet)
      end
      local stored = assert(client:find { Level = "Study", Query = PATIENT })
      local store = assert(client:modality "empty":store(stored, { Synchronous = false }))
      happens(function() return assert(client:job(store):status()).State == "Success" end)
      fails({ kind = "dicom", code = "incomplete" }, others():job(store):wait())
      assert.is_table(assert(client:job(store):wait())) -- this client knows that nothing was permitted to fail
    end)

    it("of a wait that ended before the job is told by the next wait", function()
      local held = client:modality "held"
      local query <close> = assert(held:find { Level = "Study", Query = { PatientID = "FP*" } })
      local err = fails({ kind = "timeout", still_running = true }, held:move(query, { TargetAet = "ANY", wait_timeout = 3 }))
      peer:let(3)
      assert.is_table(assert(client:job(err.job):wait()))
      fails({ kind = "unknown", code = "unproven" }, others():job(err.job):wait()) -- only this client knows that Permissive was not given
    end)

    -- ---- statuses in words ----

    it("that is a DIMSE status says what to check, and what this server knows of the destination", function()
      local function move(name, options)
        local modality = client:modality(name)
        local query <close> = assert(modality:find { Level = "Study", Query = { PatientID = "FP*" } })
        return modality:move(query, options)
      end
      local err = fails({ kind = "dicom", dimse_status = 0xA801 }, move("unknown", { to = "archive" }))
      contains(err.message, "does not know the destination")
      contains(err.message, "AE title ARCHIVE, which this server knows as 'archive' at 127.0.0.1:1")
      err = fails({ dimse_status = 0xA801 }, move("unknown", { TargetAet = "ARCHVIE" }))
      contains(err.message, "AE title ARCHVIE, which no modality of this server has")
      err = fails({ dimse_status = 0xA801 }, move("unknown", { TargetAet = "ARCHVIE", Synchronous = true }))
      contains(err.message, "AE title ARCHVIE, which no modality of this server has")
      err = fails({ dimse_status = 0xC000 }, move("unable"))
      contains(err.message, "an Orthanc says so when")
      contains(err.message, "does the modality know its AE title, LOCAL")
      contains(fails({ dimse_status = 0xFE00 }, client:modality "limited":find { Level = "Study", Query = PATIENT }).message,
        "narrow the query")
      contains(fails({ kind = "dicom" }, client:modality "refuses":find { Level = "Study", Query = PATIENT }).message,
        "the modality rejects the association: check that it knows the AE title of this server")
      local none, rejected = client:modality "refuses":echo()
      assert.is_false(none)
      contains(rejected.message, "rejects the association")
    end)
  end)
end

describe("An outcome", function()
  local server, client

  local function answer(path, value, method)
    local body = type(value) == "string" and value or json.encode(value)
    return { path = path, method = method, to = faultd.route("/delay", { s = 0, body = body }) }
  end

  local function status(path, code, body, more)
    local mapping = { path = path, to = faultd.route("/status", { code = code, type = "application/json", body = body or "" }) }
    for key, value in pairs(more or {}) do
      mapping[key] = value
    end
    return mapping
  end

  local function start(...)
    server = faultd.start {
      { path = "/queries/" .. QUERY .. "/level", to = faultd.route("/status", { code = 200, type = "text/plain", body = "Study" }) },
      { path = "/queries/" .. QUERY .. "/modality", to = faultd.route("/status", { code = 200, type = "text/plain", body = "pacs" }) },
      answer("/queries/" .. QUERY .. "/query", { ["0010,0020"] = "X" }), ... }
    client = modalua.connect(server.url, { timeout = 2, retries = 2 })
  end

  after_each(function()
    server:close()
  end)

  local function count(path)
    return assert(client:get("/count", { of = path }))
  end

  -- The operations that move images, each with its route.
  local RETRIEVE <const> = "/queries/" .. QUERY .. "/retrieve"
  local TRANSFERS <const> = {
    { RETRIEVE, "move", function(options) return client:modality "pacs":move(QUERY, options) end },
    { "/modalities/pacs/get", "get", function(options)
      return client:modality "pacs":get("Study", { StudyInstanceUID = "1.2" }, options)
    end },
    { "/modalities/pacs/move", "move_resources", function(options)
      return client:modality "pacs":move_resources("Study", { StudyInstanceUID = "1.2" }, options)
    end },
    { "/modalities/pacs/store", "store", function(options) return client:modality "pacs":store(STORED, options) end },
    { "/peers/far/store", "store", function(options) return client:peer "far":store(STORED, options) end },
  }

  local LIST <const> = answer("/queries/" .. QUERY .. "/answers",
    json.array { { PatientID = "X", StudyInstanceUID = "1.2", QueryRetrieveLevel = "STUDY" } })
  local SYSTEM <const> = answer("/system", { Version = "1.13.0", DicomAet = "LOCAL" })

  it("of a transfer whose submission gets a strange answer is unknown, not a success", function()
    for _, body in ipairs { "{}", "[]", '["a"]', '{"ID":null}', '{"ID":""}', '{"ID":7}', '"yes"', "null", "7", "",
      '{"HttpStatus":500,"RemoteAet":"PACS"}', '{"Message":"Bad gateway"}' } do
      for _, transfer in ipairs(TRANSFERS) do
        start(answer(transfer[1], body), LIST, SYSTEM)
        for _, synchronous in ipairs { "job", true, false } do
          local options = {}
          if synchronous ~= "job" then
            options.Synchronous = synchronous
          end
          local err = fails({ kind = "unknown", code = "decode", op = transfer[2] }, transfer[3](options))
          contains(err.message, "not known")
        end
        server:close()
      end
    end
  end)

  it("of a transfer that broke off after it was sent is unknown, and the cause is its code", function()
    local causes = {
      { "/drop", "network" }, { "/garbage", "http" }, { "/reset-body?bytes=10", "network" },
      { faultd.route("/status", { code = 502, body = "x" }), "http" }, { faultd.route("/status", { code = 504, body = "x" }), "http" },
      { faultd.route("/status", { code = 520, body = "x" }), "http" },
      { faultd.route("/status", { code = 200, type = "application/json", body = "{\"ID\":" }), "decode" },
      { faultd.route("/status", { code = 200, type = "text/html", body = "<html>" }), "decode" },
    }
    for _, cause in ipairs(causes) do
      for _, transfer in ipairs(TRANSFERS) do
        start({ path = transfer[1], method = "POST", to = cause[1] }, LIST, SYSTEM)
        local err = fails({ kind = "unknown", code = cause[2], retryable = false }, transfer[3] {})
        contains(err.message, "whether the server has carried it out is not known")
        server:close()
      end
    end
    start({ path = "/modalities/pacs/store", to = "/hang" }, SYSTEM)
  end)

  it("of a transfer that cannot have reached the server is no doubt", function()
    start()
    local nobody = modalua.connect("http://127.0.0.1:1", { retries = 0 })
    fails({ kind = "network", code = "no_connection" }, nobody:modality "pacs":store(STORED))
    server:close()
    start(status("/modalities/pacs/store", 403), status("/peers/far/store", 503))
    fails({ kind = "auth", code = "forbidden" }, client:modality "pacs":store(STORED))
    fails({ kind = "http", code = "unavailable" }, client:peer "far":store(STORED))
  end)

  it("of everything else that changes something is unknown when the answer is missing", function()
    start({ path = "/instances", to = "/drop" }, { path = "/modalities/pacs/store-straight", to = "/drop" },
      { path = "/modalities/pacs/storage-commitment", to = "/drop" }, { path = "/modalities/pacs", to = "/drop" },
      { path = "/jobs/" .. ID .. "/cancel", to = "/drop" }, { path = "/instances/x/anonymize", to = "/drop" },
      answer("/modalities/pacs/configuration", { AET = "A", Host = "h", Port = 1 }), SYSTEM)
    local pacs = client:modality "pacs"
    for _, run in ipairs {
      function() return client:upload { data = "x" } end,
      function() return pacs:store_straight { data = "x" } end,
      function() return pacs:storage_commitment { SOPClassUID = "1.2", SOPInstanceUID = "1.3" } end,
      function() return pacs:configure { Port = 2 } end,
      function() return pacs:remove() end,
      function() return client:job(ID):cancel() end,
      function() return client:post("/instances/x/anonymize", {}) end,
    } do
      fails({ kind = "unknown", code = "network" }, run())
    end
  end)

  it("of a search that broke off is plain: nothing has been done", function()
    start({ path = "/modalities/*", to = "/drop" }, { path = "/tools/*", to = "/drop" })
    local pacs = client:modality "pacs"
    fails({ kind = "network" }, pacs:find { Level = "Study", Query = {} })
    fails({ kind = "network" }, pacs:find_worklist { PatientID = "" })
    fails({ kind = "network" }, client:post("/tools/find", { Level = "Study", Query = {} }))
    assert.are.equal("network", select(2, pacs:echo()).kind)
  end)

  it("of a job whose polls say nothing is unknown, and the cause is its code", function()
    local polls = {
      { status("/jobs/" .. ID, 401), "auth" }, { status("/jobs/" .. ID, 403), "auth" },
      { status("/jobs/" .. ID, 503), "http" },
      { status("/jobs/" .. ID, 200), "decode" }, { answer("/jobs/" .. ID, "{}"), "decode" },
      { answer("/jobs/" .. ID, "{\"State\":"), "decode" }, { answer("/jobs/" .. ID, "[]"), "decode" },
      { { path = "/jobs/" .. ID, to = "/hang" }, "timeout" },
      { { path = "/jobs/" .. ID, to = "/drop" }, "network" }, { { path = "/jobs/" .. ID, to = "/garbage" }, "http" },
      { answer("/jobs/" .. ID, { State = "Frozen" }), "decode", "Frozen" },
      { answer("/jobs/" .. ID, { State = "Success", ErrorCode = 9, ErrorDescription = "network", Content = {} }), "decode", "9" },
      { answer("/jobs/" .. ID, { State = "Success", ErrorCode = 0, Content = "x" }), "decode" },
    }
    for _, poll in ipairs(polls) do
      start(answer(RETRIEVE, HANDLE), LIST, poll[1])
      for name, run in pairs { move = TRANSFERS[1][3], wait = function(options) return client:job(ID):wait(options) end } do
        local over = {}
        local err = fails({ kind = "unknown", code = poll[2], job = ID, op = name }, run { progress = function(p)
          over[#over + 1] = p.over and p.state or nil
        end })
        contains(err.message, poll[3] or "not known")
        assert.are.same({ "Failure" }, over)
      end
      server:close()
    end
    start(status("/jobs/" .. ID, 404))
    fails({ kind = "unknown", code = "job_gone", job = ID }, client:job(ID):wait())
    fails({ kind = "orthanc", code = "job_gone" }, client:job(ID):status())
  end)

  it("of another client's job that cannot be compared says why", function()
    local STUDIES <const> = json.array { { ["0008,0052"] = "STUDY", ["0020,000d"] = "1.2" } }
    local long = ("a"):rep(300)
    local modalities = { pacs = { AET = "PACS", Host = "one", Port = 104 }, twin = { AET = "TWIN", Host = "one", Port = 104 },
      other = { AET = "TWIN", Host = "two", Port = 104 }, [long] = { AET = "LONG", Host = "one", Port = 104 } }
    for _, case in ipairs {
      { "DicomMoveScu", { RemoteAet = "TWIN", TargetAet = "X", Query = STUDIES }, "two modalities of this server" },
      { "DicomMoveScu", { RemoteAet = "NOBODY", TargetAet = "X", Query = STUDIES }, "knows no modality with the AE title NOBODY" },
      { "DicomMoveScu", { RemoteAet = "LONG", TargetAet = "X", Query = STUDIES }, "cannot use the name of the modality" },
      { "DicomMoveScu", { RemoteAet = "PACS", TargetAet = "X" }, "shows no resource" },
      { "DicomMoveScu", { RemoteAet = "PACS", TargetAet = "X", Query = json.array { {} } }, "does not show which resources" },
      { "DicomMoveScu", { RemoteAet = "PACS", Query = STUDIES }, "does not show the destination" },
      { "DicomModalityStore", { RemoteAet = "PACS" }, "does not show which resources" },
      { "DicomModalityStore", { RemoteAet = "PACS", ParentResources = json.array { STORED, "../7" } }, "does not show which resources" },
      { "OrthancPeerStore", { Peer = json.array { "http://far/" } }, "cannot ask a peer" },
    } do
      start(SYSTEM, answer("/modalities", modalities),
        answer("/jobs/" .. ID, { ID = ID, Type = case[1], State = "Success", Content = case[2] }))
      contains(fails({ kind = "unknown", code = "unproven", job = ID, op = "wait" }, client:job(ID):wait()).message, case[3])
      server:close()
    end
    start()
  end)

  it("of a search that would ask a modality for each of its 201 studies is an error", function()
    local again = 0xA900 -- identifier does not match: the modality wants the unique keys of the levels above
    start(SYSTEM, status("/modalities/pacs/query", 500, json.encode { HttpStatus = 500, OrthancStatus = 9, DimseErrorStatus = again,
      Details = "DicomFindSCU: DIMSE status 0xA900" }, { times = 1 }), answer("/modalities/pacs/query", { ID = QUERY }),
      answer("/tools/default-encoding", "Latin1"), { path = ("/queries/%s/answers"):format(QUERY), to = "/answers?n=201" })
    local err = fails({ kind = "dicom", code = "too_many", op = "find", dimse_status = again },
      client:modality "pacs":find { Level = "Series", Query = { Modality = "CT" } })
    contains(err.message, "has 201 studies")
    assert.are.equal(2, count "/modalities/pacs/query") -- it has asked for none of them
  end)

  it("of use_utf8 is a failure when the server keeps its character set", function()
    local path <const> = "/tools/default-encoding"
    local latin1 = { path = path, to = faultd.route("/status", { code = 200, type = "text/plain", body = "Latin1" }) }
    start(latin1)
    local err = fails({ kind = "orthanc", code = "not_taken", op = "use_utf8" }, client:use_utf8())
    contains(err.message, "it still has Latin1")
    server:close()
    start(status(path, 403, "", { method = "PUT" }), latin1)
    fails({ kind = "auth", status = 403, method = "PUT" }, client:use_utf8())
    assert.are.equal(2, count(path))
  end)

  it("is told to progress when it is known, not before", function()
    start(answer("/modalities/pacs/store", HANDLE), LIST, SYSTEM,
      answer("/jobs/" .. ID, { ID = ID, Type = "DicomModalityStore", State = "Success", Content = { InstancesCount = 1 } }),
      answer("/jobs/" .. ID, { ID = ID }), { path = "/studies/*", to = faultd.route("/hold", { name = "facts", body = "[]" }) },
      status("/series/*", 404), status("/instances/*", 404), status("/patients/*", 404))
    local told = {}
    local storing = task.spawn(function()
      return client:modality "pacs":store(STORED, { verify = true, progress = function(p)
        told[#told + 1] = (p.over and "over " or "") .. p.state
      end })
    end)
    happens(function() return count("/studies/" .. STORED .. "/instances") == 1 end)
    assert.is_nil(table.concat(told, ","):find "over")
    assert(client:get("/release", { name = "facts" }))
    local result = table.pack(storing:join())
    assert.are.equal(result[1] and "over Success" or "over Failure", told[#told])
  end)

  it("of a thousand other jobs does not make a doubt vanish", function()
    start(answer(RETRIEVE, HANDLE), LIST, SYSTEM, answer("/modalities", json.object {}),
      answer("/jobs/" .. ID, { ID = ID, Type = "DicomMoveScu", State = "Success", Content = { TargetAet = "NOBODY", RemoteAet = "PACS",
        Query = json.array { { ["0008,0052"] = "STUDY", ["0020,000d"] = "1.2" } } } }))
    local pacs = client:modality "pacs"
    assert(pacs:move(QUERY, { TargetAet = "NOBODY", Permissive = true, Synchronous = false }))
    assert(client:get(faultd.map { path = RETRIEVE }))
    for i = 1, 1001 do
      local other = ("%08x"):format(i) .. ID:sub(9)
      assert(client:get(faultd.map(answer(RETRIEVE, json.encode { ID = other, Path = "/jobs/" .. other }))))
      assert(pacs:move(QUERY, { TargetAet = "NOBODY", Synchronous = false }))
      assert(client:get(faultd.map { path = RETRIEVE }))
    end
    fails({ kind = "unknown", code = "unproven" }, client:job(ID):wait())
    fails({ kind = "unknown", code = "unproven" }, client:job(ID):wait())
  end)

  -- ---- what is left behind ----

  local FIND <const> = "/modalities/pacs/query"
  local MADE <const> = json.encode { ID = QUERY, Path = "/queries/" .. QUERY }

  local function find(options)
    local data = { Level = "Study", Query = { PatientID = "X" } }
    for key, value in pairs(options or {}) do
      data[key] = value
    end
    return client:modality "pacs":find(data)
  end

  local function removed(n)
    happens(function() return count("/queries/" .. QUERY) == n end)
    assert.are.equal("DELETE", assert(client:get("/last", { of = "/queries/" .. QUERY })).method)
  end

  it("of a find that fails in its second request leaves no query", function()
    local answers = "/queries/" .. QUERY .. "/answers"
    local failures = { status(answers, 500), status(answers, 200, "{}"), status(answers, 200, "[{"), { path = answers, to = "/drop" } }
    for _, failure in ipairs(failures) do
      start(answer(FIND, MADE), failure)
      local found, err = find()
      assert.is_nil(found)
      assert.are.equal("find", err.op)
      removed(1)
      server:close()
    end
    start(answer(FIND, MADE), { path = answers, to = faultd.route("/big", { bytes = 257 << 20 }) })
    local script = ("require 'modalua'.connect(%q):modality 'pacs':find { Level = 'Study', Query = { PatientID = 'X' } }")
      :format(server.url)
    local result = command.run("--memory-limit", "100000000", "-e", script)
    assert.are.equal(1, result.status)
    contains(result.err, "not enough memory for the answer")
    removed(1)
  end)

  it("of a find that is cancelled while its answers come, or before the server has named the query, leaves no query", function()
    local answers = "/queries/" .. QUERY .. "/answers"
    start(answer(FIND, MADE), { path = answers, to = "/hang" })
    local finding = task.spawn(find)
    happens(function() return count(answers) == 1 end)
    finding:cancel()
    fails({ kind = "cancelled" }, finding:join())
    removed(1)
    server:close()
    for _, wait_timeout in ipairs { false, 2 } do -- in which the request leaves
      start({ path = FIND, to = faultd.route("/hold", { name = "find", body = MADE }) })
      finding = task.spawn(find, { wait_timeout = wait_timeout or nil })
      happens(function() return count(FIND) == 1 end)
      if wait_timeout then
        fails({ kind = "timeout", still_running = true }, finding:join())
      else
        finding:cancel()
        fails({ kind = "cancelled" }, finding:join())
      end
      assert.are.equal(0, count("/queries/" .. QUERY))
      assert(client:get("/release", { name = "find" }))
      removed(1)
      server:close()
    end
    start()
  end)

  it("of a close that is cancelled is a removal, also when it waited for its turn", function()
    for _, max_inflight in ipairs { 1, 8 } do
      start(answer(FIND, MADE), answer("/queries/" .. QUERY .. "/answers", json.array {}),
        { path = "/queries/" .. QUERY, to = faultd.route("/hold", { name = "removal", body = "{}" }), times = 1 },
        answer("/queries/" .. QUERY, "{}"))
      local own = modalua.connect(server.url, { max_inflight = max_inflight })
      local found = assert(own:modality "pacs":find { Level = "Study", Query = { PatientID = "X" } })
      local waiting = max_inflight == 1 and task.spawn(own.get, own, "/hang")
      if waiting then
        happens(function() return count "/hang" == 1 end)
      end
      local closing = task.spawn(found.close, found)
      task.sleep(0) -- it has begun
      if not waiting then
        happens(function() return count("/queries/" .. QUERY) == 1 end)
      end
      closing:cancel()
      fails({ kind = "cancelled" }, closing:join())
      removed(waiting and 1 or 2)
      if waiting then
        waiting:cancel()
      end
      server:close()
    end
    start()
  end)

  it("of a find that leaves out what the server cannot read, and is cancelled, leaves no query", function()
    local unreadable = json.encode { HttpStatus = 400, OrthancStatus = 3, Message = "Parameter out of range",
      Details = "Unsupported value for the SpecificCharacterSet: ISO_IR 999" }
    start(status(FIND, 400, unreadable, { times = 1 }), status(FIND, 200, MADE, { times = 1 }), { path = FIND, to = "/hang" },
      answer("/queries/" .. QUERY .. "/answers", json.array { { StudyInstanceUID = "1.2", StudyDate = "20200102" } }))
    local finding = task.spawn(find, { Query = { StudyDate = "20200101-20201231" } })
    happens(function() return count(FIND) == 3 end)
    finding:cancel()
    fails({ kind = "cancelled" }, finding:join())
    removed(1)
    server:close()
    start()
  end)

  it("of a removal that the server is too busy for is a removal later", function()
    for _, code in ipairs { 429, 503 } do
      start(answer(FIND, MADE), answer("/queries/" .. QUERY .. "/answers", json.array {}),
        status("/queries/" .. QUERY, code, "", { times = 1 }), answer("/queries/" .. QUERY, "{}"))
      do
        local _ <close> = assert(find())
      end
      removed(2)
      server:close()
      start(status("/queries/" .. QUERY, code, "", { times = 1 }), answer("/queries/" .. QUERY, "{}"))
      assert.is_true(client:query(QUERY):close())
      assert.are.equal(2, count("/queries/" .. QUERY))
      server:close()
    end
    start(status("/queries/" .. QUERY, 503)) -- it is not tried for ever
    fails({ kind = "http", code = "unavailable" }, client:query(QUERY):close())
    assert.are.equal(3, count("/queries/" .. QUERY))
  end)

  -- ---- warnings ----

  it("that is a list has its warning beside it, so that it is one argument", function()
    local list = json.array { { PatientName = "^^", SpecificCharacterSet = "ISO_IR 100" } }
    start(answer("/queries/" .. QUERY .. "/answers", list), answer("/modalities/pacs/find-worklist", list),
      answer(FIND, MADE))
    local pacs = client:modality "pacs"
    local parent = { StudyInstanceUID = "1.2" }
    for name, get in pairs {
      get_query_answers = function() return pacs:get_query_answers(QUERY) end,
      answers = function() return client:query(QUERY):answers() end,
      find_worklist = function() return pacs:find_worklist { PatientName = "" } end,
      series = function() return pacs:series(parent, { SeriesDescription = "" }) end,
    } do
      local results = table.pack(get())
      assert.are.equal(1, results.n, name)
      contains(results[1].warning, "may lack characters")
      assert.are.equal(#results[1], #json.decode(assert(json.encode(get()))), name)
      local keys = 0
      for key in pairs(results[1]) do
        keys = keys + 1
        assert.are.equal("integer", math.type(key))
      end
      assert.are.equal(1, keys)
    end
  end)
end)
