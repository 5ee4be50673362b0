--- Plays a user at the command's prompt, through spec/support/terminal.c on a pseudo-terminal.
--
--   local out, status = terminal.run({ columns = 60, arguments = "-u http://…" }, {
--     { wait = "> " }, { send = "1 + 1\r" }, { wait = "2\n" }, { send = "\4" } })
local command = require "spec.support.command"

local terminal = {}

local program = assert(os.getenv "MODALUA_TERMINAL", "set MODALUA_TERMINAL to the program of spec/support/terminal.c")

local function encoded(text)
  return (text:gsub("[%c%%]", function(c) return ("%%%02x"):format(c:byte()) end))
end

local function script_of(steps)
  local lines = {}
  for i, step in ipairs(steps) do
    local verb, text = next(step)
    lines[i] = ("%s %s\n"):format(verb, encoded(text))
  end
  return table.concat(lines)
end

--- Returns the line of the shell that plays the steps, and the name of a file that the caller removes after it. `options` are those of run.
function terminal.line(options, steps)
  local script = command.file(script_of(steps))
  return ("export TERM=xterm PAGER= MODALUA_HISTORY= NO_COLOR=1; export %s; %s %d %d \"$M\" %s <%s"):format(
    options.environment or "LC_CTYPE=C.UTF-8", command.quote(program), options.columns or 80, options.rows or 24,
    options.arguments or "", script), script
end

--- Plays the steps. Returns the output of the command, its exit status, and the error messages of terminal.c. `options` are columns, rows,
--- arguments and environment (both in shell syntax). The command keeps no history, and uses no pager and no
--- colours, unless `environment` says so.
function terminal.run(options, steps)
  local line, script = terminal.line(options, steps)
  local result = command.shell(line)
  os.remove(script)
  return result.out, result.status, result.err
end

--- Plays a session at the prompt. Each step is a list: the text to type (with its "\r"), then the texts to wait for. Then the step opens
--- `gate`, if it has one, and waits for the next prompt, or runs the step `open` instead of this wait. The session ends with Ctrl-D.
--- Asserts that every text came, and returns the output of the command.
function terminal.session(options, steps)
  local list = { { wait = "> " } }
  for _, step in ipairs(steps) do
    list[#list + 1] = { send = step[1] }
    for i = 2, #step do
      list[#list + 1] = { wait = step[i] }
    end
    if step.gate then
      list[#list + 1] = { gate = step.gate }
    end
    list[#list + 1] = step.open or { wait = "\n> " }
  end
  list[#list + 1] = { send = "\4" }
  local out, status, err = terminal.run(options, list)
  assert(status == 0, ("%d: %s\n%s"):format(status, err, out))
  return out
end

return terminal
