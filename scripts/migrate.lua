-- Moves all that a query finds from one modality to another one, in the allowed hours, and writes a report. What has failed is tried once
-- more at the end. It is for any number of studies, over many nights.
--
--   modalua scripts/migrate.lua --ledger lung.ledger --from pacs --to archive --hours "19:00-06:00, Sat-Sun" --yes StudyDate=1995-01-01..
--   modalua scripts/migrate.lua --ledger lung.ledger          goes on, after an interruption of any kind
--
-- The ledger is a file, or postgresql://HOST/DATABASE#NAME. More than 1 000 studies need --yes. Writes LEDGER.html, a report for people,
-- and LEDGER.csv, a row for each study (for a database NAME.html and NAME.csv, in the working directory). The exit status is 1 when a study
-- was not moved, or when it is not proven that all studies were found. `modalua transfer run` does the same at the shell, without the
-- second try.
local modalua = require "modalua"
local arguments = require "modalua.arguments"
local transfer = modalua.transfer

local options <close> = arguments.read {
  about = "Moves all that a query finds from one modality to another one, in any number.",
  { "--ledger LEDGER", "where it keeps what was done", playground = os.tmpname },
  { "--from NAME", "the modality that has the studies", optional = true, playground = "pacs" },
  { "--to NAME", "the modality that receives them", optional = true, playground = "archive" },
  { "--hours HOURS", "when to search and send, such as 19:00-06:00", optional = true },
  { "--concurrency N", "sends at once (1 in a new ledger)", optional = true },
  { "--all", "everything, without a filter" },
  { "--yes", "more than 1 000 studies are right" },
  { "Tag=Value…", "which studies", optional = true, playground = "PatientName=SMITH*" },
}
local orthanc = modalua.connect()
local function modality(name)
  return name and orthanc:modality(name)
end
local concurrency = math.tointeger(tonumber(options.concurrency))
if options.concurrency and not concurrency then
  arguments.refuse "--concurrency: a whole number is expected"
end
arguments.announce(options, "%s, and keep what is done in %s", options.from and ("move from %s to %s"):format(options.from, options.to)
  or "go on", options.ledger)

local settings = { ledger = options.ledger, from = modality(options.from), to = modality(options.to), hours = options.hours,
  concurrency = concurrency, query = next(options.query) and options.query, all = options.all, yes = options.yes, dry_run = options.dry_run,
  progress = true, graceful = true }
local function run()
  local summary, err = transfer.run(settings)
  summary = summary or err.summary or error(err, 0)
  io.stderr:write(err and tostring(err) .. "\n" or "")
  return summary, summary.items.failed + summary.items.unknown
end

local summary, failed = run()
if summary.state == "finished" and failed > 0 then
  assert(transfer.retry(options.ledger, {}))
  summary, failed = run()
end
local name = options.ledger:match "^postgresql:.*#(.*)$" or options.ledger
assert(transfer.report(options.ledger, { html = name .. ".html", csv = name .. ".csv" }))
print(("%d studies found; %s"):format(summary.found, summary.text))
if not options.dry_run and (summary.state ~= "finished" or not summary.complete or summary.unproven > 0 or failed > 0) then
  os.exit(1)
end
