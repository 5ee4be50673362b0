-- The cost of tasks: of a switch between two, and of one that waits.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local task = require "modalua.task"

local SWITCHES, TASKS, RUNS = 200000, 10000, 7

-- CPU seconds of one switch; the tasks run in turn.
local function switch(tasks)
  local each, list = SWITCHES // tasks, {}
  local cpu = os.clock()
  for i = 1, tasks do
    list[i] = task.spawn(function()
      for _ = 1, each do
        task.sleep(0)
      end
    end)
  end
  for _, one in ipairs(list) do
    one:join()
  end
  return (os.clock() - cpu) / (each * tasks)
end

-- Resident memory of this process in megabytes.
local function resident()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmRSS:%s*(%d+)"
    if kilobytes then
      return tonumber(kilobytes) / 1024
    end
  end
end

local function live(n)
  local before, list = resident(), {}
  for i = 1, n do
    list[i] = task.spawn(task.sleep, 1000)
  end
  task.sleep(0) -- each has begun to wait
  local megabytes = resident() - before
  for _, one in ipairs(list) do
    one:cancel()
  end
  return megabytes
end

bench.title "Tasks"
for _, n in ipairs { 100, 1000, 10000 } do
  local megabytes = live(n) -- the first, before memory is used again
  bench.figure { subject = "live tasks", n = n, what = ("%d live tasks: memory"):format(n), ours = megabytes, unit = "MB",
    most = n == TASKS and 40 or nil }
end
for _, tasks in ipairs { 1, 10, 100, 1000 } do
  local samples = {}
  for run = 1, RUNS do
    samples[run] = switch(tasks)
  end
  bench.figure { subject = "switch", n = tasks, what = ("task.sleep(0), %d tasks in turn: CPU of a switch"):format(tasks),
    ours = bench.median(samples), unit = "us", most = 1e-6 }
end
