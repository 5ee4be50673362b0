-- command.verbs: `modalua find …` and its kin. What is said here of a verb's words is what argparse reads them by, what --help shows, and
-- what the manual page has. Without terminal code: what there is of a terminal, the command tells.
--
-- A verb is { name =, description =, examples = { { words, what for }, … }, words = { rows for argparse, … }, run = function(session) },
-- and run gives whether all went well. The parts in PARTS hold the verbs.
local require = ...
local argparse = require "command.argparse"
local doc = require "modalua.doc"
local session = require "command.session"

local verbs = {}

local PARTS = { "command.server_verbs", "command.find", "command.move", "command.manual" }

-- Words that every verb takes.
verbs.common = {
  { "flag", name = "--json", description = "one JSON document on standard output" },
  { "flag", name = "--csv", description = "CSV (RFC 4180) on standard output" },
}

verbs.list = {}

local by_name, names = {}, {}
for _, part in ipairs(PARTS) do
  for _, verb in ipairs(require(part).verbs) do
    by_name[verb.name] = verb
    verbs.list[#verbs.list + 1] = verb
    names[#names + 1] = verb.name
  end
end

-- ---- the words ----

local WIDTH = 100 -- of help, at most

local function epilog_of(verb)
  local lines = { "Examples:" }
  for _, example in ipairs(verb.examples) do
    lines[#lines + 1] = ("  %s\n      %s"):format(example[1], example[2])
  end
  lines[#lines + 1] = "\nOf the command's own options -u, --profile, --verbose, --memory-limit and --time-limit may stand here too; "
    .. "`modalua --help` shows them."
  return table.concat(lines, "\n")
end

-- One row as argparse takes it, which wants no list part.
local function add(parser, row)
  local properties = {}
  for name, value in pairs(row) do
    properties[name] = name ~= 1 and value or nil
  end
  return parser[row[1]](parser, properties)
end

local function parser_of(verb, terminal)
  local parser = argparse("modalua " .. verb.name, verb.description, epilog_of(verb))
  parser:add_help { name = "-h --help", description = "show this" }
  parser:help_max_width(math.min(terminal.width or WIDTH, WIDTH))
  for _, row in ipairs(verb.words) do
    add(parser, row)
  end
  if not verb.is_plain then
    parser:mutex(add(parser, verbs.common[1]), add(parser, verbs.common[2]))
  end
  function parser:error(message)
    io.stderr:write(("modalua: %s: %s\n%s\n"):format(verb.name, message:gsub("\nDid you mean", "; did you mean"), self:get_usage()))
    os.exit(2)
  end
  return parser
end

-- ---- running them ----

-- Runs a verb with a list of words, as `modalua NAME WORDS…` does. Returns whether all went well. `terminal` says what there is of one, by
-- default nothing: { width =, colour =, output =, errors =, input =, options = the command's own, for the manual page }. Wrong words end
-- the run as os.exit(2) does, and a server that does not answer as os.exit(1).
function verbs.run(name, words, terminal)
  local verb = by_name[name]
  if not verb then
    local near = doc.nearest(name, names)
    error(("there is no verb '%s'%s"):format(name, near and "; did you mean '" .. near .. "'?" or ""), 0)
  end
  terminal = terminal or {}
  local parser = parser_of(verb, terminal)
  local own = session.new(parser, parser:parse(words), terminal)
  return not not verb.run(own) and not own.failed
end

-- Runs the verb that the global `arg` names, for the command.
function verbs.main(terminal)
  if not verbs.run(arg[0], table.move(arg, 1, #arg, 1, {}), terminal) then
    os.exit(1)
  end
end

-- The verb that a misspelt word most likely means, or nil.
function verbs.nearest(word)
  return doc.nearest(word, names)
end

return verbs
