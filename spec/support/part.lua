--- Gives specs the parts of the Lua half, which scripts cannot require:
---
---   local part = require "spec.support.part"
---   local ledger = part "transfer.ledger"
local modalua = require "modalua"

-- The `require` of the Lua half: an upvalue of a function of the part transfer.transfer, which its first use has loaded.
local function find_require()
  pcall(modalua.transfer.check, "")
  local loaded = debug.getregistry()["modalua.parts"]
  for i = 1, math.huge do
    local name, value = debug.getupvalue(loaded["transfer.transfer"].run, i)
    if name == "require" then
      return value
    end
    assert(name, "transfer.run does not use require")
  end
end

return find_require()
