-- Tests what each operation of a modality returns, field by field, against three real servers of each version.
local empty = require "spec.support.archive".empty
local expect = require "spec.support.expect"
local modalua = require "modalua"
local json = modalua.json
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local versions = require "spec.support.versions"

local eventually, fails, throws = expect.eventually, expect.fails, expect.throws

local SMITHS = { PatientName = "SMITH^JOHN^A*", PatientID = "", StudyDescription = "", StudyDate = "", ModalitiesInStudy = "" }

local function by(field)
  return function(a, b) return a[field] < b[field] end
end

local function keys_of(t)
  local keys = {}
  for key in next, t do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return table.concat(keys, " ")
end

for _, version in ipairs(versions) do
  describe("Modality, with the Orthanc " .. version.name, function()
    local servers, client, pacs, archive, at_pacs, at_archive

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary })
      client = modalua.connect(servers.LOCAL.url)
      at_pacs, at_archive = modalua.connect(servers.PACS.url), modalua.connect(servers.ARCHIVE.url)
      assert(samples.store(at_pacs))
      assert(at_pacs:use_utf8())
      pacs, archive = client:modality "pacs", client:modality "archive"
    end)

    teardown(function()
      servers:close()
    end)

    before_each(function()
      empty(client)
      empty(at_archive)
    end)

    local function count(server)
      local statistics = assert(server:get("/statistics"))
      return statistics.CountStudies, statistics.CountInstances
    end

    local function find(query, level)
      local found = assert(pacs:find { Level = level or "Study", Query = query or SMITHS })
      table.sort(found.answers, function(a, b) return (a.AccessionNumber or "") < (b.AccessionNumber or "") end)
      return found
    end

    -- Returns the Details that a C-MOVE at study level reports for these accession numbers, patients and UIDs.
    local function move_result(target, studies)
      local query, details = {}, {}
      for i, study in ipairs(studies) do
        query[i] = { ["0008,0052"] = "STUDY", ["0008,0050"] = study.AccessionNumber, ["0010,0020"] = study.PatientID,
          ["0020,000d"] = study.StudyInstanceUID }
        details[i] = { DimseErrorStatus = 0, Query = query[i] }
      end
      return { Description = "REST API", LocalAet = "LOCAL", RemoteAet = "PACS", Query = query, verified = true,
        TargetAet = version.number >= 11101 and target or nil, Details = version.number >= 11210 and details or nil }
    end

    -- The instances listed in Details depend on the target; their order is arbitrary.
    local function comparable(result)
      table.sort(result.Query, by "0008,0050")
      for _, detail in ipairs(result.Details or {}) do
        detail.ReceivedInstancesIds = nil
      end
      if result.Details then
        table.sort(result.Details, function(a, b) return a.Query["0008,0050"] < b.Query["0008,0050"] end)
      end
      return result
    end

    describe("the object", function()
      it("is made without a request", function()
        local nowhere = modalua.connect("http://127.0.0.1:1")
        local m = modalua.Modality(nowhere, "any-name_1")
        assert.are.equal(nowhere, m.client)
        assert.are.equal("any-name_1", m.modality)
        assert.are.equal("modalua.Modality (any-name_1)", tostring(m))
        assert.are.equal(modalua.Modality, modalua.RemoteModality)
        assert.are.equal("any-name_1", nowhere:modality("any-name_1", { max_moves = 1 }).modality)
        throws("a modality has no 'nosuch'", function() return m.nosuch end)
        throws("a modality has no 'ehco'; did you mean 'echo'?", function() m:ehco() end)
      end)

      it("rejects invalid names", function()
        for _, name in ipairs { "", "a/b", "a b", "a?b", "ä", ("x"):rep(64) } do
          throws(("'%s' is not a valid name"):format(name), client.modality, client, name)
        end
        throws("name of a modality expected, got number", client.modality, client, 1)
        throws("name of a modality expected, got table", client.modality, client, {})
        throws("modalua.Client expected", function() modalua.Modality({}, "pacs") end)
        throws("'max_moves' must be a whole number, 1 or more", function() client:modality("pacs", { max_moves = 0 }) end)
        throws("did you mean 'max_moves'?", function() client:modality("pacs", { max_move = 1 }) end)
      end)

      it("has query as another name of find", function()
        assert.are.equal(pacs.find, pacs.query)
      end)
    end)

    describe("echo", function()
      it("returns true", function()
        assert.are.same({ true, n = 1 }, table.pack(pacs:echo()))
        assert.is_true(pacs:echo { Timeout = 60, CheckFind = true, wait_timeout = 60 })
      end)

      it("returns false and the reason", function()
        local ok, err = client:modality("nosuch"):echo()
        assert.is_false(ok)
        assert.are.same({ "orthanc", "unknown_modality", 404, 7 }, { err.kind, err.code, err.status, err.orthanc_status })
        ok, err = modalua.connect("http://127.0.0.1:1"):modality("pacs"):echo()
        assert.is_false(ok)
        assert.are.equal("network", err.kind)
      end)
    end)

    describe("find", function()
      it("returns the query's ID and its answers, simplified", function()
        local found = find()
        assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", found.ID)
        assert.are.equal("ID answers", keys_of(found))
        assert.are.same({
          { AccessionNumber = "A100102", ModalitiesInStudy = "CT", PatientID = "MOD-0002", PatientName = "SMITH^JOHN^A^DR",
            QueryRetrieveLevel = "STUDY", RetrieveAETitle = "PACS", SpecificCharacterSet = "ISO_IR 100", StudyDate = "20200115",
            StudyDescription = "CT CHEST W CONTRAST", StudyInstanceUID = "2.25.2718281828459045235360287471040000" },
          { AccessionNumber = "A100688", ModalitiesInStudy = "CT\\PT\\SR", PatientID = "MOD-0002", PatientName = "SMITH^JOHN^A^DR",
            QueryRetrieveLevel = "STUDY", RetrieveAETitle = "PACS", SpecificCharacterSet = "ISO_IR 100", StudyDate = "20230322",
            StudyDescription = "PET/CT *WHOLE BODY*", StudyInstanceUID = "2.25.2718281828459045235360287471050000" },
        }, found.answers)
        assert.are.equal(json.encode { ID = found.ID, answers = found.answers }, json.encode(found))
        assert.are.equal(("modalua.Found %s (2 answers)"):format(found.ID), tostring(found))
        found:close()
        assert.matches("2 answers, closed", tostring(found))
      end)

      it("searches at every level, with the names of Orthanc or of DICOM", function()
        assert.are.equal(12, #find({}, "Patient").answers)
        assert.are.equal(23, #find({}, "STUDY").answers)
        local study = find().answers[1].StudyInstanceUID
        assert.are.equal(2, #find({ StudyInstanceUID = study }, "Series").answers)
        for number, n in pairs { ["1"] = 1, ["2"] = 5 } do
          local series = find({ StudyInstanceUID = study, SeriesNumber = number, Modality = "" }, "series").answers
          assert.are.same({ 1, "CT" }, { #series, series[1].Modality })
          local instances = find({ StudyInstanceUID = study, SeriesInstanceUID = series[1].SeriesInstanceUID }, "Image").answers
          assert.are.same({ n, "IMAGE" }, { #instances, instances[1].QueryRetrieveLevel })
        end
      end)

      it("returns answers in the other formats", function()
        local data = { Level = "Study", Query = { AccessionNumber = "A100102", PatientName = "" } }
        local short = assert(pacs:find(data, { short = true })).answers
        assert.are.equal("SMITH^JOHN^A^DR", short[1]["0010,0010"])
        assert.is_nil(short[1].PatientName)
        local full = assert(pacs:find(data, { simplify = false, short = false })).answers
        assert.are.same({ Name = "PatientName", Type = "String", Value = "SMITH^JOHN^A^DR" }, full[1]["0010,0010"])
      end)

      it("accepts tags by name and by number, and numbers as values", function()
        assert.are.equal(1, #find { ["0008,0050"] = "A100102" }.answers)
        assert.are.equal(1, #find { ["0008-0050"] = "A100102" }.answers)
        assert.are.equal(1, #find { ["00080050"] = "A100102" }.answers)
        local study = find({ AccessionNumber = "A100102" }).answers[1].StudyInstanceUID
        assert.are.equal(1, #find({ StudyInstanceUID = study, SeriesNumber = 2 }, "Series").answers)
      end)

      it("returns an empty result, which can be moved", function()
        local found = find { PatientID = "nobody" }
        assert.are.equal("[]", json.encode(found.answers))
        assert.is_table(pacs:move(found, { to = "archive" }))
        assert.are.equal(0, (count(at_archive)))
      end)

      it("throws an error if it is called wrongly", function()
        local function find_throws(pattern, ...)
          local ok, message = pcall(pacs.find, pacs, ...)
          assert.is_false(ok)
          assert.matches(pattern, message)
          assert.matches("^spec/modality_spec.lua:%d+: ", message)
        end
        find_throws("Level is missing", { Query = {} })
        find_throws("unknown Level 'Foo'", { Level = "Foo" })
        find_throws("did you mean 'Level'", { level = "Study" })
        find_throws("'Query' must be a table", { Level = "Study", Query = "x" })
        find_throws("only worklists", { Level = "Study", Query = { PatientID = {} } })
        find_throws("must be a string %(a boolean", { Level = "Study", Query = { PatientID = true } })
        find_throws("simplify and short can't be both True", { Level = "Study" }, { simplify = true, short = true })
        find_throws("unknown option 'simple'", { Level = "Study" }, { simple = true })
        throws("bad argument #1 to 'find'", function() pacs:find("Study") end)
      end)

      it("is removed from the server by close, and at the end of its scope", function()
        local before = #client:queries()
        local found = find()
        assert.are.equal(before + 1, #client:queries())
        assert.is_true(found:close())
        assert.is_true(found:close())
        assert.are.equal(before, #client:queries())
        throws("this query is closed", function() pacs:move(found) end)
        do
          local scoped <close> = find()
          assert.are.equal(before + 1, #client:queries())
          assert.is_truthy(scoped.ID)
        end
        assert.is_truthy(eventually(function() return #client:queries() == before end))
      end)
    end)

    describe("get_query_answers", function()
      it("returns the answers again, in three formats", function()
        local found = find()
        local function again(format)
          local list = assert(pacs:get_query_answers(found.ID, format))
          table.sort(list, function(a, b)
            local x, y = a.AccessionNumber or a["0008,0050"], b.AccessionNumber or b["0008,0050"]
            return (type(x) == "table" and x.Value or x) < (type(y) == "table" and y.Value or y)
          end)
          return list
        end
        assert.are.same(found.answers, again())
        assert.are.same(found.answers, again { simplify = true, short = false })
        assert.are.equal("A100102", again { short = true }[1]["0008,0050"])
        assert.are.equal("A100102", again { simplify = false }[1]["0008,0050"].Value)
        assert.are.equal(2, #pacs:get_query_answers(found))
      end)

      it("throws an error for two formats, and for an invalid ID", function()
        throws("simplify and short can't be both True", function() pacs:get_query_answers("0-0", { simplify = true, short = true }) end)
        throws("'../system' is not the ID of a query", function() pacs:get_query_answers("../system") end)
        throws("a query is expected", function() pacs:get_query_answers() end)
      end)

      it("reports a query that the server has forgotten", function()
        local none, err = pacs:get_query_answers("0c07cb06-4d58-4877-9560-6863ce85214f")
        assert.is_nil(none)
        assert.are.same({ "orthanc", "query_gone", 404, 17 }, { err.kind, err.code, err.status, err.orthanc_status })
      end)
    end)

    describe("move", function()
      it("runs as a job, and returns what the synchronous call returns", function()
        local found = find()
        assert.are.same(move_result("ARCHIVE", found.answers), comparable(assert(pacs:move(found.ID, { TargetAet = "ARCHIVE" }))))
        assert.are.same({ 2, 15 }, { count(at_archive) })
      end)

      it("returns the same in one blocking request", function()
        local found = find()
        local result = assert(pacs:move(found, { TargetAet = "ARCHIVE", Synchronous = true }))
        assert.are.same(move_result("ARCHIVE", found.answers), comparable(result))
        assert.are.same({ 2, 15 }, { count(at_archive) })
      end)

      it("returns the job at once on request", function()
        local found = find()
        for _, options in ipairs { { Synchronous = false }, { Asynchronous = true } } do
          options.TargetAet = "ARCHIVE"
          local handle = assert(pacs:move(found, options))
          assert.are.equal("ID Path", keys_of(handle))
          assert.are.equal("/jobs/" .. handle.ID, handle.Path)
          assert.are.same(move_result("ARCHIVE", found.answers), comparable(assert(client:job(handle):wait())))
        end
        assert.are.same({ 2, 15 }, { count(at_archive) })
        throws("contradict each other", function() pacs:move(found, { Synchronous = true, Asynchronous = true }) end)
      end)

      it("has this server as its default target, and accepts a modality as name or object", function()
        local found = find()
        assert(pacs:move(found))
        assert.are.same({ 2, 15 }, { count(client) })
        assert(pacs:move(found, { to = "archive" }))
        assert.are.same({ 2, 15 }, { count(at_archive) })
        empty(at_archive)
        assert(pacs:move(found, { to = archive }))
        assert.are.same({ 2, 15 }, { count(at_archive) })
      end)

      it("names the tags of the result as requested", function()
        local found = find()
        assert.matches("^A100", assert(pacs:move(found, { Simplify = true, to = "archive" })).Query[1].AccessionNumber)
        assert.is_table(assert(pacs:move(found, { Full = true, to = "archive" })).Query[1]["0008,0050"])
      end)

      it("says what is unknown: the query, the target or the modality", function()
        local none, err = pacs:move("0c07cb06-4d58-4877-9560-6863ce85214f")
        assert.are.same({ nil, "orthanc", "query_gone", 404 }, { none, err.kind, err.code, err.status })
        none, err = pacs:move(find(), { to = "nosuch" })
        assert.are.same({ nil, "orthanc", "unknown_modality" }, { none, err.kind, err.code })
        none, err = pacs:move(find(), { to = "archiv" })
        assert.is_nil(none)
        assert.matches("did you mean 'archive'%?", err.message)
        none, err = pacs:move(find(), { TargetAet = "NOBODY" })
        assert.are.same({ nil, "dicom", 0xC000 }, { none, err.kind, err.dimse_status })
        assert.is_string(err.job)
        assert.are.equal("REST API", err.result.Description)
      end)
    end)

    describe("get", function()
      if version.number < 11206 then
        it("is an error that names the first version that has it", function()
          local none, err = pacs:get("Study", { StudyInstanceUID = "1.2.3" })
          assert.are.same({ nil, "orthanc", "unsupported" }, { none, err.kind, err.code })
          assert.matches("C%-GET .*C%-MOVE.* needs Orthanc 1%.12%.6 or later, and this server is 1%.10%.1", err.message)
        end)
      else
        it("brings one resource or several to this server", function()
          local answers = find().answers
          local result = assert(pacs:get("Study", answers[1]))
          assert.are.equal("REST API", result.Description)
          assert.are.same({ 1, 6 }, { count(client) })
          assert(pacs:get("study", answers))
          assert.are.same({ 2, 15 }, { count(client) })
          empty(client)
          assert(pacs:get("Patient", { PatientID = "MOD-0002" }))
          assert.are.same({ 2, 15 }, { count(client) })
        end)
      end

      it("checks the level and the identifiers", function()
        throws("the level must be", function() pacs:get("Foo", {}) end)
        throws("the level must be", function() pacs:get({}) end)
        throws("resources must be a table of identifiers", function() pacs:get("Study", "1.2.3") end)
        throws("'TargetAet' cannot be given", function() pacs:get("Study", { { StudyInstanceUID = "1" } }, { TargetAet = "ARCHIVE" }) end)
        for _, resources in ipairs { {}, { { StudyInstanceUID = "" } }, { { StudyInstanceUID = "*" } }, { StudyInstanceUID = "1\\2" },
          { { x = 1 } } } do
          local none, err = pacs:get("Study", resources)
          assert.are.same({ nil, "refused", "bad_identifier" }, { none, err.kind, err.code })
        end
      end)
    end)

    describe("store", function()
      local function stored()
        assert(pacs:move(find()))
        return assert(client:get("/patients"))[1], assert(client:get("/studies")), assert(client:get("/series")),
          assert(client:get("/instances"))
      end

      it("sends patients, studies, series and instances, one or several", function()
        local patient, studies, series, instances = stored()
        assert.are.same({ Description = "REST API", FailedInstancesCount = 0, InstancesCount = 1, LocalAet = "LOCAL", RemoteAet = "ARCHIVE",
          ParentResources = { instances[1] },
          Resources = version.number > 11207 and { { ID = instances[1], Type = "Instance" } } or nil }, assert(archive:store(instances[1])))
        assert.are.same({ 1, 1 }, { count(at_archive) })
        assert.are.equal(#assert(client:get("/series/" .. series[1] .. "/instances")), assert(archive:store(series[1])).InstancesCount)
        assert.are.equal(15, assert(archive:store(studies)).InstancesCount)
        assert.are.equal(15, assert(archive:store(patient, { Synchronous = true })).InstancesCount)
        assert.are.same({ 2, 15 }, { count(at_archive) })
        assert.are.equal("ID Path", keys_of(assert(archive:store(patient, { Synchronous = false }))))
      end)

      it("refuses invalid and unknown identifiers", function()
        for _, ids in ipairs { "nope", { "nope" }, {}, "../system" } do
          local none, err = archive:store(ids)
          assert.are.same({ nil, "refused", "bad_identifier" }, { none, err.kind, err.code })
        end
        throws("an identifier of Orthanc", function() archive:store() end)
        throws("identifier 1 must be a string", function() archive:store { 1 } end)
        local nobody = "ffffffff-ffffffff-ffffffff-ffffffff-ffffffff"
        fails(version.number > 11207 and { kind = "orthanc", status = 500, orthanc_status = -1 }
          or { kind = "orthanc", code = "not_found", status = 404, orthanc_status = 17 }, archive:store(nobody))
      end)
    end)

    describe("move_resources", function()
      it("accepts rows of answers, and returns an outcome for each", function()
        local answers = find().answers
        local outcomes = assert(pacs:move_resources("Study", answers, { TargetAet = "ARCHIVE" }))
        assert.are.equal(2, #outcomes)
        for i, outcome in ipairs(outcomes) do
          assert.are.same({ StudyInstanceUID = answers[i].StudyInstanceUID }, outcome.resource)
          assert.is_table(outcome.result)
        end
        assert.are.same({ 2, 15 }, { count(at_archive) })
      end)

      it("accepts the other levels and the other formats", function()
        local study = find().answers[2].StudyInstanceUID
        local series = assert(pacs:find({ Level = "Series", Query = { StudyInstanceUID = study } }, { short = true })).answers
        assert(pacs:move_resources("Series", series[1], { to = "archive" }))
        local instances = assert(pacs:find({ Level = "Instance", Query = { StudyInstanceUID = study } }, { simplify = false })).answers
        assert(pacs:move_resources("Instance", instances, { to = archive }))
        assert(pacs:move_resources("Patient", { PatientID = "MOD-0003" }, { to = archive }))
        assert.are.same({ 2, 11 }, { count(at_archive) })
        assert.are.same({}, assert(pacs:move_resources("Study", {}, { to = archive })))
      end)

      it("tries the other rows if one fails, and says which one failed", function()
        local answers = find().answers
        table.insert(answers, 2, { StudyInstanceUID = "1.2.3.4" })
        local none, err = pacs:move_resources("Study", answers, { to = "archive" })
        assert.is_nil(none)
        assert.are.same({ "dicom", 0xC000, 3 }, { err.kind, err.dimse_status, #err.outcomes })
        assert.matches("1 of 3 resources were not moved; the first of them, 1%.2%.3%.4: ", err.message)
        assert.are.equal(0xC000, err.outcomes[2].error.dimse_status)
        assert.is_nil(err.outcomes[2].result)
        assert.is_table(err.outcomes[3].result)
        assert.are.same({ 2, 15 }, { count(at_archive) })
      end)

      it("stops if the next rows would fail too", function()
        local answers = find().answers
        local none, err = client:modality("nosuch"):move_resources("Study", answers, { to = "archive" })
        assert.are.same({ nil, "unknown_modality", "not_attempted" }, { none, err.code, err.outcomes[2].error.code })
      end)

      it("checks every row before it moves the first", function()
        local none, err = pacs:move_resources("Study", { find().answers[1], { StudyInstanceUID = "" } }, { to = "archive" })
        assert.are.same({ nil, "refused", "bad_identifier" }, { none, err.kind, err.code })
        assert.matches("resource 2: ", err.message)
        assert.are.equal(0, (count(at_archive)))
        none, err = pacs:move_resources("Study", find().answers, { to = "archive", max = 1 })
        assert.are.same({ nil, "refused", "too_many" }, { none, err.kind, err.code })
        throws("did you mean 'TargetAet'?", function() pacs:move_resources("Study", find().answers, { TargetAET = "X" }) end)
      end)
    end)

    describe("Query", function()
      it("stands for a query that the server has under an ID", function()
        local found = find()
        local query = client:query(found.ID)
        assert.are.equal("Study", query:level())
        assert.are.equal("pacs", query:modality())
        assert.are.equal(found.ID, query.ID)
        assert.are.equal(2, #query:answers())
        assert.matches("^A100", query:answers { short = true }[1]["0008,0050"])
        assert.are.equal(found.ID, client:query(found).ID)
        local answers = query:answers()
        assert(query:move({ to = "archive" }, 2))
        assert.are.equal(1, (count(at_archive)))
        assert.are.equal(answers[2].StudyInstanceUID,
          assert(at_archive:get("/studies", { expand = true }))[1].MainDicomTags.StudyInstanceUID)
        assert(query:move { TargetAet = "ARCHIVE" })
        assert.are.equal(2, (count(at_archive)))
        assert(query:move())
        assert.are.equal(2, (count(client)))
        assert.is_true(query:close())
        assert.is_true(query:close())
        throws("closed query", function() query:level() end)
        throws("'a/b' is not the ID of a query", function() client:query("a/b") end)
      end)
    end)

    describe("Job", function()
      it("tells its state, its result, and why it failed", function()
        local job = client:job(assert(pacs:move(find(), { to = "archive", Synchronous = false })))
        assert.are.equal("LOCAL", assert(job:wait()).LocalAet)
        local record = assert(job:status())
        assert.are.same({ job.ID, "Success", "DicomMoveScu" }, { record.ID, record.State, record.Type })
        job = client:job(assert(pacs:move(find(), { TargetAet = "NOBODY", Synchronous = false })).ID)
        local none, err = job:wait { wait_timeout = 30 }
        assert.are.same({ nil, "dicom", 0xC000, 9, job.ID }, { none, err.kind, err.dimse_status, err.orthanc_status, err.job })
        assert.is_true(job:resubmit())
        assert.are.equal(job.ID, select(2, job:wait()).job)
      end)

      it("reports that it is unknown, or in another state", function()
        local job = client:job("0c07cb06-4d58-4877-9560-6863ce85214f")
        assert.are.equal("job_gone", select(2, job:status()).code)
        assert.are.equal("job_gone", select(2, job:wait()).code)
        for _, action in ipairs { "pause", "resume", "resubmit", "cancel" } do
          local none, err = job[action](job)
          assert.are.same({ nil, "orthanc", "job_state", 400, job.ID }, { none, err.kind, err.code, err.status, err.job })
        end
        throws("the ID of a job is expected", function() client:job("a/b") end)
        throws("the ID of a job is expected", function() client:job() end)
      end)
    end)

    it("changes the server's encoding to UTF-8 on request, and restores it", function()
      assert.are.equal("Latin1", client:default_encoding())
      local undo = assert(client:use_utf8())
      assert.are.equal("Utf8", client:default_encoding())
      local found = find({ PatientID = "JP-77002", PatientName = "" })
      assert.are.equal("Satou^Hanako=佐藤^花子=さとう^はなこ", found.answers[1].PatientName)
      assert.is_nil(found.warning)
      local undo_of_second = assert(client:use_utf8()) -- by another program: it has nothing to restore
      assert.is_true(undo())
      assert.are.equal("Latin1", client:default_encoding())
      assert.is_true(undo_of_second())
      assert.are.equal("Latin1", client:default_encoding())
    end)
  end)
end
