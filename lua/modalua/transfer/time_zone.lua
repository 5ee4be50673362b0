-- transfer.time_zone: the local time of a zone, read from the system's files (TZif, RFC 8536). The C library knows only one zone for the
-- whole process, and the Lua libraries stop at the last change that is in the file: luatz reads the rule behind it and drops it.
--
-- Instants are seconds since 1970 in UTC. A local time is a number of the same kind: the seconds since 1970 on a clock of that zone.
local require = ...
local calendar = require "core.calendar"
local doc = require "modalua.doc"
local letters = require "text.letters"

local time_zone = {}

local FOLDER <const> = os.getenv "TZDIR" or "/usr/share/zoneinfo"
local DAY <const> = 86400
local MOST <const> = 1 << 20 -- bytes of a file; the largest have 4,000

-- ---- the rule for all later times: CET-1CEST,M3.5.0,M10.5.0/3 ----

-- Reads [+-]hh[:mm[:ss]] at the beginning of the text. Returns the seconds and the rest, or nothing.
local function read_time(text)
  local sign, hours, rest = text:match "^([+-]?)(%d%d?%d?)(.*)$"
  if not hours then
    return
  end
  local seconds = tonumber(hours) * 3600
  for _, unit in ipairs { 60, 1 } do
    local number, behind = rest:match "^:(%d%d)(.*)$"
    if not number then
      break
    end
    seconds, rest = seconds + tonumber(number) * unit, behind
  end
  return math.tointeger(sign == "-" and -seconds or seconds), rest
end

-- The name of the zone, such as CET or <+0330>, is of no use here. Returns what is behind it.
local function skip_name(text)
  return text:match "^<[%w+-]+>(.*)$" or text:match "^%a%a%a+(.*)$"
end

-- Reads ",M3.5.0/3", ",J60" or ",59" at the beginning of the text: a day of each year, with a time of that day. Returns the seconds of the
-- local clock from 1970 as a function of the year, and the rest.
local function read_change(text)
  local day_of
  local month, week, weekday, rest = text:match "^,M(%d%d?)%.(%d)%.(%d)(.*)$"
  if month then
    month, week, weekday = math.tointeger(month), math.tointeger(week), (math.tointeger(weekday) + 6) % 7
    function day_of(year) -- week 5 is the last one
      local first = calendar.day(year, month, 1)
      local day = first + (weekday - calendar.weekday(first)) % 7 + (week - 1) * 7
      local next_month = month < 12 and calendar.day(year, month + 1, 1) or calendar.day(year + 1, 1, 1)
      return day < next_month and day or day - 7
    end
  else
    local julian, number, behind = text:match "^,(J?)(%d%d?%d?)(.*)$"
    number, rest = math.tointeger(number), behind
    function day_of(year) -- J does not count February 29
      return julian == "" and calendar.day(year, 1, 1) + number
        or calendar.day(year, 1, 1) + number - 1 + (number > 59 and calendar.day(year, 3, 1) - calendar.day(year, 2, 29) or 0)
    end
    if not number then
      return
    end
  end
  local seconds = 2 * 3600
  if rest:sub(1, 1) == "/" then
    seconds, rest = read_time(rest:sub(2))
  end
  return seconds and function(year) return day_of(year) * DAY + seconds end, rest
end

-- Returns the rule { standard = offset, summer = offset | nil, begins =, ends = }; nil when the text is none. Without dates, the summer
-- time is that of the United States, as in the C library.
local function read_rule(text)
  local standard, summer
  local rest = skip_name(text)
  standard, rest = read_time(rest or "")
  if not standard then
    return nil
  elseif rest == "" then
    return { standard = -standard }
  end
  rest = skip_name(rest)
  if not rest then
    return nil
  end
  summer = standard - 3600
  if rest:find "^[+%-%d]" then
    summer, rest = read_time(rest)
  end
  local begins, ends
  begins, rest = read_change(rest == "" and ",M3.2.0,M11.1.0" or rest)
  if begins then
    ends, rest = read_change(rest)
  end
  return ends and rest == "" and { standard = -standard, summer = -summer, begins = begins, ends = ends } or nil
end

-- Returns the offset at an instant, and the instant of the next change.
local function rule_at(rule, instant)
  if not rule.summer then
    return rule.standard, math.huge
  end
  local year = calendar.date(instant // DAY)
  local changes = {}
  for y = year - 1, year + 2 do
    changes[#changes + 1] = { at = rule.ends(y) - rule.summer, offset = rule.standard, order = 0 }
    changes[#changes + 1] = { at = rule.begins(y) - rule.standard, offset = rule.summer, order = 1 }
  end
  -- A summer time of the whole year ends at the instant at which it begins again.
  table.sort(changes, function(a, b)
    if a.at ~= b.at then
      return a.at < b.at
    end
    return a.order < b.order
  end)
  local offset = rule.standard
  for _, change in ipairs(changes) do
    if change.at > instant then
      return offset, change.at
    end
    offset = change.offset
  end
end

-- ---- a file ----

local HEADER <const> = ">c4 c1 c15 I4 I4 I4 I4 I4 I4" -- the numbers: UTC flags, standard flags, leap seconds, changes, types, characters
local HEADER_SIZE <const> = 44

-- Returns the changes of a file and its last rule; nil and the reason when it is no such file.
local function parse(data)
  if #data < HEADER_SIZE or data:sub(1, 4) ~= "TZif" then
    return nil, "it is no file of a time zone"
  elseif data:byte(5) < 0x32 then
    return nil, "it has the old format 1"
  end
  local _, _, _, utc, standard, leaps, n, types, characters = HEADER:unpack(data)
  local at = HEADER_SIZE + 1 + n * 5 + types * 6 + characters + leaps * 8 + standard + utc -- behind the part with times of 32 bits
  _, _, _, utc, standard, leaps, n, types, characters = HEADER:unpack(data, at)
  if leaps > 0 then
    return nil, "it counts leap seconds, which the system's clock does not"
  end
  local times, offsets, kinds = {}, {}, {}
  local times_at = at + HEADER_SIZE
  local kinds_at, types_at = times_at + n * 8, times_at + n * 9
  for i = 1, types do
    offsets[i] = (">i4"):unpack(data, types_at + (i - 1) * 6)
  end
  for i = 1, n do
    times[i] = (">i8"):unpack(data, times_at + (i - 1) * 8)
    assert(i == 1 or times[i - 1] < times[i])
    kinds[i] = assert(offsets[data:byte(kinds_at + i - 1) + 1])
  end
  local footer = data:sub(types_at + types * 6 + characters + standard + utc):match "^\n([^\n]*)\n$"
  local rule = footer ~= "" and read_rule(footer) or nil
  assert(footer and (rule or footer == ""))
  return { times = times, offsets = kinds, first = assert(offsets[1]), rule = rule }
end

local Zone = {}
Zone.__index = Zone

function Zone:__tostring()
  return "the time zone " .. self.name
end

-- The offset of the zone at an instant in seconds, and the instant of the next change (math.huge when there is none; the offset may be the
-- same behind it).
function Zone:at(instant)
  local times = self.times
  local low, high = 0, #times -- times[low] <= instant
  while low < high do
    local middle = (low + high + 1) // 2
    if times[middle] <= instant then
      low = middle
    else
      high = middle - 1
    end
  end
  if low == #times and self.rule then
    return rule_at(self.rule, instant)
  end
  return self.offsets[low] or self.first, times[low + 1] or math.huge
end

local function quoted(name)
  return "'" .. letters.cut(letters.shown(name), 60) .. "'"
end

-- Returns the zone of a file; nil and a message when it is damaged; nothing when it cannot be read.
local function load(path, name)
  local file <close> = io.open(path, "rb")
  local data = file and file:read(MOST)
  if not data then
    return
  end
  local good, zone, reason = pcall(parse, data)
  if not good or not zone then
    return nil, ("%s cannot be used as time zone: %s"):format(quoted(name), good and reason or "its file is damaged")
  end
  zone.name = name
  return setmetatable(zone, Zone)
end

local function fixed_zone(name, rule)
  return setmetatable({ times = {}, offsets = {}, first = 0, rule = rule, name = name }, Zone)
end

-- A name has letters, digits, _ + - and /, so that it does not lead out of the folder.
local function is_name(name)
  return #name <= 100 and not ("/" .. name .. "/"):find("//", 1, true) and name:find "^[%w_+/-]+$" ~= nil
end

-- What the C library takes for the time of the machine: the variable TZ (a name, a path or a rule), else /etc/localtime, else UTC.
local function machine_zone()
  local text = os.getenv "TZ"
  if not text then
    local zone, message = load("/etc/localtime", "/etc/localtime")
    return zone or not message and fixed_zone "UTC" or nil, message
  end
  local name = text:gsub("^:", "")
  local path = name:sub(1, 1) == "/" and name or is_name(name) and FOLDER .. "/" .. name
  local zone, message
  if path then
    zone, message = load(path, name)
  end
  local rule = not (zone or message) and read_rule(name)
  if rule or name == "" then
    return fixed_zone(name == "" and "UTC" or name, rule)
  end
  return zone, message or not zone and ("the environment variable TZ has %s, which is no time zone"):format(quoted(name)) or nil
end

-- Returns the zone of that name (nil: the machine's), or nil and a message.
function time_zone.open(name)
  if name == nil then
    return machine_zone()
  elseif type(name) ~= "string" then
    return nil, ("a time zone is a text such as Europe/Vienna (a %s was given)"):format(type(name))
  elseif not is_name(name) then
    return nil, ("%s is no name of a time zone: write a name such as Europe/Vienna"):format(quoted(name))
  end
  local zone, message = load(FOLDER .. "/" .. name, name)
  return zone, message or not zone and ("there is no time zone %s in %s: write a name such as Europe/Vienna"):format(quoted(name), FOLDER)
    or nil
end

doc.describe(time_zone.open, "time_zone.open([name]) -> zone | nil, message",
  "Opens a time zone of the system: a name such as Europe/Vienna, or nothing for the zone of the machine. zone:at(t) -> offset, change: "
    .. "the seconds that clocks of the zone are ahead of UTC at t (seconds since 1970), and the instant of the next change of clocks.",
  { example = [=[
local zone = assert(require("modalua.time_zone").open "Europe/Vienna")
print(zone:at(os.time()))]=] })

return time_zone
