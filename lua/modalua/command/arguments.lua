-- modalua.arguments: the arguments of a script: options with help and defaults, filters as verbs take them, --dry-run. The recipes in
-- scripts/ use it.
local require = ...
local dates = require "command.dates"
local doc = require "modalua.doc"
local letters = require "text.letters"
local playground = require "playground.playground"

local arguments = {}

local MAX_WIDTH = 100 -- columns of --help
local SERVER = "\nThe server is the one of `modalua -u URL`, of `modalua --profile NAME` or of MODALUA_URL, or the default server of your "
  .. "configuration file (modalua --help)."
local NO_ARGUMENTS = " In `modalua playground` the script needs no arguments."

local function name_of_script()
  return _G.arg[0]:match "([^/]*)%.lua$" or _G.arg[0]
end

function arguments.refuse(message)
  io.stderr:write(("%s: %s\n`modalua %s --help` explains the arguments\n"):format(name_of_script(), letters.shown(message), _G.arg[0]))
  os.exit(2)
end

-- ---- the rows ----

local function to_whole(text)
  local number = math.tointeger(tonumber(text))
  return number and number > 0 and number or nil, ("'%s' is not a whole number above 0"):format(text)
end

local function to_number(text)
  local number = tonumber(text)
  return number and number > 0 and number < math.huge and number or nil, ("'%s' is not a number above 0"):format(text)
end

-- Returns what a row adds to the parser: "option", "flag" or "argument", and its properties. The default is filled in later, as it differs
-- in the playground.
local function argument_of(row)
  local name, value = row[1]:match "^(%-%-%S+)%s*(%S*)$"
  if not name then
    return "argument", { name = row[1], target = "words", args = "*", description = row[2] }
  end
  local target, help = name:sub(3):gsub("-", "_"), row[2]
  if value == "" then
    return "flag", { name = name, target = target, description = help }
  end
  if row.default then
    help = ("%s (default: %s)"):format(help, (tostring(row.default):gsub("%.0$", "")))
  end
  local kind = math.type(row.default)
  return "option", { name = name, target = target, argname = value, description = help,
    convert = kind == "integer" and to_whole or kind and to_number or nil }
end

-- Returns the value of a filter as it is sent.
local function to_filter(tag, value)
  local sent, why = dates.to_filter(tag, value)
  return sent or arguments.refuse(why)
end

-- What a row has for the playground.
local function playground_value(row)
  return type(row.playground) == "function" and row.playground() or row.playground
end

-- Reads the words Tag=Value. Returns the query that they are.
local function query_of(words)
  local query = {}
  for _, word in ipairs(words) do
    local tag, value = word:match "^([^=]+)=(.+)$"
    if not tag then
      arguments.refuse(("'%s' is not Tag=Value"):format(word))
    elseif query[tag] then
      arguments.refuse(tag .. " is given twice")
    end
    query[tag] = to_filter(tag, value)
  end
  return query
end

-- Fills in what was not given: the default, or in the playground what the row has for it. Refuses when something is needed.
local function complete(options, rows)
  local in_playground = playground.is_entered()
  for _, row in ipairs(rows) do
    local kind, properties = argument_of(row)
    local key = properties.target
    if kind == "argument" then
      local words = (options.words[1] or not in_playground) and options.words or { playground_value(row) }
      if not words[1] and not row.optional then
        arguments.refuse(("no filter is given, such as %s; this would be everything"):format(row.example or "PatientID=4711"))
      end
      options.query, options.words = query_of(words), nil
    elseif options[key] == nil and kind == "option" then
      options[key] = in_playground and playground_value(row) or row.default
      if options[key] == nil and not row.optional then
        arguments.refuse(("%s is needed: %s"):format(row[1], row[2]))
      end
    end
    if row.tag and options[key] then
      options[key] = to_filter(row.tag, options[key])
    end
  end
end

local function needs_arguments(rows)
  for _, row in ipairs(rows) do
    if argument_of(row) ~= "flag" and not (row.playground or row.default or row.optional) then
      return true
    end
  end
  return false
end

-- ---- the functions ----

function arguments.read(rows)
  local argparse = require "command.argparse"
  local epilog = SERVER .. (needs_arguments(rows) and "" or NO_ARGUMENTS)
  local parser = argparse("modalua " .. _G.arg[0], rows.about, epilog):help_max_width(MAX_WIDTH)
  for _, row in ipairs(rows) do
    local kind, properties = argument_of(row)
    parser[kind](parser, properties)
  end
  parser:flag { name = "--dry-run", target = "dry_run", description = "only says what it would do" }
  parser.error = function(_, message)
    arguments.refuse((message:gsub("\nDid you mean", "; did you mean")))
  end
  local options = parser:parse(_G.arg)
  complete(options, rows)
  return options
end

function arguments.announce(given, text, ...)
  local what = text:format(...)
  io.stderr:write(("%s: %s %s\n"):format(name_of_script(), given.dry_run and "would" or "will", letters.shown(what)))
  return not given.dry_run
end

doc.describe(arguments.read, "arguments.read(rows) -> options",
  'Reads the arguments of a script (arg) by a list of rows { "--name VALUE", help }, and returns a table from each name to its value. '
    .. 'A row "--name" without a value is true or nil. The row "Tag=Value…" is filters, which options.query has; dates are as verbs take '
    .. "them. --help and --dry-run (options.dry_run) come by themselves. Wrong arguments are explained, and end the run with status 2.",
  {
    options = {
      { "rows", "about", "string", "what the script does, for --help" },
      { "rows", "default", nil, "in a row: the value when none is given; with a number, only numbers above 0 are taken" },
      { "rows", "playground", nil, "in a row: the value in `modalua playground` when none is given, or a function that returns it" },
      { "rows", "tag", "string", "in a row: the value is one that this tag can have, such as a date that is written as today or -7d" },
      { "rows", "optional", "boolean", "in a row, true: may be left out; without it and without a default, the value is needed" },
    },
    example = [=[
arg = { [0] = "move.lua", "--max", "20", "StudyDate=-7d" }
local options = require("modalua.arguments").read { about = "Moves studies to the archive.",
  { "--from NAME", "the modality that has them", playground = "pacs" }, { "--max N", "at most so many", default = 100 },
  { "Tag=Value…", "which studies" } }
print(options.from, options.max, options.query.StudyDate, options.dry_run)]=],
  })
doc.describe(arguments.refuse, "arguments.refuse(message)",
  "Prints what is wrong with the arguments of a script, or with a file that they name, and ends the run with status 2.",
  { example = [=[
if not found.answers[1] then
  require("modalua.arguments").refuse "there is no such study"
end]=] })
doc.describe(arguments.announce, "arguments.announce(given, text, ...) -> boolean",
  "Prints on standard error what the script will do; text and what follows are as for string.format. Returns false with --dry-run, and "
    .. "true otherwise. given is what arguments.read returned.",
  { example = [=[
local arguments = require "modalua.arguments"
if arguments.announce({ dry_run = true }, "move %d studies to archive", #found.answers) then
  assert(pacs:move(found, { to = "archive", max = 100 }))
end]=] })

return arguments
