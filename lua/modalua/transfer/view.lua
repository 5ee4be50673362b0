-- transfer.view: shows a run of a transfer while it goes on: six lines on a terminal, which are redrawn in place; lines elsewhere; JSON
-- lines; a log; a file of metrics; and the function that a script gives as `progress`.
--
-- The run tells events, tables with the field `event`: start, slice, begin, end_item, failure, progress, wait, window, dropped, note, end.
local require = ...
local failure_text = require "transfer.failure_text"
local json = require "modalua.json"
local letters = require "text.letters"
local metrics = require "transfer.metrics"
local native = require "core.native"
local pace = require "transfer.pace"
local shown_times = require "transfer.shown_times"
local status = require "transfer.status"
local text = require "transfer.view_text"

local view = {}

local REDRAW <const>, READ <const>, LINE <const>, JSON <const> = 0.5, 2, 60, 10 -- seconds
local READ_SHARE <const> = 0.05 -- of the time may be spent with reading the ledger

local View = {}
View.__index = View

-- ---- the facts ----

-- Reads the ledger, when the last time is long enough ago. What is then read is known to all outputs.
local function read(self)
  local begun = native.now()
  if self.reading or begun < self.next_read or not self.ledger then
    return
  end
  self.reading = true
  local ledger = self.ledger
  local info, now = ledger:describe(), ledger:now()
  local state, totals = status.of(ledger), ledger:totals()
  local retries, retry_at = nil, nil
  if info and now then
    retries, retry_at = ledger:waiting(now)
  end
  self.reading = false
  self.next_read = native.now() + math.max(READ, (native.now() - begun) / READ_SHARE)
  local P = info and pace.read(info.settings)
  if not (P and state and totals and retries) then
    return -- the run says that the ledger does not answer
  end
  local facts = self.facts
  facts.status, facts.totals, facts.retries, facts.retry_at = state, totals, retries, retry_at
  facts.P, facts.since, facts.found_all = P, info.created, info.found_all ~= nil
end

local function is_known(self)
  read(self)
  self.facts.now = pace.now()
  return self.facts.status ~= nil
end

-- ---- what an event becomes for others ----

-- An item, by its UIDs alone unless names may be shown.
local function public_item(self, item, row)
  row.key = item.key
  if self.names then
    for _, name in ipairs { "patient_id", "patient_name", "accession", "description" } do
      row[name] = item[name]
    end
  end
  return row
end

local function public_progress(self, row)
  if not is_known(self) then
    return nil
  end
  for name, value in pairs(self.facts.status) do
    row[name] = value
  end
  row.settings, row.workers, row.waiting = nil, #row.workers, self.facts.waiting or row.waiting
  local under_way = {}
  for i, entry in ipairs(self.facts.under_way or {}) do
    under_way[i] = public_item(self, entry.item, { seconds = entry.seconds, done = entry.done, total = entry.total })
  end
  row.under_way = json.array(under_way)
  return row
end

local SIMPLE <const> = { slice = { "kind", "first", "last", "prefix", "answers", "finds", "proof", "note" }, wait = { "side", "since",
  "reason" } }

-- Texts of other machines as JSON can have them.
local function cleaned(value)
  return type(value) == "string" and letters.shown(value) or value
end

-- Returns the table for a script or for JSON; nil for an event that they do not get.
local function public(self, event)
  local row = { event = event.event, time = pace.now() }
  if SIMPLE[row.event] then
    for _, name in ipairs(SIMPLE[row.event]) do
      row[name] = cleaned(event[name])
    end
  elseif row.event == "start" and is_known(self) then
    row.ledger, row.from, row.to, row.worker = cleaned(self.facts.name), self.facts.status.from, self.facts.status.to, event.worker
  elseif row.event == "failure" then
    public_item(self, event.item, row)
    row.state, row.reason, row.message, row.due = event.state, cleaned(event.reason), cleaned(event.message), event.due
  elseif row.event == "window" then
    row.event, row["until"] = "wait", not event.open and event["until"] ~= math.huge and event["until"] or nil
    row.side = not event.open and "hours" or nil
  elseif row.event == "progress" then
    return public_progress(self, row)
  elseif row.event == "end" then
    row.summary = event.summary
  else
    return nil
  end
  return row
end

-- ---- the outputs ----

-- A line on standard error, and in the log.
local function write_line(self, line)
  if self.shows then
    if self.draws then
      native.show_lines ""
    end
    io.stderr:write(letters.shown(line), "\n")
  end
end

local function write_log(self, line)
  if not self.log then
    return
  end
  local P = self.facts.P
  line = (P and text.full_time(P, pace.now()) or os.date "!%Y-%m-%d %H:%M:%SZ") .. " " .. letters.shown(line)
  if type(self.log) == "function" then
    self.log(line)
    return
  end
  local good, why = self.log:write(line, "\n")
  if good then
    good, why = self.log:flush()
  end
  if not good and not self.log_failed then
    write_line(self, ("the log cannot be written: %s"):format(why))
  end
  self.log_failed = not good
end

local function write_json(self, row)
  local line = json.encode(shown_times.copy(row))
  if line then
    line = self.terminal.output and letters.shown(line, "json") or line
    native.show_lines ""
    io.stdout:write(line, "\n")
    io.stdout:flush()
  end
end

local function draw(self)
  local width = native.terminal_columns()
  local now = native.now()
  if self.draws and width and now - self.drawn >= REDRAW and is_known(self) then
    self.drawn = now
    native.show_lines(text.block(self.facts, width))
  end
end

-- Whether so many seconds have passed since this was last true.
local function is_due(self, what, seconds)
  local now = native.now()
  if now - (self.last[what] or -math.huge) < seconds then
    return false
  end
  self.last[what] = now
  return true
end

local function write_metrics(self)
  if not self.metrics or not is_known(self) then
    return
  end
  local content = metrics.text(self.facts)
  if type(self.metrics) == "function" then
    self.metrics(content)
    return
  end
  local good, message = metrics.write(self.metrics, content)
  if not good and not self.metrics_failed then
    write_line(self, message)
    write_log(self, message)
  end
  self.metrics_failed = not good
end

-- ---- events ----

local function note_problem(self, words)
  local p = self.facts.problem
  self.facts.problem = { at = pace.now(), text = words, n = p and p.n + 1 or 1 }
end

-- A line that is part of the six lines, or an object of JSON.
local function both(self, line)
  if not self.draws and not self.json then
    write_line(self, line)
  end
  write_log(self, line)
end

-- What the six lines and the log make of an event.
local on = {}

function on.start(self)
  if is_known(self) then
    both(self, text.head(self.facts))
  end
end

function on.slice(self, event)
  local place = tostring(event.first or event.last or event.kind)
  self.facts.finding = place:match "^(%d%d%d%d)%d%d%d%d$" or place -- the year of a date
end

local ADVICE_MOST <const> = 20 -- different ones in a run

-- Each advice is said once.
function on.failure(self, event)
  local words, advice = failure_text.divided(event.message or event.reason or "")
  note_problem(self, words)
  if is_known(self) then
    both(self, text.failure(self.facts, event, words))
    if advice and not self.advised[advice] and self.advised.n < ADVICE_MOST then
      self.advised[advice], self.advised.n = true, self.advised.n + 1
      both(self, letters.shown(("  %s: %s"):format(words, advice)))
    end
  end
end

function on.wait(self, event)
  local before = self.facts.waiting
  self.facts.waiting = event.side and { side = event.side, since = event.since, reason = event.reason } or nil
  if not is_known(self) then
    return
  elseif event.side and not (before and before.side == event.side and before.reason == event.reason) then
    both(self, text.waiting(self.facts))
  elseif before and not event.side then
    both(self, "the wait is over")
  end
end

function on.window(self)
  local words = is_known(self) and text.window(self.facts)
  if words then
    both(self, words)
  end
end

function on.dropped(self, event)
  both(self, ("%s: another worker has taken it; the result of this one is dropped"):format(event.item.key))
end

function on.note(self, event)
  write_line(self, event.message)
  write_log(self, event.message)
end

function on.progress(self, event)
  local list, now = {}, native.now()
  for i, entry in ipairs(event.under_way or {}) do
    list[i] = { item = entry.item, seconds = now - entry.since, done = entry.done, total = entry.total }
  end
  table.sort(list, function(a, b) return a.seconds > b.seconds end)
  self.facts.under_way, self.facts.concurrency = list, event.concurrency
  if is_due(self, "line", LINE) and is_known(self) then
    both(self, text.line(self.facts))
  end
  if is_due(self, "metrics", LINE) then
    write_metrics(self)
  end
end

function on.finish(self)
  self.next_read = 0
  if is_known(self) then
    write_log(self, text.line(self.facts))
  end
  write_metrics(self)
end

-- ---- the object ----

-- Sets the ledger that is shown.
function View:watch(ledger)
  self.ledger, self.facts.name = ledger, ledger.name
end

-- Shows an event. Any task may call it.
function View:tell(event)
  local handler = on[event.event == "end" and "finish" or event.event]
  if handler then
    handler(self, event)
  end
  local wants_json = self.json and (event.event ~= "progress" or is_due(self, "json", JSON))
  local row = (wants_json or self.progress) and public(self, event)
  if row and self.progress then
    self.progress(row)
  end
  if row and wants_json then
    write_json(self, row)
  end
  draw(self)
end

-- Prints one line about the present state, also on a terminal.
function View:line()
  if is_known(self) then
    native.show_lines ""
    io.stderr:write(text.line(self.facts), "\n")
  end
end

-- The run has not begun, for this reason: the log tells it, unless the call was wrong.
function View:fail(err)
  self.was_wrong = err.code == "usage"
  if not self.was_wrong then
    write_log(self, err.message)
  end
end

-- Removes the six lines, and ends the log. A new log of a call that was wrong is removed, also of one that has thrown an error before there
-- was a ledger.
function View:close(thrown)
  if self.draws then
    native.show_lines ""
    self.draws = false
  end
  if io.type(self.log) == "file" then
    self.log:close()
    if self.new_log_path and not self.ledger and (self.was_wrong or thrown ~= nil) then
      os.remove(self.new_log_path)
    end
  end
end

View.__close = View.close

-- Opens the log, to write to its end. Returns true, or nil and a message.
local function open_log(self, target)
  if type(target) ~= "string" then
    self.log = target
    return true
  end
  local is_new, file, why = not native.path_kind(target), io.open(target, "a")
  if not file then
    return nil, ("the log cannot be written: %s"):format(why)
  end
  self.log, self.new_log_path = file, is_new and target or nil
  return true
end

-- Whether the file of metrics can be written; it stays as it is. false and a message.
local function check_metrics(target)
  if type(target) ~= "string" then
    return true
  end
  local file <close>, why = native.whole_file(target)
  return file ~= nil, ("the metrics '%s' cannot be written: %s"):format(native.text_shown(target), why)
end

-- Returns a view, which shows the ledger that View:watch gets; nil and a message when the log or the file of metrics cannot be written.
-- options: terminal = { output =, errors = whether these are terminals } of the command, json = true for JSON lines on standard output,
-- progress = true or a function, log = a file or a function, metrics = a file or a function, names = whether patients may be named,
-- dry_run = whether the run finds and compares only.
function view.new(options)
  local terminal = options.terminal or {}
  local self = setmetatable({ names = options.names, json = options.json, terminal = terminal, metrics = options.metrics, last = {},
    drawn = -math.huge, next_read = 0, advised = { n = 0 },
    facts = { names = options.names, retries = 0, dry_run = options.dry_run } }, View)
  local good, message = check_metrics(self.metrics)
  if good then
    good, message = open_log(self, options.log)
  end
  if not good then
    return nil, message
  end
  self.progress = type(options.progress) == "function" and options.progress or nil
  self.shows = options.terminal ~= nil or options.progress == true
  self.draws = self.shows and not self.json and native.terminal_columns() ~= nil
  return self
end

return view
