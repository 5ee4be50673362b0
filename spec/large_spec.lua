-- Tests searches with very many answers: find within a memory limit, and find_all.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"

local contains = expect.contains

local QUERY <const> = "00000000-0000-0000-0000-000000000000"

describe("A find with 300000 answers", function()
  local server

  setup(function()
    server = faultd.start {
      { path = "/modalities/pacs/query", method = "POST",
        to = faultd.route("/status", { code = 200, type = "application/json", body = ('{"ID":"%s"}'):format(QUERY) }) },
      { path = "/queries/" .. QUERY .. "/answers", to = faultd.route("/answers", { n = 300000 }) },
    }
  end)

  teardown(function()
    server:close()
  end)

  -- Runs a find, with this memory limit if there is one. It prints the number of answers, two of them, and how many kilobytes they take.
  local function find(limit)
    return command.run("--memory-limit", limit and ("%.0fK"):format(limit) or "4G", "-e", ([[
      local pacs = require "modalua".connect("%s", { timeout = 600 }):modality "pacs"
      collectgarbage()
      local before = collectgarbage "count"
      local found = assert(pacs:find { Level = "Study", Query = { StudyDate = "20200101-" } })
      collectgarbage()
      local answers = found.answers
      print(#answers, answers[1].AccessionNumber, answers[#answers].PatientName, collectgarbage "count" - before)]]):format(server.url))
  end

  it("takes at most 0.6 KB for each answer beside the answers", function()
    local result = find()
    local kilobytes = result.out:match "^300000\tA0000001\tSample300000^Müller\t([%d.]+)\n$"
    assert.is_truthy(kilobytes, result.out .. result.err)
    assert.matches("^300000\t", find(kilobytes + 0.6 * 300000).out)
  end)

  it("says what to do when there is not enough memory for the answers", function()
    local result = find(60 * 1024)
    assert.are.equal(1, result.status)
    contains(result.err, "not enough memory for the answer")
    contains(result.err, "narrow the search, for example by StudyDate, or walk it with find_all")
  end)

  it("says what to do when there is not enough memory to decode the answers", function()
    local result = find(200 * 1024)
    assert.are.equal(1, result.status)
    contains(result.err, "not enough memory to decode a JSON text of")
    contains(result.err, "narrow the search, for example by StudyDate, or walk it with find_all")
  end)
end)
