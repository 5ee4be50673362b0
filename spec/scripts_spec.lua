-- Tests the recipes: each runs without arguments in the playground, where it has values for that, and by options with other servers.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local dcmtk = require "spec.support.dcmtk"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local playground = require "spec.support.playground"
local served = require "spec.support.served"
local transfer = require "modalua.transfer"
local worklists = require "spec.support.worklists"

local contains = expect.contains

-- The twelve recipes, and the scripts that are no recipes. Code lines: those that are neither blank nor comments.
local RECIPES = { "echo_all", "find_studies", "pull_cohort", "nightly_prefetch", "prefetch_priors", "route_stable_studies",
  "worklist_table", "compare_archives", "anonymise_and_send", "upload_folder", "export_zip", "watch_jobs" }
local OTHERS = { "first_steps", "find_and_move", "migrate", "watch_modalities" }
local LEAST_LINES, MOST_LINES = 15, 40
local LONGER = { echo_all = 82, pull_cohort = 46, prefetch_priors = 53, route_stable_studies = 128, find_studies = 41 }

local function lines_of(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  return lines
end

describe("The recipes", function()
  it("are all scripts of the folder, but those that are no recipes", function()
    local names = {}
    for name in served.output_of "ls scripts/*.lua":gmatch "/([%w_]+)%.lua" do
      names[#names + 1] = name
    end
    local listed = table.move(OTHERS, 1, #OTHERS, #RECIPES + 1, table.move(RECIPES, 1, #RECIPES, 1, {}))
    table.sort(listed)
    assert.are.same(listed, names)
  end)

  for _, name in ipairs(RECIPES) do
    it(name .. " is short, and in the cookbook", function()
      local code = 0
      for line in served.read_file("scripts/" .. name .. ".lua"):gmatch "[^\n]*" do
        code = code + (line:find "^%s*%-%-" and 0 or line:find "%S" and 1 or 0)
      end
      assert.is_true(code >= LEAST_LINES and code <= (LONGER[name] or MOST_LINES), name .. " has " .. code .. " lines")
      contains(served.read_file "scripts/README.md", "scripts/" .. name .. ".lua")
    end)
  end
end)

describe("The scripts", function()
  for _, name in ipairs(table.move(OTHERS, 2, #OTHERS, #RECIPES + 1, table.move(RECIPES, 1, #RECIPES, 1, {}))) do -- but first_steps
    it(name .. " explains its arguments, and refuses others", function()
      local result = command.run("scripts/" .. name .. ".lua", "--help")
      assert.are.same({ "", 0 }, { result.err, result.status })
      assert.matches("^Usage: modalua scripts/" .. name .. "%.lua .*%-%-dry%-run +only says what it would do\n", result.out)
      result = command.run("scripts/" .. name .. ".lua", "--dry-rnu")
      assert.are.same({ "", name .. ": unknown option '--dry-rnu'; did you mean '--dry-run'?\n`modalua scripts/" .. name
        .. ".lua --help` explains the arguments\n", 2 }, { result.out, result.err, result.status })
    end)
  end
end)

describe("first_steps", function()
  it("sends an echo, finds, moves, and shows an error", function()
    local result = command.run("playground", "scripts/first_steps.lua")
    assert.are.same({ "", 0 }, { result.err, result.status })
    for _, line in ipairs { "archive answers %(AET ARCHIVE, 127.0.0.1:%d+%)", "pacs answers %(AET PACS, ", "pacs has 3 studies of a chest:",
      "\t20201224\tCR\tLindström^Åsa\tChest PA", "the archive itself counts 3 studies, 5 instances",
      "as expected: find .*ModalitiesInStudy" } do
      assert.matches(line, result.out)
    end
  end)

  it("does nothing outside of the playground", function()
    local result = command.run("-u", "http://127.0.0.1:1", "scripts/first_steps.lua")
    assert.are.same({ "", "this script moves studies, and is only for the playground: modalua playground scripts/first_steps.lua\n", 2 },
      { result.out, result.err, result.status })
  end)
end)

describe("In the playground, without arguments,", function()
  for name, line in pairs { find_and_move = "3 of 3 studies moved from pacs to archive\n",
    nightly_prefetch = "\nfinished: 3 sent\n",
    prefetch_priors = "will move 3 priors from pacs to archive\n",
    worklist_table = "  101500  CT        CT1",
    pull_cohort = "\nfinished: 1 sent, lines of the list: 1 NOT FOUND: see " } do
    it(name .. " runs", function()
      local result = command.run("playground", "scripts/" .. name .. ".lua")
      contains(result.out .. result.err, line)
    end)
  end
end)

describe("With the servers of a user,", function()
  local play, folder, ris, directory

  setup(function()
    folder = worklists.folder { { PatientID = "MOD-0002", Modality = "CT", Date = "20260102" },
      { PatientID = "MOD-0003", Modality = "CR", Date = "20260102" }, { PatientID = "MOD-0001", Modality = "CT", Date = "20260103" },
      { PatientID = "MOD*", Modality = "US", Date = "20260102" } }
    ris = dcmtk.wlmscpfs { aet = "WORKLIST", path = folder.path }
    play = playground.start()
    assert(play.servers["local"]:put("/modalities/ris", ris:modality()))
    directory = served.folder "recipes"
  end)

  teardown(function()
    for _, thing in ipairs { play, ris, folder } do
      thing:close()
    end
    served.output_of("exec rm -rf " .. served.quoted { directory })
  end)

  before_each(function()
    archive.empty(play.servers.archive)
    archive.empty(play.servers["local"])
  end)

  local function run(script, ...)
    return play:shell(('export MODALUA_TODAY=2026-01-01; "$M" %s'):format(command.quote("scripts/" .. script .. ".lua", ...)))
  end

  local function count(server)
    return #assert(play.servers[server]:get "/studies")
  end

  -- Runs a script with --dry-run: it prints one line on standard error that says so, and nothing has moved.
  local function would(what, script, ...)
    local result = run(script, "--dry-run", ...)
    contains(result.err, script .. ": would " .. what .. "\n")
    assert.are.same({ 0, 0 }, { result.status, count "archive" }, result.err)
    return result
  end

  local PAIR = { "--from", "pacs", "--to", "archive" }

  local function with_pair(...)
    local words = table.move(PAIR, 1, 4, 1, {})
    return table.unpack(table.move({ ... }, 1, select("#", ...), 5, words))
  end

  it("a script without its options says what is needed", function()
    for name, option in pairs { pull_cohort = "--from", find_and_move = "--from", nightly_prefetch = "--worklist",
      upload_folder = "--folder", route_stable_studies = "--rules" } do
      local result = run(name, table.unpack(name == "find_and_move" and { "PatientID=1" } or {}))
      assert.are.same({ "", 2 }, { result.out, result.status })
      assert.matches("^" .. name .. ": " .. option:gsub("%-", "%%-") .. " %u+ is needed: ", result.err)
    end
    for words, message in pairs { ["PatientID="] = "'PatientID=' has no value", [""] = "no filter is given, such as PatientID=4711",
      ["StudyDate=31.1.2024"] = "StudyDate = '31.1.2024': write 2024-01-31",
      ["--max 0 PatientID=1"] = "'0' is not a whole number above 0" } do
      local result = play:shell('"$M" scripts/find_and_move.lua --from pacs --to archive ' .. words)
      assert.are.same({ "", 2 }, { result.out, result.status })
      contains(result.err, "find_and_move: ")
      contains(result.err, message)
    end
  end)

  it("say in one line which argument is wrong, and end with status 2", function()
    for _, case in ipairs {
      { "migrate --ledger @/l --from pacs --to archive --hours nonsense PatientID=1", "hours: there is no day 'nonsense'" },
      { "migrate --ledger @/l --from pacs --to archive --concurrency 0 PatientID=1", "option 'concurrency' must be a whole number" },
      { "migrate --ledger @/l --from pacs --to archive", "'query' or 'items' is needed" },
      { "migrate --ledger @/l --from pacs --to archive Modality=CT", "Modality is not a Study-level attribute" },
      { "migrate --ledger @/l --from pacs --to pacs PatientID=1", "'from' and 'to' are the same: the modality 'pacs'" },
      { "migrate --ledger @/l --from pacs --to nosuch PatientID=1", "the server knows no modality 'nosuch'" },
      { "migrate --ledger @/none/l --from pacs --to archive PatientID=1", "the ledger '@/none/l' cannot be opened" },
      { "migrate --ledger @ --from pacs --to archive PatientID=1", "'@' is a folder" },
      { "nightly_prefetch --worklist nosuch --from pacs --to archive --ledger @/l",
        "/modalities/nosuch/find-worklist: the server knows no modality" },
      { "nightly_prefetch --worklist ris --from pacs --to archive --ledger @/l --date 2026-01-02 --hours 7",
        "hours: '7' is not understood" },
      { "nightly_prefetch --worklist ris --from pacs --to archive --ledger @/none/l --date 2026-01-02",
        "the ledger '@/none/l-2" },
      { "nightly_prefetch --worklist ris --from pacs --to archive --date 2024-02-30", "there is no day 2024-02-30" },
      { "pull_cohort --from pacs --to archive --list @/none.csv --result @/r", "'@/none.csv': No such file or directory" },
      { "pull_cohort --from pacs --to archive --list @ --result @/r", "'@': Is a directory" },
      { "pull_cohort --from pacs --to archive --list scripts/cohort.csv --column AccessionNumber --result @/none/r",
        "the ledger '@/none/r.ledger' cannot be opened" },
      { "pull_cohort --from '' --to archive --list scripts/cohort.csv --result @/r", "--from: the value is empty" },
      { "prefetch_priors --worklist ris --from nosuch --to archive --date 2026-01-02",
        "/modalities/nosuch/query: the search for 1 of 1 values failed" },
      { "prefetch_priors --worklist ris --from pacs --to archive --priors 0", "--priors: '0' is not a whole number above 0" },
      { "find_and_move --from pacs --to nosuch PatientID=MOD-0002", "the server knows no modality 'nosuch' to send to" },
      { "find_and_move --from pa/cs --to archive PatientID=1", "'pa/cs' is not a valid name" },
      { "find_and_move --from pacs --to archive 'PatientID=?*' 'PatientName=*'", "'PatientID=?* PatientName=*' would match everything" },
      { "find_and_move --from pacs --to archive PatientID=", "'PatientID=' has no value and would match everything" },
      { "find_and_move --from pacs --to archive PatientID", "'PatientID' is not Tag=Value" },
      { "find_and_move --from pacs --to archive PatientNam=X", "PatientNam is no DICOM keyword" },
      { "find_studies --from pacs --output @/none/x PatientID=1", "--output: '@/none/x' cannot be written: No such file or directory" },
      { "find_studies --from pacs --output /dev/full PatientID=1", "--output: '/dev/full' cannot be written: it is a device or a pipe" },
      { "compare_archives --from pacs --to nosuch PatientID=1", "/modalities/nosuch/query: the server knows no modality" },
      { "anonymise_and_send --from pacs --to nosuch PatientID=1", "/modalities/nosuch/configuration: the server knows no modality" },
      { "export_zip NoTag=1", "Unknown DICOM tag" },
      { "upload_folder --folder scripts --journal @/none/x", "--journal: @/none/x: No such file or directory" },
      { "worklist_table --worklist ris --modality c,t", "ScheduledProcedureStepSequence[1].Modality = 'c,t'" },
      { "echo_all --metrics @/none/x", "--metrics: @/none/x.new: No such file or directory" },
      { "watch_modalities --only pacs,nosuch --rounds 1", "--only: the server knows no modality 'nosuch'" },
      { "watch_modalities --rounds 1 --metrics @/none/x", "--metrics: '@/none/x' cannot be written: No such file or directory" },
      { "watch_modalities --rounds 0", "--rounds: a whole number above 0 is expected" },
      { "watch_jobs --every fast", "--every: 'fast' is not a whole number above 0" },
      { "route_stable_studies --rules @/none --place @/p", "cannot open @/none" },
      { "route_stable_studies --rules scripts/cohort.csv --place @/p", "syntax error" },
    } do
      local line, message = case[1]:gsub("@", directory), case[2]:gsub("@", directory)
      local result = play:shell('"$M" scripts/' .. line:gsub(" ", ".lua ", 1))
      local own, advice = result.err:match "([^\n]*)\n(`modalua scripts/[%w_]+%.lua %-%-help` explains the arguments)\n$"
      assert.are.same({ 2, true }, { result.status, advice ~= nil }, line .. "\n" .. result.err)
      assert.are.equal(line:match "^[%w_]+" .. ": ", own:match "^[%w_]+: ")
      contains(own, message)
      assert.is_nil(result.err:find("traceback", 1, true), result.err)
    end
    assert.are.equal(0, count "archive")
  end)

  it("say in one line what failed, and show a traceback for a fault of the script", function()
    local result = run("export_zip", "--folder", directory .. "/none", "--from", "pacs", "AccessionNumber=A100801")
    assert.are.equal(1, result.status)
    assert.matches("^[^\n]+\nexport_zip: download /studies/[^\n]+/none/2%.25%.%d+%.zip' cannot be [^\n]+\n$", result.err)
    result = command.run("-u", "http://127.0.0.1:1", "scripts/find_and_move.lua", "--from", "pacs", "--to", "archive", "PatientID=1")
    assert.are.equal(1, result.status)
    assert.matches("^find_and_move: find /modalities/pacs/query: http://127%.0%.0%.1:1: no connection could be made [^\n]+\n$", result.err)
    local path = directory .. "/fault.lua"
    for code, message in pairs { ["print(nothing.x)"] = "attempt to index a nil value",
      ["assert(options.from ~= 'pacs', 'Rules of pacs are missing: No such file')"] = "Rules of pacs are missing: No such file",
      ["error 'run: pacs: option from'"] = "run: pacs: option from" } do
      served.write_file(path, 'local modalua, arguments = require "modalua", require "modalua.arguments"\n'
        .. 'local options <close> = arguments.read { about = "x", { "--from NAME", "x" } }\nlocal orthanc = modalua.connect()\n' .. code)
      result = play:shell('"$M" ' .. path .. " --from pacs")
      assert.are.equal(1, result.status)
      contains(result.err, "modalua: " .. path .. ":4: ")
      contains(result.err, message)
      contains(result.err, "\nstack traceback:\n")
    end
    served.write_file(path, served.read_file(path):gsub("[^\n]*$", "orthanc:modality(options.from):find { Levle = 1 }"))
    result = play:shell('"$M" ' .. path .. " --from pacs")
    assert.are.same({ 2, "fault: unknown key 'Levle'; did you mean 'Level'? (" .. path .. ":4)\n`modalua " .. path
      .. " --help` explains the arguments\n" }, { result.status, result.err })
  end)

  it("echo_all prints a table, a line for Nagios, and a file for Prometheus", function()
    local result = run("echo_all", "--metrics", directory .. "/metrics")
    assert.are.same({ "", 0 }, { result.err, result.status })
    assert.matches("^archive +%d+ ms  answers\npacs +%d+ ms  answers\nris +%d+ ms  answers\n$", result.out)
    assert.matches('^modalua_server_up 1\nmodalua_modality_up{name="archive"} 1\nmodalua_modality_answer_seconds{name="archive"} [%d.]+\n',
      served.read_file(directory .. "/metrics"))
    result = run("echo_all", "--nagios")
    assert.matches("^OK %- 3 of 3 modalities answer | 'archive'=[%d.]+s 'pacs'=[%d.]+s 'ris'=[%d.]+s\n$", result.out)
  end)

  it("echo_all fails when a modality is silent", function()
    local client = play.servers["local"]
    assert(client:put("/modalities/dead", { AET = "DEAD", Host = "127.0.0.1", Port = 1 }))
    local path = directory .. "/of_a_silent_one"
    local table_, nagios = run("echo_all", "--metrics", path), run("echo_all", "--nagios")
    local chosen = { run("echo_all", "--nagios", "--except", "dead,nosuch"), run("echo_all", "--nagios", "--only", "pacs,archive"),
      run("echo_all", "--nagios", "--only", "pacs,dead") }
    assert(client:delete "/modalities/dead")
    assert.are.same({ 1, 2, 0, 0, 2 }, { table_.status, nagios.status, chosen[1].status, chosen[2].status, chosen[3].status })
    assert.matches("\ndead +silent  the exchange with the remote modality failed: ", table_.out)
    local metrics = served.read_file(path)
    contains(metrics, 'modalua_modality_up{name="dead"} 0\n')
    assert.is_nil(metrics:find('answer_seconds{name="dead"}', 1, true))
    assert.matches("^CRITICAL %- 3 of 4 modalities answer; silent: dead %(TCP Initialization Error: Connection refused%) | "
      .. "'archive'=[%d.]+s 'pacs'=[%d.]+s 'ris'=[%d.]+s\n$", nagios.out)
    assert.matches("^OK %- 3 of 3 modalities answer | ", chosen[1].out)
    assert.matches("^OK %- 2 of 2 modalities answer | 'archive'=[%d.]+s 'pacs'=[%d.]+s\n$", chosen[2].out)
    assert.matches("^CRITICAL %- 1 of 2 modalities answer; silent: dead %(.+%) | 'pacs'=[%d.]+s\n$", chosen[3].out)
  end)

  it("echo_all says UNKNOWN to Nagios when it cannot ask", function()
    for given, message in pairs { ["--only pacs,nosuch"] = "--only: the server knows no modality 'nosuch'",
      ["--except pacs,archive,ris"] = "there is no modality to ask", ["--timeout fast"] = "--timeout: 'fast' is not a whole number above 0",
      ["--what"] = "unknown option '--what'",
      ["--metrics " .. directory .. "/none/x"] = "--metrics: " .. directory .. "/none/x.new: No such" } do
      local result = play:shell('"$M" scripts/echo_all.lua --nagios ' .. given)
      assert.are.same({ "", 3 }, { result.err, result.status })
      contains(result.out, "UNKNOWN - " .. message)
    end
  end)

  it("echo_all says what the server refuses", function()
    local result = play:shell 'MODALUA_PASSWORD=wrong "$M" scripts/echo_all.lua --nagios'
    assert.are.same({ "", 2 }, { result.err, result.status })
    contains(result.out, "CRITICAL - the server gives no modalities: the server refuses the credentials (HTTP 401)")
  end)

  it("echo_all is critical, and its file says so, when the server does not answer", function()
    local path = directory .. "/of_no_server"
    served.write_file(path, 'modalua_modality_up{name="pacs"} 1\n')
    local result = command.run("-u", "http://127.0.0.1:1", "scripts/echo_all.lua", "--nagios", "--metrics", path)
    assert.are.same({ "", 2, "modalua_server_up 0\n" }, { result.err, result.status, served.read_file(path) })
    assert.matches("^CRITICAL %- the server does not answer: http://127%.0%.0%.1:1: no connection could be made [^\n]+\n$", result.out)
    result = command.run("-u", "http://127.0.0.1:1", "scripts/echo_all.lua")
    assert.are.same({ "", 1 }, { result.out, result.status })
    contains(result.err, "http://127.0.0.1:1: no connection could be made")
  end)

  it("find_studies writes CSV", function()
    local path = directory .. "/studies.csv"
    local result = run("find_studies", "--from", "pacs", "--output", path, "PatientName=SMITH*", "StudyDate=2020-01-01..",
      "ModalitiesInStudy=CT")
    assert.are.same({ "", 0 }, { result.out, result.status })
    assert.matches("^2 studies\nwarning: .*DefaultEncoding", result.err)
    local lines = lines_of(served.read_file(path))
    assert.are.equal(3, #lines)
    assert.are.equal("20200115,MOD-0002,SMITH^JOHN^A^DR,CT,A100102,CT CHEST W CONTRAST,2.25.2718281828459045235360287471040000", lines[2])
    contains(run("find_studies", "--from", "pacs", "Modality=CT").err, "Use ModalitiesInStudy.")
    assert.are.equal(2, run("find_studies", "--from", "nosuch", "--output", path, "PatientID=1").status)
    assert.are.same(lines, lines_of(served.read_file(path)), "a search that fails leaves the file of an earlier one")
    assert.are.equal(2, run("find_studies", "--from", "nosuch", "--output", path .. ".none", "PatientID=1").status)
    assert.is_nil((io.open(path .. ".none")), "a search that fails makes no file")
  end)

  it("find_and_move says UNKNOWN when nothing tells whether a study was moved", function()
    local QUERY <const> = "01234567-0123-0123-0123-0123456789ab"
    local function answers(path, value)
      return { path = path, to = faultd.route("/status", { code = 200, body = json.encode(value) }) }
    end
    local server <close> = faultd.start { -- luacheck: ignore
      answers("/system", { Version = "1.12.7" }),
      answers("/modalities", { archive = { AET = "ARCHIVE", Host = "127.0.0.1", Port = 1 } }),
      answers("/modalities/pacs/query", { ID = QUERY, Path = "/queries/" .. QUERY }),
      answers("/queries/" .. QUERY .. "/answers", { { StudyInstanceUID = "1.2.3", QueryRetrieveLevel = "STUDY", PatientID = "1" } }),
      { path = "/modalities/pacs/move", to = faultd.route "/drop" },
    }
    local result = command.run("-u", server.url, "scripts/find_and_move.lua", "--from", "pacs", "--to", "archive", "PatientID=1")
    assert.are.equal(1, result.status, result.err)
    assert.matches("^UNKNOWN\t\t\t\t1%.2%.3\t[^\n]+; whether the server has carried it out is not known\n", result.out)
  end)

  it("find_and_move moves each study, but not more than --max", function()
    would("move 3 studies from pacs to archive", "find_and_move", with_pair "PatientName=SMITH*")
    local few = run("find_and_move", with_pair("--max", "2", "PatientName=SMITH*"))
    assert.are.same({ 1, 0 }, { few.status, count "archive" })
    local result = run("find_and_move", with_pair "PatientName=SMITH*")
    assert.are.same({ "find_and_move: will move 3 studies from pacs to archive\n", 0 }, { result.err, result.status })
    assert.are.equal(3, select(2, result.out:gsub("moved\t%d+\tSMITH", "")))
    assert.are.equal(3, count "archive")
    assert.are.same({}, play.servers["local"]:queries())
  end)

  it("find_and_move fails when a study was not moved", function()
    assert(play.servers["local"]:put("/modalities/dead", { AET = "DEAD", Host = "127.0.0.1", Port = 1 }))
    local result = run("find_and_move", "--from", "pacs", "--to", "dead", "PatientName=SMITH*")
    assert(play.servers["local"]:delete "/modalities/dead")
    assert.are.equal(1, result.status)
    assert.are.equal(3, select(2, result.out:gsub("FAILED\t", "")))
  end)

  describe("pull_cohort", function()
    -- Runs the script with a list of this content. Returns the result of the command, and the text of the result.
    local function pull(list, ...)
      local path = directory .. "/list"
      served.write_file(path, list)
      os.remove(path .. ".result.ledger")
      local result = run("pull_cohort", with_pair("--list", path, "--result", path .. ".result", ...))
      local file = io.open(path .. ".result")
      local text = file and file:read "a"
      if file then
        file:close()
        os.remove(path .. ".result")
      end
      return result, text and text:gsub("\r\n", "\n")
    end

    it("moves what the lines name, and writes the outcome of each line", function()
      local LIST = '\u{feff}note;AccessionNumber\r\n"a; b";A100801\r\nx;NOSUCH\r\nx; A100801\r\nx;\r\nx;A100702\r\nx;A1*\r\n\r\n'
      local result, text = pull(LIST, "--column", "AccessionNumber", "--dry-run")
      contains(result.err, "pull_cohort: would move the studies that ")
      contains(text, "\n1,A100801,A100801,OPEN,")
      assert.are.equal(0, count "archive")
      result, text = pull(LIST, "--column", "AccessionNumber")
      assert.are.equal(1, result.status, result.err)
      local outcomes = {}
      for value, outcome in text:gmatch "\n%d+,([^,]*),[^,]*,([A-Z ]+)," do
        outcomes[#outcomes + 1] = value .. ":" .. outcome
      end
      assert.are.same({ "A100801:SUCCESS", "NOSUCH:NOT FOUND", " A100801:SUCCESS", ":INVALID", "A100702:AMBIGUOUS", "A1*:INVALID" },
        outcomes)
      contains(result.err, "finished: 1 sent, lines of the list: 1 NOT FOUND, 1 AMBIGUOUS, 2 INVALID: see ")
    end)

    it("ends in good order when it is stopped, and goes on by the same command", function()
      local settings = assert(play.servers["local"]:get "/modalities/archive/configuration")
      local dead = json.decode(json.encode(settings))
      dead.Port = 1 -- what is sent fails, and is tried again later
      assert(play.servers["local"]:put("/modalities/archive", dead))
      for _, signal in ipairs { "INT", "TERM" } do
        local list = directory .. "/stopped" .. signal
        served.write_file(list, "AccessionNumber\nA100801\n")
        local words = { with_pair("--list", list, "--result", list .. ".csv") }
        local line = command.quote("scripts/pull_cohort.lua", table.unpack(words))
        -- the table is there while the script runs; then the script gets the signal
        local result = play:shell(([["$M" %s & until grep -q OPEN %s 2>/dev/null; do sleep 0.1; done; kill -%s $!; wait $!]]):format(line,
          command.quote(list .. ".csv"), signal))
        contains(result.err, "\nstopping: what is under way is finished first (Ctrl-C again cancels it); later, the same command goes on\n")
        contains(result.err, "\nstopped: 0 sent, 1 left: see " .. list .. ".csv\n")
        assert.are.equal(1, result.status)
        contains(served.read_file(list .. ".csv"), "1,A100801,A100801,OPEN,")
      end
      assert(play.servers["local"]:put("/modalities/archive", settings))
      local result = run("pull_cohort", with_pair("--list", directory .. "/stoppedINT", "--result", directory .. "/stoppedINT.csv"))
      assert.are.equal(0, result.status, result.err)
      contains(result.err, "\nfinished: 1 sent: see ")
    end)

    it("adds the lines that are new on a list, with --add", function()
      local list = directory .. "/growing"
      served.write_file(list, "AccessionNumber\nA100801\n")
      local words = { with_pair("--list", list, "--result", list .. ".csv") }
      assert.are.equal(0, run("pull_cohort", table.unpack(words)).status)
      served.write_file(list, "AccessionNumber\nNOSUCH\nA100801\n")
      local result = run("pull_cohort", table.unpack(words))
      assert.are.equal(2, result.status)
      contains(result.err, "a list that was changed needs a new ledger (what the destination has is not sent again), or add = true")
      words[#words + 1] = "--add"
      result = run("pull_cohort", table.unpack(words))
      assert.are.equal(1, result.status)
      contains(result.err, "\nfinished: 1 sent (0 of them in this run), lines of the list: 1 NOT FOUND: see ")
    end)

    it("succeeds when each line has its study, also for values without a head", function()
      local result, text = pull("A100801\n", "--column", "AccessionNumber")
      assert.are.equal(0, result.status, result.err)
      assert.matches("^[^\n]*\n1,A100801,A100801,SUCCESS,,2%.25%.%d+,%d+\n$", text)
    end)

    it("refuses a list without the column", function()
      local result, text = pull("one,two\n1,2\n", "--column", "AccessionNumber")
      assert.are.same({ 2, nil }, { result.status, text })
      contains(result.err, "there is no column 'AccessionNumber'; the columns are 'one', 'two'")
    end)
  end)

  it("nightly_prefetch brings all studies of tomorrow's patients, once", function()
    local words = { with_pair("--worklist", "ris", "--ledger", directory .. "/prefetch") }
    local function prefetch(...)
      local result = run("nightly_prefetch", ...)
      assert.are.equal(1, result.status, result.err) -- an entry has no PatientID that can be asked for
      return result.err
    end
    local text = prefetch("--dry-run", table.unpack(words))
    contains(text, "nightly_prefetch: would bring the studies of 3 scheduled patients from pacs to archive\n")
    contains(text, "\nfinished: 0 sent, 3 left, lines of the list: 1 INVALID\n")
    assert.are.equal(0, count "archive")
    contains(prefetch(table.unpack(words)), "\nfinished: 3 sent, lines of the list: 1 INVALID\n")
    assert.are.equal(3, count "archive")
    archive.empty(play.servers.archive)
    assert.matches("\nfinished before, at 2%d+%-%d+%-%d+T[%d:]+Z: 3 sent, lines of the list: 1 INVALID; this run sent nothing, and "
      .. "looked at nothing again\n", prefetch(table.unpack(words)))
    assert.are.equal(0, count "archive")
    contains(served.read_file(directory .. "/prefetch-20260102.csv"), "MOD*,,INVALID,")
  end)

  it("nightly_prefetch adds patients that are new on the worklist, and keeps those that were removed", function()
    local words = { with_pair("--worklist", "ris", "--ledger", directory .. "/changing") }
    local late <close> = worklists.folder { { PatientID = "MOD-0001", Modality = "CT", Date = "20260102" } }
    local function file(name)
      return folder.served .. "/" .. name
    end
    assert(os.rename(file "4.wl", file "4.away"))
    assert.are.equal(0, run("nightly_prefetch", table.unpack(words)).status)
    assert(os.rename(file "1.wl", file "1.away"))
    served.output_of("exec cp " .. served.quoted { late.served .. "/1.wl", file "0.wl" })
    finally(function()
      assert(os.rename(file "4.away", file "4.wl") and os.rename(file "1.away", file "1.wl"))
      os.remove(file "0.wl")
    end)
    local result = run("nightly_prefetch", table.unpack(words))
    assert.are.equal(0, result.status, result.err)
    assert.matches("\nfinished: 6 sent %(3 of them in this run%)\n", result.err)
    local lines = {}
    for line in served.read_file(directory .. "/changing-20260102.csv"):gmatch "\n%d+,([^,]+,[^,]*,[%u ]+)," do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.are.same({ "MOD-0001,MOD-0001,SUCCESS", "MOD-0002,MOD-0002,SUCCESS", "MOD-0003,MOD-0003,SUCCESS" }, lines)
  end)

  it("nightly_prefetch ends with its hours, and says that studies are left", function()
    local play_archive = assert(play.servers["local"]:get "/modalities/archive/configuration")
    local dead = json.decode(json.encode(play_archive))
    dead.Port = 1
    assert(play.servers["local"]:put("/modalities/archive", dead))
    finally(function() assert(play.servers["local"]:put("/modalities/archive", play_archive)) end)
    local before_six = 1767333570 -- 2026-01-02 05:59:30 UTC
    local result = play:shell(("export MODALUA_TODAY=2026-01-01 TZ=UTC MODALUA_TRANSFER_CLOCK=%d; \"$M\" %s"):format(before_six,
      command.quote("scripts/nightly_prefetch.lua", with_pair("--worklist", "ris", "--ledger", directory .. "/hours", "--hours",
        "19:00-06:00"))))
    assert.are.equal(1, result.status)
    contains(result.err, "\nstopped: 0 sent, 3 left, lines of the list: 1 INVALID\n")
  end)

  it("prefetch_priors brings the last studies of tomorrow's patients for a modality", function()
    local words = { with_pair("--worklist", "ris", "--modality", "CT", "--priors", "1") }
    local result = would("move 1 priors from pacs to archive", "prefetch_priors", table.unpack(words))
    assert.are.equal("todo\tMOD-0002\t20230322\t2.25.2718281828459045235360287471050000\t\n", result.out)
    result = run("prefetch_priors", table.unpack(words))
    assert.are.same({ 0, 1, "done\tMOD-0002\t20230322\t2.25.2718281828459045235360287471050000\t\n" },
      { result.status, count "archive", result.out })
    result = run("prefetch_priors", with_pair("--worklist", "ris"))
    assert.are.same({ 1, 3 }, { result.status, count "archive" })
    contains(result.out, "present\tMOD-0002\t20230322\t")
    contains(result.err, "the patient 'MOD*': ")
  end)

  it("worklist_table prints a worklist", function()
    would("ask ris for the worklist of 20260101", "worklist_table", "--worklist", "ris")
    local result = run("worklist_table", "--worklist", "ris", "--date", "tomorrow", "--modality", "CT")
    assert.matches("^date +time +Modality +station +PatientID [^\n]*\n20260102 +101500 +CT +ANY +MOD%-0002[^\n]*\n$", result.out)
    result = run("worklist_table", "--worklist", "ris", "--date", "2026-01-02..2026-01-03", "--csv")
    assert.are.equal(5, #lines_of(result.out))
    contains(play:shell('"$M" worklist ris PatientName=NOBODY').err, "a name is compared as a whole: PatientName='NOBODY*' finds those")
  end)

  it("compare_archives lists what is missing, as a list for pull_cohort", function()
    would("search pacs and archive, and compare", "compare_archives", with_pair("PatientName=SMITH*", "StudyDate=1990-01-01.."))
    assert.are.equal(0, run("find_and_move", with_pair "PatientID=MOD-0002").status)
    local result = run("compare_archives", with_pair("PatientName=SMITH*", "StudyDate=1990-01-01.."))
    assert.are.same({ 1, "1 of 3 studies are missing or incomplete at archive\n" }, { result.status, result.err })
    assert.matches("^StudyInstanceUID,[^\n]*\n2%.25%.2718281828459045235360287471060000,20240201,A100801,2,\n$", result.out)
    local path = directory .. "/missing.csv"
    served.write_file(path, result.out)
    result = run("pull_cohort", with_pair("--list", path, "--column", "StudyInstanceUID", "--result", path .. ".result"))
    assert.are.equal(0, result.status, result.err)
    assert.are.equal(0, run("compare_archives", with_pair("PatientName=SMITH*", "StudyDate=1990-01-01..")).status)
  end)

  it("anonymise_and_send sends copies without names, and keeps none", function()
    would("send anonymised copies of 2 studies from pacs to archive", "anonymise_and_send", with_pair "PatientID=MOD-0002")
    local result = run("anonymise_and_send", with_pair "PatientID=MOD-0002")
    assert.are.same({ 0, 2, 2 }, { result.status, count "archive", count "local" }, result.err)
    for _, study in ipairs(assert(play.servers.archive:get "/studies?expand")) do
      assert.are_not.equal("MOD-0002", study.PatientMainDicomTags.PatientID)
      contains(result.out, "\t" .. study.MainDicomTags.StudyInstanceUID .. "\n")
    end
  end)

  it("export_zip writes a file for each study", function()
    would(("write ZIP files of studies of pacs into %s"):format(directory), "export_zip", "--from", "pacs", "--folder", directory,
      "AccessionNumber=A100801")
    local result = run("export_zip", "--from", "pacs", "--folder", directory, "AccessionNumber=A100801")
    local path = directory .. "/2.25.2718281828459045235360287471060000.zip"
    assert.are.equal(0, result.status, result.err)
    assert.matches("^" .. path:gsub("%p", "%%%0") .. "\t%d+ bytes\n$", result.out)
    assert.are.equal(2, select(2, served.output_of("unzip -l " .. path):gsub("%.dcm", "")))
    assert.are.equal(0, run("export_zip", "--from", "pacs", "--folder", directory, "PatientName=SMITH*").status)
    result = run("export_zip", "--folder", directory, "--max", "1", "PatientName=SMITH*")
    assert.are.same({ "", 2 }, { result.out, result.status })
    contains(result.err, "\nexport_zip: --max: there are 3 studies, and at most 1 are written\n")
  end)

  it("upload_folder stores what is not stored yet", function()
    local source, journal = directory .. "/disc it's", directory .. "/journal"
    served.output_of("exec mkdir " .. served.quoted { source })
    served.write_file(source .. "/readme.txt", "no DICOM")
    for i, id in ipairs { "U1", "U2" } do
      local uid = "1.2.9." .. i
      served.write_file(source .. "/" .. id, archive.file { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID = uid .. ".1.1",
        SeriesInstanceUID = uid .. ".1", StudyInstanceUID = uid, PatientID = id, Modality = "OT" })
    end
    would("store 3 files from " .. source, "upload_folder", "--folder", source, "--journal", journal)
    assert.are.same({ 0, nil }, { count "local", (io.open(journal)) })
    local wrong = run("upload_folder", "--folder", directory .. "/nosuch")
    contains(wrong.err, "upload_folder: the folder cannot be read\n")
    assert.are.equal(2, wrong.status)
    local result = run("upload_folder", "--folder", source, "--journal", journal)
    assert.are.same({ 1, "2 files stored, 1 failed\n", 2 }, { result.status, result.out, count "local" })
    contains(result.err, source .. "/readme.txt: ")
    os.remove(source .. "/readme.txt")
    result = run("upload_folder", "--folder", source, "--journal", journal)
    assert.are.same({ 0, "upload_folder: will store 0 files from " .. source .. "\n" }, { result.status, result.err })
  end)

  it("watch_jobs calls for help when a job has failed", function()
    local client = play.servers["local"]
    local found <close> = assert(client:modality "pacs":find { Level = "Study", Query = { PatientID = "MOD-0001" } })
    local job = assert(client:modality "pacs":move(found, { TargetAet = "NOSUCH", Synchronous = false }))
    assert.is_nil(client:job(job):wait())
    local path = directory .. "/page"
    local result = run("watch_jobs", "--once", "--page", "cat >>" .. command.quote(path))
    assert.are.equal(1, result.status)
    contains(served.read_file(path), "job " .. job.ID .. " (DicomMoveScu): ")
    contains(result.out, served.read_file(path))
  end)

  it("migrate moves what a query finds, goes on with the ledger alone, and writes reports", function()
    local ledger = directory .. "/t.ledger"
    would("move from pacs to archive, and keep what is done in " .. ledger, "migrate", with_pair("--ledger", ledger, "PatientName=SMITH*"))
    local words = { with_pair("--ledger", ledger, "--concurrency", "2", "PatientName=SMITH*") }
    local result = run("migrate", table.unpack(words))
    assert.are.same({ 0, "3 studies found; finished: 3 sent\n" }, { result.status, result.out }, result.err)
    result = run("migrate", "--ledger", ledger)
    assert.are.equal(0, result.status)
    assert.matches("^3 studies found; finished before, at [^ ]+: 3 sent; this run sent nothing, and looked at nothing again\n$", result.out)
    assert.are.equal(2, transfer.status(ledger).settings.concurrency)
    contains(served.read_file(ledger .. ".html"), "<html")
    assert.are.equal(4, #lines_of(served.read_file(ledger .. ".csv")))
    local all = run("migrate", with_pair("--ledger", directory .. "/all.ledger", "--all", "--dry-run"))
    contains(all.out, "23 studies found; finished: 0 sent, 3 already there, 20 left\n")
  end)
end)
