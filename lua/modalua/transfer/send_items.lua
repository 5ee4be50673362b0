-- transfer.send_items: the items of one worker on their way: claimed, compared, sent, compared again, recorded.
--
-- Four kinds of tasks work on them, and wait for each other with a bell (transfer.bell):
--   feeder     claims items, looks at the destination first, and fills the queue
--   senders    as many as this worker may send at once; each takes from the queue, and waits until its transfer has ended
--   checker    records what has ended, compares 50 items at a time, and records the results (transfer.check_items)
--   recovery   one for each batch of items that another worker, or a lost answer, left in doubt (transfer.recover)
--
-- A worker that was taken for dead has lost all its items. It begins anew under another id, and what becomes of them is dropped.
local require = ...
local bell = require "transfer.bell"
local breaker = require "transfer.breaker"
local check_items = require "transfer.check_items"
local compare = require "transfer.compare"
local native = require "core.native"
local points = require "transfer.points"
local recover = require "transfer.recover"
local send = require "transfer.send"
local send_outcome = require "transfer.send_outcome"
local unknown_target = require "transfer.unknown_target"

local send_items = {}

local BATCH <const> = 50
local CLAIM_MOST <const>, CLAIM_EACH <const> = 64, 8
local RETRY_SECONDS <const> = { 60, 600, 3600 }
local SIDE_SECONDS <const> = 30
local FULL_SECONDS <const> = 60 -- so long a ledger that takes nothing is tried again

local Items = {}
Items.__index = Items

-- `context`: { ledger =, client =, source =, is_local =, destination =, arrived_at =, level =, breaker =, settings = a table that run.lua
-- keeps up to date, share = how many of the transfers at once are this worker's, now = a function that returns the ledger's milliseconds,
-- gate = a function that says whether something may begin, wait(slot) = a function that returns the seconds to wait before the next
-- transfer of that sender, begun(slot, n, images) and over(slot, images, seconds) = functions that are told of each transfer, tell =
-- function(event), dry_run =, most = how many items may be sent, or nil }.
function send_items.new(context)
  local self = setmetatable({ bell = bell.new(), queue = {}, running = {}, run_n = 0, to_check = {}, late = {},
    changes = {}, recovering = 0, checking = 0, feeding = 0, alone = {}, begun_n = 0, unfinished = {}, held_back = {},
    failed = 0 }, Items)
  for name, value in pairs(context) do
    self[name] = value
  end
  self.compare, self.send = compare.new(context), send.new(context)
  self.remote = self.is_local and "to" or "from" -- the side with which the server speaks when it sends
  self.suspicion = not self.is_local and unknown_target.new(self.source.modality, self.ledger) or nil
  return self
end

-- Whether anything is compared: not where the sender's word is all that there is.
function Items:compares()
  return self.settings.verify ~= "job"
end

local function ms(seconds)
  return math.tointeger(seconds * 1000 // 1)
end

-- ---- the ledger ----

-- The database has failed: nothing new begins until it works again. After a minute without a connection problem, the run ends.
function Items:ledger_failed(err)
  if err.code == "dead" then -- another worker has marked this one dead
    self.is_dead = true
    return self.bell:ring()
  end
  if not self.ledger_error then
    self.ledger_since = native.now()
    self.tell { event = "wait", side = "ledger", since = self.now(), reason = err.message }
  end
  self.ledger_error = err
  if not err.retryable and native.now() - self.ledger_since > points.seconds(FULL_SECONDS) then
    self.fatal = self.fatal or err
  end
end

local function ledger_works(self)
  if self.ledger_error then
    self.ledger_error, self.ledger_since = nil, nil
    self.tell { event = "wait" }
  end
end

-- Notes a change of an item, which is recorded with the next batch. A former change of it is recorded first.
function Items:change(item, to, fields)
  while item.pending and not self:flush() and not self.fatal do
    self.bell:wait(1)
  end
  local change = { id = item.id, owner = item.owner, from = item.state, to = to }
  for name, value in pairs(fields or {}) do
    change[name] = value
  end
  item.state, item.change, item.pending = to, change, true
  self.changes[#self.changes + 1] = { item = item, change = change }
  self.changes.since = self.changes.since or native.now()
  return change
end

-- Records what was noted. Returns true, or nil when the ledger does not take it; then it is kept.
function Items:flush()
  while self.flushing do
    self.bell:wait(1)
  end
  local batch = self.changes
  if #batch == 0 then
    return true
  end
  self.changes, self.flushing = {}, batch
  local list, items = {}, {}
  for i, entry in ipairs(batch) do
    list[i], items[entry.change.id] = entry.change, entry.item
  end
  local refused, err = self.ledger:record(list)
  self.flushing = nil
  self.bell:ring()
  if not refused then
    self.changes = table.move(self.changes, 1, #self.changes, #batch + 1, batch)
    self:ledger_failed(err)
    return nil
  end
  ledger_works(self)
  for _, id in ipairs(refused) do
    items[id].lost = true
    self.tell { event = "dropped", item = items[id] }
  end
  for _, item in pairs(items) do
    item.pending = nil
    self.failed = self.failed + (item.state == "failed" and not item.lost and 1 or 0)
  end
  return true
end

-- How many items have failed: those that the ledger has, and those that it gets.
function Items:count_failed()
  local n = self.failed
  for _, batch in ipairs { self.changes, self.flushing } do
    for _, entry in ipairs(batch) do
      n = n + (entry.change.to == "failed" and 1 or 0)
    end
  end
  return n
end

-- The ledger took this worker for dead: it begins anew, without any of its items.
function Items:abandon()
  self.queue, self.to_check, self.late, self.changes, self.held_back, self.unfinished = {}, {}, {}, {}, {}, {}
  self.bell:ring()
end

-- Whether the item still belongs to this worker.
function Items:owns(item)
  return item.owner == self.ledger.worker and not item.lost
end

-- Gives back these items, or what is in the queue. While the ledger does not take them, they are in the queue, and it is asked once a
-- second.
function Items:give_back(items)
  if not items then
    items, self.queue = self.queue, {}
  end
  local own = {}
  for _, item in ipairs(items) do
    own[#own + 1] = self:owns(item) and item or nil
  end
  if #own == 0 then
    return
  elseif not self.ledger_error or native.now() - (self.given_back or 0) >= 1 then
    local good, err = self.ledger:give_back(own)
    self.given_back = native.now()
    if good then
      return ledger_works(self)
    end
    self:ledger_failed(err)
  end
  for _, item in ipairs(own) do
    self.queue[#self.queue + 1] = self:owns(item) and item or nil
  end
end

-- ---- how an item ends ----

local function attempt_of(item, err, now)
  return { kind = err.kind, code = err.code, dimse_status = (err.dimse_status or 0) > 0 and err.dimse_status or nil, message = err.message,
    started = item.started, ended = now }
end

-- Ends an item, or has it tried again later. `hopeless`: no further try would help.
function Items:fail(item, err, hopeless)
  local now, tries, reason = self.now(), item.tries + 1, breaker.reason_of(err)
  local failed = hopeless or tries > self.settings.retries
  local seconds = RETRY_SECONDS[math.min(tries, #RETRY_SECONDS)] * (0.8 + 0.4 * math.random())
  self:change(item, failed and "failed" or "todo", { tries = tries, due = not failed and now + ms(points.seconds(seconds)) or nil,
    reason = reason, message = err.message, expected = item.expected, arrived = item.held, attempt = attempt_of(item, err, now) })
  self.tell { event = "failure", item = item, state = item.state, reason = reason, message = err.message, due = item.change.due }
end

-- A side has failed: the item loses no try.
function Items:postpone(item, err)
  local now = self.now()
  self:change(item, "todo", { due = now + ms(points.seconds(SIDE_SECONDS)), reason = breaker.reason_of(err), message = err.message,
    attempt = attempt_of(item, err, now) })
  self.tell { event = "failure", item = item, state = "todo", reason = item.change.reason, message = err.message, due = item.change.due }
end

-- The transfer of an item has ended, well or in doubt.
function Items:sent(item)
  self:change(item, "sent", { seconds = item.seconds })
  self.to_check[#self.to_check + 1] = item
  self.to_check.since = self.to_check.since or native.now()
end

-- All of the item is there.
function Items:done(item, verified)
  self:change(item, item.state == "sending" and "present" or "done", { arrived = item.held, expected = item.expected,
    bytes = item.bytes, verified = verified, note = item.note })
  self.unfinished[item.id] = nil
  self.tell { event = "end_item", item = item, state = item.state }
end

-- Ends the items that were compared, but those of which something is missing, which are returned.
function Items:conclude(items)
  local short = {}
  for _, item in ipairs(items) do
    if not self:owns(item) then
      self.tell { event = "dropped", item = item }
    elseif item.verdict == "full" then
      self:done(item, self.settings.verify)
    elseif item.verdict == "gone" then
      self:fail(item, compare.gone(item), true)
    else
      short[#short + 1] = item
    end
  end
  return short
end

-- ---- before ----

-- The destination does not have the item: a sender takes it from the queue; a dry run keeps it until its end, and gives it back.
function Items:offer(item)
  local list = self.dry_run and self.held_back or self.queue
  list[#list + 1] = item
end

-- Puts what the destination does not have into the queue.
local function enqueue(self, items)
  for _, item in ipairs(items) do
    if item.verdict == "full" and item.tries == 0 then
      self:done(item, self.settings.verify)
    elseif item.verdict == "full" then -- a former try has brought it, after all
      self:sent(item)
    else
      self:offer(item)
    end
  end
end

-- Items that were claimed: those of dead workers are recovered, the others are compared and sent.
local function take(self, items)
  local fresh, found = {}, {}
  for _, item in ipairs(items) do
    local list = item.recovered and found or fresh
    list[#list + 1] = item
  end
  if #found > 0 then
    recover.begin(self, found)
  end
  local good, err, side = true, nil, nil
  if #fresh > 0 and self:compares() then
    good, err, side = self.compare:before(fresh, self.settings.verify)
  end
  points.at "claimed"
  if not good then
    self:give_back(fresh)
    self:side_failed(err, side)
  else
    enqueue(self, fresh)
  end
end

-- Whom an error of a question to a side blames: that side, or the server that asks; nil when the run ends with it. side: "from", "to",
-- "server" or "arrived_at".
function Items:blame(err, side)
  local class, blamed = breaker.class_of(err)
  if class == "stop" then
    self.fatal = self.fatal or err
    return nil
  elseif side == "arrived_at" then -- another server
    return "to"
  end
  return blamed == "server" and blamed or side
end

-- An error of a question: it says nothing about an item.
function Items:side_failed(err, side)
  local blamed = self:blame(err, side)
  if blamed then
    self.breaker:note_silence()
    self.breaker:note_side(err, blamed, math.max(1, self.run_n))
  end
  self.bell:ring()
end

-- How many items may be claimed now. Until it is seen whether the destination knows lists of UIDs, only so many as can be sent at once; and
-- where nothing can be compared, a claimed item that was not sent would be one of unknown outcome after a kill.
local function room(self)
  local most = math.min(CLAIM_MOST, CLAIM_EACH * self.share)
  if not self:compares() or self.compare:is_probing() and not self.dry_run then
    most = math.max(2, self.share)
  end
  if self.most then
    most = math.min(most, self.most - self.begun_n)
  end
  if #self.queue > math.min(2 * self.share, most // 2) then
    return 0 -- the fewer claims, the fewer C-FINDs; what is left is sent while the next are compared
  end
  return math.min(most - #self.queue, BATCH)
end

function Items:feeder()
  while not self.ended do
    local n = self.gate() and self.share > 0 and room(self) or 0
    local wait = 0.25
    if n > 0 then
      self.feeding = self.feeding + 1
      local items, err = self.ledger:claim(n)
      if not items then
        self:ledger_failed(err)
        wait = 1
      elseif #items > 0 then
        ledger_works(self)
        wait = 0
        take(self, items)
      end
      self.feeding = self.feeding - 1
      self.bell:ring()
    end
    if wait > 0 and not self.ended then
      self.bell:wait(wait)
    end
  end
end

-- ---- sending ----

-- Takes out of the queue what belongs to another worker now: a claim, or a look at the destination, may have begun before this worker was
-- taken for dead.
local function drop_lost(self)
  for i = #self.queue, 1, -1 do
    if not self:owns(self.queue[i]) then
      self.tell { event = "dropped", item = table.remove(self.queue, i) }
    end
  end
end

-- The next items for one transfer; nil when none may begin.
local function next_group(self, slot)
  drop_lost(self)
  if self.most and self.begun_n >= self.most then -- recovered items may be in the queue
    self:give_back()
    return nil
  elseif #self.queue == 0 or not self.gate() or not self.breaker:allows(self.run_n, self.share) then
    return nil
  end
  local seconds = self.wait(slot)
  if seconds > 0 then
    return nil, seconds
  end
  local join, group = self.settings.join or 1, {}
  local first = self.queue[1]
  local joins = self:compares() and self.send:can_join() and not self.alone[first.id] and self.breaker.state == "closed"
  local n = joins and join or 1
  while #group < n and self.queue[1] do
    local item = self.queue[1]
    if #group > 0 and (self.alone[item.id] or self.level == "Series" and item.uids.StudyInstanceUID ~= first.uids.StudyInstanceUID) then
      break
    end
    group[#group + 1] = table.remove(self.queue, 1)
    if self.most and self.begun_n + #group >= self.most then
      break
    end
  end
  return group
end

local CRASH_SECONDS <const> = { begun = 0.001, moving = 0.02 }

-- For the crash that a spec wants so long after the beginning of a transfer.
local function crash_soon()
  for point, seconds in pairs(CRASH_SECONDS) do
    if points.is_set(point) then
      return native.spawn(function()
        native.sleep(seconds)
        points.at(point)
      end)
    end
  end
end

-- The images of the items; nil when they are not known.
local function images_of(group)
  local n = 0
  for _, item in ipairs(group) do
    n = n and item.expected and n + item.expected
  end
  return n
end

local function transfer(self, group, slot)
  local entry = { group = group, since = native.now() }
  for _, item in ipairs(group) do
    item.started, item.began = self.now(), entry.since
    self.unfinished[item.id] = item
    self.tell { event = "begin", item = item }
  end
  self.running[entry], self.run_n, self.begun_n = true, self.run_n + 1, self.begun_n + #group
  self.breaker:begin()
  self.begun(slot, #group, images_of(group))
  local timer <close> = crash_soon()
  local result, err = self.send:run(group, function(p)
    entry.done, entry.total = p.done, p.total
  end, self.ledger:fence())
  self.running[entry], self.run_n = nil, self.run_n - 1
  if result == "part" or err and err.code == "late" then -- nothing was sent
    self.begun_n = self.begun_n - #group
    for _, item in ipairs(group) do
      self.unfinished[item.id] = nil
    end
  end
  local seconds = native.now() - entry.since
  self.over(slot, nil, seconds)
  if timer then
    timer:cancel()
  end
  local own = {}
  for _, item in ipairs(group) do
    item.seconds = seconds / #group
    if self:owns(item) then
      own[#own + 1] = item
    else
      self.tell { event = "dropped", item = item }
    end
  end
  points.at "moved"
  if #own > 0 then
    send_outcome.take(self, own, result, err)
  end
  self.breaker:finish()
  self.bell:ring()
end

function Items:sender(number)
  while not self.ended and number <= self.share do
    local group, seconds = next_group(self, number)
    if group then
      transfer(self, group, number)
    else
      self.bell:wait(math.min(seconds or 0.25, 0.25))
    end
  end
end

-- ---- the life of all this ----

-- Starts the tasks, or as many senders as this worker's share has become.
function Items:start(spawn)
  if not self.spawn then
    self.spawn = spawn
    spawn(function() self:feeder() end)
    spawn(function() check_items.run(self) end)
  end
  self.numbers = self.numbers or {}
  for number = 1, self.share do
    if not self.numbers[number] then
      self.numbers[number] = true
      spawn(function()
        self:sender(number)
        self.numbers[number] = nil
      end)
    end
  end
end

-- How many items this run has begun to send, and not ended: they failed, or wait for another try. Not those that another worker has now.
function Items:count_unfinished()
  local n = 0
  for _, item in pairs(self.unfinished) do
    n = n + (item.lost and 0 or 1)
  end
  return n
end

-- Whether no item is with this worker, but those that wait to be compared again when `leaving`.
function Items:is_idle(leaving)
  return self.feeding + self.checking + self.run_n + #self.queue + #self.to_check + #self.changes == 0 and not self.flushing
    and (leaving or #self.late + self.recovering == 0)
end

return send_items
