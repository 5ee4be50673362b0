-- core.children: modality:studies, modality:series and modality:instances, the children of answers.
local require = ...
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"
local requests = require "core.requests"

local methods = {}

local LEVELS, RANK, UNIQUE = levels.NAMES, levels.RANK, levels.UNIQUE
local METHODS = { Study = "studies", Series = "series", Instance = "instances" }
local OPTIONS = { LocalAet = true, Timeout = true, wait_timeout = true }

-- ---- the parents ----

-- What level a row is of: as it says, or as its identifiers do.
local function level_of(row)
  local said = native.value(row, "QueryRetrieveLevel")
  local level = said and native.level(said:match "^ *(.-) *$")
  for rank = #LEVELS, 1, -1 do
    level = level or native.value(row, UNIQUE[LEVELS[rank]]) and LEVELS[rank]
  end
  return level
end

-- The rows: those of a result of find, of a list, or the one that is given.
local function rows_of(op, given)
  if type(given) ~= "table" then
    native.usage(("%s: an answer, a list of them, or what find gave is expected (a %s was given)"):format(op, type(given)))
  elseif type(given.answers) == "table" then
    return given.answers
  end
  return (given[1] ~= nil or next(given) == nil) and given or { given }
end

-- What names a row of that level, and its PatientID: { keys =, patient =, row = }. Nil and an error when nothing names it.
local function parent_of(op, level, row, i)
  local list, bad = native.identifiers(op, level, { row })
  if not list then
    bad.message = bad.message:gsub("^resource %d+", ("parent %d"):format(i))
    return nil, bad
  end
  return { keys = list[1], patient = native.value(row, UNIQUE.Patient), row = row }
end

-- The rows, all of one level, as a list of parents, each once. Nil and an error when one is named by nothing.
local function parents_of(op, level, rows)
  local parents, seen = {}, {}
  for i, row in ipairs(rows) do
    local parent, bad = parent_of(op, level, row, i)
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

-- The level of all the rows, which is above that one; nil when there are none, or nil and an error.
local function common_level(op, below, rows)
  local level
  for i, row in ipairs(rows) do
    if type(row) ~= "table" then
      native.usage(("%s: parent %d must be a table (a %s was given)"):format(op, i, type(row)))
    end
    local own = level_of(row)
    if not own then
      return nil, native.fail(op, "refused", "bad_identifier", ("parent %d has no identifier, such as StudyInstanceUID"):format(i))
    elseif RANK[own] >= RANK[below] then
      native.usage(("%s: parent %d is of Level = \"%s\", which has no %s below it"):format(op, i, own, op))
    elseif level and own ~= level then
      native.usage(("%s: parent %d is of Level = \"%s\", and those before it are not"):format(op, i, own))
    end
    level = own
  end
  return level
end

-- ---- the questions ----

-- The caller's query by the level that its tags are asked at: that of the children, or their own one where that is on the way there.
-- Some modalities do not look at a tag of another level, and some refuse it. `top`: the parents' level.
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
    elseif value ~= "" then -- those are returned anyway
      native.usage(("%s: '%s' is the parents' own, and cannot be filtered by"):format(op, key))
    end
  end
  return queries
end

-- Whether an answer is the parent's: some modalities give more than they were asked for.
local function is_child(answer, keys)
  for name, value in pairs(keys) do
    local given = answer[name]
    if type(given) == "string" and given:find "%S" and not matching.same(given, value) then
      return false
    end
  end
  return true
end

-- What is known from the parent, and from what was asked of it on the way.
local function fill(answer, parent, carried)
  for name, value in pairs(parent.keys) do
    if not (answer[name] or ""):find "%S" then
      answer[name] = value
    end
  end
  if parent.patient and not (answer.PatientID or ""):find "%S" then
    answer.PatientID = parent.patient
  end
  for name in pairs(carried) do
    if answer[name] == nil then
      answer[name] = parent.row[name]
    end
  end
end

-- One C-FIND: the children of one parent, one level below.
local function ask(modality, parent, level, query, options)
  local data = { Level = level, Query = {} }
  for name, value in pairs(options) do
    data[name] = value
  end
  for name, value in pairs(query) do
    data.Query[name] = value
  end
  for name, value in pairs(parent.keys) do
    data.Query[name] = value
  end
  return modality:find(data)
end

-- The children of all the parents of one level, in their order; the first error, and whose. `carried`: the names of what is handed down.
local function stage(modality, parents, level, query, carried, work)
  local lists, failed, at = {}, nil, nil
  requests.each(#parents, work.limit, function(i)
    local found <close>, err = ask(modality, parents[i], level, query, work.left())
    if not found then
      if not at or i < at then
        failed, at = err, i
      end
      return false
    end
    work.warning = work.warning or found.warning
    lists[i] = {}
    for _, answer in ipairs(found.answers) do
      if is_child(answer, parents[i].keys) then
        fill(answer, parents[i], carried)
        table.insert(lists[i], answer)
      end
    end
  end)
  local children = {}
  for i = 1, #parents do
    table.move(lists[i] or {}, 1, #(lists[i] or {}), #children + 1, children)
  end
  return children, failed, at and parents[at]
end

-- ---- the methods ----

-- From the parents' level down, one level at a time, as a strict modality wants it (DICOM PS3.4 C.4.1.2.2.1). Nil, an error, whose it is,
-- and what was found.
local function descend(modality, op, top, level, parents, queries, work)
  local carried = {}
  for rank = RANK[top] + 1, RANK[level] do
    local here = LEVELS[rank]
    local children, err, whose = stage(modality, parents, here, queries[here], carried, work)
    if err or here == level then
      return not err and children or nil, err, whose, here == level and children or {}
    end
    parents, err = parents_of(op, here, children)
    if not parents then
      return nil, err, nil, {}
    end
    for key in pairs(queries[here]) do
      carried[select(3, native.tag(key))] = true
    end
  end
end

local function children_of(modality, level, given, query, options)
  local op = METHODS[level]
  local own, limit = requests.check_options(op, options, OPTIONS)
  local rows = rows_of(op, given)
  local top, bad = common_level(op, level, rows)
  local queries = queries_of(op, level, query, top or LEVELS[RANK[level] - 1])
  local parents = top and {}
  if top then
    parents, bad = parents_of(op, top, rows)
  elseif not bad then
    return {}
  end
  if not parents then
    return nil, bad
  end
  local work = { limit = limit, left = requests.in_time(own) }
  local children, err, whose, found = descend(modality, op, top, level, parents, queries, work)
  if not children then
    err.parent, err.found = whose and whose.keys, found
    return nil, err
  end
  return children, work.warning
end

function methods.studies(modality, given, query, options)
  return children_of(modality, "Study", given, query, options)
end

function methods.series(modality, given, query, options)
  return children_of(modality, "Series", given, query, options)
end

function methods.instances(modality, given, query, options)
  return children_of(modality, "Instance", given, query, options)
end

return methods
