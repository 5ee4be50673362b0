-- Brings all earlier studies of the patients on a worklist from an archive to where they will be read: unattended, in the allowed hours.
--
--   modalua scripts/nightly_prefetch.lua --worklist ris --from archive --to reading --ledger /var/lib/modalua/prefetch --hours 20:00-06:00
--
-- Each date of the worklist has a ledger of its own (/var/lib/modalua/prefetch-20260102.ledger), beside which a table with the outcome of
-- each patient is written (….csv). Started again, the same command goes on, and adds patients that are new on the worklist. What is there
-- already is not sent again. It ends with the hours, or when all is done; Ctrl-C or SIGTERM finishes what is under way. The exit status
-- is 1 when something is left, has failed, or an entry of the worklist has no valid PatientID (INVALID in the table).
-- scripts/systemd has a timer for it.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local transfer = modalua.transfer

local options <close> = arguments.read {
  about = "Brings all earlier studies of the patients on a worklist to where they will be read.",
  { "--worklist NAME", "the modality that has the worklist", playground = "pacs" },
  { "--from NAME", "the modality that has the studies", playground = "pacs" },
  { "--to NAME", "the modality that receives them", playground = "archive" },
  { "--date DATE", "of the worklist", default = "tomorrow", tag = "ScheduledProcedureStepStartDate" },
  { "--ledger PATH", "where it keeps what was done, without the date", default = "prefetch", playground = os.tmpname },
  { "--hours HOURS", "when to search and send, such as 20:00-06:00", optional = true },
}
local orthanc = modalua.connect()
local step = { ScheduledProcedureStepStartDate = options.date }
local entries = assert(orthanc:modality(options.worklist):find_worklist { PatientID = "", ScheduledProcedureStepSequence = { step } })
arguments.announce(options, "bring the studies of %d scheduled patients from %s to %s", #entries, options.from, options.to)
local rows = {}
for i, entry in ipairs(entries) do
  rows[i] = { PatientID = entry.PatientID or "" }
end
if #rows == 0 then
  return
end

local ledger = ("%s-%s.ledger"):format(options.ledger, options.date)
local summary, err = transfer.run { ledger = ledger, from = orthanc:modality(options.from), to = orthanc:modality(options.to),
  items = rows, add = true, several = "all", hours = options.hours, once = true, yes = true, dry_run = options.dry_run, progress = true,
  graceful = true }
summary = summary or err.summary or error(err, 0)
assert(transfer.report(ledger, { csv = ledger:gsub("%.ledger$", ".csv") }))

local items, lines = summary.items, summary.lines
local failed = items.failed + items.unknown + (lines.INVALID or 0) + (lines.FAILED or 0)
io.stderr:write(err and tostring(err) .. "\n" or "", summary.text, "\n")
os.exit((err or failed > 0 or not options.dry_run and summary.state ~= "finished") and 1 or 0)
