-- The section "Modalua" of the server's configuration: checks it, and gives it to the plugin (settings.c).
-- `configuration` is the whole configuration, `filter_names` the names of the filters in the order of their bits; `set(script, key, value)`
-- and `fault_of(script, text)` are functions of the plugin,
-- and so is `file_fault(path)`: why it cannot be a script, such as a pipe, which would hold up the server; nil = it may be one.
-- luacheck: read_globals configuration filter_names set fault_of file_fault
-- script is "" for what belongs to no script.
local nearest = require "modalua.doc".nearest
local time_zone = require "modalua.time_zone"

local function is_object(value)
  return type(value) == "table" and #value == 0
end

local function fault(script, format, ...)
  fault_of(script, format:format(...))
end

-- ---- values: each reader returns the value as a text, or nil and what it must be ----

local function boolean(value)
  if type(value) == "boolean" then
    return value and "1" or "0"
  end
  return nil, "true or false"
end

local function text(value)
  if type(value) == "string" and value ~= "" and not value:find "%z" then
    return value
  end
  return nil, "a text that is not empty"
end

local function whole(least, most)
  return function(value)
    local number = math.type(value) and math.tointeger(value)
    if number and number >= least and number <= most then
      return tostring(number)
    end
    return nil, ("a whole number from %d to %d"):format(least, most)
  end
end

local function seconds(value)
  if math.type(value) and value >= 0.001 and value < 1e9 then
    return ("%.3f"):format(value)
  end
  return nil, "a number of seconds, at least 0.001"
end

local UNITS <const> = { s = 1, m = 60, h = 3600, d = 86400 }

local function duration(value)
  local number, unit = tostring(value):match "^(%d+)([smhd])$"
  local long = number and tonumber(number) * UNITS[unit]
  if type(value) == "string" and long and long > 0 and long < 1e9 then
    return tostring(long)
  end
  return nil, 'a text such as "90s", "15m", "24h" or "7d"'
end

local function time_of_day(value)
  local hour, minute = tostring(value):match "^(%d%d):(%d%d)$"
  if type(value) == "string" and hour and tonumber(hour) < 24 and tonumber(minute) < 60 then
    return tostring(tonumber(hour) * 60 + tonumber(minute))
  end
  return nil, 'a time such as "02:00"'
end

local function zone_name(value)
  local zone, message = time_zone.open(type(value) == "string" and value or "")
  return zone and value, ("the name of a time zone such as Europe/Vienna (%s)"):format(message)
end

local DAYS <const> = { Sun = 1, Mon = 2, Tue = 4, Wed = 8, Thu = 16, Fri = 32, Sat = 64 }

local function days(value)
  local bits = 0
  for _, day in ipairs(type(value) == "table" and value or {}) do
    bits = bits | (DAYS[day] or 1024)
  end
  if bits > 0 and bits < 1024 then
    return tostring(bits)
  end
  return nil, 'a list of days, such as ["Mon", "Fri"]'
end

local BYTES <const> = { K = 1024, M = 1024 ^ 2, G = 1024 ^ 3 }

local function bytes(value)
  local number, unit = tostring(value):match "^(%d+)([KMG])$"
  local size = number and tonumber(number) * BYTES[unit]
  if type(value) == "string" and size and size >= 2 ^ 20 and size <= 2 ^ 50 then
    return ("%.0f"):format(size)
  end
  return nil, 'a text such as "200M", at least "1M"'
end

local function path(value)
  if type(value) ~= "string" or value:sub(1, 1) ~= "/" then
    return nil, "the absolute path of a Lua file"
  end
  return value
end

-- Templates of package.path, separated by ';'.
local function module_path(value)
  local good = text(value) ~= nil and value:find "[^;]" ~= nil
  for template in (good and value or ""):gmatch "[^;]+" do
    good = good and template:sub(1, 1) == "/" and template:find("?", 1, true) ~= nil
  end
  return good and value or nil, "absolute paths with '?', such as /etc/orthanc/lua/?.lua"
end

local filter_bits, ALL_FILTERS <const> = {}, ("%d"):format((1 << #filter_names) - 1)
for i, name in ipairs(filter_names) do
  filter_bits[name] = 1 << (i - 1)
end

local function filters(value)
  local bits = 0
  for _, name in ipairs(type(value) == "table" and value or {}) do
    bits = bits | (filter_bits[name] or 1024)
  end
  if bits > 0 and bits < 1024 then
    return tostring(bits)
  end
  return nil, ('a list of filters: "%s"'):format(table.concat(filter_names, '", "'))
end

local function verdict(value)
  if value == "accept" or value == "reject" then
    return value
  end
  return nil, '"accept" or "reject"'
end

-- ---- the keys ----

local GENERAL <const> = { ModulePath = module_path, AllowExecute = boolean, Strict = boolean, Scripts = false, RouteTimeLimit = seconds,
  FilterTimeLimit = seconds, FilterDefault = verdict }

local OF_SCRIPT <const> = { Path = path, Every = duration, At = time_of_day, TimeZone = zone_name, Days = days, Sandbox = boolean,
  MemoryLimit = bytes, TimeLimit = seconds, BurstLimit = seconds, Grace = seconds, Threads = whole(1, 64), Filters = filters,
  Arguments = false }

-- Reads the members of an object that `readers` has. Returns what was read, and whether nothing is wrong.
local function read(script, object, readers)
  local place, good, values = script == "" and "Modalua" or ("Modalua.Scripts.%s"):format(script), true, {}
  for key, value in pairs(object) do
    local reader = readers[key]
    if reader == nil then
      local names = {}
      for name in pairs(readers) do
        names[#names + 1] = name
      end
      table.sort(names)
      local close = nearest(tostring(key), names)
      fault(script, "%s has no setting '%s'%s", place, key,
        close and (", did you mean '%s'?"):format(close) or ("; the settings are %s"):format(table.concat(names, ", ")))
      good = false
    elseif reader then
      local read_value, expected = reader(value)
      if not read_value then
        fault(script, "%s.%s must be %s", place, key, expected)
        good = false
      end
      values[key] = read_value
    end
  end
  return values, good
end

-- ---- scripts ----

local function check_arguments(name, list)
  if list ~= nil and (type(list) ~= "table" or next(list) and #list == 0) then
    fault(name, "Modalua.Scripts.%s.Arguments must be a list of texts", name)
    return false
  end
  for _, argument in ipairs(list or {}) do
    if not text(argument) then
      fault(name, "Modalua.Scripts.%s.Arguments must be a list of texts", name)
      return false
    end
  end
  return true
end

local function check_times(name, values)
  local without_at = not values.At and (values.Days and "Days" or values.TimeZone and "TimeZone")
  local zone, message = time_zone.open(values.TimeZone)
  if without_at then
    fault(name, "Modalua.Scripts.%s.%s needs At", name, without_at)
  elseif values.At and not zone then
    fault(name, "Modalua.Scripts.%s.At needs the time zone of the machine: %s", name, message)
  elseif values.At and values.Every and tonumber(values.Every) % 86400 ~= 0 then
    fault(name, "Modalua.Scripts.%s.Every must be whole days when there is At", name)
  else
    return true
  end
end

-- The plugin API has no filter of C-FIND requests. Orthanc's own Lua has one, and in this file it asks the plugin.
local FIND_FILTER_FILE <const> = "modalua_find_filter.lua"

local function asks_for_finds()
  for _, script in ipairs(type(configuration.LuaScripts) == "table" and configuration.LuaScripts or {}) do
    if tostring(script):match "[^/]*$" == FIND_FILTER_FILE then
      return true
    end
  end
end

local filtered = 0 -- the filters of the scripts so far

-- One script decides a filter, and the configuration says what holds without its answer.
local function check_filters(name, values)
  local bits = math.tointeger(tonumber(values.Filters or 0))
  if bits > 0 and not verdict(configuration.Modalua.FilterDefault) then
    fault(name, 'Modalua.Scripts.%s.Filters needs Modalua.FilterDefault: "accept" or "reject", for when the script gives no answer', name)
  elseif filtered & bits > 0 then
    fault(name, "Modalua.Scripts.%s.Filters names a filter that another script has", name)
  elseif bits & filter_bits.IncomingFindRequest > 0 and not asks_for_finds() then
    fault(name, 'Modalua.Scripts.%s.Filters: "IncomingFindRequest" needs %s, a file of this plugin, among the LuaScripts of the server',
      name, FIND_FILTER_FILE)
  else
    filtered = filtered | bits
    return true
  end
end

-- Tells the plugin which filters the script is to decide, also when it has a fault and is not started: then FilterDefault decides. Those
-- that cannot be read, or have a misspelt key, may be any.
local function note_filters(entry)
  for key, value in pairs(is_object(entry) and entry or {}) do
    if key == "Filters" then
      set("", "Filters", filters(value) or ALL_FILTERS)
    elseif OF_SCRIPT[key] == nil and nearest(tostring(key), { "Filters" }) then
      set("", "Filters", ALL_FILTERS)
    end
  end
end

-- A script that does not compile is found when the server starts.
local function check_file(name, values)
  if not values.Path then
    fault(name, "Modalua.Scripts.%s has no Path", name)
    return false
  end
  local fault_of_path = file_fault(values.Path)
  local compiled, err
  if fault_of_path then
    err = fault_of_path
  else
    compiled, err = loadfile(values.Path, "t")
  end
  if not compiled then
    fault(name, "Modalua.Scripts.%s: %s", name, err)
  end
  return compiled ~= nil
end

local function read_script(name, entry)
  if not name:find "^[%w_-]+$" or #name > 50 then
    fault(name, "the name of the script '%s' must consist of letters, digits, '_' and '-', at most 50", name)
    return
  end
  if type(entry) == "string" then
    entry = { Path = entry }
  elseif not is_object(entry) then
    fault(name, "Modalua.Scripts.%s must be the path of a Lua file, or an object", name)
    return
  end
  local values, good = read(name, entry, OF_SCRIPT)
  if good and check_arguments(name, entry.Arguments) and check_times(name, values) and check_file(name, values)
    and check_filters(name, values) then
    for key, value in pairs(values) do
      set(name, key, value)
    end
    for _, argument in ipairs(entry.Arguments or {}) do
      set(name, "Argument", argument)
    end
  end
end

if math.type(configuration.DicomScuTimeout) and configuration.DicomScuTimeout >= 0 then
  set("", "DicomScuTimeout", tostring(configuration.DicomScuTimeout))
end
local section = configuration.Modalua
if section == nil then
  return
elseif not is_object(section) then
  return fault("", "Modalua must be an object")
end
for key, value in pairs(read("", section, GENERAL)) do
  set("", key, value)
end
if section.Strict ~= nil and section.Strict ~= false then -- also a wrong value, which is a fault
  set("", "Strict", "1")
end
if section.Scripts ~= nil and not is_object(section.Scripts) then
  return fault("", 'Modalua.Scripts must be an object: { "name": "/path/of/script.lua" }')
end
local names = {}
for name in pairs(section.Scripts or {}) do
  names[#names + 1] = name
end
table.sort(names)
for _, name in ipairs(names) do
  note_filters(section.Scripts[name])
  read_script(name, section.Scripts[name])
end
