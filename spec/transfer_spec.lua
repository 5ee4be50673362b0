-- Tests how transfers run: as jobs that are polled, limited by concurrency slots, and stopped with their task. Uses real servers, and
-- faultd for moments that are too short to meet with a real server.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local json = modalua.json
local orthanc = require "spec.support.orthanc"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local contains, happens, throws = expect.contains, expect.happens, expect.throws

for _, version in ipairs(versions) do
  describe("A transfer, with the Orthanc " .. version.name, function()
    local server, peer, client

    before_each(function()
      peer = dicomd.start()
      server = orthanc.start { binary = version.binary, aet = "LOCAL", verbose = true,
        extra = { DicomScuTimeout = 60, ConcurrentJobs = 8, JobsHistorySize = 100 },
        modalities = { held = peer:modality "HELD", slow = peer:modality "SLOW0.5", quick = peer:modality "OK3" } }
      client = modalua.connect(server.url)
    end)

    after_each(function()
      server:close()
      peer:close()
    end)

    local function find(name)
      return assert(client:modality(name):find { Level = "Study", Query = { PatientID = "FP*" } })
    end

    local function moves(n)
      return happens(function() return peer:count "C-MOVE" == n end)
    end

    it("has no default time limit; a given one leaves the job running", function()
      local found = find "held"
      local none, err = client:modality("held"):move(found, { TargetAet = "ANY", wait_timeout = 3 }) -- in which the job is submitted
      assert.are.same({ nil, "timeout", true, "/queries/" .. found.ID .. "/retrieve" }, { none, err.kind, err.still_running, err.path })
      assert.are.equal("Running", assert(client:job(err.job):status()).State)
      peer:let()
      assert.is_table(assert(client:job(err.job):wait()))
      local impatient = modalua.connect(server.url, { timeout = 1 }) -- the timeout is for one exchange; the move takes longer
      assert.is_table(assert(impatient:modality("slow"):move(find "slow", { TargetAet = "ANY" })))
    end)

    it("is stopped on the server when its task is cancelled", function()
      local found = find "held"
      local t = task.spawn(function() return client:modality("held"):move(found, { TargetAet = "ANY" }) end)
      moves(1)
      t:cancel()
      local none, err = t:join()
      assert.are.same({ nil, "cancelled" }, { none, err.kind })
      local id = assert(client:jobs())[1]
      happens(function() return server:count_logged("Canceling job: " .. id) == 1 end)
      peer:let()
      none, err = client:job(id):wait()
      assert.are.same({ nil, "job_cancelled", 37 }, { none, err.code, err.orthanc_status })
      assert.are.equal(1, peer:count "C-MOVE")
    end)

    it("waits for its turn: two at once with one modality, or as many as max_moves says", function()
      for places, options in pairs { [2] = false, [4] = { max_moves = 4 } } do
        local seen, found, blocking, tasks = peer:count "C-MOVE", find "held", places // 2, {}
        for i = 1, places + 2 do
          tasks[i] = task.spawn(function() -- each with its own handle and client; the first of them are synchronous
            local held = modalua.connect(server.url):modality("held", options or nil)
            if i <= blocking then
              return assert(held:move_resources("Study", { StudyInstanceUID = "1.2." .. i },
                { TargetAet = "ANY", Synchronous = true, verify = false }))
            end
            return assert(held:move(found, { TargetAet = "ANY" .. i })) -- to the same target, one would wait for the job of the other
          end)
        end
        moves(seen + places)
        task.sleep(0.2) -- time for a C-MOVE that must not come
        moves(seen + places)
        local all = blocking + 3 * (#tasks - blocking) -- one C-MOVE for each of the three answers
        peer:let(all)
        for _, t in ipairs(tasks) do
          assert(t:join())
        end
        moves(seen + all)
      end
    end)

    it("can be cancelled, and can time out, while it waits for its turn", function()
      local found, begun = find "held", {}
      for i = 1, 2 do
        begun[i] = task.spawn(function() return client:modality("held"):move(found, { TargetAet = "ANY" .. i }) end)
      end
      moves(2)
      local none, err = client:modality("held"):move(found, { TargetAet = "ANY", wait_timeout = 2 }) -- in which it has read the query
      assert.are.same({ nil, "timeout", "not_started" }, { none, err.kind, err.code })
      assert.is_nil(err.still_running)
      local t = task.spawn(function() return client:modality("held"):move(found, { TargetAet = "ANY" }) end)
      task.sleep(0.05) -- usually it waits by then; if it is cancelled earlier, it ends in the same way
      t:cancel()
      assert.are.equal("cancelled", select(2, t:join()).kind)
      assert.are.equal(2, #assert(client:jobs()))
      for _, move in ipairs(begun) do
        move:cancel()
      end
    end)

    it("works where a script cannot wait for its turn", function()
      local found = find "held"
      local beside = task.spawn(function() return client:modality("held", { max_moves = 1 }):move(found, { TargetAet = "ANY" }) end)
      moves(1)
      peer:let()
      local moved
      string.gsub("x", "x", function() moved = client:modality("held", { max_moves = 1 }):move(found, { TargetAet = "ANY" }) end)
      assert.is_table(moved)
      assert.is_table(beside:join())
      local echoed = {}
      table.sort({ 2, 1 }, function(a, b)
        echoed[#echoed + 1] = client:modality("quick"):echo()
        return a < b
      end)
      assert.is_true(echoed[1])
    end)

    it("that an earlier run has left running is waited for, not sent again", function()
      if version.number < 11101 then
        return pending "before 1.11.1 a move of resources is no job"
      end
      local row = { StudyInstanceUID = "1.2.3.0" }
      local left = assert(client:post("/modalities/held/move",
        { Level = "Study", Resources = json.array { row }, TargetAet = "ANY", Asynchronous = true })).ID
      moves(1)
      local again = modalua.connect(server.url):modality "held"
      local waiting = task.spawn(again.move_resources, again, "Study", row, { TargetAet = "ANY" })
      happens(function() return server:count_logged("(http) GET /jobs/" .. left) > 0 end)
      peer:let()
      local outcomes, err = waiting:join()
      assert.are.equal(1, peer:count "C-MOVE")
      if version.number >= 11210 then -- the job's record shows the outcome of each resource
        assert.are.equal("ANY", assert(outcomes)[1].result.TargetAet)
      else
        expect.fails({ kind = "unknown", code = "unproven" }, outcomes, err)
        contains(err.message, "another run started the job, which may have hidden failures")
      end
      assert(again:move_resources("Study", row, { TargetAet = "OTHER" }))
      assert.are.equal(2, peer:count "C-MOVE")
      assert(again:move_resources("Study", row, { TargetAet = "ANY" })) -- a new move; the old job does not count for it
      assert.are.equal(3, peer:count "C-MOVE")
    end)

    it("survives a restart of the server", function()
      local found = find "held"
      local t = task.spawn(function() return client:modality("held"):move(found, { TargetAet = "ANY" }) end)
      moves(1)
      peer:let()
      server:stop "TERM"
      server:start_again()
      local moved, err = t:join()
      assert.is_table(moved, tostring(err))
    end)

    it("ends when the server does not come back", function()
      local brief = modalua.connect(server.url, { timeout = 2 })
      local found = find "held"
      local t = task.spawn(function() return brief:modality("held"):move(found, { TargetAet = "ANY" }) end)
      moves(1)
      happens(function() return server:count_logged "(http) GET /jobs/" > 0 end) -- so the client knows the job
      server:signal "KILL"
      local moved, err = t:join()
      assert.is_nil(moved)
      assert.are.same({ "unknown", "network" }, { err.kind, err.code })
      assert.matches("the outcome of job " .. err.job:gsub("%-", "%%-") .. " is not known", err.message)
    end)

    it("with a synchronous call that breaks off says that the outcome is unknown", function()
      local found = find "held"
      local t = task.spawn(function() return client:modality("held"):move(found, { TargetAet = "ANY", Synchronous = true }) end)
      moves(1)
      server:signal "KILL"
      local moved, err = t:join()
      assert.is_nil(moved)
      assert.are.same({ "unknown", "network", false }, { err.kind, err.code, err.retryable })
      assert.matches("whether the server has carried it out is not known", err.message)
    end)
  end)
end

describe("A transfer", function()
  local ID = "12345678-1234-1234-1234-123456789abc"
  local HANDLE = json.encode { ID = ID, Path = "/jobs/" .. ID }
  local QUERY = "87654321-1234-1234-1234-123456789abc"
  local server, client

  local function answer(path, value)
    local body = type(value) == "string" and value or json.encode(value)
    return { path = path, to = faultd.route("/delay", { s = 0, body = body }) }
  end

  -- The server holds its answer until the spec asks for /release with the path as name.
  local function held(path, body)
    return { path = path, to = faultd.route("/hold", { name = path, body = body }) }
  end

  local function start(...)
    server = faultd.start {
      { path = "/queries/" .. QUERY .. "/level", to = faultd.route("/status", { code = 200, type = "text/plain", body = "Study" }) },
      { path = "/queries/" .. QUERY .. "/modality", to = faultd.route("/status", { code = 200, type = "text/plain", body = "pacs" }) },
      answer("/queries/" .. QUERY .. "/query", { ["0010,0020"] = "X" }),
      answer("/queries/" .. QUERY .. "/answers",
        json.array { { PatientID = "X", StudyInstanceUID = "1.2" }, { PatientID = "X", StudyInstanceUID = "1.3" } }), ... }
    client = modalua.connect(server.url)
  end

  after_each(function()
    server:close()
  end)

  local function count(path)
    return assert(client:get("/count", { of = path }))
  end

  local function release(path)
    assert(client:get("/release", { name = path }))
  end

  -- This server has no archive that could be looked at.
  local function move(options)
    options = options or {}
    options.verify = false
    return client:modality("pacs"):move(QUERY, options)
  end

  it("that is cancelled before the server has named its job is stopped afterwards", function()
    local retrieve = "/queries/" .. QUERY .. "/retrieve"
    start(held(retrieve, HANDLE))
    local t = task.spawn(move)
    happens(function() return count(retrieve) == 1 end)
    t:cancel()
    assert.are.equal("cancelled", select(2, t:join()).kind) -- it does not wait for the server's answer
    release(retrieve)
    happens(function() return count("/jobs/" .. ID .. "/cancel") == 1 end)
    assert.are.equal(0, count("/jobs/" .. ID))
  end)

  it("is also stopped on the server by Ctrl-C and by a time limit", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Running" }))
    local script = command.file(("require 'modalua'.connect(%q):modality 'pacs':move(%q)"):format(server.url, QUERY))
    assert.are.equal(1, command.run("--time-limit", "3", script).status)
    happens(function() return count("/jobs/" .. ID .. "/cancel") == 1 end)
    local polls = count("/jobs/" .. ID)
    local wait_for_a_poll = ([[local client = require "modalua".connect %q
      while client:get("/count", { of = "/jobs/%s" }) == %d do require "modalua.task".sleep(0.01) end]]):format(server.url, ID, polls)
    local result = command.shell(('"$M" %s & p=$!; "$M" -e %s; kill -INT $p; wait $p'):format(script, command.quote(wait_for_a_poll)))
    os.remove(script)
    assert.are.equal(130, result.status)
    happens(function() return count("/jobs/" .. ID .. "/cancel") == 2 end)
  end)

  it("is polled often at first, then less and less often", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Running" }))
    local waiting = task.spawn(move)
    happens(function() return count("/jobs/" .. ID) > 0 end)
    -- How many polls there are during ten pauses of 0.05 s, each with a request, which a busy machine delays as it delays a poll. In the
    -- first ten there are some 20 polls, in the next ten 5. Where an answer takes 0.2 s, there are 7 and 4; a constant pause of 0.5 s
    -- would make it 1 to 3.
    local function polls_in_ten_pauses()
      local before = count("/jobs/" .. ID)
      for _ = 1, 10 do
        task.sleep(0.05)
        assert(client:get "/ok")
      end
      return count("/jobs/" .. ID) - before
    end
    local first, second = polls_in_ten_pauses(), polls_in_ten_pauses()
    assert.is_true(first >= 4, first .. " polls")
    assert.is_true(second < first, ("%d polls, then %d"):format(first, second))
    waiting:cancel()
    waiting:join()
    local none, err = move { wait_timeout = 2 }
    assert.are.same({ nil, "timeout", true, ID }, { none, err.kind, err.still_running, err.job })
  end)

  it("continues in spite of transient failures of the server", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), { path = "/jobs/" .. ID, to = "/drop", times = 2 },
      { path = "/jobs/" .. ID, to = faultd.route("/status", { code = 503 }), times = 2 },
      answer("/jobs/" .. ID, { ID = ID, State = "Success", Content = { Description = "done" } }))
    assert.are.same({ Description = "done", verified = false }, move())
  end)

  it("does not succeed if only a part succeeded", function()
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

  it("is sent only once, on a new connection, even if it fails", function()
    start({ path = "/queries/" .. QUERY .. "/retrieve", to = "/drop" })
    local none, err = move()
    assert.are.same({ nil, "unknown", "network", false }, { none, err.kind, err.code, err.retryable })
    assert.are.equal(1, count("/queries/" .. QUERY .. "/retrieve"))
  end)

  it("fails if the server describes its job in an invalid way", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, "[]"))
    local none, err = move()
    assert.are.same({ nil, "unknown", "decode", ID }, { none, err.kind, err.code, err.job })
  end)

  it("frees its concurrency slot at once if it ends in a thrown error", function()
    start({ path = "/modalities/pacs/store", to = faultd.route("/big", { bytes = 257 << 20 }) })
    local script = command.file(([[
      collectgarbage "stop"
      local task = require "modalua.task"
      local pacs, id, tasks = require "modalua".connect(%q):modality("pacs", { max_moves = 1 }), %q, {}
      for i = 1, 2 do
        tasks[i] = task.spawn(pacs.store, pacs, id, { Synchronous = true })
      end
      for i = 1, 2 do
        print(select(2, tasks[i]:join()).kind)
      end]]):format(server.url, ("ffffffff-"):rep(4) .. "ffffffff"))
    assert.are.equal("limit\nlimit\n", command.run("--memory-limit", "100000000", script).out)
    os.remove(script)
  end)

  it("gets its turn in the order of requests: first come, first served", function()
    local store, mappings, tasks = "/modalities/pacs/store", {}, {}
    for i = 1, 6 do -- the i-th request is answered after release(i)
      mappings[i] = { path = store, times = 1, to = faultd.route("/hold", { name = i }) }
    end
    start(table.unpack(mappings))
    local function storing(i, places)
      local pacs = client:modality("pacs", { max_moves = places })
      tasks[i] = task.spawn(pacs.store, pacs, ("0000000%d-"):format(i) .. ("ffffffff-"):rep(3) .. "ffffffff", { Synchronous = true })
    end
    for i = 1, 5 do
      storing(i, 1)
    end
    for i = 1, 4 do
      happens(function() return count(store) == i end)
      contains(assert(client:get("/last", { of = store })).body, ("0000000%d-"):format(i))
      release(i)
    end
    happens(function() return count(store) == 5 end)
    storing(6, 1)
    storing(7, 2) -- it would have a free slot, but another transfer waits before it
    task.sleep(0.1)
    assert.are.equal(5, count(store))
    release(5)
    happens(function() return count(store) == 7 end)
    release(6)
    for _, t in ipairs(tasks) do
      t:join()
    end
  end)

  it("keeps its concurrency slot until the server has been told to stop it", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Running" }),
      held("/jobs/" .. ID .. "/cancel", "{}"))
    local pacs = client:modality("pacs", { max_moves = 1 })
    local first = task.spawn(pacs.move, pacs, QUERY)
    happens(function() return count("/jobs/" .. ID) > 0 end)
    local second = task.spawn(pacs.move, pacs, QUERY)
    first:cancel()
    first:join()
    happens(function() return count("/jobs/" .. ID .. "/cancel") == 1 end)
    task.sleep(0.1) -- time for a request that must not come
    assert.are.equal(1, count("/queries/" .. QUERY .. "/retrieve"))
    release("/jobs/" .. ID .. "/cancel")
    happens(function() return count("/queries/" .. QUERY .. "/retrieve") == 2 end)
    second:cancel()
  end)

  it("is named in the error if wait_timeout ends during the submission, and not submitted after wait_timeout", function()
    local retrieve, modality = "/queries/" .. QUERY .. "/retrieve", "/queries/" .. QUERY .. "/modality"
    start(held(retrieve, HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Running" }))
    local t = task.spawn(move, { wait_timeout = 2 }) -- in which it is submitted
    happens(function() return count(retrieve) == 1 end)
    task.sleep(2) -- its wait_timeout is over; the server answers after that
    release(retrieve)
    local none, err = t:join()
    assert.are.same({ nil, "timeout", true, ID }, { none, err.kind, err.still_running, err.job })
    server:close()
    start()
    assert(client:get(faultd.map { path = modality }))
    assert(client:get(faultd.map(held(modality, "pacs"))))
    none, err = move { wait_timeout = 0.1 }
    assert.are.same({ nil, "timeout" }, { none, err.kind })
    release(modality)
    assert.are.equal(0, count(retrieve))
  end)

  it("is proven within wait_timeout", function()
    start(answer("/modalities/pacs/store", HANDLE), answer("/jobs/" .. ID, { ID = ID, State = "Success", Content = {} }),
      answer("/studies/ffffffff-ffffffff-ffffffff-ffffffff-ffffffff/instances",
        json.array { { ID = "x", ParentSeries = "s", MainDicomTags = { SOPInstanceUID = "1.1" } } }),
      answer("/series/s", { ParentStudy = "t", MainDicomTags = { SeriesInstanceUID = "1.2" } }),
      answer("/studies/t", { MainDicomTags = { StudyInstanceUID = "1.3" } }), { path = "/modalities/pacs/query", to = "/hang" })
    local none, err = client:modality("pacs"):store("ffffffff-ffffffff-ffffffff-ffffffff-ffffffff", { verify = true, wait_timeout = 2 })
    assert.are.same({ nil, "unknown", "unproven" }, { none, err.kind, err.code })
    assert.are.equal(1, count "/modalities/pacs/query") -- the query for the proof was sent, and not answered
  end)

  it("by C-GET is not believed if the server's version cannot be read", function()
    start(answer("/system", { Version = "unreadable" }), answer("/modalities/pacs/get", HANDLE),
      answer("/jobs/" .. ID, { ID = ID, Type = "DicomGetScu", State = "Success", Content = { Description = "x" } }))
    local none, err = client:modality("pacs"):get("Study", { StudyInstanceUID = "1.2" })
    assert.are.same({ nil, "unknown", "unproven" }, { none, err.kind, err.code })
    assert.are.equal("unproven", select(2, client:job(ID):wait()).code)
  end)

  it("sends each action on its job only once", function()
    start({ path = "/jobs/" .. ID .. "/resubmit", to = "/drop" })
    assert(client:get "/ok") -- this leaves a connection that could be reused
    local none, err = client:job(ID):resubmit()
    assert.are.same({ nil, "unknown", "network", false, ID }, { none, err.kind, err.code, err.retryable, err.job })
    assert.are.equal(1, count("/jobs/" .. ID .. "/resubmit"))
  end)

  it("of a query fails if its answers are not a list", function()
    start(answer("/queries/" .. QUERY .. "/retrieve", HANDLE))
    assert(client:get(faultd.map { path = "/queries/" .. QUERY .. "/answers" }))
    assert(client:get(faultd.map(answer("/queries/" .. QUERY .. "/answers", "{}"))))
    local none, err = move { max = 1 }
    assert.are.same({ nil, "decode" }, { none, err.kind })
  end)

  it("of patients is refused if characters of the answers are missing", function()
    start({ path = "/queries/" .. QUERY .. "/retrieve", to = "/ok" })
    local function map(part, mapping)
      assert(client:get(faultd.map { path = "/queries/" .. QUERY .. part }))
      assert(client:get(faultd.map(mapping)))
    end
    map("/level",
      { path = "/queries/" .. QUERY .. "/level", to = faultd.route("/status", { code = 200, type = "text/plain", body = "Patient" }) })
    map("/answers", answer("/queries/" .. QUERY .. "/answers",
      json.array { { PatientID = "X", PatientName = "^^", SpecificCharacterSet = "ISO_IR 100" } }))
    local none, err = move()
    assert.are.same({ nil, "refused", "bad_identifier" }, { none, err.kind, err.code })
    assert.are.equal(0, count("/queries/" .. QUERY .. "/retrieve"))
  end)

  it("accepts plain tables only: fields from a metatable would not be seen", function()
    start()
    local inherited = setmetatable({ Priority = 1 }, { __index = { TargetAet = "ARCHIVE" } })
    throws("must be a plain table", function() move(inherited) end)
    throws("must be a plain table", function() client:modality("pacs"):find(setmetatable({}, { __index = { Level = "Study" } })) end)
    throws("Query must be a plain table", function()
      client:modality("pacs"):find { Level = "Study", Query = setmetatable({}, { __index = { PatientID = "X" } }) }
    end)
  end)
end)
