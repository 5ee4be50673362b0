local task = require "modalua.task"
local modalua = require "modalua"
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"

local eventually, throws = expect.eventually, expect.throws

describe("modalua.task", function()
  local server, client, aside

  setup(function()
    server = faultd.start()
    client = modalua.connect(server.url)
    aside = modalua.connect((server.url:gsub("127.0.0.1", "localhost"))) -- another server, as far as the client knows
  end)

  teardown(function()
    server:close()
  end)

  describe("spawn and join", function()
    it("returns the results of the function", function()
      local t = task.spawn(function(a, b) return b, a, nil end, 1, 2)
      assert.are.same({ 2, 1, n = 3 }, table.pack(t:join()))
      assert.are.same({ 2, 1, n = 3 }, table.pack(t:join()))
    end)

    it("shows tracebacks through all tasks to the place of the error", function()
      for _, code in ipairs { "assert(task.spawn(function() deep() end):join())", "task.map({ 1 }, function() deep() end)",
        "task.spawn(function() assert(task.spawn(function() deep() end):join()) end)", "task.timeout(5, deep)", "task.race(deep)",
        "task.map({ 1, 2 }, function() assert(task.spawn(deep):join()) end)", "task.spawn(function() deep() end)" } do
        local run = command.run("-e", "local task = require 'modalua.task'\nlocal function deep()\n  error 'boom'\nend\n" .. code)
        assert.are.equal(1, run.status)
        assert.matches("^modalua: .*%(command line%):3: boom\nstack traceback:\n", run.err)
        assert.matches("\n\t%(command line%):3: in ", run.err)
      end
      local plain = command.run("-e", "pcall(error, 'boom') error 'boom'") -- without tasks
      assert.is_nil(plain.err:find "thrown first")
    end)

    it("returns nil and exactly the error value", function()
      local value = { "an error" }
      local ok, err = task.spawn(function() error(value) end):join()
      assert.is_nil(ok)
      assert.are.equal(value, err)
    end)

    it("runs tasks in turns, in the order in which they were started", function()
      local seen = {}
      local function body(name)
        for i = 1, 2 do
          seen[#seen + 1] = name .. i
          task.sleep(0)
        end
      end
      local a, b = task.spawn(body, "a"), task.spawn(body, "b")
      a:join()
      b:join()
      assert.are.same({ "a1", "b1", "a2", "b2" }, seen)
    end)

    it("refuses to wait for the task itself", function()
      local t
      t = task.spawn(function() t:join() end)
      local _, err = t:join()
      assert.matches("cannot wait for itself", err)
    end)

    it("refuses to wait for a task inside a callback of a C function", function()
      local t = task.spawn(function() return 1 end)
      assert.has_error(function() string.gsub("x", "x", function() t:join() end) end,
        "cannot wait for a task here (inside a callback of a C function)")
      assert.are.equal(1, (t:join()))
    end)

    it("waits for a task in a coroutine of the script", function()
      local t = task.spawn(function() return 1 end)
      assert.are.equal(1, (coroutine.wrap(function() return t:join() end)()))
    end)

    it("lets other tasks run while a coroutine of the script waits", function()
      local seen = {}
      local other = task.spawn(function()
        for i = 1, 2 do
          seen[#seen + 1] = "task " .. i
          task.sleep(0)
        end
      end)
      for i in coroutine.wrap(function() for i = 1, 2 do task.sleep(0) coroutine.yield(i) end end) do
        seen[#seen + 1] = "coroutine " .. i
      end
      other:join()
      assert.are.same({ "task 1", "coroutine 1", "task 2", "coroutine 2" }, seen)
    end)

    it("detects tasks that wait for each other", function()
      local a, b
      a = task.spawn(function() return b:join() end)
      b = task.spawn(function() return a:join() end)
      local ok, err = a:join()
      assert.is_nil(ok)
      assert.matches("deadlock", err)
    end)

    it("checks its arguments", function()
      throws("bad argument #1 to 'spawn'", function() task.spawn(1) end)
      throws("bad argument #1 to 'sleep'", function() task.sleep(-1) end)
      throws("bad argument #1 to 'sleep'", function() task.sleep(0 / 0) end)
      throws("bad argument #1 to 'sleep'", function() task.sleep(math.huge) end)
    end)

    it("shows its state", function()
      local t = task.spawn(task.sleep, 0)
      assert.matches("^modalua.Task .*%(ready%)$", tostring(t))
      t:join()
      assert.matches("%(done%)$", tostring(t))
    end)
  end)

  describe("scopes", function()
    it("wait for the tasks that they started", function()
      local done = false
      task.spawn(function()
        task.spawn(function()
          task.sleep(0.02)
          done = true
        end)
      end):join()
      assert.is_true(done)
    end)

    it("cancel their tasks when they fail, and <close> runs once", function()
      local closed, _, err = 0, task.spawn(function()
        task.spawn(function()
          local _ <close> = setmetatable({}, { __close = function() _G.closed_ = (_G.closed_ or 0) + 1 end })
          task.sleep(60)
        end)
        task.sleep(0)
        error("enough", 0)
      end):join()
      closed = closed + rawget(_G, "closed_")
      rawset(_G, "closed_", nil)
      assert.are.equal("enough", err)
      assert.are.equal(1, closed)
    end)

    it("fail with the first error of a task that no other task joined", function()
      local ok, err = task.spawn(function()
        task.spawn(function() task.sleep(0); error("first", 0) end)
        task.spawn(function() error("second", 0) end)
        return "fine"
      end):join()
      assert.is_nil(ok)
      assert.are.equal("first", err)
    end)

    it("also fail with it if the joining task was cancelled before it received the error", function()
      local ok, err = task.spawn(function()
        local bad = task.spawn(function() task.sleep(0) error("seen by nobody", 0) end)
        local joiner = task.spawn(function() return bad:join() end)
        task.spawn(function() task.sleep(0) joiner:cancel() end)
        return "fine"
      end):join()
      assert.is_nil(ok)
      assert.are.equal("seen by nobody", err)
    end)

    it("do not fail with the error of a task that another task joined", function()
      local bad
      local parent = task.spawn(function()
        bad = task.spawn(function() task.sleep(0.02) error("handled", 0) end)
        return "fine"
      end)
      task.sleep(0)
      local _, err = bad:join()
      assert.are.equal("handled", err)
      assert.are.equal("fine", (parent:join()))
    end)

    it("can be nested deeply: each task starts the next one and ends", function()
      local n = 0
      local function body()
        n = n + 1
        if n < 200000 then
          task.spawn(body)
        else
          task.sleep(60)
        end
      end
      local t = task.spawn(body)
      while n < 200000 do
        task.sleep(0)
      end
      t:cancel()
      t:join()
    end)

    it("do not fail with an error that was joined", function()
      local ok = task.spawn(function()
        task.spawn(function() error("handled") end):join()
        return "fine"
      end):join()
      assert.are.equal("fine", ok)
    end)
  end)

  describe("cancel", function()
    -- How many there have been, asked by a connection that the client's own do not keep waiting.
    local function requests_for(path)
      return assert(aside:get("/count", { of = path }))
    end

    local function cancelled(t)
      local ok, err = t:join()
      assert.is_nil(ok)
      assert.is_true(modalua.is_error(err), tostring(err))
      assert.are.equal("cancelled", err.kind)
    end

    it("throws an error where the task waits: asleep, in a request, queued, joining", function()
      local function wait_all(...)
        for _, t in ipairs { ... } do
          cancelled(t)
        end
      end
      local narrow = modalua.connect(server.url, { max_inflight = 1 })
      local asleep = task.spawn(task.sleep, 60)
      local asking = task.spawn(narrow.get, narrow, "/hang")
      local queued = task.spawn(narrow.get, narrow, "/ok")
      local joining = task.spawn(asleep.join, asleep)
      assert.is_truthy(eventually(function() return requests_for "/hang" == 1 end)) -- so the others wait too
      for _, t in ipairs { joining, queued, asking, asleep } do
        t:cancel()
      end
      wait_all(joining, queued, asking, asleep)
    end)

    it("of a task that has not started runs none of its code", function()
      local ran = false
      local t = task.spawn(function() ran = true end)
      t:cancel()
      cancelled(t)
      assert.is_false(ran)
    end)

    it("can be caught, but the next operation throws again", function()
      local thrown = 0
      local t = task.spawn(function()
        for _ = 1, 3 do
          local ok, err = pcall(task.sleep, 60)
          if not ok and err.kind == "cancelled" then
            thrown = thrown + 1
          end
        end
        return "unwound"
      end)
      task.sleep(0)
      t:cancel()
      assert.are.equal("unwound", (t:join()))
      assert.are.equal(3, thrown)
    end)

    it("keeps queued requests from being sent", function()
      assert(client:post("/reset"))
      local tasks, begun = {}, 0
      for i = 1, 20 do
        tasks[i] = task.spawn(function()
          begun = begun + 1
          return client:post("/hang?queued", {})
        end)
      end
      string.gsub("x", "x", function() task.sleep(0.05) end)
      assert.are.equal(0, begun) -- no other task runs while a callback of a C function waits
      assert.is_truthy(eventually(function() return requests_for "/hang" == 8 end))
      for _, t in ipairs(tasks) do
        t:cancel()
      end
      for _, t in ipairs(tasks) do
        cancelled(t)
      end
      task.sleep(0.2) -- what should not come is given the time to
      assert.are.equal(8, requests_for "/hang")
    end)

    it("still ends the child tasks if it was caught, those started before and after", function()
      local before = task.now()
      local t = task.spawn(function()
        task.spawn(task.sleep, 60)
        pcall(task.sleep, 60)
        task.spawn(task.sleep, 60)
      end)
      task.sleep(0)
      t:cancel()
      t:join()
      assert.is_true(task.now() - before < 10)
    end)

    it("happens at the end of a block through <close>", function()
      local outer
      do
        local t <close> = task.spawn(task.sleep, 60)
        outer = t
        task.sleep(0)
      end
      cancelled(outer)
    end)

    it("reaches the child tasks of a task that is already waiting for them", function()
      local t = task.spawn(function() task.spawn(task.sleep, 60) end)
      task.sleep(0)
      t:cancel()
      t:join()
    end)

    it("frees the connection for other requests", function()
      local narrow = modalua.connect(server.url, { max_inflight = 1 })
      assert(client:post "/reset")
      local t = task.spawn(narrow.get, narrow, "/hang")
      assert.is_truthy(eventually(function() return requests_for "/hang" == 1 end))
      t:cancel()
      assert.are.same({}, narrow:get("/ok"))
    end)
  end)

  it("protects the coroutine of a task against the script", function()
    local co
    local t = task.spawn(function()
      co = coroutine.running()
      task.sleep(0.05)
      return "slept"
    end)
    task.sleep(0)
    assert.are.same({ false, "cannot resume non-suspended coroutine" }, { coroutine.resume(co) })
    throws("cannot close a normal coroutine", function() coroutine.close(co) end)
    assert.are.equal("slept", (t:join()))
  end)

  describe("operations where a coroutine cannot yield", function()
    it("wait in place: in gsub, sort and __tostring", function()
      assert.are.equal("{}{}", (string.gsub("ab", ".", function()
        return modalua.json.encode(assert(client:get("/ok")))
      end)))
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b)
        assert(client:get("/ok"))
        return a < b
      end)
      assert.are.same({ 1, 2, 3 }, list)
      assert.are.equal("ok", tostring(setmetatable({}, { __tostring = function()
        task.sleep(0)
        return client:get("/ok") and "ok"
      end })))
    end)

    it("wait in place inside a task, while others wait for their turn", function()
      local t = task.spawn(function()
        return (string.gsub("x", "x", function() return assert(client:get("/echo")).path end))
      end)
      local other = task.spawn(function() return assert(client:get("/ok")) end)
      assert.are.equal("/echo", (t:join()))
      assert.are.same({}, (other:join()))
    end)
  end)

  it("keeps 400 transfers in flight from 100 tasks", function()
    local wide = modalua.connect(server.url, { max_inflight = 400, timeout = 60 })
    local answers = 0
    local tasks = {}
    for i = 1, 100 do
      tasks[i] = task.spawn(function()
        local inner = {}
        for k = 1, 4 do
          inner[k] = task.spawn(wide.get, wide, "/barrier", { n = 400 })
        end
        for k = 1, 4 do
          assert.are.same({}, (assert(inner[k]:join())))
          answers = answers + 1
        end
      end)
    end
    for i = 1, 100 do
      assert.is_nil(select(2, tasks[i]:join()))
    end
    assert.are.equal(400, answers)
  end)

  it("limits the transfers to max_inflight, across clients of one server", function()
    assert(client:post "/reset")
    local one, two = modalua.connect(server.url, { max_inflight = 2 }), modalua.connect(server.url, { max_inflight = 2 })
    local tasks = {}
    for i = 1, 8 do
      local c = i % 2 == 0 and one or two
      tasks[i] = task.spawn(c.get, c, "/barrier", { n = 2, name = "two" }) -- which fewer than two would not pass
    end
    for i = 1, 8 do
      assert.are.same({}, (assert(tasks[i]:join())))
    end
    assert.are.equal(2, assert(aside:get "/requests").peak)
  end)

  it("has a clock that never goes back", function()
    local before = task.now()
    task.sleep(0.01)
    assert.is_true(task.now() - before >= 0.01)
  end)
end)
