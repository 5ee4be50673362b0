-- Tests the entries of modalities: reading, changing and removing them, with three versions of Orthanc, and with faultd for answers that no
-- real server gives.
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local json = modalua.json
local orthanc = require "spec.support.orthanc"
local versions = require "spec.support.versions"

local contains, fails, throws = expect.contains, expect.fails, expect.throws

-- An entry in which no setting has its default value.
local ODD = {
  AET = "ODD", Host = "127.0.0.9", Port = 65534, Manufacturer = "GE", AllowEcho = false, AllowFind = false, AllowFindWorklist = false,
  AllowGet = false, AllowMove = false, AllowStore = false, AllowNAction = false, AllowEventReport = false, AllowTranscoding = false,
  UseDicomTls = true, LocalAet = "OTHER", Timeout = 7,
}

local function copy(t, changes)
  local new = {}
  for _, from in ipairs { t, changes or {} } do
    for key, value in pairs(from) do
      new[key] = value
    end
  end
  return new
end

for _, version in ipairs(versions) do
  describe("A modality's entry, in the Orthanc " .. version.name .. ",", function()
    local server, client, odd, has_methods

    setup(function()
      server = orthanc.start { binary = version.binary, aet = "LOCAL", modalities = { filed = { "FILED", "127.0.0.1", 4242 } } }
      client = modalua.connect(server.url)
      odd = client:modality "odd"
      has_methods = version.number >= 11206
    end)

    teardown(function()
      server:close()
    end)

    before_each(function()
      assert(client:put("/modalities/odd", copy(ODD, { RetrieveMethod = has_methods and "C-GET" or nil })))
    end)

    local function stored(name)
      return client:get("/modalities/" .. (name or "odd") .. "/configuration")
    end

    it("can be read", function()
      local entry = assert(odd:configuration())
      assert.are.same(copy(ODD, { RetrieveMethod = has_methods and "C-GET" or nil }), entry)
      assert.are.equal("integer", math.type(entry.Port))
      assert.are.equal("FILED", client:modality("filed"):configuration().AET)
      fails({ kind = "orthanc", code = "unknown_modality", status = 404, op = "configuration" }, client:modality("nosuch"):configuration())
    end)

    it("changes only the settings that are given", function()
      local changes = {
        AET = "NEW", Host = "127.0.0.8", Port = 1, Manufacturer = "Vitrea", AllowEcho = true, AllowFind = true, AllowFindWorklist = true,
        AllowGet = true, AllowMove = true, AllowStore = true, AllowNAction = true, AllowEventReport = true, AllowTranscoding = true,
        UseDicomTls = false, LocalAet = "", Timeout = 0, RetrieveMethod = has_methods and "SystemDefault" or nil,
      }
      local expected = assert(stored())
      for key, value in pairs(changes) do
        expected[key] = value
        assert.are.same(expected, (assert(odd:configure { [key] = value })), key)
        assert.are.same(expected, stored())
      end
      expected.AllowNAction, expected.AllowEventReport = false, false
      assert.are.same(expected, (assert(odd:configure { AllowStorageCommitment = false })))
      assert.are.same(expected, (assert(odd:configure {})))
    end)

    it("gets a note about restarts, which is true", function()
      local other <close> = orthanc.start { binary = version.binary, modalities = { filed = { "FILED", "127.0.0.1", 4242 } } }
      local kept <close> = orthanc.start { binary = version.binary, modalities = { filed = { "FILED", "127.0.0.1", 4242 } },
        extra = { DicomModalitiesInDatabase = true } }
      for _, at in ipairs { other, kept } do
        local new = modalua.connect(at.url):modality "new"
        local _, note = assert(new:configure { AET = "NEW", Host = "127.0.0.1", Port = 4242, create = true })
        contains(note, '"DicomModalitiesInDatabase" : true')
        at:stop "KILL"
        at:start_again()
      end
      assert.are.same({ "filed" }, modalua.connect(other.url):modalities())
      assert.are.same({ "new" }, modalua.connect(kept.url):modalities())
    end)

    it("is created only with the option create", function()
      local new = client:modality "new"
      local err = fails({ kind = "orthanc", code = "unknown_modality", status = 404, op = "configure" },
        new:configure { AET = "NEW", Host = "127.0.0.1", Port = 4242 })
      contains(err.message, "create = true")
      for lack, settings in pairs {
        AET = { Host = "127.0.0.1", Port = 4242 }, Host = { AET = "NEW", Port = 4242 }, Port = { AET = "NEW", Host = "127.0.0.1" },
      } do
        settings.create = true
        err = fails({ kind = "refused", code = "missing_setting", method = "PUT", path = "/modalities/new" }, new:configure(settings))
        contains(err.message, "the modality 'new' cannot do without " .. lack)
      end
      assert.is_nil((stored "new"))
      local entry = assert(new:configure { AET = "NEW", Host = "127.0.0.1", Port = 4242, AllowMove = false, create = true })
      assert.are.same({ "NEW", 4242, false, true }, { entry.AET, entry.Port, entry.AllowMove, entry.AllowFind })
      entry.Port = 4243
      assert.are.same(entry, (assert(new:configure { Port = 4243, create = true }))) -- the entry exists already
      assert.is_true(new:remove())
    end)

    it("can be removed", function()
      assert.is_true(odd:remove())
      assert.are.same({ "filed" }, client:modalities())
      fails({ kind = "orthanc", code = "unknown_modality", status = 404, op = "remove", method = "DELETE" }, odd:remove())
    end)

    it("rejects a setting that the version of the server does not have", function()
      local before = assert(stored())
      if has_methods then
        assert.are.equal("C-MOVE", assert(odd:configure { RetrieveMethod = "C-MOVE" }).RetrieveMethod)
      else
        local err = fails({ kind = "orthanc", code = "unsupported", path = "/modalities/odd" },
          odd:configure { RetrieveMethod = "C-MOVE", Timeout = 9 })
        contains(err.message, "'RetrieveMethod' of configure needs Orthanc 1.12.6")
        assert.are.same(before, stored())
      end
    end)

    it("is read again and compared with the request", function()
      local err = fails({ kind = "orthanc", code = "not_taken", op = "configure", path = "/modalities/odd", method = "PUT" },
        odd:configure { Timeout = 9, extra = { NoSuchKey = 1 } })
      contains(err.message, "it did not take: NoSuchKey")
      assert.are.same({ 9, stored() }, { err.result.Timeout, err.result })
      err = fails({ code = "not_taken" }, odd:configure { Manufacturer = "Dcm4Chee" }) -- an old name of Generic
      assert.are.equal("Generic", err.result.Manufacturer)
      assert(odd:configure { extra = { Nothing = json.null, Empty = "" } })
    end)

    it("does not change if the server rejects it", function()
      local before = assert(stored())
      local err = fails({ kind = "orthanc", code = "bad_request", status = 400 }, odd:configure { Manufacturer = "Nobody", Timeout = 9 })
      contains(err.message, 'Unknown modality manufacturer: "Nobody"')
      fails({ kind = "refused" }, odd:configure { Host = "\xff" })
      assert.are.same(before, stored())
    end)
  end)
end

describe("A modality's settings", function()
  local m = modalua.connect("http://127.0.0.1:1"):modality "pacs"
  local function bad(part, settings)
    throws(part, m.configure, m, settings)
  end

  it("are checked before any request is sent", function()
    for _, aet in ipairs { "", "   ", ("A"):rep(17), "A\\B", "A\tB", "Ä", "A\0", 1 } do
      bad("configure: 'AET' must be an AE title", { AET = aet })
      if aet ~= "" then
        bad("configure: 'LocalAet' must be an AE title", { LocalAet = aet })
      end
    end
    for _, port in ipairs { 0, -1, 65535, "104", 104.5 } do
      bad("configure: 'Port' must be a port, 1 to 65534", { Port = port })
    end
    for _, seconds in ipairs { -1, 0.5, "5", 1 << 31 } do
      bad("configure: 'Timeout' must be a whole number of seconds, 0 or more", { Timeout = seconds })
    end
    bad("'Host' must be a string that is not empty", { Host = "" })
    bad("'Manufacturer' must be a string that is not empty", { Manufacturer = 1 })
    bad("'AllowEcho' must be true or false", { AllowEcho = 1 })
    bad("'RetrieveMethod' must be", { RetrieveMethod = "C-FIND" })
    bad("option 'create' must be true or false", { create = 1 })
    bad("AllowStorageCommitment stands for", { AllowStorageCommitment = true, AllowNAction = true })
    bad("'Port' is known: give it beside 'extra'", { extra = { Port = 1 } })
    bad("did you mean 'AET'", { Aet = "X" })
    bad("did you mean 'AllowFindWorklist'", { AllowFindWorklists = true })
    bad("configure: the settings must be a table (a nil was given)", nil)
    bad("must be a plain table", setmetatable({}, { __index = { AET = "X" } }))
    throws("modality or peer expected", m.configure, {}, {})
  end)
end)

describe("An entry on the server", function()
  local OLD = { AET = "PACS", Host = "h", Port = 2 }
  local server, client, pacs

  local function answer(path, method, body, times)
    return { path = path, method = method, times = times, to = faultd.route("/delay", { s = 0, body = json.encode(body) }) }
  end

  local function start(...)
    server = faultd.start { ... }
    client = modalua.connect(server.url)
    pacs = client:modality "pacs"
  end

  after_each(function()
    server:close()
  end)

  it("keeps settings that modalua does not know, and is written only once, right after reading", function()
    local entry = { AET = "PACS", Host = "h", Port = 1, FromTheFuture = { json.null, 1, "x" }, Big = 9007199254740993 }
    start(answer("/modalities/pacs/configuration", "GET", entry), { path = "/modalities/pacs", method = "PUT", to = "/echo" })
    assert(pacs:configure { Port = 1 })
    local put = assert(client:get("/last", { of = "/modalities/pacs" }))
    assert.are.same(entry, json.decode(put.body))
    assert.are.equal(1, client:get("/count", { of = "/modalities/pacs" }))
    assert.are.equal(2, client:get("/count", { of = "/modalities/pacs/configuration" }))
    assert.are.equal(3, client:get("/requests").requests)
  end)

  it("reports a failed read or write at the line of the script", function()
    start(answer("/modalities/pacs/configuration", "GET", OLD), { path = "/peers/*", to = faultd.route("/status", { code = 404 }) })
    throws("configuration_spec.lua", function() pacs:configure { extra = { X = print } } end)
    throws("cannot encode a function at .X", function() pacs:configure { extra = { X = print } } end)
    local err = fails({ code = "unknown_peer" }, client:peer("far"):configuration())
    contains(err.where, "configuration_spec.lua:")
  end)

  it("is neither written nor believed if the server's answer is not an entry", function()
    start(answer("/modalities/pacs/configuration", "GET", "x"))
    fails({ kind = "decode", op = "configure" }, pacs:configure { Port = 1 })
    assert.are.equal(0, client:get("/count", { of = "/modalities/pacs" }))
    server:close()
    start(answer("/modalities/pacs/configuration", "GET", OLD, 1), answer("/modalities/pacs/configuration", "GET", "x"),
      { path = "/modalities/pacs", to = "/ok" })
    fails({ kind = "unknown", code = "decode", op = "configure" }, pacs:configure { Port = 1 })
  end)

  it("is of unknown outcome if it cannot be read after writing", function()
    start(answer("/modalities/pacs/configuration", "GET", OLD, 1),
      { path = "/modalities/pacs/configuration", to = faultd.route("/status", { code = 503 }) }, { path = "/modalities/pacs", to = "/ok" })
    local err = fails({ kind = "unknown", code = "http", status = 503 }, pacs:configure { Port = 1 })
    contains(err.message, "the server accepted the change, but what it has now cannot be told")
  end)

  it("is written only once, on a new connection, even if that fails", function()
    start(answer("/modalities/pacs/configuration", "GET", OLD), { path = "/modalities/pacs", to = "/drop" })
    fails({ kind = "unknown", code = "network", method = "PUT", path = "/modalities/pacs", retryable = false }, pacs:configure { Port = 1 })
    assert.are.equal(1, client:get("/count", { of = "/modalities/pacs" }))
    fails({ kind = "unknown", code = "network", method = "DELETE", path = "/modalities/pacs", retryable = false }, pacs:remove())
    assert.are.equal(2, client:get("/count", { of = "/modalities/pacs" }))
  end)

  it("is reported as unknown by a server that does not describe its errors", function()
    start({ path = "/*", to = faultd.route("/status", { code = 404 }) })
    fails({ code = "unknown_modality" }, pacs:configuration())
    fails({ code = "unknown_modality" }, pacs:remove())
    fails({ code = "unknown_peer" }, client:peer("far"):configure { Timeout = 1 })
    fails({ code = "unknown_peer" }, client:peer("far"):system())
  end)
end)
