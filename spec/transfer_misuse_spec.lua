-- Tests what a bulk transfer does with wrong use that looks right: queries that would find more than they say, lists with odd cells, files
-- that are no files, and what a former run has left. It runs on real servers, since each must end with what was sent.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local served = require "spec.support.served"
local transfer = require "modalua.transfer"
local transfers = require "spec.support.transfers"
local versions = require "spec.support.versions"

local contains = expect.contains

local KILLED <const> = 137

for _, version in ipairs(versions.few) do
  describe("With the Orthanc " .. version.name .. ", a bulk transfer", function()
    local world, folder

    setup(function()
      world = transfers.world(version, { studies = 6 })
      assert(world.client:put("/modalities/twin", world.pacs:modality()))
      folder = world.folder
      assert(modalua.connect(world.pacs.url):upload { data = archive.file { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", Modality = "OT",
        StudyInstanceUID = "1.2.91", SeriesInstanceUID = "1.2.91.1", SOPInstanceUID = "1.2.91.1.1", PatientID = "P1",
        StudyDate = "20240101", AccessionNumber = "A91" } })
    end)

    teardown(function()
      world:close()
    end)

    before_each(function()
      world:reset()
    end)

    -- Asserts that run throws the text, and makes no ledger, nor any other file. Those of other runs stay as they are.
    local function refuses(options, message)
      local log, metrics = folder .. "/refused.log", folder .. "/refused.prom"
      served.write_file(metrics, "of another run")
      options.log, options.metrics = log, metrics
      local good, err = pcall(transfers.run, world, options)
      assert.is_false(good, "run accepted: " .. message)
      contains(tostring(err), message)
      assert.are.same({ n = 3, nil, nil, "of another run" }, table.pack(served.read_file(world.ledger), (served.read_file(log)),
        (served.read_file(metrics))))
    end

    local function run(options)
      return assert(transfers.run(world, options))
    end

    -- Makes a ledger in which one study is done.
    local function make_ledger()
      return run { query = false, all = false, items = { { AccessionNumber = "A1" } } }
    end

    -- A list of values as a run with all of them leaves it: outcome and reason of each line.
    local function outcomes(options)
      local path = folder .. "/lines.csv"
      run(options)
      assert(transfer.report(world.ledger, { csv = path }))
      local list = {}
      for line in served.read_file(path):gmatch "[^\r\n]+" do
        list[#list + 1] = line
      end
      return list
    end

    describe("refuses a query", function()
      for _, case in ipairs {
        { "with a filter beside Level", { Level = "Study", PatientID = "P1" }, "the query has the key PatientID beside Level and Query" },
        { "with a filter beside Query", { Query = { PatientID = "P1" }, StudyDate = "20240202" },
          "the query has the key StudyDate beside Level and Query" },
        { "with one filter by two names", { PatientID = "P1", ["0010,0020"] = "P2" }, "the query has PatientID twice, as 'P" },
        { "with a filter of another level", { PatientID = "P1", SOPInstanceUID = "1.2" }, "SOPInstanceUID is not a Study-level attribute" },
        { "with Modality for studies", { Modality = "CT" }, "Use ModalitiesInStudy" },
        { "that is not UTF-8", { PatientName = "\xff" }, "the query's PatientName = '\\xFF' is not UTF-8" },
        { "without a table of filters", { Level = "Study", Query = "PatientID" }, "the query's Query must be a table of filters" },
      } do
        it(case[1], function()
          refuses({ query = case[2] }, case[3])
        end)
      end

      it("that the server cannot answer about what it holds", function()
        refuses({ from = world.client, query = { Modality = "CT" } },
          "the query's Modality: the server cannot search its own studies by it")
      end)

      it("but not one of a series by what its study has", function()
        local summary = run { level = "Series", query = { PatientID = "P1", Modality = "OT" }, all = false }
        assert.are.equal(2, summary.items.done)
      end)
    end)

    describe("refuses options", function()
      for _, case in ipairs {
        { "with hours that say nothing", { hours = "" }, "hours say nothing: write for example" },
        { "with more sends at once than there can be", { concurrency = 1000000 },
          "concurrency must be a whole number from 1 to 1000 (1000000 was given)" },
        { "with an AE title that is none", { to = false, TargetAet = "" }, "'TargetAet' must be an AE title" },
        { "with another name of the source", { to = "twin" }, "the modality 'twin' is the source itself: the modality 'pacs'" },
        { "with progress that is no function", { progress = "bar" }, "'progress' must be true or a function (a string was given)" },
        { "with a list without rows", { query = false, all = false, items = { fil = "x.csv" } },
          "items has the field 'fil', which is no row" },
      } do
        it(case[1], function()
          refuses(case[2], case[3])
        end)
      end

      it("also those of set", function()
        make_ledger()
        local good, err = pcall(transfer.set, world.ledger, { concurrency = 1001 })
        assert.is_false(good)
        contains(tostring(err), "set: concurrency must be a whole number from 1 to 1000")
      end)

      it("but takes an empty text as none", function()
        run { time_zone = "", rate = "", query = false, all = false, items = { { AccessionNumber = "A1" } } }
        assert.are.equal("finished", assert(transfer.status(world.ledger)).state)
      end)
    end)

    describe("of a list", function()
      it("looks for all other lines when a cell cannot be asked for", function()
        local list = outcomes { query = false, all = false, items = { { AccessionNumber = "A1" }, { AccessionNumber = "-" },
          { AccessionNumber = "\xff" }, { StudyDate = "20240101-20241231" }, { AccessionNumber = "A2" },
          { AccessionNumber = "A" .. (" "):rep(1 << 20) .. "1" } } }
        assert.are.equal("1,A1,A1,SUCCESS,,1.2.1,1", list[2])
        assert.are.equal("2,'-,,INVALID,the cell has no letter and no digit,,", list[3])
        contains(list[4], "INVALID,the cell is not UTF-8")
        contains(list[5], "INVALID,a range would find other things too")
        assert.are.equal("5,A2,A2,SUCCESS,,1.2.2,1", list[6])
        contains(list[7], "INVALID,\"the cell has 1048578 bytes, and no value has so many\"")
      end)

      it("reads it from a pipe, of which there is only one reading", function()
        local line = ("printf 'AccessionNumber\\nA1\\nA2\\n' | %s -u %s transfer run %s --from pacs --to archive --items /dev/stdin")
          :format(command.quote(command.path), world.us.url, world.ledger)
        local result = command.shell(line)
        assert.are.equal(0, result.status, result.err)
        assert.are.equal(2, world:arrived())
      end)

      it("takes several studies of a value when a later run allows them", function()
        local list = outcomes { query = false, all = false, items = { { PatientID = "P1" }, { PatientID = "P2" } } }
        contains(list[2], "AMBIGUOUS")
        assert.are.equal(1, world:arrived())
        list = outcomes { query = false, all = false, several = "all" }
        contains(list[2], "SUCCESS")
        assert.are.equal(3, world:arrived())
      end)

      it("looks again for what was not found, when it is told to retry", function()
        local list = outcomes { query = false, all = false, items = { { AccessionNumber = "A2" }, { AccessionNumber = "A7" } } }
        contains(list[3], "NOT FOUND")
        world:fill(7, 7)
        assert.are.equal(1, assert(transfer.retry(world.ledger)))
        list = outcomes { query = false, all = false }
        contains(list[3], "SUCCESS")
        assert.are.equal(2, world:arrived())
      end)
    end)

    it("sends nothing in a dry run, nor what a killed run has claimed", function()
      local status, out = transfers.start(world, "concurrency = 2", "MODALUA_TRANSFER_POINT=claimed:kill"):wait()
      assert.are.equal(KILLED, status, out)
      assert.is_true(assert(transfer.status(world.ledger)).items.sending > 0)
      local summary = run { dry_run = true }
      assert.are.same({ "finished", 0, 0 }, { summary.state, summary.items.done, summary.items.sending })
      assert.are.same({ 0, 0 }, { world:arrived(), world:resources_sent() })
    end)

    it("goes on after a resume, however many items had failed before", function()
      local items = {}
      for n = 1, 6 do
        items[n] = { StudyInstanceUID = "1.2." .. n }
      end
      run { query = false, all = false, items = items, dry_run = true }
      archive.empty(modalua.connect(world.pacs.url))
      local function again()
        return run { query = false, all = false, max_failed = 4 }
      end
      assert.are.equal("paused", again().state)
      assert(transfer.resume(world.ledger))
      local summary = again()
      assert.are.same({ "finished", 6 }, { summary.state, summary.items.failed })
      world:fill(1, 6)
      assert.are.equal(6, assert(transfer.retry(world.ledger)))
      assert.are.same({ "finished", 6 }, { again().state, world:arrived() })
    end)

    for _, verify in ipairs { "count", "uids" } do
      it(("sends a study once more that has grown since it was sent, with verify = %q"):format(verify), function()
        local grown
        local summary = assert(transfers.run(world, { query = false, all = false, gap = 0.1, concurrency = 1, verify = verify,
          items = { { AccessionNumber = "A1" }, { AccessionNumber = "A2" } } }, { tell = function(event)
          if event.event == "end_item" and not grown then
            grown = event.item.key
            local n = tonumber(grown:match "%d+$")
            assert(modalua.connect(world.pacs.url):upload { data = archive.file(transfers.instances(n, n, 2)[2]) })
          end
        end }))
        assert.are.same({ "finished", 2, 3 }, { summary.state, summary.items.done, summary.instances })
        assert.are.equal(3, #assert(world.target:get "/instances"))
        assert.is_true(assert(transfer.check(world.ledger)).ok)
        local pacs = modalua.connect(world.pacs.url)
        assert(pacs:delete("/instances/" .. assert(pacs:find { Level = "Instance", Query = { SOPInstanceUID = grown .. ".1.2" } })[1]))
      end)
    end

    it("ends when its ledger is removed, or another one is in its place", function()
      for _, change in ipairs { "rm %s", "cp %s %s.copy; mv %s.copy %s" } do
        world:reset()
        local path = command.quote(world.ledger)
        local err = expect.fails({ kind = "refused", code = "removed" }, transfers.run(world, { items = { { AccessionNumber = "A1" } },
          query = false, all = false, gap = 3600 }, { tell = function(event)
          if event.event == "start" then
            served.output_of(change:gsub("%%s", path))
          end
        end }))
        contains(err.message, "was removed or replaced while this run used it")
      end
    end)

    it("goes on when its ledger was out of sight for a moment", function()
      local hidden = false
      local summary = assert(transfers.run(world, { items = { { AccessionNumber = "A1" } }, query = false, all = false }, {
        tell = function(event)
          if event.event == "start" then
            hidden = assert(os.rename(world.ledger, world.ledger .. ".away"))
          elseif hidden and event.event == "progress" then -- the run has looked once
            hidden = not assert(os.rename(world.ledger .. ".away", world.ledger))
          end
        end }))
      assert.are.same({ "finished", 1, 1 }, { summary.state, summary.items.done, world:arrived() })
    end)

    describe("leaves alone", function()
      local function link(path)
        return served.output_of("stat -c %F " .. served.quoted { path })
      end

      it("a device or a pipe where a file should be", function()
        make_ledger()
        local pipe = folder .. "/pipe"
        served.output_of("mkfifo " .. served.quoted { pipe })
        expect.fails({ kind = "refused", message = ("the report '%s' cannot be written: it is a device or a pipe, and not a file"):format(
          pipe) }, transfer.report(world.ledger, { csv = pipe }))
        local good, err = pcall(transfers.run, world, { metrics = pipe })
        assert.is_false(good)
        contains(tostring(err), "it is a device or a pipe, and not a file")
        assert.are.equal("fifo\n", link(pipe))
      end)

      it("its ledger when another file is given by that name", function()
        make_ledger()
        local other = folder .. "/../" .. folder:match "[^/]+$" .. world.ledger:match "/[^/]+$"
        for _, option in ipairs { "log", "metrics" } do
          local good, err = pcall(transfers.run, world, { [option] = other })
          assert.is_false(good)
          contains(tostring(err), ("the ledger and %s are the same file"):format(option))
        end
        for _, files in ipairs { { html = other }, { csv = other }, { html = "same", csv = "same" } } do
          local good, err = pcall(transfer.report, world.ledger, files)
          assert.is_false(good)
          contains(tostring(err), "are the same file")
        end
        assert.is_true(assert(transfer.check(world.ledger)).ok)
      end)
    end)
  end)
end
