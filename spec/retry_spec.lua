-- Tests retries: reads and echoes are repeated after transient failures, and nothing else is repeated.
local modalua = require "modalua"
local task = require "modalua.task"
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"

local fails = expect.fails

describe("Retries", function()
  local server

  setup(function()
    server = faultd.start()
  end)

  teardown(function()
    server:close()
  end)

  local function connect(options)
    local client = modalua.connect(server.url, options)
    assert(client:post("/reset"))
    return client
  end

  -- Gives the next `times` requests for the path this behaviour, and {} to all later ones.
  local function break_path(client, path, times, route, parameters)
    assert(client:post("/reset"))
    assert(client:get(faultd.map { path = path })) -- removes the mappings of an earlier test
    assert(client:get(faultd.map { path = path, times = times, to = faultd.route(route, parameters) }))
    assert(client:get(faultd.map { path = path, to = "/ok" }))
  end

  local function count(client, path)
    return assert(client:get("/count", { of = path }))
  end

  it("make a read succeed after transient failures: lost connections, and 502, 503, 504 and 429", function()
    local client = connect()
    for _, fault in ipairs { { "/drop" }, { "/reset-now" }, { "/short", { say = 10, send = 1 } }, { "/status", { code = 502 } },
      { "/status", { code = 503 } }, { "/status", { code = 504 } }, { "/status", { code = 429 } } } do
      break_path(client, "/shaky", 2, fault[1], fault[2])
      assert.are.same({}, client:get("/shaky"))
      assert.are.equal(3, count(client, "/shaky"), fault[1])
    end
  end)

  it("are as many as the client's option `retries` says, by default two, and the error counts the tries", function()
    for retries, tries in pairs { [0] = 1, [1] = 2, [4] = 5 } do
      local client = connect { retries = retries }
      -- Not /drop: libcurl itself repeats a request on an idle connection that was closed.
      break_path(client, "/gone", 9, "/status", { code = 503 })
      local err = fails({ code = "unavailable", retryable = true, tries = tries > 1 and tries or nil }, client:get("/gone"))
      assert.are.equal(tries, count(client, "/gone"))
      assert.are.equal(tries > 1, err.message:find(("(%d tries)"):format(tries), 1, true) ~= nil)
    end
    local client = connect()
    break_path(client, "/gone", 9, "/status", { code = 503 })
    fails({ tries = 3 }, client:get("/gone"))
  end)

  it("are not made after permanent failures", function()
    local client = connect()
    for _, code in ipairs { 301, 400, 401, 403, 404, 413, 500 } do
      break_path(client, "/refused", 9, "/status", { code = code })
      fails({ status = code, retryable = false }, client:get("/refused"))
      assert.are.equal(1, count(client, "/refused"), code)
    end
  end)

  it("are never made of requests with side effects", function()
    local client = connect()
    for _, method in ipairs { "post", "put", "delete" } do
      for _, route in ipairs { "/drop", "/status?code=503" } do
        break_path(client, "/once", 9, route)
        fails({ retryable = false }, client[method](client, "/once"))
        assert.are.equal(1, count(client, "/once"), method .. route)
      end
    end
  end)

  it("are made of an echo, but not of a find, because a find makes the modality work", function()
    local client = connect()
    break_path(client, "/modalities/pacs/echo", 2, "/drop")
    assert.is_true(client:modality("pacs"):echo())
    break_path(client, "/modalities/pacs/query", 1, "/drop")
    fails({ kind = "network" }, client:modality("pacs"):find { Level = "Study" })
    assert.are.equal(1, count(client, "/modalities/pacs/query"))
  end)

  it("stay within the time limit of one exchange", function()
    local control, client = connect(), modalua.connect(server.url, { timeout = 1.5, retries = 50 })
    break_path(control, "/shaky", 999, "/status", { code = 503 })
    local err = fails({ code = "unavailable" }, client:get("/shaky"))
    assert.is_true((err.tries or 1) < 20) -- because the pauses double, there is time for few of the fifty
    break_path(control, "/late", 9, "/hang")
    fails({ kind = "timeout" }, client:get("/late"))
    assert.are.equal(1, count(control, "/late"))
  end)

  it("give the last try only the rest of this time", function()
    local control, client = connect(), modalua.connect(server.url, { timeout = 4 })
    assert(control:get(faultd.map { path = "/later", times = 1, to = faultd.route("/status", { code = 503, retry_after = 3 }) }))
    assert(control:get(faultd.map { path = "/later", to = "/hang" }))
    local is_over = false
    local sleeping = task.spawn(function()
      task.sleep(6.5) -- longer than 4, and shorter than the pause of 3 and 4 of its own
      is_over = true
    end)
    fails({ kind = "timeout", tries = 2 }, client:get("/later"))
    assert.is_false(is_over)
    sleeping:cancel()
  end)

  it("wait as long as the server asks, or fail at once if this exceeds their time", function()
    local client = connect()
    break_path(client, "/busy", 1, "/status", { code = 503, retry_after = 1 })
    local began = task.now()
    assert.are.same({}, client:get("/busy"))
    assert.is_true(task.now() - began >= 0.9)
    break_path(client, "/busy", 1, "/status", { code = 429, retry_after = 3600 })
    local err = fails({ code = "too_many_requests", status = 429, retry_after = 3600, retryable = true }, client:get("/busy"))
    assert.is_nil(err.tries)
  end)

  it("are not made after an hour if they have no time limit", function()
    local client, file = connect(), os.tmpname()
    for _, ask in ipairs {
      function() return client:modality("pacs"):echo() end, function() return client:download("/modalities/pacs/echo", file) end,
    } do
      break_path(client, "/modalities/pacs/echo", 9, "/status", { code = 503, retry_after = 3600 })
      local waiting = task.spawn(ask)
      local asleep = task.spawn(function()
        task.sleep(30) -- a watchdog
        waiting:cancel()
      end)
      fails({ code = "unavailable", retry_after = 3600 }, nil, (select(2, waiting:join())))
      asleep:cancel()
      asleep:join()
    end
    os.remove(file)
  end)

  it("end when the waiting task is cancelled", function()
    local client = connect()
    break_path(client, "/busy", 1, "/status", { code = 503, retry_after = 20 })
    local is_over = false
    local pause = task.spawn(function()
      task.sleep(19) -- begins before that of the request
      is_over = true
    end)
    local waiting = task.spawn(function() return client:get("/busy") end)
    assert.is_truthy(expect.eventually(function() return count(client, "/busy") == 1 end))
    waiting:cancel()
    fails({ kind = "cancelled" }, waiting:join())
    assert.is_false(is_over)
    pause:cancel()
    assert.are.equal(1, count(client, "/busy"))
  end)

  it("do not block other requests", function()
    local client = connect { max_inflight = 1 }
    break_path(client, "/busy", 1, "/status", { code = 503, retry_after = 20 })
    local has_ended = false
    local slow = task.spawn(function()
      local _ <close> = setmetatable({}, { __close = function() has_ended = true end })
      return client:get "/busy"
    end)
    expect.happens(function() return count(client, "/busy") == 1 end)
    assert(client:get("/ok"))
    assert.is_false(has_ended)
    slow:cancel()
    fails({ kind = "cancelled" }, slow:join())
  end)

  it("appear in the log", function()
    local client = connect()
    break_path(client, "/shaky", 1, "/drop")
    local run = command.run("--verbose", "-u", server.url, "-e", "assert(require'modalua'.connect():get '/shaky')")
    assert.are.equal(0, run.status, run.err)
    assert.matches("GET http://[%d.:]+/shaky failed", run.err)
    assert.matches("GET http://[%d.:]+/shaky again in %d%.%d+ s %(try 2 of 3%)", run.err)
  end)

  it("come after pauses that double, and that vary: clients that failed together do not retry together", function()
    connect()
    local run = command.run("--verbose", "-u", server.url, "-e", [[
      local client, list = require "modalua".connect(), table.move({}, 1, 32, 1, { n = 32 })
      require "modalua.task".map(list, function() return client:get "/status?code=503" == nil end, { limit = 32 })]])
    assert.are.equal(0, run.status, run.err)
    for try, usual in pairs { [2] = 0.2, [3] = 0.4 } do
      local n, shorter, longer, pauses, different = 0, 0, 0, {}, 0
      for text in run.err:gmatch(("again in (%%d+%%.%%d+) s %%(try %d of 3%%)"):format(try)) do
        local pause = tonumber(text) -- in hundredths of a second
        assert.is_true(pause >= 0.5 * usual - 0.01 and pause <= 1.5 * usual + 0.01, text)
        n, different = n + 1, different + (pauses[text] and 0 or 1)
        shorter, longer = shorter + (pause < usual and 1 or 0), longer + (pause > usual and 1 or 0)
        pauses[text] = true
      end
      assert.are.equal(32, n)
      assert.is_true(shorter > 0 and longer > 0 and different >= 5,
        ("%d shorter, %d longer, %d different"):format(shorter, longer, different))
    end
  end)

  it("must be a whole number", function()
    for _, wrong in ipairs { -1, 1.5, "2", math.huge } do
      expect.throws("option 'retries' must be a whole number, 0 or more", modalua.connect, server.url, { retries = wrong })
    end
  end)
end)

describe("A proxy in front of the server", function()
  local server, client

  setup(function()
    server = faultd.start()
    client = modalua.connect(server.url, { retries = 0 })
  end)

  teardown(function()
    server:close()
  end)

  local function answers(path, route, parameters)
    assert(client:get(faultd.map { path = path }))
    assert(client:get(faultd.map { path = path, to = faultd.route(route, parameters) }))
  end

  it("is named in the error, with advice", function()
    for code, expected in pairs {
      [401] = { "auth", "no_credentials", "user name and a password" }, [403] = { "auth", "forbidden", "does not allow" },
      [413] = { "http", "too_large", "client_max_body_size" }, [502] = { "http", "bad_gateway", "is Orthanc running" },
      [503] = { "http", "unavailable", "at the moment" }, [504] = { "http", "gateway_timeout", "gave up waiting" },
    } do
      answers("/system", "/status", { code = code, type = "text/html", body = "<html><h1>nginx</h1></html>" })
      local err = fails({ kind = expected[1], code = expected[2], status = code }, client:system())
      expect.contains(err.message, expected[3])
    end
  end)

  it("can redirect to a login page, or answer with one", function()
    answers("/system", "/redirect", { code = 302, to = "https://sso.hospital.example/login" })
    local err = fails({ kind = "http", code = "redirect", status = 302 }, client:system())
    expect.contains(err.message, "https://sso.hospital.example/login")
    answers("/modalities/pacs/query", "/status", { code = 200, type = "text/html", body = "<html>Log in</html>" })
    fails({ kind = "decode", code = "not_orthanc" }, client:modality("pacs"):find { Level = "Study" })
    answers("/system", "/status", { code = 200, type = "text/html", body = "<html>Log in</html>" })
    fails({ kind = "decode", code = "not_orthanc", status = 200 }, client:system())
    assert.are.equal("<html>Log in</html>", client:get "/system") -- any route may answer with a page
    answers("/system", "/status", { code = 200, type = "text/html", body = "<head><TITLE>\n Log in &amp; more </TITLE></head></html>" })
    err = fails({ kind = "decode", code = "not_orthanc" }, client:system())
    expect.contains(err.message, 'or another server?; the title of the page is "Log in & more"')
  end)

  it("causes an ordinary failure of a request that moves no data", function()
    for _, code in ipairs { 502, 504 } do
      answers("/instances", "/status", { code = code })
      fails({ kind = "http", status = code, retryable = true }, client:get "/instances")
      answers("/tools/lookup", "/status", { code = code })
      fails({ kind = "http", status = code, retryable = false }, client:post("/tools/lookup", "1.2.3"))
    end
  end)

  it("causes an unknown outcome only of requests that change something", function()
    for path, outcome in pairs {
      ["/instances/x/anonymize"] = { kind = "unknown", code = "http" },
      ["/tools/find"] = { kind = "http", code = "gateway_timeout" },
      ["/modalities/pacs/query"] = { kind = "http", code = "gateway_timeout" },
    } do
      answers(path, "/status", { code = 504, type = "text/html", body = "<html>" })
      fails(outcome, client:post(path, {}))
    end
  end)

  it("causes an unknown outcome of a transfer when it times out, and the transfer is not sent again", function()
    local id = ("12345678-"):rep(4) .. "12345678"
    local QUERY <const> = "12345678-1234-1234-1234-123456789abc"
    local pacs = client:modality "pacs"
    answers("/system", "/status", { code = 200, body = '{"Version":"1.12.7"}' })
    for _, code in ipairs { 502, 504 } do
      assert(client:post("/reset"))
      for path, transfer in pairs {
        ["/modalities/pacs/store"] = function() return pacs:store(id) end,
        ["/modalities/pacs/get"] = function() return pacs:get("Study", { StudyInstanceUID = "1.2" }) end,
        ["/queries/" .. QUERY .. "/retrieve"] = function() return pacs:move(QUERY, { all = true }) end,
        ["/peers/far/store"] = function() return client:peer("far"):store(id) end,
        ["/modalities/pacs/store-straight"] = function() return pacs:store_straight { data = "x" } end,
        ["/instances"] = function() return client:upload { data = "x" } end,
        ["/modalities/pacs/move"] = function()
          local ok, why = pacs:move_resources("Study", { StudyInstanceUID = "1.2" }, { TargetAet = "X" })
          return ok, why
        end,
      } do
        answers("/queries/" .. QUERY .. "/query", "/status", { code = 200, body = "{}" })
        answers("/queries/" .. QUERY .. "/answers", "/status", { code = 200, body = '[{"StudyInstanceUID":"1.2"}]' })
        answers("/queries/" .. QUERY .. "/modality", "/status", { code = 200, type = "text/plain", body = "pacs" })
        answers("/queries/" .. QUERY .. "/level", "/status", { code = 200, type = "text/plain", body = "Study" })
        answers("/jobs", "/status", { code = 200, body = "[]" })
        answers(path, "/status", { code = code, type = "text/html", body = "<html>" })
        fails({ kind = "unknown", status = code, retryable = false }, transfer())
        assert.are.equal(1, assert(client:get("/count", { of = path })), path)
      end
    end
  end)
end)
