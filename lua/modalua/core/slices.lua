-- core.slices: parts of a search, which together match what the search matches. A search is divided by StudyDate, one day by StudyTime,
-- and what has the same date and time by the beginning of the PatientID.
--
-- A slice is a table with the fields
--    from, to       days (see slices.day); nil = no bound
--    first, last    seconds of a day, when from == to; nil = the whole day
--    empty          "date" or "time": what has none. A range has no answers without a value, but one with an open start has them at some
--                   modalities, Orthanc among them
--    prefix, whole  the beginning of the PatientID, and true when it is all of it; nil = any PatientID
local require = ...
local calendar = require "core.calendar"

local slices = {}

local DAY_MAX <const>, SECOND_MAX <const> = 2932896, 86399 -- 9999-12-31, 23:59:59

-- ---- dates ----

local DAY_MIN <const> = calendar.day(1, 1, 1)

-- The date of that day, as DICOM writes it: 20240131. What is before the first year, or behind the last one, becomes its first or last day.
function slices.date(day)
  return ("%04d%02d%02d"):format(calendar.date(math.max(math.min(day, DAY_MAX), DAY_MIN)))
end

-- The day of a date (20240131), or of an old form of it (2024.01.31). nil when the text is no date.
function slices.day(text)
  local year, month, day = text:match "^ *(%d%d%d%d)%.?(%d%d)%.?(%d%d) *$"
  local number = year and calendar.day(math.tointeger(year), math.tointeger(month), math.tointeger(day))
  return number and slices.date(number) == year .. month .. day and number or nil
end

slices.FIRST_DAY = slices.day "19000101" -- no study is older

-- The second of a time (101500.25, 1015, 10:15:00). nil when the text is no time.
function slices.second(text)
  local hour, minute, second = text:gsub(":", ""):match "^ *(%d%d)(%d?%d?)(%d?%d?)"
  return hour and math.min(hour * 3600 + (tonumber(minute) or 0) * 60 + (tonumber(second) or 0), SECOND_MAX) // 1 | 0 or nil
end

local function time(second)
  return ("%02d%02d%02d"):format(second // 3600, second // 60 % 60, second % 60)
end

-- The slice that a filter by StudyDate stands for; nil when it is no date and no range.
function slices.of_filter(text)
  local from, to = text:match "^([^-]*)%-([^-]*)$"
  if not from then
    local day = slices.day(text)
    return day and { from = day, to = day }
  end
  local slice = { from = slices.day(from), to = slices.day(to) }
  local good = (slice.from or from == "") and (slice.to or to == "") and (slice.from or slice.to)
  return good and (slice.from or slice.to) <= (slice.to or slice.from) and slice or nil
end

-- ---- what is sent ----

-- A time without the minutes and seconds at its end that are 0: some modalities compare texts, and find 1015 only from 1015 on.
local function short_time(second)
  return (time(second):gsub("^(%d%d%d?%d?)00$", "%1"):gsub("^(%d%d)00$", "%1"))
end

local function range(first, last)
  return first == last and first or first .. "-" .. last
end

-- Writes the filters of the slice into the table.
function slices.set_filters(slice, query)
  if slice.empty == "date" then
    query.StudyDate = "-18991231"
  elseif slice.from or slice.to then
    query.StudyDate = range(slice.from and slices.date(slice.from) or "", slice.to and slices.date(slice.to) or "")
  end
  if slice.empty == "time" then
    query.StudyTime = "-000000"
  elseif slice.first then
    local first = slice.first > 0 and short_time(slice.first) or "" -- an open start has also what has no time, at some modalities
    query.StudyTime = first .. "-" .. time(slice.last) .. ".999999"
  end
  if slice.prefix then
    query.PatientID = slice.whole and slice.prefix or slice.prefix .. "*"
  end
end

-- The filter by StudyDate of the slice; nil when it has none.
function slices.date_filter(slice)
  local query = {}
  slices.set_filters(slice, query)
  return query.StudyDate
end

-- The slice in words, for messages.
function slices.text(slice)
  local query, parts = {}, {}
  slices.set_filters(slice, query)
  for _, name in ipairs { "StudyDate", "StudyTime", "PatientID" } do
    parts[#parts + 1] = query[name] and ("%s = '%s'"):format(name, query[name])
  end
  return parts[1] and table.concat(parts, ", ") or "the whole search"
end

function slices.is_day(slice)
  return slice.from ~= nil and slice.from == slice.to
end

-- The number of days of the slice, from the first day that has studies to today.
function slices.width(slice, today)
  return math.max((slice.to or today) - (slice.from or slices.FIRST_DAY) + 1, 1)
end

-- ---- dividing ----

-- A copy of the slice with these fields.
function slices.with(slice, fields)
  local copy = {}
  for name, value in pairs(slice) do
    copy[name] = value
  end
  for name, value in pairs(fields) do
    copy[name] = value
  end
  return copy
end

-- The place at which to divide sorted values: the largest one that is not above it belongs to the lower part. As near to the middle as
-- possible, so that both parts have some. nil when all values are equal.
local function middle_of(values)
  table.sort(values)
  local middle = #values // 2
  for distance = 0, #values do
    for _, i in ipairs { middle - distance, middle + distance } do
      if i >= 1 and i < #values and values[i] ~= values[i + 1] then
        return values[i]
      end
    end
  end
end

-- The parts of the numbers from `from` to `to`, whose ends are the bounds of a list of { from, to }. `values`: where answers are.
local function divide(from, to, values)
  if from >= to then
    return nil
  end
  local at = values[1] and middle_of(values)
  if values[1] and not at then -- all at one place: before it, there, behind it
    local parts = { { values[1], values[1] } }
    if values[1] > from then
      table.insert(parts, 1, { from, values[1] - 1 })
    end
    if values[1] < to then
      parts[#parts + 1] = { values[1] + 1, to }
    end
    return parts
  end
  at = at or (from + to) // 2
  return { { from, at }, { at + 1, to } }
end

-- The parts of a slice by date. `days`: those of its answers, as far as they are known.
local function by_date(slice, days, today)
  local from = slice.from or math.min(slices.FIRST_DAY, slice.to or slices.FIRST_DAY)
  local to = slice.to or math.max(today + 1, from) -- what is later is in the last part
  if not slice.to and from >= to then
    to = DAY_MAX
  end
  local known = {}
  for _, day in ipairs(days) do
    known[#known + 1] = day >= from and day <= to and day or nil
  end
  local parts = divide(from, to, known)
  for i, part in ipairs(parts or {}) do
    parts[i] = slices.with(slice, { from = part[1], to = part[2] })
  end
  if parts then
    parts[#parts].to = slice.to
    if slice.to then
      parts[1].from = slice.from -- what is older than all days stays in the first part
    end
  end
  return parts
end

-- The newer half of a slice of days; nil when it has only one day.
function slices.newer_half(slice, today)
  local from = slice.from or math.min(slices.FIRST_DAY, slice.to or slices.FIRST_DAY)
  local to = slice.to or math.max(today + 1, from)
  return from < to and slices.with(slice, { from = (from + to) // 2 + 1 }) or nil
end

-- The parts of one day by time.
local function by_time(slice, seconds)
  local parts = divide(slice.first or 0, slice.last or SECOND_MAX, seconds)
  for i, part in ipairs(parts or {}) do
    parts[i] = slices.with(slice, { first = part[1], last = part[2] })
  end
  return parts
end

-- The parts of one day that begin at these seconds.
function slices.at_seconds(slice, starts)
  local parts = {}
  for i, first in ipairs(starts) do
    parts[i] = slices.with(slice, { first = first, last = (starts[i + 1] or SECOND_MAX + 1) - 1 })
  end
  return parts
end

-- The characters that a PatientID can begin with; those that were seen come first. Wildcards have a meaning of their own.
local LETTERS <const> = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-./#+:@()"

local function by_prefix(slice, identifiers, base, characters)
  local prefix, parts, done = slice.prefix or base, {}, {}
  local function add(letter)
    if not done[letter] and not letter:find "[*?\\%c\x80-\xff %[_%%]" then
      done[letter] = true
      parts[#parts + 1] = slices.with(slice, { prefix = prefix .. letter })
    end
  end
  if slice.whole or #prefix >= 64 then -- LO has at most 64 characters: PS3.5 6.2
    return nil
  end
  for _, identifier in ipairs(identifiers) do
    if identifier:sub(1, #prefix) == prefix and #identifier > #prefix then
      add(identifier:sub(#prefix + 1, #prefix + 1))
    end
  end
  for letter in (slice.prefix and characters or LETTERS):gmatch "." do
    add(letter)
  end
  if prefix ~= "" then
    parts[#parts + 1] = slices.with(slice, { prefix = prefix, whole = true })
  end
  return parts
end

-- Divides a slice. `axes`: what the search can be divided by; `date` and `time` are true, and `prefix` is the beginning that each PatientID
-- has (""); `characters` are those behind the first one, or nil. `seen`: { days =, seconds =, identifiers = } of the answers to the slice,
-- as far as they are known. Returns a list of slices and the axis; nil when it cannot be divided.
function slices.divide(slice, axes, seen, today)
  local parts
  if axes.date and not slice.empty and not slice.prefix then
    parts = by_date(slice, seen.days, today)
    if parts then
      return parts, "date"
    end
  end
  if axes.time and (slice.empty == "date" or slices.is_day(slice) and not slice.empty) and not slice.prefix then
    parts = by_time(slice, seen.seconds)
    if parts then
      return parts, "time"
    end
  end
  parts = axes.prefix and by_prefix(slice, seen.identifiers, axes.prefix, axes.characters)
  return parts, parts and "prefix"
end

return slices
