--- Ledgers for specs, on SQLite and on PostgreSQL, with a clock that the spec sets.
---
---   for name, database in ledgers.databases() do … end
---   database.start() … database.stop()         ledgers.sqlite and ledgers.postgresql are the databases
---   local L = ledgers.new(database)            a new ledger of a transfer, with a worker that is the finder
---   local other = ledgers.join(L)              the same ledger, opened by another worker
local part = require "spec.support.part"
local served = require "spec.support.served"
local ledger = part "transfer.ledger"

local ledgers = {}

--- The time that the ledgers of this file have: milliseconds. Specs set it.
ledgers.now = 1700000000000

local function clock()
  return ledgers.now
end

-- ---- databases ----

local sqlite, postgresql = {}, {}

function sqlite.start()
  sqlite.folder = served.folder "ledger"
end

function sqlite.stop()
  served.output_of("exec rm -r " .. served.quoted { sqlite.folder })
end

local count = 0

local function new_name()
  count = count + 1
  return ("l%d"):format(count)
end

function sqlite.new_target()
  return sqlite.folder .. "/" .. new_name()
end

function postgresql.start()
  postgresql.server = require "spec.support.postgres".start()
end

function postgresql.stop()
  postgresql.server:close()
end

function postgresql.new_target()
  return postgresql.server.url .. "#" .. new_name()
end

ledgers.sqlite, ledgers.postgresql = sqlite, postgresql
local DATABASES <const> = { { "SQLite", sqlite }, { "PostgreSQL", postgresql } }

--- Iterates over the databases: name, { start =, stop =, new_target = }.
function ledgers.databases()
  local i = 0
  return function()
    i = i + 1
    if DATABASES[i] then
      return table.unpack(DATABASES[i])
    end
  end
end

-- ---- ledgers ----

ledgers.DESCRIPTION = { from_kind = "modality", from_name = "pacs", from_aet = "PACS", to_kind = "modality", to_name = "archive",
  to_aet = "ARCHIVE", server = "http://localhost:8042", level = "Study", query = { StudyDate = "1995-" }, settings = { concurrency = 2 } }

--- Opens a ledger with the clock of this file, and joins as a worker on another machine.
function ledgers.join(L)
  local other = assert(ledger.open(L.opened or L, { create = true, clock = clock }))
  other.opened = L.opened or L
  assert(other:join { host = "elsewhere", pid = 1, server = "http://other:8042", version = "1.12.7" })
  return other
end

--- Makes a new ledger. Fields of the second table replace those of the transfer.
function ledgers.new(database, description)
  local target = database.new_target()
  local L <const> = assert(ledger.open(target, { create = true, clock = clock }))
  L.opened = target
  local full = {}
  for name, value in pairs(ledgers.DESCRIPTION) do
    full[name] = value
  end
  for name, value in pairs(description or {}) do
    full[name] = value
  end
  assert(L:begin(full))
  assert(L:join { host = "here", pid = 1, server = "http://localhost:8042", version = "1.13.0" })
  assert(L:take_finder())
  return L
end

--- n items with the keys 1.2.from and so on, and 1, 2 or 3 images each.
function ledgers.items(n, from)
  local list = {}
  for i = from or 1, (from or 1) + n - 1 do
    local uid = "1.2." .. i
    list[#list + 1] = { key = uid, uids = { StudyInstanceUID = uid }, patient_id = "P" .. i, date = "20240101", modality = "CT",
      expected = i % 3 + 1 }
  end
  return list
end

return ledgers
