local modalua = require "modalua"
local expect = require "spec.support.expect"
local orthanc = require "spec.support.orthanc"
local versions = require "spec.support.versions"

local fails, throws = expect.fails, expect.throws

for _, version in ipairs(versions) do
  describe("Client, against the Orthanc " .. version.name, function()
    local server, client

    setup(function()
      server = orthanc.start {
        binary = version.binary,
        aet = "LOCAL",
        modalities = { pacs = { "PACS", "127.0.0.1", 4242 }, archive = { "ARCHIVE", "127.0.0.1", 4243 } },
      }
      client = modalua.connect(server.url)
    end)

    teardown(function()
      server:close()
    end)

    it("tells the name and version of the server", function()
      local system = assert(client:system())
      assert.are.equal("LOCAL", system.DicomAet)
      assert.are.equal("integer", math.type(system.DicomPort))
      assert.matches("^1%.%d+%.%d+", system.Version)
      assert.are.equal(system.Version, client:get("/system").Version)
      assert.are.equal(system.Version, client:get("system").Version)
      for name, value in pairs(system) do
        assert.are_not.equal(modalua.json.null, value, name)
      end
    end)

    it("lists the modalities, as names or with their settings", function()
      local names = assert(client:modalities())
      table.sort(names)
      assert.are.same({ "archive", "pacs" }, names)
      local full = assert(client:modalities { expand = true })
      assert.are.equal("ARCHIVE", full.archive.AET)
      assert.are.equal(4242, full.pacs.Port)
      assert.has_error(function() client:modalities { expnad = true } end,
        "modalities: unknown option 'expnad'; did you mean 'expand'?")
    end)

    it("gives an answer that is not JSON as a string", function()
      assert.are.equal("Latin1", client:default_encoding())
      assert.matches("^%d+T%d+$", client:get("/tools/now"))
    end)

    it("encodes queries: true becomes a key without a value, false is left out", function()
      assert.are.equal("table", type(assert(client:get("/modalities", { expand = true })).pacs))
      assert.are.equal("string", type(assert(client:get("/modalities", { expand = false }))[1]))
      local changes = assert(client:get("/changes", { since = 0, limit = 1 }))
      assert.are.equal("integer", math.type(changes.Last))
      throws("'since' must be a string, a number or a boolean", function() client:get("/changes", { since = {} }) end)
      throws("keys must be strings", function() client:get("/changes", { 1 }) end)
    end)

    it("sends POST, PUT and DELETE requests", function()
      assert.are.equal("", client:put("/modalities/new", { AET = "NEW", Host = "127.0.0.1", Port = 4244 }))
      assert.are.equal("NEW", assert(client:get("/modalities/new/configuration")).AET)
      assert.are.equal("", client:delete("/modalities/new"))
      local created = assert(client:post("/tools/create-dicom", {
        Tags = { PatientID = "P1", PatientName = "Müller^Jörg", SpecificCharacterSet = "ISO_IR 192" },
      }))
      assert.are.equal("Success", created.Status)
      local found = assert(client:post("/tools/find", { Level = "Patient", Query = { PatientID = "P1" }, Expand = true }))
      assert.are.equal("Müller^Jörg", found[1].MainDicomTags.PatientName)
      assert.are.same({ created.ParentPatient }, client:post("/tools/find", { Level = "Patient", Query = { PatientID = "P1" } }))
      assert.are.equal(created.ID, assert(client:post("/tools/lookup", assert(client:get(created.Path .. "/simplified-tags"))
        .SOPInstanceUID))[1].ID)
    end)

    it("keeps an empty array in an answer an array", function()
      local found = assert(client:post("/tools/find", { Level = "Patient", Query = { PatientID = "nobody" } }))
      assert.are.equal("[]", modalua.json.encode(found))
    end)

    describe("describes the error", function()
      it("of a route that does not exist", function()
        local err = fails({ kind = "orthanc", code = "not_found", status = 404, orthanc_status = 17, op = "get", method = "GET",
          path = "/nosuch", retryable = false }, client:get("/nosuch"))
        assert.matches("^spec/client_spec.lua:%d+$", err.where)
        assert.matches("^get /nosuch: .*HTTP 404.*%(spec/client_spec.lua:%d+%)$", tostring(err))
        assert.is_nil(tostring(err):find("\n"))
      end)

      it("of a modality that does not exist, with and without a body in the answer", function()
        fails({ kind = "orthanc", code = "unknown_modality", status = 404 }, client:get("/modalities/nosuch"))
        fails({ kind = "orthanc", code = "unknown_modality", status = 404, orthanc_status = 7,
          details = "No modality with symbolic name: nosuch" }, client:post("/modalities/nosuch/echo", {}))
      end)

      it("of a query or a job that no longer exists", function()
        fails({ kind = "orthanc", code = "query_gone", status = 404 }, client:get("/queries/nosuch/answers"))
        fails({ kind = "orthanc", code = "job_gone", status = 404 }, client:get("/jobs/nosuch"))
      end)

      it("of a method that the route does not allow", function()
        fails({ kind = "http", code = "method_not_allowed", status = 405 }, client:delete("/system"))
      end)

      it("of a modality that does not answer", function()
        local err = fails({ kind = "dicom", status = 500, orthanc_status = 9, op = "post" },
          client:post("/modalities/pacs/echo", {}))
        assert.matches("AET \"PACS\"", err.details)
      end)

      it("of a request that the server rejects", function()
        fails({ kind = "orthanc", code = "bad_request", status = 400, orthanc_status = 8 },
          client:post("/tools/find", "this is not JSON"))
      end)
    end)
  end)

  describe("Client, against an Orthanc with users, " .. version.name, function()
    local server

    setup(function()
      server = orthanc.start { binary = version.binary, aet = "LOCAL", users = { alice = "secret: word" } }
    end)

    teardown(function()
      server:close()
    end)

    local function refused(code, client)
      local ok, err = client:system()
      assert.is_nil(ok)
      assert.are.equal("auth", err.kind)
      assert.are.equal(401, err.status)
      assert.are.equal(code, err.code)
      assert.is_nil(tostring(err):find("secret", 1, true))
    end

    it("is accepted with the right password", function()
      assert(modalua.connect(server.url, { username = "alice", password = "secret: word" }):system())
    end)

    it("removes credentials from the URL and never shows them", function()
      local url = server.url:gsub("//", "//alice:secret%%3A%%20word@")
      local client = modalua.connect(url)
      assert(client:system())
      assert.are.equal("modalua.Client (" .. server.url .. ")", tostring(client))
    end)

    it("gets an error that says whether credentials are missing or wrong", function()
      refused("no_credentials", modalua.connect(server.url))
      refused("bad_credentials", modalua.connect(server.url, { username = "alice", password = "secret" }))
      refused("bad_credentials", modalua.connect(server.url, { token = "secret" }))
    end)
  end)
end

describe("connect", function()
  local function refuses(pattern, ...)
    local ok, err = pcall(modalua.connect, ...)
    assert.is_false(ok)
    assert.matches(pattern, err)
    assert.is_nil(err:find("hunter2", 1, true))
  end

  it("rejects invalid addresses without showing passwords", function()
    refuses("no scheme", "localhost:8042")
    refuses("no scheme", "orthanc.example")
    refuses("only http", "ftp://localhost")
    refuses("only http", "file:///etc/passwd")
    refuses("the URL is not valid", "http://user:hunter2@:x:/")
    refuses("without '%?'", "http://localhost:8042/?a=hunter2")
    refuses("NUL", "http://localhost\0.evil.example")
    refuses("no password", "http://hunter2@localhost")
    refuses("no password", "http://a%3Ab:hunter2@localhost")
    refuses("option proxy", "http://localhost", { proxy = "http://u:hunter2@127.0.0.1:99999" })
    refuses("option proxy", "http://localhost", { proxy = "htp://u:hunter2@proxy" })
    refuses("credentials", "http://u:hunter2@localhost", { username = "v", password = "hunter2" })
  end)

  it("rejects invalid options and names the right ones", function()
    refuses("did you mean 'password'", "http://localhost", { passwrd = "hunter2" })
    refuses("the options are url, username", "http://localhost", { xyzzy = 1 })
    refuses("'timeout' must be a number", "http://localhost", { timeout = "30" })
    refuses("'timeout' must be a number", "http://localhost", { timeout = 0 })
    refuses("'max_inflight' must be a whole number", "http://localhost", { max_inflight = 1.5 })
    refuses("password was given without", "http://localhost", { password = "hunter2" })
    refuses("not both", "http://localhost", { username = "u", password = "hunter2", token = "t" })
    refuses("key was given without", "http://localhost", { key = "k.pem" })
    refuses("cannot be sent", "http://localhost", { headers = { ["X-A"] = "a\r\nAuthorization: hunter2" } })
    refuses("given twice", "http://localhost", { url = "http://other" })
    refuses("one table", { url = "http://localhost" }, {})
    refuses("URL or table", 8042)
  end)

  it("accepts a single table, and a URL with a path", function()
    assert.are.equal("modalua.Client (https://host/orthanc)", tostring(modalua.connect { url = "https://host/orthanc/" }))
    assert.are.equal("modalua.Client (http://localhost:8042)", tostring(modalua.connect("http://localhost:8042/")))
  end)
end)
