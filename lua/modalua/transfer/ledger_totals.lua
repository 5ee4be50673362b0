-- transfer.ledger_totals: sums from the tally, aggregates for the report, and the check of a ledger.
local require = ...
local rows = require "transfer.ledger_rows"

local ledger_totals = { methods = {} }

local methods = ledger_totals.methods

-- ---- from the tally ----

-- L:totals() -> { [state] = { items =, instances =, bytes = } }. Fast at any number of items.
function methods:totals()
  local list, err = self:query [[SELECT state, CAST(SUM(items) AS BIGINT) AS items, CAST(SUM(instances) AS BIGINT) AS instances,
    CAST(SUM(bytes) AS BIGINT) AS bytes FROM tally GROUP BY state]]
  if not list then
    return nil, err
  end
  local totals = {}
  for _, row in ipairs(list) do
    totals[row.state] = { items = row.items, instances = row.instances, bytes = row.bytes }
  end
  return totals
end

-- Within a transaction: writes into the history what was done, with the number of items that have failed and are left as they are.
function ledger_totals.write_failed(self, now, what)
  local list, err = self:run "SELECT CAST(COALESCE(SUM(items), 0) AS BIGINT) AS items FROM tally WHERE state = 'failed'"
  if not list then
    return nil, err
  end
  return self:write_note(now, what, ("%d failed"):format(list[1].items))
end

-- L:failed_before() -> the number of items that had failed at the last resume or retry: max_failed is about those that fail since then.
function methods:failed_before()
  local list, err = self:query "SELECT detail FROM history WHERE what IN ('resume', 'retry') ORDER BY id DESC LIMIT 1"
  local text = list and list[1] and list[1].detail or ""
  return list and (math.tointeger(tonumber(text:match "^%d+")) or 0), err
end

-- L:open_items() -> { todo =, sending =, sent = }: the numbers of items that are not finished.
function methods:open_items()
  local totals, err = self:totals()
  if not totals then
    return nil, err
  end
  local open = {}
  for _, state in ipairs { "todo", "sending", "sent" } do
    open[state] = totals[state] and totals[state].items or 0
  end
  return open
end

-- L:open_ids() -> list of the ids of the items that are not finished.
function methods:open_ids()
  local list, err = self:query "SELECT id FROM item WHERE state IN ('todo', 'sending', 'sent')"
  for i, row in ipairs(list or {}) do
    list[i] = row.id
  end
  return list, err
end

-- L:minutes(since) -> list of { minute = when it began, worker =, done =, failed =, instances =, bytes = } from that time on, in order.
function methods:minutes(since)
  local list, err = self:query("SELECT * FROM minute WHERE minute >= $1 ORDER BY minute, worker", (since or 0) // 60000)
  for _, row in ipairs(list or {}) do
    row.minute = row.minute * 60000
  end
  return list, err
end

-- L:work_since(time [, began]) -> { items =, instances =, bytes = }: what was done since the beginning of that minute; by the workers that
-- have started at `began` or later.
function methods:work_since(time, began)
  local list, err = self:query([[SELECT CAST(COALESCE(SUM(done), 0) AS BIGINT) AS items,
    CAST(COALESCE(SUM(instances), 0) AS BIGINT) AS instances, CAST(COALESCE(SUM(bytes), 0) AS BIGINT) AS bytes
    FROM minute WHERE minute >= $1 AND (CAST($2 AS BIGINT) IS NULL OR worker IN (SELECT id FROM worker WHERE started >= $2))]],
    time // 60000, began)
  return list and list[1], err
end

-- L:count_lines() -> { [outcome] = number of lines }, with OPEN for those that were not looked for | false when the transfer has no lines.
function methods:count_lines()
  local list, err = self:query "SELECT COALESCE(outcome, 'OPEN') AS outcome, COUNT(*) AS lines FROM line GROUP BY outcome"
  if not list then
    return nil, err
  end
  local counts = {}
  for _, row in ipairs(list) do
    counts[row.outcome] = row.lines
  end
  return #list > 0 and counts
end

-- L:finished_since(time) -> { [state] = number of the items that have ended since then }. Reads all items once.
function methods:finished_since(time)
  local list, err = self:query_slowly("SELECT state, COUNT(*) AS items FROM item WHERE finished >= $1 GROUP BY state", time)
  if not list then
    return nil, err
  end
  local counts = {}
  for _, row in ipairs(list) do
    counts[row.state] = row.items
  end
  return counts
end

-- L:last_end() -> when the last item has ended | false when none has | nil, err. Reads all items once.
function methods:last_end()
  local list, err = self:query_slowly "SELECT MAX(finished) AS finished FROM item"
  return list and (list[1].finished or false), err
end

local MOST_WAITING <const> = 1000

-- L:waiting(now) -> the number of items that wait for another try, at most 1000, and when the first one is due | nil.
function methods:waiting(now)
  local list, err = self:query([[SELECT COUNT(*) AS items, MIN(due) AS due FROM
    (SELECT due FROM item WHERE state = 'todo' AND due > $1 ORDER BY due, id LIMIT $2) AS waiting]], now, MOST_WAITING)
  if not list then
    return nil, err
  end
  return list[1].items, list[1].due
end

-- L:last_due() -> when the last item that is to be tried is due | false when none is | nil, err.
function methods:last_due()
  local list, err = self:query "SELECT MAX(due) AS due FROM item WHERE state = 'todo'"
  return list and (list[1].due or false), err
end

-- L:search() -> { slices =, finds =, answers =, unproven = }: the sums over the slices.
function methods:search()
  local list, err = self:query [[SELECT COUNT(*) AS slices, CAST(COALESCE(SUM(finds), 0) AS BIGINT) AS finds,
    CAST(COALESCE(SUM(answers), 0) AS BIGINT) AS answers,
    CAST(COALESCE(SUM(CASE WHEN proof = 'none' THEN 1 ELSE 0 END), 0) AS BIGINT) AS unproven FROM slice]]
  return list and list[1], err
end

-- ---- for the report: each reads all items once ----

-- The images of an item, as in ledger_items.
local INSTANCES <const> = "CASE WHEN state IN ('done', 'present') THEN COALESCE(arrived, expected, 0) ELSE COALESCE(expected, 0) END"

local GROUPS <const> = ([[SELECT modality, SUBSTR(date, 1, 4) AS year, state, COUNT(*) AS items,
  CAST(SUM(INSTANCES) AS BIGINT) AS instances, CAST(SUM(COALESCE(bytes, 0)) AS BIGINT) AS bytes, SUM(seconds) AS seconds
  FROM item GROUP BY modality, SUBSTR(date, 1, 4), state ORDER BY 1, 2, 3]]):gsub("INSTANCES", INSTANCES)

-- L:group_items() -> list of { modality =, year =, state =, items =, instances =, bytes =, seconds = }; what is no date has no year.
function methods:group_items()
  local groups, err = self:query_slowly(GROUPS)
  for _, group in ipairs(groups or {}) do
    group.year = group.year and group.year:match "^%d%d%d%d$"
  end
  return groups, err
end

-- L:failures() -> list of { state =, reason =, items =, example = key of one, message = its message }, the most frequent reason first.
function methods:failures()
  return self:query_slowly [[SELECT groups.state, groups.reason, groups.items, item.key AS example, item.message
    FROM (SELECT state, reason, COUNT(*) AS items, MIN(id) AS first FROM item WHERE state IN ('failed', 'unknown')
      GROUP BY state, reason) AS groups JOIN item ON item.id = groups.first ORDER BY groups.items DESC, groups.first]]
end

-- L:extremes(n) -> the n items that took the longest, the n items with the most images.
function methods:extremes(n)
  local slowest, err = self:query_slowly("SELECT * FROM item WHERE seconds IS NOT NULL ORDER BY seconds DESC, id LIMIT $1", n)
  local largest
  if slowest then
    largest, err = self:query_slowly("SELECT * FROM item WHERE arrived IS NOT NULL ORDER BY arrived DESC, id LIMIT $1", n)
  end
  if not largest then
    return nil, err
  end
  return rows.decode_items(slowest), rows.decode_items(largest)
end

-- ---- the check ----

-- The items of each state beside the tally.
local RECOUNT <const> = ([[SELECT state, CAST(SUM(items) AS BIGINT) AS items, CAST(SUM(instances) AS BIGINT) AS instances,
    CAST(SUM(bytes) AS BIGINT) AS bytes, CAST(SUM(tally_items) AS BIGINT) AS tally_items,
    CAST(SUM(tally_instances) AS BIGINT) AS tally_instances, CAST(SUM(tally_bytes) AS BIGINT) AS tally_bytes
  FROM (SELECT state, 1 AS items, INSTANCES AS instances, COALESCE(bytes, 0) AS bytes, 0 AS tally_items, 0 AS tally_instances,
      0 AS tally_bytes FROM item
    UNION ALL SELECT state, 0, 0, 0, items, instances, bytes FROM tally) AS counted GROUP BY state ORDER BY state]])
  :gsub("INSTANCES", INSTANCES)

local STATES <const> = { todo = true, sending = true, sent = true, done = true, present = true, failed = true, unknown = true }

local function recount(self, problems)
  local list, err = self:run_slowly(RECOUNT)
  local items = 0
  for _, row in ipairs(list or {}) do
    items = items + row.items
    for _, what in ipairs { "items", "instances", "bytes" } do
      if row[what] ~= row["tally_" .. what] then
        problems[#problems + 1] = ("state %s: %d %s were counted, and the tally has %d"):format(row.state, row[what], what,
          row["tally_" .. what])
      end
    end
    if not STATES[row.state] then
      problems[#problems + 1] = ("%d items have a state that does not exist: %s"):format(row.items, row.state)
    end
  end
  return list and items, err
end

-- Rows that cannot be: each with the number of them.
local RULES <const> = {
  { "an item that is under way has no worker", [[SELECT COUNT(*) AS n FROM item
    WHERE state IN ('sending', 'sent') AND (owner IS NULL OR owner NOT IN (SELECT id FROM worker))]] },
  { "an item that is not under way has a worker", [[SELECT COUNT(*) AS n FROM item
    WHERE state NOT IN ('sending', 'sent') AND owner IS NOT NULL]] },
  { "a finished item has no time of its end", [[SELECT COUNT(*) AS n FROM item
    WHERE state IN ('done', 'present', 'failed', 'unknown') AND finished IS NULL]] },
  { "a line names an item that does not exist", [[SELECT COUNT(*) AS n FROM line_item
    WHERE item NOT IN (SELECT id FROM item) OR line NOT IN (SELECT n FROM line)]] },
}

local function check_rules(self, problems)
  for _, rule in ipairs(RULES) do
    local list, err = self:run_slowly(rule[2])
    if not list then
      return nil, err
    elseif list[1].n > 0 then
      problems[#problems + 1] = ("%s (%d times)"):format(rule[1], list[1].n)
    end
  end
  return true
end

-- The database's own check: of the file; of the pages that PostgreSQL has read, when it keeps checksums.
local OWN_CHECK <const> = {
  sqlite = "SELECT integrity_check AS problem FROM pragma_integrity_check WHERE integrity_check <> 'ok'",
  postgresql = [[SELECT 'PostgreSQL counted ' || checksum_failures || ' damaged pages of this database' AS problem
    FROM pg_stat_database WHERE datname = current_database() AND checksum_failures > 0]],
}

-- The texts of what is wrong, the number of items.
local function find_problems(self)
  local problems = {}
  local items, err = recount(self, problems)
  local own = items and check_rules(self, problems)
  if own then
    own, err = self:run_slowly(OWN_CHECK[self.kind])
  end
  for _, row in ipairs(own or {}) do
    problems[#problems + 1] = row.problem
  end
  return own and { ok = #problems == 0, problems = problems, items = items }, err
end

-- L:check() -> { ok =, problems = list of texts, items = number }. Other tasks go on meanwhile, and other workers.
function methods:check()
  return self:snapshot(function()
    return find_problems(self)
  end)
end

return ledger_totals
