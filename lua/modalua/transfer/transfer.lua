-- transfer.transfer: the functions of the module modalua.transfer. src/api/transfer_functions.c has their rows, and checks the types of
-- their arguments first.
local require = ...
local breaker = require "transfer.breaker"
local described = require "core.described"
local ledger = require "transfer.ledger"
local modalua = require "modalua"
local native = require "core.native"
local options = require "transfer.options"
local sides = require "transfer.sides"
local status = require "transfer.status"

local transfer = {}

local POLL_SECONDS <const> = 0.25

local function usage(message, ...)
  native.usage(message:format(...))
end

-- ---- run: the ledger and what it is for ----

-- The sides of a transfer whose ledger exists, where the caller has not given them. The server is that of the ledger; with PostgreSQL
-- another machine may have another one.
local function complete_sides(row, plan, is_shared)
  local client = plan.from and plan.from.client or plan.to and plan.to.client or modalua.connect()
  if not plan.from and not is_shared and native.url(client) ~= row.server then
    usage("run: this transfer uses the Orthanc at %s, and the connection is to %s: connect to the former, or give 'from'", row.server,
      native.url(client))
  end
  plan.from = plan.from or { kind = row.from_kind, name = row.from_name, client = client,
    value = row.from_kind == "modality" and client:modality(row.from_name) or client }
  if not plan.to then
    plan.to = { kind = row.to_kind, name = row.to_name, aet = row.to_kind == "aet" and row.to_aet or nil }
    plan.to.client = row.to_kind == "client" and client or nil
    plan.to.peer = row.to_kind == "peer" and client:peer(row.to_name) or nil
  end
end

-- How modalua.connect finds an Orthanc by a URL, or by the name of a profile.
function transfer.place_named(name)
  return name:find "^%a+://" and { url = name } or { profile = name }
end

-- The client of the Orthanc that receives, which a former run has named.
local function complete_arrived_at(row, plan)
  local name = row.settings.arrived_at
  if plan.arrived_at or not name then
    return
  end
  local good, client = pcall(modalua.connect, transfer.place_named(name))
  if not good then
    usage("run: what arrives is compared at '%s', and that Orthanc is not known here: give arrived_at again: %s", native.text_shown(name),
      tostring(client))
  end
  local system, err = client:system()
  if not system and (err.status == 401 or err.status == 403) then
    usage("run: what arrives is compared at '%s', which refuses the connection with the status %d: give arrived_at again; the ledger "
      .. "keeps no password", native.text_shown(name), err.status)
  end
  plan.arrived_at = client
end

-- An AE title that the server has changed since may be another destination.
local function check_titles(row, plan)
  for _, name in ipairs { "from", "to" } do
    local kept, now = row[name .. "_aet"], plan[name].aet
    if kept ~= now then
      usage("run: %s: '%s' had the AE title '%s' when the ledger was made, and has '%s' now: use a new ledger", name, plan[name].name,
        kept or "", now or "")
    end
  end
end

-- The settings that were given and differ from those in the ledger.
local function changed_settings(row, given)
  local changes, any = {}, false
  for name, value in pairs(given) do
    local kept = row.settings[name]
    if value ~= kept and not (value == "" and kept == nil) then
      changes[name], any = value, true
    end
  end
  return any and changes or nil
end

local function merged(settings, changes)
  local all = {}
  for name, value in pairs(settings) do
    all[name] = value
  end
  for name, value in pairs(changes or {}) do
    all[name] = value
  end
  return all
end

-- Looks both sides up at the server of a transfer that has begun. While that does not answer, it is asked again, as in the middle of a run.
-- wait(reason | nil) tells that, and returns whether the run is to stop. Returns true | nil, err.
local function look_up_patiently(L, plan, wait)
  local good, err = sides.look_up(plan)
  local totals = not good and L:totals() or {}
  local patience = breaker.new(native.now)
  patience.worked = totals.done ~= nil
  local stops = false
  while not good and breaker.class_of(err) == "side" and not stops and not patience:is_hopeless() do
    patience:stay_open("server", err.message)
    while not (stops or patience:is_due()) do
      stops = wait(err.message)
      native.sleep(POLL_SECONDS)
    end
    if not stops then
      good, err = sides.look_up(plan)
    end
  end
  if patience.state == "open" and good then
    wait(nil)
  end
  return good, err
end

-- Goes on with a transfer: compares it with what was given, and writes the settings that differ. Returns true | nil, err.
local function continue(L, row, plan, given, wait)
  options.read_selection(plan, given, row.level)
  local difference = options.difference(L, row, plan)
  if difference then
    usage("run: the ledger '%s' is of another transfer: %s", L.name, difference)
  end
  complete_sides(row, plan, L.kind == "postgresql")
  complete_arrived_at(row, plan)
  local changes = changed_settings(row, plan.settings)
  options.check_fit(merged(row.settings, changes), row.from_kind, row.to_kind, plan.arrived_at)
  local good, err = look_up_patiently(L, plan, wait)
  if not good then
    return nil, err
  end
  check_titles(row, plan)
  if changes then
    good, err = L:change_settings(changes)
  end
  if good and plan.list and plan.adds then
    good, err = L:add_lines(plan.list.each, false, true)
  end
  return good and true, err
end

-- Makes the ledger of a new transfer. Nothing is written before all is checked. Returns L | nil, err.
local function create(plan, given, target)
  options.read_selection(plan, given, plan.level or "Study")
  options.check_new(plan)
  local settings = options.complete(plan)
  options.check_fit(settings, plan.from.kind, plan.to.kind, plan.arrived_at)
  local good, err = sides.look_up(plan)
  if not good then
    return nil, err
  end
  local L
  L, err = ledger.open(target, { create = true })
  if not L then
    return nil, err
  end
  local from, to, list = plan.from, plan.to, plan.list
  good, err = L:begin { from_kind = from.kind, from_name = from.name, from_aet = from.aet, to_kind = to.kind, to_name = to.name,
    to_aet = to.aet, server = native.url(from.client), level = plan.level or "Study", query = plan.query,
    listed = list and { file = list.file, column = list.column, lines = list.count }, lines = list and list.each, settings = settings }
  if not good then
    L:close()
    return nil, err
  end
  return L
end

-- The codes of an error that there is a row already.
local BEGUN <const> = { ["23505"] = true, ["SQLITE_CONSTRAINT_PRIMARYKEY"] = true }

-- What was given. The command knows the profile of arrived_at, by which the ledger keeps it.
local function read_plan(given, control)
  local plan = options.read(given)
  plan.settings.arrived_at = control and control.arrived_at or plan.settings.arrived_at
  return plan
end

-- Opens or makes the ledger for that plan | nil, err. waits(L): a function that returns the wait of look_up_patiently.
local function open(plan, given, control, waits)
  local L, err = ledger.open(given.ledger, { create = false })
  local row = false
  if L then
    row, err = L:describe()
  elseif not err.absent then
    return nil, err
  end
  if row == nil then
    L:close()
    return nil, err
  elseif not row then
    if L then
      L:close() -- its tables were made, and nothing else
    end
    local made
    made, err = create(plan, given, given.ledger)
    if made or not BEGUN[err.code] then
      return made, err
    end
    return open(read_plan(given, control), given, control, waits) -- another run has begun it at the same moment
  end
  local opened <close> = L -- luacheck: ignore
  local good
  good, err = continue(L, row, plan, given, waits(L))
  if not good then
    return nil, err
  end
  return ledger.open(given.ledger, { create = false })
end

-- Throws when two of the files of a call are one file. files: list of { option =, path = | nil }.
local function check_distinct(name, files)
  for i, one in ipairs(files) do
    for k = i + 1, #files do
      local other = files[k]
      if one.path and other.path and native.same_file(one.path, other.path) then
        usage("%s: %s and %s are the same file, '%s': give another name", name, one.what, other.what, native.text_shown(other.path))
      end
    end
  end
end

-- The file of a ledger; nil when it is no file.
local function ledger_file(text)
  local target = ledger.read_target(text)
  return target and target.path
end

-- Ends the run in good order at the first Ctrl-C or SIGTERM of a script that the command runs: as Session:listen does for a verb. The
-- command gives the function (src/command/signals.h). Elsewhere there are no signals to listen to: returns nil.
local function listen(control, tell)
  local poll_signal = package and package.loaded.modalua_signals
  if not poll_signal then
    return nil
  end
  local poller = native.spawn(function()
    while true do
      local name = poll_signal()
      if name == "progress" and control.line then
        control.line()
      elseif name == "stop" then
        control.stopping = true
        tell { event = "note", message = "stopping: what is under way is finished first (Ctrl-C again cancels it); later, the same command "
          .. "goes on" }
      end
      native.sleep(POLL_SECONDS)
    end
  end)
  return setmetatable({}, { __close = function()
    poller:cancel()
    poll_signal(false)
  end })
end

-- The function `wait` of look_up_patiently.
local function waits_for_server(L, view, tell, control)
  local since, told
  return function(reason)
    if not since then
      view:watch(L)
      since = L:now()
    end
    if reason ~= told then
      told = reason
      tell { event = "wait", side = reason and "server" or nil, since = since, reason = reason }
    end
    return control ~= nil and control.stopping == true
  end
end

-- transfer.run(options [, control]). `control` is for the command, and is described in transfer.run.
function transfer.run(given, control)
  control = control or given.graceful and {} or nil
  local plan = read_plan(given, control)
  check_distinct("run", { { what = "the ledger", path = ledger_file(given.ledger) }, { what = "log", path = given.log },
    { what = "metrics", path = given.metrics }, { what = "items.file", path = given.items and given.items.file } })
  local view <close>, message = require "transfer.view".new { terminal = control and control.terminal, json = control and control.json,
    progress = given.progress, log = given.log, metrics = given.metrics, names = given.names, dry_run = given.dry_run }
  if not view then
    usage("run: %s", message)
  end
  local function tell(event)
    view:tell(event)
    if control and control.tell then -- of specs
      control.tell(event)
    end
  end
  local opened, err = open(plan, given, control, function(L)
    return waits_for_server(L, view, tell, control)
  end)
  if not opened then
    view:fail(err)
    return nil, err
  end
  local L <close> = opened
  local from, to = plan.from, plan.to
  view:watch(L)
  if control then
    function control.line()
      view:line()
    end
  end
  local listener <close> = given.graceful and listen(control, tell) or nil -- luacheck: ignore
  if plan.note then
    tell { event = "note", message = plan.note }
  end
  return require "transfer.run".run { ledger = L, client = from.client, source = from.value, is_local = from.kind == "client",
    destination = { kind = to.kind, name = to.name, modality = to.modality, peer = to.peer, aet = to.aet }, arrived_at = plan.arrived_at,
    options = given, control = control, status = status.of, tell = tell }
end

-- ---- functions that only touch the ledger ----

-- Calls f(L, row of the transfer) with the open ledger, which exists. only_read: f changes nothing. Returns its results | nil, err.
local function with_ledger(target, f, only_read)
  local opened, err = ledger.open(target, { create = false, only_read = only_read })
  if not opened then
    return nil, err
  end
  local L <close> = opened
  local row
  row, err = L:describe()
  if not row then
    return nil, err or L:no_transfer()
  end
  return f(L, row)
end

function transfer.status(target)
  return with_ledger(target, function(L)
    return status.of(L)
  end, true)
end

function transfer.pause(target)
  return with_ledger(target, function(L)
    return L:set_paused "asked for by transfer.pause"
  end)
end

function transfer.resume(target)
  return with_ledger(target, function(L)
    return L:set_paused(nil)
  end)
end

function transfer.set(target, settings)
  if type(settings) ~= "table" or not next(settings) then
    usage("set: give at least one of the settings %s", table.concat(options.CHANGEABLE, ", "))
  end
  return with_ledger(target, function(L, row)
    local all = merged(row.settings, settings)
    local good, message = options.check_settings(all)
    if good then
      good, message = options.check_together(all, row.from_kind, row.to_kind, settings.verify == nil
        or all.arrived_at ~= nil)
    end
    if not good then
      usage("set: %s", message)
    end
    return L:change_settings(settings)
  end)
end

local RETRIED <const> = { failed = true, unknown = true }

function transfer.retry(target, which)
  local wanted = which or {}
  if wanted.state and not RETRIED[wanted.state] then
    usage("retry: the state must be \"failed\" or \"unknown\" ('%s' was given)", native.text_shown(wanted.state))
  end
  return with_ledger(target, function(L)
    return L:retry(wanted)
  end)
end

function transfer.add(target, rows, more)
  if type(rows) ~= "table" or #rows == 0 and not rows.file then
    usage "add: rows must be a list with at least one row, or { file =, column =, encoding = }"
  end
  return with_ledger(target, function(L, row)
    local list, message = require "transfer.listed".read(rows, { level = row.level })
    if not list then
      usage("add: %s", message)
    end
    return L:add_lines(list.each, more and more.first)
  end)
end

local STATES <const> = { todo = true, sending = true, sent = true, done = true, present = true, failed = true, unknown = true }
local FIELDS <const> = { "key", "patient_id", "accession", "date", "modality", "state", "reason", "tries", "expected", "arrived", "bytes",
  "seconds", "finished", "verified", "message" }

-- What people see of an item.
function transfer.shown(item)
  local row = {}
  for _, name in ipairs(FIELDS) do
    row[name] = item[name]
  end
  row.message = item.message or item.note
  return row
end

function transfer.items(target, which)
  local wanted = which or {}
  if wanted.state and not STATES[wanted.state] then
    usage("items: there is no state '%s'; the states are todo, sending, sent, done, present, failed, unknown",
      native.text_shown(wanted.state))
  end
  local L = assert(ledger.open(target, { create = false, only_read = true }))
  local next_item = L:items { state = wanted.state, reason = wanted.reason }
  local next_shown = described.iterator(function()
    local item = next_item()
    if not item then
      L:close()
      return nil
    end
    return transfer.shown(item)
  end, "item")
  return next_shown, nil, nil, setmetatable({}, { __close = function() L:close() end, __metatable = false })
end

-- Writes a file, which appears when it is complete, or calls the function `path` with the texts. `write` gets a function that takes texts.
-- Returns true | nil, err.
local function write_file(path, write)
  if type(path) == "function" then
    return write(function(text)
      path(text)
      return true
    end)
  end
  local function failed(code, why)
    return nil, native.fail("report", "refused", code, ("the report '%s' cannot be written: %s"):format(native.text_shown(path), why))
  end
  local file <close>, why = native.whole_file(path)
  if not file then
    return failed("usage", why)
  end
  local good, err = write(function(text)
    if not why then
      why = select(2, file:write(text))
    end
    return not why
  end)
  if good and not why then
    good, why = file:commit()
  end
  if why then
    return failed("file", why)
  end
  return good, err
end

function transfer.report(target, more)
  if not (type(more) == "table" and (more.html or more.csv)) then
    usage "report: give html or csv, the file that is written"
  end
  check_distinct("report", { { what = "the ledger", path = ledger_file(target) },
    { what = "html", path = type(more.html) == "string" and more.html or nil },
    { what = "csv", path = type(more.csv) == "string" and more.csv or nil } })
  return with_ledger(target, function(L)
    local report = require "transfer.report"
    local good, err = true, nil
    if more.html then
      good, err = write_file(more.html, function(write)
        local text, failure = report.html(L)
        return text and write(text), failure
      end)
    end
    if good and more.csv then
      good, err = write_file(more.csv, function(write)
        return report.csv(L, write)
      end)
    end
    return good, err
  end, true)
end

function transfer.check(target)
  return with_ledger(target, function(L)
    return L:check()
  end, true)
end

return transfer
