-- modalua.host: what the plugin gives its scripts beside modalua itself. `modalua_native` has the plugin's functions.
local native = modalua_native
modalua_native = nil -- luacheck: ignore 111

local json = require "modalua.json"
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

-- The answer of a route: the function returns a text or a value for JSON, and perhaps a table with status and type.
local function answer(id, value, options)
  local body, kind = value, "text/plain; charset=utf-8"
  if type(value) ~= "string" then
    body, kind = json.encode(value == nil and json.null or value), "application/json"
  end
  options = options or {}
  native.answer(id, options.status or 200, options.type or kind, body)
end

-- The plugin calls it for each request.
function host.serve(call)
  local f = routes[call.path]
  if not f then
    return answer(call.id, { Message = ("the script '%s' has no route %s"):format(host.name, call.path) }, { status = 404 })
  end
  local request = { method = call.method, path = call.path, query = call.query, headers = call.headers, body = native.body(call.id) }
  answer(call.id, f(request))
end

--- Decides a filter of the server that the script's setting Filters names: f(tags, origin) for "ReceivedInstance", f(request) for
-- "IncomingHttpRequest". True (or any value but nil and false) accepts. From then on the script does not end by itself.
function host.filter(name, f)
  if name ~= "ReceivedInstance" and name ~= "IncomingHttpRequest" then
    error("filter: the name must be 'ReceivedInstance' or 'IncomingHttpRequest'", 2)
  elseif type(f) ~= "function" then
    error("filter: the second argument must be a function", 2)
  end
  stay()
  filters[name] = f
end

--- An iterator over what the server does and does not write to its log of changes, from now on: { Type = "JobSuccess", "JobFailure",
-- "JobSubmitted", "Deleted", "UpdatedModalities" or "UpdatedPeers", Level =, ID = }. 10 000 of them wait for a slow script; then comes
-- { Type = "Lost", ID = how many }.
function host.events()
  local _, err = native.listen()
  if err then
    error("events: " .. err.message, 2)
  end
  return function()
    local event, why = native.next_event()
    return event or error(why, 0)
  end
end

-- The plugin calls it for each decision.
function host.decide(call)
  local f = filters[call.filter] or error(("the script has not called host.filter for %s"):format(call.filter), 0)
  native.answer(call.id, f(call.first, call.second) and 200 or 403, "", "")
end

return host
