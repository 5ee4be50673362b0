-- core.children: modality:studies, modality:series and modality:instances, the children of answers.
local require = ...
local find_notes = require "core.find_notes"
local json = require "modalua.json"
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"
local requests = require "core.requests"

local children = {}

local LEVELS, RANK, UNIQUE = levels.NAMES, levels.RANK, levels.UNIQUE
local METHODS = { Study = "studies", Series = "series", Instance = "instances" }
local OPTIONS = { LocalAet = true, Timeout = true, wait_timeout = true, prove = true, keep = true }

-- ---- the parents ----

-- The level of a row: that of the find that it answers, else its QueryRetrieveLevel, else the lowest level that it has an identifier of;
-- or nil. An answer that says to be of another level is not trusted with that: the script has not written it.
local function level_of(modality, row)
  local written = native.value(row, "QueryRetrieveLevel")
  local level = native.answer_level(modality, row) or written and native.level(matching.trimmed(written))
  for rank = #LEVELS, 1, -1 do
    level = level or native.value(row, UNIQUE[LEVELS[rank]]) and LEVELS[rank]
  end
  return level
end

-- The argument of the methods as a list of rows: it is a result of find, a list of rows, or one row.
local function rows_of(op, given)
  if type(given) ~= "table" then
    native.usage(("%s: an answer, a list of answers, or a result of find is expected (a %s was given)"):format(op, type(given)))
  elseif type(given.answers) == "table" then
    return given.answers
  end
  return (given[1] ~= nil or next(given) == nil) and given or { given }
end

-- The error for an answer that the script has not seen, and that does not identify its resource.
local function fail_unseen(op, i, why)
  return nil, native.fail(op, "decode", nil, ("unexpected response: answer %d%s"):format(i, why))
end

-- Checks the identifiers of an answer that the script has not seen: they become filters, and the script has not written these. Returns
-- true, or nil and an error.
local function check_unseen(op, keys, i, keep)
  for name, value in pairs(keys) do
    local fault = native.fault(name, value, keep)
    if fault then
      return fail_unseen(op, i, (" has %s = '%s', which %s"):format(name, value:sub(1, 80), fault))
    end
  end
  return true
end

-- A row as a parent: { keys = its identifiers, patient = its PatientID, row = }. Nil and an error when it has no identifier. `unseen`: it
-- is an answer that the script has not seen; { keep = the option }.
local function parent_of(op, level, row, i, unseen)
  local list, bad = native.identifiers(op, level, { row }, "parent")
  if not list then
    local why = bad.message:sub(#"parent 1" + 1)
    if unseen then
      return fail_unseen(op, i, why)
    end
    bad.message = ("parent %d%s"):format(i, why)
    return nil, bad
  elseif unseen then
    local good, wrong = check_unseen(op, list[1], i, unseen.keep)
    if not good then
      return nil, wrong
    end
  end
  return { keys = list[1], patient = native.value(row, UNIQUE.Patient), row = row }
end

-- The rows, all of one level, as a list of parents without duplicates. Nil and an error when a row has no identifier.
local function parents_of(op, level, rows, unseen)
  local parents, seen = {}, {}
  for i, row in ipairs(rows) do
    local parent, bad = parent_of(op, level, row, i, unseen)
    if not parent then
      return nil, bad
    end
    local keys = parent.keys
    local name = table.concat({ keys.PatientID or "", keys.StudyInstanceUID or "", keys.SeriesInstanceUID or "" }, "\\")
    if not seen[name] then
      seen[name] = true
      parents[#parents + 1] = parent
    end
  end
  return parents
end

-- The level that all rows have, which must be above the children's level `below`. Nil without rows; nil and an error when a row has no
-- identifier.
local function common_level(modality, op, below, rows)
  local level
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then
      native.usage(("%s: parent %d must be a table (a %s was given)"):format(op, i, type(row)))
    end
    local own = level_of(modality, row)
    if not own then
      return nil, native.fail(op, "refused", "bad_identifier", ("parent %d has no identifier, such as StudyInstanceUID"):format(i))
    elseif RANK[own] >= RANK[below] then
      native.usage(("%s: parent %d has Level = \"%s\", which has no %s below it"):format(op, i, own, op))
    elseif level and own ~= level then
      native.usage(("%s: parent %d has Level = \"%s\", but the parents before it have Level = \"%s\""):format(op, i, own, level))
    end
    level = own
  end
  return level
end

-- ---- the C-FINDs ----

-- Splits the caller's query by level: a tag is asked at its own level when that is between the parents and the children, else at the
-- children's level. Some modalities ignore a tag of another level, and some refuse it. `top`: the parents' level.
local function queries_of(op, level, query, top)
  local queries = { Study = {}, Series = {}, Instance = {} }
  if query ~= nil and type(query) ~= "table" then
    native.usage(("%s: the query must be a table of tags (a %s was given)"):format(op, type(query)))
  end
  for key, value in pairs(query or {}) do
    local _, own, name
    if type(key) == "string" then
      _, own, name = native.tag(key)
    end
    local above = own and RANK[own] <= RANK[top]
    if not (above and name == UNIQUE[own]) then
      queries[own and not above and RANK[own] < RANK[level] and own or level][key] = value
    elseif value ~= "" then -- without a value it is no filter, and the answers have it anyway
      native.usage(("%s: '%s' identifies the parents, and cannot be a filter"):format(op, key))
    end
  end
  return queries
end

-- Copies into an answer what it lacks: the parent's identifiers, and the tags `inherited`, which were asked at an upper level. `set`
-- writes a tag in the answer's own format.
local function fill_in(answer, parent, inherited, set)
  for name, value in pairs(parent.keys) do
    if not (native.value(answer, name) or ""):find "%S" then
      set(answer, name, value)
    end
  end
  if parent.patient and not (native.value(answer, "PatientID") or ""):find "%S" then
    set(answer, "PatientID", parent.patient)
  end
  for name in pairs(inherited) do
    local value = native.value(answer, name) == nil and native.value(parent.row, name)
    if value then
      set(answer, name, value)
    end
  end
end

-- How the formats of answers hold the value of a tag.
local function set_by_name(answer, name, value)
  answer[name] = value
end

local function set_by_number(answer, name, value)
  answer[native.tag(name)] = value
end

local function set_in_full(answer, name, value)
  answer[native.tag(name)] = { Name = name, Type = "String", Value = value }
end

local function setter_of(format)
  if format and format.short then
    return set_by_number
  end
  return format and format.simplify == false and set_in_full or set_by_name
end

-- One C-FIND: the children of one parent, one level below.
local function find_children(modality, parent, level, query, work)
  local data = {}
  for name, value in pairs(work.options_now()) do
    data[name] = value
  end
  data.Level, data.Query = level, {}
  for name, value in pairs(query) do
    data.Query[name] = value
  end
  for name, value in pairs(parent.keys) do
    data.Query[name] = value
  end
  return modality:find(data, work.format)
end

-- Finds the children of all parents, one level below them. Returns the children in the order of the parents; then the error of the first
-- parent that failed, and that parent.
local function find_level(modality, parents, level, query, inherited, work)
  local lists, first_error, first_failed = {}, nil, nil
  local set = setter_of(work.format)
  requests.each(#parents, work.limit, function(i)
    local found <close>, err = find_children(modality, parents[i], level, query, work)
    if not found then
      if not first_failed or i < first_failed then
        first_error, first_failed = err, i
      end
      return false
    end
    find_notes.add(work.notes, found)
    lists[i] = found.answers
    for _, answer in ipairs(lists[i]) do
      fill_in(answer, parents[i], inherited, set)
    end
  end)
  local answers = json.array {}
  for i = 1, #parents do
    table.move(lists[i] or {}, 1, #(lists[i] or {}), #answers + 1, answers)
  end
  return answers, first_error, first_failed and parents[first_failed]
end

-- ---- the methods ----

-- Finds the children at `level`, one level at a time, since strict modalities require it (DICOM PS3.4 C.4.1.2.2.1). On failure returns
-- nil, the error, the parent that failed, and the children that were found.
local function descend(modality, op, top, level, parents, queries, work)
  local inherited = {}
  for rank = RANK[top] + 1, RANK[level] do
    local here = LEVELS[rank]
    local answers, err, failed_parent = find_level(modality, parents, here, queries[here], inherited, work)
    if err or here == level then
      return not err and answers or nil, err, failed_parent, here == level and answers or {}
    end
    parents, err = parents_of(op, here, answers, { keep = work.keep })
    if not parents then
      return nil, err, nil, {}
    end
    for key in pairs(queries[here]) do
      inherited[select(3, native.tag(key))] = true
    end
  end
end

-- The children of the rows, at `level`, as `descend` returns them. `work`: how they are asked for; `unseen`: the script has not seen the
-- rows, which are answers.
local function find_below(modality, op, level, rows, query, work)
  local top, bad = common_level(modality, op, level, rows)
  local queries = queries_of(op, level, query, top or LEVELS[RANK[level] - 1])
  if not top then
    return not bad and json.array {} or nil, bad
  end
  local parents, no_identifier = parents_of(op, top, rows, work.unseen and { keep = work.keep })
  if not parents then
    return nil, no_identifier
  end
  return descend(modality, op, top, level, parents, queries, work)
end

-- The children of the rows, for a find. `how`: data (what find got), format, and notes, to which it adds. Returns nil, the error, the
-- parent that failed and the children that were found on failure.
function children.find_below(modality, op, level, rows, query, how)
  local own, limit = requests.check_options(op, how.data)
  local work = { limit = limit, options_now = requests.with_time_left(own), format = how.format, notes = how.notes, keep = own.keep,
    unseen = true }
  local answers, err, parent, partial = find_below(modality, op, level, rows, query, work)
  return answers, err, parent and parent.keys, partial
end

local function children_of(modality, level, given, query, options)
  local op = METHODS[level]
  local own, limit = requests.check_options(op, options, OPTIONS)
  local rows = rows_of(op, given)
  local work = { limit = limit, options_now = requests.with_time_left(own), notes = {}, keep = own.keep }
  local answers, err, parent, partial = find_below(modality, op, level, rows, query, work)
  if not answers then
    if partial then
      err.parent, err.found = parent and parent.keys, partial
    end
    return nil, err
  end
  return native.with_notes(answers, work.notes)
end

function children.studies(modality, given, query, options)
  return children_of(modality, "Study", given, query, options)
end

function children.series(modality, given, query, options)
  return children_of(modality, "Series", given, query, options)
end

function children.instances(modality, given, query, options)
  return children_of(modality, "Instance", given, query, options)
end

return children
