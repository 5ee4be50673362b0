-- command.server_verbs: the verbs that look at the server: echo, modalities, jobs, queries. Part of command.verbs.
local require = ...
local modalua = require "modalua"
local session = require "command.session"
local task = require "modalua.task"

local look = {}

local AT_ONCE = 8

-- The server's modalities as rows, by their names.
local function rows_of(settings)
  local rows = {}
  for i, name in ipairs(session.sorted_names(settings)) do
    local own = settings[name]
    rows[i] = { name = name, AET = own.AET, address = session.address(own), Manufacturer = own.Manufacturer }
  end
  return rows
end

-- ---- echo ----

local function by_answer(value)
  return value == "yes" and "green" or "red"
end

-- Fills in what the row's modality answers.
local function echo(self, row)
  local began = task.now()
  local good, err = modalua.Modality(self:client(), row.name):echo { Timeout = self.options.timeout }
  row.answer, row.milliseconds = good and "yes" or "no", math.floor((task.now() - began) * 1000 + 0.5)
  row.error = err and err.message
  return true
end

local function rows_to_echo(self)
  local names, settings = self.options.names, self:settings()
  if #names == 0 then
    return rows_of(settings or self:must(self:client():modalities { expand = true }))
  end
  local rows, known = {}, {}
  for _, row in ipairs(rows_of(settings or {})) do
    known[row.name] = row
  end
  for i, name in ipairs(names) do
    local why = self:unknown(name)
    rows[i] = known[name] or { name = name, answer = why and "no", error = why }
  end
  return rows
end

local function run_echo(self)
  local rows = rows_to_echo(self)
  task.map(rows, function(row)
    return row.answer and true or echo(self, row)
  end, { limit = AT_ONCE })
  local columns = { "name", "AET", "address", { name = "answer", colour = by_answer }, { name = "milliseconds", right = true } }
  if self.options.csv then
    columns[#columns + 1] = "error"
  end
  self:show(columns, rows)
  for _, row in ipairs(rows) do
    if row.answer == "no" then
      self:complain(row.name, row.error)
    end
  end
  if #rows == 0 then
    self:note "the server knows no modalities"
  end
  return true
end

-- ---- modalities ----

local function run_modalities(self)
  local rows = rows_of(self:must(self:client():modalities { expand = true }))
  self:show({ "name", "AET", "address", "Manufacturer" }, rows)
  if #rows == 0 then
    self:note "the server knows no modalities"
  end
  return true
end

-- ---- jobs ----

local UNITS = { { 86400, "d" }, { 3600, "h" }, { 60, "min" }, { 1, "s" } }

-- Seconds of a time as Orthanc writes it, 20240131T235959.123456, whatever the zone: only differences count.
local function seconds_of(time)
  local year, month, day, hour, minute, second = tostring(time):match "^(%d%d%d%d)(%d%d)(%d%d)T(%d%d)(%d%d)(%d%d)"
  return year and os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = second, isdst = false }
end

-- How long before the server's own clock it was: "3 min".
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

-- What it is about, of what its kind of job tells.
local function subject_of(job)
  local content = job.Content or {}
  local from, to = content.RemoteAet, content.TargetAet
  if job.Type == "DicomMoveScu" and from then
    return ("%s → %s"):format(from, to or "?")
  end
  local where = from or content.Peer
  return type(where) == "string" and "→ " .. where or content.Description or ""
end

local function by_state(value)
  return value == "Failure" and "red" or value == "Success" and "green" or nil
end

local function run_jobs(self)
  local jobs = self:must(self:client():jobs { expand = true })
  table.sort(jobs, function(a, b)
    return a.CreationTime > b.CreationTime or a.CreationTime == b.CreationTime and a.ID < b.ID
  end)
  local rows = {}
  for i, job in ipairs(jobs) do
    rows[i] = { ID = job.ID, Type = job.Type, State = job.State, Progress = job.Progress, age = age_of(job), what = subject_of(job),
      error = job.State == "Failure" and job.ErrorDescription or nil }
  end
  local columns = { { name = "ID", whole = true }, "Type", { name = "State", colour = by_state }, { name = "Progress", right = true },
    { name = "age", right = true }, "what" }
  if self.options.csv then
    columns[#columns + 1] = "error"
  end
  self:show(columns, rows)
  return true
end

-- ---- queries ----

-- What the server knows of a query; nil and an error when it does not tell.
local function describe_query(client, id)
  local query = client:query(id)
  local modality, answers
  local level, err = query:level()
  if level then
    modality, err = query:modality()
  end
  if modality then
    answers, err = client:get(("/queries/%s/answers"):format(id))
  end
  return answers and { ID = id, modality = modality, Level = level, answers = #answers }, err
end

local function run_queries(self)
  local client = self:client()
  local ids = self:must(client:queries())
  local found, errors = task.map(ids, function(id) return describe_query(client, id) end, { limit = AT_ONCE })
  local rows = {}
  for i = 1, found.n do
    rows[#rows + 1] = found[i]
    local err = errors and errors[i]
    if err and err.code ~= "query_gone" then
      self:complain(ids[i], err)
    end
  end
  self:show({ { name = "ID", whole = true }, "modality", "Level", { name = "answers", right = true } }, rows)
  return true
end

-- ---- their words ----

look.verbs = {
  {
    name = "echo", run = run_echo,
    description = "Asks modalities for an answer (C-ECHO), all at once: name, AE title, address, answer and milliseconds of each. "
      .. "The exit status is 1 when one does not answer; standard error says why.",
    examples = { { "modalua echo", "every modality that the server knows" },
      { "modalua echo pacs archive --timeout 5", "these two, each of the server's waits 5 seconds at most" } },
    words = {
      { "argument", name = "NAME", argname = "NAME", target = "names", args = "*",
        description = "modalities, by the server's names; without any, all" },
      { "option", name = "--timeout", argname = "SECONDS", convert = session.counted " of seconds",
        description = "a bound for each of the server's waits" },
    },
  },
  {
    name = "modalities", run = run_modalities,
    description = "The modalities that the server knows: a row of name, AE title, address and manufacturer for each.",
    examples = { { "modalua modalities", "of the server in MODALUA_URL" },
      { "modalua modalities --profile ward --json | jq -r '.[].name'", "the names of those of another server" } },
    words = {},
  },
  {
    name = "jobs", run = run_jobs,
    description = "The server's jobs, the newest first: a row of identifier, type, state, progress in percent, age, and what it is about.",
    examples = { { "modalua jobs", "all of them" }, { "modalua jobs --csv", "with the errors of those that failed" } },
    words = {},
  },
  {
    name = "queries", run = run_queries,
    description = "The queries whose answers the server still keeps: a row of identifier, modality, level and number of answers.",
    examples = { { "modalua queries", "all of them" } },
    words = {},
  },
}

return look
