--- Starts and stops dicomd, the DICOM peer that misbehaves on request; spec/support/dicomd.c lists what it can do.
--
--   local peer <close> = dicomd.start()
--   local server <close> = orthanc.start { modalities = { pacs = peer:modality "OK3", slow = peer:modality "SLOW0.3" } }
--   peer:log()                                     -- what has gone over the wire, a line for each event
--
-- Needs no modalua. The program ends when the peer is closed or collected, or when this process dies.

local dicomd = {}

local Peer = {}
Peer.__index = Peer

local function shell_quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The log so far; after close, all of it.
function Peer:log()
  if self.file then
    self.file:seek "set"
    self.text = self.file:read "a"
  end
  return self.text
end

--- The lines of the log after its first `seen` bytes that begin with `word`.
function Peer:logged(word, seen)
  local lines = {}
  for line in self:log():sub(seen + 1):gmatch "[^\n]+" do
    if line:sub(1, #word) == word then
      lines[#lines + 1] = line
    end
  end
  return lines
end

--- Ends the program. Idempotent.
function Peer:close()
  local pipe = self.pipe
  self.pipe = nil
  if pipe then
    pipe:close()
    self:log()
    self.file:close()
    self.file = nil
  end
end

Peer.__close = Peer.close

--- What a server's DicomModalities says of this one: the AE title is the behaviour.
function Peer:modality(behaviour)
  if #behaviour > 16 then
    error(("an AE title has at most 16 characters: %q"):format(behaviour), 2)
  end
  return { behaviour, "127.0.0.1", self.port }
end

--- Starts a peer on a free port of 127.0.0.1. The program is looked for at $MODALUA_DICOMD.
function dicomd.start()
  local program = os.getenv "MODALUA_DICOMD"
  if not program or program == "" then
    error("MODALUA_DICOMD is not set: build the specs (cmake target dicomd) and set it to the program's path", 2)
  end
  local path = os.tmpname()
  local file = assert(io.open(path))
  local pipe = assert(io.popen(("exec env DICOMD_LOG=%s %s"):format(shell_quoted(path), shell_quoted(program))))
  local port = pipe:read "n"
  os.remove(path) -- both have it open, and nothing is left when this process is killed
  if not port then
    pipe:close()
    file:close()
    error("cannot start " .. program, 2)
  end
  return setmetatable({ pipe = pipe, port = port, file = file, text = "" }, Peer)
end

return dicomd
