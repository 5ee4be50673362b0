-- Runs the example of every descriptor row, for spec/examples_spec.lua:
--
--   modalua playground spec/support/examples.lua RESULTS
--
-- in an empty working folder and with a TMPDIR of its own. RESULTS becomes JSON: from the name of each function to "" or to what is wrong,
-- and from "version" to the version of Orthanc, as ORTHANC_VERSION counts.
local help = require "modalua.help"
local json = require "modalua.json"
local playground = require "modalua.playground"

-- The address of one of the playground's servers, from its configuration file.
local function address_of(name)
  local pipe = assert(io.popen(('cat "$TMPDIR"/modalua-playground-*/%s.json'):format(name)))
  local config = assert(json.decode(pipe:read "a"))
  pipe:close()
  return { url = "http://127.0.0.1:" .. config.HttpPort, username = "modalua", password = config.RegisteredUsers.modalua }
end

local addresses = { ["local"] = address_of "local", pacs = address_of "pacs", archive = address_of "archive" }
local servers = playground.servers()

-- What the examples assume, beside help.context.
local clinic = addresses.archive
assert(servers["local"]:peer "clinic":configure { Url = clinic.url, Username = clinic.username, Password = clinic.password, create = true })
local any = assert(servers.pacs:get "/instances")[1]
assert(servers.pacs:download("/instances/" .. any .. "/file", "image.dcm"))

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
local file <close> = assert(io.open(arg[1], "w"))
assert(file:write(json.encode(results)))
