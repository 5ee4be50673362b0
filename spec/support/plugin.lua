--- Starts Orthanc servers with the plugin, src/orthanc_plugin.
--
--   local server <close> = plugin.start(version, { scripts = { route = "print(1)", nightly = { source = "…", Every = "24h" } } })
--   server:state("route").State
--
-- Options: scripts (name -> source, or settings with `source`), settings (further ones of "Modalua"), and those of orthanc.start.
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local served = require "spec.support.served"

local plugin = {}

local LIBRARY <const> = assert(os.getenv "MODALUA_PLUGIN", "MODALUA_PLUGIN is not set: is the package orthanc-dev installed?")

local Plugged = {}

-- What it has not is the server's.
function Plugged:__index(key)
  local value = Plugged[key]
  if value ~= nil then
    return value
  end
  value = self.server[key]
  return type(value) == "function" and function(_, ...) return value(self.server, ...) end or value
end

function Plugged:close()
  self.server:close()
  os.execute("rm -rf -- " .. self.scripts)
end

Plugged.__close = Plugged.close

--- What GET /modalua/scripts says of a script.
function Plugged:state(name)
  for _, state in ipairs(assert(self.client:get "/modalua/scripts")) do
    if state.Name == name then
      return state
    end
  end
end

--- Whether a script is in a state.
function Plugged:is(name, state)
  return self:state(name).State == state
end

--- The text of its log, without the dates.
function Plugged:log_of(name)
  return (("\n" .. assert(self.client:get(("/modalua/scripts/%s/log"):format(name)))):gsub("\n%d+%-%d+%-%d+ %d+:%d+:%d+ ", "\n"):sub(2))
end

--- start, stop, restart or reload.
function Plugged:act(name, what)
  return self.client:post(("/modalua/scripts/%s/%s"):format(name, what), {})
end

--- The path of a script's file.
function Plugged:path(name)
  return ("%s/%s.lua"):format(self.scripts, name)
end

--- The lines of a file in the folder of the scripts, or nil.
function Plugged:lines(name)
  local file <close> = io.open(self.scripts .. "/" .. name)
  local list = {}
  for line in file and file:lines() or function() end do
    list[#list + 1] = line
  end
  return list
end

local function write_scripts(folder, scripts)
  local settings = {}
  for name, entry in pairs(scripts or {}) do
    local own = type(entry) == "table" and entry or { source = entry }
    local path = ("%s/%s.lua"):format(folder, name)
    served.write_file(path, (own.source:gsub("FOLDER", folder)))
    settings[name] = { Path = path }
    for key, value in pairs(own) do
      settings[name][key] = key ~= "source" and value or nil
    end
  end
  return settings
end

function plugin.start(version, options)
  local folder = served.folder "plugin"
  local settings = { Scripts = write_scripts(folder, options.scripts) }
  for key, value in pairs(options.settings or {}) do
    settings[key] = value
  end
  local own = { binary = version.binary, extra = { Plugins = { LIBRARY }, Modalua = settings } }
  for key, value in pairs(options) do
    own[key] = own[key] or value
  end
  for key, value in pairs(options.extra or {}) do
    own.extra[key] = value
  end
  local started, server = pcall(orthanc.start, own)
  if not started then
    os.execute("rm -rf -- " .. folder)
    error(server, 2)
  end
  return setmetatable({ server = server, scripts = folder, client = modalua.connect(server.url, { retries = 0 }) }, Plugged)
end

return plugin
