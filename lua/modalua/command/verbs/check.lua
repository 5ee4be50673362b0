-- command.verbs.check: looks at the server and its modalities, and says what to do about what is wrong.
local require = ...
local certificate = require "command.certificate"
local destination = require "command.destination"
local echo = require "command.verbs.echo"
local session = require "command.session"

local OLDEST, NEWEST = "1.10.1", "1.13.0" -- the versions of Orthanc that modalua is tested with

local function state_colour(value)
  return value == "FAILED" and "red" or value == "ok" and "green" or nil
end

-- A version as a number that can be compared; nil for "mainline" and others.
local function number_of(version)
  local major, minor, patch = tostring(version):match "^(%d+)%.(%d+)%.(%d+)"
  return major and (tonumber(major) * 1000 + tonumber(minor)) * 1000 + tonumber(patch)
end

local function check_version(add, version)
  local number = number_of(version)
  if not number then
    add("version", "warning", tostring(version), "modalua takes it for a version that can do everything")
  elseif number < number_of(OLDEST) then
    add("version", "warning", tostring(version), ("older than %s, the oldest that modalua is tested with: update Orthanc"):format(OLDEST))
  elseif number > number_of(NEWEST) then
    add("version", "ok", tostring(version), ("newer than %s, the newest that modalua is tested with"):format(NEWEST))
  else
    add("version", "ok", tostring(version))
  end
end

local function check_encoding(add, client)
  local encoding, err = client:default_encoding()
  if not encoding then
    add("encoding", "failed", err.message, nil, err)
  elseif encoding == "Utf8" then
    add("encoding", "ok", encoding)
  else
    add("encoding", "warning", encoding, ("answers lose the characters that %s lacks: set \"DefaultEncoding\": \"Utf8\" in the server's "
      .. "configuration, or use find --utf8"):format(encoding))
  end
end

local function check_modalities(self, add)
  local rows = echo.ask(self)
  for _, row in ipairs(rows) do
    local where = row.aet and ("%s (%s)"):format(tostring(row.aet), session.row_address(row)) or ""
    if row.answers then
      add("modality " .. row.name, "ok", ("%s%sanswers after %d ms"):format(where, where ~= "" and " " or "", row.milliseconds))
    else
      add("modality " .. row.name, "failed", where, row.error, row)
    end
  end
  if #rows == 0 then
    add("modalities", "warning", "the server knows none", "modalua configure NAME AET=… Host=… Port=… --create makes one")
  end
end

-- How many jobs run at the same time: only Orthanc 1.13 shows it.
local function at_once(system)
  local performance = type(system.Performance) == "table" and system.Performance or {}
  return math.tointeger(performance.ConcurrentJobs)
end

local function check_jobs(add, client, system)
  local jobs, err = client:jobs { expand = true }
  if not jobs then
    return add("jobs", "failed", err.message, nil, err)
  end
  local counts = { Running = 0, Pending = 0, Failure = 0 }
  for _, job in ipairs(jobs) do
    local state = job.State == "Retry" and "Pending" or tostring(job.State) -- it waits for its next try
    counts[state] = (counts[state] or 0) + 1
  end
  local limit = at_once(system)
  add("jobs", counts.Failure > 0 and "warning" or "ok", ("%d running, %d waiting, %d failed"):format(counts.Running, counts.Pending,
    counts.Failure), counts.Failure > 0 and "`modalua jobs --jsonl` says why they failed" or nil)
  if limit then
    add("jobs at once", "ok", tostring(limit), counts.Pending > 0 and "jobs wait: \"ConcurrentJobs\" in the server's configuration "
      .. "allows more" or nil)
  else
    add("jobs at once", "unknown", "", ("this version does not show it; \"ConcurrentJobs\" in the server's configuration says it "
      .. "(without it, 2)"))
  end
end

-- What to do when the server cannot be asked, by the kind of the error, or its code.
local ADVICE <const> = {
  auth = "check the user name and the password, or the token: MODALUA_USERNAME and MODALUA_PASSWORD, MODALUA_TOKEN, or the server's entry "
    .. "in the configuration file",
  tls = "write http:// if this port has no TLS; --ca FILE names the authority of the server's certificate, --cert and --key yours",
  http = "something else answers: check the host, the port and the path of the URL",
  decode = "something else answers: check the host, the port and the path of the URL",
  timeout = "check the host and the port, and whether a firewall stands between",
  other = "check whether it runs, and the URL: --url, --profile or MODALUA_URL choose the server",
}

local function check_server(self, add)
  local client = self:client()
  certificate.check(add, client)
  local system, err = client:system()
  if not system then
    return add("server", "failed", err.message, ADVICE[err.code] or ADVICE[err.kind] or ADVICE.other, err)
  end
  add("server", "ok", ("AE title %s, DICOM port %s"):format(tostring(system.DicomAet), tostring(system.DicomPort)))
  check_version(add, system.Version)
  check_encoding(add, client)
  check_modalities(self, add)
  check_jobs(add, client, system) -- before the next check, which leaves jobs
  if self.options.from then
    destination.check(self, add, system)
  end
end

local function run_check(self)
  local given = self.options
  if (given.to or given.to_aet) and not given.from then
    self:usage_error("%s needs --from: the modality that is to send", given.to and "--to" or "--to-aet")
  elseif given.to and given.to_aet then
    self:usage_error "--to and --to-aet contradict each other"
  end
  local rows, failed = {}, 0
  local function add(check, state, detail, advice, err)
    local is_failure = state == "failed"
    rows[#rows + 1] = { check = check, state = is_failure and self:loud(state) or state, detail = detail, advice = advice,
      error = err and (err.message or err.error), kind = err and err.kind, code = err and err.code }
    failed = failed + (is_failure and 1 or 0)
  end
  check_server(self, add)
  local columns = { "check", { name = "state", colour = state_colour }, "detail", "advice" }
  if self.options.csv then
    table.move({ "error", "kind", "code" }, 1, 3, #columns + 1, columns)
  end
  self:show(columns, rows)
  if failed > 0 then
    self:report_error(("%d of %d checks FAILED"):format(failed, #rows))
  end
  return true
end

return {
  run = run_check,
  usage = "[NAME…]",
  summary = "checks the server and its modalities",
  description = "Checks whether the server can be reached, until when its certificate is valid, whether modalua is tested with its "
    .. "version, which encoding its answers have, whether each modality answers, whether jobs have failed, and how many run at once. For "
    .. "each it prints a row: what was looked at, ok, warning, unknown or FAILED (in JSON and CSV: failed), details, and what to do. With "
    .. "--from, it also checks whether that modality knows the destination of a move, by moves of a study that does not exist, which stay "
    .. "in the server's list of jobs: the row says known, not known, or that it cannot be told, and how to find out. "
    .. "The exit status is 1 when one has FAILED.",
  examples = { { "modalua check", "of the server in MODALUA_URL" }, { "modalua check pacs --from pacs --to archive", "one modality, and "
    .. "whether it knows the destination archive" }, { "modalua check --profile ward --jsonl", "for a monitor" } },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "names", args = "*", complete = "modality",
      description = "looks at these modalities only; without a name, at all of them" },
    { "option", name = "--timeout", argname = "SECONDS", convert = session.positive_integer " of seconds",
      description = "how long the server waits for a modality at each step" },
    { "option", name = "--from", argname = "NAME", complete = "modality",
      description = "the modality that is to send; asks whether it knows the destination" },
    { "option", name = "--to", argname = "NAME", complete = "modality",
      description = "the destination, as in move; without it, the server itself" },
    { "option", name = "--to-aet", argname = "AET", description = "the destination: an AE title that only the sending modality knows" },
  },
}
