-- Runs the example of every descriptor row, for spec/examples_spec.lua:
--
--   modalua playground spec/support/examples.lua RESULTS
--
-- in an empty working folder and with its own TMPDIR. It writes a JSON object to the file RESULTS. For each function the object has an
-- entry with the function's name: "" if its example ran, else the error message. The entry "version" is the number of Orthanc's version,
-- built as ORTHANC_VERSION builds it.
local help = require "modalua.help"
local json = require "modalua.json"
local playground = require "modalua.playground"

local addresses = require "spec.support.playground".addresses(os.getenv "TMPDIR")
local servers = playground.servers()

-- The examples also need a peer named "clinic" and a file image.dcm; help.context does not make these.
local clinic = addresses.archive
assert(servers["local"]:peer "clinic":configure { Url = clinic.url, Username = clinic.username, Password = clinic.password, create = true })
local any = assert(servers.pacs:get "/instances")[1]
assert(servers.pacs:download("/instances/" .. any .. "/file", "image.dcm"))

-- The examples of modalua.transfer need the ledger that one of them makes.
local transfers = require "modalua.transfer"
assert(transfers.run { ledger = "lung.ledger", from = servers["local"]:modality "pacs", to = "archive",
  query = { ModalitiesInStudy = "CT" } })

local results_path = arg[1] -- an example has an arg of its own

local function run(entry)
  playground.enter(addresses)
  local f, why = load(help.context .. "\n" .. entry.row.example, "=" .. entry.name, "t")
  if not f then
    return why
  end
  local good, err = xpcall(f, function(e) return tostring(e) end)
  return good and "" or err
end

local major, minor, patch = assert(servers.pacs:system()).Version:match "(%d+)%.(%d+)%.(%d+)"
local results = { version = major * 10000 + minor * 100 + patch }
for _, section in ipairs(help.sections()) do
  for _, entry in ipairs(section.entries) do
    results[entry.name] = run(entry)
  end
end
local file <close> = assert(io.open(results_path, "w"))
assert(file:write(json.encode(results)))
