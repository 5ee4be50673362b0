-- Tests storage commitment between two real Orthancs, and with peers that send no report or an invalid one.
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local fails, contains, throws = expect.fails, expect.contains, expect.throws

local CT, NOWHERE = "1.2.840.10008.5.1.4.1.1.2", "00000000-00000000-00000000-00000000-00000000"
local MISSING = { SOPClassUID = CT, SOPInstanceUID = "1.2.3.4" }

local function names(list)
  local uids = {}
  for i, instance in ipairs(list) do
    uids[i] = instance.SOPInstanceUID
  end
  table.sort(uids)
  return uids
end

for _, version in ipairs(versions) do
  describe("A storage commitment with the Orthanc " .. version.name, function()
    local servers, client, at_pacs, pacs, peer, study, instances

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary })
      peer = dicomd.start()
      client, at_pacs = modalua.connect(servers.LOCAL.url), modalua.connect(servers.PACS.url)
      for name, behaviour in pairs { silent = "OK3", refuses = "NST0110", none = "NOCTX" } do
        assert(client:put("/modalities/" .. name, peer:modality(behaviour)))
      end
      assert(at_pacs:put("/modalities/held", peer:modality "HELD"))
      pacs = client:modality "pacs"
      assert(samples.store(client))
      study = assert(client:post("/tools/find", { Level = "Study", Query = { AccessionNumber = "A100102" } }))[1]
      instances = {}
      for i, instance in ipairs(assert(client:get("/studies/" .. study .. "/instances"))) do
        instances[i] = instance.ID
      end
      assert(pacs:store(study))
    end)

    teardown(function()
      servers:close()
      peer:close()
    end)

    local function uid_of(instance)
      return assert(client:get("/instances/" .. instance)).MainDicomTags.SOPInstanceUID
    end

    -- Starts a task that waits for the commitment. Returns it after the first poll.
    local function waiting_for(commitment)
      local told
      local waiting = task.spawn(commitment.wait, commitment, { progress = function() told = true end })
      assert.is_truthy(expect.eventually(function() return told end))
      return waiting
    end

    -- Returns a commitment for which no report will ever come.
    local function pending()
      local commitment = assert(client:modality "silent":storage_commitment(instances[1]))
      assert.are.equal("Pending", assert(commitment:status()).Status)
      return commitment
    end

    it("is given for stored resources of any level", function()
      local commitment = assert(pacs:storage_commitment(study))
      assert.are.equal("modalua.Commitment " .. commitment.id, tostring(commitment))
      assert.are.equal(client, commitment.client)
      assert.has_error(function() return commitment.nosuch end)
      local status = assert(commitment:wait())
      assert.are.same({ "Success", "PACS", {} }, { status.Status, status.RemoteAET, status.Failures })
      local expected = {}
      for i, instance in ipairs(instances) do
        expected[i] = uid_of(instance)
      end
      table.sort(expected)
      assert.are.same(expected, names(status.Success))
      assert.are.same(status, commitment:status())
    end)

    it("is given for UIDs of instances, for answers, and for a mixture", function()
      local query = { SOPClassUID = "", SOPInstanceUID = uid_of(instances[1]) }
      for _, format in ipairs { {}, { short = true }, { simplify = false } } do
        local found <close> = assert(pacs:find({ Level = "Instance", Query = query }, format))
        for _, resources in ipairs { found.answers, found.answers[1] } do
          local status = assert(assert(pacs:storage_commitment(resources)):wait())
          assert.are.same({ query.SOPInstanceUID }, names(status.Success))
        end
      end
      local found <close> = assert(pacs:find { Level = "Instance", Query = query })
      local status = assert(assert(pacs:storage_commitment({ instances[2], found.answers[1] }, { Timeout = 60, wait_timeout = 60 })):wait())
      local expected = { query.SOPInstanceUID, uid_of(instances[2]) }
      table.sort(expected)
      assert.are.same(expected, names(status.Success))
    end)

    it("works in the other direction", function()
      local id = assert(at_pacs:get "/instances")[1]
      assert.are.equal("Success", assert(assert(at_pacs:modality "local":storage_commitment(id)):wait()).Status)
    end)

    it("is refused for instances that the modality does not have", function()
      local commitment = assert(pacs:storage_commitment { instances[1], MISSING })
      local err = fails({ kind = "dicom", code = "not_committed", op = "wait", path = "/storage-commitment/" .. commitment.id },
        commitment:wait())
      contains(err.message, "1 of 2 instances; the first of them, 1.2.3.4: One or more of the elements")
      assert.are.equal("Failure", err.result.Status)
      assert.are.equal(274, err.result.Failures[1].FailureReason)
      assert.are.same({ uid_of(instances[1]) }, names(err.result.Success))
      err = fails({ kind = "orthanc", code = "not_committed", op = "remove" }, commitment:remove())
      contains(err.message, "nothing was removed")
      assert.is_table(client:get("/instances/" .. instances[1]))
    end)

    it("can be waited for later, by another script", function()
      local commitment = assert(pacs:storage_commitment(instances[1]))
      local other = modalua.connect(servers.LOCAL.url):commitment(commitment.id)
      assert.are.equal(commitment.id, other.id)
      assert.are.same({ uid_of(instances[1]) }, names(assert(other:wait()).Success))
    end)

    it("can be part of a store", function()
      local result = assert(pacs:store(instances, { StorageCommitment = true }))
      local status = assert(client:commitment(result.StorageCommitmentTransactionUID):wait())
      assert.are.equal(#instances, #status.Success)
    end)

    it("that comes late is waited for", function()
      local stored = assert(at_pacs:get "/instances")
      for i = 1, 2 do -- occupies all workers of the PACS
        assert(at_pacs:modality "held":store(stored[i], { Synchronous = false }))
      end
      assert.is_truthy(expect.eventually(function() return peer:count "C-STORE" == 2 end))
      local commitment = assert(pacs:storage_commitment(instances[1]))
      assert.are.equal("Pending", assert(commitment:status()).Status)
      local told = {}
      local waiting = task.spawn(commitment.wait, commitment, { progress = function(p) told[#told + 1] = p end })
      assert.is_truthy(expect.eventually(function() return told[1] end))
      peer:let(2)
      assert.are.equal("Success", assert(waiting:join()).Status)
      assert.are.same({ "wait", "Pending", false }, { told[1].op, told[1].state, told[1].over })
      assert.are.same({ "Success", true }, { told[#told].state, told[#told].over })
    end)

    it("that does not come is an error", function()
      local commitment = pending()
      local err = fails({ kind = "timeout", still_running = true, op = "wait" }, commitment:wait { wait_timeout = 0.2 })
      contains(err.message, ('client:commitment("%s"):wait() goes on waiting'):format(commitment.id))
      err = fails({ kind = "orthanc", code = "not_committed" }, commitment:remove())
      contains(err.message, "or not yet")
      local waiting = waiting_for(commitment)
      waiting:cancel()
      assert.are.equal("cancelled", select(2, waiting:join()).kind)
      assert.are.equal("Pending", assert(commitment:status()).Status)
    end)

    it("does not come from a PACS that cannot reach this server", function()
      local settings = assert(at_pacs:get "/modalities/local/configuration")
      local port = settings.Port
      settings.Port = orthanc.free_ports(1)[1]
      assert(at_pacs:put("/modalities/local", settings))
      fails({ kind = "timeout", still_running = true }, assert(pacs:storage_commitment(instances[1])):wait { wait_timeout = 0.3 })
      settings.Port = port
      assert(at_pacs:put("/modalities/local", settings))
    end)

    describe("with a wrong request", function()
      local function refuses(part, resources)
        local err = fails({ kind = "refused", code = "bad_identifier", op = "storage_commitment", method = "POST",
          path = "/modalities/pacs/storage-commitment" }, pacs:storage_commitment(resources))
        contains(err.message, part)
      end

      it("is refused", function()
        refuses("no resource is given", {})
        refuses("resource 1: 'nope' is not an identifier of Orthanc", "nope")
        refuses("resource 2: '../system' is not an identifier", { instances[1], "../system" })
        refuses("resource 1 has no SOPClassUID, which storage commitment needs (of answers, ask for it: SOPClassUID = \"\")",
          { SOPInstanceUID = "1.2.3" })
        refuses("resource 2 has no SOPInstanceUID", { MISSING, { SOPClassUID = CT } })
        refuses("resource 1: SOPInstanceUID = '1.2.*' is no UID", { SOPClassUID = CT, SOPInstanceUID = "1.2.*" })
        refuses("resource 1: SOPClassUID = '' is no UID", { SOPClassUID = "", SOPInstanceUID = "1.2.3" })
        refuses("is no UID", { SOPClassUID = CT, SOPInstanceUID = ("1"):rep(65) })
        refuses("is no UID", { SOPClassUID = CT, SOPInstanceUID = "1.2\0.3" })
      end)

      it("throws an error if the script is wrong", function()
        throws("storage_commitment: identifier 1 must be a string (a nil was given)", pacs.storage_commitment, pacs)
        throws("storage_commitment: identifier 2 must be a string (a number was given)", pacs.storage_commitment, pacs, { instances[1], 1 })
        throws("did you mean 'Timeout'?", pacs.storage_commitment, pacs, study, { timeout = 1 })
        throws("'Timeout' must be a whole number of seconds", pacs.storage_commitment, pacs, study, { Timeout = 0 })
        throws("the resources are the first argument", pacs.storage_commitment, pacs, study, { Resources = {} })
        throws("Orthanc ignores it for storage commitment", pacs.storage_commitment, pacs, study, { LocalAet = "X" })
        throws("unknown option", function() client:commitment "1.2":wait { timeout = 1 } end)
        for _, uid in ipairs { "", "1.2/remove", "1.2a", ("1"):rep(65), "1.2\0", 12 } do
          throws("a transaction UID is expected", client.commitment, client, uid)
        end
        throws("a transaction UID is expected", client.commitment, client)
      end)

      it("says that the server, or the modality, does not support it", function()
        local err = fails({ kind = "orthanc", code = "not_found", status = 404 }, pacs:storage_commitment(NOWHERE))
        contains(err.message, "this Orthanc has no resource with one of the identifiers")
        fails({ code = "not_found" }, pacs:storage_commitment { instances[1], NOWHERE })
        fails({ code = "unknown_modality" }, client:modality "nosuch":storage_commitment(MISSING))
        fails({ kind = "dicom", orthanc_status = 9 }, client:modality "refuses":storage_commitment(MISSING))
        fails({ kind = "dicom", code = "unsupported" }, client:modality "none":storage_commitment(MISSING))
      end)
    end)

    it("lets this server delete what the modality keeps", function()
      local id = instances[#instances]
      local commitment = assert(pacs:storage_commitment(id))
      assert(commitment:wait())
      assert.is_true(commitment:remove())
      fails({ status = 404 }, client:get("/instances/" .. id))
      assert.is_table(client:get("/instances/" .. instances[1]))
      assert.are.equal("Success", assert(commitment:status()).Status)
    end)

    it("is forgotten when the server restarts, and the error says so", function()
      local commitment = pending()
      local waiting = waiting_for(commitment)
      servers.LOCAL:stop "KILL"
      servers.LOCAL:start_again()
      -- The error is the lost commitment, not that the server was away.
      local err = fails({ kind = "unknown", code = "commitment_gone", op = "wait" }, waiting:join())
      contains(err.message, "it keeps the last 100, and none after a restart")
      contains(err.message, "is not known")
      fails({ kind = "orthanc", code = "commitment_gone" }, commitment:status())
      fails({ kind = "orthanc", code = "commitment_gone" }, commitment:remove())
    end)
  end)
end

describe("A storage commitment with an unusual report", function()
  local UID = "2.25.1"
  local PATH, SEND = "/storage-commitment/" .. UID, "/modalities/pacs/storage-commitment"
  local fake, client

  before_each(function()
    fake = faultd.start()
    client = modalua.connect(fake.url)
  end)

  after_each(function()
    fake:close()
  end)

  local function answers(path, body, times)
    assert(client:get(faultd.map { path = path, times = times, to = faultd.route("/status", { code = 200, body = body }) }))
  end

  local function reports(status, success, failures)
    answers(PATH, modalua.json.encode { Status = status, RemoteAET = "PACS", Success = success, Failures = failures })
  end

  local function ask(resources)
    answers(SEND, ('{"ID":"%s","Path":"%s"}'):format(UID, PATH))
    return assert(client:modality "pacs":storage_commitment(resources))
  end

  it("fails if the report does not name every instance", function()
    local other = { SOPClassUID = CT, SOPInstanceUID = "1.2.3.5" }
    local commitment = ask { MISSING, other }
    reports("Success", { MISSING })
    local err = fails({ kind = "unknown", code = "unproven" }, commitment:wait())
    contains(err.message, "does not name 1 of the 2 instances")
    assert.are.same({ "1.2.3.5" }, err.missing)
    assert.are.equal("Success", err.result.Status)
    assert.are.equal("Success", assert(client:commitment(UID):wait()).Status) -- this handle does not know which instances were requested
    for _, nothing in ipairs { modalua.json.array {}, false } do
      answers(PATH, "")
      assert(client:get(faultd.map { path = PATH }))
      reports("Success", nothing or nil)
      fails({ kind = "unknown", code = "unproven" }, commitment:wait())
      contains(fails({ kind = "unknown", code = "unproven" }, client:commitment(UID):wait()).message, "names no instance")
    end
  end)

  it("fails if the report does not name all instances of a study", function()
    answers("/tools/bulk-content", '[{"MainDicomTags":{"0008,0018":"1.2.3.4"}},{"MainDicomTags":{"0008,0018":"1.2.3.6"}}]')
    local commitment = ask(NOWHERE)
    assert.are.same({ Resources = { NOWHERE }, Level = "Instance", Short = true },
      modalua.json.decode(assert(client:get("/last", { of = "/tools/bulk-content" })).body))
    reports("Success", { MISSING })
    assert.are.same({ "1.2.3.6" }, fails({ kind = "unknown", code = "unproven" }, commitment:wait()).missing)
  end)

  it("fails if the report names a failure, or reports failure without naming an instance", function()
    local commitment = ask(MISSING)
    reports("Success", { MISSING }, { { SOPClassUID = CT, SOPInstanceUID = "1.2.3.5", FailureReason = 272 } })
    local err = fails({ kind = "dicom", code = "not_committed" }, commitment:wait())
    contains(err.message, "1 of 2 instances; the first of them, 1.2.3.5: it gives no reason")
    assert(client:get(faultd.map { path = PATH }))
    reports "Failure"
    fails({ kind = "dicom", code = "not_committed" }, commitment:wait())
  end)

  it("is an error if the report is invalid", function()
    for _, body in ipairs { '{"Status":"Done"}', '{"Status":1}', "[]", '"Success"', "{}" } do
      assert(client:get(faultd.map { path = PATH }))
      answers(PATH, body)
      fails({ kind = "unknown", code = "decode" }, client:commitment(UID):wait())
    end
    for _, body in ipairs { "{}", '{"ID":"../x"}', '{"ID":1}', '"x"' } do
      assert(client:get(faultd.map { path = SEND }))
      answers(SEND, body)
      fails({ kind = "unknown", code = "decode" }, client:modality "pacs":storage_commitment(MISSING))
    end
    answers("/tools/bulk-content", '[{"ID":1}]')
    fails({ kind = "decode" }, client:modality "pacs":storage_commitment(NOWHERE))
  end)

  it("is waited for in spite of transient failures", function()
    local commitment = ask(MISSING)
    assert(client:get(faultd.map { path = PATH, times = 3, to = faultd.route "/drop" }))
    assert(client:get(faultd.map { path = PATH, times = 2, to = faultd.route("/status", { code = 503, body = "" }) }))
    reports("Success", { MISSING })
    assert.are.equal("Success", assert(commitment:wait()).Status)
    assert.are.equal(6, assert(client:get("/count", { of = PATH })))
  end)

  it("reports progress while the server does not answer", function()
    assert(client:get(faultd.map { path = PATH, to = faultd.route "/hang" }))
    local told = {}
    local commitment = client:commitment(UID)
    local waiting = task.spawn(commitment.wait, commitment, { progress = function(p) told[#told + 1] = p end })
    assert.is_truthy(expect.eventually(function() return told[2] end))
    waiting:cancel()
    assert.are.equal("cancelled", select(2, waiting:join()).kind)
    for _, p in ipairs(told) do
      assert.are.same({ "wait", "Running", false }, { p.op, p.state, p.over })
    end
    assert.is_true(told[2].seconds > told[1].seconds)
  end)

  it("is given up if the server is away for longer than the client's timeout", function()
    assert(client:get(faultd.map { path = PATH, to = faultd.route "/drop" }))
    local impatient = modalua.connect(fake.url, { timeout = 1, retries = 0 }) -- a retry could begin when hardly any time is left
    local err = fails({ kind = "unknown", code = "network" }, impatient:commitment(UID):wait())
    contains(err.message, ('client:commitment("%s"):wait() goes on waiting'):format(UID))
    fails({ kind = "timeout", still_running = true }, client:commitment(UID):wait { wait_timeout = 0.3 })
  end)

  it("is polled often at first, then less and less often", function()
    reports "Pending"
    local waiting = task.spawn(client:commitment(UID).wait, client:commitment(UID))
    local function polls()
      return assert(client:get("/count", { of = PATH }))
    end
    expect.happens(function() return polls() > 0 end)
    local before = polls()
    -- Pauses as long as the first one between two polls, each with a request, which a busy machine delays as it delays a poll. There are
    -- some 17 polls meanwhile; the later the answers are, the longer the pauses between polls get, but 11 remain. With a constant pause
    -- of 0.5 s there would be three; with 0.05 s, as many as there are pauses here.
    local PAUSES <const> = 24
    for _ = 1, PAUSES do
      task.sleep(0.05)
      assert(client:get "/ok")
    end
    local n = polls() - before
    waiting:cancel()
    assert.is_true(n >= 6, n .. " polls")
    assert.is_true(n < 0.9 * PAUSES, n .. " polls")
  end)

  it("is requested only once", function()
    assert(client:get(faultd.map { path = SEND, to = faultd.route "/drop" }))
    fails({ kind = "unknown", code = "network" }, modalua.connect(fake.url):modality "pacs":storage_commitment(MISSING))
    assert.are.equal(1, assert(client:get("/count", { of = SEND })))
  end)
end)
