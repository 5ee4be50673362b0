-- Expectations that several specs share.
local assert = require "luassert"
local modalua = require "modalua"
local task = require "modalua.task"

local expect = {}

local PATIENCE <const> = 150 -- seconds: a watchdog only, long enough for a busy machine

--- Calls f again and again until it returns a true value, and returns this value. Returns false after PATIENCE seconds.
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

--- The same, and asserts that the value comes.
function expect.happens(f)
  return assert(expect.eventually(f), "it never happened")
end

--- Asserts that an operation returned nil and an error with these fields. Returns the error.
function expect.fails(fields, ok, err)
  assert.is_nil(ok)
  assert.is_true(modalua.is_error(err), tostring(err))
  for key, value in pairs(fields) do
    assert.are.equal(value, err[key], key .. " of " .. tostring(err))
  end
  return err
end

--- Asserts that a text contains a part. The part is plain text, not a pattern.
function expect.contains(text, part)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

--- Asserts that f(...) throws an error with this part in its text.
function expect.throws(part, f, ...)
  local ok, err = pcall(f, ...)
  assert.is_false(ok, "the call did not throw an error")
  expect.contains(tostring(err), part)
end

return expect
