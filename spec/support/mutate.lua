--- Starts and stops mutate, the proxy before a real Orthanc that changes one answer in one way; spec/support/mutate.c describes it.
--
--   local proxy <close> = mutate.start(server.http_port)
--   client = modalua.connect(proxy.url)
--   proxy:record()                    -- nothing is changed
--   client:modality "pacs":echo()
--   proxy:log().exchanges             -- what was asked, with the places of each answer
--   proxy:set { method = "POST", route = "/modalities/pacs/echo", nth = 1, change = "cut-half" }
--   proxy:set { …, place = "/ID", change = "null" }
--   proxy:log().changed               -- how many answers were changed
--
-- The program ends when the proxy is closed or garbage-collected, or when this process dies.
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local peer = require "spec.support.peer"

local mutate = {}

local Proxy = peer.class()

local function control(proxy, route, parameters)
  return assert(proxy.control:get(faultd.route("/mutate/" .. route, parameters)))
end

--- Changes the answers that `change` chooses, from now on. Forgets the log.
function Proxy:set(change)
  control(self, "set", change)
end

--- Changes nothing from now on, and logs the places of each answer. Forgets the log.
function Proxy:record()
  control(self, "record")
end

function Proxy:log()
  return control(self, "log")
end

--- The names of all changes: { place = list, answer = list }.
function Proxy:changes()
  return control(self, "changes")
end

--- Starts a proxy from a free port of 127.0.0.1 to `port`. $MODALUA_MUTATE is the path of the program.
function mutate.start(port)
  local proxy = peer.start(Proxy, "mutate", { port })
  proxy.control = modalua.connect(proxy.url)
  return proxy
end

return mutate
