--- Starts and stops dicomd, the DICOM peer that misbehaves on request; spec/support/dicomd.c lists what it can do.
--
--   local peer <close> = dicomd.start()
--   local server <close> = orthanc.start { modalities = { pacs = peer:modality "OK3", slow = peer:modality "SLOW0.3" } }
--   peer:log()                                     -- the log: a line for each message that arrived
--   peer:let(2)                                    -- the peer may answer two more of the commands that HELD holds back; without 2: all
--
-- Does not need modalua. The program ends when the peer is closed or garbage-collected, or when this process dies.
local peer = require "spec.support.peer"

local dicomd = {}

local Peer = peer.class()

--- Lets the peer answer `n` more of the held commands; without `n`, all present and future ones. Another process can do the same: it
-- appends n bytes to the file peer.gate_path.
function Peer:let(n)
  assert(self.gate:write(("."):rep(n or 1000000)))
  assert(self.gate:flush())
end

--- The entry for this peer in the DicomModalities of an Orthanc. The AE title selects the behaviour.
function Peer:modality(behaviour)
  if #behaviour > 16 then
    error(("an AE title has at most 16 characters: %q"):format(behaviour), 2)
  end
  return { behaviour, "127.0.0.1", self.port }
end

--- Starts a peer on a free port of 127.0.0.1. $MODALUA_DICOMD is the path of the program.
function dicomd.start()
  local started = peer.start(Peer, "dicomd", {}, { log = true, gate = true })
  return started -- no tail call: an error of peer.start names the line of the caller
end

return dicomd
