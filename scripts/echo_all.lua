-- Sends a C-ECHO to all modalities at the same time: a table for people, a line for Nagios, a file for Prometheus.
--
--   modalua scripts/echo_all.lua                  a table; the exit status is 1 when a modality is silent
--   modalua scripts/echo_all.lua --nagios         one line; the exit status is 0 (OK) or 2 (CRITICAL)
--   modalua scripts/echo_all.lua --metrics /var/lib/prometheus/node-exporter/modalities.prom
--
-- When the Orthanc server itself does not answer, no modality is asked: the line for Nagios is CRITICAL, and the file has
-- modalua_server_up 0.
-- A modality that does not answer gets a C-FIND that finds nothing, since some refuse C-ECHO. Only when that fails too is it silent.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local options <close> = arguments.read {
  about = "Sends a C-ECHO to all modalities that the server knows.",
  { "--timeout SECONDS", "how long a modality may take to answer", default = 5 },
  { "--metrics FILE", "writes figures for Prometheus into this file", optional = true },
  { "--nagios", "prints one line for Nagios" },
}
local orthanc = modalua.connect()
local names, away = orthanc:modalities()
assert(names or not options.dry_run, away)
names = names or {}
table.sort(names)
if options.dry_run then
  return arguments.announce(options, "ask %s", table.concat(names, ", "))
end

local rows, errors = modalua.task.map(names, function(name)
  local modality, began = orthanc:modality(name), modalua.task.now()
  local up, err = modality:echo { Timeout = options.timeout }
  local found <close> = not up and modality:find { Level = "Study", Query = { StudyInstanceUID = "2.25.0" }, Timeout = options.timeout }
  return { name = name, up = (up or found) and 1 or 0, seconds = modalua.task.now() - began, message = err and err.message or "answers" }
end, { limit = #names + 1 })
assert(not errors, errors and select(2, next(errors)))

local silent, figures, metrics = away and 1 or 0, {}, { ("modalua_server_up %d\n"):format(away and 0 or 1) }
for i, row in ipairs(rows) do
  silent = silent + 1 - row.up
  figures[i] = ("'%s'=%.3fs"):format(row.name, row.seconds)
  metrics[i + 1] = ('modalua_modality_up{name="%s"} %d\nmodalua_modality_answer_seconds{name="%s"} %.3f\n'):format(
    row.name, row.up, row.name, row.seconds)
  if not options.nagios then
    print(("%-16s %6.0f ms  %s"):format(row.name, row.seconds * 1000, row.message))
  end
end
if options.nagios then
  local text = away and "the server does not answer: " .. away.message or ("%d of %d modalities answer"):format(#names - silent, #names)
  print(("%s - %s | %s"):format(silent > 0 and "CRITICAL" or "OK", text, table.concat(figures, " ")))
elseif away then
  io.stderr:write(away.message, "\n")
end
if options.metrics then -- written beside and renamed, so that no reader sees a half of it
  local file = assert(io.open(options.metrics .. ".new", "w"))
  assert(file:write(table.concat(metrics)))
  assert(file:close())
  assert(os.rename(options.metrics .. ".new", options.metrics))
end
os.exit(silent > 0 and (options.nagios and 2 or 1) or 0)
