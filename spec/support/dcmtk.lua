--- Starts and stops DCMTK's real DICOM servers, as spec/support/orthanc.lua does with Orthanc.
--
--   local sink <close> = dcmtk.storescp { aet = "SINK" }                      -- takes whatever is sent to it
--   local pacs <close> = dcmtk.dcmqrscp { aet = "PACS", peers = { server:modality(), sink:modality() } }
--
-- Fields: port aet folder log pid. Methods: those below, and signal, stop, start_again and close of spec/support/served.lua.
--
-- Needs no modalua.

local served = require "spec.support.served"

local dcmtk = {}

local Server = served.class()

local function make(program, options)
  local folder = served.folder(program)
  served.output_of("exec mkdir " .. served.quoted { folder .. "/store" })
  return Server {
    aet = options.aet or program:upper(),
    port = options.port or served.free_ports(1)[1],
    folder = folder,
    log = folder .. "/log",
  }
end

-- How to run it, in its folder: the options that both programs have, those that are given here, then the caller's.
local function set_command(server, program, arguments, options)
  local command = { "env", "--chdir=" .. server.folder, program, "--verbose", "--disable-host-lookup", "--fork" }
  table.move(arguments, 1, #arguments, #command + 1, command)
  table.move(options.arguments or {}, 1, #(options.arguments or {}), #command + 1, command)
  command[#command + 1] = server.port
  server.served = {
    name = program,
    command = command,
    environment = "TCP_NODELAY=1",
    port = server.port,
    timeout = options.timeout or 10,
  }
  return server
end

--- Starts a storescp, which stores what anybody sends it, whatever it is. All options have defaults:
--    aet         its AE title; it answers to any other just as well
--    port        where it listens
--    arguments   further ones, such as { "--sleep-during", "1" }, { "--abort-after" } or { "--refuse" }
--    timeout     seconds to come up
function dcmtk.storescp(options)
  options = options or {}
  local server = served.start(function()
    local made = make("storescp", options)
    return set_command(made, "storescp", { "--aetitle", made.aet, "--output-directory", "store", "--promiscuous", "--accept-all" }, options)
  end, options.port)
  return server
end

-- The limits are the largest that dcmqrscp has: it deletes what is above them.
local CONFIGURATION = [[
NetworkTCPPort = %d
MaxPDUSize = 131072
MaxAssociations = 200
HostTable BEGIN
%s
peers = %s
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
%s store RW (500, 1024mb) peers
AETable END
]]

local function configuration(server, peers)
  local lines, names = {}, {}
  for i, peer in ipairs { server:modality(), table.unpack(peers) } do
    assert(not peer[1]:find "[%s,()]", "dcmqrscp cannot be told of an AE title such as this")
    names[i] = "peer" .. i
    lines[i] = ("%s = (%s, %s, %d)"):format(names[i], peer[1], peer[2], peer[3])
  end
  return CONFIGURATION:format(server.port, table.concat(lines, "\n"), table.concat(names, ", "), server.aet)
end

--- Starts a dcmqrscp, an archive that answers C-FIND, C-MOVE and C-GET, and takes C-STORE: in one association at a time, for those
-- that store at once choose the same names for their files, and instances are lost. All options have defaults:
--    aet         its AE title; it answers to no other
--    port        where it listens
--    peers       { { AET, host, port }, … } whom it answers and to whom C-MOVE can send; itself always
--    arguments   further ones, such as { "--disable-get" } or { "--check-find" }
--    timeout     seconds to come up
function dcmtk.dcmqrscp(options)
  options = options or {}
  local server = served.start(function()
    local made = make("dcmqrscp", options)
    served.write_file(made.folder .. "/dcmqrscp.cfg", configuration(made, options.peers or {}))
    return set_command(made, "dcmqrscp", { "--config", "dcmqrscp.cfg" }, options)
  end, options.port)
  return server
end

--- Starts a wlmscpfs, which answers from the worklists in a folder of folders; `options` are
--    path        that folder: each of those in it bears the AE title that it is asked by
--    aet         such a title, for :modality()
--    port, arguments, timeout   as above
function dcmtk.wlmscpfs(options)
  local server = served.start(function()
    return set_command(make("wlmscpfs", options), "wlmscpfs",
      { "--data-files-path", options.path, "--disable-file-reject", "--keep-char-set" }, options)
  end, options.port)
  return server
end

--- What an Orthanc's DicomModalities says of it.
function Server:modality()
  return { self.aet, "127.0.0.1", self.port }
end

--- The paths of the files that it has stored.
function Server:files()
  local paths = {}
  local listed = served.output_of(("exec find %s -type f ! -name index.dat"):format(served.quoted { self.folder .. "/store" }))
  for path in listed:gmatch "[^\n]+" do
    paths[#paths + 1] = path
  end
  return paths
end

--- How many there are.
function Server:count()
  return #self:files()
end

-- The instance's UID, element (0002,0003), between the elements around it; nil while the file is being written.
local function uid_of(path)
  local file = assert(io.open(path, "rb"))
  local head = file:read(1024) or ""
  file:close()
  return head:match("\2\0\3\0UI..([%d.]+)\0?\2\0", 133)
end

--- The set of the SOPInstanceUIDs that it has stored: uid -> true.
function Server:uids()
  local set = {}
  for _, path in ipairs(self:files()) do
    local uid = uid_of(path)
    if uid then
      set[uid] = true
    end
  end
  return set
end

return dcmtk
