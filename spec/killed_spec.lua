-- Tests a server that dies during an operation: every operation ends with an error that says so.
local big = require "spec.support.big"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local served = require "spec.support.served"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local PATIENCE <const> = 4 -- seconds for which a client waits for a server that may come back
local STUDY <const> = { StudyInstanceUID = "1.2.3" }

-- How an operation ends if the server died while it handled the first request. A read was retried without success. A search is sent only
-- once. A change too, and its outcome is unknown. A C-MOVE starts with a read: nothing was sent, so it can be tried again.
local READ <const> = { "network", "no_connection", true }
local SEARCH <const> = { "network", "connection_lost", false }
local CHANGE <const> = { "unknown", "network", false }

for _, version in ipairs(versions) do
  describe("The Orthanc " .. version.name .. ", killed", function()
    local server, peer, folder, client, pacs

    setup(function()
      folder = served.folder "killed"
      served.write_file(folder .. "/source", "not DICOM, which the server does not live to see")
      peer = dicomd.start()
      server = orthanc.start { binary = version.binary, aet = "LOCAL",
        modalities = { pacs = peer:modality "OK3", held = peer:modality "HELD" },
        extra = { OrthancPeers = { far = { "http://127.0.0.1:1/" } }, DicomScuTimeout = 60, SaveJobs = false } }
      client = modalua.connect(server.url, { timeout = 60, max_inflight = 100 })
      pacs = client:modality("pacs", { max_moves = 100 })
      assert(samples.store(client))
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
    end)

    after_each(function()
      server:stop "KILL" -- needed if a test failed before it stopped the server
    end)

    -- Stops the server by a signal, and waits until all its threads have received it.
    local function stop()
      assert(server:signal "STOP")
      assert.is_truthy(expect.eventually(function()
        local file <close> = assert(io.open(("/proc/%d/stat"):format(server.pid)))
        return file:read("a"):match "^%d+ %(.*%) (%a)" == "T"
      end))
    end

    local function nothing_at(path)
      assert.is_nil(io.open(path))
      assert.is_nil(io.open(path .. ".part"))
    end

    it("during any operation causes an error", function()
      local target, id = folder .. "/target", assert(client:get "/studies")[1]
      local found = assert(pacs:find { Level = "Study", Query = { PatientID = "FP*" } })
      local move = { TargetAet = "ANY" }
      local operations = {
        echo = { READ, function() return pacs:echo() end },
        find = { SEARCH, function() return pacs:find { Level = "Study", Query = { PatientID = "FP*" } } end },
        get_query_answers = { READ, function() return pacs:get_query_answers(found.ID) end },
        move = { READ, function() return pacs:move(found, move) end },
        ["move, synchronous"] = { READ, function() return pacs:move(found, { TargetAet = "ANY", Synchronous = true }) end },
        move_resources = { READ, function() return pacs:move_resources("Study", STUDY, move) end },
        store = { CHANGE, function() return pacs:store(id) end },
        store_straight = { CHANGE, function() return pacs:store_straight(folder .. "/source") end },
        find_each = { SEARCH, function() return pacs:find_each("AccessionNumber", { "A1", "A2" }, { limit = 1 }) end },
        series = { SEARCH, function() return pacs:series(STUDY, {}) end },
        find_worklist = { SEARCH, function() return pacs:find_worklist { PatientID = "" } end },
        storage_commitment = { READ, function() return pacs:storage_commitment(id) end },
        configure = { READ, function() return pacs:configure { Timeout = 3 } end },
        remove = { CHANGE, function() return pacs:remove() end },
        ["query:answers"] = { READ, function() return client:query(found.ID):answers() end },
        ["peer:store"] = { CHANGE, function() return client:peer("far"):store(id) end },
        ["client:find"] = { READ, function() return client:find { Level = "Study", Query = {} } end },
        changes = { READ, function() return pcall(function() for _ in client:changes { follow = true, patience = 1 } do end end) end },
        download = { READ, function() return client:download("/studies/" .. id .. "/archive", target) end },
        upload = { CHANGE, function() return client:upload(folder .. "/source") end },
        get = { READ, function() return client:get "/statistics" end },
        post = { SEARCH, function() return client:post("/tools/lookup", "1.2.3") end },
        ["post, a change"] = { CHANGE, function() return client:post("/tools/reset", {}) end },
      }
      if version.number >= 11206 then -- the first version that has C-GET
        operations.c_get = { READ, function() return pacs:get("Study", STUDY) end }
      end
      assert(client:system()) -- now the client knows the version and does not ask again
      stop()
      local running, n = {}, 0
      for name, row in pairs(operations) do
        running[name], n = task.spawn(row[2]), n + 1
      end
      assert.is_truthy(expect.eventually(function() return server:unread_requests() == n end))
      server:stop "KILL"
      for name, t in pairs(running) do
        local ok, err = t:join()
        local expected = operations[name][1]
        assert.are.equal((name == "echo" or name == "changes") and "false" or "nil", tostring(ok), name)
        assert.is_true(modalua.is_error(err), name .. ": " .. tostring(err))
        assert.are.same(expected, { err.kind, err.code, err.retryable }, name)
      end
      nothing_at(target)
    end)

    it("while a script waits for a transfer, a job or a commitment leaves the outcome unknown, and the error names the job", function()
      local brief = modalua.connect(server.url, { timeout = PATIENCE })
      local held, id = brief:modality "held", assert(client:get "/studies")[1]
      local found = assert(held:find { Level = "Study", Query = { PatientID = "FP*" } })
      local job, commitment = assert(held:store(id, { Synchronous = false })).ID, assert(pacs:storage_commitment(id)).id
      local seen, waits = {}, {
        move = function(options) return held:move(found, options) end,
        job = function(options) return brief:job(job):wait(options) end,
        commitment = function(options) return brief:commitment(commitment):wait(options) end,
      }
      local running = {}
      for name, wait in pairs(waits) do
        running[name] = task.spawn(wait, { progress = function() seen[name] = true end })
      end
      assert.is_truthy(expect.eventually(function() return seen.move and seen.job and seen.commitment end))
      server:stop "KILL"
      for name, t in pairs(running) do
        local ok, err = t:join()
        assert.is_nil(ok, name)
        assert.are.same({ "unknown", "network", name ~= "move" }, { err.kind, err.code, err.retryable }, name)
        expect.contains(err.message, name == "commitment" and "goes on waiting" or "is not known")
      end
      assert.are.equal(job, select(2, running.job:join()).job)
      assert.is_string(select(2, running.move:join()).job)
    end)

    it("during the download of an archive without a length leaves no file", function()
      local target, instance = folder .. "/target", "/instances/" .. assert(client:get "/instances")[1]
      local uid = assert(client:get(instance)).MainDicomTags.SOPInstanceUID
      big.write(folder .. "/big", assert(client:get(instance .. "/file")), uid, 99, 32)
      local study = assert(client:upload(folder .. "/big")).ParentStudy
      expect.fails({ kind = "network" }, client:download("/studies/" .. study .. "/archive", target, { progress = function(p)
        if p.done and p.done > 0 and server.pipe then
          server:stop "KILL"
        end
      end }))
      nothing_at(target)
    end)
  end)
end
