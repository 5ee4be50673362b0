-- transfer.run: the run of a transfer by this process: a worker, perhaps beside others on the same ledger.
--
-- run.run(work) is called by transfer.transfer: work = { ledger = open and begun, client = the Orthanc that sends, source = a Modality or a
-- Client, is_local = the source is the Client, destination = { kind = "modality" | "client" | "peer" | "aet", name =, modality = | peer = |
-- aet = }, arrived_at = a Client or nil, options = those of this call, control = see below, status = function(ledger, extra) -> summary,
-- tell = function(event) }.
--
-- control, of the command: stopping = true when nothing new may begin, confirm = function(n) -> boolean.
local require = ...
local breaker = require "transfer.breaker"
local closing = require "transfer.closing"
local ending = require "transfer.confirm"
local ledger_workers = require "transfer.ledger_workers"
local native = require "core.native"
local pace = require "transfer.pace"
local points = require "transfer.points"
local process = require "transfer.process"
local run_limits = require "transfer.run_limits"
local send_items = require "transfer.send_items"

local run = {}

local TURN_SECONDS <const>, POLL_SECONDS <const>, PROGRESS_SECONDS <const> = 0.25, 5, 1
local GONE_SECONDS <const> = 5 -- for so long a ledger cannot be looked at that was removed
local PACE <const> = { "hours", "time_zone", "rate", "share", "gap" }

local Run = {}
Run.__index = Run

-- ---- settings ----

-- Sets self.settings, which send_items shares, from those in the ledger.
local function read_settings(self, info)
  local given, settings = info.settings, self.settings
  settings.concurrency, settings.join = given.concurrency or 1, given.join or 1
  settings.retries, settings.max_failed = given.retries or 3, given.max_failed or 1000
  settings.verify, settings.order = given.verify or "count", given.order
  self.confirmed = self.confirmed or given.yes or self.options.yes
  self.paused, self.version, self.found_all = info.paused, info.settings_version, info.found_all ~= nil
  local own = {}
  for _, name in ipairs(PACE) do
    own[name] = given[name] ~= "" and given[name] or nil
  end
  local text = {}
  for _, name in ipairs(PACE) do
    text[#text + 1] = tostring(own[name])
  end
  text = table.concat(text, "\n")
  if text ~= self.pace_text then
    local new, message = pace.read(own)
    if not new then
      return nil, native.fail("transfer", "refused", "usage", message)
    end
    self.pace, self.pace_text, self.window_until = new, text, nil
  end
  return true
end

local function describe(self)
  local info, err = self.ledger:describe()
  if not info then
    return nil, err
  end
  return read_settings(self, info)
end

-- This worker's part of the transfers at once.
local function take_share(self)
  local list, rank = self.ledger:live()
  if not list then
    self.items:ledger_failed(rank)
  elseif rank then
    local concurrency, n = self.settings.concurrency, #list
    self.workers = n
    self.items.share = concurrency // n + (rank <= concurrency % n and 1 or 0)
    self.items:start(self.spawn)
  end
end

-- ---- the worker ----

local function join(self)
  local host, pid = process.here()
  local system = self.client:system()
  local id, err = self.ledger:join { host = host, pid = pid, server = self.server, version = system and system.Version }
  self.renewed = native.now()
  return id, err
end

-- This worker was taken for dead, and another one may have its items. It begins anew.
local function begin_anew(self)
  self.items.is_dead = true
  self.items:abandon()
  self.tell { event = "note", message = "this worker was taken for dead; it gives up its items, and begins anew" }
  local id, err = join(self)
  if id then
    self.items.is_dead = nil
  else
    self.items:ledger_failed(err)
  end
end

-- What status shows while this worker waits for a side; nil when it does not.
local function waiting(self)
  local b = self.breaker
  return b.state ~= "closed" and { side = b.side, since = self.waits_since, reason = b.reason } or nil
end

local function renew(self)
  self.renewed = native.now()
  local live, err = self.ledger:renew(waiting(self))
  if live == nil then
    self.items:ledger_failed(err)
  elseif not live then
    begin_anew(self)
  end
end

-- ---- what may begin ----

-- Whether the search must have found everything before something may begin. It walks from the newest date to the oldest, as only what is
-- newer can be asked for without a bound.
function Run:waits_for_all()
  return self.settings.order == "oldest" and not self.found_all
end

-- Whether something may begin: an item claimed, or a transfer sent.
local function may_begin(self)
  local items = self.items
  return not (self.stopping or self.control_stop() or self.paused or self.ending) and self.is_open
    and not (items.fatal or items.ledger_error or items.is_dead or self.out_of_sight) and self.confirmed and self.breaker.state ~= "open"
    and self.ledger:age() < ledger_workers.FENCE and not self:waits_for_all() and not run_limits.is_at_failures(self)
end

-- The hours.
local function look_at_window(self)
  local now = pace.now()
  if self.window_until and now < self.window_until and now >= self.window_from then
    return
  end
  local was = self.is_open
  if self.options.dry_run then -- it sends nothing, and who asks for it wants to see now what would be sent
    self.is_open = true
  else
    self.is_open, self.window_until = self.pace:window(now)
  end
  self.window_from = now
  if self.is_open ~= was then
    self.tell { event = "window", open = self.is_open, ["until"] = self.window_until }
  end
  if was and not self.is_open and self.options.once then
    self.stopping = "once"
  end
  self.window_until = self.window_until or math.huge
end

-- ---- the breaker ----

local function ask_destination(self)
  local answers, silence, asked = self.items.send:echo_destination()
  return answers ~= false, silence, asked or "to"
end

-- Asks both sides. Returns true; or false, the error, and the side that was asked. A destination that did not answer is asked first:
-- while it is down, no other is asked.
local function ask_sides(self)
  local items = self.items
  if self.breaker.side == "to" then
    local answers, silence, asked = ask_destination(self)
    if not answers then
      return false, silence, asked
    end
  end
  local source, silence = items.send:echo_source()
  if not source then
    return false, silence, "from"
  end
  local item = self.ledger:items { state = "todo", limit = 1 }()
  if item then
    local found, err, side = items.compare:expect({ item }, true)
    if not found then
      return false, err, side
    end
  end
  if self.breaker.side ~= "to" then
    return ask_destination(self)
  end
  return true
end

local function probe(self)
  self.probing = true
  self.spawn(function()
    local answers, err, asked = ask_sides(self)
    local side = not answers and self.items:blame(err, asked)
    if answers then
      self.breaker:try_one()
    elseif side then
      self.breaker:stay_open(side, err.message)
      self.tell { event = "wait", side = side, since = self.waits_since, reason = err.message }
    end
    self.probing = false
    self.items.bell:ring()
  end)
end

local function mind_breaker(self)
  local b = self.breaker
  if b.state == "open" then
    if not self.waits_since then
      self.waits_since = self.now()
      self.tell { event = "wait", side = b.side, since = self.waits_since, reason = b.reason }
      renew(self) -- so that other processes see it
    end
    if b:is_hopeless() then
      self.items.fatal = self.items.fatal or native.fail("transfer", "refused", "gave_up",
        "the run has waited too long: " .. b.reason)
    elseif b:is_due() and not self.probing then
      probe(self)
    end
  elseif b.state == "closed" and self.waits_since then
    self.waits_since = nil
    self.tell { event = "wait" }
    renew(self)
  end
end

-- ---- the finder ----

-- Whether the search must not go on now: the hours hold for it too.
local function stops_finding(self)
  self.interrupted = self.stopping or self.ending or self.paused or self.items.fatal or not self.is_open
  return self.interrupted and true or false
end

local function find_once(self)
  local info, failure = self.ledger:describe()
  self.interrupted = nil
  if not info then
    return nil, failure
  end
  local settings = info.settings
  local common = { ledger = self.ledger, modality = not self.is_local and self.source or nil, client = self.is_local and self.client or nil,
    level = self.level, query = info.query, cap = settings.limit_results, order = settings.order, several = settings.several,
    names = settings.names, tell = self.tell, stop = function() return stops_finding(self) end }
  if info.query then
    local result, err = require "transfer.slices".find(common)
    if not result or self.interrupted then
      return result, err
    end
  end
  return require "transfer.listed".find(common)
end

-- Searches until everything is found. An error of the source is one of a side.
local function find(self)
  while not self.stopping and not self.ending and not self.items.fatal do
    local result, err = nil, nil
    if self.breaker.state ~= "open" and not stops_finding(self) then
      result, err = find_once(self)
    end
    if result and not self.interrupted then
      local ended, failure = self.ledger:end_finding()
      if ended then
        self.found_all = true
        break
      end
      err = failure
    end
    if err and err.code == "finder" then
      break -- another worker has the role now
    elseif err and (err.kind == "database" or err.code == "dead") then
      self.items:ledger_failed(err)
    elseif err and err.kind == "refused" then -- it was never asked, and waiting does not change that
      self.items.fatal = self.items.fatal or err
    elseif err then
      self.items:side_failed(err, "from")
    end
    self.items.bell:wait(1)
  end
  self.finding = false
  self.items.bell:ring()
end

local function mind_finder(self)
  if self.found_all or self.finding or self.stopping or self.paused then
    return
  end
  local taken, err = self.ledger:take_finder()
  if taken then
    self.finding = true
    self.spawn(function() find(self) end)
  elseif err then
    self.items:ledger_failed(err)
  end
end

-- ---- the end ----

-- Whether nothing is left to do for any worker.
local function is_finished(self)
  if not self.found_all or self.finding or not self.items:is_idle() then
    return false
  end
  local open, err = self.ledger:open_items()
  if not open then
    self.items:ledger_failed(err)
    return false
  elseif self.options.dry_run then
    return open.todo == 0
  elseif open.todo + open.sending + open.sent > 0 then
    return false
  end
  return ending.is_confirmed(self) and run_limits.count(self.ledger:totals() or {}, "todo") == 0
end

-- Why the run ends now: "finished", "stopped", "paused" or "failed"; nil when it goes on.
local function reason_to_end(self)
  local items = self.items
  if items.fatal then
    return "failed"
  elseif self.stopping then
    return "stopped"
  elseif self.paused == run_limits.FAILED_TOO_OFTEN or self.paused and self.was_paused then
    return "paused"
  elseif items.most and items.begun_n >= items.most and items:is_idle() then
    return "stopped"
  elseif not self.paused and is_finished(self) then
    return "finished"
  end
end

-- Gives back what has not begun, and waits for what is under way.
local function wind_up(self)
  local items = self.items
  self.ending, items.ending = true, true
  items:give_back()
  while (self.confirming or not items:is_idle(true)) and not items.thrown do
    if items.ledger_error and items.run_n == 0 and (items.fatal or self.stopping) then
      break -- the next run recovers what the ledger does not take
    elseif items.run_n == 0 and self.breaker.state == "open" and #items.changes == 0 then
      break -- what cannot be compared now is compared by the next run
    end
    if native.now() - self.renewed >= ledger_workers.RENEW then
      renew(self)
    end
    items:give_back()
    items.bell:wait(TURN_SECONDS)
  end
  for first = 1, #items.held_back, 500 do
    items:give_back(table.move(items.held_back, first, math.min(first + 499, #items.held_back), 1, {}))
  end
  items.ended = true
  items.bell:ring()
end

-- ---- the loop ----

-- A file that was removed or replaced is found by no other run, which would send the same things. A file system may fail for a moment:
-- nothing begins while the file cannot be looked at, and only after a while it is taken for removed.
local function check_place(self)
  local in_place = self.ledger:is_in_place()
  self.out_of_sight = in_place == nil and (self.out_of_sight or native.now()) or nil
  if in_place == false or self.out_of_sight and native.now() - self.out_of_sight >= points.seconds(GONE_SECONDS) then
    self.items.fatal = self.items.fatal or native.fail("transfer", "refused", "removed",
      ("the ledger '%s' was removed or replaced while this run used it, so what it does is not kept: begin anew with a new "
      .. "ledger; what the destination has is not sent again"):format(self.ledger.name))
  end
end

local function poll(self)
  self.polled = native.now()
  local dead, err = self.ledger:mark_dead()
  local version, paused
  if dead then
    version, paused = self.ledger:settings_version()
  end
  if not version then
    return self.items:ledger_failed(err or paused)
  end
  self.paused = paused
  local good, problem = describe(self)
  if not good then
    if problem.kind == "database" then
      return self.items:ledger_failed(problem)
    end
    self.items.fatal = self.items.fatal or problem
  end
  take_share(self)
  run_limits.look(self)
end

local function tell_progress(self)
  self.told = native.now()
  local under_way = {}
  for entry in pairs(self.items.running) do
    for _, item in ipairs(entry.group) do
      under_way[#under_way + 1] = { item = item, since = entry.since, done = entry.done, total = entry.total }
    end
  end
  table.sort(under_way, function(a, b) return a.since < b.since end)
  self.tell { event = "progress", under_way = under_way, concurrency = self.items.share, waiting = waiting(self) }
end

local function turn(self)
  local now, items = native.now(), self.items
  self.stopping = self.stopping or self.control_stop()
  check_place(self)
  if now - self.renewed >= ledger_workers.RENEW or self.ledger:age() >= ledger_workers.FENCE or items.is_dead then
    renew(self)
  end
  if now - self.polled >= points.seconds(POLL_SECONDS) or items.failed ~= self.failed_seen or not self.confirmed then
    self.failed_seen = items.failed
    poll(self)
  end
  look_at_window(self)
  mind_breaker(self)
  mind_finder(self)
  if #items.queue > 0 and not may_begin(self) then
    items:give_back()
  end
  if now - self.told >= PROGRESS_SECONDS then
    tell_progress(self)
  end
end

local function loop(self)
  while true do
    turn(self)
    if self.thrown then
      error(self.thrown[1], 0)
    end
    local reason = reason_to_end(self)
    if reason then
      return reason
    end
    self.items.bell:wait(TURN_SECONDS)
  end
end

-- ---- run ----

local CANCEL = { __close = function(tasks)
  for task in pairs(tasks) do
    task:cancel()
  end
end }

-- This worker has ended, also when its task was cancelled. The next run recovers what it still holds; when the ledger cannot be told, only
-- after its lease.
local LEAVE = { __close = function(run_of)
  pcall(run_of.ledger.leave, run_of.ledger)
end }

-- Returns a function that starts tasks, which end with the run. An error that one throws ends the run.
local function spawner(self, tasks)
  return function(f)
    local task
    task = native.spawn(function()
      local good, err = xpcall(f, native.keep_origin)
      if not good and not self.thrown and not tasks.over then
        self.thrown, self.items.thrown = { err }, true
        self.items.bell:ring()
      end
      tasks[task or false] = nil
    end)
    tasks[task] = true
  end
end

local function new(work)
  local self = setmetatable({ settings = {}, options = work.options or {}, control = work.control, tell = work.tell, polled = -math.huge,
    told = -math.huge, workers = 1 }, Run)
  for _, name in ipairs { "ledger", "client", "source", "is_local", "destination", "arrived_at", "status" } do
    self[name] = work[name]
  end
  self.breaker = breaker.new(native.now)
  function self.control_stop()
    return self.control ~= nil and self.control.stopping or nil
  end
  return self
end

-- Sets self.now, which tells the ledger's time without asking it each time.
local function read_clock(self)
  local base, err = self.ledger:now()
  local at = native.now()
  function self.now()
    return base + math.tointeger((native.now() - at) * 1000 // 1)
  end
  return base, err
end

local function new_items(self)
  return send_items.new { ledger = self.ledger, client = self.client, server = self.server, source = self.source, is_local = self.is_local,
    destination = self.destination, arrived_at = self.arrived_at, level = self.level, breaker = self.breaker, settings = self.settings,
    share = 0, now = self.now, tell = self.tell, dry_run = self.options.dry_run, most = self.options.max, spawn = false,
    gate = function() return may_begin(self) end,
    wait = function(slot) return self.pace:delay(pace.now(), slot) / 1000 end,
    begun = function(slot, n, images) self.pace:begun(pace.now(), slot, n, images, self.workers) end,
    over = function(slot, images, seconds) self.pace:sent(pace.now(), slot, images, seconds, self.workers) end }
end

-- Sets self.was_finished, the time when the transfer ended, if nothing was left to do, nor to be compared, before this run.
local function look_at_end(self, info)
  local open, err = self.ledger:open_items()
  local left = nil
  if open then
    left, err = self.ledger:unconfirmed(1)
  end
  if not left then
    return nil, err
  elseif info.found_all and open.todo + open.sending + open.sent == 0 and not (self.items:compares() and left[1]) then
    local last, failure = self.ledger:last_end()
    self.was_finished = last or info.found_all
    return last ~= nil, failure
  end
  return true
end

-- Everything before the loop. Returns true, or nil and an error.
local function prepare(self)
  local info, err = self.ledger:describe()
  if not info then
    return nil, err
  end
  self.level, self.server = info.level, info.server
  local good
  good, err = read_settings(self, info)
  if good then
    good, err = read_clock(self)
  end
  if not good then
    return nil, err
  end
  self.was_paused, self.began = self.paused ~= nil, self.now()
  self.items = new_items(self)
  if self.items:compares() and not self.items.compare.target then
    return nil, native.fail("transfer", "refused", "usage", "the destination cannot be compared: " .. tostring(self.items.compare.why))
  end
  good, err = look_at_end(self, info)
  if not good then
    return nil, err
  end
  return join(self)
end

-- What this run has done, beside the totals of the whole transfer.
local function summary_of(self, reason)
  local own, err = self.ledger:finished_since(self.began)
  if not own then
    return nil, err
  end
  local extra = { state = reason == "failed" and "stopped" or reason, waiting = waiting(self), begun = self.items.begun_n,
    unfinished = self.items:count_unfinished(), in_this_run = {}, finished_before = reason == "finished" and self.was_finished or nil }
  for _, state in ipairs { "done", "present", "failed", "unknown" } do
    extra.in_this_run[state] = own[state] or 0
  end
  local summary
  summary, err = self.status(self.ledger, extra)
  if summary then
    summary.text = closing.text(summary)
  end
  return summary, err
end

-- Runs until nothing is left, or until it is stopped. Returns the summary, or nil and an error, which has the summary.
function run.run(work)
  local self = new(work)
  local good, err = prepare(self)
  if not good then
    return nil, err
  end
  local worker <close> = setmetatable({ ledger = self.ledger }, LEAVE) -- luacheck: ignore
  local tasks <close> = setmetatable({}, CANCEL)
  self.spawn = spawner(self, tasks)
  self.tell { event = "start", from = self.source, to = self.destination, worker = self.ledger.worker }
  if self:waits_for_all() then
    self.tell { event = "note", message = "the oldest dates come first: sending begins when everything is found" }
  end
  local reason = loop(self)
  wind_up(self)
  if self.thrown then
    error(self.thrown[1], 0)
  end
  local summary, failure = summary_of(self, reason)
  self.tell { event = "end", summary = summary }
  if self.items.fatal then
    self.items.fatal.summary = summary
    return nil, self.items.fatal
  end
  return summary, failure
end

return run
