--- DICOM files of any size, that no compression makes smaller.
local big = {}

local CHUNK = 1 << 20

--- Writes to `path` the DICOM file `template` (without pixels) with `megabytes` of noise as its pixels. `number` (0 to 99) makes it an
-- instance of its own: it replaces the last two digits of the template's SOPInstanceUID, `uid`.
function big.write(path, template, uid, number, megabytes)
  local noise = assert(io.open("/dev/urandom", "rb"))
  local block = noise:read(CHUNK)
  noise:close()
  local own = uid:sub(1, -3) .. ("%02d"):format(number)
  local file = assert(io.open(path, "wb"))
  assert(file:write((template:gsub(uid:gsub("%.", "%%."), own))))
  assert(file:write("\xe0\x7f\x10\0OW\0\0" .. ("<I4"):pack(megabytes * CHUNK)))
  for i = 1, megabytes do
    assert(file:write(block:sub(i + 1), block:sub(1, i))) -- turned a little each time
  end
  assert(file:close())
end

return big
