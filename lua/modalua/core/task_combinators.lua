-- core.task_combinators: map, timeout and race of modalua.task.
local require = ...
local native = require "core.native"

local task_combinators = {}

local function cancel_all(tasks)
  for _, t in ipairs(tasks) do
    t:cancel()
  end
end

local CANCEL_AT_CLOSE = { __close = cancel_all }

-- ---- map ----

local DEFAULT_LIMIT = 8

local function check_argument(good, message, ...)
  if not good then
    native.usage(message:format(...))
  end
end

local function read_map_limit(options)
  check_argument(options == nil or type(options) == "table", "map: options must be a table (a %s was given)", type(options))
  for name, value in pairs(options or {}) do
    check_argument(name == "limit", "map: unknown option '%s'; the only option is limit", tostring(name))
    check_argument(math.type(value) and math.tointeger(value) and value >= 1, "map: option 'limit' must be a whole number, 1 or more")
  end
  return options and options.limit and math.tointeger(options.limit) or DEFAULT_LIMIT
end

-- Errors that end the whole run.
local ENDS_RUN = { cancelled = true, limit = true }

-- Whether an error that f threw concerns one item only: an operation failed, and assert threw its error.
local function is_failure(err)
  return native.is_error(err) and not ENDS_RUN[err.kind]
end

-- Calls f(item, i). Returns its first result; nil and the error when the operation failed.
local function map_item(f, item, i)
  local good, result, err = xpcall(f, native.keep_origin, item, i)
  if not good then
    if not is_failure(result) then
      error(result, 0)
    end
    return nil, result
  end
  return result, not result and err or nil
end

-- Calls f(i) for i = 1 to n, in this order, in `limit` tasks. An error that f throws cancels the other tasks, and is thrown here.
local function map_in_tasks(n, limit, f)
  local last, thrown = 0, nil
  local workers <close> = setmetatable({}, CANCEL_AT_CLOSE)
  local function make_calls()
    while last < n do
      last = last + 1
      f(last)
    end
  end
  for w = 1, math.min(limit, n) do
    workers[w] = native.spawn(function()
      local good, err = pcall(make_calls)
      if not good and not thrown then
        thrown = { err }
        cancel_all(workers)
      end
    end)
  end
  for _, worker in ipairs(workers) do
    worker:join()
  end
  if thrown then
    error(thrown[1], 0)
  end
end

function task_combinators.map(list, f, options)
  check_argument(type(list) == "table", "map: a list is expected (a %s was given)", type(list))
  check_argument(type(f) == "function", "map: a function is expected (a %s was given)", type(f))
  local n, limit = list.n or #list, read_map_limit(options)
  local results, errors = { n = n }, nil
  local function map_one(i)
    local result, err = map_item(f, list[i], i)
    results[i] = result
    if err ~= nil then
      errors = errors or {}
      errors[i] = err
    end
  end
  if native.can_join() then
    map_in_tasks(n, limit, map_one)
  else
    for i = 1, n do
      map_one(i)
    end
  end
  return results, errors
end

-- ---- timeout ----

-- Returns the results of a task that was joined, or throws its error.
local function joined_results(joined, ...)
  if not joined then
    error((...), 0)
  end
  return ...
end

-- A function that returns true before the results of f: join then returns true first, or nil and the error that f threw.
local function with_true(f)
  return function(...)
    return true, f(...)
  end
end

function task_combinators.timeout(seconds, f, ...)
  check_argument(math.type(seconds) and seconds >= 0, "timeout: a number of seconds is expected (%s was given)", tostring(seconds))
  check_argument(type(f) == "function", "timeout: a function is expected (a %s was given)", type(f))
  local timed_out = false
  local work <close> = native.spawn(with_true(f), ...)
  local timer <close> = native.spawn(function()
    native.sleep(seconds)
    timed_out = true
    work:cancel()
  end)
  local joined = table.pack(work:join())
  if timed_out and not joined[1] and native.is_error(joined[2]) and joined[2].kind == "cancelled" then
    return nil, native.fail("timeout", "timeout", nil, ("not done after %g s"):format(seconds))
  end
  timer:cancel()
  return joined_results(table.unpack(joined, 1, joined.n))
end

-- ---- race ----

function task_combinators.race(...)
  local functions = table.pack(...)
  check_argument(functions.n > 0, "race: functions are expected")
  for i = 1, functions.n do
    check_argument(type(functions[i]) == "function", "race: function %d is expected (a %s was given)", i, type(functions[i]))
  end
  local winner, failure, thrown
  local runners <close> = setmetatable({}, CANCEL_AT_CLOSE)
  local running = functions.n
  local finish <close> = native.spawn(native.sleep, 1e9) -- cancelled when a function wins, or when all have ended
  for i = 1, functions.n do
    runners[i] = native.spawn(function()
      local results = table.pack(xpcall(functions[i], native.keep_origin))
      running = running - 1
      if not results[1] and not is_failure(results[2]) then
        thrown = thrown or { results[2] }
      elseif results[1] and results[2] then
        winner = winner or results
      else
        -- results is { true, nil, err, … } when the operation failed, { false, err } when it threw
        failure = failure or table.pack(nil, table.unpack(results, results[1] and 3 or 2, results.n))
      end
      if winner or thrown or running == 0 then
        finish:cancel()
      end
    end)
  end
  finish:join()
  if thrown and not winner then
    error(thrown[1], 0)
  elseif winner then
    return table.unpack(winner, 2, winner.n)
  end
  return table.unpack(failure, 1, failure.n)
end

return task_combinators
