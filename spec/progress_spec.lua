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
    client = modalua.connect(server.url, { timeout = 5, retries = 0 })
    file = os.tmpname()
  end)

  teardown(function()
    server:close()
    os.remove(file)
  end)

  it("reports the received bytes, the total, and the end", function()
    local progress, told = listener()
    assert.are.equal(5, client:download("/drip?bytes=5&s=0.25", file, { progress = progress }))
    assert.is_true(#told >= 3)
    for i, p in ipairs(told) do
      assert.are.same({ "download", "bytes", i == #told }, { p.op, p.unit, p.over })
      assert.is_true(i == 1 or p.done >= told[i - 1].done and p.seconds >= told[i - 1].seconds)
    end
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
    assert.is_true(#told <= 12)
  end)

  it("can be false: then nothing is reported", function()
    assert.are.equal(1, client:download("/drip?bytes=1&s=0", file, { progress = false }))
  end)

  it("is reported to a function that may wait for other things", function()
    local seen = 0
    assert.are.equal(5, client:download("/drip?bytes=5&s=0.2", file, { progress = function()
      assert(client:get "/ok")
      task.sleep(0.01)
      seen = seen + 1
    end }))
    assert.is_true(seen >= 2)
    -- The download ends while its own progress function is waiting.
    assert.are.equal(2, client:download("/drip?bytes=2&s=0.2", file, { progress = function() task.sleep(0.5) end }))
  end)

  it("ends its operation with the error that its function throws", function()
    local began = task.now()
    local ok, err = pcall(client.download, client, "/drip?bytes=1000&s=0.1", file, { progress = function() error "enough" end })
    assert.is_false(ok)
    contains(err, "enough")
    assert.is_true(task.now() - began < 10)
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

    local code = ([[
      local client = require "modalua".connect()
      assert(client:download("/drip?bytes=10&s=0.1", %q, { progress = true }))
    ]])

    it("is drawn on a terminal, in one line, and removed at the end", function()
      local out = terminal(code:format(file) .. "print 'done'")
      local line = assert(out:match("\r\27%[K(download  %[[# ]+%] +%d+ %%  %d+ B of 10 B, [%d.]+ k?B/s  0:0%d)"), out)
      assert.is_true(#line < 60)
      assert.matches("\r\27%[Kdone\r?\n$", out)
      assert.is_nil(out:match "\r\27%[K.*\n.*\r\27%[K.*%%")
    end)

    it("can also be drawn from the arguments of a progress function", function()
      assert.matches("^x  %[###### +%]  50 %%  1 of 2 things  0:00\r\27%[K$", terminal([[
        local modalua = require "modalua"
        modalua.bar { op = "x", state = "Running", seconds = 0, done = 1, total = 2, unit = "things" }
        modalua.bar { op = "x", over = true }]]))
    end)

    it("is cut at the last column but one, where a Japanese character takes two columns", function()
      assert.matches("^" .. ("検"):rep(29) .. "\r\27%[K$", terminal([[
        local modalua = require "modalua"
        modalua.bar { op = ("検"):rep(40), state = "Running", seconds = 0 }
        modalua.bar { op = "x", over = true }]]))
    end)

    it("makes room for printed text and for errors", function()
      local out = terminal([[
        require "modalua.task".spawn(function() require "modalua.task".sleep(0.55) print "in between" end)
      ]] .. code:format(file))
      assert.matches("\r\27%[Kin between\r?\n", out)
    end)

    it("is removed when its operation is cancelled", function()
      local out = terminal(([[
        local task = require "modalua.task"
        local t = task.spawn(function() require "modalua".connect():download("/drip?bytes=100&s=0.1", %q, { progress = true }) end)
        task.sleep(0.5)
        t:cancel()
        t:join()
        io.write "plain\n"
      ]]):format(file))
      assert.matches("^download  .*\r\27%[Kplain\r?\n$", out)
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
      peer = dicomd.start()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary })
      client = modalua.connect(servers.LOCAL.url)
      at_local = modalua.connect(servers.PACS.url)
      assert(samples.store(at_local))
      assert(client:put("/modalities/slow", peer:modality "SLOW0.4"))
    end)

    teardown(function()
      servers:close()
      peer:close()
    end)

    it("of a move tells what it moves, and only what is known", function()
      local slow = client:modality "slow"
      local progress, told = listener()
      local found <close> = assert(slow:find { Level = "Study", Query = { PatientID = "FP*" } })
      assert(slow:move(found, { TargetAet = "ANY", progress = progress }))
      assert.is_true(#told >= 2)
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
        assert.is_true(p.unit == nil or p.unit == "instances")
      end
    end)

    it("of a move stops the server's job if its function throws an error", function()
      local slow = client:modality "slow"
      local found <close> = assert(slow:find { Level = "Study", Query = { PatientID = "FP*" } })
      local ok = pcall(slow.move, slow, found, { TargetAet = "ANY", progress = function() error "enough" end })
      assert.is_false(ok)
      assert.is_truthy(expect.eventually(function()
        for _, job in ipairs(assert(client:jobs { expand = true })) do
          if job.ErrorCode == 37 then -- the code of a cancelled job
            return true
          end
        end
      end))
    end)
  end)
end
