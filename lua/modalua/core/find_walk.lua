-- core.find_walk: a search of any size at the Study or Patient level. Modalities answer a search that finds too much with an error, with
-- only some of the answers and nothing that says so, or with nothing at all. So the search is divided into slices (core.slices), and what a
-- slice returned is believed only if it is proven to be all.
local require = ...
local density = require "core.find_density"
local find_ask = require "core.find_ask"
local find_belief = require "core.find_belief"
local find_case = require "core.find_case"
local find_dates = require "core.find_dates"
local find_empty = require "core.find_empty"
local find_patients = require "core.find_patients"
local find_silence = require "core.find_silence"
local matching = require "core.matching"
local native = require "core.native"
local slices = require "core.slices"

local ask = find_ask.ask_slice

local find_walk = {}

local OP = "find_all"

local REST <const> = 2000 -- the most answers for which a search without dates looks for studies without a date
local SMALL_CAP <const>, OF_CAP <const> = 100, 200 -- with a smaller one, at most so many times as many studies are searched so
local ABSENT <const> = "studies that have no attribute StudyDate or StudyTime at all, rather than an empty one, were not looked for. No "
  .. "range of dates finds them. A search without dates finds them, but it would have to be divided into too many parts."

-- ---- the state ----

-- What the state of a walk has:
--    modality, data, query, format    what is asked for: the data without the Query, the query without filters by date and PatientID
--    level, unique  the level, and the name of its unique key
--    axes           by what it can be divided, as in core.slices. At the Study level by_date is true
--    floor, ceiling the days of the caller's range; wants_undated = there is no range
--    identified     the query has a key that names a few studies
--    own            the set of filters that the caller has not given
--    drops_undated  the caller's range has an open start: answers with an empty date are not returned; undescribed = the number of these
--    told           the most answers that the modality gives, as the caller says; nil = not known
--    cap            the same as it is known now. With `cuts` it was seen
--    most           the largest number of answers that the modality gave
--    refuses        the modality has answered a search that finds too much by an error; too_many = the fewest answers of such a search
--    silent         the modality has answered such a search with nothing; known_part = a slice with answers of one that had found nothing
--    widest         the largest number of days for which there were answers
--    folds          PatientIDs match in upper and in lower case; nil = not known. `sample` is an answer that can show it
--    counts_both    PatientIDs count for the cap in upper and in lower case; nil = not known
--    open_start     the set of axes on which an open start was seen to match empty values
--    untimed        days that were divided by time while that was not known of times: { from =, to =, days = a set, or nil after a resume }
--    stack, ready   the slices to ask for, and the answers to return
--    unproven       texts for what cannot be proven; the list `parts` has { slice =, n = answers or nil, text = } for the same
--    remark         what a thorough walk did not look for, as text; nil = nothing. The open start is believed to be all
--    twins          by the unique key of an answer that was returned: another PatientID that the modality gives it to
--    thorough       true: C-FINDs are spent to see whether a modality that has nothing at all says the truth, and whether it has studies
--                   without the attribute StudyDate or StudyTime, which an open start does not match
--    patients       the state of core.find_patients, of a thorough walk
--    finds, warning the number of C-FINDs, and what find says of their answers
--    step           what the present part is: "whole", "dates", "empty", "untimed", "undated"; see `advance`
--    failed         the error that a C-FIND returned
-- and what core.find_dates says.

-- ---- what answers show ----

-- Whether the modality ignores the dates, the times or the PatientID of the slice: all its answers lie outside. Its parts would get the
-- same answers, without an end. A range that is open at its start, of a slice that is not about what has no date, is no sign of that:
-- some modalities add what has no date.
local function ignores_slice(node, got)
  local slice, ignored = node.slice, got and got.kept == 0 and got.ignored or {}
  return (slice.from or slice.empty) and ignored.StudyDate or (slice.first or 0) > 0 and ignored.StudyTime or slice.prefix
    and ignored.PatientID
end

-- Notes what the answers to the node's slice show.
local function note_answers(walk, node, got)
  local slice, answers = node.slice, got.answers
  node.n, node.sent, node.sample = #answers, got.sent, answers[1]
  walk.most = math.max(walk.most, got.kept)
  walk.sample = answers[1] or walk.sample
  if #answers > 0 and not slice.prefix and not slice.first and not slice.empty then
    walk.widest = math.max(walk.widest, slices.width(slice, walk.today))
  end
  find_empty.note(walk, slice, got)
end

-- ---- the tree of slices ----
--
-- A node has the fields
--    slice, above      its slice, and the node that was divided
--    tree              of all nodes of a tree: { seen = set of unique keys, asked = set of slices, before = the first day not to return,
--                      only_empty = true: only what has no date or no time is returned, is_try = true: what it lacks is likely to be
--                      nothing }
--    refused           true: the modality answered that there are too many
--    sample            one of its answers
--    n, answers        the number of its own answers (nil: it was refused, or not asked for), and these until its parts are done
--    axis, waiting     by which it was divided, and the number of parts that are not done
--    total             the number of answers that it and its parts returned
--    by_prefix         true: it is only divided by PatientID
--    has_some          true: it cannot have nothing
--    leftover, cut     its parts lack some of its answers; it lacks some of those of its parts, or was refused
--    sent              the number of answers that the modality sent, as find_ask.ask returns it
--    whole             true: its slice has no range of dates, which could be too wide
--    looked            how often what has no value on the axis was asked for
--    is_days           true: of the days of a tree, not of a time or a PatientID

local function push(walk, node)
  walk.stack[#walk.stack + 1] = node
end

-- Returns a node for a slice: of a new tree, or a part of the node `above`.
local function new_node(slice, above, before)
  local tree = above and above.tree or { seen = {}, asked = {}, before = before }
  return { slice = slice, above = above, tree = tree, total = 0, by_prefix = above and above.by_prefix }
end

-- Notes where in time the answer lies. day: of its date, or nil.
local function note_moment(walk, day, answer)
  local second = day and slices.second(matching.value(answer, "StudyTime"))
  if second then
    density.add_time(walk.density, second)
  end
  if day and day <= (walk.oldest or day) then
    walk.oldest_n = day == walk.oldest and walk.oldest_n + 1 or 1
    walk.oldest = day
  end
end

-- The answer is returned, unless the tree has returned it before, or has its day from elsewhere.
local function emit(walk, node, answer)
  local key, tree = matching.value(answer, walk.unique), node.tree
  local patient = matching.value(answer, "PatientID")
  if key ~= "" and tree.seen[key] then
    walk.twins[key] = tree.seen[key] ~= patient and patient or walk.twins[key]
    return
  end
  tree.seen[key] = patient
  node.total = node.total + 1
  local day = walk.by_date and slices.day(matching.value(answer, "StudyDate")) or nil
  if day and tree.before and day >= tree.before or tree.only_empty and not find_empty.is_wanted(walk, day, answer) then
    return
  elseif walk.drops_undated and native.value(answer, "StudyDate") == "" then
    walk.undescribed = (walk.undescribed or 0) + 1
    return
  end
  walk.ready[#walk.ready + 1] = answer
  walk.count = walk.count + 1
  note_moment(walk, day, answer)
  if walk.thorough and walk.by_date then
    walk.patients = walk.patients or find_patients.new()
    find_patients.add(walk.patients, patient)
  end
end

local function note_unproven(walk, node)
  find_ask.note_unproven(walk, slices.text(node.slice), node.n, node.slice)
end

-- What the answers tell about where to divide. What has no time comes with the beginning of the day.
local function seen_of(slice, answers)
  local seen = { days = {}, seconds = {}, identifiers = {} }
  for _, answer in ipairs(answers or {}) do
    local day, second = slices.day(matching.value(answer, "StudyDate")), slices.second(matching.value(answer, "StudyTime"))
    table.insert(seen.days, day)
    table.insert(seen.seconds, second or (slice.first or 0) == 0 and 0 or nil)
    table.insert(seen.identifiers, matching.value(answer, "PatientID"))
  end
  return seen
end

-- Divides the node, and pushes its parts; false when it cannot be divided.
local function divide(walk, node, answers)
  local axes = walk.axes
  if node.by_prefix then
    axes = { prefix = axes.prefix, characters = node.tree.is_try and walk.patients and find_patients.characters(walk.patients) or nil }
  end
  local parts, axis = slices.divide(node.slice, axes, seen_of(node.slice, answers), walk.today)
  if not parts then
    return false
  end
  node.axis, node.answers, node.waiting = axis, answers, #parts
  for i = 1, #parts do -- the newest days first, but the PatientIDs in their order
    local part = new_node(parts[axis == "prefix" and #parts - i + 1 or i], node)
    part.is_days = axis == "date" and node.is_days
    push(walk, part)
  end
  return true
end

-- Ranges leave out what has no date or no time. Where a day was divided by time, its lowest part had an open start, and what that may lack
-- is asked for at the end of the walk. So are studies without a date, and they are asked for here only when the node had no dates: by an
-- open start, then by PatientID. Returns whether there is something to ask for.
local function look_for_empty(walk, node)
  local axis, slice = node.axis, node.slice
  local is_part = axis == "date" and (slice.from or slice.to) or axis == "time" and slice.first
  if is_part or not node.leftover and not node.cut or node.looked == 2 or node.looked == 1 and walk.open_start[axis] then
    return false
  elseif not node.looked and not node.cut and (find_belief.is_believed(walk, node, ask) or find_belief.gives_more(walk, node, ask)) then
    return false -- its own answers are all
  elseif axis == "time" then
    find_empty.note_untimed(walk, slice.from)
    return false
  end
  node.looked = axis == "prefix" and 2 or (node.looked or 0) + 1
  if node.looked == 1 then
    local empty = new_node(slices.with(slice, { empty = axis }), node)
    empty.by_prefix, node.waiting = true, 1
    push(walk, empty)
    return true
  end
  local parts = axis ~= "prefix" and new_node(slice, node)
  if parts then
    parts.by_prefix, node.waiting = true, 1
  end
  if parts and divide(walk, parts, nil) then
    return true
  elseif node.leftover then
    note_unproven(walk, node)
  end
  return false
end

local finish

-- All parts of the node are done. What they had not is returned now. When they have more than the node itself had, that was cut, and its
-- number of answers is the cap.
local function finish_parts(walk, node)
  if node.n and not node.looked then
    local before = node.total
    for _, answer in ipairs(node.answers) do
      emit(walk, node, answer)
    end
    node.leftover, node.answers = node.total > before, nil
    if node.total > node.n and node.n == 0 then
      walk.silent = true
    elseif node.total > node.n then
      walk.cap, walk.cuts = math.min(walk.cap or math.huge, node.sent), true
    end
  end
  if node.refused then
    walk.too_many = math.min(walk.too_many or math.huge, node.total)
  end
  node.cut = not node.n or node.total > node.n
  if not look_for_empty(walk, node) then
    finish(walk, node)
  end
end

-- The node is done.
function finish(walk, node)
  local above = node.above
  if above then
    above.total = above.total + node.total
    above.waiting = above.waiting - 1
    if above.waiting == 0 then
      finish_parts(walk, above)
    end
  end
end

-- Whether a modality that makes no difference between upper and lower case has been asked for the slice: p* is P* there.
local function is_known(walk, node)
  local prefix = node.slice.prefix
  if not prefix then
    return false
  elseif walk.folds == nil and walk.sample then
    walk.folds = find_case.folds(walk, walk.sample, ask)
  end
  local key, asked = slices.text(node.slice):upper(), node.tree.asked
  local known = walk.folds and asked[key] or walk.counts_both and find_case.is_mixed(prefix)
  asked[key] = true
  return known
end

-- Whether the answers to the node, which are not believed, prove all the same to be all. To divide some nodes takes many C-FINDs.
local function proves_all(walk, node)
  local is_costly = slices.is_day(node.slice) or node.by_prefix
  return is_costly and not (walk.told and node.sent >= walk.told) and find_belief.gives_more(walk, node, ask)
end

-- Pushes a part that core.find_dates gives.
local function push_part(walk, part)
  local node = new_node(part.slice, nil, part.before)
  node.has_some, node.is_days = part.has_some, true
  if not part.starts then
    push(walk, node)
    return
  end
  local parts = slices.at_seconds(part.slice, part.starts)
  node.axis, node.waiting = "time", #parts
  for _, slice in ipairs(parts) do
    push(walk, new_node(slice, node))
  end
end

-- Whether it is known how the modality answers a search that finds too much: its answers to a wide range are then not worth an exact look.
local function is_shown(walk)
  return find_dates.is_shown(walk) or walk.silent or walk.told
end

-- Goes on with the newest part that is left of a range of days, in parts of another width. The older ones are not asked for as they are.
local function go_on(walk, slice, before)
  walk.stack = {}
  push_part(walk, find_dates.go_on(walk, slice, before))
end

-- A part of a range of days that was divided: when it is known by now that it was too wide, the width is chosen anew. Returns the node to
-- ask for.
local function narrowed(walk, node)
  if not node.is_days or not node.above or not is_shown(walk) then
    return node
  end
  go_on(walk, node.slice, node.tree.before)
  return table.remove(walk.stack)
end

-- Divides a node with answers that are not believed; false when it cannot be divided.
local function divide_unproven(walk, node, answers)
  local half = node.is_days and is_shown(walk) and slices.newer_half(node.slice, walk.today)
  if half then
    go_on(walk, half, node.tree.before)
    return true
  end
  return divide(walk, node, answers)
end

-- Divides a node of which it is known that it has too many answers for the memory here. Returns whether it did.
local function is_divided(walk, node)
  local prefix = node.tree.is_try and node.slice.prefix
  return prefix and walk.patients and find_patients.is_large(walk.patients, prefix) and divide(walk, node, nil)
end

-- Whether the answers to the node are believed to be all.
local function is_believed(walk, node, got)
  if node.tree.is_try then
    return got and node.sent < (walk.cap or math.huge)
  end
  return got and (got.unreadable or find_belief.is_believed(walk, node, ask) or proves_all(walk, node))
end

-- Asks for the node on the top of the stack.
local function take(walk)
  local node = narrowed(walk, table.remove(walk.stack))
  if is_divided(walk, node) then
    return
  end
  local got = is_known(walk, node) and { answers = {}, sent = 0, kept = 0 } or ask(walk, node.slice, walk.query)
  if got then
    note_answers(walk, node, got)
    find_belief.note_cut(walk, node, got)
  elseif node.slice.prefix and walk.counts_both == nil then
    walk.counts_both = find_case.counts_both(walk, node.slice, ask)
  end
  node.refused = not got
  local answers = got and got.answers
  local believed = is_believed(walk, node, got)
  if not believed and not ignores_slice(node, got) and divide_unproven(walk, node, answers) then
    return
  end
  for _, answer in ipairs(answers or {}) do
    emit(walk, node, answer)
  end
  if not believed and not find_belief.has_few(walk, node) then
    note_unproven(walk, node)
  end
  finish(walk, node)
end

-- ---- the steps of a walk ----

-- A search for studies without a date by an open start, which gives all where it gives one.
local function push_empty(walk)
  local node = new_node { empty = "date" }
  walk.undated = node.tree.seen
  push(walk, node)
end

-- Whether a search without dates is likely to have few answers.
local function has_few(walk)
  return walk.count < (walk.cap or math.min(walk.too_many or REST, REST) + 1)
end

-- Whether a search without dates that is divided by PatientID does not take too many C-FINDs, and its answers can be believed.
local function is_cheap(walk)
  local cap = walk.cap or walk.too_many or math.huge
  return walk.thorough and walk.axes.prefix and not walk.silent and (cap >= SMALL_CAP or walk.count <= math.max(REST, OF_CAP * cap))
end

-- A search without dates and times for what an open start may lack. It is divided by PatientID when it has too many. is_try: an open start
-- is known to match what is empty, so that only studies without the attribute are left.
local function push_without(walk, is_try)
  local node = new_node(find_empty.slice(walk))
  node.by_prefix, node.tree.is_try = true, is_try
  node.whole, node.has_some = not node.slice.from, walk.count > 0 and not is_try
  node.tree.only_empty, node.tree.seen = true, walk.undated or {}
  local few = has_few(walk)
  if is_try and not few and not is_cheap(walk) then
    if walk.thorough and not walk.silent then -- a modality that is silent is no Orthanc
      walk.remark = ABSENT
    end
    return false
  elseif few or not divide(walk, node, nil) then
    push(walk, node)
  end
  return true
end

-- Each step pushes what is to be asked for next, and returns false at its end. has_begun: it has pushed something before.
local steps = {
  whole = function()
    return false -- find_walk.begin has pushed it
  end,
  dates = function(walk)
    if walk.last then
      find_dates.note_done(walk)
    end
    local part = find_dates.next(walk)
    if not part and walk.thorough and walk.count == 0 and not find_dates.is_shown(walk) and find_silence.look(walk, ask) then
      part = find_dates.next(walk)
    end
    if part then
      push_part(walk, part)
    end
    return part ~= nil
  end,
  empty = function(walk, has_begun)
    if has_begun or not walk.wants_undated then
      return false
    end
    push_empty(walk)
    return true
  end,
  without = function(walk, has_begun)
    if has_begun or not (walk.wants_undated or walk.untimed) then
      return false
    elseif find_empty.is_open(walk) then
      find_empty.look(walk, ask)
    end
    return push_without(walk, not find_empty.is_open(walk))
  end,
}
local NEXT <const> = { dates = "empty", empty = "without" }

-- Pushes what is to be asked for next; false at the end.
local function advance(walk)
  while walk.step do
    walk.has_begun = steps[walk.step](walk, walk.has_begun)
    if walk.has_begun then
      return true
    end
    walk.step = walk.step == "whole" and walk.untimed and "without" or NEXT[walk.step]
  end
  return false
end

local function throw_unproven(walk)
  local list = walk.unproven
  if not list[1] then
    return
  end
  local err = native.fail(OP, "unknown", "incomplete", ("these parts of the search may have more answers, as they cannot be divided: %s%s")
    :format(table.concat(list, "; ", 1, math.min(#list, 5)), list[6] and ("; and %d more"):format(#list - 5) or ""))
  err.unproven = list
  error(err, 0)
end

-- Throws, once, when a part of the search is not proven.
function find_walk.finish(walk)
  if not walk.finished then
    walk.finished = true
    throw_unproven(walk)
  end
end

-- Makes the next C-FIND of the walk. Returns the answers that are new, and whether the walk has a place now (find_walk.place); nil at the
-- end. Throws the error of a C-FIND that fails.
function find_walk.step(walk)
  if not walk.stack[1] and not advance(walk) then
    return nil
  end
  walk.ready = {}
  take(walk)
  return walk.ready, not walk.stack[1]
end

-- The next answer; nil at the end. Throws the error of a C-FIND that fails.
function find_walk.next(walk)
  while true do
    walk.position = walk.position + 1
    local answer = walk.ready[walk.position]
    if answer then
      walk.ready[walk.position] = false -- the script may be the only one that keeps it
      return answer
    end
    walk.position = 0
    if not find_walk.step(walk) then
      return nil
    end
  end
end

-- ---- the place of a walk ----

-- What goes on from here, between two parts of the walk. All of it can be written as JSON.
local PLACE <const> = { "step", "has_begun", "cursor", "ended", "rested", "nothing", "last", "density", "cap", "cuts", "refuses", "silent",
  "too_many", "guess", "most", "widest", "count", "oldest", "oldest_n", "open_start", "today", "folds", "counts_both", "known_part" }

-- The place of a walk that has no slice to ask for, for find_walk.begin.
function find_walk.place(walk)
  local place = { untimed = walk.untimed and { from = walk.untimed.from, to = walk.untimed.to } }
  for _, name in ipairs(PLACE) do
    place[name] = walk[name]
  end
  place.patients = walk.patients and find_patients.place(walk.patients)
  return place
end

-- Completes the state of a walk that has modality, data, query, format, level, unique, axes, own and what the filters say, and begins it,
-- or goes on at the place of another one with the same arguments.
function find_walk.begin(walk, place)
  walk.most, walk.widest, walk.count, walk.nothing, walk.finds, walk.position = 0, 0, 0, 0, 0, 0
  walk.open_start, walk.stack, walk.ready, walk.unproven, walk.parts, walk.notes, walk.twins = {}, {}, {}, {}, {}, {}, {}
  walk.today, walk.density = slices.day(os.date "%Y%m%d"), density.new()
  for name, value in pairs(place or {}) do
    walk[name] = value
  end
  if place then
    return
  elseif walk.by_date and not walk.identified then
    walk.step = "dates"
    return
  end
  local root = new_node(walk.wants_undated and {} or { from = walk.floor, to = walk.ceiling })
  root.whole = not (root.slice.from or root.slice.to)
  walk.step, walk.wants_undated = "whole", false
  push(walk, root)
end

return find_walk
