-- transfer.view_text: the state of a transfer in words, for the terminal, for lines and for the report.
--
-- The facts are a table: name = of the ledger, status = of status.of, totals = L:totals(), retries = the number of items that wait for
-- another try, retry_at = when the first of them is due, P = the pace, now = ms, and what only a run knows: under_way = list of { item =,
-- seconds =, done =, total = }, concurrency =, finding = where the search is, waiting = { side =, since =, reason = }, problem = { at =,
-- text =, n = }, names = whether patients may be named, dry_run = whether it only finds and compares.
local require = ...
local letters = require "text.letters"
local progress_bar = require "core.progress_bar"

local view_text = {}

local GAP <const> = "   "
local BAR <const>, NARROW_BAR <const>, NARROW <const> = 24, 12, 100 -- columns
local NOUNS <const> = { Study = "studies", Series = "series" }
local VERIFIED <const> = { count = "compared by number of images", uids = "compared image by image", job = "not compared" }

-- ---- numbers and times ----

-- "41,211".
function view_text.count(n)
  local digits = ("%d"):format(n // 1)
  return (digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", ""))
end

local count = view_text.count

-- A rate, in a minute: "1,204", or "0.3" where it is small.
local function rate_text(n)
  return n < 10 and ("%.1f"):format(n) or count(n + 0.5)
end

local UNITS <const> = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }

-- "3 h 20 min": the two largest units.
function view_text.duration(seconds)
  seconds = math.max(seconds, 0) // 1
  for i, unit in ipairs(UNITS) do
    if seconds >= unit[1] then
      local smaller = UNITS[i + 1]
      local rest = smaller and seconds % unit[1] // smaller[1] or 0
      return ("%d %s"):format(seconds // unit[1], unit[2]) .. (rest > 0 and (" %d %s"):format(rest, smaller[2]) or "")
    end
  end
  return "0 s"
end

local DAY <const> = 86400000

-- The local time of an instant, seen from another: "22:14" on the same day, "Tue 22:14" in the same week, else "2026-11-24 22:14".
function view_text.time(P, instant, now)
  local t, today = P:local_time(instant), P:local_time(now)
  local time = ("%02d:%02d"):format(t.hour, t.minute)
  if t.year == today.year and t.month == today.month and t.day == today.day then
    return time
  elseif math.abs(instant - now) < 6 * DAY then
    return t.weekday .. " " .. time
  end
  return ("%04d-%02d-%02d %s"):format(t.year, t.month, t.day, time)
end

-- "2026-11-24 22:14:05".
function view_text.full_time(P, instant)
  local t = P:local_time(instant)
  return ("%04d-%02d-%02d %02d:%02d:%02d"):format(t.year, t.month, t.day, t.hour, t.minute, t.second)
end

-- A UID, of which a long one loses its middle: 1.2.840…10.17.
function view_text.short_uid(uid)
  uid = letters.shown(uid)
  return #uid > 20 and not uid:find "[^%w.]" and uid:sub(1, 8) .. "…" .. uid:sub(-9) or letters.cut(uid, 20)
end

-- ---- the parts ----

-- Joins the parts that fit into the width; the first that does not is cut, when enough of it stays.
local function fitted(parts, width)
  local line = ""
  for _, part in ipairs(parts) do
    local text = line == "" and part or line .. GAP .. part
    if letters.width(text) > width then
      return letters.width(line) + 12 < width and letters.cut(text, width) or line
    end
    line = text
  end
  return line
end

local function head(facts)
  local status = facts.status
  return { letters.shown(facts.name), ("%s → %s"):format(letters.shown(status.from), letters.shown(status.to)),
    facts.since and "since " .. view_text.time(facts.P, facts.since, facts.now) or nil }
end

-- How much is done, by images where their number is known: done, total.
local function share(facts)
  local items, done = facts.status.items, 0
  local images, all_images = 0, 0
  for state, total in pairs(facts.totals) do
    local over = state == "done" or state == "present"
    done = done + (over and items[state] or 0)
    images, all_images = images + (over and total.instances or 0), all_images + total.instances
  end
  if all_images > 0 then
    return images, all_images
  end
  return done, facts.status.found
end

local function amount(facts)
  local items = facts.status.items
  local noun = NOUNS[facts.status.level] or "items"
  local done = (items.done or 0) + (items.present or 0)
  return ("%s of %s%s %s"):format(count(done), facts.found_all and "" or "≥ ", count(facts.status.found), noun)
end

local function finding(facts)
  return not facts.found_all and "still finding" .. (facts.finding and ": " .. letters.shown(facts.finding) or "") or nil
end

-- What is not done: "12 failed", "3 unknown", "7 again at 23:40", "still finding: 1998".
local function troubles(facts)
  local items, parts = facts.status.items, {}
  for _, state in ipairs { "failed", "unknown" } do
    if (items[state] or 0) > 0 then
      parts[#parts + 1] = ("%s %s"):format(count(items[state]), state)
    end
  end
  if facts.retries > 0 then
    parts[#parts + 1] = ("%s%s again at %s"):format(count(facts.retries), facts.retries >= 1000 and "+" or "",
      view_text.time(facts.P, facts.retry_at or facts.now, facts.now))
  end
  parts[#parts + 1] = finding(facts)
  return parts
end

local function rates(facts)
  local noun = NOUNS[facts.status.level] or "items"
  local function text(name, rate)
    if not rate then
      return nil
    end
    local parts = { ("%s %s %s/min"):format(name, rate_text(rate.items), noun) }
    parts[#parts + 1] = rate.instances > 0 and ("%s images/min"):format(rate_text(rate.instances)) or nil
    parts[#parts + 1] = rate.bytes > 0 and progress_bar.bytes_text(rate.bytes / 60) .. "/s" or nil
    return table.concat(parts, ", ")
  end
  local now, run = text("now", facts.status.rate), text("run", facts.status.run_rate)
  local same = now and run and now:sub(4) == run:sub(4) -- the run is young
  local nothing = (facts.status.items.done or 0) == 0 and "nothing sent yet"
    or facts.status.state == "running" and "rate: known after some seconds" or "nothing sent lately"
  return { now or run or nothing, now and not same and run or nil }
end

-- The time that is left, in the allowed hours.
local function left(facts)
  local status = facts.status
  if not facts.found_all then
    return "time left: known when all is found"
  elseif not status.left then
    return "time left: not known yet"
  end
  local at = facts.P:after(facts.now, math.ceil(status.left * 1000))
  return ("left %s%s"):format(view_text.duration(status.left), at and ", until " .. view_text.time(facts.P, at, facts.now) or "")
end

local function under_way_entry(entry, names)
  local item = entry.item
  local parts = { names and (item.patient_name or item.patient_id), view_text.short_uid(item.key), item.modality, item.date }
  local words = {}
  for i = 1, 4 do
    words[#words + 1] = parts[i] and parts[i] ~= "" and letters.shown(parts[i]) or nil
  end
  if entry.total and entry.total > 1 and entry.done then
    words[#words + 1] = ("%d %%"):format(entry.done * 100 // entry.total)
  end
  words[#words + 1] = progress_bar.duration_text(entry.seconds)
  return table.concat(words, " ")
end

local function under_way(facts, width)
  local list = facts.under_way or {}
  local parts = { ("under way %d of %d"):format(#list, math.max(facts.concurrency or 0, #list)) }
  if #list > 1 and width >= NARROW then
    parts[1] = parts[1] .. ", longest first"
  end
  local used = letters.width(parts[1])
  for i, entry in ipairs(list) do
    local text = under_way_entry(entry, facts.names)
    used = used + #GAP + letters.width(text)
    if used > width and i > 1 then
      break
    end
    parts[#parts + 1] = text
  end
  return parts
end

local SIDES <const> = { from = "from", to = "to" }

-- "waiting for archive since 02:14: …"; nil when nothing is waited for.
local function waiting(facts)
  local wait = facts.waiting or facts.status.waiting
  if not wait then
    return nil
  end
  local side = SIDES[wait.side] and facts.status[wait.side] or wait.side == "ledger" and "the ledger" or "the server"
  return ("waiting for %s%s: %s"):format(letters.shown(side), wait.since and " since " .. view_text.time(facts.P, wait.since,
    facts.now) or "",
    letters.shown(tostring(wait.reason)))
end

local function window(facts)
  local open, change = facts.P:window(facts.now)
  if not change or facts.dry_run then -- hours do not hold for a dry run
    return nil
  end
  return (open and "open until " or "closed until ") .. view_text.time(facts.P, change, facts.now)
end

local function problem(facts)
  local p = facts.problem
  return p and ("last problem %s %s%s"):format(view_text.time(facts.P, p.at, facts.now), letters.shown(p.text),
    p.n > 1 and (" (%s in this run)"):format(count(p.n)) or "") or nil
end

local function packed(...)
  local list = {}
  for i = 1, select("#", ...) do
    list[#list + 1] = (select(i, ...))
  end
  return list
end

local function condition(facts)
  local paused = facts.status.paused
  return packed(paused and "paused: " .. letters.shown(paused), waiting(facts), window(facts),
    VERIFIED[facts.status.settings.verify or "count"], problem(facts))
end

-- ---- all of it ----

-- The six lines for a terminal of that width.
function view_text.block(facts, width)
  width = math.max(width - 1, 1)
  local done, total = share(facts)
  local bar = total > 0 and progress_bar.share_text(done, total, width < NARROW and NARROW_BAR or BAR) or nil
  local second = packed(bar, amount(facts))
  table.move(troubles(facts), 1, 4, #second + 1, second)
  local lines = { head(facts), second, rates(facts), { left(facts) }, under_way(facts, width), condition(facts) }
  for i, parts in ipairs(lines) do
    lines[i] = fitted(parts, width)
  end
  return table.concat(lines, "\n")
end

-- Where from and where to, as a line.
function view_text.head(facts)
  return table.concat(head(facts), ", ")
end

view_text.waiting, view_text.window = waiting, window

-- The same on one line, for a log.
function view_text.line(facts)
  local parts = { amount(facts) }
  for _, more in ipairs { troubles(facts), rates(facts), { left(facts), ("%d under way"):format(#(facts.under_way or {})) },
    packed(facts.status.paused and "paused: " .. letters.shown(facts.status.paused), waiting(facts), window(facts)) } do
    table.move(more, 1, #more, #parts + 1, parts)
  end
  return table.concat(parts, "; ")
end

-- A failure of an item as a line; `words` say what has happened.
function view_text.failure(facts, event, words)
  local when = event.state == "todo" and event.due and " (again at " .. view_text.time(facts.P, event.due, facts.now) .. ")" or ""
  return ("%s %s: %s%s"):format(event.state == "todo" and "not sent" or event.state, letters.shown(event.item.key),
    letters.shown(words), when)
end

return view_text
