-- Shared by the benchmarks: servers with studies, interleaved pairs, medians, and the line that each figure prints.
local modalua = require "modalua"
local task = require "modalua.task"

local bench = {}

bench.quick = os.getenv "BENCH_QUICK" == "yes"
bench.python = os.getenv "BENCH_PYTHON"
bench.bin = assert(os.getenv "BENCH_BIN", "spec/bench/run.sh runs this")

function bench.median(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted)
  local middle = #sorted // 2
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

-- ---- commands ----

local function output(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  return assert(pipe:close() and text, command)
end

local function quoted(words)
  local list = {}
  for i, word in ipairs(words) do
    list[i] = "'" .. tostring(word):gsub("'", "'\\''") .. "'"
  end
  return table.concat(list, " ")
end

function bench.ours(...)
  return quoted { bench.bin .. "/modalua", "spec/bench/ours.lua", ... }
end

function bench.pattern(...)
  return quoted { bench.python, "spec/bench/pattern.py", ... }
end

-- Reads the numbers that spec/bench/ours.lua and pattern.py print.
local function timed(command)
  local wall, cpu, count, peak = output(command):match "(%S+) (%S+) (%d+) ?(%d*)"
  return { wall = tonumber(wall), cpu = tonumber(cpu), count = tonumber(count), peak = tonumber(peak) }
end

--- Runs the candidates in turn, several rounds. Each is a command that times itself, or a function that returns its figures. `before`
-- and `after` are called around each run. Returns the figures of all runs, by the candidates' names.
function bench.in_turn(runs, commands, before, after)
  local samples = {}
  for run = 1, runs do
    for name, command in pairs(commands) do
      if before then
        before()
      end
      samples[name] = samples[name] or {}
      samples[name][run] = type(command) == "function" and command() or timed(command)
      samples[name].n = run
      if after then
        after()
      end
    end
  end
  return samples
end

--- The median of one figure for each of two candidates, and the median of the ratios of the pairs.
function bench.compare(samples, figure, ours, theirs)
  local a, b, ratios = {}, {}, {}
  for run = 1, samples[ours].n do
    a[run], b[run] = samples[ours][run][figure], samples[theirs][run][figure]
    ratios[run] = a[run] / b[run]
  end
  return bench.median(a), bench.median(b), bench.median(ratios)
end

--- Times two whole processes in turn with bin/pair; their output is discarded; DICOM's delayed ACKs are off. Returns wall (s), CPU (s)
-- and peak memory (MB), each as { ours, theirs, ratio }.
function bench.processes(runs, ours, theirs)
  local figures = {}
  for name, a, b, ratio in output(("TCP_NODELAY=1 %s/pair %d %s -- %s 2>/dev/null"):format(bench.bin, runs, ours, theirs)):gmatch
    "%s*([%a ]-) +([%d.]+) +([%d.]+) %a+ +ratio ([%d.]+)\n" do
    local scale = name == "peak memory" and 1 or 1000
    figures[name] = { a / scale, b / scale, tonumber(ratio) }
  end
  return figures
end

-- ---- figures ----

local UNITS = { s = { 1, "%.3g s" }, ms = { 1e3, "%.3g ms" }, MB = { 1, "%.3g MB" }, KB = { 1, "%.2g KB" }, rate = { 1, "%.0f /s" },
  us = { 1e6, "%.3g µs" }, count = { 1, "%.0f" }, M = { 1e-6, "%.2f M" } }

function bench.show(value, unit)
  if unit == "s" or unit == "ms" then
    unit = value < 1 and "ms" or "s"
  end
  local scale, format = table.unpack(UNITS[unit])
  return format:format(value * scale)
end

local function in_words(goal, f)
  return f.ratio and ("%.3g"):format(goal) or bench.show(goal, f.unit)
end

local file

--- Records one figure: a line on standard output, and a line in the file from which chart.lua and table.lua read.
--    subject, n        for the chart: "find", how many
--    what, beside      for people: what was measured, and what it is compared with
--    ours, theirs, unit, ratio; theirs and ratio may be missing
--    most or least     the goal for the ratio, or for ours when there is none
function bench.figure(f)
  local measured = f.ratio or f.ours
  local reached = f.most and measured <= f.most or f.least and measured >= f.least
  local goal = f.most and "at most " .. in_words(f.most, f) or f.least and "at least " .. in_words(f.least, f) or ""
  local verdict = goal == "" and "" or reached and "reached" or "NOT reached"
  local theirs = f.theirs and bench.show(f.theirs, f.unit) or ""
  local columns = { f.subject, f.n or "", f.what, bench.show(f.ours, f.unit), f.beside or "", theirs,
    f.ratio and ("%.3g"):format(f.ratio) or "", goal, verdict, f.ours, f.theirs or "" }
  local aim = goal == "" and "" or goal .. ": " .. verdict
  print(("  %-60s %9s  %-46s %9s  %6s  %s"):format(f.what, columns[4], columns[5], theirs, columns[7], aim))
  io.stdout:flush()
  file = file or assert(io.open(assert(os.getenv "BENCH_FIGURES"), "a"))
  for i = 1, #columns do
    columns[i] = tostring(columns[i])
  end
  file:write(table.concat(columns, "\t"), "\n")
  file:flush()
end

function bench.title(text)
  print("\n" .. text)
  io.stdout:flush()
end

-- ---- servers ----

--- Stores n one-instance studies, of the patients P000000, P000001, …
function bench.fill(client, n)
  local numbers = {}
  for i = 1, n do
    numbers[i] = i - 1
  end
  local _, errors = task.map(numbers, function(i)
    return client:post("/tools/create-dicom", { Tags = { PatientID = ("P%06d"):format(i), PatientName = ("Doe^John %d"):format(i),
      StudyDescription = "CT Chest with contrast", AccessionNumber = ("A%06d"):format(i), StudyDate = "20240101",
      SOPClassUID = "1.2.840.10008.5.1.4.1.1.2", Modality = "CT" } })
  end, { limit = 8 })
  assert(not errors, errors and select(2, next(errors)))
end

--- The filter that finds the first n of those studies; n is a power of ten, at most 1,000.
function bench.patients(n)
  return ("P%s"):format(("0"):rep(6 - #tostring(n) + 1)) .. ("?"):rep(#tostring(n) - 1)
end

--- Removes everything that a server holds.
function bench.empty(client)
  local studies = assert(client:get "/studies")
  if #studies > 0 then
    assert(client:post("/tools/bulk-delete", { Resources = studies }))
  end
end

--- The Orthanc programs, each as name and path: the installed one, and the newer ones that spec/support/fetch_orthanc.sh fetched.
function bench.versions()
  local list = { {} }
  for program in (bench.quick and "" or os.getenv "MODALUA_ORTHANCS" or ""):gmatch "[^:]+" do
    list[#list + 1] = { binary = program }
  end
  return list
end

bench.json = modalua.json

return bench
