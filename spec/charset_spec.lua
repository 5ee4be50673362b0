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
        contains(warning, "DefaultEncoding, Latin1, and removes the characters that it lacks (it shows in 2 answers, first in PatientName of answer 1)")
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

    it("has a PatientID that is not ASCII, which is not moved by patient", function()
      local found <close> = find("Latin1", "Patient", { PatientName = "Plain*" })
      assert.are.equal("MÜ1", found.answers[1].PatientID)
      fails({ kind = "refused", code = "bad_identifier" }, move(found))
      assert.are.same({}, client:get "/patients")
    end)
  end)
end
