-- core.requests: what operations share that consist of many requests: their options, several requests at once, the time that is left, and
-- failures that make the other requests useless.
local require = ...
local native = require "core.native"

local requests = {}

-- ---- several at once ----

local CANCELLED_AT_END = { __close = function(helpers)
  for _, helper in ipairs(helpers) do
    helper:cancel()
  end
end }

-- Calls f(i) for each i up to n, in this order, at most `limit` at a time, until one gives false. What f throws is thrown here, and stops
-- the others; so does the end of the task that calls. That one works too: what is wrong with all of them is thrown at the script's own
-- line before anything is sent, and where no other task can run it does everything.
function requests.each(n, limit, f)
  local last, stopped, started = 0, false, {}
  local function work()
    while last < n and not stopped do
      last = last + 1
      stopped = f(last) == false or stopped
    end
  end
  local helpers <close> = setmetatable({}, CANCELLED_AT_END)
  for i = 1, math.min(limit, n) - 1 do
    helpers[i] = native.spawn(function()
      started[i] = true
      local good, err = pcall(work)
      if not good then
        stopped = true
        error(err, 0)
      end
      return true
    end)
  end
  work()
  for i, helper in ipairs(helpers) do
    if started[i] then
      local done, err = helper:join()
      if not done then
        error(err, 0)
      end
    end
  end
end

-- ---- options ----

local AT_ONCE = 2 -- C-FINDs, unless the caller says limit: many a PACS serves few associations

-- Splits the table of options into what goes to find and `limit`. `known`: the names that there are, nil = whatever find takes.
function requests.check_options(op, options, known)
  local own, limit = {}, AT_ONCE
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
      native.usage(("%s: unknown option '%s'; there are LocalAet, Timeout, limit and wait_timeout"):format(op, tostring(name)))
    else
      own[name] = value
    end
  end
  return own, limit
end

-- ---- time and failures ----

-- Each call's share of the time that is left of wait_timeout: a function that gives the options, brought up to date.
function requests.in_time(options)
  local deadline = options.wait_timeout and native.now() + options.wait_timeout
  return function()
    options.wait_timeout = deadline and math.max(deadline - native.now(), 0.001)
    return options
  end
end

-- Failures that the next resource, or question, would meet too.
local HOPELESS = { network = true, auth = true, http = true, timeout = true }
local HOPELESS_CODES = { unknown_modality = true, unsupported = true, bad_aet = true }

function requests.is_hopeless(err)
  return HOPELESS[err.kind] or HOPELESS_CODES[err.code] or false
end

return requests
