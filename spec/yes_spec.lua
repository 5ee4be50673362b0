-- Tests that what failed is never a success: an answer counts as yes only when it is what Orthanc says for yes, a job only when its State
-- is one of Orthanc's, and a comparison only when something was compared. faultd gives the answers that no Orthanc gives; what each real
-- version says for yes is tried too.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local json = modalua.json
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local versions = require "spec.support.versions"

local contains, fails = expect.contains, expect.fails

local JOB <const> = "12345678-1234-1234-1234-123456789abc"
local QUERY <const> = "87654321-1234-1234-1234-123456789abc"
local STORED <const>, OTHER <const> = ("ffffffff-"):rep(4) .. "ffffffff", ("eeeeeeee-"):rep(4) .. "eeeeeeee"
local HANDLE <const> = { ID = JOB, Path = "/jobs/" .. JOB }
local STUDY <const> = { StudyInstanceUID = "1.2" }
local ASKED <const> = json.array { { ["0008,0052"] = "STUDY", ["0020,000d"] = "1.2" } }
local MOVED <const> = { Description = "REST API", LocalAet = "LOCAL", RemoteAet = "PACS", TargetAet = "LOCAL", Query = ASKED }
local SENT <const> = { Description = "REST API", LocalAet = "LOCAL", RemoteAet = "PACS", InstancesCount = 1, FailedInstancesCount = 0 }
local NOTHING <const> = json.array {}

-- What gateways and servers say in place of a yes: a body, its type (default JSON), and a status (default 200).
local FAILURE <const> = json.encode { HttpStatus = 500, Message = "Error in the network protocol", OrthancStatus = 9, Method = "POST" }
local NO_YES <const> = { { FAILURE }, { '{"error":"upstream unavailable"}' }, { "[]" }, { '[{}]' }, { "null" }, { "false" }, { '"{}"' },
  { "OK", "text/plain" }, { "{}", "text/plain" }, { "<html>Log in</html>", "text/html" }, { "<html>Log in</html>", "application/json" },
  { "{}{}" }, { "{}", "application/json", 202 }, { "", "", 204 } }

-- Copies the tables into one; json.null removes a member.
local function merged(...)
  local all = {}
  for _, some in ipairs { ... } do
    for name, value in pairs(some) do
      all[name] = value ~= json.null and value or nil
    end
  end
  return all
end

describe("Yes", function()
  local server, client, pacs
  local target = os.tmpname()

  -- The mapping of a path to an answer: a table as JSON, a string as it is.
  local function says(path, body, type, code)
    return { path = path, to = faultd.route("/status", { code = code or 200, type = type,
      body = math.type(body) == nil and _G.type(body) == "string" and body or json.encode(body) }) }
  end

  local mapped = {}

  local function map(mapping)
    mapped[#mapped + 1] = mapping.path
    assert(client:get(faultd.map(mapping)))
  end

  -- From now on the server gives these answers, to a client that knows nothing yet. One server for all tests: starting one takes time.
  local function start(...)
    local query = "/queries/" .. QUERY
    client = modalua.connect(server.url, { retries = 0 })
    pacs = client:modality "pacs"
    assert(client:post "/reset")
    for _, path in ipairs(mapped) do
      assert(client:get(faultd.map { path = path }))
    end
    mapped = {}
    for _, mapping in ipairs { ... } do
      map(mapping)
    end
    for _, mapping in ipairs { says("/system", { Version = "1.13.0", DicomAet = "LOCAL" }), says(query .. "/level", "Study", "text/plain"),
      says(query .. "/modality", "pacs", "text/plain"), says(query .. "/query", { ["0010,0020"] = "X" }),
      says(query .. "/answers", json.array { { PatientID = "X", StudyInstanceUID = "1.2", QueryRetrieveLevel = "STUDY" } }) } do
      map(mapping)
    end
  end

  setup(function()
    server = faultd.start()
  end)

  teardown(function()
    server:close()
    os.remove(target)
  end)

  local function count(path)
    return assert(client:get("/count", { of = path }))
  end

  -- Asserts that f fails like this for each of these answers to the path, and succeeds for the last one.
  local function only_yes(fields, path, f, yes, type)
    for _, no in ipairs(NO_YES) do
      start(says(path, table.unpack(no)))
      local result, err = f()
      assert.is_falsy(result, no[1])
      fails(fields, nil, err)
    end
    start(says(path, yes, type))
    return assert(f())
  end

  -- ---- transfers ----

  local RETRIEVE <const> = "/queries/" .. QUERY .. "/retrieve"
  local TRANSFERS <const> = {
    { RETRIEVE, MOVED, function(options) return pacs:move(QUERY, options) end },
    { "/modalities/pacs/get", MOVED, function(options) return pacs:get("Study", STUDY, options) end },
    { "/modalities/pacs/move", MOVED, function(options) return pacs:move_resources("Study", STUDY, options) end },
    { "/modalities/pacs/store", SENT, function(options) return pacs:store(STORED, options) end },
    { "/peers/far/store", merged(SENT, { RemoteAet = json.null, LocalAet = json.null, Peer = json.array { "http://far/", "", "" } }),
      function(options) return client:peer "far":store(STORED, options) end },
  }

  it("of a transfer that blocks is a whole result, and nothing else", function()
    for _, transfer in ipairs(TRANSFERS) do
      local path, right, run = table.unpack(transfer)
      local blocking, count_key = { Synchronous = true }, right.Query and "Query" or "InstancesCount"
      if not right.Peer then
        blocking.verify = false
      end
      for _, wrong in ipairs { { HttpStatus = 500 }, { Details = json.array { 1 } }, { FailedInstancesCount = true },
        { [count_key] = json.null }, { [count_key] = "1" }, { [right.Peer and "Peer" or "RemoteAet"] = json.null } } do
        start(says(path, merged(right, wrong)))
        contains(fails({ kind = "unknown", code = "decode" }, run(blocking)).message, "not known")
      end
      start(says(path, right))
      assert(run(blocking))
    end
  end)

  it("of a transfer that does not block has an ID that can be a part of a path", function()
    for _, id in ipairs { "../system", "a b", "x?", ("a"):rep(64), JOB .. "\0", "" } do
      for _, transfer in ipairs(TRANSFERS) do
        start(says(transfer[1], { ID = id, Path = "/jobs/" .. JOB }), says("/jobs/*", { State = "Success", Content = transfer[2] }))
        fails({ kind = "unknown", code = "decode" }, transfer[3] { Synchronous = false })
        fails({ kind = "unknown", code = "decode" }, transfer[3] {})
        for _, line in ipairs(assert(client:get "/log")) do
          assert.is_nil(line:find("GET /jobs/", 1, true), line)
        end
      end
    end
  end)

  -- ---- jobs ----

  it("of a job is a State that Orthanc has, without an error; else it is not waited for", function()
    local success = { ID = JOB, Type = "DicomMoveScu", State = "Success", ErrorCode = 0, Content = MOVED }
    local unclear = { [{ State = "Frozen" }] = "'Frozen'", [{ State = 7 }] = "7", [{ State = json.null }] = "missing",
      [{ State = "success" }] = "'success'", [{ State = "" }] = "''", [{ State = "Running\0" }] = "Running ", [{ ErrorCode = 9 }] = "9",
      [{ ErrorCode = "9" }] = "'9'", [{ ErrorCode = true }] = "true", [{ ErrorCode = json.array {} }] = "table",
      [{ ID = QUERY }] = "another job", [{ Content = NOTHING }] = "a list", [{ Content = "x" }] = "a text",
      [{ Content = json.decode(FAILURE) }] = "an error", [{ Content = merged(MOVED, { Query = "x" }) }] = "Query" }
    for change, said in pairs(unclear) do
      start(says(RETRIEVE, HANDLE), says("/jobs/" .. JOB, merged(success, change)))
      for n, run in ipairs { function() return pacs:move(QUERY) end, function() return client:job(JOB):wait() end } do
        contains(fails({ kind = "unknown", code = "decode", job = JOB }, run()).message, said)
        assert.are.equal(n, count("/jobs/" .. JOB))
      end
    end
    start(says("/jobs/" .. JOB, merged(success, { State = "Frozen" })))
    contains(fails({ kind = "decode" }, client:job(JOB):status()).message, "'Frozen'")
  end)

  it("of a job of another client needs a Type that says what it has done", function()
    for _, type in ipairs { json.null, 7, "Frobnicate" } do
      local record = merged({ ID = JOB, Type = type, State = "Success", ErrorCode = 0, Content = MOVED })
      start(says("/jobs/" .. JOB, record))
      fails({ kind = "unknown", code = "unproven", job = JOB }, client:job(JOB):wait())
    end
    start(says("/jobs/" .. JOB, { ID = JOB, Type = "Archive", State = "Success", ErrorCode = 0, Content = { ArchiveSizeMB = 1 } }))
    assert.are.equal(1, assert(client:job(JOB):wait()).ArchiveSizeMB)
  end)

  it("is not assumed of a job that may make the same move, and nothing is sent", function()
    local job = { ID = JOB, Type = "DicomMoveScu", State = "Frozen", Content = MOVED }
    for _, case in ipairs { { job, "'Frozen'" }, { merged(job, { State = json.null }), "missing" },
      { merged(job, { State = "Running", ID = "../system" }), "'../system'" } } do
      start(says("/jobs", json.array { case[1] }))
      local err = fails({ kind = "unknown", code = "decode" }, pacs:move_resources("Study", STUDY))
      contains(err.message, case[2])
      contains(err.message, "nothing was sent")
      assert.are.equal(0, count "/modalities/pacs/move")
    end
    start(says("/jobs", "{}"))
    fails({ kind = "decode" }, pacs:move_resources("Study", STUDY))
    assert.are.equal(0, count "/modalities/pacs/move")
  end)

  -- ---- comparisons ----

  -- Answers without an element: a list, no content, an empty text.
  local EMPTY <const> = { { "[]" }, { "", "", 204 }, { "", "text/plain" } }

  it("is no comparison of nothing: a store", function()
    local path = "/studies/" .. STORED .. "/instances"
    for _, empty in ipairs(EMPTY) do
      for _, options in ipairs { { verify = true }, { Permissive = true } } do
        start(says("/modalities/pacs/store", HANDLE), says("/jobs/" .. JOB, { State = "Success", Content = SENT }),
          says(path, table.unpack(empty)))
        fails({ kind = "unknown", code = "unproven", job = JOB }, pacs:store(STORED, options))
        assert.are.equal(1, count(path))
      end
    end
  end)

  it("is no comparison of nothing: a move of a query whose answers came back empty", function()
    for _, query in ipairs { ASKED, NOTHING, json.null } do
      for i, options in ipairs { {}, { verify = true }, { Permissive = true }, { RetrieveMethod = "C-GET", Permissive = true } } do
        start(says("/queries/" .. QUERY .. "/answers", "[]"), says(RETRIEVE, HANDLE),
          says("/jobs/" .. JOB, { State = "Success", Content = merged(MOVED, { Query = query }) }))
        local result, err = pacs:move(QUERY, options)
        if i == 1 and query == NOTHING then -- nothing was hidden, and the server says that it was asked for nothing
          assert(result, tostring(err))
        else
          fails({ kind = "unknown", code = "unproven", job = JOB }, result, err)
        end
      end
    end
    for _, empty in ipairs { EMPTY[2], EMPTY[3] } do
      start(says("/queries/" .. QUERY .. "/answers", table.unpack(empty)))
      fails({ kind = "decode" }, pacs:move(QUERY, { Permissive = true }))
      assert.are.equal(0, count(RETRIEVE))
    end
  end)

  it("is not said of a query of another client if nothing of it is left to be moved", function()
    start(says("/queries/" .. QUERY .. "/query", { ["0020,000d"] = "1.9" }))
    fails({ kind = "refused", code = "unproven" }, pacs:move(QUERY))
    assert.are.equal(0, count(RETRIEVE))
  end)

  it("is no comparison of a part: a move of more than the query listed", function()
    local two = json.array { ASKED[1], { ["0008,0052"] = "STUDY", ["0020,000d"] = "1.3" } }
    local row = { PatientID = "X", StudyInstanceUID = "1.2", SeriesInstanceUID = "1.3", SOPInstanceUID = "1.4" }
    for _, query in ipairs { ASKED, two } do
      start(says(RETRIEVE, HANDLE), says("/jobs/" .. JOB, { State = "Success", Content = merged(MOVED, { Query = query }) }),
        says("/modalities/pacs/query", { ID = QUERY, Path = "/queries/" .. QUERY }),
        says("/queries/" .. QUERY .. "/answers", json.array { row }),
        says("/tools/lookup", json.array { { ID = STORED, Path = "/studies/" .. STORED, Type = "Study" } }),
        says("/studies/" .. STORED .. "/instances", json.array { { MainDicomTags = { SOPInstanceUID = "1.4" } } }))
      local result, err = pacs:move(QUERY, { Permissive = true })
      if query == two then
        contains(fails({ kind = "unknown", code = "unproven" }, result, err).message, "the server moved 2 resources, and listed only 1")
      else
        assert.is_true(assert(result, tostring(err)).verified)
      end
    end
  end)

  it("is not said when the destination lists nothing of what it has", function()
    for _, empty in ipairs(EMPTY) do
      start(says("/modalities/pacs/get", HANDLE), says("/jobs/" .. JOB, { State = "Success", Content = MOVED }),
        says("/modalities/pacs/query", { ID = QUERY, Path = "/queries/" .. QUERY }),
        says("/queries/" .. QUERY .. "/answers",
          json.array { { StudyInstanceUID = "1.2", SeriesInstanceUID = "1.3", SOPInstanceUID = "1.4" } }),
        says("/tools/lookup", json.array { { ID = STORED, Path = "/studies/" .. STORED, Type = "Study" } }),
        says("/studies/" .. STORED .. "/instances", table.unpack(empty)))
      fails({ kind = "unknown", code = "unproven" }, pacs:get("Study", STUDY, { verify = true }))
    end
  end)

  it("of a store of several resources means all of them, also when the result does not list them", function()
    local known = json.array { { ID = STORED } }
    for _, result in ipairs { SENT, merged(SENT, { Resources = json.array { { ID = STORED, Type = "Study" } } }) } do
      start(says("/modalities/pacs/store", HANDLE), says("/jobs/" .. JOB, { State = "Success", Content = result }),
        says("/tools/bulk-content", known))
      contains(fails({ kind = "orthanc", code = "not_found" }, pacs:store { STORED, OTHER }).message, OTHER)
      for _, empty in ipairs(EMPTY) do
        start(says("/modalities/pacs/store", HANDLE), says("/jobs/" .. JOB, { State = "Success", Content = result }),
          says("/tools/bulk-content", table.unpack(empty)))
        fails({ kind = "unknown", code = "unproven" }, pacs:store { STORED, OTHER })
      end
    end
  end)

  it("of a storage commitment is compared with what was asked for", function()
    local report = { Status = "Success", RemoteAET = "PACS", Success = json.array { { SOPClassUID = "1.2", SOPInstanceUID = "1.3" } } }
    for _, empty in ipairs(EMPTY) do
      start(says("/modalities/pacs/storage-commitment", { ID = "2.25.1", Path = "/storage-commitment/2.25.1" }),
        says("/storage-commitment/2.25.1", report), says("/tools/bulk-content", table.unpack(empty)))
      local commitment = assert(pacs:storage_commitment(STORED))
      fails({ kind = "unknown", code = "unproven" }, commitment:wait())
    end
    for _, id in ipairs { "..", "2.25.1\0", "" } do
      start(says("/modalities/pacs/storage-commitment", { ID = id, Path = "/storage-commitment/2.25.1" }))
      fails({ kind = "unknown", code = "decode" }, pacs:storage_commitment { SOPClassUID = "1.2", SOPInstanceUID = "1.3" })
    end
    for _, status in ipairs { json.null, 7, "Frozen" } do
      start(says("/storage-commitment/2.25.1", merged(report, { Status = status })))
      fails({ kind = "unknown", code = "decode" }, client:commitment "2.25.1":wait())
      fails({ kind = "decode" }, client:commitment "2.25.1":status())
      assert.are.equal(2, count "/storage-commitment/2.25.1")
    end
  end)

  -- ---- single requests ----

  it("of an echo is {}", function()
    only_yes({ kind = "decode" }, "/modalities/pacs/echo", function() return pacs:echo() end, "{}")
    only_yes({ kind = "decode" }, "/modalities/pacs/echo", function() return pacs:echo { CheckFind = true } end, "{}")
  end)

  it("of an action on a job is {}", function()
    for _, action in ipairs { "cancel", "pause", "resume", "resubmit" } do
      local function act()
        local job = client:job(JOB)
        return job[action](job)
      end
      local path = "/jobs/" .. JOB .. "/" .. action
      only_yes({ kind = "unknown", code = "decode" }, path, act, "{}")
      start(says(path, "")) -- its no is an empty 400
      fails({ kind = "unknown", code = "decode" }, act())
    end
  end)

  it("of a removal is {} or nothing", function()
    local unknown = { kind = "unknown", code = "decode" }
    for _, yes in ipairs { { "", "text/plain" }, { "{}" } } do
      only_yes(unknown, "/modalities/pacs", function() return pacs:remove() end, table.unpack(yes))
      only_yes(unknown, "/peers/far", function() return client:peer "far":remove() end, table.unpack(yes))
      only_yes({ kind = "decode" }, "/queries/" .. QUERY, function() return client:query(QUERY):close() end, table.unpack(yes))
    end
    only_yes(unknown, "/storage-commitment/2.25.1/remove", function() return client:commitment "2.25.1":remove() end, "{}")
  end)

  it("of new settings is not the page of a gateway", function()
    local entry = says("/modalities/pacs/configuration", { AET = "A", Host = "h", Port = 1 })
    for _, no in ipairs { { FAILURE }, { "[]" }, { "OK", "text/plain" }, { "null" }, { "<html>", "text/html" } } do
      start(says("/modalities/pacs", table.unpack(no)), entry)
      fails({ kind = "unknown", code = "decode", method = "PUT" }, pacs:configure { Port = 1 })
    end
    start(says("/modalities/pacs", "", "text/plain"), entry)
    assert(pacs:configure { Port = 1 })
  end)

  it("of a C-STORE of a file names what was sent by two UIDs", function()
    local path, function_of = "/modalities/pacs/store-straight", function() return pacs:store_straight { data = "x" } end
    local named = { SOPClassUID = "1.2.840", SOPInstanceUID = "1.2" }
    only_yes({ kind = "unknown", code = "decode" }, path, function_of, named)
    for _, change in ipairs { { SOPClassUID = json.null }, { SOPInstanceUID = json.null }, { SOPClassUID = "CT" },
      { SOPInstanceUID = 7 } } do
      start(says(path, merged(named, change)))
      fails({ kind = "unknown", code = "decode" }, function_of())
    end
  end)

  it("of a peer is the description of an Orthanc", function()
    only_yes({ kind = "decode" }, "/peers/far/system", function() return client:peer "far":system() end, { Name = "FAR" })
  end)

  -- ---- downloads ----

  it("of a download is a file with the status 200, and of the kind that its route gives", function()
    local zip, dicom = "PK\5\6" .. ("\0"):rep(18), ("\0"):rep(128) .. "DICM" .. ("x"):rep(10)
    local kinds = { zip = { "application/zip", zip, '{"error":1}' }, dicom = { "application/dicom", dicom, "<html>Log in</html>" },
      raw = { "application/dicom", "\8\0\5\0CS", "" }, any = { "image/png", "png" } }
    for path, kind in pairs { ["/studies/x/archive"] = "zip", ["/series/x/media?extended"] = "zip", ["/jobs/x/archive"] = "zip",
      ["/patients/x/archive"] = "zip", ["/instances/x/file"] = "dicom", ["/instances/y/file"] = "raw", ["/instances/x/preview"] = "any" } do
      local type, yes, no = table.unpack(kinds[kind])
      local bad = { { yes, type, 202 }, { "", "", 204 }, { yes, type, 206 }, { "<html>", "text/html" } }
      if no then
        table.move({ { FAILURE, "application/json" }, { yes, "application/json" }, { no, type }, { FAILURE, type } }, 1, 4, #bad + 1, bad)
      end
      for _, answer in ipairs(bad) do
        start(says(path:match "^[^?]+", table.unpack(answer)))
        local size, err = client:download(path, target)
        assert.is_nil(size, ("%s %s %s"):format(path, answer[1], answer[3]))
        assert.is_true(err.kind == "decode" or err.code == "connection_lost", tostring(err))
      end
      start(says(path:match "^[^?]+", yes, type))
      assert.are.equal(#yes, assert(client:download(path, target)))
    end
  end)

  -- ---- verbs ----

  it("of a verb is the same", function()
    start(says("/modalities", { pacs = { AET = "PACS", Host = "h", Port = 1 }, archive = { AET = "ARCHIVE", Host = "h", Port = 2 } }),
      says("/modalities/pacs/echo", FAILURE), says("/modalities/archive/echo", "{}"),
      says("/modalities/pacs/query", { ID = QUERY, Path = "/queries/" .. QUERY }),
      says("/jobs", "[]"), says("/modalities/pacs/move", HANDLE), says("/jobs/" .. JOB, { ID = JOB, State = "Frozen" }))
    local echo = command.run("-u", server.url, "echo")
    assert.are.equal(1, echo.status)
    assert.matches("archive%s.-yes", echo.out)
    assert.matches("pacs%s.-no", echo.out)
    local move = command.run("-u", server.url, "move", "pacs", "--to", "archive", "PatientID=X")
    assert.are.equal(1, move.status)
    contains(move.out, "UNKNOWN")
    contains(move.err, "'Frozen'")
  end)
end)

for _, version in ipairs(versions) do
  describe("The yes of the Orthanc " .. version.name, function()
    local servers, peer, client, archive, study, instance
    local target = os.tmpname()

    setup(function()
      servers, peer = orthanc.network({ "LOCAL", "ARCHIVE" }, { binary = version.binary }), dicomd.start()
      client = modalua.connect(servers.LOCAL.url)
      archive = client:modality "archive"
      assert(client:put("/peers/far", { Url = servers.ARCHIVE.url }))
      assert(samples.store(client))
      study = assert(client:post("/tools/find", { Level = "Study", Query = { AccessionNumber = "A100001" } }))[1]
      instance = assert(client:get(("/studies/%s/instances"):format(study)))[1].ID
    end)

    teardown(function()
      servers:close()
      peer:close()
      os.remove(target)
    end)

    it("of a store is compared with the instances of the resource, of whatever level", function()
      assert(client:put("/modalities/forgets", peer:modality "OK0")) -- it accepts everything, and has nothing
      local series = assert(client:get("/studies/" .. study))
      for _, id in ipairs { series.ParentPatient, study, series.Series[1], instance } do
        assert.is_true(assert(archive:store(id, { verify = true })).verified)
      end
      fails({ kind = "dicom", code = "incomplete" }, client:modality "forgets":store(series.ParentPatient, { verify = true }))
    end)

    it("is taken for each transfer, with and without a job", function()
      local uid = assert(client:get("/studies/" .. study)).MainDicomTags.StudyInstanceUID
      local other = assert(client:post("/tools/find", { Level = "Study", Query = { AccessionNumber = "A100002" } }))[1]
      for _, options in ipairs { {}, { Synchronous = true } } do
        assert(archive:store({ study, other }, options))
        assert(client:peer "far":store({ study, other }, options))
        assert(archive:move_resources("Study", { StudyInstanceUID = uid }, options))
        local found <close> = assert(archive:find { Level = "Study", Query = { StudyInstanceUID = uid } })
        assert(archive:move(found, options))
        local none <close> = assert(archive:find { Level = "Study", Query = { StudyInstanceUID = "1.2.3.4" } })
        assert(archive:move(none, { Synchronous = options.Synchronous, Permissive = true })) -- find and the server agree: there is nothing
        if version.number >= 11206 then
          assert(archive:get("Study", { StudyInstanceUID = uid }, options))
        end
      end
    end)

    it("is taken for each single request", function()
      assert.is_true(archive:echo())
      assert.is_true(archive:echo { CheckFind = true })
      assert(client:download(("/instances/%s/file"):format(instance), target))
      assert(archive:store_straight(target))
      assert.are.equal("ARCHIVE", assert(client:peer "far":system()).DicomAet)
      assert(client:modality "new":configure { AET = "NEW", Host = "localhost", Port = 104, create = true })
      assert.is_true(client:modality "new":remove())
      assert.is_true(assert(client:use_utf8())())
      assert(client:peer "new":configure { Url = "http://localhost/", create = true })
      assert.is_true(client:peer "new":remove())
      assert.is_true(assert(client:query(assert(archive:find { Level = "Study", Query = { PatientID = "X" } }).ID)):close())
      local commitment = assert(archive:storage_commitment(instance))
      assert(commitment:wait())
      assert.is_true(commitment:remove())
    end)

    it("is taken for each action on a job", function()
      assert(client:put("/modalities/nobody", { "NOBODY", "127.0.0.1", 1 }))
      local failed = client:job(assert(client:modality "nobody":store(study, { Synchronous = false })))
      fails({ kind = "dicom" }, failed:wait())
      assert.is_true(failed:resubmit())
      assert.is_true(failed:cancel())
      local ended = client:job(assert(archive:store(study, { Synchronous = false })))
      assert(ended:wait())
      assert.is_true(ended:pause()) -- Orthanc says yes to this, and to a cancel, also when the job has ended
    end)

    it("is taken for each kind of file", function()
      for _, route in ipairs { "/studies/%s/archive", "/studies/%s/media" } do
        assert(client:download(route:format(study), target))
      end
      assert(client:download(("/studies/%s/archive"):format(study), target, { body = {} }))
      assert(client:download("/tools/create-archive", target, { body = { Resources = { study } } }))
      assert(client:download("/tools/create-media-extended", target, { body = { Resources = { study } } }))
      local file = assert(client:get("/instances"))[1]
      assert(client:download(("/instances/%s/anonymize"):format(file), target, { body = {} }))
      -- A data set without the preamble: "dcmconv -F" removes it.
      assert(client:download(("/instances/%s/file"):format(file), target))
      assert(os.execute(("dcmodify -nb -gin %s && dcmconv -F %s %s.raw"):format(target, target, target)))
      local raw = assert(client:upload(target .. ".raw"))
      os.remove(target .. ".raw")
      assert(client:download(("/instances/%s/file"):format(raw.ID), target))
    end)
  end)
end
