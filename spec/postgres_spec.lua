-- Tests the connections to PostgreSQL (src/database), which the ledgers of transfers use, on a real server.
local command = require "spec.support.command"
local modalua = require "modalua"
local part = require "spec.support.part"
local postgres = require "spec.support.postgres"
local served = require "spec.support.served"
local statements = require "spec.support.statements"
local native = part "transfer.native"
local run, failure, throws = statements.run, statements.failure, statements.throws
local task = modalua.task

local PASSWORD <const> = "correct-horse"

local server, url, db

-- Returns an address with the password in a file.
local function address(password, target)
  local path = os.tmpname()
  served.write_file(path, "*:*:*:*:" .. password)
  served.output_of("exec chmod 600 " .. served.quoted { path })
  finally(function() os.remove(path) end)
  return (target or server.url) .. "?passfile=" .. path
end

local function open(...)
  return assert(native.open(url, false, ...))
end

local function process_of(on)
  return run(on, "SELECT pg_backend_pid() AS pid")[1].pid
end

-- Waits until the statement, whose result is one number, gives that number. Meanwhile other tasks go on.
local function wait_for(number, sql)
  for _ = 1, 6000 do
    if run(db, sql)[1].n == number then
      return
    end
    task.sleep(0.01)
  end
  error(("%s does not become %d"):format(sql, number), 2)
end

-- Waits until so many statements with this text sleep or wait for a lock: before, a statement is only prepared, and a cancel finds nothing.
local function wait_for_statements(count, text)
  wait_for(count, ([[SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%%%s%%' AND pid <> pg_backend_pid()
    %s]]):format(text, count > 0 and "AND wait_event_type IN ('Timeout', 'Lock')" or ""))
end

-- Waits until the server does not have that process any more.
local function wait_for_end_of(pid)
  wait_for(0, ("SELECT count(*) AS n FROM pg_stat_activity WHERE pid = %d"):format(pid))
end

setup(function()
  server = postgres.start { password = PASSWORD }
  local path = server.folder .. "/pgpass"
  served.write_file(path, "*:*:*:*:" .. PASSWORD)
  served.output_of("exec chmod 600 " .. served.quoted { path })
  url = server.url .. "?passfile=" .. path
  db = open()
  run(db, "CREATE TABLE t (k bigint PRIMARY KEY, v text)")
end)

teardown(function()
  server:close()
end)

before_each(function()
  wait_for_statements(0, "pg_sleep") -- that of another test
  run(db, "DELETE FROM t")
end)

describe("db:run on PostgreSQL", function()
  it("gives back each value as it was bound", function()
    run(db, "CREATE TEMPORARY TABLE kinds (i bigint, f double precision, t text, b boolean)")
    local long = ("x"):rep(2 ^ 20)
    for _, row in ipairs { { 0, 0.0, "", true }, { -1, 0.1, "ü'\"\\", false }, { 9007199254740993, -1e308, "'; DROP TABLE t;--" },
      { math.maxinteger, 1 / 3, long }, { math.mininteger, math.huge, "\1\u{10ffff}" } } do
      run(db, "INSERT INTO kinds VALUES ($1, $2, $3, $4)", row[1], row[2], row[3], row[4])
      local back = run(db, "DELETE FROM kinds RETURNING *")
      assert.are.same({ { i = row[1], f = row[2], t = row[3], b = row[4] } }, back)
      assert.are.equal("integer", math.type(back[1].i))
      assert.are.equal("float", math.type(back[1].f))
    end
  end)

  it("gives sums of integers as integers", function()
    local row = run(db, "SELECT sum(x) AS whole, sum(x) / 3 AS part FROM (VALUES (9007199254740993), (0)) AS v (x)")[1]
    assert.are.equal(9007199254740993, row.whole)
    assert.are.equal("integer", math.type(row.whole))
    assert.are.equal("number", type(row.part))
  end)

  it("refuses texts that PostgreSQL cannot store", function()
    local err = failure(db, "INSERT INTO t VALUES ($1, $2)", 1, "a\0b")
    assert.are.equal("22021", err.code)
    assert.matches("the parameter %$2 has a NUL", err.message)
    assert.are.equal("22021", failure(db, "INSERT INTO t VALUES ($1, $2)", 1, "\xff").code)
    assert.are.same({}, run(db, "SELECT * FROM t"))
  end)

  it("finds parameters by their numbers, in any order and more than once", function()
    assert.are.same({ { a = "two", b = "one", c = "two" } }, run(db, "SELECT $2 AS a, $1 AS b, $2 AS c", "one", "two"))
  end)

  it("says how many rows were changed", function()
    local function changed(sql, ...)
      return select(2, run(db, sql, ...))
    end
    assert.are.equal(3, changed "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c') RETURNING k")
    assert.are.equal(0, changed "SELECT * FROM t")
    assert.are.equal(2, changed "UPDATE t SET v = 'x' WHERE k > 1")
    assert.are.equal(0, changed "INSERT INTO t VALUES (1, 'z') ON CONFLICT DO NOTHING")
    assert.are.equal(0, changed "CREATE TEMPORARY TABLE u (x int)")
    assert.are.equal(3, changed "DELETE FROM t")
  end)

  it("runs more different statements than it keeps", function()
    for i = 1, 450 do
      assert.are.same({ { n = i } }, run(db, ("SELECT $1::int AS n /* %d */"):format(i % 225), i))
    end
    local kept = run(db, "SELECT count(*) AS n FROM pg_prepared_statements")[1].n
    assert.are.equal(200, kept)
  end)

  it("sends the statement behind a BEGIN in the same message, and takes both back when it fails", function()
    local other <close> = open()
    assert.are.same({ { one = 1 } }, run(other, "BEGIN; SELECT 1 AS one"))
    run(other, "INSERT INTO t VALUES (1, 'a')")
    assert.are.same({}, run(db, "SELECT * FROM t"))
    run(other, "COMMIT")
    assert.are.same({ { k = 1 } }, run(db, "DELETE FROM t RETURNING k"))
    assert.are.equal("42P01", failure(other, "BEGIN; SELECT * FROM missing").code)
    other:abandon()
    assert.are.same({ { one = 1 } }, run(other, "SELECT 1 AS one"))
  end)

  it("throws when the call is wrong", function()
    throws("bind message supplies 1 parameters, but prepared statement .* requires 2", db.run, db, "INSERT INTO t VALUES ($1, $2)", 1)
    throws("bind message supplies 1 parameters", db.run, db, "SELECT 1", 1)
    throws("there is no statement in the text", db.run, db, " -- nothing")
    throws("a statement cannot have a NUL", db.run, db, "SELECT 'a\0b'")
    throws("the parameter %$1 is a table", db.run, db, "SELECT $1", {})
    assert.are.equal("42601", failure(db, "INSERT INTO t VALUES (1, '1'); DELETE FROM t").code)
    assert.are.same({}, run(db, "SELECT * FROM t"))
  end)

  it("gives SQLSTATE, and no values of rows", function()
    run(db, "INSERT INTO t VALUES (1, 'a')")
    local err = failure(db, "INSERT INTO t VALUES ($1, $2)", 1, "Smith^John")
    assert.are.equal("23505", err.code)
    assert.are.same({ sqlstate = "23505", severity = "ERROR", constraint = "t_pkey" }, err.details)
    assert.is_nil(err.retryable)
    assert.is_nil(tostring(err):find("Smith", 1, true))
    assert.are.equal("42P01", failure(db, "SELECT * FROM missing").code)
  end)

  it("calls a deadlock and a failed serialization retryable", function()
    local other <close> = open()
    run(db, "INSERT INTO t VALUES (1, 'a')")
    for _, on in ipairs { db, other } do
      run(on, "BEGIN ISOLATION LEVEL SERIALIZABLE")
      run(on, "SELECT * FROM t")
    end
    run(db, "UPDATE t SET v = 'b'")
    run(db, "COMMIT")
    local err = failure(other, "UPDATE t SET v = 'c'")
    assert.are.equal("40001", err.code)
    assert.is_true(err.retryable)
    run(other, "ROLLBACK")
  end)

  it("prints no notices", function()
    local code = ([[
      local db = assert(require "spec.support.part" "transfer.native".open(%q))
      assert(db:run "DROP TABLE IF EXISTS missing")
      assert(db:run "ROLLBACK")
      print "done"]]):format(url)
    assert.are.same({ out = "done\n", err = "", status = 0 }, command.run("-e", code))
  end)
end)

describe("A statement that waits", function()
  it("lets other tasks and other connections work", function()
    local other <close> = open()
    run(db, "SELECT pg_advisory_lock(1)")
    local waiting = task.spawn(function()
      run(other, "SELECT pg_advisory_lock(1)")
      return "locked"
    end)
    wait_for_statements(1, "pg_advisory_lock")
    local ticks = 0
    task.spawn(function()
      for _ = 1, 5 do
        task.sleep(0.001)
        ticks = ticks + 1
      end
    end):join()
    assert.are.equal(5, ticks)
    run(db, "SELECT pg_advisory_unlock(1)")
    assert.are.equal("locked", waiting:join())
  end)

  it("works where it cannot yield too", function()
    local text = ("x"):gsub("x", function()
      return run(db, "SELECT 'y' AS v FROM pg_sleep(0.05)")[1].v
    end)
    assert.are.equal("y", text)
  end)

  it("keeps its connection for itself", function()
    local other <close> = open()
    local waiting = task.spawn(other.run, other, "SELECT pg_sleep(600)")
    wait_for_statements(1, "pg_sleep")
    throws("another task uses this connection", other.run, other, "SELECT 1")
    waiting:cancel()
  end)

  it("fails when the connection is closed", function()
    local other = open()
    local waiting = task.spawn(failure, other, "SELECT pg_sleep(600)")
    wait_for_statements(1, "pg_sleep")
    other:close()
    assert.matches("the connection was closed meanwhile", waiting:join().message)
    wait_for_statements(0, "pg_sleep")
  end)

  it("is cancelled on the server when its task was cancelled, and the next one waits for that", function()
    local other <close> = open()
    local pid = process_of(other)
    run(other, "BEGIN")
    run(other, "INSERT INTO t VALUES (1, 'a')")
    local waiting = task.spawn(other.run, other, "SELECT pg_sleep(600)")
    wait_for_statements(1, "pg_sleep")
    waiting:cancel()
    assert.is_nil((waiting:join()))
    assert.are.equal("25P02", failure(other, "SELECT 1").code)
    wait_for_statements(0, "pg_sleep")
    run(other, "ROLLBACK")
    assert.are.equal(pid, process_of(other))
    assert.are.same({}, run(other, "SELECT * FROM t"))
  end)

  it("is cancelled on the server by Ctrl-C", function()
    local code = ([[
      local native = require "spec.support.part" "transfer.native"
      local db = assert(native.open(%q))
      print((select(2, native.process())))
      io.stdout:flush()
      db:run "SELECT pg_sleep(600)"
      print "never"]]):format(url)
    local pipe = assert(io.popen(("exec %s 2>&1"):format(served.quoted { command.path, "-e", code })))
    local pid = assert(math.tointeger(pipe:read "l"))
    wait_for_statements(1, "pg_sleep")
    local before = server:count_logged "canceling statement due to user request"
    served.output_of(("exec kill -INT %d"):format(pid))
    assert.are.equal("modalua: cancelled\n", pipe:read "a")
    pipe:close()
    wait_for_statements(0, "pg_sleep")
    assert.are.equal(before + 1, server:count_logged "canceling statement due to user request")
  end)

  it("ends on the server soon after its client was killed", function()
    local code = ([[
      local native = require "spec.support.part" "transfer.native"
      local db = assert(native.open(%q))
      print((select(2, native.process())))
      io.stdout:flush()
      db:run "SELECT pg_sleep(600)"]]):format(url)
    local pipe = assert(io.popen("exec " .. served.quoted { command.path, "-e", code }))
    local pid = assert(math.tointeger(pipe:read "l"))
    wait_for_statements(1, "pg_sleep")
    served.output_of(("exec kill -KILL %d"):format(pid))
    pipe:close()
    wait_for_statements(0, "pg_sleep")
  end)

  it("has a time limit, and its connection can be used afterwards", function()
    local other <close> = open { statement = 2, cancel = 60 } -- a busy machine carries out the others in time
    local pid = process_of(other)
    local err = failure(other, "SELECT pg_sleep(600)")
    assert.are.equal("57014", err.code)
    assert.matches("the statement took too long", err.message)
    assert.is_true(err.retryable)
    run(other, "SELECT 1")
    assert.are.equal(0, run(db, "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")[1].n)
    assert.are.equal(pid, process_of(other))
  end)
end)

describe("db:abandon", function()
  it("rolls back the transaction of a task that was cancelled", function()
    local other <close> = open()
    local pid = process_of(other)
    local waiting = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() other:abandon() end })
      run(other, "BEGIN")
      run(other, "INSERT INTO t VALUES (1, 'a')")
      run(other, "SELECT pg_sleep(600)")
    end)
    wait_for_statements(1, "pg_sleep")
    waiting:cancel()
    assert.is_nil((waiting:join()))
    run(other, "INSERT INTO t VALUES (2, 'b')")
    assert.are.same({ { k = 2 } }, run(db, "SELECT k FROM t"))
    assert.are.equal(pid, process_of(other))
  end)

  it("rolls back a transaction in which nothing is executed, and one that was lost", function()
    local other <close> = open()
    other:abandon()
    for _, ending in ipairs { "left", "lost" } do
      run(other, "BEGIN")
      run(other, "INSERT INTO t VALUES (1, 'a')")
      if ending == "lost" then
        local pid = process_of(other)
        run(db, "SELECT pg_terminate_backend($1)", pid)
        wait_for_end_of(pid)
        failure(other, "SELECT 1")
      end
      other:abandon()
      run(other, "INSERT INTO t VALUES (2, 'b')")
      assert.are.same({ { k = 2 } }, run(db, "DELETE FROM t RETURNING k"))
    end
  end)
end)

describe("A connection that was lost", function()
  it("is made again by the next statement", function()
    local other <close> = open()
    local pid = process_of(other)
    run(db, "SELECT pg_terminate_backend($1)", pid)
    wait_for_end_of(pid)
    assert.are.same({ { one = 1 } }, run(other, "SELECT 1 AS one"))
    assert.are_not.equal(pid, process_of(other))
  end)

  it("gets its search path again", function()
    run(db, "CREATE SCHEMA elsewhere")
    run(db, "CREATE TABLE elsewhere.only_there (x int)")
    local other <close> = open { search_path = "elsewhere" }
    for _ = 1, 2 do
      assert.are.same({}, run(other, "SELECT * FROM only_there"))
      local pid = process_of(other)
      run(db, "SELECT pg_terminate_backend($1)", pid)
      wait_for_end_of(pid)
    end
    assert.are.equal("42P01", failure(db, "SELECT * FROM only_there").code)
  end)

  it("while a statement is executed gives an error that is retryable", function()
    local other <close> = open()
    local waiting = task.spawn(failure, other, "SELECT pg_sleep(600)")
    wait_for_statements(1, "pg_sleep")
    run(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()")
    local err = waiting:join()
    assert.are.equal("57P01", err.code)
    assert.are.equal("FATAL", err.details.severity)
    assert.is_true(err.retryable)
    assert.are.same({ { one = 1 } }, run(other, "SELECT 1 AS one"))
  end)

  it("inside a transaction lets all statements fail until ROLLBACK", function()
    local other <close> = open()
    local pid = process_of(other)
    run(other, "BEGIN")
    run(other, "INSERT INTO t VALUES (1, 'a')")
    run(db, "SELECT pg_terminate_backend($1)", pid)
    wait_for_end_of(pid)
    assert.is_true(failure(other, "INSERT INTO t VALUES (2, 'b')").retryable)
    for _, sql in ipairs { "INSERT INTO t VALUES (3, 'c')", "COMMIT", "BEGIN" } do
      local err = failure(other, sql)
      assert.are.equal("08006", err.code)
      assert.matches("ROLLBACK comes first", err.message)
      assert.is_true(err.retryable)
    end
    assert.are.same({}, run(other, "ROLLBACK"))
    run(other, "INSERT INTO t VALUES (4, 'd')")
    assert.are.same({ { k = 4 } }, run(db, "SELECT k FROM t"))
  end)

  it("by a restart of the server is made again, and while it is away the error is retryable", function()
    local other <close> = open()
    server:stop "KILL"
    local err = failure(other, "SELECT 1")
    assert.matches("^08", err.code)
    assert.is_true(err.retryable)
    err = failure(other, "SELECT 1")
    assert.are.equal("08001", err.code)
    assert.matches("Connection refused", err.message)
    assert.is_true(err.retryable)
    server:start_again()
    assert.are.same({ { one = 1 } }, run(other, "SELECT 1 AS one"))
  end)
end)

describe("A server that was stopped by a signal", function()
  it("holds up neither a statement, nor a new connection, nor a ROLLBACK beyond their time limits", function()
    local other <close> = open { statement = 2, connect = 3, cancel = 0.5 } -- in which a busy machine carries out what follows
    run(other, "BEGIN")
    run(other, "INSERT INTO t VALUES (1, 'a')")
    server:signal "STOP"
    finally(function() server:signal "CONT" end)
    assert.are.equal("57014", failure(other, "SELECT 1").code)
    assert.are.same({}, run(other, "ROLLBACK")) -- the connection is given up, and the transaction with it
    local err = failure(other, "SELECT 1")
    assert.are.equal("08001", err.code)
    assert.matches("the server does not answer", err.message)
    server:signal "CONT"
    wait_for(0, "SELECT count(*) AS n FROM t")
  end)

  it("leaves no transaction open that the caller takes for failed", function()
    local other <close> = open()
    run(other, "BEGIN")
    run(other, "ROLLBACK")
    server:signal "STOP"
    local waiting = task.spawn(other.run, other, "BEGIN") -- which was prepared before: it is sent at once
    task.sleep(0)
    waiting:cancel()
    assert.is_nil((waiting:join()))
    server:signal "CONT"
    run(other, "INSERT INTO t VALUES (1, 'a')")
    assert.are.same({ { n = 1 } }, run(db, "SELECT count(*) AS n FROM t"))
  end)

  it("does not let statements run outside of a transaction whose COMMIT was cancelled", function()
    local other <close> = open()
    run(other, "BEGIN")
    run(other, "COMMIT")
    run(other, "BEGIN")
    run(other, "INSERT INTO t VALUES (1, 'a')")
    server:signal "STOP"
    local waiting = task.spawn(other.run, other, "COMMIT")
    task.sleep(0)
    waiting:cancel()
    assert.is_nil((waiting:join()))
    server:signal "CONT"
    assert.is_true(failure(other, "INSERT INTO t VALUES (2, 'b')").retryable)
    run(other, "ROLLBACK")
    assert.are.same({ { n = 0 } }, run(db, "SELECT count(*) AS n FROM t WHERE k = 2"))
  end)
end)

-- The name slow.test is that of the server, and has a second address at which nothing listens. It cannot be looked up before the file
-- `answers` exists.
describe("A server whose name is looked up slowly", function()
  local answers

  -- Runs this code in a process of its own. It gets the addresses of the server, once by name and once by number.
  local function run_with_slow_name(code)
    local head = ([[
      local native, task = require "spec.support.part" "transfer.native", require "modalua".task
      local answers, by_name, by_number = %q, %q, %q
      local function answer() assert(io.open(answers, "w")):close() end
      local function threads()
        local n = 0
        for _ in io.popen("ls /proc/" .. select(2, native.process()) .. "/task"):lines() do n = n + 1 end
        return n
      end
    ]]):format(answers, (url:gsub("@127.0.0.1:", "@slow.test:")), url)
    return command.shell(('export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"; DISTURB=names DISTURB_ANSWERS=%s LD_PRELOAD=%s '
      .. '"$M" -e %s'):format(command.quote(answers), command.quote(os.getenv "MODALUA_DISTURB"), command.quote(head .. code)))
  end

  local function prints(text, code)
    assert.are.same({ out = text, err = "", status = 0 }, run_with_slow_name(code))
  end

  before_each(function()
    answers = server.folder .. "/answers"
    os.remove(answers)
  end)

  it("lets other tasks work, and each of its addresses is tried", function()
    prints("5 ticks\n1\n", [[
      local opening = task.spawn(native.open, by_name)
      for _ = 1, 5 do task.sleep(0.001) end
      print "5 ticks"
      answer()
      local db = assert(opening:join())
      print(db:run "SELECT 1 AS one"[1].one)]])
  end)

  it("is given up when the time limit is over, and the program goes on", function()
    prints("08001\ttrue\n1\n", [[
      local before = threads()
      local db, err = native.open(by_name, false, { connect = 0.1 })
      assert(not db and err.message:find("the name of the server could not be looked up in time", 1, true), err)
      print(err.code, err.retryable)
      assert(threads() > before)
      answer()
      while threads() > before do task.sleep(0.01) end
      print(assert(native.open(by_name)):run "SELECT 1 AS one"[1].one)]])
  end)

  it("is named as the cause when it is the second one of an address, too", function()
    prints("08001\n", [[
      local db, err = native.open((by_name:gsub("@", "@127.0.0.1:1,", 1)), false, { connect = 0.5 })
      assert(not db and err.message:find("the name of the server could not be looked up in time", 1, true), err)
      print(err.code)]])
  end)

  it("holds up neither a cancelled task nor the end of the program", function()
    prints("cancelled\n", [[
      local opening = task.spawn(native.open, by_name)
      task.sleep(0)
      opening:cancel()
      print(select(2, opening:join()).kind)
      task.spawn(native.open, by_name)
      task.sleep(0)
      task.spawn(native.open, by_name):cancel()]])
  end)

  it("is not looked up again to cancel a statement", function()
    prints("it has ended\n", [[
      answer()
      local db, other = assert(native.open(by_name)), assert(native.open(by_number))
      os.remove(answers)
      local function running()
        return other:run "SELECT count(*) AS n FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(601)' AND state = 'active'"[1].n
      end
      local waiting = task.spawn(db.run, db, "SELECT pg_sleep(601)")
      while running() == 0 do task.sleep(0.01) end
      waiting:cancel()
      while running() > 0 do task.sleep(0.01) end
      print "it has ended"]])
  end)
end)

describe("native.open on PostgreSQL", function()
  local function refusal(target, ...)
    local on, err = native.open(target, ...)
    assert.is_nil(on)
    assert.are.equal("database", err.kind)
    return err
  end

  it("says why a connection cannot be made, and whether a later try can succeed", function()
    local err = refusal(url:gsub("/postgres%?", "/missing?"))
    assert.are.equal("3D000", err.code)
    assert.matches('database "missing" does not exist', err.message)
    assert.is_nil(err.retryable)
    run(db, "CREATE ROLE limited LOGIN CONNECTION LIMIT 0 PASSWORD '" .. PASSWORD .. "'")
    err = refusal(url:gsub("modalua@", "limited@"))
    assert.are.equal("53300", err.code)
    assert.is_true(err.retryable)
    local port = served.free_ports(1)[1]
    err = refusal(("postgresql://127.0.0.1:%d/x"):format(port))
    assert.are.equal("08001", err.code)
    assert.is_true(err.retryable)
  end)

  it("never shows a password", function()
    local function check(text, err)
      assert.is_nil(tostring(err):find(text, 1, true), tostring(err))
      for _, value in pairs(err.details or {}) do
        assert.is_nil(tostring(value):find(text, 1, true))
      end
    end
    local err = refusal(address "wrong-battery")
    assert.are.equal("28P01", err.code)
    assert.is_nil(err.retryable)
    assert.matches('password authentication failed for user "modalua"', err.message)
    check("wrong-battery", err)
    for _, target in ipairs { "postgresql://u:s3cret@127.0.0.1/x", "postgresql://u@127.0.0.1/x?password=s3cret",
      "postgresql://u@127.0.0.1/x?sslpassword=s3cret", "postgresql://u:s3cret%zz@127.0.0.1/x", "postgresql://u:s3cret@[127/x",
      "postgres://u:@s3cret@127.0.0.1:1/x?s3cret" } do
      err = refusal(target)
      assert.are.equal("address", err.code)
      check("s3cret", err)
    end
    assert.are.equal("address", refusal("postgresql://127.0.0.1/a\0b").code)
  end)
end)
