-- Moves all that a query finds from one modality to another one, in the allowed hours, and writes a report. What has failed is tried once
-- more at the end.
--
--   modalua scripts/migrate.lua LEDGER SOURCE TARGET [--hours HOURS] [--concurrency N] [--yes] Tag=Value…
--   modalua scripts/migrate.lua lung.ledger pacs archive --hours "Mon-Fri 19:00-06:00, Sat-Sun" --yes StudyDate=19950101-
--   modalua scripts/migrate.lua lung.ledger                  goes on, after an interruption of any kind
--
-- SOURCE and TARGET are names of modalities, as scripts/echo_all.lua lists them. LEDGER is a file, or postgresql://HOST/DATABASE#NAME. More
-- than 1 000 studies need --yes. Writes LEDGER.html, a report for people, and LEDGER.csv, a row for each study (for a database NAME.html
-- and NAME.csv, in the working directory).
-- The exit status is 1 when a study was not moved, or when it is not proven that all studies were found. `modalua transfer run` does the
-- same at the shell, without the second try.
-- The server is the one in MODALUA_URL, or the default server of your configuration file (modalua --help).
local modalua = require "modalua"
local transfer = modalua.transfer

local function usage()
  io.stderr:write("usage: modalua scripts/migrate.lua LEDGER [SOURCE TARGET] [--hours HOURS] [--concurrency N] [--yes] [Tag=Value…]\n")
  os.exit(2)
end

local names, options, query, i = {}, {}, {}, 1
while arg[i] do
  local name, tag, value = arg[i]:match "^%-%-(%l+)$", arg[i]:match "^(%w[%w,]*)=(.+)$"
  if name == "yes" then
    options.yes = true
  elseif name == "hours" then
    i = i + 1
    options.hours = arg[i] or usage()
  elseif name == "concurrency" then
    i = i + 1
    options.concurrency = math.tointeger(tonumber(arg[i])) or usage()
  elseif tag then
    query[tag] = value
  else
    names[#names + 1] = arg[i]
  end
  i = i + 1
end
options.ledger, options.query = names[1], next(query) and query or nil
if #names ~= 3 and (#names ~= 1 or options.query) then
  usage()
elseif names[2] then
  local orthanc = modalua.connect()
  options.from, options.to = orthanc:modality(names[2]), orthanc:modality(names[3])
end

-- One line on standard error now and then.
options.progress = true

local function run()
  local summary, err = transfer.run(options)
  if err then
    io.stderr:write(tostring(err), "\n")
  end
  return summary or err.summary, err
end

local function count(summary, state)
  return summary.items[state] or 0
end

local summary, err = run()
if summary and summary.state == "finished" and count(summary, "failed") + count(summary, "unknown") > 0 then
  assert(transfer.retry(options.ledger, {}))
  summary, err = run()
end
if not summary then
  os.exit(1)
end
local name = options.ledger:match "^postgresql:.*#(.*)$" or options.ledger
assert(transfer.report(options.ledger, { html = name .. ".html", csv = name .. ".csv" }))

print(("%d studies found: %d moved, %d were there, %d failed, %d unknown"):format(summary.found, count(summary, "done"),
  count(summary, "present"), count(summary, "failed"), count(summary, "unknown")))
if err or summary.state ~= "finished" or not summary.complete or summary.unproven > 0
  or count(summary, "failed") + count(summary, "unknown") > 0 then
  os.exit(1)
end
