--- The right answers to a C-FIND, from the instances of an archive in memory: attribute matching by DICOM PS3.4 C.2.2.2, without a server.
--
--   local right = oracle.new(made.instances)                      -- spec/support/archive.lua makes the instances
--   for _, study in ipairs(right.levels.Study) do
--     print(study.StudyInstanceUID, oracle.verdict(study, { PatientName = "SMI*" }))
--   end
--
-- A verdict is one of
--    "yes"     the resource matches as the standard says;
--    "maybe"   it matches only where the standard lets a server decide, or where a server is more tolerant: upper and lower case,
--              accents, component groups of names, the precision of times, dates and times taken together. A server may answer it, and
--              then the answer must stay;
--    "no"      it does not match: an answer with it is wrong.
--
-- This file is written from the standard alone, and must not use the matching of the library. Does not need modalua.

local archive = require "spec.support.archive"

local oracle = {}

--- The unique key of each level.
oracle.unique = { Patient = "PatientID", Study = "StudyInstanceUID", Series = "SeriesInstanceUID", Instance = "SOPInstanceUID" }

--- The levels, from the highest on.
oracle.order = { "Patient", "Study", "Series", "Instance" }

-- ---- text ----

local BASES <const> = {
  A = "ÀÁÂÃÄÅàáâãäå", C = "Çç", E = "ÈÉÊËèéêë", I = "ÌÍÎÏìíîï", N = "Ññ", O = "ÒÓÔÕÖØòóôõöø", U = "ÙÚÛÜùúûü", Y = "Ýýÿ",
}

local base_of = {}
for base, list in pairs(BASES) do
  for c in list:gmatch(utf8.charpattern) do
    base_of[c] = base
  end
end

local cache = {} -- text -> its folded form: a search compares the same texts with many others

-- Capital letters without accents.
local function folded(text)
  local made = cache[text]
  if not made then
    made = text:upper():gsub(utf8.charpattern, base_of)
    cache[text] = made
  end
  return made
end

-- Letters that are also written as two.
local TWO <const> = { ["Ä"] = "AE", ["ä"] = "AE", ["Å"] = "AA", ["å"] = "AA", ["Æ"] = "AE", ["æ"] = "AE", ["Ö"] = "OE", ["ö"] = "OE",
  ["Ø"] = "OE", ["ø"] = "OE", ["Ü"] = "UE", ["ü"] = "UE", ["ß"] = "SS", ["Þ"] = "TH", ["þ"] = "TH", ["Œ"] = "OE", ["œ"] = "OE" }

local function spelled(text)
  return folded((text:gsub(utf8.charpattern, TWO)))
end

local function trimmed(text)
  return (text:gsub("[ %z]+$", ""):gsub("^ +", ""))
end

-- "*" matches any sequence of characters, "?" any single character (C.2.2.2.4).
local function fits(pattern, text)
  if not pattern:find "[*?]" then
    return pattern == text
  end
  local asked, has = {}, {}
  for _, c in utf8.codes(pattern) do
    asked[#asked + 1] = utf8.char(c)
  end
  for _, c in utf8.codes(text) do
    has[#has + 1] = utf8.char(c)
  end
  -- reach[k]: the part of the pattern so far matches the first k characters
  local reach = { [0] = true }
  for _, c in ipairs(asked) do
    local further, any = {}, false
    for k = 0, #has do
      if c == "*" then
        any = any or reach[k]
        further[k] = any
      else
        further[k] = k > 0 and reach[k - 1] and (c == "?" or c == has[k]) or nil
      end
    end
    reach = further
  end
  return reach[#has] or false
end

local function split(text, separator)
  local parts = {}
  for part in (text .. separator):gmatch("(.-)%" .. separator) do
    parts[#parts + 1] = part
  end
  return parts
end

-- Does the text fit without case and accents?
local function fits_loosely(asked, has)
  return fits(folded(asked), folded(has)) or fits(spelled(asked), spelled(has))
end

local function text_verdict(asked, has)
  return fits(asked, has) and "yes" or fits_loosely(asked, has) and "maybe" or "no"
end

-- ---- names ----

-- Empty components and groups at the end say nothing (PS3.5 6.2).
local function shortened(name)
  return (name:gsub("[%^ ]+=", "="):gsub("[%^= ]+$", ""))
end

-- Does a component group fit, or the same group with empty components behind it?
local function group_fits(asked, has)
  asked, has = shortened(asked), shortened(has)
  local _, carets = has:gsub("%^", "")
  for _ = carets, 4 do
    if fits_loosely(asked, has) then
      return true
    end
    has = has .. "^"
  end
  return false
end

-- Does each group that is asked for match the same group of the name? A server may compare them singly.
local function groups_fit(asked, has)
  local groups = split(has, "=")
  for i, group in ipairs(split(asked, "=")) do
    if group ~= "" and not group_fits(group, groups[i] or "") then
      return false
    end
  end
  return true
end

-- Does a name that is asked for without "=" match one of the groups?
local function a_group_fits(asked, has)
  for _, group in ipairs(split(has, "=")) do
    if group_fits(asked, group) then
      return true
    end
  end
  return false
end

local function name_verdict(asked, has)
  if fits(asked, has) or fits(shortened(asked), shortened(has)) then
    return "yes"
  end
  return (fits_loosely(asked, has) or groups_fit(asked, has) or a_group_fits(asked, has)) and "maybe" or "no"
end

-- ---- dates and times ----

-- A date or time as text that can be compared; where it is less precise, `fill` stands for the missing digits.
local function comparable(text, size, fill)
  local digits = text:gsub("%D", "")
  return digits .. fill:rep(size - #digits)
end

-- `size` is the number of digits. `last` fills the digits that are missing at the end of a range.
local function range_verdict(asked, has, size, last)
  local from, to = asked:match "^(%d*%.?%d*)%s*%-%s*(%d*%.?%d*)$"
  if not from then
    from, to = asked, asked
  end
  local low = from == "" and "" or comparable(from, size, "0")
  local value = comparable(has, size, "0")
  local high, least = "~", "~"
  if to ~= "" then
    least, high = comparable(to, size, "0"), comparable(to, size, last)
  end
  if value >= low and value <= least then
    return "yes"
  end
  -- A value that is less precise may lie anywhere in what it names.
  return comparable(has, size, last) >= low and value <= high and "maybe" or "no"
end

-- ---- values ----

local verdicts = {
  UI = function(asked, has)
    for _, uid in ipairs(split(asked, "\\")) do
      if trimmed(uid) == has then
        return "yes"
      end
    end
    return "no"
  end,
  DA = function(asked, has) return range_verdict(asked, has, 8, "9") end,
  TM = function(asked, has) return range_verdict(asked, has, 12, "9") end,
  IS = function(asked, has)
    return asked == has and "yes" or tonumber(asked) and tonumber(asked) == tonumber(has) and "maybe" or "no"
  end,
  PN = name_verdict, LO = text_verdict, SH = text_verdict, CS = text_verdict,
}

local UNIVERSAL <const> = { PN = true, LO = true, SH = true, CS = true }

-- An unknown value matches nothing (C.2.2.1.2). But "**" asks for no more than "*", and a name without any component may also be written
-- as "^".
local function unknown_verdict(vr, asked)
  return UNIVERSAL[vr] and asked:find(vr == "PN" and "^[*^=]*$" or "^%**$") and "maybe" or "no"
end

local RANK <const> = { no = 1, maybe = 2, yes = 3 }

--- The verdict on one value, or on a list of values of which one must match. `has` may be nil.
function oracle.value_verdict(vr, asked, has)
  asked = trimmed(asked)
  if asked == "" or asked == "*" and UNIVERSAL[vr] then
    return "yes" -- universal matching (C.2.2.2.3)
  end
  local best = "no"
  for _, value in ipairs(type(has) == "table" and has or { has or "" }) do
    value = trimmed(value)
    local verdict = value == "" and unknown_verdict(vr, asked) or verdicts[vr](asked, value)
    best = RANK[verdict] > RANK[best] and verdict or best
  end
  return best
end

local function vr_of(key)
  return key == "ModalitiesInStudy" and "CS" or assert(archive.elements[key], key)[2]
end

-- The key of the time that belongs to a date.
local TIME_OF <const> = { StudyDate = "StudyTime", SeriesDate = "SeriesTime" }

-- Is the resource within the range that goes from the first date and time to the last ones (C.2.2.2.5.4)?
local function within_combined(resource, query, date_key)
  local time_key = TIME_OF[date_key]
  local first_date, last_date = (query[date_key] or ""):match "^(%d*)%-(%d*)$"
  local first_time, last_time = (query[time_key] or ""):match "^([%d.]*)%-([%d.]*)$"
  local date, time = resource[date_key] or "", resource[time_key] or ""
  if not first_date or not first_time or date == "" or time == "" then
    return false
  end
  local value = date .. comparable(time, 12, "0")
  return (first_date == "" or value >= first_date .. comparable(first_time, 12, "0"))
    and (last_date == "" or value <= last_date .. comparable(last_time, 12, "9"))
end

--- The verdict on a resource of right.levels for the keys of a query. `except` is a list of keys that are not looked at. A range of dates
-- and a range of times may be taken together only if client and server have agreed on that; `separately` says that they have not.
function oracle.verdict(resource, query, except, separately)
  local skipped, worst = {}, "yes"
  for _, key in ipairs(except or {}) do
    skipped[key] = true
  end
  local together = {}
  for date, time in pairs(TIME_OF) do
    together[date] = not separately and within_combined(resource, query, date)
    together[time] = together[date]
  end
  for key, asked in pairs(query) do
    if not skipped[key] then
      local verdict = oracle.value_verdict(vr_of(key), asked, resource[key])
      if verdict == "no" and together[key] then
        verdict = "maybe"
      end
      worst = RANK[verdict] < RANK[worst] and verdict or worst
    end
  end
  return worst
end

-- ---- resources ----

-- Adds an instance to the resource of a level, which has the attributes of its first instance.
local function add(level, list, by_key, instance)
  local key = instance[oracle.unique[level]]
  local resource = by_key[key]
  if not resource then
    resource = { key = key, modalities = {}, series = {}, instances = 0 }
    for name, value in pairs(instance) do
      resource[name] = value
    end
    resource.ModalitiesInStudy = resource.modalities
    by_key[key] = resource
    list[#list + 1] = resource
  end
  resource.instances = resource.instances + 1
  if not resource.modalities[instance.Modality] then
    resource.modalities[instance.Modality] = true
    table.insert(resource.modalities, instance.Modality)
  end
end

--- The resources of each level: right.levels.Study is a list, right.by_key.Study finds one by its unique key. A resource is a table from
-- keywords to values, and ModalitiesInStudy is a list; `key` is its unique key.
function oracle.new(instances)
  local right = { levels = {}, by_key = {} }
  for _, level in ipairs(oracle.order) do
    local list, by_key = {}, {}
    for _, instance in ipairs(instances) do
      add(level, list, by_key, instance)
    end
    right.levels[level], right.by_key[level] = list, by_key
  end
  return right
end

return oracle
