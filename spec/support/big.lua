--- Writes DICOM files of any size. Their pixels are random, so that compression does not make them smaller.
local big = {}

local CHUNK = 1 << 20

--- Writes to `path` the DICOM file `template` (bytes without pixel data), with `megabytes` of random pixels added. `uid` is the
-- SOPInstanceUID of the template. `number` (0 to 99) replaces its last two digits, so that each number gives a different instance.
function big.write(path, template, uid, number, megabytes)
  local noise = assert(io.open("/dev/urandom", "rb"))
  local block = noise:read(CHUNK)
  noise:close()
  local own = uid:sub(1, -3) .. ("%02d"):format(number)
  local file = assert(io.open(path, "wb"))
  assert(file:write((template:gsub(uid:gsub("%.", "%%."), own))))
  assert(file:write("\xe0\x7f\x10\0OW\0\0" .. ("<I4"):pack(megabytes * CHUNK)))
  for i = 1, megabytes do
    assert(file:write(block:sub(i + 1), block:sub(1, i))) -- rotated by i bytes, so that no two blocks are equal
  end
  assert(file:close())
end

return big
