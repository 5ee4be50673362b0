-- Tests how a bulk transfer looks up its source and its destination (lua/modalua/transfer/sides.lua): what it refuses because one Orthanc
-- is both, and that an error of a server ends the run where that is not known.
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local modalua = require "modalua"
local part = require "spec.support.part"
local native, sides = part "core.native", part "transfer.sides"

local SYSTEM <const> = { Version = "1.12.7", ApiVersion = 27, DicomAet = "LOCAL", DicomPort = 4242, HttpPort = 8042,
  DatabaseServerIdentifier = "source" }
local function system_with(identifier, port)
  local system = {}
  for name, value in pairs(SYSTEM) do
    system[name] = value
  end
  system.DatabaseServerIdentifier, system.HttpPort = identifier, port or system.HttpPort
  return system
end

local ENTRY <const> = { Url = "http://10.0.0.9:8042/", Username = "u" }
local MODALITIES <const> = { archive = { AET = "ARCHIVE", Host = "10.0.0.9", Port = 104 }, pacs = { AET = "PACS", Host = "10.0.0.8",
  Port = 104 } }

-- A mapping of faultd: the answers to a path, after `good` of which the server fails for ever. nil: it never fails.
local function answer(path, value, good)
  return { path = path, times = good, to = faultd.route("/status", { code = 200, body = json.encode(value) }) }
end

local function failing(path)
  return { path = path, to = faultd.route("/status", { code = 500, body = "{}" }) }
end

-- A server with these mappings before those of one that answers everything.
local function start(first)
  local mappings = { table.unpack(first or {}) }
  for _, one in ipairs { answer("/system", SYSTEM), answer("/modalities", MODALITIES), answer("/peers", json.array { "clinic" }),
    answer("/peers/clinic/configuration", ENTRY) } do
    mappings[#mappings + 1] = one
  end
  local server = faultd.start(mappings)
  return server, modalua.connect { url = server.url, retries = 0 }
end

local function to_peer(client, arrived_at)
  return { from = { kind = "client", client = client }, to = { kind = "peer", name = "clinic", peer = client:peer "clinic" },
    arrived_at = arrived_at }
end

local function to_modality(client)
  return { from = { kind = "client", client = client }, to = { kind = "modality", name = "archive" } }
end

local function from_modality(client, arrived_at)
  return { from = { kind = "modality", name = "pacs", client = client }, to = { kind = "client" }, arrived_at = arrived_at }
end

local function accepts_or_refuses(is_same, plan, message)
  if is_same then
    expect.throws(message, sides.look_up, plan)
  else
    assert.is_true(sides.look_up(plan))
  end
end

describe("transfer.sides", function()
  it("accepts sides that are different places", function()
    local server <close>, client = start() -- luacheck: ignore
    local other <close>, place = start { answer("/system", system_with("destination")) } -- luacheck: ignore
    for _, plan in ipairs { to_peer(client, place), to_modality(client), from_modality(client, place) } do
      assert.is_true(sides.look_up(plan))
    end
  end)

  it("refuses a comparison at the source, under another address of it", function()
    local server <close>, client = start() -- luacheck: ignore
    local other <close>, place = start() -- luacheck: ignore
    expect.throws("'arrived_at' is the source itself", sides.look_up, to_peer(client, place))
  end)

  describe("returns the error, and does not skip a check,", function()
    local function fails(plan)
      expect.fails({ status = 500 }, sides.look_up(plan))
    end

    it("when the Orthanc at which is compared does not tell what it is", function()
      local server <close>, client = start() -- luacheck: ignore
      local other <close>, place = start { failing "/system" } -- luacheck: ignore
      fails(to_peer(client, place))
      fails(from_modality(client, place))
    end)

    it("when the source does not tell what it is", function()
      local server <close>, client = start { failing "/system" } -- luacheck: ignore
      fails(to_peer(client))
      fails(to_modality(client))
      fails(from_modality(client))
    end)

    it("when only its last answer fails", function()
      local server <close>, client = start { answer("/system", SYSTEM, 1), failing "/system" } -- luacheck: ignore
      local other <close>, place = start() -- luacheck: ignore
      fails(to_peer(client, place))
    end)

    it("when the settings of the destination cannot be read", function()
      local server <close>, client = start { failing "/peers/clinic/configuration" } -- luacheck: ignore
      fails(to_peer(client))
      local second <close>, other = start { answer("/modalities", MODALITIES, 1), failing "/modalities" } -- luacheck: ignore
      fails(to_modality(other))
    end)
  end)

  it("asks no server for an identifier that it does not have", function()
    local server <close>, client = start() -- luacheck: ignore
    local old <close>, place = start { answer("/system", system_with(nil)) } -- luacheck: ignore
    assert.is_true(sides.look_up(to_peer(client, place)))
  end)

  it("reads URLs as libcurl does", function()
    for url, expected in pairs {
      ["http://[fd00:a::1]:8042/"] = { "[fd00:a::1]", 8042, false },
      ["http://[::1]:8042"] = { "[::1]", 8042, true },
      ["http://user:1pw@PACS.Hospital:8042/x"] = { "pacs.hospital", 8042, false },
      ["https://archive"] = { "archive", 443, false },
      ["http://LocalHost"] = { "localhost", 80, true },
    } do
      assert.are.same(expected, { native.address(url) })
    end
    for _, url in ipairs { "archive:8042", "ftp://archive", "http://", "http://a b" } do
      assert.is_nil(native.address(url))
    end
  end)

  it("takes a peer for this Orthanc by its address, and no other one", function()
    for url, is_same in pairs {
      ["http://127.0.0.1:%d/"] = true, ["http://LOCALHOST:%d"] = true, ["http://[::1]:%d"] = true, ["http://user:1pw@127.0.0.1:%d"] = true,
      ["http://localhost"] = true, ["http://[::1]:80/"] = true, -- the port that the Orthanc tells
      ["http://user:%d@10.0.0.9:8042"] = false, ["http://10.0.0.9:%d"] = false, ["http://[fd00:a::1]:%d"] = false,
      ["http://127.0.0.1:%d/other"] = false, ["https://localhost"] = false, ["http://10.0.0.9"] = false,
    } do
      local server <close>, client = start { answer("/system", system_with("source", 80)) } -- luacheck: ignore
      assert(client:get(faultd.map { path = "/peers/clinic/configuration" }))
      assert(client:get(faultd.map(answer("/peers/clinic/configuration", { Url = (url:gsub("%%d", server.port)) }))))
      accepts_or_refuses(is_same, to_peer(client), "the peer 'clinic' is this Orthanc itself")
    end
  end)

  it("takes a modality for this Orthanc by its address, and no other one", function()
    for host, is_same in pairs { ["127.0.0.1"] = true, LOCALHOST = true, ["::1"] = true, ["[::1]"] = true, ["10.0.0.9"] = false,
      ["fd00::1"] = false, ["a b"] = false } do
      local modalities = { archive = { AET = "LOCAL", Host = host, Port = 4242 } }
      local server <close>, client = start { answer("/modalities", modalities) } -- luacheck: ignore
      accepts_or_refuses(is_same, to_modality(client), "the modality 'archive' is this Orthanc itself")
    end
  end)
end)
