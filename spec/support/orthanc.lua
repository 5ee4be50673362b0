--- Starts and stops real Orthanc servers; spec/support/serve.c is what keeps them from outliving a spec.
--
--   local pacs <close> = orthanc.start { aet = "PACS" }
--   local servers <close> = orthanc.network { "LOCAL", "PACS", "ARCHIVE" }     -- servers.PACS.url and so on
--
-- Each has a fresh temporary folder, free ports, HTTP on loopback only, and answers DICOM only to the modalities
-- it was given. Nothing is left of them when they are closed or collected, or when this process dies.
--
-- Needs no modalua.

local orthanc = {}

--- Stands for [] in a configuration: an empty table is {}.
orthanc.empty_list = {}

local ATTEMPTS = 3 -- a free port may be taken before the server has it

local function shell_quoted(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function program()
  local path = os.getenv "MODALUA_SERVE"
  if not path or path == "" then
    error("MODALUA_SERVE is not set: build the specs (cmake target serve) and set it to the program's path", 0)
  end
  return shell_quoted(path)
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  return assert(pipe:close() and text, command .. " failed")
end

local function write_file(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

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
function orthanc.free_ports(n)
  local ports = {}
  for line in output_of(("exec %s --free-ports %d"):format(program(), n)):gmatch "%d+" do
    ports[#ports + 1] = math.tointeger(line)
  end
  return ports
end

local Server = {}
Server.__index = Server

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

-- True, or false and why.
local function launch(server)
  local nagle = server.slow_dicom and "-u TCP_NODELAY" or "TCP_NODELAY=1"
  local environment = ("%s SERVE_GRACE=0 SERVE_LOG=%s SERVE_REMOVE=%s"):format(
    nagle, shell_quoted(server.log), shell_quoted(server.folder))
  local command = ("exec env %s %s %d %g -- %s %s 2>&1"):format(environment, program(), server.http_port,
    server.timeout, shell_quoted(server.binary), shell_quoted(server.folder .. "/orthanc.json"))
  local pipe = assert(io.popen(command))
  local answer = pipe:read "l"
  if answer ~= "ready" then
    local why = ("%s\n%s"):format(answer, pipe:read "a")
    pipe:close()
    return false, why
  end
  server.pid = math.tointeger(pipe:read("l"):match "%d+")
  server.pipe = pipe
  return true
end

local function start_once(options)
  local ports = options.http_port and options.dicom_port and {} or orthanc.free_ports(2)
  local folder = output_of 'exec mktemp -d "${TMPDIR:-/tmp}/orthanc-XXXXXX"':gsub("\n$", "")
  local server = setmetatable({
    aet = options.aet or "ORTHANC",
    http_port = options.http_port or ports[1],
    dicom_port = options.dicom_port or ports[2],
    folder = folder,
    log = folder .. "/log",
    binary = binary(options),
    timeout = options.timeout or 30,
    slow_dicom = options.slow_dicom,
  }, Server)
  server.url = ("http://127.0.0.1:%d"):format(server.http_port)
  write_file(folder .. "/orthanc.json", configuration(options, server))
  local ready, why = launch(server)
  return ready and server, why
end

--- Starts a server and waits until it can be talked to. All options have defaults:
--    aet          its AE title
--    modalities   name -> { AET, host, port } or the settings that Orthanc takes
--    users        name -> password; without them no authentication
--    extra        further configuration, over the defaults
--    http_port, dicom_port, timeout (seconds to come up), binary
--    slow_dicom   leave Nagle's algorithm on: each DICOM exchange then costs some 90 ms
-- Fields: url http_port dicom_port aet folder log pid.
function orthanc.start(options)
  options = options or {}
  local server, why
  for _ = 1, options.http_port and 1 or ATTEMPTS do
    server, why = start_once(options)
    if server or not why:find("in use", 1, true) then
      break
    end
  end
  return server or error("Orthanc does not start: " .. why, 2)
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

--- What another server's DicomModalities says of this one.
function Server:modality()
  return { self.aet, "127.0.0.1", self.dicom_port }
end

--- Sends a signal to Orthanc itself: "STOP" makes it mute (the kernel still accepts connections), "CONT" undoes that.
function Server:signal(name)
  return os.execute(("kill -%s %d"):format(name, self.pid))
end

local function let_go(server)
  local pipe = server.pipe
  server.pipe = nil
  if pipe then
    pipe:close()
  end
end

--- Ends Orthanc, and keeps its folder and ports for start_again. In good order by default; "KILL" is a power cut.
function Server:stop(signal)
  if self.pipe then
    write_file(self.folder .. "/keep", "")
    self:signal(signal or "TERM")
    self.pipe:read "a" -- until serve has seen it end
    let_go(self)
  end
end

--- Starts it where it was stopped.
function Server:start_again()
  os.remove(self.folder .. "/keep")
  local ready, why = launch(self)
  return ready or error("Orthanc does not start again: " .. why, 2)
end

--- Ends it at once and removes its folder. Idempotent.
function Server:close()
  local stopped = not self.pipe
  let_go(self)
  if stopped and self.folder then
    os.execute("rm -rf -- " .. shell_quoted(self.folder))
  end
  self.folder = nil
end

Server.__close = Server.close

return orthanc
