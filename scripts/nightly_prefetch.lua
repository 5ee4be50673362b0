-- Brings all earlier studies of the patients on a worklist from an archive to where they will be read: unattended, in the allowed hours.
--
--   modalua scripts/nightly_prefetch.lua --worklist ris --from archive --to reading --ledger /var/lib/modalua/prefetch --hours 20:00-06:00
--
-- Each date of the worklist has a ledger of its own (/var/lib/modalua/prefetch-20260102.ledger), beside which a table with the outcome of
-- each patient is written (….csv). After an interruption, the same command goes on. What is there already is not sent again.
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
  { "--hours HOURS", "when to send, such as 20:00-06:00", optional = true },
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
  items = rows, several = "all", hours = options.hours, yes = true, dry_run = options.dry_run }
summary = summary or err.summary or error(err, 0)
assert(transfer.report(ledger, { csv = ledger:gsub("%.ledger$", ".csv") }))

local items = summary.items
io.stderr:write(err and tostring(err) .. "\n" or "", ("%d studies moved, %d were there, %d are left, %d failed\n"):format(items.done,
  items.present, items.todo, items.failed + items.unknown))
os.exit((err or items.failed + items.unknown > 0) and 1 or 0)
