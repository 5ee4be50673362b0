-- transfer.check_items: the checker of a worker: it records which transfers have ended, compares what has arrived, 50 items at a time, and
-- ends the items. Functions get the worker, as transfer.send_items makes it.
local require = ...
local breaker = require "transfer.breaker"
local native = require "core.native"
local points = require "transfer.points"
local send_outcome = require "transfer.send_outcome"

local check_items = {}

local BATCH <const>, BATCH_SECONDS <const> = 50, 1 -- results are recorded together
local COMPARE_SECONDS <const> = 3 -- after so long what has ended is compared, also when it is less than a batch
local ROUNDS <const> = { 2, 10, 60 } -- seconds after which an item that is short is compared again

local function fail_short(self, item)
  self:fail(item, native.fail("transfer", "dicom", "short", ("the destination has %d of %d instances"):format(item.held,
    item.expected or 0)))
end

-- An item of which something is missing at the destination.
local function on_short(self, item)
  if item.error then
    local class, side = breaker.class_of(item.error, self.remote)
    local err = item.error
    item.error = nil
    if item.in_group then
      return self:change(item, "todo", { due = 0 })
    elseif class == "doubt" and (err.dimse_status or 0) == 0 then
      return send_outcome.take_side(self, { item }, err, side)
    end
    self.breaker:note_item()
    return self:fail(item, err)
  end
  local round = (item.round or 0) + 1
  if ROUNDS[round] and not self.ending then
    item.round, item.again = round, native.now() + points.seconds(ROUNDS[round])
    self.late[#self.late + 1] = item
  elseif not ROUNDS[round] then
    fail_short(self, item)
  end
end

-- Takes what is to be compared now: what was sent, and what is to be compared again.
local function take_checks(self)
  local items, later = self.to_check, {}
  self.to_check = {}
  for _, item in ipairs(self.late) do
    local list = item.again <= native.now() and items or later
    list[#list + 1] = item
  end
  self.late = later
  return items
end

local function put_back(self, items)
  for _, item in ipairs(items) do
    self.to_check[#self.to_check + 1] = self:owns(item) and item or nil
  end
  self.to_check.since = self.to_check.since or native.now()
end

-- Whether something is to be compared now, and all results recorded.
local function is_due(self)
  local batch, now = self.to_check, native.now()
  if #batch >= BATCH or #batch > 1 and self.compare:is_probing() and self:compares()
    or batch.since and now - batch.since >= points.seconds(COMPARE_SECONDS)
    or #batch + #self.changes > 0 and self.run_n == 0 and #self.queue == 0 then
    return true
  end
  for _, item in ipairs(self.late) do
    if item.again <= now then
      return true
    end
  end
  return false
end

-- Whether results wait to be recorded, and no comparison is due with which they would be.
local function is_to_be_flushed(self)
  return #self.changes >= 2 * BATCH or self.changes.since and native.now() - self.changes.since >= BATCH_SECONDS
end

-- Ends items that are not to be compared: the sender's word counts. An item of which it has said that it failed, or of which a comparison
-- has shown too little before `verify` became "job", is not done.
local function conclude_unseen(self, items)
  for _, item in ipairs(items) do
    if item.error then
      on_short(self, item)
    elseif item.round then
      fail_short(self, item)
    else
      self.compare:read_bytes(item)
      self:done(item, "job")
    end
  end
end

-- Records what has ended, and compares it. Returns whether that worked.
local function check(self)
  local items = self.breaker.state ~= "open" and take_checks(self) or {}
  if not self:flush() then
    put_back(self, items)
    return false
  elseif #items == 0 then
    return self.breaker.state ~= "open"
  elseif not self:compares() then
    conclude_unseen(self, items)
    return true
  end
  local good, err, side = self.compare:after(items, self.settings.verify)
  if good then
    points.at "compared"
    for _, item in ipairs(self:conclude(items)) do
      on_short(self, item)
    end
    return true
  end
  put_back(self, items)
  self:side_failed(err, side)
  return false
end

-- Compares and records until the worker ends.
function check_items.run(self)
  while not self.ended do
    local wait = 0.25
    if is_due(self) then
      self.checking = self.checking + 1
      wait = check(self) and 0 or 1
      self.checking = self.checking - 1
      self.bell:ring()
    elseif is_to_be_flushed(self) then
      wait = self:flush() and 0 or 1
    end
    if wait > 0 and not self.ended then
      self.bell:wait(wait)
    end
  end
end

return check_items
