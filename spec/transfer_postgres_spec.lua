-- Tests transfers with a ledger in PostgreSQL: several workers share one, and the server is restarted. Each worker is a process.
local expect = require "spec.support.expect"
local modalua = require "modalua"
local postgres = require "spec.support.postgres"
local served = require "spec.support.served"
local transfers = require "spec.support.transfers"
local versions = require "spec.support.versions"
local transfer = modalua.transfer

local happens = expect.happens

local STUDIES <const> = 40
-- Leases of 4 s instead of a minute.
local HASTE <const> = "MODALUA_TRANSFER_HASTE=15"

local server, world, schema

-- What psql prints for SQL on the tables of the ledger.
local function ask(sql)
  return server:psql(("SET search_path = %s; %s"):format(schema, sql))
end

-- Starts a worker. It waits 0.05 s behind each study, so that others get some.
local function start(environment)
  return transfers.start(world, "concurrency = 2, gap = 0.05", environment or "")
end

-- Waits for a worker that must end well.
local function finishes(worker)
  local status, out = worker:wait()
  assert.are.same({ 0, "finished\n" }, { status, out })
end

-- Each study is at the destination, was sent once, and the ledger is whole.
local function check_whole()
  assert.are.equal("done|" .. STUDIES, ask "SELECT state, count(*) FROM item GROUP BY state")
  assert.are.same({ STUDIES, STUDIES }, { world:arrived(), world:resources_sent() })
  local result = assert(transfer.check(world.ledger))
  assert.are.same({}, result.problems)
end

-- Makes the ledger, with all studies in it.
local function find_all()
  assert(transfers.run(world, { dry_run = true }))
  assert.are.equal("todo|" .. STUDIES, ask "SELECT state, count(*) FROM item GROUP BY state")
end

setup(function()
  server = postgres.start()
  world = transfers.world(versions[#versions], { studies = STUDIES })
end)

teardown(function()
  world:close()
  server:close()
end)

before_each(function()
  world:reset()
  schema = ("modalua_run%d"):format(world.n)
  world.ledger = ("%s#run%d"):format(server.url, world.n)
end)

describe("Two workers with one ledger in PostgreSQL", function()
  -- Each stops itself when it has claimed some, until the other one has too.
  it("share the studies, and send each once", function()
    find_all()
    local workers = { start "MODALUA_TRANSFER_POINT=claimed:stop", start "MODALUA_TRANSFER_POINT=claimed:stop" }
    for _, worker in ipairs(workers) do
      happens(function() return worker:state() == "T" end)
    end
    for _, worker in ipairs(workers) do
      worker:signal "CONT"
    end
    for _, worker in ipairs(workers) do
      finishes(worker)
    end
    check_whole()
    assert.are.equal("2", ask "SELECT count(*) FROM tally WHERE state = 'done' AND items > 0")
  end)

  it("may begin it at the same moment", function()
    local one, other = start(), start()
    finishes(one)
    finishes(other)
    check_whole()
  end)

  it("end the transfer when one of them is killed", function()
    find_all()
    local one = start "MODALUA_TRANSFER_POINT=moved:kill:5"
    local other = start "MODALUA_TRANSFER_POINT=claimed:stop" -- so that it leaves the first one enough to do
    happens(function() return other:state() == "T" end)
    assert.are.equal(137, (one:wait()))
    other:signal "CONT"
    finishes(other)
    check_whole()
    assert.are.equal("dead|1\nleft|2", ask "SELECT state, count(*) FROM worker GROUP BY state ORDER BY state")
  end)

  it("end it when one of them is stopped by a signal for longer than its lease; woken, it sends nothing that the other took", function()
    local stopped = start(HASTE .. " MODALUA_TRANSFER_POINT=claimed:stop")
    happens(function() return stopped:state() == "T" end)
    finishes(start(HASTE))
    check_whole()
    stopped:signal "CONT"
    finishes(stopped)
    check_whole()
  end)
end)

describe("A host with a poll loop of its own", function()
  it("runs a transfer with a ledger in PostgreSQL, whose connection is among the descriptors that it waits for", function()
    local script = world.folder .. "/polled.lua"
    served.write_file(script, ([[
      local modalua = require "modalua"
      local summary = assert(modalua.transfer.run { ledger = %q, from = modalua.connect():modality "pacs", to = "archive", query = {},
        all = true, concurrency = 4 })
      assert(summary.state == "finished", summary.state)]]):format(world.ledger))
    local program = assert(os.getenv "MODALUA_POLLED", "set MODALUA_POLLED to the program polled")
    local ready = served.output_of(("exec %s"):format(served.quoted { program, world.us.url, ("%d"):format(server.port), script }))
      :match "^(%d+) %d+\n$"
    assert.is_true(tonumber(ready) > 20, ready)
    check_whole()
  end)
end)

describe("A restart of PostgreSQL in the middle of a run", function()
  for _, how in ipairs(os.getenv "MODALUA_KILLS" and { "INT", "KILL" } or { "INT" }) do
    it(("by SIG%s is waited for, and each study is sent once"):format(how), function()
      find_all()
      local one, other = start "MODALUA_TRANSFER_POINT=moved:stop:4", start "MODALUA_TRANSFER_POINT=moved:stop:4"
      happens(function() return one:state() == "T" and other:state() == "T" end)
      server:stop(how ~= "INT" and how or nil)
      one:signal "CONT"
      other:signal "CONT"
      local before = world:resources_sent()
      happens(function() -- what was claimed is sent, and then nothing more begins
        local now = world:resources_sent()
        local same = now == before
        before = now
        os.execute "sleep 1"
        return same
      end)
      assert.is_true(before < STUDIES)
      server:start_again()
      finishes(one)
      finishes(other)
      check_whole()
    end)
  end
end)
