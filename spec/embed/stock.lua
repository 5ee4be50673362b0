-- Tests modalua.so in stock Lua: lua5.4 stock.lua FIRST. FIRST is the name of the module that is required first.
local first = require(arg[1])
local modalua = require "modalua"
local task = require "modalua.task"
local json = require "modalua.json"
local faultd = require "spec.support.faultd"

assert(first == (arg[1] == "modalua" and modalua or arg[1] == "modalua.task" and task or json))
assert(modalua.task == task and modalua.json == json)
assert(coroutine.isyieldable() == false and debug.getinfo(coroutine.yield, "S").what == "C")

local server = faultd.start()
local client = modalua.connect(server.url)

-- task.map is written in Lua and loaded on first use; scripts cannot require the internal modules
assert(task.map({ 1, 2 }, function(n) return n * n end)[2] == 4)
for _, name in ipairs { "modalua.arrival", "modalua.verbs", "core.arrival", "core.native" } do
  local good, message = pcall(require, name)
  assert(not good and message:find(("module '%s' not found:"):format(name), 1, true), message)
end

-- outside any task, an operation waits in place, and join runs the scheduler
assert(json.encode(assert(client:get("/ok"))) == "{}")
local tasks = {}
for i = 1, 20 do
  tasks[i] = task.spawn(function()
    assert(client:get("/delay", { s = 0.01 }))
    coroutine.yield() -- lets the other tasks run
    return i
  end)
end
for i = 20, 1, -1 do
  assert(tasks[i]:join() == i)
end
assert(string.gsub("x", "x", function() return assert(client:get("/echo")).path end) == "/echo")
local failed, err = task.spawn(error, { "value" }):join()
assert(failed == nil and err[1] == "value")
local none, refused = modalua.connect("http://127.0.0.1:1"):get("/")
assert(none == nil and modalua.is_error(refused) and refused.where:find("stock.lua", 1, true))

-- Closing the Lua state sends the cleanup requests of a script that has ended.
local ID = "12345678-1234"
local function answers(path, body)
  assert(client:get("/map", { path = path, to = "/status?code=200&type=application/json&body=" .. body }))
end
answers("/modalities/pacs/query", ('{"ID":"%s"}'):format(ID))
answers("/queries/" .. ID .. "/answers", "[]")
answers("/queries/" .. ID .. "/retrieve", '{"ID":"1-1"}')
answers("/jobs/1-1", '{"State":"Running"}')
assert(os.execute(([[lua5.4 -e 'local task = require "modalua.task"
  local client = require "modalua".connect("%s")
  local pacs = client:modality "pacs"
  local found <close> = assert(pacs:find { Level = "Study", Query = { PatientID = "X" } })
  local t = task.spawn(pacs.move, pacs, found)
  task.spawn(function()
    while client:get("/count", { of = "/jobs/1-1" }) == 0 do task.sleep(0.01) end
    t:cancel()
  end):join()
  t:join()']]):format(server.url)))
assert(client:get("/count", { of = "/queries/" .. ID }) == 1, "the query was not removed")
assert(client:get("/count", { of = "/jobs/1-1/cancel" }) == 1, "the job was not cancelled")

-- closing the state with a task that still waits does no harm
task.spawn(client.get, client, "/hang")
task.sleep(0.01)
server:close()
print("ok")
