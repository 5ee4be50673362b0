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

doc.describe(playground.servers, 'servers() -> {["local"] = client, pacs = client, archive = client}',
  "A client for each server of the playground that this script runs in, with its credentials: to ask the archive itself what arrived.")
doc.describe(playground.enter, "enter(addresses)",
  "Says where the playground's servers are; `modalua playground` calls it before the script runs.")
doc.describe(playground.fill, "fill(addresses) -> number of studies",
  "Makes sure that the servers are the playground's and stores the sample studies in pacs; `modalua playground` calls it.")

return playground
