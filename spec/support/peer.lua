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

-- Opens a new temporary file for the log. Returns it, and the words of env(1) with its path, which is removed when the program runs: both
-- processes have the file open, so none remains even if this process is killed.
local function open_log(name)
  local path = os.tmpname()
  return assert(io.open(path)), ("%s_LOG=%s"):format(name, path), path
end

--- Starts a program of this name, and returns an object of the class. $MODALUA_NAME is its path. options:
--    log           true: the program writes a log to $NAME_LOG, for the methods log, logged and count
--    environment   further words of env(1)
function peer.start(class, name, arguments, options)
  options = options or {}
  local variable = "MODALUA_" .. name:upper()
  local program = os.getenv(variable)
  if not program or program == "" then
    error(("%s is not set: build the specs (cmake target %s) and set it to the program's path"):format(variable, name), 3)
  end
  local words = table.move(options.environment or {}, 1, #(options.environment or {}), 2, { "env" })
  local file, path
  if options.log then
    file, words[#words + 1], path = open_log(name:upper())
  end
  words[#words + 1] = program
  local pipe = assert(io.popen("exec " .. served.quoted(table.move(arguments, 1, #arguments, #words + 1, words))))
  local port = pipe:read "n"
  if path then
    os.remove(path)
  end
  local started = setmetatable({ pipe = pipe, port = port, file = file, text = file and "" }, class)
  if not port then
    started:close()
    error("cannot start " .. program, 3)
  end
  started.url = ("http://127.0.0.1:%d"):format(port)
  return started
end

return peer
