-- core.find_each: modality:find_each, one C-FIND for each of many values.
local require = ...
local find_notes = require "core.find_notes"
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"
local requests = require "core.requests"

local find_each = {}

local UNIQUE = levels.UNIQUE
local OP = "find_each"

-- Answers that do not show one of these may belong to anything: the values that they were asked for by then fail.
local IDENTIFIERS = { PatientID = true, AccessionNumber = true, StudyID = true, StudyInstanceUID = true, SeriesInstanceUID = true,
  SOPInstanceUID = true }

-- ---- the arguments ----

local function bad_value(position, value, fault)
  local err = native.fail(OP, "refused", "bad_value", ("value %d, '%s', %s: no request was sent"):format(position, value, fault))
  err.position, err.value = position, value
  return nil, err
end

-- A value as it is sent; or nil and an error. An empty value is an error: it would match everything, and a table may have empty cells.
local function read_value(position, value, search)
  local text = math.type(value) == "integer" and tostring(value) or value
  if type(text) ~= "string" then
    native.usage(("find_each: value %d must be a string, or a whole number (a %s was given)"):format(position,
      math.type(value) or type(value)))
  end
  text = matching.trimmed(text)
  if text == "" then
    return bad_value(position, value, "is blank and would match everything")
  elseif text:find "%c" then
    return bad_value(position, text:gsub("%c", " "), "has a control character")
  elseif not text:find "[%w\x80-\xff]" then
    return bad_value(position, text, "has only wildcards and would match everything")
  elseif text:find("\\", 1, true) then
    return bad_value(position, text, "has a backslash and would be a list of values")
  elseif search.identifies and not search.patterns and text:find "[*?]" then
    return bad_value(position, text, "has a wildcard and may find several things: patterns = true allows that")
  end
  local fault = native.fault(search.tag, text, search.data.keep)
  if fault then
    return bad_value(position, text, fault)
  end
  return text
end

-- The values without duplicates: a list of { value = as it is sent, keys = all spellings that the caller used }.
local function read_values(values, search)
  if type(values) ~= "table" then
    native.usage(("find_each: values must be a list (a %s was given)"):format(type(values)))
  end
  local items, by_text, seen = {}, {}, {}
  for i = 1, #values do
    local text, err = read_value(i, values[i], search)
    if not text then
      return nil, err
    end
    local item = by_text[text]
    if not item then
      item = { value = text, keys = {} }
      by_text[text], items[#items + 1] = item, item
    end
    if not seen[values[i]] then
      seen[values[i]] = true
      table.insert(item.keys, values[i])
    end
  end
  return items
end

-- What to search for: { tag =, name = the tag's keyword, data = the caller's options, options_now = a function that returns them with the
-- time that is left, limit =, identifies = whether the tag identifies something, patterns = whether identifiers may have wildcards,
-- uses_lists = whether one C-FIND may ask for several values, notes = what the finds say about their answers }.
local function read_search(tag, data)
  if type(tag) ~= "string" then
    native.usage(("find_each: the tag must be a name or gggg,eeee (a %s was given)"):format(type(tag)))
  end
  local search, _, level = {}, native.tag(tag)
  search.name = select(3, native.tag(tag)) or tag
  search.data, search.limit = requests.check_options(OP, data)
  search.patterns, search.data.patterns = search.data.patterns, nil
  if search.patterns ~= nil and type(search.patterns) ~= "boolean" then
    native.usage(("find_each: option 'patterns' must be a boolean (a %s was given)"):format(type(search.patterns)))
  end
  local misspelt = not search.data.keep and native.misspelt(tag)
  if misspelt then
    native.usage("find_each: " .. misspelt)
  end
  if search.data.Level == nil then
    search.data.Level = level == "Patient" and "Study" or level
      or native.usage(("find_each: give a Level: modalua does not know the level of '%s'"):format(tag))
  end
  if search.data.Query ~= nil and type(search.data.Query) ~= "table" then
    native.usage(("find_each: Query must be a table (a %s was given)"):format(type(search.data.Query)))
  elseif (search.data.Query or {})[tag] ~= nil then
    native.usage(("find_each: Query must not have '%s': the list of values replaces it"):format(tag))
  end
  search.identifies, search.notes = IDENTIFIERS[search.name], {}
  local query_level = type(search.data.Level) == "string" and native.level(search.data.Level)
  search.uses_lists = search.name == UNIQUE[query_level] and query_level ~= "Patient"
  search.tag, search.options_now = tag, requests.with_time_left(search.data)
  return search
end

-- ---- the C-FINDs ----

-- What one C-FIND found; nil and an error on failure. find_each asks singly for what a list does not find, so find need not.
local function find_value(modality, search, value)
  local data = {}
  for name, given in pairs(search.options_now()) do
    data[name] = given
  end
  if value:find("\\", 1, true) then
    data.prove = false
  end
  data.Query = { [search.tag] = value }
  for name, given in pairs(search.data.Query or {}) do
    data.Query[name] = given
  end
  local found <close>, err = modality:find(data)
  if not found then
    return nil, err
  end
  find_notes.add(search.notes, found)
  return found
end

local function is_unproven(found, name)
  for _, unproven in ipairs(found.unproven or {}) do
    if unproven == name then
      return true
    end
  end
  return false
end

-- Asks for one value: sets item.answers or item.error.
local function find_item(modality, search, item)
  local found, err = find_value(modality, search, item.value)
  if found and search.identifies and is_unproven(found, search.name) then
    found, err = nil, native.fail(OP, "unknown", "unmatched",
      ("the answers for '%s' have no %s, so the modality may have ignored the filter"):format(item.value, search.name))
  end
  item.answers, item.error = found and found.answers, err
end

-- Asks for several UIDs at once (List of UID Matching, DICOM PS3.4 C.2.2.2.2). Sets item.answers where there are answers. A UID without
-- an answer may exist all the same, since some modalities support no lists, or read only the first UIDs of a list.
local function find_list(modality, search, items)
  local uids, by_uid = {}, {}
  for i, item in ipairs(items) do
    uids[i], by_uid[item.value] = item.value, item
  end
  local found, err = find_value(modality, search, table.concat(uids, "\\"))
  for _, answer in ipairs(found and found.answers or {}) do
    local item = by_uid[matching.value(answer, search.name)]
    if item then
      item.answers = item.answers or {}
      table.insert(item.answers, answer)
    end
  end
  return found and true, err
end

local UIDS_PER_LIST = 50

-- What is known of the lists that a modality takes: { longest = how many UIDs are asked for together, most = how many of them one list has
-- found }.
function find_each.new_lists()
  return { longest = UIDS_PER_LIST, most = 1 }
end

local function open_items(items)
  local open = {}
  for _, item in ipairs(items) do
    open[#open + 1] = not item.answers and item or nil
  end
  return open
end

-- The next lists are no longer than this: longer ones were refused or cut.
local function remember(lists, longest)
  lists.longest = math.min(lists.longest, longest)
end

local ask_lists

-- Asks for items as one list, and for what a modality has left out as another one: it may have cut the answers. A list that it refuses is
-- halved, as it may have too many answers. Returns an error that is fatal for all items, or nil; and whether the list was answered.
local function ask_list(modality, search, items)
  local found, err = find_list(modality, search, items)
  if not found and requests.is_fatal(err) then
    items[1].error = err
    return err, false
  elseif not found then
    return (err.dimse_status or 0) > 0 and ask_lists(modality, search, items, (#items + 1) // 2) or nil, false
  end
  local open = open_items(items)
  local n = #items - #open
  search.lists.most = math.max(search.lists.most, n)
  if n < 2 or #open < 2 then
    return nil, true
  end
  local failure = ask_list(modality, search, open)
  if #open_items(open) < #open then
    remember(search.lists, n)
  end
  return failure, true
end

-- Asks for items in lists of at most `size`, since a longer one was refused. Returns an error that is fatal for all items, or nil.
function ask_lists(modality, search, items, size)
  local first, lists = 1, search.lists
  if size == 1 then -- of two
    remember(lists, 1)
  end
  while first <= #items and math.min(size, lists.longest) > 1 do
    local last = math.min(first + math.min(size, lists.longest) - 1, #items)
    if last > first then
      local err, answered = ask_list(modality, search, table.move(items, first, last, 1, {}))
      if err then
        return err
      elseif answered then
        remember(lists, size)
      end
    end
    first = last + 1
  end
end

-- Asks for the values of a batch: by lists where possible, then one by one for those that the lists did not find. So a value counts as
-- missing only after a C-FIND for it alone. When nothing exists, the lists cost one more C-FIND for each 50 values. Returns an error that
-- is fatal for all batches, else false or nil.
local function find_batch(modality, search, items)
  local err = #items > 1 and ask_list(modality, search, items) or nil
  if err then
    return err
  end
  for _, item in ipairs(open_items(items)) do
    find_item(modality, search, item)
    err = item.error
    if err and requests.is_fatal(err) then
      return err
    end
    if #items > 1 and item.answers and item.answers[1] then -- the lists missed it: this modality supports none, or no such long ones
      remember(search.lists, search.lists.most)
    end
  end
  return false
end

-- The values of the next C-FIND; nil at the end. `place`: how many were taken before.
local function next_batch(items, place, search)
  local batch, longest = {}, search.uses_lists and search.lists.longest or 1
  while #batch < longest and items[place.n + 1] do
    local item = items[place.n + 1]
    local alone = item.value:find "[*?]"
    if alone and batch[1] then
      break
    end
    batch[#batch + 1], place.n = item, place.n + 1
    if alone then
      break
    end
  end
  return batch[1] and batch
end

-- ---- find_each ----

local COPIED_FIELDS = { "status", "orthanc_status", "dimse_status", "details", "method", "path", "retryable", "still_running" }

-- One error for all values that failed: the first one's, with the others in `errors`.
local function find_each_error(items, failed, result, missing)
  local first = failed[1].error
  local err = native.fail(OP, first.kind, first.code, ("the search for %d of %d values failed; the first of them, '%s': %s"):format(#failed,
    #items, failed[1].value, first.message))
  for _, field in ipairs(COPIED_FIELDS) do
    err[field] = first[field]
  end
  err.found, err.missing, err.errors = result, missing, {}
  for _, item in ipairs(failed) do
    for _, key in ipairs(item.keys) do
      err.errors[key] = item.error
    end
  end
  return err
end

-- What find_each returns. `fatal`: the error that ended the search before all values were asked for, or nil.
local function collect(items, search, fatal)
  local result, missing, failed = {}, {}, {}
  for _, item in ipairs(items) do
    if not item.answers then
      item.error = item.error or native.fail(OP, fatal.kind, "not_attempted", "not attempted after this error: " .. fatal.message)
      failed[#failed + 1] = item
    end
    for _, key in ipairs(item.answers and item.keys or {}) do
      if item.answers[1] then
        result[key] = item.answers
      else
        missing[#missing + 1] = key
      end
    end
  end
  if failed[1] then
    return nil, find_each_error(items, failed, result, missing)
  end
  return result, missing, native.warning(search.notes), search.notes
end

-- modality:find_each for a caller that asks again and again. lists: what new_lists returns, and what was learned since.
function find_each.ask(modality, tag, values, data, lists)
  local search = read_search(tag, data)
  search.lists = lists
  local items, err = read_values(values, search)
  if not items then
    return nil, err
  end
  local place, fatal = { n = 0 }, nil
  requests.each(#items, search.limit, function()
    local batch = next_batch(items, place, search)
    fatal = batch and find_batch(modality, search, batch) or fatal
    return batch ~= nil and not fatal
  end)
  return collect(items, search, fatal)
end

function find_each.find_each(modality, tag, values, data)
  return find_each.ask(modality, tag, values, data, find_each.new_lists())
end

return find_each
