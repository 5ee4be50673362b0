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

local mutate = {}

local Proxy = {}
Proxy.__index = Proxy

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

--- Ends the program. Idempotent.
function Proxy:close()
  local pipe = self.pipe
  self.pipe = nil
  if pipe then
    pipe:close()
  end
end

Proxy.__close = Proxy.close

--- Starts a proxy from a free port of 127.0.0.1 to `port`. $MODALUA_MUTATE is the path of the program.
function mutate.start(port)
  local program = os.getenv "MODALUA_MUTATE"
  if not program or program == "" then
    error("MODALUA_MUTATE is not set: build the specs (cmake target mutate) and set it to the program's path", 2)
  end
  local pipe = assert(io.popen(("exec '%s' %d"):format(program:gsub("'", "'\\''"), port)))
  local own = pipe:read "n"
  if not own then
    pipe:close()
    error("cannot start " .. program, 2)
  end
  local url = ("http://127.0.0.1:%d"):format(own)
  return setmetatable({ pipe = pipe, port = own, url = url, control = modalua.connect(url) }, Proxy)
end

return mutate
