--- Starts and stops qrd, a small PACS that ignores most keys and answers once for each instance; spec/support/qrd.c lists its options.
--
--   local pacs <close> = qrd.start { arguments = { "--once" }, peers = { server:modality() } }
--   local server <close> = orthanc.start { modalities = { pacs = pacs:modality() } }
--   pacs:log()                                     -- the log: a line for each message that arrived
--
-- Fields: port aet. Does not need modalua. The program ends when the object is closed or garbage-collected, or when this process dies.
local peer = require "spec.support.peer"

local qrd = {}

local Server = peer.class()

--- The entry for this server in the DicomModalities of an Orthanc.
function Server:modality()
  return { self.aet, "127.0.0.1", self.port }
end

--- Starts a server on a free port of 127.0.0.1. $MODALUA_QRD is the path of the program. All options have defaults:
--    aet         the title of :modality(); the program accepts associations to every title
--    peers       { { AET, host, port }, … } to which C-MOVE can send
--    arguments   further arguments of the program, such as { "--keys=all", "--once" }
function qrd.start(options)
  options = options or {}
  local arguments = {}
  for _, other in ipairs(options.peers or {}) do
    arguments[#arguments + 1] = ("--peer=%s=%s:%d"):format(other[1], other[2], other[3])
  end
  table.move(options.arguments or {}, 1, #(options.arguments or {}), #arguments + 1, arguments)
  local server = peer.start(Server, "qrd", arguments, { log = true })
  server.aet = options.aet or "QRD"
  return server
end

return qrd
