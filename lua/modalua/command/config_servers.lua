-- command.config_servers: the servers that the user's configuration file names, read without their secrets being asked for.
local config_servers = {}

local MOST <const> = 1 << 16 -- bytes

-- Returns the table of servers by their names, and the name of the default one, or nil. `path`: the file, or nil. A file that cannot be
-- used has none: modalua.connect says what is wrong with it.
function config_servers.read(path)
  local file = path and io.open(path, "rb")
  local code = file and file:read(MOST) or ""
  if file then
    file:close()
  end
  local chunk = load(code:gsub("^\xEF\xBB\xBF", ""), "=", "t", {})
  local good, config = pcall(chunk or error)
  if not (good and type(config) == "table" and type(config.servers) == "table") then
    return {}
  end
  local only = next(config.servers)
  return config.servers, config.default or next(config.servers, only) == nil and only or nil
end

return config_servers
