-- Tests what a run of a transfer shows: six lines on a terminal, lines elsewhere, JSON lines, a log, a file of metrics.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local letters = require "modalua.letters"
local part = require "spec.support.part"
local served = require "spec.support.served"
local terminal = require "spec.support.terminal"

local metrics = part "transfer.metrics"
local pace = part "transfer.pace"
local view = part "transfer.view"
local view_text = part "transfer.view_text"

local contains = expect.contains

local NOW <const> = 1795900000000 -- 2026-11-28 21:06:40 UTC

-- The facts of a transfer that is under way, with changes.
local function facts_of(changes)
  local facts = { name = "lung.ledger", now = NOW, since = NOW - 3600000, P = assert(pace.read { time_zone = "UTC",
    hours = changes.hours }),
    retries = 7, retry_at = NOW + 600000, found_all = true, concurrency = 4, under_way = {},
    totals = { done = { items = 800, instances = 4000, bytes = 0 }, todo = { items = 1200, instances = 6000, bytes = 0 } },
    status = { from = "pacs", to = "archive", level = "Study", found = 2000, items = { done = 800, todo = 1188, failed = 12 }, bytes = 0,
      left = 12000,
      rate = { items = 32, instances = 1204, bytes = 720000000 }, run_rate = { items = 28.4, instances = 0, bytes = 0 }, workers = {},
        settings = {} } }
  for name, value in pairs(changes) do
    facts[name] = value
  end
  return facts
end

local function entries(n, key)
  local list = {}
  for i = 1, n do
    list[i] = { item = { key = key or "1.2.840.113619.2.55.3.604688119." .. i, modality = "CT", date = "20190302" }, seconds = 100 - i,
      done = i, total = 128 }
  end
  return list
end

local function lines_of(facts, width)
  local lines = {}
  for line in (view_text.block(facts, width) .. "\n"):gmatch "([^\n]*)\n" do
    lines[#lines + 1] = line
  end
  return lines
end

describe("The six lines", function()
  it("say where from and where to, how much, how fast, how long, what is under way, and what holds it up", function()
    assert.are.same({
      "lung.ledger   pacs → archive   since 20:06",
      "[#########               ]  40 %   800 of 2,000 studies   12 failed   7 again at 21:16",
      "now 32 studies/min, 1,204 images/min, 12.0 MB/s   run 28 studies/min",
      "left 3 h 20 min, until Sun 00:26",
      "under way 2 of 4, longest first   1.2.840.…88119.1.1 CT 20190302 0 % 1:39   1.2.840.…88119.1.2 CT 20190302 1 % 1:38",
      "compared by number of images   last problem 20:06 0xA702 (3 in this run)",
    }, lines_of(facts_of { under_way = { entries(1, "1.2.840.113619.604688119.1.1")[1], entries(2, "1.2.840.113619.604688119.1.2")[2] },
      problem = { at = NOW - 3600000, text = "0xA702", n = 3 } }, 200))
  end)

  it("are six at any concurrency and any width, and fit", function()
    for _, n in ipairs { 0, 1, 64 } do
      for _, name in ipairs { "lung.ledger", "山田^太郎", "a\27[2J\nb" } do
        local facts = facts_of { under_way = entries(n, n == 64 and name or nil), concurrency = n, name = name, waiting = { side = "to",
          since = NOW,
          reason = name:rep(30) }, problem = { at = NOW, text = name:rep(100), n = 1 } }
        for width = 1, 240, 7 do
          local lines = lines_of(facts, width)
          assert.are.equal(6, #lines)
          for _, line in ipairs(lines) do
            assert.is_true(letters.width(line) <= math.max(width - 1, 1), line)
            assert.is_nil(line:find "%c")
          end
        end
      end
    end
  end)

  it("give no end, and no total, before all is found", function()
    local lines = lines_of(facts_of { found_all = false, finding = "1998" }, 200)
    contains(lines[2], "800 of ≥ 2,000 studies")
    contains(lines[2], "still finding: 1998")
    assert.are.equal("time left: known when all is found", lines[4])
  end)

  it("count the time that is left in the allowed hours", function()
    -- 3 h 20 min from Saturday 21:06: 53 min 20 s until 22:00, the rest from Sunday 10:00 on.
    local lines = lines_of(facts_of { hours = "Sat 10:00-22:00, Sun 10:00-22:00" }, 200)
    assert.are.equal("left 3 h 20 min, until Sun 12:26", lines[4])
    contains(lines[6], "open until 22:00")
    contains(lines_of(facts_of { hours = "Mon 10:00-11:00" }, 200)[6], "closed until Mon 10:00")
  end)

  it("say what is waited for, and that it is paused", function()
    local facts = facts_of { waiting = { side = "to", since = NOW - 7200000, reason = "connection refused" } }
    facts.status.paused = "by hand"
    contains(lines_of(facts, 200)[6], "paused: by hand   waiting for archive since 19:06: connection refused")
  end)

  it("name patients only when that was asked for", function()
    local item = { key = "1.2.3", patient_name = "Müller^Änne", patient_id = "4711" }
    for _, names in ipairs { true, false } do
      local lines = lines_of(facts_of { names = names, under_way = { { item = item, seconds = 1 } } }, 200)
      assert.are.equal(names and "under way 1 of 4   Müller^Änne 1.2.3 0:01" or "under way 1 of 4   1.2.3 0:01", lines[5])
    end
  end)

  it("are parts of the line for a log", function()
    assert.are.equal("800 of 2,000 studies; 12 failed; 7 again at 21:16; now 32 studies/min, 1,204 images/min, 12.0 MB/s; "
      .. "run 28 studies/min; left 3 h 20 min, until Sun 00:26; 0 under way", view_text.line(facts_of {}))
  end)
end)

-- A script that makes a ledger and a view of it, and tells it what `code` tells. It is run with $M.
local function script_of(options, code)
  return command.file(([[
    package.path = "./?.lua;" .. package.path
    local part = require "spec.support.part"
    local sample_ledger = require "spec.support.sample_ledger"
    local task = require "modalua.task"
    local native = part "core.native"
    local L <close>, path = sample_ledger.open { items = 40, done = 8, failed = 2, sending = 3, found = true, hostile = os.getenv "HOSTILE",
      settings = { time_zone = "UTC" } }
    local removed <close> = setmetatable({}, { __close = function() sample_ledger.remove(path) end })
    local V <close> = assert(part "transfer.view".new { %s })
    V:watch(L)
    local function progress()
      local list = {}
      for i, item in ipairs(L.claimed) do
        list[i] = { item = item, since = native.now() - i, done = i, total = 9 }
      end
      V:tell { event = "progress", under_way = list, concurrency = 3 }
    end
    local function failure(message)
      V:tell { event = "failure", item = L.claimed[1], state = "failed", reason = "0xA900", message = message }
    end
    V:tell { event = "start", worker = L.worker }
    %s]]):format(options, code))
end

local function run(options, code, environment)
  local script = script_of(options, code)
  local result = command.shell(("%s $M %s"):format(environment or "", script))
  os.remove(script)
  return result
end

describe("On a terminal", function()
  -- Returns the rows of the screen after this output: text, CR, LF, cursor up, and erasing to the end of the screen.
  local function screen_of(raw)
    local rows, row, column, at = { "" }, 1, 1, 1
    while at <= #raw do
      local n, final, after = raw:match("^\27%[(%d*)(%a)()", at)
      if final == "A" then
        row, at = row - tonumber(n), after
        assert.is_true(row >= 1)
      elseif final then
        assert.is_truthy(final == "J" or final == "K", final)
        rows[row], at = rows[row]:sub(1, column - 1), after
        for i = row + 1, final == "J" and #rows or 0 do
          rows[i] = ""
        end
      else
        local c = raw:sub(at, at)
        if c == "\n" then
          row = row + 1
          rows[row] = rows[row] or ""
        elseif c == "\r" then
          column = 1
        else
          rows[row] = rows[row]:sub(1, column - 1) .. c .. rows[row]:sub(column + 1)
          column = column + 1
        end
        at = at + 1
      end
    end
    while rows[#rows] == "" do
      rows[#rows] = nil
    end
    return rows
  end

  -- Returns what the script writes to a terminal of that width.
  local function screen(columns, code, hostile)
    local raw = os.tmpname()
    local script = script_of("terminal = { errors = true, output = true }", code)
    local out, status = terminal.run({ columns = columns, arguments = script,
      environment = ("LC_CTYPE=C.UTF-8 TERMINAL_RAW=%s HOSTILE=%s"):format(raw, command.quote(hostile or "")):gsub("HOSTILE=''$", "") }, {})
    os.remove(script)
    local file <close> = assert(io.open(raw, "rb"))
    local text = file:read "a"
    os.remove(raw)
    assert.are.equal(0, status, out)
    return text
  end

  local TURNS <const> = [[
    for i = 1, 3 do
      progress()
      task.sleep(0.55)
    end
    V:tell { event = "note", message = "a note" }
    progress()]]

  it("six lines are redrawn in place, and notes stay above them", function()
    for _, columns in ipairs { 40, 80, 200 } do
      local text = screen(columns, TURNS)
      local rows = screen_of(text:match "^(.*)\27%[5A\r\27%[J.-$") -- without what removes the six lines at the end
      assert.are.equal(7, #rows, table.concat(rows, "\n"))
      assert.are.equal("a note", rows[1])
      contains(rows[3], "of 40")
      contains(rows[6], "under way 3 of 3")
      for _, row in ipairs(rows) do
        assert.is_true(letters.width(row) < columns)
      end
    end
  end)

  it("they are removed at the end", function()
    local text = screen(80, "progress() task.sleep(0.6) progress() V:close() print 'over'")
    contains(text, "under way 3 of 3")
    assert.are.same({ "over" }, screen_of(text))
  end)

  it("hostile texts do not reach the terminal", function()
    local text = screen(200, TURNS, "a\27[31m\u{202E}\7b")
    assert.is_nil(text:find "\27%[31m")
    assert.is_nil(text:find("\u{202E}", 1, true) or text:find "\7")
    contains(text, "\\x1B[31m")
  end)
end)

describe("Without a terminal", function()
  it("a failure is a short line, its advice comes once, and JSON has the whole message", function()
    local happened = 'C-MOVE SCU to AET "PACS" has failed with DIMSE status 0xC000 (unable to process - resource not found ?)'
    local advice = "the modality cannot process the move; an Orthanc says so when it no longer has the resource: check these"
    local message = ("the exchange with the remote modality failed: %s (HTTP 422, OrthancStatus 9); %s"):format(happened, advice)
    local code = ("failure %q failure %q V:line()"):format(message, message)
    local result = run("terminal = {}", code)
    local words = "DIMSE status 0xC000 (unable to process - resource not found ?)"
    local line = "failed 1.2.840.113619.2.55.3.604688119.971.1000011: " .. words .. "\n"
    contains(result.err, line .. "  " .. words .. ": " .. advice .. "\n" .. line)
    assert.are.same({ 1, 0 }, { select(2, result.err:gsub("an Orthanc says so", "")), result.status })
    local path = os.tmpname()
    result = run(("terminal = {}, json = true, log = %q"):format(path), code)
    assert.are.equal(2, select(2, result.out:gsub("OrthancStatus 9%); the modality cannot process the move", "")))
    assert.are.equal(1, select(2, served.read_file(path):gsub("an Orthanc says so", "")))
    os.remove(path)
  end)

  it("there is a line when it begins, one a minute, and one for each failure", function()
    local result = run("terminal = {}", [[
      for i = 1, 5 do
        progress()
      end
      failure "the first"
      failure "the second\nwith a line end"
      V:tell { event = "wait", side = "to", since = L:now(), reason = "refused" }
      V:tell { event = "wait", side = "to", since = L:now(), reason = "refused" }
      V:tell { event = "wait" }
      V:line()]])
    assert.are.equal(0, result.status, result.err)
    local lines = {}
    for line in result.err:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    assert.are.equal(7, #lines, result.err)
    contains(lines[1], "pacs → archive")
    contains(lines[2], "8 of 40 studies; 2 failed")
    local key = "1.2.840.113619.2.55.3.604688119.971.1000011"
    assert.are.same({ "failed " .. key .. ": the first", "failed " .. key .. ": the second\\nwith a line end" }, { lines[3], lines[4] })
    contains(lines[5], "waiting for archive since ")
    assert.are.equal("the wait is over", lines[6])
    contains(lines[7], "8 of 40 studies; 2 failed")
    assert.are.equal("", result.out)
  end)

  it("a script sees nothing, unless it asks for progress", function()
    local code = "progress() failure 'x' V:tell { event = 'note', message = 'y' }"
    local result = run("", code)
    assert.are.same({ "", "", 0 }, { result.out, result.err, result.status })
    contains(run("progress = true", code).err, "failed 1.2.840")
  end)
end)

describe("JSON lines", function()
  local CODE <const> = [[
    V:tell { event = "slice", kind = "date", first = "19980101", last = "19981231", answers = 12, proof = "below" }
    V:tell { event = "begin", item = L.claimed[1] }
    progress()
    progress()
    failure "text\27[2J"
    V:tell { event = "window", open = false, ["until"] = 1795900000000 }
    V:tell { event = "window", open = true, ["until"] = math.huge }
    V:tell { event = "end_item", item = L.claimed[1], state = "done" }
    V:tell { event = "end", summary = { state = "finished" } }]]

  local function rows_of(options, environment)
    local result = run("json = true, terminal = {}, " .. options, CODE, environment)
    assert.are.same({ "", 0 }, { result.err, result.status })
    local rows = {}
    for line in result.out:gmatch "([^\n]*)\n" do
      rows[#rows + 1] = assert(json.decode(line))
    end
    return rows, result.out
  end

  it("are an object each, of the six kinds", function()
    local rows = rows_of ""
    local events = {}
    for i, row in ipairs(rows) do
      events[i] = row.event
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%dZ$", row.time)
    end
    assert.are.same({ "start", "slice", "progress", "failure", "wait", "wait", "end" }, events)
    assert.are.same({ "pacs", "archive" }, { rows[1].from, rows[1].to })
    assert.are.equal("19980101", rows[2].first)
    assert.are.same({ 8, 3, 3, true }, { rows[3].items.done, #rows[3].under_way, rows[3].items.sending, rows[3].complete })
    assert.are.same({ "1.2.840.113619.2.55.3.604688119.971.1000011", "0xA900", "text\\x1B[2J" }, { rows[4].key, rows[4].reason,
      rows[4].message })
    assert.are.same({ "hours", "2026-11-28T21:06:40Z" }, { rows[5].side, rows[5]["until"] })
    assert.is_nil(rows[6].side)
    assert.are.equal("finished", rows[7].summary.state)
  end)

  it("have UIDs only, unless names are asked for", function()
    local _, out = rows_of ""
    assert.is_nil(out:find("P0000", 1, true) or out:find("A0000", 1, true) or out:find("Thorax", 1, true))
    local rows = rows_of "names = true"
    assert.are.same({ "P000011", "A000011" }, { rows[4].patient_id, rows[4].accession })
  end)

  it("are JSON whatever the names are", function()
    for _, hostile in ipairs { "\\\"</script>\27[2J", "\u{202E}a" } do
      assert.are.equal(7, #rows_of("names = true", "HOSTILE=" .. command.quote(hostile)))
    end
  end)

  it("are given to a script's function as tables", function()
    local result = run("progress = function(p) print(p.event, p.key, p.items and p.items.done) end", CODE)
    assert.are.equal(0, result.status, result.err)
    contains(result.out, "progress\tnil\t8\nprogress\tnil\t8\nfailure\t1.2.840.113619.2.55.3.604688119.971.1000011\tnil\n")
    assert.are.equal("", result.err)
  end)
end)

describe("The log", function()
  it("is a file to which lines with their time are added, or a function", function()
    local path = command.file "before\n"
    for _ = 1, 2 do
      local result = run(("log = %q"):format(path), "failure 'the reason\27[2J'")
      assert.are.same({ "", "", 0 }, { result.out, result.err, result.status })
    end
    local file <close> = assert(io.open(path))
    local text = file:read "a"
    os.remove(path)
    assert.are.equal("before\n", text:sub(1, 7))
    local _, n = text:gsub("\n%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d failed 1%.2%.[%d.]+: the reason\\x1B%[2J", "")
    assert.are.equal(2, n)
    contains(run("log = print", "failure 'x'").out, " failed 1.2.840")
  end)

  it("and the metrics must be in a place that can be written", function()
    local messages = { log = "the log cannot be written: /nowhere/at/all: No such file or directory",
      metrics = "the metrics '/nowhere/at/all' cannot be written: No such file or directory" }
    for name, message in pairs(messages) do
      assert.are.same({ n = 2, [2] = message }, table.pack(view.new { [name] = "/nowhere/at/all" }))
    end
  end)
end)

describe("The metrics", function()
  -- Reads the text format of Prometheus: { [name] = { [labels] = value } }. Asserts that each metric has its help and type, once.
  local function read_metrics(text)
    local found, typed = {}, {}
    for line in text:gmatch "([^\n]*)\n" do
      local kind, name = line:match "^# (%u+) ([%a_:][%w_:]*) "
      if kind == "TYPE" then
        assert.is_nil(typed[name])
        typed[name] = true
        contains(line, " gauge")
      elseif not kind then
        local labels, value
        name, labels, value = line:match '^([%a_:][%w_:]*){(.*)} (%S+)$'
        assert.is_true(typed[name], line)
        local rest = labels:gsub('[%a_]+="([^"\\]*)",?', ""):gsub('[%a_]+="', "")
        assert.is_nil(rest:gsub("\\\\", ""):gsub('\\"', ""):find '\\', line)
        found[name] = found[name] or {}
        found[name][labels] = assert(tonumber(value), line)
      end
    end
    return found
  end

  it("are a file that appears complete, with the numbers of the ledger", function()
    local path = os.tmpname()
    local result = run(("metrics = %q"):format(path), ("progress() assert(not io.open(%q))"):format(path .. ".part"))
    assert.are.equal(0, result.status, result.err)
    local file <close> = assert(io.open(path))
    local found = read_metrics(file:read "a")
    os.remove(path)
    local items = {}
    for labels, value in pairs(found.modalua_transfer_items) do
      items[labels:match 'state="(%a+)"'] = value
    end
    assert.are.same({ todo = 27, sending = 3, sent = 0, done = 8, present = 0, failed = 2, unknown = 0 }, items)
    for name, value in pairs { complete = 1, found_all = 1, under_way = 3, open = 1, paused = 0, waiting = 0, unproven = 0 } do
      assert.are.equal(value, select(2, next(found["modalua_transfer_" .. name])), name)
    end
  end)

  it("replace the file in one step", function()
    local path = command.file "old"
    local old <close> = assert(io.open(path))
    assert(metrics.write(path, "new\n"))
    assert.are.equal("old", old:read "a") -- a reader that has it open reads on
    local new <close> = assert(io.open(path))
    assert.are.equal("new\n", new:read "a")
    os.remove(path)
    assert.is_nil(io.open(path .. ".part"))
  end)

  it("have labels that stay labels, whatever the ledger is called", function()
    for _, name in ipairs { 'a"b', "a\\", "a\nb", 'x"} 1\nevil{a="', "\27[2J", "\xFF" } do
      local found = read_metrics(metrics.text(facts_of { name = name }))
      assert.is_not_nil(found.modalua_transfer_items)
      assert.is_nil(found.evil)
    end
  end)

  it("are given to a function", function()
    contains(run("metrics = io.write", "progress()").out, "# TYPE modalua_transfer_items gauge\n")
  end)
end)
