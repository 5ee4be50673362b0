-- command.verbs: runs the verbs of the command, such as `modalua find …`. The command passes in whether there is a terminal, and its width.
--
-- Each file in command/verbs is a verb of the same name; no other list has it. The file returns a table: usage and summary (its line in
-- `modalua --help`), description, examples = { { command line, purpose }, … }, arguments = { rows for argparse, … }, run = a function
-- (session) that returns whether the run succeeded, or the exit status, is_plain = true when the verb takes no COMMON argument. A verb with
-- several commands (`modalua transfer status`) has a list of them in `commands`: each has a name, summary, description, examples, arguments
-- and is_plain as a verb has, and options.command is the name of the one that was given. argparse, --help, the manual page and the
-- completion of shells (command.words) all read these rows. `complete` of a row says what completes its values: a list of words, or
-- "modality", "filter", "tag", "tags", "level", "file", "verb"; without it, its argname says it.
local require = ...
local doc = require "modalua.doc"
local letters = require "text.letters"
local modalua = require "modalua"
local native = require "core.native"
local output = require "command.output"
local session = require "command.session"

local verbs = {}

verbs.COMMON = table.move(output.DETAILS, 1, #output.DETAILS, #output.FORMATS + 1, table.move(output.FORMATS, 1, #output.FORMATS, 1, {}))

function verbs.load(name)
  return require("command.verbs." .. name)
end

-- ---- arguments ----

local MAX_WIDTH = 100 -- columns of --help

local function epilog_of(verb)
  local lines = { "Examples:" }
  for _, example in ipairs(verb.examples) do
    lines[#lines + 1] = ("  %s\n      %s"):format(example[1], example[2])
  end
  if not verb.commands then
    lines[#lines + 1] = "\nExit status: 0 success, 1 failure, 2 wrong usage, 130 interrupted (Ctrl-C), 141 the reader of a pipe has "
      .. "gone."
  end
  lines[#lines + 1] = "\nThe options -u, --profile, --ca, --cert, --key, --insecure, --verbose, --memory-limit and --time-limit of modalua "
    .. "itself may follow a verb too; `modalua --help` explains them."
  return table.concat(lines, "\n")
end

-- The function that reads the value of an option, with the name of the option in its messages.
local function named(row)
  return function(text)
    local value, message = row.convert(text)
    return value, message and ("%s: %s"):format(row.name:match "%-%-%S+", message)
  end
end

-- Adds an argument to the parser. argparse takes the fields of a row, but not its list part.
local function add_argument(parser, row)
  local properties = {}
  for name, value in pairs(row) do
    properties[name] = name ~= 1 and name ~= "complete" and value or nil
  end
  properties.convert = row[1] == "option" and row.convert and named(row) or row.convert
  return parser[row[1]](parser, properties)
end

-- Prints an error in the arguments, and where they are explained, and ends the run. The usage of a verb with many options would hide the
-- error.
local function error_printer(name, verb)
  local names = {}
  for i, command in ipairs(verb.commands or {}) do
    names[i] = command.name
  end
  return function(parser, message)
    if names[1] and (message:find "^unknown command '[^\n]*'$" or message == "a command is required") then
      message = ("%s; the commands are %s"):format(message, table.concat(names, ", "))
    end
    message = letters.shown((message:gsub("\nDid you mean", "; did you mean")))
    local words = parser:get_usage():match "^Usage: ([%l ]*%l)"
    message = ("modalua: %s: %s\n`%s --help` explains the arguments"):format(name, message, words)
    io.stderr:write(native.text_wrapped_for_stderr(message), "\n")
    os.exit(2)
  end
end

-- Adds what a verb, or a command of a verb, takes.
local function complete_parser(parser, rows, print_error, terminal)
  parser:add_help { name = "-h --help", description = "show this help", action = function()
    output.write(terminal, parser:get_help() .. "\n")
    os.exit(0)
  end }
  for _, row in ipairs(rows.arguments) do
    add_argument(parser, row)
  end
  if not rows.is_plain then
    local added = {}
    for i, row in ipairs(verbs.COMMON) do
      added[i] = add_argument(parser, row)
    end
    parser:mutex(table.unpack(added, 1, #output.FORMATS))
  end
  parser.error = print_error
  return parser
end

-- Returns the parser of a verb, and the parsers of its commands by their names.
local function parser_of(name, verb, terminal)
  local argparse = require "command.argparse"
  local print_error, commands = error_printer(name, verb), {}
  local parser = complete_parser(argparse("modalua " .. name, verb.description, epilog_of(verb)), verb, print_error,
    terminal)
  parser:help_max_width(math.min(terminal.width or MAX_WIDTH, MAX_WIDTH))
  parser:command_target "command"
  for _, command in ipairs(verb.commands or {}) do
    local own = parser:command(command.name, command.description, epilog_of(command))
    commands[command.name] = complete_parser(own:summary(command.summary), command, print_error, terminal)
  end
  return parser, commands
end

-- Whether a row is an option with a value of this name.
local function is_option_named(row, word)
  return row[1] == "option" and (" " .. row.name .. " "):find(" " .. word .. " ", 1, true) ~= nil
end

-- Whether this word is an option of which the value is the next word, for the verb or one of its commands.
local function takes_value(verb, word)
  local lists = { verb.arguments }
  for _, command in ipairs(verb.commands or {}) do
    lists[#lists + 1] = command.arguments
  end
  for _, list in ipairs(lists) do
    for _, row in ipairs(list) do
      if is_option_named(row, word) then
        return true
      end
    end
  end
  return false
end

-- Puts values that begin with '-' into the word of their option, "--sort=-StudyDate": argparse would take them for options.
local function join_values(verb, words)
  local joined, i = {}, 1
  while i <= #words do
    local word, value = words[i], words[i + 1] or ""
    if word == "--" then
      return table.move(words, i, #words, #joined + 1, joined)
    elseif value:find "^%-%w." or value:find "^%-%d" then
      local is_value = word:find "^%-%-%l" and takes_value(verb, word)
      joined[#joined + 1] = is_value and word .. "=" .. value or word
      i = i + (is_value and 1 or 0)
    else
      joined[#joined + 1] = word
    end
    i = i + 1
  end
  return joined
end

-- ---- running a verb ----

-- Whether an error ends the run with a status of its own: Ctrl-C, or no memory.
local function must_pass_on(err)
  return err == "not enough memory" or modalua.is_error(err) and err.kind == "cancelled"
end

-- The exit status of a verb: `result` is what its function returned.
local function status_of(run, result)
  local status = math.type(result) == "integer" and result or result and 0 or 1
  return status == 0 and run.failed and 1 or status
end

-- Runs the verb arg[0] with the arguments arg[1], … The run ends with status 2 when the arguments are wrong, and with status 1 after a
-- failure. `terminal` has the fields width and colour, and the booleans output, errors and input: whether that stream is a terminal. For
-- the manual page it has also the command's own options, environment variables and verbs: options, environment, verbs.
function verbs.main(terminal)
  local name, arguments = _G.arg[0], table.move(_G.arg, 1, #_G.arg, 1, {})
  local verb = verbs.load(name)
  local parser, commands = parser_of(name, verb, terminal)
  local options = parser:parse(join_values(verb, arguments))
  local run = session.new(commands[options.command] or parser, options, terminal)
  local good, result = pcall(verb.run, run)
  if not good and must_pass_on(result) then
    error(result, 0)
  elseif not good then
    local why = type(result) == "string" and result:match "^[%l_]+: (%D.*)$" -- "configure: 'Port' must be …": wrong use of a function
    if why then
      run:usage_error("%s", why)
    end
    run:report_error(name, result)
  end
  local status = status_of(run, good and result)
  if status ~= 0 then
    os.exit(status)
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

-- The text of `modalua NAME --help`, or of `modalua NAME COMMAND --help`. Nil: there is no such command.
function verbs.help_of(name, command, terminal)
  local parser, commands = parser_of(name, verbs.load(name), terminal)
  if command then
    parser = commands[command]
  end
  return parser and parser:get_help()
end

-- For { word =, names = }: the name that most resembles a misspelt word, or nil.
function verbs.nearest(given)
  return doc.nearest(given.word, given.names)
end

return verbs
