--- Starts and stops a real PostgreSQL server, as spec/support/orthanc.lua does with Orthanc.
--
--   local server <close> = postgres.start()
--   local db = native.open(server.url)
--
-- Its data is in a new temporary folder, and it listens on a free port of loopback only. PostgreSQL refuses to run as root: then it runs as
-- the user `postgres` of Debian's package. It ends with the spec, also when that is killed.
--
-- Does not need modalua.

local served = require "spec.support.served"

local postgres = {}

local Server = served.class()

-- PostgreSQL's programs are not on the PATH: each version has a folder.
local function program(name)
  return served.output_of(("ls -d /usr/lib/postgresql/*/bin/%s | sort -V | tail -n 1"):format(name)):gsub("\n", "")
end

-- Returns a command that runs as a user who is not root. The kernel forgets the signal of a parent's end when the user changes.
local function unprivileged(words)
  if served.output_of "exec id -u" ~= "0\n" then
    return words
  end
  local command = { "setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--pdeathsig=KILL", "--" }
  return table.move(words, 1, #words, #command + 1, command)
end

local CONFIGURATION = [[
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = ''
fsync = off
shared_buffers = 16MB
dynamic_shared_memory_type = mmap
max_connections = 30
logging_collector = off
]]

-- Makes the folder of a server. One folder serves all attempts to find a free port.
local function make_data(folder, options)
  local data, secret = folder .. "/data", folder .. "/password"
  local words = { program "initdb", "--pgdata=" .. data, "--username=modalua", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
    "--auth=" .. (options.password and "scram-sha-256" or "trust") }
  served.output_of(("chmod 711 %s && mkdir -m 700 %s"):format(served.quoted { folder }, served.quoted { data }))
  served.write_file(secret, options.password or "none")
  if options.password then
    words[#words + 1] = "--pwfile=" .. secret
  end
  if unprivileged {}[1] then
    served.output_of("exec chown postgres: " .. served.quoted { data, secret })
  end
  served.output_of(served.quoted(unprivileged(words)) .. " 2>&1")
  return data
end

--- Starts a server and waits until it serves clients. All options have defaults:
--    password   of the user `modalua`; by default there is none
-- Fields: url port folder log pid. Methods: those below, and close of spec/support/served.lua.
function postgres.start(options)
  options = options or {}
  local folder = served.folder "postgres"
  local data = make_data(folder, options)
  local server = served.start(function()
    local port = served.free_ports(1)[1]
    local file <close> = assert(io.open(data .. "/postgresql.auto.conf", "w"))
    assert(file:write(CONFIGURATION:format(port)))
    return Server {
      port = port,
      folder = folder,
      data = data,
      log = folder .. "/log",
      password = options.password,
      url = ("postgresql://modalua@127.0.0.1:%d/postgres"):format(port),
      served = { name = "PostgreSQL", command = unprivileged { program "postgres", "-D", data }, environment = "-u PGPASSWORD", port = port,
        timeout = 60 },
    }
  end)
  server:wait_until_ready()
  return server
end

--- It accepts connections before it serves them.
function Server:wait_until_ready()
  served.output_of(("exec timeout 60 sh -c 'until pg_isready -q -h 127.0.0.1 -p %d; do sleep 0.02; done'"):format(self.port))
end

--- The processes of the server: a list of numbers. Each connection has one.
function Server:processes()
  local list = { self.pid }
  local file <close> = io.open(("/proc/%d/task/%d/children"):format(self.pid, self.pid))
  for pid in (file and file:read "a" or ""):gmatch "%d+" do
    list[#list + 1] = math.tointeger(pid)
  end
  return list
end

--- Sends a signal to all processes of the server. "STOP" suspends it: the kernel still accepts connections for it. "CONT" resumes it.
function Server:signal(name)
  return os.execute(("kill -s %s %s 2>/dev/null"):format(name, table.concat(self:processes(), " "))) -- some may have ended meanwhile
end

--- Ends the server, and keeps its data and port for start_again. By default it breaks the connections and shuts down in good order; "KILL"
-- simulates a crash.
function Server:stop(name)
  served.write_file(self.folder .. "/keep", "")
  if name then
    self:signal "STOP" -- no process begins any more: one that outlived the others would keep the shared memory, and the next start fails
    self:signal(name)
  else
    served.output_of(("exec kill -s INT %d"):format(self.pid))
  end
  self.pipe:read "a" -- ends when serve has noticed that the server ended
  self.pipe:close()
  self.pipe = nil
end

local start_again = Server.start_again

--- Starts the server again after stop, with the same data and port.
function Server:start_again()
  start_again(self)
  self:wait_until_ready()
end

--- Counts how often a text (not a pattern) is in the server's log.
function Server:count_logged(text)
  local file <close> = assert(io.open(self.log))
  return select(2, file:read("a"):gsub(text:gsub("%p", "%%%0"), ""))
end

local close = Server.close

--- Ends the server and removes its data. Idempotent. It shuts down in good order: a killed server leaves a piece of shared memory.
function Server:close()
  if self.pipe then
    self:signal "CONT"
    self:stop()
  end
  close(self)
end

Server.__close = Server.close

--- Runs SQL with the program psql. Returns what it prints: a line for each row, with | between the columns.
function Server:psql(sql)
  return (served.output_of(("PGPASSWORD=%s exec psql -XAtq -v ON_ERROR_STOP=1 %s -c %s"):format(self.password or "none",
    served.quoted { self.url }, served.quoted { sql })):gsub("\n$", ""))
end

return postgres
