-- transfer.ledger_items: what a worker does with items: claims, results, the comparison at the end, and `modalua transfer retry`.
local require = ...
local inventory = require "transfer.ledger_inventory"
local rows = require "transfer.ledger_rows"
local totals = require "transfer.ledger_totals"

local ledger_items = { methods = {} }

local methods = ledger_items.methods

-- ---- the numbers of an item ----

local ARRIVED <const> = { done = true, present = true }

-- What an item adds to the tally of its state: the images that have arrived where that is known, else those that are expected; and bytes.
local function instances_of(item)
  return ARRIVED[item.state] and item.arrived or item.expected or 0
end

-- Collects changes of the tally and of the minute: sums by state.
local Sums = {}
Sums.__index = Sums

local function new_sums()
  return setmetatable({ states = {}, done = 0, failed = 0, instances = 0, bytes = 0 }, Sums)
end

function Sums:add(item, sign)
  local sum = self.states[item.state]
  if not sum then
    sum = { state = item.state, items = 0, instances = 0, bytes = 0 }
    self.states[item.state] = sum
  end
  sum.items = sum.items + sign
  sum.instances = sum.instances + sign * instances_of(item)
  sum.bytes = sum.bytes + sign * (item.bytes or 0)
end

local FAILURES <const> = { failed = true, unknown = true }

-- Counts the change of an item from one row to another.
function Sums:move(before, after)
  self:add(before, -1)
  self:add(after, 1)
  if after.state == "done" and before.state ~= "done" then
    self.done = self.done + 1
    self.instances = self.instances + instances_of(after)
    self.bytes = self.bytes + (after.bytes or 0)
  elseif FAILURES[after.state] then
    self.failed = self.failed + 1
  end
end

-- Within a transaction: writes the sums.
function Sums:write(ledger, now)
  local list = {}
  for _, sum in pairs(self.states) do
    if sum.items ~= 0 or sum.instances ~= 0 or sum.bytes ~= 0 then
      list[#list + 1] = sum
    end
  end
  table.sort(list, function(a, b) -- the same order in every transaction: no deadlock
    return a.state < b.state
  end)
  if #list > 0 then
    local done, err = ledger:add_to_tally(list)
    if not done then
      return nil, err
    end
  end
  if self.done == 0 and self.failed == 0 then
    return true
  end
  return ledger:run([[INSERT INTO minute(worker, minute, done, failed, instances, bytes) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (minute, worker) DO UPDATE SET done = minute.done + excluded.done, failed = minute.failed + excluded.failed,
      instances = minute.instances + excluded.instances, bytes = minute.bytes + excluded.bytes]],
    ledger.worker, now // 60000, self.done, self.failed, self.instances, self.bytes)
end

-- ---- claims ----

local OF_DEAD <const> = [[SELECT * FROM item {by state} WHERE state IN ('sending', 'sent')
  AND owner IN (SELECT id FROM worker WHERE state <> 'live') ORDER BY due, id LIMIT $1 {skip}]]

local DUE <const> = "SELECT * FROM item WHERE state = 'todo' AND due <= $1 ORDER BY due, id LIMIT $2 {skip}"

local TAKE <const> = [[UPDATE item SET owner = $2, state = CASE state WHEN 'todo' THEN 'sending' ELSE state END
  WHERE id IN (SELECT CAST(e.value ->> 'id' AS BIGINT) FROM {each})]]

local function find_dead_owners(self, items)
  if #items == 0 then
    return true
  end
  local list, err = self:run "SELECT id, host, pid, server, version, started FROM worker WHERE state <> 'live'"
  local by_id = {}
  for _, worker in ipairs(list or {}) do
    by_id[worker.id] = worker
  end
  for _, item in ipairs(items) do
    item.recovered, item.recovered_from = item.state, by_id[item.owner]
  end
  return list, err
end

-- Within a transaction: the items to be taken, those of dead workers first.
local function choose(self, now, n)
  local items, err = self:run(OF_DEAD, n)
  if not items then
    return nil, err
  end
  local done, more
  done, err = find_dead_owners(self, items)
  if done and #items < n then
    more, err = self:run(DUE, now, n - #items)
    done = more
    table.move(more or {}, 1, #(more or {}), #items + 1, items)
  end
  return done and items, err
end

local function take(self, now, items)
  local sums, ids = new_sums(), {}
  for i, item in ipairs(items) do
    ids[i] = { id = item.id }
    if item.state == "todo" then
      sums:add(item, -1)
      item.state = "sending"
      sums:add(item, 1)
    end
    item.owner = self.worker
  end
  local done, err = self:run(TAKE, rows.list(ids), self.worker)
  if done then
    done, err = sums:write(self, now)
  end
  return done, err
end

-- The items of a claim whose answer was lost, as far as it was committed: no other worker would take them while this one lives.
local function find_doubtful(self)
  local ids, doubtful = {}, {}
  for i, item in ipairs(self.doubtful or {}) do
    ids[i] = { id = item.id }
    doubtful[item.id] = item
  end
  if #ids == 0 then
    return {}
  end
  local list, err = self:run([[SELECT id FROM item WHERE owner = $2
    AND id IN (SELECT CAST(e.value ->> 'id' AS BIGINT) FROM {each}) ORDER BY id]], rows.list(ids), self.worker)
  for i, row in ipairs(list or {}) do
    list[i] = doubtful[row.id]
  end
  return list, err
end

-- Within a transaction. What was chosen is in doubt until its commit is known.
local function choose_and_take(self, now, n)
  local chosen, done
  local doubtful, err = find_doubtful(self)
  if not doubtful or #doubtful > 0 then
    return doubtful, err
  end
  chosen, err = choose(self, now, n)
  if not chosen or #chosen == 0 then
    return chosen, err
  end
  done, err = take(self, now, chosen)
  self.doubtful = done and chosen
  return done and chosen, err
end

-- L:claim(n) -> list of at most n items, which this worker now owns; committed before it returns. Those of workers that ended come first:
-- item.recovered is their state ("sending" or "sent"), item.recovered_from the row of that worker. The code of the error is "dead" when
-- this worker was marked dead.
function methods:claim(n)
  local items, err = self:transaction(function(now)
    local live, failure = self:run("SELECT id FROM worker WHERE id = $1 AND state = 'live'", self.worker)
    if not live or #live == 0 then
      return nil, live and self.lost "dead" or failure
    end
    return choose_and_take(self, now, n)
  end)
  if items then
    self.doubtful = nil
  end
  return rows.decode_items(items), err
end

-- ---- results ----

-- The changes that a worker makes to an item of its own: from -> to.
local ALLOWED <const> = {
  sending = { sending = true, present = true, sent = true, todo = true, failed = true },
  sent = { sent = true, done = true, todo = true, failed = true, unknown = true },
}
local OWNED <const> = { sending = true, sent = true }
local FINISHED <const> = { done = true, present = true, failed = true, unknown = true }
local NUMBERS <const> = { "due", "tries", "arrived", "bytes", "expected" }

-- The rows before the change. Those that this worker does not own show what became of them.
local BEFORE <const> = [[SELECT id, state, owner, expected, arrived, bytes FROM item
  WHERE id IN (SELECT CAST(e.value ->> 'id' AS BIGINT) FROM {each}) ORDER BY id {lock}]]

local CHANGE <const> = [[UPDATE item SET state = e.value ->> 'to', owner = e.value ->> 'owner',
    due = COALESCE(CAST(e.value ->> 'due' AS BIGINT), due), tries = COALESCE(CAST(e.value ->> 'tries' AS BIGINT), tries),
    arrived = COALESCE(CAST(e.value ->> 'arrived' AS BIGINT), arrived), bytes = COALESCE(CAST(e.value ->> 'bytes' AS BIGINT), bytes),
    expected = COALESCE(CAST(e.value ->> 'expected' AS BIGINT), expected),
    seconds = COALESCE(CAST(e.value ->> 'seconds' AS DOUBLE PRECISION), seconds),
    verified = COALESCE(e.value ->> 'verified', verified), note = COALESCE(e.value ->> 'note', note),
    reason = e.value ->> 'reason', message = e.value ->> 'message', finished = CAST(e.value ->> 'finished' AS BIGINT)
  FROM {each} WHERE item.id = CAST(e.value ->> 'id' AS BIGINT) AND item.owner = $2]]

local ATTEMPTS <const> = [[INSERT INTO attempt(item, worker, started, ended, kind, code, dimse_status, message)
  SELECT CAST(e.value ->> 'item' AS BIGINT), CAST($2 AS TEXT), CAST(e.value ->> 'started' AS BIGINT), CAST(e.value ->> 'ended' AS BIGINT),
    e.value ->> 'kind', e.value ->> 'code', CAST(e.value ->> 'dimse_status' AS BIGINT), e.value ->> 'message' FROM {each}]]

-- The change as the statements read it.
local function encode_change(change, now, worker)
  local row = { id = change.id, to = change.to, owner = OWNED[change.to] and worker or nil, seconds = change.seconds,
    verified = change.verified, reason = rows.text(change.reason), message = rows.text(change.message), note = rows.text(change.note),
    finished = FINISHED[change.to] and now or nil }
  for _, name in ipairs(NUMBERS) do
    row[name] = change[name]
  end
  if ARRIVED[change.to] then
    row.due = 0 -- to be compared again at the end
  end
  return row
end

local function encode_attempt(change, now)
  local a = change.attempt
  return { item = change.id, started = a.started, ended = a.ended or now, kind = a.kind, code = a.code, dimse_status = a.dimse_status,
    message = rows.text(a.message) }
end

-- Sorts the changes: those that are made, those that were made before (its answer was lost), and the ids that another worker has taken.
-- `worker`: the id of this one.
local function sort_changes(worker, changes, before)
  local by_id, good, refused = {}, {}, {}
  for _, item in ipairs(before) do
    by_id[item.id] = item
  end
  for _, change in ipairs(changes) do
    local item, is_own = by_id[change.id], not change.owner or change.owner == worker
    if item and is_own and item.owner == worker and item.state == change.from then
      good[#good + 1] = change
    elseif not (item and is_own and item.state == change.to and (item.owner == worker or not item.owner)) then
      refused[#refused + 1] = change.id
    end
  end
  return good, refused, by_id
end

-- Writes the failed attempts and the sums of items that were changed.
local function write_sums(self, worker, now, attempts, sums)
  if #attempts > 0 then
    local done, err = self:run(ATTEMPTS, rows.list(attempts), worker)
    if not done then
      return nil, err
    end
  end
  return sums:write(self, now)
end

local function write_changes(self, worker, now, changes, by_id)
  local sums, updates, attempts = new_sums(), {}, {}
  for i, change in ipairs(changes) do
    local item, row = by_id[change.id], encode_change(change, now, worker)
    updates[i] = row
    attempts[#attempts + 1] = change.attempt and encode_attempt(change, now)
    sums:move(item, { state = change.to, expected = row.expected or item.expected, arrived = row.arrived or item.arrived,
      bytes = row.bytes or item.bytes })
  end
  local done, err = true, nil
  if #updates > 0 then
    done, err = self:run(CHANGE, rows.list(updates), worker)
  end
  if not done then
    return nil, err
  end
  return write_sums(self, worker, now, attempts, sums)
end

-- L:record(changes) -> list of the ids that were refused: another worker has taken these items. change: { id =, from =, to =, owner =,
-- due =, tries =, reason =, message =, arrived =, bytes =, seconds =, verified =, expected =, note =, attempt = { kind =, code =,
-- dimse_status =, message =, started =, ended = } }. `owner` is the id under which this process claimed the item. A process that was taken
-- for dead has had several, and what it knew under an earlier one is refused. A field that is absent stays as it is, but `reason` and
-- `message`, which are removed. One transaction.
function methods:record(changes)
  for _, change in ipairs(changes) do
    if not (ALLOWED[change.from] or {})[change.to] then
      error(("an item cannot go from %s to %s"):format(change.from, change.to))
    end
  end
  return self:transaction(function(now)
    local ids, worker = {}, self.worker
    for i, change in ipairs(changes) do
      ids[i] = { id = change.id }
    end
    local before, err = self:run(BEFORE, rows.list(ids))
    if not before then
      return nil, err
    end
    local good, refused, by_id = sort_changes(worker, changes, before)
    local done
    done, err = write_changes(self, worker, now, good, by_id)
    return done and refused, err
  end)
end

-- L:give_back(items) -> list of refused ids. The items were claimed and not begun, so any worker may claim them now.
function methods:give_back(items)
  local changes = {}
  for i, item in ipairs(items) do
    changes[i] = { id = item.id, owner = item.owner, from = "sending", to = "todo" }
  end
  return self:record(changes)
end

-- No condition by state, as in CONFIRM below. An item that waits has no owner, and no end.
local FORWARD <const> = [[UPDATE item SET due = -1 FROM {each}
  WHERE item.id = CAST(e.value ->> 'id' AS BIGINT) AND item.owner IS NULL AND item.finished IS NULL]]

-- L:bring_forward(n) -> true. About n items from all parts of the ledger come before all others, as far as they wait to be sent.
function methods:bring_forward(n)
  return self:transaction(function()
    local list, err = self:run "SELECT MAX(id) AS last FROM item"
    local ids, last = {}, list and list[1].last or 0
    for i = 1, math.min(n, last) do
      ids[i] = { id = last - (i - 1) * last // n }
    end
    local done = list
    if #ids > 0 then
      done, err = self:run(FORWARD, rows.list(ids))
    end
    return done and true, err
  end)
end

-- ---- the comparison at the end ----

-- L:unconfirmed(n) -> list of at most n items in the states done and present that were not compared again at the end.
function methods:unconfirmed(n)
  local list, err = self:query("SELECT * FROM item WHERE state = 'done' AND due = 0 ORDER BY due, id LIMIT $1", n)
  local more
  if list and #list < n then
    more, err = self:query("SELECT * FROM item WHERE state = 'present' AND due = 0 ORDER BY due, id LIMIT $1", n - #list)
    table.move(more or {}, 1, #(more or {}), #list + 1, list)
    list = more and list
  end
  return rows.decode_items(list), err
end

-- L:unconfirm() -> true. All items that are done are compared once more: the destination has lost some of them.
function methods:unconfirm()
  return self:transaction(function()
    local done, err = self:run "UPDATE item SET due = 0 WHERE state IN ('done', 'present') AND due = 1"
    return done and true, err
  end)
end

-- No condition by state: the rows are locked, and their states were read. With one, SQLite takes the index over states, and reads all items
-- that are done for each of these.
local CONFIRM <const> = [[UPDATE item SET due = 1, arrived = COALESCE(CAST(e.value ->> 'arrived' AS BIGINT), arrived)
  FROM {each} WHERE item.id = CAST(e.value ->> 'id' AS BIGINT) AND item.owner IS NULL]]

local VANISH <const> = [[UPDATE item SET state = e.value ->> 'to', due = CAST(e.value ->> 'due' AS BIGINT), tries = 0,
    arrived = CAST(e.value ->> 'arrived' AS BIGINT), expected = COALESCE(CAST(e.value ->> 'expected' AS BIGINT), expected),
    reason = e.value ->> 'reason', message = e.value ->> 'message',
    finished = CAST(e.value ->> 'finished' AS BIGINT), verified = NULL
  FROM {each} WHERE item.id = CAST(e.value ->> 'id' AS BIGINT)]]

local VANISHED <const> = [[SELECT DISTINCT item FROM attempt WHERE kind IN ('vanished', 'grown')
  AND item IN (SELECT CAST(e.value ->> 'id' AS BIGINT) FROM {each})]]

-- The change of an item of which the destination has not all any more: it is sent once more; the second time it has failed.
local function encode_vanished(result, now, before)
  return { id = result.id, to = before and "failed" or "todo", due = 0, arrived = result.arrived or 0, expected = result.expected,
    reason = result.reason or "vanished", message = rows.text(result.message), finished = before and now or nil }
end

local function write_confirmed(self, now, results, before, vanished)
  local sums, kept, gone, attempts, counts = new_sums(), {}, {}, {}, { again = 0, failed = 0 }
  for _, result in ipairs(results) do
    local item = before[result.id]
    if item and ARRIVED[item.state] and not result.gone then
      kept[#kept + 1] = { id = result.id, arrived = result.arrived }
      sums:move(item, { state = item.state, expected = item.expected, arrived = result.arrived or item.arrived, bytes = item.bytes })
    elseif item and ARRIVED[item.state] then
      local row = encode_vanished(result, now, vanished[result.id])
      gone[#gone + 1] = row
      attempts[#attempts + 1] = { item = result.id, ended = now, kind = row.reason, message = row.message }
      local count = row.to == "todo" and "again" or "failed"
      counts[count] = counts[count] + 1
      sums:move(item, { state = row.to, expected = row.expected or item.expected, arrived = row.arrived, bytes = item.bytes })
    end
  end
  local done, err = true, nil
  for _, step in ipairs { { CONFIRM, kept }, { VANISH, gone } } do
    if done and #step[2] > 0 then
      done, err = self:run(step[1], rows.list(step[2]))
    end
  end
  if done then
    done, err = write_sums(self, self.worker, now, attempts, sums)
  end
  return done and counts, err
end

-- L:confirm(list of { id =, arrived = } | { id =, gone = true, arrived =, message =, reason =, expected = }) -> { again =, failed = }. What
-- the comparison at the end has seen. An item that is gone goes back to todo, the first time; then it has failed with the reason `vanished`
-- or `grown`.
function methods:confirm(results)
  return self:transaction(function(now)
    local ids = {}
    for i, result in ipairs(results) do
      ids[i] = { id = result.id }
    end
    ids = rows.list(ids)
    local list, err = self:run(BEFORE, ids)
    local vanished = nil
    if list then
      vanished, err = self:run(VANISHED, ids)
    end
    if not vanished then
      return nil, err
    end
    local before, gone = {}, {}
    for _, item in ipairs(list) do
      before[item.id] = item
    end
    for _, row in ipairs(vanished) do
      gone[row.item] = true
    end
    return write_confirmed(self, now, results, before, gone)
  end)
end

-- ---- retry ----

local RETRIED <const> = { failed = true, unknown = true }

-- Lines that are looked for again: the source did not have them, or did not answer.
local LOOKED_FOR_AGAIN <const> = { "NOT FOUND", "FAILED" }

-- L:retry{ state =, reason = } -> the number of items that are tried again: those that have failed or are unknown, or those with that state
-- or reason. Lines for which nothing was found are looked for again, and count too, when no reason is given, and no other state than
-- "failed".
function methods:retry(which)
  local states = which.state and { which.state } or { "failed", "unknown" }
  return self:transaction(function(now)
    local sums, count = new_sums(), 0
    for _, state in ipairs(states) do
      assert(RETRIED[state])
      local list, err = self:run([[UPDATE item SET state = 'todo', due = 0, tries = 0, finished = NULL, owner = NULL
        WHERE state = $1 AND (CAST($2 AS TEXT) IS NULL OR reason = $2) RETURNING expected, arrived, bytes]], state, which.reason)
      if not list then
        return nil, err
      end
      for _, item in ipairs(list) do
        item.state = state
        sums:add(item, -1)
        item.state = "todo"
        sums:add(item, 1)
      end
      count = count + #list
    end
    local done, err = sums:write(self, now)
    if done and not which.reason and which.state ~= "unknown" then
      done, err = inventory.reopen_lines(self, LOOKED_FOR_AGAIN)
      count = count + (done or 0)
    end
    if done then
      done, err = totals.write_failed(self, now, "retry")
    end
    return done and count, err
  end)
end

-- ---- reading ----

-- L:items{ state =, reason =, after = id, page = } -> iterator over the items in the order of their ids. Throws the error of the database.
function methods:items(which)
  local last, page = which.after or 0, which.page or 500
  local list, i = {}, 0
  return function()
    i = i + 1
    if not list[i] and (#list == page or i == 1 and #list == 0) then
      list, i = assert(self:query([[SELECT * FROM item WHERE id > $1 AND (CAST($2 AS TEXT) IS NULL OR state = $2)
        AND (CAST($3 AS TEXT) IS NULL OR reason = $3) ORDER BY id LIMIT $4]], last, which.state, which.reason, page)), 1
      rows.decode_items(list)
      last = list[#list] and list[#list].id or last
    end
    return list[i]
  end
end

-- L:attempts(item id) -> list of the failed tries of an item, the oldest first.
function methods:attempts(item)
  return self:query("SELECT * FROM attempt WHERE item = $1 ORDER BY id", item)
end

return ledger_items
