-- Tests `modalua transfer`: its arguments, what it prints, its exit statuses and its signals, on real servers.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local served = require "spec.support.served"
local terminal = require "spec.support.terminal"
local transfers = require "spec.support.transfers"
local versions = require "spec.support.versions"

local contains, eventually = expect.contains, expect.eventually

local STUDIES <const> = 6

-- The contents of a file; "" when it is not there yet.
local function read(path)
  return served.read_file(path) or ""
end

describe("modalua transfer", function()
  it("has a help for itself and for each command", function()
    local help = command.run("transfer", "--help").out
    for _, name in ipairs { "run", "status", "pause", "resume", "set", "retry", "add", "items", "report", "check" } do
      assert.matches("\n   " .. name .. " +%l", help)
      local own = command.run("transfer", name, "--help")
      assert.are.same({ "", 0 }, { own.err, own.status })
      assert.matches("^Usage: modalua transfer " .. name .. " .*LEDGER", own.out)
      contains(own.out, "Examples:\n  modalua transfer " .. name .. " ")
    end
    local run = command.run("transfer", "run", "--help").out
    for option in ("from from-local to to-local to-peer to-aet level items column encoding all concurrency join hours time-zone rate share "
      .. "gap retries max-failed verify arrived-at order max limit-results several names yes dry-run once log metrics json"):gmatch "%S+" do
      contains(run, "--" .. option)
    end
  end)

  it("is in the help of the command and in the manual page", function()
    assert.matches("\n  transfer COMMAND LEDGER %[options%] +moves any number of studies", command.run("--help").out)
    local manual = command.run("manual").out
    contains(manual, ".SS transfer run\n\\fBmodalua transfer run\\fR [options] LEDGER [Tag=Value…] ")
    contains(manual, ".TP\n\\fB\\-\\-time\\-zone\\fR ZONE\n")
  end)
end)

for _, version in ipairs(versions.few) do
  describe("modalua transfer, with the Orthanc " .. version.name, function()
    local servers, client, pacs, target, peer, directory, ledger, running

    setup(function()
      peer = dicomd.start()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary, verbose = true })
      client, pacs, target = modalua.connect(servers.LOCAL.url), modalua.connect(servers.PACS.url), modalua.connect(servers.ARCHIVE.url)
      assert(pacs:put("/modalities/held", peer:modality "HELD"))
      assert(client:put("/modalities/dead", { "DEAD", "127.0.0.1", 1 }))
      for i = 1, STUDIES do
        local uid = ("1.2.9.%d"):format(i)
        assert(pacs:upload { data = archive.file { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID = uid .. ".1.1",
          SeriesInstanceUID = uid .. ".1", StudyInstanceUID = uid, PatientID = "T" .. i, StudyDate = "2020010" .. i, Modality = "CT",
          AccessionNumber = "A" .. i } })
      end
    end)

    teardown(function()
      servers:close()
      peer:close()
    end)

    before_each(function()
      directory = served.folder "verb"
      ledger = directory .. "/t.ledger"
      archive.empty(target)
    end)

    after_each(function()
      if running then
        os.execute(("kill -KILL %d 2>/dev/null"):format(running)) -- a check has failed
        running = nil
      end
      served.output_of("exec rm -rf " .. served.quoted { directory })
    end)

    local function run(...)
      return command.shell(("MODALUA_URL=%s \"$M\" transfer %s"):format(servers.LOCAL.url, command.quote(...)))
    end

    local function begin(...)
      return run("run", ledger, "--from", "pacs", "--to", "archive", ...)
    end

    local function status()
      local result = run("status", ledger, "--json")
      return assert(json.decode(result.out), result.err)
    end

    local function arrived()
      return #assert(target:get "/studies")
    end

    describe("run", function()
      it("sends all that a query finds, and goes on with the ledger alone", function()
        local result = begin("StudyDate=20200101-", "--max", "2")
        assert.are.same({ 0, "", 2 }, { result.status, result.out, arrived() })
        contains(result.err, "modalua: stopped: 2 sent, 4 left\n")
        result = run("run", ledger)
        assert.are.same({ 0, "", STUDIES }, { result.status, result.out, arrived() })
        contains(result.err, "modalua: finished: 6 sent (4 of them in this run)\n")
        result = run("run", ledger)
        assert.are.equal(0, result.status)
        local now = status()
        assert.are.same({ "finished", true, STUDIES, STUDIES, 0 }, { now.state, now.complete, now.found, now.items.done, now.items.failed })
      end)

      it("only finds and compares with --dry-run", function()
        local result = begin("StudyDate=20200101-", "--dry-run")
        assert.are.same({ 0, 0 }, { result.status, arrived() })
        assert.are.equal(STUDIES, status().items.todo)
      end)

      it("does so outside of its hours too, in which nothing is sent", function()
        local in_three_days = os.date("!%a", os.time() + 3 * 86400)
        local result = begin("StudyDate=20200101-", "--dry-run", "--hours", in_three_days, "--time-zone", "UTC")
        assert.are.same({ 0, 0 }, { result.status, arrived() }, result.err)
        assert.is_nil(result.err:find("closed", 1, true))
        assert.are.equal(STUDIES, status().items.todo)
      end)

      it("prints an object for each event with --json", function()
        local result = begin("PatientID=T1", "--json")
        assert.are.equal(0, result.status, result.err)
        local events = {}
        for line in result.out:gmatch "[^\n]+" do
          local event = assert(json.decode(line))
          events[#events + 1] = event.event
        end
        assert.are.equal("start", events[1])
        assert.are.equal("end", events[#events])
      end)

      it("ends with the status 1 when an item has failed, and says why", function()
        local result = run("run", ledger, "--from", "pacs", "--to-aet", "NOWHERE", "--retries", "0", "PatientID=T1")
        assert.are.equal(1, result.status)
        contains(result.err, "the destination was the AE title NOWHERE, which no modality of this server has")
        contains(result.err, "modalua: finished: 0 sent, 1 failed\n")
        assert.are.equal(1, status().items.failed)
      end)

      it("is refused with the status 2 when the arguments are wrong, and writes nothing", function()
        for _, case in ipairs {
          { "--from and --from-local contradict each other", "--from", "pacs", "--from-local", "--to", "archive", "PatientID=T1" },
          { "--to and --to-peer contradict each other", "--from", "pacs", "--to", "archive", "--to-peer", "x", "PatientID=T1" },
          { "--column and --encoding describe the list of --items", "--from", "pacs", "--to", "archive", "--column", "x" },
          { "PatientID= has no value", "--from", "pacs", "--to", "archive", "PatientID=" },
          { "a whole number, 1 or more, is expected, not '0'", "--from", "pacs", "--to", "archive", "--concurrency", "0", "PatientID=T1" },
          { "a number of seconds, 0 or more, is expected, not 'x'", "--from", "pacs", "--to", "archive", "--gap", "x", "PatientID=T1" },
          { "--rate: 'fast' is not understood", "--from", "pacs", "--to", "archive", "--rate", "fast", "PatientID=T1" },
          { "--hours: there is no day 'Funday'", "--from", "pacs", "--to", "archive", "--hours", "Mon-Funday", "PatientID=T1" },
          { "Mars/Olympus", "--from", "pacs", "--to", "archive", "--hours", "Mon", "--time-zone", "Mars/Olympus", "PatientID=T1" },
          { "--join needs --verify", "--from", "pacs", "--to", "archive", "--join", "5", "--verify", "job", "PatientID=T1" },
          { "--from and --to are the same", "--from", "pacs", "--to", "pacs", "PatientID=T1" },
          { "are the same", "--from-local", "--to-local", "PatientID=T1" },
          { "--order must be", "--from", "pacs", "--to", "archive", "--order", "upside", "PatientID=T1" },
          { "Patient", "--from", "pacs", "--to", "archive", "--level", "Patient", "PatientID=T1" },
          { "everything would be sent: --all allows that", "--from", "pacs", "--to", "archive", "PatientName=*" },
          { "--to or --to-aet is needed", "--from", "pacs", "PatientID=T1" },
          { "NoColumn", "--from", "pacs", "--to", "archive", "--items", "spec/transfer_verb_spec.lua", "--column", "NoColumn" },
          { "--column \"…\"", "--from", "pacs", "--to", "archive", "--items", "spec/transfer_verb_spec.lua" },
        } do
          local result = run("run", ledger, table.unpack(case, 2))
          assert.are.same({ 2, "" }, { result.status, result.out }, table.concat(case, " ") .. "\n" .. result.err)
          assert.matches("^modalua: transfer: [^\n]*" .. case[1]:gsub("%p", "%%%0") .. "[^\n]*\n`modalua transfer run %-%-help` "
            .. "explains the arguments\n$", result.err)
          assert.is_nil(served.read_file(ledger))
        end
        assert.are.same({ 2, 2 }, { run().status, run("run").status })
        contains(run("rnu", ledger).err, "unknown command 'rnu'; did you mean 'run'?")
      end)

      it("asks at a terminal whether more than 1,000 items are to be sent, and elsewhere refuses them", function()
        assert.are.equal(0, begin("PatientID=T1", "--dry-run").status)
        transfers.add_studies(ledger, 1000)
        local refused = run("run", ledger)
        assert.are.same({ 1, "" }, { refused.status, refused.out })
        contains(refused.err, "there are 1001 items or more: nothing was sent; --yes allows more than 1000")
        local function answer(text)
          local out, ended, err = terminal.run({ environment = "LC_CTYPE=C.UTF-8 MODALUA_URL=" .. servers.LOCAL.url,
            arguments = command.quote("transfer", "run", ledger, "--max", "1") },
            { { wait = "1001 items were found. Send them? [y/N] " }, { send = text } })
          assert.are.equal("", err)
          return ended, out
        end
        for _, no in ipairs { "\r", "n\r", "\4" } do
          local ended, out = answer(no)
          assert.are.equal(1, ended)
          contains(out, "nothing was sent")
        end
        assert.are.same({ 0, 0 }, { arrived(), status().items.done })
        assert.are.equal(0, (answer "y\r"))
        assert.are.same({ 1, true }, { arrived(), status().settings.yes })
      end)

      it("says that nothing was found", function()
        local result = begin "PatientID=NONE"
        assert.are.same({ 0, "" }, { result.status, result.out })
        contains(result.err, "modalua: finished: nothing was found\n")
      end)

      it("suggests the right name for a modality", function()
        local result = run("run", ledger, "--from", "pasc", "--to", "archive", "PatientID=T1")
        assert.are.same({ 1, "" }, { result.status, result.out, served.read_file(ledger) })
        contains(result.err, "the server knows no modality 'pasc'; did you mean 'pacs'?\n")
      end)

      it("refuses what cannot be meant, as wrong usage, in words of the command, and makes no ledger", function()
        local us, own = modalua.connect(servers.LOCAL.url), servers.LOCAL:modality()
        assert(us:put("/modalities/own", own))
        assert(us:put("/modalities/to", own)) -- a name that is a word of ours
        assert(us:put("/peers/self", { Url = servers.LOCAL.url }))
        assert(us:put("/peers/other", { Url = servers.ARCHIVE.url }))
        local long = directory .. "/long.csv"
        served.write_file(long, ("a"):rep(1 << 21))
        for _, case in ipairs {
          { "say which column has the values, as --column", "--from", "pacs", "--to", "archive", "--items", long },
          { "there is no day 2024-13-01", "--from", "pacs", "--to", "archive", "StudyDate=20241301" },
          { "is a range that ends before it begins", "--from", "pacs", "--to", "archive", "StudyDate=20240131-20240101" },
          { "StudyDate = '-' is no value for a date", "--from", "pacs", "--to", "archive", "StudyDate=-" },
          { "--from is empty", "--from", "", "--to", "archive", "PatientID=T1" },
          { "--to is empty", "--from", "pacs", "--to", "", "PatientID=T1" },
          { "--to-peer is empty", "--from-local", "--to-peer", "", "PatientID=T1" },
          { "--to-aet is the source itself", "--from", "pacs", "--to-aet", "PACS", "PatientID=T1" },
          { "--from and --to are the same: the modality 'own' is this Orthanc itself", "--from-local", "--to", "own", "PatientID=T1" },
          { "--from and --to are the same: the modality 'own' is this Orthanc itself", "--from", "own", "--to-local", "PatientID=T1" },
          { "--from and --to are the same: the modality 'to' is this Orthanc itself", "--from", "to", "--to-local", "PatientID=T1" },
          { "--from and --to are the same: the peer 'self' is this Orthanc itself", "--from-local", "--to-peer", "self", "PatientID=T1" },
          -- at the source all would be found, and nothing would be sent
          { "--arrived-at is the source itself", "--from-local", "--to-peer", "other", "--arrived-at", servers.LOCAL.url, "PatientID=T1" },
          { "--arrived-at is the source itself", "--from", "pacs", "--to", "archive", "--arrived-at", servers.PACS.url, "PatientID=T1" },
        } do
          local result = run("run", ledger, table.unpack(case, 2))
          assert.are.same({ 2, "" }, { result.status, result.out, served.read_file(ledger) }, case[1])
          contains(result.err, case[1])
          assert.is_true(#result.err < 1000)
        end
        assert(us:delete "/modalities/own")
        assert(us:delete "/modalities/to")
      end)

      it("refuses a ledger of another transfer", function()
        assert.are.equal(0, begin("PatientID=T1", "--dry-run").status)
        local result = begin("PatientID=T2")
        assert.are.equal(2, result.status)
        contains(result.err, "T2")
      end)
    end)

    describe("on the ledger", function()
      before_each(function()
        assert.are.equal(0, begin("StudyDate=20200101-", "--max", "2").status)
      end)

      it("status prints lines", function()
        local result = run("status", ledger)
        assert.are.same({ 0, "" }, { result.status, result.err })
        contains(result.out, "state\tstopped\nfound\t6\ntodo\t4\nsending\t0\nsent\t0\ndone\t2\n")
      end)

      it("pause makes a run end with the status 1, until resume", function()
        assert.are.same({ out = "", err = "paused: runs finish what is under way\n", status = 0 }, run("pause", ledger))
        local result = run("run", ledger)
        assert.are.equal(1, result.status)
        contains(result.err, "modalua: paused: 2 sent (0 of them in this run), 4 left\n")
        assert.are.equal(0, run("resume", ledger).status)
        assert.are.equal(0, run("run", ledger).status)
        assert.are.equal(STUDIES, arrived())
      end)

      it("set changes settings, and needs one", function()
        assert.are.equal(0, run("set", ledger, "--concurrency", "3", "--gap", "0.5").status)
        local settings = status().settings
        assert.are.same({ 3, 0.5 }, { settings.concurrency, settings.gap })
        local result = run("set", ledger)
        assert.are.equal(2, result.status)
        contains(result.err, "nothing is to be changed: give a setting, such as --concurrency 4\n`modalua transfer set --help` explains")
        assert.are.equal(2, run("set", ledger, "--hours", "never").status)
        result = run("set", ledger, "--hours", "")
        assert.are.equal(2, result.status)
        contains(result.err, "--hours is empty: write always to allow all hours")
      end)

      it("items lists items as lines, CSV and JSON", function()
        local lines = run("items", ledger, "--state", "todo")
        assert.are.equal(0, lines.status, lines.err)
        assert.are.equal(4, select(2, lines.out:gsub("\n", "")))
        assert.matches("^1%.2%.9%.%d\tT%d\tA%d\t2020010%d\tCT\ttodo\t", lines.out)
        local csv = run("items", ledger, "--csv").out
        assert.matches("^key,patient_id,accession,date,modality,state,reason,tries,expected,arrived,bytes,seconds,finished,verified,"
          .. "message\n", csv)
        assert.are.equal(1 + STUDIES, select(2, csv:gsub("\n", "")))
        local rows = assert(json.decode(run("items", ledger, "--state", "done", "--json").out))
        assert.are.same({ 2, "done", 1, 1 }, { #rows, rows[1].state, rows[1].expected, rows[1].arrived })
        assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", rows[1].finished)
        assert.is_nil(rows[1].bytes) -- it went from one modality to another
        contains(run("items", ledger, "--state", "done").out, "\t" .. rows[1].finished .. "\t")
        contains(csv, "," .. rows[1].finished .. ",")
        assert.are.equal("[]\n", run("items", ledger, "--state", "failed", "--json").out)
        assert.are.equal(2, run("items", ledger, "--state", "lost").status)
      end)

      it("report writes a page and a table, and check looks at the ledger itself", function()
        local page, rows = directory .. "/page.html", directory .. "/rows.csv"
        assert.are.same({ out = "", err = "", status = 0 }, run("report", ledger, "--html", page, "--csv", rows))
        assert.matches("^<!DOCTYPE html>", read(page))
        assert.are.equal(1 + STUDIES, select(2, read(rows):gsub("\r\n", "")))
        assert.are.equal(2, run("report", ledger).status)
        assert.are.same({ out = read(rows), err = "", status = 0 }, run("report", ledger, "--csv", "-"))
        local out = run("report", ledger, "--html", "-", "--csv", directory .. "/again.csv").out
        assert.matches("^<!DOCTYPE html>.*</html>\n*$", out)
        assert.are.equal(read(rows), read(directory .. "/again.csv"))
        assert.are.equal(2, run("report", ledger, "--html", "-", "--csv", "-").status)
        assert.are.same({ out = "", err = "6 items: the ledger is whole\n", status = 0 }, run("check", ledger))
        assert.is_true(assert(json.decode(run("check", ledger, "--json").out)).ok)
      end)

      it("retry and add put items into the transfer", function()
        assert.are.same({ out = "", err = "0 items or lines of the list are to be tried again\n", status = 0 }, run("retry", ledger))
        local list = directory .. "/list.csv"
        served.write_file(list, "AccessionNumber\nA6\nA99\n")
        local result = run("add", ledger, list, "--first")
        assert.are.same({ "", 0 }, { result.out, result.status }, result.err)
        result = run("run", ledger)
        assert.are.same({ 1, STUDIES }, { result.status, arrived() }, result.err) -- A99 is not found
      end)

      it("says that there is none, with the status 2", function()
        for _, words in ipairs { { "status" }, { "pause" }, { "resume" }, { "set", "--gap", "1" }, { "retry" }, { "items" }, { "check" },
          { "report", "--csv", "x" }, { "run" } } do
          local result = run(words[1], directory .. "/none", table.unpack(words, 2))
          assert.are.same({ 2, "" }, { result.status, result.out }, words[1] .. result.err)
          assert.is_nil(served.read_file(directory .. "/none"))
        end
      end)
    end)

    describe("while it runs,", function()
      -- Starts a run whose first study is held by the destination, and waits until it is under way. Returns its process and a function
      -- that waits for a text on its standard error.
      local function held()
        local seen = #peer:log()
        local err = ledger .. ".err"
        served.output_of(([[
          export XDG_CONFIG_HOME=/nowhere MODALUA_URL=%s
          { %s transfer run %s --from pacs --to-aet HELD StudyDate=20200101-; echo status $? >>%s; } >%s/out 2>%s &]]):format(
          servers.LOCAL.url, command.quote(command.path), ledger, err, directory, err))
        local function shows(text)
          assert(eventually(function() return read(err):find(text, 1, true) end), read(err))
        end
        shows "pacs → HELD"
        running = status().workers[1].pid
        assert(eventually(function() return peer:count("C-STORE", seen) > 0 end), read(err))
        local function signal(name)
          assert(os.execute(("kill -%s %d"):format(name, running)))
        end
        return signal, shows, err
      end

      it("Ctrl-C lets it finish what is under way, and begins nothing new", function()
        for _, name in ipairs { "INT", "TERM" } do
          ledger = directory .. "/" .. name
          local signal, shows = held()
          signal(name)
          shows "modalua: stopping: what is under way is finished first (Ctrl-C again cancels it)\n"
          assert(eventually(function() return status().items.todo == STUDIES - 1 end), "nothing was given back")
          assert.are.equal(1, status().items.sending)
          peer:let(1)
          shows "modalua: stopped: 1 sent, 5 left\n"
          shows "status 130\n"
          running = nil
          assert.are.same({ "stopped", 1, 5 }, { status().state, status().items.done, status().items.todo })
        end
      end)

      it("a second Ctrl-C cancels what is under way, on the server too", function()
        if version.number < 11101 then
          pending "in this version a C-MOVE is no job, and cannot be cancelled"
        end
        local signal, shows = held()
        signal "INT"
        shows "modalua: stopping: "
        signal "INT"
        shows "status 130\n"
        running = nil
        assert(eventually(function() return servers.LOCAL:count_logged "Canceling job: " == 1 end), "the job was not cancelled")
        peer:let(1)
        assert(eventually(function() -- then the next test finds no C-MOVE under way
          local states = {}
          for _, job in ipairs(assert(client:jobs { expand = true })) do
            states[job.State] = true
          end
          return not states.Running
        end))
      end)

      it("SIGUSR1 prints a line of progress, and ends nothing", function()
        local signal, shows, err = held()
        local before = select(2, read(err):gsub("\n", ""))
        signal "USR1"
        assert(eventually(function() return select(2, read(err):gsub("\n", "")) > before end), read(err))
        signal "INT"
        shows "modalua: stopping: "
        peer:let(1)
        shows "status 130\n"
        running = nil
      end)
    end)
  end)
end
