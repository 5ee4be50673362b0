-- text.jobs: the jobs of a server as rows of a table for people, and the times and places in them.
local jobs = {}

local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }

-- ---- times ----

local TIME = "^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)"

-- The seconds of a time that Orthanc wrote, such as 20240131T235959.123456. The time zone may be wrong: only differences are used.
local function seconds_of(time)
  local year, month, day, hour, minute, second = tostring(time):match(TIME)
  return year and os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false }
end

-- Such a time as ISO 8601 writes it: Orthanc's clock for jobs is UTC. Nil when it is none.
function jobs.iso_time(time)
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
function jobs.ends_of(job)
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

-- Where the data goes, such as "PACS → ARCHIVE"; else the description of the job, or "".
local function subject_of(job)
  local from, to, description = jobs.ends_of(job)
  if from then
    return ("%s → %s"):format(from, to or job.Type == "DicomMoveScu" and "?" or "the server")
  end
  return to and "→ " .. to or description or ""
end

local function state_colour(value)
  return value == "Failure" and "red" or value == "Success" and "green" or nil
end

jobs.COLUMNS = { { name = "ID", whole = true }, "Type", { name = "State", colour = state_colour }, { name = "Progress", right = true },
  { name = "age", right = true }, "what" }

-- The rows of a list of jobs.
function jobs.rows(list)
  local rows = {}
  for i, job in ipairs(list) do
    rows[i] = { ID = job.ID, Type = job.Type, State = job.State, Progress = job.Progress, age = age_of(job), what = subject_of(job) }
  end
  return rows
end

-- A copy of the list with the newest first.
function jobs.sorted(list)
  local sorted = table.move(list, 1, #list, 1, {})
  table.sort(sorted, function(a, b)
    local a_time, b_time = tostring(a.CreationTime), tostring(b.CreationTime)
    return a_time > b_time or a_time == b_time and tostring(a.ID) < tostring(b.ID)
  end)
  return sorted
end

return jobs
