-- The cost of the command itself: its start, compared with a bare C program that links Lua and libcurl in the same way, and its memory.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"

local RUNS = bench.quick and 21 or 101

bench.title "Start-up"
local script = os.tmpname()
local file <close> = assert(io.open(script, "w"))
file:write "local n = 0 for i = 1, 100 do n = n + i end assert(n == 5050)"
file:close()
local figures = bench.processes(RUNS, ("%s/modalua %s"):format(bench.bin, script), ("%s/bare %s"):format(bench.bin, script))
os.remove(script)
for _, row in ipairs { { "wall", "wall clock", "ms" }, { "CPU", "CPU", "ms" }, { "peak memory", "peak memory", "MB" } } do
  local ours, theirs, ratio = table.unpack(figures[row[1]])
  bench.figure { subject = "start " .. row[1], what = "a script without a request: " .. row[2],
    beside = "a bare C program with Lua and libcurl", ours = ours, theirs = theirs, unit = row[3], ratio = ratio }
end
