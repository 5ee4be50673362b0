-- Sends a C-ECHO to modalities again and again, and says when one of them stops answering, and when it answers again.
--
--   modalua scripts/watch_modalities.lua --every 60 --metrics /var/lib/node_exporter/modalities.prom
--   modalua scripts/watch_modalities.lua --rounds 1 --only pacs,archive
--
-- A modality that does not answer the C-ECHO gets a C-FIND with one key, which finds nothing: some refuse C-ECHO, or lose one. Only when
-- that fails too is the modality silent. While the Orthanc server itself does not answer, or refuses, the modalities are "not asked".
-- Prints a table after each round, and on standard error a line for each modality, and for the server, that has become silent, or answers
-- again. The file of --metrics is replaced after each round. While the server does not answer, it has modalua_server_up 0, and no
-- modalua_modality_up.
-- With --rounds the exit status is 1 when a modality does not answer at the end.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local tables = require "modalua.table"
local task = require "modalua.task"

local options <close> = arguments.read {
  about = "Sends a C-ECHO to modalities again and again, and says when one of them stops answering, and when it answers again.",
  { "--every SECONDS", "from the start of one round to the start of the next", default = 60.0 },
  { "--timeout SECONDS", "how long a modality may take to answer", default = 5 },
  { "--rounds N", "ends after so many rounds; without it, goes on", optional = true },
  { "--metrics FILE", "writes figures for Prometheus into this file", optional = true },
  { "--only NAME,NAME", "these modalities; without it, all that the server knows", optional = true },
}
local rounds = not options.rounds and math.huge or math.tointeger(tonumber(options.rounds))
if not rounds or rounds < 1 then
  arguments.refuse "--rounds: a whole number above 0 is expected"
end

local orthanc = modalua.connect()
local settings, names = assert(orthanc:modalities { expand = true }), {}
for name in (options.only or ""):gmatch "[^,%s]+" do
  names[#names + 1] = settings[name] and name or arguments.refuse(("--only: the server knows no modality '%s'"):format(name))
end
if options.only and not names[1] then
  arguments.refuse "--only: no name is given"
end
for name in pairs(names[1] and {} or settings) do
  names[#names + 1] = name
end
table.sort(names)
if options.dry_run then
  return arguments.announce(options, "ask %s", table.concat(names, ", "))
end

-- ---- one modality ----

-- Asks for a study that does not exist: "2.25.0" is a valid UID, and the UID of no study.
local NOTHING = { Level = "Study", Query = { StudyInstanceUID = "2.25.0" }, Timeout = options.timeout }

local OF_SERVER <const> = { network = true, http = true, auth = true } -- kinds of errors that tell nothing of a modality

-- Returns "answers", "answers C-FIND only", "silent" or "not asked", the milliseconds of the exchange that succeeded, and the error of the
-- C-ECHO, or of the server.
local function look_at(name)
  local modality, start = orthanc:modality(name), task.now()
  local good, err = modality:echo { Timeout = options.timeout }
  if good then
    return "answers", (task.now() - start) * 1000
  end
  start = task.now()
  local found <close>, failure = modality:find(NOTHING)
  if found then
    return "answers C-FIND only", (task.now() - start) * 1000, err
  end
  -- The server may answer again by now, so these errors count first.
  local fault = OF_SERVER[err.kind] and err or OF_SERVER[failure.kind] and failure or select(2, orthanc:system())
  return fault and "not asked" or "silent", nil, fault or err
end

-- name -> { state =, is_silent = whether it was when it was last asked, since = time of the last change, milliseconds =, message = }
local watched = {}
local server = {} -- the Orthanc server, in the same way

-- Notes the state of `one`, and says it when it has changed.
local function note(one, name, is_silent, message)
  local since, known = one.since, one.is_silent ~= nil
  if one.is_silent ~= is_silent then
    one.is_silent, one.since = is_silent, os.time()
    if is_silent then
      io.stderr:write(("%s %s is silent: %s\n"):format(os.date "%F %T", name, message))
    elseif known then
      io.stderr:write(("%s %s answers again, after %d s\n"):format(os.date "%F %T", name, one.since - since))
    end
  end
end

local function watch(name)
  local state, milliseconds, err = look_at(name)
  local one = watched[name] or { since = os.time() }
  one.state, one.milliseconds, one.message = state, milliseconds, err and err.message
  watched[name] = one
  note(server, "the Orthanc server", state == "not asked", one.message)
  if state ~= "not asked" then
    note(one, name, state == "silent", one.message)
  end
end

-- ---- what is shown ----

local COLUMNS = { "name", "AET", "state", "since", { name = "milliseconds", right = true }, "message" }

local function print_table()
  local rows = {}
  for n, name in ipairs(names) do
    local one = watched[name]
    rows[n] = { name = name, AET = (settings[name] or {}).AET, state = one.state, since = os.date("%F %T", one.since),
      milliseconds = one.milliseconds and ("%.0f"):format(one.milliseconds), message = one.message }
  end
  print((tables.fitted(COLUMNS, rows):gsub("\n$", "")))
end

local UP = { silent = 0, answers = 1, ["answers C-FIND only"] = 1 }
local METRICS = {
  { "modalua_modality_up", "1 when the modality answers", function(one) return UP[one.state] end },
  { "modalua_modality_answer_seconds", "time of the last answer", function(one) return one.milliseconds and one.milliseconds / 1000 end },
  { "modalua_modality_since_timestamp_seconds", "when the modality became silent, or answered again", function(one) return one.since end },
}

local function write_metrics()
  local lines = { "# HELP modalua_server_up 1 when the Orthanc server answers\n# TYPE modalua_server_up gauge",
    "modalua_server_up " .. (server.is_silent and 0 or 1) }
  for _, metric in ipairs(METRICS) do
    lines[#lines + 1] = ("# HELP %s %s\n# TYPE %s gauge"):format(metric[1], metric[2], metric[1])
    for _, name in ipairs(names) do
      local value = metric[3](watched[name])
      lines[#lines + 1] = value and ('%s{name="%s"} %s'):format(metric[1], name:gsub('[\\"]', "\\%0"), value)
    end
  end
  local output <close> = arguments.output(options, "metrics")
  output:write(table.concat(lines, "\n") .. "\n")
end

-- ---- the rounds ----

io.stdout:setvbuf "line"
local round = 0
while true do
  local start = task.now()
  local _, errors = task.map(names, watch, { limit = math.max(#names, 1) })
  assert(not errors, errors and select(2, next(errors)))
  print_table()
  if options.metrics then
    write_metrics()
  end
  round = round + 1
  if round >= rounds then
    break
  end
  task.sleep(math.max(0, options.every - (task.now() - start)))
end
for _, name in ipairs(names) do
  if UP[watched[name].state] ~= 1 then
    os.exit(1)
  end
end
