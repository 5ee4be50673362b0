-- Tests find_each and the children of answers, against three kinds of PACS: an Orthanc, a dcmqrscp, which is strict about levels, and a
-- peer with a given behaviour.
local dcmtk = require "spec.support.dcmtk"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local eventually, fails, contains, throws = expect.eventually, expect.fails, expect.contains, expect.throws

local BEHAVIOURS = { three = "OK3", literal = "PART2", bare = "BARE", nothing = "OK0", refusing = "FSTA700", held = "HELDF" }

local function values_of(list, name)
  local values = {}
  for i, one in ipairs(list) do
    values[i] = one[name]
  end
  return values
end

local function sorted(list)
  table.sort(list)
  return list
end

for _, version in ipairs(versions) do
  describe("With the Orthanc " .. version.name, function()
    local servers, peer, strict, client, pacs, seen
    local on = {} -- name of a behaviour of the peer -> modality

    setup(function()
      local ports = orthanc.free_ports(4)
      peer = dicomd.start()
      strict = dcmtk.dcmqrscp { aet = "STRICT", peers = { { "LOCAL", "127.0.0.1", ports[2] }, { "PACS", "127.0.0.1", ports[4] } } }
      local modalities = { strict = strict:modality(), pacs = { "PACS", "127.0.0.1", ports[4] },
        own = { "LOCAL", "127.0.0.1", ports[2] } }
      for name, aet in pairs(BEHAVIOURS) do
        modalities[name] = peer:modality(aet)
      end
      local function start(aet, http_port, dicom_port)
        return orthanc.start { binary = version.binary, aet = aet, http_port = http_port, dicom_port = dicom_port, modalities = modalities,
          extra = { DicomScuTimeout = 60 } }
      end
      servers = { start("LOCAL", ports[1], ports[2]), start("PACS", ports[3], ports[4]) }
      client = modalua.connect(servers[1].url)
      local there = modalua.connect(servers[2].url)
      assert(samples.store(there))
      assert(there:modality "strict":store(assert(there:get "/studies")))
      pacs = client:modality "pacs"
      for name in pairs(BEHAVIOURS) do
        on[name] = client:modality(name)
      end
      on.strict = client:modality "strict"
    end)

    teardown(function()
      for _, one in pairs { servers[1], servers[2], strict, peer } do
        one:close()
      end
    end)

    before_each(function()
      seen = #peer:log()
    end)

    -- Starts a task in which f queries the held modality. This modality answers only when the peer is told to. Returns the task when
    -- `n` queries have arrived. Asserts that no further query arrives.
    local function asking(n, f)
      local t = task.spawn(f)
      assert.is_truthy(eventually(function() return peer:count("C-FIND", seen) >= n end))
      task.sleep(0.1) -- time for a query that must not come
      assert.are.equal(n, peer:count("C-FIND", seen))
      return t
    end

    -- Returns the lines that begin with `word` and that the peer has logged in this test.
    local function logged(word)
      return peer:logged(word, seen)
    end

    local function find(modality, level, query)
      return assert(modality:find { Level = level, Query = query })
    end

    local function no_query_left()
      assert.is_truthy(eventually(function() return #assert(client:get "/queries") == 0 end))
    end

    local function remove_queries()
      for _, id in ipairs(assert(client:queries())) do
        assert(client:query(id):close())
      end
    end

    -- Returns the largest number of associations that were open at the same time.
    local function most_at_once()
      local open, most = 0, 0
      for line in peer:log():sub(seen + 1):gmatch "[^\n]+" do
        open = open + (line:match "^ASSOC" and 1 or line:match "^RELEASE" and -1 or 0)
        most = math.max(most, open)
      end
      return most
    end

    describe("find_each", function()
      it("returns the answers for each value, and the values without answers", function()
        local found, missing, warning = pacs:find_each("AccessionNumber", { "A100001", "nobody", "A100102", 17, "A100702" },
          { Query = { PatientID = "", PatientName = "" } })
        assert.are.same({ "nobody", 17 }, missing)
        assert.are.equal("MOD-0001", found["A100001"][1].PatientID)
        assert.are.equal("SMITH^JOHN^A^DR", found["A100102"][1].PatientName)
        assert.are.same({ 1, 1, 2 }, { #found["A100001"], #found["A100102"], #found["A100702"] })
        assert.is_nil(found.nobody)
        contains(warning, "may lack characters")
        no_query_left()
      end)

      it("accepts tags by number, further filters, and other levels", function()
        local found, missing = pacs:find_each("0010,0020", { "MOD-0001", "MOD-0003" }, { Query = { StudyDate = "20240201" } })
        assert.are.same({ 1, 1, 0 }, { #found["MOD-0001"], #found["MOD-0003"], #missing })
        found = pacs:find_each("PatientID", { "MOD-0001", "MOD-0003" }, { Level = "series", Query = { Modality = "CT" }, limit = 1 })
        assert.are.same({ 3, nil }, { #found["MOD-0001"], found["MOD-0003"] })
        assert.are.equal(1, #pacs:find_each("SeriesDescription", { "Lunge*", "SCOUT" })["SCOUT"])
      end)

      it("takes wildcards only with patterns = true, and asks only once for a value that occurs twice", function()
        local found, missing = pacs:find_each("AccessionNumber", { "A1007*", "A10000?", "X*", "A1007*", " A1007* " }, { patterns = true })
        assert.are.same({ 2, 2, { "X*" } }, { #found["A1007*"], #found["A10000?"], missing })
        assert.are.equal(found["A1007*"], found[" A1007* "])
        on.nothing:find_each("AccessionNumber", { "a", "b", "a", " b ", 12, "12" })
        assert.are.equal(3, #logged "C-FIND")
      end)

      it("sends nothing for an empty list", function()
        assert.are.same({ {}, {}, nil, {} }, { on.three:find_each("AccessionNumber", {}) })
        assert.are.same({}, logged "ASSOC")
      end)

      it("refuses values that would match everything, or several things, before it sends anything", function()
        for bad, why in pairs { [""] = "blank", ["   "] = "blank", ["*"] = "wildcards", ["?*"] = "wildcards", ["-"] = "wildcards",
          ["*^*"] = "wildcards", ["a\\b"] = "list", ["a\\"] = "list", ["\\"] = "wildcards", ["1.2\r"] = "control", ["a\0b"] = "control" } do
          local err = fails({ kind = "refused", code = "bad_value", op = "find_each", position = 3 },
            on.three:find_each("AccessionNumber", { "a", "b", bad, "c" }))
          contains(err.message, "value 3")
          contains(err.message, why)
        end
        assert.are.same({}, logged "ASSOC")
      end)

      it("throws an error if it is called wrongly, and sends nothing", function()
        throws("tag must be", on.three.find_each, on.three, 12, {})
        throws("values must be a list", on.three.find_each, on.three, "PatientID", "a")
        throws("value 2", on.three.find_each, on.three, "PatientID", { "a", 1.5 })
        throws("give a Level", on.three.find_each, on.three, "0009,1001", { "a" })
        throws("limit", on.three.find_each, on.three, "PatientID", { "a" }, { limit = 0 })
        throws("wait_timeout", on.three.find_each, on.three, "PatientID", { "a" }, { wait_timeout = "x" })
        throws("Query must be", on.three.find_each, on.three, "PatientID", { "a" }, { Query = "x" })
        throws("the list of values replaces it", on.three.find_each, on.three, "PatientID", { "a" }, { Query = { PatientID = "" } })
        throws("are the same tag", on.three.find_each, on.three, "PatientID", { "a", "b", "c" }, { Query = { ["0010,0020"] = "" } })
        throws("children_spec.lua:" .. debug.getinfo(1, "l").currentline + 1, function()
          return on.three:find_each("PatientID", { "a", "b", "c" }, { Levle = "Study" }), nil
        end)
        local t = task.spawn(function() -- the helper tasks must not stay behind when the call fails in the same way
          return pcall(on.three.find_each, on.three, "PatientID", { "a", "b", "c" }, { Level = "Foo" })
        end)
        assert.is_false((t:join()))
        throws("unknown Level", on.three.find_each, on.three, "PatientID", { "a", "b", "c" }, { Level = "Foo" })
        assert.are.same({}, logged "ASSOC")
      end)

      it("sends two queries at once, or as many as `limit` says", function()
        for limit, values in pairs { [2] = { "a", "b", "c", "d" }, [4] = { "a", "b", "c", "d", "e" }, [1] = { "a", "b" } } do
          seen = #peer:log()
          local options = limit ~= 2 and { limit = limit } or nil
          local t = asking(limit, function() return on.held:find_each("AccessionNumber", values, options) end)
          for n = 1, #values do
            assert.is_truthy(eventually(function() return peer:count("C-FIND", seen) == math.min(limit + n - 1, #values) end))
            peer:let(1)
          end
          assert(t:join())
          assert.are.same({ #values, limit }, { peer:count("C-FIND", seen), most_at_once() })
        end
      end)

      it("works where tasks cannot switch", function()
        local found
        ("x"):gsub("x", function() found = pacs:find_each("AccessionNumber", { "A100001", "A100102", "A100417" }) end)
        assert.are.equal(1, #found["A100417"])
      end)

      it("asks for UIDs in lists, and one by one for those that were not found", function()
        local uids = values_of(find(pacs, "Study", { PatientID = "MOD-*" }).answers, "StudyInstanceUID")
        table.insert(uids, 3, "1.2.3.4.5")
        for _, modality in ipairs { pacs, on.strict } do
          local found, missing = modality:find_each("StudyInstanceUID", uids, { Query = { PatientID = "" } })
          assert.are.same({ "1.2.3.4.5" }, missing)
          for i, uid in ipairs(uids) do
            assert.are.equal(i == 3 and 0 or 1, #(found[uid] or {}))
          end
        end
        local list = {}
        for i = 1, 60 do
          list[i] = "1.2.3." .. i - 1 -- the peer has the first three, for any query
        end
        local found, missing = on.three:find_each("StudyInstanceUID", list)
        assert.are.same({ 1, 1, 1 }, { #found["1.2.3.0"], #found["1.2.3.1"], #found["1.2.3.2"] })
        assert.are.same({ 57, "1.2.3.3" }, { #missing, missing[1] })
        local lists = {}
        for _, line in ipairs(logged "C-FIND") do
          lists[#lists + 1] = select(2, line:gsub("\\x5C", ""))
        end
        table.sort(lists, function(a, b) return a > b end)
        -- a list of 50, one of those that it has left out, a list of 10, and one by one
        assert.are.same({ 49, 46, 9, 0, 60 }, { lists[1], lists[2], lists[3], lists[4], #lists })
      end)

      it("does not report UIDs as missing if the modality does not support lists", function()
        local list = {}
        for i = 1, 120 do
          list[i] = "1.2." .. i
        end
        local found, missing = on.literal:find_each("StudyInstanceUID", list, { limit = 1 })
        assert.are.same({}, missing)
        assert.are.equal(1, #found["1.2.120"])
        assert.are.equal(121, #logged "C-FIND") -- one list was enough to notice that lists are not supported
      end)

      it("returns for each value only the answers that belong to it", function()
        local found, missing = on.three:find_each("StudyInstanceUID", { "1.2.3.1" }) -- the peer also sends 1.2.3.0 and 1.2.3.2
        assert.are.same({ 1, 0 }, { #found["1.2.3.1"], #missing })
        local err = fails({ kind = "unknown", code = "unmatched" }, on.bare:find_each("AccessionNumber", { "A1", "A2" }))
        contains(err.message, "have no AccessionNumber")
      end)

      it("asks for the other values if one query fails", function()
        local err = fails({ kind = "refused", op = "find_each" },
          pacs:find_each("PatientID", { "MOD-0001", "Иванов", "nobody", "MOD-0003" }, { Query = { SpecificCharacterSet = "ISO_IR 100" } }))
        contains(err.message, "1 of 4 values")
        contains(err.message, "'Иванов'")
        assert.are.same({ 3, 1 }, { #err.found["MOD-0001"], #err.found["MOD-0003"] })
        assert.are.same({ "nobody" }, err.missing)
        assert.are.equal("refused", err.errors["Иванов"].kind)
        assert.is_nil(err.errors["nobody"])
        err = fails({ kind = "dicom", dimse_status = 0xA700 }, on.refusing:find_each("AccessionNumber", { "a", "b", 3 }))
        assert.are.same({ 3, 0xA700, {}, {} }, { #logged "C-FIND", err.errors[3].dimse_status, err.found, err.missing })
        fails({ kind = "dicom", dimse_status = 0xA700 }, on.refusing:find_each("StudyInstanceUID", { "1.2", "1.3" }))
        assert.are.equal(6, #logged "C-FIND") -- after a rejected list, each value is still asked for by itself
      end)

      it("stops at an error that the next query would also get", function()
        local nobody = client:modality "nobody"
        local err = fails({ kind = "orthanc", code = "unknown_modality" }, nobody:find_each("PatientID", { "a", "b", "c" }, { limit = 1 }))
        assert.are.same({ "unknown_modality", "not_attempted", "not_attempted" },
          { err.errors.a.code, err.errors.b.code, err.errors.c.code })
        err = fails({ kind = "orthanc", code = "unknown_modality" }, nobody:find_each("StudyInstanceUID", { "1.2", "1.3" }))
        assert.are.equal("not_attempted", err.errors["1.3"].code)
      end)

      it("ends with wait_timeout, which counts for all queries together", function()
        peer:let(2) -- so the third query gets no answer
        local err = fails({ kind = "timeout" },
          on.held:find_each("PatientName", { "FAKE^P0", "FAKE^P1", "FAKE^P2", "FAKE^P0*" }, { limit = 1, wait_timeout = 6 }))
        assert.are.same({ 1, 1, nil }, { #err.found["FAKE^P0"], #err.found["FAKE^P1"], err.found["FAKE^P2"] })
        assert.are.same({ "timeout", "not_attempted" }, { err.errors["FAKE^P2"].kind, err.errors["FAKE^P0*"].code })
        peer:let(1)
      end)

      it("ends with its task, together with all its queries", function()
        remove_queries()
        local t = asking(3, function() return on.held:find_each("AccessionNumber", { "a", "b", "c", "d", "e", "f" }, { limit = 3 }) end)
        t:cancel()
        local result, err = t:join()
        assert.is_nil(result)
        assert.are.equal("cancelled", err.kind)
        peer:let(3)
        assert.is_truthy(eventually(function() return #logged "RELEASE" >= 3 end))
        assert.are.equal(3, #logged "C-FIND")
        remove_queries() -- the server has answered the queries that were already sent
      end)
    end)

    describe("the children of answers", function()
      before_each(remove_queries)

      it("are found for one study, for a list, and for a result", function()
        for _, modality in ipairs { pacs, on.strict } do
          local found <close> = find(modality, "Study", { PatientID = "MOD-0001" })
          local all = assert(modality:series(found, { SeriesDescription = "", Modality = "" }))
          assert.are.equal(7, #all)
          local studies = {}
          for i, study in ipairs(found.answers) do
            local own = assert(modality:series(study, { Modality = "" }))
            for _, series in ipairs(own) do
              assert.are.same({ study.StudyInstanceUID, "MOD-0001" }, { series.StudyInstanceUID, series.PatientID })
              studies[#studies + 1] = study.StudyInstanceUID
            end
            assert.are.equal(#own, #assert(modality:series({ StudyInstanceUID = found.answers[i].StudyInstanceUID })))
          end
          assert.are.same(studies, values_of(all, "StudyInstanceUID")) -- in the order of the parents
          assert.are.same(values_of(all, "SeriesInstanceUID"),
            values_of(assert(modality:series(found.answers, {}, { limit = 5 })), "SeriesInstanceUID"))
          assert.are.same(values_of(all, "SeriesInstanceUID"),
            values_of(assert(modality:series({ found.answers[1], table.unpack(found.answers) })), "SeriesInstanceUID"))
          assert.are.equal(3, #assert(modality:series(found, { Modality = "CT" })))
        end
      end)

      it("are found for rows of any format", function()
        local found <close> = find(pacs, "Study", { PatientID = "MOD-0001" })
        for _, format in ipairs { { short = true }, { simplify = false } } do
          local rows = assert(pacs:get_query_answers(found.ID, format))
          local series = assert(pacs:series(rows))
          assert.are.same({ 7, "MOD-0001" }, { #series, series[1].PatientID })
        end
      end)

      it("can be studies of a patient, and series of a patient", function()
        for _, modality in ipairs { pacs, on.strict } do
          local found <close> = find(modality, "Patient", { PatientID = "MOD-000*" })
          local studies = assert(modality:studies(found, { StudyDate = "" }))
          assert.are.equal(6, #studies)
          for _, study in ipairs(studies) do
            assert.matches("^MOD%-000", study.PatientID)
          end
          assert.are.equal(7, #assert(modality:series { PatientID = "MOD-0001" }))
        end
      end)

      it("can be instances, found through their series, with tags of the series", function()
        for _, modality in ipairs { pacs, on.strict } do
          local found <close> = find(modality, "Study", { PatientID = "MOD-0001", StudyDate = "20190304" })
          local all = assert(modality:instances(found, { InstanceNumber = "", SeriesNumber = "", ["0008,0060"] = "" }))
          assert.are.equal(10, #all)
          local numbers = {}
          for i, instance in ipairs(all) do
            assert.are.same({ found.answers[1].StudyInstanceUID, "CT", "MOD-0001" },
              { instance.StudyInstanceUID, instance.Modality, instance.PatientID })
            numbers[i] = instance.SeriesNumber .. "." .. instance.InstanceNumber
          end
          assert.are.same({ "1.1", "2.1", "2.2", "2.3", "2.4", "2.5", "3.1", "3.2", "3.3", "3.4" }, sorted(numbers))
          assert.are.equal(5, #assert(modality:instances(found, { SeriesNumber = "2" })))
          assert.are.same({}, modality:instances(found, { Modality = "MR" }))
          assert.are.equal(3, #assert(modality:instances(found, { InstanceNumber = "1" })))
          local series = assert(modality:series(found, { SeriesNumber = "3" }))
          assert.are.equal(4, #assert(modality:instances(series)))
        end
        assert.are.equal(1, #assert(pacs:instances(find(pacs, "Study", { PatientID = "MOD-0003" }), { SeriesDescription = "LATERAL" })))
      end)

      it("leave no query behind", function()
        assert(pacs:instances(find(pacs, "Study", { PatientID = "MOD-0001", StudyDate = "20190304" }).answers))
        assert.is_truthy(eventually(function() return #assert(client:queries()) == 1 end))
      end)

      it("can be moved, and are answers of the modality itself", function()
        local found <close> = find(on.strict, "Study", { PatientID = "MOD-0001", StudyDate = "20240201" })
        assert(on.strict:move_resources("Instance", assert(on.strict:instances(found)), {}))
        assert.are.equal(1, #assert(client:get "/instances"))
        assert(on.strict:move_resources("Series", assert(on.strict:series(found, { Modality = "" })), {}))
        local series = assert(on.three:series { StudyInstanceUID = "1.2.3.0" })
        assert.are.equal(3, #series)
        seen = #peer:log()
        assert(on.three:move_resources("Series", series, { TargetAet = "X" }))
        assert.are.same({ 3, 1 }, { #logged "C-MOVE", #logged "C-FIND" })
      end)

      it("are requested for one parent in each query, with the keys of the levels above", function()
        assert(on.literal:instances { StudyInstanceUID = "1.9", PatientID = "P" })
        local asked = logged "C-FIND"
        contains(asked[1], "level=SERIES")
        contains(asked[1], "0020,000d=1.9")
        contains(asked[2], "level=IMAGE")
        contains(asked[2], "0020,000d=1.9")
        contains(asked[2], "0020,000e=1.9.1")
        assert.are.equal(2, #asked)
      end)

      it("leave out answers of other parents, and take missing keys from their parent", function()
        assert.are.same({}, on.three:studies { PatientID = "P" }) -- the peer sends three studies of other patients
        local series = assert(on.bare:series { StudyInstanceUID = "1.9", PatientID = "P-1" })
        assert.are.same({ "1.9", "P-1" }, { series[1].StudyInstanceUID, series[1].PatientID })
        assert.are.same({ "P", "P", "P" }, values_of(assert(on.bare:studies { PatientID = "P" }), "PatientID"))
      end)

      it("are an empty list for an empty list", function()
        assert.are.same({}, pacs:series {})
        assert.are.same({}, pacs:series(find(pacs, "Study", { PatientID = "nobody" })))
        assert.are.same({}, pacs:series { StudyInstanceUID = "1.2.3.4" })
        assert.are.same({}, pacs:instances { StudyInstanceUID = "1.2.3.4" })
      end)

      it("are refused for rows that do not name exactly one parent", function()
        local good = { StudyInstanceUID = "1.2.3" }
        for _, bad in ipairs { { StudyInstanceUID = "1.2\\1.3" }, { StudyInstanceUID = "1.*" }, { StudyInstanceUID = "" }, { x = 1 },
          { PatientName = "x" }, { QueryRetrieveLevel = "STUDY" } } do
          local err = fails({ kind = "refused", code = "bad_identifier", op = "series" }, on.three:series { good, bad })
          contains(err.message, "parent 2")
        end
        assert.are.same({}, logged "ASSOC")
      end)

      it("throw an error if they are called wrongly, and send nothing", function()
        local study, series = { StudyInstanceUID = "1.2" }, { StudyInstanceUID = "1.2", SeriesInstanceUID = "1.2.1" }
        throws("Level = \"Series\"", on.three.series, on.three, series)
        throws("has no studies below", on.three.studies, on.three, study)
        throws("the parents before it have Level", on.three.instances, on.three, { study, series })
        throws("parent 2 must be a table", on.three.series, on.three, { study, "x" })
        throws("is expected", on.three.series, on.three, "1.2")
        throws("must be a table of tags", on.three.series, on.three, study, "x")
        throws("identifies the parents", on.three.series, on.three, study, { StudyInstanceUID = "1.3" })
        throws("unknown option 'verify'", on.three.series, on.three, study, {}, { verify = true })
        throws("limit", on.three.series, on.three, study, {}, { limit = "x" })
        throws("must be a string", on.three.series, on.three, { study, { StudyInstanceUID = "1.3" } }, { Modality = true })
        assert.are.same({}, logged "ASSOC")
      end)

      it("are asked for with a value that DICOM does not have, where `keep` says so", function()
        local study, query = { StudyInstanceUID = "1.2.3.0" }, { SeriesDescription = "a\u{301}" }
        fails({ kind = "refused" }, on.three:series(study, query))
        assert.are.same({}, logged "C-FIND")
        assert(on.three:series(study, query, { keep = { "SeriesDescription" } }))
        assert.are.equal(1, #logged "C-FIND")
      end)

      it("report the parents that failed, and what was found", function()
        local parents = { { StudyInstanceUID = "1.1" }, { StudyInstanceUID = "1.2" } }
        local err = fails({ kind = "dicom", dimse_status = 0xA700 }, on.refusing:series(parents, {}, { limit = 1 }))
        assert.are.same({ { StudyInstanceUID = "1.1" }, {} }, { err.parent, err.found })
        assert.are.equal(1, #logged "C-FIND")
        err = fails({ kind = "dicom", dimse_status = 0xA700 }, on.refusing:instances(parents))
        assert.are.same({ { StudyInstanceUID = "1.1" }, {} }, { err.parent, err.found })
        for i = 3, 9 do
          parents[i] = { StudyInstanceUID = "1." .. i }
        end
        peer:let(2) -- so the third query gets no answer
        err = fails({ kind = "timeout" }, on.held:series(parents, {}, { limit = 1, wait_timeout = 6 }))
        assert.are.same({ 6, "1.3" }, { #err.found, err.parent.StudyInstanceUID })
        peer:let(1)
      end)
    end)
  end)
end
