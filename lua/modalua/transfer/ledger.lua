-- transfer.ledger: the ledger of a transfer, in a file (SQLite) or in a schema of PostgreSQL. All SQL is in this file and in its
-- companions: ledger_store (connection, transactions), ledger_schema (the tables), ledger_workers, ledger_inventory (slices, lines, new
-- items), ledger_items (claims and results) and ledger_totals (sums, reports, check).
--
-- Every method returns nil and an error object when the database fails. Its kind is "database", or "refused" when the ledger cannot be
-- used. Times are milliseconds since 1970, UTC, by the database's clock.
local require = ...
local inventory = require "transfer.ledger_inventory"
local items = require "transfer.ledger_items"
local json = require "modalua.json"
local native = require "core.native"
local rows = require "transfer.ledger_rows"
local schema = require "transfer.ledger_schema"
local store = require "transfer.ledger_store"
local totals = require "transfer.ledger_totals"
local workers = require "transfer.ledger_workers"

local ledger = { RENEW = workers.RENEW, FENCE = workers.FENCE, LEASE = workers.LEASE, read_target = store.read_target }

local Ledger = {}
Ledger.__index = Ledger

for _, methods in ipairs { store.methods, workers.methods, inventory.methods, items.methods, totals.methods } do
  for name, method in pairs(methods) do
    Ledger[name] = method
  end
end

-- Ledger:close(). What was not committed is lost. The methods of a closed ledger return an error.
Ledger.__close = Ledger.close

-- ledger.open(target, { create =, only_read =, clock = }) -> L | nil, err. target: a path, or postgresql://host/db#name. create: makes a
-- ledger that does not exist. only_read: the caller changes nothing; then it may be on a disk that cannot be written. clock: a function
-- that specs give instead of the database's clock.
function ledger.open(target, options)
  local self = setmetatable({ clock = options.clock }, Ledger)
  local good, err = store.open(self, target, options.create, options.only_read)
  if not good then
    return nil, err
  end
  return self
end

-- ---- the transfer ----

local function decode(text)
  return text and assert(json.decode(text))
end

-- L:describe() -> the row of `transfer` with query, listed and settings as tables | false when there is no transfer yet | nil, err.
function Ledger:describe()
  local list, err = self:query "SELECT * FROM transfer"
  local row = list and list[1]
  if not row then
    return list and false, err
  end
  for _, name in ipairs { "query", "listed", "settings" } do
    local value, why = nil, "it is missing"
    if row[name] then
      value, why = json.decode(row[name])
    end
    if type(value) ~= "table" and (row[name] or name == "settings") then
      return nil, native.fail("transfer", "database", "damaged", ("the ledger '%s' is damaged: it cannot read its own %s: %s"):format(
        self.name, name, why or "it is no table"))
    end
    row[name] = value
  end
  return row
end

-- L:no_transfer() -> err. The ledger has tables, and L:begin was not called yet.
function Ledger:no_transfer()
  return native.fail("transfer", "refused", "usage", ("the ledger '%s' has no transfer yet: `modalua transfer run` begins it"):format(
    self.name))
end

-- L:settings_version() -> integer, why it is paused | nil.
function Ledger:settings_version()
  local list, err = self:query "SELECT settings_version, paused FROM transfer"
  if not list then
    return nil, err
  end
  return list[1].settings_version, list[1].paused
end

-- Within a transaction: adds a row of history.
function Ledger:write_note(now, what, detail)
  return self:run("INSERT INTO history(at, what, detail) VALUES ($1, $2, $3)", now, what, rows.text(detail))
end

-- L:note(what, detail) -> true.
function Ledger:note(what, detail)
  return self:transaction(function(now)
    local done, err = self:write_note(now, what, detail)
    return done and true, err
  end)
end

-- L:history() -> list of { at =, what =, detail = }, the oldest first.
function Ledger:history()
  return self:query "SELECT at, what, detail FROM history ORDER BY id"
end

-- L:begin{ from_kind =, from_name =, from_aet =, to_kind =, to_name =, to_aet =, server =, level =, query =, listed =, settings =, lines =
-- } -> true. Writes the row of the transfer, and the lines of its list, which an iterator gives, in one transaction.
function Ledger:begin(description)
  local d = description
  return self:transaction(function(now)
    local done, err = self:run([[INSERT INTO transfer(one, schema, created, from_kind, from_name, from_aet, to_kind, to_name, to_aet,
      server, level, query, listed, settings, settings_version) VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1)]],
      schema.VERSION, now, d.from_kind, rows.text(d.from_name), rows.text(d.from_aet), d.to_kind, rows.text(d.to_name),
      rows.text(d.to_aet), rows.text(d.server), d.level,
      d.query and rows.json(d.query) or nil, d.listed and rows.json(d.listed) or nil, rows.json(d.settings))
    if done and d.lines then
      done, err = inventory.write_lines(self, d.lines(), 1)
    end
    if done then
      done, err = self:write_note(now, "begin", rows.json(d.settings))
    end
    return done and true, err
  end)
end

-- L:change_settings(changes) -> true. "" removes a setting. Workers see the new version within 5 s. With several = "all", the lines that
-- name several studies are looked for again.
function Ledger:change_settings(changes)
  return self:transaction(function(now)
    local list, err = self:run "SELECT settings FROM transfer {lock}"
    if not list then
      return nil, err
    end
    local settings = decode(list[1].settings)
    for name, value in pairs(changes) do
      settings[name] = value ~= "" and value or nil
    end
    local done
    done, err = self:run("UPDATE transfer SET settings = $1, settings_version = settings_version + 1", rows.json(settings))
    if done then
      done, err = self:write_note(now, "settings", rows.json(changes))
    end
    if done and changes.several == "all" then
      done, err = inventory.reopen_lines(self, { "AMBIGUOUS" })
    end
    return done and true, err
  end)
end

-- L:set_paused(reason | nil) -> true. With a reason no worker begins a send.
function Ledger:set_paused(reason)
  return self:transaction(function(now)
    local done, err = self:run("UPDATE transfer SET paused = $1", rows.text(reason))
    if done and reason then
      done, err = self:write_note(now, "pause", reason)
    elseif done then
      done, err = totals.write_failed(self, now, "resume")
    end
    return done and true, err
  end)
end

return ledger
