--- Adds network latency between a client and a server of this machine; spec/support/lag.c says what it simulates.
--
--   local far <close> = lag.start(server.http_port, 50)     -- 50 ms each way: a round trip takes 0.1 s, a new connection's first 0.2 s
--   client = modalua.connect(far.url)                       -- far.port is the number alone
--
-- Does not need modalua. The program ends when the proxy is closed or garbage-collected, or when this process dies.
local peer = require "spec.support.peer"

local lag = {}

local Proxy = peer.class()

--- Starts a proxy from a free port of 127.0.0.1 to `port`. $MODALUA_LAG is the path of the program.
function lag.start(port, milliseconds)
  local proxy = peer.start(Proxy, "lag", { port, ("%.3f"):format(milliseconds) })
  return proxy -- no tail call: an error of peer.start names the line of the caller
end

return lag
