-- Tests what is said about characters that get lost: here, at the modality, or because the modality does not name its character set.
local dcmtk = require "spec.support.dcmtk"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local versions = require "spec.support.versions"

local contains, fails = expect.contains, expect.fails

-- Patients of a modality that does not name its character set: PatientID, PatientName.
local PATIENTS = { { "LATIN", "M\xfcller^J\xf6rg" }, { "UTF", "M\xc3\xbcller^J\xc3\xb6rg" }, { "M\xdc1", "Plain^Name" },
  { "MARK1", "M?ller^J?rg" }, { "MARK2", "????^??" }, { "DOUBT", "SMITH?^JOHN" } }

local function hidden(warning, part)
  assert.is_nil(warning and warning:find(part, 1, true), warning)
end

for _, version in ipairs(versions) do
  describe("With the Orthanc " .. version.name .. ", characters", function()
    local servers, client, pacs

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary })
      client = modalua.connect(servers.LOCAL.url)
      pacs = client:modality "pacs"
      assert(samples.store(modalua.connect(servers.PACS.url)))
    end)

    teardown(function()
      servers:close()
    end)

    local function find(level, query)
      local found = assert(pacs:find { Level = level, Query = query })
      assert(found:close())
      return found
    end

    describe("that the modality has lost", function()
      it("are blamed on this server while it cannot pass them on", function()
        local warning = find("Study", { PatientID = "RU-5501", PatientName = "" }).warning
        contains(warning, "DefaultEncoding, Latin1, and removes the characters that it lacks (it shows in 2 answers, first")
      end)

      it("are blamed on the modality after use_utf8", function()
        local undo = assert(client:use_utf8())
        local found = find("Study", { PatientID = "RU-5501", PatientName = "" })
        local others = find("Study", { PatientID = "MOD-0001", PatientName = "" })
        local patients = assert(pacs:find { Level = "Patient", Query = { PatientID = "RU-5501", PatientName = "" } })
        local moved, err = pacs:move(patients)
        assert(undo())
        assert.are.equal("^^", found.answers[1].PatientName)
        contains(found.warning, "it shows in 2 answers, first in PatientName of answer 1): the server's DefaultEncoding, Utf8, has")
        contains(found.warning, "the modality lost them, or does not name its character set")
        hidden(found.warning, "use_utf8")
        assert.is_nil(others.warning)
        fails({ kind = "refused", code = "bad_identifier" }, moved, err)
      end)
    end)
  end)

  describe("With the Orthanc " .. version.name .. ", a dcmqrscp", function()
    local pacs, server, client, remote

    setup(function()
      local ports = orthanc.free_ports(2)
      pacs = dcmtk.dcmqrscp { aet = "PACS", peers = { { "LOCAL", "127.0.0.1", ports[2] } } }
      server = orthanc.start { binary = version.binary, aet = "LOCAL", http_port = ports[1], dicom_port = ports[2],
        modalities = { pacs = pacs:modality() } }
      client = modalua.connect(server.url)
      remote = client:modality "pacs"
      for i, patient in ipairs(PATIENTS) do
        pacs:store { uid = "1.2.3." .. i, date = "20200101", patient = patient[1], name = patient[2] }
      end
    end)

    teardown(function()
      server:close()
      pacs:close()
    end)

    -- Returns the answers of a C-FIND at this level, and what was found, while this server has that DefaultEncoding.
    local function find(encoding, level, query)
      assert(client:put("/tools/default-encoding", encoding))
      return assert(remote:find { Level = level, Query = query })
    end

    -- Moves what was found to the server itself.
    local function move(found)
      return remote:move(found)
    end

    it("gives Latin-1 without saying so: the bytes vanish, which nothing in the answer shows", function()
      local found <close> = find("Utf8", "Study", { PatientID = "LATIN", PatientName = "" })
      assert.are.same({ "Mller^Jrg", "ISO_IR 192" }, { found.answers[1].PatientName, found.answers[1].SpecificCharacterSet })
      assert.is_nil(found.warning)
      local right <close> = find("Latin1", "Study", { PatientID = "LATIN", PatientName = "" })
      assert.are.equal("Müller^Jörg", right.answers[1].PatientName)
    end)

    it("gives UTF-8 without saying so: it is misread, and the warning counts that", function()
      local found <close> = find("Latin1", "Study", { PatientID = "UTF", PatientName = "" })
      contains(found.warning, "it shows in PatientName of answer 1")
      local right <close> = find("Utf8", "Study", { PatientID = "UTF", PatientName = "" })
      assert.are.same({ "Müller^Jörg" }, { right.answers[1].PatientName, right.warning })
    end)

    it("has replaced characters by question marks, which counts in names alone", function()
      local found <close> = find("Utf8", "Study", { PatientID = "MARK*", PatientName = "" })
      contains(found.warning, "it shows in 2 answers, first in PatientName of answer")
      local none <close> = find("Utf8", "Study", { PatientID = "DOUBT", PatientName = "" })
      assert.are.same({ "SMITH?^JOHN" }, { none.answers[1].PatientName, none.warning })
    end)

    it("has two patients whose PatientIDs become the same, which are not moved by patient", function()
      pacs:store { uid = "1.2.5.1", date = "20200101", patient = "M", name = "Another^Patient" }
      local both <close> = find("Utf8", "Patient", { PatientID = "M*", PatientName = "*P*" })
      assert.are.same({ "M", 1, 1 }, { both.answers[1].PatientID, #both.answers, both.repeated })
      fails({ kind = "refused", code = "bad_identifier" }, move(both))
      assert.are.same({}, client:get "/patients")
    end)

    describe("has answers in a character set that Orthanc 1.10.1 does not know:", function()
      local JAPANESE <const> = "Yamada^Tarou=\27$B;3ED\27(B^\27$BB@O:\27(B"
      local cannot = version.number < 11207
      local total

      setup(function()
        pacs:store { uid = "1.2.4.1", date = "20200104", patient = "J1", name = JAPANESE, charset = "\\ISO 2022 IR 87" }
        pacs:store { uid = "1.2.4.2", date = "20210104", patient = "J2", name = "Other", charset = "ISO_IR 999" }
        pacs:store { uid = "1.2.4.3", date = "20210105", patient = "J3", name = "Other", charset = "ISO_IR 100" }
        pacs:store { uid = "1.2.4.4", date = "20230104", patient = "J4", name = "Other", charset = "ISO_IR 100" }
        total = #PATIENTS + 5 -- and one of the test before
      end)

      local function patients(found)
        local list = {}
        for i, answer in ipairs(found.answers) do
          list[i] = answer.PatientID
        end
        table.sort(list)
        return table.concat(list, " ")
      end

      it("the search goes on without them, and says where they are", function()
        local found <close> = find("Utf8", "Study", { PatientID = "J*", StudyDate = "20200101-20231231", PatientName = "" })
        assert.are.equal(cannot and "J3 J4" or "J1 J2 J3 J4", patients(found))
        assert.are.same(cannot and { "20200104", "20210104" } or nil, found.unreadable)
        if cannot then
          contains(found.warning, "answers are missing, because this version of Orthanc does not know their character set: those with "
            .. "StudyDate 20200104, 20210104")
          contains(assert(remote:get_query_answers(found.ID))[1].PatientID, "J")
        else
          assert.is_nil(found.warning)
        end
        local all <close> = find("Utf8", "Study", { PatientName = "" })
        assert.are.equal(total - (cannot and 2 or 0), #all.answers)
        assert.are.same(cannot and { "20200104", "20210104" } or nil, all.unreadable)
        assert.is_true(all.broad)
      end)

      it("it leaves one query on the server", function()
        for _, id in ipairs(assert(client:queries())) do
          assert(client:query(id):close())
        end
        local found = find("Utf8", "Study", { StudyDate = "20200101-" })
        expect.eventually(function() return #client:queries() == 1 end)
        assert(found:close())
        assert.are.same({}, client:queries())
      end)

      it("a search that cannot be divided is an error of its own", function()
        for _, data in ipairs { { Level = "Study", Query = { StudyDate = "20200104" } },
          { Level = "Patient", Query = { PatientID = "J*" } }, { Level = "Study", Query = { PatientID = "J1" } } } do
          local found, err = remote:find(data)
          if cannot then
            fails({ kind = "orthanc", code = "bad_charset", status = 400, orthanc_status = 3 }, found, err)
            contains(err.message, "names a character set that this version of Orthanc does not know")
          else
            assert.is_truthy(found, err)
          end
        end
      end)

      it("find_all returns the others, and throws at its end", function()
        local list = {}
        local good, err = pcall(function()
          for answer in remote:find_all { Level = "Study", Query = { StudyDate = "20200101-20231231", PatientID = "J*" } } do
            list[#list + 1] = answer.PatientID
          end
        end)
        table.sort(list)
        assert.are.equal(cannot and "J3 J4" or "J1 J2 J3 J4", table.concat(list, " "))
        assert.are.equal(not cannot, good)
        if cannot then
          assert.are.equal("incomplete", err.code)
          contains(err.message, "StudyDate = '20200104' (the server cannot read an answer)")
        end
      end)
    end)

    it("has a PatientID that is not ASCII, which is not moved by patient", function()
      local found <close> = find("Latin1", "Patient", { PatientName = "Plain*" })
      assert.are.equal("MÜ1", found.answers[1].PatientID)
      fails({ kind = "refused", code = "bad_identifier" }, move(found))
      assert.are.same({}, client:get "/patients")
    end)
  end)
end
