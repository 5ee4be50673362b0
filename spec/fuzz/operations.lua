-- The operations that operations_fuzz.c and options_fuzz.c call (scripted.c sets the global `input`), and what is asserted of every
-- outcome: it is of the type that the help promises, or nil (false of echo) and an error object. Only iterators throw what a server caused.
-- No text shows an internal error.
-- luacheck: globals input operate choose
local modalua = require "modalua"
local json = require "modalua.json"

local STORED = "6816cb19-844d5aee-85245eba-28e841e6-2414fae2"
local FOUND = { Level = "Study", Query = { PatientID = "X", StudyDescription = "" }, wait_timeout = 60 }
local WAIT = { wait_timeout = 60 }
local STUDY = { StudyInstanceUID = "1.2", PatientID = "X" }
local DOWNLOADED = ("/dev/shm/modalua-fuzz-%d-%p"):format(os.time(), {})

local function all(iterator, ...)
  local list = {}
  for value in iterator, ... do
    list[#list + 1] = value
    if #list == 100 then break end
  end
  return list
end

-- Each has the type of its result, and what it calls: client c, modality p, peer f.
local OPERATIONS = {
  ["client:get"] = { nil, function(c) return c:get("/studies", { since = 0 }) end },
  ["client:post"] = { nil, function(c) return c:post("/tools/x", { a = 1 }) end },
  ["client:put"] = { nil, function(c) return c:put("/tools/x", "text") end },
  ["client:delete"] = { nil, function(c) return c:delete "/studies/x" end },
  ["client:download"] = { "number", function(c) return c:download("/studies/x/archive", DOWNLOADED, WAIT) end },
  ["client:upload"] = { "table", function(c) return c:upload({ data = "DICM" }, WAIT) end },
  ["client:system"] = { "table", function(c) return c:system() end },
  ["client:default_encoding"] = { "string", function(c) return c:default_encoding() end },
  ["client:use_utf8"] = { "function", function(c) return c:use_utf8() end },
  ["client:modalities"] = { "table", function(c) return c:modalities { expand = true } end },
  ["client:peers"] = { "table", function(c) return c:peers { expand = true } end },
  ["client:queries"] = { "table", function(c) return c:queries() end },
  ["client:jobs"] = { "table", function(c) return c:jobs { expand = true } end },
  ["client:find"] = { "table", function(c) return c:find { Level = "Study", Query = { PatientID = "X" }, Expand = true } end },
  ["client:changes"] = { "iterator", function(c) return all(c:changes { type = "StableStudy" }) end },
  ["commitment:status"] = { "table", function(c) return c:commitment("1.2"):status() end },
  ["commitment:wait"] = { "table", function(c) return c:commitment("1.2"):wait(WAIT) end },
  ["commitment:remove"] = { "boolean", function(c) return c:commitment("1.2"):remove() end },
  ["modality:echo"] = { "boolean", function(_, p) return p:echo { CheckFind = true, wait_timeout = 60 } end },
  ["modality:find"] = { "table", function(_, p)
    local found, err = p:find(FOUND)
    if found then found:close() end
    return found and found.answers, err
  end },
  ["modality:find_each"] = { "table", function(_, p)
    local by, missing = p:find_each("PatientID", { "X", "Y", "Z" }, { wait_timeout = 60 })
    assert(not by or type(missing) == "table")
    return by, missing
  end },
  ["modality:find_all"] = { "iterator", function(_, p)
    return all(p:find_all { Level = "Study", Query = { StudyDate = "20200101-20200104" }, wait_timeout = 60 })
  end },
  ["modality:find_worklist"] = { "table", function(_, p)
    return p:find_worklist({ PatientID = "X", ScheduledProcedureStepSequence = { { Modality = "CT" } } }, WAIT)
  end },
  ["modality:get"] = { "table", function(_, p) return p:get("Study", STUDY, WAIT) end },
  ["modality:get_query_answers"] = { "table", function(_, p) return p:get_query_answers "1-1" end },
  ["modality:studies"] = { "table", function(_, p) return p:studies({ { PatientID = "X" } }, nil, WAIT) end },
  ["modality:series"] = { "table", function(_, p) return p:series({ STUDY }, nil, WAIT) end },
  ["modality:instances"] = { "table", function(_, p) return p:instances({ STUDY }, nil, WAIT) end },
  ["modality:move"] = { "table", function(_, p)
    local found, err = p:find(FOUND)
    if not found then return nil, err end
    local result
    result, err = p:move(found, { to = "archive", wait_timeout = 60 })
    found:close()
    return result, err
  end },
  ["modality:move permissive"] = { "table", function(_, p)
    return p:move("1-1", { to = "archive", wait_timeout = 60, Permissive = true, all = true })
  end },
  ["modality:move synchronous"] = { "table", function(_, p)
    return p:move("1-1", { TargetAet = "ARCHIVE", wait_timeout = 60, Synchronous = true, all = true })
  end },
  ["modality:move started"] = { "table", function(_, p)
    return p:move("1-1", { TargetAet = "ARCHIVE", wait_timeout = 60, Synchronous = false, all = true })
  end },
  ["modality:move_resources"] = { "table", function(_, p)
    return p:move_resources("Study", { STUDY, { StudyInstanceUID = "1.3" } }, { to = "archive", wait_timeout = 60 })
  end },
  ["modality:store"] = { "table", function(_, p) return p:store(STORED, WAIT) end },
  ["modality:store synchronous"] = { "table", function(_, p) return p:store({ STORED }, { Synchronous = true, wait_timeout = 60 }) end },
  ["modality:store_straight"] = { "table", function(_, p) return p:store_straight({ data = "DICM" }, WAIT) end },
  ["modality:storage_commitment"] = { "userdata", function(_, p)
    return p:storage_commitment({ STORED, { SOPClassUID = "1", SOPInstanceUID = "1.2.3" } }, WAIT)
  end },
  ["modality:storage_commitment wait"] = { "table", function(_, p)
    local commitment, err = p:storage_commitment({ STORED }, WAIT)
    if not commitment then return nil, err end
    return commitment:wait(WAIT)
  end },
  ["modality:configuration"] = { "table", function(_, p) return p:configuration() end },
  ["modality:configure"] = { "table", function(_, p) return p:configure { Port = 1 } end },
  ["modality:remove"] = { "boolean", function(_, p) return p:remove() end },
  ["peer:system"] = { "table", function(_, _, f) return f:system(WAIT) end },
  ["peer:store"] = { "table", function(_, _, f) return f:store(STORED, WAIT) end },
  ["peer:configuration"] = { "table", function(_, _, f) return f:configuration() end },
  ["peer:configure"] = { "table", function(_, _, f) return f:configure { Username = "u", Password = "p", HttpHeaders = { T = "t" } } end },
  ["peer:remove"] = { "boolean", function(_, _, f) return f:remove() end },
  ["query:answers"] = { "table", function(c) return c:query("1-1"):answers { short = true } end },
  ["query:level"] = { "string", function(c) return c:query("1-1"):level() end },
  ["query:modality"] = { "string", function(c) return c:query("1-1"):modality() end },
  ["query:move"] = { "table", function(c) return c:query("1-1"):move({ wait_timeout = 60 }, 1) end },
  ["query:close"] = { "boolean", function(c) return c:query("1-1"):close() end },
  ["job:status"] = { "table", function(c) return c:job("2-2"):status() end },
  ["job:wait"] = { nil, function(c) return c:job("2-2"):wait(WAIT) end },
  ["job:cancel"] = { "boolean", function(c) return c:job("2-2"):cancel() end },
  ["job:pause"] = { "boolean", function(c) return c:job("2-2"):pause() end },
  ["job:resume"] = { "boolean", function(c) return c:job("2-2"):resume() end },
  ["job:resubmit"] = { "boolean", function(c) return c:job("2-2"):resubmit() end },
}
-- A word that is no name is one all the same, so that few inputs are lost.
local function named(word, things, names)
  local sum = #word
  for i = 1, #word do
    sum = sum * 31 + word:byte(i)
  end
  return things[word] and word or names[sum % #names + 1]
end

local function sorted_names(things)
  local names = {}
  for name in pairs(things) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local INTERNAL = { "attempt to", "stack traceback", "modalua/", "%[C%]", "core%." }

local function check_text(text)
  assert(type(text) == "string", "the text of an error is no string")
  for _, word in ipairs(INTERNAL) do
    assert(not text:find(word) or input.text:find(word), text) -- the input may be quoted
  end
  assert(not text:find "://[^/ ]*:[^/ ]*@", text)
end

-- What an operation gives is one line; what a wrong call throws may quote the call.
local function check_error(err)
  assert(modalua.is_error(err), "no error object: " .. tostring(err))
  assert(type(err.kind) == "string" and (err.code == nil or type(err.code) == "string"), "a kind or code is no string")
  check_text(err.message)
  check_text(tostring(err))
  assert(not tostring(err):find "%c", "a control character in the error: " .. tostring(err))
  assert(not err.message:find "bad argument", err.message)
end

local function check_value(kind, value)
  local expected = kind == "iterator" and "table" or kind
  assert(kind == nil or type(value) == expected, "a result of another type: " .. type(value))
end

local function check_outcome(kind, ok, value, err)
  if not ok then
    assert(kind == "iterator", value)
    check_error(value)
  elseif value == nil or value == false then
    check_error(err)
  else
    check_value(kind, value)
  end
end

local function connect()
  local client = modalua.connect("http://localhost:8042", { timeout = 60, username = "u", password = "secret" })
  return client, client:modality "pacs", client:peer "far"
end

local NAMES = sorted_names(OPERATIONS)

-- Runs the operation that the input names.
function operate()
  local kind, call = table.unpack(OPERATIONS[named(input[1], OPERATIONS, NAMES)], 1, 2)
  check_outcome(kind, pcall(call, connect()))
  os.remove(DOWNLOADED)
end

-- The methods that options_fuzz.c calls: those of client but download, which would write any file.
local METHODS = {
  client = "get post put delete upload system modalities peers jobs find changes commitment query job modality peer",
  modality = "echo find find_each find_all find_worklist get get_query_answers studies series instances move move_resources store "
    .. "store_straight storage_commitment configure",
  peer = "system store configure",
  query = "answers move",
  job = "wait",
  commitment = "wait",
}
local CALLS = { ["modalua.connect"] = true, ["json.encode"] = true, ["json.get"] = true }
for object, methods in pairs(METHODS) do
  for method in methods:gmatch "%S+" do
    CALLS[object .. ":" .. method] = true
  end
end
local CALL_NAMES = sorted_names(CALLS)

-- No file of this machine is read: a name may be that of a device that never ends.
local function without_files(method, arguments)
  if (method == "upload" or method == "store_straight") and type(arguments[1]) == "string" then
    arguments[1] = { data = arguments[1] }
  end
end

local function objects()
  local client, pacs, far = connect()
  return { client = client, modality = pacs, peer = far, query = client:query "1-1", job = client:job "2-2",
    commitment = client:commitment "1.2", modalua = modalua, json = json }
end

-- Calls the function that the input names with the arguments in its second line.
function choose()
  local arguments = json.decode(input[2])
  if type(arguments) ~= "table" then return end
  local object, mark, method = named(input[1], CALLS, CALL_NAMES):match "^(%w+)([:.])([%w_]+)$"
  without_files(method, arguments)
  local target = objects()[object]
  local f = target[method]
  if mark == ":" then
    table.insert(arguments, 1, target)
  end
  local ok, value, err = pcall(f, table.unpack(arguments, 1, math.min(#arguments, 5)))
  if ok and type(value) == "function" then
    ok, value, err = pcall(all, value)
  end
  if not ok and type(value) == "string" then
    check_text(value)
  elseif not ok then
    check_error(value)
  elseif value == nil and object ~= "json" then
    check_error(err)
  end
end
