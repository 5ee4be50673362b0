-- Scripts that try to outlive a kill, for a sandbox. A row: what it tries, the code, and perhaps
--   refused  the code ends by itself, in an error, since what it would need is not there: a pattern of the message
--   deaf     the code sits in one C call, which no hook can end: only the process can be ended
--   cost     the code makes C calls of some milliseconds each: other code, which sets the global `cost` to the processor time of the
--            longest of a few
--   variant  the calls of the row before, made in another way
local SPIN = "local function spin() while true do end end "
local CLOSE = "local function closing(f) return setmetatable({}, {__close = f}) end "

-- C calls of some milliseconds each: what they need, and the call.
local BIG = "local function big(size) return ('x'):rep(1000):rep(size // 1000) end "
local CALLS = {
  { "string.rep", "local s = ('x'):rep(1000)", "s:rep(20000)" },
  { "gsub of a megabyte", "local s = big(1000000)", "s:gsub('.', '%0%0')" },
  { "find in 2 MB", "local s = big(2000000)", "s:find('[yz]')" },
  { "gmatch in 2 MB", "local s = big(2000000)", "for _ in s:gmatch '[yz]' do end" },
  { "match that backtracks", "local s = ('a'):rep(17)", "s:match(('a?'):rep(17) .. s)" },
  { "string.format", "local s = big(2000000)", "('%s,%q'):format(s, s)" },
  { "string.byte of a great many", "local s = big(900000)", "s:byte(1, -1)" },
  { "string.char of a great many", "local t = {big(200000):byte(1, -1)}", "string.char(table.unpack(t))" },
  { "upper", "local s = big(5000000)", "s:upper()" },
  { "..", "local s = big(10000000)", "local _ = s .. s" },
  { "table.concat", "local t = {} for i = 1, 500000 do t[i] = 'x' end", "table.concat(t)" },
  { "table.concat of nothing", "local t = {} for i = 1, 500000 do t[i] = '' end", "table.concat(t)" },
  { "table.unpack", "local t = {} for i = 1, 900000 do t[i] = i end", "table.unpack(t)" },
  { "table.insert at the front", "local t = {} for i = 1, 500000 do t[i] = i end", "table.insert(t, 1, 0) t[#t] = nil" },
  { "table.remove at the front", "local t = {} for i = 1, 500000 do t[i] = i end", "t[#t + 1] = table.remove(t, 1)" },
  { "table.move", "local t = {} for i = 1, 500000 do t[i] = i end", "table.move(t, 1, #t, 2) t[#t] = nil" },
  { "table.sort", "local t = {} for i = 1, 50000 do t[i] = i % 1000 end", "table.sort(t)" },
  { "next in a table that was emptied", "local t = {} for i = 1, 500000 do t[i] = i end for i = 1, #t do t[i] = nil end", "next(t)" },
  { "utf8.len", "local s = big(2000000)", "utf8.len(s)" },
  { "utf8.codepoint", "local s = big(900000)", "utf8.codepoint(s, 1, -1)" },
  { "load of a long text", "local s = ('x = 1 '):rep(100000)", "load(s)" },
  { "load of a comment", "local s = '--' .. big(5000000)", "load(s)" },
  { "json.decode", "local json = require 'modalua.json' local s = '[' .. ('{\"a\":[1,2.5]},'):rep(20000) .. '1]'", "json.decode(s)" },
  { "json.encode", "local json = require 'modalua.json' local t = {} for i = 1, 20000 do t['k' .. i] = i end", "json.encode(t)" },
}

-- The calls follow quick Lua, and a call of the function `begun` where the host has one.
local BEGIN = " for _ = 1, 10000 do end if begun then begun() end "
local WAYS = {
  { "", "while true do %s end" },
  { ", in pcall", "while true do pcall(function() %s end) end" },
  { ", in a coroutine that goes on",
    "local co = coroutine.wrap(function() while true do %s coroutine.yield() end end) while true do co() end" },
  { ", in a new coroutine each time", "while true do coroutine.wrap(function() %s end)() end" },
}

local COST = [[%s
  cost = 0
  for _ = 1, 3 do
    local began = os.clock()
    do %s end
    cost = math.max(cost, os.clock() - began)
  end]]

-- A list of two thousand million elements that takes no memory: C functions answer for its elements.
local LIAR = [[
  local liar = setmetatable({}, { __len = function() return 2000000000 end, __index = rawlen, __newindex = rawlen }) ]]

-- Its JSON would have 2^60 brackets.
local BOMB = "local bomb = {} for _ = 1, 60 do bomb = { bomb, bomb } end "

local escapes = {
  { "a loop", "while true do end" },
  { "a goto", "::again:: goto again" },
  { "a loop that was loaded", "load 'while true do end' ()" },
  { "pcall in a loop", SPIN .. "while true do pcall(spin) end" },
  { "recursion through pcall", SPIN .. "local function f() pcall(f) spin() end while true do f() end" },
  { "xpcall whose handler spins after the kill", SPIN .. "while true do xpcall(spin, spin) end" },
  { "xpcall whose handler spins after an error", SPIN .. "while true do xpcall(error, spin) end" },
  { "xpcall whose handler fails", "while true do xpcall(error, error) end" },
  { "a callback of gsub", SPIN .. "while true do pcall(string.gsub, 'x', 'x', spin) end" },
  { "a comparator of sort", SPIN .. "while true do pcall(table.sort, {3, 2, 1}, spin) end" },
  { "__index", SPIN .. "local t = setmetatable({}, {__index = spin}) while true do pcall(function() return t.x end) end" },
  { "__newindex", SPIN .. "local t = setmetatable({}, {__newindex = spin}) while true do pcall(function() t.x = 1 end) end" },
  { "__pairs", SPIN .. "local t = setmetatable({}, {__pairs = spin}) while true do pcall(pairs, t) end" },
  { "__lt", SPIN .. "local t = setmetatable({}, {__lt = spin}) while true do pcall(function() return t < t end) end" },
  { "__concat", SPIN .. "local t = setmetatable({}, {__concat = spin}) while true do pcall(function() return t .. t end) end" },
  { "__tostring", SPIN .. "local t = setmetatable({}, {__tostring = spin}) while true do pcall(print, t) end" },
  { "__tostring of the error that ends the script", SPIN .. "error(setmetatable({}, {__tostring = spin}))",
    refused = "%(error object is a table value%)" },
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
  { "a finalizer", SPIN .. "setmetatable({}, {__gc = spin}) spin()", refused = "a metatable with __gc is refused" },
  { "the debug library", "debug.sethook() while true do end", refused = "attempt to index a nil value %(global 'debug'%)" },
  { "bytecode", "assert(load('\\27Lua', 'x', 'b'))()", refused = "attempt to load a binary chunk" },
  { "os.exit", "os.exit(0)", refused = "attempt to call a nil value %(field 'exit'%)" },
  { "a pattern that backtracks", "('a'):rep(40):find(('a?'):rep(40) .. ('a'):rep(40))" },
  { "a pattern that backtracks in gsub", "('a'):rep(40):gsub(('a?'):rep(40) .. ('a'):rep(40), '')" },
  { "a pattern that backtracks in gmatch", "for _ in ('a'):rep(40):gmatch(('a?'):rep(40) .. ('a'):rep(40)) do end" },
  { "a pattern with a long set", "('x'):rep(1000000):match('[' .. ('y'):rep(1000000) .. ']')" },
  { "a pattern with a million items", "('a'):rep(2000000):find(('a'):rep(1000000) .. '[b]')" },
  { "a pattern with a million items that match nothing", "('x'):rep(100000):find(('b?'):rep(1000000) .. 'c')" },
  { "a pattern with a long set at the end of the text", "('a'):rep(5):find(('a?'):rep(30) .. '[' .. ('b'):rep(1000000) .. ']?c')" },
  { "a long replacement without text", "('a'):rep(100000):gsub('', ('%0'):rep(2000000))" },
  { "a word that is nearly found everywhere", "('a'):rep(9000000):find(('a'):rep(4000000) .. 'b', 1, true)" },
  { "a chain of __call", "local t = print for _ = 1, 200000 do t = setmetatable({}, { __call = t }) end t()", deaf = true },
  { "a sort with a slow comparator of C", [[
    local s, t = ("x"):rep(3000) .. "[y]", {}
    for i = 1, 1000 do t[i] = s end
    table.sort(t, string.find)]] },
  { "table.move without an end", "table.move({}, 1, math.maxinteger - 1, 2)" },
  { "table.insert into a list that lies", LIAR .. "table.insert(liar, 1, 0)" },
  { "table.remove from a list that lies", LIAR .. "table.remove(liar, 1)" },
  { "table.concat of a list that lies", LIAR .. "table.concat(liar)" },
  { "table.sort of a list that lies", LIAR .. "table.sort(liar)" },
  { "json.encode of tables that share others", BOMB .. "require 'modalua.json'.encode(bomb)" },
  { "json.encode of tables that share an emptied one", [[
    local empty = {} for i = 1, 50000 do empty[i] = i end for i = 1, 50000 do empty[i] = nil end
    local t = {} for i = 1, 30000 do t[i] = empty end
    require 'modalua.json'.encode(t)]] },
  { "an argument for the host that shares tables", BOMB .. "(begun or require 'modalua.json'.encode)(bomb)" },
  { "string.rep of nothing", "error('rep' .. (''):rep(math.maxinteger) .. 'eated')", refused = "repeated" },
}

for _, row in ipairs(CALLS) do
  local name, needs, call = table.unpack(row)
  for _, way in ipairs(WAYS) do
    escapes[#escapes + 1] = {
      name .. way[1], BIG .. needs .. BEGIN .. way[2]:format(call),
      cost = COST:format(BIG .. needs, call), variant = way ~= WAYS[1],
    }
  end
end

return escapes
