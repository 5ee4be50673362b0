-- command.verbs.jobs: lists the jobs of the server.
local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }

-- The seconds of a time that Orthanc wrote, such as 20240131T235959.123456. The time zone may be wrong: only differences are used.
local function seconds_of(time)
  local year, month, day, hour, minute, second = tostring(time):match "^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)"
  return year and os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false }
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

-- Where the data goes, such as "PACS → ARCHIVE"; else the description of the job, or "".
local function subject_of(job)
  local content = type(job.Content) == "table" and job.Content or {}
  local from, to = content.RemoteAet, content.TargetAet
  if job.Type == "DicomMoveScu" and from then
    return ("%s → %s"):format(tostring(from), tostring(to or "?"))
  end
  local where = from or content.Peer
  return type(where) == "string" and "→ " .. where or content.Description or ""
end

local function state_colour(value)
  return value == "Failure" and "red" or value == "Success" and "green" or nil
end

local function run_jobs(self)
  local jobs = self:must(self:client():jobs { expand = true })
  table.sort(jobs, function(a, b)
    local a_time, b_time = tostring(a.CreationTime), tostring(b.CreationTime)
    return a_time > b_time or a_time == b_time and tostring(a.ID) < tostring(b.ID)
  end)
  local rows = {}
  for i, job in ipairs(jobs) do
    rows[i] = { ID = job.ID, Type = job.Type, State = job.State, Progress = job.Progress, age = age_of(job), what = subject_of(job),
      error = job.State == "Failure" and job.ErrorDescription or nil }
  end
  local columns = { { name = "ID", whole = true }, "Type", { name = "State", colour = state_colour }, { name = "Progress", right = true },
    { name = "age", right = true }, "what" }
  if self.options.csv then
    columns[#columns + 1] = "error"
  end
  self:show(columns, rows)
  return true
end

return {
  run = run_jobs,
  usage = "",
  summary = "lists the server's jobs",
  description = "Lists the server's jobs, the newest first: identifier, type, state, progress in percent, age, and where the data goes.",
  examples = { { "modalua jobs", "all jobs" }, { "modalua jobs --csv", "with the errors of the jobs that failed" } },
  arguments = {},
}
