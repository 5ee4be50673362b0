-- command.verbs.help: the help of a verb, or the list of all verbs.
local require = ...
local doc = require "modalua.doc"
local lists = require "core.lists"
local verbs = require "command.verbs"

local NAME_WIDTH = 12

local function list_of(names)
  local lines = { "Usage: modalua [options] VERB [arguments], or modalua [options] [script [arguments]]\n\nVerbs:" }
  for _, name in ipairs(names) do
    lines[#lines + 1] = ("  %s%s %s"):format(name, (" "):rep(NAME_WIDTH - #name), verbs.load(name).summary)
  end
  lines[#lines + 1] = "\n`modalua help VERB` explains a verb with examples, `modalua --help` lists the options of modalua itself.\n"
  return table.concat(lines, "\n")
end

-- The names of the commands of a verb.
local function commands_of(name)
  local commands = {}
  for i, command in ipairs(verbs.load(name).commands or {}) do
    commands[i] = command.name
  end
  return commands
end

local function run_help(self)
  local name, command, names = self.options.verb, self.options.command_name, self.terminal.verbs
  if not name then
    self:write(list_of(names))
    return true
  elseif not lists.has(names, name) then
    local near = doc.nearest(name, names)
    self:usage_error("there is no verb '%s'; %s", name, near and ("did you mean %s?"):format(near) or "`modalua help` lists the verbs")
  end
  local text = verbs.help_of(name, command, self.terminal)
  if not text then
    local near = doc.nearest(command, commands_of(name))
    self:usage_error("%s has no command '%s'; %s", name, command, near and ("did you mean %s?"):format(near)
      or ("`modalua help %s` explains it"):format(name))
  end
  self:write((text:gsub("\n*$", "\n")))
  return true
end

return {
  run = run_help,
  is_plain = true,
  usage = "[VERB [COMMAND]]",
  summary = "explains a verb, or lists all verbs",
  description = "Explains a verb, as `modalua VERB --help` does. Without a verb, it lists all verbs.",
  examples = { { "modalua help", "all verbs" }, { "modalua help find", "the arguments of find, with examples" },
    { "modalua help transfer run", "those of a command of a verb" } },
  arguments = { { "argument", name = "VERB", argname = "VERB", target = "verb", args = "?", complete = "verb",
    description = "the name of a verb" }, { "argument", name = "COMMAND", argname = "COMMAND", target = "command_name", args = "?",
    description = "a command of this verb" } },
}
