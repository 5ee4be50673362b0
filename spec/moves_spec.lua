-- Tests what a C-MOVE promises: what it calls moved has arrived, nothing is sent twice, and nothing else is sent than was asked for. The
-- servers: Orthancs, dcmqrscp, storescp, and small PACSs that misbehave.
local archive = require "spec.support.archive"
local dcmtk = require "spec.support.dcmtk"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local qrd = require "spec.support.qrd"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local fails, contains = expect.fails, expect.contains

local STUDIES <const> = 60
local LIMITS <const> = { DicomAlwaysAllowStore = true, ConcurrentJobs = 8, LimitFindInstances = 14, LimitFindResults = 5 }
local NO_JOBS <const> = "before 1.11.1 a move of resources is no job"

-- Each of these is for Orthanc the same patient as the one beside it: it disregards case, characters beyond ASCII, and blanks; and before
-- 1.13.0 the difference between '_', '%' and a blank.
local JOINED <const> = { "xYzW", "xyZw", "M1", "MÜ1", "Q_1", "Q 1" }

-- The study N of the patient PN has the StudyInstanceUID 1.2.N, and a series with two instances. The study 900 has one of 25.
local function instances()
  local list = {}
  local function add(patient, study, series, k)
    list[#list + 1] = { PatientID = patient, PatientName = "N^" .. patient, StudyInstanceUID = study, SeriesInstanceUID = series,
      SOPInstanceUID = series .. "." .. k, SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", Modality = "OT", StudyDate = "20240101",
      StudyTime = "1200", AccessionNumber = "A", SpecificCharacterSet = "ISO_IR 100" }
  end
  for n = 1, STUDIES do
    for k = 1, 2 do
      add("P" .. n, "1.2." .. n, ("1.2.%d.1"):format(n), k)
    end
  end
  for k = 1, 25 do
    add("LONG", "1.2.900", "1.2.900.1", k)
  end
  add("abc1", "1.2.801", "1.2.801.1", 1)
  add("ABC1", "1.2.802", "1.2.802.1", 1)
  for i, patient in ipairs(JOINED) do
    add(patient, "1.2.81" .. i, ("1.2.81%d.1"):format(i), 1)
  end
  return list
end

for _, version in ipairs(versions) do
  describe("A move with the Orthanc " .. version.name, function()
    local servers, client, target, pacs = {}, nil, nil, nil

    setup(function()
      local ports, modalities, entries = orthanc.free_ports(8), {}, {}
      local us, archived = { "LOCAL", "127.0.0.1", ports[2] }, { "ARCHIVE", "127.0.0.1", ports[4] }
      local small, sender = { "SMALL", "127.0.0.1", ports[6] }, { "STORESCU", "127.0.0.1", 1 }
      servers.sink = dcmtk.storescp { aet = "SINK" }
      local sink = servers.sink:modality()
      local known = { us = us, archive = archived, small = small, sink = sink, sender = sender, cut = { "CUT", "127.0.0.1", ports[8] } }
      servers.pacs = orthanc.start { binary = version.binary, aet = "PACS", modalities = known, extra = { DicomAlwaysAllowStore = true } }
      servers.cut = orthanc.start { binary = version.binary, aet = "CUT", modalities = known, http_port = ports[7], dicom_port = ports[8],
        extra = { DicomAlwaysAllowStore = true, LimitFindInstances = 14 } }
      servers.dcmqr = dcmtk.dcmqrscp { aet = "DCMQR", peers = { us, archived, sink, sender } }
      local peers = { us, archived, sink }
      servers.breaks = qrd.start { aet = "BREAKS", peers = peers, arguments = { "--move=breaks", "--once", "--keys=all" } }
      servers.warns = qrd.start { aet = "WARNS", peers = peers, arguments = { "--move=warns", "--once", "--keys=all" } }
      servers.claims = qrd.start { aet = "CLAIMS", peers = peers, arguments = { "--move=claims", "--once", "--keys=all" } }
      servers.plain = qrd.start { aet = "PLAIN", peers = peers, arguments = { "--once", "--keys=all" } }
      servers.nolists = qrd.start { aet = "NOLISTS", peers = peers, arguments = { "--no-lists", "--once", "--keys=all" } }
      for name, server in pairs(servers) do
        modalities[name] = server:modality()
        entries[#entries + 1] = name ~= "sink" and server:modality() or nil
      end
      archive.send(instances(), entries)
      servers.archive = orthanc.start { binary = version.binary, aet = "ARCHIVE", http_port = ports[3], dicom_port = ports[4],
        modalities = { us = us }, extra = { DicomAlwaysAllowStore = true } }
      servers.small = orthanc.start { binary = version.binary, aet = "SMALL", http_port = ports[5], dicom_port = ports[6],
        modalities = { us = us }, extra = { DicomAlwaysAllowStore = true, MaximumPatientCount = 1 } }
      modalities.archive, modalities.small = archived, small
      servers.us = orthanc.start { binary = version.binary, aet = "LOCAL", http_port = ports[1], dicom_port = ports[2], verbose = true,
        modalities = modalities, extra = LIMITS }
      client, target = modalua.connect(servers.us.url), modalua.connect(servers.archive.url)
      pacs = client:modality "pacs"
    end)

    teardown(function()
      for _, server in pairs(servers) do
        server:close()
      end
    end)

    local function empty_all()
      archive.empty(client)
      archive.empty(target)
    end

    before_each(empty_all)

    local function find(modality, query, level)
      return assert(modality:find { Level = level or "Study", Query = query })
    end

    -- The rows of the first n studies, as from a table of somebody else.
    local function rows(n)
      local list = {}
      for i = 1, n do
        list[i] = { StudyInstanceUID = "1.2." .. i }
      end
      return list
    end

    local function arrived(at)
      return #assert((at or target):get "/instances")
    end

    -- The number of C-FINDs that f lets this Orthanc send.
    local function questions(f)
      local before = servers.us:count_logged "/query\n"
      f()
      return servers.us:count_logged "/query\n" - before
    end

    describe("looks at the target", function()
      it("with two questions for each 50 studies, at the source and at the target", function()
        local found = find(pacs, { PatientID = "P*" })
        local result
        assert.are.equal(4, questions(function() result = assert(pacs:move(found, { to = "archive" })) end))
        assert.is_true(result.verified)
        assert.are.equal(2 * STUDIES, arrived())
        local outcomes
        assert.are.equal(4, questions(function() outcomes = assert(pacs:move_resources("Study", found.answers, { to = "archive" })) end))
        assert.is_true(outcomes[STUDIES].result.verified)
        assert.are.equal(4, questions(function() assert(pacs:move_resources("Study", rows(STUDIES), { to = "archive" })) end))
        assert.are.equal(0, questions(function()
          result = assert(pacs:move(found, { to = "archive", verify = false }))
          assert(pacs:move_resources("Study", rows(2), { to = "archive", verify = false }))
        end))
        assert.is_false(result.verified)
      end)

      it("also when it is this Orthanc, whatever its LimitFindResults", function()
        local found = find(pacs, { PatientID = "P*" })
        local result
        assert.are.equal(2, questions(function() result = assert(pacs:move(found)) end))
        assert.is_true(result.verified)
        assert.are.equal(2 * STUDIES, arrived(client))
      end)

      it("at every level, for series and instances too", function()
        local series = find(pacs, { StudyInstanceUID = "1.2.1" }, "Series")
        assert.is_true(assert(pacs:move(series, { to = "archive" })).verified)
        local one = find(pacs, { StudyInstanceUID = "1.2.2", SeriesInstanceUID = "1.2.2.1", SOPInstanceUID = "1.2.2.1.1" }, "Instance")
        assert.is_true(assert(pacs:move(one, { to = "archive" })).verified)
        assert.are.equal(3, arrived())
        assert.is_true(assert(pacs:move_resources("Instance", one.answers))[1].result.verified)
        local patient = find(pacs, { PatientID = "P3" }, "Patient")
        assert.is_true(assert(pacs:move(patient, { to = "archive" })).verified)
      end)

      it("and compares instances where the numbers are not known", function()
        for _, name in ipairs { "dcmqr", "plain", "nolists" } do
          local modality = client:modality(name)
          local found = find(modality, { PatientID = "P2" })
          assert.is_true(assert(modality:move(found, { to = "archive" })).verified)
          assert.are.equal(2, arrived())
        end
      end)

      it("and fails if nothing has arrived, and names what is missing", function()
        local modality = client:modality "claims"
        local found = find(modality, { PatientID = "P2" })
        for _, moved in ipairs { { modality.move, modality, found }, { modality.move_resources, modality, "Study", found.answers } } do
          moved[#moved + 1] = { to = "archive" }
          local result, err = table.unpack(moved, 1, 1)(table.unpack(moved, 2))
          fails({ kind = "dicom", code = "incomplete" }, result, err)
          table.sort(err.missing)
          assert.are.same({ "1.2.2.1.1", "1.2.2.1.2" }, err.missing)
        end
        assert(modality:move(found, { to = "archive", verify = false }))
      end)

      it("and fails for the resources that did not arrive alone", function()
        local modality = client:modality "claims"
        assert(pacs:move_resources("Study", rows(2), { to = "archive" }))
        local _, err = modality:move_resources("Study", rows(3), { to = "archive" })
        assert.are.same({ true, true, "incomplete" },
          { err.outcomes[1].result.verified, err.outcomes[2].result.verified, err.outcomes[3].error.code })
      end)

      it("for a handle, when its job is waited for", function()
        local modality = client:modality "claims"
        local found = find(modality, { PatientID = "P2" })
        local job = assert(modality:move(found, { to = "archive", Synchronous = false }))
        fails({ kind = "dicom", code = "incomplete" }, client:job(job):wait())
      end)

      it("at the end: what a target has removed meanwhile has not arrived", function()
        local _, err = pacs:move_resources("Study", rows(3), { to = "small" })
        assert.is_table(err)
        for i = 1, 2 do
          contains(tostring(err.outcomes[i].error), "2 of 2 instances have not arrived")
        end
        assert.is_true(err.outcomes[3].result.verified)
      end)

      it("before it tells the function for the progress what has been moved", function()
        local told = {}
        local options = { to = "small", progress = function(p)
          told[#told + 1] = p.outcome
          return p.outcome and assert(p.outcome.error or p.outcome.result.verified)
        end }
        local _, err = pacs:move_resources("Study", rows(3), options)
        assert.are.equal(3, #told)
        for i, outcome in ipairs(told) do
          assert.are.equal(err.outcomes[i].error, outcome.error)
        end
      end)
    end)

    describe("that cannot be looked at", function()
      it("says so in its result", function()
        for _, options in ipairs { { to = "sink" }, { TargetAet = "SINK" } } do
          local result = assert(pacs:move(find(pacs, { PatientID = "P1" }), options))
          assert.is_false(result.verified)
          assert.is_string(result.unverified)
        end
        assert(client:delete "/modalities/sink")
        local result = assert(pacs:move(find(pacs, { PatientID = "P1" }), { TargetAet = "SINK" }))
        assert(client:put("/modalities/sink", servers.sink:modality()))
        assert.is_false(result.verified)
        contains(result.unverified, "this server knows no modality with the AE title SINK")
      end)

      it("is unknown with verify = true", function()
        fails({ kind = "unknown", code = "unproven" },
          pacs:move(find(pacs, { PatientID = "P1" }), { to = "sink", verify = true }))
      end)

      it("fails all the same if the source does not have the resource", function()
        local modality = client:modality "dcmqr"
        fails({ kind = "dicom", code = "not_found" },
          modality:move_resources("Study", { StudyInstanceUID = "1.2.3.4" }, { to = "sink" }))
        assert.is_false(assert(modality:move_resources("Study", rows(1), { to = "sink" }))[1].result.verified)
      end)
    end)

    describe("that is said to have failed", function()
      it("succeeds if the association broke off when all had been sent", function()
        local modality = client:modality "breaks"
        local found = find(modality, { PatientID = "P2" })
        assert.is_true(assert(modality:move(found, { to = "archive" })).verified)
        assert.is_true(assert(modality:move_resources("Study", rows(2), { to = "archive" }))[1].result.verified)
        local result, err = modality:move(found, { to = "archive", verify = false })
        fails({ kind = "dicom", orthanc_status = 9 }, result, err)
      end)

      it("succeeds also when its job is waited for, by any client", function()
        for _, name in ipairs { "breaks", "warns" } do
          local modality = client:modality(name)
          local found = find(modality, { PatientID = "P2" })
          local job = assert(modality:move(found, { to = "archive", Synchronous = false }))
          for _ = 1, 2 do
            assert.is_true(assert(client:job(job):wait()).verified, name)
          end
          local other, err = modalua.connect(servers.us.url):job(job):wait()
          if version.number < 11101 then -- the job's record does not have the destination
            fails({ kind = "unknown", code = "unproven" }, other, err)
          else
            assert.is_true(assert(other, err).verified, name)
          end
          empty_all()
          assert.is_nil((client:job(job):wait())) -- what has arrived is gone, and no outcome of a failure is kept
        end
      end)

      it("is unknown if that cannot be looked at", function()
        local modality = client:modality "breaks"
        fails({ kind = "unknown" }, modality:move(find(modality, { PatientID = "P2" }), { to = "sink" }))
      end)
    end)

    describe("and lists that are cut", function()
      it("is verified in spite of LimitFindInstances here", function()
        local found = find(pacs, { StudyInstanceUID = "1.2.900" })
        assert.is_true(assert(pacs:move(found, { verify = true })).verified)
        if version.number >= 11206 then
          assert.is_true(assert(pacs:get("Study", found.answers, { verify = true })).verified)
        end
      end)

      it("is verified in spite of LimitFindInstances there", function()
        local cut = client:modality "cut"
        for _, level in ipairs { "Study", "Series" } do
          local result, err = pacs:move(find(pacs, { StudyInstanceUID = "1.2.900" }, level), { to = "cut", verify = true })
          if version.number < 11101 then -- it fails a C-FIND that it would have to cut
            fails({ kind = "unknown", code = "unproven" }, result, err)
          else
            assert.is_true(assert(result, tostring(err)).verified)
          end
        end
        assert.is_true(assert(cut:move(find(cut, { StudyInstanceUID = "1.2.900" }), { to = "archive" })).verified)
      end)
    end)

    describe("of the same", function()
      it("is one C-MOVE for rows that name the same resource, whose UIDs have blanks", function()
        local row = { StudyInstanceUID = "1.2.5" }
        local outcomes
        local before = servers.plain:count "C-MOVE"
        outcomes = assert(client:modality("plain"):move_resources("Study",
          { row, row, { StudyInstanceUID = " 1.2.5 " }, { StudyInstanceUID = "1.2.6\0" }, { StudyInstanceUID = "1.2.5\0" } },
          { to = "archive", max = 2 }))
        assert.are.equal(2, servers.plain:count "C-MOVE" - before)
        assert.are.equal(5, #outcomes)
        assert.are.same({ { StudyInstanceUID = "1.2.5" }, outcomes[1].result }, { outcomes[5].resource, outcomes[5].result })
        assert.are.equal(4, arrived())
      end)
    end)

    it("does not send what another run has moved since this one began", function()
      if version.number < 11101 then
        return pending(NO_JOBS)
      end
      local peer, before = servers.plain, servers.plain:count "C-MOVE"
      local modality, other = client:modality "plain", modalua.connect(servers.us.url):modality "plain"
      local function meanwhile(p)
        if p.sent and p.done == 1 then
          assert(other:move_resources("Study", { StudyInstanceUID = "1.2.2" }, { to = "archive" }))
        end
      end
      local outcomes = assert(modality:move_resources("Study", rows(3), { to = "archive", progress = meanwhile }))
      assert.are.same({ 3, 3, 6 }, { #outcomes, peer:count "C-MOVE" - before, arrived() })
      assert.is_true(outcomes[2].result.verified)
      assert(modality:move_resources("Study", rows(3), { to = "archive" })) -- a run that begins later sends all of it
      assert.are.equal(6, peer:count "C-MOVE" - before)
    end)

    describe("of patients", function()
      it("is refused if Orthanc takes them for one", function()
        local refused = { kind = "refused", code = "bad_identifier" }
        for _, query in ipairs { { PatientID = "abc1" }, { PatientID = "???1", PatientName = "N^abc1" } } do
          fails(refused, pacs:move(find(pacs, query, "Patient"), { to = "archive" }))
        end
        fails(refused, pacs:move_resources("Patient", { { PatientID = "abc1" }, { PatientID = "ABC1" } }, { to = "archive" }))
        fails(refused, pacs:move_resources("Patient", { PatientID = "abc1" }, { to = "archive" }))
        fails(refused, pacs:get("Patient", { { PatientID = "abc1" }, { PatientID = "ABC1" } }))
        for _, patient in ipairs(JOINED) do
          if patient:find "^[ -~]+$" then
            fails(refused, pacs:move_resources("Patient", { PatientID = patient }, { to = "archive" }))
            fails(refused, pacs:get("Patient", { PatientID = patient }))
          end
        end
        assert(client:put("/tools/default-encoding", "Ascii")) -- the answers show 'M1' twice
        fails(refused, pacs:move_resources("Patient", { PatientID = "M1" }, { to = "archive" }))
        assert(client:put("/tools/default-encoding", "Latin1"))
        assert.are.equal(0, arrived() + arrived(client))
        assert(pacs:move_resources("Study", { StudyInstanceUID = "1.2.801" }, { to = "archive" }))
        assert.are.equal(1, arrived())
      end)
    end)
  end)

  describe("A move with the Orthanc " .. version.name .. " while jobs run", function()
    local server, peer, client, held

    before_each(function()
      peer = dicomd.start()
      server = orthanc.start { binary = version.binary, aet = "LOCAL", verbose = true, extra = { ConcurrentJobs = 8, DicomScuTimeout = 60 },
        modalities = { held = peer:modality "HELD", twin = { "HELD", "127.0.0.1", 1 } } }
      client = modalua.connect(server.url)
      held = client:modality "held"
      assert(client:delete "/modalities/twin")
    end)

    after_each(function()
      server:close()
      peer:close()
    end)

    -- What another process sends: a query of all three studies, or resources.
    local function other_query(target)
      local id = assert(client:post("/modalities/held/query", { Level = "Study", Query = { PatientName = "*A*" } })).ID
      local job = assert(client:post(("/queries/%s/retrieve"):format(id), { TargetAet = target, Asynchronous = true })).ID
      assert(expect.eventually(function() return peer:count "C-MOVE" == 1 end))
      return job
    end

    -- Asserts that f waits for that job, and lets it end.
    local function waits_for(job, f)
      local waiting = task.spawn(f)
      assert(expect.eventually(function() return server:count_logged("(http) GET /jobs/" .. job) > 0 end))
      peer:let()
      return waiting:join()
    end

    it("waits for a job of several resources, and sends nothing itself", function()
      if version.number < 11101 then
        return pending "before 1.11.1 a job's record does not say its target"
      end
      local found = assert(held:find { Level = "Study", Query = { PatientName = "*A*" } })
      assert(waits_for(other_query "ANY", function() return held:move(found, { TargetAet = "ANY", verify = false }) end))
      assert.are.equal(3, peer:count "C-MOVE")
    end)

    it("waits for a job that this process has started", function()
      local found = assert(held:find { Level = "Study", Query = { PatientName = "*A*" } })
      local job = assert(held:move(found, { TargetAet = "ANY", Synchronous = false, verify = false })).ID
      assert(expect.eventually(function() return peer:count "C-MOVE" == 1 end))
      local other = modalua.connect(server.url):modality "held"
      assert(waits_for(job, function()
        return other:move_resources("Study", { StudyInstanceUID = "1.2.3.1" }, { TargetAet = "ANY", verify = false })
      end))
      assert.are.equal(3, peer:count "C-MOVE")
    end)

    it("looks for jobs before each submission, and not once in its life", function()
      if version.number < 11101 then
        return pending(NO_JOBS)
      end
      assert(client:jobs { expand = true })
      local done = task.spawn(held.move_resources, held, "Study", { StudyInstanceUID = "1.2.7" }, { TargetAet = "ANY", verify = false })
      assert(expect.eventually(function() return peer:count "C-MOVE" == 1 end))
      peer:let(1)
      assert(done:join())
      local job = assert(client:post("/modalities/held/move", { Level = "Study", TargetAet = "ANY", Asynchronous = true,
        Resources = modalua.json.array { { StudyInstanceUID = "1.2.8" } } })).ID
      assert(expect.eventually(function() return peer:count "C-MOVE" == 2 end))
      assert(waits_for(job, function()
        return held:move_resources("Study", { StudyInstanceUID = "1.2.8" }, { TargetAet = "ANY", verify = false })
      end))
      assert.are.equal(2, peer:count "C-MOVE")
    end)

    it("sends the rest if a job makes a part of it", function()
      if version.number < 11101 then
        return pending(NO_JOBS)
      end
      local job = assert(client:post("/modalities/held/move", { Level = "Study", TargetAet = "ANY", Asynchronous = true,
        Resources = modalua.json.array { { StudyInstanceUID = "1.2.3.0" } } })).ID
      assert(expect.eventually(function() return peer:count "C-MOVE" == 1 end))
      local found = assert(held:find { Level = "Study", Query = { PatientName = "*A*" } })
      assert.are.equal(3, #found.answers)
      local result = assert(waits_for(job, function() return held:move(found, { TargetAet = "ANY", verify = false }) end))
      assert.are.equal(3, peer:count "C-MOVE")
      assert.are.same({ 3, "HELD", "ANY" }, { #result.Query, result.RemoteAet, result.TargetAet })
    end)

    it("does not wait for a job that is paused", function()
      if version.number < 11101 then
        return pending(NO_JOBS)
      end
      local job = assert(client:post("/modalities/held/move", { Level = "Study", TargetAet = "ANY", Asynchronous = true,
        Resources = modalua.json.array { { StudyInstanceUID = "1.2.1" }, { StudyInstanceUID = "1.2.2" } } })).ID
      assert(expect.eventually(function() return peer:count "C-MOVE" == 1 end))
      local waiting = task.spawn(held.move_resources, held, "Study", { StudyInstanceUID = "1.2.2" }, { TargetAet = "ANY", verify = false })
      assert(expect.eventually(function() return server:count_logged("(http) GET /jobs/" .. job) > 0 end))
      assert(client:job(job):pause())
      peer:let()
      local err = fails({ kind = "refused", code = "other_job", op = "move_resources", job = job }, waiting:join())
      contains(err.message, "is paused")
      assert.are.equal(1, peer:count "C-MOVE")
    end)

    it("goes on beside a job to another target", function()
      local job = other_query "OTHER"
      local found = assert(held:find { Level = "Study", Query = { PatientName = "*A*" } })
      if version.number < 11101 then -- the job's record does not say its target
        local err = fails({ kind = "refused", code = "other_job" }, held:move(found, { TargetAet = "ANY", verify = false }))
        assert.are.equal(job, err.job)
        return
      end
      local moving = task.spawn(held.move, held, found, { TargetAet = "ANY", verify = false })
      assert(expect.eventually(function() return peer:count "C-MOVE" == 2 end))
      peer:let()
      assert(moving:join())
      assert.is_truthy(expect.eventually(function() return peer:count "C-MOVE" == 6 end))
    end)

    it("goes on beside a job of this process to another target, also before the server has named that job", function()
      local far <close> = lag.start(server.http_port, 300)
      local found = assert(held:find { Level = "Study", Query = { PatientName = "*A*" } })
      local distant = modalua.connect(far.url):modality "held"
      local same = assert(distant:find { Level = "Study", Query = { PatientName = "*A*" } })
      local first = task.spawn(distant.move, distant, same, { TargetAet = "OTHER", verify = false })
      assert(expect.eventually(function() return peer:count "C-MOVE" == 1 end)) -- the answer that names the job is still under way
      local second = task.spawn(held.move, held, found, { TargetAet = "ANY", verify = false })
      assert(expect.eventually(function() return peer:count "C-MOVE" == 2 end))
      peer:let()
      assert(first:join())
      assert(second:join())
      assert.are.equal(6, peer:count "C-MOVE")
    end)

    it("is refused if the job may be one of another modality with the same AE title", function()
      local job = other_query "ANY"
      assert(client:put("/modalities/twin", { "HELD", "127.0.0.1", 1 }))
      local found = assert(held:find { Level = "Study", Query = { PatientName = "*A*" } })
      local err = fails({ kind = "refused", code = "other_job" }, held:move(found, { TargetAet = "ANY", verify = false }))
      assert.are.equal(job, err.job)
      assert.are.equal(1, peer:count "C-MOVE")
    end)
  end)
end
