-- Moving growing numbers of studies one by one, 8 in flight, compared with one synchronous retrieve of all of them, on each Orthanc.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local served = require "spec.support.served"
local task = require "modalua.task"

-- With DICOM's delayed ACKs, as Orthanc has them by default, a synchronous retrieve takes 0.14 s a study.
local NAGLE = { false, true }
local RUNS = { [false] = { [10] = 9, [100] = 7, [1000] = 1 }, [true] = { [10] = 3, [100] = 3, [1000] = 1 } }
local SIZES = bench.quick and { 10, 100 } or { 10, 100, 1000 }
-- The goals for 100 studies: on Orthanc 1.10.1, where a move is not a job, and on newer versions.
local GOALS = { [true] = { 0.20, 0.70 }, [false] = { 0.55, 0.95 } }

-- ---- movescu: it sends one C-MOVE for each file, all on one association ----

local function element(group, number, value)
  return string.pack("<I2I2s4", group, number, value .. (#value % 2 == 1 and "\0" or ""))
end

local function movescu(servers, query, slow)
  local found <close> = assert(modalua.connect(servers.LOCAL.url):modality "pacs":find(bench.json.decode(query)))
  local folder, files = served.folder "movescu", {}
  for i, answer in ipairs(found.answers) do
    files[i] = ("%s/%d"):format(folder, i)
    served.write_file(files[i], element(0x08, 0x52, "STUDY ") .. element(0x20, 0x0d, answer.StudyInstanceUID))
  end
  local command = ("env %s movescu -S -aet LOCAL -aec PACS -aem ARCHIVE 127.0.0.1 %d %s >'%s/log' 2>&1"):format(
    slow and "-u TCP_NODELAY" or "TCP_NODELAY=1", servers.PACS.dicom_port, served.quoted(files), folder)
  return function()
    local began = task.now()
    assert(os.execute(command), command)
    return { wall = task.now() - began }
  end, folder
end

-- ---- moves ----

local function compare(servers, archive, n, slow, version, installed)
  local url = servers.LOCAL.url
  local query = bench.json.encode { Level = "Study", Query = { PatientID = bench.patients(n) } }
  local commands = {
    ours = bench.ours("move", url, "pacs", query, "ARCHIVE"),
    retrieve = bench.pattern("move", url, "pacs", query, "ARCHIVE"),
  }
  local folder
  if installed and n < 1000 then
    commands.movescu, folder = movescu(servers, query, slow)
  end
  local samples = bench.in_turn(bench.quick and 1 or RUNS[slow][n], commands, function() bench.empty(archive) end, function()
    assert(assert(archive:get "/statistics").CountStudies == n, "not everything has arrived")
  end)
  if folder then
    os.execute(("rm -rf -- '%s'"):format(folder))
  end
  for _, other in ipairs { "retrieve", "movescu" } do
    if commands[other] then
      local ours, theirs, ratio = bench.compare(samples, "wall", "ours", other)
      bench.figure { subject = ("move, %s, %s, %s"):format(slow and "delayed ACKs" or "TCP_NODELAY", version, other), n = n,
        what = ("move of %d studies, Orthanc %s, %s"):format(n, version, slow and "delayed ACKs" or "TCP_NODELAY"),
        beside = other == "movescu" and "movescu, one C-MOVE after the other" or "one synchronous retrieve", ours = ours, theirs = theirs,
        unit = "s", ratio = ratio, most = other == "retrieve" and n == 100 and GOALS[slow][installed and 1 or 2] or nil }
    end
  end
end

-- What it costs to look at the destination, as a move does by default.
local function verification(servers, archive, n, version)
  local query = bench.json.encode { Level = "Study", Query = { PatientID = bench.patients(n) } }
  local samples = bench.in_turn(bench.quick and 3 or 7, {
    verified = bench.ours("move_found", servers.LOCAL.url, "pacs", query, "ARCHIVE"),
    believed = bench.ours("move_found", servers.LOCAL.url, "pacs", query, "ARCHIVE", "believe"),
  }, function() bench.empty(archive) end)
  local verified, believed, ratio = bench.compare(samples, "wall", "verified", "believed")
  bench.figure { subject = ("move, verified, delayed ACKs, %s"):format(version), n = n,
    what = ("move of %d studies, looked at, Orthanc %s"):format(n, version),
    beside = "the same with verify = false", ours = verified, theirs = believed, unit = "s", ratio = ratio,
    most = n == 100 and 1.10 or nil }
end

local function measure(version, slow)
  local servers <close> = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, slow_dicom = slow })
  local archive = modalua.connect(servers.ARCHIVE.url)
  local name = modalua.connect(servers.LOCAL.url):system().Version
  bench.fill(modalua.connect(servers.PACS.url), 1000)
  for _, n in ipairs(SIZES) do
    if n < 1000 or not slow or not version.binary then
      compare(servers, archive, n, slow, name, not version.binary)
    end
  end
  if slow then
    verification(servers, archive, 100, name)
  end
end

bench.title "Moves, one study each, max_moves = 8 and limit = 8; and one synchronous retrieve"
for _, slow in ipairs(NAGLE) do
  for _, version in ipairs(bench.versions()) do
    measure(version, slow)
  end
end
