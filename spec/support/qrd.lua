--- Starts and stops qrd, a small PACS that ignores most keys and answers once for each instance; spec/support/qrd.c lists its options.
--
--   local pacs <close> = qrd.start { arguments = { "--once" }, peers = { server:modality() } }
--   local server <close> = orthanc.start { modalities = { pacs = pacs:modality() } }
--   pacs:log()                                     -- the log: a line for each message that arrived
--
-- Fields: port aet. Does not need modalua. The program ends when the object is closed or garbage-collected, or when this process dies.

local served = require "spec.support.served"

local qrd = {}

local Server = {}
Server.__index = Server

--- Returns the log so far; after close, the complete log.
function Server:log()
  if self.file then
    self.file:seek "set"
    self.text = self.file:read "a"
  end
  return self.text
end

--- Returns the lines of the log that begin with `word`. Skips the first `seen` bytes of the log (default: 0).
function Server:logged(word, seen)
  local lines = {}
  for line in self:log():sub((seen or 0) + 1):gmatch "[^\n]+" do
    if line:sub(1, #word) == word then
      lines[#lines + 1] = line
    end
  end
  return lines
end

--- Counts these lines.
function Server:count(word, seen)
  return #self:logged(word, seen)
end

--- The entry for this server in the DicomModalities of an Orthanc.
function Server:modality()
  return { self.aet, "127.0.0.1", self.port }
end

--- Ends the program. Idempotent.
function Server:close()
  local pipe = self.pipe
  self.pipe = nil
  if pipe then
    pipe:close()
    self:log()
    self.file:close()
    self.file = nil
  end
end

Server.__close = Server.close

--- Starts a server on a free port of 127.0.0.1. $MODALUA_QRD is the path of the program. All options have defaults:
--    aet         the title of :modality(); the program accepts associations to every title
--    peers       { { AET, host, port }, … } to which C-MOVE can send
--    arguments   further arguments of the program, such as { "--keys=all", "--once" }
function qrd.start(options)
  options = options or {}
  local program = os.getenv "MODALUA_QRD"
  if not program or program == "" then
    error("MODALUA_QRD is not set: build the specs (cmake target qrd) and set it to the program's path", 2)
  end
  local arguments = { program }
  for _, peer in ipairs(options.peers or {}) do
    arguments[#arguments + 1] = ("--peer=%s=%s:%d"):format(peer[1], peer[2], peer[3])
  end
  table.move(options.arguments or {}, 1, #(options.arguments or {}), #arguments + 1, arguments)
  local path = os.tmpname()
  local file = assert(io.open(path))
  local pipe = assert(io.popen(("exec env QRD_LOG=%s %s"):format(served.quoted { path }, served.quoted(arguments))))
  local port = pipe:read "n"
  os.remove(path) -- both processes have the log open, so no file remains even if this one is killed
  if not port then
    pipe:close()
    file:close()
    error("cannot start " .. program, 2)
  end
  return setmetatable({ aet = options.aet or "QRD", port = port, pipe = pipe, file = file, text = "" }, Server)
end

return qrd
