-- Bulk transfers: what claims, comparisons and the ledger cost beside bare moves; what joining several studies in one C-MOVE saves; a list
-- of accession numbers; a ledger in PostgreSQL; one with a million items; and the memory of a large transfer.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"
local postgres = require "spec.support.postgres"
local served = require "spec.support.served"
local task = require "modalua.task"
local ledger = part "transfer.ledger"

local STUDIES <const> = bench.quick and 200 or 2000
local ITEMS <const> = bench.quick and 100000 or 1000000
local RUNS <const> = bench.quick and 1 or 3
local AT_ONCE <const> = 4

local folder = served.folder "bench-transfer"

-- ---- the time in the ledger ----

local in_ledger, depth = 0, 0

-- Counts the time that a method takes, with the waits for the lock.
local function count_time(methods, name)
  local method = methods[name]
  methods[name] = function(...)
    local began = task.now()
    depth = depth + 1
    local results = table.pack(method(...))
    depth = depth - 1
    in_ledger = in_ledger + (depth == 0 and task.now() - began or 0)
    return table.unpack(results, 1, results.n)
  end
end

-- ---- a transfer beside bare moves ----

-- A new ledger with a search that has ended: only what follows is timed. All studies have one date, and limit_results spares the proof.
local function prepared(client, options, n)
  local path = ("%s/%d.ledger"):format(folder, n)
  local own = { ledger = path, from = client:modality "pacs", to = "archive", query = { PatientID = "P*" }, limit_results = 10000,
    yes = true, dry_run = true }
  for name, value in pairs(options) do
    own[name] = value
  end
  assert(modalua.transfer.run(own))
  own.dry_run = nil
  return own
end

local function beside_moves()
  bench.title(("Transfers of %d studies of one image, %d at once"):format(STUDIES, AT_ONCE))
  local version = bench.versions()[2] or {}
  local servers <close> = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, verbose = true,
    extra = { ConcurrentJobs = 8, DicomAlwaysAllowStore = true } })
  local client, archive = modalua.connect(servers.LOCAL.url), modalua.connect(servers.ARCHIVE.url)
  bench.fill(modalua.connect(servers.PACS.url), STUDIES)
  local found = assert(client:modality "pacs":find { Level = "Study", Query = { PatientID = "P*" } })
  local pacs, n, finds, part_of_ledger = client:modality("pacs", { max_moves = AT_ONCE }), 0, 0, {}
  local samples = bench.in_turn(RUNS, {
    ours = function()
      n = n + 1
      local own, before = prepared(client, { concurrency = AT_ONCE }, n), servers.LOCAL:count_logged "/query\n"
      local began = task.now()
      in_ledger = 0
      assert(assert(modalua.transfer.run(own)).items.done == STUDIES)
      local wall = task.now() - began
      part_of_ledger[n], finds = in_ledger / wall, servers.LOCAL:count_logged "/query\n" - before
      return { wall = wall }
    end,
    moves = function()
      local began = task.now()
      local _, errors = task.map(found.answers, function(row)
        return pacs:move_resources("Study", row, { to = "archive", verify = false })
      end, { limit = AT_ONCE })
      assert(not errors)
      return { wall = task.now() - began }
    end,
  }, function() bench.empty(archive) end, function()
    assert(archive:get "/statistics".CountStudies == STUDIES, "not everything has arrived")
  end)
  local ours, theirs, ratio = bench.compare(samples, "wall", "ours", "moves")
  bench.figure { subject = "transfer, moves", n = STUDIES, what = ("transfer of %d studies, compared, in a ledger"):format(STUDIES),
    beside = "task.map over move_resources", ours = ours, theirs = theirs, unit = "s", ratio = ratio, most = 1.10 }
  bench.figure { subject = "transfer, ledger", n = STUDIES, what = "the time in the ledger (SQLite)", beside = "the run",
    ours = bench.median(part_of_ledger) * ours, theirs = ours, unit = "s", ratio = bench.median(part_of_ledger), most = 0.02 }
  bench.figure { subject = "transfer, finds", n = STUDIES, what = "C-FINDs that compare them: before, after and at the end",
    beside = "studies", ours = finds, theirs = STUDIES, unit = "count", ratio = finds / STUDIES, most = 0.1 }
end

-- ---- several studies in one C-MOVE ----

local function joined()
  bench.title "Ten studies in one C-MOVE, delayed ACKs, one at once"
  local servers <close> = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { slow_dicom = true, extra = { DicomAlwaysAllowStore = true } })
  local client, archive = modalua.connect(servers.LOCAL.url), modalua.connect(servers.ARCHIVE.url)
  local n, studies = 1000, bench.quick and 20 or 100
  bench.fill(modalua.connect(servers.PACS.url), studies)
  local function transfer(join)
    return function()
      n = n + 1
      local own = prepared(client, { join = join }, n)
      local began = task.now()
      assert(assert(modalua.transfer.run(own)).items.done == studies)
      return { wall = task.now() - began }
    end
  end
  local samples = bench.in_turn(RUNS, { ten = transfer(10), one = transfer(1) }, function() bench.empty(archive) end)
  local ours, theirs, ratio = bench.compare(samples, "wall", "ten", "one")
  bench.figure { subject = "transfer, join", n = studies, what = ("transfer of %d studies, join = 10, delayed ACKs"):format(studies),
    beside = "join = 1", ours = ours, theirs = theirs, unit = "s", ratio = ratio, most = 0.6 }
end

-- ---- a list of accession numbers ----

local LISTED <const> = bench.quick and 20 or 100

-- One find and one move after the other, as people do it by hand.
local function one_after_the_other(client, rows)
  local pacs = client:modality "pacs"
  local began = task.now()
  for _, row in ipairs(rows) do
    local found <close> = assert(pacs:find { Level = "Study", Query = row })
    assert(pacs:move_resources("Study", found.answers, { to = "archive" }))
  end
  return { wall = task.now() - began }
end

local function listed(version, goal)
  local servers <close> = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, slow_dicom = true,
    extra = { DicomAlwaysAllowStore = true } })
  local client, archive = modalua.connect(servers.LOCAL.url), modalua.connect(servers.ARCHIVE.url)
  bench.fill(modalua.connect(servers.PACS.url), LISTED)
  local name = assert(client:system()).Version
  bench.title(("%d accession numbers with the Orthanc %s, delayed ACKs, 8 at once"):format(LISTED, name))
  local rows, n = {}, 0
  for i = 1, LISTED do
    rows[i] = { AccessionNumber = ("A%06d"):format(i - 1) }
  end
  local samples = bench.in_turn(RUNS, {
    list = function()
      n = n + 1
      local began = task.now()
      local summary = assert(modalua.transfer.run { ledger = ("%s/list%s-%d.ledger"):format(folder, name, n),
        from = client:modality "pacs", to = "archive", items = rows, concurrency = 8 })
      assert(summary.items.done == LISTED)
      return { wall = task.now() - began }
    end,
    single = function() return one_after_the_other(client, rows) end,
  }, function() bench.empty(archive) end)
  local ours, theirs, ratio = bench.compare(samples, "wall", "list", "single")
  bench.figure { subject = "transfer, list " .. name, n = LISTED,
    what = ("%d accession numbers, Orthanc %s, delayed ACKs, 8 at once"):format(LISTED, name),
    beside = "one find and one move after the other", ours = ours, theirs = theirs, unit = "s", ratio = ratio, most = goal }
end

-- ---- a ledger in PostgreSQL ----

local function in_postgresql()
  bench.title(("Transfers of %d studies with a ledger in PostgreSQL, and in SQLite"):format(STUDIES))
  local version = bench.versions()[2] or {}
  local server <close> = postgres.start()
  local servers <close> = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary,
    extra = { ConcurrentJobs = 8, DicomAlwaysAllowStore = true } })
  local client, archive = modalua.connect(servers.LOCAL.url), modalua.connect(servers.ARCHIVE.url)
  bench.fill(modalua.connect(servers.PACS.url), STUDIES)
  local n = 0
  local function transfer(place)
    return function()
      n = n + 1
      local own = prepared(client, { concurrency = AT_ONCE, ledger = place:format(n) }, n)
      local began = task.now()
      assert(assert(modalua.transfer.run(own)).items.done == STUDIES)
      return { wall = task.now() - began }
    end
  end
  local samples = bench.in_turn(RUNS, { postgresql = transfer(server.url .. "#bench_%d"), sqlite = transfer(folder .. "/beside%d.ledger") },
    function() bench.empty(archive) end)
  local ours, theirs, ratio = bench.compare(samples, "wall", "postgresql", "sqlite")
  bench.figure { subject = "transfer, postgresql", n = STUDIES, what = ("transfer of %d studies, ledger in PostgreSQL"):format(STUDIES),
    beside = "ledger in SQLite", ours = ours, theirs = theirs, unit = "s", ratio = ratio, most = 1.15 }
end

-- ---- a large ledger ----

local function large()
  bench.title(("A ledger with %d items"):format(ITEMS))
  local path = folder .. "/large.ledger"
  local L <close> = assert(ledger.open(path, { create = true }))
  assert(L:begin { from_kind = "modality", from_name = "pacs", to_kind = "modality", to_name = "archive", level = "Study", query = {},
    settings = {} })
  assert(L:join { host = "bench", pid = 1 })
  assert(L:take_finder())
  for first = 1, ITEMS, 500 do
    local items = {}
    for i = first, first + 499 do
      items[#items + 1] = { key = "1.2." .. i, uids = { StudyInstanceUID = "1.2." .. i }, expected = 1, date = "20240101", modality = "CT" }
    end
    assert(L:add_items(items, {}))
  end
  assert(L:end_finding())
  local claims, statuses = {}, {}
  for i = 1, 21 do
    local began = task.now()
    assert(#assert(L:claim(64)) == 64)
    claims[i], began = task.now() - began, task.now()
    assert(modalua.transfer.status(path))
    statuses[i] = task.now() - began
  end
  bench.figure { subject = "transfer, claim", n = ITEMS, what = ("a claim of 64 among %d items"):format(ITEMS), ours = bench.median(claims),
    unit = "ms", most = 0.005 }
  bench.figure { subject = "transfer, status", n = ITEMS, what = ("status of %d items"):format(ITEMS), ours = bench.median(statuses),
    unit = "ms", most = 0.05 }
end

-- ---- memory ----

local MANY <const>, FEW <const> = bench.quick and 10000 or 100000, 1000

local function memory()
  bench.title(("The memory of a transfer of %d studies"):format(MANY))
  local peaks = {}
  for _, n in ipairs { FEW, MANY } do
    local done, peak = served.output_of(served.quoted { bench.bin .. "/modalua", "spec/bench/transfer_memory.lua", ("%d"):format(n),
      ("%s/memory%d.ledger"):format(folder, n) }):match "^(%d+)%s+(%d+)"
    assert(tonumber(done) == n, done)
    peaks[n] = tonumber(peak)
  end
  bench.figure { subject = "transfer, memory", n = MANY, what = ("peak memory of a transfer of %d studies"):format(MANY),
    beside = ("%d studies"):format(FEW), ours = peaks[MANY] / 1024, theirs = peaks[FEW] / 1024, unit = "MB",
    ratio = peaks[MANY] / peaks[FEW], most = 1.3 }
end

do
  local L <close> = assert(ledger.open(folder .. "/methods.ledger", { create = true }))
  for _, name in ipairs { "transaction", "query" } do
    count_time(getmetatable(L).__index, name)
  end
end
beside_moves()
joined()
for i, version in ipairs(bench.versions()) do
  listed(version, i == 1 and 0.12 or 0.35)
end
in_postgresql()
large()
memory()
os.execute("rm -rf -- " .. served.quoted { folder })
