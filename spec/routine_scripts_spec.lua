-- Tests the scripts that run unattended, on the servers of each version: prefetch_priors, route_stable_studies and watch_modalities.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local dcmtk = require "spec.support.dcmtk"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local served = require "spec.support.served"
local versions = require "spec.support.versions"
local worklists = require "spec.support.worklists"

local contains, eventually = expect.contains, expect.eventually

local PATIENTS = {
  { PatientID = "P1", Modality = "CT", Date = "20260102" }, { PatientID = "P1", Modality = "CT", Date = "20260102" },
  { PatientID = "P2", Modality = "MR", Date = "20260102" }, { PatientID = "P3", Modality = "CT", Date = "20260103" },
  { PatientID = "P*", Modality = "US", Date = "20260102" },
}

local DOWN = { "DOWN", "127.0.0.1", 1 } -- a modality that does not answer

-- An instance that is a study of its own.
local function study(uid, patient, date, modality)
  return { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID = uid .. ".1.1", SeriesInstanceUID = uid .. ".1",
    StudyInstanceUID = uid, PatientID = patient, StudyDate = date, Modality = modality or "CT", StudyDescription = "Chest " .. date }
end

local function upload(client, ...)
  for _, instance in ipairs { ... } do
    assert(client:upload { data = archive.file(instance) })
  end
end

-- The UIDs of the studies of a server, sorted.
local function uids_of(client)
  local uids = {}
  for i, one in ipairs(assert(client:get "/studies?expand")) do
    uids[i] = one.MainDicomTags.StudyInstanceUID
  end
  table.sort(uids)
  return uids
end

for _, version in ipairs(versions.few) do
  describe("With the Orthanc " .. version.name .. ", the script", function()
    local folder, ris, peer, servers, client, pacs, target, directory

    setup(function()
      folder = worklists.folder(PATIENTS)
      ris = dcmtk.wlmscpfs { aet = "WORKLIST", path = folder.path }
      peer = dicomd.start()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, extra = { StableAge = 1 } })
      client, pacs, target = modalua.connect(servers.LOCAL.url), modalua.connect(servers.PACS.url), modalua.connect(servers.ARCHIVE.url)
      assert(client:put("/modalities/ris", ris:modality()))
      directory = served.folder "routine"
    end)

    teardown(function()
      for _, server in ipairs { servers, peer, ris, folder } do
        server:close()
      end
      served.output_of("exec rm -rf " .. served.quoted { directory })
    end)

    local url -- the server of the scripts, when it is not LOCAL

    local function line_of(script, ...)
      return ("MODALUA_URL=%s exec \"$M\" %s"):format(url or servers.LOCAL.url, command.quote("scripts/" .. script, ...))
    end

    local function run(script, ...)
      return command.shell(line_of(script, ...))
    end

    -- Starts a script, waits until its standard error has each of the texts (before a text, `steps` may do something), and ends it,
    -- or waits for its end (steps.ends). Returns what it printed.
    local function watched(steps, script, ...)
      local path = directory .. "/output"
      local line = ("export M=%s XDG_CONFIG_HOME=/nowhere; %s >%s 2>&1 & echo $!"):format(command.quote(command.path),
        line_of(script, ...), path)
      local pid = served.output_of(line):match "%d+"
      for _, step in ipairs(steps) do
        if step.first then
          step.first()
        end
        assert(eventually(function() return served.read_file(path):find(step.text, 1, true) end), served.read_file(path))
      end
      assert(steps.ends or os.execute("kill -TERM " .. pid))
      assert(eventually(function() return not os.execute("kill -0 " .. pid .. " 2>/dev/null") end))
      return served.read_file(path)
    end

    describe("prefetch_priors", function()
      local scheduled

      setup(function()
        local entries = assert(client:modality "ris":find_worklist { PatientID = "P2", StudyInstanceUID = "" })
        scheduled = entries[1].StudyInstanceUID
        upload(pacs, study("1.2.1", "P1", "20200101"), study("1.2.2", "P1", "20230101"), study("1.2.3", "P1", "20210101"),
          study("1.2.4", "P1", "20220101"), study("1.2.5", "P2", "20190101", "MR"), study(scheduled, "P2", "20260102", "MR"),
          study("1.2.6", "P3", "20240101"), study("1.2.7", "p1", "20250101"))
      end)

      it("moves the last studies of each scheduled patient, and no other ones", function()
        local result = run("prefetch_priors.lua", "--worklist", "ris", "--from", "pacs", "--to", "archive", "--date", "2026-01-02")
        contains(result.err, "the patient 'P*': ")
        contains(result.err, "prefetch_priors: will move ")
        assert.are.equal(1, result.status)
        assert.are.same({ "1.2.2", "1.2.3", "1.2.4", "1.2.5" }, uids_of(target))
      end)
    end)

    describe("route_stable_studies", function()
      local place

      local function route(rules, ...)
        local file = directory .. "/rules.lua"
        served.write_file(file, rules)
        return run("route_stable_studies.lua", "--rules", file, "--place", place, ...)
      end

      -- Asserts that the script, once, prints these lines, and succeeds.
      local function sends(lines, rules)
        local result = route(rules, "--once")
        assert.are.same({ table.concat(lines), 0 }, { result.out, result.status }, result.err)
      end

      -- Stores studies in LOCAL, and waits until they are stable. Returns their identifiers.
      local function make_stable(...)
        local uids, ids, all = {}, {}, { ... }
        for i, instance in ipairs(all) do
          uids[instance.StudyInstanceUID] = i
        end
        upload(client, ...)
        assert(eventually(function()
          for change in client:changes { type = "StableStudy" } do
            local study_of = client:get("/studies/" .. change.ID)
            ids[uids[study_of and study_of.MainDicomTags.StudyInstanceUID] or 0] = change.ID
          end
          return #ids == #all
        end), "the studies do not become stable")
        return table.unpack(ids)
      end

      before_each(function()
        archive.empty(client)
        archive.empty(target)
        place = directory .. "/place"
        for _, ending in ipairs { "", ".failed" } do
          os.remove(place .. ending)
        end
      end)

      it("sends what has become stable since the last time, by its rules", function()
        local rules = 'return { { to = "archive", filters = { ModalitiesInStudy = "CT", StudyDescription = "*2001*" } }, '
          .. '{ to = "nosuch", filters = { PatientID = "X" } } }'
        sends({}, rules)
        local before = tonumber(served.read_file(place))
        local first = make_stable(study("1.3.1", "R1", "20010101"), study("1.3.2", "R1", "20010101", "MR"),
          study("1.3.3", "R1", "20020101"))
        local planned = route(rules, "--dry-run")
        assert.are.same({ first .. "\tarchive\twould be sent\n", 0 }, { planned.out, planned.status })
        assert.are.same({}, uids_of(target))
        sends({ first .. "\tarchive\tsent\n" }, rules)
        assert.are.same({ "1.3.1" }, uids_of(target))
        assert.is_true(tonumber(served.read_file(place)) > before)
        sends({}, rules)
      end)

      it("waits for a destination that is down, and then sends", function()
        local rules = 'return { { to = "later" } }'
        assert(client:put("/modalities/later", DOWN))
        assert.are.equal(0, route(rules, "--once").status)
        local id = make_stable(study("1.3.4", "R2", "20010101"))
        local out = watched({ { text = "cannot be sent to later, next try in 10 s: " } }, "route_stable_studies.lua",
          "--rules", directory .. "/rules.lua", "--place", place)
        contains(out, id)
        assert(client:put("/modalities/later", servers.ARCHIVE:modality()))
        sends({ id .. "\tlater\tsent\n" }, rules)
        assert.are.same({ "1.3.4" }, uids_of(target))
      end)

      local FAULTY <const> = "0123abcd-0123abcd-0123abcd-0123abcd-0123abcd" -- the study of a server that misbehaves

      -- Runs the script with a server that has one change, and otherwise behaves as the mappings say, as `watched` does. Returns what
      -- it has said.
      local function says(steps, mappings)
        served.write_file(directory .. "/rules.lua", 'return { { to = "archive", filters = { PatientID = "R6" } } }')
        served.write_file(place, "4")
        local change = { Seq = 5, ChangeType = "StableStudy", ID = FAULTY, Path = "/studies/" .. FAULTY, ResourceType = "Study",
          Date = "20260102T030405" }
        local all = { ["/changes"] = { Changes = modalua.json.array { change }, Done = true, Last = 5 } }
        for path, answer in pairs(mappings) do
          all[path] = answer
        end
        local list = {}
        for path, answer in pairs(all) do
          list[#list + 1] = { path = path, to = type(answer) == "string" and answer
            or faultd.route("/status", { code = 200, body = modalua.json.encode(answer) }) }
        end
        local faulty <close> = faultd.start(list) -- luacheck: ignore
        url = faulty.url
        finally(function() url = nil end)
        local out = watched(steps, "route_stable_studies.lua", "--rules", directory .. "/rules.lua", "--place", place)
        assert.are.equal("4", served.read_file(place))
        return out
      end

      it("waits for the server that is away when a study is compared with the rules", function()
        says({ { text = ("the rules cannot be compared with %s, next try in 10 s: "):format(FAULTY) } },
          { ["/studies/" .. FAULTY] = faultd.route "/drop" })
      end)

      it("ends when the server cannot compare a study with the rules", function()
        local out = says({ { text = "the server may have cut the list" }, ends = true },
          { ["/system"] = { Version = "1.10.1", ApiVersion = 15 },
          ["/studies/" .. FAULTY] = { ID = FAULTY, MainDicomTags = { StudyInstanceUID = "1.2" } }, ["/statistics"] = { CountStudies = 9 },
          ["/tools/find"] = modalua.json.array {} })
        assert.is_nil(out:find("next try", 1, true), out)
      end)

      it("keeps a list of what cannot be sent, and goes on", function()
        local rules = 'return { { to = "nosuch" }, { to = "archive" } }'
        assert.are.equal(0, route(rules, "--once").status)
        local id = make_stable(study("1.3.5", "R3", "20010101"))
        local result = route(rules, "--once")
        assert.are.same({ id .. "\tnosuch\tFAILED\n" .. id .. "\tarchive\tsent\n", 1 }, { result.out, result.status })
        contains(result.err, "the server knows no modality 'nosuch' now\n")
        assert.is_nil(result.err:find("'archive' now", 1, true))
        contains(result.err, id .. " was not sent to nosuch: ")
        contains(served.read_file(place .. ".failed"), id .. "\tnosuch\tthe server knows no modality of this name")
        sends({}, rules)
      end)

      it("asks for the promise that the images are kept", function()
        local rules = 'return { { to = "archive", commit = 60 }, { to = "refuses", commit = 60 } }'
        assert(client:put("/modalities/refuses", peer:modality "NST0110"))
        sends({}, rules)
        local id = make_stable(study("1.3.6", "R4", "20010101"))
        local result = route(rules, "--once")
        assert.are.same({ id .. "\tarchive\tsent\n" .. id .. "\trefuses\tFAILED\n", 1 }, { result.out, result.status }, result.err)
      end)

      it("refuses rules, a place or arguments that are none", function()
        for _, case in ipairs { { "return {}", "the file must return a list of rules" },
          { "return { {} }", "rule 1 has neither `to` nor `peer`" }, { "return {", "unexpected symbol near <eof>" },
          { 'return { { to = "archive", filter = {} } }', "rule 1: 'filter' is not expected here" },
          { 'return { { to = "archive", Modality = "CT" } }', "rule 1: 'Modality' is not expected here" },
          { "return { 5 }", "rule 1 is no table" }, { "return nothing.x", "attempt to index a nil value" },
          { 'return { { to = "archive", commit = 0 } }', "rule 1: 'commit' is not expected here, or its value is wrong" },
          { 'return { { to = "arch/ive" } }', "rule 1: modality: 'arch/ive' is not a valid name" },
          { 'return { { to = "archive", filters = { PatientNam = "X" } } }', "rule 1: " },
          { 'return { { to = "archive", filters = { Modality = "CT" } } }', "use ModalitiesInStudy" },
          { 'return { { to = "archive" } }', "does not hold a number", "x" } } do
          served.write_file(place, case[3] or "0")
          local result = route(case[1], "--once")
          assert.are.same({ "", 2 }, { result.out, result.status }, result.err)
          contains(result.err, case[2])
        end
        assert.are.equal(2, run("route_stable_studies.lua", "x").status)
      end)
    end)

    describe("watch_modalities", function()
      it("prints a table, and writes figures", function()
        assert(client:put("/modalities/mute", peer:modality "EST0122"))
        local file = directory .. "/figures"
        local result = run("watch_modalities.lua", "--rounds", "1", "--metrics", file, "--only", "archive,mute")
        assert.are.same({ "", 0 }, { result.err, result.status })
        assert.matches("\narchive  ARCHIVE  answers +%d+%-%d+%-%d+ [%d:]+ +%d+\nmute +EST0122  answers C%-FIND only  [^\n]*the remote "
          .. "modality refused", result.out)
        local figures = served.read_file(file)
        contains(figures, '# TYPE modalua_server_up gauge\nmodalua_server_up 1\n')
        contains(figures, '# TYPE modalua_modality_up gauge\nmodalua_modality_up{name="archive"} 1\nmodalua_modality_up{name="mute"} 1\n')
        assert.matches('\nmodalua_modality_answer_seconds{name="archive"} 0%.%d+\n', figures)
      end)

      it("says when a modality stops answering, and when it answers again", function()
        local function set(modality)
          return function() assert(client:put("/modalities/later", modality)) end
        end
        set(servers.ARCHIVE:modality())()
        local out = watched({
          { text = "later  ARCHIVE  answers" },
          { first = set(DOWN), text = " later is silent: " },
          { first = set(servers.ARCHIVE:modality()), text = " later answers again, after " },
        }, "watch_modalities.lua", "--every", "0.1", "--only", "later")
        assert.are.equal(1, select(2, out:gsub(" later is silent: ", "")))
        contains(out, "later  ARCHIVE  silent ")
      end)

      it("says that the server does not answer, and blames no modality for it", function()
        local again = servers.LOCAL
        local out = watched({
          { text = "archive  ARCHIVE  answers" },
          { first = function() again:stop() end, text = " the Orthanc server is silent: " },
          { first = function() again:start_again() end, text = " the Orthanc server answers again, after " },
        }, "watch_modalities.lua", "--every", "0.1", "--only", "archive,pacs")
        assert.are.equal(1, select(2, out:gsub(" is silent: ", "")))
        contains(out, "archive  ARCHIVE  not asked ")
      end)

      it("blames no modality when the server refuses to answer, such as behind a proxy", function()
        local proxy <close> = faultd.start {
          { path = "/modalities", to = faultd.route("/status", { code = 200, body = '{"pacs":{"AET":"PACS"}}' }) },
          { path = "/*", to = faultd.route("/status", { code = 502 }) },
        }
        url = proxy.url
        local result = run("watch_modalities.lua", "--rounds", "1", "--only", "pacs")
        url = nil
        assert.matches("^[%d: -]+ the Orthanc server is silent: [^\n]*502[^\n]*\n$", result.err)
        assert.matches("\npacs +PACS +not asked ", result.out)
        assert.are.equal(1, result.status)
      end)

      it("blames no modality when the server is away for a moment, and answers again", function()
        local restarted <close> = faultd.start {
          { path = "/modalities", to = faultd.route("/status", { code = 200, body = '{"pacs":{"AET":"PACS"}}' }) },
          { path = "/modalities/*", to = faultd.route "/drop" },
          { path = "/system", to = faultd.route("/status", { code = 200, body = '{"Version":"1.12.7"}' }) },
        }
        url = restarted.url
        local file = directory .. "/figures"
        local result = run("watch_modalities.lua", "--rounds", "1", "--metrics", file, "--only", "pacs")
        url = nil
        assert.matches("^[%d: -]+ the Orthanc server is silent: [^\n]*\n$", result.err)
        assert.matches("\npacs +PACS +not asked ", result.out)
        local figures = served.read_file(file)
        contains(figures, "\nmodalua_server_up 0\n")
        assert.is_nil(figures:find("modalua_modality_up{", 1, true))
      end)

      it("fails when a modality is silent at the end", function()
        assert(client:put("/modalities/dead", DOWN))
        local result = run("watch_modalities.lua", "--rounds", "1", "--only", "dead,pacs")
        assert.are.equal(1, result.status)
        assert.matches("^[%d: -]+ dead is silent: [^\n]*\n$", result.err)
        assert.are.equal(2, run("watch_modalities.lua", "--every", "0").status)
      end)
    end)
  end)
end
