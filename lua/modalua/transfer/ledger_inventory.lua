-- transfer.ledger_inventory: what the finder writes: new items, slices of the search, and lines of a list.
local require = ...
local json = require "modalua.json"
local rows = require "transfer.ledger_rows"

local ledger_inventory = { methods = {} }

local methods = ledger_inventory.methods

-- ---- items ----

local TEXTS <const> = { "key", "patient_id", "accession", "date", "time", "modality", "description", "patient_name", "note" }
local FIRST_OF_ALL <const> = -1

-- The rows of new items as JSON.
local function encode_items(list)
  local encoded = {}
  for i, item in ipairs(list) do
    local row = { uids = rows.json(item.uids), expected = item.expected, bytes = item.bytes,
      due = item.first and FIRST_OF_ALL or item.rank or 0 }
    for _, name in ipairs(TEXTS) do
      row[name] = rows.text(item[name])
    end
    encoded[i] = row
  end
  return rows.list(encoded)
end

local INSERT <const> = [[INSERT INTO item(key, uids, patient_id, accession, date, time, modality, description, patient_name, note, expected,
    bytes, state, due, tries)
  SELECT e.value ->> 'key', e.value ->> 'uids', e.value ->> 'patient_id', e.value ->> 'accession', e.value ->> 'date', e.value ->> 'time',
    e.value ->> 'modality', e.value ->> 'description', e.value ->> 'patient_name', e.value ->> 'note',
    CAST(e.value ->> 'expected' AS BIGINT), CAST(e.value ->> 'bytes' AS BIGINT), 'todo', CAST(e.value ->> 'due' AS BIGINT), 0
  FROM {each} WHERE true
  ON CONFLICT DO NOTHING RETURNING expected, bytes]]

-- The tally of items that no worker owns, as those of `modalua transfer add`, has this worker.
local NO_WORKER <const> = "-"

-- Within a transaction: writes the items that are new. Returns their number.
local function insert_items(self, list)
  if #list == 0 then
    return 0
  end
  local new, err = self:run(INSERT, encode_items(list))
  if not new then
    return nil, err
  end
  local instances, bytes = 0, 0
  for _, row in ipairs(new) do
    instances, bytes = instances + (row.expected or 0), bytes + (row.bytes or 0)
  end
  local done
  done, err = self:add_to_tally { { state = "todo", items = #new, instances = instances, bytes = bytes } }
  return done and #new, err
end

-- Within a transaction: adds numbers to this worker's tally. changes: a list of { state =, items =, instances =, bytes = }.
function methods:add_to_tally(changes)
  return self:run([[INSERT INTO tally(worker, state, items, instances, bytes)
    SELECT CAST($2 AS TEXT), e.value ->> 'state', CAST(e.value ->> 'items' AS BIGINT), CAST(e.value ->> 'instances' AS BIGINT),
      CAST(e.value ->> 'bytes' AS BIGINT) FROM {each} WHERE true
    ON CONFLICT (worker, state) DO UPDATE SET items = tally.items + excluded.items, instances = tally.instances + excluded.instances,
      bytes = tally.bytes + excluded.bytes]], rows.list(changes), self.worker or NO_WORKER)
end

local SLICE <const> = [[INSERT INTO slice(kind, first, last, prefix, answers, finds, proof, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)]]

local function insert_slices(self, list)
  for _, s in ipairs(list) do
    local done, err = self:run(SLICE, s.kind, s.first, s.last, rows.text(s.prefix), s.answers, s.finds, s.proof, rows.text(s.note))
    if not done then
      return nil, err
    end
  end
  return true
end

-- Only the finder moves the cursor: a worker that was taken for dead has lost the role.
local PROGRESS <const> = [[UPDATE transfer SET cursor = COALESCE($1, cursor), cap = COALESCE($2, cap), proven = COALESCE($3, proven)
  WHERE finder = $4]]

-- L:add_items(items, { cursor =, cap =, proven =, slice = | slices = }) -> the number of new items. One transaction. The second table says
-- how far the search is; what it does not have stays as it is. Only the finder may call this; another worker gets the code "finder".
function methods:add_items(list, progress)
  return self:transaction(function()
    local done, err, changed = self:run(PROGRESS, progress.cursor, progress.cap, progress.proven, self.worker)
    if not done then
      return nil, err
    elseif changed == 0 then
      return nil, self.lost "finder"
    end
    local new
    new, err = insert_items(self, list)
    if new then
      done, err = insert_slices(self, progress.slices or { progress.slice })
    end
    return new and done and new, err
  end)
end

-- L:slices() -> list of the rows of `slice`, in the order in which they were written.
function methods:slices()
  return self:query "SELECT * FROM slice ORDER BY id"
end

-- ---- lines ----

local BATCH <const> = 500

local INSERT_LINES <const> = [[INSERT INTO line(n, tag, text, value, outcome, reason, first)
  SELECT CAST(e.value ->> 'n' AS BIGINT), e.value ->> 'tag', e.value ->> 'text', e.value ->> 'value', e.value ->> 'outcome',
    e.value ->> 'reason', CAST(e.value ->> 'first' AS BIGINT) FROM {each}]]

-- Within a transaction: writes the lines that the iterator gives, with the numbers from n on. Returns the number of the next line.
function ledger_inventory.write_lines(self, iterator, n, first)
  local batch = {}
  local function write()
    local done, err = #batch == 0, nil
    if not done then
      done, err = self:run(INSERT_LINES, rows.list(batch))
    end
    batch = {}
    return done, err
  end
  for line in iterator do
    batch[#batch + 1] = { n = n, tag = line.tag, text = rows.text(line.text), value = rows.text(line.value), outcome = line.outcome,
      reason = rows.text(line.reason), first = first and 1 or 0 }
    n = n + 1
    if #batch == BATCH then
      local done, err = write()
      if not done then
        return nil, err
      end
    end
  end
  local done, err = write()
  return done and n, err
end

-- Within a transaction: returns an iterator over those lines that the list does not have yet, each once, wherever they stand in it; nil and
-- an error.
local function without_known(self, iterator)
  local list, err = self:run "SELECT tag, text FROM line"
  if not list then
    return nil, err
  end
  local known = {}
  for _, line in ipairs(list) do
    known[line.tag .. "\n" .. line.text] = true
  end
  return function()
    for line in iterator do
      local name = line.tag .. "\n" .. rows.text(line.text)
      if not known[name] then
        known[name] = true
        return line
      end
    end
  end
end

-- L:add_lines(each, first, only_new) -> the number of new lines. each() returns an iterator over lines: { tag =, text =, value =,
-- outcome =, reason = }. first: their items go before all others. only_new: lines that the list has already are left out. The finder then
-- looks for them, although its search had ended.
function methods:add_lines(each, first, only_new)
  return self:transaction(function(now)
    local found, err = self:run "SELECT one FROM transfer {lock}" -- two that add at once get different numbers
    if found then
      found, err = self:run "SELECT COALESCE(MAX(n), 0) + 1 AS n FROM line"
    end
    local n, iterator, done = found and found[1].n, nil, nil
    if n and only_new then
      iterator, err = without_known(self, each())
    elseif n then
      iterator = each()
    end
    if iterator then
      done, err = ledger_inventory.write_lines(self, iterator, n, first)
    end
    local count = done and done - n
    if count == 0 and only_new then
      return count
    elseif done then
      done, err = self:run "UPDATE transfer SET found_all = NULL"
    end
    if done then
      done, err = self:write_note(now, "add", tostring(count))
    end
    return done and count, err
  end)
end

-- Within a transaction: lines with one of these outcomes are looked for again. Returns their number.
function ledger_inventory.reopen_lines(self, outcomes)
  local list = {}
  for i, outcome in ipairs(outcomes) do
    list[i] = { outcome = outcome }
  end
  local done, err, changed = self:run([[UPDATE line SET outcome = NULL, reason = NULL
    WHERE outcome IN (SELECT e.value ->> 'outcome' FROM {each})]], rows.list(list))
  if done and changed > 0 then
    done, err = self:run "UPDATE transfer SET found_all = NULL"
  end
  return done and changed, err
end

-- L:open_lines(limit, after) -> list of the first lines with a number above `after` (or 0) that were not looked for: { n =, tag =, text =,
-- value =, first = boolean }.
function methods:open_lines(limit, after)
  local list, err = self:query("SELECT n, tag, text, value, first FROM line WHERE n > $1 AND outcome IS NULL ORDER BY n LIMIT $2",
    after or 0, limit)
  for _, line in ipairs(list or {}) do
    line.first = line.first == 1
  end
  return list, err
end

local UPDATE_LINES <const> = [[UPDATE line SET outcome = e.value ->> 'outcome', reason = e.value ->> 'reason'
  FROM {each} WHERE line.n = CAST(e.value ->> 'n' AS BIGINT)]]

local LINK <const> = [[INSERT INTO line_item(line, item) SELECT CAST(e.value ->> 'line' AS BIGINT), item.id
  FROM {each} JOIN item ON item.key = e.value ->> 'key' WHERE true ON CONFLICT DO NOTHING]]

-- L:set_lines(list of { n =, outcome =, reason =, items = list | nil }) -> true. What was found for some lines, and its items, which are
-- new or known, in one transaction. Only the finder may call this.
function methods:set_lines(list)
  local outcomes, new, links = {}, {}, {}
  for i, line in ipairs(list) do
    outcomes[i] = { n = line.n, outcome = line.outcome, reason = rows.text(line.reason) }
    for _, item in ipairs(line.items or {}) do
      new[#new + 1] = item
      links[#links + 1] = { line = line.n, key = rows.text(item.key) }
    end
  end
  return self:transaction(function()
    local found, err = self:run("SELECT one FROM transfer WHERE finder = $1 {lock}", self.worker)
    if found and #found == 0 then
      return nil, self.lost "finder"
    end
    local done = found
    for _, step in ipairs { { UPDATE_LINES, outcomes }, {}, { LINK, links } } do
      if done and step[1] then
        done, err = self:run(step[1], rows.list(step[2]))
      elseif done then
        done, err = insert_items(self, new)
      end
    end
    return done and true, err
  end)
end

-- The outcome of a line with items, by their states. The first state that one of them has decides.
local OUTCOMES <const> = { { "failed", "FAILED" }, { "unknown", "UNKNOWN" }, { "todo", "OPEN" }, { "sending", "OPEN" }, { "sent", "OPEN" },
  { "done", "SUCCESS" }, { "present", "PRESENT" } }

local function outcome_of(line)
  local has = {}
  for _, item in ipairs(line.items) do
    has[item.state] = true
  end
  for _, pair in ipairs(OUTCOMES) do
    if has[pair[1]] then
      return pair[2]
    end
  end
end

local LINES <const> = 200 -- in a page

-- Returns the next lines after number n with their items, or nil and an error.
local function read_lines(self, n)
  local list, err = self:query("SELECT n, tag, text, value, outcome, reason FROM line WHERE n > $1 ORDER BY n LIMIT $2", n, LINES)
  if not list or #list == 0 then
    return list, err
  end
  local by_number = {}
  for _, line in ipairs(list) do
    line.items, by_number[line.n] = {}, line
  end
  local found
  found, err = self:query([[SELECT line_item.line, item.* FROM line_item JOIN item ON item.id = line_item.item
    WHERE line_item.line BETWEEN $1 AND $2 ORDER BY line_item.line, item.id]], list[1].n, list[#list].n)
  for _, item in ipairs(found or {}) do
    item.uids = json.decode(item.uids)
    table.insert(by_number[item.line].items, item)
  end
  for _, line in ipairs(list) do
    line.outcome = line.outcome == "FOUND" and outcome_of(line) or line.outcome or "OPEN"
  end
  return found and list, err
end

-- L:lines() -> iterator over the lines of the list with their items, in order: { n =, tag =, text =, value =, outcome =, reason =, items =
-- }. An outcome FOUND is replaced by that of the items: SUCCESS, PRESENT, FAILED, UNKNOWN or OPEN. Throws the error of the database.
function methods:lines()
  local list, i = {}, 0
  return function()
    i = i + 1
    if not list[i] then
      local last = list[#list]
      list, i = assert(read_lines(self, last and last.n or 0)), 1
    end
    return list[i]
  end
end

return ledger_inventory
