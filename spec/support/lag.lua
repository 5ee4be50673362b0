--- Adds network latency between a client and a server of this machine; spec/support/lag.c says what it simulates.
--
--   local far <close> = lag.start(server.http_port, 50)     -- 50 ms each way: a round trip takes 0.1 s, a new connection's first 0.2 s
--   client = modalua.connect(far.url)                       -- far.port is the number alone
--
-- Does not need modalua. The program ends when the proxy is closed or garbage-collected, or when this process dies.

local lag = {}

local Proxy = {}
Proxy.__index = Proxy

--- Ends the program and its connections. Idempotent.
function Proxy:close()
  local pipe = self.pipe
  self.pipe = nil
  if pipe then
    pipe:close()
  end
end

Proxy.__close = Proxy.close

--- Starts a proxy from a free port of 127.0.0.1 to `port`. $MODALUA_LAG is the path of the program.
function lag.start(port, milliseconds)
  local program = os.getenv "MODALUA_LAG"
  if not program or program == "" then
    error("MODALUA_LAG is not set: build the specs (cmake target lag) and set it to the program's path", 2)
  end
  local pipe = assert(io.popen(("exec '%s' %d %.3f"):format(program:gsub("'", "'\\''"), port, milliseconds)))
  local own = pipe:read "n"
  if not own then
    pipe:close()
    error("cannot start " .. program, 2)
  end
  return setmetatable({ pipe = pipe, port = own, url = ("http://127.0.0.1:%d"):format(own) }, Proxy)
end

return lag
