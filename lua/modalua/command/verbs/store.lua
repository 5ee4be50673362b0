-- command.verbs.store: sends what the server itself holds to a modality, with C-STORE.
local require = ...
local consent = require "command.consent"
local held = require "command.held"
local search = require "command.search"

local WORDS = { verb = "send", done = "sent" }

local COLUMNS <const> = { "to", { name = "resources", right = true }, { name = "instances", right = true } }

local function run_store(self)
  local ids = held.identifiers(self, COLUMNS)
  local modality = ids and self:modality(self.options.name)
  if not modality then
    return false
  end
  local amount = search.count(#ids, self.options.level)
  if self.options.dry_run then
    self:note("would send %s to %s", amount, self:resolved(self.options.name))
    if self:is_for_programs() then
      self:show(COLUMNS, { { to = self.options.name, resources = #ids } })
    end
    return true
  elseif not consent.allows_amount(self, #ids, amount, WORDS) then
    return false
  end
  local result, err = modality:store(ids, { progress = self.terminal.errors, verify = self.options.verify })
  if not result then
    return self:report_error(err)
  end
  local row = { to = self.options.name, resources = #ids, instances = result.InstancesCount }
  self:show(COLUMNS, { row })
  return true
end

return {
  run = run_store,
  usage = "NAME ID|Tag=Value…",
  summary = "sends what the server holds to a modality",
  description = "Sends what the server itself holds to a modality (C-STORE), and looks at what has arrived where the modality can be "
    .. "asked. To send a DICOM file, upload it first.",
  examples = {
    { "modalua store archive PatientID=4711 StudyDate=-7d --dry-run", "what would be sent" },
    { "modalua store archive 66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e", "one study, by Orthanc's identifier" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", complete = "modality",
      description = "the modality that receives: its name at the server" },
    held.words,
    search.level,
    search.keep,
    consent.max,
    consent.yes,
    { "flag", name = "-n --dry-run", description = "only says what would be sent" },
    { "flag", name = "--verify", description = "compares every instance; without it, the numbers of instances are compared" },
  },
}
