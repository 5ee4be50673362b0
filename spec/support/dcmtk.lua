--- Starts and stops DCMTK's real DICOM servers, as spec/support/orthanc.lua does with Orthanc.
--
--   local sink <close> = dcmtk.storescp { aet = "SINK" }                      -- accepts everything that is sent to it
--   local pacs <close> = dcmtk.dcmqrscp { aet = "PACS", peers = { server:modality(), sink:modality() } }
--
-- Fields: port aet folder log pid. Methods: those below, and signal, stop, start_again and close of spec/support/served.lua.
--
-- Does not need modalua.

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

-- Sets server.served, which tells spec/support/served.lua how to run the program in its folder. The options that all programs have come
-- first, then `arguments`, then the caller's options.arguments.
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
    timeout = options.timeout or 60,
  }
  return server
end

--- Starts a storescp, which stores every instance from every sender. All options have defaults:
--    aet         its AE title; it also accepts associations to any other title
--    port        the port on which it listens
--    arguments   further arguments of the program, such as { "--sleep-during", "1" }, { "--abort-after" } or { "--refuse" }
--    timeout     seconds until it must accept connections
function dcmtk.storescp(options)
  options = options or {}
  local server = served.start(function()
    local made = make("storescp", options)
    return set_command(made, "storescp", { "--aetitle", made.aet, "--output-directory", "store", "--promiscuous", "--accept-all" }, options)
  end, options.port)
  return server
end

-- The default quota of the store (500 studies, 1024 MB) is the largest that dcmqrscp allows: it deletes older studies when a quota is
-- exceeded.
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
%s store RW (%d, 1024mb) peers
AETable END
]]

local function configuration(server, peers, quota)
  local lines, names = {}, {}
  for i, peer in ipairs { server:modality(), table.unpack(peers) } do
    assert(not peer[1]:find "[%s,()]", "the configuration file of dcmqrscp cannot hold an AE title with blanks, commas or parentheses")
    names[i] = "peer" .. i
    lines[i] = ("%s = (%s, %s, %d)"):format(names[i], peer[1], peer[2], peer[3])
  end
  return CONFIGURATION:format(server.port, table.concat(lines, "\n"), table.concat(names, ", "), server.aet, quota)
end

--- Starts a dcmqrscp, an archive that answers C-FIND, C-MOVE, C-GET and C-STORE. Store to it over one association at a time only:
-- processes of dcmqrscp that store at the same moment choose the same file names, and instances are lost. All options have defaults:
--    aet         its AE title; it rejects associations to any other title
--    port        the port on which it listens
--    peers       { { AET, host, port }, … } from which it accepts associations and to which C-MOVE can send; it adds itself
--    quota       how many studies it keeps (default: 500)
--    arguments   further arguments of the program, such as { "--disable-get" } or { "--check-find" }
--    timeout     seconds until it must accept connections
function dcmtk.dcmqrscp(options)
  options = options or {}
  local server = served.start(function()
    local made = make("dcmqrscp", options)
    served.write_file(made.folder .. "/dcmqrscp.cfg", configuration(made, options.peers or {}, options.quota or 500))
    return set_command(made, "dcmqrscp", { "--config", "dcmqrscp.cfg" }, options)
  end, options.port)
  return server
end

--- Starts a wlmscpfs, a worklist server that answers from files. `options` are
--    path        a folder with one subfolder for each AE title that clients may call; a subfolder holds the worklist files of that title
--    aet         one of these titles, for :modality()
--    port, arguments, timeout   as above
function dcmtk.wlmscpfs(options)
  local server = served.start(function()
    return set_command(make("wlmscpfs", options), "wlmscpfs",
      { "--data-files-path", options.path, "--disable-file-reject", "--keep-char-set" }, options)
  end, options.port)
  return server
end

--- The entry for this server in the DicomModalities of an Orthanc.
function Server:modality()
  return { self.aet, "127.0.0.1", self.port }
end

-- An instance in the text format of dump2dcm.
local INSTANCE = [[
%s(0008,0016) UI [1.2.840.10008.5.1.4.1.1.7]
(0008,0018) UI [%s.1.1]
(0008,0020) DA [%s]
(0008,0030) TM [%s]
(0008,0050) SH []
(0008,0060) CS [OT]
(0010,0010) PN [%s]
(0010,0020) LO [%s]
(0020,000d) UI [%s]
(0020,000e) UI [%s.1]
(0020,0010) SH []
(0020,0011) IS [1]
(0020,0013) IS [1]
]]

--- Stores a study of one instance in it. The fields of the study are uid, date, time, name and patient, with the bytes that are written,
-- and charset; without a charset the instance does not name one.
function Server:store(study)
  local folder <close> = setmetatable({ path = served.folder "study" }, { __close = function(f)
    served.output_of("exec rm -rf -- " .. served.quoted { f.path })
  end })
  local dump, file = folder.path .. "/dump", folder.path .. "/file"
  served.write_file(dump, INSTANCE:format(study.charset and ("(0008,0005) CS [%s]\n"):format(study.charset) or "", study.uid,
    study.date or "", study.time or "", study.name or "", study.patient or "", study.uid, study.uid))
  served.output_of("exec dump2dcm --quiet " .. served.quoted { dump, file })
  served.output_of("exec storescu " .. served.quoted { "-aet", self.aet, "-aec", self.aet, "127.0.0.1", self.port, file })
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

--- The number of files that it has stored.
function Server:count()
  return #self:files()
end

-- Reads the SOPInstanceUID of a stored file: element (0002,0003), found by the elements before and after it. nil while the file is still
-- being written.
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
