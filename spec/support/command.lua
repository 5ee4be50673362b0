-- Runs the modalua command as a person would, through a shell, and gives what it printed.
local command = {}

command.path = assert(os.getenv("MODALUA"), "set MODALUA to the command under test")

local function read_all(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  os.remove(path)
  return text
end

-- Words quoted for the shell.
function command.quote(...)
  local words = table.pack(...)
  for i = 1, words.n do
    words[i] = "'" .. words[i]:gsub("'", "'\\''") .. "'"
  end
  return table.concat(words, " ")
end

-- Runs a shell line in which $M is the command, which finds no configuration file of the user's. Gives {out=, err=, status=}; a watchdog
-- ends what does not end by itself.
function command.shell(line)
  local out, err = os.tmpname(), os.tmpname()
  local script = ("export M=%s XDG_CONFIG_HOME=/nowhere; { %s\n} >%s 2>%s"):format(command.quote(command.path), line, out, err)
  local _, how, status = os.execute("timeout -k 5 120 sh -c " .. command.quote(script))
  return { out = read_all(out), err = read_all(err), status = how == "exit" and status or 128 + status }
end

-- Runs the command with these words.
function command.run(...)
  return command.shell('"$M" ' .. command.quote(...))
end

-- A file that lives until remove() is called.
function command.file(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

return command
