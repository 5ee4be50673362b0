-- What no script outlives: modalua --sandbox --time-limit. The same scripts inside one process: spec/embed/kill.c.
local command = require "spec.support.command"
local escapes = require "spec.support.escapes"
local task = require "modalua.task"

local LIMIT = "0.3"
local LONGEST = os.getenv "MODALUA_SANITIZED" and 10 or 1.5

-- Runs the code; gives what came of it, and in how many seconds. The machine may be busy with something else for a moment, which only ever
-- takes longer: what took too long is tried again.
local function timed(code)
  local result, seconds
  for _ = 1, 3 do
    local began = task.now()
    result = command.run("--sandbox", "--time-limit", LIMIT, "-e", code)
    seconds = task.now() - began
    if seconds < LONGEST then
      break
    end
  end
  return result, seconds
end

describe("A sandbox with a time limit ends", function()
  for _, row in ipairs(escapes) do
    local name, code = table.unpack(row)
    it(name, function()
      local result, seconds = timed(code)
      assert.are.equal(1, result.status, result.err)
      assert.are.equal("", result.out)
      if row.deaf then
        assert.matches("cannot be stopped otherwise", result.err)
      elseif not row.refused then
        assert.are.equal("modalua: the run took longer than 0.3 s\n", result.err)
      end
      assert.is_true(seconds < LONGEST, ("it took %.2f s"):format(seconds))
    end)
  end
end)
