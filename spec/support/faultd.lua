--- Starts and stops faultd, the HTTP server that misbehaves on request; spec/support/faultd.c lists what it can do.
--
--   local server <close> = faultd.start()
--   client = modalua.connect(server.url)           -- server.port is the number alone
--   client:get(faultd.route("/status", { code = 500, body = recorded }))
--
-- A mapping gives a path of Orthanc one of these behaviours. Mappings can be given at the start:
--   faultd.start { { path = "/modalities/pacs/echo", method = "POST", times = 1, to = faultd.route("/drop") }, … }
-- or later, with a request to faultd.map { … }.
--
-- Does not need modalua. The program ends when the server is closed or garbage-collected, or when this process dies.
local peer = require "spec.support.peer"

local faultd = {}

local Server = peer.class()

--- Percent-encodes every character that has a special meaning in a query string.
function faultd.escape(text)
  return (tostring(text):gsub("[^%w%-._~/]", function(byte)
    return ("%%%02X"):format(byte:byte())
  end))
end

local function query(parameters)
  local parts = {}
  for name, value in pairs(parameters) do
    parts[#parts + 1] = name .. "=" .. faultd.escape(value)
  end
  table.sort(parts)
  return table.concat(parts, "&")
end

--- Returns the path and query of a behaviour: route("/delay", { s = 0.5 }) is "/delay?s=0.5".
function faultd.route(path, parameters)
  local text = query(parameters or {})
  return text == "" and path or path .. "?" .. text
end

--- Returns the path of the request that maps a path: { path =, to =, method =, times = }. Without `to` the request removes the mapping.
function faultd.map(mapping)
  return faultd.route("/map", mapping)
end

--- Starts a server on a free port of 127.0.0.1. $MODALUA_FAULTD is the path of the program.
function faultd.start(mappings)
  local arguments = {}
  for i, mapping in ipairs(mappings or {}) do
    arguments[i] = query(mapping)
  end
  local server = peer.start(Server, "faultd", arguments)
  return server -- no tail call: an error of peer.start names the line of the caller
end

return faultd
