-- playground.worklist: the worklist that pacs has in the playground, as files for Orthanc's worklist plugin.
local require = ...
local dicom_file = require "playground.dicom_file"

local worklist = {}

local element, uid_of = dicom_file.element, dicom_file.uid_of

local CLASS = "1.2.840.10008.5.1.4.31"
local FIRST_STUDY = 80 -- the numbers of the scheduled studies, which no sample study has
local DAY_SECONDS = 24 * 60 * 60

-- day: after today; time, modality, station, procedure, then the patient, one of modalua.samples. The texts are Latin-1.
local scheduled = {
  { day = 0, "101500", "CT", "CT1", "CT chest, control", id = "03HD044", name = "Lindstr\xf6m^\xc5sa", accession = "A100901" },
  { day = 0, "140000", "MR", "MR1", "MR head", id = "MOD-0001", name = "M\xfcller^J\xf6rg", accession = "A100902" },
  { day = 1, "081500", "CT", "CT1", "CT chest, control", id = "MOD-0002", name = "SMITH^JOHN^A^DR", accession = "A100903" },
  { day = 1, "090000", "CR", "CR2", "XR knee left", id = "MOD-0003", name = "SMITH^JOHN", accession = "A100904" },
}

-- The file of a procedure. DICOM requires the tags in rising order.
local function file_of(number, procedure)
  local uid = uid_of(FIRST_STUDY + number, 0, 0)
  return dicom_file.make(CLASS, uid, table.concat {
    element(0x08, 0x05, "CS", "ISO_IR 100"),
    element(0x08, 0x50, "SH", procedure.accession),
    element(0x10, 0x10, "PN", procedure.name),
    element(0x10, 0x20, "LO", procedure.id),
    element(0x20, 0x0d, "UI", uid),
    element(0x32, 0x1060, "LO", procedure[4]),
    dicom_file.sequence(0x40, 0x100, table.concat {
      element(0x08, 0x60, "CS", procedure[2]),
      element(0x40, 0x01, "AE", procedure[3]),
      element(0x40, 0x02, "DA", os.date("%Y%m%d", os.time() + procedure.day * DAY_SECONDS)),
      element(0x40, 0x03, "TM", procedure[1]),
      element(0x40, 0x07, "LO", procedure[4]),
      element(0x40, 0x09, "SH", "S" .. number),
    }),
    element(0x40, 0x1001, "SH", "P" .. number),
  })
end

-- Writes the files into the folder that the plugin reads.
function worklist.write(folder)
  for number, procedure in ipairs(scheduled) do
    local file <close> = assert(io.open(("%s/%d.wl"):format(folder, number), "wb"))
    assert(file:write(file_of(number, procedure)))
  end
end

return worklist
