-- Tests the verbs of the command that stand for one operation of the library each: api, check, commit, configure, download, follow, get,
-- help, job, store, upload, version, worklist. spec/verbs_spec.lua tests the others.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local qrd = require "spec.support.qrd"
local samples = require "modalua.samples"
local versions = require "spec.support.versions"

local contains = expect.contains

local UID = "2.25.2718281828459045235360287471"
local SECRET = "t0p-s3cret"

local function lacks(text, part)
  assert.is_nil(text:find(part, 1, true), text)
end

for _, version in ipairs(versions) do
  describe("At the shell, with the Orthanc " .. version.name .. ",", function()
    local servers, client, studies, folder

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, extra = { DefaultEncoding = "Utf8" } })
      client = modalua.connect(servers.LOCAL.url)
      assert(samples.store(client))
      assert(samples.store(modalua.connect(servers.PACS.url)))
      studies = assert(client:find { Level = "Study", Query = { PatientID = "JP-77001" } })
      folder = command.shell("mktemp -d").out:gsub("\n", "")
    end)

    teardown(function()
      servers:close()
      command.shell("rm -r " .. folder)
    end)

    local function shell(line)
      return command.shell(("export MODALUA_URL=%s D=%s; %s"):format(servers.LOCAL.url, folder, line))
    end

    local function run(...)
      return shell('"$M" ' .. command.quote(...))
    end

    -- The JSON that a verb prints; it must succeed.
    local function answer(...)
      local result = run(...)
      assert.are.equal(0, result.status, result.err)
      return assert(json.decode(result.out))
    end

    -- A verb must fail with this status, print no data, and say this.
    local function fails(status, part, ...)
      local result = run(...)
      assert.are.same({ status, "" }, { result.status, result.out }, result.err)
      contains(result.err, part)
      lacks(result.err, "traceback")
    end

    describe("api", function()
      it("sends each method, with the content of a file or of standard input", function()
        assert.are.equal(client:system().Version, answer("api", "GET", "/system").Version)
        assert.are.equal(1, #answer("api", "get", "/changes?since=0&limit=1").Changes)
        local query = json.encode { Level = "Study", Query = { PatientID = "JP-77001" } }
        local found = shell(([[printf %%s %s >"$D/query"; "$M" api POST /tools/find --input "$D/query"]]):format(command.quote(query)))
        table.sort(studies)
        local ids = assert(json.decode(found.out))
        table.sort(ids)
        assert.are.same({ studies[1], studies[2] }, { ids[1], ids[2] })
        local piped = shell(([[printf %%s %s | "$M" api POST /tools/find --input -]]):format(command.quote(query)))
        assert.are.equal(#ids, #assert(json.decode(piped.out)))
        assert.are.equal(0, shell([[printf '["X","127.0.0.1",104]' | "$M" api PUT /modalities/by-api --input -]]).status)
        assert.are.equal("X", answer("api", "GET", "/modalities?expand")["by-api"].AET)
        assert.are.equal(0, run("api", "DELETE", "/modalities/by-api").status)
        assert.is_nil(answer("api", "GET", "/modalities?expand")["by-api"])
      end)

      it("prints an answer that is no JSON as it is", function()
        local id = assert(client:get("/studies/" .. studies[1] .. "/instances"))[1].ID
        assert(client:download("/instances/" .. id .. "/file", folder .. "/same"))
        assert.are.equal(0, shell(('"$M" api GET /instances/%s/file | cmp - "$D/same"'):format(id)).status)
      end)

      it("keeps secrets out of answers, as client:get does", function()
        assert(client:put("/peers/clinic", { Url = "http://127.0.0.1:1/", Username = "u", Password = SECRET }))
        local result = run("api", "GET", "/peers?expand")
        assert(client:delete "/peers/clinic")
        assert.are.equal(0, result.status, result.err)
        lacks(result.out .. result.err, SECRET)
        contains(result.out, "clinic")
      end)

      it("fails with the server's reason", function()
        fails(1, "404", "api", "GET", "/nosuch")
        fails(2, "the method is GET, POST, PUT or DELETE, not 'PATCH'", "api", "PATCH", "/system")
        fails(2, "a route begins with '/', as /system: 'system'", "api", "GET", "system")
        fails(2, "--input is for POST and PUT", "api", "GET", "/system", "--input", "x")
        fails(1, "'/nosuch/file' cannot be read: No such file", "api", "POST", "/tools/find", "--input", "/nosuch/file")
      end)
    end)

    it("upload stores files, and goes on after one that is none", function()
      local file = assert(io.open(folder .. "/new.dcm", "wb"))
      file:write(archive.file { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID = "1.2.3.1", StudyInstanceUID = "1.2.3",
        SeriesInstanceUID = "1.2.3.4", PatientID = "UPLOADED" })
      file:close()
      local result = run("upload", folder .. "/new.dcm", "/nosuch.dcm", folder .. "/new.dcm", "--jsonl")
      assert.are.equal(1, result.status)
      contains(result.err, "modalua: upload /instances: '/nosuch.dcm' cannot be read: No such file or directory")
      local states = {}
      for line in result.out:gmatch "[^\n]+" do
        states[#states + 1] = assert(json.decode(line)).state
      end
      assert.are.same({ "stored", "failed", "already_stored" }, states)
      local short = shell [[cd "$D" && printf x >a && "$M" upload a]] -- a name that stands in each sentence
      assert.are.equal(1, short.status)
      assert.matches("^modalua: 'a': upload /instances: [^\n]+\n", short.err)
      local found = assert(client:find { Level = "Study", Query = { PatientID = "UPLOADED" } })
      assert.are.equal(1, #found)
      assert(client:delete("/studies/" .. found[1]))
    end)

    it("download writes a study, an image, or any route", function()
      local uid = UID .. "110000"
      local row = answer("download", uid, folder .. "/study.zip", "--json")[1]
      contains(shell([[head -c 2 "$D/study.zip"; stat -c %s "$D/study.zip"]]).out, "PK" .. row.bytes .. "\n")
      local id = assert(client:get("/studies/" .. studies[1] .. "/instances"))[1].ID
      assert.are.equal(0, run("download", "-L", "Instance", id, folder .. "/image.dcm").status)
      assert.are.equal("DICM", shell([[tail -c +129 "$D/image.dcm" | head -c 4]]).out)
      assert.are.equal(0, run("download", "/system", folder .. "/system.json").status)
      contains(shell([[cat "$D/system.json"]]).out, "DicomAet")
      fails(1, "the server has 0 studies with StudyInstanceUID = 1.2.3.99", "download", "1.2.3.99", folder .. "/none.zip")
      fails(1, "'nosuch' is no identifier of Orthanc, no StudyInstanceUID, and no route", "download", "nosuch", folder .. "/none.zip")
      fails(1, "404", "download", "/nosuch", folder .. "/none.zip")
      assert.are.equal(0, shell([[test ! -e "$D/none.zip" && test ! -e "$D/none.zip.part"]]).status)
    end)

    it("store sends what the server has to a modality", function()
      local dry = run("store", "archive", "PatientID=JP-77001", "--dry-run")
      assert.are.same({ 0, "" }, { dry.status, dry.out }, dry.err)
      contains(dry.err, "would send 2 studies to archive → ARCHIVE")
      fails(1, "would send 2 studies, and --max is 1: nothing was sent", "store", "archive", "PatientID=JP-77001", "--max", "1")
      fails(1, "nothing was found", "store", "archive", "PatientID=NONE")
      fails(1, "did you mean 'archive'?", "store", "archvie", "PatientID=JP-77001")
      fails(2, "which cannot be given together with filters", "store", "archive", studies[1], "PatientID=JP-77001")
      local row = answer("store", "archive", "PatientID=JP-77001", "--verify", "--json")[1]
      assert.are.same({ "archive", 2, 11 }, { row.to, row.resources, row.instances })
      assert.are.equal(2, #assert(modalua.connect(servers.ARCHIVE.url):get "/studies"))
      assert.are.equal(1, answer("store", "archive", studies[1], "--json")[1].resources)
    end)

    it("get brings studies to the server, from Orthanc 1.12.6 on", function()
      local dry = run("get", "pacs", "PatientID=MOD-0012", "--dry-run", "--count")
      assert.are.equal(2, dry.status)
      dry = run("get", "pacs", "PatientID=MOD-0012", "--dry-run")
      assert.are.equal(0, dry.status, dry.err)
      contains(dry.err, "would get 3 studies of 1 patient")
      fails(1, "this query has no filter, so it would get everything", "get", "pacs")
      for _, id in ipairs(assert(client:find { Level = "Study", Query = { PatientID = "MOD-0012" } })) do
        assert(client:delete("/studies/" .. id))
      end
      local result = run("get", "pacs", "PatientID=MOD-0012", "--json")
      if version.number < 11206 then
        assert.are.same({ 1, "" }, { result.status, result.out })
        contains(result.err, "1.12.6")
      else
        assert.are.equal(0, result.status, result.err)
        contains(result.err, "3 studies transferred from pacs to the server")
        assert.are.equal(3, #assert(client:find { Level = "Study", Query = { PatientID = "MOD-0012" } }))
      end
    end)

    it("commit asks for the promise, and waits for it", function()
      assert.are.equal(0, run("store", "archive", "PatientID=JP-77001").status)
      local row = answer("commit", "archive", "PatientID=JP-77001", "--wait", "60", "--json")[1]
      assert.are.same({ "Success", 0 }, { row.state, row.failed })
      assert.is_true(row.kept > 1)
      local asked = answer("commit", "archive", studies[1], "--no-wait", "--json")[1]
      assert.is_string(asked.transaction)
      local missing = assert(client:find { Level = "Study", Query = { PatientID = "JP-77002" } })
      local result = run("commit", "archive", missing[1], "--json")
      assert.are.equal(1, result.status)
      assert.are.equal("Failure", assert(json.decode(result.out))[1].state)
    end)

    it("configure shows and changes a modality", function()
      assert.are.equal("PACS", answer("configure", "pacs", "--json").AET)
      assert.matches("\nAET\tPACS\n", "\n" .. run("configure", "pacs").out)
      local made = answer("configure", "new", "AET=NEW", "Host=127.0.0.1", "Port=104", "--create", "--json")
      assert.are.same({ "NEW", 104 }, { made.AET, made.Port })
      local changed = answer("configure", "new", "Port=105", "AllowEcho=false", "--json")
      assert.are.same({ "NEW", 105, false }, { changed.AET, changed.Port, changed.AllowEcho })
      assert(client:delete "/modalities/new")
      fails(2, "Prot=1: there is no such setting; did you mean Port?", "configure", "pacs", "Prot=1")
      fails(2, "Port=x: a whole number is expected", "configure", "pacs", "Port=x")
      fails(2, "AllowEcho=yes: true or false is expected", "configure", "pacs", "AllowEcho=yes")
      fails(2, "'Port' is not Setting=Value", "configure", "pacs", "Port")
      fails(2, "modalua: configure: 'Port' must be a port, 1 to 65534", "configure", "pacs", "Port=99999")
      fails(1, "the server knows no modality 'pasc'; did you mean 'pacs'?", "configure", "pasc")
    end)

    it("follow prints changes as JSON lines, those to come too", function()
      local result = run("follow", "--once", "--type", "NewStudy")
      assert.are.equal(0, result.status, result.err)
      local n = 0
      for line in result.out:gmatch "[^\n]+" do
        assert.are.equal("NewStudy", assert(json.decode(line)).ChangeType)
        n = n + 1
      end
      assert.is_true(n >= 20)
      local last = assert(client:get("/changes", { last = "" })).Last
      -- it waits until there is a change, and prints it at once: read ends when a line is there
      local followed = shell(([[mkfifo "$D/pipe"; "$M" follow --since %d --type NewPatient >"$D/pipe" & p=$!
        exec 3<"$D/pipe"; "$M" api POST /tools/create-dicom --input "$D/tags" >/dev/null; read -r line <&3; kill -INT $p; wait $p; s=$?
        echo "$line"; exit $s]]):format(last):gsub("exec 3", [[printf '{"Tags":{"PatientID":"FOLLOWED"}}' >"$D/tags"; exec 3]], 1))
      assert.are.equal(130, followed.status, followed.err)
      assert.are.equal("NewPatient", assert(json.decode(followed.out)).ChangeType)
      for _, id in ipairs(assert(client:find { Level = "Study", Query = { PatientID = "FOLLOWED" } })) do
        assert(client:delete("/studies/" .. id))
      end
      fails(2, "the Seq of a change is expected, 0 or more, not '-1'", "follow", "--since=-1")
    end)

    it("job shows a job, and tells it what to do", function()
      local job = assert(client:modality "archive":store(studies[1], { Synchronous = false })).ID
      assert(client:job(job):wait())
      local status = answer("job", job, "--json")
      assert.are.same({ job, "DicomModalityStore", "Success" }, { status.ID, status.Type, status.State })
      assert.matches("\nState\tSuccess\n", run("job", job).out)
      assert.are.equal("Success", answer("job", job, "wait", "--json").State)
      for _, action in ipairs { "cancel", "pause", "resume", "resubmit", "status", "wait" } do
        fails(1, "modalua: ", "job", "4f5ec3d6-3b2c-4b8e-9c9a-1f4a6a0f3c55", action)
      end
      assert(client:put("/modalities/gone", { "GONE", "127.0.0.1", 1 }))
      local failed = assert(client:modality "gone":store(studies[1], { Synchronous = false })).ID
      assert.is_nil(client:job(failed):wait())
      assert.are.equal(1, run("job", failed, "wait").status)
      assert.are.equal(0, run("job", failed, "resubmit").status)
      assert.is_nil(client:job(failed):wait())
      assert(client:delete "/modalities/gone")
      fails(2, "a job cannot be told to 'cancle'; did you mean cancel?", "job", job, "cancle")
      fails(2, "is no identifier of a job", "job", "a/b")
      assert.are.equal(job, answer("job", "status", job, "--json").ID) -- in the other order too
    end)

    it("worklist asks a modality, with filters at any place", function()
      -- Orthanc without its worklist plugin refuses the request
      local result = run("worklist", "pacs", "Modality=CT", "ScheduledProcedureStepStartDate=2024-01-31")
      contains(result.err, "ScheduledProcedureStepStartDate=20240131\n")
      assert.are.equal(1, result.status)
      fails(1, "PatientNam", "worklist", "pacs", "PatientNam=X*")
    end)

    it("check --from says whether the source knows the destination, as far as the source says it", function()
      local ports = orthanc.free_ports(1)
      local qr <close> = qrd.start { peers = { { "LOCAL", "127.0.0.1", ports[1] } } }
      local own <close> = orthanc.start { binary = version.binary, aet = "LOCAL", dicom_port = ports[1],
        modalities = { qr = qr:modality(), pacs = servers.PACS:modality(), other = { "OTHER", "127.0.0.1", 1 } } }
      local function destination(...)
        local rows = assert(json.decode(command.run("-u", own.url, "check", "qr", "--json", ...).out))
        for _, row in ipairs(rows) do
          if row.check:find "^destination" then
            return { row.check, row.state, row.detail, row.advice }
          end
        end
      end
      local known, other = destination("--from", "qr"), destination("--from", "qr", "--to", "other")
      assert.are.same({ "destination LOCAL of qr", "ok", "known: qr refuses an AE title that it does not know, and does not refuse LOCAL" },
        known)
      assert.are.same({ "destination OTHER of qr", "failed", "not known: qr does not know the AE title OTHER (0xA801)",
        "add OTHER, with its host and port, to the list of destinations of qr" }, other)
      assert.are.equal("failed", destination("--from", "qr", "--to", "nosuch")[2])
      assert.are.same({ "destination OTHER of pacs", "unknown", -- Orthanc looks for the study first
        "cannot be told: pacs does not look at the destination when there is nothing to send",
        "move one study to be certain: modalua move pacs --to other StudyInstanceUID=…" }, destination("--from", "pacs", "--to", "other"))
      assert.are.same({ "destination NOBODY of qr", "failed" }, { table.unpack(destination("--from", "qr", "--to-aet", "NOBODY"), 1, 2) })
      for option, message in pairs { ["--to"] = "--to needs --from", ["--to-aet"] = "--to-aet needs --from" } do
        local result = command.run("-u", own.url, "check", option, "qr")
        assert.are.same({ 2, "" }, { result.status, result.out })
        contains(result.err, message)
      end
    end)

    it("check --from says why it cannot be told, and what was misspelt", function()
      local peer <close> = dicomd.start()
      local modalities = { other = { "OTHER", "127.0.0.1", 1 } }
      for _, title in ipairs { "MSTA700", "MSTC000", "REJ113", "OK3" } do
        modalities[title:lower()] = peer:modality(title)
      end
      local own <close> = orthanc.start { binary = version.binary, modalities = modalities }
      local function destination(from, ...)
        local result = command.run("-u", own.url, "check", "other", "--json", "--timeout", "60", "--from", from, ...)
        local rows = assert(json.decode(result.out))
        local row = rows[#rows]
        assert.matches("^destination", row.check)
        return row.state, row.state == "failed" and row.kind .. ": " .. row.error or row.detail, result.err
      end
      for from, wanted in pairs { -- the state, and the text or the error
        msta700 = { "unknown", "cannot be told: .*0xA700" },
        mstc000 = { "unknown", "cannot be told: mstc000 does not look at the destination when there is nothing to send" },
        ok3 = { "unknown", "cannot be told: ok3 does not look at the destination when there is nothing to send" },
        rej113 = { "failed", "dicom: .*; the modality rejects the association: " },
        msta7000 = { "failed", "orthanc: the server knows no modality 'msta7000'; did you mean 'msta700'?" },
      } do
        local state, text = destination(from, "--to", "other")
        assert.are.equal(wanted[1], state, text)
        assert.matches("^" .. wanted[2]:gsub("%?", "%%?"), text)
      end
      local state, text, errors = destination("ok3", "--to", "othr")
      assert.are.equal("failed", state)
      contains(text, "the server knows no modality 'othr'; did you mean 'other'? (--to-aet takes an AE title unknown here)")
      assert.matches("^modalua: %d of %d+ checks FAILED\n$", errors)
    end)

    it("check says what is wrong, and what to do", function()
      assert(client:put("/modalities/gone", { "GONE", "127.0.0.1", 1 }))
      local result = run("check", "--json")
      assert(client:delete "/modalities/gone")
      assert.are.equal(1, result.status)
      local states = {}
      for _, row in ipairs(assert(json.decode(result.out))) do
        states[row.check] = row
      end
      assert.are.same({ "ok", "ok", "ok", "ok", "failed" }, { states.server.state, states.version.state, states.encoding.state,
        states["modality pacs"].state, states["modality gone"].state })
      assert.are.equal(client:system().Version, states.version.detail)
      assert.are.same({ "dicom", "string" }, { states["modality gone"].kind, type(states["modality gone"].advice) })
      assert.are.same(version.number >= 11300 and { "ok", "2" } or { "unknown", "" },
        { states["jobs at once"].state, states["jobs at once"].detail })
      assert.matches("^%d+ running, %d+ waiting, %d+ failed$", states.jobs.detail)
      assert.matches("modalua: 1 of %d+ checks FAILED\n", result.err)
      assert.are.equal(1, select(2, run("check", "archive").out:gsub("\nmodality ", "")))
      assert(client:put("/tools/default-encoding", "Latin1"))
      local warned = run("check")
      assert(client:put("/tools/default-encoding", "Utf8"))
      assert.are.equal(0, warned.status, warned.err)
      assert.matches("\nencoding\twarning\tLatin1\t[^\n]*\"DefaultEncoding\": \"Utf8\"", warned.out)
      local unreachable = run("check", "-u", "http://127.0.0.1:1")
      assert.are.equal(1, unreachable.status)
      assert.matches("^server\tFAILED\t[^\n]*\t[^\n]*MODALUA_URL", unreachable.out)
      contains(run("check", "-u", (servers.LOCAL.url:gsub("http", "https", 1))).out, "\twrite http:// if this port has no TLS; ")
      assert.matches("\nmodality achive\tFAILED\t\t[^\n]*did you mean 'archive'%?", run("check", "achive").out)
    end)
  end)
end

describe("At the shell", function()
  it("check works without the settings of the modalities, and says where they are needed", function()
    local function answer(code, body)
      return faultd.route("/status", { code = code, body = json.encode(body) })
    end
    local server <close> = faultd.start {
      { path = "/modalities", to = answer(403, {}) }, { path = "/modalities/a/echo", to = answer(200, {}) },
      { path = "/system", to = answer(200, { Version = "1.12.7", DicomAet = "OWN", DicomPort = 4242 }) },
    }
    local rows = {}
    for _, row in ipairs(assert(json.decode(command.run("-u", server.url, "check", "a", "--json", "--from", "a", "--to", "b").out))) do
      rows[row.check] = row
    end
    assert.are.equal("ok", rows["modality a"].state)
    assert.matches("^answers after %d+ ms$", rows["modality a"].detail)
    local row = rows.destination
    assert.are.same({ "failed", "orthanc" }, { row.state, row.kind, row.code })
    contains(row.error, "this user may not read the modalities of the server: use --to-aet")
  end)

  it("check says what to do when the server cannot be asked, by the reason", function()
    local function answering(answer)
      return faultd.start { { path = "/system", to = faultd.route("/status", answer) } }
    end
    local page <close> = answering { code = 200, type = "text/html", body = "<title>Welcome</title>" }
    local locked <close> = answering { code = 401 }
    for url, case in pairs {
      ["http://127.0.0.1:1"] = { "network", "MODALUA_URL choose the server" },
      [page.url] = { "decode", "something else answers" },
      [locked.url] = { "auth", "check the user name and the password" },
    } do
      local row = assert(json.decode(command.run("-u", url, "check", "--json").out))[1]
      assert.are.same({ "server", "failed", case[1] }, { row.check, row.state, row.kind }, url)
      contains(row.advice, case[2])
    end
  end)

  it("help lists the verbs, and explains one", function()
    local list = command.run "help"
    assert.are.same({ 0, "" }, { list.status, list.err })
    for name in command.shell "ls lua/modalua/command/verbs".out:gmatch "([%w_]+)%.lua" do
      assert.matches(("\n  %s +%%l"):format(name), list.out)
      assert.are.equal(command.run(name, "--help").out, command.run("help", name).out)
    end
    local wrong = command.run("help", "fnid")
    assert.are.same({ 2, "" }, { wrong.status, wrong.out })
    contains(wrong.err, "there is no verb 'fnid'; did you mean find?")
    contains(command.run("help", "xyzzy").err, "`modalua help` lists the verbs")
    assert.are.equal(command.run("transfer", "items", "--help").out, command.run("help", "transfer", "items").out)
    for words, message in pairs { ["transfer itmes"] = "transfer has no command 'itmes'; did you mean items?",
      ["find pacs"] = "find has no command 'pacs'; `modalua help find` explains it" } do
      local result = command.shell('"$M" help ' .. words)
      assert.are.same({ "", 2 }, { result.out, result.status })
      contains(result.err, message)
    end
  end)

  it("version shows the version", function()
    assert.are.equal(command.run("-v").out, command.run("version").out)
  end)
end)
