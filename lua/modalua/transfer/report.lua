-- transfer.report: what became of a transfer, as a page (HTML) for people, and as CSV for programs. Both are made from the ledger alone.
local require = ...
local chart = require "transfer.report_chart"
local failure_text = require "transfer.failure_text"
local native = require "core.native"
local pace = require "transfer.pace"
local progress_bar = require "core.progress_bar"
local reasons = require "transfer.report_reasons"
local report_page = require "transfer.report_page"
local shown_times = require "transfer.shown_times"
local status = require "transfer.status"
local tables = require "text.table"
local text = require "transfer.view_text"

local report = {}

local count = text.count
local NOUNS <const> = { Study = "studies", Series = "series" }
local OPEN <const> = { "todo", "sending", "sent" }
local STATES <const> = { "done", "present", "failed", "unknown", "open" }

-- How many rows and bytes the tables may have. All of them together stay below 2 MB.
local FAILED <const> = { rows = 1000, bytes = 800000 }
local SMALL <const> = { rows = 60, bytes = 80000 }
local EXTREMES <const> = 20

local VERIFIED <const> = {
  count = "Each was counted as done when the destination had at least as many images of it as the source, and everything was counted "
    .. "once more at the end. Numbers that are equal do not prove that the images are the same, or that their content is unchanged.",
  uids = "Each was counted as done when the destination had every image of it, by SOPInstanceUID, and everything was compared once "
    .. "more at the end. This does not prove that the content of the images is unchanged.",
  job = "Nothing was compared: the sender's word was believed. This does not prove that anything has arrived.",
}

-- ---- the facts ----

-- Everything that is read before the page is made; nil, err.
local function read_facts(L)
  local facts = { L = L }
  for _, name in ipairs { "describe", "now", "totals", "search", "slices", "workers", "history", "group_items", "failures" } do
    local value, err = L[name](L)
    if not value then
      return nil, err or native.fail("report", "refused", "usage", "the ledger has no transfer")
    end
    facts[name] = value
  end
  local err
  facts.status, err = status.of(L)
  if facts.status then
    facts.minutes, err = L:minutes(0)
  end
  if facts.minutes then
    facts.slowest, facts.largest = L:extremes(EXTREMES)
    err = facts.largest
  end
  if not facts.slowest then
    return nil, err
  end
  local P, message = pace.read(facts.describe.settings)
  facts.P = P or pace.read { time_zone = "UTC" }
  facts.zone_problem = message
  facts.noun = NOUNS[facts.describe.level] or "items"
  return facts
end

local function items_in(facts, states)
  local n = 0
  for _, state in ipairs(states) do
    n = n + (facts.status.items[state] or 0)
  end
  return n
end

local function time(facts, instant)
  return instant and text.full_time(facts.P, instant):sub(1, 16) or ""
end

-- ---- the verdict ----

-- Returns the sentence, and "good", "bad" or nil.
local function verdict(facts)
  local info, noun = facts.describe, facts.noun
  local found, failed, unknown = facts.status.found, items_in(facts, { "failed" }), items_in(facts, { "unknown" })
  local open = items_in(facts, OPEN)
  local proven = info.found_all and facts.search.unproven == 0
  if not info.found_all or open > 0 then
    local state = info.paused and ("paused (%s)"):format(info.paused) or "not finished"
    return ("The transfer is %s: %s of %s%s %s are at %s, %s failed, %s are left."):format(state, count(items_in(facts, { "done",
      "present" })),
      info.found_all and "" or "at least ", count(found), noun, info.to_name, count(failed + unknown), count(open))
  elseif failed + unknown > 0 then
    return ("%s of %s %s are at %s; %s failed, and of %s it is not known."):format(count(found - failed - unknown), count(found), noun,
      info.to_name, count(failed), count(unknown)), "bad"
  elseif not proven then
    return ("All %s %s that were found are at %s, but it is not proven that the search found everything."):format(count(found), noun,
      info.to_name), "bad"
  elseif (info.settings.verify or "count") == "job" then
    return ("All %s %s that were found were sent to %s, and nothing was compared: this is the sender's word."):format(count(found), noun,
      info.to_name)
  end
  return ("All %s %s that %s has for this request are at %s: %s were sent, and %s were there before."):format(count(found), noun,
    info.from_name, info.to_name, count(items_in(facts, { "done" })), count(items_in(facts, { "present" }))), "good"
end

-- ---- sections ----

local function sorted_rows(map)
  local rows = {}
  for name, value in pairs(map) do
    rows[#rows + 1] = { name = name, value = type(value) == "table" and native.said(value) or tostring(value) }
  end
  table.sort(rows, function(a, b) return a.name < b.name end)
  return rows
end

local function add_asked(page, facts)
  local info = facts.describe
  page:heading "What was asked"
  local listed = info.listed
  local rows = { { name = "from", value = info.from_aet and ("%s (%s)"):format(info.from_name, info.from_aet) or info.from_name },
    { name = "to", value = info.to_aet and ("%s (%s)"):format(info.to_name, info.to_aet) or info.to_name },
    { name = "sent by the server", value = info.server }, { name = "level", value = info.level }, { name = "begun", value = time(facts,
      info.created) } }
  for _, row in ipairs(sorted_rows(info.query or {})) do
    rows[#rows + 1] = { name = "query: " .. row.name, value = row.value }
  end
  for _, row in ipairs(sorted_rows(listed or {})) do
    rows[#rows + 1] = { name = "list: " .. row.name, value = row.value }
  end
  for _, row in ipairs(sorted_rows(info.settings)) do
    rows[#rows + 1] = { name = "setting: " .. row.name, value = row.value }
  end
  page:table({ { "", "name", "key" }, { "", "value" } }, rows, SMALL)
  local zone = facts.P.zone.name
  page:paragraph(("Times are those of %s."):format(zone:find "^/" and "the machine that made this page" or zone), "soft")
  if facts.zone_problem then
    page:paragraph(facts.zone_problem, "failed")
  end
end

-- "1 part", "2 parts".
local function number(n, noun)
  return ("%s %s%s"):format(count(n), noun, n == 1 and "" or "s")
end

local SLICE_COLUMNS <const> = { { "part", "kind", "w" }, { "first", "first", "s" }, { "last", "last", "s" }, { "prefix", "prefix", "s" },
  { "answers", "answers", "n" }, { "note", "note", "t" } }

-- "12 date, 1 undated".
local function kinds_of(slices)
  local numbers, kinds = {}, {}
  for _, slice in ipairs(slices) do
    kinds[#kinds + 1] = not numbers[slice.kind] and slice.kind or nil
    numbers[slice.kind] = (numbers[slice.kind] or 0) + 1
  end
  for i, kind in ipairs(kinds) do
    kinds[i] = ("%s %s"):format(count(numbers[kind]), kind)
  end
  return kinds[1] and table.concat(kinds, ", ", 1, math.min(#kinds, 20)) or "none"
end

-- The slices that are not proven, and those with a note.
local function add_completeness(page, facts)
  local info, search = facts.describe, facts.search
  page:heading "Completeness"
  if info.listed and not info.query then
    page:paragraph "The items are those of a list; each line and its outcome is in the CSV."
    return
  end
  page:paragraph(("The search %s: %s, %s, %s."):format(info.found_all and "has ended" or "has not ended", number(search.slices, "part"),
    number(search.finds, "C-FIND"), number(search.answers, "answer")))
  page:paragraph(info.cap and ("The source gives at most %s answers; larger parts were divided."):format(count(info.cap))
    or "No limit of the source for the number of answers was seen.")
  local unproven, noted = {}, {}
  for _, slice in ipairs(facts.slices) do
    local list = slice.proof == "none" and unproven or slice.note and noted
    if list then
      list[#list + 1] = slice
    end
  end
  page:paragraph(("Parts by their kind: %s."):format(kinds_of(facts.slices)))
  if #unproven == 0 then
    page:paragraph(info.found_all and "Every part is proven to be complete." or "Every part that was searched is proven to be complete.")
  else
    page:paragraph(("%s parts are not proven to be complete:"):format(count(#unproven)), "failed")
    page:table(SLICE_COLUMNS, unproven, SMALL)
  end
  if #noted > 0 then
    page:paragraph "Notes of the search:"
    page:table(SLICE_COLUMNS, noted, SMALL)
  end
end

local STATE_COLUMNS <const> = { { "done", "done", "n" }, { "present", "present", "n" }, { "failed", "failed", "n" },
  { "unknown", "unknown", "n" }, { "open", "open", "n" }, { "images", "instances", "n" } }

local COLUMN_OF <const> = { done = "done", present = "present", failed = "failed", unknown = "unknown" }

-- Sums the groups by a field; the largest sums first, or in the order of their names.
local function sums_by(groups, field, by_name)
  local sums, list = {}, {}
  for _, group in ipairs(groups) do
    local name = group[field] or ""
    local sum = sums[name]
    if not sum then
      sum = { name = name == "" and "(none)" or name, items = 0, instances = 0 }
      for _, column in ipairs(STATES) do
        sum[column] = 0
      end
      sums[name], list[#list + 1] = sum, sum
    end
    local column = COLUMN_OF[group.state] or "open"
    sum[column], sum.items, sum.instances = sum[column] + group.items, sum.items + group.items, sum.instances + group.instances
  end
  table.sort(list, function(a, b)
    if by_name or a.items == b.items then
      return a.name < b.name
    end
    return a.items > b.items
  end)
  return list
end

local function counted(list)
  for _, row in ipairs(list) do
    for _, column in ipairs(STATE_COLUMNS) do
      row[column[2]] = count(row[column[2]])
    end
  end
  return list
end

local function add_states(page, facts)
  page:heading "States"
  local total = sums_by(facts.group_items, "nothing")[1]
  for _, part in ipairs { { "modality", "modality", sums_by(facts.group_items, "modality") },
    { "year", "year", sums_by(facts.group_items, "year", true) } } do
    local rows = part[3]
    if #rows == 0 then
      page:paragraph "Nothing was found."
      return
    end
    rows[#rows + 1] = nil
    local columns = { { part[1], "name", "s" } }
    table.move(STATE_COLUMNS, 1, #STATE_COLUMNS, 2, columns)
    page:table(columns, counted(rows), SMALL)
  end
  page:paragraph(("Together: %s %s, %s images%s."):format(count(total.items), facts.noun, count(total.instances),
    facts.status.bytes > 0 and ", " .. progress_bar.bytes_text(facts.status.bytes) .. " received" or ""))
end

local function add_throughput(page, facts)
  page:heading "Throughput"
  if #facts.minutes == 0 then
    page:paragraph "Nothing was sent."
    return
  end
  page:add '<figure style="margin:0">\n'
  page:add(chart.svg(facts.minutes, facts.P, facts.noun))
  page:add "</figure>\n"
  local hours = facts.describe.settings.hours
  page:paragraph(("%s an hour: sent above the line, failed below it.%s"):format(facts.noun:gsub("^%l", string.upper),
    hours and " Shaded: closed by the present hours, " .. tostring(hours) .. "." or ""), "soft")
end

-- An iterator over the first items that failed, then those of unknown outcome.
local function failed_items(facts)
  local states, i = { "failed", "unknown" }, 1
  local next_item = facts.L:items { state = states[1], page = 200 }
  return function()
    local item = next_item()
    while not item and i < #states do
      i = i + 1
      next_item = facts.L:items { state = states[i], page = 200 }
      item = next_item()
    end
    return item
  end
end

local function add_failures(page, facts)
  page:heading "Failures"
  local n = items_in(facts, { "failed", "unknown" })
  if n == 0 then
    page:paragraph "None."
    return
  end
  local rows = {}
  for i, row in ipairs(facts.failures) do
    local meaning, advice = reasons.explain(row.reason)
    rows[i] = { reason = row.reason or "(none)", state = row.state, items = count(row.items), meaning = meaning, advice = advice,
      example = row.example, message = row.message }
  end
  page:table({ { "reason", "reason" }, { "state", "state", "w" }, { "items", "items", "n" }, { "meaning", "meaning" }, { "what to do",
    "advice" },
    { "for example", "example", "uid" }, { "its message", "message", "t" } }, rows, SMALL)
  page:add(("<details><summary>The items, the first %s at most</summary>\n"):format(count(FAILED.rows)))
  local columns = { { facts.describe.level == "Series" and "SeriesInstanceUID" or "StudyInstanceUID", "key", "uid" }, { "modality",
    "modality", "s" },
    { "date", "date", "s" }, { "reason", "reason" }, { "tries", "tries", "n" }, { "expected", "expected", "n" }, { "arrived", "arrived",
      "n" },
    { "message", "message", "t" } }
  local shown = page:table(columns, failed_items(facts), FAILED)
  page:add "</details>\n"
  if shown < n then
    page:paragraph(("%s more are in the CSV."):format(count(n - shown)), "soft")
  end
end

local function add_extremes(page, facts)
  for _, part in ipairs { { "Slowest", facts.slowest }, { "Largest", facts.largest } } do
    if #part[2] > 0 then
      page:heading(("%s %d"):format(part[1], #part[2]))
      local rows = {}
      for i, item in ipairs(part[2]) do
        rows[i] = { key = item.key, modality = item.modality, date = item.date, images = item.arrived and count(item.arrived),
          time = item.seconds and text.duration(item.seconds), bytes = item.bytes and progress_bar.bytes_text(item.bytes) }
      end
      page:table({ { "UID", "key", "uid" }, { "modality", "modality", "s" }, { "date", "date", "s" }, { "images", "images", "n" }, { "time",
        "time", "n" },
        { "size", "bytes", "n" } }, rows, SMALL)
    end
  end
end

local function add_workers(page, facts)
  page:heading "Workers"
  local rows = {}
  for i, worker in ipairs(facts.workers) do
    rows[i] = { number = worker.number, host = worker.host, pid = worker.pid, server = worker.server, version = worker.version,
      started = time(facts, worker.started), seen = time(facts, worker.seen), state = worker.state }
  end
  page:table({ { "", "number", "n" }, { "host", "host" }, { "process", "pid", "n" }, { "server", "server" },
    { "Orthanc", "version", "s" }, { "started", "started", "w" }, { "last seen", "seen", "w" }, { "state", "state", "w" } }, rows, SMALL)
end

local function add_history(page, facts)
  page:heading "Changes"
  local rows = {}
  for i = #facts.history, 1, -1 do
    local row = facts.history[i]
    rows[#rows + 1] = { at = time(facts, row.at), what = row.what, detail = row.detail }
  end
  page:table({ { "when", "at", "w" }, { "what", "what", "w" }, { "with", "detail", "t" } }, rows, SMALL, "… and %s before.")
end

-- The name of the ledger as a word of the shell.
local function shell_word(name)
  return name:find "^[%w%./_:@%%+-]+$" and name or "'" .. name:gsub("'", "'\\''") .. "'"
end

local function add_commands(page, facts)
  local name, lines = shell_word(facts.L.name), {}
  page:heading "To go on"
  if facts.describe.paused then
    lines[#lines + 1] = "modalua transfer resume " .. name
  end
  if items_in(facts, { "failed", "unknown" }) > 0 then
    lines[#lines + 1] = "modalua transfer retry " .. name
  end
  lines[#lines + 1] = "modalua transfer run " .. name
  lines[#lines + 1] = "modalua transfer items " .. name .. " --state failed --csv"
  lines[#lines + 1] = "modalua transfer report " .. name .. " --csv result.csv"
  page:add "<pre>"
  for _, line in ipairs(lines) do
    page:add(report_page.escape(line:sub(1, 2000)) .. "\n")
  end
  page:add "</pre>\n"
end

-- report.html(L) -> the page as text | nil, err.
function report.html(L)
  local facts, err = read_facts(L)
  if not facts then
    return nil, err
  end
  local info = facts.describe
  local page = report_page.new(("%s to %s: modalua transfer"):format(info.from_name, info.to_name))
  page:add(("<h1>%s → %s</h1>\n"):format(report_page.cell(info.from_name), report_page.cell(info.to_name)))
  page:add(('<p class="soft">%s, %s</p>\n'):format(report_page.cell(L.name), report_page.cell(time(facts, facts.now))))
  local sentence, class = verdict(facts)
  page:add(('<p class="verdict %s">%s</p>\n'):format(class or "", report_page.escape(sentence:sub(1, 2000))))
  for _, add in ipairs { add_asked, add_completeness, add_states, add_throughput, add_failures, add_extremes, add_workers, add_history } do
    add(page, facts)
  end
  page:heading "How it was compared"
  page:paragraph(VERIFIED[info.settings.verify or "count"] or VERIFIED.count)
  add_commands(page, facts)
  return page:text()
end

-- ---- CSV ----

local PAGE <const> = 500 -- rows that are written together

-- A spreadsheet runs cells that begin so; the forms of these characters in East Asian width too.
local function is_formula(value)
  return value:find "^%s*[=+@-]" or value:find "^[\t\r\n]" or value:find "^%s*\u{FF1D}" or value:find "^%s*\u{FF0B}"
    or value:find "^%s*\u{FF0D}" or value:find "^%s*\u{FF20}"
end

local function harmless(row)
  for name, value in pairs(row) do
    if type(value) == "string" and is_formula(value) then
      row[name] = "'" .. value
    end
  end
  return row
end

-- Writes the rows of an iterator.
local function write_rows(write, columns, next_row)
  local rows, head = {}, true
  local function flush()
    local csv = tables.csv(columns, rows)
    rows = {}
    csv = head and csv or csv:sub(#tables.csv(columns, {}) + 1)
    head = false
    return write(csv)
  end
  for row in next_row do
    rows[#rows + 1] = harmless(row)
    if #rows == PAGE then
      local good, why = flush()
      if not good then
        return nil, why
      end
    end
  end
  return flush()
end

local ITEM_COLUMNS <const> = { "key", "patient_id", "accession", "date", "modality", "state", "reason", "tries", "expected", "arrived",
  "bytes",
  "seconds", "finished", "verified", "message" }
local LINE_COLUMNS <const> = { "line", "text", "value", "outcome", "reason", "study_uid", "images" }

-- The row for a line of a list: its studies together.
local function line_row(line)
  local uids, images = {}, nil
  for i, item in ipairs(line.items) do
    uids[i] = item.key
    images = (item.arrived or item.expected) and (images or 0) + (item.arrived or item.expected) or images
  end
  local reason = line.reason
  for _, item in ipairs(line.items) do
    reason = reason or item.message and (failure_text.divided(item.message)) or item.reason
  end
  return { line = line.n, text = line.text, value = line.value, outcome = line.outcome, reason = reason, study_uid = table.concat(uids,
    " "),
    images = images }
end

-- The row for an item.
local function item_row(item)
  local row = failure_text.row(shown_times.row(require "transfer.transfer".shown(item)))
  row.seconds = row.seconds and ("%.3f"):format(row.seconds)
  return row
end

-- report.csv(L, write) -> true | nil, err. write(text) is called for each piece; nil, err from it ends the report. A row for each line of a
-- list, else for each item.
function report.csv(L, write)
  local info, err = L:describe()
  if not info then
    return nil, err or native.fail("report", "refused", "usage", "the ledger has no transfer")
  end
  local next_value, row_of, columns = L:items {}, item_row, ITEM_COLUMNS
  if info.listed then
    next_value, row_of, columns = L:lines(), line_row, LINE_COLUMNS
  end
  local good, why = write_rows(write, columns, function()
    local value = next_value()
    return value and row_of(value)
  end)
  return good and true, why
end

return report
