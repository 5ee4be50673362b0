-- core.move: modality:move and query:move, C-MOVE of the answers of a query. Orthanc sends the answers as it got them: one without a unique
-- key, or with a wildcard in it, makes a modality send everything. So each answer is looked at first. Answers that cannot be sent as
-- they are (found.ignored, found.repeated) are moved one by one, by core.move_resources.
local require = ...
local json = require "modalua.json"
local levels = require "core.levels"
local move_resources = require "core.move_resources"
local move_target = require "core.move_target"
local moves = require "core.moves"
local native = require "core.native"
local progress_bar = require "core.progress_bar"
local requests = require "core.requests"
local steps = require "core.native_steps"

local move = {}

local OP = "move"
local UNIQUE = levels.UNIQUE

local function refuse(work, code, message)
  return steps.failed(work.operation, "refused", code, message)
end

local function path_of(work, part)
  return ("/queries/%s/%s"):format(work.id, part)
end

local function ask(work, part, shape)
  return steps.request(work.operation, "GET", path_of(work, part), "local", nil, shape)
end

-- ---- the query ----

-- Sets work.modality to the modality that was asked, which is the one that sends. Returns true, or nil and an error.
local function read_modality(work)
  local name, err
  if work.facts then
    name = work.facts.modality
  else
    name, err = ask(work, "modality", "name")
    if name == nil then
      return nil, err
    elseif not native.is_name(name) then
      return refuse(work, "bad_name", ("the query belongs to the modality %s, and modalua uses names of at most 63 letters, digits, '-' "
        .. "and '_'"):format(native.said(name)))
    end
  end
  if work.modality and work.modality.modality ~= name then
    return refuse(work, "other_modality", ("the query belongs to the modality '%s', not to '%s'"):format(name, work.modality.modality))
  end
  work.modality = work.modality or work.client:modality(name)
  return true
end

-- Sets work.level, work.broad and work.unproven. Returns true, or nil and an error.
local function read_filter(work)
  local facts = work.facts
  if facts then
    work.level, work.broad, work.by_resource = facts.level, facts.broad, facts.by_resource
    work.unproven = facts.unproven and (facts.found or {}).unproven or nil
    return true
  end
  local level, err = ask(work, "level", "level")
  if level == nil then
    return nil, err
  end
  work.level = level
  local filter, failure = ask(work, "query?short", "object of texts")
  if filter == nil then
    return nil, failure
  end
  work.filter, work.broad = filter, native.is_broad(filter, work.level)
  return true
end

-- Holds the answers of a query that this client did not send against its filter, as find does.
local function check_answers(work, answers)
  local notes = {}
  work.kept = table.move(answers, 1, #answers, 1, {})
  work.by_resource = native.check_answers(work.kept, work.filter, work.level, notes)
  work.unproven = notes.unproven
end

-- Whether the rows name the resources of the query's answers, in any order: a script may have taken some out of found.answers.
local function are_same(level, rows, answers)
  local known = {}
  for _, answer in ipairs(answers) do
    known[native.value(answer, UNIQUE[level]) or ""] = true
  end
  for _, row in ipairs(rows) do
    if type(row) ~= "table" or not known[native.value(row, UNIQUE[level]) or ""] then
      return false
    end
  end
  return #rows == #answers
end

-- Sets work.rows to the answers that are moved, and work.kept to those that a look at all answers has left. Returns true, or nil and an
-- error.
local function read_answers(work)
  local found = work.facts and work.facts.found
  work.kept = found and found.answers
  if work.by_resource and found and not work.index then
    work.rows, work.lossy = found.answers, work.facts.lossy
    return true
  end
  local answers, lossy = steps.answers(work.operation, path_of(work, "answers"))
  if answers == nil then
    return nil, lossy -- an error
  end
  work.lossy = lossy or work.facts and work.facts.lossy
  if not work.facts then
    check_answers(work, answers)
    if #work.kept == 0 and #answers > 0 then
      return refuse(work, "unproven", ("each of the %d answers contradicts the filter of the query, so nothing shows which one was meant: "
        .. "nothing was sent"):format(#answers))
    end
  elseif not work.index and type(work.kept) == "table" and not are_same(work.level, work.kept, answers) then
    work.by_resource = true
  end
  work.rows = work.index and { answers[work.index] } or work.by_resource and work.kept or answers
  return true
end

-- ---- what may be moved ----

local function check_broad(work)
  if work.broad and not work.index and not work.given.all then
    return refuse(work, "too_broad", "this query has no filter, so it finds everything that the modality has; add all = true to move all "
      .. "of it")
  end
  return true
end

local function check_unproven(work)
  if work.unproven and not work.index and work.given.unproven ~= "move" then
    return refuse(work, "unproven", ("no answer shows whether the modality looked at the filter %s, so these may be other resources than "
      .. "were asked for; add unproven = \"move\" to move them"):format(table.concat(work.unproven, ", ")))
  end
  return true
end

-- The place of an answer in the query, for messages.
local function place_of(work, i)
  return work.index or i
end

-- An answer of another level is moved at that level by Orthanc: all of a patient instead of a study.
local function check_levels(work)
  for i, row in ipairs(work.rows) do
    local word = native.value(row, "0008,0052")
    local level = word and levels.OF_WORD[word:match "^%s*(.-)%s*$"]
    if word and level ~= work.level then
      return refuse(work, "other_level", ("answer %d is one of level %s, and the query is one of level %s: nothing was sent; "
        .. "move_resources(\"%s\", …) moves the answers that have a %s"):format(place_of(work, i), native.said(word), work.level,
        work.level, UNIQUE[work.level]))
    end
  end
  return true
end

-- An answer that was taken out is not moved by its number either.
local function check_taken_out(work)
  if not (work.index and work.by_resource and work.kept and work.list[1]) then
    return true
  end
  local list = native.identifiers(OP, work.level, work.kept) or {}
  list[#list + 1] = work.list[1]
  if #list > 1 and #moves.distinct(list, {}) == #list then
    return refuse(work, "bad_identifier", ("answer %d contradicts a filter of its query (found.ignored): nothing was sent"):format(
      work.index))
  end
  return true
end

-- The numbers of the query's answers are not those of found.answers when find took some out: a script may mean either.
local function check_index(work)
  if not (work.index and work.by_resource and work.kept) then
    return true
  end
  local row = work.kept[work.index]
  local list = row and native.identifiers(OP, work.level, { row }) or {}
  if list[1] and #moves.distinct({ list[1], work.list[1] }, {}) == 1 then
    return true
  end
  return refuse(work, "bad_identifier", ("answer %d of the query is not answer %d of its result, since find took answers out "
    .. "(found.ignored, found.repeated): nothing was sent; move_resources(\"%s\", …) moves the one that you mean"):format(work.index,
    work.index, work.level))
end

local function check_owners(work)
  local good, err = moves.check_owners(OP, work.level, work.list, work.rows)
  if not good then
    err.path, err.method = work.operation.path, work.operation.method
  end
  return good, err
end

-- Sets work.list to the identifiers of the rows. Returns true, or nil and an error.
local function check_identifiers(work)
  local bad
  work.list, bad = native.identifiers(OP, work.level, work.rows, "answer")
  if work.list then
    return true
  end
  bad.message = (work.index and bad.message:gsub("^answer 1", "answer " .. work.index) or bad.message)
    .. ": nothing was sent, since a modality may take this for everything that it has; move_resources moves the others"
  bad.path, bad.method = work.operation.path, work.operation.method
  return nil, bad
end

local function check_number(work)
  local resources = moves.distinct(work.list, work.rows)
  local n, max = #resources, work.given.max
  if n < #work.list then
    work.by_resource = true
  end
  if not work.index and max and n > max then
    return refuse(work, "too_many", ("the query has %d %s, and max is %d"):format(n, n < #work.list and "resources" or "answers", max))
  elseif work.level == "Patient" and work.lossy then
    return refuse(work, "bad_identifier", "these answers have lost characters, or have a PatientID that loses some on its way "
      .. "back, so a PatientID may be that of another patient; find and move the studies (found.warning says what was lost where)")
  end
  return true
end

-- Each returns true, or nil and an error.
local STEPS = { read_modality, read_filter, check_broad, read_answers, check_unproven, check_levels, check_identifiers, check_taken_out,
  check_index, check_owners, check_number }

-- A copy of the caller's options, with the time that is left.
local function own_options(work)
  local own, deadline = {}, work.operation.deadline
  for name, value in pairs(work.given) do
    own[name] = value
  end
  own.wait_timeout = deadline and math.max(deadline - native.now(), 0.001) or own.wait_timeout
  return own
end

-- ---- by resource ----

local OF_QUERIES_ONLY = { "all", "max", "unproven", "Permissive", "RetrieveMethod", "Simplify", "Short", "Full" }

-- The identifiers of a resource as Orthanc shows them in the result of a move.
local function shown(level, keys)
  local row = { ["0008,0052"] = levels.WORDS[level] }
  for name, value in pairs(keys) do
    row[native.tag(name)] = value
  end
  return row
end

-- One result for all outcomes, with the fields that the result of a query's move has.
local function joined_result(work, target, outcomes)
  local result = { Query = json.array {}, verified = true }
  for i, outcome in ipairs(outcomes) do
    for name, value in pairs(outcome.result) do
      if name == "verified" then
        result.verified = result.verified and value
      elseif name == "Details" then
        result.Details = result.Details or json.array {}
        table.move(value, 1, #value, #result.Details + 1, result.Details)
      elseif name ~= "Query" and result[name] == nil then
        result[name] = value
      end
    end
    result.Query[i] = shown(work.level, outcome.resource)
  end
  if not result.RemoteAet then -- before 1.11.1 the server says nothing
    local modalities, system = work.client:modalities { expand = true }, work.client:system()
    result.RemoteAet = ((modalities or {})[work.modality.modality] or {}).AET
    result.LocalAet = (system or {}).DicomAet
  end
  result.TargetAet = result.TargetAet or target or result.LocalAet
  result.Description = result.Description or "REST API"
  return result
end

local function get_by_resource(work, own)
  own.TargetAet, own.to, own.RetrieveMethod, own.Simplify, own.Short, own.Full = nil, nil, nil, nil, nil, nil
  own.all, own.max, own.unproven = nil, nil, nil
  return work.modality:get(work.level, work.list, own)
end

-- One job with all resources, which is not waited for.
local function submit_together(work, own)
  local target, err = move_target.find(work.operation, own)
  if not target then
    return nil, err
  end
  own.to, own.TargetAet = nil, target.aet
  local resources = {}
  for i, resource in ipairs((moves.distinct(work.list, work.rows))) do
    resources[i] = resource.keys
  end
  local plan = moves.plan({ op = OP, modality = work.modality, level = work.level, resources = resources,
    options = requests.with_time_left(own), send = function(options, more)
      return native.move_one(work.modality, work.level, resources, options, more)
    end }, target, own)
  local result, failure, part = moves.submit(plan)
  if part == "part" then
    return refuse(work, "other_job", "a job that has not ended moves some of these resources already: nothing was sent; try again when it "
      .. "has ended, or wait for this move")
  end
  return result, failure
end

local function by_resource(work)
  local own = own_options(work)
  if own.RetrieveMethod and own.RetrieveMethod ~= "C-MOVE" then
    return get_by_resource(work, own)
  end
  for _, name in ipairs(OF_QUERIES_ONLY) do
    own[name] = nil
  end
  if own.Synchronous == false or own.Asynchronous then
    return submit_together(work, own)
  end
  local outcomes, err = move_resources.run { op = OP, modality = work.modality, level = work.level, list = work.list, rows = work.rows,
    options = own, path = work.operation.path }
  if not outcomes then
    return nil, err
  end
  return joined_result(work, own.TargetAet, outcomes) -- `run` has set it
end

-- ---- the move of the query ----

-- Reports the end to the function of the option `progress`, or removes its bar.
local function reporter(work)
  local progress, began = work.given.progress, native.now()
  local tell = progress == true and progress_bar.bar or progress
  return function(good)
    if type(tell) == "function" then
      tell { op = OP, state = good and "Success" or "Failure", seconds = native.now() - began, done = good and #work.list or nil,
        total = #work.list, unit = "resources", over = true }
    end
  end
end

local function whole_query(work)
  local own = own_options(work)
  local target, err = move_target.find(work.operation, own)
  if not target then
    return nil, err
  end
  own.to, own.TargetAet = nil, target.aet
  local operation, found = work.operation, work.facts and work.facts.found
  local plan = moves.plan({ op = OP, modality = work.modality, level = work.level, resources = work.list, deadline = operation.deadline,
    path = operation.path, retrieve = operation.path, options = requests.with_time_left(own), send = function(options, more)
      return native.retrieve(work.modality, options, more)
    end, found_nothing = found and #found.answers == 0 }, target, own)
  local good, bad = moves.check_patients(plan)
  if not good then
    return nil, bad
  end
  local result, reason, job = moves.submit(plan)
  if job == "part" then
    return by_resource(work)
  end
  return moves.conclude(plan, result, reason, job)
end

local function run(work)
  for _, step in ipairs(STEPS) do
    local good, err = step(work)
    if not good then
      return nil, err
    end
  end
  if work.by_resource and not work.index then
    return by_resource(work)
  end
  local report = reporter(work)
  local _ <close> = work.given.progress == true and progress_bar.scope() or nil
  local result, err = whole_query(work)
  report(result)
  if result == nil then
    return nil, err
  end
  return result
end

-- modality:move(query, options) and query:move(options, index)
function move.move(self, ...)
  local work = {}
  if type(self.modality) == "string" then
    local query, options = ...
    work.modality, work.client, work.query, work.given = self, self.client, query, options or {}
  else
    local options, index = ...
    work.client, work.query, work.given, work.index = native.query_client(self), self, options or {}, index
  end
  work.id, work.facts = native.query_facts(work.client, work.query)
  work.operation = { client = work.client, op = OP, method = "POST", deadline = requests.deadline(work.given),
    path = work.index and ("/queries/%s/answers/%d/retrieve"):format(work.id, work.index - 1) or ("/queries/%s/retrieve"):format(work.id) }
  return run(work)
end

return move
