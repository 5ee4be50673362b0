-- Tests what verbs write for other programs: CSV, JSON and JSON lines; and the options of find that choose what is written.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local sample_ledger = require "spec.support.sample_ledger"
local samples = require "modalua.samples"
local terminal = require "spec.support.terminal"

local contains = expect.contains

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  return lines
end

describe("The output of verbs", function()
  local servers, client

  setup(function()
    servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { extra = { DefaultEncoding = "Utf8" } })
    client = modalua.connect(servers.LOCAL.url)
    assert(samples.store(modalua.connect(servers.PACS.url)))
  end)

  teardown(function()
    servers:close()
  end)

  local function shell(line)
    return command.shell(("export MODALUA_URL=%s TERM=xterm; %s"):format(servers.LOCAL.url, line))
  end

  local function run(...)
    return shell('"$M" ' .. command.quote(...))
  end

  -- What a verb writes; it must succeed.
  local function out(...)
    local result = run(...)
    assert.are.equal(0, result.status, result.err)
    return result.out
  end

  describe("as CSV", function()
    it("has a header and lines that end in LF, or in CR LF with --crlf", function()
      local words = { "find", "pacs", "-L", "Patient", "PatientID=MOD-0012", "--csv" }
      local head, row = "PatientName,PatientBirthDate,PatientSex,PatientID", "O'Brien-Núñez^María José,20150730,F,MOD-0012"
      assert.are.equal(head .. "\n" .. row .. "\n", out(table.unpack(words)))
      assert.are.equal(row .. "\n", out("--", table.unpack(words)):gsub("^.-\n", "", 1))
      words[#words + 1] = "--crlf"
      assert.are.equal(head .. "\r\n" .. row .. "\r\n", out(table.unpack(words)))
      words[#words + 1] = "--no-header"
      assert.are.equal(row .. "\r\n", out(table.unpack(words)))
    end)

    it("has a header without rows too, in each verb that writes rows", function()
      assert.are.equal("PatientName,PatientBirthDate,PatientSex,PatientID\n",
        out("find", "pacs", "-L", "Patient", "PatientID=NONE", "--csv"))
      assert.are.equal("id,type,state,progress,created,completed,runtime_seconds,from,to,description,error,kind,code\n",
        out("jobs", "--csv"))
      assert.are.equal("id,modality,level,answers\n", out("queries", "--csv"))
      local result = run("move", "pacs", "--to", "archive", "PatientID=NONE", "--csv")
      assert.are.equal(1, result.status)
      assert.matches("^outcome,StudyDate,[^\n]*,error,kind,code,verified\n$", result.out)
    end)

    it("has a quote in front of cells that a spreadsheet would run, with --safe-csv", function()
      local titles = { plus = "+A", minus = "-A", at = "@A", equals = "=A", plain = "A=+-@" }
      for name, title in pairs(titles) do
        assert(client:put("/modalities/" .. name, { AET = title, Host = "127.0.0.1", Port = 104 }))
      end
      local plain, safe = out("modalities", "--csv"), out("modalities", "--csv", "--safe-csv")
      for name in pairs(titles) do
        assert(client:delete("/modalities/" .. name))
      end
      for name, title in pairs(titles) do
        contains(plain, ("\n%s,%s,"):format(name, title))
        contains(safe, ("\n%s,%s%s,"):format(name, name == "plain" and "" or "'", title))
      end
    end)

    it("is needed by --crlf and --safe-csv", function()
      for _, option in ipairs { "--crlf", "--safe-csv" } do
        local result = run("modalities", option)
        assert.are.same({ 2, "" }, { result.status, result.out })
        contains(result.err, option .. " is for CSV: it needs --csv")
      end
      contains(run("modalities", "--csv", "--jsonl").err, "option '--jsonl' can not be used together with option '--csv'")
    end)
  end)

  it("as JSON lines is one object in each line, on a terminal too", function()
    local made = assert(client:post("/tools/create-dicom", { Tags = { PatientID = "X", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
    assert(client:modality "archive":store(made.ID))
    local found = assert(client:modality "pacs":find { Level = "Study", Query = { PatientID = "JP*" } }) -- a query for the verb queries
    for _, case in ipairs { { "find pacs", 23 }, { "modalities", 3 }, { "echo", 3 }, { "queries", 1 }, { "find pacs PatientID=NONE", 0 },
      { "move pacs --to-aet NOWHERE PatientID=JP-77001", 2 }, { "jobs", #assert(client:jobs()) } } do
      local lines = lines_of(shell(('"$M" %s --jsonl 2>/dev/null'):format(case[1])).out)
      assert.are.equal(case[2], #lines, case[1])
      for _, line in ipairs(lines) do
        assert.is_table(assert(json.decode(line)), line)
        assert.are.equal("{", line:sub(1, 1))
      end
    end
    assert(found:close())
    assert(client:delete(made.Path))
    local shown = shell([[script -qec '"$M" modalities --jsonl' /dev/null]]).out:gsub("\r\n", "\n")
    assert.are.equal("archive", assert(json.decode(lines_of(shown)[1])).name)
  end)

  describe("on a terminal that is too small for it", function()
    -- `program`: what takes the place of the command.
    local function on_terminal(pager, arguments, steps, program)
      return terminal.run({ columns = 100, rows = 20, arguments = arguments, environment = ("LC_CTYPE=C.UTF-8 MODALUA_URL=%s PAGER=%s M=%s")
        :format(servers.LOCAL.url, command.quote(pager), command.quote(program or command.path)) }, steps or {})
    end

    it("goes through the pager", function()
      local shown, status = on_terminal("sed 's/^/| /'", "find pacs")
      assert.are.equal(0, status)
      assert.are.equal(24, select(2, shown:gsub("\n| ", "\n"))) -- a head and 23 studies
      contains(shown, "\n23 studies\n")
      assert.is_nil(on_terminal("sed 's/^/| /'", "find pacs PatientID=MOD-0012"):find("\n| ", 1, true)) -- it fits
      assert.is_nil(on_terminal("", "find pacs"):find("\n| ", 1, true))
      contains(on_terminal("sed 's/^/| /'", "help"), "\n|   find         searches a modality\n")
      contains(on_terminal("sed 's/^/| /'", "find --help"), "\n| Examples:")
      contains(on_terminal("sed 's/^/| /'", "transfer run --help"), "\n| Examples:")
    end)

    it("goes through the pager once, also when it comes in pieces", function()
      local ledger, path = sample_ledger.open { items = 1100 }
      ledger:close()
      local shown, status, err = on_terminal("sed 's/^/| /; $s/$/\\nover/'", "transfer items " .. path)
      sample_ledger.remove(path)
      assert.are.equal(0, status, err .. shown)
      assert.are.equal(1101, select(2, ("\n" .. shown):gsub("\n| ", "\n"))) -- a head and 1100 items
      assert.are.equal(1, select(2, shown:gsub("\nover\n", "")))
    end)

    it("is printed without the pager as far as it came, when Ctrl-C ends it", function()
      local ledger, path = sample_ledger.open { items = 1100 }
      ledger:close()
      local wrapper = command.file(([[#!/bin/sh
        export ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0"
        DISTURB=hold DISTURB_PLACE=$(($(wc -c <%s) / 4 * 3)) LD_PRELOAD=%s exec %s "$@"]]):format(path,
        command.quote((assert(os.getenv "MODALUA_DISTURB"))), command.quote(command.path)))
      shell("chmod +x " .. wrapper)
      local shown, status = on_terminal("sed 's/^/| /'", "transfer items " .. path, { { wait = "held\n" }, { send = "\3" } }, wrapper)
      sample_ledger.remove(path)
      os.remove(wrapper)
      assert.are.equal(130, status)
      assert.are.equal(500, select(2, shown:gsub("\n[^|\n]* todo ", "\n")))
    end)

    it("leaves Ctrl-C to the pager", function()
      local shown, status, err = on_terminal([[trap 'echo caught' INT; echo paging; read word </dev/tty; echo "$word"]], "find pacs",
        { { wait = "paging\n" }, { send = "\3" }, { wait = "caught\n" }, { send = "over\r" }, { wait = "23 studies\n" } })
      assert.are.equal(0, status, err .. shown)
    end)
  end)

  it("has errors that a terminal gets broken at words, never inside a path; elsewhere they are one line", function()
    local path = "/tmp/no such folder/with a name/that is long/list.csv"
    local arguments = "transfer run new.ledger --from pacs --to archive --items " .. command.quote(path)
    local shown, status = terminal.run({ columns = 40, arguments = arguments, environment = "MODALUA_URL=" .. servers.LOCAL.url }, {})
    assert.are.equal(2, status)
    assert.are.equal(("modalua: transfer:\n'%s':\nNo such file or directory\n"):format(path), (shown:gsub("`.*", "")))
    contains(shown, "\n`modalua transfer run --help` explains\nthe arguments\n")
    shown = terminal.run({ columns = 40, arguments = "-u http://127.0.0.1:1 echo" }, {})
    for line in shown:gmatch "[^\n]+" do
      assert.is_true(#line <= 40, line)
    end
    contains(shown, "\nhttp://127.0.0.1:1: ")
    local plain = command.run("-u", "http://127.0.0.1:1", "echo")
    assert.are.equal(1, select(2, plain.err:gsub("\n", "")))
    assert.are.equal(plain.err, (shown:gsub("\n", " "):gsub(" $", "\n")))
    local script = command.file 'error("some words that say at length what is wrong with the script")'
    shown = terminal.run({ columns = 40, arguments = script }, {})
    os.remove(script)
    contains(shown, " some words\nthat say at length what is wrong with\nthe script\nstack traceback:\n")
  end)

  it("is in the columns of --columns, in their order", function()
    assert.are.equal("PatientID,StudyTime,StudyDate\nMOD-0012,093000,20160105\n",
      out("find", "pacs", "StudyDate=20160105", "--columns", "PatientID,0008,0030,StudyDate", "--csv"))
    local row = assert(json.decode(out("find", "pacs", "StudyDate=20160105", "--columns", "StudyDate, PatientName", "--jsonl")))
    assert.are.same({ StudyDate = "20160105", PatientName = "O'Brien-Núñez^María José" }, row)
    local narrow = shell [[script -qec 'stty cols 20; "$M" find pacs StudyDate=20160105 --no-header --columns StudyDate,PatientID' \
      /dev/null]]
    assert.matches("\n20160105  MOD%-0012\n", (narrow.out:gsub("\r\n", "\n")))
    for _, wrong in ipairs { "StudyDate,,PatientID", "", "StudyDate=x", "StudyDate PatientID" } do
      local result = run("find", "pacs", "--columns", wrong)
      assert.are.same({ 2, "" }, { result.status, result.out }, wrong)
      contains(result.err, "a tag is expected, such as StudyDate, not '")
    end
    contains(run("find", "pacs", "--columns", "PatientNam").err, "PatientNam is no DICOM keyword; did you mean PatientName?")
  end)

  it("is sorted by --sort, and cut by --limit afterwards", function()
    local function dates(...)
      return lines_of(out("find", "pacs", "--columns", "StudyDate", ...))
    end
    local all, sorted = dates(), dates "--sort=StudyDate"
    assert.are.equal(23, #all)
    table.sort(all, function(a, b) return (a == "" and "9" or a) < (b == "" and "9" or b) end)
    assert.are.same(all, sorted)
    local falling = dates "--sort=-StudyDate"
    assert.are.same({ all[21], all[20], "" }, { falling[1], falling[2], falling[23] }) -- two studies have no date
    assert.are.same({ all[21], all[20] }, dates("--sort=-StudyDate", "--limit=2"))
    assert.are.same(falling, dates("--sort", "-StudyDate"))
    local result = run("find", "pacs", "--sort", "StudyDate", "--limit", "3")
    assert.matches("\n3 of 23 studies\n$", result.err)
    local series = lines_of(out("find", "pacs", "-L", "Series", "PatientID=JP*", "--columns", "SeriesNumber", "--sort", "SeriesNumber"))
    local numbers = {}
    for i, line in ipairs(series) do
      numbers[i] = tonumber(line)
    end
    assert.is_true(#numbers > 3)
    table.sort(numbers)
    for i, n in ipairs(numbers) do
      assert.are.equal(n, tonumber(series[i]))
    end
    for _, wrong in ipairs { "0", "x", "-1" } do
      assert.are.equal(2, run("find", "pacs", "--limit=" .. wrong).status)
    end
  end)

  it("is only a number with --count", function()
    assert.are.equal("23\n", out("find", "pacs", "--count"))
    assert.are.equal("0\n", out("find", "pacs", "PatientID=NONE", "--count", "--json"))
    assert.are.equal("count\n23\n", out("find", "pacs", "--count", "--csv"))
    assert.are.equal("count\r\n23\r\n", out("find", "pacs", "--count", "--csv", "--crlf"))
    assert.are.equal("23\n", out("find", "pacs", "--count", "--csv", "--no-header"))
    assert.are.equal("23\n", out("find", "pacs", "--count", "--jsonl"))
  end)

  it("is refused where an option would change nothing", function()
    for words, message in pairs {
      ["find pacs --count --limit 3"] = "--count and --limit contradict each other",
      ["find pacs --count --sort PatientID"] = "--count and --sort contradict each other",
      ["find pacs --count --columns PatientID"] = "--count and --columns contradict each other",
      ["find pacs --json --csv"] = "'--csv' can not be used together with option '--json'",
      ["commit archive PatientID=1 --wait 5 --no-wait"] = "--wait and --no-wait contradict each other",
    } do
      local result = shell('"$M" ' .. words)
      assert.are.same({ 2, "" }, { result.status, result.out }, words)
      contains(result.err, message)
    end
    for _, verb in ipairs { "find pacs", "echo", "jobs", "queries", "modalities", "check", "configure pacs", "worklist pacs", "job a",
      "transfer items x" } do
      for words, message in pairs { ["--crlf"] = "--crlf is for CSV: it needs --csv", ["--safe-csv --json"] = "--safe-csv is for CSV",
        ["--no-header --json"] = "--no-header is for CSV and tables", ["--no-header --jsonl"] = "--no-header is for CSV and tables" } do
        local result = shell(('"$M" %s %s'):format(verb, words))
        assert.are.same({ 2, "" }, { result.status, result.out }, verb .. words)
        contains(result.err, message)
      end
    end
  end)

  it("has the same header, and a document, when nothing is found", function()
    for words, header in pairs {
      ["move pacs --to archive PatientID=NONE"] = "outcome,StudyDate,PatientID,PatientName,ModalitiesInStudy,StudyDescription,"
        .. "AccessionNumber,StudyInstanceUID,error,kind,code,verified\n",
      ["store archive PatientID=NONE"] = "to,resources,instances\n",
      ["commit archive PatientID=NONE"] = "transaction,state,kept,failed\n",
    } do
      local csv, document = shell(('"$M" %s --csv'):format(words)), shell(('"$M" %s --json'):format(words))
      assert.are.same({ 1, header }, { csv.status, csv.out })
      assert.are.same({ 1, "[]\n" }, { document.status, document.out })
    end
  end)

  it("says how names are compared when a name without '*' has found nothing", function()
    local HINT <const> = "modalua: a name is compared as a whole: PatientName='SMITH*' finds those that begin so\n"
    contains(run("find", "pacs", "PatientName=SMITH", "StudyDate=2020-01-01..").err, HINT)
    for _, filter in ipairs { "PatientName=SMITH*", "PatientID=SMITH", "PatientName=SMITH^JOHN^A^DR" } do
      assert.is_nil(run("find", "pacs", filter).err:find(HINT, 1, true), filter)
    end
    contains(run("transfer", "lung.ledger").err, "unknown command 'lung.ledger'; the commands are run, status, pause, ")
    contains(run("transfer", "rnu").err, "unknown command 'rnu'; did you mean 'run'?\n")
    contains(run("transfer", "means").err, "unknown command 'means'; the commands are run, ")
    contains(run("transfer").err, "a command is required; the commands are run, ")
    assert.matches("^modalua: transfer: unknown option '%-%-command'[^;\n]*\n", run("transfer", "set", "L", "--command").err)
  end)

  it("is there for programs also where people get a line on standard error alone", function()
    local made = assert(client:post("/tools/create-dicom", { Tags = { PatientID = "X", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
    local row = assert(json.decode(out("store", "archive", "PatientID=X", "--dry-run", "--json")))[1]
    assert.are.same({ to = "archive", resources = 1 }, row)
    local job = assert(client:modality "archive":store(made.ID, { Synchronous = false })).ID
    assert(client:job(job):wait())
    assert(client:put("/modalities/gone", { "GONE", "127.0.0.1", 1 }))
    local failed = assert(client:modality "gone":store(made.ID, { Synchronous = false })).ID
    assert.is_nil(client:job(failed):wait())
    assert.are.equal(failed, assert(json.decode(out("job", failed, "resubmit", "--json"))).ID)
    assert.is_nil(client:job(failed):wait())
    assert(client:delete "/modalities/gone")
    assert(client:delete(made.Path))
  end)

  it("begins when the server has forgotten the query, so a reader that leaves leaves none", function()
    for _, reader in ipairs { "head -c 0", "head -n 1", "true" } do
      shell(('"$M" find pacs | %s'):format(reader))
      assert.are.same({}, client:queries(), reader)
    end
    -- the output is larger than the buffer of standard output, so it has begun before all of it is written
    local result = shell [["$M" find pacs --json | { head -c 1; curl -sf "$MODALUA_URL/queries"; cat >/dev/null; }]]
    assert.are.equal("[[]", (result.out:gsub("%s", "")))
  end)

  -- The JSON lines of a verb.
  local function rows_of(...)
    local rows = {}
    for i, line in ipairs(lines_of(run(...).out)) do
      rows[i] = assert(json.decode(line))
    end
    return rows
  end

  it("has booleans, numbers and times for programs, and one style of names", function()
    local _, pacs = table.unpack(rows_of("modalities", "--jsonl"), 1, 3)
    assert.are.same({ "string", "127.0.0.1", "integer", "Generic" }, { type(pacs.aet), pacs.host, math.type(pacs.port), pacs.manufacturer })
    local echo = rows_of("echo", "pacs", "--jsonl")[1]
    assert.are.same({ true, "integer" }, { echo.answers, math.type(echo.milliseconds) })
    local made = assert(client:post("/tools/create-dicom", { Tags = { PatientID = "X", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
    assert(client:put("/modalities/gone", { "GONE", "127.0.0.1", 1 }))
    local failing = assert(client:modality "gone":store(made.ID, { Synchronous = false }))
    local _, err = client:job(failing):wait()
    local names = {}
    for _, words in ipairs { { "modalities" }, { "echo" }, { "jobs" }, { "queries" }, { "check" }, { "store", "archive", made.ID } } do
      for _, row in ipairs(rows_of(table.unpack(words), "--jsonl")) do
        for name in pairs(row) do
          names[name] = true
        end
      end
    end
    local job
    for _, row in ipairs(rows_of("jobs", "--jsonl")) do
      job = row.id == failing.ID and row or job
    end
    assert(client:delete "/modalities/gone")
    assert(client:delete(made.Path))
    for name in pairs(names) do
      assert.matches("^[a-z_]+$", name)
    end
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", job.created)
    assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", job.completed)
    assert.are.same({ "Failure", "GONE", "number", err.message, err.kind, err.code }, { job.state, job.to, type(job.progress), job.error,
      job.kind, job.code })
  end)

  it("of move tells unknown from failed, and names kind and code of errors", function()
    local result = run("move", "pacs", "--to-aet", "NOWHERE", "PatientID=JP-77001", "--json")
    assert.are.equal(1, result.status)
    for _, row in ipairs(assert(json.decode(result.out))) do
      assert.are.equal("failed", row.outcome)
      assert.is_string(row.kind)
      assert.are_not.equal("unknown", row.kind)
      assert.is_string(row.error)
      assert.is_nil(row.verified)
    end
    local moved = assert(json.decode(out("move", "pacs", "--to", "archive", "PatientID=MOD-0012", "--json")))
    assert.are.same({ "moved", true }, { moved[1].outcome, moved[1].verified })
    assert.is_nil(moved[1].kind)
  end)
end)
