-- core.find_all: modality:find_all, an iterator over all answers to a search of any size. core.find_walk finds the patients or studies; for
-- series and instances, each study that it finds is asked for.
local require = ...
local described = require "core.described"
local doc = require "modalua.doc"
local find_ask = require "core.find_ask"
local find_walk = require "core.find_walk"
local levels = require "core.levels"
local lists = require "core.lists"
local matching = require "core.matching"
local native = require "core.native"
local slices = require "core.slices"
local steps = require "core.native_steps"

local find_all = {}

local RANK, UNIQUE = levels.RANK, levels.UNIQUE

-- ---- the arguments ----

local function usage(message, ...)
  native.usage(("find_all: " .. message):format(...))
end

-- Takes the filter by that tag out of the query, however its key is written. "" is no filter.
local function take_filter(query, tag)
  for key, value in pairs(query) do
    if type(key) == "string" and native.tag(key) == tag then
      query[key] = nil
      return value ~= "" and value or nil
    end
  end
end

-- Keys that name a few studies. A search by one of them is first made as it is.
local IDENTIFIERS = { ["0010,0020"] = "PatientID", ["0008,0050"] = "AccessionNumber", ["0020,000d"] = "StudyInstanceUID" }

local function is_identified(query)
  for key, value in pairs(query) do
    if IDENTIFIERS[native.tag(key) or ""] and type(value) == "string" and value:find "[^ ]" and not value:find "[*?]" then
      return true
    end
  end
  return false
end

-- A range of times that is open at its start, with the beginning of the day instead: for the former some modalities also give what has no
-- time, and find keeps that in a part of the search in which nothing has one.
local function with_start(time)
  return type(time) == "string" and time:gsub("^ *%-", "00-") or time
end

-- Reads the filters by date and time, and whether they can be divided.
local function read_dates(walk)
  local query = walk.query
  local date, time = take_filter(query, "0008,0020"), take_filter(query, "0008,0030")
  local range = date and slices.of_filter(date)
  if date and not range then
    usage("StudyDate = '%s' is not a date or a range of dates: 20240131, 20240101-20240131", tostring(date))
  end
  walk.by_date = true
  walk.axes.date, walk.axes.time = not range or range.from ~= range.to, not time
  walk.floor, walk.ceiling = range and range.from, range and range.to
  walk.wants_undated = not range
  walk.drops_undated = range and not range.from -- an open start has them too at some modalities, though no range describes them
  if not range then -- what is older is found with the studies without a date
    walk.floor = slices.FIRST_DAY
  end
  query.StudyTime = with_start(time)
  walk.own.StudyTime = not time or nil
end

-- Reads the beginning that each PatientID has: "", or what is before the wildcard; nil when the search cannot be divided by it.
local function read_prefix(walk)
  local identifier = take_filter(walk.query, "0010,0020")
  walk.query.PatientID = identifier or ""
  walk.own.PatientID = not identifier or nil
  return not identifier and "" or type(identifier) == "string" and identifier:match "^([^*?\\]+)%*$" or nil
end

-- The state of a walk, from the arguments.
local function read(modality, data, format)
  if type(data) ~= "table" then
    usage("the first argument must be a table with Level and Query (a %s was given)", type(data))
  elseif data.Query ~= nil and type(data.Query) ~= "table" then
    usage("Query must be a table (a %s was given)", type(data.Query))
  end
  local walk = { modality = modality, format = format, data = {}, query = {}, axes = {},
    own = { StudyDate = true, StudyTime = true, PatientID = true } }
  for name, value in pairs(data) do
    walk.data[name] = value
  end
  for name, value in pairs(data.Query or {}) do
    walk.query[name] = value
  end
  local cap = walk.data.limit_results
  if cap ~= nil and not (math.type(cap) and cap >= 1 and math.tointeger(cap)) then
    usage "option 'limit_results' must be a whole number, 1 or more"
  end
  walk.cap, walk.told, walk.data.limit_results, walk.data.Query = cap, cap, nil, nil
  local level = type(data.Level) == "string" and native.level(data.Level)
  if not level then
    usage "the Level must be \"Patient\", \"Study\", \"Series\" or \"Instance\""
  end
  return walk, level
end

-- Completes the state of a walk at the Study or Patient level, and begins it, or goes on at a place of it.
local function begin(walk, level, place)
  walk.level, walk.data.Level, walk.unique, walk.identified = level, level, UNIQUE[level], is_identified(walk.query)
  if level == "Study" then
    read_dates(walk)
  end
  walk.axes.prefix = read_prefix(walk)
  find_walk.begin(walk, place)
end

-- ---- series and instances ----

-- The tag of an answer that says how many resources of that level it has.
local NUMBER_OF = { Series = "NumberOfStudyRelatedSeries", Instance = "NumberOfSeriesRelatedInstances" }

-- Splits the query into one for each level from Study down to `level`.
local function split_query(query, level)
  local queries = { Study = {}, Series = {}, Instance = {} }
  for key, value in pairs(query) do
    local _, own = native.tag(key)
    own = own == "Patient" and "Study" or own or level
    queries[RANK[own] <= RANK[level] and own or level][key] = value
  end
  return queries
end

-- The UID that an answer has; throws when it has none, as a search without it would be one of the whole modality.
local function uid_of(answer, name)
  local uid = matching.value(answer, name)
  local difference = steps.differs({ [name] = uid }, { [name] = "UID" })
  if difference then
    error(native.fail("find_all", "decode", nil, "unexpected response: of an answer, " .. difference), 0)
  end
  return uid
end

-- One C-FIND for what the parent has; of what is below it when `query` has no filter.
local function ask(walk, level, parent, query)
  local data, filters = {}, {}
  for name, value in pairs(walk.data) do
    data[name] = value
  end
  for name, value in pairs(query) do
    filters[name] = value
  end
  local uid
  for _, above in ipairs { "Study", "Series" } do
    if RANK[above] < RANK[level] then
      uid = uid_of(parent, UNIQUE[above])
      filters[UNIQUE[above]] = uid
    end
  end
  if level == "Series" then
    filters[NUMBER_OF.Instance] = ""
  end
  data.Level, data.Query = level, filters
  return find_ask.ask(walk, data, ("%s = '%s'"):format(level == "Series" and UNIQUE.Study or UNIQUE.Series, uid))
end

-- Whether the answers are all. number: how many resources of the level the parent has, as far as it says so. A modality that has given a
-- longer list of this level does not cut at that number of answers.
local function is_proven(walk, level, got, number, filtered)
  local most = walk.below[level]
  if got.unreadable or got.sent == 0 then
    return filtered or got.unreadable
  elseif number and not filtered then
    return got.sent >= number
  end
  return got.sent < math.max(most, number and 2 or walk.most, 2) or number and number <= math.max(most, got.sent)
end

-- The resources of that level that an answer of the level above has.
local function find_below(walk, level, parent, query)
  local number = math.tointeger(tonumber(native.value(parent, NUMBER_OF[level]) or ""))
  local got, filtered = ask(walk, level, parent, query), matching.has_filter(query)
  local proven = got and is_proven(walk, level, got, number, filtered)
  if got and not proven and filtered and number then -- all of them show whether the modality cuts
    local all = ask(walk, level, parent, {})
    walk.below[level] = math.max(walk.below[level], all and all.kept or 0)
    proven = is_proven(walk, level, got, number, filtered)
  end
  if not proven then
    local above = level == "Series" and UNIQUE.Study or UNIQUE.Series
    find_ask.note_unproven(walk, ("%s = '%s'"):format(above, native.value(parent, above)), got and got.sent)
  end
  walk.below[level] = math.max(walk.below[level], got and got.kept or 0)
  return got and got.answers or {}
end

-- Returns a function that returns the next resource of that level. next_parent returns the next one of the level above.
local function each_below(walk, level, next_parent, query)
  local answers, place = {}, 0
  return function()
    while true do
      place = place + 1
      if answers[place] then
        return answers[place]
      end
      local parent = next_parent()
      if not parent then
        return nil
      end
      answers, place = find_below(walk, level, parent, query), 0
    end
  end
end

-- Begins the walk for the studies of series or instances. Returns the queries by level.
local function begin_studies(walk, level, place)
  local queries = split_query(walk.query, level)
  walk.query, walk.below = queries.Study, { Series = 0, Instance = 0 }
  walk.query.NumberOfStudyRelatedSeries = walk.query.NumberOfStudyRelatedSeries or ""
  begin(walk, "Study", place)
  return queries
end

-- Begins a walk for series or instances. Returns the function that returns the next one.
local function begin_below(walk, level)
  local queries = begin_studies(walk, level)
  local function next_study()
    return find_walk.next(walk)
  end
  local next_series = each_below(walk, "Series", next_study, queries.Series)
  return level == "Series" and next_series or each_below(walk, "Instance", next_series, queries.Instance)
end

-- ---- a walk step by step ----

-- Returns a walk of core.find_walk for a search of studies or series, which begins, or goes on at a place. At the Series level it finds
-- the studies, and find_all.find_series the series of one of them.
function find_all.open(modality, data, place)
  local walk, level = read(modality, data)
  if level == "Study" then
    begin(walk, level, place)
  else
    walk.series_query = begin_studies(walk, level, place).Series
  end
  return walk
end

-- The series of a study that the walk has found.
function find_all.find_series(walk, study)
  return find_below(walk, "Series", study, walk.series_query)
end

-- ---- the iterator ----

-- Returns the function that returns the next answer, and the walk with all its fields.
function find_all.begin(modality, data, format)
  local walk, level = read(modality, data, format)
  local next_answer
  if RANK[level] <= RANK.Study then
    begin(walk, level)
    next_answer = function() return find_walk.next(walk) end
  else
    next_answer = begin_below(walk, level)
  end
  return function()
    local answer = next_answer()
    if answer == nil then
      find_walk.finish(walk)
    end
    return answer
  end, walk
end

-- What scripts see of a walk.
local FIELDS <const> = { "cap", "finds", "warning" }

local function outside_of(walk)
  return setmetatable({}, {
    __name = "modalua.Walk",
    __metatable = false,
    __index = function(_, name)
      if not lists.has(FIELDS, name) then
        local nearest = type(name) == "string" and doc.nearest(name, FIELDS)
        native.usage(("a walk has no '%s'%s"):format(native.text_shown(tostring(name)),
          nearest and ("; did you mean '%s'?"):format(nearest) or ""))
      end
      return walk[name]
    end,
    __tostring = function()
      return ("a walk: %d C-FIND%s so far%s"):format(walk.finds, walk.finds == 1 and "" or "s",
        walk.cap and (", at most %d answers to each"):format(walk.cap) or "")
    end,
  })
end

function find_all.find_all(modality, data, format)
  local next_answer, walk = find_all.begin(modality, data, format)
  return described.iterator(next_answer, "answer"), outside_of(walk)
end

return find_all
