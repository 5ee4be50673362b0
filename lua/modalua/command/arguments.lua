-- modalua.arguments: the arguments of a script: options with help and defaults, filters as verbs take them, --dry-run. The recipes in
-- scripts/ use it.
local require = ...
local dates = require "command.dates"
local doc = require "modalua.doc"
local letters = require "text.letters"
local modalua = require "modalua"
local native = require "core.native"
local playground = require "playground.playground"

local arguments = {}

local MAX_WIDTH = 100 -- columns of --help
local SERVER = "\nThe server is the one of `modalua -u URL`, of `modalua --profile NAME` or of MODALUA_URL, or the default server of your "
  .. "configuration file (modalua --help)."
local NO_ARGUMENTS = " In `modalua playground` the script needs no arguments."

local function name_of_script()
  return _G.arg[0]:match "([^/]*)%.lua$" or _G.arg[0]
end

-- Prints a line on standard error, behind the name of the script.
local function say(message)
  io.stderr:write(native.text_wrapped_for_stderr(("%s: %s"):format(name_of_script(), letters.shown(message))), "\n")
end

function arguments.refuse(message)
  say(message)
  io.stderr:write(native.text_wrapped_for_stderr(("`modalua %s --help` explains the arguments"):format(_G.arg[0])), "\n")
  os.exit(2)
end

-- ---- the rows ----

-- What reads the number of an option. kind: "integer" or "float".
local function reader_of(name, kind)
  return function(text)
    local number = tonumber(text)
    if kind == "integer" then
      number = math.tointeger(number)
    end
    return number and number > 0 and number < math.huge and number or nil,
      ("%s: '%s' is not a %snumber above 0"):format(name, text, kind == "integer" and "whole " or "")
  end
end

-- Returns what a row adds to the parser: { row =, kind = "option", "flag" or "argument", properties = }. The default is filled in later, as
-- it differs in the playground.
local function argument_of(row)
  local name, value = row[1]:match "^(%-%-%S+)%s*(%S*)$"
  if not name then
    return { row = row, kind = "argument", properties = { name = row[1], target = "words", args = "*", description = row[2] } }
  end
  local properties = { name = name, target = (name:sub(3):gsub("-", "_")), description = row[2] }
  if value == "" then
    return { row = row, kind = "flag", properties = properties }
  end
  if row.default then
    properties.description = ("%s (default: %s)"):format(row[2], (tostring(row.default):gsub("%.0$", "")))
  end
  local number = math.type(row.default)
  properties.argname, properties.convert = value, number and reader_of(name, number) or nil
  return { row = row, kind = "option", properties = properties }
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
  local query, narrows = {}, false
  for _, word in ipairs(words) do
    local tag, value = word:match "^([^=]+)=(.*)$"
    if value == "" then
      arguments.refuse(("'%s' has no value and would match everything"):format(word))
    elseif not tag then
      arguments.refuse(("'%s' is not Tag=Value"):format(word))
    elseif query[tag] then
      arguments.refuse(tag .. " is given twice")
    end
    query[tag] = to_filter(tag, value)
    narrows = narrows or value:find "[^*?]" ~= nil
  end
  if words[1] and not narrows then
    arguments.refuse(("'%s' would match everything"):format(table.concat(words, " ")))
  end
  return query
end

-- Fills in what was not given: the default, or in the playground what the row has for it. Refuses when something is needed.
local function complete(options, taken)
  local in_playground = playground.is_entered()
  for _, one in ipairs(taken) do
    local row, kind, key = one.row, one.kind, one.properties.target
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
    if options[key] == "" then -- such as a variable of the shell that is not set
      arguments.refuse(("%s: the value is empty"):format(one.properties.name))
    elseif row.tag and options[key] then
      options[key] = to_filter(row.tag, options[key])
    end
  end
end

local function needs_arguments(taken)
  for _, one in ipairs(taken) do
    local row = one.row
    if one.kind ~= "flag" and not (row.playground or row.default or row.optional) then
      return true
    end
  end
  return false
end

-- ---- failures of the script ----

-- The codes of errors of which the arguments of the script are the cause.
local OF_ARGUMENTS <const> = { usage = true, unknown_tag = true, unknown_modality = true, unknown_peer = true, bad_filter = true }

-- The script ends with an error that it has not caught. A failure of an operation, and the wrong use of a function, are printed in one line
-- and end the run. A fault of the script itself passes on, and comes with a traceback.
local function explain(err)
  if modalua.is_error(err) and err.kind ~= "cancelled" and err.kind ~= "limit" then
    if OF_ARGUMENTS[err.code] then
      arguments.refuse(tostring(err))
    end
    say(tostring(err))
    os.exit(1)
  end
  local text = type(err) == "string" and err:gsub("\nstack traceback:.*$", "") -- stock Lua has put it behind the message
  if text and native.is_usage(text) then -- "scripts/x.lua:12: run: hours: …"
    local place, message = text:match "^([^\n]-:%d+): [%w_]+: (.*)$"
    arguments.refuse(place and ("%s (%s)"):format(message, place) or text)
  end
end

-- ---- the files that options name ----

local function refuse_file(name, why)
  arguments.refuse(("--%s: %s"):format(name:gsub("_", "-"), why))
end

function arguments.open(given, name, mode)
  local file, why = io.open(given[name], mode)
  return file or refuse_file(name, why)
end

-- A file that appears when it is complete.
local Output = {}
Output.__index = Output

function Output:__close()
  local _ <close> = self.file
end

function Output:write(text)
  local good, why = self.file:write(text)
  if good then
    good, why = self.file:commit()
  end
  if not good then
    error(native.fail("write", "refused", "file", ("'%s' cannot be written: %s"):format(self.path, why)), 0)
  end
end

function arguments.output(given, name)
  local file, why = native.whole_file(given[name])
  return setmetatable({ file = file or refuse_file(name, ("'%s' cannot be written: %s"):format(given[name], why)), path = given[name] },
    Output)
end

-- ---- the functions ----

function arguments.read(rows)
  local argparse, taken = require "command.argparse", {}
  for i, row in ipairs(rows) do
    taken[i] = argument_of(row)
  end
  local epilog = SERVER .. (needs_arguments(taken) and "" or NO_ARGUMENTS)
  local parser = argparse("modalua " .. _G.arg[0], rows.about, epilog):help_max_width(MAX_WIDTH)
  for _, one in ipairs(taken) do
    parser[one.kind](parser, one.properties)
  end
  parser:flag { name = "--dry-run", target = "dry_run", description = "only says what it would do" }
  parser.error = function(_, message)
    arguments.refuse((message:gsub("\nDid you mean", "; did you mean")))
  end
  local options = parser:parse(_G.arg)
  complete(options, taken)
  return setmetatable(options, { __close = function(_, err)
    explain(err)
  end })
end

function arguments.announce(given, text, ...)
  say((given.dry_run and "would " or "will ") .. text:format(...))
  return not given.dry_run
end

doc.describe(arguments.read, "arguments.read(rows) -> options",
  'Reads the arguments of a script (arg) by a list of rows { "--name VALUE", help }, and returns a table from each name to its value. '
    .. 'A row "--name" without a value is true or nil. The row "Tag=Value…" is filters, which options.query has; dates are as verbs take '
    .. "them. --help and --dry-run (options.dry_run) come by themselves. Wrong arguments are explained, and end the run with status 2. "
    .. "Write `local options <close> = arguments.read {...}`: then errors of modalua that the script does not catch are printed in one "
    .. "line. The status is 2 when an argument is the cause, such as a modality that the server does not know, and otherwise 1. "
    .. "A fault of the script itself still shows a traceback.",
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
local options <close> = require("modalua.arguments").read { about = "Moves studies to the archive.",
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
doc.describe(arguments.open, "arguments.open(given, name [, mode]) -> file",
  "Opens the file that an option names, as io.open does. When this fails, it names the option, and ends the run with status 2. given is "
    .. "what arguments.read returned; name is the name of the option there.",
  { example = [=[
local arguments = require "modalua.arguments"
local journal <close> = arguments.open({ journal = os.tmpname() }, "journal", "a")
journal:write "stored\n"]=] })
doc.describe(arguments.output, "arguments.output(given, name) -> output",
  "Begins to write the file that an option names. output:write(text) writes it: the file appears when it is complete, and an older one "
    .. "stays until then. When the file cannot be made, arguments.output names the option, and ends the run with status 2.",
  { example = [=[
local arguments = require "modalua.arguments"
local output <close> = arguments.output({ output = os.tmpname() }, "output")
output:write "StudyDate,PatientID\n"]=] })
doc.describe(arguments.announce, "arguments.announce(given, text, ...) -> boolean",
  "Prints on standard error what the script will do; text and what follows are as for string.format. Returns false with --dry-run, and "
    .. "true otherwise. given is what arguments.read returned.",
  { example = [=[
local arguments = require "modalua.arguments"
if arguments.announce({ dry_run = true }, "move %d studies to archive", #found.answers) then
  assert(pacs:move(found, { to = "archive", max = 100 }))
end]=] })

return arguments
