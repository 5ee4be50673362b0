-- plugin.schedule: the next time of the day at which a script is due, in its time zone (schedule.c).
local time_zone = require "modalua.time_zone"

local schedule = {}

local DAY <const> = 86400
local MOST_DAYS <const> = 4000
local WIDEST <const> = 15 * 3600 -- no clock is so far from UTC

-- The first instant at which the clock of the zone shows this local time, or a later one: a time that is skipped when clocks are changed
-- has the moment of the change; one that is shown twice has the first moment.
local function instant_of(zone, clock)
  local from = clock - WIDEST
  while true do
    local offset, change = zone:at(from)
    local instant = clock - offset
    if instant < change then
      return math.max(instant, from)
    end
    from = change
  end
end

-- The first moment behind `now`, and not before `least`, at `at` minutes after midnight on a day of `days` (bit 0 is Sunday; 0 = all days).
-- Seconds since 1970. zone: the name of a time zone; nil = the machine's. Returns nil when there is no such moment.
function schedule.next(q)
  local zone = assert(time_zone.open(q.zone))
  local today = (q.now + zone:at(q.now)) // DAY
  for day = today, today + MOST_DAYS do
    if q.days == 0 or q.days & 1 << (day + 4) % 7 ~= 0 then -- 1970 began with a Thursday
      local instant = instant_of(zone, day * DAY + q.at * 60)
      if instant > q.now and instant >= q.least then
        return math.tointeger(instant)
      end
    end
  end
end

return schedule
