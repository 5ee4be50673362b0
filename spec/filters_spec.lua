-- Tests how modalua protects searches: filters that would be lost, lost characters, and queries that remain on the server.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local eventually, fails, contains, throws = expect.eventually, expect.fails, expect.contains, expect.throws

-- Returns the C-FINDs in the log of a peer, the oldest first, each as a table tag -> value.
local function searches(log)
  local list = {}
  for line in log:gmatch "C%-FIND ([^\n]*)" do
    local one = {}
    for tag, value in line:gsub(" (%x%x%x%x,%x%x%x%x=)", "\n%1"):gmatch "\n(%x+,%x+)=([^\n]*)" do
      one[tag] = value
    end
    list[#list + 1] = one
  end
  return list
end

-- Level, character set, and the copy of a SOPInstanceUID that Orthanc adds: these do not restrict a search.
local NO_FILTERS = { ["0008,0052"] = true, ["0008,0005"] = true, ["0002,0003"] = true }

-- Returns the tags of a C-FIND that restrict the search.
local function filters(search)
  local values = {}
  for tag, value in pairs(search) do
    if value ~= "" and not NO_FILTERS[tag] then
      values[tag] = value
    end
  end
  return values
end

local function sorted(list)
  table.sort(list)
  return list
end

local NAMES = {
  ["MOD-0001"] = "Müller^Jörg", ["MOD-0002"] = "SMITH^JOHN^A^DR", ["MOD-0003"] = "SMITH^JOHN", ["03HD012"] = "Dupré^Hélène^^Mme",
  ["03HD044"] = "Lindström^Åsa", ["JP-77001"] = "Yamada^Tarou=山田^太郎=やまだ^たろう",
  ["JP-77002"] = "Satou^Hanako=佐藤^花子=さとう^はなこ", ["RU-5501"] = "Иванов^Иван^Иванович", ["GR-204"] = "Παπαδόπουλος^Νίκος",
  ["CN-8800"] = "Wang^XiaoDong=王^小东", ["QA PHANTOM"] = "", ["MOD-0012"] = "O'Brien-Núñez^María José",
}

for _, version in ipairs(versions) do
  describe("A search with the Orthanc " .. version.name, function()
    local servers, client, pacs, peer, ok, seen

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary, extra = { DefaultEncoding = "Utf8" } })
      peer = dicomd.start()
      client = modalua.connect(servers.LOCAL.url)
      for name, aet in pairs { ok = "OK3", utf = "XUTF8" } do
        assert(client:put("/modalities/" .. name, peer:modality(aet)))
      end
      pacs, ok = client:modality "pacs", client:modality "ok"
      assert(samples.store(modalua.connect(servers.PACS.url)))
    end)

    teardown(function()
      servers:close()
      peer:close()
    end)

    before_each(function()
      assert(client:put("/tools/default-encoding", "Latin1"))
      for _, id in ipairs(assert(client:queries())) do
        assert(client:query(id):close())
      end
      seen = #searches(peer:log())
    end)

    -- Asserts that this test has sent one C-FIND to the peer, and returns it.
    local function search()
      local all = searches(peer:log())
      assert.are.equal(seen + 1, #all)
      return all[#all]
    end

    local function nothing_sent()
      assert.are.equal(seen, #searches(peer:log()))
      assert.are.same({}, client:queries())
    end

    local function refuses(part, data, modality)
      data.Level = data.Level or "Study"
      local err = fails({ kind = "refused", op = "find" }, (modality or ok):find(data))
      contains(err.message, part)
      nothing_sent()
    end

    describe("loses no filter:", function()
      it("refuses a filter that the level does not have, and names the right tag", function()
        refuses("Modality is not a Study-level attribute: Orthanc would ignore this filter and return more than asked. "
          .. "Use ModalitiesInStudy.", { Query = { Modality = "CT" } })
        refuses("Use ModalitiesInStudy.", { Query = { PatientID = "FP1", ["0008,0060"] = "CT" } })
        refuses("Use ModalitiesInStudy.", { Query = { ["00080060"] = "CT" } })
        refuses("Use SOPClassesInStudy.", { Query = { SOPClassUID = "1.2.840.10008.5.1.4.1.1.2" } })
        refuses("Use Modality.", { Level = "Series", Query = { ModalitiesInStudy = "CT" } })
        refuses("Search at Level = \"Study\".", { Level = "Patient", Query = { StudyDate = "20240101-" } })
        refuses("Search at Level = \"Study\".", { Level = "Patient", Query = { ModalitiesInStudy = "CT" } })
        refuses("Search at Level = \"Series\".", { Query = { SeriesDescription = "*chest*" } })
        refuses("Search at Level = \"Instance\".", { Query = { SOPInstanceUID = "1.2.3" } })
        refuses("Search at Level = \"Instance\".", { Level = "Series", Query = { InstanceNumber = 3 } })
        refuses("Only worklists can be searched by a sequence.", { Level = "Series", Query = { RequestAttributesSequence = "x" } })
        refuses("keep = { \"0009,1001\" }", { Query = { ["0009,1001"] = "x" } })
      end)

      it("refuses a filter with a wrong name, and suggests the right name", function()
        refuses("Did you mean PatientName?", { Query = { PatientsName = "DOE*" } })
        refuses("Did you mean PatientID?", { Query = { patientID = "FP1" } })
        refuses("Did you mean ModalitiesInStudy?", { Query = { ModalityInStudy = "CT" } })
      end)

      it("sends the unique key and the patient's name at every level", function()
        for level, tag in pairs { Patient = "0010,0020", Study = "0020,000d", Series = "0020,000e", Instance = "0008,0018" } do
          seen = #searches(peer:log())
          local found <close> = assert(ok:find { Level = level, relational = true, Query = { [tag] = "1.2.3.4", PatientName = "DOE*" } })
          assert.are.same({}, found.dropped)
          assert.are.same({ ["0010,0010"] = "DOE*", [tag] = "1.2.3.4" }, filters(search()))
        end
      end)

      it("finds only studies with the modality at a real PACS", function()
        refuses("ModalitiesInStudy", { Query = { Modality = "MG" } }, pacs)
        local found <close> = assert(pacs:find { Level = "Study", Query = { ModalitiesInStudy = "MG", PatientID = "" } })
        assert.are.equal(1, #found.answers)
        assert.are.equal("03HD012", found.answers[1].PatientID)
      end)

      it("lists return keys that the level does not have, and still sends the filters", function()
        local found <close> = assert(ok:find { Level = "Study",
          Query = { PatientID = "FP1", StudyDescription = "", SeriesDescription = "", Modality = "*", ["0009,1001"] = "" } })
        assert.are.same({ "0009,1001", "Modality", "SeriesDescription" }, sorted(found.dropped))
        local sent = search()
        assert.are.same({ ["0010,0020"] = "FP1" }, filters(sent))
        assert.are.equal("", sent["0008,1030"])
        assert.is_nil(sent["0008,103e"])
        assert.is_nil(sent["0009,1001"])
        assert.are.equal(1, #found.answers) -- the peer answers three times, and two are about other patients
        assert.are.same({ PatientID = 2 }, found.ignored)
      end)

      it("accepts a tag name that only the server knows, and reports an unknown one", function()
        local found <close> = assert(ok:find { Level = "Study", Query = { PatientID = "FP1", StationName = "" } })
        assert.are.same({ "StationName" }, found.dropped)
        local err = fails({ kind = "orthanc", status = 400 }, ok:find { Level = "Study", Query = { PatientID = "FP1", Xyzzy = "" } })
        contains(err.message, "names are case-sensitive")
      end)
    end)

    describe("with the option keep", function()
      it("sends exactly the kept tags besides the tags of the level", function()
        local found <close> = assert(ok:find { Level = "Study", keep = { "0009,1001", "StationName" },
          Query = { PatientID = "FP1", ["00091001"] = "secret", StationName = "CT1", Modality = "", StudyDate = "20260101" } })
        assert.are.same({ "Modality" }, found.dropped)
        local sent = search()
        assert.are.same({ ["0009,1001"] = "secret", ["0008,1010"] = "CT1", ["0010,0020"] = "FP1", ["0008,0020"] = "20260101" },
          filters(sent))
        assert.is_nil(sent["0008,0060"])
      end)

      it("refuses a list with an empty element, which could match everything", function()
        for _, uids in ipairs { "1.2\\", "\\1.2", "1.2\\\\1.3", "\\" } do
          local none, err = ok:find { Level = "Study", Query = { StudyInstanceUID = uids } }
          assert.are.same({ nil, "refused" }, { none, err.kind })
          contains(err.message, "empty element")
        end
        assert(ok:find { Level = "Study", Query = { StudyInstanceUID = "1.2\\1.3" } }):close()
      end)

      it("refuses two names that could be the same tag", function()
        for _, data in ipairs { { Level = "Study", Normalize = false, Query = { Manufacturer = "", ["0008,0070"] = "ACME" } },
          { Level = "Study", keep = { "0008,0070" }, Query = { Manufacturer = "", ["0008,0070"] = "ACME" } } } do
          local none, err = ok:find(data)
          assert.are.same({ nil, "refused" }, { none, err.kind })
          contains(err.message, "may be the same tag")
        end
      end)

      it("still checks the other filters", function()
        refuses("ModalitiesInStudy", { keep = { "0009,1001" }, Query = { ["0009,1001"] = "secret", Modality = "CT" } })
        throws("'keep' must be a list of tags", ok.find, ok, { Level = "Study", keep = { 9 }, Query = { ["0009,1001"] = "x" } })
      end)
    end)

    it("sends the query unchanged with Normalize = false", function()
      local found <close> = assert(ok:find { Level = "Study", Normalize = false,
        Query = { Modality = "CT", PatientID = "FP1", ["0009,1001"] = "x", SeriesDescription = "" } })
      assert.are.same({}, found.dropped)
      local sent = search()
      assert.are.same({ ["0008,0060"] = "CT", ["0010,0020"] = "FP1", ["0009,1001"] = "x" }, filters(sent))
      assert.are.equal("", sent["0008,103e"])
    end)

    describe("throws an error if", function()
      it("the same tag is given twice", function()
        for _, query in ipairs {
          { PatientID = "a", ["0010,0020"] = "b" }, { ["0010,0020"] = "a", ["0010-0020"] = "a" }, { ["0008103e"] = "", ["0008103E"] = "" },
          { Modality = "", ["0008,0060"] = "" }, { SpecificCharacterSet = "ISO_IR 192", ["0008,0005"] = "" },
        } do
          throws("are the same tag", ok.find, ok, { Level = "Study", Query = query })
        end
        nothing_sent()
      end)

      it("a filter is not a text, the level does not exist, or a key is unknown", function()
        throws("the filter 'PatientID' is a table", ok.find, ok, { Level = "Study", Query = { PatientID = {} } })
        throws("must be a string (a null was given)", ok.find, ok, { Level = "Study", Query = { PatientID = modalua.json.null } })
        throws("must be a string (a boolean was given)", ok.find, ok, { Level = "Study", Query = { PatientID = false } })
        throws("keys of Query must be tags", ok.find, ok, { Level = "Study", Query = { "PatientID" } })
        throws("unknown Level 'Studies'", ok.find, ok, { Level = "Studies", Query = {} })
        throws("Level is missing", ok.find, ok, { Query = {} })
        throws("unknown key 'level'; did you mean 'Level'?", ok.find, ok, { level = "Study" })
        throws("unknown key 'Normalise'; did you mean 'Normalize'?", ok.find, ok, { Level = "Study", Normalise = false })
        throws("unknown key 'query'; did you mean 'Query'?", ok.find, ok, { Level = "Study", query = { PatientID = "x" } })
        throws("unknown key 'PatientID'", ok.find, ok, { Level = "Study", PatientID = "x" })
        nothing_sent()
      end)

      it("Orthanc would misunderstand Timeout or LocalAet", function()
        for _, seconds in ipairs { 0, -1, 0.5, "5" } do
          throws("'Timeout' must be a whole number of seconds, 1 or more", ok.find, ok, { Level = "Study", Timeout = seconds })
        end
        for _, aet in ipairs { "", ("A"):rep(17) } do
          throws("'LocalAet' must be an AE title, a string of 1 to 16 ASCII characters", ok.find, ok, { Level = "Study", LocalAet = aet })
        end
        nothing_sent()
      end)
    end)

    it("sends the keys in `extra`, and throws an error for a key there that modalua knows", function()
      local found <close> = assert(ok:find { Level = "Study", Query = { PatientID = "FP1" }, extra = { Xyzzy = 1 } })
      assert.are.equal(1, #found.answers)
      throws("'Timeout' is known: give it beside 'extra'", ok.find, ok, { Level = "Study", extra = { Timeout = 0 } })
    end)

    it("refuses control characters, which would cut off or change a filter", function()
      for _, value in ipairs { "FP1\0", "\0FP1", "FP\n1", "FP1\r", "FP\27(B1", "FP\1271", "\t" } do
        refuses("the filter PatientID holds a control character", { Query = { PatientID = value } })
        refuses("the filter 0009,1001 holds a control character", { Normalize = false, Query = { ["0009,1001"] = value } })
      end
    end)

    it("refuses a QueryRetrieveLevel that contradicts Level", function()
      refuses("QueryRetrieveLevel = 'SERIES' contradicts Level = \"Study\"", { Query = { QueryRetrieveLevel = "SERIES" } })
      refuses("contradicts", { Query = { ["0008,0052"] = "PATIENT" } })
      refuses("contradicts", { Normalize = false, Query = { QueryRetrieveLevel = "IMAGE" } })
      for _, same in ipairs { "STUDY", "Study", "" } do
        seen = #searches(peer:log())
        local found <close> = assert(ok:find { Level = "Study", Query = { QueryRetrieveLevel = same, PatientID = "FP1" } })
        assert.are.equal(1, #found.answers)
        assert.are.equal("STUDY", search()["0008,0052"])
      end
    end)

    describe("with characters beyond ASCII", function()
      local function arrives(query, charset, tag, value, keep)
        seen = #searches(peer:log())
        local found <close> = assert(ok:find { Level = "Study", Query = query, keep = keep })
        local sent = search()
        assert.are.equal(charset, sent["0008,0005"])
        assert.are.same({ [tag] = value }, filters(sent))
        return found
      end

      local function bytes(text)
        return (text:gsub("[\x80-\xff]", function(byte) return ("\\x%02X"):format(byte:byte()) end))
      end

      it("arrives complete, in the character set of the server or else in UTF-8", function()
        arrives({ PatientName = "Müller*" }, "ISO_IR 100", "0010,0010", bytes "M\xFCller*")
        arrives({ PatientName = "Иванов*" }, "ISO_IR 192", "0010,0010", bytes "Иванов*")
        arrives({ PatientName = "Mü*Иван" }, "ISO_IR 192", "0010,0010", bytes "Mü*Иван")
        arrives({ StudyDescription = "腹部*" }, "ISO_IR 192", "0008,1030", bytes "腹部*")
        arrives({ PatientName = "Müller€*" }, "ISO_IR 192", "0010,0010", bytes "Müller€*")
        arrives({ PatientName = "Mu\u{308}ller*" }, "ISO_IR 192", "0010,0010", bytes "Mu\u{308}ller*", { "PatientName" })
      end)

      it("arrives complete from a server with another character set", function()
        assert(client:put("/tools/default-encoding", "Cyrillic"))
        arrives({ PatientName = "Иванов*" }, "ISO_IR 144", "0010,0010", bytes "\xB8\xD2\xD0\xDD\xDE\xD2*")
        arrives({ PatientName = "Müller*" }, "ISO_IR 192", "0010,0010", bytes "Müller*")
        assert(client:put("/tools/default-encoding", "Utf8"))
        arrives({ PatientName = "Иванов*" }, "ISO_IR 192", "0010,0010", bytes "Иванов*")
      end)

      it("arrives complete in the character set that the caller chose", function()
        arrives({ PatientName = "Müller*", SpecificCharacterSet = "ISO_IR 192" }, "ISO_IR 192", "0010,0010", bytes "Müller*")
        arrives({ PatientName = "Иванов*", ["0008,0005"] = "ISO_IR 144" }, "ISO_IR 144", "0010,0010", bytes "\xB8\xD2\xD0\xDD\xDE\xD2*")
      end)

      it("is refused if the character set that the caller chose lacks a character", function()
        for _, charset in ipairs { "ISO_IR 100", "ISO_IR 6", "ISO_IR 13", "\\ISO 2022 IR 87", "ISO_IR 999" } do
          refuses("the filters have characters that SpecificCharacterSet = '" .. charset .. "'",
            { Query = { PatientName = "Иванов Müller", SpecificCharacterSet = charset } })
        end
        refuses("leave it out, or use 'ISO_IR 192' (UTF-8)", { Query = { PatientName = "山田*", ["0008,0005"] = "ISO_IR 144" } })
      end)

      it("is refused if the text is not UTF-8", function()
        local err = fails({ kind = "refused" }, ok:find { Level = "Study", Query = { PatientName = "M\xFCller*" } })
        contains(err.message, "UTF-8")
        nothing_sent()
      end)

      it("matches the right studies and no others", function()
        for _, case in ipairs {
          { "PatientName", "Müller*", "MOD-0001", 3 }, { "PatientName", "Иванов*", "RU-5501", 2 },
          { "PatientName", "Παπαδόπουλος*", "GR-204", 1 }, { "PatientName", "*山田*", "JP-77001", 2 },
          { "PatientName", "*花子*", "JP-77002", 1 }, { "PatientName", "*小东*", "CN-8800", 1 }, { "PatientName", "*Åsa", "03HD044", 2 },
          { "StudyDescription", "腹部*", "JP-77002", 1 }, { "StudyDescription", "*головного*", "RU-5501", 1 },
          { "PatientName", "Жуков*", nil, 0 }, { "PatientName", "鈴木*", nil, 0 },
        } do
          local tag, value, patient, n = table.unpack(case, 1, 4)
          local found <close> = assert(pacs:find { Level = "Study", Query = { [tag] = value, PatientID = "" } })
          assert.are.equal(n, #found.answers, value)
          for _, study in ipairs(found.answers) do
            assert.are.equal(patient, study.PatientID)
          end
        end
      end)
    end)

    describe("warns", function()
      it("that names may lack characters, and says what helps", function()
        local found <close> = assert(pacs:find { Level = "Patient", Query = { PatientID = "JP-77001", PatientName = "" } })
        assert.are.equal("Yamada^Tarou=^=^", found.answers[1].PatientName)
        contains(found.warning, "Latin1")
        contains(found.warning, "it shows in PatientName of answer 1")
        contains(found.warning, "\"DefaultEncoding\": \"Utf8\"")
        local all <close> = assert(pacs:find { Level = "Study", Query = { PatientName = "", StudyDescription = "" } })
        contains(all.warning, "names and descriptions may lack characters")
        contains(assert(pacs:get_query_answers(found.ID, { short = true })).warning, "it shows in PatientName of answer 1")
        contains(assert(client:query(found.ID):answers { simplify = false }).warning, "Latin1")
      end)

      it("not if nothing can be lost; then names in every writing system are complete", function()
        local found <close> = assert(pacs:find { Level = "Patient", Query = { PatientID = "*" } })
        assert.is_nil(found.warning) -- the answers contain only identifiers
        assert(client:put("/tools/default-encoding", "Utf8"))
        local whole <close> = assert(pacs:find { Level = "Patient", Query = { PatientName = "" } })
        assert.is_nil(whole.warning)
        local names = {}
        for _, patient in ipairs(whole.answers) do
          names[patient.PatientID] = patient.PatientName
        end
        assert.are.same(NAMES, names)
        assert.are.equal(1, select("#", pacs:get_query_answers(whole.ID)))
      end)

      it("not if the names of another modality are complete", function()
        assert(client:put("/tools/default-encoding", "Utf8"))
        local found <close> = assert(client:modality "utf":find { Level = "Study", Query = { PatientName = "", StudyDescription = "" } })
        assert.is_nil(found.warning)
        assert.are.equal("Müller^Иван=山田^太郎=やまだ^たろう", found.answers[1].PatientName)
        assert.are.equal("Ж é 日本", found.answers[1].StudyDescription)
      end)
    end)

    describe("needs", function()
      -- Returns the requests that the command sends for a script that uses `pacs`, and its output.
      local function requests(text)
        local script = command.file(("local pacs = require 'modalua'.connect(%q):modality 'pacs'\n%s"):format(servers.LOCAL.url, text))
        local result = command.run("--verbose", script)
        os.remove(script)
        assert.are.equal(0, result.status, result.err)
        local list = {}
        for method, path in result.err:gmatch "modalua: (%u+) http://[%d.:]+(/%S*) 200 " do
          list[#list + 1] = method .. " " .. path:gsub("%x%x%x%x%x%x%x%x%-[%x-]+", "ID")
        end
        return list, result.out
      end

      local POST, GET = "POST /modalities/pacs/query", "GET /queries/ID/answers?expand&simplify"

      it("two requests for any number of answers; for ASCII it never asks for the encoding", function()
        local list, out = requests [[print(#assert(pacs:find { Level = "Study", Query = { PatientName = "" } }).answers)]]
        assert.are.same({ { POST, GET }, "23\n" }, { list, out })
        assert.are.same({ POST, GET }, (requests [[assert(pacs:find { Level = "Study", Query = { PatientID = "nobody" } })]]))
        assert.are.same({ POST, GET }, (requests
          [[assert(pacs:find { Level = "Study", Query = { PatientName = "Иванов*", SpecificCharacterSet = "ISO_IR 192" } })]]))
      end)

      it("one more request for characters beyond ASCII", function()
        assert.are.same({ "GET /tools/default-encoding", POST, GET }, (requests
          [[assert(pacs:find { Level = "Study", Query = { PatientName = "Müller*" } })]]))
      end)

      it("one more request to close the result, also at the end of its scope", function()
        assert.are.same({ POST, GET, "DELETE /queries/ID" }, (requests
          [[do local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-0002" } }) end]]))
        assert.are.same({}, client:queries())
      end)
    end)

    describe("leaves nothing on the server after its result", function()
      local QUERY = { Level = "Study", Query = { PatientID = "MOD-0002" } }

      local function is_there(id)
        for _, other in ipairs(assert(client:queries())) do
          if other == id then
            return true
          end
        end
        return false
      end

      it("is closed, once or twice", function()
        local found, other = assert(pacs:find(QUERY)), assert(pacs:find(QUERY))
        assert.is_true(is_there(found.ID))
        assert.is_true(found:close())
        assert.is_false(is_there(found.ID))
        assert.is_true(is_there(other.ID))
        assert.is_true(found:close())
        throws("this query is closed", pacs.move, pacs, found)
        throws("this query is closed", pacs.get_query_answers, pacs, found)
        local query = client:query(other.ID)
        assert.is_true(query:close())
        assert.is_false(is_there(other.ID))
        throws("closed query", query.answers, query)
      end)

      it("goes out of scope, at its end, by an error or by a cancel", function()
        local ids = {}
        local function scope(leave)
          local found <close> = assert(pacs:find(QUERY))
          ids[#ids + 1] = found.ID
          assert.is_true(is_there(found.ID))
          leave()
        end
        scope(function() end)
        assert.is_false(pcall(scope, function() error "x" end))
        local stopped = task.spawn(scope, function() task.sleep(60) ids.late = true end)
        assert(eventually(function() return #ids == 3 end))
        stopped:cancel()
        assert(eventually(function() return not (is_there(ids[1]) or is_there(ids[2]) or is_there(ids[3])) end))
        assert.is_nil(ids.late)
      end)
    end)
  end)

  describe("A search with an Orthanc " .. version.name .. " that keeps one query and does not tell its encoding", function()
    local server, client, peer, ok, script

    setup(function()
      peer = dicomd.start()
      script = command.file [[
        function IncomingHttpRequestFilter(method, uri) return uri ~= "/tools/default-encoding" end]]
      server = orthanc.start { binary = version.binary, aet = "LOCAL", modalities = { ok = peer:modality "OK3" },
        extra = { QueryRetrieveSize = 1, LuaScripts = { script } } }
      client = modalua.connect(server.url)
      ok = client:modality "ok"
    end)

    teardown(function()
      server:close()
      peer:close()
      os.remove(script)
    end)

    it("sends characters beyond ASCII in UTF-8, and warns why", function()
      fails({ kind = "auth", status = 403 }, client:default_encoding())
      local found <close> = assert(ok:find { Level = "Study", Query = { PatientName = "Müller*" } })
      local all = searches(peer:log())
      assert.are.equal("ISO_IR 192", all[#all]["0008,0005"])
      assert.are.same({ ["0010,0010"] = "M\\xC3\\xBCller*" }, filters(all[#all]))
      contains(found.warning, "the server does not say its DefaultEncoding")
      contains(found.warning, "403")
      contains(found.warning, "sent in UTF-8")
    end)

    it("does not ask for the encoding if the filters are ASCII", function()
      local found <close> = assert(ok:find { Level = "Study", Query = { PatientID = "FP1" } })
      assert.is_nil(found.warning and found.warning:find("does not say", 1, true))
    end)

    it("reports a query that the server has forgotten", function()
      local found = assert(ok:find { Level = "Study", Query = { PatientName = "FAKE*" } })
      local later <close> = assert(ok:find { Level = "Study", Query = { PatientName = "FAKE*" } })
      local gone = { kind = "orthanc", code = "query_gone", status = 404 }
      fails(gone, ok:get_query_answers(found.ID))
      fails(gone, ok:move(found, { TargetAet = "SINK" }))
      fails(gone, ok:move(found.ID, { TargetAet = "SINK", Synchronous = true }))
      fails(gone, ok:move(found.ID, { TargetAet = "SINK", Synchronous = false }))
      local query = client:query(found.ID)
      fails(gone, query:answers())
      fails(gone, query:level())
      fails(gone, query:modality())
      fails(gone, query:move { TargetAet = "SINK" })
      fails(gone, query:move({ TargetAet = "SINK" }, 1))
      assert.is_nil(peer:log():find "C%-MOVE")
      assert.is_true(found:close())
      assert.are.equal(3, #later.answers)
    end)
  end)
end
