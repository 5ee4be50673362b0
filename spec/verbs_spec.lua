-- Tests the verbs of the command, on a terminal and in pipes, with the servers of a playground.
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local letters = require "modalua.letters"
local modalua = require "modalua"
local served = require "spec.support.served"
local versions = require "spec.support.versions"

local contains, eventually = expect.contains, expect.eventually

-- Opens a playground that lasts until close(). Its field `client` is connected to the server that run() and the verbs use.
local function open_playground(binary)
  local environment = os.tmpname()
  local script = command.file(([[
    local names = { "MODALUA_URL", "MODALUA_USERNAME", "MODALUA_PASSWORD" }
    local lines = {}
    for i, name in ipairs(names) do lines[i] = ("export %%s=%%s\n"):format(name, os.getenv(name)) end
    local servers = require "modalua.playground".servers()
    assert(servers["local"]:use_utf8())
    local file = assert(io.open(%q, "w"))
    file:write(table.concat(lines))
    file:close()
    io.read "l"]]):format(environment))
  local pipe = assert(io.popen(("MODALUA_ORTHANC=%s exec %s playground %s"):format(command.quote(binary or ""),
    command.quote(command.path), script), "w"))
  assert(eventually(function() return served.read_file(environment) ~= "" end), "the playground does not start")
  local values = {}
  for name, value in served.read_file(environment):gmatch "export (%S+)=(%S+)" do
    values[name] = value
  end
  local ground = { client = modalua.connect { url = values.MODALUA_URL, username = values.MODALUA_USERNAME,
    password = values.MODALUA_PASSWORD } }
  function ground.shell(line)
    return command.shell((". %s; export TERM=xterm; unset NO_COLOR; %s"):format(environment, line))
  end
  function ground.popen(line)
    return io.popen((". %s; export M=%s; %s"):format(environment, command.quote(command.path), line))
  end
  function ground.run(...)
    return ground.shell('"$M" ' .. command.quote(...))
  end
  -- Runs a shell line on a terminal with this number of columns. `input` is typed. Returns what the terminal shows.
  function ground.terminal(columns, words, input)
    local inner = ("stty -echo cols %d; %s"):format(columns, words)
    local result = ground.shell(("printf %s | script -qec %s /dev/null"):format(command.quote(input or ""), command.quote(inner)))
    result.out = result.out:gsub("\r\n", "\n")
    return result
  end
  function ground.close()
    pipe:close()
    os.remove(environment)
    os.remove(script)
  end
  return ground
end

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  return lines
end

-- Splits lines with tabs into cells.
local function cells_of(text)
  local rows = lines_of(text)
  for i, line in ipairs(rows) do
    local cells = {}
    for cell in (line .. "\t"):gmatch "([^\t]*)\t" do
      cells[#cells + 1] = cell
    end
    rows[i] = cells
  end
  return rows
end

local UID = "2.25.2718281828459045235360287471"

for _, version in ipairs(versions) do
  describe("Verbs, with the Orthanc " .. version.name, function()
    local ground, peer, run, terminal

    setup(function()
      ground = open_playground(version.binary)
      run, terminal = ground.run, ground.terminal
      peer = dicomd.start()
      assert(ground.client:put("/modalities/held", peer:modality "HELD"))
    end)

    teardown(function()
      ground.close()
      peer:close()
    end)

    local function queries()
      return #assert(ground.client:queries())
    end

    describe("echo", function()
      it("asks every modality, and prints a row for each", function()
        local result = run "echo"
        assert.are.same({ 0, "" }, { result.status, result.err })
        local rows = cells_of(result.out)
        assert.are.equal(3, #rows)
        assert.matches("^archive\tARCHIVE\t127%.0%.0%.1:%d+\tyes\t%d+\n", result.out)
        assert.are.same({ "archive", "held", "pacs" }, { rows[1][1], rows[2][1], rows[3][1] })
        assert.are.same({ "HELD", "PACS" }, { rows[2][2], rows[3][2] })
      end)

      it("fails if a modality does not answer, says why, and suggests the right name", function()
        assert(ground.client:put("/modalities/gone", { "GONE", "127.0.0.1", 1 }))
        local result = run("echo", "pacs", "gone", "pasc", "--json", "--timeout", "60")
        assert(ground.client:delete "/modalities/gone")
        assert.are.equal(1, result.status)
        local rows = assert(json.decode(result.out))
        assert.are.same({ "pacs", true, "gone", false, "pasc", false },
          { rows[1].name, rows[1].answers, rows[2].name, rows[2].answers, rows[3].name, rows[3].answers })
        assert.are.same({ "dicom", "unknown_modality" }, { rows[2].kind, rows[3].code })
        assert.is_true(math.type(rows[1].milliseconds) == "integer")
        contains(result.err, "modalua: gone: " .. rows[2].error)
        contains(result.err, "modalua: pasc: the server knows no modality 'pasc'; did you mean 'pacs'?\n")
      end)

      it("uses colour only on a terminal, and not with NO_COLOR or TERM=dumb", function()
        contains(terminal(80, '"$M" echo pacs').out, "\27[32myes")
        contains(terminal(80, '"$M" echo nosuch').out, "\27[31mno ")
        for _, words in ipairs { 'NO_COLOR=1 "$M" echo pacs', 'TERM=dumb "$M" echo pacs' } do
          local out = terminal(80, words).out
          assert.is_nil(out:find "\27%[%d")
          assert.matches("^name  AET   address +answer  milliseconds\npacs  PACS  127.0.0.1:%d+ +yes +%d+\n$", out)
        end
        contains(terminal(80, 'NO_COLOR= "$M" echo pacs').out, "\27[32myes")
        assert.is_nil(run("echo").out:find "\27")
      end)
    end)

    describe("find", function()
      it("prints lines with tabs to a pipe, and the query on standard error", function()
        local before = queries()
        local result = run("find", "pacs", "PatientID=JP-77001", "StudyTime")
        assert.are.equal(0, result.status)
        assert.matches("^pacs → PACS %(127.0.0.1:%d+%)\n2 studies\n$", result.err)
        local rows = cells_of(result.out)
        table.sort(rows, function(a, b) return a[1] < b[1] end)
        assert.are.equal(2, #rows)
        assert.are.same({ "20190520", "JP-77001", "Yamada^Tarou=山田^太郎=やまだ^たろう", "CT", "胸部CT", "J0001", UID .. "110000" },
          { table.unpack(rows[1], 1, 7) })
        assert.are.equal(8, #rows[1])
        assert.are.equal(before, queries())
      end)

      it("prints complete JSON and CSV", function()
        local rows = assert(json.decode(run("find", "pacs", "-L", "patient", "PatientID=MOD-0012", "--json").out))
        assert.are.equal(1, #rows)
        assert.are.equal("O'Brien-Núñez^María José", rows[1].PatientName)
        assert.are.equal("[]\n", run("find", "pacs", "PatientID=NONE", "--json").out)
        assert.are.equal("PatientName,PatientBirthDate,PatientSex,PatientID\nO'Brien-Núñez^María José,20150730,F,MOD-0012\n",
          run("find", "pacs", "--level=Patient", "PatientID=MOD-0012", "--csv").out)
        local out = terminal(20, '"$M" find pacs -L Patient PatientID=MOD-0012 --csv').out
        contains(out, "O'Brien-Núñez^María José,20150730,F,MOD-0012")
      end)

      it("searches at each level", function()
        local series = cells_of(run("find", "pacs", "-L", "Series", "StudyInstanceUID=" .. UID .. "130000").out)
        table.sort(series, function(a, b) return a[2] < b[2] end)
        assert.are.same({ "US", "1", "肝臓", UID .. "130000", UID .. "130100" }, series[1])
        local instances = cells_of(run("find", "pacs", "-L", "Instance", "StudyInstanceUID=" .. UID .. "130000",
          "SeriesInstanceUID=" .. UID .. "130100").out)
        assert.are.equal(3, #instances)
        assert.are.same({ UID .. "130000", UID .. "130100" }, { instances[1][2], instances[1][3] })
      end)

      it("accepts tags by number, and shows the answers under their names", function()
        local result = run("find", "pacs", "0010,0020=MOD-0012", "0008,0090", "--csv")
        assert.are.equal(0, result.status, result.err)
        assert.matches("^StudyDate,PatientID,PatientName,[^\n]*,StudyInstanceUID", result.out)
        assert.matches("\n20230811,MOD%-0012,", result.out)
      end)

      it("aligns characters of any writing system", function()
        local out = terminal(100, 'NO_COLOR=1 "$M" find pacs -L Patient').out
        local head = assert(out:match "\n(PatientName +)PatientBirthDate")
        local names = 0
        for line in out:gmatch "[^\n]+" do
          local name = line:match "^(.-)%d%d%d%d%d%d%d%d  "
          if name then
            names = names + 1
            assert.are.equal(#head, letters.width(name), line)
          end
        end
        assert.are.equal(10, names)
        contains(out, "Yamada^Tarou=山田^太郎=やまだ^たろう")
        contains(out, "Иванов^Иван^Иванович")
      end)

      it("fits a terminal of 60 columns, and keeps the requested tags", function()
        local out = terminal(60, 'NO_COLOR=1 "$M" find pacs PatientID=JP-77001 PatientBirthDate').out
        local head, row = out:match "\n(StudyD[^\n]*)\n([^\n]*)\n"
        assert.is_true(letters.width(head) <= 60 and letters.width(row) <= 60, out)
        contains(row, "19481009")
        assert.matches("…$", head)
        assert.is_nil(head:find("StudyInst", 1, true))
        assert.matches("Yamada^[^\n]*…", row)
      end)

      it("escapes control characters in names", function()
        local id = "ESC-1"
        local made = assert(ground.client:post("/tools/create-dicom", { Tags = { PatientID = id, PatientName = "Evil^\27[2JX" } }))
        assert(ground.client:put("/modalities/self", { "MODALUA", "127.0.0.1", assert(ground.client:system()).DicomPort }))
        local result = terminal(200, 'NO_COLOR=1 "$M" find self PatientID=' .. id)
        assert(ground.client:delete "/modalities/self")
        assert(ground.client:delete(made.Path))
        contains(result.out, "Evil^\\x1B[2JX")
        assert.is_nil(result.out:find("\27[2J", 1, true))
      end)

      it("reports on standard error which tags it left out and whether characters may be missing", function()
        local result = run("find", "pacs", "PatientID=MOD-0012", "0009,1001")
        contains(result.err, "modalua: left out, since studies do not have these tags: 0009,1001\n")
        assert(ground.client:put("/tools/default-encoding", "Latin1"))
        result = run("find", "pacs", "PatientID=JP*")
        local plain, umlaut = run("find", "pacs", "PatientID=JP*", "--columns", "PatientID"), run("find", "pacs", "PatientID=MOD-0012")
        local ascii, kept = run("find", "pacs", "PatientID=MOD-0002"), run("find", "pacs", "PatientID=JP*", "--utf8")
        local encoding = assert(ground.client:default_encoding())
        assert(ground.client:put("/tools/default-encoding", "Utf8"))
        assert.matches("\nmodalua: names may lack characters that Latin1, the server's encoding, does not have %(it shows in [^\n]*%): "
          .. "%-%-utf8 keeps them\n3 studies\n$", result.err)
        assert.are.equal(3, #lines_of(result.out))
        contains(umlaut.err, "does not have: --utf8 keeps them")
        for _, silent in ipairs { ascii, kept } do
          assert.is_nil(silent.err:find("characters", 1, true), silent.err)
        end
        contains(plain.err, "may lack characters")
        contains(kept.out, "山田^太郎")
        assert.are.equal("Latin1", encoding) -- as before the search
      end)

      it("puts the server's encoding back when a search with --utf8 is interrupted", function()
        assert(ground.client:put("/modalities/mute", peer:modality "MUTE"))
        assert(ground.client:put("/tools/default-encoding", "Latin1"))
        for _, words in ipairs { "find mute PatientID=1", "worklist mute" } do
          local result = ground.shell(([["$M" %s --utf8 & p=$!
            until [ "$("$M" api GET /tools/default-encoding)" = Utf8 ]; do sleep 0.02; done; kill -TERM $p; wait $p]]):format(words))
          assert.are.equal(130, result.status, result.err)
          assert.are.equal("Latin1", assert(ground.client:default_encoding()))
        end
        assert(ground.client:put("/tools/default-encoding", "Utf8"))
        assert(ground.client:delete "/modalities/mute")
      end)

      it("searches again when another run with --utf8 has put the encoding back meanwhile", function()
        local gated <close> = dicomd.start()
        assert(ground.client:put("/modalities/gated", gated:modality "HELDF3"))
        assert(ground.client:put("/tools/default-encoding", "Latin1"))
        local before = queries()
        local output = os.tmpname()
        local pipe = assert(ground.popen(('"$M" find gated --utf8 --json 2>&1 >%s'):format(output)))
        for n = 1, 2 do -- during the second search it stays
          assert(eventually(function() return gated:count "C-FIND" == n end))
          assert.are.equal("Utf8", assert(ground.client:default_encoding()))
          assert(n == 2 or ground.client:put("/tools/default-encoding", "Latin1"))
          gated:let(1)
        end
        local err = pipe:read "a"
        assert.is_true(pipe:close(), err)
        assert.are.equal(3, #assert(json.decode(served.read_file(output))))
        assert.is_nil(err:find("another program", 1, true), err)
        assert.are.equal(2, gated:count "C-FIND")
        assert.are.equal("Latin1", assert(ground.client:default_encoding()))
        assert.are.equal(before, queries())
        os.remove(output)
        assert(ground.client:put("/tools/default-encoding", "Utf8"))
        assert(ground.client:delete "/modalities/gated")
      end)

      it("suggests the right word for a misspelt modality, level, tag or option", function()
        for _, case in ipairs {
          { 1, "the server knows no modality 'pasc'; did you mean 'pacs'?", "pasc" },
          { 1, "the server knows no modality 'whatever'; it knows archive, held, pacs", "whatever" },
          { 1, "Did you mean PatientName?", "pacs", "PatientNam=X*" },
          { 2, "PatientNam is no DICOM keyword; did you mean PatientName?", "pacs", "PatientNam" },
          { 2, "BodyPartExamind is no DICOM keyword; did you mean BodyPartExamined?", "pacs", "--columns", "BodyPartExamind" },
          { 2, "StudyDat is no DICOM keyword; did you mean StudyDate?", "pacs", "--sort=-StudyDat" },
          { 2, "'MOD-0002' is no tag; did you mean PatientID=MOD-0002?\n", "pacs", "PatientID", "MOD-0002" },
          { 2, "'4711' is no tag, and not Tag=Value\n", "pacs", "4711" },
          { 1, "Use ModalitiesInStudy.", "pacs", "Modality=CT" },
          { 2, "there is no level 'stduy'; did you mean Study?", "pacs", "-L", "stduy" },
          { 2, "there is no level 'x'; the levels are Patient, Study, Series, Instance", "pacs", "-L", "x" },
          { 2, "unknown option '--jsno'; did you mean '--json'?", "pacs", "--jsno" },
          { 2, "option '--csv' can not be used together with option '--json'", "pacs", "--json", "--csv" },
          { 2, "PatientID is given twice", "pacs", "PatientID=1", "PatientID=2" },
          { 2, "PatientID is given twice", "pacs", "PatientID=1", "0010,0020" },
          { 2, "PatientID is given twice", "pacs", "--columns", "PatientID,StudyDate,0010,0020" },
          { 2, "a whole number, 1 or more, is expected, not '-1'", "pacs", "--limit", "-1" },
          { 2, "option '--limit' requires an argument", "pacs", "--limit", "-L", "Study" },
          { 2, "'=x' is not Tag=Value", "pacs", "=x" },
          { 2, "'PatientName=M\\xFCller' is not UTF-8: check the encoding", "pacs", "PatientName=M\xFCller" },
          { 2, "missing argument 'NAME'" },
        } do
          local result = run("find", table.unpack(case, 3))
          assert.are.same({ case[1], "" }, { result.status, result.out }, result.err)
          contains(result.err, case[2])
          assert.is_nil(result.err:find "traceback")
        end
      end)
    end)

    describe("move", function()
      local function archived()
        return #cells_of(run("find", "archive").out)
      end

      it("prints with --dry-run what it would move, and moves nothing", function()
        local result = run("move", "pacs", "--to", "archive", "PatientID=MOD*", "--dry-run")
        assert.are.equal(0, result.status)
        assert.matches("^pacs → PACS %(127.0.0.1:%d+%), to archive → ARCHIVE %(127.0.0.1:%d+%)\nwould move %d+ studies of 4 patients\n$",
          result.err)
        assert.are.equal(result.err:match "move (%d+)", tostring(#lines_of(result.out)))
        assert.are.equal(0, archived())
      end)

      it("prints a line for each study", function()
        local before = queries()
        local result = run("move", "pacs", "--to", "archive", "PatientID=JP-77001", "--verify")
        assert.are.equal(0, result.status, result.err)
        assert.matches("2 of 2 studies moved from pacs to archive\n$", result.err)
        for _, row in ipairs(cells_of(result.out)) do
          assert.are.same({ "moved", "JP-77001" }, { row[1], row[3] })
        end
        assert.are.equal(2, archived())
        assert.are.equal(before, queries())
      end)

      it("accepts an AE title that the server knows, and names its modality", function()
        local result = run("move", "pacs", "--to", "ARCHIVE", "PatientID=JP-77002", "--csv")
        assert.are.equal(0, result.status, result.err)
        contains(result.err, ", to the AE title ARCHIVE (archive)\n")
        assert.matches("^outcome,StudyDate,.*,error,kind,code,verified\nmoved,20240410,[^\n]*,,,,true\n$", result.out)
        result = run("move", "pacs", "--to", "MODALUA", "PatientID=JP-77002", "--json")
        contains(result.err, ", to the AE title MODALUA (the server itself)\n")
        assert.are.equal("moved", assert(json.decode(result.out))[1].outcome)
      end)

      it("does not take a misspelt name for an AE title, except with --to-aet", function()
        local result = run("move", "pacs", "--to", "archvie", "PatientID=JP-77002")
        assert.are.same({ 1, "" }, { result.status, result.out })
        contains(result.err, "the server knows no modality 'archvie'; did you mean 'archive'? (--to-aet takes an AE title "
          .. "unknown here)\n")
        result = run("move", "pacs", "--to-aet", "NOWHERE", "PatientID=JP-77001", "--json")
        assert.are.equal(1, result.status)
        contains(result.err, "0 of 2 studies moved from pacs to NOWHERE\n")
        local rows = assert(json.decode(result.out))
        assert.are.same({ "failed", "failed" }, { rows[1].outcome, rows[2].outcome })
        assert.are.same({ "dicom", "dicom" }, { rows[1].kind, rows[2].kind })
        contains(result.err, ("modalua: %s: %s\n"):format(rows[1].StudyInstanceUID, rows[1].error))
      end)

      it("moves nothing if the request is unclear", function()
        local before = archived()
        for _, case in ipairs {
          { 1, "this query has no filter", "--to", "archive" },
          { 1, "this query has no filter", "--to", "archive", "PatientID=*" },
          { 1, "this query has no filter", "--to", "archive", "PatientID" },
          { 2, "PatientID= has no value and would match everything", "--to", "archive", "PatientID=", "--all" },
          { 1, "nothing was found, so nothing was moved", "--to", "archive", "PatientID=NONE" },
          { 1, "and --max is 2: nothing was moved (use --max N or --yes)", "--to", "archive", "PatientID=MOD*", "--max", "2" },
          { 2, "either --to or --to-aet is needed", "PatientID=MOD*" },
          { 2, "either --to or --to-aet is needed", "--to", "archive", "--to-aet", "ARCHIVE", "PatientID=MOD*" },
          { 2, "a whole number, 1 or more, is expected, not '0'", "--to", "archive", "--max", "0", "PatientID=MOD*" },
        } do
          local result = run("move", "pacs", table.unpack(case, 3))
          assert.are.same({ case[1], "" }, { result.status, result.out }, result.err)
          contains(result.err, case[2])
        end
        assert.are.equal(before, archived())
      end)

      it("moves no patients if their identifiers may lack characters", function()
        assert(ground.client:put("/tools/default-encoding", "Latin1"))
        local result = run("move", "pacs", "--to", "archive", "-L", "Patient", "PatientID=JP*")
        assert(ground.client:put("/tools/default-encoding", "Utf8"))
        assert.are.same({ 1, "" }, { result.status, result.out })
        contains(result.err, "find and move the studies")
      end)

      it("does not believe a modality that reports success, except with --no-verify", function()
        assert(ground.client:put("/modalities/liar", peer:modality "OK3"))
        local words = { "move", "liar", "--to", "archive", "PatientID=FP*" }
        local looked = run(table.unpack(words))
        words[#words + 1] = "--verify"
        local verified = run(table.unpack(words))
        words[#words] = "--no-verify"
        local believed = run(table.unpack(words))
        assert(ground.client:delete "/modalities/liar")
        for _, result in ipairs { looked, verified } do
          assert.are.equal(1, result.status, result.out)
          assert.matches("^FAILED\t", result.out)
        end
        assert.are.equal(0, believed.status, believed.err)
        contains(believed.err, "3 of 3 studies moved from liar to archive (unverified: --no-verify)\n")
      end)

      it("says that a move is unverified, or unknown", function()
        local result = run("move", "held", "--to-aet", "ANY", "PatientID=FP1", "--json", "--no-verify", "--verify")
        assert.are.equal(2, result.status)
        assert(ground.client:put("/modalities/open", peer:modality "OK3"))
        result = run("move", "open", "--to-aet", "ANY", "PatientID=FP*", "--json")
        assert.are.equal(0, result.status, result.err)
        contains(result.err, "3 of 3 studies moved from open to ANY (unverified: this server knows no modality with the AE title ANY)\n")
        local first = assert(json.decode(result.out))[1]
        assert.are.same({ "moved", false }, { first.outcome, first.verified })
        result = run("move", "open", "--to-aet", "ANY", "PatientID=FP*", "--csv", "--verify")
        assert(ground.client:delete "/modalities/open")
        assert.are.equal(1, result.status)
        contains(result.err, "0 of 3 studies moved from open to ANY, 3 unknown\n")
        assert.matches("\nunknown,[^\n]*,unknown,[^\n]*,\n", result.out)
      end)

      it("moves everything with --all", function()
        local result = run("move", "pacs", "--to", "archive", "--all", "-L", "Patient")
        assert.are.equal(0, result.status, result.err)
        contains(result.err, "12 of 12 patients moved from pacs to archive\n")
        assert.are.equal(23, archived())
      end)

      it("asks above --max on a terminal", function()
        local words = 'NO_COLOR=1 "$M" move pacs --to archive PatientName="SMITH*" --max 1'
        local no = terminal(80, words, "n\n")
        assert.are.equal(1, no.status)
        assert.matches("would move 3 studies of 2 patients; %-%-max is 1\nMove them%? %[y/N%] modalua: nothing was moved\n$", no.out)
        assert.are.equal(1, terminal(80, words, "\n").status)
        local yes = terminal(80, words, "y\n")
        assert.are.equal(0, yes.status, yes.out)
        contains(yes.out, "\27[Kmove  [")
        contains(yes.out, "3 of 3 studies moved from pacs to archive\n")
        local _, moved = yes.out:gsub("\nmoved  ", "")
        assert.are.equal(3, moved, yes.out)
        local asked_nobody = run("move", "pacs", "--to", "archive", "PatientName=SMITH*", "--max", "1", "--yes")
        assert.are.equal(0, asked_nobody.status, asked_nobody.err)
      end)

      -- Runs a shell line on a terminal, and interrupts it when it shows this text.
      local function interrupted(words, shown)
        local log = os.tmpname()
        local result = ground.shell(([[
          { until grep -qF %s %s; do sleep 0.02; done; printf '\003'; sleep 300 & echo $! >%s.pid; wait; } |
            { script -qefc %s %s; s=$?; kill $(cat %s.pid); rm %s.pid; exit $s; }]]):format(command.quote(shown), log, log,
          command.quote(words), log, log, log))
        local text = served.read_file(log)
        os.remove(log)
        return result, text
      end

      it("ends with Ctrl-C at the question", function()
        local before = archived()
        local result, text = interrupted('"$M" move pacs --to archive PatientName="SMITH*" --max 1', "[y/N]")
        assert.are.equal(130, result.status, text)
        assert.are.equal(before, archived())
      end)

      it("ends with Ctrl-C during the move, and reports how far it came", function()
        peer:let(1) -- the peer holds the second study
        local result, text = interrupted('"$M" move held --to-aet ANY PatientID="FP*" --yes', "1 of 3 resources")
        assert.are.equal(130, result.status, text)
        assert.matches("0 of 3 studies moved from held to ANY, 1 unknown, 2 not tried or not finished", text)
        assert.matches("\27%[31mUNKNOWN", text)
        assert.are.equal(2, select(2, text:gsub("\27%[31mNOT FINISHED", "")))
      end)
    end)

    it("modalities lists the modalities that the server knows", function()
      local result = run "modalities"
      assert.are.same({ 0, "" }, { result.status, result.err })
      local row = "%s\t%s\t127.0.0.1:%%d+\tGeneric\n"
      assert.matches("^" .. row:format("archive", "ARCHIVE") .. row:format("held", "HELD") .. row:format("pacs", "PACS") .. "$",
        result.out)
      assert.are.equal("held", assert(json.decode(run("modalities", "--json").out))[2].name)
    end)

    it("jobs lists the jobs of the server, the newest first", function()
      assert.are.equal(0, run("move", "pacs", "--to", "MODALUA", "PatientID=JP-77002").status)
      local here = assert(ground.client:get "/studies")
      local first = assert(ground.client:modality "archive":store(here[1], { Synchronous = false }))
      assert(ground.client:job(first):wait())
      local job = assert(ground.client:modality "archive":store(here[1], { Synchronous = false }))
      assert(ground.client:job(job):wait())
      local rows = cells_of(run("jobs").out)
      assert.are.same({ job.ID, "DicomModalityStore", "Success", "100" }, { table.unpack(rows[1], 1, 4) })
      assert.are.equal(first.ID, rows[2][1])
      assert.matches("^%d+ s$", rows[1][5])
      assert.are.equal("→ ARCHIVE", rows[1][6])
      contains(terminal(80, '"$M" jobs').out, job.ID)
    end)

    it("queries lists the queries that the server keeps", function()
      local found <close> = assert(ground.client:modality "pacs":find { Level = "Study", Query = { PatientID = "JP-77001" } })
      contains(run("queries").out, ("%s\tpacs\tStudy\t2\n"):format(found.ID))
    end)

    it("reports a server that cannot be reached in one line", function()
      for _, verb in ipairs { "echo", "modalities", "jobs", "queries" } do
        local result = run(verb, "--url", "http://127.0.0.1:1")
        assert.are.same({ 1, "" }, { result.status, result.out })
        assert.matches("^modalua: [^\n]*no connection[^\n]*\n$", result.err)
      end
    end)
  end)
end

describe("Verbs", function()
  it("show help with examples, and accept each of these examples", function()
    local asks_no_server = { completion = true, manual = true, help = true, version = true }
    for verb in command.shell "ls lua/modalua/command/verbs".out:gmatch "([%w_]+)%.lua" do
      local result = command.run(verb, "--help")
      assert.are.same({ 0, "" }, { result.status, result.err })
      contains(result.out, "Usage: modalua " .. verb)
      contains(result.out, "Examples:\n  modalua " .. verb)
      assert.are.equal(result.out, command.run(verb, "-h").out)
      contains(command.run("--help").out, "\n  " .. verb .. " ")
      for example in (verb == "transfer" and "" or result.out):gmatch "\n  (modalua [^\n|>]+)" do -- those of transfer are of its commands
        local words = example:gsub("^modalua", '"$M" -u http://127.0.0.1:1 --time-limit 20'):gsub("%-%-profile %S+", "")
        local tried = command.shell(words .. " >/dev/null") -- without a server, all others fail
        assert.are.equal(asks_no_server[verb] and 0 or 1, tried.status, example .. tried.err)
      end
    end
  end)

  it("accept the options of the command after their own words; a script gets such options as arguments", function()
    local result = command.run("find", "pacs", "--url", "http://someone:secret@127.0.0.1:1", "--verbose")
    assert.are.equal(1, result.status)
    contains(result.err, "http://127.0.0.1:1: no connection")
    assert.is_nil(result.err:find "secret")
    contains(command.run("find", "pacs", "--profile=nosuch").err, "/nowhere/modalua/config.lua")
    for _, words in ipairs { { "find", "pacs", "--url" }, { "find", "pacs", "--time-limit", "x" }, { "find", "pacs", "-u" },
      { "find", "pacs", "--url", "http://a", "--profile", "b" }, { "playground", "find", "pacs", "-u", "http://a" } } do
      assert.are.equal(2, command.run(table.unpack(words)).status, table.concat(words, " "))
    end
    local script = command.file "print(...)"
    assert.are.equal("--url\tx\n", command.run(script, "--url", "x").out)
    os.remove(script)
  end)

  it("win over files with the same name", function()
    local result = command.shell([[d=$(mktemp -d); cd "$d"; echo 'print "file"' >find
      "$M" ./find; "$M" find --help; s=$?; cd /; rm -r "$d"; exit $s]])
    assert.matches("^file\nUsage: modalua find ", result.out)
  end)

  it("are suggested for a word that is neither a verb nor a file", function()
    for word, verb in pairs { fnid = "find", mvoe = "move", queris = "queries", modalites = "modalities" } do
      local result = command.run(word, "pacs")
      assert.are.same({ 2, "" }, { result.status, result.out })
      assert.are.equal(("modalua: cannot open %s: No such file or directory\nmodalua: did you mean %s?\n"):format(word, verb), result.err)
    end
    assert.matches("^modalua: cannot open xyzzy: No such file or directory\n"
      .. "modalua: xyzzy is no verb either; the verbs are [%a, -]*%f[%a]find, [%a, -]*%a\n$", command.run("xyzzy").err)
    for _, word in ipairs { "XYZZY", "no-such_2" } do
      contains(command.run(word).err, word .. " is no verb either; the verbs are ")
    end
    for _, word in ipairs { "chests.lua", "x", "./fnid", "F\"nid" } do
      local result = command.run(word)
      assert.are.equal(1, result.status)
      assert.is_nil(result.err:find "did you mean")
    end
  end)

  it("run with the servers of a playground", function()
    local result = command.run("playground", "echo", "pacs")
    assert.are.equal(0, result.status, result.err)
    assert.matches("^pacs\tPACS\t", result.out)
    assert.are.equal(1, command.run("playground", "find", "pasc").status)
  end)

  it("are in the manual page, with the options of the command and the functions", function()
    local result = command.run "manual"
    assert.are.same({ 0, "" }, { result.status, result.err })
    local page = result.out:gsub("\\%-", "-"):gsub("\\f.", "")
    for option in command.run("--help").out:gmatch "\n  (%-%-?%a[%w-]*)" do
      contains(page, "\n" .. option)
    end
    for verb in command.shell "ls lua/modalua/command/verbs".out:gmatch "([%w_]+)%.lua" do
      contains(page, ("\n.SS %s\n"):format(verb)) -- spec/completion_spec.lua compares the options
    end
    contains(page, "\nmodality:move_resources(level, resources")
    local lint = command.shell([["$M" manual | groff -K utf8 -man -Tutf8 -ww -z]])
    assert.are.same({ "", "" }, { lint.out, lint.err })
  end)
end)
