-- How long a user waits for the prompt and for TAB completion.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
local completion = require "modalua.completion"
local modalua = require "modalua"
local task = require "modalua.task"

local STARTS, CALLS = 21, 101
local FIRST_PROMPT, COMPLETION = 0.030, 0.020 -- seconds: the goals

local function seconds(f)
  local began = task.now()
  f()
  return task.now() - began
end

-- Time from the start of a program on a terminal until its prompt appeared, Ctrl-D was typed, and the program ended.
local function start(program)
  assert(os.execute(("printf 'wait > \\nsend %%%%04\\n' | MODALUA_HISTORY= TERM=xterm '%s/terminal' 80 24 %s >/dev/null"):format(
    bench.bin, program)))
end

bench.title "The prompt"
local ours, theirs = {}, {}
for i = 1, STARTS do
  ours[i] = seconds(function() start(("'%s/modalua' -u http://127.0.0.1:1"):format(bench.bin)) end)
  theirs[i] = seconds(function() start "sh -c 'printf \"> \"; read -r _; true'" end)
end
bench.figure { subject = "first prompt", what = "first prompt, until it has been left again", ours = bench.median(ours), unit = "s",
  most = FIRST_PROMPT }
bench.figure { subject = "first prompt of a shell", what = "  a shell's, on the same terminal", ours = bench.median(theirs), unit = "s" }

local orthanc = modalua.connect "http://127.0.0.1:1"
rawset(_G, "orthanc", orthanc) -- completion looks at globals
local names = {}
for i = 1, 1000 do
  names[i] = ("modality%04d"):format(i)
end
completion.remember(orthanc, names)

for what, text in pairs { ["of a modality among 1,000"] = 'orthanc:modality "modality0',
  ["of a tag"] = "orthanc:find { Query = { Patient" } do
  local samples = {}
  local first = seconds(function() completion.complete { text = text } end) -- it reads the dictionary
  for i = 1, CALLS do
    samples[i] = seconds(function() completion.complete { text = text } end)
  end
  bench.figure { subject = "completion " .. what, what = "completion " .. what, ours = bench.median(samples), unit = "s",
    most = COMPLETION }
  bench.figure { subject = "first completion " .. what, what = "  the first time", ours = first, unit = "s", most = COMPLETION }
end
