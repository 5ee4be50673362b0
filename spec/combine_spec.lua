-- Tests the functions that combine tasks: map, timeout and race; and detach.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local contains, fails, throws, eventually = expect.contains, expect.fails, expect.throws, expect.eventually

describe("modalua.task", function()
  local server, client

  setup(function()
    server = faultd.start()
  end)

  teardown(function()
    server:close()
  end)

  before_each(function()
    client = modalua.connect(server.url, { retries = 0 })
    assert(client:post "/reset")
  end)

  -- Waits until it is cancelled, and adds "cancelled" to the list.
  local function wait_for_cancel(seen)
    local _ <close> = setmetatable({}, { __close = function() seen[#seen + 1] = "cancelled" end })
    task.sleep(60)
  end

  -- The assert of a script. Here `assert` is luassert's, which behaves differently.
  local function must(ok, err)
    return ok or error(err, 0)
  end

  describe("map", function()
    it("returns the results in the order of the items, whatever order they arrive in", function()
      local results, errors = task.map({ 0.2, 0.1, 0 }, function(s, i)
        task.sleep(s)
        return s * 10 + i
      end)
      assert.are.same({ 3, 3, 3, n = 3 }, results)
      assert.is_nil(errors)
    end)

    it("runs at most `limit` calls at the same time, by default 8, and never fewer than it can", function()
      for _, case in ipairs { { nil, 8 }, { { limit = 3 }, 3 }, { { limit = 1 }, 1 }, { { limit = 100 }, 20 } } do
        local now, most = 0, 0
        task.map(table.move({}, 1, 20, 1, { n = 20 }), function()
          now = now + 1
          most = math.max(most, now)
          task.sleep(0.01)
          now = now - 1
          return true
        end, case[1])
        assert.are.equal(case[2], most)
      end
    end)

    it("collects failures: what f returns after nil or false, and the errors of a failed assert", function()
      local results, errors = task.map({ "/ok", "/status?code=404", "/nosuch", "nothing", "no" }, function(path)
        if path == "nothing" then
          return nil
        elseif path == "no" then
          return false, "why not"
        elseif path == "/nosuch" then
          return must(client:get(path))
        end
        return client:get(path)
      end)
      assert.are.same({ {}, nil, nil, nil, false, n = 5 }, results)
      assert.are.same({ 404, "/nosuch", "why not" }, { errors[2].status, errors[3].path, errors[5] })
      assert.is_nil(errors[1])
      assert.is_nil(errors[4])
    end)

    it("throws any other error of f, and cancels the other calls", function()
      local seen = {}
      throws("a mistake", task.map, { 1, 2, 3 }, function(i)
        if i == 2 then
          task.sleep(0.02)
          error "a mistake"
        end
        return wait_for_cancel(seen)
      end)
      assert.are.same({ "cancelled", "cancelled" }, seen)
    end)

    it("ends when its task is cancelled", function()
      local seen = {}
      local t = task.spawn(task.map, { 1, 2, 3, 4 }, function() return wait_for_cancel(seen) end, { limit = 2 })
      task.sleep(0)
      task.sleep(0)
      t:cancel()
      fails({ kind = "cancelled" }, t:join())
      assert.are.equal(2, #seen) -- the other two did not start
    end)

    it("runs the calls one after the other where tasks cannot switch", function()
      local order = {}
      assert.are.equal("x", (string.gsub("x", "x", function()
        task.map({ 1, 2, 3 }, function(i)
          assert(client:get "/ok")
          order[#order + 1] = i
          return i
        end)
      end)))
      assert.are.same({ 1, 2, 3 }, order)
    end)

    it("returns an empty list for an empty list", function()
      assert.are.same({ n = 0 }, task.map({}, error))
    end)

    it("throws an error if it is called wrongly", function()
      throws("a list is expected (a nil was given)", task.map)
      throws("a function is expected (a nil was given)", task.map, {})
      throws("unknown option 'limti'; the only option is limit", task.map, {}, print, { limti = 1 })
      throws("'limit' must be a whole number, 1 or more", task.map, {}, print, { limit = 0 })
      throws("'limit' must be a whole number, 1 or more", task.map, {}, print, { limit = 1.5 })
    end)
  end)

  describe("timeout", function()
    it("returns the results of f if f ends in time", function()
      assert.are.same({ 1, nil, 3, n = 3 }, table.pack(task.timeout(5, function(...) return ... end, 1, nil, 3)))
      assert.are.same({ n = 0 }, table.pack(task.timeout(5, function() end)))
      fails({ status = 404 }, task.timeout(5, client.get, client, "/nosuch"))
    end)

    it("throws the error of f", function()
      throws("a mistake", task.timeout, 5, function() error "a mistake" end)
    end)

    it("cancels f when the time is over, and returns a timeout error", function()
      local seen, began = {}, task.now()
      local err = fails({ kind = "timeout", op = "timeout" }, task.timeout(0.1, wait_for_cancel, seen))
      contains(err.message, "not done after 0.1 s")
      assert.are.same({ "cancelled" }, seen)
      assert.is_true(task.now() - began < 10)
      fails({ kind = "timeout" }, task.timeout(0.1, client.get, client, "/hang"))
    end)

    it("leaves no timer behind, and ends when its task is cancelled", function()
      local run = command.run("-e", "print(require'modalua.task'.timeout(50, function() return 'done' end))")
      assert.are.same({ "done\n", 0 }, { run.out, run.status })
      local seen = {}
      local t = task.spawn(task.timeout, 50, wait_for_cancel, seen)
      task.sleep(0)
      task.sleep(0)
      t:cancel()
      fails({ kind = "cancelled" }, t:join())
      assert.are.same({ "cancelled" }, seen)
    end)

    it("throws an error if it is called wrongly", function()
      throws("a number of seconds is expected", task.timeout, "1", print)
      throws("a function is expected", task.timeout, 1)
    end)
  end)

  describe("race", function()
    it("returns the first result that is not a failure, and cancels the others", function()
      local seen = {}
      local results = table.pack(task.race(
        function() return wait_for_cancel(seen) end,
        function() return client:get "/nosuch" end,
        function()
          task.sleep(0.1)
          return "first", nil, 3
        end,
        function() return wait_for_cancel(seen) end))
      assert.are.same({ "first", nil, 3, n = 3 }, results)
      assert.is_truthy(eventually(function() return #seen == 2 end))
    end)

    it("returns the first failure if all fail", function()
      local failed
      local function when_that_failed(path)
        assert.is_truthy(eventually(function() return failed end))
        return client:get(path)
      end
      fails({ path = "/b" }, task.race(
        function() return when_that_failed "/a" end,
        function()
          local result, err = client:get "/b"
          failed = true
          return result, err
        end,
        function() return must(when_that_failed "/c") end))
    end)

    it("throws an error that is not a failure, and cancels the others", function()
      local seen = {}
      throws("a mistake", task.race, function() error "a mistake" end, function() return wait_for_cancel(seen) end)
      throws("functions are expected", task.race)
      throws("function 2 is expected (a nil was given)", task.race, print, nil)
    end)

    it("ends when its task is cancelled", function()
      local seen = {}
      local t = task.spawn(task.race, function() return wait_for_cancel(seen) end, function() return wait_for_cancel(seen) end)
      task.sleep(0)
      task.sleep(0)
      t:cancel()
      fails({ kind = "cancelled" }, t:join())
      assert.are.equal(2, #seen)
    end)
  end)

  it("offers map, timeout and race even if no other module is loaded", function()
    local run = command.run("-e", [[
      local task = require "modalua.task"
      print(task.map({ 1, 2 }, function(i) return i * 2 end)[2], task.timeout(1, math.abs, -3), task.race(function() return 4 end))]])
    assert.are.same({ "4\t3\t4\n", "", 0 }, { run.out, run.err, run.status })
  end)
end)

for _, version in ipairs(versions) do
  describe("A task, with the Orthanc " .. version.name .. ",", function()
    local server, peer, client, held

    setup(function()
      peer = dicomd.start()
      server = orthanc.start { binary = version.binary, verbose = true, aet = "LOCAL",
        extra = { DicomScuTimeout = 60, JobsHistorySize = 100 },
        modalities = { held = peer:modality "HELD" } }
      client = modalua.connect(server.url)
      held = client:modality "held"
    end)

    teardown(function()
      server:close()
      peer:close()
    end)

    -- Starts a task through `spawn` that moves three studies; the peer holds the first. Returns the task and the identifier of the job.
    local function moving(spawn)
      local found = assert(held:find { Level = "Study", Query = { PatientID = "FP*" } })
      local known = {}
      for _, id in ipairs(assert(client:jobs())) do
        known[id] = true
      end
      local t = spawn(function() return held:move(found, { TargetAet = "ANY" }) end)
      local job = eventually(function()
        for _, record in ipairs(assert(client:jobs { expand = true })) do
          if not known[record.ID] and record.State == "Running" then
            return record.ID
          end
        end
      end)
      return t, assert(job)
    end

    local function was_cancelled(job)
      return server:count_logged("Canceling job: " .. job) > 0
    end

    -- Lets the peer answer `n` C-MOVEs. Returns the record of the job when it has ended.
    local function end_of(job, n)
      peer:let(n)
      return eventually(function()
        local record = assert(client:job(job):status())
        return (record.State == "Success" or record.State == "Failure") and record
      end)
    end

    it("leaves its job running when it is detached", function()
      local t, job = moving(task.spawn)
      t:detach()
      fails({ kind = "cancelled" }, t:join())
      assert.are.equal("Success", end_of(job, 3).State)
      assert.is_false(was_cancelled(job))
    end)

    it("cancels its job when it is cancelled", function()
      local t, job = moving(task.spawn)
      t:cancel()
      fails({ kind = "cancelled" }, t:join())
      assert.is_truthy(eventually(function() return was_cancelled(job) end))
      assert.are.equal(37, end_of(job, 1).ErrorCode)
    end)

    it("also leaves the jobs of its child tasks running when it is detached", function()
      local t, job = moving(function(f)
        return task.spawn(task.map, { 1 }, function() return task.spawn(f):join() end)
      end)
      t:detach()
      fails({ kind = "cancelled" }, t:join())
      assert.are.equal("Success", end_of(job, 3).State)
    end)
  end)
end
