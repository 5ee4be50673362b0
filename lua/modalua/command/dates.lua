-- command.dates: dates as people type them, in DICOM's form: the one function that every verb uses for filters by a date.
--
--   2024-01-31              that day              today, yesterday, tomorrow    that day
--   2024-01-01..2024-01-31  a range; one end may  -7d, -4w, -3m, -1y            since that day, so many days, weeks, months or years ago
--                           be missing            -4w..-1w, -7d..yesterday      any two of these as the ends of a range
--
-- What DICOM has as a value stays as it is, also -20240131: a range with an open start.
local require = ...
local calendar = require "core.calendar"
local matching = require "core.matching"
local native = require "core.native"

local dates = {}

local FORMS = "2024-01-31, 2024-01-01..2024-01-31, ..2024-01-31, 2024-01-01.., today, yesterday, tomorrow, -7d, -4w, -3m, -1y (since "
  .. "then), -4w..-1w, or as DICOM writes it: 20240131, 20240101-20240131, 20240101-, -20240131"
local WORDS = { yesterday = -1, today = 0, tomorrow = 1 }
local DAYS_OF_UNIT = { d = 1, w = 7 }
local MONTHS_OF_UNIT = { m = 1, y = 12 }
local MAX_DIGITS = 5 -- of the number in -7d

-- ---- days ----

-- A day is its number in core.calendar.

-- The last day of a month; the month may be 0, 13 or any other number.
local function last_of_month(year, month)
  local months = year * 12 + month -- of the next month, from 0
  return calendar.day(months // 12, months % 12 + 1, 1) - 1
end

-- In a shorter month the last day takes the place of a day that it lacks.
local function add_months(number, n)
  local year, month, day = calendar.date(number)
  local months = year * 12 + month - 1 + n
  year, month = months // 12, months % 12 + 1
  return math.min(calendar.day(year, month, day), last_of_month(year, month))
end

-- Reads YYYY-MM-DD and YYYYMMDD. Returns nil when the text has another form, and nil and a message when there is no such day.
local function read_day(text)
  local year, month, day = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)$"
  if not year then
    year, month, day = text:match "^(%d%d%d%d)(%d%d)(%d%d)$"
  end
  if not year then
    return nil
  end
  local y, m, d = tonumber(year), tonumber(month), tonumber(day)
  local number = calendar.day(y, m, d)
  if y == 0 or m < 1 or m > 12 or d < 1 or number > last_of_month(y, m) then
    return nil, ("there is no day %s-%s-%s"):format(year, month, day)
  end
  return number
end

-- The day that today is. The environment variable MODALUA_TODAY gives another one.
local function present_day()
  local given = os.getenv "MODALUA_TODAY"
  if given and given ~= "" then
    return read_day(given) or error(("MODALUA_TODAY is '%s', which is no day such as 2024-01-31"):format(given), 0)
  end
  return read_day(os.date "%Y-%m-%d")
end

-- ---- what people type ----

-- Reads -7d. Returns a day; nil when the text has another form; nil and a message when it is no day.
local function read_past(text)
  local number, unit = text:match "^%-(%d+)([dwmy])$"
  if not number then
    return nil
  end
  local day, n = nil, tonumber(number)
  if #number <= MAX_DIGITS then
    local days, months = DAYS_OF_UNIT[unit], MONTHS_OF_UNIT[unit]
    day = days and present_day() - n * days or add_months(present_day(), -n * months)
  end
  if not day or calendar.date(day) < 1 then
    return nil, ("%s is before the year 1"):format(text)
  end
  return day
end

-- Reads one day in any form. Returns it, and whether it was of the form -7d; or nil, and perhaps a message.
local function read_one(text)
  if WORDS[text] then
    return present_day() + WORDS[text], false
  end
  local day, message = read_day(text)
  if day or message then
    return day, message
  end
  day, message = read_past(text)
  return day, day and true or message
end

local function to_dicom(day)
  return day and ("%04d%02d%02d"):format(calendar.date(day)) or ""
end

-- Reads the two ends of a range. Returns DICOM's form; or nil, and perhaps a message.
local function read_range(from, to)
  local first, last, why
  if from ~= "" then
    first, why = read_one(from)
  end
  if to ~= "" and (first or from == "") then
    last, why = read_one(to)
  end
  if (from ~= "" and not first) or (to ~= "" and not last) or not (first or last) then
    return nil, why
  elseif first and last and to_dicom(first) > to_dicom(last) then
    return nil, ("the range ends before it begins; write %s..%s"):format(to, from)
  end
  return to_dicom(first) .. "-" .. to_dicom(last)
end

-- The first and the last day of a year or of a month, 2024 or 2024-01, as text; nil when the text is neither.
local function days_of_period(text)
  local year, month = text:match "^(%d%d%d%d)%-(%d%d)$"
  year = year or text:match "^%d%d%d%d$"
  local first, last = tonumber(month or 1), tonumber(month or 12)
  if not year or year == "0000" or first < 1 or last > 12 then
    return nil
  end
  local days = select(3, calendar.date(last_of_month(tonumber(year), last)))
  return ("%s-%02d-01"):format(year, first), ("%s-%02d-%02d"):format(year, last, days)
end

-- The day that is meant by 2024-1-3 or 31.1.2024, as it can be typed; nil when it is not clear.
local function meant_day(text)
  local year, month, day = text:match "^(%d%d%d%d)[.-](%d%d?)[.-](%d%d?)$"
  if not year then
    day, month, year = text:match "^(%d%d?)%.(%d%d?)%.(%d%d%d%d)$"
  end
  local typed = year and ("%s-%02d-%02d"):format(year, tonumber(month), tonumber(day))
  return typed and read_day(typed) and typed or nil
end

-- The first day of `from` and the last one of `to`, each as it can be typed; "" for an open end, nil when it is not clear.
local function meant_ends(from, to)
  local first, last = days_of_period(from), select(2, days_of_period(to))
  first = first or (from == "" or read_one(from)) and from or meant_day(from)
  last = last or (to == "" or read_one(to)) and to or meant_day(to)
  return first or nil, last or nil
end

-- The range that is meant by years or months in place of days, 2024-01 or 1970..1980; nil when it is not clear.
local function meant_range(text)
  local from, to = text:match "^(.-) *%.%. *(.*)$"
  from, to = from or text, to or text
  local first, last = meant_ends(from, to)
  if first and last and first ~= "" and last ~= "" and read_one(first) > read_one(last) then
    first, last = meant_ends(to, from)
  end
  return first and last and first .. last ~= "" and ("%s..%s"):format(first, last) or nil
end

-- Returns DICOM's form of a date, or of a range, that a person typed; or nil, and perhaps a message.
local function to_dicom_value(text)
  local typed = matching.trimmed(text):lower()
  local from, to = typed:match "^(.-) *%.%. *(.*)$"
  local form, why, is_open
  if from then
    form, why = read_range(from, to)
  else
    local day, more = read_one(typed)
    form, why, is_open = day and to_dicom(day), more, day and more
  end
  if form then
    return form .. (is_open and "-" or "")
  end
  local day = not why and meant_day(typed)
  local range = not why and not day and meant_range(typed)
  return nil, why or day and "write " .. day or range and "a day is expected; write " .. range or nil
end

-- ---- filters ----

-- Returns the value that the filter by a tag has in DICOM; or nil and a message. Values of tags that are no dates, and values that DICOM
-- allows, are returned as they are. `keep`: tags that may have a value that is no date, or nil.
function dates.to_filter(tag, value, keep)
  if not native.is_date(tag) or not native.fault(tag, value) then
    return value
  end
  local form, why = to_dicom_value(value)
  local fault = native.fault(tag, value, keep)
  if form or not fault then
    return form or value
  elseif why then
    return nil, ("%s = '%s': %s"):format(tag, value, why)
  end
  local suggestion = fault:match "^is not a DICOM date: write %d[%d-]*$"
  return nil, ("%s = '%s' %s"):format(tag, value, (suggestion or not fault:find "^is not a DICOM date") and fault
    or "is no date. Dates are written as " .. FORMS)
end

return dates
