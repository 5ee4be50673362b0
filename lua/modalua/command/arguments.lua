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
    convert = kind and reader_of(name, kind) or nil }
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
    if options[key] == "" then -- such as a variable of the shell that is not set
      arguments.refuse(("%s: the value is empty"):format(properties.name))
    elseif row.tag and options[key] then
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

-- ---- failures of the script ----

-- Whether the text has the word, not as a part of a longer one.
local function has_word(text, word)
  return text:find("%f[%w_]" .. word .. "%f[^%w_]") ~= nil
end

-- Where a value stands in the text, not as a part of a longer word or number; nil: nowhere.
local function place_of(value, text)
  local first, last = text:find(value, 1, true)
  while first and (text:sub(first - 1, first - 1) .. text:sub(last + 1, last + 1)):find "%w" do
    first, last = text:find(value, first + 1, true)
  end
  return first
end

-- The option of which the value stands first in the text; nil: there is none.
local function option_by_value(options, rows, text)
  local name, least, length
  for _, row in ipairs(rows) do
    local kind, properties = argument_of(row)
    local value = kind == "option" and options[properties.target]
    local place = type(value) == "string" and place_of(value, text)
    if place and (not least or place < least or place == least and #value > length) then
      name, least, length = properties.name, place, #value
    end
  end
  return name
end

-- Whether the text speaks of the filters.
local function has_filter(options, text)
  for tag in pairs(options.query or {}) do
    if has_word(text, (tag:gsub("%p", "%%%0"))) then
      return true
    end
  end
  return has_word(text, "query")
end

-- The option of which the name stands in the text, or the filters when it speaks of them; nil: there is none.
local function option_by_name(options, rows, text)
  for _, row in ipairs(rows) do
    local kind, properties = argument_of(row)
    if kind == "argument" and has_filter(options, text) or has_word(text, properties.target) then
      return properties.name
    end
  end
end

-- Ends the run because of an option, of which the message may speak under the name that it has in Lua.
local function refuse_option(rows, name, message)
  local text = message:gsub("^option '([%l_]+)'", "%1")
  for _, row in ipairs(rows) do
    local kind, properties = argument_of(row)
    local own = kind ~= "argument" and properties.name == name and text:match("^" .. properties.target .. "(:? .*)$")
    text = own and name .. own or text
  end
  arguments.refuse((not name or text:sub(1, #name) == name) and text or ("%s: %s"):format(name, text))
end

local UNKNOWN <const> = { unknown_modality = "modalities", unknown_peer = "peers" }

-- The message of an error object, with the name that the server does not know.
local function message_of(err)
  local name = UNKNOWN[err.code] and err.message:find(" of this name", 1, true) and (err.path or ""):match "^/%l+/([^/]+)"
  return name and ("'%s': %s"):format(name, err.message) or err.message
end

-- Whether the arguments of the script are wrong, and not something that it met.
local function is_of_arguments(options, rows, err)
  local is_refused = err.kind == "refused" and err.code ~= "too_many"
  return err.code == "usage" or err.code == "unknown_tag" or UNKNOWN[err.code] ~= nil
    or is_refused and (err.code == nil or option_by_value(options, rows, err.message) ~= nil)
end

local function explain_object(options, rows, err)
  if is_of_arguments(options, rows, err) then
    local message = message_of(err)
    local name = option_by_value(options, rows, message)
    refuse_option(rows, name or err.code == "usage" and option_by_name(options, rows, message) or nil, message)
  end
  say(tostring(err))
  os.exit(1)
end

-- A text that was thrown: "scripts/x.lua:12: run: hours: …" is a wrong use of a function, and "scripts/x.lua:12: y.csv: No such file or
-- directory" a message of the system, which begins with a capital.
local function explain_text(options, rows, text)
  local place, message = text:match "^([^\n]-:%d+): ([^\n]*)$"
  message = message or text
  local usage = place and message:match "^[%l_]+: (.*)$"
  local name = option_by_value(options, rows, message)
  if usage and (name or option_by_name(options, rows, usage)) then
    refuse_option(rows, name or option_by_name(options, rows, usage), usage)
  elseif name and message:find ": %u[^:]*$" then
    refuse_option(rows, name, message)
  elseif message:find "^%u[^:]*$" or message:find ": %u[^:]*$" then
    say(place and ("%s (%s)"):format(message, place) or message)
    os.exit(1)
  end
end

-- The script ends with an error that it has not caught: prints it in one line, and ends the run. A fault of the script itself passes on,
-- and comes with a traceback.
local function explain(options, rows, err)
  if modalua.is_error(err) and err.kind ~= "cancelled" and err.kind ~= "limit" then
    explain_object(options, rows, err)
  elseif type(err) == "string" then
    explain_text(options, rows, (err:gsub("\nstack traceback:.*$", ""))) -- stock Lua has put it behind the message
  end
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
  return setmetatable(options, { __close = function(_, err)
    explain(options, rows, err)
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
    .. "A variable of the main chunk that holds the options with <close> does the same for what is found out later: a modality that the "
    .. "server does not know, a file that cannot be read. Every other failure of an operation is one line, and status 1.",
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
doc.describe(arguments.announce, "arguments.announce(given, text, ...) -> boolean",
  "Prints on standard error what the script will do; text and what follows are as for string.format. Returns false with --dry-run, and "
    .. "true otherwise. given is what arguments.read returned.",
  { example = [=[
local arguments = require "modalua.arguments"
if arguments.announce({ dry_run = true }, "move %d studies to archive", #found.answers) then
  assert(pacs:move(found, { to = "archive", max = 100 }))
end]=] })

return arguments
