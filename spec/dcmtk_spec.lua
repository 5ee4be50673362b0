-- Tests transfers with DCMTK's dcmqrscp and storescp, through each Orthanc. Counts the instances where they must have arrived.
local dcmtk = require "spec.support.dcmtk"
local empty = require "spec.support.archive".empty
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local expect = require "spec.support.expect"
local versions = require "spec.support.versions"

-- The number of instances of the samples, and a patient with three studies. The first study has series of 1, 5 and 4 instances.
local ALL = 94
local PATIENT, INSTANCES = "MOD-0001", { ["20190304"] = 10, ["20210617"] = 8, ["20240201"] = 1 }

local NO_GET <const> = "Orthanc knows C-GET from 1.12.6 on"

local function size(set)
  local n = 0
  for _ in pairs(set) do
    n = n + 1
  end
  return n
end

-- Returns the set of UIDs of the resources of a level in an Orthanc.
local function uids_here(client, level)
  local set = {}
  for _, one in ipairs(assert(client:get("/" .. level, { expand = true }))) do
    set[one.MainDicomTags.SOPInstanceUID or one.MainDicomTags.StudyInstanceUID] = one.ID
  end
  return set
end

for _, version in ipairs(versions) do
  describe("DCMTK and the Orthanc " .. version.name .. ":", function()
    local pacs, sink, refuser, breaker, server, client, archive
    local everything -- all instances in the archive: SOPInstanceUID -> Orthanc's identifier, from the time when they were here
    local has_get = version.number >= 11206

    -- Removes everything from this Orthanc and from the sink.
    local function clear()
      empty(client)
      os.execute("exec rm -rf " .. sink.folder .. "/store/*")
      assert.are.equal(0, sink:count())
      assert.are.same({}, client:get "/instances")
    end

    setup(function()
      local ports = orthanc.free_ports(3)
      sink = dcmtk.storescp { aet = "SINK" }
      refuser = dcmtk.storescp { aet = "REFUSER", arguments = { "--refuse" } }
      breaker = dcmtk.storescp { aet = "BREAKER", arguments = { "--abort-after" } }
      pacs = dcmtk.dcmqrscp { aet = "PACS", peers = { { "LOCAL", "127.0.0.1", ports[2] }, { "CLOSED", "127.0.0.1", ports[3] },
        sink:modality(), refuser:modality(), breaker:modality() } }
      server = orthanc.start {
        binary = version.binary, aet = "LOCAL", http_port = ports[1], dicom_port = ports[2],
        modalities = { pacs = pacs:modality(), sink = sink:modality(), refuser = refuser:modality(), breaker = breaker:modality() },
      }
      client = modalua.connect(server.url)
      archive = client:modality("pacs", { max_moves = 16 })

      assert(samples.store(client))
      everything = uids_here(client, "instances")
      assert(archive:store(assert(client:get "/studies")))
    end)

    teardown(function()
      for _, one in pairs { server, pacs, sink, refuser, breaker } do
        one:close()
      end
    end)

    before_each(function()
      clear()
    end)

    -- Asserts that a C-FIND has n answers, and returns its result.
    local function find(n, level, filter)
      local found = assert(archive:find { Level = level, Query = filter })
      assert.are.equal(n, #found.answers)
      return found
    end

    local function studies(date)
      return find(date and 1 or 3, "Study", { PatientID = PATIENT, StudyDate = date or "", StudyInstanceUID = "" })
    end

    local function series_of(study, number)
      return find(1, "Series", { StudyInstanceUID = study.StudyInstanceUID, SeriesNumber = tostring(number) })
    end

    -- Returns the set of the instances of a study, as the archive itself reports them.
    local function instances_of(study)
      local set = {}
      for _, series in ipairs(assert(archive:find { Level = "Series", Query = { StudyInstanceUID = study } }).answers) do
        local filter = { StudyInstanceUID = study, SeriesInstanceUID = series.SeriesInstanceUID, SOPInstanceUID = "" }
        for _, instance in ipairs(assert(archive:find { Level = "Instance", Query = filter }).answers) do
          set[instance.SOPInstanceUID] = true
        end
      end
      return set
    end

    local function set_of(map)
      local set = {}
      for uid in pairs(map) do
        set[uid] = true
      end
      return set
    end

    local function wanted(...)
      local set = {}
      for _, answer in ipairs { ... } do
        for uid in pairs(instances_of(answer.StudyInstanceUID)) do
          set[uid] = true
        end
      end
      return set
    end

    local function assert_here(set)
      assert.are.same(set, set_of(uids_here(client, "instances")))
    end

    local function assert_in_sink(set)
      assert.are.equal(size(set), sink:count())
      assert.are.same(set, sink:uids())
    end

    -- ---- C-ECHO, C-FIND ----

    it("echo succeeds, or says why not", function()
      assert.is_true(archive:echo())
      assert.is_true(client:modality "sink":echo())
      local ok, err = client:modality "refuser":echo()
      assert.is_false(ok)
      assert.are.same({ "dicom", 9 }, { err.kind, err.orthanc_status })
    end)

    it("find returns the right answers at all four levels", function()
      find(1, "Patient", { PatientID = PATIENT })
      find(4, "Patient", { PatientID = "MOD-*" })
      find(9, "Study", { PatientID = "MOD-*" })
      find(0, "Study", { PatientID = "nobody" })
      for date, n in pairs(INSTANCES) do
        local study = studies(date).answers[1]
        assert.are.same({ PATIENT, date }, { study.PatientID, study.StudyDate })
        assert.are.equal(n, size(instances_of(study.StudyInstanceUID)))
      end
      local first = studies("20190304").answers[1].StudyInstanceUID
      local lungs = find(1, "Series", { StudyInstanceUID = first, SeriesNumber = "2", Modality = "" }).answers[1]
      assert.are.same({ "CT", "2" }, { lungs.Modality, lungs.SeriesNumber })
      find(3, "Series", { StudyInstanceUID = first })
      find(5, "Instance", { StudyInstanceUID = first, SeriesInstanceUID = lungs.SeriesInstanceUID, SOPInstanceUID = "" })
      find(1, "Instance", { StudyInstanceUID = first, SeriesInstanceUID = lungs.SeriesInstanceUID, InstanceNumber = "4" })
    end)

    -- ---- C-MOVE ----

    it("move of a query brings its studies to the sink", function()
      local found = studies()
      assert(archive:move(found, { to = "sink" }))
      assert_in_sink(wanted(table.unpack(found.answers)))
      assert_here {}
    end)

    it("move of a query brings its studies to the Orthanc itself", function()
      local found = studies()
      assert(archive:move(found))
      assert_here(wanted(table.unpack(found.answers)))
      assert.are.equal(19, size(uids_here(client, "instances")))
      assert.are.equal(0, sink:count())
    end)

    it("move of a query works with Synchronous", function()
      local found = studies "20210617"
      assert(archive:move(found, { TargetAet = "SINK", Synchronous = true }))
      assert(archive:move(found, { TargetAet = "LOCAL", Synchronous = true }))
      assert_in_sink(wanted(found.answers[1]))
      assert_here(wanted(found.answers[1]))
      assert.are.equal(8, sink:count())
    end)

    it("move of one answer of a query brings only this answer", function()
      local found = studies()
      assert(client:query(found.ID):move({ to = "sink" }, 2))
      assert_in_sink(wanted(found.answers[2]))
    end)

    it("move of a query brings series, and instances", function()
      local study = studies("20190304").answers[1]
      assert(archive:move(series_of(study, 2), { to = "sink" }))
      assert.are.equal(5, sink:count())
      local filter = series_of(study, 3).answers[1]
      local instances = find(4, "Instance", { StudyInstanceUID = filter.StudyInstanceUID, SeriesInstanceUID = filter.SeriesInstanceUID })
      assert(archive:move(instances, { to = "sink" }))
      assert.are.equal(9, sink:count())
      assert.are.equal(9, size(sink:uids()))
    end)

    it("move_resources brings the studies or series to their target", function()
      local found = studies()
      local outcomes = assert(archive:move_resources("Study", found.answers, { to = "sink" }))
      assert.are.equal(3, #outcomes)
      assert_in_sink(wanted(table.unpack(found.answers)))
      local series = find(3, "Series", { StudyInstanceUID = studies("20190304").answers[1].StudyInstanceUID })
      assert(archive:move_resources("Series", series.answers, {}))
      assert_here(wanted(studies("20190304").answers[1]))
    end)

    it("move_resources of a study that does not exist fails, although dcmqrscp reports success", function()
      local answers, nothing = studies().answers, { StudyInstanceUID = "1.2.3.4.5" }
      local own = { StudyInstanceUID = answers[1].StudyInstanceUID }
      local none, err = archive:move_resources("Study", { own, nothing, answers[2] }, { to = "sink" })
      assert.are.same({ nil, "dicom", "not_found" }, { none, err.kind, err.code })
      assert.are.same({ true, false, true },
        { err.outcomes[1].result ~= nil, err.outcomes[2].result ~= nil, err.outcomes[3].result ~= nil })
      assert_in_sink(wanted(answers[1], answers[2]))
      -- Without verification, the answer of dcmqrscp counts.
      assert.is_table(archive:move_resources("Study", nothing, { to = "sink", verify = false }))
      none, err = archive:move_resources("Study", nothing, { to = "sink", verify = true })
      assert.are.same({ nil, "unknown", "unproven" }, { none, err.kind, err.code })
      local study = studies("20190304").answers[1].StudyInstanceUID
      local series = find(3, "Series", { StudyInstanceUID = study }).answers
      local plain = { StudyInstanceUID = study, SeriesInstanceUID = series[1].SeriesInstanceUID }
      assert.is_table(assert(archive:move_resources("Series", { plain, series[2] }, { to = "sink" })))
      plain.SeriesInstanceUID = "1.2.3"
      assert.are.equal("not_found", select(2, archive:move_resources("Series", { plain, series[2] }, { to = "sink" })).code)
    end)

    it("move of a Patient, which dcmqrscp reports as success without sending anything, fails", function()
      local found = find(1, "Patient", { PatientID = PATIENT })
      local own, patient = client:query(found.ID), { PatientID = PATIENT }
      local incomplete, unproven = { "dicom", "incomplete" }, { "unknown", "unproven" }
      local calls = {
        { incomplete, archive.move, archive, found },
        { incomplete, archive.move, archive, found, { Synchronous = true } },
        { incomplete, own.move, own, {}, 1 },
        { incomplete, archive.move_resources, archive, "Patient", patient, {} },
        { unproven, archive.move, archive, found, { to = "sink" } },
        { unproven, archive.move_resources, archive, "Patient", patient, { to = "sink" } },
      }
      for _, call in ipairs(calls) do -- one after the other: the same move at the same time is refused, or joined
        local move = call[2]
        expect.fails({ kind = call[1][1], code = call[1][2] }, move(table.unpack(call, 3)))
      end
      assert_here {}
      assert_in_sink {}
    end)

    it("move to an unknown, closed or refusing target fails with the status", function()
      local found = studies "20190304"
      for target, status in pairs { NOBODY = 0xA801, CLOSED = 0xA702, REFUSER = 0xA702 } do
        local expected = { kind = "dicom", orthanc_status = 9, dimse_status = status }
        expect.fails(expected, archive:move(found, { TargetAet = target }))
        expect.fails(expected, archive:move(found, { TargetAet = target, Synchronous = true }))
        expect.fails(expected, client:query(found.ID):move({ TargetAet = target }, 1))
        expect.fails(expected, archive:move_resources("Study", found.answers, { TargetAet = target }))
      end
      assert_in_sink {}
      assert_here {}
    end)

    it("move to a target that aborts after the first instance fails", function()
      local found = studies "20190304"
      expect.fails({ kind = "dicom" }, archive:move(found, { TargetAet = "BREAKER" }))
      expect.fails({ kind = "dicom" }, archive:move_resources("Study", found.answers, { TargetAet = "BREAKER" }))
    end)

    -- ---- C-GET ----

    it("get brings studies, series and instances, where the version has it", function()
      local study, other = studies("20190304").answers[1], studies("20240201").answers[1]
      if not has_get then
        expect.fails({ kind = "orthanc", code = "unsupported" }, archive:get("Study", study))
        return
      end
      assert(archive:get("Study", other))
      assert_here(wanted(other))
      assert(archive:get("Series", series_of(study, 2).answers[1], { Synchronous = true }))
      assert.are.equal(6, size(uids_here(client, "instances")))
      local series = series_of(study, 3).answers[1]
      local instances = find(1, "Instance", { StudyInstanceUID = series.StudyInstanceUID, SeriesInstanceUID = series.SeriesInstanceUID,
        InstanceNumber = "1" })
      assert(archive:get("Instance", instances.answers[1]))
      assert.are.equal(7, size(uids_here(client, "instances")))
      assert(archive:get("Study", study))
      assert_here(wanted(study, other))
    end)

    it("get brings several studies at once", function()
      if not has_get then
        return pending(NO_GET)
      end
      local found = studies()
      assert(archive:get("Study", found.answers))
      assert_here(wanted(table.unpack(found.answers)))
    end)

    it("get of a study that does not exist is an error, although Orthanc reports success", function()
      if not has_get then
        return pending(NO_GET)
      end
      local expected = version.number < 11210 and { kind = "unknown", code = "unproven" } or { kind = "dicom", code = "not_found" }
      expect.fails(expected, archive:get("Study", { StudyInstanceUID = "1.2.3.4.5" }))
      assert_here {}
    end)

    it("get of a Patient brings all studies of the patient", function()
      if not has_get then
        return pending(NO_GET)
      end
      assert(archive:get("Patient", { PatientID = PATIENT }))
      assert_here(wanted(table.unpack(studies().answers)))
      assert.are.equal(19, size(uids_here(client, "instances")))
    end)

    -- ---- C-STORE ----

    it("store to the archive stores every instance", function()
      assert.are.equal(ALL, pacs:count())
      assert.are.same(set_of(everything), pacs:uids())
      assert.are.equal(ALL, size(everything))
    end)

    it("store to the sink sends resources of every level", function()
      local found, first = studies(), studies "20190304"
      assert(archive:move(found))
      local here, target = uids_here(client, "instances"), client:modality "sink"
      local uid, instance = next(here)
      assert(target:store(instance))
      assert_in_sink { [uid] = true }
      local study = uids_here(client, "studies")[first.answers[1].StudyInstanceUID]
      os.execute("exec rm -rf " .. sink.folder .. "/store/*")
      assert(target:store(study, { Synchronous = true }))
      assert_in_sink(wanted(first.answers[1]))
      os.execute("exec rm -rf " .. sink.folder .. "/store/*")
      assert(target:store(client:get "/series"))
      assert_in_sink(set_of(here))
      os.execute("exec rm -rf " .. sink.folder .. "/store/*")
      assert(target:store(client:get("/patients")[1]))
      assert_in_sink(set_of(here))
    end)

    it("store to a server that refuses or aborts fails", function()
      assert(archive:move(studies "20190304"))
      local study = client:get("/studies")[1]
      expect.fails({ kind = "dicom", orthanc_status = 9 }, client:modality "refuser":store(study))
      expect.fails({ kind = "dicom", orthanc_status = 9 }, client:modality "breaker":store(study))
    end)
  end)
end
