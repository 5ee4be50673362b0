--- Makes random queries for the resources of an archive (spec/support/oracle.lua): every level, every value representation, single values,
-- lists, wildcards, ranges, and values that nothing has. Does not need modalua.

local archive = require "spec.support.archive"
local oracle = require "spec.support.oracle"

local queries = {}

-- The keys of each level, besides those of the levels above.
local KEYS <const> = {
  Patient = { "PatientID", "PatientName", "PatientName", "PatientBirthDate", "PatientSex" },
  Study = { "StudyInstanceUID", "StudyDate", "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "StudyDescription",
    "ReferringPhysicianName", "ModalitiesInStudy" },
  Series = { "SeriesInstanceUID", "Modality", "Modality", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime",
    "BodyPartExamined", "ProtocolName", "OperatorsName" },
  Instance = { "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "InstanceCreationDate" },
}

--- The level of a key.
queries.level_of = {}
for level, keys in pairs(KEYS) do
  for _, key in ipairs(keys) do
    queries.level_of[key] = level
  end
end

-- The characters of a text, as a list.
local function characters(text)
  local list = {}
  for _, c in utf8.codes(text) do
    list[#list + 1] = utf8.char(c)
  end
  return list
end

-- A pattern that the text matches.
local function pattern(random, text)
  local list = characters(text)
  local first = random:below(#list)
  local last = random:between(first, #list)
  local form = random:below(5)
  if form == 1 then
    list[first] = "?"
    return table.concat(list)
  elseif form == 2 then
    return table.concat(list, "", 1, last) .. "*"
  elseif form == 3 then
    return "*" .. table.concat(list, "", first)
  elseif form == 4 then
    return "*" .. table.concat(list, "", first, last) .. "*"
  end
  return table.concat(list, "", 1, first) .. "*" .. table.concat(list, "", last + 1)
end

-- A text, the same in other letters, or a pattern.
local function text_key(random, value)
  local form = random:below(8)
  return form <= 3 and value or form == 4 and value:upper() or form == 5 and pattern(random, value):lower() or pattern(random, value)
end

-- The same where capital letters are the only ones.
local function code_key(random, value)
  return random:chance(3) and pattern(random, value) or value
end

-- A value, or a range that begins or ends near two values.
local function range_key(random, value, other)
  if value > other then
    value, other = other, value
  end
  local form = random:below(6)
  return form == 1 and value .. "-" or form == 2 and "-" .. other or form <= 4 and value .. "-" .. other or value
end

local function uid_key(random, level, key, right)
  local list = {}
  for i = 1, random:chance(3) and random:between(2, 5) or 1 do
    list[i] = random:one_of(right.levels[level])[key]
  end
  return table.concat(list, "\\")
end

local MAKERS <const> = { PN = text_key, LO = text_key, SH = text_key, CS = code_key, DA = range_key, TM = range_key }

-- A value that no resource has.
local NOWHERE <const> = { PN = "Nobody^At All", LO = "nowhere", SH = "ZZ-0", CS = "XX", DA = "19000101", TM = "235959.999", IS = "4711",
  UI = "1.2.3.4.5.6.7" }

local function random_value(random, level, key, right)
  local vr = key == "ModalitiesInStudy" and "CS" or archive.elements[key][2]
  if random:chance(15) then
    return NOWHERE[vr]
  elseif vr == "UI" then
    return uid_key(random, level, key, right)
  end
  local values = {}
  for _ = 1, 20 do -- some resources have no value
    local value = random:one_of(right.levels[level])[key]
    value = type(value) == "table" and value[1] or value
    if value and value ~= "" then
      values[#values + 1] = value
    end
  end
  if #values < 2 then
    return NOWHERE[vr]
  end
  return MAKERS[vr] and MAKERS[vr](random, values[1], values[2]) or values[1]
end

-- A key of the level or, less often, of a level above, and the level it belongs to.
local function random_key(random, level)
  local at = 1
  while oracle.order[at] ~= level do
    at = at + 1
  end
  while at > 1 and random:chance(3) do
    at = at - 1
  end
  -- modalities and counts belong to the Study level alone
  local key = random:one_of(KEYS[oracle.order[at]])
  if key == "ModalitiesInStudy" and level ~= "Study" then
    key = "StudyDate"
  end
  return key, oracle.order[at]
end

--- Returns a level and a query, a table from keywords to values. Some values are empty: these keys are only asked back.
function queries.random(random, right)
  local n = random:below(20)
  local level = n <= 3 and "Patient" or n <= 12 and "Study" or n <= 18 and "Series" or "Instance"
  local query = {}
  for _ = 1, random:below(3) do
    local key, of = random_key(random, level)
    query[key] = random_value(random, of, key, right)
  end
  if level == "Instance" and not query.SeriesInstanceUID then
    query.SeriesInstanceUID = random:one_of(right.levels.Series).SeriesInstanceUID
  end
  for _ = 1, random:below(3) - 1 do
    local key = random_key(random, level)
    query[key] = query[key] or ""
  end
  return level, query
end

--- The query as Lua.
function queries.shown(level, query)
  local parts = {}
  for key, value in pairs(query) do
    parts[#parts + 1] = ("%s = %q"):format(key, value)
  end
  table.sort(parts)
  return ("{ Level = %q, Query = { %s } }"):format(level, table.concat(parts, ", "))
end

return queries
