-- core.local_find: client:find, a search in what this Orthanc itself holds.
local require = ...
local json = require "modalua.json"
local local_parts = require "core.local_parts"
local matching = require "core.matching"
local native = require "core.native"
local steps = require "core.native_steps"

local local_find = {}

local ROUTE = "/tools/find"
local PAGED = "1.12.5" -- from here on `Since` without `Limit` gives all, and the numbers of what is below can be searched by

-- ---- the outcome ----

-- The part of the list that the caller wants.
local function part(search, list)
  local first, last = search.since + 1, #list
  if search.limit > 0 and search.limit < last - search.since then
    last = search.since + search.limit
  end
  local chosen = first == 1 and last == #list and list or json.array(table.move(list, first, last, 1, {}))
  return native.with_notes(chosen, search.notes)
end

local function gives_tables(body)
  return body.Expand or body.ResponseContent ~= nil
end

-- The tags that a resource shows, as those of an answer of a modality.
local function tags_of(resource)
  local tags = { resource = resource }
  for _, name in ipairs { "PatientMainDicomTags", "MainDicomTags", "RequestedTags" } do
    for tag, value in pairs(type(resource[name]) == "table" and resource[name] or {}) do
      tags[tag] = value
    end
  end
  return tags
end

-- Holds resources against the filters, as find does the answers of a modality. The server's index needs no proof, so tags that it does not
-- show do not count.
local function without_contradictions(search, list)
  local rows, kept, notes = {}, json.array {}, {}
  if not gives_tables(search.body) then
    return list
  end
  for i, resource in ipairs(list) do
    rows[i] = tags_of(resource)
  end
  native.check_answers(rows, search.query, nil, notes)
  if not notes.ignored then
    return list
  end
  for i, row in ipairs(rows) do
    kept[i] = row.resource
  end
  search.notes.ignored = notes.ignored
  return kept
end

local IDENTIFIERS <const> = "list of stored identifiers"
local RESOURCES <const> = { each = { ID = "stored identifier?", MainDicomTags = "object?", PatientMainDicomTags = "object?",
  RequestedTags = "object?" } }

-- What the server finds: a list of tables when `expand` says so, else of identifiers.
local function ask_server(search, body, expand)
  return steps.request(search.operation, "POST", ROUTE, "local", body, expand and RESOURCES or IDENTIFIERS)
end

local UNKNOWN_TAG = 27 -- OrthancStatus

-- The server names the tag that it does not know in some versions only.
local function explain(err, query)
  if err.orthanc_status ~= UNKNOWN_TAG then
    return err
  end
  local names = {}
  for key in pairs(query) do
    if not native.tag(key) then
      names[#names + 1] = key
    end
  end
  err.code = "unknown_tag"
  err.message = ("%s (%s; names are case-sensitive, and those of the server's DICOM dictionary; gggg,eeee always works)"):format(
    err.message, names[1] and native.text_shown(table.concat(names, ", ")) or "see RequestedTags")
  return err
end

-- One search with a body. What it finds may contradict filters.
local function ask_for(search, body)
  local list, err = ask_server(search, body, gives_tables(body))
  if list == nil then
    return nil, explain(err, body.Query)
  end
  return gives_tables(body) and steps.drop_nulls(list) or list
end

-- ---- lists that the server cuts ----

-- LimitFindResults and LimitFindInstances cut what the database gives, before the filters that the database does not know are looked at: so
-- a cut list may even be an empty one, and no version says that it is cut. When the last of all resources can be had, no limit is below
-- their number. Else, before 1.12.5, the search is made in parts (core.local_parts).

local COUNTS = { Patient = "CountPatients", Study = "CountStudies", Series = "CountSeries", Instance = "CountInstances" }
local COUNTS_MAX = 5

local uncut = setmetatable({}, { __mode = "k" }) -- client -> { level -> a list of so many is known not to be cut }

local function count(search)
  local name = COUNTS[search.counted]
  local statistics, err = steps.request(search.operation, "GET", "/statistics", "local", nil, { [name] = "count" })
  return statistics and statistics[name], err
end

-- Whether the server gives the last of so many resources; nil and an error.
local function gives_last(search, held)
  local list, err = ask_server(search, { Level = search.counted, Query = {}, Since = held - 1, Limit = 1 }, false)
  if list == nil then
    return nil, err
  end
  return #list > 0
end

local function fail_cut(search, held, list)
  local _, err = steps.failed(search.operation, "unknown", "truncated", ("the server may have cut the list: its LimitFindResults or "
    .. "LimitFindInstances is below the %d resources that it holds, and before 1.12.5 it does not say which lists that has cut"):format(
    held))
  err.found = list
  return nil, err
end

-- The whole list, found in parts. `list` is what the server gave of it.
local function find_in_parts(search, held, list)
  local given, err = ask_server(search, { Level = search.counted, Query = {} }, false)
  if not given then
    return nil, err
  end
  local function ask(query)
    local body = {}
    for name, value in pairs(search.body) do
      body[name] = value
    end
    body.Query, body.Limit = query, nil
    return ask_for(search, body)
  end
  local all, failure = local_parts.find(search, ask, #given, list)
  if all then
    search.notes.ignored = nil -- those of the list were met again
    return part(search, without_contradictions(search, json.array(all)))
  elseif failure then
    return nil, failure
  end
  return fail_cut(search, held, list)
end

-- The list's part, when it is shown that the server's limits cut nothing, or all that the search finds otherwise.
local function prove_uncut(search, list)
  local known = uncut[search.operation.client] or {}
  uncut[search.operation.client] = known
  local before
  for try = 1, math.huge do -- something may be deleted between the two questions
    local held, err = count(search)
    if not held then
      return nil, err
    elseif held == before or try > COUNTS_MAX then
      return find_in_parts(search, held, list)
    elseif held <= (known[search.counted] or 0) then
      return part(search, list)
    end
    local given, failure = gives_last(search, held)
    if given == nil then
      return nil, failure
    elseif given then
      known[search.counted] = held
      return part(search, list)
    end
    before = held
  end
end

-- ---- the search ----

-- One search: only the first `Limit` resources, or all where the server has a way to ask for them.
local function ask(search, limit, complete)
  search.body.Limit, search.body.Since = limit, not limit and complete and 0 or nil
  local list, err = ask_for(search, search.body)
  return list and without_contradictions(search, list), err
end

local function run(search, complete)
  local first_only = search.limit > 0 and search.since == 0
  local list, err = ask(search, first_only and search.limit or nil, complete)
  if list and first_only and complete and #list < search.limit then
    list, err = ask(search, nil, complete)
  end
  if not list then
    return nil, err
  elseif complete or search.limit > 0 and #list - search.since >= search.limit then
    return part(search, list)
  end
  return prove_uncut(search, list)
end

-- ---- what is asked ----

local MODALITIES_IN_STUDY, FIRST_NUMBER, LAST_NUMBER = "0008,0061", "0020,1200", "0020,1209"

-- Notes what a filter means for the search. Nil and a message when the server's index would not match by it.
local function read_filter(search, key, value, keep)
  local number, _, name = native.tag(key)
  local is_filter = not value:find "^ *%** *$"
  local advice = is_filter and number and steps.not_indexed(key, search.level)
  if advice then
    return nil, ("the filter %s = '%s' would match nothing, or fail, at Level = \"%s\": %s"):format(name or key, value, search.level,
      advice)
  elseif value:find("\\", 1, true) and value:find "[*?]" then
    return nil, ("the filter %s = '%s' is a list, in which wildcards are taken as they stand: ask for its elements one by one"):format(
      name or key, value)
  end
  local fault = native.fault(key, value, keep)
  if fault then
    return nil, ("%s = '%s' %s"):format(name or key, value, fault)
  elseif not is_filter then
    return true
  end
  search.computed = search.computed or number and number >= FIRST_NUMBER and number <= LAST_NUMBER
  if number == MODALITIES_IN_STUDY then
    search.counted = "Series" -- by way of which it is found
  end
  return true
end

-- Sets search.query to the filters as they are meant. Returns the Query as it is sent; nil and a message when a filter cannot be sent.
local function read_query(search, query, keep)
  search.query = {}
  local sent, why = steps.filter(search.operation.op, search.level, query, keep)
  for key, value in pairs(sent or {}) do
    local good
    good, why = read_filter(search, key, value, keep)
    if not good then
      return nil, why
    end
    search.query[key], sent[key] = value, matching.with_start(key, value)
  end
  return sent, why
end

-- Takes a whole number, 0 or more, out of the body; `options` has checked that it is whole.
local function take_number(body, name)
  local n = body[name] or 0
  if n < 0 then
    native.usage(("find: '%s' must be 0 or more (%d was given)"):format(name, n))
  end
  body[name] = nil
  return n
end

function local_find.find(client, data)
  local operation = { client = client, op = "find", method = "POST", path = ROUTE }
  local _, body, newest = steps.options("find", "local find", data)
  local level = steps.body_level("find", body)
  if body.RequestedTags and not body.ResponseContent and not body.Expand then -- only identifiers would come
    native.usage "find: RequestedTags needs Expand = true"
  end
  -- `counted`: the level whose resources the server's limit counts in this search
  local search = { operation = operation, body = body, level = level, counted = level, since = take_number(body, "Since"),
    limit = take_number(body, "Limit"), notes = {} }
  local query, why = read_query(search, body.Query, data.keep)
  if not query then
    return steps.failed(operation, "refused", "bad_filter", why)
  end
  body.Query = query
  local known, err = steps.check_version(operation, newest, search.computed and PAGED or nil, "a filter by a number of series or instances")
  if not known then
    return nil, err
  end
  return run(search, steps.at_least(operation, PAGED))
end

return local_find
