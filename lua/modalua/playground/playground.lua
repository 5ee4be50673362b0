-- modalua.playground: the servers of `modalua playground`, for the script that runs in it.
local require = ...
local doc = require "modalua.doc"
local modalua = require "modalua"
local samples = require "playground.samples"
local worklist = require "playground.worklist"

local playground = {}

local AETS = { ["local"] = "MODALUA", pacs = "PACS", archive = "ARCHIVE" }

local addresses -- name -> {url=, username=, password=, folder= of worklist files, or nil}; nil outside a playground

local function connect_to(servers)
  local clients = {}
  for name, address in pairs(servers) do
    clients[name] = modalua.connect { url = address.url, username = address.username, password = address.password }
  end
  return clients
end

function playground.servers()
  if not addresses then
    error("this script does not run in a playground: run it with `modalua playground SCRIPT`", 2)
  end
  return connect_to(addresses)
end

function playground.is_entered()
  return addresses ~= nil
end

function playground.enter(given)
  addresses = given
end

function playground.fill(given)
  local clients = connect_to(given)
  for name, client in pairs(clients) do
    local aet = assert(client:system()).DicomAet
    assert(aet == AETS[name], "another server listens on the port of " .. name)
  end
  if given.pacs.folder then
    worklist.write(given.pacs.folder)
  end
  return assert(samples.store(clients.pacs))
end

doc.describe(playground.servers, 'playground.servers() -> {["local"] = client, pacs = client, archive = client}',
  "Returns a client for each server of the playground in which the script runs. With the client of the archive you can check "
    .. "what has arrived there.",
  { example = [=[
local servers = require "modalua.playground".servers()
print(assert(servers.archive:get "/statistics").CountStudies)]=] })
doc.describe(playground.is_entered, "playground.is_entered() -> boolean",
  "Says whether the script runs in a playground, where it can do no harm.",
  { example = [[print(require("modalua.playground").is_entered())]] })
doc.describe(playground.enter, "playground.enter(addresses)",
  "Stores the addresses of the playground's servers. `modalua playground` calls it before the script runs.",
  { example = [[require("modalua.playground").enter { pacs = { url = "http://127.0.0.1:8042" } }]] })
doc.describe(playground.fill, "playground.fill(addresses) -> number of studies",
  "Checks that the servers are those of the playground, and stores the sample studies in pacs, and its worklist in pacs.folder. "
    .. "`modalua playground` calls it.",
  { example = [=[
local pacs = { url = "http://127.0.0.1:8042", username = "modalua", password = "p" }
print(require("modalua.playground").fill { pacs = pacs })]=] })

return playground
