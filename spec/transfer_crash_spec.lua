-- Tests that a run that is killed at any moment is continued by the next one: nothing is missing, and nothing is sent twice. What was sent
-- is counted in the log of the source.
--
-- MODALUA_KILLS=20: so many kills at random moments, in 2 000 studies, and kills of what this Orthanc itself sends. MODALUA_SEED: of the
-- moments.
local part = require "spec.support.part"
local ledger = part "transfer.ledger"
local expect = require "spec.support.expect"
local archive = require "spec.support.archive"
local served = require "spec.support.served"
local task = require "modalua.task"
local transfer = require "modalua.transfer"
local transfers = require "spec.support.transfers"
local versions = require "spec.support.versions"

local happens = expect.happens

local KILLS <const> = math.tointeger(tonumber(os.getenv "MODALUA_KILLS")) or 3
local STUDIES <const> = KILLS > 3 and 2000 or 150
local SEED <const> = math.tointeger(tonumber(os.getenv "MODALUA_SEED")) or os.time()
local KILLED <const> = 137
local LAG <const> = 25 -- a move takes long enough that the points of a run meet it
-- the waits for two comparisons that agree, and for another try, are shortened where only one study is in doubt
local HASTE <const> = "MODALUA_TRANSFER_HASTE=5"

-- The states of the items of the ledger: state -> number.
local function states(world)
  local L <close> = assert(ledger.open(world.ledger, { create = false }))
  local numbers = {}
  for state, row in pairs(assert(L:totals())) do
    numbers[state] = row.items > 0 and row.items or nil
  end
  return numbers
end

-- The state of one study.
local function state_of(world, uid)
  for item in transfer.items(world.ledger, {}) do
    if item.key == uid then
      return item.state
    end
  end
end

-- The StudyInstanceUID of the study that came to the destination last.
local function last_arrived(world)
  local id
  for change in world.target:changes { type = "NewStudy" } do
    id = change.ID
  end
  return assert(world.target:get("/studies/" .. id)).MainDicomTags.StudyInstanceUID
end

-- Continues until the end, and checks that everything is there, once.
local function finish(world, n, environment, more)
  local status, out = transfers.start(world, "concurrency = 4, yes = true, " .. (more or ""), environment):wait()
  assert.are.same({ 0, "finished\n" }, { status, out })
  assert.are.same({ done = n }, states(world))
  assert.are.same({ n, n }, { world:arrived(), world:resources_sent() })
  assert.is_true(transfer.check(world.ledger).ok)
end

for i, version in ipairs(versions) do
  -- 1.10.1 makes a C-MOVE without a job, the others with one
  local describe = i <= 2 and describe or pending
  describe("A run with the Orthanc " .. version.name .. " that is killed", function()
    local world

    setup(function()
      world = transfers.world(version, { studies = 12, each = 40 }) -- a move of so many takes a while
    end)

    teardown(function()
      world:close()
    end)

    before_each(function()
      world:reset()
    end)

    local once = i == 2 and it or pending -- what does not depend on the version
    local long = KILLS > 3 and once or pending

    -- Runs until the point kills it.
    local function die_at(point, concurrency)
      local options = "concurrency = " .. (concurrency or 4)
      local status, out = transfers.start(world, options, HASTE .. " MODALUA_TRANSFER_POINT=" .. point):wait()
      assert.are.equal(KILLED, status, out)
    end

    once("while its ledger is made begins anew", function()
      die_at "creating:kill"
      finish(world, 12, HASTE)
    end)

    once("between a C-FIND and its commit finds the same again", function()
      die_at "found:kill"
      finish(world, 12, HASTE)
    end)

    it("after a claim, before a request, sends what was claimed", function()
      die_at "claimed:kill"
      assert.are.equal(0, world:resources_sent())
      assert.is_true(states(world).sending > 0)
      finish(world, 12, HASTE)
    end)

    it("when a transfer has begun, and its request has perhaps not left, sends it", function()
      die_at "begun:kill:2"
      finish(world, 12, HASTE)
    end)

    it("while the server moves something waits for it", function()
      die_at "moving:kill"
      finish(world, 12, HASTE)
    end)

    it("after a move, before its commit, sees that it has arrived", function()
      die_at("moved:kill:3", 1)
      assert.are.equal(3, world:resources_sent())
      local third = last_arrived(world)
      assert.are.equal("sending", state_of(world, third))
      finish(world, 12, HASTE)
    end)

    for _, to in ipairs { "'archive'", "client:peer 'other'" } do
      long(("after this Orthanc has sent to %s, which is not compared, reads the outcome in the record of the job"):format(to), function()
        archive.send(transfers.instances(1, 4), { world.us:modality() }, "PACS")
        assert(world.client:put("/peers/other", { Url = world.archive.url, HttpHeaders = { Token = "t0ken" } }))
        local options = ("from = client, to = %s, concurrency = 1, verify = 'job'"):format(to)
        assert.are.equal(KILLED, (transfers.start(world, options, HASTE .. " MODALUA_TRANSFER_POINT=moved:kill:2"):wait()))
        assert.are.same({ 0, "finished\n" }, { transfers.start(world, options, HASTE):wait() })
        local numbers = states(world)
        assert.are.same({ world:arrived(), 4 }, { numbers.done, numbers.done + (numbers.unknown or 0) })
        assert.is_true(numbers.done >= 2)
      end)
    end

    if version.number > 11101 then -- there a move is a job, of which the server keeps a record
      it("after a move that is not compared reads the outcome in the record of the job", function()
        local options = "concurrency = 1, verify = 'job'"
        local status = transfers.start(world, options, HASTE .. " MODALUA_TRANSFER_POINT=moved:kill:3"):wait()
        assert.are.equal(KILLED, status)
        assert.are.same({ 0, "finished\n" }, { transfers.start(world, options, HASTE):wait() })
        local numbers = states(world) -- what was claimed, and has no job, stays unknown
        assert.are.same({ world:resources_sent(), 12 }, { numbers.done, numbers.done + (numbers.unknown or 0) })
      end)

      it("after a claim does not take a job that is older than the run for its own", function()
        assert(world.source:move_resources("Study", { { StudyInstanceUID = "1.2.1" } }, { to = "archive" }))
        local options = "verify = 'job', query = { StudyInstanceUID = '1.2.1' }, all = false"
        assert.are.equal(KILLED, (transfers.start(world, options, HASTE .. " MODALUA_TRANSFER_POINT=claimed:kill"):wait()))
        do
          local L <close> = assert(ledger.open(world.ledger, { create = false }))
          assert(L:transaction(function()
            return L:run "UPDATE worker SET started = started + 3600000" -- as if all jobs were an hour older
          end))
        end
        assert.are.same({ 0, "finished\n" }, { transfers.start(world, options, HASTE):wait() })
        assert.are.same({ unknown = 1 }, states(world))
      end)
    end

    -- It stops itself when its second transfer has ended; then the disk is full.
    once("by a full disk, which takes nothing for a minute, ends what has begun, and is continued when there is room", function()
      local full = world.folder .. "/full"
      local environment = ("MODALUA_TRANSFER_HASTE=60 MODALUA_TRANSFER_POINT=moved:stop:2 DISTURB=full DISTURB_FULL=%s "
        .. "LD_PRELOAD=%s"):format(full, assert(os.getenv "MODALUA_DISTURB"))
      local run = transfers.start(world, "concurrency = 1", environment)
      happens(function() return run:state() == "T" end)
      served.write_file(full, "")
      run:signal "CONT"
      local status, out = run:wait()
      assert.are.equal(1, status)
      expect.contains(out, ("%s: no space is left on its disk: make room there, and start the same again"):format(world.ledger))
      local sent = world:resources_sent()
      assert.is_true(sent < 12)
      os.remove(full)
      assert.are.same({ sent, sent }, { world:arrived(), sent })
      finish(world, 12, HASTE)
    end)

    once("after a comparison, before its commit, compares again", function()
      die_at "compared:kill"
      assert.is_true(states(world).sent > 0)
      finish(world, 12, HASTE)
    end)
  end)

  describe("A run with the Orthanc " .. version.name .. " that is stopped by a signal for longer than its lease", function()
    local world

    setup(function()
      world = transfers.world(version, { studies = 40, lag = LAG })
    end)

    teardown(function()
      world:close()
    end)

    before_each(function()
      world:reset()
    end)

    -- Another run ends the work of the one that the point stops. That one is woken: it must send nothing of what it had.
    local function check_woken(point)
      local haste = "MODALUA_TRANSFER_HASTE=15" -- a lease of 4 s
      local stopped = transfers.start(world, "concurrency = 4", haste .. " MODALUA_TRANSFER_POINT=" .. point)
      happens(function() return stopped:state() == "T" end)
      finish(world, 40, haste)
      stopped:signal "CONT"
      local status, out = stopped:wait()
      assert.are.same({ 0, "finished\n" }, { status, out })
      assert.are.same({ 40, { done = 40 } }, { world:resources_sent(), states(world) })
      assert.is_true(transfer.check(world.ledger).ok)
    end

    it("after a claim sends nothing when it is woken", function()
      check_woken "claimed:stop:2"
    end)

    it("when a transfer has begun sends nothing more when it is woken", function()
      check_woken "begun:stop:5" -- and others wait for the first look at the destination
    end)

    if i == 2 then -- there the move is a job, which goes on
      it("during a move sends nothing more when it is woken", function()
        check_woken "moving:stop:5"
      end)
    end
  end)

  describe("A run with the Orthanc " .. version.name, function()
    it(("that is killed %d times is continued, and sends each study once"):format(KILLS), function()
      local world <close> = transfers.world(version, { studies = STUDIES })
      local random = archive.random(SEED + i)
      world:reset()
      for k = 1, KILLS do
        -- Some of its part of the studies are there, then a moment of chance. Half of all are left at the end, for some seconds.
        local goal = ((k - 1) * STUDIES // (KILLS + 1) + random:below(STUDIES // (KILLS + 1))) * 2 // 3
        local run = transfers.start(world, "concurrency = 4, yes = true, rate = '40/s'")
        while world:arrived() < goal do
          assert.are_not.equal("Z", run:state() or "Z", "the run has ended by itself")
          task.sleep(0.05)
        end
        task.sleep(random:below(100) / 1000)
        run:signal "KILL"
        assert.are.equal(KILLED, (run:wait()), "seed " .. SEED)
      end
      finish(world, STUDIES, nil, "rate = 'none'")
    end)
  end)
end
