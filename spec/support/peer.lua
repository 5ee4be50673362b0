--- The parts that the peers of the specs share: small programs that listen on a free port of 127.0.0.1 and print its number (faultd,
-- dicomd, qrd, lag, mutate).
--
--   local Peer = peer.class()                      -- its objects have close, log, logged and count
--   local one = peer.start(Peer, "qrd", { "--once" }, { log = true })
--
-- Fields of an object: port, and url for those that speak HTTP. Does not need modalua. The program ends when the object is closed or
-- garbage-collected, or when this process dies.

local served = require "spec.support.served"

local peer = {}

local Peer = {}

--- Returns the log so far; after close, the complete log.
function Peer:log()
  if self.file then
    self.file:seek "set"
    self.text = self.file:read "a"
  end
  return self.text
end

--- Returns the lines of the log that begin with `word`. Skips the first `seen` bytes of the log (default: 0).
function Peer:logged(word, seen)
  local lines = {}
  for line in self:log():sub((seen or 0) + 1):gmatch "[^\n]+" do
    if line:sub(1, #word) == word then
      lines[#lines + 1] = line
    end
  end
  return lines
end

--- Counts these lines.
function Peer:count(word, seen)
  return #self:logged(word, seen)
end

--- Ends the program. Idempotent.
function Peer:close()
  local pipe = self.pipe
  self.pipe = nil
  if pipe then
    pipe:close()
    if self.file then
      self:log()
      self.file:close()
      self.file = nil
    end
    if self.gate then
      self.gate:close()
      self.gate = nil
    end
  end
end

--- Returns a new class of peers, to which the caller can add methods.
function peer.class()
  local class = { __close = function(object) object:close() end }
  class.__index = class
  for name, method in pairs(Peer) do
    class[name] = method
  end
  return class
end

-- Opens a new temporary file. Returns it, its path, and the word of env(1) that tells the program this path.
local function open_temporary(variable, mode)
  local path = os.tmpname()
  return assert(io.open(path, mode)), path, ("%s=%s"):format(variable, path)
end

--- Starts a program of this name, and returns an object of the class. $MODALUA_NAME is its path. options:
--    log     true: the program writes a log to $NAME_LOG, for the methods log, logged and count
--    gate    true: the object has the file `gate` and its path `gate_path`, which the program finds in $NAME_GATE and removes at its end
function peer.start(class, name, arguments, options)
  options = options or {}
  local variable = "MODALUA_" .. name:upper()
  local program = os.getenv(variable)
  if not program or program == "" then
    error(("%s is not set: build the specs (cmake target %s) and set it to the program's path"):format(variable, name), 3)
  end
  local words, path = { "env" }, nil
  local started = setmetatable({}, class)
  if options.log then
    started.file, path, words[#words + 1] = open_temporary(name:upper() .. "_LOG", "r")
    started.text = ""
  end
  if options.gate then
    started.gate, started.gate_path, words[#words + 1] = open_temporary(name:upper() .. "_GATE", "a")
  end
  words[#words + 1] = program
  started.pipe = assert(io.popen("exec " .. served.quoted(table.move(arguments, 1, #arguments, #words + 1, words))))
  started.port = started.pipe:read "n"
  if path then
    os.remove(path) -- both processes have the file open, so none remains even if this process is killed
  end
  if not started.port then
    started:close()
    os.remove(started.gate_path or "")
    error("cannot start " .. program, 3)
  end
  started.url = ("http://127.0.0.1:%d"):format(started.port)
  return started
end

return peer
