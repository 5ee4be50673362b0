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

-- Whether the filters of a query ask for less than everything.
function matching.has_filter(query)
  for _, value in pairs(query) do
    if tostring(value):find "[^ *]" then
      return true
    end
  end
  return false
end

local LEAST <const> = { DA = "00000000", TM = "00", DT = "0000" }

-- The value of a filter as an Orthanc is asked for it. By a range of dates or times that is open at its start, an Orthanc also finds what
-- has an empty value, which the range does not describe: it compares texts. A start that is not above any date or time excludes that.
function matching.with_start(key, value)
  local facts = value:find "^ *%-%d" and native.tag_facts(native.keyword(key) or key)
  local least = facts and LEAST[facts.vr]
  return least and least .. matching.trimmed(value) or value
end

return matching
