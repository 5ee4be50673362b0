-- core.find_patients: how the PatientIDs of a walk of core.find_walk begin. A search that can only be divided by PatientID is then divided
-- without asking for parts that have too many answers, and without asking for characters that no PatientID has.
--
-- The state is a table that json.encode can write: { counts = numbers of studies by the beginning of their PatientID, characters = the set
-- of characters behind the first one }. A beginning is only divided further after MOST studies, so the numbers of its parts are low.
local find_patients = {}

local MOST <const> = 1000 -- so a part that is asked for has at most twice as many answers
local CLASSES <const> = { "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz" }

function find_patients.new()
  return { counts = {}, characters = {} }
end

-- A study of that patient was found.
function find_patients.add(state, identifier)
  local counts, length = state.counts, 0
  identifier = identifier:match "^[!-~]*"
  repeat
    local prefix = identifier:sub(1, length)
    counts[prefix] = (counts[prefix] or 0) + 1
    length = length + 1
  until counts[prefix] <= MOST or length > #identifier
  for character in identifier:sub(2):gmatch "." do
    state.characters[character] = true
  end
end

-- The state as it is kept with the place of a walk: without the many beginnings that few studies have. They are counted anew.
function find_patients.place(state)
  local counts = {}
  for prefix, n in pairs(state.counts) do
    counts[prefix] = n > MOST // 4 and n or nil
  end
  return { counts = counts, characters = state.characters }
end

-- Whether it is known that too many studies have a PatientID with that beginning.
function find_patients.is_large(state, prefix)
  return (state.counts[prefix] or 0) > MOST
end

-- The characters that a PatientID may have behind the first one: all digits when one was seen, and so on.
function find_patients.characters(state)
  local list = {}
  for _, class in ipairs(CLASSES) do
    local seen = false
    for character in class:gmatch "." do
      seen = seen or state.characters[character]
    end
    list[#list + 1] = seen and class or nil
  end
  for character in pairs(state.characters) do
    list[#list + 1] = not character:find "%w" and character or nil
  end
  return table.concat(list)
end

return find_patients
