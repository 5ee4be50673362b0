-- modalua.host: what the plugin gives its scripts beside modalua itself. `modalua_native` has the plugin's functions.
-- luacheck: globals modalua_native
local native = modalua_native
modalua_native = nil

local error_text = require "modalua".error_text
local json = require "modalua.json"
local nearest = require "modalua.doc".nearest
local task = require "modalua.task"

local host = { name = native.name }
local routes = {} -- path -> function
local filters = {} -- name -> function
local stays = false

-- From now on the script does not end by itself: the run waits for this task.
local function stay()
  if not stays then
    stays = true
    task.spawn(function()
      while true do
        task.sleep(3600)
      end
    end)
  end
end

--- Registers a route of this script: GET (or POST, …) /modalua/routes/NAME/PATH of the server calls f(request), as a task. From then on the
-- script does not end by itself.
function host.route(path, f)
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    error("route: the path must be a text that begins with '/'", 2)
  elseif type(f) ~= "function" then
    error("route: the second argument must be a function", 2)
  end
  stay()
  routes[path] = f
end

-- Whether the second result of a route's function is an error, not options.
local function is_error(value)
  return value ~= nil and (type(value) ~= "table" or getmetatable(value) ~= nil or value.kind ~= nil)
end

-- Orthanc sends these; for any other one it ends the connection without an answer. It sends 301, 401 and 405 in its own ways alone.
local STATUSES <const> = { { 200, 208 }, { 226, 226 }, { 300, 300 }, { 302, 305 }, { 307, 307 }, { 400, 400 }, { 402, 404 }, { 406, 417 },
  { 422, 424 }, { 426, 426 }, { 500, 507 }, { 509, 510 } }

local function can_be_sent(status)
  local number = math.type(status) and math.tointeger(status)
  for _, range in ipairs(number and STATUSES or {}) do
    if number >= range[1] and number <= range[2] then
      return true
    end
  end
  return false
end

-- Throws when the options of an answer are not right. Returns the status and the type; nil = none is given.
local function read_options(options)
  local status = options.status == nil and 200 or options.status
  if not can_be_sent(status) then
    error("the status of an answer must be one that Orthanc can send: 200 to 208, 226, 300, 302 to 305, 307, 400, 402 to 404, 406 to 417, "
      .. "422 to 424, 426, 500 to 507, 509 or 510", 0)
  elseif options.type ~= nil and (type(options.type) ~= "string" or options.type:find "%c") then
    error("the type of an answer must be a text such as 'text/html'", 0)
  end
  return math.tointeger(status), options.type
end

-- A value as JSON. Throws when it cannot be JSON.
local function encode(value)
  local good, text, err = pcall(json.encode, value)
  return good and text or error(good and err.message or error_text(text), 0)
end

-- The answer of a route: the function returns a text or a value for JSON, and perhaps a table with status and type; or nil and an error.
local function answer(id, value, options)
  if is_error(options) then
    error(value == nil and options or "the second result of a route must be a table with status and type", 0)
  end
  local status, kind = read_options(options or {})
  if type(value) == "string" then
    native.answer(id, status, kind or "text/plain; charset=utf-8", value)
  else
    native.answer(id, status, kind or "application/json", encode(value == nil and json.null or value))
  end
end

-- Calls f(...), which answers. Its error is the end of the call; `name` is for the log, "" = the plugin logs it elsewhere.
local function guard(id, name, f, ...)
  local good, err = pcall(f, ...)
  if not good then
    native.answer(id, 0, name, error_text(err))
  end
end

-- The plugin calls it for each request.
function host.serve(call)
  local f = routes[call.path]
  if not f then
    local why = ("the script '%s' has no route %s"):format(host.name, call.path)
    return answer(call.id, { Details = why, HttpStatus = 404 }, { status = 404 }) -- as Orthanc writes an error
  end
  guard(call.id, "route " .. call.path, function()
    local request = { method = call.method, path = call.path, query = call.query, headers = call.headers, body = native.body(call.id) }
    answer(call.id, f(request))
  end)
end

local function has(list, name)
  for _, one in ipairs(list) do
    if one == name then
      return true
    end
  end
end

--- Decides a filter of the server that the script's setting Filters names; the page of the plugin has the arguments and results of f. From
-- then on the script does not end by itself.
function host.filter(name, f)
  if not has(native.filter_names, name) then
    local close = type(name) == "string" and nearest(name, native.filter_names)
    error(("filter: there is no filter '%s'%s"):format(tostring(name), close and (", did you mean '%s'?"):format(close)
      or ("; the filters are %s"):format(table.concat(native.filter_names, ", "))), 2)
  elseif not has(native.filters, name) then
    error(("filter: the server does not ask for '%s', as the setting Filters of this script does not name it"):format(name), 2)
  elseif type(f) ~= "function" then
    error("filter: the second argument must be a function", 2)
  end
  stay()
  filters[name] = f
end

local got = 0 -- the number of the last event that a loop has got

--- An iterator over what the server does and does not write to its log of changes, from now on: { Type = "JobSuccess", "JobFailure",
-- "JobSubmitted", "Deleted", "UpdatedModalities" or "UpdatedPeers", Level =, ID = }. 10 000 of them wait for a slow script; then comes
-- { Type = "Lost", ID = how many }. Of two loops, the newer one gets them.
function host.events()
  local _, err = native.listen()
  if err then
    error("events: " .. err.message, 2)
  end
  return function()
    local event, why = native.next_event(got)
    if not event then
      error(why, 0)
    end
    got = event[1]
    return event[2]
  end
end

-- ---- how a filter decides: each returns the status of the answer (200: accept, 403: reject) and its text ----

local function decide(f, call)
  return f(call.first, call.second) and 200 or 403, ""
end

-- PS3.7 C.5: refused, not authorized. It stays so when the sender tries again.
local NOT_AUTHORIZED <const> = 0x0124

-- The function may answer with a DIMSE status, as in Orthanc's own Lua.
local function decide_c_store(f, call)
  local result = f(call.first, call.second)
  local status = result and 0 or NOT_AUTHORIZED
  if math.type(result) then
    status = math.tointeger(result)
    if not status or status < 0 or status > 0xFFFF then
      error(("a status of DIMSE must be a whole number from 0 to 0xFFFF (%s was returned)"):format(result), 0)
    end
  end
  return status == 0 and 200 or 403, tostring(status)
end

-- A query of C-FIND: { ["0010,0020"] = "4711" }.
local function check_query(query)
  for tag, value in pairs(query) do
    if type(tag) ~= "string" or not tag:find "^%x%x%x%x,%x%x%x%x$" or type(value) ~= "string" then
      error("the query must be a table of texts by their tags, such as { ['0010,0020'] = '4711' }", 0)
    end
  end
  return encode(query)
end

local function decide_find(f, call)
  local asked = json.decode(native.body(call.id))
  if type(asked) ~= "table" or type(asked.query) ~= "table" or type(asked.origin) ~= "table" then
    error("the request does not come from modalua_find_filter.lua", 0)
  end
  local result = f(asked.query, asked.origin)
  return result and 200 or 403, type(result) == "table" and check_query(result) or ""
end

local deciders <const> = { ReceivedCStoreInstance = decide_c_store, IncomingFindRequest = decide_find }

-- The plugin calls it for each decision.
function host.decide(call)
  guard(call.id, "", function()
    local f = filters[call.filter] or error(("the script has not called host.filter for %s"):format(call.filter), 0)
    local status, text = (deciders[call.filter] or decide)(f, call)
    native.answer(call.id, status, "", text)
  end)
end

return host
