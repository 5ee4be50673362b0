--- Shows what a person sees at the prompt, through the terminal of tmux, which interprets all control sequences.
--
--   screen.run({ columns = 60, rows = 12, arguments = "-u http://…" }, function(s)
--     s:shows "> "
--     s:send "1 + 1\r"
--     s:shows "\n2\n>"
--   end)
local command = require "spec.support.command"
local expect = require "spec.support.expect"

local screen = {}
screen.__index = screen

function screen:tmux(...)
  return command.shell(("tmux -f /dev/null -L %s %s"):format(self.socket, command.quote(...)))
end

--- Types the text.
function screen:send(text)
  self:tmux("send-keys", "-l", text)
end

--- Changes the size of the window.
function screen:resize(columns, rows)
  self:tmux("resize-window", "-x", tostring(columns), "-y", tostring(rows))
end

local function wait_for(self, text, plain)
  local shown
  local found = expect.eventually(function()
    shown = "\n" .. self:tmux("capture-pane", "-p").out
    return shown:find(text, 1, plain)
  end)
  assert(found, ("the screen does not show %q:\n%s"):format(text, shown))
end

--- Waits until the screen has the text, and asserts that it comes. A newline in it is the end of a row.
function screen:shows(text)
  wait_for(self, text, true)
end

--- The same for a pattern of Lua.
function screen:matches(pattern)
  wait_for(self, pattern, false)
end

--- What the screen shows, and the row and the column of the cursor, which begin at 0. `colours`: with the control sequences of tmux for
--- colours.
function screen:view(colours)
  local text = self:tmux("capture-pane", colours and "-pe" or "-p").out
  return text, self:tmux("display", "-p", "#{cursor_y},#{cursor_x}").out:gsub("\n", "")
end

--- Starts the command on a screen, calls f, and ends both. `options.environment` are assignments of the shell; with options.shell it is a
--- shell that is started, in which $M is the command.
function screen.run(options, f)
  local name = os.tmpname()
  os.remove(name)
  local self = setmetatable({ socket = "modalua-" .. name:match "[^/]*$" }, screen)
  self:tmux("new-session", "-d", "-x", tostring(options.columns), "-y", tostring(options.rows),
    ("LC_ALL=C.UTF-8 NO_COLOR= MODALUA_HISTORY= XDG_CONFIG_HOME=/nowhere M=%s %s exec %s %s"):format(command.quote(command.path),
      options.environment or "", options.shell and "sh" or command.quote(command.path), options.arguments or ""))
  local ok, err = pcall(f, self)
  self:tmux "kill-server"
  assert(ok, err)
end

return screen
