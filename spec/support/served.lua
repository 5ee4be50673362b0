--- The parts that all real servers of the specs share: a temporary folder, free ports, and starting the program through
-- spec/support/serve.c, which ends it when the spec ends.
--
--   local Server = served.class()                  -- its objects have signal, stop, start_again and close
--   local server = served.start(function() return Server { … } end)
--
-- Does not need modalua.

local served = {}

local ATTEMPTS = 3 -- another program may take a free port before the server binds it

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

--- Runs a shell command and returns what it printed. Throws an error if the command fails.
function served.output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  return assert(pipe:close() and text, command .. " failed")
end

--- Returns the contents of a file, or nil when it cannot be opened.
function served.read_file(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

function served.write_file(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

--- Makes a new temporary folder and returns its path.
function served.folder(name)
  return (served.output_of(('exec mktemp -d "${TMPDIR:-/tmp}/%s-XXXXXX"'):format(name)):gsub("\n$", ""))
end

--- Returns a list of arguments quoted for the shell, with spaces between them.
function served.quoted(words)
  local quoted = {}
  for i, word in ipairs(words) do
    quoted[i] = shell_quoted(word)
  end
  return table.concat(quoted, " ")
end

--- n free TCP ports, as a list.
function served.free_ports(n)
  local ports = {}
  for line in served.output_of(("exec %s --free-ports %d"):format(program(), n)):gmatch "%d+" do
    ports[#ports + 1] = math.tointeger(line)
  end
  return ports
end

-- Starts the program of a server. Returns true, or false and the reason.
local function launch(server)
  local run = server.served
  local environment = ("%s SERVE_GRACE=0 SERVE_LOG=%s SERVE_REMOVE=%s"):format(
    run.environment, shell_quoted(server.log), shell_quoted(server.folder))
  local command = ("exec env %s %s %d %g -- %s 2>&1"):format(environment, program(), run.port, run.timeout,
    served.quoted(run.command))
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

--- Starts the server that make() returns. The server has the fields folder, log, and
--    served = { name =, command = list of arguments, environment = arguments of env(1),
--               port = the port on which it will accept connections, timeout = seconds until it must accept them }
-- If another program has taken the port meanwhile, calls make() again for a server with another port, unless the port is `fixed`.
function served.start(make, fixed)
  local server, ready, why
  for _ = 1, fixed and 1 or ATTEMPTS do
    server = make()
    ready, why = launch(server)
    if ready or not why:find("in use", 1, true) then
      break
    end
  end
  return ready and server or error(server.served.name .. " does not start: " .. why, 3)
end

local Server = {}

--- Sends a signal to the server. "STOP" suspends it (the kernel still accepts connections for it), "CONT" resumes it. The signal goes to
-- the process group, because some servers handle each association in a separate process.
function Server:signal(name)
  return os.execute(("kill -s %s -- -%d"):format(name, self.pid))
end

local function close_pipe(server)
  local pipe = server.pipe
  server.pipe = nil
  if pipe then
    pipe:close()
  end
end

--- Ends the server, and keeps its folder and ports for start_again. The default signal lets it shut down in good order; "KILL" simulates a
-- power failure.
function Server:stop(signal)
  if self.pipe then
    served.write_file(self.folder .. "/keep", "")
    self:signal(signal or "TERM")
    self.pipe:read "a" -- ends when serve has noticed that the server ended
    close_pipe(self)
  end
end

--- Starts the server again after stop, with the same folder and ports.
function Server:start_again()
  os.remove(self.folder .. "/keep")
  local ready, why = launch(self)
  return ready or error(self.served.name .. " does not start again: " .. why, 2)
end

--- Kills the server and removes its folder. Idempotent.
function Server:close()
  local stopped = not self.pipe
  close_pipe(self)
  if stopped and self.folder then
    os.execute("rm -rf -- " .. shell_quoted(self.folder))
  end
  self.folder = nil
end

--- Returns a new class of servers, to which the caller can add methods. Calling the class with a table of fields makes an object.
function served.class()
  local class = { __close = Server.close }
  class.__index = class
  for name, method in pairs(Server) do
    class[name] = method
  end
  return setmetatable(class, { __call = function(_, fields) return setmetatable(fields, class) end })
end

return served
