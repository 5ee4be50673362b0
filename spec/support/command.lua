-- Runs the modalua command through a shell, as a user does, and returns what it printed.
local command = {}

command.path = assert(os.getenv("MODALUA"), "set MODALUA to the command under test")

local function read_all(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

-- Returns the arguments quoted for the shell, with spaces between them.
function command.quote(...)
  local words = table.pack(...)
  for i = 1, words.n do
    words[i] = "'" .. words[i]:gsub("'", "'\\''") .. "'"
  end
  return table.concat(words, " ")
end

-- Runs a shell line in which $M is the command. The command does not see the user's configuration file. Returns { out =, err =, status = }.
-- A line that hangs is an error: on a busy machine some lines take minutes.
function command.shell(line)
  local out, err = os.tmpname(), os.tmpname()
  local script = ("export M=%s XDG_CONFIG_HOME=/nowhere; { %s\n} >%s 2>%s"):format(command.quote(command.path), line, out, err)
  local _, how, status = os.execute("timeout -k 5 500 sh -c " .. command.quote(script))
  if status == 124 then -- of `timeout`
    error("after 500 seconds this still ran: " .. line, 2)
  end
  return { out = read_all(out), err = read_all(err), status = how == "exit" and status or 128 + status }
end

-- Runs the command with these arguments.
function command.run(...)
  return command.shell('"$M" ' .. command.quote(...))
end

-- Creates a temporary file with this text and returns its path. The caller removes the file.
function command.file(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

return command
