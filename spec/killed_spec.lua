-- A server that dies in the middle of an operation: whatever it was, it ends soon, in an error.
local big = require "spec.support.big"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local served = require "spec.support.served"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local WATCHDOG = 20 -- seconds
local TIMEOUT = 2   -- of the client, which waits that long for a server that may come back

local function result_of(t)
  local results = table.pack(t:join())
  return results[1], results[2]
end

for _, version in ipairs(versions) do
  describe("The Orthanc " .. version.name .. ", killed", function()
    local server, peer, folder, client, pacs, id, found, job

    setup(function()
      folder = served.folder "killed"
      served.write_file(folder .. "/source", "no DICOM, but nobody will look at it")
      peer = dicomd.start()
      server = orthanc.start { binary = version.binary, aet = "LOCAL",
        modalities = { pacs = peer:modality "OK3", slow = peer:modality "SLOW5" },
        extra = { OrthancPeers = { far = { "http://127.0.0.1:1/" } }, DicomScuTimeout = 60 } }
      client = modalua.connect(server.url, { timeout = TIMEOUT })
      pacs = client:modality "pacs"
      assert(samples.store(client))
      id = assert(client:get "/studies")[1]
      assert(client:system())
    end)

    teardown(function()
      server:close()
      peer:close()
      os.execute(("rm -rf -- '%s'"):format(folder))
    end)

    before_each(function()
      if not server.pipe then
        server:start_again()
      end
      found = assert(pacs:find { Level = "Study", Query = { PatientID = "FP*" } })
      job = assert(client:modality("slow"):store(id, { Synchronous = false }))
    end)

    -- The server stops when all its threads have seen the signal.
    local function stop()
      assert(server:signal "STOP")
      assert.is_truthy(expect.eventually(function()
        local file <close> = assert(io.open(("/proc/%d/stat"):format(server.pid)))
        return file:read("a"):match "^%d+ %(.*%) (%a)" == "T"
      end))
    end

    -- The server stops for good while it has the operation's request: the kernel takes it, nobody answers, and then all is gone.
    local function dies_during(f)
      stop()
      local t = task.spawn(f)
      local asleep = task.spawn(function()
        task.sleep(0.15)
        server:stop "KILL"
      end)
      local began = task.now()
      local ok, err = result_of(t)
      local seconds = task.now() - began
      asleep:join()
      assert.is_true(ok == nil or ok == false, "it succeeded")
      assert.is_true(modalua.is_error(err), tostring(err))
      assert.is_true(seconds < WATCHDOG, ("it took %.1f s"):format(seconds))
      return err
    end

    local target = function() return folder .. "/target" end
    local STUDY <const> = { StudyInstanceUID = "1.2.3" }

    local operations = {
      echo = function() return pacs:echo() end,
      find = function() return pacs:find { Level = "Study", Query = { PatientID = "FP*" } } end,
      get_query_answers = function() return pacs:get_query_answers(found.ID) end,
      move = function() return pacs:move(found, { TargetAet = "ANY" }) end,
      ["move, synchronous"] = function() return pacs:move(found, { TargetAet = "ANY", Synchronous = true }) end,
      move_resources = function() return pacs:move_resources("Study", STUDY, { TargetAet = "ANY" }) end,
      store = function() return pacs:store(id) end,
      store_straight = function() return pacs:store_straight(folder .. "/source") end,
      find_each = function() return pacs:find_each("AccessionNumber", { "A1", "A2" }) end,
      series = function() return pacs:series(STUDY, {}) end,
      find_worklist = function() return pacs:find_worklist { PatientID = "" } end,
      storage_commitment = function() return pacs:storage_commitment(id) end,
      ["commitment:wait"] = function() return client:commitment("1.2.3"):wait() end,
      configure = function() return pacs:configure { Timeout = 3 } end,
      remove = function() return pacs:remove() end,
      ["query:answers"] = function() return client:query(found.ID):answers() end,
      ["job:wait"] = function() return client:job(job):wait() end,
      ["peer:store"] = function() return client:peer("far"):store(id) end,
      ["client:find"] = function() return client:find { Level = "Study", Query = {} } end,
      changes = function() return pcall(function() for _ in client:changes { follow = true, patience = 1 } do end end) end,
      download = function() return client:download("/studies/" .. id .. "/archive", target()) end,
      upload = function() return client:upload(folder .. "/source") end,
      get = function() return client:get "/statistics" end,
      post = function() return client:post("/tools/lookup", "1.2.3") end,
    }
    if version.number >= 11206 then -- the first that knows C-GET
      operations.c_get = function() return pacs:get("Study", STUDY) end
    end

    for name, operation in pairs(operations) do
      it("during " .. name .. " is an error, soon", function()
        local err = dies_during(operation)
        assert.is_truthy(({ network = true, timeout = true, unknown = true })[err.kind], tostring(err))
        assert.is_nil(io.open(target()))
        assert.is_nil(io.open(target() .. ".part"))
      end)
    end

    it("while a job is waited for leaves its outcome unknown, and names it", function()
      local slow = client:modality "slow"
      local answers = assert(slow:find { Level = "Study", Query = { PatientID = "FP*" } })
      local before = #peer:log()
      local t = task.spawn(slow.move, slow, answers, { TargetAet = "ANY" })
      assert.is_truthy(expect.eventually(function() return peer:log():find("C%-MOVE", before + 1) end))
      server:stop "KILL"
      local began = task.now()
      local ok, err = result_of(t)
      assert.is_nil(ok)
      assert.is_true(task.now() - began < WATCHDOG)
      assert.are.equal(false, err.retryable or false)
      if version.binary then
        assert.is_string(err.job)
        expect.contains(err.message, "is not known")
      end
    end)

    -- The last: the others do without its megabytes.
    it("in the middle of an archive, whose length nobody knows, leaves no file", function()
      local instance = "/instances/" .. assert(client:get "/instances")[1]
      local uid = assert(client:get(instance)).MainDicomTags.SOPInstanceUID
      big.write(folder .. "/big", assert(client:get(instance .. "/file")), uid, 99, 32)
      local study = assert(client:upload(folder .. "/big")).ParentStudy
      expect.fails({ kind = "network" }, client:download("/studies/" .. study .. "/archive", target(), { progress = function(p)
        if p.done and p.done > 0 and server.pipe then
          server:stop "KILL"
        end
      end }))
      assert.is_nil(io.open(target()))
      assert.is_nil(io.open(target() .. ".part"))
    end)
  end)
end
