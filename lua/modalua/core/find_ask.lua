-- core.find_ask: one C-FIND of a walk of core.find_walk, which describes the state of a walk, and notes of what is not proven.
local require = ...
local find_empty = require "core.find_empty"
local find_notes = require "core.find_notes"
local native = require "core.native"
local slices = require "core.slices"

local find_ask = {}

-- DIMSE statuses by which a modality says that there are too many matches: PS3.4 C.4.1.1.4, and 0xFE00 of Orthanc.
local TOO_MANY = { [0xA700] = true, [0xFE00] = true }

-- The data of the C-FIND for a slice of a query. options: further ones of find, or nil.
local function data_of(walk, slice, of, options)
  local data, query = {}, { StudyDate = walk.by_date and "" or nil, StudyTime = walk.by_date and "" or nil }
  for name, value in pairs(walk.data) do
    data[name] = value
  end
  for name, value in pairs(options or find_empty.options(slice) or {}) do
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

local function add_unproven(walk, text, slice, n)
  table.insert(walk.unproven, text)
  walk.parts[#walk.parts + 1] = { slice = slice or {}, n = n, text = text }
end

local function note_unreadable(walk, text, dates, slice)
  for _, date in ipairs(dates or {}) do
    add_unproven(walk, ("StudyDate = '%s' (the server cannot read an answer)"):format(date), slices.of_filter(date))
  end
  if not dates then
    add_unproven(walk, text .. " (the server cannot read an answer)", slice)
  end
end

-- Notes a part of the search that is not proven. n: its number of answers, or nil.
function find_ask.note_unproven(walk, text, n, slice)
  local reason = n and ("%d answer%s"):format(n, n == 1 and "" or "s") or "too many answers"
  add_unproven(walk, ("%s (%s)"):format(text, reason), slice, n)
end

-- One C-FIND for a part of the search, which is called `text`. Returns { answers =, sent = the number of answers that the modality sent at
-- most, kept = at least, ignored = as the result of find has it, unreadable = true when the server cannot read them }, or nil when the
-- modality refuses, as they are too many. slice: that of the text, if any. find takes answers out that contradict a filter, each at least
-- one, or repeat another answer.
-- Throws every other error.
function find_ask.ask(walk, data, text, slice)
  local good, found, err = pcall(walk.modality.find, walk.modality, data, walk.format)
  if not good then -- "limit" is thrown, and so is a cancel
    found, err = nil, found
  end
  walk.failed = good and err or nil
  walk.finds = walk.finds + 1
  if not found and native.is_error(err) and is_too_many(walk, err) then
    return nil
  elseif not found and native.is_error(err) and err.code == "bad_charset" then
    note_unreadable(walk, text, err.unreadable, slice)
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

-- The same for a slice of a query. options: further ones of find, or nil.
function find_ask.ask_slice(walk, slice, of, options)
  return find_ask.ask(walk, data_of(walk, slice, of, options), slices.text(slice), slice)
end

return find_ask
