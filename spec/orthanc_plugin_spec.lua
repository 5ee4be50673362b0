-- Tests the plugin for Orthanc (src/orthanc_plugin) inside each Orthanc: the scripts, their limits, the way to the server from inside,
-- changes, routes, configuration, and the end of the server.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local json = require "modalua.json"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local plugin = require "spec.support.plugin"
local samples = require "modalua.samples"
local served = require "spec.support.served"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local contains, fails, happens = expect.contains, expect.fails, expect.happens

-- A script that does the same inside the server and outside, and prints it.
local SAME <const> = [[
local modalua, json = require "modalua", require "modalua.json"
local orthanc = modalua.connect()
local function show(name, value, err)
  if err then
    value = { kind = err.kind, code = err.code, status = err.status, path = err.path }
  elseif type(value) == "table" and value.IsStable ~= nil then
    value = value.ID
  end
  print(name, json.encode(value))
end
local study = orthanc:get("/studies")[1]
show("system", orthanc:system().Version)
show("studies", #orthanc:get "/studies")
show("query", #orthanc:get("/studies", { expand = true, limit = 2, since = 0 }))
show("find", #orthanc:find { Level = "Study", Query = { PatientID = "*" } })
show("missing", orthanc:get "/studies/nope")
show("no route", orthanc:get "/nope/nope")
show("bad request", orthanc:post("/tools/find", { Level = "Nonsense", Query = json.object {} }))
show("put", orthanc:put("/studies/" .. study .. "/metadata/1025", "text"))
show("get text", orthanc:get("/studies/" .. study .. "/metadata/1025"))
show("delete", orthanc:delete("/studies/" .. study .. "/metadata/1025"))
show("deleted", orthanc:get("/studies/" .. study .. "/metadata/1025"))
local path = os.tmpname()
show("download", (orthanc:download("/instances/" .. orthanc:get("/instances")[1] .. "/file", path) or 0) > 100)
show("upload", orthanc:upload(path).Status)
os.remove(path)
show("modalities", orthanc:modalities())
show("found", #assert(orthanc:modality "archive":find { Level = "Study", Query = { PatientID = "A*" } }))
show("echo", orthanc:modality "archive":echo())
show("encoded", orthanc:get("/%73tudies/%6eope"))
show("refused", orthanc:modality "nobody":echo())
show("unknown modality", orthanc:modality "missing":find { Level = "Study", Query = { PatientID = "1" } })
show("sent", orthanc:modality "archive":store(study, { verify = true }).verified)
]]

-- Writes the Seq of each change into a file. Without the plugin, a poll an hour later would come too late for this spec.
local FOLLOW <const> = [[
local file = io.open("FOLDER/seen", "a")
for change in require "modalua".connect():changes { follow = true, interval = 3600 } do
  file:write(change.Seq, "\n")
  file:flush()
end
]]

local SCRIPTS <const> = {
  well = "print 'I am well'",
  migrating = "function OnStoredInstance() end IncomingFindRequestFilter = print OnHeartBeat = 5 "
    .. "print(pcall(require 'modalua'.host.filter, 'ReceivedInstance', print))",
  failing = "error 'I fail'",
  leaving = "os.exit(3)",
  throwing = "error { message = 'I throw', code = 5 }",
  looping = "while true do end",
  bursting = { source = "while true do end", BurstLimit = 0.1 },
  long = { source = "require 'modalua.task'.sleep(60)", TimeLimit = 0.1 },
  eating = { source = "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", MemoryLimit = "20M" },
  boxed = { source = [[
local modalua = require "modalua"
local orthanc = modalua.connect()
print(io, orthanc:system().Name, pcall(modalua.connect, "http://127.0.0.1:1"))
print("stop", pcall(orthanc.post, orthanc, "/modalua/scripts/well/stop", {}))
print("stop", pcall(orthanc.post, orthanc, "/%6Dodalua/scripts/well/stop", {}))
]], Sandbox = true },
  hostile = "print 'a\\27[2J\\r\\u{202E}\\u{2028}\\u{061C}\\255\\u{9B}é\\tz' print(('é'):rep(1001)) print(('\\x80'):rep(1001))",
  arguments = { source = "print('got', ...)", Arguments = { "a", "b c" } },
  often = { source = "local f <close> = io.open('FOLDER/often', 'a') f:write 'x\\n'", Every = "1s" },
  later = { source = "", At = "04:30", Days = { "Mon", "Thu" } },
  elsewhere = { source = "", At = "23:59", TimeZone = "Pacific/Kiritimati" }, -- 14 hours before UTC
  follow = FOLLOW,
  events = [[
local host = require "modalua".host
local task = require "modalua.task"
local next_event = host.events()
print "listens"
for event in next_event do
  print(event.Type, event.Level, event.ID)
  if event.Type == "UpdatedPeers" then break end
end
task.spawn(function() print("older", pcall(host.events())) end)
task.sleep(0) -- it waits
for event in host.events() do print("again", event.Type) end]],
  same = { source = SAME, At = "04:30" }, -- it is started by hand, when the studies are there
  routes = { MemoryLimit = "8M", source = [[
local host = require "modalua".host
host.route("/hello", function(request) return { method = request.method, x = request.query.x, name = host.name } end)
host.route("/bytes", function(request) return request.body .. "\0\255", { type = "application/octet-stream" } end)
host.route("/made", function() return "made", { status = 201 } end)
host.route("/failing", function() error "the route fails" end)
host.route("/nan", function() return { 0 / 0 } end)
host.route("/object", function() error { message = "an object is thrown" } end)
host.route("/table", function() error {} end)
host.route("/tostring", function() error(setmetatable({}, { __tostring = error })) end)
host.route("/fields", function() return nil, { kind = "disk", code = 28, message = "the disk is full" } end)
host.route("/large", function(request) return #request.body end)
host.route("/missing", function() return require "modalua".connect():get "/studies/nope" end)
host.route("/status", function(request) return "x", { status = tonumber(request.query.x) } end)
local orthanc, task, met = require "modalua".connect(), require "modalua.task", 0
host.route("/meet", function()
  met = met + 1
  while met < 4 do task.sleep(0.01) end
  return met
end)
host.route("/burst", function()
  local results = task.map({ 1, 2, 3, 4 }, function() return (orthanc:get "/modalua/routes/routes/meet") end)
  return { table.unpack(results) }
end)
host.route("/conflict", function()
  local _, err = orthanc:get "/modalua/routes/routes/status?x=409"
  return { status = err.status, kind = err.kind }
end)
host.route("/late", function() print "late begins" task.sleep(1000) end)
host.route("/inside", function() return require "modalua".connect():get "/modalua/routes/routes/hello?x=inside" end)
]] },
}

-- For the LuaScripts of a server, which looks for files beside its configuration.
local FIND_FILTER <const> = served.output_of("pwd"):match "[^\n]+" .. "/src/orthanc_plugin/modalua_find_filter.lua"

-- The next moment at that time of the day which is a Monday or a Thursday.
local function next_time(hour, min)
  local now = os.date "*t"
  for day = 0, 7 do
    local t = os.time { year = now.year, month = now.month, day = now.day + day, hour = hour, min = min }
    local weekday = os.date("%w", t)
    if t > os.time() and (weekday == "1" or weekday == "4") then
      return os.date("!%Y-%m-%dT%H:%M:%SZ", t)
    end
  end
end

for _, version in ipairs(versions) do
  describe("The plugin in Orthanc " .. version.name, function()
    local other, server, client

    setup(function()
      other = orthanc.start { binary = version.binary, aet = "ARCHIVE",
        extra = { DicomAlwaysAllowStore = true, DicomAlwaysAllowFind = true, DicomAlwaysAllowEcho = true } }
      server = plugin.start(version, { aet = "HERE", scripts = SCRIPTS, settings = { AllowExecute = true, RouteTimeLimit = 120 },
        modalities = { archive = other:modality(), nobody = { "NOBODY", "127.0.0.1", 1 } },
        extra = { StableAge = 3600, LuaScripts = { FIND_FILTER }, DicomAlwaysAllowFind = true, DicomCheckCalledAet = false } })
      client = server.client
      assert(samples.store(client))
    end)

    teardown(function()
      server:close()
      other:close()
    end)

    it("runs a script that ends well once", function()
      happens(function() return server:is("well", "done") end)
      assert.are.equal("starts\nI am well\nhas ended well\n", server:log_of "well")
      assert.are.equal(0, server:state("well").Restarts)
      happens(function() return server:is("arguments", "done") end)
      contains(server:log_of "arguments", "got\ta\tb c\n")
      happens(function() return server:is("hostile", "done") end)
      contains(server:log_of "hostile", "\na\\x1B[2J\\r\\u{202E}\\u{2028}\\u{061C}\\xFF\\u{009B}é\tz\n")
      contains(server:log_of "hostile", ("\n%s\n%s\n%s\n"):format(("é"):rep(499), ("é"):rep(499), ("é"):rep(3)))
      contains(server:log_of "hostile", ("\n%s\n%s\n"):format(("\\x80"):rep(999), ("\\x80"):rep(2)))
      happens(function() return server:is("migrating", "done") end)
      local told = server:log_of "migrating"
      contains(told, "defines the function OnStoredInstance, which Orthanc's own Lua would call, and this plugin does not call")
      contains(told, "defines the function IncomingFindRequestFilter, ")
      assert.is_nil(told:find "OnHeartBeat")
      contains(told, "the server does not ask for 'ReceivedInstance', as the setting Filters of this script does not name it")
    end)

    it("starts a script that fails again, later each time, and says why it failed", function()
      happens(function() return server:state("failing").Restarts >= 2 end)
      contains(server:state("failing").LastError, "failing.lua:1: I fail")
      contains(server:log_of "failing", "failed, and is started again in 1 s: ")
      contains(server:log_of "failing", "failed, and is started again in 2 s: ")
      contains(happens(function() return server:state("leaving").LastError end), "os.exit(3)")
      assert.are.equal("I throw (code 5)", happens(function() return server:state("throwing").LastError end))
      contains(server:log_of "throwing", "failed, and is started again in 1 s: I throw (code 5)\n")
    end)

    it("ends scripts at their limits, and others go on", function()
      for name, reason in pairs { bursting = "without a wait", long = "longer than 0.1 s", eating = "memory" } do
        local state = happens(function()
          local now = server:state(name)
          return now.Restarts > 0 and now
        end)
        contains(state.LastError, reason)
      end
      assert.is_true(server:is("looping", "running"))
      assert.are.equal(json.null, server:state("looping").Memory)
      assert(server:act("looping", "stop"))
      happens(function() return server:is("looping", "stopped") end)
    end)

    it("answers C-FIND requests when modalua_find_filter.lua is there, and no script has the filter", function()
      local find <const> = "env TCP_NODELAY=1 findscu -v -S -k QueryRetrieveLevel=STUDY -k StudyInstanceUID 127.0.0.1 %d 2>&1; true"
      local found = served.output_of(find:format(server.dicom_port))
      assert.are.equal(#client:get "/studies", select(2, found:gsub("Find Response: %d", "")))
    end)

    it("keeps a script in its sandbox", function()
      happens(function() return server:is("boxed", "done") end)
      contains(server:log_of "boxed", "nil\tHERE\tfalse\t")
      assert.are.equal(2, select(2, server:log_of("boxed"):gsub("stop\tfalse\t[^\n]*sandbox", "")))
    end)

    it("starts scripts at their times", function()
      happens(function() return #server:lines "often" >= 2 end)
      assert.are.equal(next_time(4, 30), server:state("later").NextStart)
      assert.are.equal("waiting", server:state("later").State)
      contains(server:state("elsewhere").NextStart, "T09:59:00Z")
    end)

    it("gives a script the same inside the server as outside", function()
      assert(server:act("same", "start"))
      local inside = happens(function() return server:log_of("same"):match "^starts\n(.*)has ended well\n" end)
      local outside = command.run("--url", server.url, server:path "same")
      assert.are.equal("", outside.err)
      assert.are.equal(outside.out, (("\n" .. inside):gsub("\n%u+ http://[^\n]*", ""):sub(2)))
    end)

    it("tells a script of changes without polling, and goes on where it was after a stop and after a crash of the server", function()
      local function last()
        return assert(client:get("/changes", { last = true })).Last
      end
      local function all_seen()
        local seen = server:lines "seen"
        return tonumber(seen[#seen] or 0) == last() and seen
      end
      happens(function() return #server:lines "seen" > 0 and all_seen() end)
      local study = assert(client:get "/studies")[1]
      local function change(value)
        return assert(client:put("/studies/" .. study .. "/metadata/1024", value))
      end
      change "live"
      happens(all_seen)
      assert(server:act("follow", "stop"))
      happens(function() return server:is("follow", "stopped") end)
      change "while it was stopped"
      assert(server:act("follow", "start"))
      happens(all_seen)
      server:stop "KILL"
      server:start_again()
      happens(function() return server:is("follow", "running") end)
      change "after the crash"
      local seen = happens(all_seen)
      for i = 2, #seen do
        assert.are.equal(tonumber(seen[i - 1]) + 1, tonumber(seen[i]))
      end
    end)

    it("tells a script of jobs, deletions and new lists of modalities and peers", function()
      happens(function() return server:log_of("events"):find "listens" end)
      local study = client:get("/studies")[1]
      local job = assert(client:post(("/studies/%s/anonymize"):format(study), { Asynchronous = true }))
      happens(function() return server:log_of("events"):find("JobSuccess\tnil\t" .. job.ID, 1, true) end)
      contains(server:log_of "events", "JobSubmitted\tnil\t" .. job.ID)
      local path = assert(client:get("/jobs/" .. job.ID)).Content.Path
      assert(client:delete(path))
      happens(function() return server:log_of("events"):find("Deleted\tStudy\t" .. path:match "[^/]+$", 1, true) end)
      assert(client:put("/modalities/more", { AET = "MORE", Host = "127.0.0.1", Port = 1 }))
      happens(function() return server:log_of("events"):find("UpdatedModalities\tnil\t") end)
      assert(client:put("/peers/more", { Url = "http://127.0.0.1:1" }))
      happens(function() return server:log_of("events"):find "UpdatedPeers" end)
      happens(function() return server:log_of("events"):find "older\tfalse\t[^\n]*a newer loop over host.events%(%) gets the events" end)
      assert(client:put("/peers/more", { Url = "http://127.0.0.1:2" }))
      happens(function() return server:log_of("events"):find "again\tUpdatedPeers" end)
    end)

    it("calls the routes of a script", function()
      happens(function() return client:get "/modalua/routes/routes/hello" end)
      assert.are.same({ method = "GET", x = "5", name = "routes" }, client:get("/modalua/routes/routes/hello", { x = 5 }))
      assert.are.same({ method = "GET", x = "inside", name = "routes" }, client:get "/modalua/routes/routes/inside")
      local pipe <close> = io.popen(([[printf 'a\0b' |
        curl -s -w ' %%{http_code} %%{content_type}' --data-binary @- %s/modalua/routes/routes/bytes]]):format(server.url))
      assert.are.equal("a\0b\0\255 200 application/octet-stream", pipe:read "a")
      local made <close> = io.popen(("curl -s -i -w ' %%{http_code}' %s/modalua/routes/routes/made"):format(server.url))
      local answer = made:read "a"
      contains(answer, "\nmade 201")
      contains(answer, "X-Content-Type-Options: nosniff\r\n")
      local page <close> = io.popen(("curl -s -i %s/modalua/app"):format(server.url))
      contains(page:read "a", "X-Frame-Options: DENY\r\n")
      assert.are.equal("../modalua/app", client:get("/plugins/modalua").RootUri) -- Orthanc Explorer, in /app/, links to it
      contains(fails({ status = 404, code = "not_found" }, client:get "/modalua/routes/routes/other").message,
        "the server has nothing at this path: the script 'routes' has no route /other (HTTP 404)")
      fails({ status = 404 }, client:get "/modalua/routes/nobody/hello")
      contains(fails({ status = 503 }, client:get "/modalua/routes/well/hello").message,
        "modalua in the server cannot take this request at the moment: the script does not run (HTTP 503)")
      contains(fails({ status = 500 }, client:get "/modalua/routes/routes/failing").message, "routes.lua:5: the route fails")
      contains(server:log_of "routes", "route /failing failed: ")
      contains(fails({ status = 500 }, client:get "/modalua/routes/routes/missing").message, "/studies/nope")
      for _, status in ipairs { 99, 200.5, 401, 429, 600 } do
        contains(fails({ status = 500 }, client:get("/modalua/routes/routes/status", { x = status })).message, "one that Orthanc can send")
      end
      fails({ status = 510 }, client:get("/modalua/routes/routes/status", { x = 510 }))
      contains(fails({ status = 500 }, client:get "/modalua/routes/routes/table").message, "(error object is a table value)")
      contains(fails({ status = 500 }, client:get "/modalua/routes/routes/tostring").message, "(error object is a table value)")
      contains(fails({ status = 500 }, client:get "/modalua/routes/routes/fields").message, "the disk is full (kind disk, code 28)")
      contains(fails({ status = 500 }, client:get "/modalua/routes/routes/nan").message, "cannot encode NaN")
      contains(fails({ status = 500 }, client:get "/modalua/routes/routes/object").message, "an object is thrown")
      local large = ("x"):rep(2 << 20)
      assert.are.equal(#large, client:post("/modalua/routes/routes/large", large))
      contains(fails({ status = 500 }, client:post("/modalua/routes/routes/large", large:rep(5))).message, "not enough memory")
      -- the older servers do not tell their plugins
      assert.are.same(version.number >= 11300 and { kind = "http", status = 409 } or { kind = "orthanc", status = 404 },
        client:get "/modalua/routes/routes/conflict")
      assert.are.same({ 4, 4, 4, 4 }, client:get "/modalua/routes/routes/burst") -- the four requests are made at once
    end)

    it("executes a script that is sent, in a sandbox and with limits", function()
      local function execute(source)
        return assert(client:post("/modalua/execute", source))
      end
      assert.are.same({ Result = { "HERE" }, Output = "1\tnil\n", Error = json.null },
        execute "print(1, io) return { require 'modalua'.connect():system().Name }")
      local wrong = execute("\nx =").Error
      assert.are.same({ "syntax", "script:2: unexpected symbol near <eof>", "script", 2 },
        { wrong.kind, wrong.message, wrong.module, wrong.line })
      assert.are.equal("refused", execute("return nil, 'refused'").Error.message)
      contains(execute("error 'mine'").Error.message, "mine")
      fails({ status = 413 }, client:post("/modalua/execute", ("x"):rep((1 << 20) + 1)))
      assert.are.equal("(error object is a table value)", execute("error {}").Error.message)
      assert.are.equal("full (kind disk, code 7)",
        execute("error { message = 'full', kind = 'disk', code = 7, other = print }").Error.message)
      assert.are.equal("memory", execute("local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. #t end").Error.kind)
    end)

    it("refuses what a page of another site makes a browser send", function()
      local function post(path, headers)
        local pipe <close> = io.popen(("curl -s -w ' %%{http_code}' -d 'return 1' -H 'Origin: http://other.invalid' %s %s%s"):format(
          headers or "", server.url, path))
        return pipe:read "a"
      end
      local refusal <const> = '{"Details":"a web page must send the header X-Modalua","HttpStatus":403} 403'
      assert.are.equal(refusal, post "/modalua/execute")
      assert.are.equal(refusal, post "/modalua/scripts/well/stop")
      contains(post("/modalua/execute", "-H 'X-Modalua: 1'"), " 200")
    end)

    it("stops and starts scripts, and reloads a file unless it has a fault", function()
      local file <close> = io.open(server:path "looping", "w")
      file:write "x ="
      file:flush()
      contains(fails({ status = 400 }, server:act("looping", "reload")).message, "looping.lua:1:")
      contains(server:log_of "follow", "starts")
      file:seek "set"
      file:write "print 'the new file'"
      file:flush()
      assert(server:act("looping", "reload"))
      happens(function() return server:is("looping", "done") end)
      contains(server:log_of "looping", "the new file\n")
      served.output_of(("rm %s && mkfifo %s"):format(server:path "looping", server:path "looping"))
      assert.matches("looping.lua: it is not a regular file, and reading it could block %(HTTP 400",
        fails({ status = 400 }, server:act("looping", "reload")).message)
      local late = task.spawn(function() return client:get "/modalua/routes/routes/late" end)
      happens(function() return server:log_of("routes"):find "late begins" end)
      assert(server:act("routes", "reload"))
      contains(fails({ status = 503 }, late:join()).message, "the script has been stopped (HTTP 503)")
      happens(function() return client:get "/modalua/routes/routes/hello" end)
      fails({ status = 404 }, server:act("nobody", "stop"))
      fails({ status = 405 }, client:get "/modalua/scripts/looping/stop")
      contains(client:get "/modalua/app", "<title>modalua: scripts of this server</title>")
    end)
  end)

  it("The plugin in Orthanc " .. version.name .. " lets a script decide what is stored, what is found and what is allowed", function()
    local server <close> = plugin.start(version, { scripts = {
      decides = { Filters = { "ReceivedInstance", "IncomingHttpRequest", "ReceivedCStoreInstance", "IncomingFindRequest" }, source = [[
local host = require "modalua".host
host.filter("ReceivedInstance", function(tags, origin)
  if tags.PatientID == "LATE" then
    require "modalua.task".sleep(100)
  end
  print(tags.PatientID, origin.RequestOrigin)
  return tags.PatientID ~= "OTHER"
end)
local status = { GOOD = true, NO = false, BUSY = 0xA7FF, BADLY = 1.5, ZERO = 0 }
host.filter("ReceivedCStoreInstance", function(tags) return status[tags.PatientID] end)
host.filter("IncomingFindRequest", function(query, origin)
  print("asked for", query["0010,0020"], origin.RemoteAet)
  if query["0010,0020"] == "NUMBER" then
    query["0010,0020"] = 1
  elseif query["0010,0020"] == "CHANGED" then
    query["0010,0020"] = "GOOD"
  elseif query["0010,0020"] == "GOOD" then
    return true
  else
    return query["0010,0020"] ~= "NO" and {}
  end
  return query
end)
host.filter("IncomingHttpRequest", function(request) return request.path ~= "/statistics" and request.query.no == nil end)
print("refused", pcall(host.filter, "ReceivedCStoreInstnce", print))
print "decides"
]] } }, settings = { FilterDefault = "reject", FilterTimeLimit = 5 },
      extra = { LuaScripts = { FIND_FILTER }, DicomAlwaysAllowStore = true, DicomAlwaysAllowFind = true,
        DicomCheckCalledAet = false },
      -- new memory is full of the digit 5: a number without an end behind it would be another one
      environment = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.perturb=202" })
    local client = server.client
    happens(function() return client:get "/system" end) -- until then the setting FilterDefault rejects
    local function file(patient)
      return { SOPClassUID = "1.2.840.10008.5.1.4.1.1.2", SOPInstanceUID = "1.2.3." .. #patient, PatientID = patient,
        StudyInstanceUID = "1.2.3." .. #patient .. ".4", SeriesInstanceUID = "1.2.3.4.5", Modality = "CT" }
    end
    local function upload(patient)
      local path = os.tmpname()
      served.write_file(path, archive.file(file(patient)))
      client:upload(path)
      os.remove(path)
    end
    upload "GOOD"
    upload "OTHER"
    upload "LATE"
    assert.are.equal(1, #client:get "/instances")
    contains(server:log_of "decides", "GOOD\tRestApi\nOTHER\tRestApi\n")
    contains(server:log_of "decides",
      "its filter gives no answer, and the setting FilterDefault rejects: the script has not answered in time")
    fails({ status = 403 }, client:get "/statistics")
    fails({ status = 403 }, client:get("/system", { no = 1 }))
    contains(fails({ status = 409 }, server:act("decides", "stop")).message, "also the one that starts it")
    assert(server:act("decides", "restart"))
    happens(function() return client:get "/system" end)
    contains(server:log_of "decides", "there is no filter 'ReceivedCStoreInstnce', did you mean 'ReceivedCStoreInstance'?")

    local function dcmtk(line, ...)
      return served.output_of(("env TCP_NODELAY=1 %s 2>&1; true"):format(line:format(server.dicom_port, ...)))
    end
    local function store(patient) -- the response to C-STORE, as DCMTK shows it
      local folder = archive.write { file(patient) }
      local answer = dcmtk("storescu -d 127.0.0.1 %d %s/00001.dcm", folder)
      served.output_of("exec rm -rf " .. folder)
      return tonumber(answer:match "DIMSE Status%s*: (0x%x+)")
    end
    assert.are.same({ 0, 0, 0x0124, 0xA7FF, 0xA700 }, { store "GOOD", store "ZERO", store "NO", store "BUSY", store "BADLY" })
    contains(server:log_of "decides", "a status of DIMSE must be a whole number from 0 to 0xFFFF (1.5 was returned)")
    local function find(patient) -- the number of answers, and whether the last response says that it failed
      local answer = dcmtk("findscu -v -S -k QueryRetrieveLevel=STUDY -k StudyInstanceUID -k PatientID=" .. patient .. " 127.0.0.1 %d")
      return select(2, answer:gsub("Find Response: %d", "")), answer:find("(Failed", 1, true) ~= nil
    end
    assert.are.same({ 1, false }, { find "GOOD" })
    assert.are.same({ 1, false }, { find "CHANGED" })
    for _, patient in ipairs { "NO", "NUMBER", "EMPTY" } do
      assert.are.same({ 0, true }, { find(patient) }, patient)
    end
    contains(server:log_of "decides", "asked for\tCHANGED\tFINDSCU")
    contains(server:log_of "decides", "the query must be a table of texts by their tags")
  end)

  it("The plugin in Orthanc " .. version.name .. " ends a route or a filter that loops, and its script goes on", function()
    local server <close> = plugin.start(version, { scripts = { loops = { Grace = 0.1, Filters = { "ReceivedInstance" }, source = [[
local host, task = require "modalua".host, require "modalua.task"
local closed = {}
local function loop(name, f)
  host.route("/" .. name, function()
    local _ <close> = setmetatable({}, { __close = function() closed[#closed + 1] = name end })
    f()
  end)
end
loop("plain", function() while true do end end)
loop("stubborn", function() while true do pcall(function() while true do end end) end end)
loop("child", function() task.spawn(function() while true do end end):join() end)
loop("asks", function() while true do pcall(task.sleep, 0) end end)
host.route("/closed", function() table.sort(closed) return table.concat(closed, " ") end)
host.route("/sleeps", function() task.sleep(0.01) return "slept" end)
host.filter("ReceivedInstance", function() while true do end end)
print "begins"
]] } }, settings = { RouteTimeLimit = 0.3, FilterTimeLimit = 0.3, FilterDefault = "reject" } })
    local client = server.client
    happens(function() return server:log_of("loops"):find "begins" end)
    local function closes(list)
      happens(function() return client:get "/modalua/routes/loops/closed" == list end)
    end
    local so_far = {}
    for _, name in ipairs { "asks", "child", "plain", "stubborn" } do
      contains(fails({ status = 504 }, client:get("/modalua/routes/loops/" .. name)).message,
        "modalua in the server gives up waiting: the script has not answered in time (HTTP 504)")
      so_far[#so_far + 1] = name
      closes(table.concat(so_far, " "))
      assert.are.equal("slept", happens(function() return client:get "/modalua/routes/loops/sleeps" end))
    end
    local instance = { Tags = { PatientID = "A", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }
    client:post("/tools/create-dicom", instance)
    assert.are.same({}, client:get "/instances")
    assert.are.equal("slept", happens(function() return client:get "/modalua/routes/loops/sleeps" end))
    local log = server:log_of "loops"
    contains(log, "route /asks is ended: no answer within 0.3 s")
    contains(log, "its filter gives no answer, and the setting FilterDefault rejects: the script has not answered in time")
    assert.are.equal(1, select(2, log:gsub("starts\n", "")))
    assert.are.equal("running", server:state("loops").State)
  end)

  it("The plugin in Orthanc " .. version.name .. " ends scripts in every state with the server", function()
    local mute <close> = orthanc.start { binary = version.binary, aet = "MUTE" }
    local server <close> = plugin.start(version, { scripts = {
      looping = "print 'begins' while true do end",
      stubborn = { source = "print 'begins' while true do pcall(function() while true do end end) end", Grace = 0.2 },
      matching = "print 'begins' pcall(string.find, ('a'):rep(40), ('a?'):rep(40) .. ('a'):rep(40))",
      sleeping = "print 'begins' require 'modalua.task'.sleep(1000)",
      following = "print 'begins' for _ in require 'modalua'.connect():changes { follow = true } do end",
      finding = "print 'begins' local mute = require 'modalua'.connect():modality 'mute'\n"
        .. "while true do mute:find { Level = 'Study', Query = { PatientID = '1' } } end",
      storing = "local here = require 'modalua'.connect()\n"
        .. "for change in here:changes { follow = true, since = 0, type = 'NewInstance' } do\n"
        .. "print 'begins' print(here:modality 'mute':store(change.ID)) end",
      routing = "require 'modalua'.host.route('/late', function() require 'modalua.task'.sleep(1000) end) print 'begins'",
      failing = "print 'begins' error 'x'",
    }, modalities = { mute = mute:modality() }, settings = { RouteTimeLimit = 0.2 },
      extra = { DicomScuTimeout = 1, DicomScuPreferredTransferSyntax = "1.2.840.10008.1.2" } })
    mute:signal "STOP"
    assert(server.client:post("/tools/create-dicom", { Tags = { PatientID = "A", SOPClassUID = "1.2.840.10008.5.1.4.1.1.7" } }))
    local lasting <const> = { "storing", "looping", "matching", "stubborn", "sleeping", "following", "finding", "routing" }
    for _, name in ipairs { "failing", table.unpack(lasting) } do
      happens(function() return server:log_of(name):find "begins" end)
    end
    fails({ status = 504 }, server.client:get "/modalua/routes/routing/late")
    server:stop()
    for _, name in ipairs(lasting) do
      assert.are.equal(1, server:count_logged(("script %s: ended, as the server stops"):format(name)), name)
    end
    assert.are.equal(1, server:count_logged "Orthanc has stopped")
    mute:signal "CONT"
  end)
end

describe("The configuration of the plugin", function()
  local version = versions[#versions]

  local BAD <const> = {
    { "has no setting 'Evry', did you mean 'Every'?", { source = "", Evry = "1h" } },
    { "Every must be a text such as", { source = "", Every = 5 } },
    { "At must be a time such as", { source = "", At = "25:00" } },
    { "TimeZone needs At", { source = "", TimeZone = "Europe/Vienna" } },
    { "TimeZone must be the name of a time zone such as Europe/Vienna (there is no time zone 'Europe/Wien'",
      { source = "", At = "02:00", TimeZone = "Europe/Wien" } },
    { "TimeZone must be the name of a time zone", { source = "", At = "02:00", TimeZone = 1 } },
    { "Days needs At", { source = "", Days = { "Mon" } } },
    { "Days must be a list of days", { source = "", At = "02:00", Days = { "Monday" } } },
    { "Every must be whole days when there is At", { source = "", At = "02:00", Every = "5h" } },
    { "MemoryLimit must be a text such as", { source = "", MemoryLimit = "lots" } },
    { "Arguments must be a list of texts", { source = "", Arguments = { 1 } } },
    { "Sandbox must be true or false", { source = "", Sandbox = "yes" } },
    { "<eof>", { source = "x = " } },
    { "No such file", { source = "", Path = "/nowhere/x.lua" } },
    { "Filters needs Modalua.FilterDefault", { source = "", Filters = { "ReceivedInstance" } } },
    { "/dev is not a regular file", { source = "", Path = "/dev" } },
    { "/dev/zero is not a regular file", { source = "", Path = "/dev/zero" } },
    { "Path must be the absolute path of a Lua file", { source = "", Path = "x.lua" } },
  }

  it("is checked when the server starts, and the other scripts are started", function()
    local scripts = { good = "" }
    for i, row in ipairs(BAD) do
      scripts["bad" .. i] = row[2]
    end
    scripts["bad name"] = ""
    local server <close> = plugin.start(version, { scripts = scripts, settings = { AllowExecut = true, ModulePath = "/etc/lua;x/?.lua",
      RouteTimeLimit = 0.0001 } })
    happens(function() return server:is("good", "done") end)
    assert.are.equal(1, #server.client:get "/modalua/scripts")
    for i, row in ipairs(BAD) do
      local log <close> = io.open(server.log)
      contains(log:read("a"):match(("[^\n]*Modalua%%.Scripts%%.bad%d[^%%d][^\n]*This script is not started"):format(i)) or "", row[1])
    end
    assert.are.equal(1, server:count_logged "Modalua has no setting 'AllowExecut', did you mean 'AllowExecute'?")
    assert.are.equal(1, server:count_logged "the name of the script 'bad name' must consist of")
    assert.are.equal(1, server:count_logged "Modalua.ModulePath must be absolute paths with '?', such as")
    assert.are.equal(1, server:count_logged "Modalua.RouteTimeLimit must be a number of seconds, at least 0.001")
    fails({ status = 403 }, server.client:post("/modalua/execute", "return 1"))
    local other <close> = plugin.start(version, { scripts = { good = "" }, settings = { ModulePath = ";" } })
    happens(function() return other:is("good", "done") end)
    assert.are.equal(1, other:count_logged "Modalua.ModulePath must be absolute paths with '?', such as")
  end)

  it("leaves a filter to FilterDefault when its script has a fault, and rejects when that has a fault too", function()
    for _, row in ipairs {
      { { source = "x =", Filters = { "IncomingHttpRequest" } }, "reject", "<eof>" },
      { { source = "", Filters = { "Everything" } }, "Accept", 'Filters must be a list of filters: "ReceivedInstance", ' },
      { { source = "", Filters = { "IncomingFindRequest", "IncomingHttpRequest" } }, "reject",
        '"IncomingFindRequest" needs modalua_find_filter.lua, a file of this plugin, among the LuaScripts' },
      { { source = "", Filter = { "IncomingHttpRequest" } }, "reject", "has no setting 'Filter', did you mean 'Filters'?" },
    } do
      local server <close> = plugin.start(version, { scripts = { decides = row[1] }, settings = { FilterDefault = row[2] } })
      fails({ status = 403 }, server.client:get "/system")
      assert.are.equal(1, server:count_logged(row[3]))
      assert.are_not.equal(0, server:count_logged "no script decides a filter, as the configuration has a fault")
    end
    local server <close> = plugin.start(version, { scripts = { decides = { source = "x =", Filters = { "IncomingHttpRequest" } } },
      settings = { FilterDefault = "accept" } })
    assert(server.client:get "/system")
  end)

  -- At most one line after 1, 2, 4, … seconds: a dozen of them would take an hour.
  it("does not let a filter, a route or a request that fails fill the log", function()
    local server <close> = plugin.start(version, { settings = { FilterDefault = "accept" }, scripts = {
      faulty = { Filters = { "IncomingHttpRequest" }, source = [[
local host = require "modalua".host
host.filter("IncomingHttpRequest", function(request) error { kind = "mine", path = request.path } end)
host.route("/fails", function() error {} end)
local orthanc = require "modalua".connect()
for _ = 1, 300 do orthanc:get "/nope" end
print "begins"
]] } } })
    happens(function() return server:log_of("faulty"):find "begins" end)
    for _ = 1, 300 do
      fails({ status = 500 }, server.client:get "/modalua/routes/faulty/fails")
    end
    for _, text in ipairs { "the setting FilterDefault accepts: (error object is a table value) (kind mine)",
      "route /fails failed: (error object is a table value)", "GET http://this-orthanc.invalid/nope 404" } do
      local lines, number = 0, 0
      for line in server:log_of("faulty"):gmatch "[^\n]+" do
        if line:find(text, 1, true) then
          lines, number = lines + 1, number + (tonumber(line:match "the last of (%d+) such lines") or 1)
        end
      end
      assert.is_true(number >= 300, text)
      assert.is_true(lines <= 12, text)
      assert.is_true(server:count_logged(text) <= 12)
    end
  end)

  it("keeps the server from starting when it is strict and has a fault", function()
    for _, row in ipairs { { { bad = "x =" }, { Strict = true } }, { { good = "" }, { Strict = "yes" } },
      { { good = "" }, { Strict = true, ModulePath = ";" } } } do
      local started, why = pcall(plugin.start, version, { scripts = row[1], settings = row[2] })
      assert.is_false(started)
      contains(why, "Modalua.Strict is true")
    end
    local server <close> = plugin.start(version, { scripts = { good = "" }, settings = { Strict = true } })
    happens(function() return server:is("good", "done") end)
  end)

  it("lives through a restart of the server within its process", function()
    local server <close> = plugin.start(version, { scripts = {
      loops = "print 'begins' while true do end",
      routes = "require 'modalua'.host.route('/hello', function() return 'hello' end) print 'begins'" } })
    happens(function() return server.client:get "/modalua/routes/routes/hello" == "hello" end)
    happens(function() return server:log_of("loops"):find "begins" end)
    server.client:post("/tools/reset", {}) -- the answer may get lost
    happens(function() return server:count_logged "script loops: ended, as the server stops" == 1 end)
    happens(function() return server.client:get "/modalua/routes/routes/hello" == "hello" end)
    assert.are.equal(2, server:count_logged "script routes: starts")
  end)

  it("says where scripts find modules, but those in a sandbox do not", function()
    local folder = served.folder "modules"
    served.write_file(folder .. "/mine.lua", "return 'my module'")
    local server <close> = plugin.start(version, { settings = { ModulePath = folder .. "/?.lua" }, scripts = {
      finds = "print(require 'mine')", boxed = { source = "print(pcall(require, 'mine'))", Sandbox = true } } })
    happens(function() return server:is("finds", "done") and server:is("boxed", "done") end)
    contains(server:log_of "finds", "my module")
    contains(server:log_of "boxed", "false\t")
    os.execute("rm -r " .. folder)
  end)
end)

describe("A script at a time of the day", function()
  it("looks for its next time again when the file of its time zone is away for a moment", function()
    local zones = served.folder "zones"
    os.execute("cp /usr/share/zoneinfo/UTC " .. zones .. "/Here")
    local server <close> = plugin.start(versions[#versions], { environment = "TZDIR=" .. zones, scripts = {
      nightly = { At = "04:30", TimeZone = "Here", source = ("os.rename('%s/Here', '%s/Away')"):format(zones, zones) } } })
    assert.are.equal("waiting", server:state("nightly").State)
    assert(server:act("nightly", "start"))
    happens(function() return server:is("nightly", "failed") end)
    contains(server:state("nightly").LastError, "its next time cannot be found")
    assert(os.rename(zones .. "/Away", zones .. "/Here"))
    happens(function() return server:is("nightly", "waiting") end)
    contains(server:state("nightly").NextStart, "T04:30:00Z")
    assert.are.equal(1, select(2, server:log_of("nightly"):gsub("has ended well", ""))) -- it was not started for that
    os.execute("rm -r " .. zones)
  end)
end)

-- schedule.lua is a module of the plugin; here it is asked without a server.
describe("The schedule of a script", function()
  local schedule = dofile "src/orthanc_plugin/schedule.lua"

  local function instant(text)
    local y, month, d, h, m = text:match "(%d+)-(%d+)-(%d+) (%d+):(%d+)"
    local noon = os.time { year = y, month = month, day = d, hour = 12 }
    local utc = os.date("!*t", noon)
    return noon - (utc.hour * 60 + utc.min) * 60 + (h * 60 + m) * 60
  end

  -- The next times, in UTC, of a script with these settings that ends at once, without an Every.
  local function times(zone, at, days, now, n)
    local list, q = {}, { zone = zone, at = at, days = days, now = instant(now) }
    for i = 1, n do
      q.least = q.now
      q.now = schedule.next(q)
      list[i] = os.date("!%a %d %H:%M", q.now)
    end
    return list
  end

  it("knows the nights in which clocks are changed", function()
    -- 02:30 does not exist on 2026-03-29 in Vienna, and exists twice on 2026-10-25
    assert.are.same({ "Sat 28 01:30", "Sun 29 01:00", "Mon 30 00:30" }, times("Europe/Vienna", 150, 0, "2026-03-27 12:00", 3))
    assert.are.same({ "Sat 24 00:30", "Sun 25 00:30", "Mon 26 01:30" }, times("Europe/Vienna", 150, 0, "2026-10-23 12:00", 3))
    -- Lord Howe changes by half an hour: 02:15 does not exist on 2026-10-04
    assert.are.same({ "Fri 02 15:45", "Sat 03 15:30", "Sun 04 15:15" }, times("Australia/Lord_Howe", 135, 0, "2026-10-02 12:00", 3))
    assert.are.same({ "Fri 27 02:30", "Sat 28 02:30", "Sun 29 02:30" }, times("UTC", 150, 0, "2026-03-27 01:00", 3))
  end)

  it("means the days of its time zone", function()
    assert.are.same({ "Sun 29 14:00", "Thu 03 14:00" }, times("Pacific/Auckland", 180, 2 + 32, "2026-11-28 12:00", 2))
  end)

  it("begins with the first moment that is late enough", function()
    local now = instant "2026-11-28 12:00"
    assert.are.equal(instant "2026-11-30 01:00",
      schedule.next { zone = "Europe/Vienna", at = 120, days = 0, now = now, least = now + 86400 })
    assert.is_nil(schedule.next { zone = "UTC", at = 0, days = 0, now = now, least = now + 1e9 })
  end)
end)

-- The module that the spec itself runs with has no host.
it("A script outside the server has no modalua.host", function()
  assert.is_nil(modalua.host)
end)
