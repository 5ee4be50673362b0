-- core.find_case: what a modality makes of upper and lower case in PatientIDs, for core.find_walk. `ask` is a function of that.
local require = ...
local matching = require "core.matching"
local slices = require "core.slices"

local find_case = {}

-- Whether the modality makes no difference between upper and lower case. That is seen when it finds a patient by the other case.
function find_case.folds(walk, answer, ask)
  local identifier, day = matching.value(answer, "PatientID"), walk.by_date and slices.day(matching.value(answer, "StudyDate"))
  local other = identifier:gsub("%a", function(c) return c == c:upper() and c:lower() or c:upper() end)
  if other == identifier or other:find "[*?\\\x80-\xff]" then
    return nil
  end
  local got = ask(walk, { from = day, to = day, prefix = other, whole = true }, {})
  for _, found in ipairs(got and got.answers or {}) do
    if matching.value(found, "PatientID") == identifier then
      return true
    end
  end
  return false
end

-- Whether the modality counts patients of the other case too before it says that there are too many, as Orthanc 1.10.1 does. Then each
-- beginning of a PatientID with too many would be divided in 2^n spellings. `prefix` is one that has too many.
function find_case.counts_both(walk, slice, ask)
  local n = 0
  local mixed = slice.prefix:gsub("%a", function(c)
    n = n + 1
    return n % 2 == (slice.prefix:find "^%A*%l" and 1 or 0) and c:upper() or c:lower()
  end)
  if n >= 3 and not slice.whole then
    return ask(walk, slices.with(slice, { prefix = mixed }), walk.query) == nil
  end
end

-- Whether a beginning of a PatientID has upper and lower case mixed, as no numbering has it.
function find_case.is_mixed(prefix)
  local letters = prefix:gsub("%A", "")
  return letters:find "%l.*%u" or letters:find "%u.*%u.*%l"
end

return find_case
