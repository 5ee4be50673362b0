--- Servers and processes for the specs of modalua.transfer.
--
--   local world <close> = transfers.world(version, { studies = 150 })     -- pacs has the studies, archive has none, us sends
--   local summary = assert(transfers.run(world, { concurrency = 4 }))     -- in this process
--   local process = transfers.start(world, { concurrency = 4 }, "MODALUA_TRANSFER_POINT=moved:kill")
--   local ended = process:wait()                                          -- ended.out, ended.err, ended.status
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"
local served = require "spec.support.served"
local transfer = require "modalua.transfer"

local found_items = part "transfer.found_items"

local transfers = {}

-- ---- servers ----

--- A new temporary folder.
function transfers.folder()
  return served.folder "transfer"
end

--- Adds studies 1.9.1 to 1.9.n, which no server has, to a ledger, as if they had been found. What has a date is sent before them.
function transfers.add_studies(path, n)
  local L <close> = assert(part "transfer.ledger".open(path, { create = false }))
  assert(L:join { host = "spec", pid = 1 })
  assert(L:take_finder())
  for first = 1, n, 500 do
    local list = {}
    for i = first, math.min(first + 499, n) do
      list[#list + 1] = { key = "1.9." .. i, uids = { StudyInstanceUID = "1.9." .. i }, rank = found_items.rank({}, "newest") }
    end
    assert(L:add_items(list, {}))
  end
  assert(L:end_finding())
  assert(L:leave())
end

local World = {}
World.__index = World

--- The instances of study N of the patient PN: 1.2.N, with a series of so many instances.
function transfers.instances(first, last, each)
  local list = {}
  for n = first, last do
    for k = 1, each or 1 do
      list[#list + 1] = { PatientID = "P" .. n, PatientName = "N^" .. n, StudyInstanceUID = "1.2." .. n,
        SeriesInstanceUID = ("1.2.%d.1"):format(n), SOPInstanceUID = ("1.2.%d.1.%d"):format(n, k),
        SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", Modality = "OT", StudyDate = ("2024%02d%02d"):format(n % 12 + 1, n % 28 + 1),
        StudyTime = ("%02d%02d00"):format(n % 24, n % 60),
        AccessionNumber = "A" .. n, SpecificCharacterSet = "ISO_IR 100" }
    end
  end
  return list
end

--- Starts the servers. options: studies = how many pacs has (default: 0), each = instances of each, extra = settings of all servers, lag =
--- milliseconds of latency between pacs and archive, each way, so that a move takes some ten times as long.
function transfers.world(version, options)
  local extra = { DicomAlwaysAllowStore = true, ConcurrentJobs = 8, JobsHistorySize = 100 }
  for name, value in pairs(options.extra or {}) do
    extra[name] = value
  end
  local servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, verbose = true, extra = extra })
  local world = setmetatable({ servers = servers, us = servers.LOCAL, pacs = servers.PACS, archive = servers.ARCHIVE,
    folder = transfers.folder(), processes = {}, n = 0, version = version }, World)
  world.client, world.target = modalua.connect(world.us.url, { max_inflight = 20 }), modalua.connect(world.archive.url)
  world.source = world.client:modality "pacs"
  if options.lag then
    world.slow = lag.start(world.archive.dicom_port, options.lag)
    assert(modalua.connect(world.pacs.url):put("/modalities/archive", { "ARCHIVE", "127.0.0.1", world.slow.port }))
  end
  if options.studies then
    world:fill(1, options.studies, options.each)
  end
  return world
end

--- Stores the studies `first` to `last` in pacs.
function World:fill(first, last, each)
  archive.send(transfers.instances(first, last, each), { self.pacs:modality() }, "LOCAL")
end

--- Empties the destination, and begins a new ledger with the next run.
function World:reset()
  archive.empty(self.target)
  archive.empty(self.client)
  self.n = self.n + 1
  self.ledger = ("%s/%d.ledger"):format(self.folder, self.n)
  self.counted = self:resources_sent(true)
end

--- How many studies (or series) pacs has sent since the last reset, in C-MOVEs.
function World:resources_sent(all)
  return self.pacs:count_logged "Sending resource " - (all and 0 or self.counted or 0)
end

--- How many studies the destination has.
function World:arrived(client)
  return #assert((client or self.target):get "/studies")
end

function World:close()
  for _, process in ipairs(self.processes) do -- those of a test that failed
    if not process.has_ended then
      process:signal "KILL"
      process:wait()
    end
  end
  self.servers:close()
  if self.slow then
    self.slow:close()
  end
  served.output_of("exec rm -rf -- " .. served.quoted { self.folder })
end

World.__close = World.close

-- ---- runs ----

--- transfer.run in this process, with the ledger of the world. Returns what it returns. An option that is false is
-- left out. `control`: as the command gives it.
function transfers.run(world, options, control)
  local own = { ledger = world.ledger, from = world.source, to = "archive", query = {}, all = true, concurrency = 4 }
  for name, value in pairs(options or {}) do
    own[name] = value or nil
  end
  return transfer.run(own, control)
end

local SCRIPT <const> = [[
local modalua = require "modalua"
local client = modalua.connect(%q, { max_inflight = 20 })
local summary, err = modalua.transfer.run { ledger = %q, from = client:modality "pacs", to = "archive", query = {}, all = true, %s }
if not summary then
  print(err)
  os.exit(1)
end
print(summary.state)
]]

local Process = {}
Process.__index = Process

--- Starts a run in a process of its own. options: a text of Lua, such as "concurrency = 4"; environment: words of env(1).
function transfers.start(world, options, environment)
  world.n = world.n + 1
  local path = ("%s/%d"):format(world.folder, world.n)
  served.write_file(path .. ".lua", SCRIPT:format(world.us.url, world.ledger, options or "concurrency = 4"))
  local line = ("exec env XDG_CONFIG_HOME=/nowhere %s %s %s >%s.out 2>&1 & echo $!"):format(environment or "", command.quote(command.path),
    command.quote(path .. ".lua"), path)
  -- the shell that waits tells the status; `pid` is that of the run
  local pipe = assert(io.popen(("{ %s; wait $!; echo $?; } 2>/dev/null"):format(line)))
  local process = setmetatable({ pipe = pipe, path = path, pid = math.tointeger(pipe:read "n") }, Process)
  table.insert(world.processes, process)
  return process
end

--- Sends it a signal.
function Process:signal(name)
  return os.execute(("kill -s %s %d"):format(name, self.pid))
end

--- Its state as /proc tells it: "T" when it is stopped by a signal.
function Process:state()
  local file <close> = io.open(("/proc/%d/stat"):format(self.pid))
  return file and file:read("a"):match "^%d+ %(.*%) (%a)"
end

--- Waits until it has ended. Returns its exit status (137 after SIGKILL) and what it printed.
function Process:wait()
  local status = self.pipe:read "n"
  self.pipe:close()
  self.has_ended = true
  local file <close> = assert(io.open(self.path .. ".out"))
  return status, file:read "a"
end

return transfers
