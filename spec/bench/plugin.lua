-- The plugin in an Orthanc: what it costs the receiver while scripts wait, beside the server without it and beside Orthanc's own Lua; how
-- soon a script is told; and whether scripts that misbehave slow the server down.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local plugin = require "spec.support.plugin"
local served = require "spec.support.served"
local task = require "modalua.task"
local transfers = require "spec.support.transfers"
local archive = require "spec.support.archive"

local STUDIES <const>, EACH <const> = bench.quick and 10 or 100, 10
local RUNS <const> = bench.quick and 1 or 5
local EVENTS <const> = bench.quick and 20 or 200
local BURST <const> = bench.quick and 500 or 10000
local REQUESTS <const> = bench.quick and 50 or 300
local SCRIPTS <const> = 8

-- ---- the receiver ----

local WAITS <const> = [[
local mute = require "modalua".connect():modality "mute"
while true do
  mute:find { Level = "Study", Query = { PatientID = "1" } }
end]]

-- Orthanc's own Lua asks the mute modality for each instance.
local OWN_LUA <const> = "function OnStoredInstance() RestApiPost('/modalities/mute/echo', '{}') end\n"

local function receiver()
  bench.title(("%d instances received, beside %d scripts that wait for a modality that is mute"):format(STUDIES * EACH, SCRIPTS))
  local mute <close> = dicomd.start()
  local folder = served.folder "bench-plugin"
  served.write_file(folder .. "/own.lua", OWN_LUA)
  local modalities = { mute = mute:modality "MUTE" }
  local extra = { DicomScuTimeout = 1, StableAge = 60, DicomAlwaysAllowStore = true }
  local scripts = {}
  for i = 1, SCRIPTS do
    scripts["waits" .. i] = WAITS
  end
  local with <close> = plugin.start({}, { scripts = scripts, modalities = modalities, aet = "WITH", extra = extra })
  local without <close> = orthanc.start { aet = "WITHOUT", modalities = modalities, extra = extra }
  local own <close> = orthanc.start { aet = "OWN", modalities = modalities, extra = { DicomScuTimeout = 1, StableAge = 60,
    DicomAlwaysAllowStore = true, LuaScripts = { folder .. "/own.lua" } } }
  local source <close> = orthanc.start { aet = "SOURCE", extra = { DicomAlwaysAllowStore = true },
    modalities = { with = with:modality(), without = without:modality(), own = own:modality() } }
  archive.send(transfers.instances(1, STUDIES, EACH), { source:modality() }, "BENCH")
  local client = modalua.connect(source.url)
  local ids = assert(client:get "/studies")
  local function send(name, list)
    return function()
      local began = task.now()
      assert(client:modality(name):store(list))
      return { wall = task.now() - began }
    end
  end
  local samples = bench.in_turn(RUNS, { with = send("with", ids), without = send("without", ids) }, function()
    bench.empty(modalua.connect(with.url))
    bench.empty(modalua.connect(without.url))
  end)
  local ours, theirs, ratio = bench.compare(samples, "wall", "with", "without")
  bench.figure { subject = "plugin, receiver", n = STUDIES * EACH, what = "received with the plugin, and scripts that wait",
    beside = "without the plugin", ours = ours, theirs = theirs, unit = "s", ratio = ratio, most = 1 / 0.97 }
  samples = bench.in_turn(1, { with = send("with", ids), own = send("own", ids) }, function() bench.empty(modalua.connect(with.url)) end)
  ours, theirs, ratio = bench.compare(samples, "wall", "with", "own")
  bench.figure { subject = "plugin, own Lua", n = STUDIES * EACH, what = "received with the plugin, and scripts that wait",
    beside = "Orthanc's own Lua that waits in the same way", ours = ours, theirs = theirs, unit = "s", ratio = ratio }
  os.execute("rm -rf -- " .. served.quoted { folder })
end

-- ---- events ----

local LISTENS <const> = [[
local task = require "modalua.task"
local file <close> = assert(io.open("FOLDER/told", "a"))
file:setvbuf "line"
for _ in require "modalua".connect():changes { follow = true, type = "NewInstance" } do
  file:write(("%.6f\n"):format(task.now()))
end]]

local function events()
  bench.title "A script is told of a new instance"
  local server <close> = plugin.start({}, { scripts = { listens = LISTENS } })
  expect.happens(function() -- the server answers a little before the plugin's routes
    local good, is_running = pcall(server.is, server, "listens", "running")
    return good and is_running
  end)
  local late = {}
  for i = 1, EVENTS do
    local began = task.now()
    assert(server.client:post("/tools/create-dicom", { Tags = { PatientID = "E" .. i, SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
    local told = expect.happens(function() return server:lines "told"[i] end)
    late[i] = tonumber(told) - began
  end
  bench.figure { subject = "plugin, events", n = EVENTS, what = "from the request that stores until the script is told", beside = "20 ms",
    ours = bench.median(late), theirs = 0.02, unit = "ms", ratio = bench.median(late) / 0.02, most = 1 }
end

-- Checks that no change is missing or comes out of its order, and writes the time of the last one.
local COUNTS <const> = [[
local task = require "modalua.task"
local n, last = 0, nil
for change in require "modalua".connect():changes { follow = true, type = "UpdatedMetadata" } do
  n = n + 1
  assert(not last or change.Seq == last + 1)
  last = change.Seq
  if n == COUNT then
    local file <close> = assert(io.open("FOLDER/all", "w"))
    file:write(("%.6f\n"):format(task.now()))
  end
end]]

local function burst()
  bench.title(("A burst of %d changes while a script follows them"):format(BURST))
  local server <close> = plugin.start({}, { scripts = { counts = COUNTS:gsub("COUNT", BURST) } })
  local client = server.client
  expect.happens(function()
    local good, state = pcall(server.state, server, "counts")
    return good and state.Requests >= 1
  end)
  local made = assert(client:post("/tools/create-dicom", { Tags = { PatientID = "E", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
  local began = task.now()
  local numbers = {}
  for i = 1, BURST do
    numbers[i] = i
  end
  task.map(numbers, function(i) assert(client:put(made.Path .. "/metadata/1024", tostring(i))) end)
  local stored = task.now() - began
  local told = expect.happens(function() return server:lines "all"[1] end)
  assert(server:state("counts").Restarts == 0)
  bench.figure { subject = "plugin, burst", n = BURST, what = "until the script has all changes, in their order",
    beside = "making them over HTTP", ours = tonumber(told) - began, theirs = stored, unit = "s",
    ratio = (tonumber(told) - began) / stored }
end

-- ---- scripts that misbehave ----

local function misbehaving()
  bench.title "The server beside scripts that loop, eat memory, and crash"
  local server <close> = plugin.start({}, { scripts = { loops = "while true do end", crashes = "error 'x'",
    eats = { source = "local t = {} while true do t[#t + 1] = ('x'):rep(1e5) .. #t end", MemoryLimit = "50M" } } })
  local slowest = 0
  for _ = 1, REQUESTS do
    local began = task.now()
    assert(server.client:system())
    slowest = math.max(slowest, task.now() - began)
  end
  bench.figure { subject = "plugin, misbehaving", n = REQUESTS, what = "the slowest of these requests to /system", beside = "50 ms",
    ours = slowest, theirs = 0.05, unit = "ms", ratio = slowest / 0.05, most = 1 }
end

receiver()
events()
burst()
misbehaving()
