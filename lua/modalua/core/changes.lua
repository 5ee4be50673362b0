-- core.changes: client:changes, the server's log of changes.
local require = ...
local native = require "core.native"

local changes = {}

local OP = "changes"

-- ---- options ----

-- What Orthanc writes to its log of changes; that something was deleted is told to its plugins alone.
local TYPES = {}
for _, name in ipairs { "AnonymizedPatient", "AnonymizedSeries", "AnonymizedStudy", "CompletedSeries", "ModifiedPatient", "ModifiedSeries",
  "ModifiedStudy", "NewInstance", "NewPatient", "NewSeries", "NewStudy", "StablePatient", "StableSeries", "StableStudy",
  "UpdatedAttachment", "UpdatedMetadata" } do
  TYPES[name] = true
end

local function check(good, name, wanted, value)
  if not good then
    native.usage(("%s: option '%s' must be %s (%s was given)"):format(OP, name, wanted,
      type(value) == "number" and tostring(value) or "a " .. type(value)))
  end
end

-- The set of the types that are wanted; nil = all.
local function read_types(value)
  local list, set = type(value) == "string" and { value } or value, {}
  check(type(list) == "table" and #list > 0, "type", "a ChangeType, or a list of them", value)
  for _, name in ipairs(list) do
    if not TYPES[name] then
      native.usage(("%s: no change of type '%s' is ever logged; there are NewStudy, StableStudy and others"):format(OP,
        tostring(name)))
    end
    set[name] = true
  end
  return set
end

local function whole(least)
  return function(value) return math.type(value) and math.tointeger(value) and value >= least and math.tointeger(value) end
end

local function seconds(value)
  return math.type(value) and value > 0 and value
end

local OPTIONS = {
  since = { whole(0), "a change's Seq, a whole number" },
  limit = { whole(1), "a whole number, 1 or more" },
  follow = { function(value) return type(value) == "boolean" and value end, "true or false" },
  interval = { seconds, "a number of seconds above 0" },
  patience = { seconds, "a number of seconds above 0, or math.huge" },
  type = { read_types, "" },
}

local function read(options)
  local own = { limit = 1000, interval = 1, patience = 300 }
  if options ~= nil and type(options) ~= "table" then
    native.usage(("%s: options must be a table (a %s was given)"):format(OP, type(options)))
  end
  for name, value in pairs(options or {}) do
    local option = OPTIONS[name]
      or native.usage(("%s: unknown option '%s'; there are follow, interval, limit, patience, since and type"):format(OP, tostring(name)))
    own[name] = option[1](value)
    check(own[name] or value == false and name == "follow", name, option[2], value)
  end
  return own
end

-- ---- looking ----

local function throw(kind, code, message)
  error(native.fail(OP, kind, code, message), 0)
end

local function checked(page, err)
  if not page then
    return nil, err
  elseif type(page) ~= "table" or type(page.Changes) ~= "table" or math.type(page.Last) ~= "integer" then
    throw("decode", nil, "this is no list of changes")
  end
  return page
end

-- The changes after `state.since`. What may pass is waited out while the log is followed: a server that is started again at night must
-- not end it, and one that does not come back must not go unnoticed.
local function look(state)
  local deadline
  while true do
    local page, err = checked(state.client:get("/changes", { since = state.since, limit = state.limit }))
    if page then
      return page
    elseif not state.follow or not err.retryable or deadline and native.now() >= deadline then
      error(err, 0)
    end
    deadline = deadline or native.now() + state.patience
    native.sleep(state.interval)
  end
end

-- The next page, perhaps an empty one. A log that ends before the change that we have seen is another one: the numbers of its changes would
-- be waited for in vain.
local function turn(state)
  local page = look(state)
  if page.Changes[1] == nil and page.Last < state.since then
    throw("orthanc", "changes_reset",
      ("the server's last change is number %d, before %d: its database is another one now"):format(page.Last, state.since))
  elseif page.Changes[1] == nil and not page.Done then
    throw("decode", nil, "the server says that there are more changes, and gives none")
  end
  state.page, state.at, state.done = page.Changes, 0, page.Done
end

local function next_change(state)
  while true do
    state.at = state.at + 1
    local change = state.page[state.at]
    if change then
      state.since = change.Seq
      if not state.type or state.type[change.ChangeType] then
        return change
      end
    elseif not state.done then
      turn(state)
    elseif state.follow then
      native.sleep(state.interval)
      turn(state)
    else
      return nil
    end
  end
end

function changes.changes(client, options)
  local state = read(options)
  state.client, state.page, state.at, state.done = client, {}, 0, false
  if state.follow and not state.since then
    local page, err = checked(client:get("/changes", { last = true }))
    if not page then
      error(err, 0)
    end
    state.since = page.Last
  end
  state.since = state.since or 0
  return function() return next_change(state) end
end

return changes
