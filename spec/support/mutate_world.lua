--- The servers and peers with which spec/mutate_spec.lua tries the operations of spec/support/mutate_rows.lua.
--
--   local ground <close> = world.open(version, 4)     -- real Orthancs of this version, and four worlds
--   local w = ground.worlds[1]                        -- each has its own proxies, so that an answer is changed for it alone
--
-- A world has the fields client (through the proxy of the Orthanc that :enter has chosen), client_url, proxy, direct (a client of the
-- Orthanc without proxy), busy, name, path, and what the operations are given.
local dicomd = require "spec.support.dicomd"
local modalua = require "modalua"
local mutate = require "spec.support.mutate"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"

local world = {}

local World = {}
World.__index = World

-- The client's own limits: short, so that a run that waits for an answer in vain ends soon.
local LIMITS <const> = { timeout = 3, retries = 1, connect_timeout = 3 }

--- Chooses the Orthanc behind the proxy: "local", "busy" or "guarded".
function World:enter(name)
  self.proxy, self.client, self.client_url = self.proxies[name], self.clients[name], self.proxies[name].url
end

local Ground = {}
Ground.__index = Ground

function Ground:close()
  for _, w in ipairs(self.worlds) do
    for _, proxy in pairs(w.proxies) do
      proxy:close()
    end
    os.remove(w.path)
  end
  for _, server in pairs(self.servers) do
    server:close()
  end
  self.peer:close()
end

Ground.__close = Ground.close

-- The behaviours of dicomd, by the names that the Orthanc has for them.
local BEHAVIOURS <const> = { rejects = "REJ113", ["echo-fails"] = "EST0122", ["find-fails"] = "FSTC000", ["find-breaks"] = "FANA700",
  ["move-fails"] = "MSTA801", ["get-fails"] = "GSTA701", ["store-fails"] = "SSTA700", ["commitment-fails"] = "NST0110", lies = "PART3",
  ris = "OK3" }

local function start_servers(version, peer)
  local options = { binary = version.binary, extra = { JobsHistorySize = 1000, QueryRetrieveSize = 1000, ConcurrentJobs = 8 } }
  local servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, options)
  local archive = servers.ARCHIVE:modality()
  return { LOCAL = servers.LOCAL, PACS = servers.PACS, ARCHIVE = servers.ARCHIVE,
    busy = orthanc.start { binary = version.binary, aet = "BUSY", extra = { ConcurrentJobs = 1, JobsHistorySize = 1000,
      DicomScuTimeout = 100000 }, modalities = { held = peer:modality "HELD", archive = archive } },
    guarded = orthanc.start { binary = version.binary, aet = "GUARDED", users = { us = "secret" } } }
end

-- Stores the samples, and makes the entries of the Orthanc. Returns what the operations are given.
local function fill(servers, peer)
  local direct, pacs, busy = modalua.connect(servers.LOCAL.url), modalua.connect(servers.PACS.url), modalua.connect(servers.busy.url)
  for _, client in ipairs { direct, pacs, busy } do
    assert(samples.store(client))
  end
  for name, behaviour in pairs(BEHAVIOURS) do
    assert(direct:put("/modalities/" .. name, peer:modality(behaviour)))
  end
  assert(direct:put("/modalities/gone", { "GONE", "127.0.0.1", 1 }))
  assert(direct:put("/peers/gone", { Url = "http://127.0.0.1:1/" }))
  assert(direct:put("/peers/far", { Url = servers.ARCHIVE.url }))
  local at_busy = assert(busy:find { Level = "Study", Query = { AccessionNumber = "A100102" } })[1]
  assert(busy:modality "held":store(at_busy, { Synchronous = false })) -- occupies the only worker of the server
  local stored = assert(direct:find { Level = "Study", Query = { AccessionNumber = "A100102" } })[1]
  assert(direct:modality "pacs":store(stored))
  local instance = assert(direct:get("/studies/" .. stored .. "/instances"))[1].ID
  local path = os.tmpname()
  assert(direct:download("/instances/" .. instance .. "/file", path))
  local file <close> = assert(io.open(path, "rb"))
  local content = file:read "a"
  os.remove(path)
  return { direct = direct, busy = busy, stored = stored, stored_at_busy = at_busy, file = content,
    study = assert(direct:modality "pacs":find { Level = "Study", Query = { AccessionNumber = "A100102" } }).answers[1],
    study_elsewhere = { StudyInstanceUID = "1.2.3.4" },
    no_id = "12345678-1234-1234-1234-123456789abc", no_resource = "ffffffff-ffffffff-ffffffff-ffffffff-ffffffff" }
end

local function new_world(shared, servers, n)
  local w = setmetatable({ name = "world" .. n, path = os.tmpname(), proxies = {}, clients = {} }, World)
  for key, value in pairs(shared) do
    w[key] = value
  end
  for name, server in pairs { ["local"] = servers.LOCAL, busy = servers.busy, guarded = servers.guarded } do
    w.proxies[name] = mutate.start(server.http_port)
    w.clients[name] = modalua.connect(w.proxies[name].url, LIMITS)
  end
  local uids = 0
  function w.new_uid()
    uids = uids + 1
    return ("1.2.3.4.%d.%d"):format(n, uids)
  end
  return w
end

--- Starts everything.
function world.open(version, count)
  local peer = dicomd.start()
  local ground = setmetatable({ peer = peer, servers = start_servers(version, peer), worlds = {}, version = version }, Ground)
  local shared = fill(ground.servers, peer)
  for n = 1, count do
    ground.worlds[n] = new_world(shared, ground.servers, n)
  end
  return ground
end

return world
