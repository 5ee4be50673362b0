-- playground.dicom_file: writes DICOM files in Explicit VR Little Endian (DICOM PS3.5, PS3.10).
local dicom_file = {}

local EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

-- A UID under 2.25 is a number of up to 128 bits. Its last six digits are the numbers of the study, series and instance; 00 means none.
function dicom_file.uid_of(study, series, instance)
  return ("2.25.2718281828459045235360287471%02d%02d%02d"):format(study, series, instance)
end

function dicom_file.element(group, number, vr, value)
  if #value % 2 == 1 then
    value = value .. (vr == "UI" and "\0" or " ")
  end
  return string.pack("<I2I2c2s2", group, number, vr, value)
end

-- A sequence of one item.
function dicom_file.sequence(group, number, item)
  return string.pack("<I2I2c2I2s4", group, number, "SQ", 0, string.pack("<I2I2s4", 0xfffe, 0xe000, item))
end

-- A file: preamble, group 2 with its length, data set.
function dicom_file.make(class, instance, data)
  local element = dicom_file.element
  local meta = string.pack("<I2I2c2I2s4", 2, 1, "OB", 0, "\0\1")
    .. element(2, 0x02, "UI", class)
    .. element(2, 0x03, "UI", instance)
    .. element(2, 0x10, "UI", EXPLICIT_LITTLE_ENDIAN)
    .. element(2, 0x12, "UI", dicom_file.uid_of(0, 0, 0))
  return ("\0"):rep(128) .. "DICM" .. element(2, 0, "UL", string.pack("<I4", #meta)) .. meta .. data
end

return dicom_file
