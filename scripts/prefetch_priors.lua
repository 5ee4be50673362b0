-- Moves the last studies of each patient on a worklist (the priors) from an archive to where they will be read.
--
--   modalua scripts/prefetch_priors.lua --worklist ris --from archive --to reading --date tomorrow --modality CT
--
-- Prints a line for each prior: done, present (the target has it: it is not sent again), failed or unknown; PatientID, date,
-- StudyInstanceUID. A patient without a PatientID, or with a wildcard in it, is reported. The exit status is 1 when something failed.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local transfer = modalua.transfer

local options <close> = arguments.read {
  about = "Moves the last studies of each patient on a worklist to where they will be read.",
  { "--worklist NAME", "the modality that has the worklist", playground = "pacs" },
  { "--from NAME", "the modality that has the priors", playground = "pacs" },
  { "--to NAME", "the modality that receives them", playground = "archive" },
  { "--date DATE", "of the worklist", default = "tomorrow", tag = "ScheduledProcedureStepStartDate" },
  { "--modality M", "only patients for this modality", optional = true },
  { "--priors N", "of each patient", default = 3 },
}
local orthanc = modalua.connect()
local source, target = orthanc:modality(options.from), orthanc:modality(options.to)
local step = { ScheduledProcedureStepStartDate = options.date, Modality = options.modality or "" }
local query = { PatientID = "", StudyInstanceUID = "", ScheduledProcedureStepSequence = { step } }

local priors, failed = {}, 0
for _, entry in ipairs(assert(orthanc:modality(options.worklist):find_worklist(query))) do
  local found, err = source:find_each("PatientID", { entry.PatientID or "" }, { Query = { StudyDate = "", StudyTime = "" } })
  if not found and err.code == "unknown_modality" then
    error(err, 0)
  elseif not found then
    failed = failed + 1
    io.stderr:write(("the patient '%s': %s\n"):format(entry.PatientID or "", tostring(err)))
  end
  local studies, left = found and found[entry.PatientID] or {}, options.priors
  table.sort(studies, function(a, b) return (a.StudyDate or "") .. (a.StudyTime or "") > (b.StudyDate or "") .. (b.StudyTime or "") end)
  for _, study in ipairs(studies) do
    if left > 0 and study.PatientID == entry.PatientID and study.StudyInstanceUID ~= entry.StudyInstanceUID then
      left, priors[#priors + 1] = left - 1, { StudyInstanceUID = study.StudyInstanceUID }
    end
  end
end
arguments.announce(options, "move %d priors from %s to %s", #priors, options.from, options.to)
if priors[1] then
  local name = os.tmpname()
  local ledger = name .. ".ledger"
  local summary, err = transfer.run { ledger = ledger, from = source, to = target, items = priors, dry_run = options.dry_run, yes = true }
  summary = summary or err.summary
  if not summary then
    os.remove(name)
    error(err, 0)
  elseif err then
    io.stderr:write(tostring(err), "\n")
  end
  for item in transfer.items(ledger) do
    print(item.state, item.patient_id, item.date, item.key, item.message or "")
  end
  failed = failed + (summary.state == "finished" and 0 or 1) + summary.items.failed + summary.items.unknown
  os.remove(ledger)
  os.remove(name)
end
os.exit(failed > 0 and 1 or 0)
