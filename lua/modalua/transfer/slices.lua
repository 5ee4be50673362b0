-- transfer.slices: the inventory of a transfer: everything that a query finds at its source, and the proof that it is everything.
--
-- slices.find{ ledger =, modality = | client =, level =, query =, cap = the source's, when known, names =, order =, stop =
-- function() -> boolean, tell = function(event) } -> { complete =, unproven = the number of parts that are not proven } | nil, err. It goes
-- on where the ledger's cursor is, which is the place of a walk of core.find_walk, as JSON. An error of the source or of the ledger comes
-- back; the caller may call again.
local require = ...
local find_all = require "core.find_all"
local find_walk = require "core.find_walk"
local found_items = require "transfer.found_items"
local json = require "modalua.json"
local local_items = require "transfer.local_items"
local native = require "core.native"
local parts = require "core.slices"
local points = require "transfer.points"

local slices = {}

local BATCH <const> = 500 -- items of a commit

local KINDS <const> = { dates = "dates", empty = "undated", without = "without dates", whole = "whole" }

-- ---- the rows of the ledger's slices ----

local function date(day)
  return day and parts.date(day) or nil
end

-- How the part that was just done is proven.
local function proof_of(walk)
  if walk.step == "empty" and walk.open_start.date then
    return "open start"
  elseif walk.silent then
    return "no silence"
  end
  return walk.cap and "below cap" or walk.refuses and "refusals" or "compared"
end

local function moment(day, second)
  return day and (second and ("%s %02d%02d%02d"):format(date(day), second // 3600, second // 60 % 60, second % 60) or date(day)) or nil
end

-- The rows for what is not proven of the last part.
local function add_unproven(state, rows)
  for _, part in ipairs(state.walk.parts) do
    local slice = part.slice
    local kind = slice.prefix and "patients" or slice.first and "times" or slice.empty == "date" and "undated" or "dates"
    rows[#rows + 1] = { kind = kind, first = moment(slice.from, slice.first), last = moment(slice.to, slice.last), prefix = slice.prefix,
      answers = part.n, finds = 0, proof = "none", note = part.text }
    state.unproven = state.unproven + 1
  end
  state.walk.parts = {}
end

-- What there is to say of the part: answers that were left out, a source that may not look at a filter.
local function note_of(state)
  local walk, notes = state.walk, {}
  local ignored = walk.undescribed or 0
  for _, count in pairs(walk.notes.ignored or {}) do
    ignored = ignored + count
  end
  local dropped = ignored - state.ignored + state.dropped
  if dropped > 0 then
    notes[1] = ("%d answer%s that the query does not describe %s dropped"):format(dropped, dropped == 1 and "" or "s",
      dropped == 1 and "was" or "were")
  end
  if walk.warning and walk.warning ~= state.warning then
    notes[#notes + 1] = walk.warning
  end
  state.ignored, state.dropped, state.warning = ignored, 0, walk.warning
  return notes[1] and table.concat(notes, "; ") or nil
end

-- The rows of the part that was just done.
local function rows_of(state)
  local walk = state.walk
  local is_dates = walk.step == "dates"
  local row = { kind = KINDS[walk.step], answers = walk.count - state.count, finds = walk.finds - state.finds, proof = proof_of(walk),
    first = is_dates and date(walk.cursor and walk.cursor + 1 or walk.floor) or nil,
    last = is_dates and not walk.last.is_open and date(walk.last.newest) or nil, note = note_of(state) }
  state.count, state.finds = walk.count, walk.finds
  local rows = { row }
  add_unproven(state, rows)
  return rows
end

-- ---- items ----

-- Adds the items for answers to those that are to be written.
local function add_answers(state, answers, study)
  for _, answer in ipairs(answers) do
    local item = found_items.of_answer(answer, state.level, state.names, study)
    local twin = item and state.walk.twins[item.key]
    if item then
      item.rank = found_items.rank(item, state.order)
    end
    if item and twin then
      item.note = ("the source gives it to another patient too, PatientID '%s'"):format(native.text_shown(twin))
    end
    state.dropped = state.dropped + (item and 0 or 1)
    state.items[#state.items + 1] = item
  end
end

-- Writes items, and with `progress` how far the search is. Returns true, or nil and an error.
local function write(state, progress)
  local batch = table.move(state.items, 1, math.min(#state.items, BATCH), 1, {})
  state.items = table.move(state.items, #batch + 1, #state.items, 1, {})
  return state.ledger:add_items(batch, progress or {})
end

-- Writes the last items with the place of the walk and rows of slices.
local function write_rows(state, rows)
  local walk = state.walk
  local done, err = write(state, { cursor = json.encode(find_walk.place(walk)), cap = walk.cap, proven = walk.most, slices = rows })
  for _, row in ipairs(done and rows or {}) do
    row.event = "slice"
    state.tell(row)
  end
  return done, err
end

-- Writes what was found. is_place: the walk can go on here.
local function write_all(state, is_place)
  while #state.items > (is_place and BATCH or BATCH - 1) do
    local done, err = write(state)
    if not done then
      return nil, err
    end
  end
  if not is_place then
    return true
  end
  local rows = rows_of(state)
  points.at "found"
  return write_rows(state, rows)
end

-- Writes what the end of the walk says: a part that is not proven, and what was not looked for.
local function write_end(state)
  local rows, remark = {}, state.walk.remark
  add_unproven(state, rows)
  if remark then
    rows[#rows + 1] = { kind = KINDS.empty, answers = 0, finds = 0, proof = "open start", note = remark }
  end
  return #rows == 0 or write_rows(state, rows)
end

-- ---- the walk ----

-- Calls f of the walk. Returns true and its results; or false and an error that a C-FIND returned. Throws any other.
local function try(walk, f, ...)
  local results = table.pack(pcall(f, ...))
  if not results[1] and (results[2] == nil or results[2] ~= walk.failed) then
    error(results[2], 0)
  end
  return table.unpack(results, 1, results.n)
end

-- One step of the walk with the items of its answers. Returns 1 when it has a place now, else 0; nil at its end; false and an error.
local function step(state)
  local walk = state.walk
  local good, answers, is_place = try(walk, find_walk.step, walk)
  if not good then
    return false, answers
  elseif not answers then
    return nil
  elseif state.level == "Study" then
    add_answers(state, answers)
    return is_place and 1 or 0
  end
  for _, study in ipairs(answers) do
    local asked, series = try(walk, find_all.find_series, walk, study)
    if not asked then
      return false, series
    end
    add_answers(state, series, study)
  end
  return is_place and 1 or 0
end

-- The state of a search: the walk at its place in the ledger. nil and an error.
local function open(options, info)
  local place = info.cursor and json.decode(info.cursor) or nil
  local query = found_items.query(options.query, options.level, options.names)
  local data = { Level = options.level, limit_results = options.cap or info.settings.limit_results, Query = query }
  local good, walk = pcall(find_all.open, options.modality, data, place)
  if not good then
    return nil, native.fail("transfer", "refused", "usage", tostring(walk))
  end
  walk.thorough = true
  return { walk = walk, ledger = options.ledger, level = options.level, names = options.names, tell = options.tell, items = {},
    order = options.order or info.settings.order,
    count = walk.count, finds = 0, unproven = 0, ignored = 0, dropped = 0 }
end

-- Searches at a modality.
local function find_remote(options)
  local info, err = options.ledger:describe()
  local state
  if info then
    state, err = open(options, info)
  end
  if not state then
    return nil, err
  end
  while not options.stop() do
    local place, failure = step(state)
    local done = place ~= false
    if place == nil then
      done, failure = write_end(state)
    elseif done then
      done, failure = write_all(state, place == 1)
    end
    if not done then
      return nil, failure
    elseif place == nil then
      return { complete = state.unproven == 0, unproven = state.unproven }
    end
  end
  return { complete = false, unproven = state.unproven }
end

function slices.find(options)
  local own = { stop = function() return false end, tell = function() end }
  for name, value in pairs(options) do
    own[name] = value
  end
  if own.client then
    return local_items.find(own)
  end
  return find_remote(own)
end

return slices
