-- The functions of `string` that take a pattern are modalua's own (src/embed/patterns.h). Stock Lua says what is right.
local command = require "spec.support.command"

-- Prints what each call returns or throws, one a line, for random texts and patterns that the seed decides.
local CALLS <const> = [==[
  math.randomseed(20261129)
  local TEXT <const> = { "a", "b", "c", "A", "1", " ", "(", ")", "[", "]", "%", "-", ".", "\0", "\xe9", "\n", "_" }
  local ITEMS <const> = { "a", "b", "c", ".", "%a", "%A", "%d", "%s", "%S", "%w", "%p", "%x", "%l", "%U", "%z", "%%", "%(", "%]", "\0",
    "[ab]", "[^ab]", "[a-c]", "[]]", "[^]]", "[%a_]", "[%]-]", "[a-]", "[^%s%d]", "[", "]", "%", "(", ")", "()", "(a)", "(.-)", "(%w+)",
    "%1", "%2", "%b()", "%bab", "%bxx", "%b", "%f[%w]", "%f[^ab]", "%f[%z]", "%f", "^", "$", "\xe9", "[\0-\31]", "[\x80-\xff]" }
  local SUFFIXES <const> = { "", "", "", "*", "+", "-", "?" }
  local REPLACEMENTS <const> = { "", "x", "<%0>", "%1%1", "%2", "%%", "%", "%x", 7,
    { a = "A", b = false, [""] = "-", c = 12, ["1"] = true, [1] = "first" },
    function(first, second) return second or first and #tostring(first) end,
    function() return false end, function() return {} end, function() error("in the function", 0) end, true }

  local function some(list, most)
    local parts = {}
    for i = 1, math.random(0, most) do parts[i] = list[math.random(#list)] end
    return table.concat(parts)
  end

  local function pattern()
    local parts = { math.random(6) == 1 and "^" or "" }
    for i = 1, math.random(1, 5) do parts[i + 1] = ITEMS[math.random(#ITEMS)] .. SUFFIXES[math.random(#SUFFIXES)] end
    return table.concat(parts)
  end

  local function show(...)
    local shown = table.pack(...)
    for i = 1, shown.n do
      shown[i] = type(shown[i]) == "string" and ("%q"):format(shown[i]):gsub("\n", "n") or tostring(shown[i])
    end
    print(table.concat(shown, " "))
  end

  local function all(text, searched, init)
    local found = {}
    for a, b in string.gmatch(text, searched, init) do
      found[#found + 1] = ("%s,%s"):format(a, b)
    end
    return table.concat(found, ";")
  end

  for _ = 1, 4000 do
    local text, searched = some(TEXT, 12), pattern()
    local init = math.random(3) == 1 and math.random(-15, 15) or nil
    show(text, searched, init)
    show(pcall(string.find, text, searched, init))
    show(pcall(string.find, text, some(TEXT, 2), init, true))
    show(pcall(string.match, text, searched, init))
    show(pcall(all, text, searched, init))
    show(pcall(string.gsub, text, searched, REPLACEMENTS[math.random(#REPLACEMENTS)], math.random(3) == 1 and math.random(-1, 3) or nil))
  end
  show(pcall(string.find))
  show(pcall(string.find, "a", {}))
  show(pcall(string.gsub, "a", "a"))
  show(pcall(string.gsub, 121, 1, 2))
  show(pcall(string.match, ("a"):rep(50), ("(a)"):rep(33)))
  show(pcall(string.match, ("("):rep(300), ("("):rep(250)))
  show(pcall(string.rep("a", 220).match, ("a"):rep(220), ("a?"):rep(220)))
  show(("x"):find("", 2), ("x"):find("", 3), ("x"):find("", -5), ("a,b"):gsub(",", "%%"))]==]

describe("A function with a pattern", function()
  it("gives what stock Lua gives, for random texts and patterns", function()
    local file = command.file(CALLS)
    local expected = command.shell("lua5.4 " .. file)
    local result = command.shell('"$M" ' .. file)
    os.remove(file)
    assert.are.equal("", expected.err)
    assert.are.same({ 0, "" }, { result.status, result.err })
    local lines = expected.out:gmatch "[^\n]*"
    local n = 0
    for line in result.out:gmatch "[^\n]*" do
      n = n + 1
      assert.are.equal(lines(), line)
    end
    assert.is_true(n > 24000)
    assert.are.equal(#expected.out, #result.out)
  end)

  it("may be called again by a hook while it looks whether the run has to stop", function()
    local file = command.file [[
      local next_one, n = ("a"):rep(100):gmatch "(a*)(a*)(a*)b", 0
      debug.sethook(function()
        n = n + 1
        if n == 20 then
          debug.sethook()
          print((next_one()))
        end
      end, "c")
      print((next_one()))]]
    local result = command.shell('"$M" ' .. file)
    os.remove(file)
    assert.are.same({ out = "nil\nnil\n", err = "", status = 0 }, result)
  end)
end)
