-- Tests what a script in a sandbox can use, and what the sandbox refuses. sandbox.c runs each part by its name, each in a new runtime.
-- Arguments: the name of the part, the URL of the fault server, and a further argument that some parts describe.
local part, url, more = ...
local modalua = require "modalua"
local json = require "modalua.json"
local parts = {}

local function same(got, expected, what)
  if got ~= expected then
    error(("%s\n  got      %s\n  expected %s"):format(what, tostring(got), tostring(expected)), 2)
  end
end

-- Checks that f(...) throws an error that contains the text. Returns the error.
local function throws(text, f, ...)
  local good, err = pcall(f, ...)
  if good or not tostring(err):find(text, 1, true) then
    error(("expected an error with '%s', got %s"):format(text, tostring(err)), 2)
  end
  return err
end

-- Checks that the sandbox refuses f(...), and that this is the only error.
local function refused(what, f, ...)
  local good, err = pcall(f, ...)
  if good or not modalua.is_error(err) or err.kind ~= "refused" or err.code ~= "sandbox" then
    error(("the sandbox did not refuse %s: %s"):format(what, tostring(err)), 2)
  end
end

-- ---- globals ----

local LISTS = {
  _G = "_G _VERSION assert coroutine error getmetatable ipairs load math next os pairs pcall print rawequal rawget rawlen rawset "
    .. "require select setmetatable string table tonumber tostring type utf8 warn xpcall",
  coroutine = "close create isyieldable resume running status wrap yield",
  math = "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad random randomseed sin "
    .. "sqrt tan tointeger type ult",
  os = "clock date difftime time",
  string = "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
  table = "concat insert move pack remove sort unpack",
  utf8 = "char charpattern codepoint codes len offset",
}

local MODULES = {
  modalua = "Modality RemoteModality bar connect error_text is_error json task transfer version",
  ["modalua.doc"] = "describe nearest of rows",
  ["modalua.json"] = "array decode encode get null object",
  ["modalua.letters"] = "cut shown width",
  ["modalua.table"] = "csv fitted lines",
  ["modalua.task"] = "map now race sleep spawn timeout",
}

local function keys(t)
  local names = {}
  for name in pairs(t) do
    names[#names + 1] = tostring(name)
  end
  table.sort(names)
  return table.concat(names, " ")
end

-- All tables that can be reached from this one by keys, values and metatables.
local function walk(t, seen)
  if type(t) == "table" and not seen[t] then
    seen[t] = true
    walk(getmetatable(t), seen)
    for key, value in pairs(t) do
      walk(key, seen)
      walk(value, seen)
    end
  end
  return seen
end

function parts.globals()
  local known = { [_G] = true }
  same(keys(_G), LISTS._G, "_G")
  same(_G._G, _G, "_G._G")
  for name, expected in pairs(LISTS) do
    same(keys(_G[name]), expected, name)
    known[_G[name]] = true
  end
  for name, expected in pairs(MODULES) do
    same(keys(require(name)), expected, name)
    known[require(name)] = true
  end
  known[modalua.transfer] = true -- its functions refuse: spec/transfer_api_spec.lua
  local seen = walk({ _G, require "modalua", require "modalua.doc", require "modalua.letters", require "modalua.table" }, {})
  for t in pairs(seen) do
    same(known[t] or keys(t) == "1 2 3 4 5", true, "an unexpected table: " .. keys(t))
  end
end

-- The methods of strings are the functions of the table `string`, also those that the script adds. There is no string.dump.
function parts.strings()
  same(getmetatable "", false, "the metatable of strings")
  same(("x").dump, nil, "string.dump")
  same(("x").rep, string.rep, "a method of strings")
  string.twice = function(s) return s .. s end -- luacheck: ignore
  same(("x"):twice(), "xx", "a method of strings that the script added")
  throws("table expected", setmetatable, "", {})
  throws("__gc", setmetatable, {}, { __gc = true })
  local meta = {}
  local t = setmetatable({}, meta)
  meta.__gc = print
  throws("__gc", setmetatable, t, meta)
  for _, v in ipairs { modalua.connect(url), modalua.connect(url):modality "m", (modalua.connect(url):job "1"),
    (modalua.connect(url):query "1"), (require "modalua.task".spawn(print)) } do
    same(getmetatable(v), false, "the metatable of a userdata")
  end
  throws("cannot change a protected metatable", setmetatable, json.array(), {})
end

-- ---- load ----

function parts.load()
  local bytecode = bytecode() -- luacheck: ignore (the host registers it; the bytecode is from a runtime without a sandbox)
  same(bytecode:sub(1, 4), "\27Lua", "the bytecode of a runtime without a sandbox")
  for _, mode in ipairs { "b", "bt", "t", "", "tb", "B" } do
    local f, err = load(bytecode, "=x", mode)
    same(f, nil, "bytecode with mode " .. mode)
    same(tostring(err):find("attempt to load a binary chunk", 1, true) ~= nil, true, err)
    local sent = false
    same(load(function()
      sent = not sent
      return sent and bytecode or nil
    end, "=x", mode), nil, "bytecode in a piece with mode " .. mode)
    local at = 0
    same(load(function()
      at = at + 1
      return bytecode:sub(at, at)
    end, "=x", mode), nil, "bytecode in bytes with mode " .. mode)
  end
  same(load(bytecode), nil, "bytecode without a mode")
  same(load "\27Lua", nil, "a crafted chunk")
  same(load("return 1", "=x", "b"), nil, "text where bytecode is wanted")
  same(load("return 1", "=x", "bt")(), 1, "text where both are allowed")
  same(load "return _ENV" (), _G, "the globals of a chunk")
  same(load("return _ENV", "=x", nil)(), _G, "the globals of a chunk")
  same(load("return x, print", "=x", "t", { x = 1 })(), 1, "an own environment")
  same(select(2, load("return x, print", "=x", "t", { x = 1 })()), nil, "an own environment")
  throws("_ENV", load("return x", "=x", "t", nil))
  same(select(2, load "return return"):find '^%[string "return return"%]:1:' ~= nil, true, "the error of a chunk")
  same(load("return ...")(7), 7, "a chunk's arguments")
  throws("bad argument #1", load)
end

-- ---- require ----

function parts.require()
  for name in pairs(MODULES) do
    same(require(name), require(name), name)
  end
  for _, name in ipairs { "io", "os", "debug", "package", "_G", "string", "cjson", "modalua.verbs", "modalua.arrival",
    "core.arrival", "core.native", "modalua.playground", "modalua.help", "nosuch", "", "../x", "/etc/passwd" } do
    throws(("a sandboxed script has no module '%s'"):format(name), require, name)
  end
  same(require "modalua\0.verbs", require "modalua", "what comes after a NUL")
  throws("string expected", require, {})
  require "modalua".connect = nil
  same(require "modalua".connect, nil, "a module is a table of the script's")
end

-- ---- the servers that a script may connect to ----

local function echo(client, ...)
  return assert(client:get(...))
end

-- `more` is "nothing" if the host allows no server at all.
function parts.connect()
  local connect = modalua.connect
  if more == "nothing" then
    refused("no default", connect)
    refused("localhost", connect, "http://localhost:8042")
    refused("the fault server", connect, url)
    return
  end
  local host = url:match "//(.*)"
  local default = connect()
  same(tostring(default), ("modalua.Client (%s/echo)"):format(url), "the default")
  same(echo(default, "/x").headers.authorization, "Basic dXNlcjpzZWNyZXQ=", "the host's credentials")
  same(echo(connect(url .. "/echo"), "/x").headers.authorization, nil, "no credentials for a URL that the script names")
  for _, allowed in ipairs { "/echo", "/echo/", "/echo/deeper", "/prefix/a", "/prefix/a/", "/prefix/a/b", "/prefix/b/../a/b" } do
    connect(url .. allowed)
    connect { url = url .. allowed, timeout = 5 }
    connect(("http://u:p@%s%s"):format(host, allowed))
    connect(("HTTP://%s%s"):format(host:upper(), allowed))
  end
  for _, allowed in ipairs { "http://h.example:8042/x", "HTTP://H.Example:8042/x/y", "http://h.example:08042/x", "https://s.example",
    "https://s.example:443/any", "https://S.EXAMPLE/", "https://v6@s.example", "http://[::1]:8042", "http://[fe80::1%25eth0]:8042/x" } do
    local good, err = pcall(connect, allowed)
    same(good or tostring(err):find "no password" ~= nil, true, allowed)
  end
  for _, wrong in ipairs { "", "/prefix", "/prefix/ab", "/prefix/A", "/prefix/b", "/prefix/a/../b", "/prefix/a/../../x", "/ech",
    "/echoes", "/prefix/a/%2e%2e/b", "/prefix/a/.%2E/b", "/prefix/a/%2e", "/prefix/a//b", "/prefix/a/..%2fb", "/prefix/a/x%2Fy",
    "/prefix/a/..%5cb", "/prefix/a/%252e%252e/b", "/prefix/a/..;/b", "/prefix/a/..%3bx/b", "//echo" } do
    refused(wrong, connect, url .. wrong)
    refused(wrong, connect, { url = url .. wrong })
    refused(wrong, connect, ("http://u:p@%s%s"):format(host, wrong))
  end
  for _, wrong in ipairs { "https://" .. host .. "/echo", "http://localhost:8042", "http://h.example/x", "http://h.example:8043/x",
    "http://h.example:8042", "http://h.example:8042/xy", "http://s.example", "http://s.example:443", "https://s.example:444",
    "https://s.example.", "https://x.s.example", "https://s.example.evil.example", "https://evil.example/https://s.example",
    "https://u:s.example@evil.example", "http://h.example:8042@evil.example:8042/x", "http://[::1]", "http://[::2]:8042",
    "https://s.example:443@evil.example", "http://[fe80::1%25eth1]:8042", "http://[fe80::1]:8042", "http://[fe80::1%25eth]:8042",
    "http://[::1%25eth0]:8042" } do
    local good, err = pcall(connect, wrong)
    same(not good and (modalua.is_error(err) and err.code == "sandbox" or tostring(err):find "password" ~= nil), true, wrong)
  end
end

function parts.options()
  local connect = modalua.connect
  for name, value in pairs { profile = "p", ca = "/ca", cert = "/cert", key = "/key", proxy = "http://127.0.0.1:1", insecure = true } do
    refused(name, connect, { [name] = value })
    refused(name, connect, { url = url .. "/echo", [name] = value })
    refused(name, connect, url .. "/echo", { [name] = value })
  end
  refused("insecure = false", connect, { insecure = false })
  throws("plain table", connect, setmetatable({}, { __index = { proxy = "http://127.0.0.1:1" } }))
  for _, name in ipairs { "Host", "hOST", "Content-Length", "content-length", "Transfer-Encoding", "Connection", "Keep-Alive", "TE",
    "Trailer", "Upgrade", "HTTP2-Settings", "Expect", "Proxy-Connection", "X-HTTP-Method-Override", "x-http-method", "X-Method-Override",
    "X-Original-URL", "X-Rewrite-URL", "X_HTTP_METHOD_OVERRIDE", "X.HTTP.Method", "X-Original-Method", "X-Method", "X-HTTP-MethodOverride",
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Uri", "X_Forwarded_Prefix", "Forwarded", "Via",
    "X-Original-URI", "X-Original-Host", "X-Host", "X-Envoy-Original-Path", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP",
    "Remote-User", "Proxy", "Proxy-Authorization", "X-Accel-Redirect", "X-Sendfile-Type", "Transfer_Encoding", "X-URL-Scheme",
    "Max-Forwards", "X-HTTP-Verb", "Destination", "X-Auth-Request-User", "X-Webauth-User", "X-Auth-User",
    "X-Authenticated-Userid", "X-Client-Verify", "X-Client-DN", "Front-End-Https", "X-Script-Name", "X-Port", "X-Proto", "X-Protocol",
    "X-Upstream", "X-Backend", "X-Target", "X-Route", ("X"):rep(101) } do
    refused(name, connect, { headers = { [name] = "1" } })
    refused(name, connect, url .. "/echo", { headers = { Accept = "*/*", [name] = "" } })
  end
  for _, name in ipairs { "Authorization", "Accept-Language", "Cookie", "User-Agent", "X-API-Key", "X-Request-ID", "X-CSRF-Token",
    "Pathology", "X-Tenant_1", "If-None-Match", ("X"):rep(100) } do
    same(echo(connect(url .. "/echo", { headers = { [name] = "1" } }), "/x").headers[name:lower()], "1", name)
  end
  local headers = echo(connect { headers = { ["X-My"] = "1", Accept = "a/b" } }, "/x").headers
  same(headers["x-my"] .. headers.accept, "1a/b", "own headers")
  for _, wrong in ipairs { "a\r\nX-My: 1", "a\n", "\127", "\t" } do
    throws("control characters", connect, url .. "/echo", { token = wrong })
    throws("control characters", connect, url .. "/echo", { headers = { ["X-My"] = wrong:gsub("\t", "\r") } })
  end
  same(echo(connect(url .. "/echo", { token = "a.b" }), "/x").headers.authorization, "Bearer a.b", "a token")
end

-- ---- routes ----

local WRITES = {
  "/patients/1/modify", "/studies/1/anonymize", "/series/1/x", "/instances/1/modify", "/instances/export/tags", "/studies/1", "/queries/1",
  "/queries/1/x", "/jobs/1/cancel", "/storage-commitment/1/remove", "/modalities/x/echo", "/modalities/x/move", "/peers/x/store",
  "studies/1/x", "/studies/1/x/", "/studies/1/x?a=b/c", "/studies/a.b/..c",
}

-- Not with PUT and DELETE.
local POSTS = {
  "/instances", "/tools/find", "/tools/lookup", "/tools/count-resources", "/tools/bulk-content", "/tools/bulk-anonymize",
  "/tools/bulk-modify", "/tools/bulk-delete", "/tools/create-archive", "/tools/create-media", "/tools/create-media-extended",
  "/tools/create-dicom", "/tools/find?/x",
}

local NO_WRITES = {
  "/modalities/x/store", "/modalities/x/store/",
  "/patients", "/studies", "/studies/", "/studies?x", "/series", "/instances/", "/queries", "/queries/", "/jobs", "/storage-commitment",
  "", "/", "/system", "/tools", "/tools/", "/tools/reset", "/tools/shutdown", "/tools/execute-script", "/tools/log-level",
  "/tools/log-level-dicom", "/tools/default-encoding", "/tools/metrics", "/tools/accepted-transfer-syntaxes",
  "/tools/unknown-sop-class-accepted", "/tools/findx", "/tools/find/x", "/tools/find/", "/tools/finD", "/Studies/1", "/modalities",
  "/modalities/x", "/modalities/x/", "/modalities/x?/y", "/modalities/", "/peers", "/peers/x", "/peers/x/", "/changes", "/exports",
  "/plugins/x", "/app/x", "/dicom-web/servers/x", "/studiesx/1", "/instances/1/export", "/instances/1/export/", "/instances/1/export?x",
  "/instances/1/export/x", "instances/1/export",
  "/studies/../tools/reset", "/studies/./x", "/studies/..", "/studies//x", "//tools/reset", "/studies/1//", "/studies/.../x",
  "/studies/%2e%2e/tools/reset", "/studies/.%2E/x", "/studies/%2E./x", "/studies/a%62", "/studies/%2f", "/studies/..%2f..%2ftools/reset",
  "/studies/..\\..\\tools\\reset", "/studies/a b", "/studies/é", "/tools%2freset", "/%74ools/reset", "/tools/reset?/studies/1",
  "/tools/reset#/studies/1", "/studies/1/..;/..;/modalities/x", "/modalities/x/;y", "/studies/..;x/y",
  "/studies/1/x?_method=PUT", "/studies/1?a&_method", "/studies/\1",
}

local NO_READS = {
  "/a/../b", "/a/./b", "/a/..", "/..", "/a//b", "//a", "/a/%2e%2e/b", "/a/.%2e/b", "/a/%2E", "/a%2f..%2fb", "/a/..%2Fb", "/a%2fb",
  "/a\\..\\b", "/a/..\\b", "/a%5c..%5Cb", "/a/%252e%252e/b", "/a/%25", "/a/..;/b", "/a/..%3B/b", "/a;x",
  "/a?_method=DELETE", "/a?x=1&_method=PUT", "/a?x=1&&_method=PUT",
  "/a?%5Fmethod=DELETE", "/a?%5fm%65thod=x", "/a?_method", "/a??_method=DELETE", "/a?x;_method=PUT",
}

local READS = {
  "/", "", "/system", "/modalities/x/configuration", "/tools/now", "/studies/", "/a.b/..c/d..", "/a/b?path=../..",
  "/a?method=1&my_method=2", "/a?_methods=3&x=_method", "/a%20b", "/é", "/a b", "/a?%2e%2e/%2f", "/a?x=a//b", "/a?x;y",
}

function parts.routes()
  local client = modalua.connect()
  for _, path in ipairs(WRITES) do
    for _, method in ipairs { "post", "put", "delete" } do
      same(assert(client[method](client, path)).method:lower(), method, path)
    end
  end
  for _, path in ipairs(POSTS) do
    same(assert(client:post(path)).method, "POST", path)
    refused(path, client.put, client, path, "body")
    refused(path, client.delete, client, path)
  end
  for _, path in ipairs(NO_WRITES) do
    refused(path, client.post, client, path, "body")
    refused(path, client.put, client, path, { a = 1 })
    refused(path, client.delete, client, path)
  end
  for _, path in ipairs(READS) do
    same(assert(client:get(path), path).method, "GET", path)
  end
  for _, path in ipairs(NO_READS) do
    refused(path, client.get, client, path)
    refused(path, client.get, client, path, { x = 1 })
    refused(path, client.delete, client, path)
  end
  refused("a query's key", client.get, client, "/a", { _method = "DELETE" })
  refused("a query's key", client.get, client, "/a", { _method = true, x = 1 })
  refused("a query's key", client.delete, client, "/studies/1", { _method = "PUT" })
  same(assert(client:get("/a", { x = "_method=PUT&_method" })).method, "GET", "a query's value")
end

-- What is checked is the whole path from the root of the URL that the host allows: "/echo", and "/prefix/echo/a" although "/prefix" is
-- allowed too. Each row: what the script connects to, the path, and whether it may POST, PUT and DELETE there.
local ANY <const> = "POST PUT DELETE"
local BASES = {
  { "/modalities", "/studies", "" }, { "/modalities", "studies", "" }, { "/modalities/", "/studies/", "" },
  { "/modalities", "/tools/find", ANY },
  { "/modalities", "/instances", "" }, { "/modalities", "/x/store", "" }, { "/modalities/x", "/store", "" },
  { "/modalities/x", "/move", ANY },
  { "/modalities/x", "", "" }, { "/modalities/x", "/", "" }, { "/peers", "/jobs", "" }, { "/peers", "/queries", "" },
  { "/peers/x", "/", "" },
  { "/peers/x", "/store", ANY }, { "/dicom-web/servers", "/studies", "" }, { "/dicom-web/servers", "/studies/1", "" },
  { "/dicom-web", "/studies", "" }, { "/tools", "/reset", "" }, { "/tools", "/find", "POST" }, { "/tools", "/studies/1", "" },
  { "/instances/1", "/export", "" }, { "/instances", "/1/export", "" }, { "/instances/1", "/modify", ANY },
  { "/studies/a%62", "/x", "" }, { "/studies", "/1", ANY }, { "/system", "/studies/1", "" }, { "/plugins/x", "/studies/1", "" },
}

-- Routes of our own operations, behind such a path: their requests are checked as they leave.
local function refuses_operations(client)
  local _, err = client:upload { data = "DICM" }
  same(err.kind .. " " .. tostring(err.code), "refused sandbox", "an upload")
  _, err = client:modality "studies":echo()
  same(err.kind .. " " .. tostring(err.code), "refused sandbox", "an echo")
  _, err = client:job("1"):cancel()
  same(err.kind .. " " .. tostring(err.code), "refused sandbox", "job:cancel")
end

function parts.bases()
  for _, root in ipairs { "/echo", "/prefix/echo/a" } do
    for _, row in ipairs(BASES) do
      local base, path, allowed = table.unpack(row)
      local client = modalua.connect(url .. root .. base)
      for _, method in ipairs { "post", "put", "delete" } do
        if allowed:find(method:upper(), 1, true) then
          same(assert(client[method](client, path)).method:lower(), method, base .. path)
        else
          refused(method .. " " .. base .. path, client[method], client, path, method ~= "delete" and { a = 1 } or nil)
        end
      end
      same(assert(client:get(path)).method, "GET", base .. path)
    end
    refuses_operations(modalua.connect(url .. root .. "/dicom-web/servers"))
  end
end

-- No limit can end a single call, so the time of a call with a long query or many headers must not grow with the square of their number.
function parts.long()
  local query, headers = {}, {}
  for i = 1, 150000 do
    query["key" .. i] = "value" .. i
  end
  for i = 1, 400000 do
    headers["X-" .. i] = "value"
  end
  modalua.connect { headers = headers }
  pcall(modalua.connect { retries = 0 }.get, modalua.connect { retries = 0 }, "/x", query)
end

-- ---- files, and the configuration of the server ----

function parts.files()
  local client = modalua.connect()
  local modality, peer = client:modality "m", client:peer "p"
  refused("download", client.download, client, "/system", "/tmp/nosuch/file")
  refused("upload", client.upload, client, "/etc/passwd")
  refused("store_straight", modality.store_straight, modality, "/etc/passwd")
  refused("store", modality.store, modality, "1", { Host = "127.0.0.1" })
  refused("store", modality.store, modality, "1", { Port = 104 })
  local answer, err = client:upload { data = "DICM" }
  same(answer == nil and err.code, "decode", "an upload of data") -- the answer of the fault server: so the sandbox allowed the request
  answer, err = modality:store_straight { data = "DICM" }
  same(answer == nil and err.code, "decode", "a store of data") -- likewise
  for _, named in ipairs { modality, peer } do
    refused("configure", named.configure, named, { Url = "http://127.0.0.1:1/", AET = "X", Host = "h", Port = 1, create = true })
    refused("remove", named.remove, named)
    answer, err = named:configuration()
    same(answer == nil and err.kind, "decode", "configuration") -- likewise
  end
  refused("put", client.put, client, "/tools/default-encoding", "Utf8") -- the request of use_utf8
end

-- ---- secrets ----

-- Collects every string in a value.
local function strings(v, into, seen)
  if type(v) == "table" and not seen[v] then
    seen[v] = true
    for key, value in pairs(v) do
      strings(key, into, seen)
      strings(value, into, seen)
    end
  end
  into[#into + 1] = tostring(v)
  return into
end

local function look_for_secrets(...)
  local text = table.concat(strings({ ... }, {}, {}), "\n")
  for _, secret in ipairs { "secret", "dXNlcjpzZWNyZXQ", "s%%65cret" } do
    same(text:find(secret), nil, text)
  end
end

function parts.secrets()
  local connect = modalua.connect
  local client = connect { retries = 0, timeout = 0.1 }
  look_for_secrets(client, tostring(client), client:modality "m", getmetatable(client))
  for _, path in ipairs { "/status?code=500", "/status?code=401", "/reset-now", "/garbage", "/hang", "/nosuch", "/redirect" } do
    look_for_secrets(client:get(path))
    look_for_secrets(pcall(client.post, client, "/studies" .. path, { a = 1 }))
  end
  look_for_secrets(client:upload { data = "x" })
  look_for_secrets(pcall(connect, { username = "a", password = "b" }))
  look_for_secrets(pcall(connect, { token = "a" }))
  look_for_secrets(pcall(connect, { username = "a" }))
  look_for_secrets(pcall(connect, "http://elsewhere"))
  look_for_secrets(pcall(connect, { proxy = "x" }))
  look_for_secrets(pcall(connect, { headers = { Host = "x" } }))
  look_for_secrets(pcall(connect, { nosuch = 1 }))
  look_for_secrets(_G, modalua, select(2, pcall(client.get, client, "/a/../b")))
end

parts[part]()
