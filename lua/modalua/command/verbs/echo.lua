-- command.verbs.echo: sends a C-ECHO to modalities.
local require = ...
local modalua = require "modalua"
local session = require "command.session"
local task = require "modalua.task"

local ECHOES_AT_ONCE = 8
-- Orthanc accepts longer names too.
local UNUSABLE_NAME = "it was not asked: modalua uses names of at most 63 letters, digits, '-' and '_'"

local function answer_colour(value)
  return value == "yes" and "green" or "red"
end

-- Sends a C-ECHO to the modality of a row, and writes the outcome into the row.
local function echo_row(self, row)
  local named, modality = pcall(modalua.Modality, self:client(), row.name)
  if not named then
    row.answers = false
    session.set_error(row, { message = UNUSABLE_NAME, kind = "refused" })
    return true
  end
  local began = task.now()
  local good, err = modality:echo { Timeout = self.options.timeout }
  row.answers, row.milliseconds = good, math.floor((task.now() - began) * 1000 + 0.5)
  if err then
    session.set_error(row, err)
  end
  return true
end

local function rows_to_echo(self)
  local names, settings = self.options.names, self:settings()
  if #names == 0 then
    return session.modality_rows(settings or self:must(self:client():modalities { expand = true }))
  end
  local rows, known = {}, {}
  for _, row in ipairs(session.modality_rows(settings or {})) do
    known[row.name] = row
  end
  for i, name in ipairs(names) do
    local message = self:unknown_modality(name)
    rows[i] = known[name] or { name = name }
    if message then
      rows[i].answers = false
      session.set_error(rows[i], { message = message, kind = "orthanc", code = "unknown_modality" })
    end
  end
  return rows
end

-- Sends a C-ECHO to each modality. Returns a row for each.
local function ask(self)
  local rows = rows_to_echo(self)
  task.map(rows, function(row)
    return row.answers ~= nil or echo_row(self, row)
  end, { limit = ECHOES_AT_ONCE })
  return rows
end

local PROGRAM_COLUMNS = { "name", "aet", "host", "port", "answers", "milliseconds", "error", "kind", "code" }
local COLUMNS = { "name", { name = "aet", title = "AET" }, "address", { name = "answer", colour = answer_colour },
  { name = "milliseconds", right = true } }

local function rows_for_people(rows)
  local shown = {}
  for i, row in ipairs(rows) do
    shown[i] = { name = row.name, aet = row.aet, address = session.row_address(row), answer = row.answers and "yes" or "no",
      milliseconds = row.milliseconds }
  end
  return shown
end

local function run_echo(self)
  local rows = ask(self)
  if self:is_for_programs() then
    self:show(PROGRAM_COLUMNS, rows)
  else
    self:show(COLUMNS, rows_for_people(rows))
  end
  for _, row in ipairs(rows) do
    if not row.answers then
      self:report_error(row.name, row.error)
    end
  end
  if #rows == 0 then
    self:note "the server knows no modalities"
  end
  return true
end

return {
  run = run_echo,
  ask = ask, -- for the verb check
  usage = "[NAME…]",
  summary = "checks which modalities answer",
  description = "Sends a C-ECHO to modalities, several at a time, and prints a row for each: name, AE title, address, answer and "
    .. "milliseconds. With --json, --jsonl and --csv, `answers` is true or false, and error, kind and code say why one does not answer. "
    .. "The exit status is 1 when one does not answer; standard error says why.",
  examples = { { "modalua echo", "every modality that the server knows" },
    { "modalua echo pacs archive --timeout 5", "these two; the server waits 5 seconds at most" } },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "names", args = "*", complete = "modality",
      description = "names of modalities at the server; without a name, all modalities" },
    { "option", name = "--timeout", argname = "SECONDS", convert = session.positive_integer " of seconds",
      description = "how long the server waits for a modality at each step" },
  },
}
