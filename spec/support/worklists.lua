--- Configures Orthancs with the worklist plug-in, and makes worklist files for it with DCMTK's dump2dcm.
--
--   local folder <close> = worklists.folder { { PatientID = "P1", Modality = "CT" }, … }
--   local pacs <close> = orthanc.start(worklists.options(folder, { aet = "PACS", binary = version.binary }))
--
-- Does not need modalua.

local served = require "spec.support.served"

local worklists = {}

local Folder = {}
Folder.__index = Folder

--- Removes the folder. Idempotent.
function Folder:close()
  if self.path then
    served.output_of("exec rm -rf -- " .. served.quoted { self.path })
  end
  self.path = nil
end

Folder.__close = Folder.close

-- A worklist file in the text format of dump2dcm. PatientName and the other texts are bytes in the character set of (0008,0005).
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

--- Makes a temporary folder with a worklist file for each item. The fields of an item are charset (default: ISO_IR 192), AccessionNumber,
-- PatientName, PatientID, Modality, AETitle, Date and Physician. The result's field `path` is for dcmtk.wlmscpfs, which serves the files
-- under the AE title WORKLIST; its field `served` is the folder for Orthanc's plug-in.
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

-- The path of the worklist plug-in for an Orthanc: the installed plug-in, or the one of a downloaded Orthanc beside its program `run`.
local function plugin(binary)
  local root = binary and binary:match "^(.*)/run$"
  return (root and root .. "/root" or "") .. "/usr/share/orthanc/plugins/libModalityWorklists.so"
end

--- Adds to options of orthanc.start the entries that make the server answer worklist queries from a folder. Returns the options.
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
