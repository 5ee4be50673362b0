-- transfer.points: places at which a spec lets a transfer die, and the waits that a spec shortens. Both are set in the environment, and are
-- for specs alone:
--   MODALUA_TRANSFER_POINT=NAME:ACTION[:N]   when the point is reached the N-th time (default: 1), the process sends itself a signal;
--                                            ACTION is kill (SIGKILL) or stop (SIGSTOP)
--   MODALUA_TRANSFER_HASTE=N                 each wait between tries takes an N-th of its time
--
-- The points are the rows of the table of crashes:
--   creating   in the transaction that makes the tables of the ledger
--   found      a C-FIND was answered, and its answers are not in the ledger yet
--   claimed    items were claimed, and nothing was sent
--   begun      a transfer has begun, and its request may not have left yet
--   moving     the server carries out a transfer
--   moved      a transfer has ended, and the ledger does not know it yet
--   compared   the destination was compared, and the ledger does not know it yet
local require = ...
local process = require "transfer.process"

local points = {}

local SIGNALS <const> = { kill = "KILL", stop = "STOP" }

local name, action, count = (os.getenv "MODALUA_TRANSFER_POINT" or ""):match "^(%a+):(%a+):?(%d*)$"
local left = math.tointeger(tonumber(count)) or 1
local haste = tonumber(os.getenv "MODALUA_TRANSFER_HASTE") or 1

-- Whether a spec waits for this point.
function points.is_set(point)
  return name == point
end

-- Carries out what the environment says for this point.
function points.at(point)
  if name ~= point then
    return
  end
  left = left - 1
  if left == 0 then
    os.execute(("kill -%s %d"):format(assert(SIGNALS[action], "MODALUA_TRANSFER_POINT: unknown action"), select(2, process.here())))
  end
end

-- A wait in seconds, as short as the spec wants it.
function points.seconds(seconds)
  return seconds / haste
end

return points
