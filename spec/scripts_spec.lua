-- Tests the example scripts: runs them in the playground as the comments at their top describe.
local command = require "spec.support.command"

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

  describe("cohort", function()
    local function cohort(numbers, ...)
      local file = command.file(numbers)
      local result = run("cohort.lua", "pacs", ..., file)
      os.remove(file)
      return result
    end

    it("moves the studies of the listed numbers, and reports each outcome", function()
      local result = cohort("A100801\nA100702\r\nNOSUCH\n", "archive")
      assert.are.equal(1, result.status)
      assert.matches("^AccessionNumber,PatientID,StudyDate,StudyInstanceUID,outcome\nNOSUCH,,,,not found\n", result.out)
      assert.matches("\nA100801,MOD%-0003,20240201,2%.25%.%d+,moved\n", result.out)
      assert.are.equal(2, select(2, result.out:gsub("\nA100702,MOD%-0012,20230811,2%.25%.%d+,moved", "")))
      assert.are.equal("3 studies moved from pacs to archive; 1 numbers not found, 0 studies not moved\n", result.err)
      assert.are.equal(0, cohort("A100801\n", "archive").status)
    end)

    it("skips blank lines", function()
      local result = cohort("A100801\n\n", "archive")
      assert.are.same({ "", 1 }, { result.out, result.status })
      assert.matches("value 2, '', is blank and would match everything: no request was sent", result.err)
    end)

    it("says why a study was not moved, and explains its usage", function()
      local result = cohort("A100801\n", "nosuch")
      assert.are.equal(1, result.status)
      assert.matches("\nA100801,MOD%-0003,20240201,[%d.]+,.*the server knows no modality 'nosuch'", result.out)
      assert.are.equal(2, run("cohort.lua", "pacs").status)
    end)
  end)
end)
