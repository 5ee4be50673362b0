-- Tests the report of a transfer: the page, and the CSV.
local expect = require "spec.support.expect"
local letters = require "modalua.letters"
local part = require "spec.support.part"
local sample_ledger = require "spec.support.sample_ledger"

local report = part "transfer.report"
local reasons = part "transfer.report_reasons"

local contains = expect.contains

local MOST <const> = 2000000 -- bytes of a page

-- Makes a ledger, and gives it to f. Returns what f returns.
local function with_ledger(options, f)
  local L <close>, path = sample_ledger.open(options)
  local results = table.pack(pcall(f, L))
  L:close()
  sample_ledger.remove(path)
  assert(results[1], results[2])
  return table.unpack(results, 2, results.n)
end

local function page_of(options)
  return with_ledger(options, function(L) return assert(report.html(L)) end)
end

local TAGS <const> = {}
for name in ("html head meta title style body h1 h2 p div table thead tr th td pre details summary figure svg rect line text"):gmatch
  "%w+" do
  TAGS[name] = true
end
local VOID <const> = { meta = true }

-- Reads the page as a browser does. Asserts that all of its elements are ours, with our attributes, and closed in order. Returns its text.
local function read_page(page)
  local open, texts, at = {}, {}, #"<!DOCTYPE html>\n" + 1
  assert.are.equal("<!DOCTYPE html>\n", page:sub(1, at - 1))
  while at <= #page do
    local first, last, slash, name, attributes = page:find("<(/?)(%a%w*)([^<>]*)>", at)
    texts[#texts + 1] = open[#open] ~= "style" and page:sub(at, (first or 0) - 1) or nil
    assert.is_nil(texts[#texts]:find "[<>]", texts[#texts])
    if not first then
      break
    end
    assert(TAGS[name], name)
    for attribute in attributes:gmatch '([%w-]+)="' do
      assert.is_nil(attribute:find "^on" or attribute:find "href" or attribute:find "src", attribute)
    end
    if slash == "/" then
      assert.are.equal(table.remove(open), name)
    elseif not VOID[name] and attributes:sub(-1) ~= "/" then
      open[#open + 1] = name
    end
    at = last + 1
  end
  assert.are.same({}, open)
  local text = table.concat(texts, "\n")
  return (text:gsub("&(#?%w+);", { lt = "<", gt = ">", quot = '"', ["#39"] = "'", amp = "&" }))
end

describe("The page", function()
  it("is one file without a script, and without anything from elsewhere", function()
    local page = page_of { items = 30, done = 10, failed = 3, settings = { hours = "Mon 10:00-11:00", time_zone = "UTC" } }
    read_page(page)
    contains(page, [[<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">]])
    for _, word in ipairs { "<script", "<link", "<img", "<iframe", "@import", "url(", "javascript:", "src=", "href=" } do
      assert.is_nil(page:lower():find(word, 1, true), word)
    end
    for _, word in ipairs { "prefers-color-scheme: dark", "color-scheme: light dark", "size: A4", "@media print" } do
      contains(page, word)
    end
  end)

  it("shows hostile names, UIDs and descriptions as text", function()
    for _, hostile in ipairs(sample_ledger.HOSTILE) do
      local page = page_of { items = 6, done = 2, failed = 2, hostile = hostile, from = hostile, to = hostile, reason = hostile,
        settings = { time_zone = "UTC" } }
      local text = read_page(page)
      assert.is_nil(page:find "[\0-\9\11-\31\127]", hostile)
      for _, direction in ipairs { "\u{202E}", "\u{9B}" } do
        assert.is_nil(page:find(direction, 1, true))
      end
      contains(text, letters.shown(hostile))
    end
  end)

  it("has at most 2 MB, at any number of items and any length of texts", function()
    local marks = "e" .. ("\u{301}"):rep(2000)
    for _, row in ipairs { { 1200, "&" }, { 1100, ("<"):rep(150) .. "\27" }, { 300, marks }, { 6, ("<"):rep(1000000) } } do
      local page = page_of { items = row[1], failed = row[1], hostile = row[2], from = row[2], to = row[2],
        settings = { time_zone = "UTC" } }
      read_page(page)
      assert.is_true(#page < MOST, #page)
    end
  end)

  it("begins with a verdict in one sentence", function()
    for _, row in ipairs {
      { { items = 10, done = 8, present = 2, found = true }, "good",
        "All 10 studies that pacs has for this request are at archive: 8 were sent, "
        .. "and 2 were there before." },
      { { items = 10, done = 8, failed = 2, found = true }, "bad", "8 of 10 studies are at archive; 2 failed, and of 0 it is not known." },
      { { items = 10, done = 8, found = true }, "", "The transfer is not finished: 8 of 10 studies are at archive, 0 failed, 2 are left." },
      { { items = 10, done = 8 }, "", "The transfer is not finished: 8 of at least 10 studies are at archive, 0 failed, 2 are left." },
      { { items = 10, done = 10, found = true, settings = { verify = "job" } }, "", "nothing was compared: this is the sender's word." },
      { { items = 10, done = 10, found = true, proof = "none" }, "bad", "it is not proven that the search found everything." },
      { { items = 2, done = 2, found = true, level = "Series" }, "good", "All 2 series that" },
    } do
      local page = page_of(row[1])
      local class, sentence = page:match '<p class="verdict (%a*)">(.-)</p>'
      assert.are.equal(row[2], class)
      contains(sentence:gsub("&#39;", "'"), row[3])
    end
  end)

  it("says what was asked, how it was compared, and how to go on", function()
    local text = read_page(page_of { items = 10, done = 5, failed = 2, settings = { hours = "Mon-Fri 19:00-06:00",
      time_zone = "Europe/Vienna" } })
    for _, words in ipairs { "pacs (PACS)", "archive (ARCHIVE)", "StudyDate", "19950101-", "Mon-Fri 19:00-06:00",
      "Times are those of Europe/Vienna",
      "do not prove that the images are the same", "modalua transfer retry ", "modalua transfer run " } do
      contains(text, words)
    end
    assert.is_nil(text:find "transfer resume")
  end)

  it("has the times of the zone of the transfer, and else of the machine", function()
    contains(page_of { items = 1, settings = { time_zone = "Asia/Kolkata" } }, "Times are those of Asia/Kolkata.")
    local zone = assert(part "transfer.time_zone".open()).name
    contains(page_of { items = 1, settings = {} },
      ("Times are those of %s."):format(zone:find "^/" and "the machine that made this page" or zone))
    with_ledger({ items = 1, settings = { time_zone = "Asia/Kolkata" } }, function(L)
      local local_time = os.date("!%Y-%m-%d %H:%M", L:describe().created // 1000 + 19800)
      contains(report.html(L), "<td>" .. local_time .. "</td>")
    end)
  end)

  it("lists what is not proven", function()
    local text = read_page(page_of { items = 10, proof = "none", note = "the same date and time", settings = {} })
    contains(text, "1 parts are not proven to be complete:")
    contains(text, "the same date and time")
  end)

  it("says how many parts with a note, or without a proof, it leaves out", function()
    for _, proof in ipairs { "below", "none" } do
      local page = with_ledger({ items = 1, proof = proof, settings = {} }, function(L)
        for i = 1, 70 do
          assert(L:add_items({}, { slice = { kind = "date", first = "1998", last = "1998", answers = i, finds = 1, proof = proof,
            note = "note " .. i } }))
        end
        return assert(report.html(L))
      end)
      contains(read_page(page), ("… and %d more."):format(proof == "none" and 11 or 10))
    end
  end)

  it("says how many reasons of failures it leaves out", function()
    local page = with_ledger({ items = 70, failed = 70, settings = {} }, function(L)
      assert(L:run "UPDATE item SET reason = 'reason ' || id")
      return assert(report.html(L))
    end)
    contains(read_page(page), "… and 10 more.")
  end)

  it("has a year for what has a date alone", function()
    local text = read_page(page_of { items = 4, hostile = "19<b>", settings = {} })
    contains(text, "(none)")
    local years = page_of { items = 4, hostile = "20240101", settings = {} }
    contains(years, '<tr><td class="s">2024</td>')
    assert.is_nil(page_of { items = 4, hostile = "19<b>", settings = {} }:find('<td class="s">19&lt;b</td>', 1, true))
  end)

  it("explains the reason of failures, and lists the first 1,000 items", function()
    local page = page_of { items = 1100, failed = 1100, reason = "0xA801", settings = {} }
    local text = read_page(page)
    contains(text, "the modality does not know the destination")
    contains(text, "check that its own list has the AE title of the destination")
    contains(text, "100 more are in the CSV.")
    local _, n = page:match("<details>.-</details>"):gsub("<tr><td", "")
    assert.are.equal(1000, n)
  end)

  it("shows what was sent over time, with the closed hours shaded", function()
    local function chart_of(settings)
      return with_ledger({ items = 1, settings = settings }, function(L)
        for i = 0, 299 do
          assert(L:run("INSERT INTO minute(worker, minute, done, failed, instances, bytes) VALUES ($1, $2, $3, $4, 1, 1)", "w",
            29600000 + i, i < 200 and 2 or 0, i == 250 and 3 or 0))
        end
        local page = assert(report.html(L))
        read_page(page)
        local count = {}
        for class, height in page:gmatch '<rect class="(%a+)"[^>]* height="([%d.]+)"' do
          count[class] = (count[class] or 0) + 1
          assert.is_true(tonumber(height) > 0)
        end
        return count, page
      end)
    end
    -- 300 minutes: columns of 5 minutes; of these 40 have something sent.
    assert.are.same({ done = 40, lost = 1 }, (chart_of { time_zone = "UTC" }))
    local from = os.date("!*t", 29600000 * 60)
    local hours = ("%02d:00-%02d:00"):format((from.hour + 1) % 24, (from.hour + 2) % 24)
    local count, page = chart_of { time_zone = "UTC", hours = hours }
    assert.are.same({ done = 40, lost = 1, shut = 2 }, count)
    contains(page, "120 an hour")
    contains(page, "Shaded: closed by the present hours, " .. hours)
  end)

  it("is made of an empty ledger, and of one that begins", function()
    for _, options in ipairs { { items = 0, settings = {} }, { items = 0, found = true, settings = {} } } do
      local text = read_page(page_of(options))
      contains(text, "Nothing was found.")
      contains(text, "Nothing was sent.")
    end
  end)
end)

describe("The meaning of a reason", function()
  it("is known for each status of DICOM, and for the words of a transfer", function()
    for reason, words in pairs { ["0xA702"] = "could not send the images", short = "fewer images", vanished = "it had arrived",
      gone = "does not have it",
      network = "could not be reached", ["0x1234"] = "does not define", whatever = "see the message" } do
      local meaning, advice = reasons.explain(reason)
      contains(meaning, words)
      assert.is_true(#advice > 3)
    end
    contains(reasons.explain(nil), "see the message")
  end)
end)

-- A reader of CSV by RFC 4180: a list of rows, which are lists of cells.
local function read_csv(text)
  local rows, row, at = {}, {}, 1
  while at <= #text do
    local cell
    if text:sub(at, at) == '"' then
      local last = at
      repeat
        last = assert(text:find('"', last + 1, true))
        local doubled = text:sub(last + 1, last + 1) == '"'
        last = doubled and last + 1 or last
      until not doubled
      cell, at = text:sub(at + 1, last - 1):gsub('""', '"'), last + 1
    else
      local last = text:find("[,\r]", at)
      cell, at = text:sub(at, last - 1), last
      assert.is_nil(cell:find '["\n]')
    end
    row[#row + 1] = cell
    if text:sub(at, at) == "," then
      at = at + 1
    else
      assert.are.equal("\r\n", text:sub(at, at + 1))
      rows[#rows + 1], row, at = row, {}, at + 2
    end
  end
  return rows
end

local function csv_of(options)
  return with_ledger(options, function(L)
    local pieces = {}
    assert(report.csv(L, function(piece)
      pieces[#pieces + 1] = piece
      return true
    end))
    return read_csv(table.concat(pieces)), #pieces
  end)
end

describe("The CSV", function()
  local COLUMNS <const> = { "key", "patient_id", "accession", "date", "modality", "state", "reason", "tries", "expected", "arrived",
    "bytes",
    "seconds", "finished", "verified", "message" }

  it("has a row for each item, with one head", function()
    local rows, pieces = csv_of { items = 1201, done = 300, failed = 3, settings = {} }
    assert.are.equal(1202, #rows)
    assert.is_true(pieces >= 3)
    assert.are.same(COLUMNS, rows[1])
    local states = {}
    for i = 2, #rows do
      assert.are.equal(15, #rows[i])
      assert.are.equal(sample_ledger.item(i - 1).key, rows[i][1])
      states[rows[i][6]] = (states[rows[i][6]] or 0) + 1
    end
    assert.are.same({ done = 300, failed = 3, todo = 898 }, states)
    assert.are.same({ "P000001", "A000001", "19960202", "MR", "done" }, table.move(rows[2], 2, 6, 1, {}))
    assert.are.equal("2.500", rows[2][12])
  end)

  it("gives hostile texts back as they are, but for what a spreadsheet would run", function()
    for _, hostile in ipairs { "=1+1", "+1", "-1", "@SUM(1)", " =1", "\t=1", "＝1", "＋1", "－1", "＠1", "\r\n=1" } do
      local rows = csv_of { items = 1, hostile = hostile, settings = {} }
      assert.are.equal("'" .. hostile, rows[2][2])
    end
    for _, hostile in ipairs { "a=1", "1-2", "<script>", 'say "x"', "a,b;c", "two\r\nlines", "'x", "\27[2J", "\u{202E}x",
      ("x"):rep(1000000) } do
      local rows = csv_of { items = 1, hostile = hostile, settings = {} }
      assert.are.equal(hostile, rows[2][2])
      assert.are.equal(hostile .. "1", rows[2][1])
    end
  end)

  it("of a list has a row for each line", function()
    local rows = csv_of { items = 3, done = 2, settings = {}, lines = { { value = "A000001", outcome = "FOUND", items = { 1 } },
      { value = "A1", outcome = "NOT FOUND", reason = "the source knows none" }, { value = "=A2", outcome = "INVALID",
        reason = "a formula" },
      { value = "A000002", outcome = "FOUND", items = { 2, 3 } } } }
    assert.are.same({ { "line", "text", "value", "outcome", "reason", "study_uid", "images" },
      { "1", "A000001", "A000001", "SUCCESS", "", sample_ledger.item(1).key, "21" },
      { "2", "A1", "A1", "NOT FOUND", "the source knows none", "", "" }, { "3", "'=A2", "'=A2", "INVALID", "a formula", "", "" },
      { "4", "A000002", "A000002", "OPEN", "", sample_ledger.item(2).key .. " " .. sample_ledger.item(3).key, "102" } }, rows)
  end)

  it("ends with the error of the place to which it is written", function()
    with_ledger({ items = 2000, settings = {} }, function(L)
      local n = 0
      local good, why = report.csv(L, function()
        n = n + 1
        return nil, "no space"
      end)
      assert.are.same({ nil, "no space", 1 }, { good, why, n })
    end)
  end)
end)
