-- core.holdings: which resources a place has. A place is this Orthanc, or a modality that answers queries.
--
-- Some modalities know no lists of UIDs: they answer nothing to a list, or only its first element. Some cut their answers. So what a list
-- does not find is asked for again, and at last one by one, unless this place has shown that it knows lists.
local require = ...
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"
local requests = require "core.requests"
local steps = require "core.native_steps"

local holdings = {}

local UNIQUE = levels.UNIQUE
local COUNT = { Study = "NumberOfStudyRelatedInstances", Series = "NumberOfSeriesRelatedInstances" }
local CHILD_LEVEL = { Patient = "Study", Study = "Series", Series = "Instance", Instance = "Instance" }
local ROUTES = { Patient = "patients", Study = "studies", Series = "series" }
local UIDS_PER_LIST = 50
local SINGLES_AT_ONCE = 2 -- many PACSs accept only a few associations
local COUNTS_LOCALLY = "1.11.0" -- from here on /tools/find knows RequestedTags

-- ---- places ----

-- A place is { client =, modality = nil for this Orthanc itself, knows_lists =, longest = of the lists that it takes, where it has refused
-- longer ones, is_single = it answers one question at a time, fault = why it cannot be asked }. `clock`: the operation, of which only two
-- fields matter: `deadline`, and `uids_per_list`, how many UIDs are asked for together (50 without it).
--
-- An answer that is not what it should be is a reason why the place cannot be asked: it does not show that the place lacks something.
function holdings.here(client)
  return { client = client, knows_lists = true }
end

function holdings.modality(modality)
  return { client = modality.client, modality = modality }
end

-- Returns nil and the reason. The next question would meet the same, so the place is not asked again.
local function fail(place, reason)
  place.fault = reason
  return nil, reason
end

-- The answers of a C-FIND, nil, and how many of them repeated another one; nil and the reason on failure.
local function find(place, clock, level, query)
  local seconds = clock.deadline and clock.deadline - native.now()
  if seconds and seconds <= 0 then
    return nil, "wait_timeout has passed"
  end
  local found <close>, err = place.modality:find { Level = level, Query = query, prove = false, relational = true, wait_timeout = seconds }
  return found and found.answers, err, found and found.repeated or 0
end

-- The tags that name the parent of a resource, for a query.
local function parent_of(level, keys)
  local parent = {}
  if level == "Series" or level == "Instance" then
    parent.StudyInstanceUID = keys.StudyInstanceUID
  end
  if level == "Instance" then
    parent.SeriesInstanceUID = keys.SeriesInstanceUID
  end
  return parent
end

local function with(parent, name, value)
  local query = { [name] = value }
  for tag, uid in pairs(parent) do
    query[tag] = uid
  end
  return query
end

-- ---- one question about a list of resources ----

-- Adds the number of instances of a resource. A second, other number leaves it open which is right: true stands for a resource that is
-- there, and whose number is not known.
local function add_number(numbers, uid, number, twice)
  if numbers[uid] == nil then
    numbers[uid] = number
  elseif twice or numbers[uid] ~= number then
    numbers[uid] = true
  end
end

local function positive(text)
  local number = math.tointeger(tonumber(text))
  return number and number > 0 and number or true
end

-- Each of these asks for some UIDs of one level, and returns a table from those that the place has to numbers, or nil and the reason.

local function ask_modality(place, clock, level, parent, uids)
  local query = with(parent, UNIQUE[level], table.concat(uids, "\\"))
  local count = COUNT[level]
  if count then
    query[count] = ""
  end
  local answers, err = find(place, clock, level, query)
  local numbers = {}
  for _, answer in ipairs(answers or {}) do
    local uid = answer[UNIQUE[level]]
    if type(uid) == "string" then
      add_number(numbers, uid, count and positive(answer[count]) or 1)
    end
  end
  return answers and numbers, err
end

-- Asks this Orthanc itself. `shape`: of the answer (src/request/shape.h).
local function ask_orthanc(place, method, path, body, shape)
  return steps.request({ client = place.client, op = "verify", method = method, path = path }, method, path, "local", body, shape)
end

-- The shape of the resources of a level, as /tools/find describes them.
local function resources_shape(level)
  return { each = { ID = "word", MainDicomTags = { [UNIQUE[level]] = "text" }, Instances = "list?",
    RequestedTags = "object?" } }
end

local function find_here(place, level, uids, tags)
  return ask_orthanc(place, "POST", "/tools/find", { Level = level, Expand = true, CaseSensitive = true, RequestedTags = tags,
    Query = { [UNIQUE[level]] = table.concat(uids, "\\") } }, resources_shape(level))
end

-- The number of instances of a resource that this Orthanc has: as /tools/find describes it, or asked for.
local function number_here(place, level, resource)
  if level == "Instance" then
    return 1
  elseif level == "Series" then
    return positive(#(resource.Instances or {}))
  elseif resource.RequestedTags then
    return positive(resource.RequestedTags[COUNT[level]])
  end
  local statistics, err = ask_orthanc(place, "GET", ("/studies/%s/statistics"):format(resource.ID), nil, "object")
  if not statistics and err.status ~= 404 then
    return nil, err
  end
  return positive((statistics or {}).CountInstances)
end

local function ask_here(place, _, level, _, uids)
  local tags
  if level == "Study" then
    local known, err = steps.at_least({ client = place.client, op = "verify", method = "POST", path = "/tools/find" }, COUNTS_LOCALLY)
    if known == nil then
      return nil, err
    end
    tags = known and { COUNT.Study } or nil
  end
  local list, err = find_here(place, level, uids, tags)
  local numbers = {}
  for _, resource in ipairs(list or {}) do
    local uid = resource.MainDicomTags[UNIQUE[level]]
    local number, failure = number_here(place, level, resource)
    if number == nil then
      return nil, failure
    end
    add_number(numbers, uid, number, true) -- the same study of two patients
  end
  return list and numbers, err
end

-- ---- many resources ----

-- Asks for the UIDs as a list until nothing more is found: what a place cuts comes with the next question. Returns those that were not
-- found, and whether the place has refused the list; nil and the reason on failure.
local function ask_list(place, clock, level, parent, uids, numbers)
  local ask = place.modality and ask_modality or ask_here
  local left = uids
  while #left > 0 do
    local some, err = ask(place, clock, level, parent, left)
    if not some then
      if #left > 1 and type(err) == "table" and err.dimse_status then
        return left, true -- it may dislike the list, or one of that length
      end
      return fail(place, err)
    end
    local rest = {}
    for _, uid in ipairs(left) do
      if some[uid] then
        numbers[uid] = some[uid]
      else
        rest[#rest + 1] = uid
      end
    end
    if #left - #rest > 1 then
      place.knows_lists = true
    end
    if #rest == #left then
      break
    end
    left = rest
  end
  return left, false
end

-- How many UIDs of those that were asked for together, and not found, are asked for together now; nil when they are not there.
local function shorter(place, n, is_refused, asked)
  if n == 0 or asked == 1 then
    return nil
  elseif is_refused then
    return (n + 1) // 2
  elseif not place.knows_lists then
    return 1
  end
  return asked > UIDS_PER_LIST and UIDS_PER_LIST or nil -- a place that knows lists may not know such long ones
end

local count_parts, count_each

-- Asks for UIDs of one parent as a list, and in shorter ones where that list shows nothing. Returns true, or nil and the reason.
local function count_list(place, clock, level, parent, uids, numbers)
  local left, refused = ask_list(place, clock, level, parent, uids, numbers)
  if not left then
    return nil, refused
  end
  local size = shorter(place, #left, refused, #uids)
  if not size then
    return true
  elseif size == 1 and not refused then
    return count_each(place, clock, level, parent, left, numbers)
  end
  local done, err = count_parts(place, clock, level, parent, left, size, numbers)
  if done and refused then
    place.longest = math.min(place.longest or size, size)
  end
  return done, err
end

-- Asks one by one, `at_once` at a time, until one question fails, or another task sees that the place knows lists. Returns the UIDs that
-- are still open, and the reason of the first failure.
local function ask_each(place, clock, level, parent, uids, numbers, at_once)
  local answered, failure = {}, nil
  requests.each(#uids, at_once, function(i)
    local good, err = count_list(place, clock, level, parent, { uids[i] }, numbers)
    answered[i] = good
    if not good then
      failure = failure or err
    end
    return not failure and not place.knows_lists
  end)
  local open = {}
  for i, uid in ipairs(uids) do
    open[#open + 1] = not answered[i] and uid or nil
  end
  return open, failure
end

-- Asks one by one for UIDs that a list has not shown. A place may accept one association only: when a question fails, what is open is asked
-- for again, one question at a time, and a place that answers then is always asked so. Returns true, or nil and the reason.
function count_each(place, clock, level, parent, uids, numbers)
  local at_once = place.is_single and 1 or math.min(SINGLES_AT_ONCE, #uids)
  local open, err = ask_each(place, clock, level, parent, uids, numbers, at_once)
  if err and at_once > 1 then
    place.fault = nil
    open, err = ask_each(place, clock, level, parent, open, numbers, 1)
    place.is_single = not err
  end
  if err then
    return nil, err
  elseif #open > 0 and #uids > UIDS_PER_LIST then -- it knows lists, but perhaps not one as long as that which has shown nothing
    return count_parts(place, clock, level, parent, open, UIDS_PER_LIST, numbers)
  end
  return true
end

-- Adds to `numbers` the resources of one parent that the place has, with at most `size` of them in one question, and never more than it is
-- known to take. Returns true, or nil and the reason.
function count_parts(place, clock, level, parent, uids, size, numbers)
  local first = 1
  while first <= #uids do
    local last = math.min(first + math.min(size, place.longest or size) - 1, #uids)
    local done, err = count_list(place, clock, level, parent, table.move(uids, first, last, 1, {}), numbers)
    if not done then
      return nil, err
    end
    first = last + 1
  end
  return true
end

-- A text that is the same for resources of the same parent.
local function group_key(level, keys)
  return ((level == "Series" or level == "Instance") and keys.StudyInstanceUID or "") .. "\\"
    .. (level == "Instance" and keys.SeriesInstanceUID or "")
end

-- Groups tables of keys by the parent of their resources: a list of { parent =, uids =, numbers = {} }, and the group of each table.
local function group_by_parent(level, list)
  local groups, by_key, group_of = {}, {}, {}
  for i, keys in ipairs(list) do
    local name = group_key(level, keys)
    local group = by_key[name]
    if not group then
      group = { parent = parent_of(level, keys), uids = {}, numbers = {}, seen = {} }
      by_key[name], groups[#groups + 1] = group, group
    end
    local uid = keys[UNIQUE[level]]
    if not group.seen[uid] then
      group.seen[uid] = true
      table.insert(group.uids, uid)
    end
    group_of[i] = group
  end
  return groups, group_of
end

-- Returns what the place has of each of the resources, which are tables of keys below Patient level: a list of numbers of instances; true
-- where the number is not known; false where the place does not have the resource. Returns nil and the reason when it cannot be asked.
function holdings.count(place, clock, level, list)
  if place.fault then
    return nil, place.fault
  end
  local groups, group_of = group_by_parent(level, list)
  for _, group in ipairs(groups) do
    local done, err = count_parts(place, clock, level, group.parent, group.uids, clock.uids_per_list or UIDS_PER_LIST, group.numbers)
    if not done then
      return nil, err
    end
  end
  local numbers = {}
  for i, keys in ipairs(list) do
    numbers[i] = group_of[i].numbers[keys[UNIQUE[level]]] or false
  end
  return numbers
end

-- ---- the instances of one resource ----

-- Adds to `held.uids` the instances of a resource that a modality lists, with the keys of each; `held.n` becomes at least the number of
-- those that it says it has. One C-FIND for each level and parent, since strict modalities require it. Returns true, or nil and the reason.
local function add_remote(place, clock, level, keys, held)
  local below = CHILD_LEVEL[level]
  local query = parent_of(level, keys)
  query[UNIQUE[below]] = ""
  query[UNIQUE[level]] = keys[UNIQUE[level]]
  if COUNT[below] and below == "Series" then
    query[COUNT[below]] = ""
  end
  local answers, err = find(place, clock, below, query)
  if not answers then
    return nil, err
  end
  local seen = {}
  for _, answer in ipairs(answers) do
    local uid = answer[UNIQUE[below]]
    if type(uid) == "string" and uid ~= "" and not seen[uid] then
      seen[uid] = true
      local child = { StudyInstanceUID = keys.StudyInstanceUID, SeriesInstanceUID = keys.SeriesInstanceUID, [UNIQUE[below]] = uid }
      if below ~= "Instance" then
        local before = held.n
        local done, reason = add_remote(place, clock, below, child, held)
        if not done then
          return nil, reason
        end
        if below == "Series" then
          local said = positive(answer[COUNT.Series])
          held.said = held.said + math.max(math.type(said) and said or 0, held.n - before)
        end
      elseif level ~= "Instance" or uid == keys.SOPInstanceUID then -- some modalities return other instances too
        held.n = held.n + (held.uids[uid] and 0 or 1)
        held.uids[uid] = child
      end
    end
  end
  return true
end

-- The resources of this Orthanc with that UID; nil and the reason on failure. The body of this request is no JSON.
local function look_up(place, uid)
  local resources, err = place.client:post("/tools/lookup", uid)
  if resources == nil then
    return nil, err
  end
  local wrong = steps.differs(resources, { each = { ID = "word", Type = "text" } })
  if wrong then
    return nil, "unexpected response from /tools/lookup: " .. wrong
  end
  return resources
end

local LISTED <const> = { each = { MainDicomTags = { SOPInstanceUID = "text" } } }

-- The instances of a resource that this Orthanc has just found, as a list; nil and the reason on failure.
local function list_here(place, level, id)
  local path = ("/%s/%s/instances"):format(ROUTES[level], id)
  local list, err = ask_orthanc(place, "GET", path, nil, LISTED)
  if list and #list == 0 then
    return nil, ("unexpected response from %s: this Orthanc lists no instance of what it has"):format(path)
  elseif not list and err.status == 404 then
    return {}
  end
  return list, err
end

-- The same for this Orthanc. These routes give whole lists, whatever its LimitFindInstances.
local function add_here(place, _, level, keys, held)
  local uid = keys[UNIQUE[level]]
  local resources, err = look_up(place, uid)
  for _, resource in ipairs(resources or {}) do
    if resource.Type == level and level == "Instance" then
      held.uids[uid], held.n = keys, 1
    elseif resource.Type == level then
      local list, failure = list_here(place, level, resource.ID)
      if not list then
        return nil, failure
      end
      for _, instance in ipairs(list) do
        held.uids[instance.MainDicomTags.SOPInstanceUID], held.n = keys, held.n + 1
      end
    end
  end
  return resources and true, err
end

-- Returns { uids = a table whose keys are the SOPInstanceUIDs that the place lists, n = their number, said = the number that it says it
-- has, at least n }; or nil and the reason.
function holdings.instances(place, clock, level, keys)
  if place.fault then
    return nil, place.fault
  end
  local held = { uids = {}, n = 0, said = 0 }
  local done, err = (place.modality and add_remote or add_here)(place, clock, level, keys, held)
  if not done then
    return fail(place, err)
  end
  held.said = math.max(held.said, held.n)
  return held
end

-- Adds to `held.uids` those of the instances that the place has although it did not list them. `missing`: a list of tables of keys.
function holdings.find_more(place, clock, missing, held)
  if not place.modality or not missing[1] or not missing[1].SeriesInstanceUID then
    return
  end
  local numbers = holdings.count(place, clock, "Instance", missing)
  for i, keys in ipairs(missing) do
    held.uids[keys.SOPInstanceUID] = numbers and numbers[i] and keys or held.uids[keys.SOPInstanceUID]
  end
end

-- ---- patients ----

local FIXED_LEAST = 3 -- with fewer characters that are no letters, a wildcard for each letter would match too many patients

-- The filters that find the patients which Orthanc joins with this one in a C-MOVE (src/orthanc/patient_ids.h). In a C-FIND it compares the
-- PatientID itself. Each has a wildcard, since some modalities repeat a filter without one as if it were the value.
local function filters_of_joined(id)
  local filters, letters = {}, select(2, id:gsub("%a", ""))
  if letters > 0 and (letters == 1 or #id - letters >= FIXED_LEAST) then
    filters[1] = id:gsub("[%a _%%]", "?")
  elseif letters > 0 then
    local front, letter, rest = id:match "^(%A*)(%a)(.*)$"
    front, rest = front:gsub("[ _%%]", "?"), rest:gsub("[%a _%%]", "?")
    filters = { front .. letter:lower() .. rest, front .. letter:upper() .. rest }
  end
  filters[#filters + 1] = "*" .. id:gsub("[ _%%]", ""):gsub(".", "%0*") -- what the other one has more is not compared
  return filters
end

-- The patients that a modality shows for a filter by PatientID, and how many answers repeat another one; nil and the reason on failure.
local function find_patients(place, clock, filter)
  local answers, err, repeated = find(place, clock, "Patient", { PatientID = filter })
  return answers, answers and repeated or err
end

-- Some server on the way may have removed the characters in which two PatientIDs differ; then one answer seems to repeat the other. Some
-- modalities repeat each answer.
local function is_hidden(place, clock, id, repeated)
  if repeated == 0 then
    return false
  end
  local answers, usual = find_patients(place, clock, id)
  return answers and usual == 0
end

local function patients_like(place, clock, id)
  if not place.modality then
    return place.client:post("/tools/find", { Level = "Patient", Expand = true, CaseSensitive = false, Query = { PatientID = id } })
  end
  local all = {}
  for _, filter in ipairs(filters_of_joined(id)) do
    local list, repeated = find_patients(place, clock, filter)
    if not list then
      return nil, repeated
    end
    table.move(list, 1, #list, #all + 1, all)
    if is_hidden(place, clock, id, repeated) then
      all[#all + 1] = { PatientID = id .. "\u{fffd}" }
    end
  end
  return all
end

-- Returns another PatientID at the place that Orthanc takes for this one; false when there is none; nil and the reason when the place
-- cannot be asked.
function holdings.joined_patient(place, clock, id)
  local list, err = patients_like(place, clock, id)
  for _, patient in ipairs(list or {}) do
    local other = matching.trimmed((patient.MainDicomTags or patient).PatientID or "")
    if other ~= "" and other ~= id and native.folded(other) == native.folded(id) then
      return other
    end
  end
  return list and false, err
end

return holdings
