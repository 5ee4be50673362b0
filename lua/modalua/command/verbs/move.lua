-- command.verbs.move: searches a modality, and makes it send the resources that were found to another one, with C-MOVE.
local require = ...
local consent = require "command.consent"
local destination = require "command.destination"
local modalua = require "modalua"
local search = require "command.search"

local WORDS = { verb = "move", done = "moved" }

-- Returns the options of move_resources for the target, and a text that names it. After an error, prints it and returns nil.
local function target_of(self)
  if self.options.to_aet then
    return { TargetAet = self.options.to_aet }, "the AE title " .. self.options.to_aet
  end
  local options, text = destination.of(self, self.options.to)
  if not options then
    return self:report_error(text)
  end
  return options, text
end

-- ---- the report ----

local function outcome_colour(value)
  return value == "moved" and "green" or "red"
end

-- The rows that were found, with the outcome of each. Closing it prints the summary, also when Ctrl-C ends the move. A pipe and --jsonl get
-- each line at once (`at_once`); a table, JSON and CSV are printed at the end.
local Report = {}
Report.__index = Report

-- The columns of what was found, and those of its outcome.
local function with_outcome(self, columns)
  local all = table.move(columns, 1, #columns, 2, { { name = "outcome", colour = outcome_colour } })
  if self.options.csv then
    table.move({ "error", "kind", "code", "verified" }, 1, 4, #all + 1, all)
  end
  return all
end

local function new_report(self, rows, columns)
  local at_once = self.options.jsonl or not (self.terminal.output or self.options.json or self.options.csv)
  return setmetatable({ session = self, found = rows, columns = with_outcome(self, columns), rows = {}, sent = {}, failed = 0, unknown = 0,
    at_once = at_once }, Report)
end

-- Adds the next row, with a word for its outcome: moved, failed, unknown, not finished. `about`: perhaps the fields error (its text), kind,
-- code and verified.
function Report:add_row(word, about)
  local row = { outcome = word == "moved" and word or self.session:loud(word), error = about.error, kind = about.kind, code = about.code,
    verified = about.verified }
  for name, value in pairs(self.found[#self.rows + 1]) do
    row[name] = value
  end
  self.rows[#self.rows + 1] = row
  self.failed = self.failed + (word == "failed" and 1 or 0)
  self.unknown = self.unknown + (word == "unknown" and 1 or 0)
  if self.at_once then
    self.session:show(self.columns, { row })
  end
end

-- Outcomes come in the order of the rows.
function Report:add(outcome)
  local err = outcome.error
  if err then
    local uid = outcome.resource.SOPInstanceUID or outcome.resource.SeriesInstanceUID or outcome.resource.StudyInstanceUID
    self.session:report_error(uid or outcome.resource.PatientID, err.message)
    self:add_row(err.kind == "unknown" and "unknown" or "failed", { error = err.message, kind = err.kind, code = err.code })
  else
    self.unverified = self.unverified or not outcome.result.verified and (outcome.result.unverified or "--no-verify")
    self:add_row("moved", { verified = outcome.result.verified or false })
  end
end

-- After Ctrl-C: what the modality said it has sent, and what has not been looked at.
function Report:add_interrupted()
  while self.sent[#self.rows + 1] do
    self:add_row("unknown", { error = "sent, but whether it has arrived was not checked", kind = "unknown", code = "cancelled" })
  end
end

-- After Ctrl-C: the others, of which nothing is known.
function Report:add_rest()
  for _ = #self.rows + 1, #self.found do
    self:add_row("not finished", { error = "it was not tried, or not finished", kind = "cancelled" })
  end
end

function Report:__close(interruption)
  self:add_interrupted()
  local run, moved, rest = self.session, #self.rows - self.failed - self.unknown, #self.found - #self.rows
  if interruption ~= nil then
    self:add_rest()
  end
  if not self.at_once then
    run:show(self.columns, self.rows)
  end
  run:note("%d of %s moved from %s to %s%s%s%s", moved, search.count(#self.found, run.options.level), run.options.name,
    run.options.to or run.options.to_aet, self.unknown > 0 and (", %d unknown"):format(self.unknown) or "",
    rest > 0 and (", %d not tried or not finished"):format(rest) or "",
    moved > 0 and self.unverified and (" (unverified: %s)"):format(self.unverified) or "")
end

local function verify_of(options)
  if options.no_verify then
    return false
  end
  return options.verify
end

local function move_found(self, modality, found, columns, options)
  local report <close> = new_report(self, found.answers, columns)
  options.verify = verify_of(self.options)
  function options.progress(p)
    if p.sent then
      report.sent[p.sent] = true
    elseif p.outcome then
      report:add(p.outcome)
    end
    if self.terminal.errors then
      p.op = "move"
      modalua.bar(p)
    end
  end
  local moved, err = modality:move_resources(self.options.level, found.answers, options)
  if not moved and not err.outcomes then
    return self:report_error(err)
  end
  return moved
end

local function run_move(self)
  if (self.options.to == nil) == (self.options.to_aet == nil) then
    self:usage_error "either --to or --to-aet is needed"
  elseif self.options.verify and self.options.no_verify then
    self:usage_error "--verify and --no-verify contradict each other"
  end
  local query, order = search.read(self, true)
  local modality = self:modality(self.options.name)
  local options, target
  if modality then
    options, target = target_of(self)
  end
  if not options then
    return false
  end
  self:note("%s, to %s", self:resolved(self.options.name), target)
  local found, columns, level = search.find(self, modality, query, order)
  if not found then
    return false
  end
  local amount = consent.amount_of(found.answers, level)
  if self.options.dry_run then
    self:show(columns, found.answers)
    self:note("would move %s", amount)
    return true
  elseif #found.answers == 0 then
    self:show(with_outcome(self, columns), {})
    return self:report_error "nothing was found, so nothing was moved"
  end
  return consent.allows(self, found, level, WORDS) and move_found(self, modality, found, columns, options)
end

return {
  run = run_move,
  usage = "NAME --to NAME [-L LEVEL] Tag=Value…",
  summary = "makes a modality send studies to another one",
  description = "Searches a modality, and makes it send what was found to another one (C-MOVE). Each study is moved by a request "
    .. "of its own, and has an outcome of its own: moved, FAILED, UNKNOWN, or after Ctrl-C NOT FINISHED (in JSON and CSV in small "
    .. "letters). At the end, modalua looks at the target; "
    .. " where it cannot, the last line says that the move is unverified. With --json, --jsonl and "
    .. "--csv, each study that was not moved has the error, its kind and its code. The exit status is 1 when a study was not moved, or "
    .. "when nothing was found.",
  examples = {
    { "modalua move pacs --to archive PatientID=4711 --dry-run", "what would be moved" },
    { "modalua move pacs --to archive PatientID=4711 StudyDate=2024-01-01..", "moves the studies" },
    { "modalua move pacs --to archive StudyDate=yesterday --max 500 --verify --csv >moved.csv", "a day, with a check that all arrived" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", complete = "modality",
      description = "the modality that sends: its name at the server" },
    search.tags,
    { "option", name = "--to", argname = "NAME", complete = "modality",
      description = "the target: a modality's name at the server, or an AE title "
      .. "that a modality or the server itself has" },
    { "option", name = "--to-aet", argname = "AET", description = "the target: an AE title that only the sending modality knows" },
    search.level,
    search.keep,
    search.utf8,
    consent.max,
    consent.yes,
    consent.all,
    { "flag", name = "-n --dry-run", description = "only shows what would be moved" },
    { "flag", name = "--unproven", description = "moves although no answer shows whether the modality looked at a filter" },
    { "flag", name = "--verify", description = "compares every instance; without it, the numbers of instances are compared" },
    { "flag", name = "--no-verify", description = "believes the modality, and looks at nothing" },
  },
}
