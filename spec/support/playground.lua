--- A playground that stays for a whole spec: `modalua playground` in the background, which runs this file and waits.
--
--   local play <close> = playground.start()
--   local result = play:shell [["$M" scripts/echo_all.lua]]     as command.shell, with the playground's server as the default one
--   play.servers.archive:get "/statistics"                      clients of modalua
--
-- The scripts run outside of the playground, as they do with a user's own servers: they get no values for it.
local command = require "spec.support.command"
local json = require "modalua.json"
local modalua = require "modalua"
local served = require "spec.support.served"

local playground = {}

local Playground = {}
Playground.__index = Playground

local NAMES = { "local", "pacs", "archive" }

-- Runs inside of the playground.
local HOLD = [[
  local file = assert(io.open(arg[1] .. "/ready", "w"))
  file:close()
  io.read() -- until the spec closes the pipe
]]

--- The URL and the credentials of each server of the playground of which `folder` is the TMPDIR, from the servers' configuration files.
function playground.addresses(folder)
  local list = {}
  for _, name in ipairs(NAMES) do
    local config = assert(json.decode(served.output_of(("cat '%s'/modalua-playground-*/%s.json"):format(folder, name))))
    list[name] = { url = "http://127.0.0.1:" .. config.HttpPort, username = "modalua", password = config.RegisteredUsers.modalua }
  end
  return list
end

--- Starts one, and waits until its servers answer.
function playground.start()
  local folder = served.folder "play"
  served.write_file(folder .. "/hold.lua", HOLD)
  local line = ("TMPDIR=%s XDG_CONFIG_HOME=/nowhere exec %s playground %s/hold.lua %s"):format(folder, command.quote(command.path), folder,
    folder)
  local self = setmetatable({ folder = folder, pipe = assert(io.popen(line, "w")) }, Playground)
  served.output_of(("for i in $(seq 3000); do [ -e %s/ready ] && exit 0; sleep 0.1; done; exit 1"):format(folder))
  self.addresses, self.servers = playground.addresses(folder), {}
  for name, address in pairs(self.addresses) do
    self.servers[name] = modalua.connect(address)
  end
  return self
end

--- Runs a shell line, as command.shell does.
function Playground:shell(line)
  local address = self.addresses["local"]
  return command.shell(("export MODALUA_URL=%s MODALUA_USERNAME=%s MODALUA_PASSWORD=%s; %s"):format(address.url, address.username,
    address.password, line))
end

--- Ends the playground, and removes its folder. Idempotent.
function Playground:close()
  if self.pipe then
    self.pipe:close()
    self.pipe = nil
    served.output_of("exec rm -rf -- " .. served.quoted { self.folder })
  end
end

Playground.__close = Playground.close

return playground
