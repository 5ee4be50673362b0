-- core.find_walk: a search of any size at the Study or Patient level. Modalities answer a search that finds too much with an error, with
-- only some of the answers and nothing that says so, or with nothing at all. So the search is divided into slices (core.slices), and what a
-- slice returned is believed only if it is proven to be all.
local require = ...
local find_notes = require "core.find_notes"
local matching = require "core.matching"
local native = require "core.native"
local slices = require "core.slices"

local find_walk = {}

local OP = "find_all"

local ANSWERS <const> = 500      -- answers that a slice should have while no cap is known
local OF_CAP <const> = 0.6       -- and the part of a known cap
local FIRST_WIDTH <const> = 7    -- days of the first slice
local YEAR <const> = 366         -- "nothing" is believed of at most so many days while nothing else proves it
local NOTHING <const> = 2 * YEAR -- after so many days without a study, all that is older is asked for at once
local AROUND <const> = { 0, 1, 3, 15, 60, 250, 1000 } -- days around a study, to see whether the modality gives more than a few answers
local REST <const> = 2000        -- the most answers for which a search without dates looks for studies without a date

-- DIMSE statuses by which a modality says that there are too many matches: PS3.4 C.4.1.1.4, and 0xFE00 of Orthanc.
local TOO_MANY = { [0xA700] = true, [0xFE00] = true }

-- ---- one C-FIND ----

-- What the state of a walk has:
--    modality, data, query, format    what is asked for: the data without the Query, the query without filters by date and PatientID
--    level, unique  the level, and the name of its unique key
--    axes           by what it can be divided, as in core.slices. At the Study level by_date is true
--    floor, ceiling the days of the caller's range; wants_undated = there is no range
--    identified     the query has a key that names a few studies
--    own            the set of filters that the caller has not given
--    cap            the most answers that the modality gives; nil = not known. With `cuts` it was seen
--    most           the largest number of answers that the modality gave
--    refuses        the modality has answered a search that finds too much by an error; too_many = the fewest answers of such a search
--    silent         the modality has answered such a search with nothing
--    widest         the largest number of days for which there were answers
--    folds          PatientIDs match in upper and in lower case; nil = not known. `sample` is an answer that can show it
--    counts_both    PatientIDs count for the cap in upper and in lower case; nil = not known
--    open_start     the set of axes on which an open start was seen to match empty values
--    stack, ready   the slices to ask for, and the answers to return
--    unproven       texts for what cannot be proven
--    finds, warning the number of C-FINDs, and what find says of their answers

-- The data of the C-FIND for a slice of a query.
local function data_of(walk, slice, of)
  local data, query = {}, { StudyDate = walk.by_date and "" or nil, StudyTime = walk.by_date and "" or nil }
  for name, value in pairs(walk.data) do
    data[name] = value
  end
  for name, value in pairs(of) do
    query[name] = value
  end
  slices.set_filters(slice, query)
  data.Query = query
  return data
end

-- Whether the answers were too many for the modality, or for the memory here.
local function is_too_many(walk, err)
  if TOO_MANY[err.dimse_status] then
    walk.refuses = true
    return true
  end
  return err.kind == "limit" and (err.code == "memory" or err.code == "body")
end

-- Keeps what the find says of its answers, but not of the filters that the slice has added.
local function note(walk, found)
  find_notes.add(walk.notes, found)
  for name in pairs(walk.own) do
    if walk.notes.ignored then
      walk.notes.ignored[name] = nil
    end
    for i = #(walk.notes.unproven or {}), 1, -1 do
      if walk.notes.unproven[i] == name then
        table.remove(walk.notes.unproven, i)
      end
    end
  end
  walk.notes.unproven = walk.notes.unproven and walk.notes.unproven[1] and walk.notes.unproven or nil
  walk.notes.unreadable = nil
  walk.warning = native.warning(walk.notes)
end

local function note_unreadable(walk, text, dates)
  for _, date in ipairs(dates or {}) do
    walk.unproven[#walk.unproven + 1] = ("StudyDate = '%s' (the server cannot read an answer)"):format(date)
  end
  if not dates then
    walk.unproven[#walk.unproven + 1] = text .. " (the server cannot read an answer)"
  end
end

-- Notes a part of the search that is not proven. n: its number of answers, or nil.
function find_walk.note_unproven(walk, text, n)
  walk.unproven[#walk.unproven + 1] = ("%s (%s)"):format(text, n and ("%d answer%s"):format(n, n == 1 and "" or "s") or "too many answers")
end

-- One C-FIND for a part of the search, which is called `text`. Returns { answers =, sent = the number of answers that the modality sent at
-- most, kept = at least, ignored = as the result of find has it, unreadable = true when the server cannot read them }, or nil when the
-- modality refuses, as they are too many. find takes answers out that contradict a filter, each at least one, or repeat another answer.
-- Throws every other error.
function find_walk.ask(walk, data, text)
  local good, found, err = pcall(walk.modality.find, walk.modality, data, walk.format)
  if not good then -- "limit" is thrown, and so is a cancel
    found, err = nil, found
  end
  walk.finds = walk.finds + 1
  if not found and native.is_error(err) and is_too_many(walk, err) then
    return nil
  elseif not found and native.is_error(err) and err.code == "bad_charset" then
    note_unreadable(walk, text, err.unreadable)
    return { answers = {}, sent = 0, kept = 0, unreadable = true }
  elseif not found then
    error(err, 0)
  end
  local query <close> = found
  note(walk, found)
  note_unreadable(walk, text, found.unreadable or {})
  local kept = #query.answers + (found.repeated or 0)
  local sent = kept
  for _, count in pairs(found.ignored or {}) do
    sent = sent + count
  end
  return { answers = query.answers, sent = sent, kept = kept, ignored = found.ignored }
end

local function ask(walk, slice, of)
  return find_walk.ask(walk, data_of(walk, slice, of), slices.text(slice))
end

-- ---- what is believed ----

-- Whether "nothing" is all that there is. Some modalities answer with nothing when a range of dates is too wide for them.
local function nothing_is_believed(walk, node)
  if node.has_some then -- it had answers when it was asked for in part
    walk.silent = true
    return false
  end
  return node.slice.prefix or node.slice.empty or node.whole or slices.width(node.slice, walk.today) <= math.max(YEAR, walk.widest)
    or not walk.silent and (walk.refuses or walk.cap or walk.identified)
end

-- Whether the node has all answers to its slice. A modality that has given more answers does not cut at that number. None cuts at 1.
local function is_believed(walk, node)
  if node.sent == 0 then
    return nothing_is_believed(walk, node)
  end
  return node.sent < math.max(walk.most, walk.cap or 2) or walk.refuses and not walk.cuts
end

-- Whether the modality ignores the dates or the PatientID of the slice: all its answers lie outside. Its parts would get the same answers,
-- without an end. A range that is open at its start is no sign of that, since some modalities add what has no date.
local function ignores_slice(node, got)
  local slice, ignored = node.slice, got and got.kept == 0 and got.ignored or {}
  return slice.from and ignored.StudyDate or slice.prefix and ignored.PatientID
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
  local axis = slice.empty
  for _, answer in ipairs(axis and answers or {}) do
    walk.open_start[axis] = walk.open_start[axis] or matching.value(answer, axis == "time" and "StudyTime" or "StudyDate") == ""
  end
  if axis and got.sent > got.kept and node.above then -- those without a value may be among what was taken out
    node.above.mixed = true
  end
end

-- ---- the tree of slices ----
--
-- A node has the fields
--    slice, above      its slice, and the node that was divided
--    tree              of all nodes of a tree: { seen = set of unique keys, asked = set of slices, before = the first day not to return }
--    refused           true: the modality answered that there are too many
--    sample            one of its answers
--    n, answers        the number of its own answers (nil: it was refused, or not asked for), and these until its parts are done
--    axis, waiting     by which it was divided, and the number of parts that are not done
--    total             the number of answers that it and its parts returned
--    by_prefix         true: it is only divided by PatientID
--    has_some          true: it cannot have nothing
--    leftover, cut     its parts lack some of its answers; it lacks some of those of its parts, or was refused
--    sent              the number of answers that the modality sent, as find_walk.ask returns it
--    whole             true: its slice has no range of dates, which could be too wide
--    looked, mixed     how often what has no value on the axis was asked for; answers without one may have been taken out

local function push(walk, node)
  walk.stack[#walk.stack + 1] = node
end

-- Returns a node for a slice: of a new tree, or a part of the node `above`.
local function new_node(slice, above, before)
  local tree = above and above.tree or { seen = {}, asked = {}, before = before }
  return { slice = slice, above = above, tree = tree, total = 0, by_prefix = above and above.by_prefix }
end

-- The answer is returned, unless the tree has returned it before, or has its day from elsewhere.
local function emit(walk, node, answer)
  local key, tree = matching.value(answer, walk.unique), node.tree
  if key ~= "" and tree.seen[key] then
    return
  end
  tree.seen[key] = true
  node.total = node.total + 1
  local day = walk.by_date and slices.day(matching.value(answer, "StudyDate"))
  if not (day and tree.before and day >= tree.before) then
    walk.ready[#walk.ready + 1] = answer
    walk.count = walk.count + 1
    walk.oldest = day and math.min(day, walk.oldest or day) or walk.oldest
  end
end

local function note_unproven(walk, node)
  find_walk.note_unproven(walk, slices.text(node.slice), node.n)
end

-- What the answers tell about where to divide.
local function seen_of(answers)
  local seen = { days = {}, seconds = {}, identifiers = {} }
  for _, answer in ipairs(answers or {}) do
    local day, second = slices.day(matching.value(answer, "StudyDate")), slices.second(matching.value(answer, "StudyTime"))
    table.insert(seen.days, day)
    table.insert(seen.seconds, second)
    table.insert(seen.identifiers, matching.value(answer, "PatientID"))
  end
  return seen
end

-- Divides the node, and pushes its parts; false when it cannot be divided.
local function divide(walk, node, answers)
  local axes = node.by_prefix and { prefix = walk.axes.prefix } or walk.axes
  local parts, axis = slices.divide(node.slice, axes, seen_of(answers), walk.today)
  if not parts then
    return false
  end
  node.axis, node.answers, node.waiting = axis, answers, #parts
  for i = 1, #parts do -- the newest days first, but the PatientIDs in their order
    push(walk, new_node(parts[axis == "prefix" and #parts - i + 1 or i], node))
  end
  return true
end

-- Whether the modality gives more answers to another search than the node has: to all studies of the days around one of these.
local function gives_more(walk, node)
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

-- Ranges leave out what has no date or no time. Modalities such as Orthanc find that by an open start, at others it is looked for by
-- PatientID. Studies without a date are looked for at the end of a walk by dates (push_undated), and here only when the node had no dates.
-- Returns whether there is something to ask for.
local function look_for_empty(walk, node)
  local axis, slice = node.axis, node.slice
  local is_part = axis == "date" and (slice.from or slice.to) or axis == "time" and slice.first
  if is_part or not node.leftover and not node.cut or node.looked == 2
      or node.looked == 1 and walk.open_start[axis] and not node.mixed then
    return false
  elseif not node.looked and not node.cut and (is_believed(walk, node) or gives_more(walk, node)) then
    return false -- its own answers are all
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
    if node.total > node.n then
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

-- Whether the modality makes no difference between upper and lower case. That is seen when it finds a patient by the other case.
local function find_out_case(walk, answer)
  local identifier, day = matching.value(answer, "PatientID"), walk.by_date and slices.day(matching.value(answer, "StudyDate"))
  local other = identifier:gsub("%a", function(c) return c == c:upper() and c:lower() or c:upper() end)
  if other == identifier or other:find "[*?\\\x80-\xff]" then
    return nil
  end
  local got = ask(walk, { from = day, to = day, prefix = other, whole = true }, {})
  for _, found in ipairs(got and got.answers or {}) do
    if matching.value(found, "PatientID") == identifier then
      return true
    end
  end
  return false
end

-- Whether the modality counts patients of the other case too before it says that there are too many, as Orthanc 1.10.1 does. Then each
-- beginning of a PatientID with too many would be divided in 2^n spellings. `prefix` is one that has too many.
local function find_out_count(walk, slice)
  local n = 0
  local mixed = slice.prefix:gsub("%a", function(c)
    n = n + 1
    return n % 2 == (slice.prefix:find "^%A*%l" and 1 or 0) and c:upper() or c:lower()
  end)
  if n >= 3 and not slice.whole then
    walk.counts_both = ask(walk, slices.with(slice, { prefix = mixed }), walk.query) == nil
  end
end

-- Whether a beginning of a PatientID has upper and lower case mixed, as no numbering has it.
local function is_mixed(prefix)
  local letters = prefix:gsub("%A", "")
  return letters:find "%l.*%u" or letters:find "%u.*%u.*%l"
end

-- Whether a modality that makes no difference between upper and lower case has been asked for the slice: p* is P* there.
local function is_known(walk, node)
  local prefix = node.slice.prefix
  if not prefix then
    return false
  elseif walk.folds == nil and walk.sample then
    walk.folds = find_out_case(walk, walk.sample)
  end
  local key, asked = slices.text(node.slice):upper(), node.tree.asked
  local known = walk.folds and asked[key] or walk.counts_both and is_mixed(prefix)
  asked[key] = true
  return known
end

-- Asks for the node on the top of the stack.
local function take(walk)
  local node = table.remove(walk.stack)
  local got = is_known(walk, node) and { answers = {}, sent = 0, kept = 0 } or ask(walk, node.slice, walk.query)
  if got then
    note_answers(walk, node, got)
  elseif node.slice.prefix and walk.counts_both == nil then
    find_out_count(walk, node.slice)
  end
  node.refused = not got
  local answers = got and got.answers
  local believed = got and (got.unreadable or is_believed(walk, node))
  if got and not believed and (slices.is_day(node.slice) or node.by_prefix) then -- to divide these takes many C-FINDs
    believed = gives_more(walk, node)
  end
  if not believed and not ignores_slice(node, got) and divide(walk, node, answers) then
    return
  end
  for _, answer in ipairs(answers or {}) do
    emit(walk, node, answer)
  end
  if not believed then
    note_unproven(walk, node)
  end
  finish(walk, node)
end

-- ---- the walk from the newest day to the oldest ----

-- The number of days that the next slice should have.
local function next_width(walk)
  local cap = walk.cap or walk.too_many
  local target = cap and math.max(math.floor(cap * OF_CAP), 1) or ANSWERS
  local last = walk.last
  local believed = not walk.silent and (walk.refuses or walk.cap) and math.huge or math.max(YEAR, walk.widest)
  local width = last.width * 4
  if last.total > 0 then
    width = math.min(width, last.width * target // last.total)
  end
  return math.max(math.min(width, believed, YEAR * 100), 1)
end

-- Pushes the days from `from` to `to`; nil = no bound. It has `width` days, as far as they count.
local function push_days(walk, from, to, width)
  walk.last = new_node({ from = from, to = to })
  walk.last.width = width
  walk.cursor = from and from - 1
  walk.ended = from == walk.floor
  push(walk, walk.last)
end

local function push_first(walk)
  local from = (walk.ceiling or walk.today) - FIRST_WIDTH + 1
  push_days(walk, walk.floor and math.max(from, walk.floor) or from, walk.ceiling, FIRST_WIDTH)
end

local function push_next(walk)
  local to, width = walk.cursor, next_width(walk)
  local from = to - width + 1
  push_days(walk, from > (walk.floor or slices.FIRST_DAY) and from or walk.floor, to, width)
end

-- Pushes all that is older than the cursor, with the oldest day that has studies: a modality that answers such a wide range with nothing
-- is noticed then.
local function push_rest(walk)
  local node = new_node({ from = walk.floor, to = walk.oldest }, nil, walk.cursor + 1)
  node.has_some, walk.ended = true, true
  push(walk, node)
end

-- Pushes the next days; false at their end.
local function push_dates(walk)
  local last = walk.last
  if not last then
    push_first(walk)
    return true
  elseif walk.ended then
    return false
  end
  walk.nothing = last.total > 0 and 0 or walk.nothing + last.width
  if walk.nothing >= NOTHING and walk.oldest then
    push_rest(walk)
  else
    push_next(walk)
  end
  return true
end

-- Pushes a search for studies without a date. An open start that has matched one of them has matched all. Else they are among the answers
-- of a search without dates, which is divided by PatientID when it has too many.
local function push_empty(walk)
  local node = new_node { empty = "date" }
  node.by_prefix = true
  node.above = { waiting = 2, total = 0, tree = node.tree } -- never done: only its `mixed` counts
  walk.empty = node.above
  push(walk, node)
end

local function push_undated(walk)
  local node = new_node({}, nil, -math.huge)
  node.by_prefix, node.whole, node.has_some = true, true, walk.count > 0
  node.tree.seen = walk.empty.tree.seen
  local few = walk.count <= REST or walk.cap and walk.count < walk.cap
  if few or not divide(walk, node, nil) then
    push(walk, node)
  end
end

-- ---- the iterator ----

-- Pushes what is to be asked for next; false at the end.
local function advance(walk)
  if walk.step == "dates" and push_dates(walk) then
    return true
  elseif walk.step == "dates" and walk.wants_undated then
    walk.step = "empty"
    push_empty(walk)
    return true
  elseif walk.step == "empty" and (not walk.open_start.date or walk.empty.mixed) then
    walk.step = "undated"
    push_undated(walk)
    return true
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

-- The next answer; nil at the end. Throws the error of a C-FIND that fails.
function find_walk.next(walk)
  while true do
    walk.place = walk.place + 1
    local answer = walk.ready[walk.place]
    if answer then
      walk.ready[walk.place] = false -- the script may be the only one that keeps it
      return answer
    end
    walk.ready, walk.place = {}, 0
    if not walk.stack[1] and not advance(walk) then
      return nil
    end
    take(walk)
  end
end

-- Completes the state of a walk that has modality, data, query, format, level, unique, axes, own and what the filters say, and begins it.
function find_walk.begin(walk)
  walk.most, walk.widest, walk.count, walk.nothing, walk.finds, walk.place = 0, 0, 0, 0, 0, 0
  walk.open_start, walk.stack, walk.ready, walk.unproven, walk.notes = {}, {}, {}, {}, {}
  walk.today = slices.day(os.date "%Y%m%d")
  if walk.by_date and not walk.identified then
    walk.step = "dates"
    return
  end
  local root = new_node(walk.wants_undated and {} or { from = walk.floor, to = walk.ceiling })
  root.whole = not (root.slice.from or root.slice.to)
  walk.step = "whole"
  push(walk, root)
end

return find_walk
