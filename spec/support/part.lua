--- The parts of the Lua half (lua/modalua), which scripts cannot require, for specs:
--
--   local ledger = part "transfer.ledger"

-- Returns the `require` of the Lua half: an upvalue of a function that requires a part when it is called.
local function find_require(value, seen)
  if type(value) ~= "function" or seen[value] then
    return nil
  end
  seen[value] = true
  for i = 1, math.huge do
    local name, upvalue = debug.getupvalue(value, i)
    if not name then
      return nil
    elseif name == "require" then
      return upvalue
    end
    local found = find_require(upvalue, seen)
    if found then
      return found
    end
  end
end

for _, f in pairs(require "modalua.completion") do
  local found = find_require(f, {})
  if found then
    return found
  end
end
error "no function of modalua.completion has the require of the Lua half"
