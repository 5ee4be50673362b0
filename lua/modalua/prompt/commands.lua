-- prompt.commands: the commands of the prompt, which begin with a dot. What needs the terminal or a file is left to the console: a
-- command returns that as an answer of evaluate.line.
local require = ...
local doc = require "modalua.doc"
local levels = require "core.levels"
local lists = require "core.lists"
local native = require "core.native"
local saved = require "prompt.saved"

local commands = {}

-- The state of the session, which prompt.evaluate shares.
local state = {
  mode = "table",
  timing = false,
  numbers = false, -- the prompt shows the number of the input
  inputs = {}, -- n -> { text =, kind = "expression" | "statements", succeeded = boolean }
  jobs = nil, -- those that .jobs has shown last, for completion
  trace = nil, -- the traceback of the last error, as text
}
commands.state = state

local MODES = { "table", "lines", "csv", "json", "lua" }
local LEVELS = { "Patient", "Study", "Series", "Instance", "Worklist" }

-- Each returns the answer for the console, or nil, and what is to be shown: a text, or results {…, n =}.
local run = {}

function run.mode(argument)
  if argument == "" then
    return nil, state.mode
  elseif not lists.has(MODES, argument) then
    error(("there is no mode '%s'; the modes are %s"):format(argument, table.concat(MODES, ", ")), 0)
  end
  state.mode = argument
end

-- Sets a field of the state; without an argument it is shown.
local function on_or_off(name, field, argument)
  if argument == "" then
    return nil, state[field] and "on" or "off"
  elseif argument ~= "on" and argument ~= "off" then
    error(("use .%s on or .%s off"):format(name, name), 0)
  end
  state[field] = argument == "on"
end

function run.time(argument)
  return on_or_off("time", "timing", argument)
end

function run.numbers(argument)
  return on_or_off("numbers", "numbers", argument)
end

local function needed(argument, usage)
  return argument:find "[^%s|]" and argument or error("use " .. usage, 0)
end

function run.once(argument)
  return { once = needed(argument, ".once FILE or .once | COMMAND") }
end

function run.output(argument)
  return { output = argument == "" and "" or needed(argument, ".output FILE, .output | COMMAND, or .output alone") }
end

function run.load(argument)
  return { load = needed(argument, ".load FILE") }
end

function run.save(argument)
  local path = needed(argument, ".save FILE")
  local pieces = saved.pieces(state.inputs)
  if #pieces < 2 then
    error("there is nothing to save: no input of this session has succeeded", 0)
  end
  return { save = { path, table.unpack(pieces) } }
end

function run.edit(argument)
  local n = argument == "" and #state.inputs or math.tointeger(tonumber(argument))
  if argument ~= "" and not state.inputs[n] then
    error(("there is no input %s; In has those of this session"):format(argument), 0)
  end
  return { edit = state.inputs[n] and state.inputs[n].text or "" }
end

function run.watch(argument)
  local seconds, expression = argument:match "^(%d+%.?%d*)%s+(.+)$"
  if not seconds or tonumber(seconds) == 0 then
    error("use .watch SECONDS expression", 0)
  end
  local f, message = load("return " .. expression, "=stdin", "t")
  if not f then
    error(message, 0)
  end
  return { watch = { seconds, expression } }
end

function run.schema(argument)
  local level
  for _, name in ipairs(LEVELS) do
    level = argument:lower() == name:lower() and name or level
  end
  if not level then
    error("use .schema LEVEL; the levels are " .. table.concat(LEVELS, ", "), 0)
  end
  local rows = {}
  for i, name in ipairs(native.level_tags(level)) do
    local facts = native.tag_facts(name) or {}
    local is_key = levels.UNIQUE[level] == name
    rows[i] = { Name = name, Tag = facts.tag, VR = facts.vr, What = is_key and "identifies the " .. level:lower() or "" }
  end
  return nil, { rows, n = 1 }
end

function run.shell(argument)
  needed(argument, ".shell COMMAND")
  if not os.execute then
    error("no command of the shell can be run here", 0)
  end
  local ok, how, status = os.execute(argument)
  return nil, not ok and ("%s %d"):format(how == "signal" and "it ended by the signal" or "its exit status is", status) or nil
end

function run.trace()
  return nil, state.trace or "there is no error with a traceback"
end

function run.jobs()
  local client = rawget(_G, "orthanc") or error("the global orthanc is nil: there is no server", 0)
  local jobs = assert(client:jobs { expand = true })
  state.jobs = jobs
  return nil, #jobs > 0 and { jobs, n = 1 } or "no jobs"
end

function run.history()
  return "history"
end

function run.quit()
  return "quit"
end
run.exit = run.quit

local ROWS = {
  { "help", "[COMMAND]", "shows this; so does ?.COMMAND" },
  { "mode", "[table | lines | csv | json | lua]", "how results are shown (at first: answers as a table)" },
  { "schema", "LEVEL", "the tags that a query of this level can have" },
  { "jobs", "", "the jobs of the server" },
  { "watch", "SECONDS expression", "shows its value again and again, until Ctrl-C" },
  { "once", "FILE | COMMAND", "what is printed next goes into the file, or to the command behind |" },
  { "output", "[FILE | COMMAND]", "the same for all inputs, until .output alone" },
  { "load", "FILE", "runs a script in this session" },
  { "save", "FILE", "makes a script of the inputs of this session that have succeeded" },
  { "edit", "[N]", "the last input, or input N, in $EDITOR; so does Ctrl-X Ctrl-E with the present one" },
  { "shell", "COMMAND", "runs a command of the shell" },
  { "trace", "", "the traceback of the last error" },
  { "time", "[on | off]", "shows how long each input took" },
  { "numbers", "[on | off]", "shows the number of each input: _3 is the value of input 3, In[3] its text" },
  { "history", "", "the earlier inputs" },
  { "quit", "", "leaves; so do .exit, Ctrl-D and os.exit()" },
}

local OTHERS = {
  { "?name, name?", "explains a function, an object or a word; so does help(x)" },
  { "expression", "its value is printed, unless ; follows. _ is the last value, _err the last error" },
  { "Ctrl-C", "drops the input, or cancels the running operation; during a transfer it asks first" },
  { "Ctrl-D", "drops an input of several lines, or leaves" },
}

local HELP_COLUMN = 28

-- The row of a command; throws when there is none.
local function row_of(name)
  name = name == "exit" and "quit" or name
  local names = {}
  for i, row in ipairs(ROWS) do
    if row[1] == name then
      return row
    end
    names[i] = row[1]
  end
  local nearest = doc.nearest(name, names)
  error(("there is no command '.%s'; %s"):format(name, nearest and ("did you mean .%s?"):format(nearest) or ".help lists them"), 0)
end

function run.help(argument)
  if argument ~= "" then
    local row = row_of(argument:match "^%.?(.*)$")
    return nil, (("." .. row[1] .. " " .. row[2]):gsub(" $", "")) .. "\n" .. row[3]
  end
  local lines = {}
  local function add(head, text)
    lines[#lines + 1] = #head < HELP_COLUMN and ("%-" .. HELP_COLUMN .. "s%s"):format(head, text) or head .. "\n"
      .. (" "):rep(HELP_COLUMN) .. text
  end
  for _, row in ipairs(ROWS) do
    add(("." .. row[1] .. " " .. row[2]):gsub(" $", ""), row[3])
  end
  for _, row in ipairs(OTHERS) do
    add(row[1], row[2])
  end
  return nil, table.concat(lines, "\n")
end

function commands.has(name)
  return run[name] ~= nil
end

-- Runs the command in the text. Returns its answer and what is to be shown. Throws a text when it is wrong.
function commands.run(text)
  local name, argument = text:match "^%s*%.(%a+)%s*(.-)%s*$"
  if argument == "?" then
    name, argument = "help", name
  end
  local f = run[name] or row_of(name)
  return f(argument)
end

return commands
