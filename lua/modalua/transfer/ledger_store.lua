-- transfer.ledger_store: which database a ledger is in, its connection, its tables, and transactions.
local require = ...
local native = require "core.native"
local points = require "transfer.points"
local schema = require "transfer.ledger_schema"

local ledger_store = { methods = {} }

local methods = ledger_store.methods

local function refused(message, ...)
  return nil, native.fail("transfer", "refused", "usage", message:format(...))
end

-- There is no ledger yet; err.absent says so to transfer.run, which makes it.
local function absent(name)
  local _, err = refused("there is no ledger '%s': `modalua transfer run` makes it", name)
  err.absent = true
  return nil, err
end

-- L.lost(code) -> err. This worker does not have any more what the call needs.
local LOST <const> = { dead = "this worker was marked dead, because it did not renew its lease", finder = "another worker is the finder" }

function methods.lost(code)
  return native.fail("transfer", "refused", code, LOST[code])
end

-- ---- the target ----

local SCHEMES <const> = { "postgresql://", "postgres://" }
local URL_FORM <const> = "the form is postgresql://[user@]host[:port]/database#name"

-- The messages do not repeat the text, which may have a password.
local function read_url(rest)
  local url, name = rest:match "^(.-)#(.*)$"
  if (url or rest):match "^([^?]*)@" and (url or rest):match("^([^?]*)@"):find(":", 1, true)
    or rest:lower():find "[?&]s?s?l?password=" then
    return nil, "the address of the ledger has a password: remove it, and put it into ~/.pgpass or the environment variable PGPASSWORD"
  elseif not name then
    return nil, "the address of the ledger does not name a transfer: " .. URL_FORM
  elseif not name:find "^[a-z0-9_]+$" or #name > 40 then
    return nil, "the name behind '#' in the address of the ledger must be 1 to 40 of the characters a-z, 0-9 and _"
  end
  local address, database = url:match "^([^/?]+)/([^/?]+)"
  local port = address and address:match "^.*:([^%]]*)$"
  if not database or port and not port:find "^%d+$" then
    return nil, "the address of the ledger is wrong: " .. URL_FORM
  end
  return { kind = "postgresql", url = "postgresql://" .. url, name = "postgresql://" .. address .. "/" .. database .. "#" .. name,
    schema = "modalua_" .. name }
end

-- ledger.read_target(text) -> { kind = "sqlite", path =, name = } | { kind = "postgresql", url =, schema =, name = } | nil, message.
function ledger_store.read_target(text)
  if type(text) ~= "string" or text == "" then
    return nil, "the ledger must be a path, or postgresql://host/database#name"
  elseif text:find "\0" then
    return nil, "the path of the ledger has a NUL character"
  end
  for _, scheme in ipairs(SCHEMES) do
    if text:sub(1, #scheme):lower() == scheme then
      return read_url(text:sub(#scheme + 1))
    end
  end
  local scheme = text:match "^(%a[%w+.-]*)://"
  if scheme then
    return nil, ("the ledger must be a path, or postgresql://host/database#name: '%s://' is neither"):format(scheme)
  end
  return { kind = "sqlite", path = text, name = text }
end

-- ---- the file ----

local NETWORK <const> = "SQLite needs shared memory, which a network file system (%s) does not have between machines"
local HINT <const> = "a ledger is a file that `modalua transfer run` makes"

-- Whether the file can be a ledger, before SQLite opens it. The file is not opened here: closing it would release the locks of other
-- ledgers of this process.
local function check_file(path, create)
  local kind, file_system, size = native.path_kind(path)
  if kind == "folder" then
    return refused("'%s' is a folder: %s", path, HINT)
  elseif kind == "other" then
    return refused("'%s' is not a regular file: %s", path, HINT)
  elseif (not kind or size == 0) and not create then
    return absent(path)
  elseif file_system then
    return refused("the ledger '%s' cannot be there: %s. Use a local folder, or postgresql://host/database#name", path,
      NETWORK:format(file_system))
  end
  return true
end

-- What SQLite's errors mean when a ledger is opened: the file is of no use, and the user can mend that.
local UNUSABLE <const> = { "^SQLITE_CANTOPEN", "^SQLITE_READONLY", "^SQLITE_PERM", "^SQLITE_AUTH" }

local function explain_file(self, err)
  if err.code == "SQLITE_NOTADB" then
    return refused("'%s' is not a ledger: it is no SQLite database; %s", self.name, HINT)
  end
  if (err.code or ""):find "^SQLITE_CORRUPT" then
    return refused("the ledger '%s' is damaged (%s): use a copy of it, or begin anew with a new ledger; what the destination has is not "
      .. "sent again", self.name, err.message)
  end
  for _, pattern in ipairs(UNUSABLE) do
    if (err.code or ""):find(pattern) then
      return refused("the ledger '%s' cannot be opened: %s", self.name, err.message)
    end
  end
  return nil, err
end

-- ---- the tables ----

-- Each returns the version of the ledger's tables, 0 when it has none | nil, err.
local examine = {}

function examine.sqlite(self)
  local list, err = self:run [[SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) AS tables
    FROM pragma_application_id, pragma_user_version]]
  local row = list and list[1]
  if not row then
    return nil, err
  elseif row.tables == 0 and row.user_version == 0 then
    return 0
  elseif row.application_id ~= schema.APPLICATION or row.user_version < 0 then
    return refused("'%s' is not a ledger: it is the database of another application", self.name)
  end
  return row.user_version
end

local COMMENT <const> = "ledger of modalua, schema "

function examine.postgresql(self)
  local list, err = self:run([[SELECT CAST(oid AS BIGINT) AS oid, obj_description(oid, 'pg_namespace') AS note
    FROM pg_namespace WHERE nspname = $1]], self.schema)
  local row = list and list[1]
  if not row then
    return list and 0, err
  end
  local version = (row.note or ""):match("^" .. COMMENT .. "(%d+)$")
  if not version then
    return refused("the ledger '%s' cannot be used: its schema %s belongs to another application", self.name, self.schema)
  end
  return math.tointeger(version)
end

-- Each writes the version, within the transaction that makes the tables.
local stamp = {}

function stamp.sqlite(self)
  local done, err = self:run(("PRAGMA application_id = %d"):format(schema.APPLICATION))
  if not done then
    return nil, err
  end
  return self:run(("PRAGMA user_version = %d"):format(schema.VERSION))
end

function stamp.postgresql(self)
  return self:run(("COMMENT ON SCHEMA %s IS '%s%d'"):format(self.schema, COMMENT, schema.VERSION))
end

local function run_all(self, statements)
  for _, statement in ipairs(statements) do
    local done, err = self:run(statement)
    if not done then
      return nil, err
    end
  end
  return true
end

-- Within a transaction: makes the tables, or upgrades them.
local function write_tables(self)
  if self.kind == "postgresql" then -- so that two workers do not make the same schema at once
    local done, err = self:run("SELECT 1 AS one FROM pg_advisory_xact_lock(hashtext($1))", self.schema)
    if not done then
      return nil, err
    end
  end
  local version, err = examine[self.kind](self)
  local done = version
  if version == 0 and self.kind == "postgresql" then
    done, err = self:run("CREATE SCHEMA " .. self.schema)
  end
  if done and version == 0 then
    done, err = run_all(self, schema.tables)
  end
  for v = 1, (version or 0) > 0 and schema.VERSION - 1 or 0 do
    if done and v >= version then
      done, err = run_all(self, schema.upgrades[v])
    end
  end
  if done and version < schema.VERSION then
    done, err = stamp[self.kind](self)
  end
  if done then
    points.at "creating"
  end
  return done and true, err
end

-- ---- the connection ----

-- Each sets up a new connection.
local set_up = {}

-- The order matters: the file of another application stays as it is.
function set_up.sqlite(self)
  local version, err = examine.sqlite(self)
  if not version then
    return nil, err
  end
  local list
  list, err = self:run "PRAGMA journal_mode = WAL"
  if not list then
    return nil, err
  elseif list[1].journal_mode ~= "wal" then
    return refused("the ledger '%s' cannot be there: its file system does not allow SQLite's write-ahead log. Use a local folder, or "
      .. "postgresql://host/database#name", self.name)
  end
  return self:run "PRAGMA synchronous = NORMAL"
end

local OLDEST_POSTGRESQL <const> = 120000

function set_up.postgresql(self)
  local list, err = self:run "SELECT CAST(current_setting('server_version_num') AS BIGINT) AS version"
  if list and list[1].version < OLDEST_POSTGRESQL then
    return refused("the ledger needs PostgreSQL 12 or later; the server has %d", list[1].version // 10000)
  end
  return list, err
end

-- Opens the connection when there is none. One that was lost is opened again by the next call.
local function connect(self)
  if self.db then
    return true
  elseif self.closed then
    return refused("the ledger '%s' is closed", self.name)
  end
  local db, err = require "transfer.native".open(self.target.path or self.target.url, self.create,
    { search_path = self.schema, read = self.reading })
  if not db then
    return nil, err
  end
  self.db = db
  local done = true
  if not self.reading then
    done, err = set_up[self.kind](self)
  end
  if not done then
    self:disconnect()
    return nil, err
  end
  return true
end

-- L:is_in_place() -> boolean | nil. Whether the file that was opened is still where others look for it; nil when there is none, or when it
-- cannot be looked at.
function methods:is_in_place()
  if self.identity == nil then
    return true
  end
  local identity = select(4, native.path_kind(self.target.path))
  return identity and identity == self.identity
end

function methods:disconnect()
  local db = self.db
  self.db = nil
  if db then
    db:close()
  end
end

function methods:close()
  self.closed = true
  self:disconnect()
end

-- ---- statements ----

-- Another process or worker was faster: the transaction is tried again.
local CONFLICTS <const> = { ["SQLITE_BUSY"] = true, ["SQLITE_BUSY_SNAPSHOT"] = true, ["SQLITE_BUSY_RECOVERY"] = true,
  ["SQLITE_BUSY_TIMEOUT"] = true, ["SQLITE_LOCKED"] = true, ["40001"] = true, ["40P01"] = true, ["55P03"] = true }

-- Whether the connection is of no use any more.
local function is_lost(err)
  return err.retryable and not CONFLICTS[err.code]
end

local function execute(self, method, sql, ...)
  local text = self.statements[sql]
  if not self.db then
    return nil, self.lost_by -- within the transaction that lost the connection
  elseif not text then
    text = sql:gsub("{[%l ]+}", schema.dialects[self.kind])
    self.statements[sql] = text
  end
  local list, changed = self.db[method](self.db, text, ...)
  if list then
    return list, nil, changed
  elseif is_lost(changed) then
    self.lost_by = changed
    self:disconnect()
  end
  return nil, changed
end

-- Runs one statement -> rows, nil, number of changed rows | nil, err. Only while this task has the lock: in L:transaction, L:snapshot and
-- L:query.
function methods:run(sql, ...)
  return execute(self, "run", sql, ...)
end

-- The same for a statement that can take long: other tasks go on meanwhile.
function methods:run_slowly(sql, ...)
  return execute(self, "run_slowly", sql, ...)
end

local UNLOCK = { __close = function(lock)
  lock.ledger.is_locked = false
end }

-- Calls f while no other task uses the connection.
function methods:locked(f, ...)
  while self.is_locked do
    native.sleep(0.002)
  end
  self.is_locked = true
  local lock <close> = setmetatable({ ledger = self }, UNLOCK) -- luacheck: ignore
  return f(...)
end

-- ---- transactions ----

local PATIENCE <const> = 30 -- seconds
local LONGEST_PAUSE <const> = 0.25

-- Calls f until it meets no conflict, with growing pauses.
local function try_again(self, f, ...)
  local deadline, pause = native.now() + PATIENCE, 0.002
  while true do
    local result, more = self:locked(f, self, ...)
    if result ~= nil or not (more and CONFLICTS[more.code]) or native.now() > deadline then
      return result, more
    end
    native.sleep(pause * (0.5 + math.random()))
    pause = math.min(pause * 2, LONGEST_PAUSE)
  end
end

local function query(self, method, sql, ...)
  local good, err = connect(self)
  if not good then
    return nil, err
  end
  return self[method](self, sql, ...)
end

-- L:query(sql, …) -> rows | nil, err. One statement outside of transactions.
function methods:query(sql, ...)
  return try_again(self, query, "run", sql, ...)
end

-- The same for a statement that can take long: other tasks go on meanwhile.
function methods:query_slowly(sql, ...)
  return try_again(self, query, "run_slowly", sql, ...)
end

-- A transaction that ends neither well nor by an error of the database is taken back: a task was cancelled, or the code threw.
local ROLL_BACK = { __close = function(open)
  if not open.ended and open.ledger.db then
    open.ledger.db:abandon()
  end
end }

local function end_by(self, open, statement)
  local done, err = self:run(statement)
  open.ended = done and true
  return done, err
end

-- PostgreSQL tells the time in the same answer.
local BEGIN <const> = { sqlite = "BEGIN IMMEDIATE", postgresql = "BEGIN; SELECT {now} AS now" }
local SNAPSHOT <const> = { sqlite = "BEGIN", postgresql = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT {now} AS now" }

local function transact(self, begin, f)
  local good, err = connect(self)
  if not good then
    return nil, err
  end
  local open <close> = setmetatable({ ledger = self }, ROLL_BACK)
  local begun
  begun, err = self:run(begin[self.kind])
  if not begun then
    return nil, err
  end
  local now, result, more
  if begun[1] and not self.clock then
    now = begun[1].now
  else
    now, more = self:read_clock()
  end
  if now then
    result, more = f(now)
  end
  if result == nil then
    open.ended = not self.db or self:run "ROLLBACK" and true
    return nil, more
  end
  good, err = end_by(self, open, "COMMIT")
  if not good then
    return nil, err
  end
  return result, more
end

-- L:transaction(f) -> what f returned: value | nil, err. f(now) runs its statements by L:run; nil from it takes them back. It may be called
-- several times, so it changes nothing besides the database.
function methods:transaction(f)
  return try_again(self, transact, BEGIN, f)
end

-- L:snapshot(f) -> what f returned: value | nil, err. All statements of f see the ledger as it was at one moment, and change nothing.
function methods:snapshot(f)
  return try_again(self, transact, SNAPSHOT, f)
end

-- The time in the database, for code that has the lock.
function methods:read_clock()
  if self.clock then
    return self.clock()
  end
  local list, err = self:run "SELECT {now} AS now"
  return list and list[1].now, err
end

-- L:now() -> ms.
function methods:now()
  if self.clock then
    return self.clock()
  end
  local list, err = self:query "SELECT {now} AS now"
  return list and list[1].now, err
end

-- ---- a ledger that can only be read ----

-- A ledger that is only read may be on a disk that cannot be written, or belong to another user. SQLite can read it while others may change
-- it, as long as it has the files with the names -wal and -shm. On a disk that cannot be written nothing changes, so without the former it
-- can do without both.
local function connect_to_read(self, err)
  if err.code ~= "SQLITE_READONLY" and err.code ~= "SQLITE_CANTOPEN" then
    return nil, err
  end
  self.reading = "shared"
  if try_again(self, connect) and try_again(self, examine.sqlite) then
    return true
  end
  self:disconnect()
  local _, _, size = native.path_kind(self.target.path .. "-wal")
  if err.code ~= "SQLITE_READONLY" then
    return nil, err
  elseif size and size > 0 then
    return refused("the ledger '%s' is on a disk that cannot be written, and its last changes are in the file '%s-wal': copy both files to "
      .. "another folder, and name that copy", self.name, self.name)
  end
  self.reading = "still"
  return try_again(self, connect)
end

-- ---- opening ----

-- Makes the tables when there are none, upgrades older ones, refuses newer ones.
local function prepare(self, create)
  local version, err = try_again(self, examine[self.kind])
  if not version then
    return nil, err
  elseif version > schema.VERSION then
    return refused("the ledger '%s' was made by a newer modalua (schema %d; this one knows %d): use that version", self.name, version,
      schema.VERSION)
  elseif version == 0 and not create then
    return absent(self.name)
  elseif version == schema.VERSION then
    return true
  elseif self.reading then
    return refused("the ledger '%s' was made by an older modalua, and cannot be changed where it is: copy it to another folder", self.name)
  end
  return self:transaction(function()
    return write_tables(self)
  end)
end

-- Opens or makes the ledger. only_read: it will not be changed.
function ledger_store.open(self, text, create, only_read)
  local target, message = ledger_store.read_target(text)
  if not target then
    return refused("%s", message)
  end
  self.target, self.kind, self.name, self.schema, self.statements = target, target.kind, target.name, target.schema, {}
  self.create = create or false
  local good, err = true, nil
  if target.kind == "sqlite" then
    good, err = check_file(target.path, create)
  end
  if not good then
    return nil, err
  end
  good, err = try_again(self, connect) -- another process may set up the file at this moment
  if not good and only_read and target.kind == "sqlite" then
    good, err = connect_to_read(self, err)
  end
  if good then
    good, err = prepare(self, create)
  end
  if good and target.kind == "sqlite" then
    self.identity = select(4, native.path_kind(target.path))
  end
  self.create = false -- a file that is removed while it is used is not made again
  if not good then
    self:close()
  end
  if not good and self.kind == "sqlite" then
    return explain_file(self, err)
  end
  return good, err
end

return ledger_store
