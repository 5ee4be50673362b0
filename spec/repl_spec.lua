-- Tests the prompt: the evaluation of lines without a terminal, and the command on a terminal.
local command = require "spec.support.command"
local completion = require "modalua.completion"
local doc = require "modalua.doc"
local dicomd = require "spec.support.dicomd"
local evaluate = require "modalua.evaluate"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local help = require "modalua.help"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local printing = require "modalua.printing"
local sample_ledger = require "spec.support.sample_ledger"
local samples = require "modalua.samples"
local terminal = require "spec.support.terminal"
local versions = require "spec.support.versions"
local native = require "spec.support.part" "core.native"

local contains, eventually = expect.contains, expect.eventually

local function lacks(text, part)
  assert.is_nil(text:find(part, 1, true), ("%q is in %q"):format(part, text))
end

describe("A session", function()
  local BOUND = { "modalua", "orthanc", "pp", "help", "_", "_1", "_2", "_err", "x", "f", "g" }
  local kept = {}

  setup(function()
    for _, name in ipairs(BOUND) do
      kept[name] = rawget(_G, name)
      rawset(_G, name, nil)
    end
    evaluate.begin()
  end)

  teardown(function()
    for _, name in ipairs(BOUND) do
      rawset(_G, name, kept[name])
    end
  end)

  -- The globals of the Lua half, which a script cannot change.
  local function own_globals()
    for i = 1, math.huge do
      local name, value = debug.getupvalue(evaluate.show, i)
      if name == "_ENV" then
        return value
      end
      assert(name, "evaluate.show uses no global")
    end
  end

  -- Evaluates a line. Returns its answer, and the text that it shows.
  local function line(text, width)
    local shown, before, own = {}, print, own_globals()
    local answer = evaluate.line(text)
    own.print = function(...) shown[#shown + 1] = table.concat({ ... }, "\t") end
    local ok, err = pcall(evaluate.show, { width = width or 80 })
    own.print = before
    assert(ok, err)
    return answer, table.concat(shown, "\n")
  end

  local function shows(expected, text, width)
    local answer, shown = line(text, width)
    assert.is_nil(answer, type(answer) == "table" and answer.error)
    assert.are.equal(expected, shown)
  end

  local function fails(text)
    local answer, shown = line(text)
    assert.are.equal("", shown)
    return assert(type(answer) == "table" and answer.error, "it does not fail: " .. text)
  end

  it("prints expressions, runs statements, and keeps results", function()
    shows("2", "1 + 1")
    shows("2", "_")
    shows('nil\t"x"', "nil, 'x'")
    shows("nil", "Out[3]")
    shows("2", "_1")
    shows('"1 + 1"', "In[1]")
    shows("", "x = 20")
    shows("20", "=x")
    shows("", "x;")
    shows("", "-- nothing")
  end)

  it("accepts several lines, as long as an expression or a statement is incomplete", function()
    for _, text in ipairs { "for i = 1, 2 do", "{1,", "x = [[", "f(", "function f()" } do
      assert.are.equal("more", (line(text)))
    end
    shows("{ 1, 2 }", "{1,\n2}")
    contains(fails "x = 'abc", "unfinished string")
  end)

  it("shows the message first, then the place, and keeps the error", function()
    assert.are.equal("stdin:1: boom", fails "error 'boom'")
    line "function f() error 'deep' end function g() local x = f() return x end"
    assert.are.equal("stdin:1: deep", fails "x = g()")
    contains(select(2, line ".trace"), "stdin:1: deep\nstack traceback:\n\t[C]: in function 'error'\n\tstdin:1: in function 'f'\n"
      .. "\tstdin:1: in function 'g'")
    assert.are.equal("{ 1 }", fails "error {1}")
    shows("{ 1 }", "_err")
  end)

  it("suggests nothing for a field that exists and is nil", function()
    rawset(_G, "f", native.found { client = modalua.connect "http://x", id = "0-0", modality = "x", level = "Study", answers = {},
      notes = {} })
    shows("nil", "f.warning")
    rawset(_G, "x", native.with_notes({ 1 }, {}))
    shows("nil\tnil\tnil", "x.warning, x.file, x[2]")
  end)

  it("suggests a name for a misspelt variable, field or method", function()
    contains(fails "pritn(1)", "hint: did you mean print?")
    contains(fails "orhtanc:system()", "hint: did you mean orthanc?")
    contains(fails "modalua.conect()", "hint: did you mean connect?")
    contains(fails "string.fromat('x')", "hint: did you mean format?")
    contains(fails "orthanc:modalites()", "a client has no 'modalites'; did you mean 'modalities'?")
    rawset(_G, "x", native.with_notes({ 1 }, {}))
    shows("nil\tnil", "x.add, x.old") -- `odd` is a field
    contains(fails "x.warnign", "a list of answers has no 'warnign'; did you mean 'warning'?")
    contains(fails "orthanc:modality 'x':fnid {}", "a modality has no 'fnid'; did you mean 'find'?")
    shows("nil\nthere is no orhtanc; did you mean orthanc?", "orhtanc")
    shows("nil\nthere is no modalua.vresion; did you mean modalua.version?", "modalua.vresion")
    shows("nil", "nosuchvariable")
    lacks(fails "nosuchvariable()", "hint")
  end)

  describe("with an operation that fails", function()
    local REFUSED = [[orthanc:modality "pacs":find { Level = "Study", Query = { Modality = "CT" } }]]
    local WHY = "Modality is not a Study.level attribute"
    local WIDE <const> = 1000

    setup(function() completion.remember(rawget(_G, "orthanc"), {}) end) -- else each line asks for the names
    teardown(completion.forget)

    it("says why an assignment took nil, in one line", function()
      for _, text in ipairs { "f = " .. REFUSED, "f = " .. REFUSED .. ";", "x, f = 1, " .. REFUSED,
        "if true then f = " .. REFUSED .. " end",
        "x = 1 f = " .. REFUSED, "x = 1; f = " .. REFUSED .. " -- why?", "local f = " .. REFUSED,
        "x = {} f = " .. REFUSED .. " x = 2",
        "function g()\n  return 1\nend\nf = " .. REFUSED:gsub(", ", ",\n") .. "\nx = [[\nf = 1\n]]" } do
        local answer, shown = line(text, WIDE)
        assert.is_nil(answer, text)
        assert.matches("^f is nil: find [^\n]*" .. WHY .. "[^\n]*$", shown, text)
      end
      local _, shown = line(REFUSED .. ";", WIDE)
      assert.matches("^find [^\n]*" .. WHY .. "[^\n]*$", shown)
      _, shown = line("x = 1\n" .. REFUSED .. "\nx = 2", WIDE)
      assert.matches("^find [^\n]*" .. WHY .. "[^\n]*%(stdin:2%)$", shown)
    end)

    it("keeps the error that the assignment dropped", function()
      line "_err = nil"
      line("f = " .. REFUSED)
      shows('"refused"', "_err.kind")
    end)

    it("counts what is repeated", function()
      local _, shown = line("for i = 1, 3 do f = " .. REFUSED .. " end", WIDE)
      assert.matches("^f is nil: [^\n]*" .. WHY .. "[^\n]* %(3 times%)$", shown)
    end)

    it("says nothing when the input takes the error, or does without the value", function()
      for _, text in ipairs { "f, x = " .. REFUSED, "f, x = " .. REFUSED .. ";", "f = " .. REFUSED .. " or 1",
        "x = [[\nf = " .. REFUSED .. "\n]]", "-- f = " .. REFUSED, "f = function() return " .. REFUSED .. " end",
        "x = { f = 1 }", "x = (1)" } do
        shows("", text)
      end
      contains(select(2, line(REFUSED)), "nil  find")
    end)

    it("does not change what a statement does", function()
      shows("", "f = function(...) return ... end x, f = f(1, 2), f(3, 4)")
      shows("1\t3", "x, f")
      assert.matches("^stdin:3: boom", fails "x = 1\nf = tostring(\n  error 'boom')\n")
    end)
  end)

  it("wraps errors at words, as results and behind nil", function()
    for _, text in ipairs { "x", "nil, x" } do
      line "_, x = orthanc:modality 'pacs':find { Level = 'Study', Query = { Modality = 'CT' } }"
      local _, shown = line(text, 60)
      contains(shown, "Modality")
      for row in shown:gmatch "[^\n]+" do
        assert.is_true(#row <= 60, row)
      end
      assert.are.equal(tostring(rawget(_G, "x")), (shown:gsub("^nil  ", ""):gsub("\n *", " ")))
    end
  end)

  it("gives hints for common mistakes of users of other languages", function()
    shows("the local variable x exists in this line only; without 'local' it stays", "local x = 5")
    shows("5", "local x = 5 return x")
    contains(fails "a != b", "~=")
    shows("nil\nthere is no True; there is true", "True")
    shows("nil\nthere is no history; there is the command .history", "history")
    contains(fails "pacs:echo\npacs:find()", "pacs:echo()")
    rawset(_G, "f", native.found { client = modalua.connect "http://x", id = "0-0", modality = "x", level = "Study", answers = {},
      notes = {} })
    contains(fails "for x in f do end", "hint: the answers are a list: for _, answer in ipairs(found) do")
    contains(fails "x += 1", "x = x + 1")
    contains(fails "orthanc.modality 'x'", "colon")
    contains(fails "\\d", "begin with a dot")
    contains(fails "%timeit 1", "begin with a dot")
    contains(fails "!ls", ".shell ls")
    completion.remember(orthanc, { "ward7" })
    contains(fails "ward7:echo()", 'ward7 = orthanc:modality "ward7"')
    completion.forget()
  end)

  it("has commands", function()
    local _, text = line ".help"
    contains(text, ".mode")
    assert.are.equal("quit", (line ".quit"))
    for _, input in ipairs { "exit", "quit", "exit()", "quit ( ) ;" } do
      assert.are.equal("quit", (line(input)))
    end
    for _, input in ipairs { "exit(", "exit)" } do
      assert.are_not.equal("quit", (line(input)))
    end
    assert.are.equal("history", (line ".history"))
    assert.are.equal("quit", (line ".exit"))
    contains(select(2, line ".help exit"), ".quit")
    contains(fails ".nosuch", ".help")
    assert.are.equal("there is no command '.hlep'; did you mean .help?", fails ".hlep")
    contains(fails ".once |", "use .once FILE or .once | COMMAND")
    contains(fails ".output |", "use .output FILE")
    shows("off", ".time")
    shows("", ".shell true")
    shows("its exit status is 3", ".shell exit 3")
    contains(fails ".shell", "use .shell COMMAND")
    for _, question in ipairs { ".help mode", "?.mode", ".mode?" } do
      shows(".mode [table | lines | csv | json | lua]\nhow results are shown (at first: answers as a table)", question)
    end
    contains(fails "?.hlep", "did you mean .help?")
    contains(fails ".mode xml", "table, lines, csv, json, lua")
    line ".time on"
    assert.matches("^3\n%d+%.%d+ s$", select(2, line "3"))
    line ".time off"
  end)

  it("shows results as Lua, as JSON and as a table", function()
    local rows = "{ {PatientName = '山田^太郎', Size = 1.5}, {PatientName = 'A', Size = 2} }"
    shows("PatientName  Size\n山田^太郎    1.5\nA            2\n2 rows", rows)
    line ".mode json"
    shows('[{"PatientName":"山田^太郎","Size":1.5},{"PatientName":"A","Size":2}]', rows)
    assert.matches("^function: ", select(2, line "print"))
    line ".mode lua"
    shows('{ { PatientName = "山田^太郎", Size = 1.5 }, { PatientName = "A", Size = 2 } }', rows)
    line ".mode table"
    shows("{ 1, { a = 2 } }", "{1, {a = 2}}")
  end)

  it("shows the warning of a search in each mode, but not in a file", function()
    rawset(_G, "f", native.found { client = modalua.connect "http://x", id = "?", modality = "x", level = "Study",
      answers = { { PatientID = "1" } }, notes = { odd = "one answer is odd" } })
    local warning = rawget(_G, "f").warning
    for _, mode in ipairs { "csv", "lines", "json", "lua", "table" } do
      line(".mode " .. mode)
      contains(select(2, line "f"), "\n" .. warning)
      evaluate.line "f"
      local own, shown, before = own_globals(), {}, print
      own.print = function(part) shown[#shown + 1] = part end
      local told = evaluate.show { raw = true }
      own.print = before
      assert.are.equal(mode ~= "table" and warning or nil, told)
      assert.are.equal(mode == "table", table.concat(shown):find(warning, 1, true) ~= nil)
    end
  end)

  it("names a variable only for the value that it has", function()
    line "x = { RemoteAet = 'PACS', Query = {}, verified = false }"
    shows("PACS sent nothing; not verified (pp(_) shows the details)", "x")
    shows("1\tPACS sent nothing; not verified (.mode lua shows the details)", "1, x")
    for _, input in ipairs { { text = "x" }, { text = "return x", name = "x.lua" } } do -- of .watch, and of .load
      shows("PACS sent nothing; not verified (.mode lua shows the details)", input)
    end
    line "pp = print"
    shows("PACS sent nothing; not verified (.mode lua shows the details)", "x")
    line "pp = nil"
    evaluate.begin()
  end)

  it("says what a function is, and how an iterator is used", function()
    shows("an iterator over changes: for change in _ do pp(change) end", "orthanc:changes()")
    shows("1\tan iterator over changes", "1, orthanc:changes()")
    local finding = "orthanc:modality 'x':find_all { Level = 'Study', Query = { PatientID = '1' } }"
    shows("an iterator over answers: for answer in _ do pp(answer) end\na walk: 0 C-FINDs so far", finding)
    contains(fails("f, x = " .. finding .. " x = x.fidns"), "a walk has no 'fidns'; did you mean 'finds'?")
    local ledger, path = sample_ledger.open { items = 1 }
    ledger:close()
    shows("an iterator over items: for item in _ do pp(item) end", ("modalua.transfer.items %q"):format(path))
    shows("", "for item in _ do x = item.state end")
    sample_ledger.remove(path)
    shows("function client:find(data)", "orthanc.find")
    contains(select(2, line "modalua"), "  is_error = function modalua.is_error(v),\n")
    contains(select(2, line "require 'modalua.time_zone'.open()"), "the time zone ")
    shows('{ ["end"] = 1, ending = 2 }', "{ ['end'] = 1, ending = 2 }")
  end)

  it("puts values that do not fit into a line below one another", function()
    shows(('"%s"\n"%s"'):format(("a"):rep(30), ("b"):rep(30)), "('a'):rep(30), ('b'):rep(30)", 60)
  end)

  it("asks a server once for the names of its modalities, when it does not answer", function()
    local silent <close> = faultd.start { { path = "/modalities", to = faultd.route("/hold", { name = "names" }) } }
    local client, before = modalua.connect(silent.url), rawget(_G, "orthanc")
    rawset(_G, "orthanc", client)
    for _ = 1, 3 do
      line "x = orthanc:modality 'pacs'"
    end
    rawset(_G, "orthanc", before)
    assert.are.equal(1, assert(client:get("/count", { of = "/modalities" })))
  end)

  it("answers questions about functions, objects and topics", function()
    contains(select(2, line "?orthanc.find"), "client:find(data)")
    local text = select(2, line("?orthanc.upload", 60))
    contains(text, "\noptions:\n  wait_timeout (seconds): how long the call waits (default:\n    no limit); ")
    contains(text, '\nexample:\n  local stored = assert(orthanc:upload "image.dcm")\n')
    for wrapped in text:gmatch "[^\n]+" do
      assert.is_true(#wrapped <= 60, wrapped)
    end
    contains(select(2, line "orthanc:modality?"), "client:modality(name")
    contains(select(2, line "?storage_commitment"), "modality:storage_commitment(")
    contains(select(2, line "help(orthanc)"), "client:\n  :changes(…)  ")
    contains(select(2, line "?job"), ":cancel() ")
    contains(select(2, line "?fnid"), "modality:find")
    contains(select(2, line "?"), "orthanc:modality")
    contains(help.of(modalua.task), ".spawn(f, ...) ")
    contains(help.of "task.map", "map(")
  end)

  it("explains options, tags, fields and functions of Lua", function()
    contains(select(2, line "?TargetAet"), "option of modality:move, modality:move_resources, query:move")
    contains(select(2, line "?verify"), "option of transfer.run")
    contains(select(2, line "?PatientName"), "PatientName (0010,0010), a DICOM tag: name of a person (PN)")
    contains(select(2, line "?StudyDate"), '"20240101-20240131"')
    contains(select(2, line "?studydate"), "StudyDate (0008,0020)")
    contains(select(2, line "?ScheduledStationAETitle"), "in the item of ScheduledProcedureStepSequence")
    assert.matches("^err.kind: string: network, ", (select(2, line "?err.kind")))
    contains(select(2, line "?err"), "  .dimse_status ")
    contains(select(2, line "?found"), "  :close() ")
    contains(select(2, line "?Out"), "Out[3] is the value of input 3")
    contains(select(2, line "?fitted"), "table.fitted(columns")
    contains(select(2, line "?string.format"), "pdf-string.format")
    contains(select(2, line "?PatientNmae"), "PatientName")
  end)

  it("takes help alone as a question", function()
    local _, text = line "help"
    assert.are.equal(text, select(2, line "?"))
    contains(text, "?TargetAet, ?StudyDate, ?err.kind")
    assert.are.equal(select(2, line "?orthanc"), select(2, line "help orthanc"))
  end)

  it("has one row for each method of an object, with what it is for, in a window of 80 columns", function()
    for _, kind in ipairs { "client", "modality", "peer", "found", "query", "job", "commitment", "task", "json", "transfer", "modalua" } do
      local seen, rows = {}, 0
      for row in select(2, line("?" .. kind, 80)):gmatch "\n  ([:%.][%w_]+%b()[^\n]*)" do
        local call, text = row:match "^([:%.][%w_]+)%b()  +(%u.*%.)$"
        assert.is_truthy(call, row)
        assert.is_nil(seen[call], call)
        seen[call], rows = text, rows + 1
      end
      local entries
      for _, section in ipairs(help.sections()) do
        entries = section.name == kind and #section.entries or entries
      end
      assert.are.equal(entries, rows, kind)
    end
    contains(select(2, line "?modality"), "\n  :find(data, …)            Sends a C-FIND.\n")
  end)

  it("breaks help at words, in a window of any width", function()
    local letters = require "modalua.letters"
    for _, width in ipairs { 30, 40, 80, 200 } do
      for _, question in ipairs { "help", ".help", "?modality", "?found", "?connect", "?PatientName" } do
        for text in select(2, line(question, width)):gmatch "[^\n]+" do
          assert.is_true(letters.width(text) <= width or not text:find "%S %S", text)
        end
      end
    end
  end)
end)

describe("Printing", function()
  it("sorts keys, distinguishes floats from integers, and escapes control characters", function()
    assert.are.equal('{ 1, 2.0, [-1] = true, a = "x\\n\\x1B\\"", ["b c"] = null }',
      printing.lua { 1, 2.0, a = 'x\n\27"', ["b c"] = json.null, [-1] = true })
    assert.are.equal('"\\xFF"', printing.lua "\xff")
    assert.are.equal('"Иванов 山"', printing.lua "Иванов 山")
  end)

  it("has limits, and marks cycles", function()
    local t = {}
    t.u = { t = t }
    assert.are.equal("{ u = { t = <cycle ^2> } }", printing.lua(t))
    assert.are.equal("{ { { { {…} } } } }", printing.lua { { { { { 1 } } } } })
    local many = {}
    for i = 1, 60 do
      many[i] = i
    end
    contains(printing.lua(many), "…(+10)")
    assert.are.equal('"' .. ("é"):rep(200) .. '"…(+3)', printing.lua(("é"):rep(203)))
    assert.are.equal('{\n  a = "0123456789",\n  b = "0123456789"\n}', printing.lua({ a = "0123456789", b = "0123456789" }, { width = 20 }))
  end)

  it("fills the width with a long list", function()
    local many = {}
    for i = 1, 30 do
      many[i] = 1000 + i
    end
    local text = printing.lua({ many, last = 1 }, { width = 40 })
    assert.are.equal("{\n  {\n    1001, 1002, 1003, 1004, 1005, 1006,\n    1007,", text:sub(1, 55))
    for part in text:gmatch "[^\n]+" do
      assert.is_true(#part <= 40, part)
    end
    assert.are.equal("  last = 1", text:match "[^\n]*\n}$":sub(1, -3))
  end)

  it("has the colours of the verbs, when they are asked for", function()
    local rows = { { ID = "a", State = "Success" }, { ID = "b", State = "Failure" } }
    local shown = printing.table(rows, { colour = true })
    contains(shown, "\27[1mState\27[0m\n")
    contains(shown, "\27[32mSuccess\27[0m")
    contains(shown, "\27[31mFailure\27[0m")
    contains(printing.lua(rows, { colour = true }), '\27[1mState\27[0m = \27[31m"Failure"\27[0m')
    lacks(printing.table(rows), "\27")
    lacks(printing.lua(rows), "\27")
  end)

  it("says in a line what an operation has done, and shows what was not done", function()
    local function shown(value, colour)
      return (printing.values({ value, n = 1 }, "table", { width = 200, colour = colour, names = { "_" } })
        :gsub(" %(pp%(_%) shows the details%)$", " …"))
    end
    local query = { { ["0008,0052"] = "STUDY" }, { ["0008,0052"] = "STUDY" } }
    assert.are.equal("PACS sent 2 studies; verified: all of it has arrived …",
      shown { Description = "REST API", RemoteAet = "PACS", Query = query, verified = true })
    query[2] = { QueryRetrieveLevel = { Name = "x", Value = "SERIES" } }
    assert.are.equal("PACS sent 2 resources to B; not verified: it is silent …",
      shown { RemoteAet = "PACS", TargetAet = "B", Query = query, verified = false, unverified = "it is silent" })
    assert.are.equal("PACS sent nothing; not verified …", shown { RemoteAet = "PACS", Query = {}, verified = false })
    local store = { InstancesCount = 15, FailedInstancesCount = 2, RemoteAet = "B\27", ParentResources = { "x" } }
    assert.are.equal("13 of 15 instances sent to B\\x1B, 2 failed; not verified …", shown(store))
    contains(shown(store, true), "\27[31m2 failed\27[0m")
    local good = { resource = { StudyInstanceUID = "1.2" }, result = { verified = true } }
    local bad = { resource = { StudyInstanceUID = "1.3" }, error = native.fail("x", "refused", nil, "bad x") }
    assert.are.equal("2 of 2 studies sent; verified: all of it has arrived …", shown { good, good })
    assert.are.equal("state   kind     resource  error\nfailed  refused  1.3       bad x\n1 of 2 studies sent; 1 verified …",
      shown { good, bad })
    local lost = { resource = { StudyInstanceUID = "1.4" }, error = native.fail("x", "unknown", nil, "lost") }
    assert.are.equal("1 of 3 studies sent, 1 unknown; 1 verified …", shown { good, lost, bad }:match "[^\n]*$")
    assert.are.equal("0 of 1 study sent; 0 verified …", shown { bad }:match "[^\n]*$")
    local job = { ID = "7-a", Path = "/jobs/7-a" }
    contains(shown(job), "job 7-a has begun; orthanc:job(_):wait() waits for it")
    contains(printing.values({ 1, job, n = 2 }, "table", { names = { "_" } }), 'job 7-a has begun; orthanc:job "7-a":wait() waits for it')
    assert.are.equal("job 7-a has begun", printing.value(job, "table"))
    contains(shown { from = "a", to = "b", state = "finished", found = 3, complete = true, level = "Study", settings = {},
      items = { done = 2, failed = 1, todo = 0 } }, "a → b is finished: 3 studies found, all there are; 2 done, 1")
    contains(shown { from = "a", to = "b", state = "finished", found = 2, complete = true, level = "Study", settings = {},
      items = { done = 2 }, finished_before = 1 }, "2 done; it was finished before, and nothing was looked at again")
    assert.are.equal("PACS sent nothing; not verified", printing.value({ RemoteAet = "PACS", Query = {}, verified = false }, "table"))
    assert.are.equal('{ Query = {}, RemoteAet = "B" }', printing.value({ RemoteAet = "B", Query = {} }, "lua"))
  end)

  it("calls no metamethod of the user except __tostring", function()
    local function never() error "called" end
    local t = setmetatable({ 1 }, { __index = never, __pairs = never, __len = never, __name = never })
    assert.are.equal("{ 1 }", printing.lua(t))
    assert.are.equal("I am\\n", printing.lua(setmetatable({}, { __tostring = function() return "I am\n" end })))
    contains(printing.lua(setmetatable({}, { __tostring = never })), "its __tostring fails")
  end)

  it("fits a table into the width of the terminal, and shortens names last", function()
    local rows = { { PatientName = "山田^太郎=やまだ^たろう", PatientID = "03HD012", StudyDate = "20240229",
      StudyDescription = ("x"):rep(40), StudyInstanceUID = "1.2.840.113619.2.55.3.604688119.868" } }
    for text in (printing.table(rows, { width = 60 }) .. "\n"):gmatch "([^\n]*)\n" do
      assert.is_true(require "modalua.letters".width(text) <= 60, text)
    end
    contains(printing.table(rows, { width = 60 }), "20240229")
    assert.is_nil(printing.table {})
    assert.is_nil(printing.table { { 1 } })
    assert.are.equal("no answers", printing.table { ID = "x", answers = {} })
  end)
end)

describe("Completion", function()
  local names = { "prompt_client", "prompt_trap", "prompt_pacs" }

  setup(function()
    rawset(_G, names[1], modalua.connect "http://127.0.0.1:1")
    rawset(_G, names[2], setmetatable({ field = 1, method = print }, { __index = function() error "called" end,
      __pairs = function() error "called" end }))
    rawset(_G, names[3], prompt_client:modality "pacs") -- luacheck: ignore
    completion.remember(rawget(_G, names[1]), { "pacs", "archive", "ct1" })
  end)

  teardown(function()
    for _, name in ipairs(names) do
      rawset(_G, name, nil)
    end
    completion.forget()
  end)

  local function offers(text, replaced, ...)
    local list = completion.complete { text = text }
    assert.are.same({ replaced, ... }, list, text)
  end

  local function has(text, candidate)
    local list = completion.complete { text = text }
    for i = 2, #list do
      if list[i] == candidate then
        return
      end
    end
    error(("%q does not offer %q: %s"):format(text, candidate, table.concat(list, " ")), 2)
  end

  it("offers globals, fields and methods", function()
    offers("prompt_t", 8, "prompt_trap")
    offers("prompt_trap.", 0, "field", "method")
    offers("x = prompt_trap:", 0, "method")
    offers("prompt_client:moda", 4, "modalities", "modality")
    offers("prompt_pacs:ec", 2, "echo")
    has('prompt_client:modality "x":', "move")
    offers("string.for", 3, "format")
    offers('("x"):rep', 3, "rep")
    offers("prompt_trap.nosuch.", 0)
    offers("a .. prompt_t", 8, "prompt_trap")
    offers("whi", 3, "while")
  end)

  it("offers keys in calls, levels and tags", function()
    has("prompt_pacs:move(found, { ", "TargetAet = ")
    has("prompt_pacs:find { Level = 'Study', ", "Query = ")
    offers("prompt_pacs:find { Lev", 3, "Level = ")
    offers('prompt_pacs:find { Level = "St', 2, 'Study"')
    offers("prompt_pacs:find { ke", 2, "keep = ", "keep_empty = ")
    offers("prompt_pacs:find { Exp", 3) -- a key of client:find
    offers("prompt_client:find { Exp", 3, "Expand = ")
    offers("prompt_pacs:find({ Level = 'Study', Query = {} }, { ", 0, "short = ", "simplify = ")
    offers("prompt_client:download('/x', 'f', { bo", 2, "body = ")
    offers('require "modalua".connect { us', 2, "username = ")
    offers("prompt_pacs:find { Query = { PatientNa", 9, "PatientName = ")
    offers('prompt_pacs:find { Query = { PatientID = "{", AccessionNu', 11, "AccessionNumber = ")
    has("prompt_pacs:find_worklist {", "ScheduledProcedureStepSequence = ")
    has("prompt_pacs:series(found, { Prot", "ProtocolName = ")
    offers("prompt_pacs:find { Query = { PatientName = prompt_t", 8, "prompt_trap")
  end)

  local function lacks_candidate(text, candidate)
    for _, one in ipairs(completion.complete { text = text }) do
      assert.are_not.equal(candidate, one, text)
    end
  end

  it("offers the tags of the level first, and all others only when none of these fits", function()
    has('prompt_pacs:find { Level = "Study", Query = { Pat', "PatientID = ")
    lacks_candidate('prompt_pacs:find { Level = "Study", Query = { Pat', "PatientOrientation = ")
    has('prompt_pacs:find { Level = "Study", Query = { Mod', "ModalitiesInStudy = ")
    lacks_candidate('prompt_pacs:find { Level = "Study", Query = { Mod', "Modality = ")
    has('prompt_pacs:find { Level = "Series", Query = { Mod', "Modality = ")
    has('prompt_pacs:find { Level = "Study", Query = { PatientOri', "PatientOrientation = ")
    has("prompt_pacs:find_worklist { ScheduledProcedureStepSequence = { { Sched", "ScheduledStationAETitle = ")
    lacks_candidate("prompt_pacs:find_worklist { ", "ScheduledStationAETitle = ")
    has("prompt_pacs:series(found, {}, { ", "limit = ")
  end)

  it("offers all options, except those that the table has already", function()
    for _, option in ipairs(doc.of(modalua.connect).options) do
      has('require "modalua".connect { ', option.name .. " = ")
      has('require "modalua".connect("http://x", { ', option.name .. " = ")
    end
    lacks_candidate('prompt_pacs:find { Level = "Study", ', "Level = ")
  end)

  it("offers the values of options and arguments", function()
    offers('prompt_client:changes { type = "StableS', 7, 'StableSeries"', 'StableStudy"')
    offers('prompt_client:changes { type = { "NewS', 4, 'NewSeries"', 'NewStudy"')
    offers('prompt_pacs:move_resources("St', 2, 'Study"')
    offers('require "modalua.transfer".run { verify = "', 0, 'count"', 'job"', 'uids"')
    offers('prompt_pacs:find_each("Accessi', 7, 'AccessionNumber"')
  end)

  it("offers the fields of answers, of errors and of results of calls", function()
    rawset(_G, "prompt_found", native.found { client = prompt_client, id = "1-1", modality = "pacs", level = "Study", -- luacheck: ignore
      answers = { { PatientID = "1", StudyDate = "20200101" } }, notes = {} })
    offers("prompt_found[1].", 0, "PatientID", "StudyDate")
    offers("prompt_found.answers[1].Pat", 3, "PatientID")
    offers("for _, study in ipairs(prompt_found) do print(study.St", 2, "StudyDate")
    offers("prompt_found.ans", 3, "answers")
    offers("prompt_found:", 0, "close")
    rawset(_G, "prompt_found", nil)
    offers("err.dimse", 5, "dimse_status")
    offers('require "modalua".connect("http://x"):modali', 6, "modalities", "modality")
    offers('assert(prompt_pacs:find { Level = "Study", Query = {} }).unp', 3, "unproven")
    offers('local p = prompt_client:modality "pacs"\np:ech', 3, "echo")
    offers("prompt_pacs.client:uplo", 4, "upload")
  end)

  it("offers the identifiers of jobs and queries that the session has seen", function()
    local JOB <const>, QUERY <const> = "01234567-aaaa-bbbb-cccc-000000000001", "01234567-aaaa-bbbb-cccc-000000000002"
    rawset(_G, "prompt_client_ids", { { ID = JOB, State = "Success", Type = "X" }, { ID = "98-7", Path = "/studies/98-7" } })
    offers('prompt_client:job "01', 2, JOB .. '"')
    offers('prompt_client:query("', 0)
    rawset(_G, "prompt_client_ids", { ID = JOB, Path = "/jobs/" .. JOB })
    offers('prompt_client:job("', 0, JOB .. '"')
    local function never() error "called" end
    rawset(_G, "prompt_client_ids", { ID = setmetatable({}, { __tostring = never, __concat = never }), Path = "/jobs/" .. JOB })
    offers('prompt_client:job("', 0)
    rawset(_G, "prompt_client_ids", prompt_client:query(QUERY)) -- luacheck: ignore
    offers('prompt_client:query("', 0, QUERY .. '"')
    offers('prompt_pacs:get_query_answers("', 0, QUERY .. '"')
    offers('prompt_client:job("', 0)
    rawset(_G, "prompt_client_ids", { JOB, QUERY, "1.2.3" })
    offers('prompt_client:job("', 0, JOB .. '"', QUERY .. '"')
    rawset(_G, "prompt_client_ids", nil)
  end)

  it("offers the names of files", function()
    local folder = command.shell("mktemp -d").out:gsub("\n", "")
    command.shell(("cd %s && touch one.dcm one.lua .hidden && mkdir ones && touch ones/two.dcm 'a\"b'"):format(folder))
    for _, text in ipairs { 'dofile "', 'loadfile("', 'io.open("', 'prompt_client:upload "', 'prompt_client:download("/x", "',
      'require "modalua".connect { ca = "' } do
      local word = folder .. "/on"
      offers(text .. word, #word, word .. 'e.dcm"', word .. 'e.lua"', word .. "es/")
      offers(text .. folder .. "/a", #folder + 2)
    end
    offers(".load " .. folder .. "/ones/", #folder + 6, folder .. "/ones/two.dcm")
    offers('dofile "' .. folder .. "/.", #folder + 2, folder .. '/.hidden"')
    offers("x = '" .. folder .. "/on", #folder + 3)
    command.shell("rm -r " .. folder)
  end)

  it("ignores upper and lower case when nothing fits otherwise", function()
    offers("PROMPT_T", 8, "prompt_trap")
    offers("prompt_pacs:ECH", 3, "echo")
    has('prompt_pacs:find { Level = "Study", Query = { patientid', "PatientID = ")
    offers('prompt_pacs:find { Level = "stu', 3, 'Study"')
    offers("prompt_pacs:find { l", 1, "Level = ", "LocalAet = ")
    offers("prompt_pacs:find { k", 1, "keep = ", "keep_empty = ")
  end)

  it("offers names of modalities that are known already", function()
    offers('prompt_client:modality "', 0, 'archive"', 'ct1"', 'pacs"')
    offers("prompt_client:modality('p", 1, "pacs'")
    offers('prompt_pacs:move(found, { to = "a', 1, 'archive"')
  end)

  it("offers commands, modules and topics, but nothing in comments and strings", function()
    offers(".mo", 3, ".mode")
    offers(".mode j", 1, "json")
    offers(".schema Wo", 2, "Worklist")
    offers(".watch 2 prompt_t", 8, "prompt_trap")
    offers("?prompt_pacs.ec", 2, "echo")
    offers("?TargetA", 7, "TargetAet")
    offers("?PatientNam", 10, "PatientName")
    offers('help "PatientNam', 10, 'PatientName"')
    offers('require "modalua.ta', 10, 'modalua.table"', 'modalua.task"')
    offers('x = "prompt_', 7)
    offers("-- prompt_", 0)
    offers("[[ prompt_", 0)
    offers("", 0)
  end)

  it("uses only the text before the cursor", function()
    assert.are.same({ 8, "prompt_trap" }, completion.complete { text = "prompt_t + 1", cursor = 8 })
  end)
end)

describe("The prompt on a terminal", function()
  local DEAD = "-u http://127.0.0.1:1"

  local function session(options, steps)
    options.arguments = options.arguments or DEAD
    return terminal.session(options, steps)
  end

  it("shows two lines at the start, evaluates lines, and continues after an error", function()
    local out = session({}, { { "1 + 1\r", "2\n" }, { "error 'boom'\r", "stdin:1: boom\n" }, { "'on'\r", '"on"\n' } })
    assert.matches("^modalua %d+%.%d+%.%d+, orthanc = http://127.0.0.1:1\n[^\n]*help shows[^\n]*Ctrl%-D leaves\n> ", out)
  end)

  it("accepts several lines, and recalls them as one entry", function()
    local out = session({}, {
      { "for i = 1, 2 do\r", open = { wait = "\n>> " } }, { "\tprint(i * 7)\r", open = { wait = "\n>> " } }, { "end\r", "7\n14\n" },
      { "\27[A\r", "print(i * 7)\n", "7\n14\n" },
    })
    contains(out, "\n> for i = 1, 2 do\n  print(i * 7)\nend\n7\n")
  end)

  it("discards the current lines at Ctrl-C", function()
    session({}, {
      { "for i = 1, 2 do\r", open = { wait = "\n>> " } }, { "\3" },
      { "error(\3" }, { "7 * 6\r", "42\n" },
    })
  end)

  it("completes at TAB, lists candidates, and indents at the start of a line", function()
    local out = session({}, {
      { "orthanc:sys\t()\r", "orthanc:system()\n", "no connection" },
      { "orthanc:mo\t\t", "modalities  modality", open = { wait = "\n> orthanc:modalit" } }, { "\3" },
      { "nosuchthing\t\3" },
    })
    lacks(out, "nosuchthing\t")
  end)

  it("says why an assignment took nothing, and what a misspelt name means", function()
    session({}, {
      { 'f = orthanc:modality "x":find { Level = "Study", Query = { Modality = "CT" } }\r',
        "f is nil: find /modalities/x/query: Modality is" },
      { 'orthanc:modality "x":fnid {}\r', "did you mean 'find'?" }, { "pirnt(1)\r", "hint: did you mean print?" },
      { "help\r", "?TargetAet, ?StudyDate" }, { "?TargetAet\r", "option of modality:move" },
    })
  end)

  it("completes tags, files and words in another case", function()
    session({}, {
      { 'x = { Level = "Study", Query = { PatientNam\t"7" } }\r' }, { "x.Query.PatientName\r", '"7"\n' },
      { "io.open('/etc/hostn\t) ~= nil\r", "io.open('/etc/hostname')", "true\n" }, { "orthanc:SYS\t()\r", "system /system: " },
    })
  end)

  it("writes tables in the colours of the verbs, unless NO_COLOR is set", function()
    for setting, bold in pairs { ["NO_COLOR="] = true, ["NO_COLOR=1"] = false } do
      local raw = os.tmpname()
      session({ environment = setting .. " TERMINAL_RAW=" .. raw }, { { "{ { State = 'Failure' } }\r", "Failure\n1 row" } })
      local file <close> = assert(io.open(raw))
      local text = file:read "a"
      os.remove(raw)
      assert.are.equal(bold, text:find("\27[1mState\27[0m", 1, true) ~= nil and text:find("\27[31mFailure\27[0m", 1, true) ~= nil, text)
    end
  end)

  it("accepts characters of any writing system, also in the C locale", function()
    for _, locale in ipairs { "LC_ALL=C", "LC_ALL=C.UTF-8" } do
      session({ environment = locale }, { { "#'Иванов山'\r", "15\n" }, { "'山\127Иванов\127\127'\r", '"Иван"\n' } })
    end
  end)

  it("goes on when a name of Lua has another value", function()
    session({}, {
      { "type, next, string, xpcall = 'CT', 1, 2, 3\r" }, { "rawset, rawget, tostring, print, debug, table = nil\r" },
      { "type\r", '"CT"\n' }, { "table\r", "nil\n" }, { "{ 1, { 2 } }\r", "{ 1, { 2 } }\n" },
      { "error 'boom'\r", "stdin:1: boom\n" },
    })
  end)

  it("rejects input that is not UTF-8", function()
    session({}, { { "x = 'caf\xe9'\r", "not UTF-8, or has a NUL, and was not run" }, { "x\r", "nil\n" } })
  end)

  it("shows what is printed at once, also where it updates the line of a run as a whole", function()
    local raw <const> = os.tmpname()
    session({ environment = "TERMINAL_RAW=" .. raw }, {
      { "s = require 'modalua.task'.sleep s(1.2) io.write 'fir' io.write 'st\\n'\r", "\nfirst" },
      { "for i = 1, 40 do s(0.05) end print('la' .. 'st')\r", "last" },
    })
    local file <close> = assert(io.open(raw))
    local text = file:read "a"
    os.remove(raw)
    local first, second = text:match "^(.-\27%[Kfirst\r?\n)(.*)$"
    lacks(assert(first, text), "\27[?2026h") -- the console does not see what io.write prints
    contains(second, "\27[?2026h\r\27[K\27[?2026llast")
    assert.are.equal(select(2, second:gsub("2026h", "")), (select(2, second:gsub("2026l", ""))))
  end)

  it("cancels the running line at Ctrl-C, whether it waits or not", function()
    session({}, {
      { "print 'ready' require 'modalua.task'.sleep(60)\r", "\nready", open = { send = "\3" } }, { "", "cancelled" },
      { "print 'set' while true do end\r", "\nset", open = { send = "\3" } }, { "", "cancelled" },
      { "8 * 8\r", "64\n" },
    })
  end)

  it("ends at os.exit, exit and the end of input", function()
    for text, expected in pairs { ["os.exit(7)\r"] = 7, ["exit\r"] = 0, [".quit\r"] = 0, ["\4"] = 0 } do
      local _, status = terminal.run({ arguments = DEAD }, { { wait = "> " }, { send = text } })
      assert.are.equal(expected, status)
    end
  end)

  it("shows long output in the pager", function()
    local out = session({ rows = 10, environment = "PAGER='sed s/^/paged:/'" }, {
      { "('x\\n'):rep(3)\r" }, { "?orthanc\r", "paged:client:" }, { "5\r", "\n5\n" } })
    lacks(out, "paged:5")
  end)

  it("runs its input as a script if there is no terminal", function()
    local result = command.shell([[printf 'x = {\n1}\nprint(#x)' | "$M"]])
    assert.are.same({ "1\n", "", 0 }, { result.out, result.err, result.status })
  end)

  describe("keeps its history", function()
    local folder

    before_each(function()
      folder = command.shell("mktemp -d").out:gsub("\n", "")
    end)

    after_each(function()
      command.shell("rm -r " .. folder)
    end)

    local function state()
      return "XDG_STATE_HOME=" .. folder .. "; unset MODALUA_HISTORY"
    end

    local function file()
      return command.shell(("cat %s/modalua/history; stat -c %%a %s/modalua %s/modalua/history"):format(folder, folder, folder)).out
    end

    it("across restarts, readable only by its owner", function()
      session({ environment = state() }, { { "11 * 11\r", "121" }, { "if 1 then\r", open = { wait = "\n>> " } }, { "end\r" } })
      assert.are.equal("11 * 11\nif 1 then\\nend\n700\n600\n", file())
      local out = session({ environment = state() }, {
        { "\27[A\27[A\27[A\r", "121\n" }, { ".history\r", "11 * 11\n", "if 1 then\nend\n" } })
      contains(out, "121")
    end)

    it("without secrets", function()
      session({ environment = state() }, { { "x = { password = 'hunter2' }\r" }, { "x = 'https://u:hunter2@host/'\r" },
        { "x = { Token = 'hunter2' }\r" }, { " x = 'hunter2'\r" }, { "x = 'fine'\r" }, { "pw = 'hunter2'\r" },
        { "db_pass = 'hunter2'\r" }, { "headers = 'Bearer hunter2'\r" }, { "api_key = 'hunter2'\r" },
        { ".shell true -u me:hunter2\r" }, { ".shell true --user=me:hunter2\r" },
        { ".shell true -u http:/hunter2 -u me://hunter2\r" }, { ".shell true -u http://me:hunter2@host:8042/\r" },
        { ".shell true -uhttp://host/ x-u y:z upward passed\r" },
        { ".shell true -u http://host:8042/ --url=https://host:8042 --url host:8042\r" } })
      assert.are.equal("x = 'fine'\n.shell true -uhttp://host/ x-u y:z upward passed\n" ..
        ".shell true -u http://host:8042/ --url=https://host:8042 --url host:8042\n700\n600\n", file())
    end)

    it("where it can write it, or else says once that it cannot", function()
      local out = session({ environment = "MODALUA_HISTORY=/proc/nosuch/history" }, { { "1\r", "cannot be written" }, { "2\r", "\n2\n" } })
      assert.are.equal(1, select(2, out:gsub("cannot be written", "")))
    end)

    it("with a limited length", function()
      command.shell(("mkdir %s/modalua && seq 30001 >%s/modalua/history"):format(folder, folder))
      session({ environment = state() }, { { "\27[A\r", "30001\n" } })
      local length = tonumber(command.shell(("wc -l <%s/modalua/history"):format(folder)).out)
      assert.is_true(length <= 10001, length)
    end)
  end)
end)

for _, version in ipairs(versions) do
  describe("The prompt, with the Orthanc " .. version.name, function()
    local servers, server, peer, client, pacs

    setup(function()
      servers = orthanc.network({ "LOCAL", "PACS" }, { binary = version.binary, verbose = true, extra = { DicomScuTimeout = 60 } })
      server = servers.LOCAL
      client, pacs = modalua.connect(server.url), modalua.connect(servers.PACS.url)
      assert(samples.store(pacs))
      assert(client:use_utf8())
      assert(pacs:use_utf8())
    end)

    teardown(function()
      servers:close()
    end)

    before_each(function()
      peer = dicomd.start()
      assert(client:put("/modalities/held", peer:modality "HELD"))
    end)

    after_each(function()
      peer:close()
    end)

    local function options(columns)
      return { columns = columns, arguments = "-u " .. server.url }
    end

    it("shows answers as a table in 60 columns, aligns Japanese names, and completes names of modalities", function()
      local out = terminal.session(options(60), {
        { 'pacs = orthanc:modality "p\t\r', 'orthanc:modality "pacs"\n' },
        { 'pacs:find{Level="Study",Query={PatientName="Yamada*"}}\r', " answer" },
      })
      local head, row = out:match "\n(PatientN[^\n]*)\n(Yamada[^\n]*)\n"
      assert.is_truthy(head, out)
      contains(row, "山田")
      local letters = require "modalua.letters"
      assert.are.equal(letters.width(head:match "^%S+ +"), letters.width(row:match "^%S+ +"), out)
      assert.is_true(letters.width(row) <= 60)
    end)

    it("reads the answers of a result as a list, and completes their fields", function()
      terminal.session(options(80), {
        { 'pacs = orthanc:modality "pacs"\r' },
        { 'found = pacs:find { Level = "Study", Query = { PatientName = "Yamada*", StudyDate = "" } }\r' },
        { "#found == #found.answers and #found > 0 and found[1] == found.answers[1]\r", "true\n" },
        { "n = 0 for i, study in ipairs(found) do n = n + (found[i] == study and 1 or 0) end n = n - #found\r" }, { "n\r", "0\n" },
        { "for i, study in pairs(found) do n = n + (found[i] == study and 1 or 0) end n = n - #found\r" }, { "n\r", "0\n" },
        { "found[1].StudyD\t ~= nil\r", "true\n" }, { "found.answrs\r", "did you mean 'answers'?" },
        { "found[#found + 1]\r", "nil\n" },
      })
    end)

    it("says in a line what a move has done, and shows jobs as a table", function()
      terminal.session(options(80), {
        { 'pacs = orthanc:modality "pacs"\r' }, { 'found = pacs:find { Level = "Study", Query = { PatientName = "Yamada*" } }\r' },
        { "pacs:move(found)\r", "\nPACS sent 2 studies", "; verified: all of it has arrived" },
        { "pacs:move(found, { Synchronous = false })\r", "\njob ", " has begun" },
        { "orthanc:job(_):wait()\r", "\nPACS sent 2 studies", "; verified: all of it has arrived" },
        { 'pacs:move_resources("Study", found)\r', "\n2 of 2 studies sent; verified: all of it has arrived" },
        { "pacs:move(found, { TargetAet = 'NOWHERE' })\r", "nil  move " }, { "_err.outcomes == nil\r", "true\n" },
        { 'pacs:move_resources("Study", found, { TargetAet = "NOWHERE" })\r', "_err.outcomes has the outcome of each resource" },
        { "_err.outcomes\r", "\n0 of 2 studies sent; 0 verified" },
        { "orthanc:jobs { expand = true }\r", "\nID ", " DicomMove", " jobs\n" },
        { "orthanc:use_utf8()\r", "a function that sets the server's encoding back to Utf8: _()" }, { "_()\r", "true\n" },
      })
    end)

    -- Interrupts a move that the peer holds, and answers the question; further steps may follow. Returns the record of the job when it has
    -- ended, and how often the server was asked to cancel it.
    local function interrupted(answer, ...)
      local known = {}
      for _, id in ipairs(assert(client:jobs())) do
        known[id] = true
      end
      terminal.session(options(80), {
        { 'held = orthanc:modality "held"\r' },
        { 'found = held:find { Level = "Study", Query = { PatientID = "FP*" } };\r' },
        { 'held:move(found, { TargetAet = "ANY", progress = true })\r', "resources  0:0", open = { send = "\3" } },
        { "", "(Enter)? ", open = { send = answer } }, ...
      })
      local job
      for _, id in ipairs(assert(client:jobs())) do
        job = known[id] and job or id
      end
      peer:let()
      local record = assert(eventually(function()
        local status = assert(client:job(job):status())
        return (status.State == "Success" or status.State == "Failure") and status
      end))
      return record, server:count_logged("Canceling job: " .. job)
    end

    local GOES_ON <const> = { "6 * 7\r", "\n42\n" }

    it("asks at Ctrl-C during a move, and cancels the move on the server", function()
      local job, cancels = interrupted("c\r", { "", "cancelled" }, GOES_ON)
      assert.are.same({ 37, 1 }, { job.ErrorCode, cancels })
    end)

    it("asks at Ctrl-C during a move, and leaves the move to the server", function()
      local job, cancels = interrupted("d\r", { "", "detached" }, GOES_ON)
      assert.are.same({ "Success", 0 }, { job.State, cancels })
    end)

    it("asks at Ctrl-C during a move, and continues", function()
      local job, cancels = interrupted("\r", { "", gate = peer.gate_path, open = { wait = "\nHELD sent " } }, { "" }, GOES_ON)
      assert.are.same({ "Success", 0 }, { job.State, cancels })
    end)

    it("cancels the move at a second Ctrl-C", function()
      local job, cancels = interrupted("\3", { "", "cancelled" }, GOES_ON)
      assert.are.same({ 37, 1 }, { job.ErrorCode, cancels })
    end)
  end)
end
