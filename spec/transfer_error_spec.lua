-- Tests what a transfer does when something fails: a study that is gone, a destination or a server that is away, a destination that
-- refuses. The waits between tries are shortened (points.seconds).
local archive = require "spec.support.archive"
local dcmtk = require "spec.support.dcmtk"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local ledgers = require "spec.support.ledgers"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"
local compare, points = part "transfer.compare", part "transfer.points"
local breaker, native = part "transfer.breaker", part "core.native"
local confirm, ledger = part "transfer.confirm", part "transfer.ledger"
local send_outcome, unknown_target = part "transfer.send_outcome", part "transfer.unknown_target"
local qrd = require "spec.support.qrd"
local task = require "modalua.task"
local transfer = require "modalua.transfer"
local transfers = require "spec.support.transfers"
local versions = require "spec.support.versions"

part "transfer.ledger_workers" -- reads its leases when it is loaded, and they must stay as they are

local happens = expect.happens

local STUDIES <const> = 45

-- Runs a transfer as a task. Returns the task, what it has told by the names of its events, and its control.
local function start(world, options)
  local seen, control = { failure = {}, wait = {} }, {}
  function control.tell(e)
    if type(seen[e.event]) == "table" then
      table.insert(seen[e.event], e)
    else
      seen[e.event] = (seen[e.event] or 0) + 1
    end
  end
  return task.spawn(function() return transfers.run(world, options, control) end), seen, control
end

local function items(summary, state)
  return summary.items[state] or 0
end

-- Until it is closed, waits that are shorter than a quarter of an hour are shortened so much, and the patience of a run less: on a slow
-- machine too, it ends with another error, or after more tries, before that patience is over.
local function be_patient(shortened, patience)
  local before = points.seconds
  function points.seconds(n) return n / (n < 900 and shortened or patience) end
  return setmetatable({}, { __close = function() points.seconds = before end })
end

-- The number of items that have lost a try.
local function tried(world)
  local n = 0
  for item in transfer.items(world.ledger, {}) do
    n = n + (item.tries > 0 and 1 or 0)
  end
  return n
end

for i, version in ipairs(versions) do
  local describe = describe
  if i == 2 and not os.getenv "MODALUA_KILLS" then
    describe = pending -- transfer_crash_spec tries that one
  end
  describe("A transfer with the Orthanc " .. version.name, function()
    local world
    local seconds = points.seconds

    setup(function()
      world = transfers.world(version, { studies = STUDIES, extra = { MaximumStorageCacheSize = 0 } })
      function points.seconds(n) return n / 40 end
    end)

    teardown(function()
      points.seconds = seconds
      world:close()
    end)

    before_each(function()
      for _, server in ipairs { world.us, world.pacs, world.archive } do
        if not server.pipe then
          server:start_again()
        end
      end
      world:reset()
    end)

    it("goes on when the destination was away, and no item has lost a try", function()
      local run, seen = start(world, {})
      happens(function() return (seen.begin or 0) > 5 end)
      world.archive:stop()
      happens(function() return #seen.wait > 0 end)
      assert.are.equal("to", happens(function()
        for _, e in ipairs(seen.wait) do
          if e.side == "to" then
            return "to"
          end
        end
      end))
      world.archive:start_again()
      local summary = assert(run:join())
      assert.are.same({ "finished", STUDIES, 0 }, { summary.state, items(summary, "done"), tried(world) })
      assert.are.equal(STUDIES, world:arrived())
    end)

    local on_newest = i == #versions and it or pending

    -- Each way to a destination. unknown: this Orthanc knows no modality with the AE title; dies: which server is away, and is blamed.
    for name, way in pairs {
      ["a modality, from this Orthanc"] = { from = "client", to = "archive" },
      ["a peer, from this Orthanc"] = { from = "client", to = "peer" },
      ["a peer that is compared, from this Orthanc"] = { from = "client", to = "peer", is_compared = true },
      ["a modality, from another one"] = { to = "archive", dies = "pacs" },
      ["an AE title, from a modality"] = { aet = "ARCHIVE" },
      ["an AE title that only the source knows"] = { aet = "ARCHIVE", unknown = true },
      ["an AE title that only the source knows, and that is compared"] = { aet = "ARCHIVE", unknown = true, is_compared = true },
    } do
      (way.to == "archive" and it or on_newest)(("waits for the side that is away, and for no other: the %s, to %s"):format(
        way.dies and "source" or "destination", name), function()
        local dying, side = world[way.dies or "archive"], way.dies and "from" or "to"
        if way.from then
          archive.send(transfers.instances(1, STUDIES), { world.us:modality() }, "PACS")
          finally(function() archive.empty(world.client) end)
        end
        if way.to == "peer" then
          assert(world.client:put("/peers/other", { Url = world.archive.url }))
        end
        local known = way.unknown and assert(world.client:get "/modalities/archive/configuration")
        if known then
          assert(world.client:delete "/modalities/archive")
          finally(function() assert(world.client:put("/modalities/archive", known)) end)
        end
        local run, seen = start(world, { from = way.from and world.client or nil, TargetAet = way.aet,
          to = way.to == "peer" and world.client:peer "other" or way.to or false, arrived_at = way.is_compared and world.target or nil })
        happens(function() return (seen.begin or 0) > 5 end)
        dying:stop "KILL"
        happens(function() return #seen.wait > 0 end)
        dying:start_again()
        local summary = assert(run:join())
        assert.are.same({ "finished", STUDIES, 0 }, { summary.state, items(summary, "done"), tried(world) })
        assert.are.equal(STUDIES, world:arrived())
        for _, e in ipairs(seen.wait) do
          assert.are.equal(e.side and side or nil, e.side, e.reason)
        end
      end)
    end

    it("goes on when the Orthanc that sends was killed and started again", function()
      local run, seen = start(world, {})
      happens(function() return (seen.begin or 0) > 5 end)
      world.us:stop "KILL"
      happens(function() return #seen.wait > 0 end)
      world.us:start_again()
      local summary = assert(run:join())
      assert.are.same({ "finished", STUDIES, 0 }, { summary.state, items(summary, "done"), tried(world) })
      assert.are.equal(STUDIES, world:arrived())
    end)

    on_newest("waits for the Orthanc that sends when it is away at the beginning of a later run, and may be stopped then", function()
      assert(transfers.run(world, { max = 2 }))
      world.us:stop()
      local run, seen, control = start(world, {})
      happens(function() return #seen.wait > 0 end)
      control.stopping = true
      local summary, err = run:join()
      assert.are.same({ nil, "network" }, { summary, err.kind })
      run, seen = start(world, {})
      happens(function() return #seen.wait > 0 end)
      assert.are.equal("server", seen.wait[1].side)
      world.us:start_again()
      summary = assert(run:join())
      assert.are.same({ "finished", STUDIES, 0 }, { summary.state, items(summary, "done"), tried(world) })
      assert.is_nil(seen.wait[#seen.wait].side)
    end)

    it("ends when the source does not know the AE title of the destination, and no item has lost a try", function()
      local pacs = modalua.connect(world.pacs.url)
      local known = assert(pacs:get "/modalities/archive/configuration")
      assert(pacs:delete "/modalities/archive")
      local patient <close> = be_patient(40, 4) -- luacheck: ignore
      finally(function() assert(pacs:put("/modalities/archive", known)) end)
      local run, seen = start(world, {})
      local summary, err = run:join()
      assert.is_nil(summary)
      assert.are.same({ "dicom", "unknown_destination", 0xC000 }, { err.kind, err.code, err.dimse_status })
      expect.contains(err.message, "Does pacs know the AE title ARCHIVE? Add it there")
      expect.contains(seen.wait[1].reason, "pacs answered 0xC000 to every transfer")
      assert.are.same({ STUDIES, 0 }, { items(err.summary, "todo"), tried(world) })
      assert(pacs:put("/modalities/archive", known))
      summary = assert(transfers.run(world, {}))
      assert.are.same({ "finished", STUDIES }, { summary.state, items(summary, "done") })
    end)

    on_newest("fails a few items that the source has and does not move, and counts their tries", function()
      local pacs = modalua.connect(world.pacs.url)
      local known = assert(pacs:get "/modalities/archive/configuration")
      assert(pacs:delete "/modalities/archive")
      finally(function() assert(pacs:put("/modalities/archive", known)) end)
      local selection = { query = { PatientID = "P7" } }
      local summary = assert(transfers.run(world, selection))
      assert.are.same({ "finished", 0, 1 }, { summary.state, items(summary, "todo"), items(summary, "failed") })
      for item in transfer.items(world.ledger, {}) do
        assert.is_true(item.tries >= 3)
        expect.contains(item.message, "Does pacs know the AE title ARCHIVE? Add it there")
        expect.contains(item.message, "Or it cannot read what is asked for: see the log of pacs")
      end
      assert(pacs:put("/modalities/archive", known))
      assert(transfer.retry(world.ledger, {}))
      summary = assert(transfers.run(world, selection))
      assert.are.same({ "finished", 1 }, { summary.state, items(summary, "done") })
    end)

    on_newest("goes on when the source can read only the study that it would send last", function()
      assert(transfers.run(world, { dry_run = true }))
      local last
      for item in transfer.items(world.ledger, {}) do
        last = item.key
      end
      local files = world.pacs.folder .. "/db -mindepth 3 -type f"
      os.execute(("find %s ! -exec grep -aqF %s.1.1 {} \\; -exec mv {} {}.lost \\;"):format(files, last))
      finally(function() os.execute(("find %s -name '*.lost' -exec sh -c 'mv $0 ${0%%.lost}' {} \\;"):format(files)) end)
      local summary = assert(transfers.run(world, { retries = 0, concurrency = 1 }))
      assert.are.same({ "finished", 1, STUDIES - 1 }, { summary.state, items(summary, "done"), items(summary, "failed") })
    end)

    it("notes that the source no longer has a study, and sends the others", function()
      local pacs = modalua.connect(world.pacs.url)
      assert(transfers.run(world, { dry_run = true }))
      assert(pacs:delete("/studies/" .. assert(pacs:find { Level = "Study", Query = { StudyInstanceUID = "1.2.7" } })[1]))
      finally(function() world:fill(7, 7) end)
      local summary = assert(transfers.run(world, {}))
      assert.are.same({ STUDIES - 1, 1 }, { items(summary, "done"), items(summary, "failed") })
      local item = transfer.items(world.ledger, { state = "failed" })()
      assert.are.same({ "1.2.7", "gone" }, { item.key, item.reason })
    end)

    on_newest("asks the source again whether studies have grown, when it has not answered once", function()
      local known = world.pacs:modality()
      local away = { known[1], known[2], orthanc.free_ports(1)[1] }
      assert(world.client:put("/modalities/away", away))
      local places = compare.new { client = world.client, level = "Study", source = world.client:modality "away",
        destination = { kind = "modality", modality = world.client:modality "archive" } }
      local item = { uids = { StudyInstanceUID = "1.2.7" } }
      local told, err = places:look_at_source { item }
      assert.is_nil(told)
      assert.are.equal("dicom", err.kind)
      assert(world.client:put("/modalities/away", known))
      assert.is_true(places:look_at_source { item })
      assert.are.equal(1, item.now)
    end)

    it("does not believe in a part of a study that the source no longer has", function()
      archive.send(transfers.instances(99, 99), { world.archive:modality() }, "LOCAL")
      local places = compare.new { client = world.client, level = "Study", source = world.source,
        destination = { kind = "modality", modality = world.client:modality "archive" } }
      local item = { uids = { StudyInstanceUID = "1.2.99" }, expected = 2 }
      assert(places:after({ item }, "count"))
      assert.are.same({ "gone", 1 }, { item.verdict, item.held })
      assert.matches("the destination has 1 of 2 instances", compare.gone(item).message, 1, true)
      item.expected = 1
      assert(places:after({ item }, "count"))
      assert.are.equal("full", item.verdict)
      assert(places:after({ item }, "uids"))
      assert.are.equal("gone", item.verdict)
    end)
  end)
end

describe("A transfer", function()
  local seconds = points.seconds

  setup(function()
    function points.seconds(n) return n / (n < 3600 and 2000 or 100) end -- a day of patience must not end on a slow machine
  end)

  teardown(function()
    points.seconds = seconds
  end)

  -- A source and a destination that this Orthanc knows as pacs and archive; `us` is known to both.
  local function world_of(source, destination, us_ports)
    local modalities = { pacs = source:modality(), archive = destination:modality() }
    local us = orthanc.start { binary = versions[2].binary, aet = "LOCAL", modalities = modalities, verbose = true,
      http_port = us_ports[1], dicom_port = us_ports[2], extra = { DicomAlwaysAllowStore = true, ConcurrentJobs = 8 } }
    local folder = transfers.folder()
    local client = modalua.connect(us.url)
    return { us = us, folder = folder, ledger = folder .. "/ledger", client = client, source = client:modality "pacs" }
  end

  it("ends with an error when the destination refuses for good", function()
    local ports = orthanc.free_ports(2)
    local us = { "LOCAL", "127.0.0.1", ports[2] }
    local sink <close> = dcmtk.storescp { aet = "SINK", arguments = { "--refuse" } }
    local pacs <close> = dcmtk.dcmqrscp { aet = "PACS", peers = { us, sink:modality() } }
    for n = 1, 6 do
      pacs:store { uid = "1.2." .. n, patient = "P" .. n, date = "20240101" }
    end
    local world = world_of(pacs, sink, ports)
    local server <close> = world.us -- luacheck: ignore
    local patient <close> = be_patient(2000, 100) -- luacheck: ignore
    local run, seen = start(world, {})
    local summary, err = run:join()
    assert.is_nil(summary)
    assert.are.same({ "refused", "gave_up" }, { err.kind, err.code })
    assert.are.equal(6, items(err.summary, "todo"))
    assert.are.equal(0, tried(world))
    assert.is_true(#seen.wait > 1)
  end)

  it("compares with a destination that matches no lists of UIDs and gives no numbers of images", function()
    local ports = orthanc.free_ports(2)
    local us = { "LOCAL", "127.0.0.1", ports[2] }
    local sink <close> = qrd.start { aet = "SINK", arguments = { "--no-lists" }, peers = { us } }
    local pacs <close> = dcmtk.dcmqrscp { aet = "PACS", peers = { us, sink:modality() } }
    local list = {}
    for n = 1, 6 do
      pacs:store { uid = "1.2." .. n, patient = "P" .. n, date = "20240101" }
      list[n] = { StudyInstanceUID = "1.2." .. n }
    end
    local world = world_of(pacs, sink, ports)
    local server <close> = world.us -- luacheck: ignore
    local summary = assert(transfers.run(world, { query = false, all = false, items = list }))
    assert.are.same({ "finished", 6, 6 }, { summary.state, items(summary, "done"), sink:count "C-STORE" })
    for item in transfer.items(world.ledger, {}) do
      assert.are.same({ 1, 1 }, { item.expected, item.arrived })
    end
  end)

  it("ends at once when the source does not know the destination", function()
    local ports = orthanc.free_ports(2)
    local us = { "LOCAL", "127.0.0.1", ports[2] }
    local sink <close> = dcmtk.storescp { aet = "SINK" }
    local pacs <close> = dcmtk.dcmqrscp { aet = "PACS", peers = { us } }
    for n = 1, 3 do
      pacs:store { uid = "1.2." .. n, patient = "P" .. n, date = "20240101" }
    end
    local world = world_of(pacs, sink, ports)
    local server <close> = world.us -- luacheck: ignore
    local summary, err = transfers.run(world, { to = false, TargetAet = "SINK", verify = "job" })
    assert.is_nil(summary)
    assert.are.equal(0xA801, err.dimse_status)
    expect.contains(err.message, "the modality does not know the destination")
    assert.are.equal(3, items(err.summary, "todo"))
  end)

  describe("from a source that says that all was sent, and sends nothing,", function()
    local pacs, us, folder, client

    setup(function()
      local ports = orthanc.free_ports(2)
      pacs = qrd.start { aet = "PACS", peers = { { "LOCAL", "127.0.0.1", ports[2] } },
        arguments = { "--move=claims", "--once", "--keys=all" } }
      archive.send(transfers.instances(1, 5), { pacs:modality() }, "LOCAL")
      us = orthanc.start { binary = versions[2].binary, aet = "LOCAL", modalities = { pacs = pacs:modality() }, http_port = ports[1],
        dicom_port = ports[2], extra = { DicomAlwaysAllowStore = true } }
      folder, client = transfers.folder(), modalua.connect(us.url)
    end)

    teardown(function()
      us:close()
      pacs:close()
      os.execute("rm -r " .. folder)
    end)

    local function run(name, options)
      local world = { ledger = folder .. "/" .. name, source = client:modality "pacs" }
      options.to = client
      return world, transfers.run(world, options)
    end

    it("tries each item again, and then fails it", function()
      local world, summary = run("tries", { retries = 1 })
      assert.are.same({ "finished", 5 }, { summary.state, items(summary, "failed") })
      for item in transfer.items(world.ledger, {}) do
        assert.are.same({ "short", 2, 1 }, { item.reason, item.tries, item.expected })
      end
      assert.are.equal(5, assert(transfer.retry(world.ledger, { state = "failed" })))
      assert.are.equal(5, items(transfer.status(world.ledger), "todo"))
    end)

    it("says that what it was to send at most has not been done", function()
      local _, summary = run("most", { retries = 1, max = 2, concurrency = 1 })
      assert.are.same({ "stopped", 5, 2 }, { summary.state, items(summary, "todo"), summary.unfinished })
    end)

    it("pauses when max_failed items have failed, and a later run does not begin before resume", function()
      local world, summary = run("pauses", { retries = 0, max_failed = 2, concurrency = 1, gap = 0.7 })
      assert.are.equal("paused", summary.state)
      assert.is_true(items(summary, "failed") >= 2)
      local failed = items(summary, "failed")
      summary = assert(transfers.run(world, { to = client }))
      assert.are.same({ "paused", failed }, { summary.state, items(summary, "failed") })
    end)
  end)

  it("ends when only studies are left that the source refuses for good, each with its own error", function()
    local ports = orthanc.free_ports(2)
    local us = { "LOCAL", "127.0.0.1", ports[2] }
    local sink <close> = qrd.start { aet = "SINK", arguments = { "--once", "--keys=all" }, peers = { us } }
    local reasons = { ["1.2.2"] = "0xA700", ["1.2.5"] = "0xA702", ["1.2.8"] = "0x0122", ["1.2.11"] = "0xA701", ["1.2.12"] = "0xFE00",
      ["1.2.14"] = "dicom", ["1.2.15"] = "0xA900", ["1.2.16"] = "0xC123" }
    local arguments = { "--once", "--keys=all" }
    for uid, reason in pairs(reasons) do
      table.insert(arguments, ("--refuses=%s=%s"):format(reason:match "^0x(%x+)$" or "0", uid))
    end
    local pacs <close> = qrd.start { aet = "PACS", arguments = arguments, peers = { us, sink:modality() } }
    archive.send(transfers.instances(1, 16), { pacs:modality() }, "LOCAL")
    local world = world_of(pacs, sink, ports)
    local server <close> = world.us -- luacheck: ignore
    local summary = assert(transfers.run(world, {}))
    local seen = {}
    for item in transfer.items(world.ledger, { state = "failed" }) do
      seen[item.key] = item.reason
    end
    assert.are.same({ "finished", 8 }, { summary.state, items(summary, "done") })
    assert.are.same(reasons, seen)
  end)

  it("is compared at its end with both sides at once", function()
    local peer <close> = dicomd.start() -- it answers a C-FIND when it is let
    local server <close> = orthanc.start { binary = versions[2].binary,
      modalities = { pacs = peer:modality "HELDF1", archive = peer:modality "HELDF2" } }
    local client, folder = modalua.connect(server.url), transfers.folder()
    finally(function() os.execute("rm -r " .. folder) end)
    local L <close> = assert(ledger.open(folder .. "/ledger", { create = true }))
    assert(L:begin(ledgers.DESCRIPTION))
    assert(L:join { host = "spec", pid = 1 })
    assert(L:take_finder())
    assert(L:add_items(ledgers.items(1), {}))
    local id = assert(L:claim(1))[1].id
    assert(L:record { { id = id, from = "sending", to = "present", arrived = 1 } })
    local comparison = task.spawn(function()
      local run = { ledger = L, breaker = breaker.new(native.now), control_stop = function() return false end, tell = function() end,
        spawn = function(f) f() end }
      run.items = { compares = function() return true end, bell = { ring = function() end }, compare = compare.new { client = client,
        level = "Study", source = client:modality "pacs", destination = { kind = "modality", modality = client:modality "archive" } } }
      return confirm.is_confirmed(run)
    end)
    happens(function() return peer:count "C-FIND" == 2 end) -- the source is asked while the destination has not answered
    assert.are.equal(1, #L:unconfirmed(1))
    peer:let()
    comparison:join()
    assert.are.equal(0, #L:unconfirmed(1))
  end)

  it("notices at the end what the destination has lost, and sends it once more", function()
    local ports = orthanc.free_ports(4)
    local us, kept = { "LOCAL", "127.0.0.1", ports[2] }, 6
    local small <close> = dcmtk.dcmqrscp { aet = "SMALL", peers = { us, { "PACS", "127.0.0.1", ports[4] } }, quota = kept }
    local pacs <close> = orthanc.start { binary = versions[2].binary, aet = "PACS", http_port = ports[3], dicom_port = ports[4],
      modalities = { us = us, small = small:modality() }, verbose = true, extra = { DicomAlwaysAllowStore = true } }
    archive.send(transfers.instances(1, 8), { pacs:modality() }, "LOCAL")
    local world = world_of(pacs, small, ports)
    local server <close> = world.us -- luacheck: ignore
    local summary = assert(transfers.run(world, { concurrency = 1 }))
    assert.are.same({ small:count(), 8 - small:count() }, { items(summary, "done"), items(summary, "failed") })
    assert.is_true(items(summary, "failed") >= 1)
    for item in transfer.items(world.ledger, { state = "failed" }) do
      assert.are.equal("vanished", item.reason)
    end
  end)
end)

describe("A breaker", function()
  local full = native.fail("move", "dicom", nil, "out of resources")
  full.dimse_status = 0xA700

  it("halves the transfers at once when a side is out of resources, and gives one back for 100 good ones", function()
    local b = breaker.new(native.now)
    local function allowed()
      local n = 0
      while b:allows(n, 16) do
        n = n + 1
      end
      return n
    end
    assert.are.equal(16, allowed())
    for _, n in ipairs { 8, 4, 2, 1, 1 } do
      b:note_side(full, "from", allowed())
      b:note_good() -- not five in a row
      assert.are.equal(n, allowed())
    end
    for n = 2, 4 do
      for _ = 1, n == 2 and 99 or 100 do
        b:note_good()
      end
      assert.are.equal(n, allowed())
    end
  end)
end)

describe("A side that is out of resources", function()
  local full = native.fail("store", "dicom", nil, "out of resources")
  full.dimse_status = 0xA700

  -- Plays transfers one after the other: "good", or the number of an item that is refused. Returns the numbers of those that lost a try.
  local function losers(list)
    local lost = {}
    local worker = { breaker = breaker.new(native.now), settings = { retries = 3 }, run_n = 1,
      ledger = { totals = function() return {} end },
      postpone = function() end, sent = function() end,
      fail = function(_, item) table.insert(lost, item.id) end, compare = { expect = function() return true end },
      send = { echo_destination = function() return true end } }
    for _, one in ipairs(list) do
      local item = { id = one, began = math.huge }
      if one == "good" then
        send_outcome.take(worker, { item }, {}, nil)
      else
        send_outcome.take(worker, { item }, nil, full)
      end
    end
    return lost
  end

  it("costs no item a try", function()
    assert.are.same({}, losers { 1, 2, 3, 1, 2, 3, 1, 2, 3 })
    assert.are.same({}, losers { "good", 1, 2, 3, 1, 2, 3, 1, 2, 3 })
    assert.are.same({}, losers { 1, 1, 1, 1, 1, 1 })
  end)

  it("but one that is refused while others go through is not tried for ever", function()
    assert.are.same({ 1, 2, 1, 2 }, losers { "good", 1, 2, "good", "good", "good", 1, 2, 1, 2 })
    assert.are.same({ 1, 1 }, losers { "good", 1, 1, 1, 1, 1 })
  end)
end)

describe("A source that answers 0xC000 to everything", function()
  -- What becomes of the only item there is, when the destination gives these answers to its echo: the error of the run; the tries and the
  -- code of the item, when it has failed.
  local function outcome(answers)
    local err = native.fail("move", "dicom", nil, "cannot process")
    err.dimse_status = 0xC000
    local books = { totals = function() return { todo = { items = 1 } } end, describe = function() return { found_all = 1 } end,
      bring_forward = function() return true end }
    local tries, code
    local worker = { suspicion = unknown_target.new("pacs", books), breaker = breaker.new(native.now), settings = { retries = 3 },
      compare = { expect = function() return true end }, postpone = function() end, give_back = function() end,
      fail = function(_, item, failure) tries, code = item.tries, failure.code end,
      send = { echo_destination = function() return answers end, destination_aet = function() return "ARCHIVE" end } }
    local long = { id = 1, began = native.now() }
    local function ends(item)
      send_outcome.take(worker, { item }, nil, err)
      return worker.breaker.state, worker.fatal
    end
    assert.are.equal("open", (ends(long))) -- the first pause
    for _ = 1, 2 do
      worker.breaker:try_one()
      assert.are.equal("trial", (ends(long)))
      assert.is_nil(worker.fatal)
      local alone = { id = 1, began = native.now(), tries = 0 }
      assert.are.equal(worker.suspicion.pauses == 2 and answers and "closed" or "open", (ends(alone)))
    end
    send_outcome.take(worker, { { id = 1, began = native.now(), tries = 0 } }, nil, err)
    return worker.fatal and worker.fatal.code, tries, code
  end

  it("is not given up because of transfers that had begun before a pause", function()
    assert.are.same({ "unknown_destination" }, { outcome(nil) })
  end)

  it("has few items, which fail by themselves when the destination answers", function()
    assert.are.same({ nil, 5, "unknown_destination" }, { outcome(true) })
  end)
end)

describe("A side that is away", function()
  it("is asked at least once a minute while it does not answer, and later when it answers and takes nothing", function()
    local time = 0
    local b = breaker.new(function() return time end)
    -- How long it is until both sides are asked.
    local function pause()
      local began = time
      while not b:is_due() do
        time = time + 1
      end
      return time - began
    end
    local err, pauses = native.fail("move", "network", nil, "refused"), {}
    for _ = 1, 5 do
      b:note_side(err, "to", 1)
    end
    for _ = 1, 5 do
      pauses[#pauses + 1] = pause()
      b:stay_open("to", "silent")
    end
    for _ = 1, 5 do
      pauses[#pauses + 1] = pause()
      b:try_one()
      b:note_side(err, "to", 1)
    end
    pauses[#pauses + 1] = pause()
    assert.are.same({ 30, 60, 60, 60, 60, 60, 120, 240, 480, 600, 600 }, pauses)
  end)
end)
