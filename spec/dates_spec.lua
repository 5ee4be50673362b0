-- Tests the dates that people type in filters of verbs. MODALUA_TODAY is the present day.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"

local contains = expect.contains

-- What is typed, the present day, and the filter that is sent.
local SENT = {
  { "2024-01-31", "2024-03-15", "20240131" },
  { "2024-02-29", "2024-03-15", "20240229" },
  { "2024-01-01..2024-01-31", "2024-03-15", "20240101-20240131" },
  { "2024-01-01 .. 2024-01-31", "2024-03-15", "20240101-20240131" },
  { "20240101..20240131", "2024-03-15", "20240101-20240131" },
  { "..2024-01-31", "2024-03-15", "-20240131" },
  { "2024-01-01..", "2024-03-15", "20240101-" },
  { "today", "2024-03-15", "20240315" },
  { "Today", "20240315", "20240315" },
  { "yesterday", "2024-03-01", "20240229" },
  { "yesterday", "2023-03-01", "20230228" },
  { "yesterday", "2024-01-01", "20231231" },
  { "tomorrow", "2024-12-31", "20250101" },
  { "-0d", "2024-03-15", "20240315-" },
  { "-7d", "2024-03-05", "20240227-" },
  { "-366d", "2024-12-31", "20231231-" },
  { "-4w", "2024-01-10", "20231213-" },
  { "-3m", "2024-03-15", "20231215-" },
  { "-1m", "2024-03-31", "20240229-" },
  { "-13m", "2024-01-31", "20221231-" },
  { "-1y", "2024-02-29", "20230228-" },
  { "-4y", "2024-02-29", "20200229-" },
  { "-100y", "2024-02-29", "19240229-" },
  { "-7d..yesterday", "2024-03-05", "20240227-20240304" },
  { "-4w..-1w", "2024-01-10", "20231213-20240103" },
  { "-7d..", "2024-03-05", "20240227-" },
  { "..-1y", "2024-03-05", "-20230305" },
  { "today..tomorrow", "2024-03-05", "20240305-20240306" },
  { "2024-01-01..today", "2024-03-05", "20240101-20240305" },
}

-- What is sent as it is.
local KEPT = { "20240131", "20240101-20240131", "-20240131", "20240101-", "" }

-- What is no date, and a part of the message.
local REFUSED = {
  { "soon", "StudyDate = 'soon' is no date. Dates are written as 2024-01-31, 2024-01-01..2024-01-31, " },
  { "-7days", "-7d, -4w, -3m, -1y (since then)" },
  { "-7h", "is no date" },
  { "7d", "is no date" },
  { "..", "is no date" },
  { "2024-01-01..soon", "is no date" },
  { "2024-01-01...2024-01-31", "is no date" },
  { "31.01.2024", "StudyDate = '31.01.2024': write 2024-01-31" },
  { "1.2.2024", "write 2024-02-01" },
  { "2024-1-3", "write 2024-01-03" },
  { "2024.01.03", "write 2024-01-03" },
  { "2024-1-3..", "a day is expected; write 2024-01-03.." },
  { "1.1.2024..31.1.2024", "a day is expected; write 2024-01-01..2024-01-31" },
  { "30.2.2024", "is no date" },
  { "01/31/2024", "is no date" },
  { "2024-02-30", "StudyDate = '2024-02-30': there is no day 2024-02-30" },
  { "2023-02-29..today", "there is no day 2023-02-29" },
  { "2024-13-01", "there is no day 2024-13-01" },
  { "20240231", "there is no day 2024-02-31" },
  { "0000-01-01", "there is no day 0000-01-01" },
  { "-2024y", "-2024y is before the year 1" },
  { "-100000d", "-100000d is before the year 1" },
  { "2024-01-31..2024-01-01", "the range ends before it begins; write 2024-01-01..2024-01-31" },
  { "today..-7d", "the range ends before it begins; write -7d..today" },
  { "2024-01", "StudyDate = '2024-01': a day is expected; write 2024-01-01..2024-01-31" },
  { "2024-02..", "write 2024-02-01.." },
  { "2024-02..2024-01", "a day is expected; write 2024-01-01..2024-02-29" },
  { "2024..2023-12-05", "a day is expected; write 2023-12-05..2024-12-31" },
  { "..2023-02", "write ..2023-02-28" },
  { "1970..1980", "write 1970-01-01..1980-12-31" },
  { "2024-01..today", "write 2024-01-01..today" },
  { "2024-13", "is no date" },
  { "2024-01..soon", "is no date" },
  { "2024*", "is not a DICOM date: write 20240101-20241231" },
  { "2024/01/31", "is not a DICOM date: write 20240131" },
  { "20240101\\20240102", "is a list, which a date cannot be" },
}

describe("Dates that people type", function()
  local servers

  setup(function()
    servers = orthanc.network { "LOCAL", "PACS" }
    assert(samples.store(modalua.connect(servers.PACS.url)))
  end)

  teardown(function()
    servers:close()
  end)

  local function run(today, ...)
    return command.shell(('MODALUA_URL=%s MODALUA_TODAY=%s "$M" %s'):format(servers.LOCAL.url, today, command.quote(...)))
  end

  it("are sent in DICOM's form, which standard error shows", function()
    for _, case in ipairs(SENT) do
      local result = run(case[2], "find", "pacs", "StudyDate=" .. case[1], "--json")
      assert.are.equal(0, result.status, case[1] .. ": " .. result.err)
      assert.are.equal(("StudyDate=%s\n"):format(case[3]), result.err:match "^[^\n]*\n", case[1])
    end
  end)

  it("stay as they are if DICOM allows them", function()
    for _, value in ipairs(KEPT) do
      local result = run("2024-03-15", "find", "pacs", "StudyDate=" .. value)
      assert.are.equal(0, result.status, result.err)
      assert.is_nil(result.err:find("StudyDate=", 1, true))
    end
  end)

  it("are refused, with what would be right, if they are none", function()
    for _, case in ipairs(REFUSED) do
      local result = run("2024-03-15", "find", "pacs", "StudyDate=" .. case[1])
      assert.are.same({ 2, "" }, { result.status, result.out }, case[1])
      contains(result.err, case[2])
      assert.matches("^[^\n]+\n`modalua find %-%-help` explains the arguments\n$", result.err)
    end
    contains(run("soon", "find", "pacs", "StudyDate=-7d").err, "MODALUA_TODAY is 'soon', which is no day such as 2024-01-31")
  end)

  it("find the same studies as DICOM's form", function()
    local function identifiers(today, ...)
      local rows = assert(json.decode(run(today, "find", "pacs", "--json", ...).out))
      for i, row in ipairs(rows) do
        rows[i] = row.StudyInstanceUID
      end
      table.sort(rows)
      return rows
    end
    local year = identifiers("2024-03-15", "StudyDate=20190101-20191231")
    assert.is_true(#year > 1)
    assert.are.same(year, identifiers("2024-03-15", "StudyDate=2019-01-01..2019-12-31"))
    assert.are.same(year, identifiers("2019-12-31", "StudyDate=-364d..today"))
    assert.are.equal(1, #identifiers("2019-03-11", "StudyDate=-7d..-6d"))
  end)

  it("are understood for every tag that has dates, and in move", function()
    local result = run("2024-03-15", "find", "pacs", "PatientBirthDate=1970-01-01", "0008,0020=-1y")
    assert.are.equal(0, result.status, result.err)
    assert.matches("^PatientBirthDate=19700101\nStudyDate=20230315%-\n", result.err)
    result = run("2024-03-15", "find", "pacs", "--keep", "SeriesDate", "SeriesDate=yesterday..")
    contains(result.err, "SeriesDate=20240314-\n")
    result = run("2019-03-05", "move", "pacs", "--to", "pacs", "StudyDate=yesterday", "--dry-run")
    assert.are.equal(0, result.status, result.err)
    contains(result.err, "StudyDate=20190304\n")
    contains(result.err, "would move 1 study of 1 patient\n")
  end)

  it("are those of the machine without MODALUA_TODAY", function()
    local before = os.date "%Y%m%d"
    local sent = run("", "find", "pacs", "StudyDate=today").err:match "^StudyDate=(%d+)\n"
    assert.is_true(before <= sent and sent <= os.date "%Y%m%d")
  end)
end)
