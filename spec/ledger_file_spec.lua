-- Tests a ledger as a file (lua/modalua/transfer/ledger_store.lua): its mode, what is refused, what a kill leaves, plans of SQLite.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local ledgers = require "spec.support.ledgers"
local part = require "spec.support.part"
local served = require "spec.support.served"
local task = require "modalua.task"
local core = part "core.native"
local ledger = part "transfer.ledger"
local native = part "transfer.native"
local status = part "transfer.status"

local database = ledgers.sqlite

setup(database.start)
teardown(database.stop)

local function output_of(line, ...)
  return served.output_of(line:format(...))
end

-- What is at a path, to see whether it was changed.
local function contents(path)
  return output_of("ls -la --time-style=full-iso %s* && cat %s | sha256sum", path, path)
end

-- Both ways to open are refused with that message, and the file stays as it is.
local function is_refused(path, message)
  local before = contents(path)
  for _, create in ipairs { false, true } do
    local err = expect.fails({ kind = "refused", code = "usage" }, ledger.open(path, { create = create }))
    expect.contains(err.message, message)
    assert.is_nil(err.absent)
  end
  assert.are.equal(before, contents(path))
end

describe("The file of a ledger", function()
  it("can be read by its user alone, and so can the files that SQLite keeps beside it", function()
    local before = output_of "umask"
    assert.are.equal("0022\n", before) -- so that the mode is not that of the umask
    local L <close> = ledgers.new(database)
    assert(L:add_items(ledgers.items(2), {}))
    assert.are.equal("600\n600\n600\n", output_of("stat -c %%a %s %s-wal %s-shm", L.opened, L.opened, L.opened))
  end)

  it("has a write-ahead log, and a number of modalua's own", function()
    local L <close> = ledgers.new(database)
    assert.are.same({ { journal_mode = "wal" } }, L:query "PRAGMA journal_mode")
    assert.are.same({ { synchronous = 1 } }, L:query "PRAGMA synchronous")
    assert.are.same({ { user_version = 1 } }, L:query "PRAGMA user_version")
    assert.are.same({ { application_id = 0x6d646c75 } }, L:query "PRAGMA application_id")
  end)

  it("is not made when it is only to be read", function()
    local path = database.new_target()
    local err = expect.fails({ kind = "refused", code = "usage", absent = true }, ledger.open(path, { create = false }))
    expect.contains(err.message, ("there is no ledger '%s'"):format(path))
    assert.is_nil(io.open(path))
  end)

  it("is made from an empty file, which then is its user's alone", function()
    local path = database.new_target()
    output_of(": >%s && chmod 644 %s", path, path)
    expect.fails({ kind = "refused", absent = true }, ledger.open(path, { create = false }))
    assert(ledger.open(path, { create = true })):close()
    assert.are.equal("600\n", output_of("stat -c %%a %s", path))
  end)

  it("is not made again while it is used", function()
    local L <close> = ledgers.new(database)
    L:disconnect()
    os.remove(L.opened)
    local row, err = L:describe()
    assert.is_nil(row)
    assert.are.equal("SQLITE_CANTOPEN", err.code)
    assert.is_nil(io.open(L.opened))
  end)

  it("can have any name that a file can have", function()
    local folder = database.new_target()
    output_of("mkdir %s", folder)
    for _, name in ipairs { "a b", "quote'\"", "100%25?mode=ro", "#name", "-option", "file:x", ":memory:", "ümlaut" } do
      local path = folder .. "/" .. name
      assert(ledger.open(path, { create = true })):close()
      assert.are.equal("file", core.path_kind(path), name)
      assert(ledger.open(path, { create = false })):close()
    end
    local result = command.shell(([[cd %s && "$M" -e 'print(require "modalua".transfer.check ":memory:")']]):format(folder))
    assert.matches("the ledger ':memory:' has no transfer yet", result.out)
  end)
end)

describe("A ledger is refused", function()
  it("when it is a folder", function()
    local path = database.new_target()
    output_of("mkdir %s && : >%s/file", path, path)
    for _, create in ipairs { false, true } do
      local err = expect.fails({ kind = "refused", code = "usage" }, ledger.open(path, { create = create }))
      expect.contains(err.message, ("'%s' is a folder: a ledger is a file that `modalua transfer run` makes"):format(path))
    end
    assert.are.equal("file\n", output_of("ls %s", path))
  end)

  it("when it is a device or a pipe, without waiting for it", function()
    local path = database.new_target()
    output_of("mkfifo %s", path)
    for _, name in ipairs { path, "/dev/null", "/dev/zero" } do
      local err = expect.fails({ kind = "refused", code = "usage" }, ledger.open(name, { create = true }))
      expect.contains(err.message, ("'%s' is not a regular file"):format(name))
    end
  end)

  it("when it is no database", function()
    local path = database.new_target()
    served.write_file(path, "StudyInstanceUID\n1.2.3\n")
    is_refused(path, ("'%s' is not a ledger: it is no SQLite database"):format(path))
    served.write_file(path, "SQLite")
    is_refused(path, "it is no SQLite database")
  end)

  it("when it is a damaged database", function()
    local path = database.new_target()
    served.write_file(path, "SQLite format 3\0" .. ("\xff"):rep(4096))
    is_refused(path, ("'%s' is not a ledger: it is no SQLite database"):format(path))
  end)

  it("when a part of it is missing, or when its version is none", function()
    local L <const> = ledgers.new(database)
    L:close()
    local path = L.opened .. ".cut"
    output_of("head -c 3000 %s >%s", L.opened, path)
    is_refused(path, ("the ledger '%s' is damaged"):format(path))
    output_of([[sqlite3 %s 'PRAGMA user_version = -5']], L.opened)
    is_refused(L.opened, ("'%s' is not a ledger"):format(L.opened))
  end)

  it("when it is the database of another application, which stays as it is", function()
    local path = database.new_target()
    output_of([[sqlite3 %s 'CREATE TABLE item(id INTEGER PRIMARY KEY)']], path)
    is_refused(path, ("'%s' is not a ledger: it is the database of another application"):format(path))
    output_of([[sqlite3 %s 'PRAGMA user_version = 1']], path)
    is_refused(path, "it is the database of another application")
  end)

  it("when this user cannot read it", function()
    local path = database.new_target()
    assert(ledger.open(path, { create = true })):close()
    if output_of "id -u" == "0\n" then
      output_of("chmod 755 %s && chmod 600 %s", database.folder, path)
      local result = command.shell(([[setpriv --reuid=65534 --regid=65534 --clear-groups \
        "$M" -e 'print(require "modalua".transfer.check "%s")']]):format(path))
      assert.matches("nil\ttransfer: the ledger '.*' cannot be opened: .*: Permission denied", result.out)
    else
      output_of("chmod 000 %s", path)
      expect.contains(expect.fails({ kind = "refused" }, ledger.open(path, {})).message, "Permission denied")
    end
  end)

  it("on a network file system, before anything is written there", function()
    local real = core.path_kind
    local restore <close> = setmetatable({}, { __close = function() core.path_kind = real end })
    assert.is_not_nil(restore)
    local path = database.new_target()
    for _, kind in ipairs { "file", false } do
      core.path_kind = function() return kind or nil, "NFS" end
      local err = expect.fails({ kind = "refused", code = "usage" }, ledger.open(path, { create = true }))
      expect.contains(err.message, "a network file system (NFS)")
      expect.contains(err.message, "Use a local folder, or postgresql://host/database#name")
      assert.is_nil(io.open(path))
    end
    core.path_kind = real
    local empty = database.new_target()
    served.write_file(empty, "")
    local kind, network, size, identity = real(empty)
    assert.are.same({ "file", nil, 0, n = 3 }, { kind, network, size, n = 3 })
    assert.are.equal(identity, select(4, real(empty)))
    assert.are_not.equal(identity, select(4, real "README.md"))
    assert.are.same({ "folder" }, { (real "lua") })
    assert.are.same({ n = 2 }, table.pack(real "lua/nothing"))
  end)

  it("where SQLite cannot have a write-ahead log", function()
    local real = native.open
    local restore <close> = setmetatable({}, { __close = function() native.open = real end })
    assert.is_not_nil(restore)
    function native.open(...) -- no file system of this machine refuses it
      local db = assert(real(...))
      return { close = function() db:close() end, run = function(_, sql, ...)
        return db:run(sql:gsub("journal_mode = WAL", "journal_mode = DELETE"), ...)
      end }
    end
    local err = expect.fails({ kind = "refused", code = "usage" }, ledger.open(database.new_target(), { create = true }))
    expect.contains(err.message, "its file system does not allow SQLite's write-ahead log")
  end)

  it("when its address is wrong, without repeating what may be a password in it", function()
    local PASSWORD <const> = "has a password: remove it, and put it into ~/.pgpass or the environment variable PGPASSWORD"
    for text, message in pairs {
      ["postgresql://u:hunter2@host/db#lung"] = PASSWORD,
      ["postgres://u:hun/ter2@host/db#lung"] = PASSWORD,
      ["postgresql://u:hun@ter2@host/db#lung"] = PASSWORD,
      ["postgresql://host/db?password=hunter2#lung"] = PASSWORD,
      ["POSTGRESQL://host/db?user=u&PassWord=hunter2#lung"] = PASSWORD,
      ["postgresql://host/db?sslpassword=hunter2#lung"] = PASSWORD,
      ["postgresql://u:hun?ter2@host/db#lung"] = "is wrong: the form is postgresql://[user@]host[:port]/database#name",
      ["postgresql://host/db"] = "does not name a transfer",
      ["postgresql://host/db#"] = "must be 1 to 40 of the characters a-z, 0-9 and _",
      ["postgresql://host/db#Lung"] = "must be 1 to 40 of the characters a-z, 0-9 and _",
      ['postgresql://host/db#x";drop'] = "must be 1 to 40 of the characters a-z, 0-9 and _",
      ["postgresql://host/db#" .. ("x"):rep(41)] = "must be 1 to 40 of the characters a-z, 0-9 and _",
      ["postgresql://host#lung"] = "is wrong: the form is",
      ["postgresql:///db#lung"] = "is wrong: the form is",
      ["postgresql://host:port/db#lung"] = "is wrong: the form is",
      ["mysql://host/db#lung"] = "'mysql://' is neither",
      [""] = "the ledger must be a path, or postgresql://host/database#name",
      ["a\0b"] = "has a NUL character",
    } do
      local err = expect.fails({ kind = "refused", code = "usage" }, ledger.open(text, { create = true }))
      expect.contains(err.message, message)
      assert.is_nil(err.message:find("hunter2", 1, true))
      assert.is_nil(err.message:find("ter2", 1, true))
    end
    assert.are.same({ kind = "postgresql", url = "postgresql://me@host:5432/db?sslmode=require", schema = "modalua_lung_1",
      name = "postgresql://me@host:5432/db#lung_1" }, ledger.read_target "postgresql://me@host:5432/db?sslmode=require#lung_1")
    assert.are.equal("postgresql://[::1]/db#x", ledger.read_target("postgresql://[::1]/db#x").name)
  end)
end)

-- A command of the shell that has a file system of its own, in which it may mount.
local APART <const> = output_of("id -u") == "0\n" and "unshare --mount" or "unshare --user --map-root-user --mount"

describe("A ledger on a disk that cannot be written", function()
  local folder, path

  -- The standard output of this code of Lua, which runs there; `path` is the ledger.
  local function run_there(code)
    local program = ("local transfer, path = require 'modalua'.transfer, %q\n%s"):format(path, code)
    local result = command.shell(([[%s sh -c 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$M" -e "$2"' sh %s]]):format(
      APART, command.quote(folder, program)))
    assert.are.same({ "", 0 }, { result.err, result.status })
    return result.out
  end

  local READS <const> = [[
    print(transfer.status(path).found, transfer.check(path).ok)
    for item in transfer.items(path, { state = "todo" }) do io.write(item.key, " ") end]]

  -- A ledger with two items. The process that makes it ends as told. The test is pending where this user may not mount.
  local function make(ending)
    if not os.execute(APART .. " true 2>/dev/null") then
      pending "this user may not mount"
    end
    folder = database.new_target()
    path = folder .. "/a %3f#?.ledger"
    output_of("mkdir %s", folder)
    command.shell("LUA_PATH='./?.lua;;' \"$M\" -e " .. command.quote(([[local ledgers = require "spec.support.ledgers"
      local L = ledgers.new({ new_target = function() return %q end })
      assert(L:add_items(ledgers.items(2), {}))
      %s]]):format(path, ending)))
  end

  it("can be read, and is not changed", function()
    make "L:close()"
    assert.are.equal("2\ttrue\n1.2.1 1.2.2 ", run_there(READS))
    assert.matches("cannot be opened: .*Read%-only file system", run_there "print(select(2, transfer.pause(path)))")
    assert.are.equal("a %3f#?.ledger\n", output_of("ls %s", folder))
  end)

  it("can be read with what a killed process has left, or it says what to do", function()
    make 'require "spec.support.part" "transfer.native".signal_self "kill"'
    assert.are.equal("2\ttrue\n1.2.1 1.2.2 ", run_there(READS))
    assert(os.remove(path .. "-shm"))
    assert.matches("its last changes are in the file '.*/a %%3f#%?.ledger%-wal': copy both files to another folder, and name that copy",
      run_there "print(select(2, transfer.status(path)))")
    assert.are.equal("true\n", run_there(("os.execute 'cp -r %s %s-copy' print(transfer.check('%s-copy/a %%3f#?.ledger').ok)"):format(
      folder, folder, folder)))
  end)
end)

describe("A ledger", function()
  it("cannot be made on a full disk, and says so", function()
    local path, full = database.new_target(), database.new_target()
    served.write_file(full, "")
    local result = command.shell(([[export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"; DISTURB=full DISTURB_FULL=%s \
      LD_PRELOAD=%s "$M" -e %s]]):format(full, command.quote(os.getenv "MODALUA_DISTURB"), command.quote(([[
      local ledger = require "spec.support.part" "transfer.ledger"
      local L, err = ledger.open(%q, { create = true })
      print(L, err.kind, err.code, err.message)
      os.remove(%q)
      print(ledger.open(%q, { create = true }))]]):format(path, full, path))))
    expect.contains(result.out, ("nil\tdatabase\tSQLITE_FULL\t%s: no space is left on its disk: make room there, and start the same "
      .. "again\n"):format(path))
    assert.matches("\ntable: %w+\n$", result.out)
  end)

  it("that was killed while it was made is made by the next one", function()
    local path = database.new_target()
    local program = ([[local part = require "spec.support.part" assert(part "transfer.ledger".open(%q, { create = true }))]]):format(path)
    local result = command.shell("MODALUA_TRANSFER_POINT=creating:kill LUA_PATH='./?.lua;;' \"$M\" -e " .. command.quote(program))
    assert.are.equal(128 + 9, result.status)
    local again <close> = assert(ledger.open(path, { create = true }))
    assert.is_false(again:describe())
    assert(again:begin(ledgers.DESCRIPTION))
    assert.is_true(again:check().ok)
  end)

  it("waits for another process that writes", function()
    local L <close> = ledgers.new(database)
    local other <close> = assert(native.open(L.opened))
    assert(other:run "BEGIN IMMEDIATE")
    assert(other:run "UPDATE transfer SET cursor = 'theirs'")
    local done = false
    local waiting = task.spawn(function()
      assert(L:add_items(ledgers.items(1), { cap = 7 }))
      done = true
      return true
    end)
    assert.is_table(L:describe()) -- readers do not wait
    task.sleep(0.05)
    assert.is_false(done)
    assert(other:run "COMMIT")
    assert(waiting:join())
    assert.are.same({ "theirs", 7 }, { L:describe().cursor, L:describe().cap })
  end)
end)

describe("At any number of items", function()
  local L

  -- 30 000 items in several states: enough for SQLite's planner to have its choice.
  setup(function()
    L = ledgers.new(database)
    for i = 0, 59 do
      assert(L:add_items(ledgers.items(500, 500 * i), {}))
    end
    local changes = {}
    for i, item in ipairs(L:claim(3000)) do
      changes[i] = { id = item.id, from = "sending", to = i <= 2900 and "present" or "sent", arrived = 1 }
    end
    assert(L:record(changes))
    assert(L:query "ANALYZE")
  end)

  teardown(function()
    L:close()
  end)

  -- How SQLite carries out each statement that f runs: statement -> plan.
  local function plans_of(f)
    local seen, real, plans = {}, L.run, {}
    function L.run(self, sql, ...)
      seen[sql] = seen[sql] or table.pack(...)
      return real(self, sql, ...)
    end
    f()
    L.run = nil
    for sql, parameters in pairs(seen) do
      if not sql:find "^%u+$" then
        local rows = assert(L:query("EXPLAIN QUERY PLAN " .. sql, table.unpack(parameters, 1, parameters.n)))
        local lines = {}
        for i, row in ipairs(rows) do
          lines[i] = row.detail
        end
        plans[sql] = table.concat(lines, "\n")
      end
    end
    return plans
  end

  -- Asserts that no statement looks through all items, and none sorts more than the few that are under way.
  local function are_fast(plans, least)
    local n = 0
    for sql, plan in pairs(plans) do
      n = n + 1
      assert.is_nil(plan:find("SCAN item", 1, true), sql .. "\n" .. plan)
      local sorts = plan:find("USE TEMP B-TREE FOR ORDER BY", 1, true) and sql:find("FROM item", 1, true)
      assert.is_true(not sorts or sql:find("state IN ('sending', 'sent')", 1, true) ~= nil, sql .. "\n" .. plan)
    end
    assert.is_true(n >= least, "only " .. n .. " statements")
  end

  it("a claim takes the first ones from the index, and no statement of it looks through the items", function()
    local plans = plans_of(function() assert(L:claim(64)) end)
    are_fast(plans, 5)
    local found
    for sql, plan in pairs(plans) do
      if sql:find("state = 'todo'", 1, true) then
        found = plan
      end
    end
    assert.are.equal("SEARCH item USING INDEX item_claims (state=? AND due<?)", found)
  end)

  it("neither do the results, what is next, the end's comparison, and status", function()
    are_fast(plans_of(function()
      local items = assert(L:claim(10))
      assert(L:record { { id = items[1].id, from = "sending", to = "sent" } })
      assert(L:give_back { items[2] })
      assert(L:waiting(ledgers.now))
      assert(L:confirm { { id = L:unconfirmed(50)[1].id, arrived = 1 } })
      assert(L:renew())
      assert(L:mark_dead())
      assert(L:add_items(ledgers.items(1, 99999), { cursor = "x" }))
    end), 12)
    are_fast(plans_of(function() assert(status.of(L)) end), 5)
  end)
end)
