-- Moves the studies that a CSV file names, and writes the outcome of each of its lines.
--
--   modalua scripts/pull_cohort.lua --from pacs --to archive --list cohort.csv --column AccessionNumber --result result.csv
--
-- The list may be divided by comma, semicolon or tab, and may have quotes, a byte order mark and blank lines; or it has one value a line.
-- The result has a row for each line of the list, in its order: SUCCESS, PRESENT (it was there), NOT FOUND, AMBIGUOUS (several studies:
-- none was moved), INVALID, FAILED or UNKNOWN, with the reason; OPEN is not finished yet (also after --dry-run, or a stop). It is written
-- each minute, and at the end. A study that cannot be moved is tried again after about 1 minute, 10 minutes and an hour (--retries 0: it is
-- FAILED at once). RESULT.ledger keeps what was done: after an interruption of any kind the same command goes on, and moves nothing twice.
-- Ctrl-C or SIGTERM finishes what is under way. The exit status is 1 when a line is neither SUCCESS nor PRESENT.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local task = require "modalua.task"
local transfer = modalua.transfer

local options <close> = arguments.read {
  about = "Moves the studies that a CSV file names, and writes the outcome of each of its lines.",
  { "--from NAME", "the modality that has the studies", playground = "pacs" },
  { "--to NAME", "the modality that receives them", playground = "archive" },
  { "--list FILE", "the CSV file", playground = "scripts/cohort.csv" },
  { "--column NAME", "its column with the identifiers; without it, the only column that can be one", optional = true,
    playground = "AccessionNumber" },
  { "--result FILE", "gets the outcome of each line", playground = os.tmpname },
  { "--retries N", "further tries of a study that cannot be moved", optional = true },
  { "--add", "the list has new lines since the first run: adds them" },
}
arguments.announce(options, "move the studies that %s names from %s to %s, and write %s", options.list, options.from, options.to,
  options.result)

local orthanc = modalua.connect()
local ledger = options.result .. ".ledger"
local writer = task.spawn(function() -- the ledger does not exist before the run has begun
  while true do
    task.sleep(transfer.report(ledger, { csv = options.result }) and 60 or 1)
  end
end)
local summary, err = transfer.run {
  ledger = ledger,
  from = orthanc:modality(options.from),
  to = orthanc:modality(options.to),
  items = { file = options.list, column = options.column },
  add = options.add,
  retries = math.tointeger(tonumber(options.retries)) or options.retries,
  concurrency = 2,
  dry_run = options.dry_run,
  yes = true, -- who writes a list knows how long it is
  progress = true,
  graceful = true,
}
writer:cancel()
summary = summary or err.summary or error(err, 0)
assert(transfer.report(ledger, { csv = options.result }))

local wrong = summary.items.failed + summary.items.unknown
for _, outcome in ipairs { "NOT FOUND", "AMBIGUOUS", "INVALID", "FAILED" } do
  wrong = wrong + (summary.lines[outcome] or 0)
end
io.stderr:write(err and tostring(err) .. "\n" or "", summary.text, ": see ", options.result, "\n")
os.exit((wrong > 0 or not options.dry_run and summary.state ~= "finished") and 1 or 0)
