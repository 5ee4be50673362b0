--- Ledgers for specs that only look at them, made by the functions that a run uses, in a file:
--
--   local L <close>, path = sample_ledger.open { items = 100, failed = 3 }
local part = require "spec.support.part"

local ledger = part "transfer.ledger"

local sample_ledger = {}

--- Texts that must stay texts wherever they are shown.
sample_ledger.HOSTILE = { "<script>alert(1)</script>", "a\27[2Jb", "\u{202E}txt.exe", "'; DROP TABLE item;--", "&amp;\"'<!--", "]]>",
  "\u{9B}31m",
  "=HYPERLINK(\"http://example.org\")", "+1", "-1", "@SUM(1)", "two\r\nlines", "cell\tcell", "Müller^Änne", "山田^太郎" }

local MODALITIES <const> = { "CT", "MR", "US", "CR" }

--- The item with the number i. `hostile`: a text for all that a server could choose.
function sample_ledger.item(i, hostile)
  local key = hostile and ("%s%d"):format(hostile, i) or ("1.2.840.113619.2.55.3.604688119.971.%d"):format(1000000 + i)
  return { key = key, uids = { StudyInstanceUID = key }, patient_id = hostile or ("P%06d"):format(i),
    accession = hostile or ("A%06d"):format(i),
    date = hostile or ("%d%02d%02d"):format(1995 + i % 30, i % 12 + 1, i % 28 + 1), time = "101500",
      modality = hostile or MODALITIES[i % 4 + 1],
    description = hostile or ("Thorax nativ %d"):format(i), expected = i % 7 * 20 + 1 }
end

-- Claims items and records what became of them: `states` has a state for each, in order.
local function record(L, states)
  local items = assert(L:claim(#states))
  local changes = {}
  for i, item in ipairs(items) do
    local change = states[i]
    if change.to == "done" then
      assert(L:record { { id = item.id, from = "sending", to = "sent", seconds = 1.5 + i } })
    end
    changes[i] = { id = item.id, from = change.to == "done" and "sent" or "sending", to = change.to, due = change.due,
      reason = change.reason,
      message = change.message, arrived = (change.to == "done" or change.to == "present") and item.expected or nil, bytes = change.bytes,
      verified = change.to == "done" and "count" or nil, tries = change.to ~= "done" and 1 or nil,
      attempt = change.reason and { kind = "dicom", code = change.reason, message = change.message, started = 1, ended = 2 } or nil }
  end
  assert(L:record(changes))
end

-- Adds lines of a list. line: { value =, outcome =, reason =, items = list of the numbers of items }.
local function add_lines(L, lines)
  local rows, results = {}, {}
  for i, line in ipairs(lines) do
    rows[i] = { tag = "AccessionNumber", text = line.value, value = line.value }
    results[i] = { n = i, outcome = line.outcome, reason = line.reason, items = {} }
    for k, number in ipairs(line.items or {}) do
      results[i].items[k] = sample_ledger.item(number)
    end
  end
  assert(L:add_lines(function()
    local i = 0
    return function()
      i = i + 1
      return rows[i]
    end
  end))
  assert(L:set_lines(results))
end

--- Opens a new ledger. options: items = how many; done, present, failed, retries, sending = how many of them are in that state (the rest is
--- todo); found = true: the search has ended; hostile = a text; settings; from, to; level; reason = of the failures; clock.
--- Returns it, and its path, which the caller removes.
function sample_ledger.open(options)
  local path = options.path or os.tmpname()
  os.remove(path)
  local L = assert(ledger.open(path, { create = true, clock = options.clock }))
  assert(L:begin { from_kind = "modality", to_kind = "modality", from_name = options.from or "pacs", from_aet = "PACS",
    to_name = options.to or "archive", to_aet = "ARCHIVE",
    server = "http://127.0.0.1:8042", level = options.level or "Study", query = { StudyDate = "19950101-" },
    listed = options.lines and { file = "list.csv", lines = #options.lines } or nil,
    settings = options.settings or {} })
  assert(L:join { host = "host", pid = 1, server = "http://127.0.0.1:8042", version = "1.12.7" })
  assert(L:take_finder())
  local batch = {}
  for i = 1, options.items do
    batch[#batch + 1] = sample_ledger.item(i, options.hostile)
    if #batch == 500 or i == options.items then
      assert(L:add_items(batch, { cursor = "19980101", slice = { kind = "date", first = "19980101", last = "19981231", answers = #batch,
        finds = 1,
        proof = options.proof or "below", note = options.note or options.hostile } }))
      batch = {}
    end
  end
  local states = {}
  local function add(n, state)
    for _ = 1, n or 0 do
      states[#states + 1] = state
    end
  end
  add(options.done, { to = "done", bytes = 500000 })
  add(options.present, { to = "present" })
  add(options.failed, { to = "failed", reason = options.reason or "0xA900",
    message = options.hostile or "the data set does not match the SOP class" })
  add(options.retries, { to = "todo", due = assert(L:now()) + 3600000, reason = "0xA702", message = options.hostile or "out of resources" })
  for first = 1, #states, 64 do
    record(L, table.move(states, first, math.min(first + 63, #states), 1, {}))
  end
  if options.lines then
    add_lines(L, options.lines)
  end
  if options.sending then
    L.claimed = assert(L:claim(options.sending))
  end
  if options.found then
    assert(L:end_finding())
  end
  return L, path
end

--- Removes the file of a ledger, with those beside it.
function sample_ledger.remove(path)
  for _, suffix in ipairs { "", "-wal", "-shm" } do
    os.remove(path .. suffix)
  end
end

return sample_ledger
