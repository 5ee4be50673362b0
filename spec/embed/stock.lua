-- modalua.so in a Lua that is not ours: lua5.4 stock.lua FIRST, where FIRST is the module that is required first.
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

-- outside any task: operations drive in place, joins run the scheduler
assert(json.encode(assert(client:get("/ok"))) == "{}")
local tasks = {}
for i = 1, 20 do
  tasks[i] = task.spawn(function()
    assert(client:get("/delay", { s = 0.01 }))
    coroutine.yield() -- a turn for the others
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

-- What a script still has to say when it is over is said as its state is closed.
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

-- what is left behind is collected without harm
task.spawn(client.get, client, "/hang")
task.sleep(0.01)
server:close()
print("ok")
