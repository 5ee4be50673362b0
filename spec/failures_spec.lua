-- Tests the errors of every way in which a server or a modality can fail, with each Orthanc. Compares these fields: kind, code, status (of
-- HTTP), orthanc_status, dimse_status and op. The error of an operation that runs as a job has no HTTP status.
local dcmtk = require "spec.support.dcmtk"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local served = require "spec.support.served"
local task = require "modalua.task"
local versions = require "spec.support.versions"

-- Time limits in seconds for one exchange with a modality. ENOUGH is long enough on a busy machine. SOON is for exchanges that run into the
-- limit: the modality does not answer, or Orthanc 1.12.7 waits for the limit after a failed C-GET.
local ENOUGH <const>, SOON <const> = 30, 2
local NOWHERE = "11111111-2222-3333-4444-555555555555" -- an identifier that no query and no job has
local NOTHING = "11111111-22222222-33333333-44444444-55555555" -- an identifier that no stored resource has

local FILTER = { PatientID = "FP*" } -- as all answers of dicomd have it
local RESOURCE = { StudyInstanceUID = "1.2.3.0" }

-- ---- what is expected ----

-- `status` is the HTTP status of a direct call.
local function failure(kind, code, orthanc_status, dimse_status, status)
  return { kind = kind, code = code, orthanc_status = orthanc_status, dimse_status = dimse_status, status = status }
end

local function dimse(dimse_status, status)
  return failure("dicom", nil, 9, dimse_status, status or 500)
end

local function refused(orthanc_status)
  return failure("dicom", "unsupported", orthanc_status, nil, 500)
end

local NETWORK = failure("dicom", nil, 9, nil, 500)
local BROKEN = failure("unknown", "unproven", 9, nil, 500) -- the C-MOVE had gone out, and its outcome cannot be looked at
local UNEXPLAINED = failure("dicom", nil, nil, nil, 500)
local UNPROVEN = failure("unknown", "unproven")
local INCOMPLETE = failure("dicom", "incomplete")
local TOO_OLD = failure("orthanc", "unsupported")
local UNKNOWN_MODALITY = failure("orthanc", "unknown_modality", 7, nil, 404)
local QUERY_GONE = failure("orthanc", "query_gone", 17, nil, 404)
local JOB_GONE = failure("orthanc", "job_gone", nil, nil, 404)
local OUTCOME_GONE = failure("unknown", "job_gone", nil, nil, 404) -- of a wait
local BAD_CHARSET = failure("orthanc", "bad_charset", 3, nil, 400)
local NOT_FOUND = failure("orthanc", "not_found", 17, nil, 404)

local function bad_request(orthanc_status)
  return failure("orthanc", "bad_request", orthanc_status, nil, 400)
end

-- Outcomes that depend on the version: old is 1.10.1; false_get is 1.12.7, which reports failed C-GETs as successes; new is 1.13.0.
local ERAS = {}

local function by_version(outcomes)
  ERAS[outcomes] = true
  return outcomes
end

local function era_of(version)
  return version.number < 11206 and "old" or version.number < 11210 and "false_get" or "new"
end

-- ---- what is done ----

local function move_query(options)
  return function(modality, seconds)
    local found = assert(modality:find { Level = "Study", Query = FILTER, Timeout = seconds })
    return modality:move(found, { TargetAet = options.TargetAet, RetrieveMethod = options.RetrieveMethod,
      Synchronous = options.Synchronous, Timeout = seconds })
  end
end

-- Each move has a target of its own, since one would wait for the job of another with the same target.
-- field: the field of a row with the expected outcome. mode: runs as a job in all versions, only in newer ones, or (nil) never.
-- `seconds` is the time limit of each exchange.
local OPERATIONS = {
  { "echo", field = "echo", run = function(modality, seconds) return modality:echo { Timeout = seconds } end },
  { "find", field = "find", run = function(modality, seconds)
    return modality:find { Level = "Study", Query = FILTER, Timeout = seconds }
  end },
  { "move", field = "move", mode = "job", run = move_query { TargetAet = "OK3" } },
  { "move", "Synchronous", field = "move", run = move_query { TargetAet = "OK4", Synchronous = true } },
  { "move", "by C-GET", field = "move_by_get", by_get = true, mode = "job", run = move_query { RetrieveMethod = "C-GET" } },
  { "move", "by C-GET, Synchronous", field = "move_by_get", by_get = true,
    run = move_query { RetrieveMethod = "C-GET", Synchronous = true } },
  { "move_resources", field = "move_resources", mode = "newer job", run = function(modality, seconds)
    return modality:move_resources("Study", RESOURCE, { TargetAet = "OK5", Timeout = seconds })
  end },
  { "move_resources", "Synchronous", field = "move_resources", run = function(modality, seconds)
    return modality:move_resources("Study", RESOURCE, { TargetAet = "OK6", Timeout = seconds, Synchronous = true })
  end },
  { "get", field = "get", by_get = true, mode = "job", run = function(modality, seconds)
    return modality:get("Study", RESOURCE, { Timeout = seconds })
  end },
  { "get", "Synchronous", field = "get", by_get = true, run = function(modality, seconds)
    return modality:get("Study", RESOURCE, { Timeout = seconds, Synchronous = true })
  end },
  { "store", field = "store", mode = "job", run = function(modality, seconds, stored)
    return modality:store(stored, { Timeout = seconds })
  end },
  { "store", "Synchronous", field = "store", run = function(modality, seconds, stored)
    return modality:store(stored, { Timeout = seconds, Synchronous = true })
  end },
}

-- ---- the rows: what fails, the modality that does it, and the outcome of each operation; a "success" is one ----

-- The outcome of all operations except those that need a query first.
local function all(outcome, get, move)
  return { echo = outcome, find = outcome, move_resources = move or outcome, get = get or outcome, store = outcome }
end

local function false_get(get, outcome)
  return by_version { old = get, false_get = outcome, new = get }
end

local ROWS = {
  { "a modality that the server does not know", "nosuch", all(UNKNOWN_MODALITY) },
  { "a closed port", "closed", all(NETWORK) },
  { "a host that does not exist", "nohost", all(NETWORK) },
  { "a rejected association, whose called title is wrong", "REJ117", all(NETWORK) },
  { "a rejected association, whose calling title is wrong", "REJ113", all(NETWORK) },
  { "a rejected association, for the time being", "REJ232", all(NETWORK) },
  { "a peer that takes the connection and says nothing", "MUTE", all(NETWORK) },
  { "a peer that is mute after the association", "MUTEC", all(NETWORK, false_get(NETWORK, UNPROVEN), BROKEN) },
  { "a peer that is mute to C-MOVE and C-GET", "FMUTE", { move = BROKEN, move_resources = BROKEN,
    get = false_get(NETWORK, INCOMPLETE) } },
  { "an abort", "ABORT", all(NETWORK, false_get(NETWORK, UNPROVEN), BROKEN) },
  { "an abort after two answers", "ABORTF", { find = NETWORK } },
  { "a connection that breaks", "DROP", all(NETWORK, false_get(NETWORK, UNPROVEN), BROKEN) },
  { "a connection that breaks after two answers", "DROPF", { find = NETWORK } },
  { "no service at all", "NOCTX", all(refused(2015)) },
  { "no C-FIND", "NOFIND", { find = by_version { old = refused(2016), false_get = refused(2015), new = refused(2015) } } },
  { "no C-MOVE", "NOMOVE", {
    move = by_version { old = refused(2017), false_get = refused(2015), new = refused(2015) },
    move_resources = by_version { old = refused(2017), false_get = refused(2015), new = refused(2015) } } },
  { "no C-GET", "NOGET", { get = refused(2045), move_by_get = refused(2045) } },
  { "no C-STORE", "NOSTORE", { store = refused(2015) } },
  { "C-FIND 0xC000", "FSTC000", { find = dimse(0xC000, 422) } },
  { "C-FIND 0xC000 after three answers", "FANC000", { find = dimse(0xC000, 422) } },
  { "C-FIND 0xFE00 after three answers", "FANFE00", { find = dimse(0xFE00) } },
  { "C-MOVE 0xC000", "MSTC000", { move = dimse(0xC000),
    move_resources = by_version { old = dimse(0xC000, 422), false_get = dimse(0xC000), new = dimse(0xC000) } } },
  { "C-MOVE 0xA801 of the second of three answers", "ONE2", { move = dimse(0xA801) } },
  { "C-GET 0xC000", "GSTC000", { get = false_get(dimse(0xC000), INCOMPLETE), move_by_get = false_get(dimse(0xC000), INCOMPLETE) } },
  { "C-STORE 0xC000", "SSTC000", { store = dimse(0xC000) } },
  { "C-STORE 0x0111", "SST0111", { store = by_version { old = dimse(0x0111), false_get = "success", new = "success" } } },
  { "C-STORE 0xB000", "SSTB000", { store = "success" } },
  { "C-ECHO 0x0122", "EST0122", { echo = UNEXPLAINED } },
  { "C-ECHO 0xA700", "ESTA700", { echo = UNEXPLAINED } },
  { "C-ECHO 0xB000", "ESTB000", { echo = UNEXPLAINED } },
  { "C-ECHO 0xC000", "ESTC000", { echo = UNEXPLAINED } },
  { "code extensions in the answers", "XJP", { find = by_version { old = BAD_CHARSET, false_get = "success", new = "success" } } },
  { "a character set that nobody knows", "XBADCS",
    { find = by_version { old = BAD_CHARSET, false_get = "success", new = "success" } } },
}

for _, status in ipairs { 0xA700, 0xA702, 0xA801, 0xB000, 0xFE00, 0x0122 } do
  local text = ("%04X"):format(status)
  ROWS[#ROWS + 1] = { "C-FIND 0x" .. text, "FST" .. text, { find = dimse(status) } }
  ROWS[#ROWS + 1] = { "C-MOVE 0x" .. text, "MST" .. text, { move = dimse(status), move_resources = dimse(status) } }
  ROWS[#ROWS + 1] = { "C-GET 0x" .. text, "GST" .. text, { get = false_get(dimse(status), INCOMPLETE) } }
  if status ~= 0xB000 then
    ROWS[#ROWS + 1] = { "C-STORE 0x" .. text, "SST" .. text, { store = dimse(status) } }
  end
end

-- This row must be the last, and runs alone: DCMTK has one connection timeout for the whole process, which the last operation sets.
ROWS[#ROWS + 1] = { "packets that go nowhere", "hole", all(NETWORK) }

-- ---- how it is compared ----

local function fields_of(err)
  return { kind = err.kind, code = err.code, status = err.status, orthanc_status = err.orthanc_status, dimse_status = err.dimse_status,
    op = err.op }
end

-- Asserts that the outcome is this failure: an error with exactly these fields, shown in one line.
local function assert_fails(expected, op, ok, err)
  if op == "echo" then
    assert.is_false(ok)
  else
    assert.is_nil(ok)
  end
  assert.is_true(modalua.is_error(err))
  local wanted = fields_of(expected)
  wanted.op = op
  assert.are.same(wanted, fields_of(err), tostring(err))
  local text = tostring(err)
  assert.is_nil(text:find "%c", text)
  assert.are.equal(1, text:find(("%s %s: "):format(op, err.path), 1, true), text)
  return err
end

-- Runs all calls { expected, op, function, arguments … } at the same time, and asserts that each fails as expected.
local function assert_all_fail(calls)
  for _, call in ipairs(calls) do
    call.task = task.spawn(table.unpack(call, 3))
  end
  for _, call in ipairs(calls) do
    call.results = table.pack(call.task:join())
  end
  for _, call in ipairs(calls) do
    assert_fails(call[1], call[2], table.unpack(call.results, 1, call.results.n))
  end
end

local function in_era(outcome, era)
  if ERAS[outcome] then
    outcome = outcome[era]
  end
  return outcome
end

-- Returns the expected outcome of an operation with a version; nil if the row does not test the operation.
local function expected_of(operation, outcomes, era)
  local outcome = in_era(outcomes[operation.field], era)
  if not outcome or outcome == "success" then
    return outcome
  elseif operation.by_get and era == "old" then
    return TOO_OLD
  end
  local is_job = operation.mode == "job" or operation.mode == "newer job" and era ~= "old"
  if is_job and outcome.status and outcome.status ~= 404 then
    outcome = failure(outcome.kind, outcome.code, outcome.orthanc_status, outcome.dimse_status)
  end
  return outcome
end

local SILENT <const> = { MUTE = true, MUTEC = true, FMUTE = true, hole = true }

-- Starts all operations that the row tests, each in its own task; with the old version one move after the other, since its records of jobs
-- do not say the target: the second one would be refused while the job of the first one runs.
local function start_row(modality, row, era, stored)
  local running, last = {}, nil
  for _, operation in ipairs(OPERATIONS) do
    local expected = expected_of(operation, row[3], era)
    if expected then
      local seconds = (SILENT[row[2]] or operation.by_get) and SOON or ENOUGH
      local before = era == "old" and operation.field == "move" and last
      local one = { operation = operation, expected = expected, task = task.spawn(function()
        local _ = before and before:join()
        return operation.run(modality, seconds, stored)
      end) }
      last = operation.field == "move" and one.task or last
      running[#running + 1] = one
    end
  end
  return running
end

-- Waits for the operations of a row and checks their outcomes.
local function check_row(running)
  assert.is_true(#running > 0)
  for _, one in ipairs(running) do
    one.results = table.pack(one.task:join())
  end
  for _, one in ipairs(running) do
    if one.expected == "success" then
      assert.is_truthy(one.results[1], tostring(one.results[2]))
    else
      assert_fails(one.expected, one.operation[1], table.unpack(one.results, 1, one.results.n))
    end
  end
end

-- ---- the servers ----

-- Returns the DICOM files of a sample study of ten instances.
local function sample_files()
  local files = {}
  samples.store { upload = function(_, file)
    files[#files + 1] = file.data
    return {}
  end }
  return table.move(files, 1, 10, 1, {})
end

-- Stores these files. Returns the server's answer for the last one: ID, ParentStudy, …
local function store_samples(client)
  local stored
  for _, data in ipairs(sample_files()) do
    stored = assert(client:upload { data = data })
  end
  return stored
end

-- Makes a port that accepts packets and never answers: its server is stopped, and its queue of connections is full. Returns the server
-- and a function that ends it.
local function black_hole()
  local server, full = dcmtk.storescp { aet = "HOLE" }, false
  server:signal "STOP"
  local client = modalua.connect("http://127.0.0.1:" .. server.port, { max_inflight = 200, connect_timeout = 1, timeout = 600 })
  local waiting = {}
  for i = 1, 128 do
    waiting[i] = task.spawn(function()
      full = select(2, client:get "/").kind == "timeout"
    end)
  end
  expect.happens(function() return full end)
  return server, function()
    for _, one in ipairs(waiting) do
      one:cancel()
    end
    server:close()
  end
end

local BEHAVIOURS = { "OK3", "OK0", "PART3" }
for _, row in ipairs(ROWS) do
  if row[2]:find "^%u" then
    BEHAVIOURS[#BEHAVIOURS + 1] = row[2]
  end
end

local function start_local(version, peer, options)
  options = options or {}
  local modalities = options.modalities or {}
  for _, behaviour in ipairs(BEHAVIOURS) do
    modalities[behaviour] = peer:modality(behaviour)
  end
  local extra = { DicomScuTimeout = SOON, ConcurrentJobs = 40, JobsHistorySize = 1000 }
  for key, value in pairs(options.extra or {}) do
    extra[key] = value
  end
  return orthanc.start { binary = version.binary, aet = "LOCAL", modalities = modalities, extra = extra, users = options.users,
    dicom_port = options.dicom_port }
end

for _, version in ipairs(versions) do
  describe("Failures, with the Orthanc " .. version.name .. ":", function()
    local peer, close_hole, server, client, stored
    local rows = {} -- the running operations of each row in ROWS
    local era = era_of(version)

    local function modality(name)
      return client:modality(name, { max_moves = 16 })
    end

    setup(function()
      peer = dicomd.start()
      local hole
      hole, close_hole = black_hole()
      server = start_local(version, peer, { modalities = {
        closed = { "OK3", "127.0.0.1", orthanc.free_ports(1)[1] },
        nohost = { "OK3", "no-such-host.invalid", 104 },
        hole = hole:modality(),
      } })
      client = modalua.connect(server.url, { max_inflight = 40 })
      stored = store_samples(client)
      for i = 1, #ROWS - 1 do -- all rows at once, because most of the time is spent waiting for modalities that do not answer
        rows[ROWS[i]] = start_row(modality(ROWS[i][2]), ROWS[i], era, stored.ID)
      end
    end)

    teardown(function()
      server:close()
      close_hole()
      peer:close()
    end)

    for _, row in ipairs(ROWS) do
      it(("%s (%s)"):format(row[1], row[2]), function()
        check_row(rows[row] or start_row(modality(row[2]), row, era, stored.ID))
      end)
    end

    -- ---- when the query has been answered, and then something happens ----

    describe("after the query", function()
      local pacs, found

      -- Kills the server and starts it with another configuration.
      local function restart(pattern, replacement)
        pacs:stop "KILL"
        local path = pacs.folder .. "/orthanc.json"
        local file <close> = assert(io.open(path))
        local text, n = file:read("a"):gsub(pattern, replacement)
        assert.are.equal(1, n)
        served.write_file(path, text)
        pacs:start_again()
      end

      setup(function()
        pacs = orthanc.start { aet = "PACS", modalities = { ["local"] = server:modality() } }
        store_samples(modalua.connect(pacs.url))
        client:put("/modalities/pacs", { AET = "PACS", Host = "127.0.0.1", Port = pacs.dicom_port })
        found = assert(modality "pacs":find { Level = "Study", Query = { PatientID = "MOD-0001" } })
        assert.are.equal(1, #found.answers)
      end)

      teardown(function()
        pacs:close()
      end)

      local function fails()
        local job, target, own = failure("dicom", nil, 9), modality "pacs", client:query(found.ID)
        -- One after the other: at the same time, one would wait for the job of another.
        assert_fails(job, "move", target:move(found, { TargetAet = "LOCAL", Timeout = SOON }))
        assert_fails(NETWORK, "move", target:move(found, { TargetAet = "LOCAL", Timeout = SOON, Synchronous = true }))
        assert_fails(job, "move", own:move({ TargetAet = "LOCAL", Timeout = SOON }, 1))
      end

      it("one of three resources no longer exists: the others are moved", function()
        local resources = { found.answers[1], RESOURCE, { StudyInstanceUID = found.answers[1].StudyInstanceUID } }
        local expected = era == "old" and dimse(0xC000, 422) or failure("dicom", nil, 9, 0xC000)
        local ok, err = modality "pacs":move_resources("Study", resources, { TargetAet = "LOCAL" })
        assert.is_nil(ok)
        assert.are.equal(3, #err.outcomes)
        assert.is_truthy(err.outcomes[1].result)
        assert.are.same(RESOURCE, err.outcomes[2].resource)
        assert_fails(expected, "move_resources", nil, err.outcomes[2].error)
        assert.is_truthy(err.outcomes[3].result)
        err.path = err.outcomes[2].error.path
        assert_fails(expected, "move_resources", ok, err)
      end)

      it("a peer stops answering", function()
        pacs:signal "STOP"
        fails()
        pacs:signal "CONT"
      end)

      it("a port is closed", function()
        pacs:stop "KILL"
        fails()
        pacs:start_again()
      end)

      it("an AE title is rejected", function()
        restart('"DicomAet":"PACS"', '"DicomAet":"OTHER"')
        fails()
        restart('"DicomAet":"OTHER"', '"DicomAet":"PACS"')
      end)

      it("the caller is no longer known", function()
        restart('"local":%b[]', "")
        fails()
      end)

      local function events(name)
        return select(2, peer:log():gsub("\n" .. name .. " ", ""))
      end

      -- Breaks the connection during the transfer.
      local function assert_breaks(expected, op, event, run)
        local far <close> = lag.start(peer.port, 0.1)
        client:put("/modalities/far", { AET = "FMUTE", Host = "127.0.0.1", Port = far.port })
        local before = events(event)
        local running = task.spawn(run, modality "far", 10 * ENOUGH) -- must end by the break, not by its time limit
        expect.happens(function() return events(event) > before end)
        far:close()
        assert_fails(in_era(expected, era), op, running:join())
      end

      it("a connection breaks", function()
        local job, move = failure("dicom", nil, 9), failure("unknown", "unproven", 9)
        assert_breaks(move, "move", "C%-MOVE", move_query { TargetAet = "OK3" })
        assert_breaks(BROKEN, "move", "C%-MOVE", move_query { TargetAet = "OK3", Synchronous = true })
        assert_breaks(by_version { old = BROKEN, false_get = move, new = move }, "move_resources", "C%-MOVE", function(far, seconds)
          return far:move_resources("Study", RESOURCE, { TargetAet = "OK3", Timeout = seconds })
        end)
        if era ~= "old" then
          assert_breaks(false_get(job, UNPROVEN), "get", "C%-GET", function(far, seconds)
            return far:get("Study", RESOURCE, { Timeout = seconds })
          end)
        end
      end)
    end)

    -- ---- names that lead nowhere, and mistakes ----

    it("report a query that the server does not know", function()
      local gone = client:query(NOWHERE)
      assert_fails(QUERY_GONE, "move", modality "OK3":move(NOWHERE, { TargetAet = "OK3" }))
      assert_fails(QUERY_GONE, "get_query_answers", modality "OK3":get_query_answers(NOWHERE))
      assert_fails(QUERY_GONE, "move", gone:move { TargetAet = "OK3" })
      assert_fails(QUERY_GONE, "move", gone:move({ TargetAet = "OK3" }, 1))
      assert_fails(QUERY_GONE, "answers", gone:answers())
      assert_fails(QUERY_GONE, "level", gone:level())
      assert_fails(QUERY_GONE, "modality", gone:modality())
      assert.is_true(gone:close())
    end)

    it("report an answer that the query does not have", function()
      local found <close> = assert(modality "OK3":find { Level = "Study", Query = FILTER })
      local own = client:query(found.ID)
      assert.are.equal(3, #found.answers)
      assert_fails(bad_request(3), "move", own:move({ TargetAet = "OK3" }, 99))
      assert_fails(bad_request(3), "move", own:move({ TargetAet = "OK3" }, 4))
      assert(own:move({ TargetAet = "OK3" }, 3))
      assert.has_error(function() own:move({}, 0) end, "bad argument #2 to 'move' (answers are numbered from 1)")
      assert.has_error(function() own:move({}, 1.5) end, "bad argument #2 to 'move' (number has no integer representation)")
    end)

    it("do not include a query without answers", function()
      local found <close> = assert(modality "OK0":find { Level = "Study", Query = FILTER })
      assert.are.same({}, found.answers)
      assert(modality "OK0":move(found, { TargetAet = "OK3" }))
      assert(modality "OK0":move(found, { TargetAet = "OK3", Synchronous = true }))
      assert.is_nil(peer:log():match "called=OK0\nC%-MOVE")
    end)

    it("report a job that the server does not know", function()
      local job = client:job(NOWHERE)
      assert_fails(JOB_GONE, "status", job:status())
      assert_fails(OUTCOME_GONE, "wait", job:wait())
      for _, action in ipairs { "cancel", "pause", "resume", "resubmit" } do
        assert_fails(failure("orthanc", "job_state", nil, nil, 400), action, job[action](job))
      end
    end)

    it("report a stored resource that does not exist", function()
      local internal = failure("orthanc", nil, -1, nil, 500)
      local expected = in_era(by_version { old = NOT_FOUND, false_get = NOT_FOUND, new = internal }, era)
      assert_fails(expected, "store", modality "OK3":store(NOTHING))
      assert_fails(expected, "store", modality "OK3":store(NOTHING, { Synchronous = true }))
      for _, ids in ipairs { { stored.ID, NOTHING }, { stored.ParentStudy, NOTHING } } do
        local ok, err = modality "OK3":store(ids)
        assert.is_nil(ok)
        assert.are.same({ "orthanc", "not_found" }, { err.kind, err.code })
      end
      assert_fails(failure("refused", "bad_identifier"), "store", modality "OK3":store "nosuch")
    end)

    it("report a level that does not exist", function()
      expect.throws("unknown Level 'Foo'", function() modality "OK3":find { Level = "Foo", Query = FILTER } end)
      for _, method in ipairs { "get", "move_resources" } do
        local ok, err = pcall(modality "OK3"[method], modality "OK3", "Foo", RESOURCE)
        assert.is_false(ok)
        assert.matches(method .. ': the level must be "Patient", "Study", "Series" or "Instance"', err, 1, true)
      end
      assert_fails(bad_request(3), "post", client:post("/modalities/OK3/query", { Level = "Foo", Query = {} }))
      assert_fails(bad_request(3), "post", client:post("/modalities/OK3/move", { Level = "Foo", Resources = modalua.json.array {} }))
    end)

    it("report bodies that are not JSON, and routes and methods that do not exist", function()
      for _, route in ipairs { "echo", "query", "move", "get", "store" } do
        local unsupported = route == "get" and era == "old" and failure("orthanc", "unsupported", 17, nil, 404)
        assert_fails(unsupported or bad_request(15), "post", client:post("/modalities/OK3/" .. route, "this is not JSON"))
      end
      assert_fails(failure("orthanc", "unsupported", 17, nil, 404), "post", client:post("/modalities/OK3/nosuch", {}))
      assert_fails(failure("http", "method_not_allowed", nil, nil, 405), "delete", client:delete "/modalities/OK3/echo")
    end)

    it("report a target that the server does not know", function()
      local found <close> = assert(modality "OK3":find { Level = "Study", Query = FILTER })
      assert_fails(failure("orthanc", "unknown_modality"), "move", modality "OK3":move(found, { to = "nobody" }))
      assert_fails(failure("orthanc", "unknown_modality"), "move_resources",
        modality "OK3":move_resources("Study", RESOURCE, { to = "nobody" }))
    end)

    -- ---- successes that are none ----

    it("include every failed C-GET, whatever the version says", function()
      if era == "old" then
        assert_fails(TOO_OLD, "get", modality "GSTC000":get("Study", RESOURCE))
        return
      end
      local calls, missing = {}, {}
      for _, behaviour in ipairs { "GSTC000", "GSTB000", "PART3" } do
        local get = behaviour == "PART3" and INCOMPLETE or dimse(tonumber(behaviour:sub(4), 16))
        for level, identifiers in pairs {
          Study = RESOURCE,
          Series = { StudyInstanceUID = "1.2.3.0", SeriesInstanceUID = "1.2.3.0.1" },
          Instance = { StudyInstanceUID = "1.2.3.0", SeriesInstanceUID = "1.2.3.0.1", SOPInstanceUID = "1.2.3.0.1.1" },
        } do
          local m = modality(behaviour)
          calls[#calls + 1] = { era == "false_get" and INCOMPLETE or get, "get", m.get, m, level, identifiers, { Synchronous = true } }
          missing[#calls] = behaviour == "PART3" and (level == "Instance" and 1 or 3)
        end
      end
      assert_all_fail(calls)
      for i, n in pairs(missing) do
        if n then
          assert.are.equal(n, #calls[i].results[2].missing)
        end
      end
    end)

    it("include the job of a failed C-GET", function()
      if era ~= "old" then
        local job = assert(modality "GSTC000":get("Study", RESOURCE, { Synchronous = false }))
        local expected = era == "false_get" and INCOMPLETE or failure("dicom", nil, 9, 0xC000)
        assert_fails(expected, "wait", client:job(job):wait())
      end
      local found <close> = assert(modality "MSTC000":find { Level = "Study", Query = FILTER })
      local job = assert(modality "MSTC000":move(found, { TargetAet = "LOCAL", Synchronous = false }))
      assert_fails(failure("dicom", nil, 9, 0xC000), "wait", client:job(job):wait())
    end)

    it("include what Permissive hides", function()
      local told = failure("dicom", "incomplete", nil, 0xC000)
      local found <close> = assert(modality "MSTC000":find { Level = "Study", Query = FILTER })
      local move, get, store, calls = modality "MSTC000", modality "GSTC000", modality "SSTC000", {}
      for _, synchronous in ipairs { false, true } do
        local options = { Permissive = true, Synchronous = synchronous or nil }
        calls[#calls + 1] = { era == "new" and told or INCOMPLETE, "move", move.move, move, found, options }
        calls[#calls + 1] = { INCOMPLETE, "store", store.store, store, stored.ParentStudy, options }
        if era ~= "old" then
          calls[#calls + 1] = { era == "new" and told or INCOMPLETE, "get", get.get, get, "Study", RESOURCE, options }
        end
      end
      assert_all_fail(calls)
    end)

    it("include a Patient that was not sent", function()
      local target = modality "OK3"
      local found <close> = assert(target:find { Level = "Patient", Query = FILTER })
      local patient = { PatientID = "FP0" }
      assert_all_fail {
        { INCOMPLETE, "move", target.move, target, found, { TargetAet = "LOCAL" } },
        { INCOMPLETE, "move_resources", target.move_resources, target, "Patient", patient, { TargetAet = "LOCAL" } },
        { UNPROVEN, "move_resources", target.move_resources, target, "Patient", patient, { TargetAet = "NOBODY" } },
        { era == "old" and TOO_OLD or INCOMPLETE, "get", target.get, target, "Patient", patient },
      }
    end)
  end)

  -- ---- servers that say less ----

  describe("Failures, with an Orthanc " .. version.name .. " that does not describe its errors:", function()
    local peer, server, client, stored
    local era = era_of(version)

    setup(function()
      peer = dicomd.start()
      server = start_local(version, peer, { extra = { HttpDescribeErrors = false } })
      client = modalua.connect(server.url)
      stored = store_samples(client)
    end)

    teardown(function()
      server:close()
      peer:close()
    end)

    -- `job` is the expected failure from the record of a job, which this server still describes.
    local function check(name, direct, job, direct_store)
      local target = client:modality(name)
      assert_fails(direct, "echo", target:echo())
      assert_fails(direct, "find", target:find { Level = "Study", Query = FILTER })
      assert_fails(era == "old" and direct or job, "move_resources", target:move_resources("Study", RESOURCE, { TargetAet = "OK3" }))
      assert_fails(direct, "move_resources", target:move_resources("Study", RESOURCE, { TargetAet = "OK3", Synchronous = true }))
      assert_fails(job == direct and direct_store or job, "store", target:store(stored.ID))
      assert_fails(direct_store, "store", target:store(stored.ID, { Synchronous = true }))
      assert_fails(era == "old" and TOO_OLD or job, "get", target:get("Study", RESOURCE))
      assert_fails(era == "old" and TOO_OLD or direct, "get", target:get("Study", RESOURCE, { Synchronous = true }))
    end

    it("of a modality that does not exist or does not work", function()
      local unknown = failure("orthanc", "unknown_modality", nil, nil, 404)
      -- The error of a store does not tell what is missing, and a status 500 does not tell which side failed.
      check("nosuch", unknown, unknown, failure("orthanc", "not_found", nil, nil, 404))
      check("REJ117", UNEXPLAINED, failure("dicom", nil, 9), failure("http", nil, nil, nil, 500))
      check("NOCTX", UNEXPLAINED, failure("dicom", "unsupported", 2015), failure("http", nil, nil, nil, 500))
      assert_fails(UNEXPLAINED, "find", client:modality "FSTA700":find { Level = "Study", Query = FILTER })
      assert_fails(UNEXPLAINED, "echo", client:modality "EST0122":echo())
      local found <close> = assert(client:modality "MSTA801":find { Level = "Study", Query = FILTER })
      assert_fails(failure("dicom", nil, 9, 0xA801), "move", client:modality "MSTA801":move(found, { TargetAet = "OK3" }))
    end)

    it("of resources that do not exist, and of invalid requests", function()
      assert_fails(failure("orthanc", "query_gone", nil, nil, 404), "move", client:query(NOWHERE):move { TargetAet = "OK3" })
      assert_fails(OUTCOME_GONE, "wait", client:job(NOWHERE):wait())
      local found <close> = assert(client:modality "OK3":find { Level = "Study", Query = FILTER })
      assert_fails(bad_request(), "move", client:query(found.ID):move({ TargetAet = "OK3" }, 99))
      assert_fails(bad_request(), "post", client:post("/modalities/OK3/query", "this is not JSON"))
    end)

    it("of a Synchronous move of a query, and of status 0xC000", function()
      local found <close> = assert(client:modality "MSTA801":find { Level = "Study", Query = FILTER })
      assert_fails(UNEXPLAINED, "move", client:modality "MSTA801":move(found, { TargetAet = "OK3", Synchronous = true }))
      assert_fails(failure("dicom", nil, nil, nil, 422), "find", client:modality "FSTC000":find { Level = "Study", Query = FILTER })
    end)

    it("of a stored resource that does not exist", function()
      local not_found = failure("orthanc", "not_found", nil, nil, 404)
      local expected = by_version { old = not_found, false_get = not_found, new = failure("http", nil, nil, nil, 500) }
      assert_fails(in_era(expected, era), "store", client:modality "OK3":store(NOTHING))
    end)
  end)

  describe("Failures, with an Orthanc " .. version.name .. " that forgets its jobs:", function()
    local peer, server, client, stored
    local era = era_of(version)

    setup(function()
      peer = dicomd.start()
      server = start_local(version, peer, { extra = { JobsHistorySize = 0 } })
      client = modalua.connect(server.url)
      stored = store_samples(client)
    end)

    teardown(function()
      server:close()
      peer:close()
    end)

    it("are found by comparing what has arrived", function()
      local found <close> = assert(client:modality "MSTC000":find { Level = "Study", Query = FILTER })
      local move, store, get = client:modality("MSTC000", { max_moves = 16 }), client:modality "SSTC000", client:modality "GSTC000"
      assert_all_fail {
        { INCOMPLETE, "move", move.move, move, found, { TargetAet = "LOCAL" } },
        { UNPROVEN, "move", move.move, move, found, { TargetAet = "NOBODY" } },
        { INCOMPLETE, "store", store.store, store, stored.ParentStudy },
        { era == "old" and dimse(0xC000, 422) or INCOMPLETE, "move_resources", move.move_resources, move, "Study", RESOURCE },
        { era == "old" and TOO_OLD or INCOMPLETE, "get", get.get, get, "Study", RESOURCE },
      }
    end)

    it("are found by comparing a stored instance", function()
      assert_fails(INCOMPLETE, "store", client:modality "SSTC000":store(stored.ID))
    end)

    it("are also found by comparing after a Synchronous call", function()
      local target = client:modality "OK3"
      local found <close> = assert(target:find { Level = "Study", Query = FILTER })
      assert_all_fail {
        { INCOMPLETE, "store", target.store, target, stored.ParentStudy, { Synchronous = true } },
        { INCOMPLETE, "move", target.move, target, found, { TargetAet = "LOCAL", Synchronous = true } },
      }
    end)
  end)

  -- ---- servers that want to know who asks ----

  describe("Failures, with an Orthanc " .. version.name .. " that has users:", function()
    local peer, server

    setup(function()
      peer = dicomd.start()
      server = start_local(version, peer, { users = { alice = "secret" } })
    end)

    teardown(function()
      server:close()
      peer:close()
    end)

    for code, options in pairs { no_credentials = {}, bad_credentials = { username = "alice", password = "hunter2" } } do
      it(code, function()
        local expected = failure("auth", code, nil, nil, 401)
        local client = modalua.connect(server.url, options)
        local target = client:modality "OK3"
        assert_fails(expected, "echo", target:echo())
        assert_fails(expected, "find", target:find { Level = "Study", Query = FILTER })
        assert_fails(expected, "get_query_answers", target:get_query_answers(NOWHERE))
        assert_fails(expected, "move", target:move(NOWHERE, { TargetAet = "OK3" }))
        assert_fails(expected, "move_resources", target:move_resources("Study", RESOURCE, { TargetAet = "OK3" }))
        assert_fails(expected, "get", target:get("Study", RESOURCE))
        assert_fails(expected, "store", target:store(NOTHING))
        assert_fails(failure("unknown", "auth", nil, nil, 401), "wait", client:job(NOWHERE):wait()) -- whatever the job does
        assert_fails(expected, "cancel", client:job(NOWHERE):cancel())
        assert.is_nil(peer:log():find "ASSOC")
      end)
    end
  end)
end

describe("Failures, with a server that forbids", function()
  it("everything", function()
    local server <close> = faultd.start { { path = "/*", to = faultd.route("/status", { code = 403, body = "" }) } }
    local client = modalua.connect(server.url)
    local target = client:modality "pacs"
    local expected = failure("auth", "forbidden", nil, nil, 403)
    assert_fails(expected, "echo", target:echo())
    assert_fails(expected, "find", target:find { Level = "Study", Query = FILTER })
    assert_fails(expected, "get_query_answers", target:get_query_answers(NOWHERE))
    assert_fails(expected, "move", target:move(NOWHERE, { TargetAet = "OK3" }))
    assert_fails(expected, "move_resources", target:move_resources("Study", RESOURCE, { TargetAet = "OK3" }))
    assert_fails(expected, "get", target:get("Study", RESOURCE))
    assert_fails(expected, "store", target:store(NOTHING))
    assert_fails(failure("unknown", "auth", nil, nil, 403), "wait", client:job(NOWHERE):wait())
    assert_fails(expected, "cancel", client:job(NOWHERE):cancel())
  end)

  it("one operation", function()
    local to = faultd.route("/status", { code = 403, body = "" })
    for _, operation in ipairs(OPERATIONS) do
      local server <close> = faultd.start {
        { path = "/modalities/*", method = "POST", to = to },
        { path = "/system", to = faultd.route("/status", { code = 200, type = "application/json", body = '{"Version":"1.13.0"}' }) },
      }
      if operation[1] ~= "move" then
        assert_fails(failure("auth", "forbidden", nil, nil, 403), operation[1],
          operation.run(modalua.connect(server.url):modality "pacs", ENOUGH, NOTHING))
      end
    end
  end)
end)
