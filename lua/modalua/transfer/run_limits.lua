-- transfer.run_limits: how many items a run may send without a yes, and how many may fail before it is paused. Each function gets the run
-- of transfer.run.
local require = ...
local native = require "core.native"

local run_limits = {}

local CONFIRM_ABOVE <const> = 1000

run_limits.FAILED_TOO_OFTEN = "too many items have failed (max_failed)"

-- The number of items in these states.
function run_limits.count(totals, ...)
  local n = 0
  for _, state in ipairs { ... } do
    n = n + (totals[state] and totals[state].items or 0)
  end
  return n
end

-- More than 1 000 items need a yes. Nothing is sent before it is known how many there are.
local function mind_number(run, totals)
  if run.confirmed then
    return
  end
  local found = 0
  for _, row in pairs(totals) do
    found = found + row.items
  end
  if found > CONFIRM_ABOVE then
    local confirm = run.control and run.control.confirm
    if confirm and confirm(found) then
      run.confirmed = true
      run.ledger:change_settings { yes = true }
    else
      run.items.fatal = native.fail("transfer", "refused", "too_many",
        ("there are %d items or more: nothing was sent; yes = true allows more than %d"):format(found, CONFIRM_ABOVE))
    end
  elseif run.found_all then
    run.confirmed = true
  end
end

-- Pauses after too many failures, but for those that were there when it was resumed. recorded: the number of this run's failures that the
-- totals have, at least.
local function mind_failures(run, totals, recorded)
  local before, err = run.ledger:failed_before()
  local good, most = before, run.settings.max_failed
  local failed = before and run_limits.count(totals, "failed") - before
  if before then
    run.failures_most = most - failed + recorded
  end
  if before and not run.paused and failed >= most then
    good, err = run.ledger:set_paused(run_limits.FAILED_TOO_OFTEN)
    run.paused = good and run_limits.FAILED_TOO_OFTEN
  end
  if not good then
    run.items:ledger_failed(err)
  end
end

-- Looks at the numbers in the ledger.
function run_limits.look(run)
  local recorded = run.items.failed
  local totals = run.ledger:totals()
  if totals then
    mind_number(run, totals)
    mind_failures(run, totals, recorded)
  end
end

-- Whether as many items have failed as may fail: with those that the ledger does not have yet, and those of which the last try has failed
-- or brought too little, as far as it is seen, and that are compared once more.
function run_limits.is_at_failures(run)
  local items, most = run.items, run.failures_most or math.huge
  local n = items:count_failed()
  for _, list in ipairs(most < math.huge and { items.to_check, items.late } or {}) do
    for _, item in ipairs(list) do
      n = n + ((item.error or item.round) and not item.in_group and item.tries >= run.settings.retries and 1 or 0)
    end
  end
  return n >= most
end

return run_limits
