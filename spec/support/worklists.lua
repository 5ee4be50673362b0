--- Starts Orthancs with the worklist plug-in, and makes the files that it serves, with DCMTK's dump2dcm.
--
--   local folder <close> = worklists.folder { { PatientID = "P1", Modality = "CT" }, … }
--   local pacs <close> = orthanc.start(worklists.options(folder, { aet = "PACS", binary = version.binary }))
--
-- Needs no modalua.

local served = require "spec.support.served"

local worklists = {}

local Folder = {}
Folder.__index = Folder

--- Removes it. Idempotent.
function Folder:close()
  if self.path then
    served.output_of("exec rm -rf -- " .. served.quoted { self.path })
  end
  self.path = nil
end

Folder.__close = Folder.close

-- What dump2dcm reads; PatientName and the others are bytes in the character set.
local FILE = [[
(0008,0005) CS [%s]
(0008,0050) SH [%s]
(0010,0010) PN [%s]
(0010,0020) LO [%s]
(0020,000d) UI [1.2.3.%d]
(0032,1060) LO [Examination]
(0040,0100) SQ
(fffe,e000) -
(0008,0060) CS [%s]
(0040,0001) AE [%s]
(0040,0002) DA [%s]
(0040,0003) TM [101500]
(0040,0006) PN [%s]
(fffe,e00d) -
(fffe,e0dd) -
(0040,1001) SH [RP%d]
]]

--- A temporary folder with a file for each item: charset (ISO_IR 192), AccessionNumber, PatientName, PatientID, Modality, AETitle, Date,
-- Physician. `path` is what wlmscpfs serves to those who call it
-- WORKLIST, and `served` what the plug-in does.
function worklists.folder(items)
  local path = served.folder "worklists"
  local folder = setmetatable({ path = path, served = path .. "/WORKLIST" }, Folder)
  served.output_of("exec mkdir " .. served.quoted { folder.served })
  served.write_file(folder.served .. "/lockfile", "")
  for i, item in ipairs(items) do
    local name = ("%s/%d"):format(folder.served, i)
    served.write_file(name .. ".dump", FILE:format(item.charset or "ISO_IR 192", item.AccessionNumber or "", item.PatientName or "",
      item.PatientID, i, item.Modality or "OT", item.AETitle or "ANY", item.Date or "20260101", item.Physician or "", i))
    served.output_of("exec dump2dcm --quiet --generate-new-uids " .. served.quoted { name .. ".dump", name .. ".wl" })
  end
  return folder
end

-- The plug-in of the Orthanc of that program: Debian's, or the one beside a fetched `run`.
local function plugin(binary)
  local root = binary and binary:match "^(.*)/run$"
  return (root and root .. "/root" or "") .. "/usr/share/orthanc/plugins/libModalityWorklists.so"
end

--- Options of orthanc.start, with those that make it answer from a folder.
function worklists.options(folder, options)
  local extra = { Plugins = { plugin(options.binary) }, Worklists = { Enable = true, Database = folder.served },
    DicomAlwaysAllowFindWorklist = true }
  for key, value in pairs(options.extra or {}) do
    extra[key] = value
  end
  options.extra = extra
  return options
end

return worklists
