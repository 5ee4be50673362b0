--- Loads internal parts of the Lua half for a spec, from their files. The parts that are already loaded are used as they are.
--
--   local parts = require "spec.support.parts"
--   local slices = parts.require "transfer.slices"
local modalua = require "modalua"

local parts = {}

--- What the part gives. name: as in `require "core.levels"` of the Lua half.
function parts.require(name)
  local loaded = debug.getregistry()["modalua.parts"]
  if loaded["core.native_steps"] == nil then -- it is opened when the first part needs it
    local modality = modalua.connect("http://127.0.0.1:1"):modality "x"
    modality:find_all { Level = "Study" }
  end
  if loaded[name] == nil then
    local path = "lua/modalua/" .. name:gsub("%.", "/") .. ".lua"
    local chunk = loadfile(path)
    loaded[name] = chunk and chunk(parts.require) or require(name)
  end
  return loaded[name]
end

return parts
