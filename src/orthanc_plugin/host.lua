-- modalua.host: what the plugin gives its scripts beside modalua itself. `modalua_native` has the plugin's functions.
local native = modalua_native
modalua_native = nil -- luacheck: ignore 111

local json = require "modalua.json"
local task = require "modalua.task"

local host = { name = native.name }
local routes = {} -- path -> function

--- Registers a route of this script: GET (or POST, …) /modalua/routes/NAME/PATH of the server calls f(request), as a task. From then on the
-- script does not end by itself.
function host.route(path, f)
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    error("route: the path must be a text that begins with '/'", 2)
  elseif type(f) ~= "function" then
    error("route: the second argument must be a function", 2)
  elseif not next(routes) then
    task.spawn(function()
      while true do
        task.sleep(3600)
      end
    end)
  end
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

return host
