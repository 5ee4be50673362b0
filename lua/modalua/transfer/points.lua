-- transfer.points: places at which a spec lets the process die or stop. The environment variable MODALUA_TRANSFER_POINT names one:
-- "NAME:kill" ends the process by SIGKILL when it gets there, "NAME:stop" stops it by SIGSTOP, "NAME:kill:3" ends it the third time.
local points = {}

local SIGNALS <const> = { kill = "KILL", stop = "STOP" }

local wanted, action, times = (os.getenv "MODALUA_TRANSFER_POINT" or ""):match "^([%w_]+):(%a+):?(%d*)$"
local left = tonumber(times) or 1

-- Is called at the place with that name. Returns true, so that it can stand in a chain of conditions.
function points.at(name)
  if name == wanted then
    left = left - 1
    if left == 0 then
      os.execute(("kill -%s $PPID"):format(assert(SIGNALS[action], "MODALUA_TRANSFER_POINT: the action must be kill or stop")))
    end
  end
  return true
end

return points
