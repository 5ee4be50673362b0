-- command.verbs.version: the version of modalua.
local require = ...
local modalua = require "modalua"

local function run_version()
  print("modalua " .. modalua.version)
  return true
end

return {
  run = run_version,
  is_plain = true,
  usage = "",
  summary = "shows the version",
  description = "Shows the version of modalua. `modalua check` shows that of the server.",
  examples = { { "modalua version", "as modalua -v" } },
  arguments = {},
}
