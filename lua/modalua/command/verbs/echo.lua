-- command.verbs.echo: asks modalities for an answer.
local require = ...
local modalua = require "modalua"
local session = require "command.session"
local task = require "modalua.task"

local AT_ONCE = 8

local function by_answer(value)
  return value == "yes" and "green" or "red"
end

-- Fills in what the row's modality answers.
local function echo(self, row)
  local began = task.now()
  local good, err = modalua.Modality(self:client(), row.name):echo { Timeout = self.options.timeout }
  row.answer, row.milliseconds = good and "yes" or "no", math.floor((task.now() - began) * 1000 + 0.5)
  row.error = err and err.message
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
    local why = self:unknown(name)
    rows[i] = known[name] or { name = name, answer = why and "no", error = why }
  end
  return rows
end

local function run_echo(self)
  local rows = rows_to_echo(self)
  task.map(rows, function(row)
    return row.answer and true or echo(self, row)
  end, { limit = AT_ONCE })
  local columns = { "name", "AET", "address", { name = "answer", colour = by_answer }, { name = "milliseconds", right = true } }
  if self.options.csv then
    columns[#columns + 1] = "error"
  end
  self:show(columns, rows)
  for _, row in ipairs(rows) do
    if row.answer == "no" then
      self:complain(row.name, row.error)
    end
  end
  if #rows == 0 then
    self:note "the server knows no modalities"
  end
  return true
end

return {
  run = run_echo,
  usage = "[NAME…]",
  summary = "which modalities answer",
  description = "Asks modalities for an answer (C-ECHO), all at once: name, AE title, address, answer and milliseconds of each. "
    .. "The exit status is 1 when one does not answer; standard error says why.",
  examples = { { "modalua echo", "every modality that the server knows" },
    { "modalua echo pacs archive --timeout 5", "these two, each of the server's waits 5 seconds at most" } },
  words = {
    { "argument", name = "NAME", argname = "NAME", target = "names", args = "*",
      description = "modalities, by the server's names; without any, all" },
    { "option", name = "--timeout", argname = "SECONDS", convert = session.counted " of seconds",
      description = "a bound for each of the server's waits" },
  },
}
