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

-- The names of the filters of a query that are ranges of dates or times, and are open at their start. An Orthanc also finds by one what has
-- an empty value there, which the range does not describe.
local function open_ranges(query)
  local names = {}
  for key, value in pairs(query) do
    local name = select(3, native.tag(key)) or key
    names[#names + 1] = tostring(value):find "^ *%-%d" and (name:find "Date$" or name:find "Time$") and name or nil
  end
  return names
end

-- Removes rows of what an Orthanc itself has found, in which an open range finds an empty value. Returns the numbers of these by the names
-- of the filters.
function matching.drop_empty(rows, query)
  local names, kept, dropped = open_ranges(query), 0, {}
  for i = 1, #rows do
    local row, why = rows[i], nil
    for _, name in ipairs(names) do
      why = why or (row[name] == "" and name or nil)
    end
    rows[i] = nil
    if why then
      dropped[why] = (dropped[why] or 0) + 1
    else
      kept = kept + 1
      rows[kept] = row
    end
  end
  return dropped
end

return matching
