-- core.requests: helpers for operations that consist of many requests: options, concurrency, the time that is left, and fatal errors.
local require = ...
local native = require "core.native"

local requests = {}

-- ---- concurrency ----

local CANCEL_AT_CLOSE = { __close = function(helpers)
  for _, helper in ipairs(helpers) do
    helper:cancel()
  end
end }

-- Calls f(i) for i = 1 to n, in this order, at most `limit` at a time, until one call returns false. An error that f throws stops all
-- calls, and is thrown here. When the calling task ends, its helpers are cancelled.
-- The calling task makes calls too, for two reasons: a usage error is then thrown at the script's own line before anything is sent, and
-- the calls are made even where no other task can run.
function requests.each(n, limit, f)
  local last, stopped, started = 0, false, {}
  local function make_calls()
    while last < n and not stopped do
      last = last + 1
      stopped = f(last) == false or stopped
    end
  end
  local helpers <close> = setmetatable({}, CANCEL_AT_CLOSE)
  for i = 1, math.min(limit, n) - 1 do
    helpers[i] = native.spawn(function()
      started[i] = true
      local good, err = pcall(make_calls)
      if not good then
        stopped = true
        error(err, 0)
      end
      return true
    end)
  end
  make_calls()
  for i, helper in ipairs(helpers) do
    if started[i] then -- the others find no call left to make
      local done, err = helper:join()
      if not done then
        error(err, 0)
      end
    end
  end
end

-- ---- options ----

local DEFAULT_LIMIT = 2 -- C-FINDs at a time: many PACSs accept only a few associations

-- Splits the table of options into the options for find, and `limit`. `known`: the set of allowed names; nil: find checks the names.
function requests.check_options(op, options, known)
  local own, limit = {}, DEFAULT_LIMIT
  if options ~= nil and type(options) ~= "table" then
    native.usage(("%s: options must be a table (a %s was given)"):format(op, type(options)))
  end
  for name, value in pairs(options or {}) do
    if name == "limit" then
      limit = math.type(value) and value >= 1 and value < 1e6 and math.tointeger(value)
        or native.usage(("%s: option 'limit' must be a whole number, 1 or more"):format(op))
    elseif name == "wait_timeout" and not (math.type(value) and value > 0) then
      native.usage(("%s: option 'wait_timeout' must be a number of seconds above 0, or math.huge for no limit"):format(op))
    elseif known and not known[name] then
      native.usage(("%s: unknown option '%s'; the options are LocalAet, Timeout, keep, limit, prove and wait_timeout"):format(op,
        tostring(name)))
    else
      own[name] = value
    end
  end
  return own, limit
end

-- ---- time and failures ----

-- When the option wait_timeout ends, as native.now tells the time; nil without one.
function requests.deadline(options)
  local seconds = options.wait_timeout
  return seconds and seconds < math.huge and native.now() + seconds or nil
end

-- All requests of an operation share its wait_timeout. Returns a function that returns the options with the time that is left.
function requests.with_time_left(options)
  local deadline = requests.deadline(options)
  return function()
    options.wait_timeout = deadline and math.max(deadline - native.now(), 0.001)
    return options
  end
end

-- Errors that every further request of the operation would meet too.
local FATAL_KINDS = { network = true, auth = true, http = true, timeout = true }
local FATAL_CODES = { unknown_modality = true, unsupported = true, bad_aet = true }

-- What stopped the operation: the kind of the error; of an unknown outcome, its code, which is the kind of what hid it.
function requests.cause(err)
  return err.kind == "unknown" and FATAL_KINDS[err.code] and err.code or err.kind
end

function requests.is_fatal(err)
  return FATAL_KINDS[requests.cause(err)] or FATAL_CODES[err.code] or false
end

-- Makes the error one of kind "unknown", with its former kind as code: what the server did, or will do, is not known. Returns nil and
-- the error.
function requests.unknown(err)
  if err.kind ~= "unknown" then
    err.kind, err.code = "unknown", err.kind
  end
  return nil, err
end

return requests
