-- command.verbs.move: finds what a modality has, and has it send that to another place, with C-MOVE.
local require = ...
local modalua = require "modalua"
local search = require "command.search"
local session = require "command.session"
local task = require "modalua.task"

local MAX = 100
local ABOVE = { Study = "PatientID", Series = "StudyInstanceUID", Instance = "SeriesInstanceUID" }
local ABOVE_LEVEL = { Study = "Patient", Series = "Study", Instance = "Series" }

-- ---- where to ----

-- The names of the modalities that have an AE title, in their order.
local function names_with(settings, aet)
  local names = {}
  for _, name in ipairs(session.sorted_names(settings)) do
    if settings[name].AET == aet then
      names[#names + 1] = name
    end
  end
  return names
end

-- The option of move_resources that says where to, and how to call it; nil, and it has been said why. A name that the server does not know
-- is not taken for an AE title by itself: the data of a misspelt one would go wherever the source takes it to be.
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
  return self:complain(self:unknown(to) .. " An AE title that only the source knows is given with --to-aet.")
end

-- ---- whether to ----

-- "12 studies of 5 patients"
local function amount_of(rows, level)
  local key, seen, n = ABOVE[level], {}, 0
  for _, row in ipairs(key and rows or {}) do
    if row[key] and not seen[row[key]] then
      seen[row[key]], n = true, n + 1
    end
  end
  return search.count(#rows, level) .. (n > 0 and " of " .. search.count(n, ABOVE_LEVEL[level]) or "")
end

-- Asks whether to go on, above --max.
local function is_wanted(self, what)
  local max = self.options.max
  if self.options.yes then
    return true
  elseif not (self.terminal.input and self.terminal.errors) then
    self:complain(("would move %s, and --max is %d: nothing was moved (--max N, or --yes)"):format(what, max))
    return false
  end
  self:note("would move %s; --max is %d", what, max)
  io.stderr:write "Move them? [y/N] "
  local answer = io.read "l"
  task.sleep(0) -- Ctrl-C has ended the reading, and is thrown where something waits
  if answer and (answer:lower() == "y" or answer:lower() == "yes") then
    return true
  end
  self:complain "nothing was moved"
  return false
end

-- Whether what was found may be moved; it has been said why not.
local function may_move(self, found, level, what)
  if found.broad and not self.options.all then
    return self:complain "nothing narrows this query, so it finds everything that the modality has: nothing was moved (--all moves it all)"
  elseif level == "Patient" and found.warning then
    return self:complain "letters of these answers are missing, so a PatientID may name somebody else: find and move the studies"
  end
  return #found.answers <= self.options.max or is_wanted(self, what)
end

-- ---- what becomes of it ----

local function by_outcome(value)
  return value == "moved" and "green" or "red"
end

-- The report: rows as they are found, with what became of each. It is closed at the end, also at one that Ctrl-C makes.
local Report = {}
Report.__index = Report

local function new_report(self, rows, columns)
  local all = table.move(columns, 1, #columns, 2, { { name = "outcome", colour = by_outcome } })
  if self.options.csv then
    all[#all + 1] = "error"
  end
  local at_once = not (self.terminal.output or self.options.json or self.options.csv)
  return setmetatable({ session = self, found = rows, columns = all, rows = {}, failed = 0, at_once = at_once }, Report)
end

function Report:add(outcome)
  local own, row = self.session, { outcome = outcome.error and "FAILED" or "moved" }
  for name, value in pairs(self.found[#self.rows + 1]) do
    row[name] = value
  end
  self.rows[#self.rows + 1] = row
  if outcome.error then
    row.error, self.failed = outcome.error.message, self.failed + 1
    local uid = outcome.resource.SOPInstanceUID or outcome.resource.SeriesInstanceUID or outcome.resource.StudyInstanceUID
    own:complain(uid or outcome.resource.PatientID, outcome.error.message)
  end
  if self.at_once then
    own:show(self.columns, { row })
  end
end

function Report:__close()
  local own, moved = self.session, #self.rows - self.failed
  if not self.at_once then
    own:show(self.columns, self.rows)
  end
  local rest = #self.found - #self.rows
  own:note("%d of %s moved from %s to %s%s", moved, search.count(#self.found, own.options.level), own.options.name,
    own.options.to or own.options.to_aet, rest > 0 and (", %d not tried or not finished"):format(rest) or "")
end

local function move(self, modality, found, columns, options)
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
    return self:complain(err)
  end
  return moved
end

local function run_move(self)
  if (self.options.to == nil) == (self.options.to_aet == nil) then
    self:wrong "either --to or --to-aet is needed"
  end
  local query, order = search.read(self, "which would match everything; without '=' it is a column")
  local modality = self:modality(self.options.name)
  local options, target
  if modality then
    options, target = target_of(self)
  end
  if not options then
    return false
  end
  self:note("%s, to %s", self:resolved(self.options.name), target)
  local found <close>, columns, level = search.ask(self, modality, query, order)
  if not found then
    return false
  end
  local what = amount_of(found.answers, level)
  if self.options.dry_run then
    self:show(columns, found.answers)
    self:note("would move %s", what)
    return true
  elseif #found.answers == 0 then
    return self:complain "nothing was found, and nothing was moved"
  end
  return may_move(self, found, level, what) and move(self, modality, found, columns, options)
end

return {
  run = run_move,
  usage = "NAME --to NAME [-L LEVEL] Tag=Value…",
  summary = "have a modality send what it has",
  description = "Finds what a modality has, and has it send that somewhere (C-MOVE), one resource a request, each with an outcome of its "
    .. "own. The exit status is 1 when something was not moved, or when nothing was found.",
  examples = {
    { "modalua move pacs --to archive PatientID=4711 --dry-run", "what would be moved" },
    { "modalua move pacs --to archive PatientID=4711 StudyDate=20240101-", "moves it" },
    { "modalua move pacs --to archive StudyDate=20240131 --max 500 --verify --csv >moved.csv", "a day, compared with what arrived" },
  },
  words = {
    { "argument", name = "NAME", argname = "NAME", target = "name", description = "the modality that sends, by the server's name" },
    search.tags,
    { "option", name = "--to", argname = "NAME", description = "where to: a modality, by the server's name, or an AE title that one of "
      .. "them, or the server itself, has" },
    { "option", name = "--to-aet", argname = "AET", description = "an AE title that only the sender knows" },
    search.level,
    { "option", name = "--max", argname = "N", default = MAX, convert = session.counted "",
      description = "more than N (100) are not moved, unless somebody at the terminal says so" },
    { "flag", name = "-y --yes", description = "nobody is asked: more than --max are moved" },
    { "flag", name = "--all", description = "everything may be moved, when nothing narrows the search" },
    { "flag", name = "-n --dry-run", description = "shows what would be moved" },
    { "flag", name = "--verify", description = "compares what has arrived with what the sender has" },
  },
}
