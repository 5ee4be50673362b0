-- transfer.shown_times: the times of a transfer as the command and the table of the report show them: ISO 8601, UTC. In a ledger and in Lua
-- they are milliseconds since 1970.
local require = ...
local json = require "modalua.json"

local shown_times = {}

local TIMES <const> = { since = true, ["until"] = true, started = true, seen = true, finished = true, time = true, due = true,
  finished_before = true }

-- "2026-11-29T02:14:05Z". nil stays nil.
function shown_times.text(ms)
  return ms and os.date("!%Y-%m-%dT%H:%M:%SZ", ms // 1000) or nil
end

-- A copy of a table of transfer.status or transfer.items, or of an event, in which the times are texts.
function shown_times.copy(value)
  if type(value) ~= "table" then
    return value
  end
  local copy = getmetatable(value) and json.array {} or {}
  for name, field in pairs(value) do
    copy[name] = TIMES[name] and math.type(field) == "integer" and shown_times.text(field) or shown_times.copy(field)
  end
  return copy
end

-- A row of transfer.items for people and for other programs.
function shown_times.row(item)
  local row = shown_times.copy(item)
  row.seconds = row.seconds and math.floor(row.seconds * 1000 + 0.5) / 1000
  return row
end

return shown_times
