-- core.find_belief: whether the answers to a slice are all that there is, for core.find_walk. The states of walks and nodes are described
-- there, and `ask` is a function of that.
local require = ...
local find_dates = require "core.find_dates"
local find_silence = require "core.find_silence"
local matching = require "core.matching"
local slices = require "core.slices"

local find_belief = {}

local LEAST_CAP <const> = 10 -- no modality is known that gives fewer answers at most
local AROUND <const> = { 0, 1, 3, 15, 60, 250, 1000 } -- days around a study, to see whether the modality gives more than a few answers

-- Whether "nothing" is all that there is. Some modalities answer with nothing when a range of dates is too wide for them, or when there is
-- too much.
local function nothing_is_believed(walk, node, ask)
  local slice = node.slice
  if node.has_some then -- it had answers when it was asked for in part
    walk.silent = true
    return false
  elseif slice.prefix or node.whole or slice.empty and not walk.silent then
    return true
  elseif walk.silent then
    return find_silence.is_believed(walk, slice, ask)
  elseif find_dates.is_shown(walk) or walk.identified then
    return true
  elseif slices.width(slice, walk.today) > math.max(find_dates.YEAR, walk.widest) then
    return false
  end
  walk.silent = find_silence.is_seen(walk, slice, ask)
  return not walk.silent or find_silence.is_believed(walk, slice, ask)
end

-- Whether the node has all answers to its slice. A modality that has given more answers does not cut at that number. None cuts at 1.
function find_belief.is_believed(walk, node, ask)
  if node.sent == 0 then
    return nothing_is_believed(walk, node, ask)
  end
  return node.sent < math.max(walk.most, walk.cap or 2) or walk.refuses and not walk.cuts
end

-- Whether the modality gives more answers to another search than the node has: to all studies of the days around one of these.
function find_belief.gives_more(walk, node, ask)
  local day = node.sample and not walk.cuts and walk.by_date and slices.day(matching.value(node.sample, "StudyDate"))
  for _, distance in ipairs(day and AROUND or {}) do
    local got = ask(walk, { from = day - distance, to = day + distance }, {})
    walk.most = math.max(walk.most, got and got.kept or 0)
    if walk.most > node.sent then
      return true
    end
  end
  return false
end

-- Whether a search without dates, which cannot be divided, has too few answers to have been cut, while no answer of the modality was. What
-- has a date was found before.
function find_belief.has_few(walk, node)
  return node.tree.only_empty and node.sent ~= nil and node.sent < LEAST_CAP and not (walk.cap or walk.silent or walk.refuses)
end

-- An answer to a part of a node, which the answers to the node itself lack, shows that these were cut.
function find_belief.note_cut(walk, node, got)
  local above, known = node.above, {}
  if walk.cuts or not (above and above.answers and above.answers[1]) then
    return
  end
  for _, answer in ipairs(above.answers) do
    known[matching.value(answer, walk.unique)] = true
  end
  for _, answer in ipairs(got.answers) do
    if not known[matching.value(answer, walk.unique)] then
      walk.cap, walk.cuts = math.min(walk.cap or math.huge, above.sent), true
      return
    end
  end
end

return find_belief
