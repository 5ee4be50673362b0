-- command.verbs: runs the verbs of the command, `modalua find …` and the like. Without terminal code: the command says what there is of a
-- terminal.
--
-- Each file in command/verbs is a verb of the same name; nothing else lists it. It is { usage =, summary =, for its line in
-- `modalua --help`, description =, examples = { { words, what for }, … }, words = { rows for argparse, … }, run = function(session) that
-- returns whether all went well, is_plain = true when it takes none of the COMMON words }. argparse reads the words by these rows, --help
-- shows them, and the manual page has them.
local require = ...
local doc = require "modalua.doc"
local session = require "command.session"

local verbs = {}

verbs.COMMON = {
  { "flag", name = "--json", description = "one JSON document on standard output" },
  { "flag", name = "--csv", description = "CSV (RFC 4180) on standard output" },
}

function verbs.load(name)
  return require("command.verbs." .. name)
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

local function parser_of(name, verb, terminal)
  local argparse = require "command.argparse"
  local parser = argparse("modalua " .. name, verb.description, epilog_of(verb))
  parser:add_help { name = "-h --help", description = "show this" }
  parser:help_max_width(math.min(terminal.width or WIDTH, WIDTH))
  for _, row in ipairs(verb.words) do
    add(parser, row)
  end
  if not verb.is_plain then
    parser:mutex(add(parser, verbs.COMMON[1]), add(parser, verbs.COMMON[2]))
  end
  function parser:error(message)
    io.stderr:write(("modalua: %s: %s\n%s\n"):format(name, message:gsub("\nDid you mean", "; did you mean"), self:get_usage()))
    os.exit(2)
  end
  return parser
end

-- ---- running them ----

-- Runs the verb that the global `arg` names, with the words there. Wrong words end the run as os.exit(2) does; a failure, or a server that
-- does not answer, as os.exit(1). `terminal` is { width =, colour =, output =, errors =, input = }, what there is of a terminal, and
-- { options =, environment =, verbs = }, what the command itself takes, for the manual page.
function verbs.main(terminal)
  local name, words = arg[0], table.move(arg, 1, #arg, 1, {})
  local verb = verbs.load(name)
  local parser = parser_of(name, verb, terminal)
  local own = session.new(parser, parser:parse(words), terminal)
  if not verb.run(own) or own.failed then
    os.exit(1)
  end
end

-- For the lines of `modalua --help`: the name, the usage and the summary of each verb, one after the other.
function verbs.summaries(names)
  local list = {}
  for _, name in ipairs(names) do
    local verb = verbs.load(name)
    table.move({ name, verb.usage, verb.summary }, 1, 3, #list + 1, list)
  end
  return list
end

-- Of { word =, names = }: the name that a misspelt word most likely means, or nil.
function verbs.nearest(given)
  return doc.nearest(given.word, given.names)
end

return verbs
