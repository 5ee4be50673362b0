--- What every real server of a spec needs: a temporary folder, free ports, and a life that spec/support/serve.c ends with the spec's.
--
--   local Server = served.class()                  -- its objects have signal, stop, start_again and close
--   local server = served.start(function() return Server { … } end)
--
-- Needs no modalua.

local served = {}

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

--- What a shell command prints.
function served.output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  return assert(pipe:close() and text, command .. " failed")
end

function served.write_file(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

--- A new temporary folder.
function served.folder(name)
  return (served.output_of(('exec mktemp -d "${TMPDIR:-/tmp}/%s-XXXXXX"'):format(name)):gsub("\n$", ""))
end

--- Words quoted for the shell.
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

-- True, or false and why.
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

--- Starts what `make` gives, a server with the fields folder, log, and
--    served = { name =, command = words, environment = what env(1) takes, port = that it will accept connections on,
--               timeout = seconds until then }
-- Asks for another if its port has meanwhile been taken, unless the port is `fixed`.
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

--- Sends a signal to the server: "STOP" makes it mute (the kernel still accepts connections), "CONT" undoes that.
function Server:signal(name)
  return os.execute(("kill -s %s -- -%d"):format(name, self.pid)) -- its group: some serve each peer in a process of its own
end

local function let_go(server)
  local pipe = server.pipe
  server.pipe = nil
  if pipe then
    pipe:close()
  end
end

--- Ends it, and keeps its folder and ports for start_again. In good order by default; "KILL" is a power cut.
function Server:stop(signal)
  if self.pipe then
    served.write_file(self.folder .. "/keep", "")
    self:signal(signal or "TERM")
    self.pipe:read "a" -- until serve has seen it end
    let_go(self)
  end
end

--- Starts it where it was stopped.
function Server:start_again()
  os.remove(self.folder .. "/keep")
  local ready, why = launch(self)
  return ready or error(self.served.name .. " does not start again: " .. why, 2)
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

--- A class of servers, to which the caller adds methods. An object is made by calling it with a table of fields.
function served.class()
  local class = { __close = Server.close }
  class.__index = class
  for name, method in pairs(Server) do
    class[name] = method
  end
  return setmetatable(class, { __call = function(_, fields) return setmetatable(fields, class) end })
end

return served
