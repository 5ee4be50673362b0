-- transfer.status: what a ledger says about its transfer: the table that transfer.status returns, and transfer.run as summary.
local require = ...
local json = require "modalua.json"
local native = require "core.native"
local pace = require "transfer.pace"
local process = require "transfer.process"
local workers = require "transfer.ledger_workers"

local status = {}

local MINUTE <const> = 60000
local RECENT <const> = 5 -- minutes that the rate is of
local LEAST <const> = 1 / 6 -- minutes: less says nothing

-- The workers that are alive, as far as their leases and the processes of this machine show.
local function live_workers(list, now)
  local live = {}
  for _, worker in ipairs(list) do
    if worker.state == "live" and worker.seen >= now - workers.LEASE * 1000 and not process.is_gone(worker.host, worker.pid) then
      live[#live + 1] = worker
    end
  end
  return live
end

-- How much the workers that have started at `began` or later do in a minute of allowed time, since `from`: { items =, instances =, bytes
-- = } | false when that is too short a time | nil, err.
local function rate_of(ledger, allowed, began, from, to)
  local work, err = ledger:work_since(from, began)
  if not work then
    return nil, err
  end
  local span = allowed:allowed(from, to) / MINUTE
  return span >= LEAST and { items = work.items / span, instances = work.instances / span, bytes = work.bytes / span }
end

-- Since when the workers run that are alive; else since when the last one ran, and until when.
local function last_run(list, live)
  local began, ended
  for _, worker in ipairs(live) do
    began = math.min(began or worker.started, worker.started)
  end
  local last = list[#list]
  if not began and last then
    began, ended = last.started, last.seen
  end
  return began, ended
end

-- Fills in rate and run_rate.
local function add_rates(ledger, result, list, live, now, allowed)
  local began, ended = last_run(list, live)
  if not began then
    return true
  end
  local rate, err = rate_of(ledger, allowed, began, began, ended or now)
  result.run_rate = rate or nil
  if rate ~= nil and #live > 0 then
    rate, err = rate_of(ledger, allowed, began, math.max(began, (now - RECENT * MINUTE) // MINUTE * MINUTE), now)
    result.rate = rate or nil
  end
  return rate ~= nil, err
end

-- The seconds of allowed time that the rest takes, by images where their numbers are known; nil while it cannot be told.
local function time_left(result, totals, found_all)
  local rate = result.rate or result.run_rate
  local items, instances = 0, 0
  for _, state in ipairs { "todo", "sending", "sent" } do
    items = items + result.items[state]
    instances = instances + (totals[state] and totals[state].instances or 0)
  end
  if not found_all or not rate then
    return nil
  elseif items == 0 then
    return 0
  elseif instances > 0 and rate.instances > 0 then
    return instances / rate.instances * 60
  end
  return rate.items > 0 and items / rate.items * 60 or nil
end

-- One wait of a live worker, the longest; whether all of them wait.
local function waits_of(live)
  local longest, all = nil, #live > 0
  for _, worker in ipairs(live) do
    local waiting = worker.waiting
    all = all and waiting ~= nil
    if waiting and (not longest or (waiting.since or 0) < (longest.since or 0)) then
      longest = waiting
    end
  end
  return longest, all
end

local function state_of(result, row, open, all_wait)
  if row.paused then
    return "paused"
  elseif row.found_all and open == 0 then
    return "finished"
  elseif #result.workers == 0 then
    return "stopped"
  end
  return (all_wait or result.window and not result.window.open) and "waiting" or "running"
end

local STATES <const> = { "todo", "sending", "sent", "done", "present", "failed", "unknown" }

-- The sums over all states.
local function add_totals(result, totals)
  result.found, result.instances, result.bytes = 0, 0, 0
  for _, state in ipairs(STATES) do
    local total = totals[state] or { items = 0, instances = 0, bytes = 0 }
    result.items[state] = total.items
    result.found = result.found + total.items
  end
  for _, state in ipairs { "done", "present" } do
    local total = totals[state] or { instances = 0, bytes = 0 }
    result.instances, result.bytes = result.instances + total.instances, result.bytes + total.bytes
  end
end

-- Everything that the ledger has to be asked: a list of values | nil, err.
local function ask(ledger)
  local answers = {}
  for i, method in ipairs { "describe", "now", "totals", "workers", "search", "count_lines" } do
    local value, err = ledger[method](ledger)
    if value == nil or method == "describe" and not value then
      return nil, err or ledger:no_transfer()
    end
    answers[i] = value
  end
  return answers
end

-- status.of(ledger, extra) -> the table | nil, err. Fast at any number of items. `extra` has what only a run knows: its fields replace
-- those of the ledger.
--
-- rates are { items =, instances =, bytes = } in a minute of allowed time, `left` is in seconds of allowed time, `window` is { open =,
-- until = }, and times are milliseconds since 1970. `lines` has the numbers of lines by their outcome, when there is a list; FOUND: it has
-- items.
function status.of(ledger, extra)
  local answers, err = ask(ledger)
  if not answers then
    return nil, err
  end
  local row, now, totals, list, search, lines = table.unpack(answers)
  local live = live_workers(list, now)
  local result = { items = {}, workers = json.array(live), settings = row.settings, unproven = search.unproven, paused = row.paused,
    complete = row.found_all ~= nil and search.unproven == 0, from = row.from_name, to = row.to_name, level = row.level,
    lines = lines or nil }
  add_totals(result, totals)
  local allowed, message = pace.read { hours = row.settings.hours, time_zone = row.settings.time_zone }
  if not allowed then -- this machine does not have the time zone
    return nil, native.fail("status", "refused", "usage", message)
  end
  local done
  done, err = add_rates(ledger, result, list, live, now, allowed)
  if not done then
    return nil, err
  end
  result.left = time_left(result, totals, row.found_all)
  local due
  due, err = ledger:last_due()
  if due == nil then
    return nil, err
  elseif result.left and due and due > now then
    result.left = math.max(result.left, (due - now) / 1000)
  end
  if row.settings.hours then
    local open, change = allowed:window(now)
    result.window = { open = open, ["until"] = change }
  end
  local waiting, all_wait = waits_of(live)
  result.waiting = waiting
  local items = result.items
  result.state = state_of(result, row, items.todo + items.sending + items.sent, all_wait)
  if result.state == "waiting" then
    result.rate = nil
  end
  for name, value in pairs(extra or {}) do
    result[name] = value
  end
  return result
end

return status
