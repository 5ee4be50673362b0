-- How transfers run: as jobs that are waited for, in turn, and stopped with their task; against real servers, and against faultd where a
-- moment has to be met that a real one passes too fast.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local json = modalua.json
local orthanc = require "spec.support.orthanc"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local function eventually(f)
  return assert(expect.eventually(f), "it never happened")
end

for _, version in ipairs(versions) do
  describe("A transfer, with the Orthanc " .. version.name, function()
    local server, peer, client

    before_each(function()
      peer = dicomd.start()
      server = orthanc.start { binary = version.binary, aet = "LOCAL", extra = { DicomScuTimeout = 20, JobsHistorySize = 100 },
        modalities = { slow = peer:modality "SLOW0.2", slower = peer:modality "SLOW0.8", quick = peer:modality "OK3" } }
      client = modalua.connect(server.url)
    end)

    after_each(function()
      server:close()
      peer:close()
    end)

    local function find(name)
      return assert(client:modality(name):find { Level = "Study", Query = { PatientID = "FP*" } })
    end

    local function states()
      local list = {}
      for i, job in ipairs(assert(client:jobs { expand = true })) do
        list[i] = job.State
      end
      return list
    end

    it("has no limit of its own, and one that is given leaves the job running", function()
      local impatient = modalua.connect(server.url, { timeout = 0.2 })
      local found = find "slow"
      local none, err = client:modality("slow"):move(found, { TargetAet = "ANY", wait_timeout = 0.3 })
      assert.is_nil(none)
      assert.are.same({ "timeout", true, "/queries/" .. found.ID .. "/retrieve" }, { err.kind, err.still_running, err.path })
      assert.are.equal("Running", assert(client:job(err.job):status()).State)
      assert.is_table(assert(client:job(err.job):wait()))
      assert.is_table(assert(impatient:modality("slow"):move(found, { TargetAet = "ANY" })))
    end)

    it("is stopped on the server when its task is cancelled", function()
      local found = find "slow"
      local t = task.spawn(function() return client:modality("slow"):move(found, { TargetAet = "ANY" }) end)
      eventually(function() return peer:log():find "C%-MOVE" end)
      t:cancel()
      local none, err = t:join()
      assert.are.same({ nil, "cancelled" }, { none, err.kind })
      local id = assert(client:jobs())[1]
      none, err = client:job(id):wait()
      assert.are.same({ nil, "job_cancelled", 37 }, { none, err.code, err.orthanc_status })
      assert.are.equal(1, select(2, peer:log():gsub("C%-MOVE", "")))
    end)

    it("waits for its turn: two at once with one modality, or as many as max_moves says", function()
      local function most(options, blocking)
        local found, seen, running, tasks = find "slow", 0, true, {}
        for i = 1, 4 do
          tasks[i] = task.spawn(function() -- each with a handle and a client of its own
            local slow = modalua.connect(server.url):modality("slow", options)
            return assert(slow:move(found, { TargetAet = "ANY", Synchronous = i <= blocking or nil }))
          end)
        end
        local watch = task.spawn(function()
          while running do
            local unfinished = 0
            for _, state in ipairs(states()) do
              unfinished = unfinished + ((state == "Running" or state == "Pending") and 1 or 0)
            end
            seen = math.max(seen, unfinished)
            task.sleep(0.01)
          end
        end)
        for _, t in ipairs(tasks) do
          assert(t:join())
        end
        running = false
        watch:join()
        return seen
      end
      assert.are.equal(2, most(nil, 2))
      assert.are.equal(4, most({ max_moves = 4 }, 0))
    end)

    it("that waits for its turn can be cancelled, and can run out of time", function()
      local found = find "slower"
      local moves = {}
      for i = 1, 2 do
        moves[i] = task.spawn(function() return client:modality("slower"):move(found, { TargetAet = "ANY" }) end)
      end
      eventually(function() return select(2, peer:log():gsub("C%-MOVE", "")) == 2 or #states() == 2 end)
      local none, err = client:modality("slower"):move(found, { TargetAet = "ANY", wait_timeout = 0.1 })
      assert.are.same({ nil, "timeout", "not_started" }, { none, err.kind, err.code })
      assert.is_nil(err.still_running)
      local t = task.spawn(function() return client:modality("slower"):move(found, { TargetAet = "ANY" }) end)
      task.sleep(0.05)
      t:cancel()
      assert.are.equal("cancelled", select(2, t:join()).kind)
      assert.are.equal(2, #states())
      for _, move in ipairs(moves) do
        move:cancel()
      end
    end)

    it("works where a script cannot wait for its turn", function()
      local found = find "slow"
      local beside = task.spawn(function() return client:modality("slow", { max_moves = 1 }):move(found, { TargetAet = "ANY" }) end)
      eventually(function() return #states() == 1 end)
      local moved
      string.gsub("x", "x", function() moved = client:modality("slow", { max_moves = 1 }):move(found, { TargetAet = "ANY" }) end)
      assert.is_table(moved)
      assert.is_table(beside:join())
      local echoed = {}
      table.sort({ 2, 1 }, function(a, b)
        echoed[#echoed + 1] = client:modality("quick"):echo()
        return a < b
      end)
      assert.is_true(echoed[1])
    end)

    it("that an earlier run has left behind is waited for, not sent again", function()
      if version.number < 11101 then
        return -- there such a move is no job
      end
      local row = { StudyInstanceUID = "1.2.3.0" }
      assert(client:post("/modalities/slower/move",
        { Level = "Study", Resources = json.array { row }, TargetAet = "ANY", Asynchronous = true }))
      local again = modalua.connect(server.url):modality "slower"
      assert.are.equal("ANY", assert(again:move_resources("Study", row, { TargetAet = "ANY" }))[1].result.TargetAet)
      assert.are.equal(1, select(2, peer:log():gsub("C%-MOVE", "")))
      assert(again:move_resources("Study", row, { TargetAet = "OTHER" }))
      assert.are.equal(2, select(2, peer:log():gsub("C%-MOVE", "")))
      assert(again:move_resources("Study", row, { TargetAet = "ANY" })) -- a new move, which that old job says nothing of
      assert.are.equal(3, select(2, peer:log():gsub("C%-MOVE", "")))
    end)

    it("survives the server's restart, or says that its outcome is not known", function()
      local found = find "slower"
      local t = task.spawn(function() return client:modality("slower"):move(found, { TargetAet = "ANY" }) end)
      eventually(function() return peer:log():find "C%-MOVE" end)
      server:stop "TERM"
      server:start_again()
      local moved, err = t:join()
      if not moved then
        assert.are.same({ "unknown", "unproven" }, { err.kind, err.code })
        assert.is_string(err.job)
      end
    end)

    it("ends when the server is gone for good", function()
      local impatient = modalua.connect(server.url, { timeout = 0.5 })
      local found = assert(impatient:modality("slower"):find { Level = "Study", Query = { PatientID = "FP*" } })
      local t = task.spawn(function() return impatient:modality("slower"):move(found, { TargetAet = "ANY" }) end)
      eventually(function() return peer:log():find "C%-MOVE" end)
      server:signal "KILL"
      local start = task.now()
      local moved, err = t:join()
      assert.is_nil(moved)
      assert.are.equal("network", err.kind)
      assert.matches("what becomes of the job " .. err.job:gsub("%-", "%%-") .. " is not known", err.message)
      assert.is_true(task.now() - start < 10)
    end)

    it("of a synchronous call that is cut off says that the outcome is not known", function()
      local found = find "slower"
      local t = task.spawn(function() return client:modality("slower"):move(found, { TargetAet = "ANY", Synchronous = true }) end)
      eventually(function() return peer:log():find "C%-MOVE" end)
      server:signal "KILL"
      local moved, err = t:join()
      assert.is_nil(moved)
      assert.are.same({ "network", "connection_lost", false }, { err.kind, err.code, err.retryable })
      assert.matches("whether the server has carried it out is not known", err.message)
    end)
  end)
end

describe("A transfer", function()
  local ID = "12345678-1234-1234-1234-123456789abc"
  local HANDLE = json.encode { ID = ID, Path = "/jobs/" .. ID }
  local QUERY = "87654321-1234-1234-1234-123456789abc"
  local server, client

  local function answer(path, value, seconds)
    local body = type(value) == "string" and value or json.encode(value)
    return { path = path, to = faultd.route("/delay", { s = seconds or 0, body = body }) }
  end

  local function start(...)
    server = faultd.start {
      { path = "/queries/" .. QUERY .. "/level", to = faultd.route("/status", { code = 200, type = "text/plain", body = "Study" }) },
      { path = "/queries/" .. QUERY .. "/modality", to = faultd.route("/status", { code = 200, type = "text/plain", body = "pacs" }) },
      answer("/queries/" .. QUERY .. "/query", { ["0010,0020"] = "X" }),
      answer("/queries/" .. QUERY .. "/answers", json.array { "0", "1" }), ... }
    client = modalua.connect(server.url)
  end

  after_each(function()
    server:close()
  end)

  local function count(path)
    return assert(client:get("/count", { of = path }))
  end

  local function move(options)
    return client:modality("pacs"):move(QUERY, options)
  end

  it("that is cancelled before the server has named its job is stopped once it has", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE, 0.3))
    local t = task.spawn(move)
    eventually(function() return count("/queries/" .. QUERY .. "/retrieve") == 1 end)
    local start_of_cancel = task.now()
    t:cancel()
    assert.are.equal("cancelled", select(2, t:join()).kind)
    assert.is_true(task.now() - start_of_cancel < 0.25) -- nobody waits for that
    eventually(function() return count("/jobs/" .. ID .. "/cancel") == 1 end)
    assert.are.equal(0, count("/jobs/" .. ID))
  end)

  it("is stopped on the server too by Ctrl-C and by a time limit", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Running" }))
    local script = command.file(("require 'modalua'.connect(%q):modality 'pacs':move(%q)"):format(server.url, QUERY))
    assert.are.equal(1, command.run("--time-limit", "0.3", script).status)
    assert.are.equal(1, count("/jobs/" .. ID .. "/cancel"))
    local result = command.shell(('"$M" %s & p=$!; sleep 0.3; kill -INT $p; wait $p'):format(script))
    os.remove(script)
    assert.are.equal(130, result.status)
    assert.are.equal(2, count("/jobs/" .. ID .. "/cancel"))
  end)

  it("asks often at first, then every half second at most", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Running" }))
    local none, err = move { wait_timeout = 1 }
    assert.are.same({ nil, "timeout", true, ID }, { none, err.kind, err.still_running, err.job })
    local polls = count("/jobs/" .. ID)
    assert.is_true(polls > 5 and polls < 60, polls)
  end)

  it("puts up with a server that stumbles while it is asked", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), { path = "/jobs/" .. ID, to = "/drop", times = 2 },
      { path = "/jobs/" .. ID, to = faultd.route("/status", { code = 503 }), times = 2 },
      answer("/jobs/" .. ID, { ID = ID, State = "Success", Content = { Description = "done" } }))
    assert.are.same({ Description = "done" }, move())
  end)

  it("never takes a half success for one", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE),
      answer("/jobs/" .. ID, { ID = ID, State = "Success",
        Content = { Details = json.array { { DimseErrorStatus = 0 }, { DimseErrorStatus = 0xB000 } } } }))
    local none, err = move()
    assert.are.same({ nil, "dicom", "incomplete", 0xB000, ID }, { none, err.kind, err.code, err.dimse_status, err.job })
    assert.is_table(err.result.Details)
    server:close()
    start(answer("/modalities/pacs/store", HANDLE),
      answer("/jobs/" .. ID, { ID = ID, State = "Success", Content = { InstancesCount = 3, FailedInstancesCount = 1 } }))
    none, err = client:modality("pacs"):store("ffffffff-ffffffff-ffffffff-ffffffff-ffffffff")
    assert.are.same({ nil, "dicom", "incomplete" }, { none, err.kind, err.code })
  end)

  it("is sent once, on a connection of its own, whatever becomes of it", function()
    start({ path = "/queries/" .. QUERY .. "/retrieve", to = "/drop" })
    local none, err = move()
    assert.are.same({ nil, "network", false }, { none, err.kind, err.retryable })
    assert.are.equal(1, count("/queries/" .. QUERY .. "/retrieve"))
  end)

  it("whose job makes no sense is an error", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, "[]"))
    local none, err = move()
    assert.are.same({ nil, "decode", ID }, { none, err.kind, err.job })
  end)

  it("that ends in a thrown error gives its place back at once", function()
    start({ path = "/modalities/pacs/store", to = faultd.route("/big", { bytes = 257 << 20 }) })
    collectgarbage "stop"
    local pacs, id, tasks = client:modality("pacs", { max_moves = 1 }), "ffffffff-ffffffff-ffffffff-ffffffff-ffffffff", {}
    for i = 1, 2 do
      tasks[i] = task.spawn(pacs.store, pacs, id, { Synchronous = true })
    end
    for i = 1, 2 do
      assert.are.equal("limit", select(2, tasks[i]:join()).kind)
    end
    collectgarbage "restart"
  end)

  it("keeps its place until the server has been told to stop it", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Running" }),
      { path = "/jobs/" .. ID .. "/cancel", to = faultd.route("/delay", { s = 0.3 }) })
    local pacs = client:modality("pacs", { max_moves = 1 })
    local first = task.spawn(pacs.move, pacs, QUERY)
    eventually(function() return count("/jobs/" .. ID) > 0 end)
    local second = task.spawn(pacs.move, pacs, QUERY)
    first:cancel()
    first:join()
    eventually(function() return count("/jobs/" .. ID .. "/cancel") == 1 end)
    assert.are.equal(1, count("/queries/" .. QUERY .. "/retrieve"))
    eventually(function() return count("/queries/" .. QUERY .. "/retrieve") == 2 end)
    second:cancel()
  end)

  it("is named even when wait_timeout runs out while it is submitted, and not submitted when it already has", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE, 0.4), answer("/jobs/" .. ID, { ID = ID, State = "Running" }))
    local none, err = move { wait_timeout = 0.1 }
    assert.are.same({ nil, "timeout", true, ID }, { none, err.kind, err.still_running, err.job })
    server:close()
    start()
    local modality = "/queries/" .. QUERY .. "/modality"
    assert(client:get(faultd.map { path = modality }))
    assert(client:get(faultd.map(answer(modality, json.encode "pacs", 0.2))))
    none, err = move { wait_timeout = 0.1 }
    assert.are.same({ nil, "timeout" }, { none, err.kind })
    assert.are.equal(0, count("/queries/" .. QUERY .. "/retrieve"))
  end)

  it("is proven within wait_timeout", function()
    start(answer("/modalities/pacs/store", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Success", Content = {} }),
      answer("/studies/ffffffff-ffffffff-ffffffff-ffffffff-ffffffff/instances",
        json.array { { ID = "x", ParentSeries = "s", MainDicomTags = { SOPInstanceUID = "1.1" } } }),
      answer("/series/s", { ParentStudy = "t", MainDicomTags = { SeriesInstanceUID = "1.2" } }),
      answer("/studies/t", { MainDicomTags = { StudyInstanceUID = "1.3" } }), { path = "/modalities/pacs/query", to = "/hang" })
    local begin = task.now()
    local none, err = client:modality("pacs"):store("ffffffff-ffffffff-ffffffff-ffffffff-ffffffff", { verify = true, wait_timeout = 0.5 })
    assert.are.same({ nil, "unknown", "unproven" }, { none, err.kind, err.code })
    assert.is_true(task.now() - begin < 5)
  end)

  it("by C-GET is not believed when the server's version cannot be read", function()
    start(answer("/system", { Version = "unreadable" }), answer("/modalities/pacs/get", HANDLE),
      answer("/jobs/" .. ID, { ID = ID, Type = "DicomGetScu", State = "Success", Content = { Description = "x" } }))
    local none, err = client:modality("pacs"):get("Study", { StudyInstanceUID = "1.2" })
    assert.are.same({ nil, "unknown", "unproven" }, { none, err.kind, err.code })
    assert.are.equal("unproven", select(2, client:job(ID):wait()).code)
  end)

  it("has a job whose actions are asked for once", function()
    start({ path = "/jobs/" .. ID .. "/resubmit", to = "/drop" })
    assert(client:get "/ok") -- a connection that could be used again
    local none, err = client:job(ID):resubmit()
    assert.are.same({ nil, "network", false, ID }, { none, err.kind, err.retryable, err.job })
    assert.are.equal(1, count("/jobs/" .. ID .. "/resubmit"))
  end)

  it("of a query whose answers are no list is not guessed at", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE))
    assert(client:get(faultd.map { path = "/queries/" .. QUERY .. "/answers" }))
    assert(client:get(faultd.map(answer("/queries/" .. QUERY .. "/answers", "{}"))))
    local none, err = move { max = 1 }
    assert.are.same({ nil, "decode" }, { none, err.kind })
  end)

  it("of patients is refused when letters of the answers are missing", function()
    start({ path = "/queries/" .. QUERY .. "/retrieve", to = "/ok" })
    local function map(part, mapping)
      assert(client:get(faultd.map { path = "/queries/" .. QUERY .. part }))
      assert(client:get(faultd.map(mapping)))
    end
    map("/level",
      { path = "/queries/" .. QUERY .. "/level", to = faultd.route("/status", { code = 200, type = "text/plain", body = "Patient" }) })
    map("/answers", answer("/queries/" .. QUERY .. "/answers",
      json.array { { PatientID = "1", PatientName = "^^", SpecificCharacterSet = "ISO_IR 100" } }))
    local none, err = move()
    assert.are.same({ nil, "refused", "bad_identifier" }, { none, err.kind, err.code })
    assert.are.equal(0, count("/queries/" .. QUERY .. "/retrieve"))
  end)

  it("takes plain tables only: what a metatable adds would not be seen", function()
    start()
    local inherited = setmetatable({ Priority = 1 }, { __index = { TargetAet = "ARCHIVE" } })
    assert.has_error(function() move(inherited) end)
    assert.has_error(function() client:modality("pacs"):find(setmetatable({}, { __index = { Level = "Study" } })) end)
    assert.has_error(function()
      client:modality("pacs"):find { Level = "Study", Query = setmetatable({}, { __index = { PatientID = "X" } }) }
    end)
  end)
end)
