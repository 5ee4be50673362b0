-- core.find_dates: which days core.find_walk asks for next. A walk goes from the newest days to the oldest, and its place between two parts
-- of it can be stored.
local require = ...
local density = require "core.find_density"
local slices = require "core.slices"

local find_dates = {}

local ANSWERS <const> = 500      -- answers that a slice should have while no cap is known
local OF_CAP <const> = 0.6       -- and the part of a known cap
local FIRST_WIDTH <const> = 7    -- days of the first slice
local YEAR <const> = 366         -- "nothing" is believed of at most so many days while nothing else proves it
local GROWTH <const> = 1.25      -- of a guess that turns out to be small
local NOTHING <const> = 2 * YEAR -- after so many days without a study, all that is older is asked for at once

find_dates.YEAR = YEAR

-- What a walk has for this part:
--    cursor, ended     the first day that is not done, from the newest; true: no days are left
--    last              the part that was asked for last: { width = its days, newest = the last of them, is_open = it has no end, count =
--                      walk.count before it }
--    rested            true: all that is older was asked for at once
--    guess             a number of answers that was probably too large
--    nothing           the number of days without a study, up to the cursor
--    density           see core.find_density

-- Whether it is known how the modality answers a search that finds too much.
function find_dates.is_shown(walk)
  return walk.refuses or walk.cuts
end

-- How many answers the next slice should have.
local function target(walk)
  local cap = walk.cap or math.min(walk.too_many or math.huge, walk.guess or math.huge)
  return cap < math.huge and math.max(cap * OF_CAP // 1 | 0, 1) or ANSWERS
end

-- The number of days of the next slice; and of how many parts of one day it stands for the first one, when a day has too many.
local function next_width(walk)
  local last = walk.last
  local rate = math.max(walk.density.rate, (walk.count - last.count) / last.width)
  local believed = not walk.silent and find_dates.is_shown(walk) and math.huge or math.max(YEAR, walk.widest)
  local width = math.min(last.width * 4, believed, YEAR * 100)
  if rate > 0 then
    width = math.min(width, target(walk) / rate)
  end
  return math.max(width // 1 | 0, 1), width < 1 and math.ceil(rate / target(walk)) or 1
end

-- A part of the walk: a slice of days, with the options of the node of core.find_walk that is made for it.
local function part(walk, from, to, width, options)
  walk.last = { width = width, newest = to or walk.ceiling or walk.today, is_open = to == nil, count = walk.count }
  walk.cursor = from and from - 1
  walk.ended = from == walk.floor
  options = options or {}
  options.slice = { from = from, to = to }
  return options
end

local function first_part(walk)
  local from = (walk.ceiling or walk.today) - FIRST_WIDTH + 1
  return part(walk, walk.floor and math.max(from, walk.floor) or from, walk.ceiling, FIRST_WIDTH)
end

local function next_part(walk)
  local width, parts = next_width(walk)
  local to = walk.cursor
  local from = to - width + 1
  local found = part(walk, from > (walk.floor or slices.FIRST_DAY) and from or walk.floor, to, width)
  if parts > 1 and walk.axes.time and found.slice.from == to then
    found.starts = density.parts(walk.density, parts)
  end
  return found
end

-- All that is older than the cursor, with the oldest day that has studies: a modality that answers such a wide range with nothing is
-- noticed then.
local function rest(walk)
  walk.rested = true
  return part(walk, walk.floor, walk.oldest, YEAR, { before = walk.cursor + 1, has_some = true })
end

-- The last part is done: `days` of it, when the walk goes on before its end.
function find_dates.note_done(walk, days)
  local last = walk.last
  last.width = days or last.width
  local n = walk.count - last.count
  if walk.guess and n > walk.guess * OF_CAP / 2 then
    walk.guess = walk.guess * GROWTH
  end
  walk.nothing = n > 0 and 0 or walk.nothing + last.width
  density.add(walk.density, last.width, n)
end

-- The next part; nil at the end. { slice =, starts = the first seconds of the parts of its one day or nil, before = the first day not to
-- return or nil, has_some = whether it cannot have nothing }.
function find_dates.next(walk)
  if walk.ended then
    return nil
  elseif not walk.cursor then
    return first_part(walk)
  elseif walk.nothing >= NOTHING and walk.oldest and not walk.rested then
    return rest(walk)
  end
  return next_part(walk)
end

-- Goes on at the slice of days, the newest that is left of the last part, although the older ones were to follow at once: so many at once
-- were too many. Returns the next part.
function find_dates.go_on(walk, slice, before)
  local to = slice.to or walk.ceiling or walk.today
  local done = walk.last.newest - to
  if done > 0 then
    find_dates.note_done(walk, done)
    walk.cursor, walk.ended = to, false
    return find_dates.next(walk)
  end
  if walk.density.rate > 0 then
    walk.guess = math.min(walk.guess or math.huge, math.max(walk.density.rate * walk.last.width, walk.most + 1))
  end
  return part(walk, slice.from, slice.to, math.max(to - slice.from + 1, 1), { before = before })
end

return find_dates
