-- Tests how modalua protects transfers: too much data, a wrong target, false successes, and a server that forgets its jobs.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local eventually, fails, contains, throws = expect.eventually, expect.fails, expect.contains, expect.throws

-- Returns a method of a modality as a function.
local function method(modality, name)
  return function(...) return modality[name](modality, ...) end
end

local CT, NOBODY = "1.2.840.10008.5.1.4.1.1.2", "00000000-00000000-00000000-00000000-00000000"
local NO_GET <const> = "Orthanc knows C-GET from 1.12.6 on"
local BEHAVIOURS = {
  ok = "OK3", one2 = "ONE2", liar = "PART3", b000 = "MSTB000", a702 = "MSTA702", warned = "SSTB000", full = "SSTA700",
  gotten = "GSTA700", abort = "ABORT", slow = "SLOW0.2", none = "OK0",
}

for _, version in ipairs(versions) do
  describe("A transfer with the Orthanc " .. version.name, function()
    local servers, client, elsewhere, peer, seen, pacs, ok
    local release = version.number

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" },
        { binary = version.binary, verbose = true, extra = { ConcurrentJobs = 8, JobsHistorySize = 1000, DicomScuTimeout = 60 } })
      peer = dicomd.start()
      client, elsewhere = modalua.connect(servers.LOCAL.url), modalua.connect(servers.ARCHIVE.url)
      for name, aet in pairs(BEHAVIOURS) do
        assert(client:put("/modalities/" .. name, peer:modality(aet)))
      end
      pacs, ok = client:modality "pacs", client:modality "ok"
      assert(samples.store(modalua.connect(servers.PACS.url)))
    end)

    teardown(function()
      servers:close()
      peer:close()
    end)

    before_each(function()
      seen = #peer:log()
    end)

    -- Returns the lines that begin with `word` and that the peer has logged in this test.
    local function logged(word)
      return peer:logged(word, seen)
    end

    local function find(modality, query, level)
      return assert(modality:find { Level = level or "Study", Query = query })
    end

    local function instances(at, filter)
      return #assert(at:post("/tools/find", { Level = "Instance", Query = filter }))
    end

    -- Asserts that an operation failed because this server is older than the version `since`.
    local function unsupported(since, part, result, err)
      fails({ kind = "orthanc", code = "unsupported" }, result, err)
      contains(err.message, part)
      contains(err.message, ("needs Orthanc %d.%d.%d or later"):format(since // 10000, since // 100 % 100, since % 100))
    end

    describe("of everything", function()
      local BROAD = {
        {}, { PatientID = "" }, { PatientID = "*" }, { PatientID = "?" }, { PatientName = "*^*", StudyDate = "" }, { PatientName = "????" },
        { ["0010,0020"] = "**" }, { StudyInstanceUID = "   " }, { SpecificCharacterSet = "ISO_IR 192" },
        { ModalitiesInStudy = "*", PatientID = " * " }, { SpecificCharacterSet = "ISO_IR 100", QueryRetrieveLevel = "STUDY" },
      }

      it("is refused if the result comes from a search without filters, however it is named", function()
        for _, query in ipairs(BROAD) do
          local found = find(ok, query)
          assert.is_true(found.broad)
          for _, id in ipairs { found, found.ID, { ID = found.ID } } do
            local err = fails({ kind = "refused", code = "too_broad", op = "move" }, ok:move(id, { TargetAet = "ARCHIVE" }))
            contains(err.message, "all = true")
          end
          fails({ kind = "refused", code = "too_broad" }, client:query(found.ID):move { to = "archive" })
          fails({ kind = "refused", code = "too_broad" }, ok:move(found))
          fails({ kind = "refused", code = "too_broad" }, ok:move(found, { Synchronous = true, Permissive = true }))
          assert(found:close())
        end
        assert.are.same({}, logged "C-MOVE")
      end)

      it("is refused at every level, also after a search with Normalize = false", function()
        for _, data in ipairs {
          { Level = "Patient", Query = { PatientID = "*" } }, { Level = "Series", Query = { Modality = "" } },
          { Level = "Instance", Query = { InstanceNumber = "" } }, { Level = "Study", Normalize = false, Query = { Modality = "*" } },
          { Level = "Study", keep = { "0009,1001" }, Query = { ["0009,1001"] = "*" } },
        } do
          fails({ kind = "refused", code = "too_broad" }, ok:move(assert(ok:find(data)), { to = "archive" }))
        end
        assert.are.same({}, logged "C-MOVE")
      end)

      it("is refused also if another client has searched", function()
        local function ask(data)
          return assert(client:post("/modalities/ok/query", data)).ID
        end
        local broad = { kind = "refused", code = "too_broad" }
        for _, query in ipairs(BROAD) do
          local id = ask { Level = "Study", Query = modalua.json.object(query) }
          fails(broad, ok:move(id, { to = "archive" }))
          fails(broad, client:query(id):move { to = "archive" })
          fails(broad, modalua.connect(servers.LOCAL.url):modality "ok":move(id, { to = "archive" }))
        end
        fails(broad, ok:move(ask { Level = "Study", Query = { Modality = "CT" } }, { to = "archive" })) -- Orthanc has dropped this filter
        fails(broad, ok:move(ask { Level = "Study", Query = { ["0010-0020"] = "*" } }, { to = "archive" }))
        assert.are.same({}, logged "C-MOVE")
        assert(ok:move(ask { Level = "Study", Query = { PatientID = "FP*" } }, { to = "archive", verify = false }))
        assert.are.equal(3, #logged "C-MOVE")
      end)

      it("is refused also if the filter of another client lost its characters on the way", function()
        for _, charset in ipairs { "", "ISO_IR 100" } do
          local id = assert(client:post("/modalities/ok/query",
            { Level = "Study", Query = { PatientName = "Иванов", SpecificCharacterSet = charset } })).ID
          contains(logged "C-FIND"[1], " 0010,0010= ")
          fails({ kind = "refused", code = "too_broad" }, ok:move(id, { to = "archive" }))
        end
        assert.are.same({}, logged "C-MOVE")
      end)

      it("happens with the option all", function()
        local found = find(ok, {})
        assert(ok:move(found, { to = "archive", all = true, verify = false }))
        assert.are.equal(3, #logged "C-MOVE")
        assert(client:query(found.ID):move { to = "archive", all = true, verify = false })
        assert.are.equal(6, #logged "C-MOVE")
      end)

      it("is not refused for one of its answers", function()
        local query = client:query(find(ok, {}).ID)
        assert(query:move({ to = "archive", verify = false }, 2))
        local moves = logged "C-MOVE"
        assert.are.equal(1, #moves)
        contains(moves[1], "0020,000d=1.2.3.1")
      end)
    end)

    it("of more than max resources is refused, whoever has searched", function()
      local found = find(ok, { PatientID = "FP*" })
      local many = { kind = "refused", code = "too_many" }
      local err = fails(many, ok:move(found, { to = "archive", max = 2 }))
      contains(err.message, "3 answers, and max is 2")
      fails(many, ok:move(find(ok, {}), { to = "archive", max = 2, all = true }))
      fails(many, client:query(found.ID):move { to = "archive", max = 2 })
      fails(many, modalua.connect(servers.LOCAL.url):modality "ok":move(found.ID, { to = "archive", max = 2 }))
      fails(many, ok:move_resources("Study", found.answers, { to = "archive", max = 2 }))
      assert.are.same({}, logged "C-MOVE")
      assert(ok:move(found, { to = "archive", max = 3, verify = false }))
      assert.are.equal(3, #logged "C-MOVE")
    end)

    it("of rows that name nothing, or several things, is refused, and names the place in the list", function()
      for _, uid in ipairs { "", "*", "1.2.?", "1.2.3\\1.2.4", " ", "1.2\n", "1.2 3", "1.2\0003", ("1"):rep(65), "1.2.٣" } do
        local err = fails({ kind = "refused", code = "bad_identifier" },
          ok:move_resources("Study", { { StudyInstanceUID = "1.2.3" }, { StudyInstanceUID = uid } }, { to = "archive" }))
        contains(err.message, "resource 2: StudyInstanceUID = ")
        fails({ kind = "refused", code = "bad_identifier" }, ok:get("Study", { StudyInstanceUID = uid }))
      end
      local err = fails({ kind = "refused", code = "bad_identifier" },
        ok:move_resources("Series", { SeriesInstanceUID = "1.2.3" }, { to = "archive" }))
      contains(err.message, "resource 1 has no StudyInstanceUID, which a Series needs")
      fails({ kind = "refused", code = "bad_identifier" }, ok:get("Patient", {}))
      for _, id in ipairs { "Ж", "Ж1" } do -- Orthanc would send these as an empty value and as 1
        fails({ kind = "refused", code = "bad_identifier" }, ok:get("Patient", { PatientID = id }))
        fails({ kind = "refused", code = "bad_identifier" }, ok:move_resources("Patient", { PatientID = id }, { to = "archive" }))
      end
      fails({ kind = "refused", code = "bad_identifier" }, ok:store { "nonsense" })
      fails({ kind = "refused", code = "bad_identifier" }, ok:store {})
      throws("the level must be", method(ok, "get"), "Studies", { StudyInstanceUID = "1" })
      assert.are.same({}, logged "ASSOC")
    end)

    it("of rows of answers sends only their unique keys, one row in each request", function()
      local found = find(ok, { PatientID = "FP*" })
      local outcomes = assert(ok:move_resources("Study", found.answers, { to = "archive", verify = false }))
      assert.are.equal(3, #outcomes)
      assert.are.same({ StudyInstanceUID = "1.2.3.1" }, outcomes[2].resource)
      local moves = logged "C-MOVE"
      assert.are.equal(3, #moves)
      for i, line in ipairs(moves) do
        local rest = line:gsub(" 0008,0005=ISO_IR %d+", "")
        assert.are.equal(("C-MOVE dest=ARCHIVE 0008,0052=STUDY 0020,000d=1.2.3.%d"):format(i - 1), rest)
      end
    end)

    describe("with a key that Orthanc would ignore", function()
      it("throws an error, and suggests the right name", function()
        local move, store, get = method(ok, "move"), method(ok, "store"), method(ok, "get")
        local move_resources = method(ok, "move_resources")
        local study = { StudyInstanceUID = "1.2.3" }
        local found = find(ok, { PatientID = "FP1" })
        throws("move: unknown key 'TargetAET'; did you mean 'TargetAet'?", move, found, { TargetAET = "ARCHIVE" })
        throws("move: unknown key 'target_aet'", move, found, { target_aet = "ARCHIVE" })
        throws("move: unknown key 'All'; did you mean 'all'?", move, found, { All = true })
        throws("move: unknown key 'Async", move, found, { Asyncronous = true })
        throws("did you mean 'Permissive'?", move, found, { permissive = true })
        throws("did you mean 'TargetAet'?", method(client:query(found.ID), "move"), { TargetAET = "ARCHIVE" })
        throws("move_resources: unknown key 'targetAet'; did you mean 'TargetAet'?", move_resources, "Study", study, { targetAet = "X" })
        throws("move_resources: 'Permissive' cannot be given", move_resources, "Study", study, { Permissive = true, to = "archive" })
        throws("move_resources: 'RetrieveMethod' cannot be given", move_resources, "Study", study, { RetrieveMethod = "C-GET" })
        throws("move: 'LocalAet' cannot be given", move, found, { LocalAet = "X", to = "archive" })
        throws("get: 'TargetAet' cannot be given", get, "Study", study, { TargetAet = "ARCHIVE" })
        throws("get: unknown key 'RetrieveMethod'", get, "Study", study, { RetrieveMethod = "C-MOVE" })
        throws("store: unknown key 'CalledAET'; did you mean 'CalledAet'?", store, NOBODY, { CalledAET = "X" })
        throws("store: unknown key 'host'; did you mean 'Host'?", store, NOBODY, { host = "localhost" })
        throws("store: 'Resources' cannot be given", store, NOBODY, { Resources = { NOBODY } })
        throws("the options are the second argument", store, 12)
        throws("echo: unknown key 'timeout'; did you mean 'Timeout'?", method(ok, "echo"), { timeout = 5 })
        throws("Synchronous and Asynchronous contradict each other", move, found, { Synchronous = true, Asynchronous = true })
        throws("a key must be a string", move, found, { "ARCHIVE" })
        throws("options must be a table", move, found, "ARCHIVE")
        assert.are.same({}, logged "C-MOVE")
        assert.are.equal(1, #logged "ASSOC") -- the association of the find
      end)

      it("is an error that names the first version that has the key, if the server is older", function()
        local found, study = find(ok, { PatientID = "FP*" }), { StudyInstanceUID = "1.2.3" }
        seen = #peer:log()
        if release < 11206 then
          for _, how in ipairs { "C-GET", "SystemDefault" } do
            unsupported(11206, "'RetrieveMethod' of move", ok:move(found, { RetrieveMethod = how }))
          end
          unsupported(11206, "C-GET", ok:get("Study", study))
        end
        if release < 11209 then
          unsupported(11209, "'UserData' of move", ok:move(found, { to = "archive", UserData = "x" }))
          unsupported(11209, "'UserData' of move_resources", ok:move_resources("Study", study, { to = "archive", UserData = "x" }))
          unsupported(11209, "'UserData' of store", ok:store(NOBODY, { UserData = "x" }))
          unsupported(release < 11206 and 11206 or 11209, "needs Orthanc", ok:get("Study", study, { UserData = "x" }))
        end
        if release < 11103 then
          for key, value in pairs { Host = "127.0.0.1", Port = 104, CalledAet = "OK3" } do
            unsupported(11103, ("'%s' of store"):format(key), ok:store(NOBODY, { [key] = value }))
          end
          unsupported(11101, "'Priority' of move_resources", ok:move_resources("Study", study, { to = "archive", Priority = 1 }))
        end
        assert.are.same({}, logged "ASSOC")
      end)

      it("is used by a server that knows the key", function()
        local found = find(ok, { PatientID = "FP1" })
        assert(ok:move(found, { to = "archive", RetrieveMethod = "C-MOVE", verify = false })) -- older servers always use C-MOVE
        if release >= 11209 then
          local job = assert(ok:move(found, { to = "archive", UserData = "mine", Priority = 7, Asynchronous = true, verify = false }))
          local record = assert(client:job(job):status())
          assert.are.same({ "mine", 7 }, { record.UserData, record.Priority })
          assert(client:job(job):wait())
        end
        if release >= 11103 then
          local id = assert(client:post("/tools/create-dicom", { Tags = { PatientID = "STORED", SOPClassUID = CT } })).ID
          assert(ok:store(id, { CalledAet = "SSTB000", Host = "127.0.0.1", Port = peer.port }))
          contains(logged "ASSOC"[#logged "ASSOC"], "called=SSTB000")
          assert(client:delete("/instances/" .. id))
        end
      end)

      it("is sent if the key is in `extra`, which accepts no key that modalua knows", function()
        assert(ok:move(find(ok, { PatientID = "FP1" }), { to = "archive", verify = false, extra = { Xyzzy = { 1 } } }))
        assert(ok:move_resources("Study", { StudyInstanceUID = "1.2.3" }, { to = "archive", verify = false, extra = { Xyzzy = 1 } }))
        throws("'TargetAet' is known: give it beside 'extra'", method(ok, "move"), NOBODY, { extra = { TargetAet = "X" } })
        throws("'Timeout' is known", method(ok, "store"), NOBODY, { extra = { Timeout = 0 } })
        throws("option 'extra' must be a table", method(ok, "move"), NOBODY, { extra = "Xyzzy" })
      end)
    end)

    it("cannot be given an endless Timeout", function()
      local study = { StudyInstanceUID = "1.2.3" }
      for _, seconds in ipairs { 0, -1, 0.5, 1 / 0, "5", 2 ^ 31 } do
        local part = "'Timeout' must be a whole number of seconds, 1 or more"
        throws(part, method(ok, "echo"), { Timeout = seconds })
        throws(part, method(ok, "move"), NOBODY, { to = "archive", Timeout = seconds })
        throws(part, method(ok, "move_resources"), "Study", study, { to = "archive", Timeout = seconds })
        throws(part, method(ok, "get"), "Study", study, { Timeout = seconds })
        throws(part, method(ok, "store"), NOBODY, { Timeout = seconds })
      end
      assert.are.same({}, logged "ASSOC")
      assert(ok:echo { Timeout = 5.0 })
    end)

    describe("to the right target", function()
      it("accepts a modality or its name as `to`, and sends its AE title", function()
        assert(pacs:move(find(pacs, { PatientID = "MOD-0003" }), { to = "archive" }))
        assert.are.equal(2, instances(elsewhere, { PatientID = "MOD-0003" }))
        assert(pacs:move(find(pacs, { PatientID = "03HD044" }), { to = client:modality "archive" }))
        assert.are.equal(2, instances(elsewhere, { PatientID = "03HD044" }))
        assert(client:query(find(pacs, { PatientID = "GR-204" }).ID):move { to = "archive" })
        assert.are.equal(3, instances(elsewhere, { PatientID = "GR-204" }))
        assert(ok:move(find(ok, { PatientID = "FP1" }), { to = "slow" }))
        contains(logged "C-MOVE"[1], "dest=SLOW0.2 ")
        assert(ok:move_resources("Study", { StudyInstanceUID = "1.2.3" }, { to = "slow", verify = false }))
        contains(logged "C-MOVE"[2], "dest=SLOW0.2 ")
      end)

      it("goes to this Orthanc without a target", function()
        assert(pacs:move(find(pacs, { PatientID = "MOD-0003" })))
        assert.are.equal(2, instances(client, { PatientID = "MOD-0003" }))
      end)

      it("refuses a target that does not exist", function()
        local found = find(ok, { PatientID = "FP1" })
        local move = method(ok, "move")
        for _, aet in ipairs { "", ("A"):rep(17), "A\0", "A\\B", 104 } do
          throws("'TargetAet' must be an AE title, a string of 1 to 16 ASCII characters", move, found, { TargetAet = aet })
          throws("'TargetAet' must be an AE title", method(ok, "move_resources"), "Study", { StudyInstanceUID = "1" }, { TargetAet = aet })
          throws("'LocalAet' must be an AE title", method(ok, "store"), NOBODY, { LocalAet = aet })
        end
        throws("'to' must be a modality, or the name of one", move, found, { to = "AN ARCHIVE" })
        throws("'to' must be a modality, or the name of one", move, found, { to = { "archive" } })
        throws("'to' and 'TargetAet' both name a target", move, found, { to = "archive", TargetAet = "ARCHIVE" })
        throws("'to' is a modality of another server", move, found, { to = elsewhere:modality "archive" })
        fails({ kind = "orthanc", code = "unknown_modality" }, ok:move(found, { to = "nosuch" }))
        fails({ kind = "orthanc", code = "unknown_modality" }, ok:move_resources("Study", { StudyInstanceUID = "1" }, { to = "nosuch" }))
        for _, aet in ipairs { "", ("A"):rep(17) } do
          assert(client:put("/modalities/odd", { AET = aet, Host = "127.0.0.1", Port = peer.port }))
          local err = fails({ kind = "refused", code = "bad_aet" }, ok:move(found, { to = "odd" }))
          contains(err.message, "1 to 16 ASCII characters")
        end
        assert(client:delete "/modalities/odd")
        assert.are.same({}, logged "C-MOVE")
      end)

      describe("with a modality's name instead of an AE title", function()
        local hint = "TargetAet 'deposit' is the name of a modality, and its AE title is 'ARCHIVE': use to = \"deposit\""

        setup(function()
          assert(client:put("/modalities/deposit", servers.ARCHIVE:modality()))
        end)

        it("warns", function()
          local script = command.file(([[
            local pacs = require "modalua".connect(%q):modality "pacs"
            local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-0003" } })
            print(pacs:move(found, { TargetAet = "deposit" }))
            assert(pacs:move(found, { TargetAet = "ARCHIVE" }))]]):format(servers.LOCAL.url))
          local result = command.run("-W", script)
          os.remove(script)
          assert.are.equal(0, result.status, result.err)
          assert.are.equal("Lua warning: modalua: move: " .. hint .. "\n", result.err)
          assert.matches("^nil\t", result.out)
        end)

        it("fails, and the error says why", function()
          local study = find(pacs, { PatientID = "MOD-0003" })
          for _, synchronous in ipairs { true, false } do
            local err = fails({ kind = "dicom", dimse_status = 0xC000 },
              pacs:move(study, { TargetAet = "deposit", Synchronous = synchronous or nil }))
            contains(err.message, hint)
          end
        end)
      end)

      it("throws an error if a C-GET has a target, because C-GET ignores it", function()
        local found = find(ok, { PatientID = "FP1" })
        for _, how in ipairs { "C-GET", "SystemDefault" } do
          local part = ("RetrieveMethod = \"%s\" brings everything to this Orthanc and ignores a target"):format(how)
          throws(part, method(ok, "move"), found, { RetrieveMethod = how, to = "archive" })
          throws(part, method(ok, "move"), found, { RetrieveMethod = how, TargetAet = "ARCHIVE" })
        end
        throws("\"C-MOVE\", \"C-GET\" or \"SystemDefault\"", method(ok, "move"), found, { RetrieveMethod = "C-STORE" })
        assert.are.same({}, logged "C-GET")
      end)

      it("reaches a named target also if the server would use C-GET by itself", function()
        if release < 11206 then
          return pending(NO_GET)
        end
        assert(client:put("/modalities/pacs2",
          { AET = "PACS", Host = "127.0.0.1", Port = servers.PACS.dicom_port, RetrieveMethod = "C-GET" }))
        local pacs2 = client:modality "pacs2"
        assert(pacs2:move(find(pacs2, { PatientID = "RU-5501" }), { to = "archive" }))
        assert.are.same({ 8, 0 }, { instances(elsewhere, { PatientID = "RU-5501" }), instances(client, { PatientID = "RU-5501" }) })
        assert(client:delete "/modalities/pacs2")
      end)
    end)

    describe("that the server calls a success", function()
      local function incomplete(result, err)
        return fails({ kind = "dicom", code = "incomplete" }, result, err)
      end

      -- From 1.12.10 on, the server reports the failed part and the reason. With older servers, modalua compares what has arrived.
      local tells = release >= 11210

      it("fails if Permissive hid a failure", function()
        for _, synchronous in ipairs { false, true } do
          local found = find(client:modality "one2", { PatientID = "FP*" })
          local options = { to = "archive", Permissive = true, Synchronous = synchronous or nil }
          local err = incomplete(client:modality "one2":move(found, options))
          -- The peer sent nothing.
          assert.are.same({ tells and 0xA801 or nil, tells and 0 or 9 }, { err.dimse_status, #(err.missing or {}) })
          assert.is_table(err.result)
        end
        assert.are.equal(6, #logged "C-MOVE")
      end)

      it("fails if Permissive hid a study that was deleted at the source after the search", function()
        local source = modalua.connect(servers.PACS.url)
        local found = find(pacs, { PatientID = "MOD-0001", StudyDate = "" })
        assert.are.equal(3, #found.answers)
        local gone = found.answers[2].StudyInstanceUID
        assert(source:delete("/studies/" .. assert(source:post("/tools/lookup", gone))[1].ID))
        local moved, err = pacs:move(found, { to = "archive", Permissive = true })
        assert.are.equal(0, instances(elsewhere, { StudyInstanceUID = gone }))
        assert(samples.store(source))
        fails(tells and { kind = "dicom", code = "incomplete", dimse_status = 0xC000 } or { kind = "unknown", code = "unproven" },
          moved, err)
      end)

      it("fails also for a script that waits for the job itself", function()
        local one2 = client:modality "one2"
        local job = assert(one2:move(find(one2, { PatientID = "FP*" }), { to = "archive", Permissive = true, Synchronous = false }))
        local err = incomplete(client:job(job):wait())
        assert.are.equal(tells and 0xA801 or nil, err.dimse_status)
        assert.are.equal(3, #logged "C-MOVE")
      end)

      it("succeeds if Permissive hid nothing", function()
        assert(pacs:move(find(pacs, { PatientID = "MOD-0001" }), { to = "archive", Permissive = true }))
        assert.are.equal(19, instances(elsewhere, { PatientID = "MOD-0001" }))
      end)

      it("fails if a patient was requested and nothing was sent", function()
        local liar = client:modality "liar"
        local found = find(liar, { PatientID = "FP0" }, "Patient")
        assert.are.equal(3, #incomplete(liar:move(found, { to = "archive" })).missing)
        assert.are.equal(3, #incomplete(client:query(found.ID):move({}, 1)).missing)
        assert.are.equal(3, #incomplete(liar:move_resources("Patient", { PatientID = "FP0" }, { to = "archive" })).missing)
        local err = fails({ kind = "unknown", code = "unproven" }, liar:move(found, { TargetAet = "STRANGER" }))
        contains(err.message, "this server knows no modality with the AE title STRANGER")
        assert.are.equal(4, #logged "C-MOVE")
      end)

      it("refuses a query of another modality", function()
        assert(pacs:move(find(pacs, { PatientID = "MOD-0003" }), { to = "archive" }))
        local liars = find(client:modality "liar", { PatientID = "MOD-0003" }, "Patient")
        fails({ kind = "refused", code = "other_modality" }, pacs:move(liars, { to = "archive" })) -- the query is not from PACS
      end)

      it("fails if a patient has no PatientID to compare by", function()
        local source = modalua.connect(servers.PACS.url)
        local id = assert(source:post("/tools/find", { Level = "Instance", Query = { PatientID = "MOD-0003" } }))[1]
        local nameless = assert(source:get("/instances/" .. id .. "/file")):gsub("MOD%-0003", "        ")
        local stored = assert(source:post("/instances", (nameless:gsub("SMITH%^JOHN", "NAMELESS^^"))))
        local found = find(pacs, { PatientName = "NAMELESS*" }, "Patient")
        local moved, err = pacs:move(found, { to = "archive" })
        assert(source:delete("/patients/" .. stored.ParentPatient))
        assert.are.equal("", found.answers[1].PatientID)
        fails({ kind = "refused", code = "bad_identifier" }, moved, err)
      end)

      it("succeeds if there was nothing to move", function()
        for level, options in pairs { Study = { Permissive = true }, Patient = {}, Series = {} } do
          options.to = "archive"
          assert(pacs:move(find(pacs, { PatientID = "NOBODY" }, level), options))
        end
      end)

      it("succeeds if a patient was requested and everything has arrived", function()
        local found = find(pacs, { PatientID = "MOD-0012" }, "Patient")
        assert(pacs:move(found, { to = "archive" }))
        assert.are.equal(11, instances(elsewhere, { PatientID = "MOD-0012" }))
        assert(pacs:move_resources("Patient", { PatientID = "JP-77002" }))
        assert.are.equal(4, instances(client, { PatientID = "JP-77002" }))
      end)

      it("fails if it is a C-GET that failed, whatever the version reports", function()
        local gotten = client:modality "gotten"
        local study = { StudyInstanceUID = "1.2.3" }
        if release < 11206 then
          return unsupported(11206, "C-GET", gotten:get("Study", study))
        end
        local failed = tells and { kind = "dicom", dimse_status = 0xA700 } or { kind = "dicom", code = "incomplete" }
        for _, synchronous in ipairs { false, true } do
          local err = fails(failed, gotten:get("Study", study, { Timeout = 2, Synchronous = synchronous or nil }))
          assert.are.equal(tells and 0 or 3, #(err.missing or {}))
        end
        local query = client:query(find(gotten, { PatientID = "FP*" }).ID)
        fails(failed, query:move({ RetrieveMethod = "C-GET", Timeout = 2 }, 1))
        local one = client:query(find(gotten, { PatientID = "FP1" }).ID) -- whose answers 1 and 3 contradict the filter
        for i = 1, 3 do
          fails({ kind = "refused", code = "bad_identifier" }, one:move({ RetrieveMethod = "C-GET", Timeout = 2 }, i))
        end
        assert.are.equal(3, #logged "C-GET")
        fails(tells and { kind = "dicom", dimse_status = 0xC000 } or { kind = "unknown", code = "unproven" },
          pacs:get("Study", study, { Timeout = 2 })) -- PACS does not have it
        fails(tells and { kind = "dicom", orthanc_status = 9 } or { kind = "unknown", code = "unproven" },
          client:modality "abort":get("Study", study))
      end)

      it("succeeds if it is a C-GET that has brought everything", function()
        if release < 11206 then
          return pending(NO_GET)
        end
        assert(pacs:get("Study", find(pacs, { PatientID = "CN-8800" }).answers[1]))
        assert.are.equal(4, instances(client, { PatientID = "CN-8800" }))
        assert(pacs:move(find(pacs, { PatientID = "GR-204" }), { RetrieveMethod = "C-GET" }))
        assert.are.equal(3, instances(client, { PatientID = "GR-204" }))
        assert(pacs:get("Patient", { PatientID = "03HD044" }))
      end)

      it("succeeds if it is a C-GET of a list", function()
        if release < 11206 then
          return pending(NO_GET)
        end
        assert(pacs:get("Study", find(pacs, { PatientID = "03HD012" }).answers))
        assert.are.equal(8, instances(client, { PatientID = "03HD012" }))
      end)

      it("fails if sub-operations failed: 0xB000, 0xA702", function()
        for name, status in pairs { b000 = 0xB000, a702 = 0xA702 } do
          local modality = client:modality(name)
          local found = find(modality, { PatientID = "FP1" })
          fails({ kind = "dicom", dimse_status = status }, modality:move(found, { to = "archive" }))
          fails({ kind = "dicom", dimse_status = status }, modality:move(found, { to = "archive", Synchronous = true }))
          local err = fails({ kind = "dicom", dimse_status = status },
            modality:move_resources("Study", { { StudyInstanceUID = "1.2.3" }, { StudyInstanceUID = "1.2.4" } }, { to = "archive" }))
          assert.are.same({ status, status }, { err.outcomes[1].error.dimse_status, err.outcomes[2].error.dimse_status })
          contains(err.message, "2 of 2 resources were not moved")
        end
      end)
    end)

    describe("to a modality by C-STORE", function()
      local stored -- an instance on this server

      setup(function()
        local source = modalua.connect(servers.PACS.url)
        local id = assert(source:post("/tools/find", { Level = "Instance", Query = { PatientID = "QA PHANTOM" } }))[1]
        stored = assert(client:post("/instances", assert(source:get("/instances/" .. id .. "/file")))).ID
      end)

      it("succeeds if everything was accepted, with or without warnings", function()
        assert(client:modality "archive":store(stored))
        assert.are.equal(1, instances(elsewhere, { PatientID = "QA PHANTOM" }))
        assert(client:modality "warned":store(stored))
        assert(client:modality "archive":store({ stored }, { Permissive = true }))
      end)

      it("fails if something was not accepted", function()
        local full = client:modality "full"
        fails({ kind = "dicom", dimse_status = 0xA700 }, full:store(stored))
        fails({ kind = "dicom", dimse_status = 0xA700 }, full:store({ stored }, { Synchronous = true }))
        fails({ kind = "dicom", code = "incomplete" }, client:modality "none":store(
          { stored, assert(client:get("/instances/" .. stored .. "/study")).ID }, { Permissive = true }))
      end)

      it("fails if a resource does not exist here, at any place in the list", function()
        local archive = client:modality "archive"
        local study = assert(client:get("/instances/" .. stored .. "/study")).ID
        for _, ids in ipairs { { NOBODY }, { NOBODY, stored }, { stored, NOBODY }, { stored, NOBODY, stored }, { study, NOBODY },
          { NOBODY, study }, { study, stored, NOBODY } } do
          for _, options in ipairs { {}, { Synchronous = true }, { Permissive = true } } do
            local expected = { kind = "orthanc", code = "not_found", status = 404, orthanc_status = 17 }
            if release > 11207 and ids[1] == NOBODY then
              expected = { kind = "orthanc", status = 500, orthanc_status = -1 }
            elseif release > 11207 and #ids == 2 and ids[1] == study then -- it stores the study and does not report the other
              expected = options.Permissive and { kind = "unknown", code = "unproven" } or { kind = "orthanc", code = "not_found" }
            end
            fails(expected, archive:store(ids, options))
          end
        end
        contains(select(2, archive:store { stored, NOBODY }).message, "this Orthanc has no resource ")
      end)
    end)

    describe("among many", function()
      local other -- a separate peer, which holds every command until it is released

      before_each(function()
        other = dicomd.start()
        assert(client:put("/modalities/busy", other:modality "HELD"))
      end)

      after_each(function()
        other:let()
        other:close()
      end)

      -- Returns n functions that each move a study.
      local function movers(n, get_modality)
        local list = {}
        for i = 1, n do
          list[i] = function()
            return get_modality(i):move_resources("Study", { StudyInstanceUID = "1.2." .. i }, { to = "archive", verify = false })
          end
        end
        return list
      end

      local function unfinished_jobs()
        local n = 0
        for _, job in ipairs(assert(client:jobs { expand = true })) do
          n = n + ((job.State == "Running" or job.State == "Pending") and 1 or 0)
        end
        return n
      end

      -- Runs each function in its own task; together they cause `moves` C-MOVEs. Asserts that never more than `places` C-MOVEs run at the
      -- same time, and that the server never has more unfinished jobs than that. As many have been answered as the peer was let: of those
      -- that have arrived, all others run. (An association may be released when the next one has begun: the job is over before.)
      local function crowd(places, moves, functions)
        local tasks = {}
        for i, f in ipairs(functions) do
          tasks[i] = task.spawn(f)
        end
        assert.is_truthy(eventually(function() return other:count "C-MOVE" == places end))
        task.sleep(0.1) -- time for a C-MOVE that must not come
        assert.are.equal(places, other:count "C-MOVE")
        for n = 1, moves do
          assert.is_true(unfinished_jobs() <= places)
          other:let(1)
          assert.is_truthy(eventually(function() return other:count "C-MOVE" >= math.min(places + n - 1, moves) end))
          assert.is_true(other:count "C-MOVE" <= places + n)
        end
        for _, one in ipairs(tasks) do
          assert(one:join())
        end
        assert.are.equal(moves, other:count "C-MOVE")
      end

      it("runs two at once with one modality, for any number of tasks and handles", function()
        local busy = client:modality "busy"
        crowd(2, 5, movers(5, function(i)
          return i % 2 == 0 and busy or modalua.connect(servers.LOCAL.url):modality "busy"
        end))
      end)

      it("counts moves of queries, of their answers, and of resources together, and starts no more jobs than may run", function()
        local busy = client:modality "busy"
        local found = find(busy, { PatientID = "FP*" })
        local list = movers(2, function() return busy end)
        list[3] = function() return busy:move(found, { to = "archive", verify = false }) end -- three C-MOVEs, one after the other
        for i, target in ipairs { "ok", "slow" } do -- to the same target they would wait for that job
          list[3 + i] = function() return client:query(found.ID):move({ to = target, verify = false }, i) end
        end
        crowd(2, 7, list)
      end)

      it("runs as many at once as the caller says", function()
        local busy = client:modality("busy", { max_moves = 4 })
        crowd(4, 6, movers(6, function() return busy end))
        throws("max_moves", method(client, "modality"), "busy", { max_moves = 0 })
      end)

      it("does not wait for transfers with other modalities", function()
        local first = task.spawn(movers(1, function() return client:modality("busy", { max_moves = 1 }) end)[1])
        assert(eventually(function() return other:count "C-MOVE" == 1 end))
        assert(ok:move_resources("Study", { StudyInstanceUID = "1.2.1" }, { to = "archive", verify = false }))
        other:let(1)
        assert(first:join())
      end)

      -- Moves three studies from `busy` with the client `through`, cancels the move at the first study, and returns how the job ended.
      local function cancelled(through)
        local busy = through:modality "busy"
        local found = find(busy, { PatientID = "FP*" })
        local known = {}
        for _, id in ipairs(assert(client:jobs())) do
          known[id] = true
        end
        local moving = task.spawn(busy.move, busy, found, { to = "archive" })
        assert(eventually(function() return other:count "C-MOVE" == 1 end))
        moving:cancel()
        local job
        for _, id in ipairs(assert(client:jobs())) do
          job = known[id] and job or id
        end
        assert.is_truthy(eventually(function() return servers.LOCAL:count_logged("Canceling job: " .. job) == 1 end))
        other:let()
        local record = assert(eventually(function()
          local status = assert(client:job(job):status())
          return status.State ~= "Running" and status
        end))
        assert.are.equal(1, other:count "C-MOVE")
        return record.State, record.ErrorCode
      end

      it("is stopped on the server when its task is cancelled", function()
        assert.are.same({ "Failure", 37 }, { cancelled(client) })
      end)

      it("is stopped on the server also if the server has not answered the first request yet", function()
        local far <close> = lag.start(servers.LOCAL.http_port, 30)
        assert.are.same({ "Failure", 37 }, { cancelled(modalua.connect(far.url)) })
      end)

      it("does not start if it is cancelled before its turn, and makes room for others", function()
        local busy, tasks = client:modality("busy", { max_moves = 1 }), {}
        for i, f in ipairs(movers(3, function() return busy end)) do
          tasks[i] = task.spawn(f)
        end
        assert(eventually(function() return other:count "C-MOVE" == 1 end))
        local running = math.tointeger(other:logged("C-MOVE", 0)[1]:match "0020,000d=1%.2%.(%d)$")
        local stopped, last = table.unpack(({ { 2, 3 }, { 3, 1 }, { 1, 2 } })[running])
        tasks[stopped]:cancel()
        other:let()
        assert(tasks[running]:join())
        assert(tasks[last]:join())
        local moves = other:logged("C-MOVE", 0)
        assert.are.equal(2, #moves)
        contains(moves[2], "0020,000d=1.2." .. last)
      end)
    end)
  end)

  describe("A transfer with an Orthanc " .. version.name .. " that forgets its jobs at once", function()
    local servers, client, forgetful, peer, pacs

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, extra = { JobsHistorySize = 0 } })
      peer = dicomd.start()
      client, forgetful = modalua.connect(servers.ARCHIVE.url), modalua.connect(servers.LOCAL.url)
      assert(forgetful:put("/modalities/none", peer:modality "OK0"))
      assert(samples.store(modalua.connect(servers.PACS.url)))
      pacs = forgetful:modality "pacs"
    end)

    teardown(function()
      servers:close()
      peer:close()
    end)

    it("succeeds if everything has arrived, also several at once", function()
      local tasks = {}
      for i, patient in ipairs { "MOD-0002", "03HD012", "RU-5501", "GR-204", "MOD-0003" } do
        tasks[i] = task.spawn(function()
          local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = patient } })
          return pacs:move(found, { to = "archive" })
        end)
      end
      for _, one in ipairs(tasks) do
        assert.is_table((assert(one:join())))
      end
      assert.are.equal(15 + 8 + 8 + 3 + 2, assert(client:get "/statistics").CountInstances)
    end)

    it("fails if something has not arrived, and the error names what is missing", function()
      local found = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-0003" } })
      local err = fails({ kind = "dicom", code = "incomplete", op = "move" }, pacs:move(found, { to = "none" }))
      assert.are.equal(2, #err.missing)
      assert.is_string(err.job)
    end)

    it("is unknown if no server can be asked", function()
      local found = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-0003" } })
      local err = fails({ kind = "unknown", code = "unproven" }, pacs:move(found, { TargetAet = "STRANGER" }))
      contains(err.message, "the server has removed the job before its outcome was read")
      contains(err.message, "this server knows no modality with the AE title STRANGER")
    end)

    it("succeeds if it is synchronous and everything has arrived", function()
      local found = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-0012" } })
      assert.is_table((assert(pacs:move(found, { to = "archive", Synchronous = true }))))
      assert.are.equal(11, #assert(client:post("/tools/find", { Level = "Instance", Query = { PatientID = "MOD-0012" } })))
    end)

    it("to a modality by C-STORE is compared as well", function()
      local source = modalua.connect(servers.PACS.url)
      local id = assert(source:post("/tools/find", { Level = "Instance", Query = { PatientID = "QA PHANTOM" } }))[1]
      local instance = assert(forgetful:post("/instances", assert(source:get("/instances/" .. id .. "/file"))))
      for _, stored in ipairs { instance.ParentStudy, instance.ParentSeries, instance.ID, instance.ParentPatient } do
        assert(forgetful:modality "archive":store(stored))
      end
      fails({ kind = "dicom", code = "incomplete" }, forgetful:modality "none":store(instance.ID))
    end)

    it("has a job that reports that it was forgotten, to others than its own client", function()
      local found = assert(pacs:find { Level = "Study", Query = { PatientID = "MOD-0003" } })
      local job = assert(pacs:move(found, { to = "archive", Synchronous = false }))
      local result = assert(forgetful:job(job):wait()) -- this handle comes from the move, so it can verify the result
      assert.are.same({ 2, "verified by modalua: the server has removed the job before its outcome was read" },
        { result.InstancesCount, result.Description })
      assert.are.equal(result, forgetful:job(job):wait()) -- this client knows the outcome now
      local err = fails({ kind = "unknown", code = "job_gone" }, modalua.connect(servers.LOCAL.url):job(job):wait())
      assert.are.equal(job.ID, err.job)
    end)
  end)
end

describe("A transfer", function()
  -- Starts a server that answers the questions about itself and about a query; `mappings` are the other answers.
  local function pretender(mappings)
    local function says(path, body, type)
      mappings[#mappings + 1] = { path = path, method = "GET", to = faultd.route("/status", { code = 200, body = body, type = type }) }
    end
    says("/system", [[{"Version":"1.12.7","DicomAet":"LOCAL"}]], "application/json")
    says("/queries/1/modality", "m", "text/plain")
    says("/queries/1/level", "Study", "text/plain")
    says("/queries/1/query", [[{"0010,0020":"x"}]], "application/json")
    says("/queries/1/answers", [==[[{"PatientID":"x","StudyInstanceUID":"1.2"}]]==], "application/json")
    local server = faultd.start(mappings)
    return server, modalua.connect(server.url)
  end

  local function count(client, path)
    return assert(client:get("/count", { of = path }))
  end

  it("fails if the server counts failed instances in a success", function()
    local function json(value)
      return faultd.route("/status", { code = 200, type = "application/json", body = modalua.json.encode(value) })
    end
    local server <close>, client = pretender {
      { path = "/modalities/m/store", to = json { ID = "1a", Path = "/jobs/1a" } },
      { path = "/jobs/1a", to = json { State = "Success", Content = { InstancesCount = 3, FailedInstancesCount = 1 } } },
    }
    local err = fails({ kind = "dicom", code = "incomplete" }, client:modality "m":store(NOBODY))
    assert.are.equal(1, err.result.FailedInstancesCount)
    fails({ kind = "dicom", code = "incomplete" }, client:job "1a":wait())
    assert.is_not_nil(server)
  end)

  it("is sent only once, on a new connection", function()
    for behaviour, code in pairs { ["/drop-reused"] = "decode", ["/drop"] = "network" } do -- "decode": {} has come
      local server <close>, client = pretender { { path = "/queries/1/retrieve", method = "POST", to = behaviour } }
      local m = client:modality "m"
      assert.is_table(assert(client:system())) -- this leaves a connection that could be reused
      local result, err = m:move("1", { Synchronous = true, verify = false })
      fails({ kind = "unknown", code = code, retryable = false }, result, err)
      assert.are.equal(1, count(client, "/queries/1/retrieve"))
      assert.is_not_nil(server)
    end
  end)

  it("has a body that is JSON, or is not sent", function()
    local server <close>, client = pretender { { path = "/queries/1/retrieve", to = "/ok" } }
    local m = client:modality "m"
    fails({ kind = "refused" }, m:move("1", { extra = { Xyzzy = 0 / 0 } }))
    throws("'TargetAet' must be", method(m, "move"), "1", { TargetAet = { "x" } })
    assert.are.equal(0, count(client, "/queries/1/retrieve"))
    fails({ kind = "unknown", code = "decode" }, m:move("1", { TargetAet = "A\"}{", extra = { Xyzzy = "plugh\\" }, Timeout = 7.0 }))
    local last = assert(client:get("/last", { of = "/queries/1/retrieve" }))
    assert.are.same({ TargetAet = "A\"}{", Xyzzy = "plugh\\", Timeout = 7, Asynchronous = true, RetrieveMethod = "C-MOVE" },
      modalua.json.decode(last.body))
    assert.is_not_nil(server)
  end)

  it("waits, like an echo, for a free connection of its client", function()
    local server <close>, client = pretender { { path = "/modalities/m/echo", to = faultd.route("/barrier", { n = 8 }) } }
    local tasks = {}
    for i = 1, 24 do
      tasks[i] = task.spawn(client:modality "m".echo, client:modality "m")
    end
    for _, one in ipairs(tasks) do
      assert(one:join())
    end
    assert.are.equal(24, count(client, "/modalities/m/echo"))
    assert.are.equal(8, assert(client:get "/requests").peak)
    assert.is_not_nil(server)
  end)
end)
