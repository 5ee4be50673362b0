-- find with growing numbers of answers, compared with pyorthanc's pattern of requests, with curl making the same two requests, and with
-- DCMTK's findscu; and its memory.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local dicomd = require "spec.support.dicomd"
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"

local RUNS = bench.quick and 3 or 11
local STUDIES, AWAY = 1000, 10 -- milliseconds each way
local SIZES = { 10, 100, 1000, 10000 }
local KEYS = { "PatientID", "PatientName", "StudyDate", "StudyDescription", "AccessionNumber" }
local N_PLUS_1 = "Python, a request for each answer"

local function query(patients)
  local data = { Level = "Study", Query = {} }
  for _, key in ipairs(KEYS) do
    data.Query[key] = ""
  end
  data.Query.PatientID = patients or ""
  return bench.json.encode(data)
end

-- ---- pyorthanc's pattern ----

-- action: "find", or "answers": only the request for the answers.
local function compare_with_pattern(action, where, url, name, data, n, runs, goals)
  local samples = bench.in_turn(runs, { ours = bench.ours(action, url, name, data), theirs = bench.pattern(action, url, name, data) })
  assert(samples.ours[1].count == n and samples.theirs[1].count == n)
  local ours, theirs, ratio = bench.compare(samples, "wall", "ours", "theirs")
  bench.figure { subject = ("%s, %s"):format(action, where), n = n, what = ("%s of %d studies, %s"):format(action, n, where),
    beside = N_PLUS_1, ours = ours, theirs = theirs, unit = "s", ratio = ratio, most = goals and 1 / 5 or nil }
  ours, theirs, ratio = bench.compare(samples, "cpu", "ours", "theirs")
  bench.figure { subject = ("%s, %s, CPU"):format(action, where), n = n, what = "  the client's CPU", beside = N_PLUS_1, ours = ours,
    theirs = theirs, unit = "ms", ratio = ratio, most = goals and 1 / 50 or nil }
  return samples
end

-- A modality that answers at once, so that mostly HTTP is measured.
local function growth()
  local peer <close> = dicomd.start()
  local modalities, peaks = {}, {}
  for _, n in ipairs(SIZES) do
    modalities["n" .. n] = peer:modality("OK" .. n)
  end
  local server <close> = orthanc.start { aet = "LOCAL", modalities = modalities }
  for _, n in ipairs(SIZES) do
    local samples = compare_with_pattern("find", "a fast modality", server.url, "n" .. n, query(), n, RUNS, n == 1000)
    peaks[n] = bench.compare(samples, "peak", "ours", "ours")
  end
  local first = peaks[SIZES[1]]
  for i = 2, #SIZES do
    local n, before = SIZES[i], SIZES[i - 1]
    bench.figure { subject = "memory", n = n, what = ("peak memory of find: %d answers"):format(n),
      beside = ("%d answers"):format(SIZES[1]), ours = peaks[n] / 1024, theirs = first / 1024, unit = "MB", ratio = peaks[n] / first }
    if n > 100 then
      bench.figure { subject = "memory each", n = n, what = ("  for each answer from %d to %d"):format(before, n),
        ours = (peaks[n] - peaks[before]) / (n - before), unit = "KB" }
    end
  end
end

-- ---- a real PACS ----

local function file(text)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
  return path
end

local function away(server)
  local proxy <close> = lag.start(server.http_port, AWAY)
  local where = ("the server %d ms away"):format(2 * AWAY)
  for _, n in ipairs(bench.quick and { 10, 100 } or { 10, 100, 1000 }) do
    compare_with_pattern("find", where, proxy.url, "pacs", query(bench.patients(n)), n, n < 1000 and 3 or 1, n == 1000)
  end
end

local function beside_programs(servers)
  local url, client = servers.LOCAL.url, modalua.connect(servers.LOCAL.url)
  for _, n in ipairs { 10, 100, 1000 } do
    local data = query(bench.patients(n))
    local ours = bench.ours("find", url, "pacs", data)
    local found = assert(client:modality "pacs":find(bench.json.decode(data)))
    assert(#found.answers == n)
    local body = file(data)
    -- curl cannot read the query's ID from the first answer, so it gets the answers of an equal query made before.
    local curl = ("curl -s -o /dev/null %s/system --next -s -o /dev/null -d @%s %s/modalities/pacs/query --next -s -o /dev/null "
      .. "'%s/queries/%s/answers?expand&simplify'"):format(url, body, url, url, found.ID)
    local keys = {}
    for i, key in ipairs(KEYS) do
      keys[i] = ("-k %s='%s'"):format(key, key == "PatientID" and bench.patients(n) or "")
    end
    local findscu = ("findscu -S -aet LOCAL -aec PACS -k QueryRetrieveLevel=STUDY -k StudyInstanceUID %s 127.0.0.1 %d")
      :format(table.concat(keys, " "), servers.PACS.dicom_port)
    for name, command in pairs { curl = curl, findscu = findscu } do
      local figures = bench.processes(RUNS, ours, command)
      local a, b, ratio = table.unpack(figures.wall)
      bench.figure { subject = "find beside " .. name, n = n, what = ("find of %d studies, the whole process"):format(n),
        beside = name == "curl" and "one curl with the same requests" or "findscu, to the PACS itself", ours = a, theirs = b, unit = "s",
        ratio = ratio }
      a, b, ratio = table.unpack(figures.CPU)
      bench.figure { subject = "find CPU beside " .. name, n = n, what = "  its CPU", beside = name, ours = a, theirs = b, unit = "ms",
        ratio = ratio }
    end
    os.remove(body)
  end
end

bench.title "find (TCP_NODELAY)"
growth()
local servers <close> = orthanc.network({ "LOCAL", "PACS" }, { extra = { QueryRetrieveSize = 1000 } })
bench.fill(modalua.connect(servers.PACS.url), STUDIES)
for _, n in ipairs { 10, 100, 1000 } do
  compare_with_pattern("find", "Orthanc as PACS", servers.LOCAL.url, "pacs", query(bench.patients(n)), n, RUNS, n == 1000)
  compare_with_pattern("answers", "without the C-FIND", servers.LOCAL.url, "pacs", query(bench.patients(n)), n, RUNS)
end
away(servers.LOCAL)
beside_programs(servers)
