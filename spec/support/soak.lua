-- The script of spec/soak_spec.lua: every kind of operation, again and again, eight at a time, some of them cancelled or timed out. Prints
-- a line for each round: the operations so far, then Lua's heap, resident memory (both in bytes) and descriptors, when nothing is under
-- way. It fails when a query or a job remains on the server.
--
--   modalua -u URL soak.lua ROUNDS SECONDS FILE     the least number of rounds, and the least time; FILE is a DICOM file
--
-- The server must know these modalities: pacs (an Orthanc with the samples), archive (an Orthanc), slow (dicomd, which answers after 0.2
-- s), unknown (dicomd, whose C-MOVE fails), nowhere (nothing listens there).
local modalua = require "modalua"
local task = modalua.task

local ROUNDS <const>, SECONDS <const>, FILE <const> = math.tointeger(arg[1]), tonumber(arg[2]), arg[3]
local IN_FLIGHT <const> = 8
local SOON <const> = 0.05  -- seconds: before the modality `slow` answers
local PATIENCE <const> = 60 -- seconds for the end of what was cancelled

local client = modalua.connect()
local pacs, slow, archive = client:modality "pacs", client:modality "slow", client:modality "archive"
local nothing = modalua.connect("http://127.0.0.1:1", { retries = 0 })
local has_get = assert(client:system()).Version >= "1.12.6"
local instance = assert(client:upload(FILE)).ID

-- Asserts that a function returned nil and an error of that kind.
local function fails(kind, ok, err)
  assert(not ok, "the operation succeeded")
  assert(err.kind == kind, tostring(err))
end

-- Runs f(...) in a task, and cancels it soon. Whether it has ended before does not matter.
local function cancelled(f, ...)
  local t = task.spawn(f, ...)
  task.sleep(SOON)
  t:cancel()
  t:join()
end

local function studies(modality)
  return assert(modality:find { Level = "Study", Query = { PatientID = "MOD-0001" } })
end

local ALL <const> = { Level = "Study", Query = { PatientID = "FP*" } }

-- Each is called with a client that lives for one round. It makes the moves, since a client remembers the outcomes of the last 10,000 jobs
-- that were waited for.
local operations = {
  function() assert(pacs:echo()) end,
  function() fails("dicom", client:modality "nowhere":echo()) end,
  function() local _ <close> = studies(pacs) end,
  function() cancelled(function() local _ <close> = slow:find(ALL) end) end,
  function() fails("timeout", slow:find { Level = "Study", Query = ALL.Query, wait_timeout = SOON }) end,
  function() fails("timeout", slow:find_each("AccessionNumber", { "A1", "A2", "A3" }, { wait_timeout = SOON })) end,
  function() assert(pacs:find_each("AccessionNumber", { "A1", "A2", "A3" })) end,
  function() for _ in pacs:find_all { Level = "Study", Query = { StudyDate = "20240101-20240131" } } do end end,
  function() local found <close> = studies(pacs) assert(pacs:series(found.answers[1])) end,
  function() local found <close> = studies(pacs) assert(pacs:instances(found.answers[1])) end,
  function() cancelled(function() slow:instances({ StudyInstanceUID = "1.2.3.0" }) end) end,
  function() local found <close> = studies(pacs) assert(client:query(found.ID):answers()) end,
  function() assert(not pacs:find { Level = "Study", Query = { StudyDate = "yesterday" } }) end,
  function(brief)
    local found <close> = studies(brief:modality "pacs")
    assert(brief:modality "pacs":move(found, { to = archive }))
  end,
  function(brief)
    local found <close> = studies(brief:modality "pacs")
    assert(brief:modality "pacs":move_resources("Study", found.answers, { progress = function() end }))
  end,
  function(brief)
    cancelled(function()
      brief:modality "slow":move_resources("Study", { StudyInstanceUID = "1.2.3.0" }, { TargetAet = "ARCHIVE" })
    end)
  end,
  function(brief) -- the kind of the error depends on the step in which the time is over
    assert(not brief:modality "slow":move_resources("Study", { StudyInstanceUID = "1.2.3.1" }, { TargetAet = "ARCHIVE",
      wait_timeout = SOON }))
  end,
  function(brief)
    local found <close> = assert(brief:modality "unknown":find(ALL))
    fails("dicom", brief:modality "unknown":move(found, { TargetAet = "ARCHIVE" }))
  end,
  function()
    if has_get then
      local found <close> = studies(pacs)
      assert(pacs:get("Study", found.answers[1]))
    end
  end,
  function() assert(archive:store(instance)) end,
  function(brief) assert(brief:job(assert(brief:modality "archive":store(instance, { Synchronous = false }))):wait()) end,
  function() cancelled(function() slow:store(instance) end) end,
  function() assert(archive:store_straight(FILE)) end,
  function() assert(client:upload(FILE)) end,
  function()
    local name = os.tmpname()
    assert(client:download("/instances/" .. instance .. "/file", name))
    os.remove(name)
  end,
  function() assert(client:find { Level = "Study", Query = {}, Expand = true }) end,
  function() assert(client:changes { since = 0, limit = 5 }()) end,
  function() assert(client:jobs { expand = true }) end,
  function() fails("orthanc", client:get "/instances/nosuch") end,
  function() fails("network", nothing:system()) end,
  function() fails("timeout", task.timeout(SOON, function() return slow:echo() end)) end,
}

local function descriptors()
  local pipe <close> = assert(io.popen "ls /proc/$PPID/fd | wc -l")
  return pipe:read "n"
end

local function resident()
  local file <close> = assert(io.open "/proc/self/statm")
  return select(2, file:read("n", "n")) * 4096
end

-- Eight tasks call all operations once. Another operation is the first one in each round.
local function play_round(round)
  local brief, last, workers = modalua.connect(), 0, {}
  for i = 1, IN_FLIGHT do
    workers[i] = task.spawn(function()
      while last < #operations do
        last = last + 1
        local number = (last + round) % #operations + 1
        local good, err = pcall(operations[number], brief)
        if not good then
          error(("operation %d: %s"):format(number, err), 0)
        end
      end
      return true
    end)
  end
  for i = 1, IN_FLIGHT do
    assert(workers[i]:join())
  end
end

-- What this script has begun on the server, and has not ended yet.
local function open_work()
  local n = #assert(client:queries())
  for _, job in ipairs(assert(client:jobs { expand = true })) do
    n = n + ((job.State == "Success" or job.State == "Failure") and 0 or 1)
  end
  return n
end

local function wait_for_the_end()
  local deadline = task.now() + PATIENCE
  while open_work() > 0 do
    assert(task.now() < deadline, "a query or a job remains on the server")
    task.sleep(0.02)
  end
end

local round, done, begun = 0, 0, task.now()
while round < ROUNDS or task.now() - begun < SECONDS do
  round = round + 1
  play_round(round)
  wait_for_the_end()
  done = done + #operations
  collectgarbage()
  collectgarbage()
  print(("%d %.0f %d %d"):format(done, collectgarbage "count" * 1024, resident(), descriptors()))
end
