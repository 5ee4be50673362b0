-- Tests transfer.slices: the inventory of a transfer, how it is proven, and how it goes on after an end at any moment. Sources are Orthancs
-- that give at most ten answers, dcmqrscp, this Orthanc itself, and modalities in memory, of which the C-FINDs are counted.
local archive = require "spec.support.archive"
local dcmtk = require "spec.support.dcmtk"
local json = require "modalua.json"
local ledgers = require "spec.support.ledgers"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"
local simulated = require "spec.support.simulated"
local versions = require "spec.support.versions"

local days = part "core.slices"
local find_patients = part "core.find_patients"
local transfer_slices = part "transfer.slices"

local _, database = ledgers.databases()()

setup(database.start)
teardown(database.stop)

-- ---- helpers ----

-- The keys of the items in the ledger, sorted.
local function keys_of(L)
  local keys = {}
  for item in L:items {} do
    keys[#keys + 1] = item.key
  end
  table.sort(keys)
  return keys
end

local function uids_of(studies)
  local uids = {}
  for i, study in ipairs(studies) do
    uids[i] = study.StudyInstanceUID
  end
  table.sort(uids)
  return uids
end

-- Finds all of a query. Returns the ledger, the result and the events.
local function find(source, options)
  local L, events = ledgers.new(database, { query = options and options.query or {} }), {}
  local all = { ledger = L, modality = source, level = "Study", query = {}, tell = function(event) table.insert(events, event) end }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  return L, assert(transfer_slices.find(all)), events
end

-- The rows of what is not proven.
local function unproven(L)
  local rows = {}
  for _, row in ipairs(L:slices()) do
    rows[#rows + 1] = row.proof == "none" and row or nil
  end
  return rows
end

local function finds_all(source, studies, options)
  local L, result = find(source, options)
  assert.are.same(uids_of(studies), keys_of(L))
  assert.are.same({}, unproven(L))
  assert.are.same({ complete = true, unproven = 0 }, result)
  return L
end

-- ---- modalities in memory ----

-- n studies spread over so many days, at times from 07:00 to 20:00, with undated and untimed ones.
local function make(n, n_days, undated, untimed)
  local random, list, first = archive.random(n), {}, days.day "20230101"
  local function add(root, i, day, time)
    list[#list + 1] = { StudyInstanceUID = ("1.2.%d.%d"):format(root, i), StudyDate = day and days.date(first + day) or "",
      StudyTime = time, PatientID = ("P%05d"):format(i // 2), NumberOfStudyRelatedInstances = "3", ModalitiesInStudy = "CT",
      PatientBirthDate = "" }
  end
  for i = 1, n do
    add(1, i, i % n_days, ("%02d%02d%02d"):format(random:between(7, 19), random:between(0, 59), random:between(0, 59)))
  end
  for i = 1, undated do
    add(2, i, nil, ("%02d%02d00"):format(i % 24, i % 60))
  end
  for i = 1, untimed do
    add(3, i, i % n_days, "")
  end
  return list
end

describe("The inventory of 20,000 studies in 365 days, of a source that gives at most 50,", function()
  local studies = make(20000, 365, 60, 20)
  local FLOOR <const> = 20000 // 50

  -- Finds all of them, and notes that it has not looked for studies without the attribute StudyDate: that would need too many C-FINDs.
  local function finds_dated(source, options)
    local L, notes = finds_all(source, studies, options), {}
    for _, row in ipairs(L:slices()) do
      notes[#notes + 1] = row.kind == "undated" and row.note or nil
    end
    assert.are.equal(1, #notes)
    assert.matches("no attribute StudyDate or StudyTime at all, rather than an empty one, were not looked for", notes[1], 1, true)
    return L
  end

  it("takes at most 2.2 times the fewest C-FINDs when the cap is told", function()
    local pacs = simulated.new(studies, { cap = 50, excess = "cut", open_start = true })
    local L = finds_dated(pacs, { cap = 50 })
    assert.is_true(pacs.finds <= 2.2 * FLOOR, pacs.finds)
    assert.are.equal(50, L:describe().cap)
  end)

  for _, excess in ipairs { "refuse", "cut" } do
    local title = excess == "refuse" and "and the source refuses what is more" or "and the source leaves the others out"

    it("takes at most 2.6 times the fewest C-FINDs when the cap is not told, " .. title, function()
      local pacs = simulated.new(studies, { cap = 50, excess = excess, open_start = true })
      finds_dated(pacs)
      assert.is_true(pacs.finds <= 2.6 * FLOOR, pacs.finds)
    end)
  end
end)

describe("The inventory", function()
  it("keeps with its place the beginnings of PatientIDs that many studies have, and no others", function()
    local state, large = find_patients.new(), {}
    for n = 1, 30000 do
      find_patients.add(state, ("P%05d"):format(n))
    end
    local kept = find_patients.place(state)
    for prefix in pairs(state.counts) do
      large[prefix] = find_patients.is_large(state, prefix) or nil
    end
    for prefix, n in pairs(kept.counts) do
      assert.is_true(n > 250, prefix)
      large[prefix] = nil
    end
    assert.are.same({}, large)
    assert.are.equal(find_patients.characters(state), find_patients.characters(kept))
  end)

  it("finds everything at a source that answers with nothing when there is too much", function()
    for _, n in ipairs { 400, 4000 } do
      local studies = make(n, 40, 60, 20)
      finds_all(simulated.new(studies, { cap = 50, excess = "nothing", open_start = true }), studies)
    end
  end)

  it("finds what has no date by PatientID at a source that cuts, where no range matches it", function()
    local studies = make(300, 40, 30, 0)
    finds_all(simulated.new(studies, { cap = 20, excess = "cut", open_start = false }), studies)
  end)

  it("finds what has no time by PatientID at a source that cuts, where no range matches it", function()
    local studies = make(200, 4, 0, 30)
    finds_all(simulated.new(studies, { cap = 20, excess = "refuse", open_start = false }), studies,
      { query = { StudyDate = "20230101-20230104" } })
  end)

  it("of a range that is open at its start has what is older than 1900, and nothing without a date, at a source that cuts", function()
    local studies = make(60, 40, 30, 0)
    table.insert(studies, 1, { StudyInstanceUID = "1.5.1", StudyDate = "18700101", StudyTime = "1015", PatientID = "OLD" })
    local dated = table.move(studies, 1, 61, 1, {})
    for _, excess in ipairs { "refuse", "cut" } do
      finds_all(simulated.new(studies, { cap = 20, excess = excess, open_start = true }), dated, { query = { StudyDate = "-20230209" } })
    end
  end)

  it("asks once, and not for each day, whether an open start has all without a time", function()
    local studies = make(4000, 40, 0, 0)
    local pacs = simulated.new(studies, { cap = 50, excess = "cut", open_start = true })
    finds_all(pacs, studies, { query = { StudyDate = "20230101-20230209" } })
    assert.is_true(pacs.finds <= 2.2 * 80 + 340, pacs.finds) -- patients without a date of birth show it; 340 for absent attributes
  end)

  it("does not believe an open start of a source that ignores the date of birth", function()
    local studies = make(200, 4, 0, 30)
    local pacs = simulated.new(studies, { cap = 20, excess = "cut", open_start = false })
    local ask = pacs.find
    function pacs:find(data)
      data.Query.PatientBirthDate = nil
      return ask(self, data)
    end
    finds_all(pacs, studies, { query = { StudyDate = "20230101-20230104" } })
  end)

  it("says what it cannot prove: many studies of one patient at one time", function()
    local studies = make(100, 10, 0, 0)
    for i = 1, 60 do
      table.insert(studies, { StudyInstanceUID = "1.5." .. i, StudyDate = "20230105", StudyTime = "101500", PatientID = "SAME" })
    end
    local pacs = simulated.new(studies, { cap = 50, excess = "cut", open_start = true })
    local L, result, events = find(pacs)
    assert.are.same({ complete = false, unproven = 2 }, result) -- nor whether the patient has some without a date
    assert.are.equal(150, #keys_of(L))
    local row = unproven(L)[1]
    assert.are.same({ "patients", "20230105 101500", "20230105 101500", "SAME", 50 },
      { row.kind, row.first, row.last, row.prefix, row.answers })
    assert.matches("StudyDate = '20230105', StudyTime = '1015%-101500.999999', PatientID = 'SAME' %(50 answers%)", row.note)
    local told = {}
    for _, event in ipairs(events) do
      told[#told + 1] = event.event == "slice" and event.proof == "none" and event.prefix or nil
    end
    assert.are.same({ "SAME", "SAME" }, told)
  end)

  it("finds studies without the attribute StudyDate, which an open start does not match, among many others", function()
    local studies = make(5000, 365, 5, 0)
    for i = 1, 20 do
      table.insert(studies, { StudyInstanceUID = "1.5." .. i, StudyTime = i < 10 and "1015" or nil, PatientID = ("P%05d"):format(120 * i) })
    end
    local pacs = simulated.new(studies, { open_start = true })
    finds_all(pacs, studies)
    assert.is_true(pacs.finds < 250, pacs.finds)
  end)

  it("finds studies without the attribute StudyDate among more than 2,000 of a source that gives at most 50", function()
    local studies = make(2500, 365, 5, 0)
    for i = 1, 20 do
      table.insert(studies, { StudyInstanceUID = "1.5." .. i, StudyTime = i < 10 and "1015" or nil, PatientID = ("P%05d"):format(60 * i) })
    end
    for _, excess in ipairs { "refuse", "cut" } do
      local pacs = simulated.new(studies, { cap = 50, excess = excess, open_start = true })
      finds_all(pacs, studies)
      assert.is_true(pacs.finds < 450, pacs.finds)
    end
  end)

  it("goes on where it was ended, at any moment, and finds each study once", function()
    local studies = make(2000, 365, 60, 20)
    local random = archive.random(7)
    for _, excess in ipairs { "refuse", "cut", "nothing" } do
      local pacs = simulated.new(studies, { cap = 50, excess = excess, open_start = true })
      local L, result = ledgers.new(database, { query = {} }), { complete = false }
      local turns = 0
      while not result.complete do
        local left = random:between(5, 60 * (1 + turns)) -- a part that is not done begins anew: each may be the longest
        turns = turns + 1
        result = assert(transfer_slices.find { ledger = L, modality = pacs, level = "Study", query = {}, stop = function()
          left = left - 1
          return left < 0
        end })
      end
      assert.is_true(turns > 2)
      assert.are.same(uids_of(studies), keys_of(L))
      assert.are.same({}, unproven(L))
    end
  end)

  it("returns the error of a C-FIND, and goes on after it", function()
    local studies = make(50, 10, 0, 0)
    local pacs = simulated.new(studies, {})
    local L = ledgers.new(database, { query = {} })
    pacs.failure = "network"
    local result, err = transfer_slices.find { ledger = L, modality = pacs, level = "Study", query = {} }
    assert.are.same({ nil, "network" }, { result, err.kind })
    assert.is_true(assert(transfer_slices.find { ledger = L, modality = pacs, level = "Study", query = {} }).complete)
    assert.are.same(uids_of(studies), keys_of(L))
  end)

  it("keeps what answers say of a study, and patients' names only when it is told to", function()
    local study = { StudyInstanceUID = "1.2.3", StudyDate = "20230105", StudyTime = "101500", PatientID = "P1", AccessionNumber = "A1",
      PatientName = "Doe^Jane", ModalitiesInStudy = "CT\\SR", StudyDescription = "Chest", NumberOfStudyRelatedInstances = "12" }
    for _, names in ipairs { false, true } do
      local L = find(simulated.new({ study }, {}), { names = names })
      local item = L:items {}()
      assert.are.same({ "1.2.3", "20230105", "101500", "P1", "A1", "CT\\SR", "Chest", 12, names and "Doe^Jane" or nil },
        { item.key, item.date, item.time, item.patient_id, item.accession, item.modality, item.description, item.expected,
          item.patient_name })
      assert.are.same({ StudyInstanceUID = "1.2.3" }, item.uids)
    end
  end)

  it("drops and counts answers whose UID is none, and makes one item of a study of two patients", function()
    local pacs = simulated.new({ { StudyInstanceUID = "1.2.3", StudyDate = "20230105", PatientID = "P1" },
      { StudyInstanceUID = "1.2.3", StudyDate = "20230105", PatientID = "P2" },
      { StudyInstanceUID = "'; DROP TABLE item;--", StudyDate = "20230105", PatientID = "P3" },
      { StudyInstanceUID = "", StudyDate = "20230105", PatientID = "P4" } }, {})
    local L = find(pacs)
    assert.are.same({ "1.2.3" }, keys_of(L))
    assert.are.equal("the source gives it to another patient too, PatientID 'P2'", L:items {}().note)
    local notes = {}
    for _, row in ipairs(L:slices()) do
      notes[#notes + 1] = row.note
    end
    assert.matches("answers that the query does not describe were dropped", table.concat(notes, "; "))
  end)

  it("refuses a range of dates that is none, with the reason", function()
    local L = ledgers.new(database, { query = { StudyDate = "2023" } })
    local result, err = transfer_slices.find { ledger = L, modality = simulated.new({}, {}), level = "Study",
      query = { StudyDate = "2023" } }
    assert.are.same({ nil, "refused", "usage" }, { result, err.kind, err.code })
    assert.matches("StudyDate = '2023' is not a date or a range of dates", err.message)
  end)

  it("writes a place that is JSON", function()
    local L = find(simulated.new(make(50, 10, 0, 0), {}))
    assert.is_table(json.decode(L:describe().cursor))
  end)
end)

-- ---- real servers ----

local CAP <const> = 10

-- The studies as instances for archive.send: 25 on one day, 12 without a date, 4 without a time on that day, 6 elsewhere; 3 without the
-- attribute StudyDate, and 2 of that day without the attribute StudyTime.
local function instances()
  local list = {}
  local function add(date, time, patient)
    local uid = "1.2.7." .. #list + 1
    list[#list + 1] = { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID = uid .. ".1.1", SeriesInstanceUID = uid .. ".1",
      StudyInstanceUID = uid, StudyDate = date, StudyTime = time, PatientID = patient, Modality = "CT" }
  end
  for i = 1, 25 do
    add("20230105", ("%02d%02d00"):format(i % 24, i), "A" .. i)
  end
  for i = 1, 12 do
    add("", ("%02d3000"):format(i), "B" .. i)
  end
  for i = 1, 4 do
    add("20230105", "", "C" .. i)
  end
  for i = 1, 6 do
    add(("202%d0615"):format(i % 3), "000000", "D" .. i)
  end
  for i = 1, 3 do
    add(nil, i < 3 and "101500" or nil, "E" .. i)
  end
  for i = 1, 2 do
    add("20230105", nil, "F" .. i)
  end
  return list
end

for _, version in ipairs(versions) do
  describe("With the Orthanc " .. version.name .. " that gives at most ten answers, the inventory", function()
    local servers, pacs, at_pacs
    local all = instances()

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary, verbose = true, extra = { LimitFindResults = CAP,
        DicomAlwaysAllowStore = true, DicomCheckModalityHost = false } })
      pacs = modalua.connect(servers.LOCAL.url):modality "pacs"
      at_pacs = modalua.connect(servers.PACS.url)
      archive.send(all, { { "PACS", "127.0.0.1", servers.PACS.dicom_port } })
    end)

    teardown(function()
      servers:close()
    end)

    it("finds everything, proven, without being told the limit", function()
      local L = finds_all(pacs, all)
      assert.are.equal(1, L:items {}().expected)
    end)

    it("is followed by searches for UIDs in lists as long as it answers", function()
      local uids, before = uids_of(all), servers.LOCAL:count_logged "/query\n"
      local found, missing = pacs:find_each("StudyInstanceUID", uids, { limit = 1 })
      assert.are.same({}, missing)
      for _, uid in ipairs(uids) do
        assert.are.equal(1, #found[uid])
      end
      -- 52 UIDs: the first refuses 50, 25 and 13, and answers 7; the second has no limit; the third gives 10 of each list
      assert.are.equal(({ [11001] = 3 + 8 + 1, [11207] = 2, [11300] = 5 + 1 })[version.number],
        servers.LOCAL:count_logged "/query\n" - before)
    end)

    it("finds everything of a range of dates", function()
      local some = {}
      for _, one in ipairs(all) do
        some[#some + 1] = (one.StudyDate or "") >= "20210101" and one.StudyDate <= "20230105" and one or nil
      end
      finds_all(pacs, some, { query = { StudyDate = "20210101-20230105" } })
    end)

    it("finds nothing without a date in a range of dates that is open at its start", function()
      local some = {}
      for _, one in ipairs(all) do
        some[#some + 1] = (one.StudyDate or "") ~= "" and one.StudyDate < "20230101" and one or nil
      end
      finds_all(pacs, some, { query = { StudyDate = "-20221231" } })
      assert.are.same(uids_of(some), keys_of(find(nil, { client = at_pacs, query = { StudyDate = "-20221231" } })))
      assert.are.equal(#some, #keys_of(find(nil, { client = at_pacs, level = "Series", query = { StudyDate = "-20221231" } })))
    end)

    it("finds nothing without a time in a range of times that is open at its start", function()
      local some = {}
      for _, one in ipairs(all) do
        some[#some + 1] = (one.StudyTime or "") ~= "" and one.StudyTime <= "040000" and one or nil
      end
      assert.is_true(#some > CAP)
      finds_all(pacs, some, { query = { StudyTime = "-0400" } })
      assert.are.same(uids_of(some), keys_of(find(nil, { client = at_pacs, query = { StudyTime = "-0400" } })))
      assert.are.equal(#some, #keys_of(find(pacs, { level = "Series", query = { StudyTime = "-0400" } })))
      for _, query in ipairs { { PatientID = "C*", StudyTime = "-0400" }, { PatientID = "B*", StudyDate = "-20240101" } } do
        for _, level in ipairs { "Study", "Series" } do -- nothing of these has a time, or a date
          assert.are.same({}, keys_of(find(pacs, { level = level, query = query })))
          assert.are.same({}, keys_of(find(nil, { client = at_pacs, level = level, query = query })))
        end
      end
    end)

    it("finds the series", function()
      local L = find(pacs, { level = "Series", query = { StudyDate = "20200101-20221231", Modality = "CT" } })
      local expected = {}
      for _, one in ipairs(all) do
        expected[#expected + 1] = (one.StudyDate or "") >= "20200101" and one.StudyDate <= "20221231" and one.SeriesInstanceUID or nil
      end
      table.sort(expected)
      assert.are.same(expected, keys_of(L))
      local item = L:items {}()
      assert.are.same({ "CT", 1 }, { item.modality, item.expected })
      assert.are.equal(item.key, item.uids.SeriesInstanceUID)
    end)

    it("says that it is not proven where more than ten studies have one date, time and patient", function()
      local same = {}
      for i = 1, CAP + 2 do
        same[i] = { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID = "1.2.8.1.1." .. i, SeriesInstanceUID = "1.2.8.1." .. i,
          StudyInstanceUID = "1.2.8." .. i, StudyDate = "20220202", StudyTime = "101500", PatientID = "5A-5", Modality = "CT" }
      end
      archive.send(same, { { "PACS", "127.0.0.1", servers.PACS.dicom_port } })
      local L, result = find(pacs, { query = { StudyDate = "20220101-20220301" } })
      for _, patient in ipairs(assert(at_pacs:post("/tools/find", { Level = "Patient", Query = { PatientID = "5A-5" } }))) do
        assert(at_pacs:delete("/patients/" .. patient))
      end
      local has_limit = version.number ~= 11207
      assert.are.equal(not has_limit, result.complete)
      assert.are.equal(({ [11001] = 0, [11207] = CAP + 2, [11300] = CAP })[version.number], #keys_of(L))
      assert.are.equal(has_limit and "5A-5" or nil, (unproven(L)[1] or {}).prefix)
    end)

    it("of what this Orthanc itself holds is complete", function()
      local L = find(nil, { client = at_pacs })
      assert.are.same(uids_of(all), keys_of(L))
      local item = L:items {}()
      assert.are.equal(1, item.expected)
      assert.is_true(item.bytes > 0)
      L = find(nil, { client = at_pacs, level = "Series", query = { PatientID = "D*" } })
      assert.are.equal(6, #keys_of(L))
      L = find(nil, { client = at_pacs, query = { StudyDate = "20220101-20230105" } })
      local some = {}
      for _, one in ipairs(all) do
        some[#some + 1] = (one.StudyDate or "") >= "20220101" and one.StudyDate <= "20230105" and one or nil
      end
      assert.are.same(uids_of(some), keys_of(L))
    end)
  end)
end

describe("With dcmqrscp as the source, the inventory", function()
  it("finds studies without a date or a time, which no range matches there", function()
    local ports = orthanc.free_ports(2)
    local pacs <close> = dcmtk.dcmqrscp { aet = "PACS", peers = { { "LOCAL", "127.0.0.1", ports[2] } } }
    local server <close> = orthanc.start { aet = "LOCAL", http_port = ports[1], dicom_port = ports[2],
      modalities = { pacs = pacs:modality() } }
    local studies = {}
    for i, moment in ipairs { { "20230105", "1015" }, { "20230105", "" }, { "", "1015" }, { "", "" }, { "19991231", "2359" } } do
      studies[i] = { StudyInstanceUID = "1.2.3." .. i }
      pacs:store { uid = "1.2.3." .. i, date = moment[1], time = moment[2], patient = "P" .. i }
    end
    finds_all(modalua.connect(server.url):modality "pacs", studies)
  end)
end)
