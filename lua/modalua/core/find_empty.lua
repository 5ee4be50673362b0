-- core.find_empty: studies without a date, or without a time, in a walk of core.find_walk. No range matches them, but at some modalities,
-- Orthanc among them, a range that is open at its start does. Whether it does is seen when it gives such a study.
local require = ...
local matching = require "core.matching"
local slices = require "core.slices"

local find_empty = {}

local TAGS <const> = { date = "StudyDate", time = "StudyTime" }
local MOST <const> = 2000 -- studies of the days that are asked for patients without a date of birth
local ANCIENT <const> = { open = "-18991231", closed = "18980101-18991231" }

local function is_empty(answer, axis)
  return matching.value(answer, TAGS[axis]) == ""
end

-- The axes on which the slice has an open start that is to match empty values.
local function open_axes(slice)
  return { slice.empty, slice.first == 0 and "time" or nil }
end

-- The options of find for the slice: answers without a value on such an axis stay. nil when it has none.
function find_empty.options(slice)
  local tags = {}
  for _, axis in pairs(open_axes(slice)) do
    tags[#tags + 1] = TAGS[axis]
  end
  return tags[1] and { keep_empty = tags, prove = false } or nil
end

-- Notes what the answers to a slice show. got: what find_ask.ask returned.
function find_empty.note(walk, slice, got)
  for _, axis in pairs(open_axes(slice)) do
    if not (got.ignored and got.ignored[TAGS[axis]]) then -- else the modality may not have looked at the filter
      for _, answer in ipairs(got.answers) do
        walk.open_start[axis] = walk.open_start[axis] or is_empty(answer, axis)
      end
    end
  end
end

-- The day, or what has no date (nil), was divided by time. An open start gave what has no time, but it is not known whether that is all. At
-- an Orthanc it lacks studies that have no attribute StudyTime at all, rather than an empty one: a thorough walk looks for these too.
function find_empty.note_untimed(walk, day)
  if walk.open_start.time and not walk.thorough then
    return
  end
  local untimed = walk.untimed or { days = {} }
  walk.untimed = untimed
  if day then
    untimed.from, untimed.to = math.min(untimed.from or day, day), math.max(untimed.to or day, day)
  end
  if day and untimed.days then
    untimed.days[day] = true
  end
end

-- Whether an open start is not known to give all that the walk is to find.
function find_empty.is_open(walk)
  return walk.wants_undated and not walk.open_start.date or walk.untimed ~= nil and not walk.open_start.time
end

-- Whether the modality gives patients without a date of birth for an open start: it then does so for other dates too. The same range
-- without its open start shows whether it has looked at the filter. If it has not, it gives all studies of the days.
local function matches_births(walk, ask)
  local slice = walk.oldest and { from = walk.oldest, to = walk.oldest + (MOST / math.max(walk.density.peak, 1) // 1 | 0) } or {}
  local open = ask(walk, slice, { PatientBirthDate = ANCIENT.open }, { keep_empty = { "PatientBirthDate" }, prove = false })
  local found = false
  for _, answer in ipairs(open and open.answers or {}) do
    found = found or matching.value(answer, "PatientBirthDate") == ""
  end
  local closed = found and ask(walk, slice, { PatientBirthDate = ANCIENT.closed }, { prove = false })
  return closed and closed.sent == 0
end

-- Dates and times are compared in the same way. But a range of dates that is open can also be too wide for a modality that then answers
-- with nothing.
local function believe(walk)
  walk.open_start.time = true
  walk.open_start.date = walk.open_start.date or not walk.silent
end

-- Looks for any study without a date or a time, whatever the query: an open start that gives one of these gives all. `ask` is that of
-- core.find_walk.
function find_empty.look(walk, ask)
  for _, axis in ipairs { "time", "date" } do
    if find_empty.is_open(walk) then
      local got = ask(walk, { empty = axis }, {})
      if got then
        find_empty.note(walk, { empty = axis }, got)
      end
      if walk.open_start[axis] then
        believe(walk)
      end
    end
  end
  if find_empty.is_open(walk) and matches_births(walk, ask) then
    believe(walk)
  end
end

-- Whether an answer is one that only a search without dates and times finds. day: of its date, or nil.
function find_empty.is_wanted(walk, day, answer)
  local untimed = walk.untimed
  if not day then
    return walk.wants_undated
  elseif not untimed or slices.second(matching.value(answer, "StudyTime")) then
    return false
  end
  return untimed.days and untimed.days[day] or not untimed.days and untimed.from and day >= untimed.from and day <= untimed.to
end

-- The slice that has what an open start may lack.
function find_empty.slice(walk)
  return walk.wants_undated and {} or { from = walk.untimed.from, to = walk.untimed.to }
end

return find_empty
