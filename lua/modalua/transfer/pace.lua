-- transfer.pace: when the next item of a transfer may be sent: the hours of the week, a rate, and rests between the items.
--
-- Instants are milliseconds since 1970 in UTC (pace.now). The hours are a pattern of the local week, so that the nights in which the
-- clock is changed need no rule of their own: a moment is in the allowed hours when the local clock shows a time in them. A local time
-- that is skipped is never shown, so a window that begins with it opens at the next time that exists; a local time that is repeated is
-- shown twice.
local require = ...
local calendar = require "core.calendar"
local letters = require "text.letters"
local native = require "core.native"
local time_zone = require "transfer.time_zone"

local pace = {}

local DAY <const>, WEEK <const> = 86400, 7 * 86400
local DAYS <const> = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" }
local FULL_DAYS <const> = { "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday" }

local MOST <const> = 1000 -- bytes of a setting: the patterns below are slow for very long texts

-- A wrong value for a message.
local function quoted(value)
  if type(value) == "string" then
    return "'" .. letters.cut(letters.shown(value:sub(1, MOST)), 60) .. "'"
  end
  return math.type(value) and tostring(value) or "a " .. type(value)
end

-- ---- the clock ----

-- The environment variable MODALUA_TRANSFER_CLOCK, for specs: "+3600" or "-3600" moves the clock by seconds, and "1792888200" sets it to an
-- instant, from which it goes on.
local function clock_shift()
  local text = os.getenv "MODALUA_TRANSFER_CLOCK"
  local seconds = text and math.tointeger(tonumber(text))
  if not seconds then
    return 0
  end
  return text:find "^[+-]" and seconds or seconds - os.time()
end

local shift = clock_shift()
local ahead -- os.time() minus native.now(), as far as it is known

-- os.time() has whole seconds; the clock of the system that never jumps gives the milliseconds.
function pace.now()
  local seconds, ticks = os.time() + 0.0, native.now()
  ahead = math.min(math.max(ahead or seconds - ticks, seconds - ticks), seconds + 0.999 - ticks)
  return ((ticks + ahead + shift) * 1000) // 1 | 0
end

-- ---- reading the hours ----

-- 0 = Monday; nil when the text is no day.
local function day_of(text)
  text = text:lower()
  for i, name in ipairs(FULL_DAYS) do
    if text == name or text == name:sub(1, 3) then
      return i - 1
    end
  end
end

-- Seconds of the day; nil when the text is no time. 24:00 is one.
local function time_of(text)
  local hour, minute = text:match "^(%d%d?):(%d%d)$"
  hour, minute = math.tointeger(hour), math.tointeger(minute)
  return hour and minute < 60 and hour * 60 + minute <= 1440 and (hour * 60 + minute) * 60 or nil
end

-- The days of "Mon-Fri" or "Wed" as a first day and a number of days; nil and a message.
local function read_days(text)
  local first, last = text:match "^(%a+)%s*%-%s*(%a+)$"
  if not first then
    first, last = text, text
  end
  local from, to = day_of(first), day_of(last)
  if not from or not to then
    return nil, ("hours: there is no day %s; the days are %s"):format(quoted(from and last or first), table.concat(DAYS, " "))
  end
  return from, (to - from) % 7 + 1
end

-- The seconds of "19:00-06:00" as a beginning and a length; nil and a message.
local function read_times(text)
  local first, last = text:match "^([%d:]+)%s*%-%s*([%d:]+)$"
  local from, to = time_of(first or ""), time_of(last or "")
  if not from or not to or from == DAY then
    return nil, ("hours: %s is not understood; write times such as 19:00-06:00, from 00:00 to 24:00"):format(quoted(text))
  end
  return from, to > from and to - from or to + DAY - from
end

-- Adds the windows of an entry, { from =, to = } in seconds of a week, to the list. Returns a message when the entry is wrong.
local function add_entry(list, entry)
  local days, times = entry:match "^(.-)%s*(%d.*)$"
  days = days or entry
  local first, number, from, length, message = 0, 7, 0, DAY, nil
  if days ~= "" then
    first, number = read_days(days)
    message = not first and number
  end
  if times and not message then
    from, length = read_times(times)
    message = not from and length
  end
  if message then
    return message
  end
  for i = first, first + number - 1 do
    local start = i % 7 * DAY + from
    list[#list + 1] = { from = start, to = math.min(start + length, WEEK) }
    if start + length > WEEK then
      list[#list + 1] = { from = 0, to = start + length - WEEK }
    end
  end
end

-- The same windows in order, without overlaps.
local function merged(list)
  table.sort(list, function(a, b) return a.from < b.from end)
  local result = {}
  for _, window in ipairs(list) do
    local last = result[#result]
    if last and window.from <= last.to then
      last.to = math.max(last.to, window.to)
    else
      result[#result + 1] = window
    end
  end
  return result
end

-- Returns the windows of a week; true when nothing is restricted; nil and a message.
local function read_hours(text)
  if text == nil or text == "always" then
    return true
  elseif type(text) ~= "string" then
    return nil, ('hours must be a text such as "Mon-Fri 19:00-06:00, Sat-Sun" (%s was given)'):format(quoted(text))
  elseif #text > MOST then
    return nil, "hours have more than 1000 characters"
  elseif not text:find "[^%s,]" then
    return nil, "hours say nothing: write for example Mon-Fri 19:00-06:00, Sat-Sun, or always"
  end
  local list = {}
  for entry in (text .. ","):gmatch "%s*([^,]-)%s*," do
    local message = entry == "" and "hours: there is nothing at a comma" or add_entry(list, entry)
    if message then
      return nil, message
    end
  end
  list = merged(list)
  return list[1].from == 0 and list[1].to == WEEK or list
end

-- ---- reading the other settings ----

local SECONDS <const> = { s = 1, sec = 1, second = 1, min = 60, minute = 60, h = 3600, hour = 3600 }
local WORDS <const> = { [""] = "items", studies = "items", study = "items", series = "items", images = "images", image = "images" }

-- Returns { seconds = for one, unit = "items" | "images" }; false when there is none; nil and a message.
local function read_rate(text)
  if text == nil or text == "none" then
    return false
  end
  local number, word, unit
  if type(text) == "string" and #text <= MOST then
    number, word, unit = text:match "^%s*(%d+%.?%d*)%s*(%a*)%s*/%s*(%a+)%s*$"
  end
  number = tonumber(number)
  if not number or number <= 0 or not WORDS[word] or not SECONDS[unit] then
    return nil, ("rate: %s is not understood; write a number for each s, min or h, such as 40/min or 600 images/min"):format(quoted(text))
  end
  return { seconds = SECONDS[unit] / number, unit = WORDS[word] }
end

local function read_number(name, value, default, fits, range)
  if value == nil then
    return default
  elseif math.type(value) == nil or not fits(value) then
    return nil, ("%s must be a number %s (%s was given)"):format(name, range, quoted(value))
  end
  return value
end

local Pace = {}
Pace.__index = Pace

-- Reads the settings of a transfer. Returns an object with the methods below, or nil and a message.
function pace.read(settings)
  local message
  local self = setmetatable({ free_at = 0, slots = {} }, Pace)
  local function take(name, value, problem)
    self[name], message = value, message or (value == nil and problem) or nil
  end
  take("week", read_hours(settings.hours))
  take("zone", time_zone.open(settings.time_zone))
  take("rate", read_rate(settings.rate))
  take("share", read_number("share", settings.share, 1, function(n) return n > 0 and n <= 1 end, "above 0 and at most 1"))
  take("gap", read_number("gap", settings.gap, 0, function(n) return n >= 0 and n < math.huge end, "of seconds, 0 or more"))
  if message then
    return nil, message
  end
  return self
end

-- ---- windows ----

-- Whether an instant in seconds is in the allowed hours; then the next instant at which that can be different.
local function look(self, instant)
  local offset, changes = self.zone:at(instant)
  local place = (instant + offset + calendar.weekday(0) * DAY) % WEEK
  local open, till = false, WEEK
  for _, window in ipairs(self.week) do
    if place < window.from then
      till = window.from
      break
    elseif place < window.to then
      open, till = true, window.to
      break
    end
  end
  return open, math.min(instant + till - place, changes)
end

-- Returns whether items may be sent at that instant, and the instant at which that changes (nil = never).
function Pace:window(now)
  if self.week == true then
    return true
  end
  local open, next_look = look(self, now // 1000)
  repeat
    local at = next_look
    local then_open
    then_open, next_look = look(self, at)
    if then_open ~= open then
      return open, at * 1000
    end
  until false
end

-- The time between two instants in which items may be sent, in milliseconds.
function Pace:allowed(from, to)
  local sum = 0
  while from < to do
    local open, change = self:window(from)
    local till = math.min(change or to, to)
    sum, from = open and sum + till - from or sum, till
  end
  return sum
end

-- The instant at which `time` milliseconds have passed in which items may be sent; nil when that is more than ten years away.
function Pace:after(from, time)
  local limit = from + 10 * 366 * DAY * 1000
  while from < limit do
    local open, change = self:window(from)
    if open and (not change or from + time <= change) then
      return from + time < limit and from + time or nil
    end
    time, from = open and time - (change - from) or time, change
  end
end

-- The windows that are closed between two instants, as a list of { from =, to = }.
function Pace:closed(from, to)
  local list = {}
  while from < to do
    local open, change = self:window(from)
    local till = math.min(change or to, to)
    if not open then
      list[#list + 1] = { from = from, to = till }
    end
    from = till
  end
  return list
end

-- ---- rate and rests ----

-- A slot is one of the sends that run at once; each rests by itself. The rate is that of the whole transfer: each of its workers takes an
-- equal part of it. A pause saves nothing up, so no burst follows it.

local function slot_of(self, slot)
  slot = slot or 1
  self.slots[slot] = self.slots[slot] or { rest_until = 0, charged = 0 }
  return self.slots[slot]
end

local function charge(self, now, n, workers)
  self.free_at = math.max(self.free_at, now) + n * self.rate.seconds * 1000 * (workers or 1)
end

-- How many milliseconds the slot waits before it may begin its next send; 0 = none. The hours are another matter: see window.
function Pace:delay(now, slot)
  return math.max(math.ceil(math.max(self.free_at, slot_of(self, slot).rest_until) - now), 0)
end

-- A slot begins to send n items, which have so many images (nil: not known) altogether. workers: how many share the transfer.
function Pace:begun(now, slot, n, images, workers)
  slot = slot_of(self, slot)
  slot.charged = images or 0
  if self.rate then
    charge(self, now, self.rate.unit == "items" and n or slot.charged, workers)
  end
end

-- The slot has ended its send. images: the number that was really sent (nil: as expected); seconds: how long it took.
function Pace:sent(now, slot, images, seconds, workers)
  slot = slot_of(self, slot)
  if self.rate and self.rate.unit == "images" then
    self.free_at = self.free_at + ((images or slot.charged) - slot.charged) * self.rate.seconds * 1000 * (workers or 1)
  end
  slot.rest_until = now + math.max(seconds * (1 - self.share) / self.share, self.gap) * 1000
end

-- ---- words ----

-- The local time of an instant: { weekday = "Sat", year =, month =, day =, hour =, minute =, second = }.
function Pace:local_time(instant)
  local seconds = instant // 1000 + self.zone:at(instant // 1000)
  local day = seconds // DAY
  local year, month, date = calendar.date(day)
  return { weekday = DAYS[calendar.weekday(day) + 1], year = year, month = month, day = date, hour = seconds % DAY // 3600,
    minute = seconds % 3600 // 60, second = seconds % 60 }
end

return pace
