-- Tests the run of a transfer on real servers: what it claims, compares, sends and records, and how it is stopped and changed meanwhile.
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local modalua = require "modalua"
local part = require "spec.support.part"
local native = part "core.native"
local pace = part "transfer.pace"
local points = part "transfer.points"
local task = require "modalua.task"
local transfer = require "modalua.transfer"
local transfers = require "spec.support.transfers"
local versions = require "spec.support.versions"

local happens = expect.happens

local STUDIES <const> = 30

for i, version in ipairs(versions) do
  -- what does not depend on the version is tried with one of them
  local once = i == 2 and it or pending

  describe("A transfer with the Orthanc " .. version.name, function()
    local world

    local seconds = points.seconds

    setup(function()
      world = transfers.world(version, { studies = STUDIES, each = 2 })
      function points.seconds(n) return n / 10 end -- the ledger is looked at twice a second
    end)

    teardown(function()
      points.seconds = seconds
      world:close()
    end)

    before_each(function()
      world:reset()
    end)

    -- Starts a run as a task. Returns the task, and the table in which it counts its events; `control` stops it.
    local function start(options)
      local seen, control = {}, {}
      function control.tell(e)
        seen[e.event] = (seen[e.event] or 0) + 1
        if e.event == "progress" then
          seen.share, seen.too_many = e.concurrency, seen.too_many or #e.under_way > e.concurrency
        end
        seen.window_open = e.event == "window" and e.open or e.event ~= "window" and seen.window_open
      end
      return task.spawn(function() return transfers.run(world, options, control) end), seen, control
    end

    local function items(summary, state)
      return summary.items[state] or 0
    end

    it("sends each study once, and asks for 50 at a time", function()
      assert(transfers.run(world, { dry_run = true })) -- the search
      local before = world.us:count_logged "/query\n"
      local hasty = points.seconds
      finally(function() points.seconds = hasty end)
      points.seconds = seconds -- otherwise it compares three times a second, and on a busy machine a few studies at a time
      local summary = assert(transfers.run(world))
      assert.are.same({ "finished", STUDIES, 0 }, { summary.state, items(summary, "done"), items(summary, "todo") })
      assert.are.equal(STUDIES, world:arrived())
      assert.are.equal(STUDIES, world:resources_sent())
      assert.is_true(transfer.check(world.ledger).ok)
      assert.is_true(world.us:count_logged "/query\n" - before <= 25)
    end)

    once("does not ask for a job before the time that such jobs need", function()
      -- a server whose job has ended when it is asked for, however long the machine takes
      local job = { ID = "12345678-1234-1234-1234-123456789abc", Type = "DicomMoveScu", State = "Success", Content = {} }
      local function answer(path, value)
        return { path = path, to = faultd.route("/status", { code = 200, body = json.encode(value) }) }
      end
      local server <close> = faultd.start { answer("/system", { Version = "1.12.7", DicomAet = "LOCAL" }), answer("/jobs", json.array {}),
        answer("/modalities/pacs/move", { ID = job.ID, Path = "/jobs/" .. job.ID }), answer("/jobs/" .. job.ID, job) }
      local pacs = modalua.connect(server.url):modality "pacs"
      native.set_usual(pacs, 0.4)
      local began = task.now()
      assert(pacs:move_resources("Study", { { StudyInstanceUID = "1.2.7" } }, { TargetAet = "ARCHIVE", verify = false }))
      assert.is_true(task.now() - began >= 0.4)
      assert.are.equal(0, native.take_unfinished(pacs)) -- the first poll has found it ended, whatever the transfer has taken
      assert.is_nil(native.take_unfinished(pacs))
    end)

    it("does not send what the destination has", function()
      assert(world.source:move_resources("Study", { { StudyInstanceUID = "1.2.7" }, { StudyInstanceUID = "1.2.8" } }, { to = "archive" }))
      local summary = assert(transfers.run(world))
      assert.are.same({ 2, STUDIES - 2 }, { items(summary, "present"), items(summary, "done") })
      assert.are.equal(STUDIES, world:resources_sent())
    end)

    it("that is stopped finishes what is under way, and a later run sends the rest", function()
      local run, seen, control = start {}
      happens(function() return (seen.begin or 0) > 5 end)
      control.stopping = true
      local summary = assert(run:join())
      local sent = world:resources_sent()
      assert.are.same({ "stopped", seen.begin }, { summary.state, items(summary, "done") })
      assert.are.same({ 0, 0 }, { items(summary, "sending"), items(summary, "sent") })
      assert.is_true(items(summary, "todo") > 0)
      assert.are.equal(items(summary, "done"), sent)
      assert.are.equal("finished", assert(transfers.run(world)).state)
      assert.are.equal(STUDIES, world:resources_sent())
    end)

    it("that is cancelled is continued by a later run", function()
      local run, seen = start {}
      happens(function() return (seen.begin or 0) > 5 end)
      run:cancel()
      assert.are.equal("cancelled", select(2, run:join()).kind)
      assert.are.equal("finished", assert(transfers.run(world)).state)
      assert.are.equal(STUDIES, world:arrived())
      assert.is_true(transfer.check(world.ledger).ok)
    end)

    once("waits while it is paused", function()
      local run, seen = start { concurrency = 1, gap = 0.2 }
      happens(function() return (seen.begin or 0) > 5 end)
      assert(transfer.pause(world.ledger))
      happens(function() return transfer.status(world.ledger).state == "paused" end)
      happens(function()
        local before = world:resources_sent()
        task.sleep(1)
        return world:resources_sent() == before
      end)
      assert.is_true(world:arrived() < STUDIES)
      assert(transfer.set(world.ledger, { gap = 0 }))
      assert(transfer.resume(world.ledger))
      assert.are.equal("finished", assert(run:join()).state)
      assert.are.equal(STUDIES, world:resources_sent())
    end)

    once("takes a new concurrency while it runs", function()
      local run, seen = start { concurrency = 1, gap = 0.2 }
      happens(function() return (seen.begin or 0) > 1 end)
      assert(transfer.set(world.ledger, { concurrency = 6, gap = 0 }))
      assert.are.equal("finished", assert(run:join()).state)
      assert.are.equal(6, transfer.status(world.ledger).settings.concurrency)
    end)

    once("sends in the allowed hours alone", function()
      local now = pace.now
      local shift = 0
      finally(function() pace.now = now end)
      -- Wednesday 2024-01-03, 10:00 UTC, is outside of the hours
      local begin = 1704276000000 - now()
      function pace.now() return now() + begin + shift end
      local run, seen = start { hours = "Wed 12:00-13:00", time_zone = "UTC" }
      happens(function() return seen.window == 1 end)
      task.sleep(0.6)
      assert.is_nil(seen.begin)
      shift = 2 * 3600000
      assert.are.equal("finished", assert(run:join()).state)
    end)

    once("ends with the window when it is to run once", function()
      local now = pace.now
      local shift = 0
      finally(function() pace.now = now end)
      local begin = 1704276000000 - now()
      function pace.now() return now() + begin + shift end
      local run, seen = start { hours = "Wed 09:00-11:00", time_zone = "UTC", once = true, gap = 0.05, concurrency = 1 }
      happens(function() return (seen.begin or 0) > 3 end)
      shift = 3600000
      local summary = assert(run:join())
      assert.are.equal("stopped", summary.state)
      assert.is_true(items(summary, "todo") > 0)
      assert.are.equal(0, items(summary, "sending"))
    end)

    once("sends at most so many", function()
      local summary = assert(transfers.run(world, { max = 7 }))
      assert.are.same({ "stopped", 7, STUDIES - 7 }, { summary.state, items(summary, "done"), items(summary, "todo") })
      assert.are.equal(7, world:resources_sent())
    end)

    once("sends at most so many also of what a killed run has claimed", function()
      local status = transfers.start(world, "concurrency = 4", "MODALUA_TRANSFER_POINT=claimed:kill"):wait()
      assert.are.equal(137, status)
      local summary = assert(transfers.run(world, { max = 1 }))
      assert.are.same({ "stopped", 1, STUDIES - 1 }, { summary.state, items(summary, "done"), items(summary, "todo") })
    end)

    once("only compares in a dry run", function()
      assert(world.source:move_resources("Study", { { StudyInstanceUID = "1.2.7" } }, { to = "archive" }))
      local sent = world:resources_sent()
      local summary = assert(transfers.run(world, { dry_run = true }))
      assert.are.same({ 1, STUDIES - 1, 0 }, { items(summary, "present"), items(summary, "todo"), items(summary, "sending") })
      assert.are.equal(sent, world:resources_sent())
    end)

    -- Makes a list of the studies in the order of their dates, those without a date last.
    local function in_order(order)
      local list = {}
      for _, one in ipairs(transfers.instances(1, STUDIES)) do
        list[#list + 1] = { one.StudyInstanceUID, one.StudyDate .. one.StudyTime }
      end
      table.sort(list, function(a, b)
        return order == "oldest" and a[2] < b[2] or order == "newest" and a[2] > b[2]
      end)
      for n, pair in ipairs(list) do
        list[n] = pair[1]
      end
      return list
    end

    -- The studies in the order in which the destination got them, from that change on.
    local function arrivals(since)
      local list = {}
      for _, change in ipairs(assert(world.target:get("/changes", { since = since, limit = 10000 })).Changes) do
        if change.ChangeType == "NewStudy" then
          list[#list + 1] = assert(world.target:get("/studies/" .. change.ID)).MainDicomTags.StudyInstanceUID
        end
      end
      return list
    end

    for _, order in ipairs { "oldest", "newest" } do
      (order == "oldest" and it or once)("sends the " .. order .. " studies first, also when it goes on", function()
        local since = assert(world.target:get("/changes", { last = "" })).Last
        local sent = order == "oldest" and 8 or STUDIES
        assert(transfers.run(world, { order = order, concurrency = 1, max = 4 }))
        assert(transfers.run(world, { concurrency = 1, max = sent - 4 }))
        assert.are.same(table.move(in_order(order), 1, sent, 1, {}), arrivals(since))
      end)
    end

    once("sends the oldest first of a list, and of what this Orthanc itself holds", function()
      local rows = in_order "newest"
      for n, uid in ipairs(rows) do
        rows[n] = { StudyInstanceUID = uid }
      end
      local pacs = modalua.connect(world.pacs.url)
      for _, options in ipairs { { items = rows, query = false, all = false }, { from = pacs } } do
        world:reset()
        local since = assert(world.target:get("/changes", { last = "" })).Last
        options.order, options.concurrency, options.max = "oldest", 1, 5
        assert(transfers.run(world, options))
        assert.are.same(table.move(in_order "oldest", 1, 5, 1, {}), arrivals(since))
      end
    end)

    once("begins nothing more when max_failed items have failed", function()
      local pacs = modalua.connect(world.pacs.url)
      finally(function() world:fill(1, STUDIES, 2) end)
      assert(transfers.run(world, { dry_run = true }))
      for _, id in ipairs(assert(pacs:find { Level = "Study", Query = {} })) do
        assert(pacs:delete("/studies/" .. id))
      end
      local summary = assert(transfers.run(world, { max_failed = 3, concurrency = 1 }))
      assert.are.same({ "paused", 3, STUDIES - 3 }, { summary.state, items(summary, "failed"), items(summary, "todo") })
    end)

    it("joins several studies in one C-MOVE", function()
      assert(transfers.run(world, { dry_run = true })) -- all are known when the first one is sent
      local before = world.us:count_logged "POST /modalities/pacs/move"
      local summary = assert(transfers.run(world, { join = 10, concurrency = 2 }))
      assert.are.equal(STUDIES, items(summary, "done"))
      assert.are.equal(STUDIES, world:resources_sent())
      assert.is_true(world.us:count_logged "POST /modalities/pacs/move" - before < STUDIES)
    end)

    once("compares the UIDs of all instances where that is asked for", function()
      local summary = assert(transfers.run(world, { verify = "uids", query = { PatientID = "P1?" } }))
      assert.are.equal(10, items(summary, "done"))
      for item in transfer.items(world.ledger, {}) do
        assert.are.same({ "uids", 2, 2 }, { item.verified, item.expected, item.arrived })
      end
    end)

    it("brings studies to this Orthanc, and knows their bytes", function()
      local summary = assert(transfers.run(world, { to = world.client, query = { PatientID = "P1?" } }))
      assert.are.equal(10, items(summary, "done"))
      assert.are.equal(10, world:arrived(world.client))
      for item in transfer.items(world.ledger, {}) do
        assert.is_true(item.bytes > 0)
      end
    end)

    it("sends what this Orthanc holds, and series too", function()
      assert(world.source:move_resources("Study", { { StudyInstanceUID = "1.2.7" }, { StudyInstanceUID = "1.2.8" } }, {}))
      local summary = assert(transfers.run(world, { from = world.client, level = "Series" }))
      assert.are.equal(2, items(summary, "done"))
      assert.are.equal(4, #assert(world.target:get "/instances"))
    end)

    once("asks the Orthanc that receives, where this one cannot ask the destination", function()
      local summary = assert(transfers.run(world, { to = false, TargetAet = "ARCHIVE", arrived_at = world.target,
        query = { PatientID = "P1?" } }))
      assert.are.equal(10, items(summary, "done"))
      for item in transfer.items(world.ledger, {}) do
        assert.are.same({ "count", 2, true }, { item.verified, item.arrived, item.bytes > 0 })
      end
    end)

    once("takes the word of a server for what it sends to a peer", function()
      local peer = world.client:peer "far"
      assert(peer:configure { Url = world.archive.url, create = true })
      assert(world.source:move_resources("Study", { { StudyInstanceUID = "1.2.7" }, { StudyInstanceUID = "1.2.8" } }, {}))
      local summary = assert(transfers.run(world, { from = world.client, to = peer }))
      assert.are.same({ "finished", 2, 2 }, { summary.state, items(summary, "done"), world:arrived() })
      for item in transfer.items(world.ledger, {}) do
        assert.are.same({ "job" }, { item.verified, item.arrived })
      end
    end)

    once("needs a yes for more than 1000 items, and sends nothing without", function()
      assert(transfers.run(world, { query = { PatientID = "P1" }, dry_run = true }))
      transfers.add_studies(world.ledger, 1001)
      local summary, err = transfers.run(world, { query = false, all = false })
      assert.is_nil(summary)
      assert.are.same({ "refused", "too_many" }, { err.kind, err.code })
      assert.are.equal(0, world:resources_sent())
      local asked
      local function confirm(found)
        asked = found
        return true
      end
      summary = assert(transfers.run(world, { query = false, all = false, max = 1 }, { confirm = confirm }))
      assert.are.same({ 1002, 1 }, { asked, items(summary, "done") })
      assert(transfers.run(world, { query = false, all = false, dry_run = true })) -- the ledger remembers the yes
    end)

    once("shares its concurrency among all workers", function()
      local run, seen = start { concurrency = 3, rate = "1/min" } -- so that neither ends before both have seen the other
      happens(function() return (seen.begin or 0) > 0 end)
      local other, seen_too = start { query = false, all = false, concurrency = 3 }
      happens(function() return seen.share == 2 and seen_too.share == 1 end)
      seen.too_many, seen_too.too_many = false, false
      assert(transfer.set(world.ledger, { rate = "60000/min" }))
      assert.are.equal("finished", assert(run:join()).state)
      assert.are.equal("finished", assert(other:join()).state)
      assert.are.equal(STUDIES, world:resources_sent())
      assert.are.equal(STUDIES, seen.begin + seen_too.begin)
      assert.are.same({ false, false }, { seen.too_many, seen_too.too_many })
    end)
  end)
end
