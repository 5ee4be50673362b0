-- command.verbs.jobs: lists the jobs of the server.
local require = ...
local jobs_text = require "text.jobs"
local session = require "command.session"
local task = require "modalua.task"

local REQUESTS_AT_ONCE = 8

-- For programs. A failed job is asked for its error, as job:wait gives it.
local function row_for_programs(client, job)
  local from, to, description = jobs_text.ends_of(job)
  local row = { id = job.ID, type = job.Type, state = job.State, progress = job.Progress, created = jobs_text.iso_time(job.CreationTime),
    completed = jobs_text.iso_time(job.CompletionTime), runtime_seconds = job.EffectiveRuntime, from = from, to = to,
    description = description }
  local named, handle = pcall(client.job, client, job.ID)
  if job.State == "Failure" and named then
    local done, err = handle:wait()
    if not done then
      session.set_error(row, err)
    end
  end
  return row
end

-- ---- the verb ----

local PROGRAM_COLUMNS = { "id", "type", "state", "progress", "created", "completed", "runtime_seconds", "from", "to", "description",
  "error", "kind", "code" }

local function run_jobs(self)
  local jobs = jobs_text.sorted(self:must(self:client():jobs { expand = true }))
  if self:is_for_programs() then
    local rows = task.map(jobs, function(job) return row_for_programs(self:client(), job) end, { limit = REQUESTS_AT_ONCE })
    self:show(PROGRAM_COLUMNS, table.move(rows, 1, #jobs, 1, {}))
    return true
  end
  self:show(jobs_text.COLUMNS, jobs_text.rows(jobs))
  return true
end

return {
  run = run_jobs,
  usage = "",
  summary = "lists the server's jobs",
  description = "Lists the server's jobs, the newest first: identifier, type, state, progress in percent, age, and where the data goes. "
    .. "With --json, --jsonl and --csv, times are as in ISO 8601 (UTC), and a failed job has error, kind and code.",
  examples = { { "modalua jobs", "all jobs" }, { "modalua jobs --jsonl", "an object for each, with times, and the errors of those that "
    .. "failed" } },
  arguments = {},
}
