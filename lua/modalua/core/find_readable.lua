-- core.find_readable: a find at the Study level goes on in parts when the server cannot read an answer. Orthanc 1.10.1 fails the whole
-- search when one answer names a character set that it does not know. src/api/find.c calls `find`.
local require = ...
local find_notes = require "core.find_notes"
local json = require "modalua.json"
local native = require "core.native"
local query_guard = require "core.query_guard"
local slices = require "core.slices"

local find_readable = {}

local FINDS_MAX <const> = 200 -- C-FINDs of one find; a range that would need more stays unreadable

local DATE <const> = "0008,0020"

-- The slice of the caller's filter by date, and the other members of the query; nil when the filter cannot be divided.
local function split_query(query)
  local others, slice = {}, {}
  for key, value in pairs(query or {}) do
    if native.tag(key) ~= DATE then
      others[key] = value
    elseif tostring(value):find "[^ *]" then
      slice = slices.of_filter(tostring(value))
    end
  end
  return slice, others
end

-- One C-FIND for the slice. Returns what find returns.
local function find(search, slice)
  local data, query = {}, { StudyDate = "" }
  for name, value in pairs(search.data) do
    data[name] = value
  end
  for name, value in pairs(search.others) do
    query[name] = value
  end
  slices.set_filters(slice, query)
  data.Query = query
  if search.deadline then
    data.wait_timeout = math.max(search.deadline - native.now(), 0.001)
  end
  search.finds = search.finds + 1
  return native.find_once(search.modality, data, search.format)
end

-- Keeps what was found. The first query stays on the server: the result has its ID.
local function keep(search, found)
  local own <close> = query_guard.new(found)
  find_notes.add(search.notes, found)
  table.move(found.answers, 1, #found.answers, #search.answers + 1, search.answers)
  if not search.first.query then
    search.first.query, own.query = found, nil
  end
end

-- Asks for the slice. Where the server cannot read an answer, its parts are asked for later, or it is noted. Returns true, or nil and the
-- error of a search that fails otherwise.
local function ask(search, slice)
  local found, err = find(search, slice)
  if found then
    keep(search, found)
  elseif err.code == "bad_charset" then
    table.insert(search.later, slice)
  else
    return nil, err
  end
  return true
end

-- The parts of a slice; nil when it cannot be divided, or there were too many C-FINDs.
local function divide(search, slice)
  return search.finds < FINDS_MAX and slices.divide(slice, { date = true }, { days = {} }, search.today) or nil
end

-- Asks for the parts of the slices in search.later, the widest ones first, until only days are left.
local function ask_parts(search)
  local place = 0
  while search.later[place + 1] do
    place = place + 1
    local slice = search.later[place]
    local parts = divide(search, slice)
    if not parts then
      table.insert(search.unreadable, slices.date_filter(slice))
    end
    for _, part in ipairs(parts or {}) do
      local done, err = ask(search, part)
      if not done then
        return nil, err
      end
    end
  end
  return true
end

-- A range has no studies without a date, but one with an open start has them at some modalities.
local function ask_undated(search, slice)
  return slice.from or slice.to or ask(search, { empty = "date" })
end

-- What the notes say of StudyDate is about a filter that the caller has not given.
local function forget_date(notes)
  if notes.ignored then
    notes.ignored.StudyDate = nil
    notes.ignored = next(notes.ignored) and notes.ignored
  end
  for i, name in ipairs(notes.unproven or {}) do
    if name == "StudyDate" then
      table.remove(notes.unproven, i)
      notes.unproven = notes.unproven[1] and notes.unproven
    end
  end
end

-- Finds what the server can read of a search that failed with `err`. search: { modality, data, format, broad, dropped, deadline or nil,
-- client, name = the modality's }.
function find_readable.find(err, search)
  local slice, others = split_query(search.data.Query)
  if not slice or slice.from and slice.from == slice.to then
    return nil, err
  end
  local first <close> = query_guard.new()
  search.first = first
  search.others, search.today, search.finds = others, slices.day(os.date "%Y%m%d"), 0
  search.answers, search.notes, search.later, search.unreadable = json.array {}, { dropped = search.dropped }, { slice }, {}
  local done, failure = ask_parts(search)
  if done then
    done, failure = ask_undated(search, slice)
  end
  if done and search.later[#search.later].empty then
    table.insert(search.unreadable, slices.date_filter(search.later[#search.later]))
  end
  table.sort(search.unreadable)
  if not done or #search.answers == 0 then -- there is nothing that could be read
    err.unreadable = search.unreadable
    return nil, failure or err
  end
  if not (slice.from or slice.to) then
    forget_date(search.notes)
  end
  search.notes.unreadable = search.unreadable
  local id = first.query.ID
  first.query = nil
  return native.found { client = search.client, id = id, modality = search.name, level = "Study", answers = search.answers,
    broad = search.broad, lossy = false, by_resource = true, notes = search.notes }
end

return find_readable
