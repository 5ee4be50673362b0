-- modalua.evaluate: a session at a prompt: lines in, results out. No terminal code: a host offers its own console with it, by
-- modalua_call: begin once, then for each line "line", and "show" when that has ended.
local require = ...
local completion = require "prompt.completion"
local doc = require "modalua.doc"
local help = require "prompt.help"
local modalua = require "modalua"
local printing = require "prompt.printing"
local task = modalua.task

local evaluate = {}

local CHUNK = "=stdin"
local NUMBERED = 9 -- results that _1, _2, … hold
local WIDTH = 80 -- of the terminal, when the host does not say it
local LOOK_SECONDS = 0.5 -- that a line waits, at most, for the names of modalities

local mode = "table"
local timing = false
local pending -- what show is to print: a text, or results {…, n =}
local seconds -- that the last line took

-- ---- the beginning ----

local function bind(name, value)
  if rawget(_G, name) == nil then
    rawset(_G, name, value)
  end
end

local function pretty(...)
  local values = table.pack(...)
  for i = 1, values.n do
    print(printing.lua(values[i]))
  end
end

local function show_help(value)
  pending = help.of(value)
end

function evaluate.begin()
  local ok, client = pcall(modalua.connect)
  bind("modalua", modalua)
  bind("pp", pretty)
  bind("help", show_help)
  bind("orthanc", ok and client or nil)
  local where = ok and tostring(client):match "%((.*)%)" or "no server: " .. tostring(client)
  return ("modalua %s, orthanc = %s\nhelp() is the beginning, .help the commands; TAB completes, Ctrl-D leaves"):format(
    modalua.version, where)
end

-- ---- what is wrong with a line ----

local function incomplete(message)
  return message:sub(-5) == "<eof>" and not message:find("unfinished string", 1, true)
end

-- What people mean who are used to other languages, or forget what Lua has.
local HINTS = {
  { "[^~]!=", "in Lua, 'not equal' is ~=" },
  { "[%w_%]]%s*[%+%-%*/]=", "Lua has no += and the like: x = x + 1" },
  { "[%w_]%+%+", "Lua has no ++: x = x + 1" },
  { "%f[%w_]null%f[^%w_]", "Lua's null is nil; JSON's is modalua.json.null" },
}

-- A modality's name that is used as a variable, a method that was called with a dot.
local function hint_of_message(message)
  local name = message:match "global '([%a_][%w_]*)'"
  if name and completion.is_modality(name) then
    return ('%s is a modality of the server: %s = orthanc:modality "%s"'):format(name, name, name)
  end
  local _, kind = message:match "bad argument #1 to '([%w_]+)' %(modalua%.(%w+) expected"
  if kind then
    return "a method is called with a colon: object:method(…)"
  end
end

local function hint_of(text, message)
  local hint = hint_of_message(message)
  for _, row in ipairs(HINTS) do
    hint = hint or text:find(row[1]) and row[2]
  end
  return hint and "\nhint: " .. hint or ""
end

-- The frames of the user's own, when there are enough of them to say something.
local function trimmed(trace)
  local frames, own = {}, 0
  for frame in trace:gmatch "\n(\t[^\n]*)" do
    if frame:find("modalua/prompt/evaluate.lua", 1, true) or frame:find("in function 'xpcall'", 1, true) then
      break
    end
    if frame ~= "\t[C]: in ?" and frame ~= "\t(...tail calls...)" then
      own = own + (frame:find("^\t%[C%]") and 0 or 1)
      frames[#frames + 1] = frame
    end
  end
  return own > 1 and "\nstack traceback:\n" .. table.concat(frames, "\n") or ""
end

local function message_of(e)
  if type(e) == "string" or type(e) == "number" then
    return tostring(e)
  end
  return printing.lua(e)
end

-- A local variable of a line that is used nowhere in it is lost when the line ends.
local function lost_local(text)
  local name, rest = text:match "^%s*local%s+function%s+([%a_][%w_]*)(.*)$"
  if not name then
    name, rest = text:match "^%s*local%s+([%a_][%w_]*)(.*)$"
  end
  if name and name ~= "function" and not rest:find("%f[%w_]" .. name .. "%f[^%w_]") then
    return ("local %s ends with this line; without 'local' it stays"):format(name)
  end
end

-- ---- commands ----

local commands = {}

local COMMAND_HELP = [[
.help               this
.mode [lua | json | table]   how results are shown; answers are tables by default
.time on | off      how long each line took
.history            the lines of before
.jobs               the jobs of the server
.quit               leaves; so do Ctrl-D and os.exit()
?name, name?        help on a function, an object or a word; help(x) too
expression          is printed; a trailing ; keeps it from that. _ is the last result, _1, _2, … its parts
Ctrl-C              drops the line; cancels what runs, and asks before it does that to a transfer]]

commands["help"] = function()
  pending = COMMAND_HELP
end

function commands.mode(word)
  if word == "" then
    pending = mode
  elseif word == "lua" or word == "json" or word == "table" then
    mode = word
  else
    error(("there is no mode '%s': lua, json, table"):format(word), 0)
  end
end

function commands.time(word)
  if word ~= "on" and word ~= "off" then
    error(".time on, or .time off", 0)
  end
  timing = word == "on"
end

function commands.jobs()
  local client = rawget(_G, "orthanc") or error("there is no server", 0)
  local rows = {}
  for i, job in ipairs(assert(client:jobs { expand = true })) do
    rows[i] = { ID = job.ID, Type = job.Type, State = job.State, Progress = job.Progress, CreationTime = job.CreationTime }
  end
  pending = #rows > 0 and { rows, n = 1 } or "no jobs"
end

function commands.history()
  return "history"
end

function commands.quit()
  return "quit"
end

local function command(text)
  local name, word = text:match "^%s*%.(%a+)%s*(.-)%s*$"
  local f = name and commands[name]
  if not f then
    error(("there is no command '%s'; .help lists them"):format(text:match "^%s*(%S+)"), 0)
  end
  return f(word)
end

-- ---- help ----

-- `?x` and `x?`: what stands for a value is looked up without calling anything, else it is a word.
local function asked(text)
  return text:match "^%s*%?%s*(.-)%s*$" or text:match "^%s*([%a_][%w_%.:]*)%s*%?%s*$"
end

-- ---- lines ----

-- The clients that a line names, and whose modalities' names are not known yet.
local function strangers(text)
  local list, seen = {}, {}
  for name in text:gmatch "[%a_][%w_]*" do
    local client = rawget(_G, name)
    if type(client) == "userdata" and not seen[client] and help.methods_of(client) == help.methods "client" and
      not completion.remembers(client) then
      seen[client] = true
      list[#list + 1] = client
    end
  end
  return list
end

-- The names of the modalities, for completion, are asked for beside a line that talks to the server. Gives client -> task.
local function look(text)
  local looking = {}
  if text:find(":", 1, true) then
    for _, client in ipairs(strangers(text)) do
      looking[client] = task.spawn(function()
        local ok, names = pcall(client.modalities, client)
        return ok and names or nil
      end)
    end
  end
  return looking
end

local function stop_looking(looking, good, text)
  for client, t in pairs(looking) do
    local names = good and task.timeout(LOOK_SECONDS, t.join, t)
    if type(names) == "table" then
      completion.remember(client, names)
    end
    t:cancel()
  end
  if text:find ":%s*configure" or text:find ":%s*remove" then
    completion.forget() -- there may be others now
  end
end

-- An expression as it stands, else statements. nil: the text is not complete.
local function compile(text)
  local source = text:gsub("^%s*=", "")
  local expression, expression_error = load("return " .. source, CHUNK, "t")
  local chunk, chunk_error = load(source, CHUNK, "t")
  if not expression and not chunk and (incomplete(expression_error) or incomplete(chunk_error)) then
    return nil
  end
  return expression or chunk or error(chunk_error .. hint_of(source, ""), 0)
end

local function keep(results)
  if results.n > 0 then
    rawset(_G, "_", results[1])
    for i = 1, NUMBERED do
      rawset(_G, "_" .. i, results[i])
    end
  end
end

local function good(results)
  return not (results.n == 2 and (results[1] == nil or results[1] == false) and modalua.is_error(results[2]))
end

-- Runs the compiled line; gives its results, or nil and what is to be said of its failure.
local function run(f, text)
  local failure
  local looking = look(text)
  local results = table.pack(xpcall(f, function(e)
    rawset(_G, "_err", e)
    failure = message_of(e)
    failure = failure .. hint_of("", failure) .. trimmed(debug.traceback("", 2))
  end))
  local ok = results[1]
  results = table.pack(table.unpack(results, 2, results.n))
  stop_looking(looking, ok and good(results), text)
  if ok then
    return results
  end
  return nil, failure or "the error has no text"
end

-- "more", "quit" or "history" for the host, {error =} for the user, or nil; what is to be shown is in `pending`.
local function act(text)
  if text:find "^%s*%.%a" then
    return command(text)
  end
  local topic = asked(text)
  if topic then
    pending = help.of_name(topic)
    return nil
  end
  local word = text:match "^%s*(%a+)%s*$"
  if (word == "exit" or word == "quit") and rawget(_G, word) == nil then
    return "quit"
  end
  local f = compile(text)
  if not f then
    return "more"
  end
  local results, failure = run(f, text)
  if not results then
    return { error = failure }
  end
  keep(results)
  if results.n > 0 and not text:find ";%s*$" then
    pending = results
  end
  pending = pending or lost_local(text)
end

function evaluate.line(text)
  local began = task.now()
  pending = nil
  local ok, answer = pcall(act, text)
  seconds = task.now() - began
  if ok then
    return answer
  end
  return { error = message_of(answer) }
end

-- The text in lines of at most `width` bytes, as far as its words allow. When an indented line goes on, it is indented by two more columns.
local function wrapped(text, width)
  local lines = {}
  for line in (text .. "\n"):gmatch "(.-)\n" do
    local indent = line:match "^ *"
    indent = indent == "" and "" or indent .. "  "
    while #line > width do
      local blank = line:sub(1, width + 1):match "^ *%S.*() " or line:match("^ *%S+() ")
      if not blank then
        break
      end
      lines[#lines + 1] = line:sub(1, blank - 1)
      line = indent .. line:sub(blank + 1)
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, "\n")
end

function evaluate.show(options)
  local what = pending
  local width = options and options.width
  pending = nil
  if type(what) == "table" then
    what = printing.values(what, mode, { width = width })
  elseif what then
    what = wrapped(what, width or WIDTH)
  end
  if what then
    print(what)
  end
  if timing and seconds then
    print(("%.3f s"):format(seconds))
  end
end

doc.describe(evaluate.begin, "evaluate.begin() -> text",
  "Begins a session at a prompt, and returns two lines of greeting. It sets the globals modalua, orthanc (the server of "
    .. "modalua.connect()), pp and help, when nothing has these names. No request is sent.",
  { example = [[print(require("modalua.evaluate").begin())]] })
doc.describe(evaluate.line, 'evaluate.line(text) -> nil | "more" | "quit" | "history" | {error = text}',
  'Runs a line of input; evaluate.show then prints the result. "more" means that the input goes on in the next line: then give '
    .. 'both together. "quit" and "history" are what the user asks for.',
  { example = [=[
local evaluate = require "modalua.evaluate"
evaluate.line "1 + 1"
evaluate.show()]=] })
doc.describe(evaluate.show, "evaluate.show([options])",
  "Prints what the last line returned, in the mode of the session.",
  {
    options = {
      { "options", "width", "integer", "columns of the terminal (default: 80)" },
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
