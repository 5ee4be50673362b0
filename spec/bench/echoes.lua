-- Concurrent echoes, compared with wrk on the same route with as many connections; and echoes of many modalities, half of them dead.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local dicomd = require "spec.support.dicomd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local task = require "modalua.task"

local RUNS = bench.quick and 3 or 9
local DEAD, TIMEOUT = 100, 2 -- of 2 × DEAD modalities; seconds
local LOOK_EVERY = 0.1

-- ---- in flight, beside wrk ----

-- Echoes per second.
local function rate_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close() and not text:find "Non%-2xx", text)
  return { rate = tonumber(text:match "Requests/sec:%s*([%d.]+)") }
end

local SIZES = { 10, 100, 1000 }

-- wrk's rate does not depend on the number of echoes: one figure of wrk is compared with ours of each size.
local function beside_wrk(servers)
  local url = servers.LOCAL.url
  for _, in_flight in ipairs { 8, 16 } do
    local wrk = ("wrk -t 1 -c %d -d 1s -s spec/bench/echo.wrk.lua %s/modalities/pacs/echo"):format(in_flight, url)
    local commands = { theirs = function() return rate_of(wrk) end }
    for _, n in ipairs(SIZES) do
      commands[n] = bench.ours("echo", url, "pacs", n, in_flight)
    end
    local samples = bench.in_turn(bench.quick and 3 or 21, commands)
    for _, n in ipairs(SIZES) do
      for _, sample in ipairs(samples[n]) do
        sample.rate = n / sample.wall
      end
      local ours, theirs, ratio = bench.compare(samples, "rate", n, "theirs")
      bench.figure { subject = "echo " .. in_flight, n = n, what = ("%d echoes, %d in flight"):format(n, in_flight),
        beside = ("wrk, %d connections, for a second"):format(in_flight), ours = ours, theirs = theirs, unit = "rate", ratio = ratio,
        least = n == 1000 and 0.9 or nil }
      if n == SIZES[#SIZES] then
        local cpu = bench.compare(samples, "cpu", n, n)
        bench.figure { subject = "echo CPU " .. in_flight, n = n, what = "  the client's CPU for each", ours = cpu / n, unit = "us" }
      end
    end
  end
end

local function one_by_one(servers)
  local url = servers.LOCAL.url
  for _, n in ipairs(SIZES) do
    local what = ("%d echoes, one after the other"):format(n)
    local ours = bench.ours("echo", url, "pacs", n, 1)
    if n < 1000 then -- httpx sends a head and its body apart, and waits for a delayed ACK between them: 1,000 take 44 s
      local samples = bench.in_turn(RUNS, { ours = ours, theirs = bench.pattern("echo", url, "pacs", n) })
      local a, b, ratio = bench.compare(samples, "wall", "ours", "theirs")
      bench.figure { subject = "echo 1", n = n, what = what, beside = "Python", ours = a, theirs = b, unit = "s", ratio = ratio }
    end
    local figures = bench.processes(RUNS, ours, ("curl -s -d {} '%s/modalities/pacs/echo?[1-%d]'"):format(url, n))
    local a, b, ratio = table.unpack(figures.wall)
    bench.figure { subject = "echo 1, curl", n = n, what = what .. ", the whole process", beside = "one curl", ours = a, theirs = b,
      unit = "s", ratio = ratio }
  end
end

-- ---- half of them dead ----

local function modalities(peer, hole)
  local list = {}
  for i = 1, DEAD do
    list[("live%03d"):format(i)] = peer:modality "OK1"
    list[("dead%03d"):format(i)] = { "DEAD", "127.0.0.1", hole }
  end
  return list
end

-- Echoes all of them. Returns the seconds that it took, and how long another client waited for /system at most.
local function echo_all(url, in_flight)
  local client = modalua.connect(url, { max_inflight = in_flight })
  local names = assert(client:modalities())
  local over = os.tmpname()
  local watcher = assert(io.popen(bench.ours("watch", url, over, LOOK_EVERY)))
  local began = task.now()
  local alive, errors = task.map(names, function(name) return client:modality(name):echo { Timeout = TIMEOUT } end, { limit = in_flight })
  local seconds = task.now() - began
  os.remove(over)
  local slowest = watcher:read "n"
  watcher:close()
  local dead = 0
  for i = 1, alive.n do
    if errors[i] then
      assert(names[i]:find "^dead" and errors[i].kind == "dicom", errors[i])
      dead = dead + 1
    end
  end
  assert(dead == DEAD and alive.n == 2 * DEAD)
  return seconds, slowest
end

local function half_dead()
  local hole = assert(io.popen(("'%s' spec/bench/hole.py"):format(bench.python)))
  local peer <close> = dicomd.start()
  local server <close> = orthanc.start { modalities = modalities(peer, hole:read "n"), aet = "LOCAL" }
  for _, in_flight in ipairs(bench.quick and { 16 } or { 8, 16 }) do
    local seconds, slowest = echo_all(server.url, in_flight)
    local bound = math.ceil(DEAD / in_flight) * TIMEOUT
    bench.figure { subject = "dead", n = in_flight, what = ("echo of %d modalities, %d of them dead, %d in flight"):format(2 * DEAD, DEAD,
      in_flight), beside = ("%d dead at once, %d s each"):format(in_flight, TIMEOUT), ours = seconds, theirs = bound, unit = "s",
      ratio = seconds / bound, most = 1.1 }
    bench.figure { subject = "dead, others", n = in_flight, what = "  meanwhile, /system for another client: the slowest", ours = slowest,
      unit = "s", most = 0.5 }
  end
  hole:close()
end

bench.title "Echoes (TCP_NODELAY), limit = max_inflight = 8, and 16"
do
  local servers <close> = orthanc.network { "LOCAL", "PACS" }
  beside_wrk(servers)
  one_by_one(servers)
end
half_dead()
