-- Tests that filters with a value that their tag cannot have are refused before anything is sent: a PACS finds nothing by them, or
-- everything. spec/embed/values.c has more values; here each way to search is tried.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local versions = require "spec.support.versions"

local fails, contains, throws = expect.fails, expect.contains, expect.throws

local STEP = "ScheduledProcedureStepSequence"

-- Study-level filters that are refused: { tag, value, a part of the message }.
local BAD = {
  { "StudyDate", "2024-01-31", "StudyDate = '2024-01-31' is not a DICOM date: write 20240131" },
  { "StudyDate", "2024.01.31", "is not a DICOM date: write 20240131" },
  { "StudyDate", "01/02/2024", "is not a DICOM date (YYYYMMDD, or a range YYYYMMDD-YYYYMMDD)" },
  { "StudyDate", "today", "is not a DICOM date (YYYYMMDD" },
  { "StudyDate", "-7d", "StudyDate = '-7d' is not a DICOM date (YYYYMMDD" },
  { "StudyDate", "20230812-20230801", "ends before it begins; write 20230801-20230812" },
  { "StudyDate", "20230811 - 20230812", "is not a DICOM date: write 20230811-20230812" },
  { "StudyDate", "20230231", "there is no such day" },
  { "StudyDate", "20231301-", "is not a DICOM date" },
  { "StudyDate", "2023*", "is not a DICOM date: write 20230101-20231231" },
  { "StudyDate", "20240101\\20240102", "is a list" },
  { "StudyDate", "20230811–20230812", "looks like '-' (U+2013, en dash)" },
  { "0008,0020", "2024-01-31", "0008,0020 = '2024-01-31' is not a DICOM date: write 20240131" },
  { "StudyDate", "*", "is no value for a date: leave the filter out, or write ''" },
  { "StudyTime", "-", "is no value for a time: leave the filter out, or write ''" },
  { "StudyInstanceUID", "*", "is no value for a UID: leave the filter out, or write ''" },
  { "NumberOfStudyRelatedSeries", "*", "is no value for a whole number: leave the filter out, or write ''" },
  { "PatientName", "^", "has only delimiters" },
  { "PatientBirthDate", "1970-01-01", "is not a DICOM date: write 19700101" },
  { "StudyTime", "10:15:00", "is not a DICOM time: write 101500" },
  { "StudyTime", "25", "is not a DICOM time" },
  { "StudyInstanceUID", "1.2.*", "has a wildcard" },
  { "StudyInstanceUID", "1.2.3 ", "has a blank behind the UID: 1.2.3" },
  { "StudyInstanceUID", "1.2.x", "is not a UID" },
  { "StudyInstanceUID", "1." .. ("2"):rep(63), "has 65 characters" },
  { "ModalitiesInStudy", "CT,MR", "write CT\\MR" },
  { "ModalitiesInStudy", "ct", "write CT" },
  { "PatientSex", "F,M", "write F\\M" },
  { "AccessionNumber", ("A"):rep(17), "has 17 characters, but a short text (SH) has at most 16" },
  { "PatientID", ("A"):rep(65), "has 65 characters" },
  { "PatientID", "A\u{a0}1", "U+00A0, no-break space" },
  { "PatientID", "Ａ１", "U+FF21, full-width character): write 'A'" },
  { "PatientID", "A‑1", "U+2011, no-break hyphen): write '-'" },
  { "PatientID", "A1\u{200b}", "an invisible character (U+200B" },
  { "PatientID", " A1", "begins with a blank" },
  { "PatientName", "Mu\u{308}ller*", "write the composed character" },
  { "PatientName", "Doe\\Roe", "a name cannot be a list" },
  { "PatientName", "a=b=c=d", "more than three groups" },
}

-- Filters that are sent.
local GOOD = {
  { "StudyDate", "20230811" }, { "StudyDate", "20230811-" }, { "StudyDate", "-20230811" }, { "StudyDate", "20230801-20230811" },
  { "StudyDate", "" }, { "StudyTime", "1015" }, { "StudyTime", "10-11" }, { "StudyTime", "235000-001000" },
  { "StudyInstanceUID", "1.2\\1.3" }, { "ModalitiesInStudy", "CT\\MR" }, { "ModalitiesInStudy", "C*" }, { "AccessionNumber", "A?0*" },
  { "PatientID", "A\\B" }, { "PatientName", "Yamada^Tarou=山田^太郎" }, { "PatientName", "O'Brien-Núñez*" }, { "StudyDescription", "*CT – x*" },
}

for _, version in ipairs(versions) do
  describe("The value of a filter with the Orthanc " .. version.name, function()
    local servers, client, pacs

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary, extra = { DefaultEncoding = "Utf8" } })
      client = modalua.connect(servers.LOCAL.url)
      pacs = client:modality "pacs"
      assert(samples.store(modalua.connect(servers.PACS.url)))
      assert(samples.store(client))
    end)

    teardown(function()
      servers:close()
    end)

    before_each(function()
      expect.eventually(function() return #assert(client:queries()) == 0 end) -- a closed query is deleted in the background
    end)

    local function refused(part, none, err)
      contains(fails({ kind = "refused" }, none, err).message, part)
      assert.are.same({}, client:queries())
    end

    it("is refused by find if the tag cannot have it", function()
      for _, bad in ipairs(BAD) do
        refused(bad[3], pacs:find { Level = "Study", Query = { [bad[1]] = bad[2] } })
      end
      refused("SeriesNumber = '1*' has a wildcard", pacs:find { Level = "Series", Query = { SeriesNumber = "1*" } })
      refused("is not a whole number", pacs:find { Level = "Series", Query = { SeriesNumber = "one" } })
    end)

    it("is sent by find if the tag can have it", function()
      for _, good in ipairs(GOOD) do
        local found <close> = assert(pacs:find { Level = "Study", Query = { [good[1]] = good[2], PatientSex = "" } })
        assert.is_table(found.answers)
      end
      local found <close> = assert(pacs:find { Level = "Study", Query = { StudyDate = "20190304" } })
      assert.are.equal("20190304", found.answers[1].StudyDate)
    end)

    it("is sent as it is with keep, but not if it would become a range", function()
      local found <close> = assert(pacs:find { Level = "Study", keep = { "ModalitiesInStudy" }, Query = { ModalitiesInStudy = "ct" } })
      assert.is_table(found.answers)
      contains(fails({ kind = "refused" }, pacs:find { Level = "Study", Query = { ModalitiesInStudy = "ct" } }).message,
        "keep = { \"ModalitiesInStudy\" } sends it as it is")
      for _, value in ipairs { "-7d", "2024-01-31", "20230812-20230801" } do
        fails({ kind = "refused" }, pacs:find { Level = "Study", keep = { "StudyDate" }, Query = { StudyDate = value } })
      end
    end)

    it("is checked with Normalize = false too", function()
      fails({ kind = "refused" }, pacs:find { Level = "Study", Normalize = false, Query = { StudyDate = "-7d" } })
    end)

    it("is checked in find_each, in the list and in the Query", function()
      for _, bad in ipairs(BAD) do
        local blanks_or_list = bad[2]:find "^ " or bad[2]:find " $" or bad[2]:find("\\", 1, true) -- these have rules of their own
        if not blanks_or_list and not bad[2]:find "[*?]" and bad[2]:find "%w" then
          local err = fails({ kind = "refused", code = "bad_value", position = 1, value = bad[2] },
            pacs:find_each(bad[1], { bad[2] }, { Level = "Study", patterns = true }))
          contains(err.message, bad[3]:gsub("^.-' ", ""))
        end
      end
      refused("StudyDate = '-7d' is not a DICOM date", pacs:find_each("PatientID", { "A", "B" }, { Query = { StudyDate = "-7d" } }))
    end)

    it("is checked in worklists, in sequences too", function()
      refused("PatientBirthDate = '1970-01-01' is not a DICOM date: write 19700101", pacs:find_worklist { PatientBirthDate = "1970-01-01" })
      refused(STEP .. "[1].ScheduledProcedureStepStartDate = 'today' is not a DICOM date",
        pacs:find_worklist { [STEP] = { { ScheduledProcedureStepStartDate = "today" } } })
      refused("write CT\\MR", pacs:find_worklist { [STEP] = { { Modality = "CT,MR" } } })
      refused("PatientID = ' P1' begins with a blank", pacs:find_worklist { PatientID = " P1" })
      refused("is no value for a date: leave the filter out", pacs:find_worklist { [STEP] = { { ScheduledProcedureStepStartDate = "*" } } })
      refused("is not a DICOM date", pacs:find_worklist({ [STEP] = { { ["0040,0002"] = "-7d" } } }, { keep = { "0040,0002" } }))
    end)

    it("is checked when children are searched", function()
      local study = assert(pacs:find { Level = "Study", Query = { AccessionNumber = "A100001", StudyInstanceUID = "" } })
      assert(study:close())
      refused("SeriesDate = '2019-03-04' is not a DICOM date: write 20190304", pacs:series(study, { SeriesDate = "2019-03-04" }))
      refused("Modality = 'CT,MR' is not a DICOM list", pacs:series(study, { Modality = "CT,MR" }))
      assert.are.equal(3, #assert(pacs:series(study, { Modality = "CT\\MR" })))
    end)

    it("is checked by client:find, where keep lets it pass", function()
      for _, bad in ipairs(BAD) do
        contains(fails({ kind = "refused", path = "/tools/find" }, client:find { Level = "Study", Query = { [bad[1]] = bad[2] } }).message,
          bad[1] == "0008,0020" and "is not a DICOM date: write 20240131" or bad[3])
      end
      for _, good in ipairs(GOOD) do
        assert.is_table(assert(client:find { Level = "Study", Query = { [good[1]] = good[2] } }))
      end
      assert.are.equal(0, #assert(client:find { Level = "Study", keep = { "StudyInstanceUID" }, Query = { StudyInstanceUID = "1.2.x" } }))
      throws("'keep' must be a list of tags", client.find, client, { Level = "Study", keep = { 1 }, Query = {} })
    end)

    it("is checked by the verbs", function()
      local url = "MODALUA_URL=" .. servers.LOCAL.url
      for _, words in ipairs { "find pacs StudyDate=soon", "move pacs --to pacs StudyDate=soon", "find pacs -L Series StudyDate=soon" } do
        local result = command.shell(('%s "$M" %s'):format(url, words))
        assert.are.equal("", result.out)
        assert.are.equal(2, result.status)
        contains(result.err, "StudyDate = 'soon' is no date. Dates are written as 2024-01-31, 2024-01-01..2024-01-31, ")
      end
      local result = command.shell(('%s "$M" find pacs ModalitiesInStudy=CT,MR'):format(url))
      contains(result.err, "write CT\\MR")
      result = command.shell(('%s "$M" find pacs --keep ModalitiesInStudy ModalitiesInStudy=ct'):format(url))
      assert.are.equal(0, result.status)
    end)

    it("may have wildcards in a list of identifiers only with patterns = true", function()
      for _, tag in ipairs { "AccessionNumber", "PatientID", "StudyID" } do
        local err = fails({ kind = "refused", code = "bad_value", position = 2, value = "A1*" }, pacs:find_each(tag, { "A100001", "A1*" }))
        contains(err.message, "has a wildcard and may find several things: patterns = true allows that")
      end
      assert.is_true(#assert(pacs:find_each("AccessionNumber", { "A1*" }, { patterns = true }))["A1*"] > 5)
      assert.is_true(#assert(pacs:find_each("PatientName", { "SMITH*" }, { Level = "Study" }))["SMITH*"] > 1)
      throws("'patterns' must be a boolean", pacs.find_each, pacs, "PatientID", { "a" }, { patterns = 1 })
    end)

    describe("whose key is wrong", function()
      it("is refused with the keyword that may be meant, and keep is not advised", function()
        for key, part in pairs { PatientsName = "Did you mean PatientName?", Studydate = "Did you mean StudyDate?",
          StationNam = "Did you mean StationName?", Xyzzyxyzzy = "tags as gggg,eeee" } do
          local err = fails({ kind = "refused" }, pacs:find { Level = "Study", Query = { [key] = "20240131" } })
          contains(err.message, key .. " is no DICOM keyword")
          contains(err.message, part)
          assert.is_nil(err.message:find("keep", 1, true))
          throws(key .. " is no DICOM keyword", pacs.find_each, pacs, key, { "20240131" }, { Level = "Study" })
        end
        contains(fails({ kind = "refused" }, pacs:find { Level = "Study", Query = { StationName = "CT1" } }).message,
          "If the modality matches by it, add keep = { \"StationName\" }.")
      end)

      it("is refused where it would end the server, or belongs to no query", function()
        for _, key in ipairs { "fffe,e000", "FFFE-E00D", "fffee0dd", "Item", "ItemDelimitationItem", "SequenceDelimitationItem",
          "0000,0100", "0002,0010", "TransferSyntaxUID" } do
          for _, value in ipairs { "", "1" } do
            refused(key, pacs:find { Level = "Study", keep = { key }, Query = { PatientID = "x", [key] = value } })
            refused(key, pacs:find { Level = "Study", Normalize = false, Query = { PatientID = "x", [key] = value } })
            refused(key, pacs:find_worklist({ [key] = value }, { keep = { key } }))
            refused(key, pacs:find_worklist({ [STEP] = { { [key] = value } } }, { keep = { key } }))
            refused(key, client:find { Level = "Study", keep = { key }, Query = { [key] = value } })
          end
        end
        assert(client:system())
      end)

      it("is refused in the body of any request, from the sandbox too", function()
        for path, body in pairs {
          ["/modalities/pacs/query"] = { Level = "Study", Query = { ["fffe,e000"] = "1" } },
          ["modalities/pacs/find-worklist"] = { Query = { [STEP] = { { Item = "1" } } } },
          ["/modalities/pacs/move"] = { Level = "Study", Resources = { { ["fffe,e0dd"] = "1" } } },
          ["/tools/create-dicom"] = { Tags = { ["FFFEE00D"] = "1" } },
          ["//tools/create-dicom"] = '{"Tags":{/*"*/"\\u0066ffe,e000" /**/ :"1"}}',
        } do
          refused("ends the server", client:post(path, body))
        end
        local result = command.run("--sandbox", "-u", servers.LOCAL.url, "-e",
          [[print(require "modalua".connect():post("/modalities/pacs/query", { Level = "Study", Query = { ["fffe,e000"] = "1" } }))]])
        contains(result.out, "ends the server")
        assert(client:system())
      end)
    end)
  end)
end
