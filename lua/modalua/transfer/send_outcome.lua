-- transfer.send_outcome: what the end of one transfer means for its items, and for the sides.
local require = ...
local breaker = require "transfer.breaker"
local native = require "core.native"
local points = require "transfer.points"
local recover = require "transfer.recover"

local send_outcome = {}

-- The source has the item, and does not move it. While nothing at all was moved, the source may not know the destination. Returns whether
-- that was noted; the item loses no try then, so not when no item is to be tried again. answers: whether the destination answered.
local function suspects_target(self, item, err, answers)
  local suspicion = self.suspicion
  if not (suspicion and self.settings.retries > 0 and suspicion:note(item)) then
    return false
  end
  local tries, verdict = suspicion:verdict_of(item)
  if tries then
    item.tries = tries - 1
    self.breaker:note_item()
    self:fail(item, verdict, true)
    return true
  end
  self:postpone(item, err)
  local spread, failure = suspicion:spread()
  if spread then
    self:give_back()
  elseif failure then
    self:ledger_failed(failure)
  end
  local aet = suspicion.is_enough and suspicion:is_after_pause(item.began) and self.send:destination_aet()
  if aet and suspicion.is_enough and self.breaker.state ~= "open" then -- other tasks run while the server is asked
    local text = suspicion:text(err, aet, answers)
    self.fatal = self.fatal or suspicion:pause(err, text, answers)
    if suspicion:verdict_of(item) then
      self.breaker:note_item() -- it was tried alone, and each of the others is tried once more
    else
      self.breaker:stay_open("from", text)
    end
  end
  return true
end

-- One transfer of several items has failed: what has arrived is seen, and the others are sent alone.
local function split(self, group, err)
  for _, item in ipairs(group) do
    self.alone[item.id], item.error, item.in_group = true, err, true
    self:sent(item)
  end
end

local GOOD_SINCE <const>, ALONE <const> = 3, 3

-- A side has answered a transfer with the status of a side, such as 0xA700. Some sides say so of one item, for good: such an item must
-- not be tried for ever. Returns whether the group has one: since it was refused first, others have begun and ended well; or it alone was
-- refused, again and again. While the breaker is not closed, the side may be away. `self.goods`: how many transfers have ended well;
-- `self.good_begins`: when the last of them began, the latest first; `self.refused`: when an item was first refused; `self.refused_since`:
-- what was refused since the last good one.
local function has_only_these(self, group, err)
  local goods, third = self.goods or 0, (self.good_begins or {})[GOOD_SINCE]
  if (err.dimse_status or 0) == 0 or goods == 0 then
    return false
  end
  local refused, since, first, earliest = self.refused or {}, self.refused_since, group[1].id, math.huge
  for _, item in ipairs(group) do
    refused[item.id] = refused[item.id] or native.now()
    earliest = math.min(earliest, refused[item.id])
  end
  self.refused = refused
  if self.breaker.state ~= "closed" then
    return false
  elseif not since or since.goods ~= goods then
    since = { goods = goods, n = 0, first = first }
  end
  since.n, since.others = since.n + 1, since.others or since.first ~= first
  self.refused_since = since
  return third ~= nil and third >= earliest or since.n > ALONE and not since.others
end

-- Whether a destination that this server cannot ask may be away. While nothing was moved, the source may not know it either: where no item
-- is to be tried again, that is not found out.
local function may_be_away(self)
  return self.settings.retries > 0 or self.suspicion ~= nil and self.suspicion.is_known == true
end

-- 0xCxxx, or an error of the item: the source and the destination are asked, and then it is decided. is_settled: by other items it is known
-- that no side is away. Else a destination that this server cannot ask may be away, while it takes no other items.
local function decide(self, item, err, is_settled)
  local good, failure, side = self.compare:expect({ item }, true)
  if not good then
    self:side_failed(failure, side)
    return self:postpone(item, err)
  elseif item.absent then
    self.breaker:note_item()
    return self:fail(item, native.fail("transfer", "dicom", "gone", "the source no longer has it: " .. err.message), true)
  end
  local answers, silence, asked = self.send:echo_destination()
  if answers == false then
    self:side_failed(silence, asked or "to")
    return self:postpone(item, silence)
  elseif self.breaker:has_failed_since(item.began) then -- it answers again, and was away when the item failed
    return self:postpone(item, err)
  elseif suspects_target(self, item, err, answers) then
    return nil
  elseif answers == nil and not is_settled and may_be_away(self) and not has_only_these(self, { item }, err) then
    self.breaker:note_side(err, "to", self.run_n)
    return self:postpone(item, err)
  end
  self.breaker:note_item()
  self:fail(item, err)
end

local LAST_SECONDS <const> = 900

-- Whether each item that is not finished is one of those of `last` (see is_at_last).
local function have_all_failed(self, last)
  local info, open = self.ledger:describe(), self.ledger:open_items()
  if not (info and info.found_all and open) or last.n < open.todo + open.sending + open.sent then
    return false
  end
  local ids = self.ledger:open_ids()
  for _, id in ipairs(ids or {}) do
    if not last.ids[id] then
      return false
    end
  end
  return ids ~= nil
end

-- Whether the whole transfer, and not only this group, is at its last items: each item that is left has failed with an error of a side
-- since some worker has last sent one, and those of the group for a quarter of an hour, in which both sides have answered each question of
-- this worker. Waiting helps them no more than a side that refuses one item for good. A destination that this server cannot ask may be
-- away. `self.last`: since when that is so, the number of items that were done then, and when each item has first failed so.
local function is_at_last(self, group, side)
  local goods, last, now = self.goods or 0, self.last, native.now()
  local totals = goods > 0 and self.ledger:totals()
  if not totals then
    return false
  end
  local done = totals.done and totals.done.items or 0
  if not last or last.goods ~= goods or last.done ~= done or (self.breaker.silent_at or -math.huge) >= last.since then
    last = { goods = goods, done = done, since = now, ids = {}, n = 0 }
    self.last = last
  end
  local latest = -math.huge -- of the first failures of the group
  for _, item in ipairs(group) do
    last.n = last.n + (last.ids[item.id] and 0 or 1)
    last.ids[item.id] = last.ids[item.id] or now
    latest = math.max(latest, last.ids[item.id])
  end
  if now - latest < points.seconds(LAST_SECONDS) or not have_all_failed(self, last) then
    return false
  end
  return side ~= "to" or self.send:echo_destination() == true
end

-- A transfer has ended well that began at that time.
local function note_good(self, began)
  local begins = self.good_begins or {}
  begins[#begins + 1] = began
  table.sort(begins, function(a, b) return a > b end)
  begins[GOOD_SINCE + 1] = nil
  self.good_begins, self.goods = begins, (self.goods or 0) + 1
  self.breaker:note_good()
end

local function decide_group(self, group, err)
  if #group > 1 then
    split(self, group, err)
  else
    decide(self, group[1], err, true)
  end
end

-- A side has failed with these items, which are tried later; at last, with a try less.
function send_outcome.take_side(self, group, err, side)
  if is_at_last(self, group, side) then
    return decide_group(self, group, err)
  end
  self.breaker:note_side(err, side, self.run_n)
  for _, item in ipairs(group) do
    self:postpone(item, err)
  end
end

-- What a failed transfer means for its items.
local function on_error(self, group, err)
  local class, side = breaker.class_of(err, self.remote)
  if err.code == "late" then -- this process was stopped, or the machine slept: by now the items may be those of another worker
    return self:give_back(group)
  elseif self.suspicion and class ~= "undecided" and class ~= "side" then
    self.suspicion:clear()
  end
  if class == "stop" then
    self.fatal = self.fatal or err
    return self:give_back(group)
  elseif class == "side" and has_only_these(self, group, err) then
    decide_group(self, group, err)
  elseif class == "side" then
    send_outcome.take_side(self, group, err, side)
  elseif class == "doubt" and err.kind == "unknown" then
    self.breaker:note_side(err, side, self.run_n)
    for _, item in ipairs(group) do
      self:change(item, "sent", { seconds = item.seconds })
      item.recovered, item.error = "sent", err
    end
    recover.begin(self, group)
  elseif #group > 1 then
    split(self, group, err)
  elseif class == "doubt" and not self:compares() then -- the sender says that it has failed, and its word is all that there is
    if (err.dimse_status or 0) > 0 then
      self.breaker:note_item()
      self:fail(group[1], err)
    else
      send_outcome.take_side(self, group, err, side)
    end
  elseif class == "doubt" then
    group[1].error = err
    self:sent(group[1])
  elseif class == "undecided" then
    decide(self, group[1], err)
  else
    self.breaker:note_item()
    self:fail(group[1], err, err.kind == "refused" or err.code == "gone")
  end
end

-- Takes what became of the transfer of a group: the result and the error of transfer.send. `self`: as transfer.send_items makes it.
function send_outcome.take(self, group, result, err)
  if err then
    on_error(self, group, err)
  elseif result == "part" then
    for i, item in ipairs(group) do
      self.alone[item.id] = true
      table.insert(self.queue, i, item)
    end
  elseif result == false then
    for _, item in ipairs(group) do
      self:change(item, "sent", { seconds = item.seconds })
      item.recovered = "sent"
    end
    recover.begin(self, group)
  else
    note_good(self, group[1].began)
    if self.suspicion then
      self.suspicion:note_moved()
    end
    for _, item in ipairs(group) do
      item.error = nil
      self:sent(item)
    end
  end
end

return send_outcome
