-- modalua's side of the figures, each in a process of its own: modalua spec/bench/ours.lua ACTION URL MODALITY …
--
--   find URL MODALITY QUERY
--   answers URL MODALITY QUERY        only the request for the answers, after the C-FIND
--   move URL MODALITY QUERY AET       each answer in a C-MOVE of its own, 8 at a time; only the moves are timed
--   move_found URL MODALITY QUERY AET [believe]   the move of the whole query; only the move is timed; believe: with verify = false
--   echo URL MODALITY N IN_FLIGHT     with IN_FLIGHT = 1, one after the other
--   watch URL FILE SECONDS            requests /system repeatedly while the file exists; prints the longest wait
--
-- Prints what the work itself took, without the start of this program: seconds, CPU seconds, number of results, peak memory in KB.
local modalua = require "modalua"
local task = require "modalua.task"

local action, url, name = arg[1], arg[2], arg[3]

local function find(client)
  return assert(client:modality(name):find(modalua.json.decode(arg[4])))
end

-- The number of results; throws when one of them failed.
local function all(results, errors)
  assert(not errors, errors and select(2, next(errors)))
  return results.n
end

local work = {}

function work.find()
  local client = modalua.connect(url)
  assert(client:system()) -- the connection is there, as it is in a session
  return function()
    return #find(client).answers
  end
end

function work.answers()
  local client = modalua.connect(url)
  local pacs = client:modality(name)
  local id = assert(client:post(("/modalities/%s/query"):format(name), modalua.json.decode(arg[4]))).ID
  return function()
    return #assert(pacs:get_query_answers(id))
  end
end

function work.move()
  local client = modalua.connect(url)
  local pacs = client:modality(name, { max_moves = 8 })
  local found = find(client)
  return function()
    return all(task.map(found.answers, function(row)
      return pacs:move_resources("Study", row, { TargetAet = arg[5] })
    end, { limit = 8 }))
  end
end

function work.move_found()
  local client = modalua.connect(url)
  local pacs = client:modality(name)
  local found = find(client)
  local options = { TargetAet = arg[5] }
  if arg[6] == "believe" then
    options.verify = false
  end
  return function()
    local result = assert(pacs:move(found, options))
    assert(result.verified == (arg[6] ~= "believe"))
    return #found.answers
  end
end

function work.echo()
  local n, in_flight = math.tointeger(arg[4]), math.tointeger(arg[5])
  local client = modalua.connect(url, { max_inflight = in_flight })
  local pacs = client:modality(name)
  assert(client:system())
  local list = {}
  for i = 1, n do
    list[i] = i
  end
  return function()
    if in_flight == 1 then
      for _ = 1, n do
        assert(pacs:echo())
      end
      return n
    end
    return all(task.map(list, function() return pacs:echo() end, { limit = in_flight }))
  end
end

local function is_there(path)
  local file <close> = io.open(path)
  return file ~= nil
end

-- Requests /system until the file is removed; prints the longest wait.
if action == "watch" then
  local over, every = arg[3], tonumber(arg[4])
  local client, slowest = modalua.connect(url), 0
  while is_there(over) do
    local began = task.now()
    assert(client:system())
    slowest = math.max(slowest, task.now() - began)
    task.sleep(every)
  end
  print(slowest)
  return
end

local function peak()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmHWM:%s*(%d+)"
    if kilobytes then
      return tonumber(kilobytes)
    end
  end
end

local timed = work[action]()
local wall, cpu = task.now(), os.clock()
local n = timed()
wall, cpu = task.now() - wall, os.clock() - cpu
print(("%.6f %.6f %d %d"):format(wall, cpu, n, peak()))
