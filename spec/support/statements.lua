-- Statements of SQL, for the specs of the bindings to databases.
local assert = require "luassert"
local modalua = require "modalua"

local statements = {}

--- Runs a statement that must succeed. Returns its rows and the number of changed rows.
function statements.run(db, sql, ...)
  local rows, changed = db:run(sql, ...)
  if not rows then
    error(sql .. ": " .. tostring(changed), 2)
  end
  return rows, changed
end

--- Runs a statement that must fail. Returns the error.
function statements.failure(db, sql, ...)
  local rows, err = db:run(sql, ...)
  assert.is_nil(rows)
  assert.is_true(modalua.is_error(err))
  assert.are.equal("database", err.kind)
  return err
end

--- Asserts that f throws a text that matches the pattern.
function statements.throws(pattern, f, ...)
  local good, message = pcall(f, ...)
  assert.is_false(good)
  assert.matches(pattern, tostring(message))
end

return statements
