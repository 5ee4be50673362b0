-- command.verbs.get: searches a modality, and brings what was found to the server, with C-GET.
local require = ...
local consent = require "command.consent"
local search = require "command.search"

local WORDS = { verb = "get", done = "transferred" }

local function run_get(self)
  local query, order = search.read(self, true)
  local modality = self:modality(self.options.name)
  if not modality then
    return false
  end
  self:note("%s, to the server itself", self:resolved(self.options.name))
  local found, columns, level = search.find(self, modality, query, order)
  if not found then
    return false
  elseif self.options.dry_run then
    self:show(columns, found.answers)
    self:note("would get %s", consent.amount_of(found.answers, level))
    return true
  elseif #found.answers == 0 then
    self:show(columns, {})
    return self:report_error "nothing was found, so nothing was transferred"
  elseif not consent.allows(self, found, level, WORDS) then
    return false
  end
  local result, err = modality:get(level, found.answers, { progress = self.terminal.errors, verify = self.options.verify })
  if not result then
    return self:report_error(err)
  end
  self:show(columns, found.answers)
  self:note("%s transferred from %s to the server%s", search.count(#found.answers, level), self.options.name,
    result.verified and "" or (" (unverified: %s)"):format(result.unverified or "it was not compared"))
  return true
end

return {
  run = run_get,
  usage = "NAME [-L LEVEL] Tag=Value…",
  summary = "brings studies of a modality to the server",
  description = "Searches a modality, and brings what was found to the server itself (C-GET, with Orthanc 1.12.6 and later). At the end, "
    .. "modalua compares what has arrived. `modalua move NAME --to AET` with the server's own AE title does the same with C-MOVE.",
  examples = {
    { "modalua get pacs PatientID=4711 --dry-run", "what would be transferred" },
    { "modalua get pacs PatientID=4711 StudyDate=-1y", "the studies of one year" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", complete = "modality",
      description = "the modality that sends: its name at the server" },
    search.tags,
    search.level,
    search.keep,
    search.utf8,
    consent.max,
    consent.yes,
    consent.all,
    { "flag", name = "-n --dry-run", description = "only shows what would be transferred" },
    { "flag", name = "--unproven", description = "goes on although no answer shows whether the modality looked at a filter" },
    { "flag", name = "--verify", description = "compares every instance; without it, the numbers of instances are compared" },
  },
}
