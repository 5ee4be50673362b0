-- command.consent: what the verbs that transfer data check before they do: whether the filters chose what was found, and how much it is.
local require = ...
local search = require "command.search"
local session = require "command.session"
local task = require "modalua.task"

local consent = {}

local DEFAULT_MAX = 100
local PARENT_KEY = { Study = "PatientID", Series = "StudyInstanceUID", Instance = "SeriesInstanceUID" }
local PARENT_LEVEL = { Study = "Patient", Series = "Study", Instance = "Series" }

consent.max = { "option", name = "--max", argname = "N", default = DEFAULT_MAX, convert = session.positive_integer "",
  description = "asks before it transfers more than N (100), and refuses without a terminal" }
consent.yes = { "flag", name = "-y --yes", description = "transfers more than --max without asking" }
consent.all = { "flag", name = "--all", description = "allows a query without any filter, which transfers everything" }

-- The amount of data for a message: "12 studies of 5 patients".
function consent.amount_of(rows, level)
  local key, seen, n = PARENT_KEY[level], {}, 0
  for _, row in ipairs(key and rows or {}) do
    if row[key] and not seen[row[key]] then
      seen[row[key]], n = true, n + 1
    end
  end
  return search.count(#rows, level) .. (n > 0 and " of " .. search.count(n, PARENT_LEVEL[level]) or "")
end

-- Above --max: asks at the terminal whether to transfer this amount. Without a terminal, prints an error and returns false. `words`: the
-- verb of the messages, as { verb = "move", done = "moved" }.
local function confirm(self, amount, words)
  local max = self.options.max
  if self.options.yes then
    return true
  elseif not (self.terminal.input and self.terminal.errors) then
    self:report_error(("would %s %s, and --max is %d: nothing was %s (use --max N or --yes)"):format(words.verb, amount, max, words.done))
    return false
  end
  self:note("would %s %s; --max is %d", words.verb, amount, max)
  io.stderr:write((words.verb:gsub("^%l", string.upper)), " them? [y/N] ")
  local answer = io.read "l"
  task.sleep(0) -- when Ctrl-C ended io.read, its error is thrown here, at the first wait
  if answer and (answer:lower() == "y" or answer:lower() == "yes") then
    return true
  end
  self:report_error("nothing was " .. words.done)
  return false
end

-- Whether so many resources may be transferred. `amount`: their number for a message.
function consent.allows_amount(self, n, amount, words)
  return n <= self.options.max or confirm(self, amount, words)
end

-- Whether what was found may be transferred. If not, prints the reason.
function consent.allows(self, found, level, words)
  local nothing = "nothing was " .. words.done
  if found.broad and not self.options.all then
    return self:report_error(("this query has no filter, so it would %s everything that the modality has: %s (see --all)"):format(
      words.verb, nothing))
  elseif found.unproven and not self.options.unproven then
    return self:report_error(("no answer shows whether the modality looked at the filter %s, so these may be other resources than were "
      .. "asked for: %s (see --unproven)"):format(table.concat(found.unproven, ", "), nothing))
  elseif found.odd then
    return self:report_error(found.odd .. ": " .. nothing)
  elseif level == "Patient" and found.characters then
    return self:report_error(("these answers have lost characters, so a PatientID may be that of another patient: find and %s the studies")
      :format(words.verb))
  end
  return consent.allows_amount(self, #found.answers, consent.amount_of(found.answers, level), words)
end

return consent
