-- command.verbs.jobs: lists the jobs of the server.
local require = ...
local session = require "command.session"
local task = require "modalua.task"

local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }
local REQUESTS_AT_ONCE = 8

-- ---- times ----

local TIME = "^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)"

-- The seconds of a time that Orthanc wrote, such as 20240131T235959.123456. The time zone may be wrong: only differences are used.
local function seconds_of(time)
  local year, month, day, hour, minute, second = tostring(time):match(TIME)
  return year and os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false }
end

-- Such a time as ISO 8601 writes it: Orthanc's clock for jobs is UTC. Nil when it is none.
local function iso_time(time)
  local text, n = tostring(time):gsub(TIME .. ".*$", "%1-%2-%3T%4:%5:%6Z")
  return n > 0 and text or nil
end

-- The age of a job by the server's own clock, such as "3 min".
local function age_of(job)
  local created, now = seconds_of(job.CreationTime), seconds_of(job.Timestamp)
  local seconds = created and now and math.max(now - created, 0)
  for _, unit in ipairs(seconds and UNITS or {}) do
    if seconds >= unit[1] then
      return ("%d %s"):format(seconds // unit[1], unit[2])
    end
  end
  return seconds and "0 s" or ""
end

-- ---- rows ----

-- From where and to where the data goes, each nil when it is the server itself; and the description of the job.
local function ends_of(job)
  local content = type(job.Content) == "table" and job.Content or {}
  local function text(name)
    return type(content[name]) == "string" and content[name] or nil
  end
  if job.Type == "DicomMoveScu" then
    return text "RemoteAet", text "TargetAet", text "Description"
  elseif job.Type == "DicomGetScu" then
    return text "RemoteAet", nil, text "Description"
  end
  return nil, text "RemoteAet" or text "Peer", text "Description"
end

-- For people: where the data goes, such as "PACS → ARCHIVE"; else the description of the job, or "".
local function subject_of(job)
  local from, to, description = ends_of(job)
  if from then
    return ("%s → %s"):format(from, to or job.Type == "DicomMoveScu" and "?" or "the server")
  end
  return to and "→ " .. to or description or ""
end

local function row_for_people(job)
  return { ID = job.ID, Type = job.Type, State = job.State, Progress = job.Progress, age = age_of(job), what = subject_of(job) }
end

-- For programs. A failed job is asked for its error, as job:wait gives it.
local function row_for_programs(client, job)
  local from, to, description = ends_of(job)
  local row = { id = job.ID, type = job.Type, state = job.State, progress = job.Progress, created = iso_time(job.CreationTime),
    completed = iso_time(job.CompletionTime), runtime_seconds = job.EffectiveRuntime, from = from, to = to, description = description }
  local named, handle = pcall(client.job, client, job.ID)
  if job.State == "Failure" and named then
    local done, err = handle:wait()
    if not done then
      session.set_error(row, err)
    end
  end
  return row
end

local function sorted_jobs(self)
  local jobs = self:must(self:client():jobs { expand = true })
  table.sort(jobs, function(a, b)
    local a_time, b_time = tostring(a.CreationTime), tostring(b.CreationTime)
    return a_time > b_time or a_time == b_time and tostring(a.ID) < tostring(b.ID)
  end)
  return jobs
end

-- ---- the verb ----

local function state_colour(value)
  return value == "Failure" and "red" or value == "Success" and "green" or nil
end

local COLUMNS = { { name = "ID", whole = true }, "Type", { name = "State", colour = state_colour }, { name = "Progress", right = true },
  { name = "age", right = true }, "what" }
local PROGRAM_COLUMNS = { "id", "type", "state", "progress", "created", "completed", "runtime_seconds", "from", "to", "description",
  "error", "kind", "code" }

local function run_jobs(self)
  local jobs = sorted_jobs(self)
  if self:is_for_programs() then
    local rows = task.map(jobs, function(job) return row_for_programs(self:client(), job) end, { limit = REQUESTS_AT_ONCE })
    self:show(PROGRAM_COLUMNS, table.move(rows, 1, #jobs, 1, {}))
    return true
  end
  local rows = {}
  for i, job in ipairs(jobs) do
    rows[i] = row_for_people(job)
  end
  self:show(COLUMNS, rows)
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
