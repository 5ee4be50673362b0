-- What no script outlives: modalua --sandbox --time-limit. The same scripts inside one process, and how late a kill is: spec/embed/kill.c.
local command = require "spec.support.command"
local escapes = require "spec.support.escapes"
local task = require "modalua.task"

local LIMIT, LONG = "0.3", "60"

-- A time limit by which the call that nothing can end, t() at the end of the code, has begun: ten times as long as this machine now needs
-- for the code without that call.
local function deaf_limit(code)
  local before, began = code:match "^(.*) t%(%)$", task.now()
  assert.are.equal(0, command.run("--sandbox", "-e", before).status)
  return ("%.1f"):format(math.max(2, 10 * (task.now() - began)))
end

-- Runs the code, which ends with status 1. Gives what it wrote to standard error.
local function failure(limit, code)
  local result = command.run("--sandbox", "--time-limit", limit, "-e", code)
  assert.are.equal("", result.out)
  assert.are.equal(1, result.status, result.err)
  return result.err
end

describe("A sandbox", function()
  for _, row in ipairs(escapes) do
    local name, code = table.unpack(row)
    if row.refused then
      it("refuses " .. name, function()
        assert.matches(row.refused, failure(LONG, code))
      end)
    elseif row.deaf then
      it("with a time limit ends with the process: " .. name, function()
        assert.are.equal("modalua: the run cannot be stopped otherwise: ending the process\n", failure(deaf_limit(code), code))
      end)
    elseif not row.variant then
      it("with a time limit ends " .. name, function()
        assert.matches("^modalua: the run took longer than 0%.3 s %(.+:%d+%)\n$", failure(LIMIT, code))
      end)
    end
  end
end)
