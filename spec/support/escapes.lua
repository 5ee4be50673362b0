-- Scripts that try to outlive a kill, for a sandbox. A row: what it tries, and the code. `refused`: it ends by itself, in an error, since
-- what it would need is not there. `deaf`: it sits in one call of C, which no hook can end; only the process can be.
local SPIN = "local function spin() while true do end end "
local CLOSE = "local function closing(f) return setmetatable({}, {__close = f}) end "

return {
  { "a loop", "while true do end" },
  { "a goto", "::again:: goto again" },
  { "a loop that was loaded", "load 'while true do end' ()" },
  { "pcall in a loop", SPIN .. "while true do pcall(spin) end" },
  { "recursion through pcall", SPIN .. "local function f() pcall(f) spin() end while true do f() end" },
  { "xpcall whose handler spins after the kill", SPIN .. "while true do xpcall(spin, spin) end" },
  { "xpcall whose handler spins after an error", SPIN .. "while true do xpcall(error, spin) end" },
  { "xpcall whose handler fails", "while true do xpcall(error, error) end" },
  { "a callback of gsub", SPIN .. "while true do pcall(string.gsub, 'x', 'x', spin) end" },
  { "gsub of a megabyte", "local s = ('x'):rep(1000000) while true do s:gsub('.', '%0%0') end" },
  { "a comparator of sort", SPIN .. "while true do pcall(table.sort, {3, 2, 1}, spin) end" },
  { "__index", SPIN .. "local t = setmetatable({}, {__index = spin}) while true do pcall(function() return t.x end) end" },
  { "__newindex", SPIN .. "local t = setmetatable({}, {__newindex = spin}) while true do pcall(function() t.x = 1 end) end" },
  { "__pairs", SPIN .. "local t = setmetatable({}, {__pairs = spin}) while true do pcall(pairs, t) end" },
  { "__lt", SPIN .. "local t = setmetatable({}, {__lt = spin}) while true do pcall(function() return t < t end) end" },
  { "__concat", SPIN .. "local t = setmetatable({}, {__concat = spin}) while true do pcall(function() return t .. t end) end" },
  { "__tostring", SPIN .. "local t = setmetatable({}, {__tostring = spin}) while true do pcall(print, t) end" },
  { "__tostring of the error that ends the script", SPIN .. "error(setmetatable({}, {__tostring = spin}))", refused = true },
  { "__len that lies",
    "table.concat(setmetatable({}, {__len = function() return math.maxinteger end, __index = function() return '' end}))" },
  { "a reader of load that has no end", "load(function() return ' ' end)" },
  { "coroutines in one another", SPIN .. "while true do pcall(coroutine.wrap(function() pcall(coroutine.wrap(spin)) spin() end)) end" },
  { "a new coroutine each time", SPIN .. "while true do coroutine.resume(coroutine.create(spin)) end" },
  { "a coroutine that never ends",
    "local next_one = coroutine.wrap(function() while true do coroutine.yield(1) end end) for _ in next_one do end" },
  { "coroutine.close of one that spins as it is closed", SPIN .. CLOSE .. [[
    local co = coroutine.create(function() local x <close> = closing(spin) coroutine.yield() end)
    coroutine.resume(co) coroutine.close(co) spin()]] },
  { "two <close> that spin", SPIN .. CLOSE .. "local a <close>, b = closing(spin), nil local c <close> = closing(spin) spin()" },
  { "a <close> that catches", SPIN .. CLOSE .. "local a <close> = closing(function() while true do pcall(spin) end end) spin()" },
  { "a <close> that opens another one", SPIN .. CLOSE ..
    "local function f() local a <close> = closing(function() pcall(f) pcall(coroutine.wrap(f)) f() end) spin() end f()" },
  { "the closing value of a for", SPIN .. CLOSE .. "for _ in function() return 1 end, nil, nil, closing(spin) do spin() end" },
  { "a task that starts the next", [[
    local task = require "modalua.task"
    local function f() local t = task.spawn(f) while true do pcall(task.sleep, 0) pcall(t.join, t) end end f()]] },
  { "a hundred tasks that catch", [[
    local task = require "modalua.task"
    for i = 1, 100 do task.spawn(function() while true do pcall(task.sleep, 0) end end) end]] },
  { "a task that starts tasks as it is closed", CLOSE .. [[
    local task = require "modalua.task"
    local function f() local x <close> = closing(function() task.spawn(f) f() end) task.sleep(9) end f()]] },
  { "task.timeout and task.map around what catches", [[
    local task = require "modalua.task"
    local function stay() while true do pcall(task.sleep, 0.01) end end
    while true do pcall(task.timeout, 0.01, stay) pcall(task.map, {1, 2}, stay) end]] },
  { "a sleep inside a callback of C", [[
    local task = require "modalua.task"
    while true do pcall(string.gsub, "x", "x", function() task.sleep(9) end) end]] },
  { "a finalizer", SPIN .. "setmetatable({}, {__gc = spin}) spin()", refused = true },
  { "the debug library", "debug.sethook() while true do end", refused = true },
  { "bytecode", "assert(load('\\27Lua', 'x', 'b'))()", refused = true },
  { "os.exit", "os.exit(0)", refused = true },
  { "a pattern that backtracks", "('a'):rep(30):find(('a?'):rep(30) .. ('a'):rep(30))", deaf = true },
  { "a huge sort", [[
    local t = table.pack(("the quick brown fox"):rep(40000):byte(1, 700000))
    for i = 1, 4 do table.move(t, 1, #t, #t + 1) end
    table.sort(t)]], deaf = true },
  { "table.move without an end", "table.move({}, 1, math.maxinteger - 1, 2)", deaf = true },
  { "string.rep of nothing", "(''):rep(math.maxinteger)", deaf = true },
}
