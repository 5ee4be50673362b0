-- Tests worklist queries, against Orthanc's own plug-in, and against DCMTK's server, which ignores filters that it does not know.
local dcmtk = require "spec.support.dcmtk"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local versions = require "spec.support.versions"
local worklists = require "spec.support.worklists"

local fails, contains, throws = expect.fails, expect.contains, expect.throws
local json = modalua.json

local STEP = "ScheduledProcedureStepSequence"
local PATIENTS = {
  { PatientID = "P1", PatientName = "DOE^JANE", Modality = "CT", AETitle = "CT1", Physician = "HOUSE^GREGORY", Date = "20260102" },
  { PatientID = "P2", PatientName = "M\xFCller^J\xF6rg", charset = "ISO_IR 100", Modality = "MR", AETitle = "MR1" },
  { PatientID = "P3", PatientName = "\xB8\xD2\xD0\xDD\xDE\xD2^\xB8\xD2\xD0\xDD", charset = "ISO_IR 144", Modality = "US", AETitle = "US1" },
  { PatientID = "P4", PatientName = "Yamada^Tarou=山田^太郎", Modality = "CT", AETitle = "CT2", Physician = "佐藤^花子" },
}

local function ids(list)
  local found = {}
  for i, answer in ipairs(list) do
    found[i] = answer.PatientID
  end
  table.sort(found)
  return table.concat(found, " ")
end

for _, version in ipairs(versions) do
  describe("A worklist query with the Orthanc " .. version.name, function()
    local folder, ris, wlm, peer, server, client, worklist, careless

    setup(function()
      folder = worklists.folder(PATIENTS)
      local ports = orthanc.free_ports(1)
      local modalities = { local_one = { "LOCAL", "127.0.0.1", ports[1] } }
      ris = orthanc.start(worklists.options(folder, { aet = "RIS", binary = version.binary, modalities = modalities,
        extra = { DefaultEncoding = "Utf8" } }))
      wlm = dcmtk.wlmscpfs { aet = "WORKLIST", path = folder.path }
      peer = dicomd.start()
      server = orthanc.start { aet = "LOCAL", binary = version.binary, dicom_port = ports[1], modalities = { ris = ris:modality(),
        wlm = wlm:modality(), none = peer:modality "NOFIND", refuses = peer:modality "FSTA700", mute = peer:modality "MUTE" } }
      client = modalua.connect(server.url)
      worklist, careless = client:modality "ris", client:modality "wlm"
    end)

    teardown(function()
      server:close()
      ris:close()
      wlm:close()
      peer:close()
      folder:close()
    end)

    before_each(function()
      assert(client:put("/tools/default-encoding", "Utf8"))
    end)

    local function find(query, options)
      query.PatientID = query.PatientID or ""
      return assert(worklist:find_worklist(query, options))
    end

    local function refuses(part, query)
      local err = fails({ kind = "refused", op = "find_worklist", path = "/modalities/ris/find-worklist", method = "POST" },
        worklist:find_worklist(query))
      contains(err.message, part)
    end

    it("can filter by tags of the top level and of the scheduled step", function()
      assert.are.equal("P1 P2 P3 P4", ids(find {}))
      assert.are.equal("P1", ids(find { PatientName = "DOE*" }))
      assert.are.equal("P1 P4", ids(find { [STEP] = { { Modality = "CT" } } }))
      assert.are.equal("P4", ids(find { [STEP] = { { Modality = "CT", ScheduledStationAETitle = "CT2" } } }))
      assert.are.equal("P1", ids(find { [STEP] = { { ScheduledProcedureStepStartDate = 20260102 } } }))
      assert.are.equal("P1", ids(find { ["0040-0100"] = { { ["00400001"] = "CT1" } } }))
      assert.are.equal("", ids(find { [STEP] = { { Modality = "XA" } } }))
      assert.are.equal("P3", ids(find { RequestedProcedureID = "RP3" }))
    end)

    it("returns the requested tags, also those without a filter", function()
      local answer = { SpecificCharacterSet = "ISO_IR 192", PatientID = "P1", [STEP] = { { Modality = "CT" } } }
      assert.are.same({ answer }, find { PatientID = "P1", [STEP] = { { Modality = "" } } })
      assert.are.same({ answer }, find { PatientID = "P1", [STEP] = { { Modality = json.null } } })
      answer[STEP] = { { Modality = "CT", ScheduledStationAETitle = "CT1", ScheduledProcedureStepStartDate = "20260102",
        ScheduledProcedureStepStartTime = "101500", ScheduledPerformingPhysicianName = "HOUSE^GREGORY" } }
      for _, whole in ipairs { {}, "", json.null, json.array {}, { {} } } do
        assert.are.same({ answer }, find { PatientID = "P1", [STEP] = whole })
      end
      assert.are.same({ answer }, find { PatientID = "P1", ["0040,0100"] = json.null })
      assert.are.equal("P1", ids(find { PatientID = "P1", [STEP] = { { ScheduledProtocolCodeSequence = "" } } }))
      assert.are.equal(4, #assert(worklist:find_worklist {}))
    end)

    it("returns answers in each of the formats", function()
      local query = { PatientID = "P1", [STEP] = { { Modality = "" } } }
      local short = { ["0008,0005"] = "ISO_IR 192", ["0010,0020"] = "P1", ["0040,0100"] = { { ["0008,0060"] = "CT" } } }
      assert.are.same({ short }, find(query, { short = true }))
      assert.are.equal("CT", find(query, { simplify = true })[1][STEP][1].Modality)
      local full = find(query, { simplify = false })[1]
      assert.are.same({ Name = "PatientID", Type = "String", Value = "P1" }, full["0010,0020"])
      assert.are.same({ { ["0008,0060"] = { Name = "Modality", Type = "String", Value = "CT" } } }, full["0040,0100"].Value)
      throws("simplify and short can't be both", worklist.find_worklist, worklist, query, { simplify = true, short = true })
    end)

    describe("loses no filter:", function()
      it("refuses a filter in the wrong place, and names the right place", function()
        refuses("the filter Modality = 'CT' is in the wrong place, where modalities ignore it and return more than asked: "
          .. "it belongs in ScheduledProcedureStepSequence = { { Modality = 'CT' } }", { Modality = "CT" })
        refuses("{ { ScheduledStationAETitle = 'CT1' } }", { ["0040,0001"] = "CT1" })
        refuses("the filter ScheduledProcedureStepSequence[1].PatientID = 'P1' is in the wrong place",
          { [STEP] = { { PatientID = "P1" } } })
        refuses("it belongs at the top of the query", { [STEP] = { { ["0010,0010"] = "DOE*" } } })
        refuses("it belongs at the top of the query", { RequestedProcedureCodeSequence = { { PatientSex = "F" } } })
        refuses("it belongs in a sequence of codes", { [STEP] = { { CodeValue = "X" } } })
        refuses("it belongs at the top of the query", { [STEP] = { { SpecificCharacterSet = "ISO_IR 192" } } })
        refuses("worklists have no levels", { QueryRetrieveLevel = "STUDY" })
        refuses("worklists do not have this tag", { SeriesDescription = "chest" })
        assert.are.equal("P1 P2 P3 P4", ids(find { Modality = "", SeriesDescription = "", [STEP] = { { PatientName = "" } } }))
      end)

      it("refuses filters that a server such as DCMTK's would ignore", function()
        local all = { PatientID = "" }
        assert.are.equal("P1 P2 P3 P4", ids(assert(careless:find_worklist(all))))
        assert.are.equal("P1 P4", ids(assert(careless:find_worklist { PatientID = "", [STEP] = { { Modality = "CT" } } })))
        for _, query in ipairs { { Modality = "XA" }, { ScheduledStationAETitle = "XA" }, { [STEP] = { { PatientID = "XA" } } },
          { QueryRetrieveLevel = "STUDY" }, { SeriesDescription = "chest" } } do
          query.PatientID = ""
          local asked = json.object { Query = query }
          assert.are.equal("P1 P2 P3 P4", ids(assert(client:post("/modalities/wlm/find-worklist", asked))))
          fails({ kind = "refused" }, careless:find_worklist(query))
        end
      end)

      it("removes the answers that contradict a filter, and says how many", function()
        for _, format in ipairs { {}, { short = true }, { simplify = false } } do
          local list = careless:find_worklist({ StudyInstanceUID = "1.2.3.9", [STEP] = { { Modality = "MR" } } }, format)
          assert.are.same({ {}, { StudyInstanceUID = 1 } }, { list, list.ignored })
          contains(list.warning, "answers that contradict the filter StudyInstanceUID")
        end
        assert.are.equal("P2", ids(assert(careless:find_worklist { PatientID = "", StudyInstanceUID = "1.2.3.2",
          [STEP] = { { Modality = "MR" } } })))
      end)

      it("refuses a filter that Orthanc would send without its value", function()
        refuses("the filter 0040,fff1 = 'x' may be lost", { ["0040,fff1"] = "x" })
        refuses("ScheduledProcedureStepSequence[1].0041,1010 = 'x' may be lost", { [STEP] = { { ["0041,1010"] = "x" } } })
        -- The filter was lost here: this is the reason for the refusal.
        assert.are.equal("P1 P2 P3 P4", ids(find({ ["0009,1001"] = "x" }, { keep = { "0009,1001" } })))
      end)

      it("sends such a filter if the caller says that the modality matches it", function()
        assert.are.equal("", ids(find({ Modality = "CT" }, { keep = { "Modality" } })))
        assert.are.equal("", ids(find({ ScheduledStationAETitle = "CT1" }, { keep = { "0040,0001" } })))
        assert.are.equal("", ids(find({ ["0040,0001"] = "CT1" }, { keep = { "ScheduledStationAETitle" } })))
        throws("'keep' must be a list of tags", worklist.find_worklist, worklist, {}, { keep = { 1 } })
      end)

      it("refuses a sequence of two items, because one would be ignored", function()
        refuses("ScheduledProcedureStepSequence has 2 items", { [STEP] = { { Modality = "CT" }, { Modality = "MR" } } })
      end)

      it("refuses the same tag twice, because one would be lost", function()
        throws("are the same tag", worklist.find_worklist, worklist, { PatientID = "P1", ["0010,0020"] = "P2" })
        throws("are the same tag", worklist.find_worklist, worklist, { [STEP] = { { Modality = "CT", ["0008-0060"] = "MR" } } })
        refuses("may be the same tag", { InstitutionalDepartmentName = "X", ["0008,1040"] = "" })
        -- The same tag in two places is not a duplicate.
        assert.are.equal("P1", ids(find { PatientID = "P1", [STEP] = { { ["0010,0020"] = "" } } }))
      end)

      it("refuses control characters, and lists with an empty element", function()
        for _, value in ipairs { "P1\0", "P\n1", "P1\r", "\127" } do
          refuses("the filter PatientID holds a control character", { PatientID = value })
          refuses("the filter ScheduledProcedureStepSequence[1].Modality holds a control character", { [STEP] = { { Modality = value } } })
        end
        refuses("a list with an empty element", { [STEP] = { { ScheduledStationAETitle = "CT1\\" } } })
      end)
    end)

    it("accepts strings, whole numbers and null, and names the place of any other value", function()
      local function wrong(part, query)
        throws(part, worklist.find_worklist, worklist, query)
      end
      wrong("find_worklist: ScheduledProcedureStepSequence[1].Modality must be a string (a boolean was given)",
        { [STEP] = { { Modality = true } } })
      wrong("PatientID must be a string (a number was given)", { PatientID = 1.5 })
      wrong("PatientID must be a string (a table was given, but it is not a sequence)", { PatientID = {} })
      wrong("StudyDescription must be a string (a table was given, but it is not a sequence)", { StudyDescription = {} })
      wrong("ScheduledProcedureStepSequence is a sequence: a list with one table in it", { [STEP] = "CT" })
      wrong("must be a list with one table in it: ScheduledProcedureStepSequence = { { … } }", { [STEP] = { Modality = "CT" } })
      wrong("must be a list with one table in it", { [STEP] = { { ScheduledStationAETitle = "" }, Modality = "CT" } })
      wrong("must be a list with one table in it", { [STEP] = { [2] = { Modality = "CT" } } })
      wrong("OtherPatientIDsSequence is a sequence", { OtherPatientIDsSequence = "P1" })
      wrong("ScheduledProcedureStepSequence[1] must be a table of tags (a string was given)", { [STEP] = { "CT" } })
      wrong("ScheduledProcedureStepSequence[1] must be a table of tags (a null was given)", { [STEP] = { json.null } })
      wrong("the keys of the query must be tags (a number was given)", { "CT" })
      wrong("the keys of ScheduledProcedureStepSequence[1] must be tags (a number was given)", { [STEP] = { { "CT" } } })
      wrong("must be a plain table", setmetatable({}, { __index = { PatientID = "P1" } }))
      local loop = {}
      loop.Xyzzy = { loop }
      wrong("is nested too deeply", loop)
      throws("table expected, got nil", function() worklist:find_worklist() end)
      throws("table expected, got string", function() worklist:find_worklist "P1" end)
    end)

    it("checks its options, and recognizes options among the tags", function()
      for _, name in ipairs { "Timeout", "Query", "wait_timeout", "extra", "simplify" } do
        throws(("'%s' is not a tag; the tags are the first argument"):format(name), worklist.find_worklist, worklist, { [name] = 1 })
      end
      for name, part in pairs { Timeot = "did you mean 'Timeout'?", Simplify = "use simplify = true", Full = "simplify = false",
        Query = "the tags are the first argument", LocalAet = "Orthanc ignores it for worklists", Short = "short = true" } do
        throws(part, worklist.find_worklist, worklist, {}, { [name] = true })
      end
      throws("'Timeout' must be a whole number of seconds", worklist.find_worklist, worklist, {}, { Timeout = 0 })
      assert.are.equal("P1", ids(find({ PatientID = "P1" }, { Timeout = 60, wait_timeout = 60, extra = { Xyzzy = 1 } })))
    end)

    it("names a tag that the server does not know, and suggests the right one", function()
      local err = fails({ kind = "orthanc", code = "unknown_tag", orthanc_status = 27 },
        worklist:find_worklist { PatientsName = "", [STEP] = { { Modalty = "CT" } } })
      contains(err.message, "modalua does not know PatientsName: did you mean PatientName?")
      contains(err.message, "modalua does not know Modalty: did you mean Modality?")
      err = fails({ code = "unknown_tag" }, worklist:find_worklist { Xyzzyxyzzyxyzzy = "" })
      contains(err.message, "modalua does not know Xyzzyxyzzyxyzzy (names are case-sensitive")
    end)

    describe("with characters beyond ASCII", function()
      it("finds the right entries and no others, with any character set of the server", function()
        for _, encoding in ipairs { "Latin1", "Utf8", "Cyrillic" } do
          assert(client:put("/tools/default-encoding", encoding))
          for name, id in pairs { ["Müller*"] = "P2", ["Иванов*"] = "P3", ["*山田*"] = "P4", ["Жуков*"] = "", ["鈴木*"] = "" } do
            assert.are.equal(id, ids(find { PatientName = name }), name .. " by " .. encoding)
          end
          assert.are.equal("P4", ids(find { [STEP] = { { ScheduledPerformingPhysicianName = "佐藤*" } } }))
          assert.are.equal("", ids(find { [STEP] = { { ScheduledPerformingPhysicianName = "鈴木*" } } }))
        end
      end)

      it("is refused if the character set that the caller chose lacks a character", function()
        refuses("the filters have characters that SpecificCharacterSet = 'ISO_IR 100'",
          { PatientName = "Иванов", SpecificCharacterSet = "ISO_IR 100" })
        refuses("the filters have characters that SpecificCharacterSet = 'ISO_IR 144'",
          { [STEP] = { { ScheduledPerformingPhysicianName = "佐藤*" } }, ["0008,0005"] = "ISO_IR 144" })
        refuses("UTF-8", { PatientName = "M\xFCller*" })
        assert.are.equal("P3", ids(find { PatientName = "Иванов*", SpecificCharacterSet = "ISO_IR 144" }))
      end)

      it("warns if answers may lack characters, also in a sequence", function()
        assert(client:put("/tools/default-encoding", "Latin1"))
        local list = find { PatientID = "P3", PatientName = "" }
        assert.are.equal("^", list[1].PatientName)
        contains(list.warning, "Latin1")
        contains(list.warning, "it shows in PatientName of answer 1")
        for _, options in ipairs { {}, { short = true }, { simplify = false } } do
          local lossy = worklist:find_worklist({ PatientID = "P4", [STEP] = { { ScheduledPerformingPhysicianName = "" } } }, options)
          contains(lossy.warning, "it shows in ScheduledPerformingPhysicianName of answer 1")
        end
        assert(client:put("/tools/default-encoding", "Utf8"))
        list = find { PatientID = "P4", PatientName = "" }
        assert.are.equal("Yamada^Tarou=山田^太郎", list[1].PatientName)
        assert.is_nil(list.warning)
      end)
    end)

    describe("that fails", function()
      it("says that the modality has no worklists", function()
        fails({ kind = "dicom", code = "unsupported", status = 500, op = "find_worklist",
          orthanc_status = version.number < 11206 and 2016 or 2015 }, client:modality "none":find_worklist { PatientID = "" })
      end)

      it("says why", function()
        fails({ kind = "dicom", dimse_status = 0xA700 }, client:modality "refuses":find_worklist { PatientID = "" })
        fails({ kind = "orthanc", code = "unknown_modality" }, client:modality "nosuch":find_worklist { PatientID = "" })
        fails({ kind = "timeout", still_running = true }, client:modality "mute":find_worklist({ PatientID = "" }, { wait_timeout = 1 }))
      end)

      it("is not sent again", function()
        local before = select(2, peer:log():gsub("C%-FIND", ""))
        fails({ kind = "dicom" }, client:modality "refuses":find_worklist { PatientID = "" })
        assert.are.equal(before + 1, (select(2, peer:log():gsub("C%-FIND", ""))))
      end)
    end)
  end)
end

describe("A worklist answer that does not match the query", function()
  local function answered(query, answers)
    local fake <close> = faultd.start { { path = "/modalities/pacs/find-worklist",
      to = faultd.route("/status", { code = 200, body = json.encode(answers) }) } }
    return modalua.connect(fake.url):modality "pacs":find_worklist(query)
  end

  local function step(tags)
    return { [STEP] = { tags } }
  end

  it("is removed, also for tags of the step", function()
    for _, case in ipairs {
      { { PatientID = "P1" }, { PatientID = "P2" } }, { { PatientID = 12 }, { PatientID = "123" } },
      { { AccessionNumber = "A" }, { AccessionNumber = "B\\C" } }, { { ["0040,1001"] = "X" }, { RequestedProcedureID = "Y" } },
      { step { Modality = "CT" }, step { Modality = "MR" } }, { step { ScheduledStationAETitle = "A" }, step { ["0040,0001"] = "AB" } },
      { step { ScheduledProcedureStepStartDate = "20260101" }, step { ScheduledProcedureStepStartDate = "20260102" } },
    } do
      local list = answered(case[1], { case[2] })
      assert.are.same({}, list)
      contains(list.warning, next(list.ignored))
    end
  end)

  it("is accepted if it may match", function()
    for _, case in ipairs {
      { { PatientID = "p1 " }, { PatientID = "P1" } }, { { PatientID = "P1" }, { PatientID = " P1  " } },
      { { PatientID = "P1" }, { PatientID = "" } }, { { PatientID = "1Ä" }, { PatientID = "1" } },
      { { PatientID = "P?" }, { PatientID = "P1" } }, { { PatientID = "A\\B" }, { PatientID = "B" } },
      { { PatientID = "P1" }, { AccessionNumber = "A" } },
      { { PatientName = "doe^j" }, { PatientName = "DOE^J=X" } }, { step { Modality = "CT" }, step { Modality = "SR\\CT" } },
      { step { Modality = "CT" }, { PatientID = "" } }, { step { Modality = "CT" }, { [STEP] = {} } },
      { step { Modality = "" }, step { Modality = "MR" } },
      { step { ScheduledProcedureStepStartDate = "20260101-" }, step { ScheduledProcedureStepStartDate = "20260102" } },
      { step { ScheduledProcedureStepStartTime = "10" }, step { ScheduledProcedureStepStartTime = "101500" } },
    } do
      assert.are.equal(1, #assert(answered(case[1], { case[2] })))
    end
  end)
end)

describe("An invalid answer to a worklist query", function()
  it("is an error, and the query is sent only once", function()
    local fake <close> = faultd.start {
      { path = "/modalities/odd/find-worklist", to = faultd.route("/status", { code = 200, body = '{"PatientID":"P1"}' }) },
      { path = "/modalities/drop/find-worklist", to = faultd.route "/drop" },
    }
    local client = modalua.connect(fake.url)
    fails({ kind = "decode" }, client:modality "odd":find_worklist { PatientID = "" })
    fails({ kind = "network" }, client:modality "drop":find_worklist { PatientID = "" })
    assert.are.equal(1, assert(client:get("/count", { of = "/modalities/drop/find-worklist" })))
  end)
end)

describe("A worklist query for times over midnight", function()
  local PATH <const> = "/modalities/pacs/find-worklist"

  -- A list for a step that has this time, as an answer.
  local function at(time, code)
    local list = { { PatientID = time, [STEP] = { { ScheduledProcedureStepStartTime = time } } } }
    return { path = PATH, to = faultd.route("/status", { code = code or 200, body = json.encode(list) }), times = 1 }
  end

  local function ask(...)
    local fake <close> = faultd.start { ... }
    local client = modalua.connect(fake.url)
    local list, err = client:modality "pacs":find_worklist { PatientID = "",
      [STEP] = { { ScheduledProcedureStepStartTime = "2200-0200" } } }
    return list, err, assert(client:get("/count", { of = PATH })), assert(client:get("/last", { of = PATH })).body
  end

  it("is two queries, whose answers are one list", function()
    local list, err, count, last = ask(at "230000", at "010000")
    assert.is_table(list, tostring(err))
    assert.are.same({ "230000", "010000", 2 }, { list[1].PatientID, list[2].PatientID, count })
    contains(last, "000000-0200")
  end)

  it("fails when one of the two fails", function()
    local list, err = ask(at "230000", at("010000", 500))
    fails({ kind = "http" }, list, err)
  end)
end)
