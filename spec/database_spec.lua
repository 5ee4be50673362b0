-- Tests the connections to databases (src/database), which the ledgers of transfers use: SQLite. PostgreSQL: postgres_spec.
local command = require "spec.support.command"
local json = require "modalua.json"
local modalua = require "modalua"
local part = require "spec.support.part"
local served = require "spec.support.served"
local statements = require "spec.support.statements"
local native = part "transfer.native"
local run, failure, throws = statements.run, statements.failure, statements.throws

local folder

-- Opens a database in the temporary folder, which is made when it is missing.
local function open(name)
  return assert(native.open(folder .. "/" .. (name or "ledger"), true))
end

setup(function()
  folder = served.folder "database"
end)

teardown(function()
  served.output_of("exec rm -r " .. served.quoted { folder })
end)

describe("db:run on SQLite", function()
  local db

  before_each(function()
    db = open(("%d"):format(math.random(1 << 40)))
    run(db, "CREATE TABLE t (k INTEGER PRIMARY KEY, v)")
  end)

  after_each(function()
    db:close()
  end)

  it("gives back each value as it was bound", function()
    local values = { 0, -1, 9007199254740993, math.maxinteger, math.mininteger, 0.1, -1e308, 1 / 3, "", "a\0b", "\xff\xfe",
      ("x"):rep(2 ^ 20), "'; DROP TABLE t;--", "<script>" }
    for i, value in ipairs(values) do
      run(db, "INSERT INTO t VALUES ($1, $2)", i, value)
    end
    local rows = run(db, "SELECT k, v FROM t ORDER BY k")
    assert.are.equal(#values, #rows)
    for i, value in ipairs(values) do
      assert.are.equal(i, rows[i].k)
      assert.are.equal(value, rows[i].v)
      assert.are.equal(math.type(value), math.type(rows[i].v))
    end
  end)

  it("leaves out a column that is NULL, and binds booleans as 0 and 1", function()
    local rows = run(db, "SELECT $1 AS none, $2 AS yes, $3 AS no, 1.0 AS float", nil, true, false)
    assert.are.same({ { yes = 1, no = 0, float = 1.0 } }, rows)
    assert.are.equal("float", math.type(rows[1].float))
  end)

  it("finds parameters by their numbers, in any order and more than once", function()
    assert.are.same({ { a = "two", b = "one", c = "two" } }, run(db, "SELECT $2 AS a, $1 AS b, $2 AS c", "one", "two"))
  end)

  it("says how many rows were changed", function()
    local function changed(sql, ...)
      return select(2, run(db, sql, ...))
    end
    assert.are.equal(3, changed "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    assert.are.equal(0, changed "SELECT * FROM t")
    assert.are.equal(2, changed "UPDATE t SET v = 'x' WHERE k > 1")
    assert.are.equal(0, changed "UPDATE t SET v = 'x' WHERE k > 9")
    assert.are.equal(0, changed "INSERT INTO t VALUES (1, 'z') ON CONFLICT DO NOTHING")
    assert.are.equal(0, changed "CREATE TABLE u (x)")
    assert.are.equal(3, changed "DELETE FROM t")
    assert.are.equal(0, changed "BEGIN IMMEDIATE")
    assert.are.equal(0, changed "COMMIT")
  end)

  it("executes a statement with RETURNING once", function()
    run(db, "INSERT INTO t VALUES (1, 1)")
    local rows, changed = run(db, "UPDATE t SET v = v + 1 RETURNING v")
    assert.are.same({ { v = 2 } }, rows)
    assert.are.equal(1, changed)
    assert.are.same({ { v = 2 } }, run(db, "SELECT v FROM t"))
    run(db, "INSERT INTO t VALUES ($1, $2) RETURNING k", nil, "once")
    assert.are.same({ { n = 2 } }, run(db, "SELECT count(*) AS n FROM t"))
  end)

  it("runs more different statements than it keeps", function()
    for i = 1, 450 do
      assert.are.same({ { n = i } }, run(db, ("SELECT $1 AS n /* %d */"):format(i % 225), i))
    end
  end)

  it("throws when the call is wrong, and nothing is executed", function()
    throws("one statement a call: there is a second one behind it", db.run, db, "INSERT INTO t VALUES (1, 1); DELETE FROM t")
    throws("one statement a call", db.run, db, "INSERT INTO t VALUES (1, 1); nonsense")
    throws("there is no value for the parameter %$2", db.run, db, "INSERT INTO t VALUES ($1, $2)", 1)
    throws("there are 3 values for 2 parameters", db.run, db, "INSERT INTO t VALUES ($1, $2)", 1, 2, 3)
    throws("the parameters of a statement are %$1, %$2 and so on", db.run, db, "INSERT INTO t VALUES (?, ?)", 1, 2)
    throws("the parameters of a statement are %$1", db.run, db, "INSERT INTO t VALUES ($a, 1)", 1)
    throws("the parameter %$2 is a table", db.run, db, "INSERT INTO t VALUES ($1, $2)", 1, {})
    throws("a statement cannot have a NUL", db.run, db, "INSERT INTO t VALUES (1, 'a\0b')")
    throws("there is no statement in the text", db.run, db, " -- nothing")
    throws("string expected", db.run, db, 1)
    assert.are.same({ { n = 0 } }, run(db, "SELECT count(*) AS n FROM t"))
    assert.are.same({ { x = 1 } }, run(db, "SELECT 1 AS x; -- a comment may follow\n ;"))
  end)

  it("gives SQLite's extended code", function()
    run(db, "INSERT INTO t VALUES (1, 'a')")
    local err = failure(db, "INSERT INTO t VALUES (1, 'b')")
    assert.are.equal("SQLITE_CONSTRAINT_PRIMARYKEY", err.code)
    assert.are.same({ sqlite = 19, extended = 1555 }, err.details)
    assert.is_nil(err.retryable)
    assert.matches("^run: .*: UNIQUE constraint failed: t%.k", tostring(err))
    err = failure(db, "SELECT * FROM missing")
    assert.are.equal("SQLITE_ERROR", err.code)
    assert.matches("no such table: missing", err.message)
  end)

  it("gives SQLITE_BUSY at once when another connection writes", function()
    local name = ("%d"):format(math.random(1 << 40))
    local one <close> = open(name)
    local other <close> = open(name)
    run(one, "PRAGMA journal_mode = WAL")
    run(one, "CREATE TABLE t (x)")
    run(one, "BEGIN IMMEDIATE")
    run(one, "INSERT INTO t VALUES (1)")
    local err = failure(other, "BEGIN IMMEDIATE")
    assert.are.equal("SQLITE_BUSY", err.code)
    assert.is_true(err.retryable)
    assert.are.same({ { n = 0 } }, run(other, "SELECT count(*) AS n FROM t"))
    run(one, "COMMIT")
    run(other, "BEGIN IMMEDIATE")
    assert.are.same({ { n = 1 } }, run(other, "SELECT count(*) AS n FROM t"))
    run(other, "ROLLBACK")
  end)

  it("gives SQLITE_BUSY_SNAPSHOT when what was read has been changed meanwhile", function()
    local name = ("%d"):format(math.random(1 << 40))
    local one <close> = open(name)
    local other <close> = open(name)
    run(one, "PRAGMA journal_mode = WAL")
    run(one, "CREATE TABLE t (x)")
    run(other, "BEGIN")
    run(other, "SELECT * FROM t")
    run(one, "INSERT INTO t VALUES (1)")
    local err = failure(other, "INSERT INTO t VALUES (2)")
    assert.are.equal("SQLITE_BUSY_SNAPSHOT", err.code)
    assert.are.same({ sqlite = 5, extended = 517 }, err.details)
    assert.is_true(err.retryable)
  end)

  it("holds no lock after a statement that failed or was refused", function()
    local name = ("%d"):format(math.random(1 << 40))
    local one <close> = open(name)
    local other <close> = open(name)
    run(one, "CREATE TABLE t (x UNIQUE)")
    run(one, "INSERT INTO t VALUES (1)")
    failure(one, "INSERT INTO t SELECT 2 UNION ALL SELECT 1")
    throws("no value for", one.run, one, "SELECT $1 FROM t")
    local _, changed = run(other, "INSERT INTO t VALUES (2)")
    assert.are.equal(1, changed)
  end)
end)

describe("db:close", function()
  it("rolls back what was not committed, and ends the use of the connection", function()
    local db = open "closed"
    run(db, "CREATE TABLE t (x)")
    run(db, "BEGIN")
    run(db, "INSERT INTO t VALUES (1)")
    db:close()
    db:close()
    throws("the connection is closed", db.run, db, "SELECT 1")
    local again <close> = open "closed"
    assert.are.same({ { n = 0 } }, run(again, "SELECT count(*) AS n FROM t"))
  end)

  it("is called at the end of a scope, and by the garbage collector", function()
    local function lock()
      local db = open "collected"
      run(db, "CREATE TABLE IF NOT EXISTS t (x)")
      run(db, "BEGIN EXCLUSIVE")
      return db
    end
    do
      local _ <close> = lock()
    end
    lock()
    collectgarbage()
    collectgarbage()
    local db <close> = open "collected"
    run(db, "BEGIN EXCLUSIVE")
    assert.are.equal("sqlite", db.kind)
  end)
end)

describe("db:abandon", function()
  it("rolls back the open transaction, if there is one", function()
    local db <close> = open "abandoned"
    run(db, "CREATE TABLE t (x)")
    run(db, "BEGIN IMMEDIATE")
    run(db, "INSERT INTO t VALUES (1)")
    db:abandon()
    db:abandon()
    run(db, "INSERT INTO t VALUES (2)")
    local other <close> = open "abandoned"
    assert.are.same({ { x = 2 } }, run(other, "SELECT x FROM t"))
  end)
end)

describe("native.open on SQLite", function()
  local function refusal(path, ...)
    local db, err = native.open(path, ...)
    assert.is_nil(db)
    assert.are.equal("database", err.kind)
    return err.code, err.message
  end

  it("makes a missing file for this user alone, when it is told to", function()
    local path = folder .. "/made"
    local code, message = refusal(path)
    assert.are.equal("SQLITE_CANTOPEN", code)
    assert.are.equal(path .. ": No such file or directory", message)
    local db <close> = assert(native.open(path, true))
    run(db, "PRAGMA journal_mode = WAL")
    run(db, "CREATE TABLE t (x)")
    local modes = served.output_of("stat -c %a " .. served.quoted { path, path .. "-wal", path .. "-shm" })
    assert.are.equal("600\n600\n600\n", modes)
    assert.is_truthy(native.open(path))
  end)

  it("says why a file cannot be opened", function()
    local code, message = refusal(folder, true)
    assert.are.equal("SQLITE_CANTOPEN", code)
    assert.are.equal(folder .. ": Is a directory", message)
    assert.are.equal("SQLITE_CANTOPEN", refusal(folder .. "/none/ledger", true))
    code, message = refusal(folder .. "/a\0b", true)
    assert.are.equal("SQLITE_CANTOPEN", code)
    assert.are.equal("a path cannot have a NUL", message)
    throws("string expected", native.open, {})
  end)

  it("takes each name for that of a file", function()
    for _, name in ipairs { ":memory:", "file:x?mode=memory", "with blank", "ü" } do
      local line = ("cd %s && exec %s -e %s"):format(served.quoted { folder }, served.quoted { command.path }, served.quoted {
        ("package.path = %q local db = assert(require 'spec.support.part' 'transfer.native'.open(%q, true)) db:run 'CREATE TABLE t (x)'")
          :format(served.output_of "pwd":gsub("\n", "") .. "/?.lua", name) })
      served.output_of(line)
      local db <close> = assert(native.open(folder .. "/" .. name))
      assert.are.same({}, run(db, "SELECT * FROM t"))
    end
  end)

  it("gives SQLITE_NOTADB for another file, at the first statement", function()
    local path = folder .. "/text"
    served.write_file(path, ("This is no database.\n"):rep(100))
    local db <close> = assert(native.open(path))
    assert.are.equal("SQLITE_NOTADB", failure(db, "SELECT * FROM sqlite_master").code)
  end)

  it("makes files that the program sqlite3 reads", function()
    local db <close> = open "other"
    run(db, "CREATE TABLE t (x INTEGER, y TEXT)")
    run(db, "INSERT INTO t VALUES ($1, $2)", 9007199254740993, "ü")
    assert.are.same({ { x = 9007199254740993, y = "ü" } },
      json.decode(served.output_of("sqlite3 -json " .. served.quoted { folder .. "/other", "SELECT * FROM t" })))
  end)

  it("does not let the schema of a file reach beyond its tables", function()
    local db <close> = open "hostile"
    run(db, "CREATE TABLE t (x)")
    assert.are.equal("SQLITE_ERROR", failure(db, "SELECT load_extension('x')").code)
    run(db, "PRAGMA writable_schema = ON") -- has no effect
    assert.matches("may not be modified", failure(db, "DELETE FROM sqlite_master").message)
  end)
end)

describe("The library of SQLite", function()
  it("is loaded when a database is first opened", function()
    local CODE <const> = [[
      local function loaded(name)
        for line in io.lines "/proc/self/maps" do
          if line:find(name, 1, true) then return true end
        end
        return false
      end
      require "modalua"
      local native = require "spec.support.part" "transfer.native"
      local before = loaded "sqlite"
      assert(native.open(%q, true))
      print(before, loaded "sqlite", loaded "libpq")]]
    assert.are.same({ out = "false\ttrue\tfalse\n", err = "", status = 0 }, command.run("-e", CODE:format(folder .. "/loaded")))
  end)
end)

-- A statement that never ends.
local ENDLESS = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"

describe("A long statement on SQLite", function()
  local PREPARE = ([[
    local db = assert(require "spec.support.part" "transfer.native".open(%%q))
    local function endless() return db:run %q end]]):format(ENDLESS)

  it("is interrupted by Ctrl-C, and the connection can be used afterwards", function()
    local path = folder .. "/interrupted"
    local db <close> = open "interrupted"
    run(db, "CREATE TABLE t (x)")
    local code = (PREPARE:format(path) .. [[
      local g <close> = setmetatable({}, { __close = function() print(db:run "SELECT 42 AS x"[1].x) end })
      print((select(2, require "spec.support.part" "transfer.native".process())))
      io.stdout:flush()
      repeat -- until the other process has not locked the database
        local _, err = endless()
      until err.code ~= "SQLITE_BUSY"
      print "never"]]):gsub("WITH", "INSERT INTO t %0")
    local pipe = assert(io.popen(("exec %s 2>&1"):format(served.quoted { command.path, "-e", code })))
    local pid = assert(math.tointeger(pipe:read "l"))
    while db:run "BEGIN IMMEDIATE" do -- until the statement has locked the database
      run(db, "ROLLBACK")
      modalua.task.sleep(0.01)
    end
    served.output_of(("exec kill -INT %d"):format(pid))
    local text = pipe:read "a"
    pipe:close()
    assert.matches("^42\n.*cancelled", text)
    assert.are.same({ { n = 0 } }, run(db, "SELECT count(*) AS n FROM t"))
  end)

  it("is ended by the time limit of the run", function()
    open("limited"):close()
    local result = command.run("--time-limit", "0.3", "-e", PREPARE:format(folder .. "/limited") .. " endless()")
    assert.are.same({ out = "", err = "modalua: the run took longer than 0.3 s ((command line):2)\n", status = 1 }, result)
  end)
end)

describe("db:run_slowly on SQLite", function()
  it("gives the same as db:run", function()
    local db <close> = open "slow_same"
    run(db, "CREATE TABLE t (i, v)")
    for i, v in ipairs { 1, -0.5, "", "a\0b", math.maxinteger } do
      run(db, "INSERT INTO t VALUES ($1, $2)", i, v)
    end
    local expected = table.pack(db:run("SELECT * FROM t WHERE i > $1 ORDER BY i", 1))
    assert.are.same(expected, table.pack(db:run_slowly("SELECT * FROM t WHERE i > $1 ORDER BY i", 1)))
    assert.are.same({ {}, 4, n = 2 }, table.pack(db:run_slowly("UPDATE t SET v = NULL WHERE i > $1", 1)))
    local rows, err = db:run_slowly "INSERT INTO t VALUES (1, (SELECT x FROM missing))"
    assert.is_nil(rows)
    assert.are.equal("SQLITE_ERROR", err.code)
    assert.are.same({ { n = 5 } }, run(db, "SELECT count(*) AS n FROM t"))
  end)

  it("blocks, and gives the same, when there is no descriptor left for its thread", function()
    open("slow_alone"):close()
    local result = command.shell(([[ulimit -n 32; exec "$M" -e '
      local db = assert(require "spec.support.part" "transfer.native".open("%s"))
      db:run "SELECT 1"
      local files, full = {}, nil
      repeat
        files[#files + 1], full = io.open "/dev/null"
      until full
      print(#db:run_slowly "VALUES (1), (2)")']]):format(folder .. "/slow_alone"))
    assert.are.same({ out = "2\n", err = "", status = 0 }, result)
  end)

  it("lets other tasks work, keeps its connection for itself, and ends when it is cancelled", function()
    local db <close> = open "slow_cancelled"
    local endless = modalua.task.spawn(db.run_slowly, db, ENDLESS)
    local ticks = 0
    modalua.task.spawn(function()
      for _ = 1, 5 do
        modalua.task.sleep(0.001)
        ticks = ticks + 1
      end
    end):join()
    assert.are.equal(5, ticks)
    throws("another task uses this connection", db.run, db, "SELECT 1")
    endless:cancel()
    assert.are.equal("cancelled", select(2, endless:join()).kind)
    assert.are.same({ { one = 1 } }, run(db, "SELECT 1 AS one"))
  end)

  it("ends when its connection is closed, and with the program", function()
    local db = open "slow_closed"
    local endless = modalua.task.spawn(db.run_slowly, db, ENDLESS)
    modalua.task.sleep(0)
    db:close()
    assert.matches("the connection was closed meanwhile", select(2, endless:join()).message)
    local result = command.run("-e", ([[
      local db = assert(require "spec.support.part" "transfer.native".open(%q))
      local task = require "modalua.task"
      task.spawn(db.run_slowly, db, %q)
      task.sleep(0)
      error "this is the end"]]):format(folder .. "/slow_closed", ENDLESS))
    assert.matches("this is the end", result.err)
    assert.are.equal(1, result.status)
  end)

  it("is ended by the time limit of the run", function()
    open("slow_limited"):close()
    local result = command.run("--time-limit", "0.3", "-e", ([[
      assert(require "spec.support.part" "transfer.native".open(%q)):run_slowly %q]]):format(folder .. "/slow_limited", ENDLESS))
    assert.are.same({ out = "", err = "modalua: the run took longer than 0.3 s ((command line):1)\n", status = 1 }, result)
  end)

  it("is ended by Ctrl-C", function()
    open("slow_interrupted"):close()
    local pipe = assert(io.popen(("exec %s 2>&1"):format(served.quoted { command.path, "-e", ([[
      local db = assert(require "spec.support.part" "transfer.native".open(%q))
      require "modalua.task".spawn(function()
        print((select(2, require "spec.support.part" "transfer.native".process())))
        io.stdout:flush()
      end)
      db:run_slowly %q]]):format(folder .. "/slow_interrupted", ENDLESS) })))
    local pid = assert(math.tointeger(pipe:read "l"))
    served.output_of(("exec kill -INT %d"):format(pid))
    assert.are.equal("modalua: cancelled\n", pipe:read "a")
    pipe:close()
  end)
end)

describe("What a worker asks of the machine", function()
  it("is a wall clock, a clock that also runs in a suspended process, random bits, and its own name", function()
    assert.is_true(math.abs(native.wall() // 1000 - os.time()) <= 2)
    local before = native.boot()
    modalua.task.sleep(0.01)
    assert.is_true(native.boot() >= before + 10)
    local seen = {}
    for _ = 1, 100 do
      local bits = native.random()
      assert.matches("^" .. ("[0-9a-f]"):rep(32) .. "$", bits)
      assert.is_nil(seen[bits])
      seen[bits] = true
    end
    local host, pid = native.process()
    assert.are.equal(served.output_of "hostname", host .. "\n")
    assert.matches("^%d+ %(modalua%)", io.lines(("/proc/%d/stat"):format(pid))())
  end)

  it("is a way to kill itself", function()
    local result = command.run("-e", "require 'spec.support.part' 'transfer.native'.signal_self 'kill'")
    assert.are.equal(128 + 9, result.status)
  end)
end)
