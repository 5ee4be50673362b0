-- Tests transfer.csv and transfer.listed: lists of values, how they are read, and what is found of them.
local archive = require "spec.support.archive"
local json = require "modalua.json"
local ledgers = require "spec.support.ledgers"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"
local served = require "spec.support.served"
local simulated = require "spec.support.simulated"

local csv = part "transfer.csv"
local listed = part "transfer.listed"

local _, database = ledgers.databases()()
local folder

setup(function()
  database.start()
  folder = served.folder "list"
end)

teardown(function()
  database.stop()
  served.output_of("exec rm -r " .. served.quoted { folder })
end)

-- ---- helpers ----

local function write(text)
  local path = folder .. "/list.csv"
  served.write_file(path, text)
  return path
end

-- Reads a list as text. Returns the values, or the reasons of those that are invalid, by line; and the list.
local function values_of(text, options, level)
  local items = { file = write(text) }
  for name, value in pairs(options or {}) do
    items[name] = value
  end
  local list = assert(listed.read(items, { level = level or "Study" }))
  local values = {}
  for line in list.each() do
    assert.are.equal(line.value == nil, line.outcome == "INVALID")
    values[#values + 1] = line.value or line.reason
  end
  assert.are.equal(#values, list.count)
  return values, list
end

-- The tag of the first line of a list as text.
local function tag_of(text, options, level)
  local _, list = values_of(text, options, level)
  return list.each()().tag
end

local function refuses(pattern, items, level)
  local list, message = listed.read(items, { level = level or "Study" })
  assert.is_nil(list)
  assert.matches(pattern, message)
end

-- ---- CSV ----

-- The rows that the reader gives, which gets at most `size` bytes at once; and the divider.
local function rows_of(text, size)
  local place, rows = 1, json.array {}
  local reader = csv.reader { read = function(_, n)
    local piece = text:sub(place, place + math.min(n, size) - 1)
    place = place + #piece
    return piece ~= "" and piece or nil
  end }
  while true do
    local fields, message = reader:read()
    if not fields then
      return rows, reader.divider, message
    end
    rows[#rows + 1] = json.array(fields)
  end
end

-- Reads texts with Python's module csv: [{ "text", "divider" }, …] -> [rows or null, …]; null where a quote is not closed. An empty line is
-- one empty field.
local PYTHON <const> = [[
import csv, io, json, sys
results = []
for case in json.load(open(sys.argv[1], encoding="utf-8")):
    stream = lambda: io.StringIO(case["text"], newline="")
    try:
        rows = [row or [""] for row in csv.reader(stream(), delimiter=case["divider"])]
        if case["open"]:
            list(csv.reader(stream(), delimiter=case["divider"], strict=True))
    except csv.Error:
        rows = None
    results.append(rows)
json.dump(results, sys.stdout)
]]

describe("The reader of CSV", function()
  it("copies a long field a few times only", function()
    local reads, text = 0, "AccessionNumber\n\"" .. ("A"):rep(8 << 20)
    local place = 1
    local reader = assert(csv.reader { read = function(_, n)
      reads = reads + 1
      local piece = text:sub(place, place + n - 1)
      place = place + n
      return piece ~= "" and piece or nil
    end })
    assert.are.same({ "AccessionNumber" }, reader:read())
    assert.are.same({ nil, 'line 2: a quote (") is not closed' }, { reader:read() })
    assert.is_true(reads < 20, reads .. " pieces were read")
  end)

  it("reads what Python's reader reads, in pieces of any size", function()
    local random, cases, own = archive.random(11), json.array {}, {}
    local PARTS <const> = { "a", "b", '"', '"', '""', ",", ";", "\t", "\n", "\r\n", "\r", " ", "é", "1.2.3" }
    for i = 1, 1500 do
      local parts = {}
      for k = 1, random:below(15) do
        parts[k] = random:one_of(PARTS)
      end
      local text = table.concat(parts)
      local rows, divider, message = rows_of(text, random:between(8, 40))
      own[i] = not message and rows or json.null
      cases[i] = { text = text, divider = divider or "\1", open = message ~= nil }
    end
    local path, script = folder .. "/cases.json", folder .. "/read.py"
    served.write_file(path, json.encode(cases))
    served.write_file(script, PYTHON)
    local theirs = json.decode(served.output_of("exec " .. served.quoted { "/usr/bin/python3", script, path }))
    local read = 0
    for i, case in ipairs(cases) do
      assert.are.same(theirs[i], own[i], json.encode(case.text))
      read = read + (own[i] ~= json.null and 1 or 0)
    end
    assert.is_true(read > 700 and read < 1500)
  end)

  it("tells by the first line what divides the fields, not counting what is in quotes", function()
    for divider, text in pairs { [","] = "a,b;c\n", [";"] = 'a;b;"x,y,z,w"\n', ["\t"] = "a\tb\n" } do
      local _, found = rows_of(text, 100)
      assert.are.equal(divider, found)
    end
    assert.are.same({ { "a" }, { "b,c" } }, rows_of("a\nb,c", 100))
  end)

  it("says what is wrong with a value in words of the list", function()
    local reason = values_of("AccessionNumber\n12345678901234567890\n")[1]
    assert.matches("16", reason, 1, true)
    assert.is_nil(reason:find "keep")
    local _, message = part "core.native_steps".filter("transfer", "Study", { StationName = "CT1" }, nil, true)
    assert.matches("add keep = ", message, 1, true)
    assert.are.equal("StationName is not a Study-level attribute: Orthanc would ignore this filter and return more than asked.",
      part "transfer.hints".plain(message))
  end)

  it("skips a byte order mark, and refuses UTF-16", function()
    assert.are.same({ { "a", "b" } }, rows_of("\xef\xbb\xbfa,b\r\n", 100))
    for _, mark in ipairs { "\xff\xfe", "\xfe\xff" } do
      local reader, message = csv.reader { read = function() return mark .. "a\0" end }
      assert.are.same({ nil, "line 1: the text is UTF-16: save it as UTF-8" }, { reader, message })
    end
  end)

  it("takes the divider from the line sep=; that Excel reads, which is no row", function()
    for _, size in ipairs { 5, 100 } do
      for _, line in ipairs { "sep=;\r\n", "\xef\xbb\xbfsep=;\n", "\"sep=;\"\r\n", "SEP=;\n" } do
        local rows, divider = rows_of(line .. "a,b;c\n1;2", size)
        assert.are.same({ { { "a,b", "c" }, { "1", "2" } }, ";" }, { rows, divider })
      end
    end
    assert.are.same({ { "sep=1" }, { "a" } }, (rows_of("sep=1\na", 100)))
  end)

  it("names the line where a quote is not closed", function()
    local _, _, message = rows_of('a,b\n"1\n2",c\n"never', 100)
    assert.are.equal("line 4: a quote (\") is not closed", message)
  end)
end)

-- ---- lists ----

describe("A list", function()
  it("is a column of a file with other columns, in any form of CSV", function()
    for _, text in ipairs { "Name,AccessionNumber\r\nDoe,A1\r\n\"Doe, J\",A2\r\n", "\xef\xbb\xbfAccessionNumber;Name\nA1;x\nA2;\"a\nb\"",
      "Name\taccessionnumber\nx\t A1 \ny\t\u{a0}A2\n" } do
      assert.are.same({ "A1", "A2" }, (values_of(text, { column = "AccessionNumber" })))
    end
    assert.are.same({ "A1" }, (values_of("n,Accession Number\n1,A1", { column = "Accession Number" })))
  end)

  it("is a file with one column that is named as a DICOM key, or one value a line", function()
    assert.are.same({ "A1", "A2" }, (values_of "AccessionNumber\nA1\nA2\n"))
    assert.are.same({ "A1", "A2" }, (values_of("A1\nA2\n", { column = "AccessionNumber" })))
    assert.are.same({ "1.2.3", "1.2.4" }, (values_of "1.2.3\n1.2.4\n"))
    assert.are.equal("PatientID", tag_of "Patient ID\n7\n")
    assert.are.equal("AccessionNumber", tag_of("\"0008,0050\";y\n1;2", { column = "0008,0050" }))
    assert.are.equal("StudyInstanceUID", tag_of "1.2.3\n")
    assert.are.same({ "1.2.3", "the cell is blank", "1.2.4" }, (values_of "1.2.3\n\n1.2.4\n\n\r\n")) -- empty lines at the end do not count
    assert.are.same({ "the cell is blank", "the cell is blank", "1.2.3", "the cell is blank", "1.2.4", "1.2.5" },
      (values_of "StudyInstanceUID\n\n\n1.2.3\n\n1.2.4\n1.2.5\n\n"))
    assert.are.equal("SeriesInstanceUID", tag_of("1.2.3\n", nil, "Series"))
  end)

  it("has a line for each line of the file, and says without asking which are invalid, and why", function()
    local ROWS <const> = { { "A1", "A1" }, { "", "blank" }, { "  ", "blank" }, { "A*", "would find other things" }, { "A?", "would find" },
      { "A\\B", "would find" }, { "A\1", "control character" }, { "A\0B", "control character" }, { "1.2E+15", "spreadsheet has rounded" },
      { "1,23E+11", "spreadsheet has rounded" }, { "12E5", "rounded" }, { "#REF!", "spreadsheet" }, { "=1+1", "formula" },
      { ("x"):rep(17), "16" }, { "1E", "1E" }, { "'; DROP", "'; DROP" } }
    local lines = { "AccessionNumber,n" }
    for i, row in ipairs(ROWS) do
      lines[#lines + 1] = ('"%s",%d'):format(row[1], i)
    end
    local values = values_of(table.concat(lines, "\n"), { column = "AccessionNumber" })
    assert.are.equal(#ROWS, #values)
    for i, row in ipairs(ROWS) do
      assert.is_truthy(values[i]:find(row[2], 1, true), ("%s: %s"):format(row[1], values[i]))
    end
    assert.are.same({ "the cell is not a UID", "the cell is not a UID", "1.2.3", "the cell is not a UID", "the cell is blank" },
      (values_of("n,StudyInstanceUID\n1,1.2.x\n2,1..2\n3,1.2.3\n4," .. ("1."):rep(40) .. "1\n5", { column = "StudyInstanceUID" })))
    local dates = values_of("StudyDate,n\n20240131,1\n2024-01-31,2\n20240101-20240131,3", { column = "StudyDate" })
    assert.are.same({ "20240131", "a range would find other things too" }, { dates[1], dates[3] })
    assert.is_truthy(dates[2]:find("20240131", 1, true), dates[2])
  end)

  it("may be in Latin-1; else a line that is not UTF-8 is named", function()
    local text = "Name,AccessionNumber\nDoe,A1\nM\xfcller,\xdc2\n"
    assert.are.same({ "A1", "Ü2" }, (values_of(text, { column = "AccessionNumber", encoding = "latin1" })))
    refuses("list.csv': line 3 is not UTF%-8: save the file as UTF%-8, or give encoding = \"latin1\"",
      { file = write(text), column = "AccessionNumber" })
    refuses("the encoding must be \"utf%-8\" or \"latin1\" %('cp1252' was given%)", { file = write(text), encoding = "cp1252" })
  end)

  it("without the column is refused, with the columns that it has", function()
    refuses("there is no column 'Accession'; the columns are 'Name', 'AccessionNumber'",
      { file = write "Name,AccessionNumber\nx,1\n", column = "Accession" })
    refuses("there is no column 'AccessionNumber'; the columns are 'Name'", { file = write "Name\nx\n", column = "AccessionNumber" })
    refuses("say which column has the values, as column = \"…\"; the columns are 'PatientID', 'n'", { file = write "PatientID,n\nx,1\n" })
    refuses("the column 'n' is not named as a DICOM key", { file = write "PatientID,n\nx,1\n", column = "n" })
    refuses("SeriesInstanceUID does not name what is sent", { file = write "SeriesInstanceUID\n1.2\n" })
  end)

  it("that cannot be read is refused", function()
    refuses("No such file", { file = folder .. "/none.csv" })
    refuses("the file is empty", { file = write "" })
    refuses("items has no field 'colum'; the fields are file, column and encoding", { file = "x", colum = "y" })
    refuses("items.column must be a string %(a number was given%)", { file = "x", column = 1 })
    refuses("list.csv': line 2: a quote %(\"%) is not closed", { file = write "AccessionNumber\n\"A1\n" })
    refuses("Is a directory", { file = folder })
    refuses("'/dev/zero': it has more than 64 MB: save it as a file", { file = "/dev/zero" })
    refuses("'/dev/null': the file is empty", { file = "/dev/null" })
  end)

  it("may be rows", function()
    local list = assert(listed.read({ "1.2.3", { AccessionNumber = " A1 " }, { PatientID = 7 }, { ["0008,0050"] = "A*" } },
      { level = "Study" }))
    local lines = {}
    for line in list.each() do
      lines[#lines + 1] = ("%s %s"):format(line.tag, line.value or line.outcome)
    end
    assert.are.same({ 4, "StudyInstanceUID 1.2.3", "AccessionNumber A1", "PatientID 7", "AccessionNumber INVALID" },
      { list.count, table.unpack(lines) })
    refuses("row 2 must have the StudyInstanceUID, or one other key", { "1.2", { AccessionNumber = "1", PatientID = "2" } })
    refuses("row 1: 'Colour' is not a DICOM key", { { Colour = "red" } })
    refuses("row 1: the value must be a string %(a boolean was given%)", { { PatientID = true } })
    refuses("items must be rows, or a table with the field file %(a number was given%)", 7)
  end)
end)

-- ---- finding ----

describe("What a list names", function()
  local servers, sources

  setup(function()
    servers = orthanc.network({ "LOCAL", "PACS" }, { extra = { DicomAlwaysAllowStore = true, DicomCheckModalityHost = false } })
    local at_pacs = modalua.connect(servers.PACS.url)
    sources = { modality = { modality = modalua.connect(servers.LOCAL.url):modality "pacs" }, client = { client = at_pacs } }
    local list = {}
    for i, accession in ipairs { "A1", "A2", "A3", "TWO", "TWO", "a4", "A55" } do
      local uid = "1.2.7." .. i
      list[i] = { SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", SOPInstanceUID = uid .. ".1.1", SeriesInstanceUID = uid .. ".1",
        StudyInstanceUID = uid, AccessionNumber = accession, PatientID = "P" .. i, StudyDate = "20240101", Modality = "CT" }
    end
    archive.send(list, { { "PACS", "127.0.0.1", servers.PACS.dicom_port } })
  end)

  teardown(function()
    servers:close()
  end)

  -- Finds a list. Returns the lines as "n outcome: reason -> study UIDs".
  local function find(source, rows, options)
    local list = assert(listed.read(rows, { level = "Study" }))
    local L = ledgers.new(database, { listed = { lines = list.count }, lines = list.each })
    local all = { ledger = L, level = "Study", modality = source.modality, client = source.client }
    for name, value in pairs(options or {}) do
      all[name] = value
    end
    assert.are.same({ complete = true, unproven = 0 }, assert(listed.find(all)))
    local lines = {}
    for line in L:lines() do
      local keys = {}
      for i, item in ipairs(line.items) do
        keys[i] = item.key
      end
      lines[#lines + 1] = ("%d %s: %s -> %s"):format(line.n, line.outcome, line.reason or "", table.concat(keys, " "))
    end
    local items = {}
    for item in L:items {} do
      items[#items + 1] = item.key
    end
    table.sort(items)
    return lines, items, L
  end

  for name in pairs { modality = true, client = true } do
    it("is found exactly, by a " .. name .. ", with an outcome for each line, in order", function()
      local rows = {}
      for i, accession in ipairs { "A1", "A2", "NONE", "A1", "", "TWO", "A4", "A*", "A5", "A3" } do
        rows[i] = { AccessionNumber = accession }
      end
      local lines, items, L = find(sources[name], rows)
      assert.are.same({ "1 OPEN:  -> 1.2.7.1", "2 OPEN:  -> 1.2.7.2", "3 NOT FOUND:  -> ", "4 OPEN: the same value as line 1 -> 1.2.7.1",
        "5 INVALID: the cell is blank -> ", "6 AMBIGUOUS: 2 studies: 1.2.7.4, 1.2.7.5 -> ", lines[7],
        "8 INVALID: a '*', '?' or '\\' would find other things too -> ", "9 NOT FOUND:  -> ", "10 OPEN:  -> 1.2.7.3" }, lines)
      assert.matches("^7 NOT FOUND:", lines[7]) -- the source has a4
      assert.are.same({ "1.2.7.1", "1.2.7.2", "1.2.7.3" }, items)
      local item = L:items {}()
      assert.are.same({ "P1", "A1", "20240101", 1 }, { item.patient_id, item.accession, item.date, item.expected })
    end)

    it("may be several studies, by a " .. name .. ", when it is told so", function()
      local lines, items = find(sources[name], { { AccessionNumber = "TWO" } }, { several = "all" })
      assert.are.same({ { "1 OPEN:  -> 1.2.7.4 1.2.7.5" }, { "1.2.7.4", "1.2.7.5" } }, { lines, items })
    end)
  end

  it("may have more studies than a source gives in one answer, when all are to be sent", function()
    for _, excess in ipairs { "refuse", "cut" } do
      local studies = {}
      for i = 1, 60 do
        studies[i] = { StudyInstanceUID = "1.2.8." .. i, StudyDate = ("202301%02d"):format(i % 28 + 1), PatientID = "MANY" }
        studies[60 + i] = { StudyInstanceUID = "1.2.9." .. i, StudyDate = "20230105", StudyTime = "1015", PatientID = "SAME" }
      end
      local pacs = simulated.new(studies, { cap = 50, excess = excess, open_start = true })
      local lines, items = find({ modality = pacs }, { { PatientID = "MANY" }, { PatientID = "SAME" } }, { several = "all" })
      assert.are.equal(60, #items)
      assert.matches("^1 OPEN:", lines[1])
      assert.matches("^2 FAILED: these parts of the search may have more answers", lines[2]) -- and not a part of them
    end
  end)

  it("may be UIDs, which are asked for in lists", function()
    local rows = {}
    for i = 1, 60 do
      rows[i] = "1.2.7." .. i
    end
    local _, items = find(sources.modality, rows)
    assert.are.equal(7, #items)
  end)

  it("may be more UIDs than a source answers at once: the lists become as short, and stay so", function()
    local studies, rows = {}, {}
    for i = 1, 200 do
      rows[i] = "1.2.8." .. i
      studies[i] = { StudyInstanceUID = rows[i], StudyDate = "20230101", PatientID = "P" }
    end
    -- a source that refuses: lists of 50, 25 and 13, then 8 of at most 7 for each 50; a source that cuts: 5 for each 50
    for excess, finds in pairs { refuse = 3 + 4 * 8, cut = 4 * 5 } do
      local pacs = simulated.new(studies, { cap = 10, excess = excess })
      local _, items = find({ modality = pacs }, rows)
      assert.are.same({ 200, finds }, { #items, pacs.finds })
    end
    for excess, finds in pairs { refuse = 6 + 200, cut = 200 } do -- one by one, but for what a list of a source that cuts has given
      local pacs = simulated.new(studies, { cap = 1, excess = excess })
      local _, items = find({ modality = pacs }, rows)
      assert.are.same({ 200, finds }, { #items, pacs.finds })
    end
  end)

  it("stays open when the source does not answer, and is found later", function()
    local list = assert(listed.read({ { AccessionNumber = "A1" } }, { level = "Study" }))
    local L = ledgers.new(database, { listed = { lines = 1 }, lines = list.each })
    local dead = modalua.connect("http://127.0.0.1:1", { retries = 0 }):modality "pacs"
    local result, err = listed.find { ledger = L, modality = dead, level = "Study" }
    assert.are.same({ nil, "network" }, { result, err.kind })
    assert.are.equal("OPEN", L:lines()().outcome)
    assert(listed.find { ledger = L, modality = sources.modality.modality, level = "Study" })
    assert.are.equal("1.2.7.1", L:lines()().items[1].key)
  end)
end)
