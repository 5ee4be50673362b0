-- How long a user waits for the prompt: modalua spec/bench/repl.lua BIN
-- The first prompt: from the start of the program, on a terminal, to the prompt; the median of several starts. Completion: of a
-- modality's name among 1,000, and of a tag; the first one, which reads the dictionary, is the slowest.
local completion = require "modalua.completion"
local modalua = require "modalua"
local task = require "modalua.task"

local STARTS, CALLS = 21, 101
local bin = assert(..., "usage: modalua spec/bench/repl.lua BIN")

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local function milliseconds(f)
  local began = task.now()
  f()
  return (task.now() - began) * 1e3
end

-- The player waits for the prompt, types Ctrl-D and sees the end; what it and an empty program take is taken off.
local function start(program)
  assert(os.execute(("printf 'wait > \\nsend %%%%04\\n' | MODALUA_HISTORY= TERM=xterm '%s/terminal' 80 24 %s >/dev/null"):format(
    bin, program)))
end

local prompts, bare = {}, {}
for i = 1, STARTS do
  prompts[i] = milliseconds(function() start(("'%s/modalua' -u http://127.0.0.1:1"):format(bin)) end)
  bare[i] = milliseconds(function() start "sh -c 'printf \"> \"; read -r _; true'" end)
end
print(("first prompt, until it has been left again: %.1f ms; a shell's: %.1f ms"):format(median(prompts), median(bare)))

local orthanc = modalua.connect "http://127.0.0.1:1"
rawset(_G, "orthanc", orthanc)
local names = {}
for i = 1, 1000 do
  names[i] = ("modality%04d"):format(i)
end
completion.remember(orthanc, names)

for _, text in ipairs { 'orthanc:modality "modality0', "orthanc:find { Query = { Patient" } do
  local count
  local function complete()
    count = #completion.complete { text = text } - 1
  end
  local first, calls = milliseconds(complete), {}
  for i = 1, CALLS do
    calls[i] = milliseconds(complete)
  end
  print(("completion of %s, %d candidates: %.2f ms, the first time %.2f ms"):format(text, count, median(calls), first))
end
