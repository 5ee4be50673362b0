-- transfer.confirm: at its end, a run compares everything that is done once more. Functions get the run (transfer.run).
local require = ...
local native = require "core.native"
local requests = require "core.requests"

local confirm = {}

local AT_ONCE <const> = 100 -- items in one C-FIND: each of them should be there
local FINDS <const> = 5 -- so many of these are recorded together

-- Whether the source has got more of an item since it was compared. nil, an error and the side. With "uids", `expected` is no number that
-- the source gives, so that another number only shows that the instances must be compared.
local function has_grown(self, item)
  if not (item.now and item.expected and item.now > item.expected and item.now > item.held) then
    return false
  elseif item.verified == "uids" then
    return self.items.compare:has_grown(item)
  end
  return item.verified == "count"
end

-- What the comparison at the end says of an item, for L:confirm; nil, an error and the side. The destination may have dropped what it had;
-- and the source may have got more since the item was compared.
local function conclude(self, item)
  local least = math.min(item.arrived or item.expected or 1, item.expected or math.maxinteger)
  if item.held < least then
    return { id = item.id, gone = true, arrived = item.held, message = ("the destination had %d instances, and has %d"):format(
      item.arrived or 0, item.held) }
  end
  local grown, err, side = has_grown(self, item)
  if err and not self.items.compare.source.fault and not self.items.compare.target.fault then -- both have answered: it is of this item
    self.tell { event = "note", message = ("whether the source has got more of %s is not known: %s"):format(item.key, err.message) }
    grown = false
  end
  if grown then
    return { id = item.id, gone = true, reason = "grown", arrived = item.held, expected = item.now,
      message = ("the source has %d instances now, and the destination has %d"):format(item.now, item.held) }
  end
  return grown ~= nil and { id = item.id, arrived = item.held } or nil, err, side
end

local NOTES <const> = { vanished = "the destination has lost %d items that had arrived",
  grown = "the source has got more of %d items since they were sent" }

-- Tells how many of the results have each reason.
local function tell_gone(self, results)
  local counts = {}
  for _, result in ipairs(results) do
    local reason = result.gone and (result.reason or "vanished")
    if reason then
      counts[reason] = (counts[reason] or 0) + 1
    end
  end
  for reason, n in pairs(counts) do
    self.tell { event = "note", message = NOTES[reason]:format(n) }
  end
  self.lost_some = self.lost_some or counts.vanished ~= nil
end

-- Asks the source what it has of the items now. When it does not answer, it is left alone for as long as that took: the comparison takes
-- twice its time at most.
local function look_at_source(self, list)
  local began = native.now()
  if self.source_tells_nothing or began < (self.source_rests or 0) then
    return
  end
  local told, err = self.items.compare:look_at_source(list, AT_ONCE)
  self.source_tells_nothing = told == false
  if told == nil then
    self.source_rests = 2 * native.now() - began
  end
  if told == nil and not self.noted_silence then
    self.noted_silence = true
    self.tell { event = "note", message = "the source did not answer, so it is not known of all items whether they have grown: "
      .. err.message }
  end
end

-- Looks at a part of the list, at both sides at the same time. Returns it; or nil, an error and the side.
local function look(self, list, first)
  local some, good, err, side = table.move(list, first, math.min(first + AT_ONCE - 1, #list), 1, {}), nil, nil, nil
  requests.each(2, 2, function(i)
    if i == 1 then
      good, err, side = self.items.compare:look(some, AT_ONCE)
    else
      look_at_source(self, some)
    end
  end)
  return good and some, err, side
end

-- The same for the whole list, and concludes each part, until something fails or the run is stopped. Returns the results for L:confirm, and
-- the error and the side that has failed.
local function look_at_all(self, list)
  local results = {}
  for first = 1, #list, AT_ONCE do
    local some, err, side = look(self, list, first)
    if not some then
      return results, err, side
    end
    for _, item in ipairs(some) do
      local result, failure, of = conclude(self, item)
      if not result then
        return results, failure, of
      end
      results[#results + 1] = result
    end
    if self.control_stop() then
      break
    end
  end
  return results
end

-- Compares some items that are done once more. Returns whether there were any; nil when that failed.
local function compare_again(self)
  local list, err = self.ledger:unconfirmed(FINDS * AT_ONCE)
  if not list then
    return self.items:ledger_failed(err)
  elseif #list == 0 then
    return false
  end
  local results, failure, side = look_at_all(self, list)
  local outcome, problem = self.ledger:confirm(results)
  if not outcome then
    return self.items:ledger_failed(problem)
  end
  tell_gone(self, results)
  if failure then
    return self.items:side_failed(failure, side)
  end
  return true
end

-- Compares all that is done once more, until something fails or the run is to stop. Returns whether it came to the end.
local function compare_all(self)
  local more = true
  while more and not (self.control_stop() or self.paused or self.ending or self.items.is_dead) and self.breaker.state ~= "open" do
    more = compare_again(self)
  end
  if more == false and self.lost_some then -- what is sent again may drive others out
    self.lost_some = nil
    return self.ledger:unconfirm()
  end
  return more == false
end

-- Whether everything was compared once more. If not, this begins, in a task: the run's loop goes on to renew its lease and to look for
-- changes of settings. Only the finder compares; the others wait for it.
function confirm.is_confirmed(self)
  if not self.items:compares() then
    return true
  elseif self.confirming then
    return false
  end
  local left, err = self.ledger:unconfirmed(1)
  local taken
  if left and #left > 0 and self.breaker.state ~= "open" then
    taken, err = self.ledger:take_finder()
  end
  if err then
    self.items:ledger_failed(err)
  elseif taken then
    self.confirming = true
    self.spawn(function()
      local at_end = compare_all(self)
      self.confirming = false
      if at_end then
        self.items.bell:ring()
      end
    end)
  end
  return left ~= nil and #left == 0
end

return confirm
