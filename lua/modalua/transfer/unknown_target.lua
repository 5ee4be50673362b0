-- transfer.unknown_target: whether the source seems not to know the destination.
--
-- Only a C-MOVE shows whether a source knows an AE title. An Orthanc answers 0xC000 when it does not, and the same when it cannot read a
-- study, or cannot reach the destination. So the run ends only when all of this is true:
--   nothing of the transfer has ever been moved;
--   40 items have failed so, one after the other, or all items that there are: each while the source had it and the destination answered.
--   20 of these come from all parts of the ledger, as the newest studies may all be on a damaged disk;
--   after a pause of 30 s, and after another one of 60 s, an item that was tried alone failed so as well.
-- Until then such a failure costs an item no try. An item that was under way when a pause began shows nothing about the time after it.
-- Fewer than 40 items may also be studies that the source cannot read. Where the destination answers this server, they have failed then,
-- each with what may be the reason, and the run does not end by that.
local require = ...
local native = require "core.native"

local unknown_target = {}

local ENOUGH <const>, IN_ORDER <const> = 40, 20 -- items
local PAUSES <const> = 2

local Suspicion = {}
Suspicion.__index = Suspicion

-- `source`: its name in messages.
function unknown_target.new(source, ledger)
  return setmetatable({ source = source, ledger = ledger, failed = {}, n = 0, pauses = 0 }, Suspicion)
end

-- A transfer has ended in a way that a source that does not know the destination does not show.
function Suspicion:clear()
  if self.n > 0 then
    self.failed, self.n, self.pauses, self.is_spread, self.is_enough, self.paused_at, self.verdict = {}, 0, 0, nil, nil, nil, nil
  end
end

-- Whether all items that are left have failed so.
local function has_all(self, totals)
  local left = 0
  for _, state in ipairs { "todo", "sending", "sent" } do
    left = left + (totals[state] and totals[state].items or 0)
  end
  return self.n >= left
end

-- An item has failed so. Returns whether the destination may be the reason: false when something was moved before.
function Suspicion:note(item)
  local totals = not self.is_known and self.ledger:totals()
  if not totals or totals.done and totals.done.items > 0 then
    self.is_known = self.is_known or totals and true
    return false
  elseif not self.failed[item.id] then
    self.failed[item.id], self.n = 0, self.n + 1
  end
  self.failed[item.id] = self.failed[item.id] + 1
  local info = self.n < ENOUGH and self.ledger:describe()
  self.is_enough = self.n >= ENOUGH or info and info.found_all ~= nil and has_all(self, totals)
  return true
end

-- After enough items that are next to each other, the next ones are to come from all parts of the ledger. Returns whether that was just
-- arranged; nil and an error.
function Suspicion:spread()
  if self.n < IN_ORDER or self.is_spread then
    return false
  end
  self.is_spread = true -- before the ledger is asked, while which other tasks run
  local done, err = self.ledger:bring_forward(ENOUGH - IN_ORDER)
  self.is_spread = done and self.is_spread
  return done, err
end

-- Something was moved: the source knows the destination.
function Suspicion:note_moved()
  self.is_known = true
  self:clear()
end

-- What the wait, and at last the error, say. aet: of the destination; answers: whether the destination answered this server.
function Suspicion:text(err, aet, answers)
  local few = self.n < ENOUGH and (". Or it cannot read what is asked for: see the log of %s"):format(self.source) or ""
  return ("%s answered 0x%04X to every transfer (%d item%s), although it has the items%s. Does %s know the AE title %s? Add it there; if "
    .. "it is there, its address may be wrong, or %s cannot reach it%s"):format(self.source, err.dimse_status, self.n,
    self.n == 1 and "" or "s", answers and " and the destination answers this server" or "", self.source, aet, self.source, few)
end

-- Whether an item whose transfer began at that time is a reason for another pause.
function Suspicion:is_after_pause(began)
  return not self.paused_at or began > self.paused_at
end

-- A pause is to begin. Returns nil; or the error with which the run ends, when there were enough. answers: as for Suspicion:text.
function Suspicion:pause(err, text, answers)
  self.pauses, self.paused_at = self.pauses + 1, native.now()
  if self.pauses <= PAUSES then
    return nil
  end
  local failure = native.fail("transfer", "dicom", "unknown_destination", text)
  failure.dimse_status = err.dimse_status
  if self.n < ENOUGH and answers then
    self.verdict = failure
    return nil
  end
  return failure
end

-- How often the item has failed so, and the error with which it ends now; nil when it is not decided.
function Suspicion:verdict_of(item)
  return self.verdict and self.failed[item.id], self.verdict
end

return unknown_target
