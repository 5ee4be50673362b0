-- Tests the example scripts: runs them in the playground as the comments at their top describe.
local command = require "spec.support.command"
local served = require "spec.support.served"

local here = served.output_of "pwd":match "[^\n]+"

local function run(script, ...)
  return command.run("playground", "scripts/" .. script, ...)
end

describe("The script", function()
  it("first_steps sends an echo, finds, moves, and shows an error", function()
    local result = run "first_steps.lua"
    assert.are.equal("", result.err)
    assert.are.equal(0, result.status)
    for _, line in ipairs { "archive answers %(AET ARCHIVE, 127.0.0.1:%d+%)", "pacs answers %(AET PACS, ", "pacs has 3 studies of a chest:",
      "\t20201224\tCR\tLindström^Åsa\tChest PA", "the archive itself counts 3 studies, 5 instances",
      "as expected: find .*ModalitiesInStudy" } do
      assert.matches(line, result.out)
    end
  end)

  describe("echo_all", function()
    it("prints a line for each modality", function()
      local result = run "echo_all.lua"
      assert.are.same({ "", 0 }, { result.err, result.status })
      assert.matches("^archive +ARCHIVE +[%d.]+ ms  answers\npacs +PACS +[%d.]+ ms  answers\n$", result.out)
    end)

    it("fails if a modality does not answer", function()
      local result = command.shell([[f=$(mktemp); echo '
        local orthanc = require "modalua".connect()
        assert(orthanc:put("/modalities/dead", { AET = "DEAD", Host = "127.0.0.1", Port = 1 }))
        arg = { [0] = "scripts/echo_all.lua", "2" }
        dofile "scripts/echo_all.lua"' >$f; "$M" playground $f; s=$?; rm $f; exit $s]])
      assert.are.same({ "1 of 3 modalities do not answer\n", 1 }, { result.err, result.status })
      assert.matches("\ndead +DEAD +[%d.]+ ms  the exchange with the remote modality failed: ", result.out)
    end)

    it("explains its usage", function()
      local result = run("echo_all.lua", "0")
      assert.are.same({ "usage: modalua scripts/echo_all.lua [SECONDS]\n", 2 }, { result.err, result.status })
    end)
  end)

  describe("find_studies", function()
    it("prints the studies in columns separated by tabs", function()
      local result = run("find_studies.lua", "pacs", "PatientName=SMITH*", "StudyDate=20200101-", "ModalitiesInStudy=CT")
      assert.are.equal(0, result.status)
      local lines = {}
      for line in result.out:gmatch "[^\n]+" do
        lines[#lines + 1] = line
      end
      assert.are.equal(3, #lines)
      assert.are.equal("20200115 MOD-0002 SMITH^JOHN^A^DR CT A100102 CT CHEST W CONTRAST 2.25.2718281828459045235360287471040000",
        (lines[2]:gsub("\t", " ")))
      assert.matches("^2 studies\nwarning: .*DefaultEncoding", result.err)
    end)

    it("refuses a filter that the level does not have, and explains its usage", function()
      local result = run("find_studies.lua", "pacs", "Modality=CT")
      assert.are.same({ "", 1 }, { result.out, result.status })
      assert.matches("Use ModalitiesInStudy%.", result.err)
      assert.are.equal(2, run("find_studies.lua").status)
      assert.are.equal(2, run("find_studies.lua", "pacs", "PatientID").status)
    end)
  end)

  describe("find_and_move", function()
    it("moves each study and reports it", function()
      local result = run("find_and_move.lua", "pacs", "archive", "PatientName=SMITH*")
      assert.are.same({ "", 0 }, { result.err, result.status })
      assert.are.equal(3, select(2, result.out:gsub("moved\t%d+\tSMITH", "")))
      assert.matches("\n3 of 3 studies moved from pacs to archive\n$", result.out)
    end)

    it("moves nothing without a clear request", function()
      for _, words in ipairs { { "pacs", "archive" }, { "pacs", "archive", "PatientID=*" }, { "pacs", "PatientID=1" },
        { "pacs", "archive", "--max", "x", "PatientID=1" } } do
        local result = run("find_and_move.lua", table.unpack(words))
        assert.are.same({ "", 2 }, { result.out, result.status })
      end
      local result = run("find_and_move.lua", "pacs", "archive", "--max", "2", "PatientName=SMITH*")
      assert.are.same({ "", "pacs has 3 of these studies, and --max is 2: nothing was moved\n", 1 },
        { result.out, result.err, result.status })
    end)

    it("fails if a study was not moved", function()
      local result = run("find_and_move.lua", "pacs", "nosuch", "PatientName=SMITH*")
      assert.are.equal(1, result.status)
      assert.matches("FAILED.*\n0 of 3 studies moved from pacs to nosuch\n$", result.out)
      assert.matches("the server knows no modality 'nosuch' to send to", result.err)
    end)
  end)

  describe("pull_cohort", function()
    local directory

    before_each(function()
      directory = served.folder "cohort"
    end)

    after_each(function()
      served.output_of("exec rm -rf " .. served.quoted { directory })
    end)

    -- Runs the script with a list of this content. Returns the result of the command, and the text of the file RESULT.
    local function pull(list, ...)
      served.write_file(directory .. "/list", list)
      local result = run("pull_cohort.lua", "pacs", "archive", directory .. "/list", directory .. "/result", ...)
      local file = io.open(directory .. "/result")
      local text = file and file:read "a"
      if file then
        file:close()
      end
      return result, text and text:gsub("\r\n", "\n")
    end

    it("moves what the lines name, and writes the outcome of each line", function()
      local result, text = pull('note;AccessionNumber\r\n"a; b";A100801\r\nx;NOSUCH\r\nx; A100801\r\nx;\r\nx;A100702\r\nx;A1*\r\n',
        "AccessionNumber")
      assert.are.equal(1, result.status, result.err)
      local outcomes = {}
      for value, outcome in text:gmatch "\n%d+,([^,]*),[^,]*,([A-Z ]+)," do
        outcomes[#outcomes + 1] = value .. ":" .. outcome
      end
      assert.are.same({ "A100801:SUCCESS", "NOSUCH:NOT FOUND", " A100801:SUCCESS", ":INVALID", "A100702:AMBIGUOUS", "A1*:INVALID" },
        outcomes)
      assert.matches("\n1,A100801,A100801,SUCCESS,,2%.25%.%d+,%d+\n", text)
      assert.matches("1 studies moved, 0 were there; 4 lines or studies failed: see [^\n]*\n$", result.err)
    end)

    it("succeeds when each line has its study, also for values without a head", function()
      local result, text = pull("A100801\n", "AccessionNumber")
      assert.are.equal(0, result.status, result.err)
      assert.matches("^[^\n]*\n1,A100801,A100801,SUCCESS,,2%.25%.%d+,%d+\n$", text)
    end)

    it("refuses a list without the column, and explains its usage", function()
      local result, text = pull("one,two\n1,2\n", "AccessionNumber")
      assert.are.same({ 1, nil }, { result.status, text })
      assert.matches("there is no column 'AccessionNumber'; the columns are 'one', 'two'", result.err)
      assert.are.equal(2, command.run("scripts/pull_cohort.lua", "pacs", "archive", "x").status)
    end)
  end)

  describe("migrate", function()
    it("moves what a query finds, goes on with the ledger alone, and writes reports", function()
      local directory = served.folder "migrate"
      local result = command.shell(([[
        cd %s; cat >all.lua <<'end'
          local script = arg[1]
          for _, words in ipairs { { "t.ledger", "pacs", "archive", "--concurrency", "2", "PatientName=SMITH*" }, { "t.ledger" } } do
            arg = words
            dofile(script)
          end
end
        "$M" playground all.lua %s; s=$?; ls; exit $s]]):format(directory, command.quote(here .. "/scripts/migrate.lua")))
      served.output_of("exec rm -rf " .. served.quoted { directory })
      assert.are.same({ 0, "3 studies found: 3 moved, 0 were there, 0 failed, 0 unknown\n"
        .. "3 studies found: 3 moved, 0 were there, 0 failed, 0 unknown\nall.lua\nt.ledger\nt.ledger.csv\nt.ledger.html\n" },
        { result.status, result.out }, result.err)
    end)

    it("explains its usage", function()
      for _, words in ipairs { {}, { "x", "pacs" }, { "x", "PatientID=1" }, { "x", "--hours" } } do
        local result = command.run("scripts/migrate.lua", table.unpack(words))
        assert.are.same({ "", 2 }, { result.out, result.status })
        assert.matches("^usage: ", result.err)
      end
    end)
  end)
end)
