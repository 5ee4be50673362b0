-- Tests streams of a C host with a real Orthanc: spec/embed/streamed.c stores a DICOM file and gets it back without a disk.
local archive = require "spec.support.archive"
local big = require "spec.support.big"
local command = require "spec.support.command"
local orthanc = require "spec.support.orthanc"
local versions = require "spec.support.versions"

local PROGRAM = assert(os.getenv "MODALUA_STREAMED", "set MODALUA_STREAMED to the program streamed")
local MEGABYTES <const> = 5
local UID <const> = "1.2.1.00"

for _, version in ipairs(versions) do
  describe("Streams of a host, with the Orthanc " .. version.name .. ",", function()
    it("move a file to the server and back, byte for byte, also as an archive and with C-STORE", function()
      local ports, file = orthanc.free_ports(1), os.tmpname()
      local server <close> = orthanc.start { binary = version.binary, aet = "SELF", dicom_port = ports[1],
        http_port = orthanc.free_ports(1)[1], modalities = { self = { "SELF", "127.0.0.1", ports[1] } },
        extra = { DicomAlwaysAllowStore = true } }
      big.write(file, archive.file { PatientID = "P", StudyInstanceUID = "1.2", SeriesInstanceUID = "1.2.1", SOPInstanceUID = UID,
        SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", Modality = "OT" }, UID, 7, MEGABYTES)
      assert.are.same({ out = "", err = "", status = 0 }, command.shell(command.quote(PROGRAM, server.url, file)))
      os.remove(file)
    end)
  end)
end
