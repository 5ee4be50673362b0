-- command.verbs.help: the help of a verb, or the list of all verbs.
local require = ...
local doc = require "modalua.doc"
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

local function run_help(self)
  local name, names = self.options.verb, self.terminal.verbs
  if not name then
    self:write(list_of(names))
    return true
  elseif not verbs.is_one_of(names, name) then
    local near = doc.nearest(name, names)
    self:usage_error("there is no verb '%s'; %s", name, near and ("did you mean %s?"):format(near) or "`modalua help` lists the verbs")
  end
  self:write((verbs.help_of(name, self.terminal):gsub("\n*$", "\n")))
  return true
end

return {
  run = run_help,
  is_plain = true,
  usage = "[VERB]",
  summary = "explains a verb, or lists all verbs",
  description = "Explains a verb, as `modalua VERB --help` does. Without a verb, it lists all verbs.",
  examples = { { "modalua help", "all verbs" }, { "modalua help find", "the arguments of find, with examples" } },
  arguments = { { "argument", name = "VERB", argname = "VERB", target = "verb", args = "?", complete = "verb",
    description = "the name of a verb" } },
}
