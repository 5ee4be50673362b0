-- Tests that a secret is in no text, whatever fails; that no argument changes the request around it; and that no text of a server or of a
-- caller controls a terminal, or takes more than its line in an error. Each part is a table: a new method, or a new way, is a row.
local command = require "spec.support.command"
local doc = require "modalua.doc"
local expect = require "spec.support.expect"
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local modalua = require "modalua"
local served = require "spec.support.served"
local terminal = require "spec.support.terminal"

local contains = expect.contains

local function lacks(text, part, from)
  assert.is_nil(text:find(part, 1, true), ("%q is in %q (%s)"):format(part, text, from))
end

local function answer(path, value)
  return { path = path, to = faultd.route("/status", { code = 200, type = "application/json", body = json.encode(value) }) }
end

-- ---- secrets ----

-- The end of each password, which has characters before it that a careless reader takes for the end of the user's part.
local SECRET <const>, ENCODED <const> = "ter2", "dTpodW50ZXIy" -- the second one is u:hunter2 in Base64

-- Prints all that a script can see of each failure, and ends in an uncaught error.
local SCRIPT <const> = [[
  local modalua = require "modalua"
  local function show(value, depth)
    if type(value) ~= "table" or depth > 5 then return print(value) end
    for key, member in next, value do print(key) show(member, depth + 1) end
  end
  print(io.open("/proc/self/cmdline"):read "a")
  for _, word in pairs(arg or {}) do print(word) end
  local made, client = pcall(%s)
  print(client)
  if not made then error(client, 0) end
  local last
  for _, path in ipairs { "/status?code=401&body={}", "/status?code=500&body=x", "/redirect?code=302&to=/login", "/garbage", "/drop",
      "/short?say=9&send=1", "/status?code=200&type=text/html&body=x", "/hang", "/of-peer" } do
    local value, err = client:get(path)
    if value == nil then
      last = err
      print(err) show(err, 0) print(modalua.json.encode(err))
    end
  end
  error(last)]]

-- What Orthanc can say of a peer.
local OF_PEER <const> = json.encode { HttpStatus = 500, OrthancStatus = 9, Message = "x",
  Details = "http://u:hun/ter2@peer:8042/: refused" }

local OPTIONS <const> = "timeout = 0.15, retries = 0"

local function connect(url, options)
  return ("function() return modalua.connect(%s, { %s, %s }) end"):format(url and ("%q"):format(url) or "nil", OPTIONS, options or "")
end

local FROM_ENVIRONMENT <const> = "function() return modalua.connect { " .. OPTIONS .. " } end"
local FAR <const> = connect "http://orthanc.invalid"
local FAR_TLS <const> = connect "https://orthanc.invalid"

-- { way, how the script connects, environment, options of the command }. HOST is the address of the server.
local WAYS <const> = {
  { "the URL", connect "http://u:hunter2@HOST" },
  { "the URL, encoded", connect "http://u:hun%40ter2@HOST" },
  { "a URL that is none", connect "http://u:hun/ter2@HOST" },
  { "a URL without a scheme", connect "u:hunter2@HOST" },
  { "a URL of another scheme", connect "ftp://u:hunter2@HOST" },
  { "a URL beside other credentials", connect("http://u:hunter2@HOST", "username = 'u', password = 'hunter2'") },
  { "the options username and password", connect("http://HOST", "username = 'u', password = 'hunter2'") },
  { "the option token", connect("http://HOST", "token = 'hunter2'") },
  { "a token with a line end", connect("http://HOST", "token = 'hunter2\\n'") },
  { "a header", connect("http://HOST", "headers = { Authorization = 'Basic " .. ENCODED .. "' }") },
  { "a header with a line end", connect("http://HOST", "headers = { Authorization = 'hunter2\\r\\n' }") },
  { "the option proxy", connect("http://orthanc.invalid", "proxy = 'http://u:hunter2@HOST'") },
  { "a proxy that is none", connect("http://orthanc.invalid", "proxy = 'http://u:hun/ter2@HOST'") },
  { "-u", FROM_ENVIRONMENT, "", "-u http://u:hunter2@HOST" },
  { "-u, not valid", FROM_ENVIRONMENT, "", "-u http://u:hun/ter2@HOST", wrong_use = true },
  { "--url=", FROM_ENVIRONMENT, "", "--url=http://u:hun@ter2@HOST/prefix" },
  { "MODALUA_URL", FROM_ENVIRONMENT, "MODALUA_URL=http://u:hunter2@HOST" },
  { "MODALUA_URL, not valid", FROM_ENVIRONMENT, "MODALUA_URL='http://u:hun ter2@HOST'", wrong_use = true },
  { "MODALUA_PASSWORD", FROM_ENVIRONMENT, "MODALUA_URL=http://HOST MODALUA_USERNAME=u MODALUA_PASSWORD=hunter2" },
  { "MODALUA_PASSWORD without a user", FROM_ENVIRONMENT, "MODALUA_URL=http://HOST MODALUA_PASSWORD=hunter2", wrong_use = true },
  { "MODALUA_TOKEN", FROM_ENVIRONMENT, "MODALUA_URL=http://HOST MODALUA_TOKEN=hunter2" },
  { "the configuration file", FROM_ENVIRONMENT, "XDG_CONFIG_HOME=FOLDER" },
  { "http_proxy", FAR, "http_proxy=http://u:hunter2@HOST" },
  { "http_proxy without a scheme", FAR, "http_proxy=u:hunter2@HOST" },
  { "all_proxy", FAR, "all_proxy=http://u:hunter2@HOST" },
}
-- Proxies that libcurl does not take, each with a password. The variables take turns.
local VARIABLES <const> = { "http_proxy", "https_proxy", "ALL_PROXY" }
for i, proxy in ipairs { "http://u:hun/ter2@HOST", "http://u:hun#ter2@HOST", "http://u:hun?ter2@HOST", "http://u:hun ter2@HOST",
  "u:hunter2@HOST:x", "http://u:hunter2@[HOST", "http://u:hunter2@ho st:1", "ftp://u:hunter2@HOST", "x://u:hunter2@HOST",
  "u:hun'ter2@HOST:1:2", "://u:hunter2@", "u:hun/ter2@HOST" } do
  local variable = VARIABLES[(i - 1) % #VARIABLES + 1]
  WAYS[#WAYS + 1] = { variable .. "=" .. proxy, variable == "https_proxy" and FAR_TLS or FAR, variable .. "=" .. command.quote(proxy) }
end

describe("A secret", function()
  local server, config, host

  setup(function()
    server = faultd.start { { path = "/of-peer", to = faultd.route("/status", { code = 500, type = "application/json", body = OF_PEER }) } }
    host = "127.0.0.1:" .. server.port
    config = served.folder "config"
    assert(os.execute(("mkdir %s/modalua && umask 077 && echo \"return { default = 'x', servers = { x = { url = 'http://%s', "
      .. "username = 'u', password = 'hunter2' } } }\" >%s/modalua/config.lua"):format(config, host, config)))
  end)

  teardown(function()
    server:close()
    os.execute("exec rm -r " .. config)
  end)

  for _, way in ipairs(WAYS) do
    it("from " .. way[1] .. " is in no error, log line, list of processes or traceback", function()
      local function filled(text)
        return (text:gsub("HOST", host):gsub("FOLDER", config))
      end
      local script = command.file(SCRIPT:format(filled(way[2])))
      local result = command.shell(("%s \"$M\" --verbose %s %s"):format(filled(way[3] or ""), filled(way[4] or ""), script))
      os.remove(script)
      assert.are.equal(way.wrong_use and 2 or 1, result.status, result.err)
      contains(result.err, "modalua: ")
      for _, text in ipairs { result.out, result.err } do
        lacks(text, SECRET, way[1])
        lacks(text, ENCODED, way[1])
      end
    end)
  end

  it("in the environment's proxy is sent to the proxy, and an unusable proxy is named by its variable", function()
    local ask = command.quote("print(require 'modalua'.connect('http://orthanc.invalid'):get('/echo').headers['proxy-authorization'])")
    assert.are.equal("Basic " .. ENCODED .. "\n", command.shell("http_proxy=http://u:hunter2@" .. host .. " \"$M\" -e " .. ask).out)
    local fail = command.quote("print(require 'modalua'.connect('http://orthanc.invalid'):get('/echo'))")
    contains(command.shell("http_proxy=http://u:hun/ter2@h \"$M\" -e " .. fail).out, "http_proxy is not a valid URL; write it as http://")
    contains(command.shell("http_proxy=http://u:hun/ter2@h no_proxy='*' \"$M\" -e " .. fail).out, "Could not resolve host: orthanc.invalid")
  end)

  it("in a line at the prompt is not in the history", function()
    local folder = served.folder "history"
    local lines = { "x = { password = 'hunter2' }", "x = { passwort = 'hunter2' }", "x = 'https://u:hun/ter2@host/'",
      "x = 'http://u:hun ter2@h'",
      "x = { Token = 'hunter2' }", "x = { headers = { authorization = 'hunter2' } }", "x = { '/peers/x', { 'http://h', 'u', 'hunter2' } }",
      "x = { proxy = 'socks5://u:hun\"ter2@h' }", "x = { proxy = 'u:hunter2@h' }" }
    local steps = {}
    for i, line in ipairs(lines) do
      steps[i] = { line .. "\r" }
    end
    steps[#steps + 1] = { "x = 'fine'\r" }
    terminal.session({ environment = "MODALUA_HISTORY=" .. folder .. "/history", columns = 200 }, steps)
    local kept = served.output_of("exec cat " .. folder .. "/history")
    os.execute("exec rm -r " .. folder)
    assert.are.equal("x = 'fine'\n", kept)
  end)
end)

-- ---- arguments ----

local ID <const> = "12345678-1234-1234-1234-123456789abc"

-- { method, then a function (client, text, folder) for each string argument }
local ARGUMENTS <const> = {
  { "client:get", function(c, s) return c:get("/echo/" .. s) end, function(c, s) return c:get("/echo", { [s] = 1 }) end,
    function(c, s) return c:get("/echo", { key = s }) end },
  { "client:post", function(c, s) return c:post("/echo/" .. s, {}) end, function(c, s) return c:post("/echo", { [s] = s }) end,
    function(c, s) return c:post("/echo", s) end },
  { "client:put", function(c, s) return c:put("/echo/" .. s, {}) end, function(c, s) return c:put("/echo", s) end },
  { "client:delete", function(c, s) return c:delete("/echo/" .. s) end, function(c, s) return c:delete("/echo", { [s] = s }) end },
  { "client:download", function(c, s, folder) return c:download("/echo/" .. s, folder .. "/x") end,
    function(c, s, folder) return c:download("/echo", folder .. "/x", { query = { [s] = s } }) end,
    function(c, s, folder) return c:download("/echo", folder .. "/" .. s:gsub("/", "_")) end },
  { "client:upload", function(c, s) return c:upload(s) end, function(c, s) return c:upload { data = s } end },
  { "client:modality", function(c, s) return c:modality(s):echo() end },
  { "client:peer", function(c, s) return c:peer(s):system() end },
  { "client:query", function(c, s) return c:query(s):level() end },
  { "client:job", function(c, s) return c:job(s):status() end, function(c, s) return c:job({ ID = s }):status() end },
  { "client:commitment", function(c, s) return c:commitment(s):status() end },
  { "client:find", function(c, s) return c:find { Level = s, Query = {} } end,
    function(c, s) return c:find { Level = "Study", Query = { [s] = "" } } end,
    function(c, s) return c:find { Level = "Study", Query = { PatientID = s } } end },
  { "client:changes", function(c, s) return c:changes { type = s }() end },
  { "modality:find", function(c, s) return c:modality "pacs":find { Level = s, Query = {} } end,
    function(c, s) return c:modality "pacs":find { Level = "Study", Query = { [s] = "x" } } end,
    function(c, s) return c:modality "pacs":find { Level = "Study", Query = { PatientID = s } } end,
    function(c, s) return c:modality "pacs":find({ Level = "Study", Query = { PatientID = "x" } }, s) end,
    function(c, s) return c:modality "pacs":find { Level = "Study", Query = { PatientID = "x" }, keep = { s } } end,
    function(c, s) return c:modality "pacs":find { Level = "Study", Query = { PatientID = "x" }, [s] = true } end },
  { "modality:get_query_answers", function(c, s) return c:modality "pacs":get_query_answers(s) end },
  { "modality:move", function(c, s) return c:modality "pacs":move(s) end, function(c, s) return c:modality "pacs":move(ID, { to = s }) end,
    function(c, s) return c:modality "pacs":move(ID, { TargetAet = s }) end },
  { "modality:get", function(c, s) return c:modality "pacs":get(s, { StudyInstanceUID = "1.2" }) end,
    function(c, s) return c:modality "pacs":get("Study", { StudyInstanceUID = s }) end },
  { "modality:store", function(c, s) return c:modality "pacs":store(s) end,
    function(c, s) return c:modality "pacs":store(ID, { MoveOriginatorAet = s }) end },
  { "modality:store_straight", function(c, s) return c:modality "pacs":store_straight(s) end },
  { "modality:configure", function(c, s) return c:modality "new":configure { AET = s, Host = s, Port = 104, create = true } end },
  { "modality:find_worklist", function(c, s) return c:modality "pacs":find_worklist { PatientID = s } end,
    function(c, s) return c:modality "pacs":find_worklist { [s] = "" } end },
  { "modality:storage_commitment", function(c, s) return c:modality "pacs":storage_commitment { s } end },
  { "modality:find_each", function(c, s) return c:modality "pacs":find_each(s, { "1" }) end,
    function(c, s) return c:modality "pacs":find_each("PatientID", { s }) end },
  { "modality:find_all", function(c, s) return c:modality "pacs":find_all { Level = "Study", Query = { PatientID = s } }() end },
  { "modality:studies", function(c, s) return c:modality "pacs":studies(s) end },
  { "modality:series", function(c, s) return c:modality "pacs":series(s) end },
  { "modality:instances", function(c, s) return c:modality "pacs":instances(s) end },
  { "modality:move_resources", function(c, s) return c:modality "pacs":move_resources(s, { StudyInstanceUID = "1.2" }) end,
    function(c, s) return c:modality "pacs":move_resources("Study", { StudyInstanceUID = s }) end },
  { "peer:store", function(c, s) return c:peer "far":store(s) end },
  { "peer:configure", function(c, s)
    return c:peer "new":configure { Url = "http://" .. s, Username = s, Password = s, create = true }
  end },
  { "modalua.connect", function(c, s) return modalua.connect(c.url .. "/" .. s):get "/echo" end,
    function(c, s) return modalua.connect(c.url, { username = s, password = s }):get "/echo" end,
    function(c, s) return modalua.connect(c.url, { token = s }):get "/echo" end,
    function(c, s) return modalua.connect(c.url, { headers = { ["X-A"] = s } }):get "/echo" end,
    function(c, s) return modalua.connect(c.url, { headers = { [s] = "x" } }):get "/echo" end,
    function(c, s) return modalua.connect("http://orthanc.invalid", { proxy = c.url:gsub("//", "//" .. s .. ":x@") }):get "/echo" end },
  { "modalua.Modality", function(c, s) return modalua.Modality(c.own, s):echo() end },
}

-- Methods of these objects that take no string, but in tables of options that other rows have.
local WITHOUT_STRINGS <const> = { "client:system", "client:modalities", "client:peers", "client:queries", "client:jobs",
  "client:default_encoding", "client:use_utf8",
  "modality:echo", "modality:configuration", "modality:remove", "peer:system", "peer:configuration", "peer:remove",
  "query:answers", "query:move", "query:level", "query:modality", "query:close", "job:status", "job:wait", "job:cancel", "job:pause",
  "job:resume", "job:resubmit", "commitment:status", "commitment:wait", "commitment:remove", "found:close" }

local TEXTS <const> = {
  { "CR LF", "x\r\nX-Injected: yes\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n" },
  { "NUL", "cut\0more" },
  { "..", "../../injected" },
  { "100 KB", ("x"):rep(100000) },
}

-- What a request head must never show, whatever the argument is. `is_path`: the argument is a path or a part of a URL, which stays.
local function check_head(head, is_path, from)
  assert.are.equal("string", type(head), from) -- null: it is not UTF-8
  assert.is_truthy(head:find "^%u+ /%S* HTTP/1%.1\r\n" or head:find "^%u+ http://%S* HTTP/1%.1\r\n", from .. ": " .. head:sub(1, 200))
  assert.is_nil(head:lower():find("\nx-injected", 1, true), from)
  assert.is_nil(head:find("^GET /smuggled"), from)
  assert.is_nil(head:find("%z"), from)
  assert.is_nil(head:gsub("cut%%00more", ""):find("cut", 1, true), from .. ": " .. head:sub(1, 200))
  if not is_path then
    assert.is_nil(head:match("^[^\r?]*"):find("/../", 1, true), from)
  end
end

describe("An argument", function()
  local server, client, folder

  setup(function()
    server = faultd.start { answer("/modalities/pacs/query", { ID = ID, Path = "/queries/" .. ID }),
      answer("/system", { Version = "1.12.7" }) }
    client = modalua.connect(server.url, { retries = 0 })
    folder = served.folder "arguments"
  end)

  teardown(function()
    server:close()
    os.execute("exec rm -r " .. folder)
  end)

  it("is tried for each method that takes a string", function()
    local known = {}
    for _, name in ipairs(WITHOUT_STRINGS) do
      known[name] = true
    end
    for _, row in ipairs(ARGUMENTS) do
      known[row[1]] = true
    end
    for _, row in ipairs(doc.rows()) do
      local object, method = row.signature:match "^(%l+:)([%w_]+)"
      if object and object ~= "task:" then
        assert.is_true(known[object .. method], "spec/injection_spec.lua has no row for " .. object .. method)
      end
    end
  end)

  for _, text in ipairs(TEXTS) do
    it("with " .. text[1] .. " changes no request around it, and no error gets a second line", function()
      local target = setmetatable({ url = server.url, own = client }, { __index = function(_, name)
        return function(_, ...) return client[name](client, ...) end
      end })
      local requests = 0
      for _, row in ipairs(ARGUMENTS) do
        for i = 2, #row do
          assert(client:get "/reset")
          local results = table.pack(pcall(row[i], target, text[2], folder))
          local from = ("argument %d of %s"):format(i - 1, row[1])
          for _, result in ipairs { results[2], results[3] } do
            if type(result) == "string" and not results[1] or modalua.is_error(result) then
              local message = tostring(result) .. (modalua.is_error(result) and result.message or "")
              assert.is_nil(message:find "[%c\x7f]" or message:find "traceback" or message:find "attempt to",
                from .. ": " .. message:sub(1, 300))
            end
          end
          for _, head in ipairs(assert(client:get "/heads")) do
            requests = requests + 1
            check_head(head, row[1] == "modalua.connect" or row[1]:find "^client:%l+$" and i == 2, from)
          end
        end
      end
      assert.is_true(requests > 10) -- the table does reach the server
    end)
  end
end)

-- ---- texts of a server and of a caller, on a terminal ----

-- Would set the title of the window, change the colour by a control of C1, and change the direction of writing.
local EVIL <const> = "A\27]0;owned\7B\u{9B}31mC\u{202E}D"
local SHOWN <const>, SHOWN_JSON <const> = "A\\x1B]0;owned\\x07B\\u{009B}31mC\\u{202E}D", "A\\u001b]0;owned\\u0007B\\u009b31mC\\u202eD"
local QUOTED <const> = ("%q"):format(EVIL)
local EVIL_PARTS <const> = { "\27]0;owned", "\7B", "\u{9B}", "\u{202E}" }

local function assert_harmless(text, from)
  for _, part in ipairs(EVIL_PARTS) do
    lacks(text, part, from)
  end
end

describe("A text of a server or of a caller", function()
  local server

  setup(function()
    server = faultd.start {
      answer("/modalities", { [EVIL] = { AET = EVIL, Host = EVIL, Port = 104, Manufacturer = EVIL } }),
      answer("/jobs", { { ID = EVIL, Type = EVIL, State = "Failure", Progress = 1, ErrorDescription = EVIL,
        CreationTime = "20240101T000000", Timestamp = "20240101T000001", Content = { Description = EVIL } } }),
      { path = "/broken", to = faultd.route("/status", { code = 500, type = "application/json",
        body = json.encode { HttpStatus = 500, OrthancStatus = 9, Message = EVIL, Details = EVIL } }) },
    }
  end)

  teardown(function()
    server:close()
  end)

  -- Runs the command with these arguments, in the syntax of the shell, on a terminal. Returns all that it wrote there, and its status.
  local function on_terminal(arguments, steps, environment)
    local raw = os.tmpname()
    local _, status, err = terminal.run({ columns = 1000, arguments = "-u " .. server.url .. " " .. arguments,
      environment = ("NO_COLOR=1 LC_CTYPE=C.UTF-8 TERMINAL_RAW=%s %s"):format(raw, environment or "") }, steps or {})
    local file <close> = assert(io.open(raw, "rb"))
    local text = file:read "a"
    os.remove(raw)
    assert.are.equal("", err)
    return text, status
  end

  -- { name, arguments of the command, what is shown instead, its exit status }
  local runs = {
    { "in a table", "modalities", SHOWN, 0 },
    { "in a table of jobs", "jobs", SHOWN, 0 },
    { "in JSON", "modalities --json", SHOWN_JSON, 0 },
    { "in CSV", "modalities --csv", SHOWN, 0 },
    { "in an error of a verb", "echo --timeout 1", SHOWN, 1 },
    { "in an uncaught error", "-e " .. command.quote "assert(require 'modalua'.connect():get '/broken')", "500", 1 },
    { "in an uncaught string", "-e " .. command.quote("error(" .. QUOTED .. ")"), SHOWN, 1 },
    { "in an error of a task", "-W -e " .. command.quote("require 'modalua.task'.spawn(error, " .. QUOTED .. ", 0)"), SHOWN, 1 },
    { "in a warning", "-W -e " .. command.quote("warn(" .. QUOTED .. ")"), SHOWN, 0 },
    { "in a name of a modality", "find " .. command.quote(EVIL), SHOWN, 2 },
    { "in a tag", "find pacs " .. command.quote(EVIL .. "=1"), SHOWN, 1 },
    { "in an option of a verb", "find pacs " .. command.quote("--" .. EVIL), SHOWN, 2 },
    { "in an option", command.quote("--" .. EVIL), SHOWN, 2 },
    { "in the name of a script", command.quote("/" .. EVIL), SHOWN, 1 },
    { "in an option of connect", "-e " .. command.quote("require 'modalua'.connect { [" .. QUOTED .. "] = 1 }"), SHOWN, 1 },
    { "in a progress bar", "-e " .. command.quote("require 'modalua'.bar { op = " .. QUOTED .. ", state = 'Running', seconds = 1 }"),
      SHOWN, 0 },
    { "in the log", "--verbose -e " .. command.quote("require 'modalua'.connect():get('/' .. " .. QUOTED .. ")"), "404", 0 },
  }
  for _, run in ipairs(runs) do
    it(run[1] .. " does not control the terminal", function()
      local text, status = on_terminal(run[2])
      assert_harmless(text, run[2])
      contains(text, run[3])
      assert.are.equal(run[4], status, text)
    end)
  end

  it("in lines for other programs does not control the terminal on which they end", function()
    local result = command.shell(('"$M" -u %s modalities'):format(server.url))
    assert_harmless(result.out, "modalities")
    contains(result.out, SHOWN)
  end)

  it("stays as it is in JSON and CSV for other programs", function()
    local result = command.shell(('"$M" -u %s modalities --json'):format(server.url))
    assert.are.equal(EVIL, assert(json.decode(result.out))[1].aet)
    contains(command.shell(('"$M" -u %s modalities --csv'):format(server.url)).out, "," .. EVIL .. ",")
  end)

  it("at the prompt does not control the terminal, in any mode", function()
    local text = on_terminal("", {
      { wait = "> " }, { send = "rows = orthanc:get '/modalities'; t = { [1] = { name = rows[next(rows)].AET } };\r" }, { wait = "\n> " },
      { send = "t\r" }, { wait = "1 row" }, { wait = "\n> " },
      { send = ".mode json\r" }, { wait = "\n> " }, { send = "t\r" }, { wait = SHOWN_JSON }, { wait = "\n> " },
      { send = ".mode lua\r" }, { wait = "\n> " }, { send = "t\r" }, { wait = SHOWN }, { wait = "\n> " },
      { send = "rows[next(rows)]\r" }, { wait = SHOWN }, { wait = "\n> " },
      { send = "orthanc:get '/broken'\r" }, { wait = "500" }, { wait = "\n> " },
      { send = "error(t[1].name, 0)\r" }, { wait = SHOWN }, { wait = "\n> " },
      { send = "error { t[1].name }\r" }, { wait = SHOWN }, { wait = "\n> " },
      { send = "pp(t[1].name)\r" }, { wait = SHOWN }, { wait = "\n> " },
      { send = "\4" } })
    assert_harmless(text, "the prompt")
  end)

  it("is not offered by TAB when it is no name that modalua can use", function()
    local names = [["pacs1", "pacs2", "pa\27]0;owned\7B", "pa\u{202E}", "pa\34 os.exit(77) --"]]
    local remember = "require 'modalua.completion'.remember(orthanc, { " .. names .. " })\r"
    local text, status = on_terminal("", { { wait = "> " }, { send = remember }, { wait = "\n> " },
      { send = 'x = orthanc:modality "p\t' }, { wait = 'modality "pacs' }, { send = "\t" }, { wait = "pacs1" }, { wait = "pacs2" },
      { send = '1"\r' }, { wait = "\n> " }, { send = "x\r" }, { wait = "modalua.Modality (pacs1)" }, { wait = "\n> " }, { send = "\4" } })
    assert_harmless(text, "TAB")
    lacks(text, "modality \"pa\" os.exit", "TAB")
    assert.are.equal(0, status)
  end)

  it("is one line of an error, whatever the caller gave", function()
    local lines = "two\nlines\r\n\27[2J"
    local own <close> = faultd.start { answer("/modalities", { pacs = { AET = "PACS", Host = "127.0.0.1", Port = 104 } }) }
    for _, words in ipairs { { "find", lines }, { "find", "pacs", lines .. "=1" }, { "find", "pacs", "-L", lines },
      { "find", "pacs", "--" .. lines },
      { "echo", lines }, { "echo", "--timeout", lines }, { "move", "pacs", "--to", lines, "PatientID=1" }, { "/nosuch/" .. lines },
      { "--" .. lines } } do
      local result = command.run("-u", own.url, table.unpack(words))
      contains(result.err, "two\\nlines\\r\\n\\x1B[2J")
      assert.is_nil(result.err:find("[\r\27]"), result.err)
      assert.is_nil(result.err:find("\nlines", 1, true), result.err)
    end
  end)
end)

-- ---- verbs, and answers that they cannot use ----

describe("A verb", function()
  -- Starts a server with these answers, runs the verb with it, and returns the result of command.run.
  local function run(answers, ...)
    local mappings = {}
    for path, value in pairs(answers) do
      mappings[#mappings + 1] = answer(path, value)
    end
    local server <close> = faultd.start(mappings)
    return command.run("-u", server.url, ...)
  end

  it("goes on beside a modality that it cannot name", function()
    local settings = { AET = "X", Host = "127.0.0.1", Port = 104 }
    local names = { ("n"):rep(64), ("n"):rep(200), "a/b", "a b", "Müller", "..", "" }
    local modalities = { good = settings, better = settings }
    for _, name in ipairs(names) do
      modalities[name] = settings
    end
    local result = run({ ["/modalities"] = modalities, ["/modalities/good/echo"] = {}, ["/modalities/better/echo"] = {} }, "echo", "--json")
    assert.are.equal(1, result.status)
    local outcomes = {}
    for _, row in ipairs(assert(json.decode(result.out))) do
      outcomes[row.name] = row.answers
    end
    local expected = { good = true, better = true }
    for _, name in ipairs(names) do
      expected[name] = false
      contains(result.err, "modalua: " .. name .. ": it was not asked")
    end
    assert.are.same(expected, outcomes)
  end)

  it("counts a job that waits for its next try, and passes over those without a state", function()
    local jobs = json.array { { ID = "a", State = "Retry" }, { ID = "b", State = "Pending" }, { ID = "c" }, { ID = "d", State = { 1 } } }
    local result = run({ ["/system"] = { Version = "1.12.7" }, ["/tools/default-encoding"] = "Utf8", ["/modalities"] = {},
      ["/jobs"] = jobs }, "check", "--json")
    local details = {}
    for _, row in ipairs(assert(json.decode(result.out), result.err)) do
      details[row.check] = row.detail
    end
    assert.are.equal("0 running, 2 waiting, 0 failed", details.jobs, result.out)
  end)

  it("never ends in a traceback because of what a server said", function()
    local odd = { json.null, 7, "x", { { 1 } }, { x = { 1 } }, { { ID = 1, Content = 7 } },
      { { ID = "x", Content = { RemoteAet = { 1 }, TargetAet = { 2 } }, Type = "DicomMoveScu", CreationTime = 1 }, { ID = 2 } },
      { pacs = { AET = { 1 }, Host = { 1 }, Port = { 1 } } }, { pacs = { AET = 1, Host = 1, Port = 1.5 } } }
    for _, value in ipairs(odd) do
      local answers = {}
      for _, path in ipairs { "/modalities", "/jobs", "/queries", "/system", "/modalities/pacs/query", "/modalities/pacs/echo",
        "/tools/default-encoding", "/modalities/pacs/configuration", "/modalities/pacs/find-worklist", "/changes", "/tools/find",
        "/modalities/pacs/store", "/modalities/pacs/storage-commitment", "/jobs/4f5ec3d6-3b2c-4b8e-9c9a-1f4a6a0f3c55" } do
        answers[path] = value
      end
      for _, words in ipairs { { "echo" }, { "modalities" }, { "jobs" }, { "queries" }, { "find", "pacs", "PatientID=1" },
        { "move", "pacs", "--to", "pacs", "PatientID=1" }, { "check" }, { "configure", "pacs" }, { "configure", "pacs", "Port=1" },
        { "worklist", "pacs" }, { "follow", "--once" }, { "store", "pacs", "PatientID=1" },
        { "commit", "pacs", "PatientID=1", "--no-wait" },
        { "job", "4f5ec3d6-3b2c-4b8e-9c9a-1f4a6a0f3c55" }, { "download", "1.2.3", "/tmp/none" } } do
        local result = run(answers, table.unpack(words))
        local from = ("%s, with %s: %s"):format(words[1], json.encode(value), result.err)
        for _, part in ipairs { "traceback", "attempt to", "bad argument", ".lua:" } do
          lacks(result.err, part, from)
        end
        assert.is_true(result.status == 0 or #result.err > 0, from)
      end
    end
  end)
end)
