-- transfer.bell: tasks wait for a bell, and another task rings it.
local require = ...
local native = require "core.native"

local bell = {}

local Bell = {}
Bell.__index = Bell

function bell.new()
  return setmetatable({}, Bell)
end

-- Waits until the bell rings, at most so many seconds.
function Bell:wait(seconds)
  local timer <close> = native.spawn(native.sleep, seconds)
  self[timer] = true
  timer:join()
  self[timer] = nil
end

-- Ends all waits that have begun.
function Bell:ring()
  for timer in pairs(self) do
    self[timer] = nil
    timer:cancel()
  end
end

return bell
