-- Instruction counts (callgrind) of spec/bench/scenario.lua, compared with the counts kept in spec/bench/instructions.txt.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"

local RUNS = bench.quick and 1 or 3 -- the places of keys in tables are drawn by lot at Lua's start
local KEPT = "spec/bench/instructions.txt"
local PARTS = {
  { "start", "start-up, without a request" },
  { "json", "500 answers encoded and decoded, 20 times" },
  { "tasks", "task.map of 2,000, 8 at a time, each with 10 switches" },
}

local function kept()
  local counts = {}
  local file <close> = io.open(KEPT)
  for line in file and file:lines() or function() end do
    local name, count = line:match "^(%a+) (%d+)$"
    counts[name or ""] = tonumber(count)
  end
  return counts
end

local function count(part)
  local pipe = assert(io.popen(("valgrind --tool=callgrind --callgrind-out-file=/dev/null %s/modalua spec/bench/scenario.lua %s 2>&1")
    :format(bench.bin, part)))
  local text = pipe:read "a"
  assert(pipe:close(), text)
  return math.tointeger(text:match "Collected : (%d+)")
end

bench.title "Instructions (callgrind), of what needs no network"
local last, lines = kept(), {}
for i, part in ipairs(PARTS) do
  local name, what = part[1], part[2]
  local counts = {}
  for run = 1, RUNS do
    counts[run] = count(name)
  end
  local n = bench.median(counts)
  lines[i] = ("%s %d\n"):format(name, n)
  bench.figure { subject = "instructions " .. name, what = what, beside = last[name] and "the last ones kept" or "", ours = n,
    theirs = last[name], unit = "M", ratio = last[name] and n / last[name] or nil }
end
if os.getenv "BENCH_KEEP" == "yes" then
  local file <close> = assert(io.open(KEPT, "w"))
  file:write("# Callgrind's counts of spec/bench/scenario.lua; spec/bench/run.sh --keep writes this.\n",
    table.concat(lines))
end
