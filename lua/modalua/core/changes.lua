-- core.changes: client:changes, the server's log of changes.
local require = ...
local described = require "core.described"
local lists = require "core.lists"
local native = require "core.native"
local steps = require "core.native_steps"

local changes = {}

local OP = "changes"

-- ---- options ----

-- The types that Orthanc writes to its log. It reports deletions to its plugins only, so they are not here.
local TYPE_NAMES = { "AnonymizedPatient", "AnonymizedSeries", "AnonymizedStudy", "CompletedSeries", "ModifiedPatient", "ModifiedSeries",
  "ModifiedStudy", "NewInstance", "NewPatient", "NewSeries", "NewStudy", "StablePatient", "StableSeries", "StableStudy",
  "UpdatedAttachment", "UpdatedMetadata" }
local TYPES = {}
for _, name in ipairs(TYPE_NAMES) do
  TYPES[name] = true
end

local function check_option(good, name, expected, value)
  if not good then
    native.usage(("%s: option '%s' must be %s (%s was given)"):format(OP, name, expected,
      type(value) == "number" and tostring(value) or "a " .. type(value)))
  end
end

-- The option `type` as a set of types.
local function read_types(value)
  local list, set = type(value) == "string" and { value } or value, {}
  check_option(type(list) == "table" and #list > 0, "type", "a ChangeType, or a list of them", value)
  for _, name in ipairs(list) do
    if not TYPES[name] then
      native.usage(("%s: Orthanc logs no changes of type '%s'; it logs NewStudy, StableStudy and others"):format(OP, tostring(name)))
    end
    set[name] = true
  end
  return set
end

-- Readers of an option's value: they return the value, or false or nil when it is wrong.

local function whole_number(least)
  return function(value) return math.type(value) and math.tointeger(value) and value >= least and math.tointeger(value) end
end

local function positive_number(value)
  return math.type(value) and value > 0 and value
end

local OPTIONS = { -- name -> reader, what the value must be
  since = { whole_number(0), "the Seq of a change, a whole number" },
  limit = { whole_number(1), "a whole number, 1 or more" },
  follow = { function(value) return type(value) == "boolean" and value end, "true or false" },
  interval = { positive_number, "a number of seconds above 0" },
  patience = { positive_number, "a number of seconds above 0, or math.huge" },
  type = { read_types, "" },
}

local function read_options(options)
  local own = { limit = 1000, interval = 1, patience = 300 }
  if options ~= nil and type(options) ~= "table" then
    native.usage(("%s: options must be a table (a %s was given)"):format(OP, type(options)))
  end
  for name, value in pairs(options or {}) do
    local option = OPTIONS[name]
      or native.usage(("%s: unknown option '%s'; the options are follow, interval, limit, patience, since and type"):format(OP,
        tostring(name)))
    own[name] = option[1](value)
    check_option(own[name] or value == false and name == "follow", name, option[2], value)
  end
  return own
end

-- ---- reading the log ----

local function throw_error(kind, code, message)
  error(native.fail(OP, kind, code, message), 0)
end

local ROUTE <const> = "/changes"
local PAGE <const> = { Changes = { each = { Seq = "count", ChangeType = "text", ID = "text?" } }, Last = "count", Done = "boolean" }

-- One page of the log; nil and an error.
local function request_page(state, query)
  return steps.request(state.operation, "GET", ROUTE .. query, "local", nil, PAGE)
end

local function throw_unexpected(state, difference)
  error(select(2, steps.unexpected(state.operation, "GET", ROUTE, difference)), 0)
end

-- Throws when the numbers of the changes on a page do not grow, as a loop over the pages would then never end.
local function check_numbers(state, page)
  local last = state.since
  for i, change in ipairs(page.Changes) do
    if change.Seq <= last then
      throw_unexpected(state, ("Seq of element %d of Changes is %d, not a number above %d"):format(i, change.Seq, last))
    end
    last = change.Seq
  end
end

-- Returns the page of changes after `state.since`. While the script follows the log, a transient error is retried for `patience` seconds:
-- a restart of the server must not end the loop, and a server that stays away must not go unnoticed.
local function get_page(state)
  local deadline
  while true do
    local page, err = request_page(state, ("?since=%d&limit=%d"):format(state.since, state.limit))
    if page then
      check_numbers(state, page)
      return page
    elseif not state.follow or not err.retryable or deadline and native.now() >= deadline then
      error(err, 0)
    end
    deadline = deadline or native.now() + state.patience
    native.sleep(state.interval)
  end
end

-- Makes the next page, which may be empty, the current one. When the log ends before a change that was already seen, the server has a new
-- database: this is an error, since the loop would wait for numbers that come much later or never.
local function turn_page(state)
  local page = get_page(state)
  if page.Changes[1] == nil and page.Last < state.since then
    throw_error("orthanc", "changes_reset",
      ("the server's last change is number %d, before %d: its database was replaced"):format(page.Last, state.since))
  elseif page.Changes[1] == nil and not page.Done then
    throw_unexpected(state, "it says that there are more changes, and has none")
  end
  state.page, state.index, state.done = page.Changes, 0, page.Done
end

-- ---- told by the host (modalua_config.follow) ----

-- The option `type` as a text.
local function type_names(set)
  return table.concat(lists.sorted_keys(set or {}), ",")
end

-- Calls the host's function: the changes up to `state.since` have been handled. Returns its answer.
local function tell_host(state, wait)
  local answer, err = state.host(state.types, state.since, wait, state.told)
  if err then
    error(err, 0)
  end
  return answer
end

-- Waits until it is time to look for changes behind `state.since`.
local function wait_for_change(state)
  if state.host then
    state.told = tell_host(state, true)
  else
    native.sleep(state.interval)
  end
end

-- The place where a loop begins that follows, without the option `since`.
local function first_place(state)
  local since = state.host and tell_host(state, true)
  if since then
    return since
  end
  local page, err = request_page(state, "?last")
  if not page then
    error(err, 0)
  end
  state.since = page.Last
  if state.host then
    tell_host(state, false)
  end
  return page.Last
end

-- ---- the iterator ----

local function next_change(state)
  if state.host and state.page[state.index] then
    tell_host(state, false)
  end
  while true do
    state.index = state.index + 1
    local change = state.page[state.index]
    if change then
      state.since = change.Seq
      if not state.type or state.type[change.ChangeType] then
        return change
      end
    elseif not state.done then
      turn_page(state)
    elseif state.follow then
      wait_for_change(state)
      turn_page(state)
    else
      return nil
    end
  end
end

function changes.changes(client, options)
  local state = read_options(options)
  state.operation = { client = client, op = OP, method = "GET", path = ROUTE }
  state.page, state.index, state.done = {}, 0, false
  state.host = state.follow and native.follow(client)
  state.types = not state.since and type_names(state.type) or nil
  if state.follow and not state.since then
    state.since = first_place(state)
  end
  state.since = state.since or 0
  return described.iterator(function() return next_change(state) end, "change")
end

-- The types of changes that there are.
function changes.types()
  return TYPE_NAMES
end

return changes
