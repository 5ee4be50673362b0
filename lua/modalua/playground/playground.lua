-- modalua.playground: what a script that runs under `modalua playground` knows of its servers.
local require = ...
local doc = require "modalua.doc"
local modalua = require "modalua"
local samples = require "playground.samples"

local playground = {}

local AETS = { ["local"] = "MODALUA", pacs = "PACS", archive = "ARCHIVE" }

local addresses -- name -> {url=, username=, password=}; nil outside a playground

local function connect(to)
  local clients = {}
  for name, address in pairs(to) do
    clients[name] = modalua.connect(address)
  end
  return clients
end

function playground.servers()
  if not addresses then
    error("there is no playground here: run this script with `modalua playground SCRIPT`", 2)
  end
  return connect(addresses)
end

function playground.enter(given)
  addresses = given
end

function playground.fill(given)
  local clients = connect(given)
  for name, client in pairs(clients) do
    local aet = assert(client:system()).DicomAet
    assert(aet == AETS[name], "another server has taken the port of " .. name)
  end
  return assert(samples.store(clients.pacs))
end

doc.describe(playground.servers, 'playground.servers() -> {["local"] = client, pacs = client, archive = client}',
  "Returns a client for each server of the playground in which the script runs. With it you can ask the archive itself what has "
    .. "arrived.",
  { example = [=[
local servers = require "modalua.playground".servers()
print(assert(servers.archive:get "/statistics").CountStudies)]=] })
doc.describe(playground.enter, "playground.enter(addresses)",
  "Says where the servers of the playground are. `modalua playground` calls it before the script runs.",
  { example = [[require("modalua.playground").enter { pacs = { url = "http://127.0.0.1:8042" } }]] })
doc.describe(playground.fill, "playground.fill(addresses) -> number of studies",
  "Checks that the servers are those of the playground, and stores the sample studies in pacs. `modalua playground` calls it.",
  { example = [=[
local pacs = { url = "http://127.0.0.1:8042", username = "modalua", password = "p" }
print(require("modalua.playground").fill { pacs = pacs })]=] })

return playground
