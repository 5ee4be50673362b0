-- How long a host waits for a new runtime, and for the end of a run after it cancelled the run from another thread.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local dicomd = require "spec.support.dicomd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"

local RUNS = bench.quick and 7 or 41
local CREATE_RATIO, CANCEL_MOVE, CANCEL_SPIN = 3, 0.050, 0.100

-- Reads the rows of numbers that bin/hosting prints.
local function rows(...)
  local pipe = assert(io.popen(("%s/hosting %s"):format(bench.bin, table.concat({ ... }, " "))))
  local list = {}
  for line in pipe:lines() do
    local row = {}
    for number in line:gmatch "%S+" do
      row[#row + 1] = tonumber(number)
    end
    list[#list + 1] = row
  end
  assert(pipe:close() and #list > 0)
  return list
end

local function create()
  local samples = { ours = {}, sandbox = {}, bare = {} }
  local list = rows("create", bench.quick and 21 or 101)
  for i, row in ipairs(list) do
    samples.ours[i], samples.sandbox[i], samples.bare[i] = { s = row[1] }, { s = row[2] }, { s = row[3] }
  end
  samples.ours.n, samples.sandbox.n = #list, #list
  for _, figure in ipairs { { "ours", "create", "a runtime made and destroyed", CREATE_RATIO },
    { "sandbox", "create sandbox", "a sandbox made and destroyed" } } do
    local name, subject, what, goal = table.unpack(figure)
    local ours, theirs, ratio = bench.compare(samples, "s", name, "bare")
    bench.figure { subject = subject, what = what, beside = "a bare Lua state with its libraries", ours = ours, theirs = theirs,
      unit = "us", ratio = ratio, most = goal }
  end
end

local function cancelled(subject, what, goal, ...)
  local list, slowest = rows(...), 0
  for i, row in ipairs(list) do
    list[i] = row[1]
    slowest = math.max(slowest, row[1])
  end
  bench.figure { subject = subject, what = what, ours = bench.median(list), unit = "s", most = goal }
  bench.figure { subject = subject .. ", slowest", what = ("  the slowest of %d"):format(#list), ours = slowest, unit = "s", most = goal }
end

-- Every job hangs until the server ends.
local function cancel_moves(version)
  local peer <close> = dicomd.start()
  local server <close> = orthanc.start { aet = "LOCAL", binary = version.binary, modalities = { mute = peer:modality("HELD" .. RUNS) },
    extra = { ConcurrentJobs = 2 * RUNS, DicomScuTimeout = 120 } }
  local name = assert(modalua.connect(server.url):system()).Version
  cancelled("cancel move " .. name, ("cancel of a move that hangs, Orthanc %s"):format(name), CANCEL_MOVE, "move", RUNS, server.url, "mute")
end

bench.title "Hosting: runtimes, and cancels from another thread"
create()
for _, version in ipairs(bench.versions()) do
  cancel_moves(version)
end
cancelled("cancel spin", "cancel of a script that never waits", CANCEL_SPIN, "spin", RUNS)
cancelled("cancel hold", "two cancels of one that catches the first", CANCEL_SPIN, "hold", RUNS)
