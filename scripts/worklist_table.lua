-- Prints a worklist as a table, in the order of its times, or as CSV.
--
--   modalua scripts/worklist_table.lua --worklist ris --date today --modality CT
--   modalua scripts/worklist_table.lua --worklist ris --date 2026-01-02..2026-01-09 --csv >week.csv
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local tables = require "modalua.table"

local OF_STEP = { "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "Modality", "ScheduledStationAETitle",
  "ScheduledProcedureStepDescription" }
local OF_PATIENT = { "PatientID", "PatientName", "AccessionNumber" }
local COLUMNS = { { name = OF_STEP[1], title = "date" }, { name = OF_STEP[2], title = "time" }, OF_STEP[3],
  { name = OF_STEP[4], title = "station" }, OF_PATIENT[1], OF_PATIENT[2], OF_PATIENT[3], { name = OF_STEP[5], title = "procedure" } }

local options <close> = arguments.read {
  about = "Prints a worklist as a table.",
  { "--worklist NAME", "the modality that has the worklist", playground = "pacs" },
  { "--date DATE", "of the scheduled procedures", default = "today", tag = "ScheduledProcedureStepStartDate" },
  { "--modality M", "only procedures for this modality", optional = true },
  { "--csv", "prints CSV" },
}
if options.dry_run then
  return arguments.announce(options, "ask %s for the worklist of %s", options.worklist, options.date)
end
local step, query = {}, {}
for _, tag in ipairs(OF_STEP) do
  step[tag] = ""
end
for _, tag in ipairs(OF_PATIENT) do
  query[tag] = ""
end
-- A filter for the scheduled step belongs inside of the sequence; elsewhere modalities ignore it.
step.ScheduledProcedureStepStartDate, step.Modality = options.date, options.modality or ""
query.ScheduledProcedureStepSequence = { step }

local rows = assert(modalua.connect():modality(options.worklist):find_worklist(query))
for _, row in ipairs(rows) do
  for tag, value in pairs(row.ScheduledProcedureStepSequence[1] or {}) do
    row[tag] = value
  end
end
table.sort(rows, function(a, b) return (a[OF_STEP[1]] or "") .. (a[OF_STEP[2]] or "") < (b[OF_STEP[1]] or "") .. (b[OF_STEP[2]] or "") end)
io.write(options.csv and tables.csv(COLUMNS, rows, { line_end = "\n", safe = true }) or tables.fitted(COLUMNS, rows))
io.stderr:write(rows.warning and "warning: " .. rows.warning .. "\n" or "")
