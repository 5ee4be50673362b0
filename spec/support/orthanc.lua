--- Starts and stops real Orthanc servers; spec/support/serve.c is what keeps them from outliving a spec.
--
--   local pacs <close> = orthanc.start { aet = "PACS" }
--   local servers <close> = orthanc.network { "LOCAL", "PACS", "ARCHIVE" }     -- servers.PACS.url and so on
--
-- Each has a fresh temporary folder, free ports, HTTP on loopback only, and answers DICOM only to the modalities
-- it was given. Nothing is left of them when they are closed or collected, or when this process dies.
--
-- Needs no modalua.

local served = require "spec.support.served"

local orthanc = {}

--- Stands for [] in a configuration: an empty table is {}.
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

--- A number, boolean, string, sequence or table of members as JSON text.
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

-- DICOM's port listens on every interface, whatever RemoteAccessAllowed says: so strangers are refused there.
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
    DicomScuTimeout = 5,
    Plugins = orthanc.empty_list,
  }
  for key, value in pairs(options.extra or {}) do
    config[key] = value
  end
  return json(config)
end

local function binary(options)
  local installed = "/usr/sbin/Orthanc" -- not on everybody's PATH
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
    environment = options.slow_dicom and "-u TCP_NODELAY" or "TCP_NODELAY=1",
    port = server.http_port,
    timeout = options.timeout or 30,
  }
  served.write_file(folder .. "/orthanc.json", configuration(options, server))
  return server
end

--- Starts a server and waits until it can be talked to. All options have defaults:
--    aet          its AE title
--    modalities   name -> { AET, host, port } or the settings that Orthanc takes
--    users        name -> password; without them no authentication
--    extra        further configuration, over the defaults
--    http_port, dicom_port, timeout (seconds to come up), binary
--    verbose      its log tells of each request and of each job's cancel: for :count_logged
--    slow_dicom   leave Nagle's algorithm on: each DICOM exchange then costs some 90 ms
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

--- Starts a server for each AE title. Every one of them has them all as modalities, itself too, under their titles in
-- lower case, or names[title]. `options` are those of start, for all. Gives a table by title, which closes as a whole.
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

--- How many connections have a request that the kernel has taken from the network, and that the server, which is stopped, has not read.
function Server:unread_requests()
  local port, n = ("^ *%%d+: %%x+:%04X %%x+:%%x+ 01 %%x+:(%%x+)"):format(self.http_port), 0
  for line in io.lines "/proc/net/tcp" do
    local unread = line:match(port)
    n = n + (unread and tonumber(unread, 16) > 0 and 1 or 0)
  end
  return n
end

--- How often its log has this text, which is no pattern. "Canceling job: ID" and "(http) GET /changes" are logged by a verbose one.
function Server:count_logged(text)
  local file <close> = assert(io.open(self.log))
  return select(2, file:read("a"):gsub(text:gsub("%p", "%%%0"), ""))
end

--- What another server's DicomModalities says of this one.
function Server:modality()
  return { self.aet, "127.0.0.1", self.dicom_port }
end

return orthanc
