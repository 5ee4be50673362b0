-- Tests the progress of operations: reported to a function, or drawn as a bar.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local contains, fails = expect.contains, expect.fails

-- Returns a function for `progress`, and the list of the reports that it received.
local function listener()
  local told = {}
  return function(p) told[#told + 1] = p end, told
end

describe("progress", function()
  local server, client, file

  setup(function()
    server = faultd.start()
    client = modalua.connect(server.url, { timeout = 60, retries = 0 })
    file = os.tmpname()
  end)

  teardown(function()
    server:close()
    os.remove(file)
  end)

  it("reports the received bytes, the total, and the end", function()
    local listen, told = listener()
    local middle
    assert.are.equal(5, client:download("/hold?name=five&body=abcde&send=2", file, { progress = function(p)
      listen(p)
      if p.done == 2 and not middle then
        middle = p
        assert(client:get "/release?name=five")
      end
    end }))
    for i, p in ipairs(told) do
      assert.are.same({ "download", "bytes", i == #told }, { p.op, p.unit, p.over })
      assert.is_true(i == 1 or p.done >= told[i - 1].done and p.seconds >= told[i - 1].seconds)
    end
    assert.are.same({ 2, 5, "Running" }, { middle.done, middle.total, middle.state })
    local last = told[#told]
    assert.are.same({ 5, 5, "Success" }, { last.done, last.total, last.state })
  end)

  it("also reports the end of an operation that fails", function()
    local progress, told = listener()
    fails({ status = 404 }, client:download("/nosuch", file, { progress = progress }))
    assert.are.same({ "Failure", true }, { told[#told].state, told[#told].over })
    fails({ kind = "network" }, client:download("/short?say=100&send=50", file, { progress = progress }))
    assert.are.same({ 100, "Failure" }, { told[#told].total, told[#told].state })
    assert.is_true(told[#told].done <= 50)
  end)

  it("has no total if the server does not tell it", function()
    local progress, told = listener()
    assert.are.equal(3, client:download("/nolength?body=abc", file, { progress = progress }))
    assert.is_nil(told[#told].total)
    assert.are.equal(3, told[#told].done)
  end)

  it("is reported at most ten times a second", function()
    local progress, told = listener()
    assert.are.equal(50, client:download("/drip?bytes=50&s=0.02", file, { progress = progress }))
    assert.is_true(#told <= 2 + told[#told].seconds / 0.1, #told .. " times")
  end)

  it("can be false: then nothing is reported", function()
    assert.are.equal(1, client:download("/drip?bytes=1&s=0", file, { progress = false }))
  end)

  it("is reported to a function that may wait for other things", function()
    local seen = 0
    assert.are.equal(5, client:download("/hold?name=waits&body=abcde&send=2", file, { progress = function(p)
      assert(client:get(p.done == 2 and "/release?name=waits" or "/ok"))
      task.sleep(0.01)
      seen = seen + 1
    end }))
    assert.is_true(seen >= 2) -- in the middle, and at the end
    -- The download ends while its own progress function is waiting.
    assert.are.equal(2, client:download("/drip?bytes=2&s=0.2", file, { progress = function() task.sleep(0.5) end }))
  end)

  it("ends its operation with the error that its function throws", function()
    local ok, err = pcall(client.download, client, "/hold?name=never&body=ab&send=1", file, { progress = function() error "enough" end })
    assert.is_false(ok)
    contains(err, "enough")
    assert.is_nil(io.open(file .. ".part"))
  end)

  it("ends with its task", function()
    local progress, told = listener()
    local download = task.spawn(client.download, client, "/drip?bytes=1000&s=0.1", file, { progress = progress })
    assert.is_truthy(expect.eventually(function() return #told > 1 end))
    download:cancel()
    fails({ kind = "cancelled" }, download:join())
    local n = #told
    task.sleep(0.4)
    assert.are.equal(n, #told)
  end)

  describe("as a bar", function()
    -- Returns what a terminal of 60 columns shows.
    local function terminal(code)
      local script = command.file(code)
      local run = command.shell(([[script -qec "stty cols 60; '$M' -u %s %s" /dev/null </dev/null]]):format(server.url, script))
      os.remove(script)
      assert.are.equal(0, run.status, run.out .. run.err)
      return run.out
    end

    local NEW_ROW <const> = (" "):rep(60) .. "\r\27%[K"

    local code = ([[
      local client = require "modalua".connect()
      assert(client:download("/drip?bytes=10&s=0.1", %q, { progress = true }))
    ]])

    -- Code whose task t downloads "ab" with a bar, and which goes on when the bar shows the first byte. The server holds the other one.
    local function with_bar(name)
      return ([[
        local client, task, file = require "modalua".connect(), require "modalua.task", %q
        local t = task.spawn(function() client:download("/hold?name=%s&body=ab&send=1", file, { progress = true }) end)
        local part
        repeat
          task.sleep(0.01)
          part = io.open(file .. ".part")
        until part and part:read "a" == "a"
        task.sleep(0.5) -- the report of it comes after 0.1 s at the latest
      ]]):format(file, name)
    end

    it("is drawn on a terminal, in one line, and removed at the end", function()
      local out = terminal(code:format(file) .. "print 'done'")
      local line = assert(out:match("\r\27%[K(download  %[[# ]+%] +%d+ %%  %d+ B of 10 B, [%d.]+ k?B/s  0:0%d)"), out)
      assert.is_true(#line < 60)
      assert.matches("\r\27%[Kdone\r?\n$", out)
      assert.is_nil(out:match "\r\27%[K.*\n.*\r\27%[K.*%%")
    end)

    it("can also be drawn from the arguments of a progress function", function()
      assert.matches("^" .. NEW_ROW .. "x  %[###### +%]  50 %%  1 of 2 things  0:00\r\27%[K$", terminal([[
        local modalua = require "modalua"
        modalua.bar { op = "x", state = "Running", seconds = 0, done = 1, total = 2, unit = "things" }
        modalua.bar { op = "x", over = true }]]))
    end)

    it("is drawn from the fields that are known, and names one of a wrong type", function()
      assert.matches("^" .. NEW_ROW .. "x  %[###### +%]  50 %%  1 of 2\r\27%[K7 B\r\27%[K$", terminal [[
        local bar = require "modalua".bar
        bar { op = "x", done = 1, total = 2 }
        bar { done = 7, seconds = 0/0, total = 1/0, unit = "bytes" }
        bar {}]])
      for given, message in pairs { ["nil"] = "bar: a table such as { op = \"move\", done = 1, total = 2 } is expected (a nil was given)",
        ["{ done = 'a' }"] = "bar: field 'done' must be a number (a string was given)",
        ["{ op = 1 }"] = "bar: field 'op' must be a string (a number was given)" } do
        local result = command.run("-e", ('print(pcall(require "modalua".bar, %s))'):format(given))
        assert.are.same({ "false\t(command line):1: " .. message .. "\n", "" }, { result.out, result.err })
      end
    end)

    it("begins in a row of its own, behind a part of a line, and is drawn again only when it has changed", function()
      for _, write in ipairs { 'io.write "part"', 'io.write "part" io.stdout:flush()', 'io.stderr:write "part"' } do
        local out = terminal(write .. [[
          for _, done in ipairs { 1, 1, 2, 2 } do
            require "modalua".bar { op = "x", state = "Running", seconds = 0, done = done, total = 2 }
          end]])
        assert.matches("^part" .. NEW_ROW .. "x  ", out)
        assert.are.same({ 1, 1, 1 }, { (select(2, out:gsub("1 of 2", ""))), (select(2, out:gsub("2 of 2", ""))),
          (select(2, out:gsub("   \r", ""))) })
      end
    end)

    it("is cut at the last column but one, where a Japanese character takes two columns", function()
      assert.matches("^" .. NEW_ROW .. ("検"):rep(29) .. "\r\27%[K$", terminal([[
        local modalua = require "modalua"
        modalua.bar { op = ("検"):rep(40), state = "Running", seconds = 0 }
        modalua.bar { op = "x", over = true }]]))
    end)

    it("makes room for printed text and for errors", function()
      local out = terminal(with_bar "print" .. [[
        print "in between"
        client:get "/release?name=print"
        assert(t:join() == nil)]])
      assert.matches("^" .. NEW_ROW .. "download  .*\r\27%[Kin between\r?\n", out)
    end)

    it("is removed when its operation is cancelled", function()
      local out = terminal(with_bar "cancel" .. [[
        t:cancel()
        t:join()
        io.write "plain\n"]])
      assert.matches("^" .. NEW_ROW .. "download  .*\r\27%[Kplain\r?\n$", out)
    end)

    it("is not drawn without a terminal", function()
      local run = command.run("-u", server.url, "-e", (code:format(file)))
      assert.are.same({ 0, "", "" }, { run.status, run.out, run.err })
    end)

    it("is drawn in stock Lua too", function()
      local script = command.file(code:format(file):gsub("connect%(%)", ("connect(%q)"):format(server.url)))
      local out = command.shell(([[cd "$(dirname "$M")/../module"
        export ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD="$(ldd modalua.so | sed -n 's/.*=> \(.*libasan[^ ]*\).*/\1/p')"
        script -qec 'lua5.4 %s' /dev/null </dev/null]]):format(script)).out
      os.remove(script)
      assert.matches("\r\27%[Kdownload  %[", out)
    end)
  end)
end)

for _, version in ipairs(versions) do
  describe("progress, with the Orthanc " .. version.name, function()
    local servers, peer, client, at_local

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" },
        { binary = version.binary, verbose = true, extra = { DicomScuTimeout = 60 } })
      client = modalua.connect(servers.LOCAL.url)
      at_local = modalua.connect(servers.PACS.url)
      assert(samples.store(at_local))
    end)

    teardown(function()
      servers:close()
    end)

    before_each(function()
      peer = dicomd.start()
      assert(client:put("/modalities/held", peer:modality "HELD"))
    end)

    after_each(function()
      peer:let()
      peer:close()
    end)

    it("of a move tells what it moves, and only what is known", function()
      local held = client:modality "held"
      local listen, told = listener()
      local found <close> = assert(held:find { Level = "Study", Query = { PatientID = "FP*" } })
      assert(held:move(found, { TargetAet = "ANY", progress = function(p)
        listen(p)
        if #told == 2 then
          peer:let()
        end
      end }))
      assert.is_true(#told >= 3)
      for i = 1, #told - 1 do
        assert.are.same({ "move", #found.answers, "resources", false }, { told[i].op, told[i].total, told[i].unit, told[i].over })
        assert.is_nil(told[i].done)
        assert.is_true(i == 1 or told[i].seconds - told[i - 1].seconds > 0.09)
      end
      assert.are.same({ "Success", #found.answers, true }, { told[#told].state, told[#told].done, told[#told].over })
    end)

    it("of move_resources counts the finished and the failed ones", function()
      local pacs = client:modality "pacs"
      local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-0001" } })
      local progress, told = listener()
      assert(pacs:move_resources("Study", found.answers, { to = "archive", progress = progress }))
      local last = told[#told]
      assert.are.same({ "move_resources", 3, 3, 0, "Success", true },
        { last.op, last.done, last.total, last.failed, last.state, last.over })
      for i = 2, #told do
        assert.is_true(told[i].done >= told[i - 1].done)
        assert.are.equal(i == #told, told[i].over)
      end
      progress, told = listener()
      fails({ kind = "dicom" }, pacs:move_resources("Study", { found.answers[1], { StudyInstanceUID = "1.2.3.4" } },
        { to = "archive", progress = progress }))
      assert.are.same({ 2, 2, 1, "Failure" }, { told[#told].done, told[#told].total, told[#told].failed, told[#told].state })
      local outcomes = {}
      for _, p in ipairs(told) do
        outcomes[#outcomes + 1] = p.outcome
      end
      assert.are.equal(2, #outcomes)
      assert.are.equal(found.answers[1].StudyInstanceUID, outcomes[1].resource.StudyInstanceUID)
      assert.is_table(outcomes[1].result)
      assert.are.equal("dicom", outcomes[2].error.kind)
    end)

    it("of a store counts instances; the progress of a job is that of its operation", function()
      local ids = assert(at_local:get "/studies")
      local progress, told = listener()
      assert(at_local:modality("archive"):store(ids, { progress = progress }))
      assert.are.equal("Success", told[#told].state)
      local handle = assert(at_local:modality("archive"):store(ids, { Synchronous = false }))
      progress, told = listener()
      assert(at_local:job(handle):wait { progress = progress })
      assert.are.same({ "wait", "Success", true }, { told[#told].op, told[#told].state, told[#told].over })
      for _, p in ipairs(told) do
        assert.are.same({ "instances", 94, p.over and 94 or nil }, { p.unit, p.total, p.done })
      end
    end)

    it("of a move stops the server's job if its function throws an error", function()
      local held = client:modality "held"
      local found <close> = assert(held:find { Level = "Study", Query = { PatientID = "FP*" } })
      local ok = pcall(held.move, held, found, { TargetAet = "ANY", progress = function() error "enough" end })
      assert.is_false(ok)
      assert.is_truthy(expect.eventually(function() return servers.LOCAL:count_logged "Canceling job: " == 1 end))
    end)
  end)
end
