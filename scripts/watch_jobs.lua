-- Watches the jobs of the Orthanc server, and calls for help when one fails, or when the server does not answer.
--
--   modalua scripts/watch_jobs.lua --page 'mail -s "Orthanc: a job failed" radiology-it@example.org'
--   modalua scripts/watch_jobs.lua --once                                prints what has failed; the exit status is 1 when something has
--
-- Each failure is printed, and given to the command of --page on its standard input. The server keeps its last ten jobs alone (its
-- JobsHistorySize), so it is asked every few seconds. What has failed before the start is reported once more.
local modalua = require "modalua"
local arguments = require "modalua.arguments"

local options <close> = arguments.read {
  about = "Watches the jobs of the server, and calls for help when one fails.",
  { "--every SECONDS", "how often it looks", default = 5 },
  { "--page COMMAND", "gets each failure on its standard input", optional = true },
  { "--once", "looks once" },
}
if options.dry_run then
  return arguments.announce(options, "look at the jobs every %d s, and call %s", options.every, options.page or "nothing")
end
local orthanc = modalua.connect()
local told, failures = {}, 0

local function tell(text)
  failures = failures + 1
  print(os.date "%F %T" .. " " .. text)
  if options.page then
    local pipe = assert(io.popen(options.page, "w"))
    pipe:write(text, "\n")
    if not pipe:close() then
      io.stderr:write "the command of --page has failed\n"
    end
  end
end

io.stdout:setvbuf "line"
repeat
  local jobs, err = orthanc:jobs { expand = true }
  if not jobs and not told.server then
    tell("the server does not answer: " .. err.message)
  end
  told.server = not jobs
  for _, job in ipairs(jobs or {}) do
    if job.State == "Failure" and not told[job.ID] then
      told[job.ID] = true
      tell(("job %s (%s): %s"):format(job.ID, job.Type, job.ErrorDetails ~= "" and job.ErrorDetails or job.ErrorDescription))
    end
  end
  modalua.task.sleep(options.once and 0 or options.every)
until options.once
os.exit(failures > 0 and 1 or 0)
