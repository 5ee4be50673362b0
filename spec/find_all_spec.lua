-- Tests modality:find_all, with modalities that answer a search that finds too much in each way: by an error (Orthanc 1.10.1), with some
-- of the answers (1.13.0), with nothing (a script in the Orthanc), or with everything (1.12.7, dcmqrscp).
local command = require "spec.support.command"
local dcmtk = require "spec.support.dcmtk"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local versions = require "spec.support.versions"

local eventually, throws = expect.eventually, expect.throws

local CAP <const> = 5

-- The studies: { StudyDate, StudyTime, PatientID }. There are more than CAP on one day, without a date, and on one day without a time.
local STUDIES = {}

local function add(n, date, time, patient)
  for i = 1, n do
    STUDIES[#STUDIES + 1] = { date:format(i), time:format(i), patient:format(i) }
  end
end

add(9, "2019010%d", "0%d0000", "A%d")
add(7, "20200229", "1015%02d", "b%d")
add(2, "20200229", "10", "C%d")
add(7, "20210301", "", "D%d")
add(6, "", "101500", "E%d")
add(3, "201%d1231", "235959.5", "F%d")
add(1, "19991231", "", "G1")

local function uid(i)
  return "1.2.3.4." .. i
end

local function sorted_uids(studies)
  local uids = {}
  for i, study in ipairs(STUDIES) do
    uids[#uids + 1] = (not studies or studies(table.unpack(study))) and uid(i) or nil
  end
  table.sort(uids)
  return uids
end

-- Stores the studies in an Orthanc, one after the other: two at once can both want to make a folder, and one of them then fails with the
-- OrthancStatus 2001.
local function store(client, studies)
  for i, study in ipairs(studies) do
    assert(client:post("/tools/create-dicom", { Force = true, Tags = { PatientID = study[3], PatientName = "N" .. study[3],
      StudyInstanceUID = uid(i), SeriesInstanceUID = uid(i) .. ".1", SOPInstanceUID = uid(i) .. ".2", StudyDate = study[1],
      StudyTime = study[2], Modality = "OT", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
  end
end

-- Returns the UIDs of what find_all finds, sorted, and the walk. `err`: what it throws at its end, if anything.
local function walk_all(modality, query, options)
  local uids, data = {}, { Level = "Study", Query = query }
  for name, value in pairs(options or {}) do
    data[name] = value
  end
  local next_answer, walk = modality:find_all(data)
  local good, err = pcall(function()
    for answer in next_answer do
      uids[#uids + 1] = answer.StudyInstanceUID
    end
  end)
  table.sort(uids)
  return uids, walk, not good and err or nil
end

-- A modality that finds nothing when a range of dates is wider than a year, or when there is neither a date nor a PatientID.
local SILENT = [[
function IncomingFindRequestFilter(query, origin)
  local date, patient = query['0008,0020'] or '', query['0010,0020'] or ''
  local from, to = string.match(date, '^(%d*)%-(%d*)$')
  if (from and (from == '' or to == '' and from < '20200101' or to ~= '' and tonumber(to) - tonumber(from) > 10000))
      or (date == '' and patient == '') then
    query['0010,0020'] = 'NOBODY'
  end
  return query
end
]]

for _, version in ipairs(versions) do
  local function describe_with(title, extra, tests)
    describe("With the Orthanc " .. version.name .. " as a modality " .. title .. ", find_all", function()
      local servers, walk
      local of = {}

      setup(function()
        servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary, extra = extra })
        of.client = modalua.connect(servers.LOCAL.url)
        of.pacs = of.client:modality "pacs"
        of.at_pacs = modalua.connect(servers.PACS.url)
        store(of.at_pacs, STUDIES)
      end)

      teardown(function()
        servers:close()
      end)

      function walk(query, options)
        local uids, state, err = walk_all(of.pacs, query, options)
        eventually(function() return #assert(of.client:queries()) == 0 end)
        return uids, state, err
      end

      tests(function(...) return walk(...) end, of)
    end)
  end

  local function finds_all(walk)
    it("finds each study once, and removes its queries", function()
      local uids, _, err = walk()
      assert.is_nil(err)
      assert.are.same(sorted_uids(), uids)
    end)

    it("finds each study of a range of dates, of a day, and of what the other filters match", function()
      local uids, _, err = walk { StudyDate = "20190103-20200229", PatientName = "" }
      assert.are.same({ sorted_uids(function(date) return date >= "20190103" and date <= "20200229" end) }, { uids, err })
      uids, _, err = walk { ["0008,0020"] = "20200229" }
      assert.are.same({ sorted_uids(function(date) return date == "20200229" end) }, { uids, err })
      uids, _, err = walk { StudyDate = "20200101-" }
      assert.are.same({ sorted_uids(function(date) return date >= "20200101" end) }, { uids, err })
      uids, _, err = walk { ["0010,0020"] = "D*" }
      assert.are.same({ sorted_uids(function(_, _, patient) return patient:find "^D" end) }, { uids, err })
      uids, _, err = walk { PatientID = "G1" }
      assert.are.same({ sorted_uids(function(_, _, patient) return patient == "G1" end) }, { uids, err })
      assert.are.same({ {} }, { (walk { PatientName = "nobody" }) })
    end)
  end

  describe_with("that gives at most five answers", { LimitFindResults = CAP }, function(walk, of)
    finds_all(walk)

    it("finds each patient", function()
      local patients, expected, known = {}, {}, {}
      for answer in of.pacs:find_all { Level = "Patient" } do
        patients[#patients + 1] = answer.PatientID
      end
      for _, study in ipairs(STUDIES) do
        expected[#expected + 1] = not known[study[3]] and study[3] or nil
        known[study[3]] = true
      end
      table.sort(patients)
      table.sort(expected)
      assert.are.same(expected, patients)
    end)

    it("takes the limit of the modality", function()
      local uids, state, err = walk(nil, { limit_results = CAP })
      assert.are.same({ sorted_uids(), CAP }, { uids, state.cap, err })
    end)

    it("returns what there is, and throws, when a part cannot be divided", function()
      for i = 1, CAP + 1 do
        assert(of.at_pacs:post("/tools/create-dicom", { Force = true, Tags = { PatientID = "SAME", StudyInstanceUID = "1.9." .. i,
          StudyDate = "20220202", StudyTime = "101500", Modality = "OT", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
      end
      local uids, _, err = walk { StudyDate = "20200301-20230101" }
      local there = ({ [11001] = 7, [11207] = 7 + CAP + 1, [11300] = 7 + CAP })[version.number]
      for _, patient in ipairs(assert(of.at_pacs:post("/tools/find", { Level = "Patient", Query = { PatientID = "SAME" } }))) do
        assert(of.at_pacs:delete("/patients/" .. patient))
      end
      assert.are.equal(there, #uids)
      if version.number == 11207 then -- it has no limit
        assert.is_nil(err)
      else
        -- 1.10.1 counts SAME for its limit also where it is asked for Same and same, and refuses all three
        assert.are.same({ "unknown", "incomplete", "find_all", version.number == 11001 and 3 or 1 },
          { err.kind, err.code, err.op, #err.unproven })
        assert.matches("StudyDate = '20220202', StudyTime = '1015%-101500.999999', PatientID = 'SAME'", err.unproven[1])
      end
    end)
  end)

  describe_with("without a limit", {}, function(walk, of)
    finds_all(walk)

    it("ends well where the only two studies are of one patient", function()
      local list, archive = {}, of.at_pacs
      for i = 1, 2 do
        list[i] = assert(archive:post("/tools/create-dicom", { Force = true, Tags = { PatientID = "TWICE", PatientName = "ZOE^" .. i,
          StudyInstanceUID = "1.8." .. i, StudyDate = "2018010" .. i, Modality = "OT", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
      end
      local uids, _, err = walk { PatientName = "ZOE*" }
      assert(archive:delete("/patients/" .. list[1].ParentPatient))
      assert.are.same({ { "1.8.1", "1.8.2" } }, { uids, err })
    end)
  end)

  describe("With the Orthanc " .. version.name .. ", find_all of series and instances", function()
    local servers, pacs, local_uids

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary, extra = { LimitFindInstances = 4 } })
      pacs = modalua.connect(servers.LOCAL.url):modality "pacs"
      local at_pacs = modalua.connect(servers.PACS.url)
      assert(samples.store(at_pacs))

      -- Returns the sorted UIDs of the resources of a level that the modality itself has.
      function local_uids(level, tag)
        local list = {}
        for i, one in ipairs(assert(at_pacs:get("/" .. level, { expand = true }))) do
          list[i] = one.MainDicomTags[tag]
        end
        table.sort(list)
        return list
      end
    end)

    teardown(function()
      servers:close()
    end)

    -- Returns what find_all returns of a tag, sorted, and what it throws.
    local function walk(level, tag, query)
      local list = {}
      local good, err = pcall(function()
        for answer in pacs:find_all { Level = level, Query = query } do
          list[#list + 1] = answer[tag]
        end
      end)
      table.sort(list)
      return list, not good and err or nil
    end

    it("finds each series, also with filters of both levels", function()
      assert.are.same({ local_uids("series", "SeriesInstanceUID") }, { walk("Series", "SeriesInstanceUID") })
      local list, err = walk("series", "Modality", { Modality = "CT", PatientID = "MOD-000*", ["0020,000e"] = "" })
      local expected = {}
      for _, series in ipairs(assert(pacs:find { Level = "Series", Query = { Modality = "CT", PatientID = "MOD-000*" } }).answers) do
        expected[#expected + 1] = series.Modality
      end
      assert.are.same({ expected }, { list, err })
      assert.is_true(#list > 2)
    end)

    it("finds each instance, or says which series has more", function()
      local list, err = walk("Instance", "SOPInstanceUID")
      local all, cut = local_uids("instances", "SOPInstanceUID"), version.number ~= 11207 -- which has no limit
      assert.are.equal(not cut, #list == #all)
      assert.are.equal(cut and "incomplete" or nil, err and err.code)
      for _, part in ipairs(cut and err.unproven or {}) do
        assert.matches(version.number == 11001 and "^SeriesInstanceUID = '[%d.]+' %(too many answers%)$"
          or "^SeriesInstanceUID = '[%d.]+' %(4 answers%)$", part)
      end
      list, err = walk("Instance", "InstanceNumber", { InstanceNumber = "1", PatientID = "MOD-0001" })
      assert.is_nil(err)
      assert.are.equal("1", list[1])
    end)
  end)

  describe("With the Orthanc " .. version.name .. " as a modality that finds nothing in wide ranges, find_all", function()
    it("finds each study", function()
      local script <const> = command.file(SILENT)
      local servers <close> = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary, extra = { LuaScripts = { script } } })
      os.remove(script)
      store(modalua.connect(servers.PACS.url), STUDIES)
      local pacs = modalua.connect(servers.LOCAL.url):modality "pacs"
      assert.are.same({}, assert(pacs:find { Level = "Study", Query = { StudyDate = "19000101-" } }).answers)
      local uids, _, err = walk_all(pacs)
      assert.are.same({ sorted_uids() }, { uids, err })
    end)
  end)

  describe("With the Orthanc " .. version.name .. " and a dcmqrscp, find_all", function()
    it("finds each study, also without a date or time, which no range matches there", function()
      local ports = orthanc.free_ports(2)
      local pacs <close> = dcmtk.dcmqrscp { aet = "PACS", peers = { { "LOCAL", "127.0.0.1", ports[2] } } }
      local server <close> = orthanc.start { binary = version.binary, aet = "LOCAL", http_port = ports[1], dicom_port = ports[2],
        modalities = { pacs = pacs:modality() } }
      for i, study in ipairs(STUDIES) do
        pacs:store { uid = uid(i), date = study[1], time = study[2], patient = study[3] }
      end
      local remote = modalua.connect(server.url):modality "pacs"
      assert.are.same({}, assert(remote:find { Level = "Study", Query = { StudyDate = "-18991231" } }).answers)
      local uids, _, err = walk_all(remote)
      assert.are.same({ sorted_uids() }, { uids, err })
    end)
  end)
end

describe("find_all", function()
  local pacs = modalua.connect("http://127.0.0.1:1"):modality "pacs"

  it("refuses wrong arguments at the call", function()
    throws("the Level must be \"Patient\", \"Study\", \"Series\" or \"Instance\"", pacs.find_all, pacs, { Level = "Image set" })
    throws("must be a table with Level and Query", pacs.find_all, pacs, "Study")
    throws("Query must be a table", pacs.find_all, pacs, { Level = "Study", Query = "CT" })
    throws("StudyDate = '2024' is not a date or a range of dates", pacs.find_all, pacs, { Level = "Study", Query = { StudyDate = "2024" } })
    throws("option 'limit_results' must be a whole number, 1 or more", pacs.find_all, pacs, { Level = "Study", limit_results = 0 })
  end)

  it("throws the error of a search that fails", function()
    local good, err = pcall(pacs:find_all { Level = "Study" })
    assert.are.same({ false, "network" }, { good, err.kind })
  end)
end)
