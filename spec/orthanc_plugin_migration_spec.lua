-- Runs the scripts of src/orthanc_plugin/README.md, which replace those of Orthanc's own Lua, inside an Orthanc.
local archive = require "spec.support.archive"
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local plugin = require "spec.support.plugin"
local served = require "spec.support.served"
local transfer = require "modalua.transfer"
local versions = require "spec.support.versions"

local contains, happens = expect.contains, expect.happens

-- The scripts of the page, by the first words of their first comment.
local function scripts_of_page()
  local file <close> = assert(io.open "src/orthanc_plugin/README.md")
  local scripts = {}
  for code in file:read("a"):gmatch "\n```lua\n(.-)\n```\n" do
    local name = code:match "^%-%- ([%a ]+):"
    if name then
      scripts[name:gsub(" ", "-")] = code
    end
  end
  return scripts
end

-- An instance of a study of its own.
local function instance(number, patient, modality)
  return { SOPClassUID = "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID = "1.2.3." .. number, PatientID = patient, PatientName = patient,
    StudyInstanceUID = "1.2.4." .. number, SeriesInstanceUID = "1.2.5." .. number, Modality = modality }
end

local function send(server, patient, modality)
  archive.send({ instance(#patient, patient, modality) }, { server:modality() }, "SENDER")
end

for _, version in ipairs(versions.few) do
  describe("The scripts of the plugin's page, in Orthanc " .. version.name .. ",", function()
    local page = scripts_of_page()
    local receivers = {}

    local function patients(client)
      local list = {}
      for _, patient in ipairs(client:get("/patients", { expand = true })) do
        list[#list + 1] = patient.MainDicomTags.PatientID
      end
      table.sort(list)
      return table.concat(list, " ")
    end

    -- Starts a server with one of the scripts, which has begun when it follows the changes.
    local function start(name, settings, more)
      local entry = settings or {}
      entry.source = entry.source or assert(page[name], name)
      return plugin.start(version, { aet = "HERE", scripts = { [name] = entry }, settings = more,
        modalities = { archive = receivers[1]:modality(), ["mr-archive"] = receivers[2]:modality() },
        extra = { StableAge = 1, DicomAlwaysAllowStore = true, DicomCheckCalledAet = false } })
    end

    setup(function()
      for i = 1, 2 do
        receivers[i] = orthanc.start { binary = version.binary, aet = "TO" .. i,
          extra = { DicomAlwaysAllowStore = true, DicomAlwaysAllowFind = true, DicomAlwaysAllowEcho = true } }
        receivers[i].client = modalua.connect(receivers[i].url)
      end
    end)

    teardown(function()
      for _, receiver in ipairs(receivers) do
        receiver:close()
      end
    end)

    before_each(function()
      for _, receiver in ipairs(receivers) do
        archive.empty(receiver.client)
      end
    end)

    it("send each study", function()
      local server <close> = start "route"
      happens(function() return server:state("route").Requests >= 1 end)
      send(server, "A", "CT")
      happens(function() return server:log_of("route"):find "sent\t[%x-]+\ttrue" end)
      assert.are.equal("A", patients(receivers[1].client))
    end)

    it("skip a study that is deleted before its turn", function()
      local server <close> = start "route"
      happens(function() return server:state("route").Requests >= 1 end)
      assert(server:act("route", "stop"))
      happens(function() return server:is("route", "stopped") end)
      send(server, "A", "CT")
      send(server, "BB", "CT")
      local last -- the script reads both changes at once, and this one comes second
      happens(function()
        local list = server.client:get("/changes", { limit = 100 }).Changes
        local stable = {}
        for _, change in ipairs(list) do
          stable[#stable + 1] = change.ChangeType == "StableStudy" and change.ID or nil
        end
        last = stable[2]
        return last
      end)
      receivers[1]:signal "STOP"
      assert(server:act("route", "start"))
      happens(function() return #server.client:get "/jobs" > 0 end) -- the first one is at the archive
      assert(server.client:delete("/studies/" .. last))
      receivers[1]:signal "CONT"
      happens(function() return server:log_of("route"):find("deleted meanwhile\t" .. last, 1, true) end)
      assert.are.equal(0, server:state("route").Restarts)
    end)

    -- MODALUA_KILLS: 100 studies instead of 10, and the archive is away for longer.
    it("lose no study while the archive is away and the server is killed, and send none twice", function()
      local long = os.getenv "MODALUA_KILLS"
      local count = long and 100 or 10
      local server <close> = start "route"
      happens(function() return server:state("route").Requests >= 1 end)
      receivers[1]:stop()
      local instances = {}
      for i = 1, count do
        instances[i] = instance(i, "P" .. i, "CT")
      end
      archive.send(instances, { server:modality() }, "SENDER")
      happens(function() return server:log_of("route"):find "again in 1 s: store [^\n]*no connection to the modality" end)
      happens(function() -- a killed Orthanc forgets which studies were to become stable
        local stable = 0
        for _ in server.client:changes { since = 0, type = "StableStudy" } do
          stable = stable + 1
        end
        return stable == count
      end)
      happens(function() return not long or server:log_of("route"):find "again in 16 s: store" end) -- after 1 + 2 + 4 + 8 s
      server:stop "KILL"
      receivers[1]:start_again()
      local since = receivers[1].client:get("/changes", { last = true }).Last
      server:start_again()
      local function arrive(first, last)
        for i = first, last do -- each of them has the whole patience
          happens(function() return #receivers[1].client:get "/studies" >= i end)
        end
      end
      arrive(1, count // 2)
      server:stop "KILL"
      server:start_again()
      arrive(count // 2, count)
      local new = 0
      for _ in receivers[1].client:changes { since = since, type = "NewInstance" } do
        new = new + 1
      end
      assert.are.equal(count, new)
    end)

    it("send by tags", function()
      local server <close> = start "by-tags"
      happens(function() return server:state("by-tags").Requests >= 1 end)
      send(server, "A", "CT")
      send(server, "BB", "MR")
      happens(function() return patients(receivers[1].client) == "A" and patients(receivers[2].client) == "BB" end)
    end)

    it("delete what they have forwarded, and keep what they could not", function()
      local server <close> = start "delete-after-forwarding"
      happens(function() return server:state("delete-after-forwarding").Requests >= 1 end)
      receivers[1]:stop()
      send(server, "A", "CT")
      happens(function() return server:log_of("delete-after-forwarding"):find "\nkept\t" end)
      assert.are.equal("A", patients(server.client))
      receivers[1]:start_again()
      send(server, "BB", "CT")
      happens(function() return patients(server.client) == "A" end)
      assert.are.equal("BB", patients(receivers[1].client))
    end)

    it("go on with a transfer that the end of the server has stopped", function()
      local ledger = os.tmpname()
      os.remove(ledger)
      local server <close> = start("transfer", { At = "04:30", Arguments = { ledger },
        source = page.transfer:gsub("all = true", "%0, gap = 3600", 1) }) -- it waits behind the first study
      local instances = {}
      for i = 1, 4 do
        instances[i] = instance(i, "P" .. i, "CT")
      end
      archive.send(instances, { server:modality() }, "SENDER")
      assert(server:act("transfer", "start"))
      local receiver = receivers[1].client
      local since = receiver:get("/changes", { last = true }).Last
      happens(function() return transfer.status(ledger) and transfer.status(ledger).items.done == 1 end)
      server:stop()
      assert.are.equal(1, server:count_logged "script transfer: ended, as the server stops")
      assert.are.equal(1, #receiver:get "/studies")
      assert(transfer.set(ledger, { gap = 0 }))
      served.write_file(server:path "transfer", page.transfer)
      server:start_again()
      assert(server:act("transfer", "start"))
      happens(function() return server:log_of("transfer"):find "sent\t4\n" end)
      assert.are.equal("P1 P2 P3 P4", patients(receiver))
      local new = 0
      for _ in receiver:changes { since = since, type = "NewInstance" } do
        new = new + 1
      end
      assert.are.equal(4, new)
      os.remove(ledger)
    end)

    it("filter what is received, and look at the archive regularly", function()
      local server <close> = start("filter", { Filters = { "ReceivedInstance" } }, { FilterDefault = "accept", FilterTimeLimit = 60 })
      happens(function() return server:is("filter", "running") end)
      send(server, "TEST", "CT")
      send(server, "GOOD!", "CT")
      assert.are.equal("GOOD!", patients(server.client))
      local heart <close> = start("heartbeat", { Every = "1s" })
      happens(function() return select(2, heart:log_of("heartbeat"):gsub("archive:\ttrue", "")) >= 2 end)
      contains(heart:log_of "heartbeat", "has ended well\n")
    end)
  end)
end
