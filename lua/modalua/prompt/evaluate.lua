-- modalua.evaluate: a session at a prompt, without terminal code, so that a C program can offer a console of its own. The program calls
-- `begin` once, and for each input line `line` and then `show`.
local require = ...
local commands = require "prompt.commands"
local completion = require "prompt.completion"
local doc = require "modalua.doc"
local failures = require "prompt.failures"
local help = require "prompt.help"
local letters = require "text.letters"
local modalua = require "modalua"
local native = require "core.native"
local outcomes = require "prompt.outcomes"
local printing = require "prompt.printing"
local task = modalua.task
local values = require "prompt.values"

local evaluate = {}

local CHUNK = "=stdin"
local KEPT_VALUES = 100 -- of so many inputs the values are kept in Out, _1, _2, …
local DEFAULT_WIDTH = 80 -- columns of the terminal
local LOOKUP_SECONDS = 0.2 -- a line waits at most so long for the names of modalities
local LOOKUP_PAUSE = 60 -- seconds until a server that did not answer in time is asked for them again

local state = commands.state
local pending -- for `show`: a text, or results {…, n =}
local variables -- the names of those that have these results
local note -- for `show`, behind that: a text, or nil
local seconds -- the duration of the last line

-- ---- the start of a session ----

-- Sets a global, unless the script has set it.
local function set_global(name, value)
  if rawget(_G, name) == nil then
    rawset(_G, name, value)
  end
end

local function pretty(...)
  local all = table.pack(...)
  for i = 1, all.n do
    print(printing.lua(all[i]))
  end
end

local function show_help(value)
  pending = help.of(value)
end

function evaluate.begin()
  local ok, client = pcall(modalua.connect)
  set_global("modalua", modalua)
  set_global("pp", pretty)
  set_global("help", show_help)
  set_global("In", {})
  set_global("Out", {})
  set_global("orthanc", ok and client or nil)
  local where = ok and tostring(client):match "%((.*)%)" or "no server: " .. tostring(client)
  return ("modalua %s, orthanc = %s\nhelp shows how to start, .help lists the commands, TAB completes, Ctrl-D leaves"):format(
    modalua.version, where)
end

-- ---- errors ----

-- Whether the compiler wants more input after the end of the line.
local function is_incomplete(message)
  return message:sub(-5) == "<eof>" and not message:find("unfinished string", 1, true)
end

local NULL <const> = "nil, and JSON has modalua.json.null" -- what Lua has for null

-- Operators and words of other languages, and their counterparts in Lua.
local HINTS = {
  { "[^~]!=", "in Lua, 'not equal' is ~=" },
  { "[%w_%]]%s*[%+%-%*/]=", "Lua has no += or similar operators: write x = x + 1" },
  { "[%w_]%+%+", "Lua has no ++: write x = x + 1" },
  { "^%s*[\\%%]%a", "the commands of the prompt begin with a dot: .help lists them" },
  { "^[^\"']*%S%s*%?%s*[%a_][%w_.:]*%s*$", "?name explains a name when nothing stands before it" },
  { "^%s*!", ".shell ls runs a command of the shell" },
  { "^[^\"']*:%s*[%a_][%w_]*%s*\n", "a method is called with brackets, also without arguments: pacs:echo()" },
  { "%f[%w_]null%f[^%w_]", "there is no null; there is " .. NULL },
}

-- Words of other languages for values of Lua.
local OTHER_WORDS = { True = "true", False = "false", None = "nil", null = NULL, undefined = "nil" }

local LEAST_WORD = 3 -- characters of a name for which another one is suggested

-- The name in a value (a table, or an object of modalua) that a misspelt one most likely means; nil: none, or it is not misspelt.
local function nearest_name(value, name)
  local names = {}
  values.each_name(value, function(key)
    names[#names + 1] = key:sub(1, 1) ~= "_" and key or nil
  end)
  for _, field in ipairs(native.fields(value) or {}) do
    if field.name == name then
      return nil
    end
    names[#names + 1] = field.name
  end
  return #name >= LEAST_WORD and doc.nearest(name, names) or nil
end

-- The name that a misspelt field most likely means, from the place in the text that reads it.
local function nearest_field(text, name)
  local owner = text:match("(.-)%s*[%.:]%s*" .. name .. "%f[^%w_]")
  local value = owner and values.at_end(owner)
  return value ~= nil and nearest_name(value, name) or nil
end

-- Recognises mistakes: a modality's name used as a variable, a misspelt variable or field, and a method called with a dot.
local function hint_of_message(text, message)
  local kind, name = message:match "%((%a+) '([%a_][%w_]*)'%)"
  if kind == "global" and completion.is_modality(name) then
    return ('%s is a modality of the server: %s = orthanc:modality "%s"'):format(name, name, name)
  end
  local nearest = kind == "global" and nearest_name(_G, name) or (kind == "field" or kind == "method") and nearest_field(text, name)
  if nearest and message:find("nil value", 1, true) then
    return ("did you mean %s?"):format(nearest)
  end
  if message:match "bad argument #1 to '[%w_]+' %(modalua%.%w+ expected" then
    return "call a method with a colon: object:method(…)"
  elseif message:find("attempt to call a modalua.Found value", 1, true) then
    return "the answers are a list: for _, answer in ipairs(found) do … end"
  end
end

-- A note when an input is nothing but the name of a variable or a field that does not exist, where a similar one does.
local function misspelt_note(text, results)
  local path = results.n == 1 and results[1] == nil and text:match "^%s*=?%s*([%a_][%w_%.%[%]]*)%s*$"
  local meant = path and (OTHER_WORDS[path] or commands.has(path) and "the command ." .. path)
  if meant then
    return ("there is no %s; there is %s"):format(path, meant)
  end
  local owner, name = (path or ""):match "^(.*)%.([%a_][%w_]*)$"
  local nearest
  if owner then
    nearest = nearest_name(values.at_end(owner), name)
    nearest = nearest and owner .. "." .. nearest
  elseif path and path:find "^[%w_]+$" then
    nearest = nearest_name(_G, path)
  end
  return nearest and ("there is no %s; did you mean %s?"):format(path, nearest)
end

local function hint_of(text, message)
  local hint = hint_of_message(text, message)
  if message == "" then
    for _, row in ipairs(HINTS) do
      hint = hint or text:find(row[1]) and row[2]
    end
  end
  return hint and "\nhint: " .. hint or ""
end

-- The traceback without the frames of this file.
local function user_traceback(trace)
  local frames = {}
  for frame in trace:gmatch "\n(\t[^\n]*)" do
    if frame:find("modalua/prompt/evaluate.lua", 1, true) or frame:find("in function 'xpcall'", 1, true) then
      break
    end
    if frame ~= "\t[C]: in ?" and frame ~= "\t(...tail calls...)" then
      frames[#frames + 1] = frame
    end
  end
  return table.concat(frames, "\n")
end

local function message_of(e)
  if type(e) == "string" or type(e) == "number" then
    return letters.shown(tostring(e), "lines")
  end
  return printing.lua(e)
end

-- A note when a line declares a local variable and does not use it: the variable does not exist in the next line.
local function lost_local_note(text)
  local name, rest = text:match "^%s*local%s+function%s+([%a_][%w_]*)(.*)$"
  if not name then
    name, rest = text:match "^%s*local%s+([%a_][%w_]*)(.*)$"
  end
  if name and name ~= "function" and not rest:find("%f[%w_]" .. name .. "%f[^%w_]") then
    return ("the local variable %s exists in this line only; without 'local' it stays"):format(name)
  end
end

-- ---- help ----

-- The x of `?x`, `x?` and `help x`; "" of `help`; else nil.
local function help_topic(text)
  local topic = text:match "^%s*%?%s*(.-)%s*$" or text:match "^%s*([%a_][%w_%.:]*)%s*%?%s*$"
  if not topic and rawget(_G, "help") == show_help then
    topic = text:find "^%s*help%s*$" and "" or text:match "^%s*help%s+([%a_][%w_%.:]*)%s*$"
  end
  return topic
end

-- ---- the names of modalities, for completion ----

local not_before = setmetatable({}, { __mode = "k" }) -- client -> when it may be asked again

-- The clients in a line for which completion has no names of modalities yet.
local function clients_without_names(text)
  local list, seen = {}, {}
  for name in text:gmatch "[%a_][%w_]*" do
    local client = rawget(_G, name)
    if type(client) == "userdata" and not seen[client] and help.methods_of(client) == help.methods "client" and
      not completion.remembers(client) and task.now() >= (not_before[client] or 0) then
      seen[client] = true
      list[#list + 1] = client
    end
  end
  return list
end

-- Starts requests for the names of modalities, at the same time as a line that talks to the server. Returns a table client -> task.
local function start_lookups(text)
  local lookups = {}
  if text:find(":", 1, true) then
    for _, client in ipairs(clients_without_names(text)) do
      lookups[client] = task.spawn(function()
        local ok, names = pcall(client.modalities, client)
        return ok and names or nil
      end)
    end
  end
  return lookups
end

-- Ends these requests, and stores the names. `line_succeeded`: after a failure the server may be down, so no time is spent on waiting.
local function end_lookups(lookups, line_succeeded, text)
  for client, t in pairs(lookups) do
    local names = line_succeeded and task.timeout(LOOKUP_SECONDS, t.join, t)
    if type(names) == "table" then
      completion.remember(client, names)
    elseif line_succeeded then
      not_before[client] = task.now() + LOOKUP_PAUSE
    end
    t:cancel()
  end
  if text:find ":%s*configure" or text:find ":%s*remove" then
    completion.forget() -- the names may have changed
  end
end

function evaluate.learn()
  end_lookups(start_lookups "orthanc:", true, "")
end

-- ---- lines ----

-- Compiles a line as an expression, else as statements. Returns nil when the input is not complete, and throws when it is wrong. The
-- second result, for statements, is a function that returns what they have dropped.
local function compile(text)
  local source = text:gsub("^%s*=", "")
  local expression, expression_error = load("return " .. source, CHUNK, "t")
  local chunk, chunk_error = load(source, CHUNK, "t")
  if not expression and not chunk and (is_incomplete(expression_error) or is_incomplete(chunk_error)) then
    return nil
  end
  if not expression and chunk then
    local marked, dropped = failures.compile(source, CHUNK)
    return marked or chunk, dropped
  end
  return expression or error(chunk_error .. hint_of(source, ""), 0)
end

-- Sets a field of the global In or Out, unless the script has made something else of it.
local function set_numbered(name, n, value)
  local list = rawget(_G, name)
  if type(list) == "table" then
    rawset(list, n, value)
  end
end

-- False when the results are those of an operation that failed: nil or false, and an error.
local function succeeded(results)
  return not (results.n == 2 and (results[1] == nil or results[1] == false) and modalua.is_error(results[2]))
end

-- Sets the globals _ and _N, where N is the number of the input, and Out[N]; old values go. An error behind nil or false is _err. Returns
-- the names of the variables that have the results, for pp.
local function keep_results(results)
  local n = #state.inputs
  state.inputs[n].succeeded = succeeded(results)
  if not succeeded(results) then
    rawset(_G, "_err", results[2])
  end
  state.inputs[n].has_value = results.n > 0
  if results.n > 0 then
    local old = n - KEPT_VALUES
    rawset(_G, "_", results[1])
    rawset(_G, "_" .. n, results[1])
    rawset(_G, "_" .. old, nil)
    set_numbered("Out", n, results[1])
    set_numbered("Out", old, nil)
  end
  return rawget(_G, "pp") == pretty and { "_" } or {}
end

-- Gives the input a number.
local function keep_input(text)
  local kind = load("return " .. text:gsub("^%s*=", ""), CHUNK, "t") and "expression" or "statements"
  state.inputs[#state.inputs + 1] = { text = text, kind = kind, succeeded = false }
  set_numbered("In", #state.inputs, text)
end

-- Runs a compiled line. Returns its results, or nil and the text of its error.
local function run_compiled(f, text)
  local failure
  local lookups = start_lookups(text)
  local results = table.pack(xpcall(f, function(e)
    rawset(_G, "_err", e)
    failure = message_of(e)
    failure = failure .. hint_of(text, failure)
    state.trace = failure .. "\nstack traceback:\n" .. user_traceback(debug.traceback("", 2))
  end))
  local ok = results[1]
  results = table.pack(table.unpack(results, 2, results.n))
  end_lookups(lookups, ok and succeeded(results), text)
  if ok then
    return results
  end
  return nil, failure or "the error has no text"
end

-- What is shown behind the results of an input; nil: nothing.
local function note_of(text, results, lost)
  if lost or not succeeded(results) then
    local lines = { lost or not pending and letters.shown(tostring(results[2])) or nil }
    lines[#lines + 1] = outcomes.rest_of_error(rawget(_G, "_err"))
    return lines[1] and table.concat(lines, "\n")
  end
  return misspelt_note(text, results) or pending == nil and lost_local_note(text) or nil
end

-- Handles a line of input. Returns what evaluate.line returns, and leaves in `pending` what `show` prints. Throws after a wrong command.
local function handle(text)
  local command = text:gsub("^%s*%?%s*(%.%a+)%s*$", "%1?")
  if command:find "^%s*%.%a" then
    local answer
    answer, pending = commands.run(command)
    return answer
  end
  local topic = help_topic(text)
  if topic then
    pending = help.of_name(topic)
    return nil
  end
  local word = text:match "^%s*(%a+)%s*;?%s*$" or text:match "^%s*(%a+)%s*%(%s*%)%s*;?%s*$"
  if (word == "exit" or word == "quit") and rawget(_G, word) == nil then
    return "quit"
  end
  local f, dropped = compile(text)
  if not f then
    return "more"
  end
  keep_input(text)
  local results, failure = run_compiled(f, text)
  if not results then
    return { error = failure }
  end
  variables = keep_results(results)
  if results.n > 0 and not text:find ";%s*$" then
    pending = results
  end
  note = note_of(text, results, dropped and dropped())
end

-- Runs a whole script, of which the console has read the file `name`.
local function handle_script(text, name)
  local f, message = load(text:gsub("^#[^\n]*", ""), "@" .. name, "t")
  if not f then
    error(message, 0)
  end
  local results, failure = run_compiled(f, "")
  pending = results and results.n > 0 and results or nil
  return failure and { error = failure } or nil
end

-- Shows an expression once more.
local function handle_watched(text)
  local results, failure = run_compiled(compile(text), "")
  pending = results
  return failure and { error = failure } or nil
end

function evaluate.line(input)
  local began = task.now()
  pending, note, variables = nil, nil, {}
  local ok, answer
  if type(input) == "table" then
    ok, answer = pcall(input.name and handle_script or handle_watched, input.text, input.name)
  else
    ok, answer = pcall(handle, input)
  end
  seconds = task.now() - began
  if ok then
    return answer
  end
  return { error = message_of(answer) }
end

-- The warning of the first value, where the mode does not show it.
local function hidden_warning(results)
  return type(results) == "table" and state.mode ~= "table" and printing.warning(results[1]) or nil
end

function evaluate.show(options)
  options = options or {}
  local output, behind, warning = pending, note, hidden_warning(pending)
  pending, note = nil, nil
  if type(output) == "table" then
    print(printing.values(output, state.mode, { width = options.width, colour = options.colour, raw = options.raw, names = variables }))
  elseif output then
    print(native.text_wrapped(letters.shown(output, "lines"), options.width or DEFAULT_WIDTH))
  end
  if behind then
    print(native.text_wrapped(behind, options.width or DEFAULT_WIDTH))
  end
  if state.timing and seconds then
    print(("%.3f s"):format(seconds))
  end
  if warning and not options.raw then
    print(native.text_wrapped(warning, options.width or DEFAULT_WIDTH))
  end
  return options.raw and warning or nil -- it does not belong into the file
end

function evaluate.prompt()
  return state.numbers and tostring(#state.inputs + 1) or ""
end

doc.describe(evaluate.begin, "evaluate.begin() -> text",
  "Starts a session at a prompt, and returns two lines of greeting. It sets the globals modalua, orthanc (the server of "
    .. "modalua.connect()), pp and help, unless they exist. It sends no request.",
  { example = [[print(require("modalua.evaluate").begin())]] })
doc.describe(evaluate.learn, "evaluate.learn()",
  "Asks the server of the session for the names of its modalities, which completion then offers. It waits at most 0.2 seconds for them.",
  { example = [[require("modalua.evaluate").learn()]] })
doc.describe(evaluate.line, "evaluate.line(input) -> nil | text | {error = text} | {request = arguments}",
  'Runs an input: a text that the user has typed, or a script. evaluate.show then prints the result. "more" means that the input is not '
    .. 'complete: call it again with this line and the next one together. Other answers are requests of the user, for the console to '
    .. 'carry out: "quit", "history", {edit = text}, {load = path}, {save = {path, piece, …}}, {once = target}, {output = target}, '
    .. "{watch = {seconds, expression}}.",
  {
    options = {
      { "input", "text", "string", "the script; or the expression of .watch, once more" },
      { "input", "name", "string", "the file that the script is from (default: none, and it is an expression)" },
    },
    example = [=[
local evaluate = require "modalua.evaluate"
evaluate.line "1 + 1"
evaluate.show()]=],
  })
doc.describe(evaluate.prompt, "evaluate.prompt() -> text",
  'Returns what stands before the prompt: "", or the number of the input after .numbers on.',
  { example = [[print(require("modalua.evaluate").prompt() .. "> ")]] })
doc.describe(evaluate.show, "evaluate.show([options]) -> warning | nil",
  "Prints what the last line returned, in the mode of the session. With raw, returns the warning about it instead of printing it.",
  {
    options = {
      { "options", "width", "integer", "columns of the terminal (default: 80)" },
      { "options", "raw", "boolean", "true: the output goes into a file, so CSV has control characters as they are (default: false)" },
      { "options", "colour", "boolean", "true: the terminal has colours" },
    },
    example = [=[
local evaluate = require "modalua.evaluate"
evaluate.line "orthanc"
evaluate.show { width = 100 }]=],
  })
doc.describe(pretty, "pp(...)",
  "Prints values as Lua writes them, whatever the mode of the prompt is.",
  { example = [[pp(found.answers[1])]] })
doc.describe(show_help, "help([value])",
  "Shows the help for a function, an object or a name.",
  { example = [[help(pacs.move)]] })

return evaluate
