-- Finds the studies of a list, moves them to another modality, and writes the outcome of each line of the list.
--
--   modalua scripts/pull_cohort.lua SOURCE TARGET LIST RESULT [COLUMN]
--   modalua scripts/pull_cohort.lua pacs archive cohort.csv result.csv AccessionNumber
--
-- LIST is a CSV file (separated by comma, semicolon or tab), or a file with one value a line. COLUMN is the column with the values, such as
-- AccessionNumber or PatientID; for one value a line without a head, it says what the values are. It is not needed when LIST has one
-- column, with a head, or StudyInstanceUIDs. RESULT has a row for each line of LIST, in its order: SUCCESS, PRESENT (it was there), NOT
-- FOUND, AMBIGUOUS (several studies: none was moved), INVALID, FAILED or UNKNOWN, with the reason.
-- RESULT.ledger keeps what was done: after an interruption of any kind the same command goes on, and moves nothing twice.
-- The exit status is 1 when a line is neither SUCCESS nor PRESENT.
-- The server is the one in MODALUA_URL, or the default server of your configuration file (modalua --help).
local modalua = require "modalua"
local transfer = modalua.transfer

local source, target, list, result, column = table.unpack(arg)
if not result or arg[6] then
  io.stderr:write "usage: modalua scripts/pull_cohort.lua SOURCE TARGET LIST RESULT [COLUMN]\n"
  os.exit(2)
end

local orthanc = modalua.connect()
local ledger = result .. ".ledger"
local summary, err = transfer.run {
  ledger = ledger,
  from = orthanc:modality(source),
  to = orthanc:modality(target),
  items = { file = list, column = column },
  concurrency = 2,
  yes = true, -- who writes a list knows how long it is
}
if err then
  io.stderr:write(tostring(err), "\n")
  summary = err.summary
end
if not summary then
  os.exit(1)
end
assert(transfer.report(ledger, { csv = result }))

local items, lines = summary.items, summary.lines or {}
local wrong = items.failed + items.unknown
for _, outcome in ipairs { "NOT FOUND", "AMBIGUOUS", "INVALID", "FAILED" } do
  wrong = wrong + (lines[outcome] or 0)
end
io.stderr:write(("%d studies moved, %d were there; %d lines or studies failed: see %s\n"):format(items.done, items.present, wrong, result))
if wrong > 0 or summary.state ~= "finished" then
  os.exit(1)
end
