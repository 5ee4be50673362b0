-- core.matching: values of DICOM attributes without their padding.
local require = ...
local native = require "core.native"

local matching = {}

-- Removes the blanks at both ends: they are padding in DICOM.
function matching.trimmed(value)
  local from = value:find "[^ ]" -- in two steps: one pattern would try each run of blanks again and again
  return from and value:match("^.*[^ ]", from) or ""
end

-- The value of a tag in an answer, in any format, without padding; "" when it has none.
function matching.value(answer, name)
  return matching.trimmed(native.value(answer, name) or "")
end

return matching
