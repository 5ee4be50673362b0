-- Tests that a search has no answer too many and a move sends nothing else, whatever server is behind Orthanc: Orthanc, dcmqrscp, and small
-- PACSs that ignore filters, repeat answers, or answer wrongly (spec/support/qrd.c).
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local dcmtk = require "spec.support.dcmtk"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local qrd = require "spec.support.qrd"
local queries = require "spec.support.queries"
local versions = require "spec.support.versions"

local fails, contains = expect.fails, expect.contains

-- ---- the archive: 6 studies of 3 patients, 8 series, 15 instances ----

local PATIENTS <const> = {
  P1 = { PatientID = "P1", PatientName = "Müller^Jörg" }, P2 = { PatientID = "P2", PatientName = "Smith^John" },
  P3 = { PatientID = "P3", PatientName = "Núñez^Ana" },
}

-- The study N has the StudyInstanceUID 1.2.N; its series have 1.2.N.1 and 1.2.N.2; the list gives the number of instances of each.
local STUDIES <const> = {
  { "P1", { StudyDate = "20230811", StudyTime = "101500", StudyDescription = "CT Chest" }, CT = 3, SR = 1 },
  { "P1", { StudyDate = "20230812", StudyTime = "235500", StudyDescription = "MR Head" }, MR = 4 },
  { "P2", { StudyDate = "20240101", StudyTime = "000500", StudyDescription = "Mammography" }, MG = 2 },
  { "P2", { StudyDate = "20240102", StudyTime = "120000", StudyDescription = "CT Abdomen" }, CT = 1, OT = 1 },
  { "P3", { StudyDate = "20240103", StudyTime = "120000", StudyDescription = "Chest AP" }, CR = 2 },
  { "P3", { StudyDate = "", StudyTime = "" }, US = 1 },
}

local function instances()
  local list = {}
  for n, study in ipairs(STUDIES) do
    local number = 0
    for _, modality in ipairs { "CT", "MR", "MG", "CR", "US", "SR", "OT" } do
      number = study[modality] and number + 1 or number
      for k = 1, study[modality] or 0 do
        local one = {
          SpecificCharacterSet = "ISO_IR 100", StudyInstanceUID = "1.2." .. n, SeriesInstanceUID = ("1.2.%d.%d"):format(n, number),
          SOPInstanceUID = ("1.2.%d.%d.%d"):format(n, number, k), SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", Modality = modality,
          SeriesNumber = tostring(number), InstanceNumber = tostring(k), AccessionNumber = "A" .. n, StudyID = tostring(n),
        }
        for _, attributes in ipairs { PATIENTS[study[1]], study[2] } do
          for key, value in pairs(attributes) do
            one[key] = value
          end
        end
        list[#list + 1] = one
      end
    end
  end
  return list
end

local ALL <const> = { "1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.6" }
local INSTANCES <const> = 15

-- ---- the servers ----

-- The options of qrd for each PACS that it plays. `qrd` is what pynetdicom's qrscp does.
local SMALL <const> = {
  qrd = {},
  empty = { "--unmatched=empty", "--once" },
  value = { "--unmatched=value", "--keys=PatientID,StudyInstanceUID,SeriesInstanceUID,SOPInstanceUID" },
  strict = { "--hierarchical", "--once", "--keys=all" },
  upper = { "--upper", "--once", "--keys=all" },
  nolists = { "--no-lists", "--once", "--keys=all" },
  first = { "--first-of-list", "--once", "--keys=all" },
  absent = { "--unique=absent", "--once", "--keys=all" },
  blank = { "--unique=", "--once", "--keys=all" },
  star = { "--unique=*", "--once", "--keys=all" },
  wild = { "--unique=1.2.*", "--once", "--keys=all" },
  twins = { "--two-patients", "--once", "--keys=all" },
  aspatient = { "--answer-level=PATIENT", "--once", "--keys=all" },
  asimage = { "--answer-level=IMAGE", "--once", "--keys=all" },
  claims = { "--move=claims", "--once", "--keys=all" },
  silent = { "--move=silent", "--once", "--keys=all" },
  part = { "--move=part", "--once", "--keys=all" },
  dropped = { "--move=dropped", "--once", "--keys=all" },
  warns = { "--move=warns", "--once", "--keys=all" },
}

-- The servers that are tried with ordinary searches.
local ORDINARY <const> = { "pacs", "dcmqr", "qrd", "empty", "value", "strict" }

local UNIQUE <const> = { Patient = "PatientID", Study = "StudyInstanceUID", Series = "SeriesInstanceUID", Instance = "SOPInstanceUID" }

-- The unique keys of the answers of a find, sorted.
local function keys_of(found, level)
  local list = {}
  for i, answer in ipairs(found.answers) do
    list[i] = answer[UNIQUE[level]]
  end
  table.sort(list)
  return list
end

-- ---- searches that every server must answer in the same way ----

-- Level, query, and the right answers.
local SEARCHES <const> = {
  { "Study", { PatientID = "P2" }, { "1.2.3", "1.2.4" } },
  { "Study", { StudyInstanceUID = "1.2.1\\1.2.5\\1.2.9" }, { "1.2.1", "1.2.5" } },
  { "Study", { PatientName = "Müller*" }, { "1.2.1", "1.2.2" } },
  { "Study", { PatientName = "?möth*", PatientID = "P*" }, {} },
  { "Study", { PatientName = "?mith*", PatientID = "P*" }, { "1.2.3", "1.2.4" } },
  { "Study", { StudyDate = "20230812-20240102" }, { "1.2.2", "1.2.3", "1.2.4" } },
  { "Study", { StudyDate = "20240102-" }, { "1.2.4", "1.2.5" } },
  { "Study", { StudyDate = "20230811", StudyTime = "1000-1030" }, { "1.2.1" } },
  { "Study", { ModalitiesInStudy = "MG" }, { "1.2.3" } },
  { "Study", { ModalitiesInStudy = "SR", PatientID = "P1" }, { "1.2.1" } },
  { "Study", { ModalitiesInStudy = "CT", StudyDate = "20240101-" }, { "1.2.4" } },
  { "Study", { ModalitiesInStudy = "XX" }, {} },
  { "Patient", { PatientName = "Smith*" }, { "P2" } },
  { "Series", { PatientID = "P1" }, { "1.2.1.1", "1.2.1.2", "1.2.2.1" } },
  { "Series", { PatientID = "P1", Modality = "SR" }, { "1.2.1.2" } },
  { "Series", { Modality = "CT" }, { "1.2.1.1", "1.2.4.1" } },
  { "Series", { StudyDate = "20240101-20240103", Modality = "C?" }, { "1.2.4.1", "1.2.5.1" } },
  { "Series", { StudyInstanceUID = "1.2.1" }, { "1.2.1.1", "1.2.1.2" } },
  { "Series", { AccessionNumber = "A9" }, {} },
  { "Instance", { PatientID = "P2", Modality = "MG" }, { "1.2.3.1.1", "1.2.3.1.2" } },
  { "Instance", { PatientID = "P2", SeriesInstanceUID = "1.2.3.1" }, { "1.2.3.1.1", "1.2.3.1.2" } },
  { "Instance", { PatientID = "P9", SeriesInstanceUID = "1.2.3.1" }, {} },
  { "Instance", { SeriesInstanceUID = "1.2.2.1", StudyInstanceUID = "1.2.2", InstanceNumber = "2" }, { "1.2.2.1.2" } },
}

for _, version in ipairs(versions) do
  describe("A search with the Orthanc " .. version.name, function()
    local servers, client, target, us, archived = {}, nil, nil, nil, nil

    setup(function()
      local ports, modalities = orthanc.free_ports(4), {}
      us, archived = { "LOCAL", "127.0.0.1", ports[2] }, { "ARCHIVE", "127.0.0.1", ports[4] }
      local sender = { "STORESCU", "127.0.0.1", 1 }
      local peers, entries = { us, archived, sender }, {}
      servers.pacs = orthanc.start { binary = version.binary, aet = "PACS",
        modalities = { us = us, archive = archived, sender = sender } }
      servers.dcmqr = dcmtk.dcmqrscp { aet = "DCMQR", peers = peers }
      servers.checking = dcmtk.dcmqrscp { aet = "CHECKING", peers = peers, arguments = { "--check-find", "--check-move" } }
      for name, arguments in pairs(SMALL) do
        servers[name] = qrd.start { aet = name:upper(), peers = { us, archived }, arguments = arguments }
      end
      for name, server in pairs(servers) do
        modalities[name] = server:modality()
        entries[#entries + 1] = server:modality()
      end
      archive.send(instances(), entries)
      modalities.archive = archived
      servers.archive = orthanc.start { binary = version.binary, aet = "ARCHIVE", http_port = ports[3], dicom_port = ports[4],
        modalities = { us = us }, extra = { DicomAlwaysAllowStore = true } }
      servers.us = orthanc.start { binary = version.binary, aet = "LOCAL", http_port = ports[1], dicom_port = ports[2],
        modalities = modalities, extra = { DicomAlwaysAllowStore = true } }
      client, target = modalua.connect(servers.us.url), modalua.connect(servers.archive.url)
    end)

    teardown(function()
      for _, server in pairs(servers) do
        server:close()
      end
    end)

    before_each(function()
      archive.empty(client)
      archive.empty(target)
    end)

    -- The number of studies and of instances that have arrived in the archive.
    local function arrived()
      return { #assert(target:get "/studies"), #assert(target:get "/instances") }
    end

    -- Asserts that a search of a level has exactly these answers, each once, and returns its result.
    local function finds(right, name, level, query, options)
      local data = { Level = level, Query = query }
      for key, value in pairs(options or {}) do
        data[key] = value
      end
      local shown = name .. ": " .. queries.shown(level, query)
      local found, err = client:modality(name):find(data)
      assert.is_truthy(found, ("%s: %s"):format(shown, err))
      assert.are.same(right, keys_of(found, level), shown)
      return found
    end

    for _, name in ipairs(ORDINARY) do
      it("has the right answers behind the server " .. name, function()
        for _, search in ipairs(SEARCHES) do
          local found <close> = finds(search[3], name, search[1], search[2])
          assert.is_nil(found.unproven)
        end
      end)
    end

    it("says which filters the server ignored, and for how many answers", function()
      for _, name in ipairs { "dcmqr", "empty" } do
        local found <close> = finds({ "1.2.3" }, name, "Study", { ModalitiesInStudy = "MG" })
        assert.are.same({ ModalitiesInStudy = 5 }, found.ignored, name)
        contains(found.warning, "ModalitiesInStudy")
      end
      local shown <close> = finds({ "1.2.5" }, "value", "Study", { StudyDescription = "Chest AP" })
      assert.is_truthy(shown.ignored.StudyDescription)
      local kept <close> = finds({ "1.2.3" }, "pacs", "Study", { ModalitiesInStudy = "MG" })
      assert.is_nil(kept.ignored)
      assert.is_nil(kept.warning)
    end)

    it("says which filter it could not prove, when no answer shows it", function()
      for _, name in ipairs { "qrd", "empty" } do
        local found <close> = finds(ALL, name, "Study", { StudyDescription = "*Chest*" })
        assert.are.same({ "StudyDescription" }, found.unproven, name)
        contains(found.warning, "StudyDescription")
        local some <close> = finds({ "1.2.1", "1.2.2" }, name, "Study", { StudyDescription = "*Chest*", PatientID = "P1" })
        assert.are.same({ "StudyDescription" }, some.unproven, name)
      end
      for _, name in ipairs { "pacs", "dcmqr", "checking", "strict" } do
        local found <close> = finds({ "1.2.1", "1.2.5" }, name, "Study", { StudyDescription = "*Chest*" })
        assert.is_nil(found.unproven, name)
      end
    end)

    -- This mode accepts no key of another level but the UIDs, and Orthanc always sends PatientID and AccessionNumber.
    it("says what it could not prove, or fails, behind dcmqrscp --check-find", function()
      local pacs = client:modality "checking"
      for _, search in ipairs(SEARCHES) do
        if (search[1] == "Study" or search[1] == "Patient") and not search[2].ModalitiesInStudy then
          local found <close> = finds(search[3], "checking", search[1], search[2])
          assert.is_nil(found.unproven)
        end
      end
      local found <close> = finds(ALL, "checking", "Study", { ModalitiesInStudy = "MG" })
      assert.are.same({ "ModalitiesInStudy" }, found.unproven)
      fails({ kind = "refused", code = "unproven" }, pacs:move(found, { to = "archive" }))
      fails({ kind = "dicom", dimse_status = 0xA900 }, pacs:find { Level = "Series", Query = { StudyInstanceUID = "1.2.1" } })
      fails({ kind = "dicom", dimse_status = 0xA900 }, pacs:series { StudyInstanceUID = "1.2.1" })
    end)

    it("does not ask further with prove = false, and says what is unproven", function()
      local peer = servers.empty
      local before = peer:count "C-FIND"
      local found <close> = finds(ALL, "empty", "Study", { ModalitiesInStudy = "MG" }, { prove = false })
      assert.are.same({ "ModalitiesInStudy" }, found.unproven)
      assert.are.equal(1, peer:count "C-FIND" - before)
    end)

    it("has the answers to each value of a list, also if the server looks at the first one alone", function()
      finds({ "1.2.1", "1.2.5" }, "first", "Study", { StudyInstanceUID = "1.2.1\\1.2.5\\1.2.9" }):close()
      finds({ "1.2.1", "1.2.4" }, "first", "Study", { ModalitiesInStudy = "SR\\CT" }):close() -- the first one of them has both
    end)

    it("takes one C-FIND when all is proven", function()
      local peer = servers.upper
      local before = peer:count "C-FIND"
      finds({ "1.2.1", "1.2.2" }, "upper", "Study", { PatientName = "Müller*", StudyDate = "20230101-", PatientID = "P1" }):close()
      assert.are.equal(1, peer:count "C-FIND" - before)
    end)

    it("says a resource once, and how many answers were repeated", function()
      local found <close> = finds(ALL, "qrd", "Study", {})
      assert.are.equal(INSTANCES - #ALL, found.repeated)
      local series <close> = finds({ "1.2.1.1", "1.2.1.2" }, "qrd", "Series", { StudyInstanceUID = "1.2.1" })
      assert.are.equal(2, series.repeated)
      local once <close> = finds(ALL, "pacs", "Study", {})
      assert.is_nil(once.repeated)
    end)

    it("keeps an answer that differs only where a server may differ", function()
      for _, query in ipairs { { PatientName = "Müller^Jörg" }, { PatientName = "müller*" },
        { StudyDescription = "*Head*", PatientID = "P1" }, { PatientName = "Muller*" } } do
        local found <close> = assert(client:modality("upper"):find { Level = "Study", Query = query })
        for _, answer in ipairs(found.answers) do
          assert.are.equal("P1", answer.PatientID)
        end
        assert.is_nil(found.ignored)
      end
      finds({ "1.2.2" }, "upper", "Study", { StudyDescription = "MR Head" }):close()
    end)

    it("keeps the answers of a PACS that does not say its character set", function()
      local encoding = assert(client:default_encoding())
      for _, used in ipairs { encoding, "Utf8" } do
        assert(client:put("/tools/default-encoding", used))
        local found = finds({ "1.2.5", "1.2.6" }, "qrd", "Study", { PatientName = "N*", PatientID = "P3" })
        found:close()
      end
      assert(client:put("/tools/default-encoding", encoding))
    end)

    -- The values of a key in a list of answers, sorted.
    local function values(list, key)
      local found = {}
      for i, answer in ipairs(list) do
        found[i] = answer[key]
      end
      table.sort(found)
      return found
    end

    for _, name in ipairs(ORDINARY) do
      it("has the right children behind the server " .. name, function()
        local pacs, study = client:modality(name), { StudyInstanceUID = "1.2.1" }
        assert.are.same({ "1.2.1.1", "1.2.1.2" }, values(assert(pacs:series(study)), "SeriesInstanceUID"))
        assert.are.same({ "1.2.1.2" }, values(assert(pacs:series(study, { Modality = "SR" })), "SeriesInstanceUID"))
        assert.are.same({ "1.2.1.2.1" }, values(assert(pacs:instances(study, { Modality = "SR" })), "SOPInstanceUID"))
        assert.are.same({ "1.2.3", "1.2.4" }, values(assert(pacs:studies { PatientID = "P2" }), "StudyInstanceUID"))
      end)

      it("has the right answers to each of many values behind the server " .. name, function()
        local pacs = client:modality(name)
        local by_value, missing = pacs:find_each("AccessionNumber", { "A1", "A3", "A9" }, { Query = { PatientName = "" } })
        assert(by_value, missing)
        assert.are.same({ "A9" }, missing)
        assert.are.same({ "1.2.1" }, values(by_value.A1, "StudyInstanceUID"))
        assert.are.same({ "1.2.3" }, values(by_value.A3, "StudyInstanceUID"))
      end)
    end

    -- ---- moves ----

    for _, name in ipairs(ORDINARY) do
      it("is moved as it was found, from the server " .. name, function()
        local pacs = client:modality(name)
        local found <close> = finds({ "1.2.3" }, name, "Study", { ModalitiesInStudy = "MG" })
        assert(pacs:move(found, { to = "archive", max = 1 }))
        assert.are.same({ 1, 2 }, arrived())
        local series <close> = finds({ "1.2.1.2" }, name, "Series", { PatientID = "P1", Modality = "SR" })
        assert(pacs:move(series, { to = "archive", max = 1 }))
        assert.are.same({ 2, 3 }, arrived())
        local patient <close> = finds({ "P3" }, name, "Patient", { PatientName = "Núñez*" })
        if name == "dcmqr" then -- it sends nothing at Patient level, and calls that a success
          return fails({ kind = "dicom", code = "incomplete" }, pacs:move(patient, { to = "archive", max = 1 }))
        end
        assert(pacs:move(patient, { to = "archive", max = 1 }))
        assert.are.same({ 4, 6 }, arrived())
      end)
    end

    it("moves each resource once that was said several times", function()
      local before = servers.qrd:count "C-MOVE"
      local found <close> = finds({ "1.2.1", "1.2.2" }, "qrd", "Study", { PatientID = "P1" })
      assert(client:modality("qrd"):move(found, { to = "archive", max = 2 }))
      assert.are.equal(2, servers.qrd:count "C-MOVE" - before)
      assert.are.same({ 2, 8 }, arrived())
    end)

    it("does not take the numbers of a query's answers for those of the result, from which some were removed", function()
      -- The query names each study once for each image.
      local found <close> = finds({ "1.2.1", "1.2.2" }, "qrd", "Study", { PatientID = "P1" })
      local query, same = client:query(found.ID), 0
      local answers = assert(query:answers())
      for i, answer in ipairs(answers) do
        if (found.answers[i] or {}).StudyInstanceUID == answer.StudyInstanceUID then
          same = i
        else
          local err = fails({ kind = "refused", code = "bad_identifier" }, query:move({ to = "archive" }, i))
          contains(err.message, "move_resources(\"Study\"")
        end
      end
      assert.are.same({ 0, 0 }, arrived())
      assert.is_true(same > 0 and #answers > 2)
      assert(query:move({ to = "archive" }, same))
      assert.are.equal(1, arrived()[1])
    end)

    it("does not move what is unproven, unless it is told to", function()
      local pacs = client:modality "qrd"
      local found <close> = finds({ "1.2.3", "1.2.4" }, "qrd", "Study", { StudyDescription = "Mammography", PatientID = "P2" })
      local err = fails({ kind = "refused", code = "unproven" }, pacs:move(found, { to = "archive" }))
      contains(err.message, "StudyDescription")
      assert.are.same({ 0, 0 }, arrived())
      assert(pacs:move(found, { to = "archive", unproven = "move" }))
      assert.are.same({ 2, 4 }, arrived())
    end)

    it("does not move an answer without its identifier", function()
      for _, name in ipairs { "absent", "blank", "star", "wild" } do
        local pacs = client:modality(name)
        local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "P1" } })
        assert.is_truthy(found.warning, name)
        local before = servers[name]:count "C-MOVE"
        fails({ kind = "refused" }, pacs:move(found, { to = "archive" }))
        assert.are.equal(before, servers[name]:count "C-MOVE", name)
      end
      assert.are.same({ 0, 0 }, arrived())
    end)

    it("does not move an image without a StudyInstanceUID, which dcmqrscp would take for everything", function()
      local peers = { us, archived, { "STORESCU", "127.0.0.1", 1 } }
      local broken <close> = dcmtk.dcmqrscp { aet = "BROKEN", peers = peers }
      local list = instances()
      list[#list + 1] = { PatientID = "BROKEN1", StudyInstanceUID = "", SeriesInstanceUID = "1.2.7.1", SOPInstanceUID = "1.2.7.1.1",
        SOPClassUID = list[1].SOPClassUID, Modality = "OT" }
      archive.send(list, { broken:modality() })
      local pacs = client:modality "broken"
      assert(pacs:configure { AET = broken.aet, Host = "127.0.0.1", Port = broken.port, create = true })
      local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "BROKEN1" } })
      assert.are.equal(1, #found.answers)
      assert.is_truthy(found.warning)
      fails({ kind = "refused" }, pacs:move(found, { to = "archive", max = 1 }))
      assert.are.same({ 0, 0 }, arrived())
      assert(pacs:remove())
    end)

    it("does not move one study of two patients", function()
      local pacs = client:modality "twins"
      local found <close> = assert(pacs:find { Level = "Study", Query = { StudyDate = "20230811" } })
      contains(found.warning, "another patient")
      fails({ kind = "refused" }, pacs:move(found, { to = "archive" }))
      assert.are.same({ 0, 0 }, arrived())
    end)

    it("does not move an answer of another level", function()
      for _, name in ipairs { "aspatient", "asimage" } do
        local pacs = client:modality(name)
        local found <close> = assert(pacs:find { Level = "Study", Query = { StudyDate = "20230811" } })
        assert.is_truthy(found.warning, name)
        fails({ kind = "refused" }, pacs:move(found, { to = "archive" }))
      end
      assert.are.same({ 0, 0 }, arrived())
    end)

    it("does not believe a success that did not happen", function()
      for name, sent in pairs { claims = 0, silent = 0, part = 3, dropped = 3 } do
        local pacs = client:modality(name)
        local found <close> = finds({ "1.2.2" }, name, "Study", { StudyInstanceUID = "1.2.2" })
        local moved, err = pacs:move(found, { to = "archive" })
        assert.is_nil(moved, name)
        assert.is_truthy(err, name)
        assert.are.equal(sent, #assert(target:get "/instances"), name)
        for _, id in ipairs(assert(target:get "/patients")) do
          assert(target:delete("/patients/" .. id))
        end
      end
    end)

    it("believes what has arrived, in spite of warnings", function()
      local pacs = client:modality "warns"
      local found <close> = finds({ "1.2.2" }, "warns", "Study", { StudyInstanceUID = "1.2.2" })
      assert(pacs:move(found, { to = "archive" }))
      assert.are.same({ 1, 4 }, arrived())
    end)

    it("moves a resource once that is in a list twice, and trims blanks", function()
      local pacs = client:modality "nolists"
      local before = servers.nolists:count "C-MOVE"
      local row = { StudyInstanceUID = "1.2.2" }
      assert.are.equal(2, #assert(pacs:move_resources("Study", { row, row }, { to = "archive" })))
      assert.are.equal(1, servers.nolists:count "C-MOVE" - before)
      assert(pacs:move_resources("Study", { StudyInstanceUID = "1.2.3 " }, { to = "archive" }))
      assert.are.same({ 2, 6 }, arrived())
    end)

    it("moves a list from a modality that knows no lists of UIDs", function()
      local list = { { StudyInstanceUID = "1.2.2" }, { StudyInstanceUID = "1.2.3" }, { StudyInstanceUID = "1.2.5" } }
      assert.are.equal(3, #assert(client:modality("nolists"):move_resources("Study", list, { to = "archive" })))
      assert.are.same({ 3, 8 }, arrived())
    end)

    it("gives the same error each time that a job is waited for", function()
      if version.number < 11101 then
        pending "no job before Orthanc 1.11.1 that could be waited for"
      end
      local found <close> = finds({ "1.2.3" }, "pacs", "Study", { StudyInstanceUID = "1.2.3" })
      local job = assert(client:modality("pacs"):move(found, { TargetAet = "NOBODY", Permissive = true, Synchronous = false }))
      local _, first = client:job(job):wait()
      local _, second = client:job(job):wait()
      assert.is_truthy(first)
      assert.are.equal(first.kind, second and second.kind)
      assert.are.equal(first.message, second.message)
    end)

    -- ---- values that cannot match ----

    it("refuses dates and times that nothing can match", function()
      local before = servers.qrd:count "C-FIND"
      for _, query in ipairs { { StudyDate = "2023-08-11" }, { StudyDate = "2023.08.11" }, { StudyDate = "11/08/2023" },
        { StudyDate = "20230812-20230801" }, { StudyDate = "-7d" }, { StudyTime = "10:15:00" }, { ModalitiesInStudy = "CT,MR" } } do
        fails({ kind = "refused" }, client:modality("qrd"):find { Level = "Study", Query = query })
      end
      assert.are.equal(before, servers.qrd:count "C-FIND")
    end)

    it("asks for a time range over midnight as two", function()
      for _, name in ipairs { "pacs", "dcmqr", "qrd" } do
        finds({ "1.2.2", "1.2.3" }, name, "Study", { StudyTime = "235000-001000" }):close()
      end
    end)

    -- ---- the command ----

    it("says in a verb what the server ignored, and moves no more than that", function()
      local url = "--url=" .. servers.us.url
      local done = command.run(url, "move", "qrd", "--to", "archive", "StudyDescription=*Chest*")
      assert.are_not.equal(0, done.status)
      contains(done.err, "StudyDescription")
      assert.are.same({ 0, 0 }, arrived())
      done = command.run(url, "move", "qrd", "--to", "archive", "ModalitiesInStudy=MG")
      assert.are.equal(0, done.status, done.err)
      contains(done.err, "ModalitiesInStudy")
      assert.are.same({ 1, 2 }, arrived())
    end)
  end)
end

describe("Patients that Orthanc takes for one", function()
  it("are said, since a C-MOVE of one of them sends all", function()
    local QUERY <const> = "00000000-0000-0000-0000-000000000000"
    local answers = json.array { { PatientID = "abc1" }, { PatientID = "B2" }, { PatientID = "ABC1 " }, { PatientID = "B2" } }
    local fake <close> = faultd.start {
      { path = "/modalities/pacs/query", to = faultd.route("/status", { code = 200, body = json.encode { ID = QUERY } }) },
      { path = "/queries/" .. QUERY .. "/answers", to = faultd.route("/status", { code = 200, body = json.encode(answers) }) },
    }
    local found = assert(modalua.connect(fake.url):modality "pacs":find { Level = "Patient", Query = {} })
    assert.are.same({ 3, 1 }, { #found.answers, found.repeated })
    contains(found.warning, "answer 3 is for Orthanc the same patient as another answer (PatientID = 'ABC1')")
  end)
end)
