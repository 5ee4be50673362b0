-- command.verbs.move: searches a modality, and makes it send the resources that were found to another one, with C-MOVE.
local require = ...
local modalua = require "modalua"
local search = require "command.search"
local session = require "command.session"
local task = require "modalua.task"

local DEFAULT_MAX = 100
local PARENT_KEY = { Study = "PatientID", Series = "StudyInstanceUID", Instance = "SeriesInstanceUID" }
local PARENT_LEVEL = { Study = "Patient", Series = "Study", Instance = "Series" }

-- ---- the target ----

-- The sorted names of the modalities that have this AE title.
local function names_with(settings, aet)
  local names = {}
  for _, name in ipairs(session.sorted_names(settings)) do
    if settings[name].AET == aet then
      names[#names + 1] = name
    end
  end
  return names
end

-- Returns the options of move_resources for the target, and a text that names it. After an error, prints it and returns nil. A name that
-- the server does not know is not used as an AE title: if it is misspelt, the source may know it as another place and send the data there.
local function target_of(self)
  local to, settings = self.options.to, self:settings()
  if self.options.to_aet then
    return { TargetAet = self.options.to_aet }, "the AE title " .. self.options.to_aet
  elseif not settings or settings[to] then
    return { to = to }, self:resolved(to)
  end
  local names = names_with(settings, to)
  if #names > 0 then
    return { TargetAet = to }, ("the AE title %s (%s)"):format(to, table.concat(names, ", "))
  elseif (self:client():system() or {}).DicomAet == to then
    return { TargetAet = to }, ("the AE title %s (the server itself)"):format(to)
  end
  return self:report_error(self:unknown_modality(to) .. " (for an AE title that only the source knows, use --to-aet)")
end

-- ---- checks before the move ----

-- The amount of data for a message: "12 studies of 5 patients".
local function amount_of(rows, level)
  local key, seen, n = PARENT_KEY[level], {}, 0
  for _, row in ipairs(key and rows or {}) do
    if row[key] and not seen[row[key]] then
      seen[row[key]], n = true, n + 1
    end
  end
  return search.count(#rows, level) .. (n > 0 and " of " .. search.count(n, PARENT_LEVEL[level]) or "")
end

-- Above --max: asks at the terminal whether to move this amount. Without a terminal, prints an error and returns false.
local function confirm(self, amount)
  local max = self.options.max
  if self.options.yes then
    return true
  elseif not (self.terminal.input and self.terminal.errors) then
    self:report_error(("would move %s, and --max is %d: nothing was moved (use --max N or --yes)"):format(amount, max))
    return false
  end
  self:note("would move %s; --max is %d", amount, max)
  io.stderr:write "Move them? [y/N] "
  local answer = io.read "l"
  task.sleep(0) -- when Ctrl-C ended io.read, its error is thrown here, at the first wait
  if answer and (answer:lower() == "y" or answer:lower() == "yes") then
    return true
  end
  self:report_error "nothing was moved"
  return false
end

-- Whether the resources that were found may be moved. If not, prints the reason.
local function may_move(self, found, level, amount)
  if found.broad and not self.options.all then
    return self:report_error "this query has no filter, so it would move everything that the modality has: nothing was moved (see --all)"
  elseif level == "Patient" and found.warning then
    return self:report_error "these answers have lost characters, so a PatientID may be that of another patient: find and move the studies"
  end
  return #found.answers <= self.options.max or confirm(self, amount)
end

-- ---- the report ----

local function outcome_colour(value)
  return value == "moved" and "green" or "red"
end

-- The rows that were found, with the outcome of each. Closing it prints the summary, also when Ctrl-C ends the move. A pipe gets each line
-- at once (`at_once`); a table, JSON and CSV are printed at the end.
local Report = {}
Report.__index = Report

local function new_report(self, rows, columns)
  local all = table.move(columns, 1, #columns, 2, { { name = "outcome", colour = outcome_colour } })
  if self.options.csv then
    all[#all + 1] = "error"
  end
  local at_once = not (self.terminal.output or self.options.json or self.options.csv)
  return setmetatable({ session = self, found = rows, columns = all, rows = {}, failed = 0, at_once = at_once }, Report)
end

-- Outcomes come in the order of the rows.
function Report:add(outcome)
  local run, row = self.session, { outcome = outcome.error and "FAILED" or "moved" }
  for name, value in pairs(self.found[#self.rows + 1]) do
    row[name] = value
  end
  self.rows[#self.rows + 1] = row
  if outcome.error then
    row.error, self.failed = outcome.error.message, self.failed + 1
    local uid = outcome.resource.SOPInstanceUID or outcome.resource.SeriesInstanceUID or outcome.resource.StudyInstanceUID
    run:report_error(uid or outcome.resource.PatientID, outcome.error.message)
  end
  if self.at_once then
    run:show(self.columns, { row })
  end
end

function Report:__close()
  local run, moved = self.session, #self.rows - self.failed
  if not self.at_once then
    run:show(self.columns, self.rows)
  end
  local rest = #self.found - #self.rows
  run:note("%d of %s moved from %s to %s%s", moved, search.count(#self.found, run.options.level), run.options.name,
    run.options.to or run.options.to_aet, rest > 0 and (", %d not tried or not finished"):format(rest) or "")
end

local function move_found(self, modality, found, columns, options)
  local report <close> = new_report(self, found.answers, columns)
  options.verify = self.options.verify
  function options.progress(p)
    if p.outcome then
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
  local found <close>, columns, level = search.find(self, modality, query, order)
  if not found then
    return false
  end
  local amount = amount_of(found.answers, level)
  if self.options.dry_run then
    self:show(columns, found.answers)
    self:note("would move %s", amount)
    return true
  elseif #found.answers == 0 then
    return self:report_error "nothing was found, so nothing was moved"
  end
  return may_move(self, found, level, amount) and move_found(self, modality, found, columns, options)
end

return {
  run = run_move,
  usage = "NAME --to NAME [-L LEVEL] Tag=Value…",
  summary = "makes a modality send studies to another one",
  description = "Searches a modality, and makes it send what was found to another one (C-MOVE). Each study is moved by a request "
    .. "of its own, and has an outcome of its own. The exit status is 1 when a study was not moved, or when nothing was found.",
  examples = {
    { "modalua move pacs --to archive PatientID=4711 --dry-run", "what would be moved" },
    { "modalua move pacs --to archive PatientID=4711 StudyDate=20240101-", "moves the studies" },
    { "modalua move pacs --to archive StudyDate=20240131 --max 500 --verify --csv >moved.csv", "a day, with a check that all arrived" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", description = "the modality that sends: its name at the server" },
    search.tags,
    { "option", name = "--to", argname = "NAME", description = "the target: a modality's name at the server, or an AE title "
      .. "that a modality or the server itself has" },
    { "option", name = "--to-aet", argname = "AET", description = "the target: an AE title that only the sending modality knows" },
    search.level,
    search.keep,
    { "option", name = "--max", argname = "N", default = DEFAULT_MAX, convert = session.positive_integer "",
      description = "asks before it moves more than N (100), and refuses without a terminal" },
    { "flag", name = "-y --yes", description = "moves more than --max without asking" },
    { "flag", name = "--all", description = "allows a query without any filter, which moves everything" },
    { "flag", name = "-n --dry-run", description = "only shows what would be moved" },
    { "flag", name = "--verify", description = "checks that every instance has arrived" },
  },
}
