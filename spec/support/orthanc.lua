--- Starts and stops real Orthanc servers. spec/support/serve.c makes sure that they end when the spec ends.
--
--   local pacs <close> = orthanc.start { aet = "PACS" }
--   local servers <close> = orthanc.network { "LOCAL", "PACS", "ARCHIVE" }     -- servers.PACS.url and so on
--
-- Each server has a new temporary folder and free ports. It serves HTTP on loopback only, and accepts DICOM associations only from the
-- modalities in its configuration. The server and its files are removed when it is closed or garbage-collected, or when this process dies.
--
-- Does not need modalua.

local served = require "spec.support.served"

local orthanc = {}

--- Stands for [] in a configuration. An empty table stands for {}.
orthanc.empty_list = {}

local function exists(path)
  local file = io.open(path)
  return file and file:close()
end

local json

local function json_members(value)
  local members = {}
  for key, member in pairs(value) do
    members[#members + 1] = json(tostring(key)) .. ":" .. json(member)
  end
  table.sort(members)
  return "{" .. table.concat(members, ",\n") .. "}"
end

--- Encodes a number, boolean, string, sequence or table of members as JSON.
function json(value)
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(byte)
      return ("\\u%04x"):format(byte:byte())
    end) .. '"'
  elseif type(value) ~= "table" then
    return tostring(value)
  elseif #value == 0 and value ~= orthanc.empty_list then
    return json_members(value)
  end
  local items = {}
  for i, item in ipairs(value) do
    items[i] = json(item)
  end
  return "[" .. table.concat(items, ",") .. "]"
end

--- n free TCP ports, as a list.
orthanc.free_ports = served.free_ports

local Server = served.class()

-- RemoteAccessAllowed applies to HTTP only: the DICOM port listens on every interface. So the options DicomAlwaysAllow… and DicomCheck…
-- refuse every client that is not configured.
local function configuration(options, server)
  local config = {
    Name = server.aet,
    StorageDirectory = server.folder .. "/db",
    IndexDirectory = server.folder .. "/db",
    HttpPort = server.http_port,
    DicomPort = server.dicom_port,
    DicomAet = server.aet,
    DicomModalities = options.modalities or {},
    RemoteAccessAllowed = false,
    AuthenticationEnabled = options.users ~= nil,
    RegisteredUsers = options.users or {},
    DicomAlwaysAllowEcho = false,
    DicomAlwaysAllowStore = false,
    DicomAlwaysAllowFind = false,
    DicomAlwaysAllowFindWorklist = false,
    DicomAlwaysAllowGet = false,
    DicomAlwaysAllowMove = false,
    DicomCheckCalledAet = true,
    DicomCheckModalityHost = true,
    DicomScuTimeout = 60, -- a busy machine takes its time
    Plugins = orthanc.empty_list,
  }
  for key, value in pairs(options.extra or {}) do
    config[key] = value
  end
  return json(config)
end

local function binary(options)
  local installed = "/usr/sbin/Orthanc" -- this folder is not on the PATH of every user
  return options.binary or exists(installed) and installed or "Orthanc"
end

local function make(options)
  local ports = options.http_port and options.dicom_port and {} or orthanc.free_ports(2)
  local folder = served.folder "orthanc"
  local server = Server {
    aet = options.aet or "ORTHANC",
    http_port = options.http_port or ports[1],
    dicom_port = options.dicom_port or ports[2],
    folder = folder,
    log = folder .. "/log",
    binary = binary(options),
  }
  server.url = ("http://127.0.0.1:%d"):format(server.http_port)
  server.served = {
    name = "Orthanc",
    command = { server.binary, folder .. "/orthanc.json", options.verbose and "--verbose" or nil },
    environment = (options.slow_dicom and "-u TCP_NODELAY" or "TCP_NODELAY=1") .. " " .. (options.environment or ""),
    port = server.http_port,
    timeout = options.timeout or 120,
  }
  served.write_file(folder .. "/orthanc.json", configuration(options, server))
  return server
end

--- Starts a server and waits until it accepts connections. All options have defaults:
--    aet          its AE title
--    modalities   name -> { AET, host, port }, or a table of the settings that Orthanc knows
--    users        name -> password; by default the server needs no authentication
--    extra        further entries of the configuration; they replace the defaults
--    http_port, dicom_port, timeout (seconds until it must accept connections), binary
--    verbose      the log has a line for each request and for each cancelled job: for :count_logged
--    environment  further variables of its environment, such as "TZDIR=/tmp"
--    slow_dicom   leaves Nagle's algorithm on: then each DICOM exchange takes some 90 ms
-- Fields: url http_port dicom_port aet folder log pid. Methods: those below, and signal, stop, start_again and close of
-- spec/support/served.lua.
function orthanc.start(options)
  options = options or {}
  local server = served.start(function() return make(options) end, options.http_port)
  return server
end

local Network = {}
Network.__index = Network

function Network:close()
  for _, server in pairs(self) do
    server:close()
  end
end

Network.__close = Network.close

--- Starts a server for each AE title. Each server has all of them, itself too, as modalities. A modality is named names[title], or else the
-- title in lower case. `options` are options of orthanc.start for every server. Returns a table from title to server; closing the table
-- closes all servers.
function orthanc.network(titles, options, names)
  local ports, modalities, servers = orthanc.free_ports(2 * #titles), {}, setmetatable({}, Network)
  for i, title in ipairs(titles) do
    modalities[names and names[title] or title:lower()] = { title, "127.0.0.1", ports[2 * i] }
  end
  for i, title in ipairs(titles) do
    local own = { aet = title, modalities = modalities, http_port = ports[2 * i - 1], dicom_port = ports[2 * i] }
    local started, server = pcall(orthanc.start, setmetatable(own, { __index = options }))
    if not started then
      servers:close()
      error(server, 2)
    end
    servers[title] = server
  end
  return servers
end

--- Counts the connections with received bytes that the server has not read yet. Use it while the server is stopped by a signal: the kernel
-- still receives requests, and this function shows when they have arrived.
function Server:unread_requests()
  local port, n = ("^ *%%d+: %%x+:%04X %%x+:%%x+ 01 %%x+:(%%x+)"):format(self.http_port), 0
  for line in io.lines "/proc/net/tcp" do
    local unread = line:match(port)
    n = n + (unread and tonumber(unread, 16) > 0 and 1 or 0)
  end
  return n
end

--- Counts how often a text (not a pattern) is in the server's log. The lines "Canceling job: ID" and "(http) GET /changes" need the option
-- `verbose`.
function Server:count_logged(text)
  local file <close> = assert(io.open(self.log))
  return select(2, file:read("a"):gsub(text:gsub("%p", "%%%0"), ""))
end

--- The entry for this server in the DicomModalities of another one.
function Server:modality()
  return { self.aet, "127.0.0.1", self.dicom_port }
end

return orthanc
