-- What several specs expect in the same way.
local assert = require "luassert"
local modalua = require "modalua"
local task = require "modalua.task"

local expect = {}

local PATIENCE <const> = 60 -- seconds: a watchdog, which a busy machine does not meet

--- Calls f until it gives something true, and gives that; false when it never does.
function expect.eventually(f)
  local deadline = task.now() + PATIENCE
  repeat
    local value = f()
    if value then
      return value
    end
    task.sleep(0.02)
  until task.now() > deadline
  return false
end

--- That an operation gave nil and an error with these fields; gives the error.
function expect.fails(fields, ok, err)
  assert.is_nil(ok)
  assert.is_true(modalua.is_error(err), tostring(err))
  for key, value in pairs(fields) do
    assert.are.equal(value, err[key], key .. " of " .. tostring(err))
  end
  return err
end

--- That a text has a part in it, as it stands.
function expect.contains(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

--- That a call throws something that has this part in it.
function expect.throws(part, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "it does not throw")
  expect.contains(tostring(err), part)
end

return expect
