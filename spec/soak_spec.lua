-- A soak: a process that works for a long time does not grow, and leaves nothing on the server. spec/support/soak.lua has the operations.
-- $MODALUA_SOAK_MINUTES: for how long (default: a number of rounds that takes seconds).
local command = require "spec.support.command"
local dicomd = require "spec.support.dicomd"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local versions = require "spec.support.versions"

local ROUNDS <const> = 20
local SECONDS <const> = 60 * (tonumber(os.getenv "MODALUA_SOAK_MINUTES") or 0) / #versions

-- Bounds for what is added from the second quarter of the rounds to the last one. A round runs each kind of operation once.
--
-- The library keeps a few hundred bytes of each of the last 2000 moves (core.running_jobs). Before that table is full, Lua's heap grows
-- by some 1500 bytes in each round: a lost client or coroutine is more than HEAP_BEFORE. Later an object of one kind of operation is
-- over HEAP. HEAP_NOISE is what the heap may gain at once: Lua doubles its table of strings. Of the resident memory the allocator keeps
-- some for itself, and not always the same.
local FULL <const> = 2000          -- rounds, after a quarter of which the table is full
local HEAP_BEFORE <const>, HEAP <const> = 2500, 40 -- bytes in each round
local HEAP_NOISE <const> = 1 << 16
local RESIDENT <const> = 100       -- bytes in each operation
local RESIDENT_NOISE <const> = 1 << 20
local DESCRIPTORS <const> = 48     -- at any time: connections for 8 requests with each of the clients, and the standard ones

-- Returns the rounds that the script has printed.
local function rounds_of(text)
  local rounds = {}
  for done, heap, resident, descriptors in text:gmatch "(%d+) (%d+) (%d+) (%d+)\n" do
    rounds[#rounds + 1] = { done = tonumber(done), heap = tonumber(heap), resident = tonumber(resident),
      descriptors = tonumber(descriptors) }
  end
  return rounds
end

-- The least value of a field in the rounds from a share of all to another one.
local function least(rounds, name, from, to)
  local value = math.huge
  for i = #rounds * from // 1 + 1, #rounds * to // 1 do
    value = math.min(value, rounds[i][name])
  end
  return value
end

local function growth(rounds, name)
  return least(rounds, name, 0.75, 1) - least(rounds, name, 0.25, 0.5)
end

for _, version in ipairs(versions) do
  describe("With the Orthanc " .. version.name .. ", a process that works for long", function()
    local peer, servers, client, file, rounds

    setup(function()
      peer = dicomd.start()
      servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { binary = version.binary,
        -- as many DICOM threads as operations at a time, and more: an association that waits for a thread can time out
        extra = { JobsHistorySize = 50, DicomThreadsCount = 16 } })
      client = modalua.connect(servers.LOCAL.url)
      assert(client:put("/modalities/slow", peer:modality "SLOW0.2"))
      assert(client:put("/modalities/unknown", peer:modality "MSTA801"))
      assert(client:put("/modalities/nowhere", { "NOWHERE", "127.0.0.1", 1 }))
      local there = modalua.connect(servers.PACS.url)
      assert(samples.store(there))
      file = os.tmpname()
      assert(there:download("/instances/" .. assert(there:get "/instances")[1] .. "/file", file))
      local pipe = assert(io.popen("exec " .. command.quote(command.path, "-u", servers.LOCAL.url, "spec/support/soak.lua",
        ("%d"):format(ROUNDS), ("%.0f"):format(SECONDS), file)))
      rounds = rounds_of(pipe:read "a")
      assert(pipe:close(), "the script has failed: see above")
    end)

    teardown(function()
      servers:close()
      peer:close()
      os.remove(file)
    end)

    it("does not grow in Lua's heap", function()
      assert.is_true(#rounds >= ROUNDS)
      local bound = #rounds > FULL and HEAP or HEAP_BEFORE
      assert.is_true(growth(rounds, "heap") <= HEAP_NOISE + bound * #rounds / 2, ("the heap has grown by %d bytes in %d rounds"):format(
        growth(rounds, "heap"), #rounds // 2))
    end)

    it("does not grow in memory", function()
      local operations = rounds[#rounds].done // 2
      assert.is_true(growth(rounds, "resident") <= RESIDENT_NOISE + RESIDENT * operations,
        ("the process has grown by %d bytes in %d operations"):format(growth(rounds, "resident"), operations))
    end)

    it("keeps few descriptors open", function()
      for i, round in ipairs(rounds) do
        assert.is_true(round.descriptors <= DESCRIPTORS, ("%d descriptors after round %d"):format(round.descriptors, i))
      end
    end)

    it("leaves no query and no running job on the server", function()
      assert.are.same({}, client:queries())
      for _, job in ipairs(assert(client:jobs { expand = true })) do
        assert.is_true(job.State == "Success" or job.State == "Failure", job.State)
      end
    end)
  end)
end
