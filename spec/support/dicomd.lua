--- Starts and stops dicomd, the DICOM peer that misbehaves on request; spec/support/dicomd.c lists what it can do.
--
--   local peer <close> = dicomd.start()
--   local server <close> = orthanc.start { modalities = { pacs = peer:modality "OK3", slow = peer:modality "SLOW0.3" } }
--   peer:log()                                     -- the log: a line for each message that arrived
--   peer:let(2)                                    -- the peer may answer two more of the commands that HELD holds back; without 2: all
--
-- Does not need modalua. The program ends when the peer is closed or garbage-collected, or when this process dies.

local dicomd = {}

local Peer = {}
Peer.__index = Peer

local function shell_quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Returns the log so far; after close, the complete log.
function Peer:log()
  if self.file then
    self.file:seek "set"
    self.text = self.file:read "a"
  end
  return self.text
end

--- Counts the lines of the log that begin with `word`. Skips the first `seen` bytes of the log (default: 0).
function Peer:count(word, seen)
  return #self:logged(word, seen or 0)
end

--- Lets the peer answer `n` more of the held commands; without `n`, all present and future ones. Another process can do the same: it
-- appends n bytes to the file peer.gate_path.
function Peer:let(n)
  assert(self.gate:write(("."):rep(n or 1000000)))
  assert(self.gate:flush())
end

--- Returns the lines of the log that begin with `word`. Skips the first `seen` bytes of the log.
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
    self.gate:close()
  end
end

Peer.__close = Peer.close

--- The entry for this peer in the DicomModalities of an Orthanc. The AE title selects the behaviour.
function Peer:modality(behaviour)
  if #behaviour > 16 then
    error(("an AE title has at most 16 characters: %q"):format(behaviour), 2)
  end
  return { behaviour, "127.0.0.1", self.port }
end

--- Starts a peer on a free port of 127.0.0.1. $MODALUA_DICOMD is the path of the program.
function dicomd.start()
  local program = os.getenv "MODALUA_DICOMD"
  if not program or program == "" then
    error("MODALUA_DICOMD is not set: build the specs (cmake target dicomd) and set it to the program's path", 2)
  end
  local path, gate_path = os.tmpname(), os.tmpname()
  local file, gate = assert(io.open(path)), assert(io.open(gate_path, "a"))
  local pipe = assert(io.popen(("exec env DICOMD_LOG=%s DICOMD_GATE=%s %s"):format(shell_quoted(path), shell_quoted(gate_path),
    shell_quoted(program))))
  local port = pipe:read "n"
  os.remove(path) -- both processes have the log open, so no file remains even if this one is killed; the program removes the gate
  if not port then
    pipe:close()
    file:close()
    gate:close()
    error("cannot start " .. program, 2)
  end
  return setmetatable({ pipe = pipe, port = port, file = file, gate = gate, gate_path = gate_path, text = "" }, Peer)
end

return dicomd
