-- Sends a C-ECHO to all modalities at the same time: a table for people, a line for Nagios, a file for Prometheus.
--
--   modalua scripts/echo_all.lua                  a table; the exit status is 1 when a modality is silent
--   modalua scripts/echo_all.lua --nagios --except old_ct,spare
--                                                 one line; the exit status is 0 (OK), 2 (CRITICAL) or 3 (UNKNOWN)
--   modalua scripts/echo_all.lua --only pacs,archive --metrics /var/lib/prometheus/node-exporter/modalities.prom
--
-- When the Orthanc server itself does not answer, no modality is asked: the line for Nagios is CRITICAL, and the file has
-- modalua_server_up 0. UNKNOWN is for wrong arguments, and when there is no modality to ask. The line names the silent modalities, and why.
-- A modality that does not answer gets a C-FIND that finds nothing, since some refuse C-ECHO. Only when that fails too is it silent.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
if table.concat(arg, " "):find("--nagios", 1, true) then
  function arguments.refuse(message) -- Nagios would take the usual status 2 for CRITICAL
    print("UNKNOWN - " .. message)
    os.exit(3)
  end
end
local options <close> = arguments.read {
  about = "Sends a C-ECHO to all modalities that the server knows.",
  { "--timeout SECONDS", "how long a modality may take to answer", default = 5 },
  { "--only NAME,NAME", "these modalities, and no others", optional = true },
  { "--except NAME,NAME", "all modalities but these", optional = true },
  { "--metrics FILE", "writes figures for Prometheus into this file", optional = true },
  { "--nagios", "prints one line for Nagios" },
}
local orthanc = modalua.connect()
local known, away = orthanc:modalities()
assert(known or not options.dry_run, away)
local is_known, is_left_out, names = {}, {}, {}
for _, name in ipairs(known or {}) do
  is_known[name] = true
end
for name in (options.except or ""):gmatch "[^,%s]+" do
  is_left_out[name] = true
end
for name in (options.only or table.concat(known or {}, ",")):gmatch "[^,%s]+" do
  if known and not is_known[name] then
    arguments.refuse(("--only: the server knows no modality '%s'"):format(name))
  elseif known and not is_left_out[name] then
    names[#names + 1] = name
  end
end
if known and not names[1] then
  arguments.refuse "there is no modality to ask"
end
table.sort(names)
if options.dry_run then
  return arguments.announce(options, "ask %s", table.concat(names, ", "))
end

local rows, errors = modalua.task.map(names, function(name)
  local modality, began = orthanc:modality(name), modalua.task.now()
  local up, err = modality:echo { Timeout = options.timeout }
  began = up and began or modalua.task.now()
  local found <close> = not up and modality:find { Level = "Study", Query = { StudyInstanceUID = "2.25.0" }, Timeout = options.timeout }
  return { name = name, up = up or found, seconds = modalua.task.now() - began, err = err }
end, { limit = #names + 1 })
assert(not errors, errors and select(2, next(errors)))

-- A silent modality has no time: the shortest one would be that of a modality which refuses at once.
local silent, figures, metrics = {}, {}, { ("modalua_server_up %d\n"):format(away and 0 or 1) }
for i, row in ipairs(rows) do
  metrics[i + 1] = ('modalua_modality_up{name="%s"} %d\n'):format(row.name, row.up and 1 or 0)
  if row.up then
    figures[#figures + 1] = ("'%s'=%.3fs"):format(row.name, row.seconds)
    metrics[i + 1] = metrics[i + 1] .. ('modalua_modality_answer_seconds{name="%s"} %.3f\n'):format(row.name, row.seconds)
  else -- "|" would end the text
    local reason = (row.err.details or row.err.message):gsub("^DicomAssociation %- connecting to AET \".-\": ", ""):gsub("[|%c]", " ")
    silent[#silent + 1] = ("%s (%s)"):format(row.name, reason)
  end
  if not options.nagios then
    local time = row.up and ("%6.0f ms"):format(row.seconds * 1000) or "   silent"
    print(("%-16s %s  %s"):format(row.name, time, row.err and row.err.message or "answers"))
  end
end
if options.metrics then -- written beside and renamed, so that no reader sees a half of it
  local path = options.metrics .. ".new"
  local file, why = io.open(path, "w")
  local good = file and file:write(table.concat(metrics)) and file:close()
  if not (good and os.rename(path, options.metrics)) then
    arguments.refuse("--metrics: " .. (why or path .. " cannot be written"))
  end
end
if options.nagios then
  local text = ("%d of %d modalities answer"):format(#figures, #names) .. (silent[1] and "; silent: " or "") .. table.concat(silent, ", ")
  if away then
    text = (away.status and "the server gives no modalities: " or "the server does not answer: ") .. away.message
  end
  print(("%s - %s"):format((away or silent[1]) and "CRITICAL" or "OK", text) .. (figures[1] and " | " or "") .. table.concat(figures, " "))
elseif away then
  io.stderr:write(away.message, "\n")
end
os.exit((away or silent[1]) and (options.nagios and 2 or 1) or 0)
