-- transfer.verb: the commands of `modalua transfer`, a function each, which gets the session of the command and returns whether the command
-- succeeded, or the exit status. command.verbs.transfer has their arguments.
local require = ...
local closing = require "transfer.closing"
local failure_text = require "transfer.failure_text"
local json = require "modalua.json"
local lists = require "core.lists"
local modalua = require "modalua"
local output = require "command.output"
local shown_times = require "transfer.shown_times"
local task = require "modalua.task"
local transfer = require "transfer.transfer"

local verb = {}

local INTERRUPTED = 130 -- the exit status
local WATCH_SECONDS = 2

-- The options of run that are passed on as they are.
local PASSED = { "add", "level", "several", "all", "concurrency", "join", "hours", "time_zone", "rate", "share", "gap", "retries",
  "max_failed", "verify", "order", "max", "limit_results", "names", "yes", "dry_run", "once", "log", "metrics" }

local OF_LIST = { "column", "encoding" } -- those of the list of --items

-- What messages quote, in words of the command.
local NAMES = { from = "--from", to = "--to", TargetAet = "--to-aet", arrived_at = "--arrived-at", query = "Tag=Value",
  items = "--items" }

-- ---- calls of the public functions ----

local function option(name)
  return "--" .. name:gsub("_", "-")
end

-- Replaces the names with which the message begins: "'from' and 'to' are the same" is "--from and --to are the same".
local function with_first_names(message)
  local place = message:match "^the ledger is new, so ()" or 1
  while place do
    local word, behind = message:match("^'(%a[%a_]*)'()", place)
    local name = NAMES[word]
    if not name then
      break
    end
    message = message:sub(1, place - 1) .. name .. message:sub(behind)
    place = message:match("^ %l+ ()'", place + #name)
  end
  return message
end

-- A message of transfer.transfer with its options as the command has them: "max_failed = 5" is "--max-failed 5". What is quoted further
-- behind may be the name of a modality, and stays.
local function in_words_of_the_command(message)
  local function setting(name) -- as in "hours: …" and "order must …"
    return lists.has(PASSED, name) and option(name) or nil
  end
  local function assignment(name, value)
    return (lists.has(PASSED, name) or lists.has(OF_LIST, name)) and option(name) .. value or nil
  end
  message = message:gsub("^option '([%l_]+)'", option):gsub("^%l[%l_]*%f[: ]", setting)
  message = message:gsub("%f[%w_]([%l_]+) = true", function(name) return assignment(name, "") end)
  return with_first_names((message:gsub("%f[%w_]([%l_]+) =( [\"%d])", assignment)))
end

-- Calls a function of transfer.transfer. A mistake in the arguments, and a ledger that is not what it should be, end the command with
-- status 2, before anything was written. Returns the results of the function.
local function call(self, f, ...)
  local results = table.pack(pcall(f, ...))
  local good, value, err = results[1], results[2], results[3]
  local mistake = not good and type(value) == "string" and value:match "^%l[%w_]*: (.*)$" -- "run: option 'rate' must …"
  if mistake then
    self:usage_error("%s", in_words_of_the_command(mistake))
  end
  local failure = good and not value and err or not good and value
  if modalua.is_error(failure) and failure.kind == "refused" and failure.code == "usage" then
    self:usage_error("%s", in_words_of_the_command(failure.message))
  elseif not good then
    error(value, 0)
  end
  return table.unpack(results, 2, results.n)
end

-- The same for a function that returns nil, err: after a failure, prints the error and ends the command with status 1.
local function must(self, f, ...)
  return self:must(call(self, f, ...))
end

-- ---- run: the options ----

-- Stops the command when more than one of these options was given. Returns the name of the one that was given, or nil.
local function only_one(self, ...)
  local found
  for _, name in ipairs { ... } do
    if self.options[name] and found then
      self:usage_error("--%s and --%s contradict each other", found:gsub("_", "-"), (name:gsub("_", "-")))
    end
    found = self.options[name] and name or found
  end
  return found
end

-- Sets options.from and options.to, where they were given. Returns false after an error.
local function read_sides(self, options)
  local given = self.options
  local from = only_one(self, "from", "from_local")
  local to = only_one(self, "to", "to_local", "to_peer", "to_aet")
  for _, name in ipairs { "from", "to", "to_peer" } do
    if given[name] == "" then -- a variable of the shell that is not set
      self:usage_error("--%s is empty", (name:gsub("_", "-")))
    end
  end
  if from then
    options.from = given.from_local and self:client() or self:modality(given.from)
  end
  if to == "to_aet" then
    options.TargetAet = given.to_aet
  elseif to == "to" then
    options.to = self:modality(given.to)
  elseif to then
    options.to = given.to_peer and call(self, self:client().peer, self:client(), given.to_peer) or self:client()
  end
  return (options.from or not from) and (options.to or options.TargetAet or not to)
end

local function read_arrived_at(self, name)
  local good, client = pcall(modalua.connect, transfer.place_named(name))
  if not good then
    self:usage_error("--arrived-at: %s", tostring(client))
  end
  return client
end

-- The options of transfer.run; nil after an error.
local function read_options(self, query)
  local given = self.options
  local options = { ledger = given.ledger, query = next(query) and query or nil }
  for _, name in ipairs(PASSED) do
    options[name] = given[name]
  end
  if given.items then
    options.items = { file = given.items, column = given.column, encoding = given.encoding }
  elseif given.column or given.encoding then
    self:usage_error "--column and --encoding describe the list of --items"
  end
  options.arrived_at = given.arrived_at and read_arrived_at(self, given.arrived_at)
  return read_sides(self, options) and options or nil
end

-- ---- run: while it runs ----

-- Asks at the terminal whether so many items may be sent. Without a terminal it answers no.
local function confirm(self, n)
  if not (self.terminal.input and self.terminal.errors) then
    return false
  end
  modalua.bar { over = true }
  io.stderr:write(("%d items were found. Send them? [y/N] "):format(n))
  local answer = io.read "l"
  task.sleep(0) -- when Ctrl-C ended io.read, its error is thrown here, at the first wait
  answer = answer and answer:lower()
  return answer == "y" or answer == "yes"
end

-- What run is told by the command, and the other way round: `stopping` becomes true at the first Ctrl-C; run sets `line`.
local function new_control(self)
  local named = self.options.arrived_at
  local control = { terminal = self.terminal, json = self.options.json,
    arrived_at = named and transfer.place_named(named).profile or nil }
  function control.confirm(n)
    return confirm(self, n)
  end
  return control
end

local function on_signal(self, control, name)
  if name == "progress" then
    if control.line then
      control.line()
    end
  elseif not control.stopping then
    control.stopping = true
    self:note "modalua: stopping: what is under way is finished first (Ctrl-C again cancels it)"
  end
end

-- ---- run: how it ended ----

local function is_partial(self)
  return self.options.max or self.options.once or self.options.dry_run
end

local function status_of(self, control, summary, err)
  local left, bad = closing.count(summary, "todo", "sending", "sent"), closing.count(summary, "failed", "unknown")
  if control.stopping and (left > 0 or not summary.complete) then
    return INTERRUPTED
  elseif err then
    return 1
  elseif bad + closing.lines_without_items(summary) + summary.unproven > 0 or summary.state == "paused" then
    return 1
  elseif is_partial(self) then
    return (summary.unfinished or 0) == 0 and 0 or 1
  end
  return left == 0 and summary.complete and 0 or 1
end

function verb.run(self, query)
  local options = read_options(self, query)
  if not options then
    return false
  end
  local control = new_control(self)
  local _ <close> = self:listen(function(name) on_signal(self, control, name) end)
  local summary, err = call(self, transfer.run, options, control)
  if err then
    self:report_error(err.code == "too_many" and in_words_of_the_command(err.message) or err)
    summary = err.summary
  end
  if not summary then
    return false
  end
  self:note("modalua: %s", summary.text)
  return status_of(self, control, summary, err)
end

-- ---- status ----

local function rate_text(rate)
  return rate and ("%.1f items/min, %.1f images/min"):format(rate.items, rate.instances)
end

local function window_text(window)
  return window and (window.open and "open" or "closed") .. (window["until"] and " until " .. shown_times.text(window["until"]) or "")
end

local SIDES <const> = { from = true, to = true }

-- The status as a list of rows { what =, value = }.
local function status_rows(status)
  local rows = {}
  local function add(what, value)
    rows[#rows + 1] = value ~= nil and { what = what, value = tostring(value) } or nil
  end
  add("state", status.state)
  add("found", (status.complete and "" or "≥ ") .. status.found)
  for _, state in ipairs { "todo", "sending", "sent", "done", "present", "failed", "unknown" } do
    add(state, status.items[state] or 0)
  end
  add("unproven parts", status.unproven)
  add("images", status.instances)
  add("bytes", status.bytes > 0 and status.bytes or nil)
  add("paused", status.paused)
  add("rate now", rate_text(status.rate))
  add("rate of the run", rate_text(status.run_rate))
  add("seconds left", status.left and math.ceil(status.left))
  add("hours", window_text(status.window))
  local waiting = status.waiting
  local side = waiting and (SIDES[waiting.side] and status[waiting.side] or "the server")
  add("waiting for", waiting and ("%s since %s: %s"):format(side, shown_times.text(waiting.since), waiting.reason))
  add("runs", #status.workers)
  return rows
end

local function show_status(self)
  local status = must(self, transfer.status, self.options.ledger)
  local document = shown_times.copy(status)
  document.bytes = status.bytes > 0 and status.bytes or nil -- bytes are known only where an Orthanc receives that can be asked
  self:show({ "what", "value" }, status_rows(status), document)
  return status
end

function verb.status(self)
  local status = show_status(self)
  while self.options.watch and status.state ~= "finished" do
    task.sleep(WATCH_SECONDS)
    if self.terminal.output and not self.options.json then
      io.write "\27[H\27[2J"
    end
    status = show_status(self)
  end
  return true
end

-- ---- the commands that change a ledger ----

function verb.pause(self)
  must(self, transfer.pause, self.options.ledger)
  self:note "paused: runs finish what is under way"
  return true
end

function verb.resume(self)
  must(self, transfer.resume, self.options.ledger)
  self:note "resumed"
  return true
end

local SETTINGS = { "concurrency", "rate", "hours", "share", "gap", "verify", "retries" }

function verb.set(self)
  local changes = {}
  for _, name in ipairs(SETTINGS) do
    changes[name] = self.options[name]
  end
  if changes.hours == "" then -- a variable of the shell that is not set must not allow all hours
    self:usage_error "--hours is empty: write always to allow all hours"
  elseif not next(changes) then
    self:usage_error "nothing is to be changed: give a setting, such as --concurrency 4"
  end
  must(self, transfer.set, self.options.ledger, changes)
  self:note "set"
  return true
end

function verb.retry(self)
  local n = must(self, transfer.retry, self.options.ledger, { state = self.options.state, reason = self.options.reason })
  self:note("%d items or lines of the list are to be tried again", n)
  return true
end

function verb.add(self)
  local given = self.options
  local n = must(self, transfer.add, given.ledger, { file = given.file, column = given.column, encoding = given.encoding },
    { first = given.first })
  self:note("%s added", type(n) == "number" and ("%d lines"):format(n) or "the list is")
  return true
end

-- ---- items, report, check ----

local ITEM_COLUMNS = { "key", "patient_id", "accession", "date", "modality", "state", "reason", "tries", "expected", "arrived", "bytes",
  "seconds", "finished", "verified", "message" }

function verb.items(self)
  local filter = { state = self.options.state, reason = self.options.reason }
  local next_item, state, control, closing <close> = call(self, transfer.items, self.options.ledger, filter) -- luacheck: ignore
  self:show_each(ITEM_COLUMNS, function()
    local item = next_item(state, control)
    local row = item and shown_times.row(item)
    return row and (self.options.json or self.options.jsonl) and row or row and failure_text.row(row)
  end)
  return true
end

function verb.report(self)
  local given = self.options
  if not (given.html or given.csv) then
    self:usage_error "give --html FILE, --csv FILE or both"
  end
  if given.html == "-" and given.csv == "-" then
    self:usage_error "only one of --html and --csv can go to standard output"
  end
  local function write(text)
    output.write_piece(self.terminal, text)
  end
  must(self, transfer.report, given.ledger,
    { html = given.html == "-" and write or given.html, csv = given.csv == "-" and write or given.csv })
  output.write(self.terminal, "")
  return true
end

function verb.check(self)
  local result = must(self, transfer.check, self.options.ledger)
  if self.options.json then
    json.array(result.problems)
    print(json.encode(result))
  end
  for _, problem in ipairs(result.problems) do
    self:note("modalua: %s", problem)
  end
  if not self.options.json then
    self:note("%d items: %s", result.items, result.ok and "the ledger is whole" or "the ledger is damaged")
  end
  return result.ok
end

return verb
