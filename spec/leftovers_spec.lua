-- Tests what an operation leaves on the server when it does not end as usual: it is cancelled, it times out, its run is killed, its script
-- fails. No query remains and no job of it goes on. Uses real Orthancs, and a modality that answers when it is told to.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local terminal = require "spec.support.terminal"
local versions = require "spec.support.versions"

local fails, contains, happens = expect.fails, expect.contains, expect.happens

local STUDY <const> = { StudyInstanceUID = "1.2.3.0" }
local TIMEOUT <const> = 0.3

-- Operations that search. Each row has a name, the moments when the operation is stopped, and the function. A moment is the number of
-- C-FINDs that have been answered, and of those that have arrived.
local SEARCHES <const> = {
  { "find", { { 0, 1 } }, function(on, options)
    options.Level, options.Query = "Study", STUDY
    return on:find(options)
  end },
  { "find with a list, whose missing elements it asks for", { { 0, 1 }, { 1, 3 } }, function(on, options)
    options.Level, options.Query = "Study", { StudyInstanceUID = "1.2.3.7\\1.2.3.8" }
    return on:find(options)
  end },
  { "find of series by a tag of their studies", { { 0, 1 }, { 1, 3 } }, function(on, options)
    options.Level, options.Query, options.prove = "Series", { PatientID = "FP*", Modality = "CT" }, false
    return on:find(options)
  end },
  { "find of times over midnight", { { 0, 1 }, { 1, 2 } }, function(on, options)
    options.Level, options.Query, options.prove = "Study", { StudyTime = "2200-0200" }, false
    return on:find(options)
  end },
  { "find_each", { { 0, 2 }, { 2, 4 } }, function(on, options)
    return on:find_each("AccessionNumber", { "A1", "A2", "A3", "A4" }, options)
  end },
  { "find_all", { { 0, 1 }, { 1, 2 } }, function(on, options)
    options.Level, options.Query = "Study", { StudyDate = "20200101-20201231" }
    for _ in on:find_all(options) do end
  end },
  { "series", { { 0, 1 } }, function(on, options) return on:series(STUDY, {}, options) end },
  { "instances", { { 0, 1 }, { 1, 3 } }, function(on, options) return on:instances(STUDY, {}, options) end },
}

-- The script of a command that has found three studies, and how it goes on: the options of the command, its exit status, and the script.
local FOUND <const> = [[
  modalua = require "modalua"
  task = modalua.task
  pacs = modalua.connect():modality "quick"
  local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "FP*" } })
  print("found " .. #found.answers)
]]
local MOVE <const> = [[
  task.spawn(function() pacs:move(found, { TargetAet = "ANY" }) end)
  function is_moving()
    for _, job in ipairs(modalua.connect():jobs { expand = true }) do
      if job.State == "Running" then
        return true
      end
    end
  end
  repeat
    task.sleep(0.01)
  until is_moving()
  print "moving"
]]
local JOB_CANCELLED <const> = 37 -- Orthanc's error code
local ENDS <const> = {
  ["ends by an error of the script"] = { {}, 1, 'error "x"' },
  ["ends by os.exit"] = { {}, 3, "os.exit(3)" },
  ["needs too much memory"] = { { "--memory-limit", "20M" }, 1, 'local t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end' },
  ["is out of time"] = { { "--time-limit", "8" }, 1, "while true do end" },
  ["gets SIGINT"] = { {}, 130, 'io.popen("kill -INT $PPID"):close() task.sleep(1000)' },
  ["gets SIGTERM"] = { {}, 143, 'io.popen("kill -TERM $PPID"):close() task.sleep(1000)' },
  ["gets SIGHUP"] = { {}, 129, 'io.popen("kill -HUP $PPID"):close() task.sleep(1000)' },
}

-- Calls f, which returns nil and an error, or throws an error.
local function error_of(f, ...)
  local good, result, err = pcall(f, ...)
  assert.is_true(not good or result == nil)
  return good and err or result
end

for _, version in ipairs(versions) do
  describe("With the Orthanc " .. version.name .. ", on the server", function()
    local server, client, peer, held
    local cancels = 0 -- jobs that were cancelled

    local function start_peer()
      if peer then
        peer:close()
      end
      peer = dicomd.start()
      for name, behaviour in pairs { held = "HELDF3", quick = "HELD3", prompt = "HELDF3", many = "OK2000" } do
        assert(client:put("/modalities/" .. name, peer:modality(behaviour)))
      end
    end

    setup(function()
      server = orthanc.start { binary = version.binary, aet = "LOCAL", verbose = true, extra = { JobsHistorySize = 1000 } }
      client = modalua.connect(server.url)
      assert(samples.store(client))
      start_peer()
    end)

    teardown(function()
      server:close()
      peer:close()
    end)

    before_each(function()
      start_peer()
      held = client:modality "held"
    end)

    -- Asserts that each query which the server was asked for has been removed.
    local function no_query_is_left()
      happens(function()
        local file <close> = assert(io.open(server.log))
        local log = file:read "a"
        local _, asked = log:gsub("POST /modalities/%l+/query", "")
        local _, removed = log:gsub("DELETE /queries/", "")
        return asked == removed and #assert(client:queries()) == 0
      end)
    end

    local function cancel(f, answered, arrived)
      peer:let(answered)
      local t = task.spawn(f, held, {})
      happens(function() return peer:count "C-FIND" == arrived end)
      t:cancel()
      fails({ kind = "cancelled" }, t:join())
      peer:let()
    end

    for _, row in ipairs(SEARCHES) do
      local name, stops, f = table.unpack(row)

      it(("is no query of %s when it was cancelled"):format(name), function()
        for _, stop in ipairs(stops) do
          cancel(f, stop[1], stop[2])
          no_query_is_left()
          start_peer()
        end
      end)

      it(("is no query of %s when it timed out"):format(name), function()
        peer:let(stops[#stops][1])
        local err = error_of(f, held, { wait_timeout = TIMEOUT })
        assert.is_true(modalua.is_error(err), tostring(err))
        assert.are.equal("timeout", err.kind)
        peer:let()
        no_query_is_left()
      end)
    end

    -- ---- the end of a run ----

    for how, row in pairs(ENDS) do
      it("is no query of a run that " .. how, function()
        local options, status, rest = table.unpack(row)
        local words = { "-u", server.url, "-e", FOUND .. rest }
        local result = command.run(table.unpack(table.move(words, 1, #words, #options + 1, { table.unpack(options) })))
        assert.are.equal(status, result.status, result.err)
        contains(result.out, "found 3")
        no_query_is_left()
      end)
    end

    -- How the jobs of the server have ended, without repetitions.
    local function ends_of_jobs()
      local codes = {}
      for _, job in ipairs(assert(client:jobs { expand = true })) do
        codes[job.State .. " " .. job.ErrorCode] = true
      end
      return codes
    end

    for how, row in pairs(ENDS) do
      it("is no running job of a run that " .. how .. " during a move", function()
        local options, status, rest = table.unpack(row)
        local words = { "-u", server.url, "-e", FOUND .. MOVE .. rest }
        local result = command.run(table.unpack(table.move(words, 1, #words, #options + 1, { table.unpack(options) })))
        assert.are.equal(status, result.status, result.err)
        contains(result.out, "moving")
        cancels = cancels + 1
        happens(function() return server:count_logged "Canceling job: " == cancels end) -- it may need longer than the command waits
        peer:let()
        no_query_is_left()
        happens(function() return not ends_of_jobs()["Running 0"] end)
        assert.are.same({ ["Failure " .. JOB_CANCELLED] = true }, ends_of_jobs())
      end)
    end

    it("is no query of a command when the next one in the pipe has read enough", function()
      local result = command.shell(('"$M" -u %s find many | head -1'):format(server.url))
      assert.are.equal(1, select(2, result.out:gsub("\n", "")), result.err)
      no_query_is_left()
    end)

    -- At the prompt each line is a run. The removal goes on in the next run, when the modality answers after the end of its own.
    it("is no query of a find at the prompt that Ctrl-C has ended, also when the modality answers later than that", function()
      local script = command.file(([[
        function log() return io.open(%q):read "a" end
        function count(pattern) return select(2, log():gsub(pattern, "")) end
        function wait_for(f) repeat modalua.task.sleep(0.01) until f() print "seen" end
        function asked() return log():find "POST /modalities/prompt/query" end
        function removed() return count "DELETE /queries/" == count "POST /modalities/%%l+/query" end
        held = modalua.connect():modality "prompt"]]):format(server.log))
      terminal.session({ arguments = ("-u %s -l modalua -i %s"):format(server.url, script) }, {
        { "modalua.task.spawn(wait_for, asked) held:find { Level = 'Study', Query = { PatientID = 'X' } }\r", "\nseen",
          open = { send = "\3" } },
        { "", "cancelled", gate = peer.gate_path },
        { "wait_for(removed)\r", "\nseen" },
      })
      os.remove(script)
      no_query_is_left()
    end)

    -- ---- requests that hang ----

    it("is no query that is closed while as many requests as max_inflight allows are held", function()
      local busy = modalua.connect(server.url, { max_inflight = 1 })
      local found = assert(busy:modality "quick":find { Level = "Study", Query = { PatientID = "FP*" } })
      local finding = task.spawn(function() return busy:modality "held":find { Level = "Study", Query = { PatientID = "X" } } end)
      happens(function() return peer:count "C-FIND" == 2 end)
      do
        local _ <close> = found
      end
      happens(function() return #assert(client:queries()) == 0 end)
      finding:cancel()
      fails({ kind = "cancelled" }, finding:join())
      assert.is_table(assert(busy:system())) -- the find that is over counts no longer
      peer:let()
      no_query_is_left()
    end)
  end)
end
