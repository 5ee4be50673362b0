-- core.find_plan: finds that need more than one C-FIND. src/api/find_plan.c chooses them.
local require = ...
local children = require "core.children"
local find_notes = require "core.find_notes"
local json = require "modalua.json"
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"

local find_plan = {}

local RANK, UNIQUE = levels.RANK, levels.UNIQUE
local STUDIES_MAX = 200 -- that are searched one by one when no filter has chosen them
local IDENTIFIER_DOES_NOT_MATCH = 0xA900 -- DIMSE status: the modality wants to be told the resources of the levels above

-- A copy of what the caller gave to find, with another level and query.
local function with_query(data, level, query)
  local copy = {}
  for name, value in pairs(data) do
    copy[name] = value
  end
  copy.Level, copy.Query = level, query
  return copy
end

-- The result of a find whose answers came from several queries. These are not on the server any more, so `found` gives only its ID.
local function result_of(modality, found, level, answers, notes, broad)
  return native.found { client = modality.client, id = found.ID, modality = modality.modality, level = level, answers = answers,
    broad = broad, lossy = false, by_resource = true, notes = notes }
end

-- ---- level by level ----

local function is_filter(value)
  return not tostring(value):find "^ *%** *$"
end

local function has_filter(query)
  for _, value in pairs(query) do
    if is_filter(value) then
      return true
    end
  end
  return false
end

-- The error for a search that would ask a modality for each of all its studies.
local function too_many_studies(modality, level, n)
  local err = native.fail("find", "dicom", "too_many", ("the modality has to be asked study by study, and has %d studies: add a filter of "
    .. "Study level, such as StudyInstanceUID or StudyDate, to this search at Level = \"%s\""):format(n, level))
  err.path, err.method = ("/modalities/%s/query"):format(modality.modality), "POST"
  err.dimse_status = IDENTIFIER_DOES_NOT_MATCH
  return nil, err
end

-- The uppermost level, from Study on, with a filter in the query; Study when there is none above the level of the search.
local function top_level(query, level)
  local top = level
  for key, value in pairs(query) do
    local _, own = native.tag(key)
    own = own == "Patient" and "Study" or own
    if own and is_filter(value) and RANK[own] < RANK[top] then
      top = own
    end
  end
  return top == level and "Study" or top
end

-- Splits the query: what is asked at the level `top`, and what is asked below.
local function split_query(query, top)
  local upper, lower = {}, {}
  for key, value in pairs(query) do
    local _, own = native.tag(key)
    local part = own and RANK[own] <= RANK[top] and upper or lower
    part[key] = value
  end
  return upper, lower
end

-- Finds series or instances by tags of the levels above.
function find_plan.find_down(modality, data, format, dropped, broad)
  local level = native.level(data.Level)
  local top = top_level(data.Query, level)
  local upper, lower = split_query(data.Query, top)
  local found <close>, err = modality:find(with_query(data, top, upper), format)
  if not found then
    return nil, err
  end
  local notes = { dropped = dropped }
  find_notes.add(notes, found)
  if #found.answers == 0 then
    return result_of(modality, found, level, json.array {}, notes, broad)
  elseif #found.answers > STUDIES_MAX and not has_filter(upper) then
    return too_many_studies(modality, level, #found.answers)
  end
  local answers, failure, parent, partial = children.find_below(modality, "find", level, found.answers, lower,
    { data = with_query(data, level, nil), format = format, notes = notes })
  if not answers then
    failure.parent, failure.found = parent, partial
    return nil, failure
  end
  return result_of(modality, found, level, answers, notes, broad)
end

-- ---- ranges of times that pass midnight ----

-- The two queries, or items of a sequence, that one with such a range stands for; nil when it has none.
local function parts_of(query)
  for key, value in pairs(query) do
    local before, after
    if type(value) == "table" then
      before, after = parts_of(value)
    elseif type(key) == "string" then
      before, after = native.split_midnight(key, value)
    end
    if before then
      local first, second = {}, {}
      for name, given in pairs(query) do
        first[name], second[name] = given, given
      end
      first[key], second[key] = before, after
      return first, second
    end
  end
end

-- find for each part of the range.
function find_plan.find_parts(modality, data, format, dropped, broad)
  local level, answers, notes = native.level(data.Level), json.array {}, { dropped = dropped }
  local seen, first = {}, nil
  for _, query in ipairs { parts_of(data.Query) } do
    local found <close>, err = modality:find(with_query(data, level, query), format)
    if not found then
      return nil, err
    end
    first = first or found
    find_notes.add(notes, found)
    for _, answer in ipairs(found.answers) do
      local uid = matching.value(answer, UNIQUE[level])
      if uid == "" or not seen[uid] then
        seen[uid] = true
        table.insert(answers, answer)
      end
    end
  end
  return result_of(modality, first, level, answers, notes, broad)
end

-- find_worklist for each part of the range.
function find_plan.worklist_parts(modality, query, options)
  local steps, notes = json.array {}, {}
  for _, part in ipairs { parts_of(query) } do
    local list, err = modality:find_worklist(part, options)
    if not list then
      return nil, err
    end
    table.move(list, 1, #list, #steps + 1, steps)
    find_notes.add(notes, list)
  end
  return native.with_notes(steps, notes)
end

return find_plan
