local modalua = require "modalua"
local task = require "modalua.task"
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"

local fails, throws = expect.fails, expect.throws

describe("Transfers, against a server that misbehaves", function()
  local server, client

  setup(function()
    server = faultd.start()
  end)

  teardown(function()
    server:close()
  end)

  before_each(function()
    client = modalua.connect(server.url, { timeout = 30 })
    assert(client:post("/reset"))
  end)

  local function count(path)
    return assert(client:get("/count", { of = path }))
  end

  describe("connections", function()
    it("are reused for reads", function()
      local first, second = assert(client:get("/echo")), assert(client:get("/echo"))
      assert.are.equal(first.connection, second.connection)
      assert.are.equal(first.nth + 1, second.nth)
    end)

    it("are new for requests with side effects", function()
      assert(client:get("/ok"))
      for _, verb in ipairs { "post", "put", "delete" } do
        assert.are.equal(1, assert(client[verb](client, "/echo")).nth)
      end
    end)

    it("that break during a POST have sent it only once, and the error says that the outcome is unknown", function()
      assert(client:get("/ok")) -- leaves an idle connection, which a POST could use
      local err = fails({ kind = "unknown", code = "network", retryable = false }, client:post("/drop", { a = 1 }))
      assert.matches("not known", err.message)
      assert.are.equal(1, count "/drop")
    end)

    it("that are idle are not used for a POST", function()
      assert(client:get("/ok"))
      assert.are.same({}, client:post("/drop-reused", {}))
      assert.are.equal(1, count "/drop-reused")
    end)

    it("that the server closes while they are idle are detected", function()
      local own <close> = faultd.start()
      local one, other = modalua.connect(own.url), modalua.connect((own.url:gsub("127.0.0.1", "localhost")))
      assert(one:get("/idle", { s = 0.05 }))
      assert.is_truthy(expect.eventually(function() return assert(other:get "/requests").open == 1 end)) -- the one of the other client
      assert.are.same({}, one:get("/ok"))
      assert.are.equal(2, assert(other:get "/requests").connections)
    end)
  end)

  it("are not kept after requests with side effects, and at most sixteen after others: a thread of the server waits at each", function()
    local own <close> = faultd.start()
    local many = modalua.connect(own.url, { max_inflight = 64 })
    local other = modalua.connect((own.url:gsub("127.0.0.1", "localhost")))
    local function together(n, verb)
      local tasks = {}
      for i = 1, n do
        tasks[i] = task.spawn(many[verb], many, "/barrier?name=" .. verb .. "&n=" .. n)
      end
      for _, t in ipairs(tasks) do
        assert(t:join())
      end
    end
    -- the control's own connection is one of them
    local function stay_open(n)
      local open
      assert.is_truthy(expect.eventually(function()
        open = assert(other:get "/requests").open
        return open <= n
      end), open)
      assert.are.equal(n, open)
    end
    for _, verb in ipairs { "post", "put", "delete" } do
      together(40, verb)
      stay_open(1)
    end
    together(40, "get")
    stay_open(16)
  end)

  it("are at most eight to one server, unless the caller says otherwise", function()
    for limit, c in pairs { [8] = client, [3] = modalua.connect(server.url, { max_inflight = 3 }) } do
      assert(client:post "/reset")
      local tasks = {}
      for i = 1, 3 * limit do
        tasks[i] = task.spawn(c.get, c, "/barrier", { n = limit }) -- the barrier opens only for this many requests
      end
      for _, t in ipairs(tasks) do
        assert(t:join())
      end
      local seen = assert(client:get("/requests"))
      assert.are.same({ limit, limit }, { seen.peak, seen.connections })
    end
  end)

  describe("requests", function()
    it("send tables as JSON, and strings unchanged, without Expect", function()
      local sent = assert(client:post("/echo", { Level = "Study" }))
      assert.are.equal('{"Level":"Study"}', sent.body)
      assert.are.equal("application/json", sent.headers["content-type"])
      assert.is_nil(sent.headers.expect)
      sent = assert(client:put("/echo", "Utf8"))
      assert.are.equal("Utf8", sent.body)
      sent = assert(client:post("/echo"))
      assert.are.equal("", sent.body)
      assert.are.equal("0", sent.headers["content-length"])
      assert.is_nil(assert(client:post("/echo", string.rep("x", 2 << 20))).headers.expect)
    end)

    it("refuse bodies that cannot be sent: invalid data is returned as an error, a wrong call is thrown", function()
      local err = fails({ kind = "refused", op = "post", path = "/echo" },
        client:post("/echo", { Query = { PatientName = "M\xfcller" } }))
      assert.matches("%.Query%.PatientName", err.message)
      fails({ kind = "refused" }, client:post("/echo", { 0 / 0 }))
      throws("cannot encode a function at [1]", function() client:post("/echo", { print }) end)
      throws("bad argument #2 to 'post'", function() client:post("/echo", 1) end)
      assert.are.equal(0, count "/echo")
    end)

    it("percent-encode characters that a path or a query cannot contain", function()
      local sent = assert(client:get("/echo/a b#ü?x", { key = "a&b=c d%?", n = 1.5, i = 2 }))
      assert.are.equal("/echo/a%20b%23%C3%BC", sent.path)
      assert.matches("key=a%%26b%%3Dc%%20d%%25%%3F", sent.query)
      assert.matches("n=1.5", sent.query)
      assert.matches("i=2", sent.query)
    end)

    it("send a path unchanged, even with '..'", function()
      client:get("/a/../echo")
      local log = assert(client:get("/log"))
      assert.are.equal("GET /a/../echo", log[#log])
    end)

    it("send whole numbers in a query without a point, and refuse numbers that are not finite", function()
      assert.matches("^n=10$", assert(client:get("/echo", { n = 10.0 })).query)
      assert.has_error(function() client:get("/echo", { n = 1 / 0 }) end, "the query's 'n' must be a finite number")
      throws("must be a finite number", function() client:get("/echo", { n = 0 / 0 }) end)
    end)

    it("send the length of an empty body", function()
      assert.are.equal("0", assert(client:put("/echo")).headers["content-length"])
    end)

    it("send headers unchanged, or not at all", function()
      local function with(name, value)
        return modalua.connect(server.url, { headers = { [name] = value } })
      end
      assert.are.equal("", assert(with("X-Empty", ""):get("/echo")).headers["x-empty"])
      local bad = { ["X-A"] = "a\1b", ["X-B"] = "a\0b", ["X-E"] = "a\127", ["X C"] = "a", ["X:D"] = "a", [""] = "a", ["Ä"] = "a" }
      for name, value in pairs(bad) do
        throws("cannot be sent", function() with(name, value) end)
      end
    end)

    it("send the Host header that the caller gave", function()
      local c = modalua.connect(server.url, { headers = { Host = "other.example", ["X-A"] = "1", ["X-B"] = "2" } })
      local sent = assert(c:get("/echo")).headers
      assert.are.equal("other.example 1 2", table.concat({ sent.host, sent["x-a"], sent["x-b"] }, " "))
    end)

    it("cannot get another header through a token", function()
      throws("the token contains control characters", function() modalua.connect(server.url, { token = "t\r\nX-Site: B" }) end)
    end)

    it("send the headers and the token that the caller gave", function()
      local c = modalua.connect(server.url, { token = "t0ken", headers = { ["X-Site"] = "A" } })
      local sent = assert(c:get("/echo"))
      assert.are.equal("A", sent.headers["x-site"])
      assert.are.equal("Bearer t0ken", sent.headers.authorization)
      assert.matches("^modalua/", sent.headers["user-agent"])
    end)

    it("use the proxy that the caller gave, and no other", function()
      local through = modalua.connect("http://orthanc.invalid/prefix/", { proxy = server.url })
      local seen = assert(through:get("/echo"))
      assert.matches("orthanc.invalid", seen.headers.host)
    end)
  end)

  describe("answers", function()
    it("can be compressed, chunked, or end with the connection", function()
      local away = modalua.connect("http://orthanc.invalid/", { proxy = server.url })
      local unpacked = assert(away:get("/gzip", { ["repeat"] = 1000, text = "x" }))
      assert.are.equal(1000, #unpacked)
      assert.are.equal("x", unpacked[1000])
      assert.matches("gzip", assert(away:get("/echo")).headers["accept-encoding"])
      assert.are.equal("identity", assert(client:get("/echo")).headers["accept-encoding"]) -- the client asks for no compression here
      assert.is_truthy(client:get("/chunked"))
      assert.is_truthy(client:get("/nolength"))
    end)

    it("that are too large are an error, also if they are small when compressed", function()
      local result = command.run("--memory-limit", "50M", "-e", ([[
        local away = require "modalua".connect("http://orthanc.invalid/", { proxy = "%s" })
        local ok, err = pcall(away.get, away, "/gzip", { bytes = 300000000 })
        print(ok, err.kind, err.code, err.message)]]):format(server.url))
      assert.matches("^false\tlimit\tmemory\tnot enough memory for the answer: it has more than %d%d%d%d%d KB\n$", result.out,
        result.err)
    end)

    it("that break off, are garbage, or are not valid JSON are errors of the right kind", function()
      fails({ kind = "network", code = "connection_lost", retryable = true }, client:get("/short", { say = 100, send = 10 }))
      fails({ kind = "network", code = "connection_lost" }, client:get("/reset-now"))
      fails({ kind = "network", code = "connection_lost" }, client:get("/reset-body"))
      fails({ kind = "http", code = "not_http" }, client:get("/garbage"))
      fails({ kind = "network" }, client:get("/half-head"))
      local err = fails({ kind = "decode" }, client:get("/status", { code = 200, type = "application/json", body = "{\"a\":\n1," }))
      assert.matches("line 2", err.message)
    end)

    it("with a huge header are errors, and do not end the run", function()
      fails({ kind = "http", retryable = false }, client:get("/huge-header", { bytes = 200000 }))
    end)

    it("with an integer beyond 2^53 keep the integer", function()
      local got = client:get("/status", { code = 200, type = "application/json", body = "[9007199254740993]" })
      assert.are.equal(9007199254740993, got[1])
    end)

    it("with a status 3xx show the target, and are not followed", function()
      local err = fails({ kind = "http", code = "redirect", status = 302 },
        client:get("/redirect", { code = 302, to = "https://login.example/" }))
      assert.matches("https://login.example/", err.message, 1, true)
      -- libcurl adds the host, with the credentials, to a target without a host
      local known = modalua.connect(server.url, { username = "u", password = "hunter2" })
      err = fails({ kind = "http", code = "redirect" }, known:get("/redirect", { to = "/login" }))
      assert.matches("/login", err.message, 1, true)
      assert.is_nil(tostring(err):find "hunter2")
    end)
  end)

  describe("time", function()
    it("limits an exchange by timeout", function()
      local quick = modalua.connect(server.url, { timeout = 1 }) -- in which a request leaves
      local is_over = false
      local sleeping = task.spawn(function()
        task.sleep(25)
        is_over = true
      end)
      fails({ kind = "timeout", retryable = true }, quick:get("/hang"))
      assert.matches("not known", fails({ kind = "unknown", code = "timeout", retryable = false }, quick:post("/hang", {})).message)
      assert.is_false(is_over) -- the default limit is 30 seconds
      sleeping:cancel()
      fails({ kind = "timeout" }, quick:get("/drip", { bytes = 100, s = 0.05 }))
    end)

    it("does not run while a transfer waits for its turn", function()
      local function narrow(timeout)
        return modalua.connect(server.url, { max_inflight = 1, timeout = timeout })
      end
      local patient, quick = narrow(30), narrow(2)
      local first = task.spawn(patient.get, patient, "/delay", { s = 2.5 })
      local second = task.spawn(quick.get, quick, "/ok")
      assert.are.same({}, first:join())
      assert.are.same({}, second:join())
    end)
  end)

  describe("hosts", function()
    it("that do not exist or do not listen are named", function()
      local err = fails({ kind = "network", code = "host_not_found", retryable = true },
        modalua.connect("http://nosuchhost.invalid"):get("/system"))
      assert.matches("nosuchhost.invalid", err.message, 1, true)
      fails({ kind = "network", code = "no_connection" }, modalua.connect("http://127.0.0.1:1"):get("/system"))
    end)
  end)

  describe("failures that Orthanc describes", function()
    -- Orthanc sends most errors without a Content-Type.
    local function answered(status, body)
      return client:get("/status", { code = status, body = body })
    end

    -- Recorded from 1.10.1, 1.12.7 and 1.13.0.
    local dimse = [[{"Details":"C-MOVE SCU to AET \"PACS\" has failed with DIMSE status 0xA801","HttpError":"Internal Server Error",
      "HttpStatus":500,"Message":"Error in the network protocol","Method":"POST","OrthancError":"Error in the network protocol",
      "OrthancStatus":9,"Uri":"/x"}]]
    local payload = [[{"HttpStatus":500,"OrthancStatus":9,"Message":"Error in the network protocol",
      "ErrorPayload":{"Type":"Dimse","Content":{"DimseErrorStatus":49152}}}]]
    local retrieve = [[{"HttpStatus":500,"OrthancStatus":9,"Message":"m","ErrorPayload":{"Type":"RetrieveJob",
      "Content":[{"DimseErrorStatus":0},{"DimseErrorStatus":43009}]}}]]

    it("contain the DIMSE status, from the text before 1.12.10 and from the payload after", function()
      local ok, err = answered(500, dimse)
      fails({ kind = "dicom", status = 500, orthanc_status = 9, dimse_status = 0xA801 }, ok, err)
      ok, err = answered(422, payload)
      fails({ kind = "dicom", status = 422, dimse_status = 0xC000 }, ok, err)
      ok, err = answered(500, retrieve)
      fails({ kind = "dicom", dimse_status = 0xA801 }, ok, err)
    end)

    it("say whether a read can be retried", function()
      local expected = { [400] = false, [413] = false, [429] = true, [500] = false, [502] = true, [503] = true, [504] = true }
      for status, retryable in pairs(expected) do
        local ok, err = client:get("/status", { code = status })
        fails({ status = status, retryable = retryable }, ok, err)
        ok, err = client:post("/status?code=" .. status)
        fails({ status = status, retryable = false }, ok, err)
      end
    end)

    it("are recognized by the route if the body is empty", function()
      for path, expected in pairs {
        ["/modalities/pacs/echo"] = { 500, "dicom" }, ["/modalities/nosuch"] = { 404, "orthanc", "unknown_modality" },
        ["/queries/x/answers"] = { 404, "orthanc", "query_gone" }, ["/jobs/x"] = { 404, "orthanc", "job_gone" },
        ["/instances/x"] = { 404, "orthanc", "not_found" }, ["/tools/find"] = { 500, "http" },
      } do
        assert(client:get(faultd.map { path = path, to = faultd.route("/status", { code = expected[1] }) }))
        fails({ status = expected[1], kind = expected[2], code = expected[3] }, client:get(path))
      end
      assert(client:get(faultd.map { path = "/modalities/pacs/get", to = faultd.route("/status",
        { code = 404, body = '{"HttpStatus":404,"OrthancStatus":17}' }) }))
      fails({ kind = "orthanc", code = "unsupported" }, client:post("/modalities/pacs/get", {}))
    end)

    it("with status 401 distinguish wrong credentials from missing ones, however they were given", function()
      fails({ kind = "auth", code = "no_credentials" }, client:get("/auth", { user = "u", password = "p" }))
      local own = modalua.connect(server.url, { headers = { Authorization = "Basic eDp5" } })
      fails({ kind = "auth", code = "bad_credentials" }, own:get("/auth", { user = "u", password = "p" }))
    end)

    it("name the services that the peer refuses, for each version's error number", function()
      for _, number in ipairs { 2015, 2016, 2017, 2045 } do
        local ok, err = answered(500, '{"HttpStatus":500,"OrthancStatus":' .. number .. ',"Message":"m"}')
        fails({ kind = "dicom", code = "unsupported", orthanc_status = number }, ok, err)
      end
    end)

    it("can have no body, or a body that is not from Orthanc", function()
      local ok, err = answered(500, "")
      fails({ kind = "http", status = 500 }, ok, err)
      ok, err = answered(403, "")
      fails({ kind = "auth", code = "forbidden", status = 403 }, ok, err)
      ok, err = answered(502, "<html>Bad Gateway</html>")
      fails({ kind = "http", code = "bad_gateway", retryable = true }, ok, err)
      ok, err = answered(404, "<html>\nnginx</html>")
      fails({ kind = "http", status = 404 }, ok, err)
      assert.is_nil(tostring(err):find("\n"))
      ok, err = client:get("/status", { code = 502, type = "text/html",
        body = "<html>\r\n<head><title>502 Bad\27 Gateway</title></head><body><hr>nginx/1.22.1</body></html>" })
      fails({ kind = "http", code = "bad_gateway" }, ok, err)
      assert.matches('the title of the page is "502 Bad Gateway" %(HTTP 502%)', err.message)
      ok, err = answered(500, "{ not json")
      fails({ kind = "http", status = 500 }, ok, err)
    end)

    it("are shown in one short line", function()
      local long = string.rep("ü", 4000)
      local _, err = answered(500, '{"HttpStatus":500,"OrthancStatus":-1,"Message":"m","Details":"a\\nb' .. long .. '"}')
      assert.is_nil(tostring(err):find("\n"))
      assert.is_true(#err.message < 1000)
      assert.is_truthy(utf8.len(err.message))
    end)
  end)
end)
