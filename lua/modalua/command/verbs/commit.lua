-- command.verbs.commit: asks a modality for storage commitment: the promise that it keeps what it was sent.
local require = ...
local held = require "command.held"
local search = require "command.search"
local session = require "command.session"

local function state_colour(value)
  return value == "Failure" and "red" or value == "Success" and "green" or nil
end

local COLUMNS <const> = { { name = "transaction", whole = true }, { name = "state", colour = state_colour },
  { name = "kept", right = true }, { name = "failed", right = true } }

-- What the server knows of the transaction. `status`: as commitment:status() returns it.
local function show_status(self, id, status)
  local row = { transaction = id, state = status.Status, kept = #(status.Success or {}), failed = #(status.Failures or {}) }
  self:show(COLUMNS, { row })
  for _, failure in ipairs(status.Failures or {}) do
    self:report_error(failure.SOPInstanceUID, failure.Description or "it is not kept")
  end
end

local function run_commit(self)
  if self.options.wait and self.options.no_wait then
    self:usage_error "--wait and --no-wait contradict each other"
  end
  local ids = held.identifiers(self, COLUMNS)
  local modality = ids and self:modality(self.options.name)
  if not modality then
    return false
  end
  local commitment = self:must(modality:storage_commitment(ids))
  if self.options.no_wait then
    show_status(self, commitment.id, self:must(commitment:status()))
    return true
  end
  local status, err = commitment:wait { wait_timeout = self.options.wait, progress = self.terminal.errors }
  if status or err.result then
    show_status(self, commitment.id, status or err.result)
  end
  if not status then
    return self:report_error(err)
  end
  return true
end

return {
  run = run_commit,
  usage = "NAME ID|Tag=Value…",
  summary = "asks a modality to promise that it keeps images",
  description = "Asks a modality for storage commitment of what the server itself holds: the promise that it keeps these images. The "
    .. "modality answers later, and the verb waits for that. The exit status is 1 when it does not keep all of them. With --no-wait, "
    .. "`modalua api GET /storage-commitment/TRANSACTION` shows the answer later.",
  examples = {
    { "modalua commit archive PatientID=4711 --wait 600", "of all studies of a patient" },
    { "modalua commit archive 66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e --no-wait", "of one study, by Orthanc's identifier" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", complete = "modality",
      description = "the modality that is asked: its name at the server" },
    held.words,
    search.level,
    search.keep,
    { "option", name = "--wait", argname = "SECONDS", convert = session.positive_integer " of seconds",
      description = "how long to wait for the answer (default: until it comes)" },
    { "flag", name = "--no-wait", description = "only asks" },
  },
}
