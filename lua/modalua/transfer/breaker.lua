-- transfer.breaker: what an error means for a run, and when nothing new may begin.
--
-- An error has one of these classes:
--   "stop"       every other item would meet it too, and waiting does not help: the run ends
--   "side"       the source, the destination or the server is away or overloaded: the item has lost nothing, and is tried later
--   "item"       it concerns this item: a try is counted
--   "undecided"  0xCxxx: an Orthanc says so of an unknown study and of an unreachable destination alike
--   "doubt"      the outcome is not known, so that the destination must be looked at
--
-- The breaker opens after five errors of a side in a row, or ten among the last twenty outcomes. While it is open nothing begins. The run
-- asks both sides, after 30 s at first, and once a minute while one does not answer; when they answer, one item is tried alone ("trial"),
-- and when that is good, all go on ("closed").
local require = ...
local arrival = require "core.arrival"
local points = require "transfer.points"
local requests = require "core.requests"

local breaker = {}

-- ---- the class of an error ----

local STOP_CODES <const> = { unknown_modality = "from", unknown_peer = "to", bad_aet = "to", bad_credentials = "server",
  no_credentials = "server", forbidden = "server", sandbox = "server", method_not_allowed = "server", bad_certificate = "to" }
local HTTP_ITEM <const> = { too_large = true }
local UNKNOWN_DESTINATION <const>, UNSUPPORTED <const>, LIMITED <const> = 0xA801, 0x0122, 0x0213
local CANCELLED <const>, NETWORK <const> = 0xFE00, 9 -- the latter is an OrthancStatus

-- The class of a DIMSE status, and the side that it speaks of.
local function class_of_status(status, remote)
  if status == UNKNOWN_DESTINATION then
    return "stop", "from"
  elseif status >= 0xC000 and status <= 0xCFFF then
    return "undecided"
  elseif status == 0xA702 then
    return "side", "to"
  elseif status >= 0xA700 and status <= 0xA7FF or status == CANCELLED or status == UNSUPPORTED or status == LIMITED then
    return "side", remote
  end
  return "item"
end

-- Returns the class of an error, and for a side: "server", "from" (the source) or "to". remote: the side with which the server spoke:
-- "from", as in a C-MOVE, or "to", as when it sends by itself.
function breaker.class_of(err, remote)
  remote = remote or "from"
  local cause = requests.cause(err)
  if STOP_CODES[err.code] then
    return "stop", STOP_CODES[err.code]
  elseif cause == "auth" then
    return "stop", "server"
  elseif err.kind == "unknown" or arrival.doubt_of(err) then
    return "doubt", err.kind == "unknown" and "server" or remote
  elseif (err.dimse_status or 0) > 0 then
    return class_of_status(err.dimse_status, remote)
  elseif cause == "network" or cause == "timeout" or cause == "http" and not HTTP_ITEM[err.code] then
    return "side", "server"
  elseif err.code == "peer_failed" then
    return "side", "to"
  elseif err.kind == "dicom" and (err.orthanc_status == NETWORK or err.code == "unsupported") then
    return "side", remote
  end
  return "item"
end

-- A short word for the reason of a failure, by which failures are counted together.
function breaker.reason_of(err)
  return (err.dimse_status or 0) > 0 and ("0x%04X"):format(err.dimse_status) or err.code or err.kind
end

-- ---- the breaker ----

local IN_A_ROW <const>, REMEMBERED <const> = 5, 20
local FIRST_PAUSE <const>, LONGEST_PAUSE <const> = 30, 600 -- seconds
local LONGEST_SILENCE <const> = 60 -- seconds: to ask a side that does not answer is one small echo
local GOOD_FOR_ONE_MORE <const> = 100
-- A side that has not answered for so long will not answer tonight. When this run has sent nothing yet, its settings are probably wrong.
local PATIENCE <const>, PATIENCE_AT_FIRST <const> = 24 * 3600, 900

local Breaker = {}
Breaker.__index = Breaker

-- `now`: a function that returns seconds.
function breaker.new(now)
  return setmetatable({ now = now, state = "closed", recent = {}, at = 0, sides = 0, in_a_row = 0, good = 0 }, Breaker)
end

local function remember(self, is_side)
  self.at = self.at % REMEMBERED + 1
  self.sides = self.sides - (self.recent[self.at] and 1 or 0) + (is_side and 1 or 0)
  self.recent[self.at] = is_side
  self.in_a_row = is_side and self.in_a_row + 1 or 0
end

local function forget(self)
  self.recent, self.at, self.sides, self.in_a_row = {}, 0, 0, 0
end

local function open(self, side, reason, longest)
  self.pause = math.min(self.pause and 2 * self.pause or FIRST_PAUSE, longest or LONGEST_PAUSE)
  self.since = self.since or self.now()
  self.state, self.side, self.reason, self.taken = "open", side, reason, nil
  self.due = self.now() + points.seconds(self.pause)
  forget(self)
end

-- An item has been transferred.
function Breaker:note_good()
  remember(self, false)
  self.worked = true
  if self.state == "trial" then
    self.state, self.pause, self.since, self.taken = "closed", nil, nil, nil
    forget(self)
  end
  self.good = self.good + 1
  if self.most and self.good % GOOD_FOR_ONE_MORE == 0 then
    self.most = self.most + 1
  end
end

-- An item has failed, and both sides have answered.
function Breaker:note_item()
  remember(self, false)
  if self.state == "trial" then
    self.state, self.pause, self.since, self.taken = "closed", nil, nil, nil
  end
end

-- A side has failed. `in_use`: how many transfers run at once.
function Breaker:note_side(err, side, in_use)
  remember(self, true)
  self.failed_at = self.now()
  if (err.dimse_status or 0) & 0xFF00 == 0xA700 then
    self.most, self.good = math.max(1, math.min(self.most or in_use, in_use) // 2), 0
  end
  if self.state == "trial" or self.state == "closed" and (self.in_a_row >= IN_A_ROW or self.sides >= REMEMBERED // 2) then
    open(self, side, err.message)
  end
end

-- Whether a side has failed since that time.
function Breaker:has_failed_since(time)
  return self.failed_at ~= nil and self.failed_at >= time
end

-- Whether the sides should be asked now.
function Breaker:is_due()
  return self.state == "open" and self.now() >= self.due
end

-- Both sides have answered: one item may be tried.
function Breaker:try_one()
  self.state, self.taken = "trial", nil
end

-- A side has not answered a question, which is no transfer.
function Breaker:note_silence()
  self.silent_at = self.now()
end

-- The sides were asked, and one did not answer.
function Breaker:stay_open(side, reason)
  self:note_silence()
  open(self, side, reason, LONGEST_SILENCE)
end

-- Whether the run should end, since the wait has been too long.
function Breaker:is_hopeless()
  return self.state ~= "closed" and self.now() - self.since >= points.seconds(self.worked and PATIENCE or PATIENCE_AT_FIRST)
end

-- Whether another transfer may begin while so many run.
function Breaker:allows(running, concurrency)
  if self.state == "open" then
    return false
  elseif self.state == "trial" then
    return running == 0 and not self.taken
  end
  return running < math.min(concurrency, self.most or concurrency)
end

-- A transfer begins.
function Breaker:begin()
  self.taken = self.state == "trial"
end

-- A transfer has ended. When it was the one that was tried alone, and it has shown nothing, another one is tried.
function Breaker:finish()
  self.taken = nil
end

return breaker
