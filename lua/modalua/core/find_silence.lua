-- core.find_silence: modalities that answer a search that finds too much with nothing, and how "nothing" is believed of them.
local require = ...
local density = require "core.find_density"
local slices = require "core.slices"

local find_silence = {}

local DAY <const> = 86400
local HOUR <const> = 3600
local SHORT <const> = 600       -- seconds of a day in which there are not too many studies
local OF_DAY <const> = 6        -- times as many studies as on average may be in the busiest hours of a day, on a busy day
local LONG <const> = 21         -- days without a study, after which samples are enough
local WEEK <const>, MONTH <const>, YEAR <const> = 7, 31, 366
local APART <const>, RECENT <const> = 15, 10 * YEAR -- days between samples of recent years; it is no whole number of weeks
local SAMPLES_FROM <const> = slices.day "19900101" -- what is older is not sampled

-- The range of days together with the oldest day that has studies cannot have nothing.
local function ask_with_oldest(walk, slice, ask)
  return ask(walk, slices.with(slice, { to = walk.oldest }), walk.query)
end

-- Narrow parts of a range of days, at its oldest days and four other places, each of a day, some hours, and some minutes, and of a week in
-- a wide one.
local function samples_of(slice, today)
  local samples, to = {}, slice.to or today
  local from = slice.from or slices.FIRST_DAY
  local places, width = { from, from + 2 }, to - from + 1
  for i = 1, 4 do
    places[#places + 1] = to - width * (2 * i - 1) // 8
  end
  for i = 1, to >= SAMPLES_FROM and #places or 0 do
    local day = math.min(places[i], to)
    if width > MONTH then
      table.insert(samples, { from = day, to = day + WEEK - 1 })
    end
    table.insert(samples, { from = day, to = day })
    table.insert(samples, { from = day, to = day, first = 10 * HOUR, last = 12 * HOUR - 1 })
    table.insert(samples, { from = day, to = day, first = 11 * HOUR, last = 11 * HOUR + SHORT - 1 })
  end
  return samples
end

-- The same of a recent year, when nothing at all is known: an archive of a few weeks is met too.
local function recent_samples_of(slice)
  local samples = {}
  for day = slice.to, slice.from, -APART do
    table.insert(samples, { from = day, to = day, first = 10 * HOUR, last = 12 * HOUR - 1 })
    table.insert(samples, { from = math.max(day - WEEK + 1, slice.from), to = day })
  end
  return samples
end

-- The number of days of a slice, which is less than 1 for a part of a day.
local function days_of(walk, slice)
  local part = slice.first and (slice.last - slice.first + 1) / DAY
  return part or slice.empty and 1 or slices.width(slice, walk.today)
end

-- Whether the slice has the narrow part that look has found to have answers.
local function has_known_part(walk, slice)
  local part = walk.known_part
  return part and (slice.from or -math.huge) <= part.from and part.to <= (slice.to or math.huge)
    and (not slice.first or part.first and slice.first <= part.first and part.last <= slice.last)
end

-- Whether some narrow part of the range has answers, although the range had none. Returns that part.
local function has_sample(walk, slice, ask, samples)
  for _, sample in ipairs(samples or samples_of(slice, walk.today)) do
    local got = ask(walk, sample, walk.query)
    if got and got.kept > 0 then
      density.add(walk.density, sample.first and 0.5 or days_of(walk, sample), got.kept) -- most studies are of the day's middle
      walk.most = math.max(walk.most, got.kept)
      return sample
    end
  end
  return nil
end

-- Whether the modality is seen to have answered with nothing although there is something. Asks only where that is not unlikely.
function find_silence.is_seen(walk, slice, ask)
  if slice.first then
    return false
  end
  local width = slices.width(slice, walk.today)
  if not (walk.oldest and walk.oldest >= (slice.from or -math.huge)) or width <= walk.widest
      and width * walk.density.peak * 2 <= walk.most then
    return false
  end
  local got = ask_with_oldest(walk, slice, ask)
  return got ~= nil and got.sent == 0
end

-- The walk has found nothing at all. When samples of some year have studies, the modality is one of that kind, and the walk goes back to
-- the year behind the newest such one. Returns whether it does. It does so once.
function find_silence.look(walk, ask)
  local to = not walk.known_part and (walk.ceiling or walk.today) or -math.huge
  while to >= (walk.floor or SAMPLES_FROM) and to >= SAMPLES_FROM do
    local slice = { from = math.max(to - YEAR + 1, walk.floor or SAMPLES_FROM), to = to }
    walk.known_part = has_sample(walk, slice, ask, walk.today - to < RECENT and recent_samples_of(slice) or nil)
    if walk.known_part then
      walk.nothing = 0
      walk.silent, walk.cursor, walk.ended = true, math.min(to + YEAR, walk.ceiling or walk.today), false
      return true
    end
    to = slice.from - 1
  end
  return false
end

-- Whether "nothing" of a modality of that kind is all that there is. Together with a day that has a few studies it must have just these.
-- Where there is no such day, "nothing" is believed of as much as never has too many, and after a long time without a study where samples
-- have nothing.
function find_silence.is_believed(walk, slice, ask)
  local days = days_of(walk, slice)
  if slice.empty then
    return days <= 1 / 16
  elseif has_known_part(walk, slice) then
    return false
  elseif slice.first and days * DAY <= SHORT or days * walk.density.peak * (slice.first and OF_DAY or 2) <= walk.most then
    return true
  elseif slice.first then
    return false
  elseif (walk.count == 0 or walk.nothing >= LONG) and days <= (walk.nothing < YEAR and walk.thorough and MONTH or
      math.max(YEAR, walk.widest)) then
    return not (walk.thorough and has_sample(walk, slice, ask))
  elseif walk.oldest and walk.oldest_n * 2 <= walk.most then
    local got = ask_with_oldest(walk, slice, ask)
    return got ~= nil and got.sent == walk.oldest_n
  end
  return false
end

return find_silence
