-- command.verbs.check: looks at the server and its modalities, and says what to do about what is wrong.
local require = ...
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
    add("encoding", "FAILED", err.message)
  elseif encoding == "Utf8" then
    add("encoding", "ok", encoding)
  else
    add("encoding", "warning", encoding, ("answers lose the characters that %s lacks: set \"DefaultEncoding\": \"Utf8\" in the server's "
      .. "configuration"):format(encoding))
  end
end

local function check_modalities(self, add)
  local rows = echo.ask(self)
  for _, row in ipairs(rows) do
    local where = ("%s (%s)"):format(tostring(row.AET or ""), tostring(row.address or ""))
    if row.answer == "yes" then
      add("modality " .. row.name, "ok", ("%s answers after %d ms"):format(where, row.milliseconds))
    else
      add("modality " .. row.name, "FAILED", where, row.error)
    end
  end
  if #rows == 0 then
    add("modalities", "warning", "the server knows none", "modalua configure NAME AET=… Host=… Port=… --create makes one")
  end
end

local function check_jobs(add, client)
  local jobs, err = client:jobs { expand = true }
  if not jobs then
    return add("jobs", "FAILED", err.message)
  end
  local failed, open = 0, 0
  for _, job in ipairs(jobs) do
    failed = failed + (job.State == "Failure" and 1 or 0)
    open = open + ((job.State == "Running" or job.State == "Pending" or job.State == "Retry") and 1 or 0)
  end
  add("jobs", failed > 0 and "warning" or "ok", ("%d not ended, %d failed"):format(open, failed),
    failed > 0 and "`modalua jobs` lists them" or nil)
end

local function run_check(self)
  local rows, failed = {}, 0
  local function add(check, state, detail, advice)
    rows[#rows + 1] = { check = check, state = state, detail = detail, advice = advice }
    failed = failed + (state == "FAILED" and 1 or 0)
  end
  local client = self:client()
  local system, err = client:system()
  if not system then
    add("server", "FAILED", err.message, "--url, --profile or MODALUA_URL choose the server")
  else
    add("server", "ok", ("AE title %s, DICOM port %s"):format(tostring(system.DicomAet), tostring(system.DicomPort)))
    check_version(add, system.Version)
    check_encoding(add, client)
    check_modalities(self, add)
    check_jobs(add, client)
  end
  self:show({ "check", { name = "state", colour = state_colour }, "detail", "advice" }, rows)
  if failed > 0 then
    self:report_error(("%d of %d checks FAILED"):format(failed, #rows))
  end
  return true
end

return {
  run = run_check,
  usage = "[NAME…]",
  summary = "checks the server and its modalities",
  description = "Checks whether the server can be reached, whether modalua is tested with its version, which encoding its answers have, "
    .. "whether each modality answers, and whether jobs have failed. For each it prints a row: what was looked at, ok, warning or "
    .. "FAILED, details, and what to do. The exit status is 1 when one has FAILED.",
  examples = { { "modalua check", "of the server in MODALUA_URL" }, { "modalua check --profile ward --jsonl", "for a monitor" } },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "names", args = "*",
      description = "looks at these modalities only; without a name, at all of them" },
    { "option", name = "--timeout", argname = "SECONDS", convert = session.positive_integer " of seconds",
      description = "how long the server waits for a modality at each step" },
  },
}
