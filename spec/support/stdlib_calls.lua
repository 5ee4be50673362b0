-- Calls of the functions of table and string that modalua replaces, right ones and wrong ones, and what comes of them: base_spec.lua
-- runs it in stock Lua and in modalua.
local function show(...)
  local t = table.pack(...)
  for i = 1, t.n do t[i] = type(t[i]) == "table" and "table" or tostring(t[i]) end
  return table.concat(t, " ", 1, t.n)
end
local function try(name, f, ...) print(name, show(pcall(f, ...))) end
local function proxy(t)
  local function index(_, k) return t[k] end
  local function set(_, k, v) t[k] = v end
  return setmetatable({}, { __len = function() return #t end, __index = index, __newindex = set })
end
local function content(t) local s = {} for i = 1, #t + 1 do s[i] = tostring(t[i]) end return table.concat(s, ",") end
for _, make in ipairs { function(t) return t, t end, function(t) return proxy(t), t end } do
  for _, args in ipairs { { 9 }, { 1, 9 }, { 3, 9 }, { 4, 9 }, { 5, 9 }, { 0, 9 }, {}, { 1, 2, 3 }, { "2", 9 }, { "x", 9 },
    { 1.5, 9 }, { 4 } } do
    local p, t = make { 1, 2, 3 }
    try("insert", function(...) table.insert(p, ...) end, table.unpack(args))
    print(content(t))
  end
  for _, args in ipairs { {}, { 1 }, { 2 }, { 3 }, { 4 }, { 5 }, { 0 }, { -1 }, { "x" } } do
    local p, t = make { 1, 2, 3 }
    try("remove", function(...) return table.remove(p, ...) end, table.unpack(args))
    print(content(t))
  end
  local p, t = make {}
  try("remove empty", function() return table.remove(p), table.remove(p, 0), table.remove(p, #t) end)
  for _, args in ipairs { { 1, 3, 2 }, { 2, 3, 1 }, { 1, 0, 5 }, { 1, 3, 1 }, { 1, 3, 3 }, { 0, 3, 1 },
    { 1, math.maxinteger, 2 }, { -5, math.maxinteger, 1 }, { 1, 2, math.maxinteger }, { 1, 2 }, { "a", 2, 3 } } do
    p, t = make { 1, 2, 3 }
    try("move", function(...) return table.move(p, ...) end, table.unpack(args))
    print(content(t))
    local target = {}
    try("move to", function(a, b, c) return table.move(p, a, b, c, target) end, table.unpack(args))
    print(content(target))
  end
  for _, args in ipairs { {}, { "-" }, { "-", 2 }, { "-", 2, 2 }, { "-", 3, 2 }, { "-", 1, 4 }, { 1, 2 }, { {}, 2 }, { "-", "x" } } do
    p = make { 1, "b", 2.5 }
    try("concat", function(...) return table.concat(p, ...) end, table.unpack(args))
  end
  p, t = make { 5, 3, 9, 1 }
  try("sort", function() table.sort(p) return content(t) end)
  p, t = make { 5, 3, 9, 1 }
  try("sort by", function() table.sort(p, function(a, b) return a > b end) return content(t) end)
  p, t = make { "b", "a" }
  try("sort strings", function() table.sort(p) return content(t) end)
  p = make { 1, "a", {} }
  try("sort mixed", function() table.sort(p) end)
end
try("concat", table.concat, { 1, {}, 3 })
try("concat", table.concat, { 1, nil, 3 }, ",", 1, 3)
try("insert", table.insert)
try("insert", table.insert, 1, 2)
try("insert", table.insert, nil, 2)
try("remove", table.remove, "x")
try("move", table.move, 1, 1, 2, 3)
try("move", table.move, {}, 1, 2, 3, 4)
try("concat", table.concat, 3)
try("sort", table.sort, 3)
try("sort", table.sort, {}, 3)
try("sort", table.sort, { 3, 2, 1 }, nil)
try("sort", table.sort, { 3, 2, 1 }, math.max)
try("sort", table.sort, { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, function() return true end)
try("sort", table.sort, setmetatable({}, { __len = function() return math.maxinteger end }))
local many = {}
for i = 1, 3000 do many[i] = i * 7919 % 3001 end
table.sort(many)
for i = 2, 3000 do assert(many[i - 1] <= many[i]) end
for i = 1, 3000 do many[i] = setmetatable({ i * 7919 % 3001 }, { __lt = function(a, b) return a[1] < b[1] end }) end
table.sort(many)
for i = 2, 3000 do assert(many[i - 1][1] <= many[i][1]) end
for _, args in ipairs { { "ab", 3 }, { "ab", 3, "," }, { "", 3, "," }, { "ab", 1, "," }, { "ab", 0 }, { "ab", -1 }, { "", 5 },
  { "ab", "2" },
  { "ab" }, { "ab", 1.5 }, { 12, 2, 0 }, { {}, 2 }, { "ab", 2, {} }, { "ab", math.maxinteger }, { "", math.maxinteger } } do
  if not (args[1] == "" and args[2] == math.maxinteger) then
    try("rep", string.rep, table.unpack(args))
  end
end
for _, size in ipairs { 1, 7, 4095, 4194303, 4194304, 5000001 } do
  local unit = ("0123456789"):rep(size // 10 + 1):sub(1, size)
  local text = unit:rep(13000000 // size + 2, "-+")
  for _, at in ipairs { 0, 1, 2, 13000000 // size } do
    local from = at * (size + 2)
    assert(text:sub(from + 1, from + size + 2) == unit .. "-+", size)
  end
  assert(#text == (13000000 // size + 2) * (size + 2) - 2)
end
print "end"
