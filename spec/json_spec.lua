local json = require "modalua.json"
local command = require "spec.support.command"
local throws = require "spec.support.expect".throws

local function message_of(text)
  local value, err = json.decode(text)
  assert.is_nil(value, "decoded: " .. text:sub(1, 60))
  assert.equal("decode", err.kind)
  return err.message
end

local function round_trip(text)
  local value, err = json.decode(text)
  assert.is_nil(err, text)
  return json.encode(value)
end

local function thrown(...)
  local ok, err = pcall(json.encode, ...)
  assert.is_false(ok)
  return tostring(err)
end

local function nested(levels, inside)
  return ("["):rep(levels) .. (inside or "") .. ("]"):rep(levels)
end

describe("json.decode", function()
  describe("numbers", function()
    local function is_integer(expected, text)
      local value = json.decode(text)
      assert.equal(expected, value)
      assert.equal("integer", math.type(value), text)
    end

    it("keeps integers in the whole range of 64 bits", function()
      is_integer(0, "0")
      is_integer(1, "1")
      is_integer(-1, "-1")
      is_integer(123456789012345, "123456789012345")
      is_integer(12345678901234567, "12345678901234567")
      is_integer(9007199254740991, "9007199254740991")
      is_integer(9007199254740992, "9007199254740992")
      is_integer(9007199254740993, "9007199254740993")
      is_integer(-9007199254740993, "-9007199254740993")
      is_integer(math.maxinteger, "9223372036854775807")
      is_integer(math.mininteger, "-9223372036854775808")
    end)

    it("keeps integers beyond 2^53 at any place", function()
      local text = '{"a":[9007199254740993,[-9223372036854775808]],"b":{"c":9223372036854775807}}'
      assert.equal(text, round_trip(text))
      assert.equal("integer", math.type(json.decode(text).b.c))
    end)

    it("refuses integers beyond 64 bits, and says why", function()
      for _, text in ipairs { "9223372036854775808", "-9223372036854775809", "10000000000000000000",
                              "123456789012345678901234567890" } do
        assert.equal("line 1, column 2: an integer that does not fit into 64 bits", message_of("[" .. text .. "]"))
      end
    end)

    it("converts floats with integer values to integers, up to 2^53", function()
      is_integer(1, "1.0")
      is_integer(1000, "1e3")
      is_integer(1000, "1E+3")
      is_integer(9007199254740992, "9007199254740992.0")
      assert.equal("float", math.type(json.decode "1e16"))
      assert.equal("float", math.type(json.decode "1.5"))
      assert.equal(0.1, json.decode "0.1")
    end)

    it("keeps the sign of minus zero as a float", function()
      assert.equal("float", math.type(json.decode "-0"))
      assert.equal(-math.huge, 1 / json.decode "-0")
      assert.equal("-0", round_trip "-0")
    end)

    it("accepts the largest double and refuses larger numbers", function()
      assert.equal(1.7976931348623157e308, json.decode "1.7976931348623157e308")
      assert.equal(1.7976931348623157e308, json.decode "1.7976931348623158e+308")
      assert.equal(1e308, json.decode("1" .. ("0"):rep(308) .. ".0"))
      assert.equal(1, json.decode("0." .. ("0"):rep(400) .. "1e401"))
      assert.equal(0, json.decode "1e-400")
      assert.equal(0, json.decode "0e99999999999999999999")
      for _, text in ipairs { "1e400", "-1e309", "1.7976931348623159e308", "1e99999999999999999999", "0.01e311",
                              "1" .. ("0"):rep(309) .. ".0" } do
        assert.matches("beyond the largest double", message_of(text))
      end
    end)

    it("refuses numbers that are not valid JSON", function()
      for _, text in ipairs { "01", "-01", "0x10", "+1", "1.", ".5", "1.e5", "1e", "1e+", "-", "--1", "1_000",
                              "NaN", "nan", "-NaN", "Infinity", "-Infinity", "inf" } do
        message_of(text)
        message_of("[" .. text .. "]")
      end
    end)
  end)

  describe("containers", function()
    it("distinguishes empty arrays from empty objects", function()
      for _, text in ipairs { "[]", "{}", "[[]]", "[{}]", '{"a":[]}', '{"a":{}}', "[null]", "[[],{},[[]],[{}]]" } do
        assert.equal(text, round_trip(text))
      end
      assert.equal("[]", round_trip " [ \t\r\n ] ")
    end)

    it("marks every array, so that it is still an array when it has been emptied", function()
      local value = json.decode '{"rows":[{"tags":["x"]}]}'
      assert.equal("json.array", getmetatable(value.rows))
      assert.is_nil(getmetatable(value))
      table.remove(value.rows[1].tags)
      assert.equal('{"rows":[{"tags":[]}]}', json.encode(value))
    end)

    it("returns null as json.null at any depth", function()
      assert.equal(json.null, json.decode "null")
      assert.equal(json.null, json.decode '{"a":[null]}'.a[1])
      assert.equal(3, #json.decode "[null,null,null]")
      assert.equal(nested(200, "null"), round_trip(nested(200, "null")))
    end)

    it("uses the last of duplicate keys", function()
      assert.same({ a = 2 }, json.decode '{"a":1,"a":2}')
      assert.equal('{"a":[9007199254740993],"b":[]}', round_trip '{"a":[],"b":7,"a":[9007199254740993],"b":[]}')
      assert.equal('{"a":"x","b":[]}', round_trip '{"a":[],"a":"x","b":[]}')
    end)

    it("accepts 200 levels and refuses 201", function()
      assert.equal(nested(200), round_trip(nested(200)))
      assert.equal(nested(199, "{}"), round_trip(nested(199, "{}")))
      assert.equal("line 1, column 201: more than 200 levels of arrays and objects", message_of(nested(201)))
      assert.matches("more than 200 levels", message_of(('{"a":'):rep(201) .. "1" .. ("}"):rep(201)))
      message_of(("["):rep(1000000))
    end)
  end)

  describe("strings", function()
    it("decodes every escape", function()
      assert.equal('"\\/\b\f\n\r\t\0A\u{e9}\u{20ac}', json.decode [["\"\\\/\b\f\n\r\t\u0000\u0041\u00e9\u20AC"]])
    end)

    it("joins surrogate pairs and refuses lone surrogates", function()
      assert.equal("\u{1F600}", json.decode [["\ud83d\uDE00"]])
      assert.equal("\u{10FFFF}", json.decode [["\udbff\udfff"]])
      for _, text in ipairs { [["\ud83d"]], [["\ude00"]], [["\ud83d\ud83d"]], [["\ud83dx"]], [["\ud83d\n"]],
                              [["\ude00\ud83d"]], [["\ud83d\u0041"]] } do
        assert.equal("line 1, column 2: a surrogate without its partner", message_of(text))
      end
    end)

    it("refuses text that is not UTF-8", function()
      local good = { "\u{7f}", "\u{80}", "\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}", "\u{ffff}", "\u{10000}",
                     "\u{10ffff}", "\u{2028}" }
      for _, text in ipairs(good) do
        assert.equal(text, json.decode('"' .. text .. '"'))
        assert.equal('"' .. text .. '"', json.encode(text))
      end
      local bad = { "\xff", "\x80", "\xc3", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80",
                    "\xed\xbf\xbf", "\xe2\x82", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                    "\xf5\x80\x80\x80", "\xf0\x9f\x98" }
      for _, text in ipairs(bad) do
        assert.equal("line 1, column 5: not valid UTF-8", message_of('"abc' .. text .. '"'))
        message_of('{"' .. text .. '":1}')
        message_of('"long enough for whole words ' .. text .. ' and more of them behind"')
      end
    end)

    it("refuses raw control characters", function()
      for code = 0, 31 do
        assert.matches("a control character in a string", message_of('"a' .. string.char(code) .. 'b"'))
        message_of('"' .. ("x"):rep(13) .. string.char(code) .. ("x"):rep(9) .. '"')
      end
      assert.equal("\127", json.decode '"\127"')
    end)

    it("refuses escapes that JSON does not have", function()
      for _, text in ipairs { [["\x41"]], [["\'"]], [["\u12"]], [["\u12g4"]], [["\U0041"]], '"\\', '"\\u00' } do
        message_of(text)
      end
    end)

    it("finds special characters at every offset of a machine word", function()
      for before = 0, 17 do
        for _, special in ipairs { "\\n", "\\\"", "\u{e4}", "\\u0041" } do
          local text = '"' .. ("x"):rep(before) .. special .. ("y"):rep(9) .. '"'
          local value = json.decode(text)
          assert.equal(("x"):rep(before), value:sub(1, before))
          assert.equal(("y"):rep(9), value:sub(-9))
        end
      end
    end)
  end)

  describe("errors in the text", function()
    it("names the line, the column, and what was expected", function()
      local cases = {
        { '{\n  "a": 1,\n  "Level" "x"\n}', "line 3, column 11: expected ':' after the key, found '\"'" },
        { "", "line 1, column 1: expected a value, found the end of the text" },
        { "[1,]", "line 1, column 4: expected a value, found ']'" },
        { "[1 2]", "line 1, column 4: expected ',' or ']', found '2'" },
        { '{"a":1 "b"}', "line 1, column 8: expected ',' or '}', found '\"'" },
        { '{"a":1,}', "line 1, column 8: expected a key in quotes, found '}'" },
        { "{1:2}", "line 1, column 2: expected a key in quotes, found '1'" },
        { "[1}", "line 1, column 3: expected ',' or ']', found '}'" },
        { "<!DOCTYPE html>", "line 1, column 1: expected a value, found '<'" },
        { "[Unauthorized_and_a_long_word]", "line 1, column 2: expected a value, found 'Unauthorized_and_a_l'" },
        { '"\u{e4}\u{e4}" x', "line 1, column 6: expected the end of the text, found 'x'" },
        { "[\"abc", "line 1, column 2: a string without its closing quote" },
        { "[1", "line 1, column 3: expected ',' or ']', found the end of the text" },
        { "[01]", "line 1, column 2: a number with a leading zero" },
        { "[\1]", "line 1, column 2: expected a value, found the byte 0x01" },
        { "\xef\xbb\xbf{}", "line 1, column 1: the text begins with a byte order mark, which JSON does not allow" },
      }
      for _, case in ipairs(cases) do
        assert.equal(case[2], message_of(case[1]))
      end
    end)

    it("reports text after the value, also after a NUL byte", function()
      for _, text in ipairs { "[1]\0{", "[1]\0", "1 1", "[] []", "nullnull", "truex", "{}}", "[]]", '"a""b"',
                              "1,2" } do
        assert.matches("expected the end of the text", message_of(text))
      end
      message_of "\0[1]"
      message_of "[\0]"
    end)

    it("refuses single quotes, comments, bare words and missing parts", function()
      for _, text in ipairs { "'a'", "// x\n1", "/* */ 1", "[undefined]", "{a:1}", "nul", "True", "[,1]", "[1,,2]",
                              "{,}", "{\"a\"}", "{\"a\":}", ":", ",", "]", "}", "\u{a0}1", "\v1" } do
        message_of(text)
      end
    end)

    it("decodes texts of more than 64 MB", function()
      assert.are.same({ true }, json.decode((" "):rep(64 << 20) .. "[true]"))
    end)
  end)

  it("accepts white space before and after every part", function()
    assert.same({ a = { 1, 2 }, b = "x" }, json.decode ' \t\r\n{ "a" : [ 1 , 2 ] , "b" : "x" } \r\n')
  end)

  it("throws an error for an argument that is not a string", function()
    for _, value in ipairs { 1, true, {}, print } do
      throws("bad argument #1 to 'decode'", function() json.decode(value) end)
    end
    throws("bad argument #1 to 'decode'", function() json.decode() end)
  end)

  it("is not confused by strings that look like its internal marks", function()
    local text = '[["0123456789abcdef0123456789abcdef"],[],["0123456789abcdef0123456789abcdef9007199254740993"],'
      .. '9007199254740993]'
    assert.equal(text, round_trip(text))
  end)
end)

describe("json.encode", function()
  it("writes integers as integers, and floats in the shortest form that reads back the same", function()
    local cases = {
      { 0, "0" }, { -1, "-1" }, { 123456789012345, "123456789012345" },
      { math.maxinteger, "9223372036854775807" }, { math.mininteger, "-9223372036854775808" },
      { 1.0, "1" }, { 1.5, "1.5" }, { 0.1, "0.1" }, { 0.1 + 0.2, "0.30000000000000004" },
      { 1 / 3, "0.3333333333333333" }, { -0.0, "-0" }, { 2.0 ^ 53, "9007199254740992" }, { 1e15, "1e+15" },
      { 1e300, "1e+300" }, { 5e-324, "4.94065645841247e-324" }, { 1.7976931348623157e308, "1.7976931348623157e+308" },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[2], json.encode(case[1]))
      assert.equal(case[1], json.decode(case[2]))
    end
  end)

  it("escapes only the characters that JSON requires", function()
    assert.equal([["\"\\\b\f\n\r\t\u0000\u0001\u001f/]] .. "\127\u{2028}\u{1F600}\"",
      json.encode "\"\\\b\f\n\r\t\0\1\31/\127\u{2028}\u{1F600}")
  end)

  it("sorts keys by their bytes", function()
    assert.equal('{"":0,"A":1,"a":2,"aa":3,"ab":4,"b":5}',
      json.encode { b = 5, aa = 3, A = 1, ab = 4, a = 2, [""] = 0 })
    local many, expected = {}, {}
    for i = 1, 500 do
      many[("k%03d"):format(i)] = i
      expected[i] = ('"k%03d":%d'):format(i, i)
    end
    assert.equal("{" .. table.concat(expected, ",") .. "}", json.encode(many))
  end)

  it("writes scalars, nil and json.null", function()
    assert.equal("true", json.encode(true))
    assert.equal("false", json.encode(false))
    assert.equal("null", json.encode(nil))
    assert.equal('{"a":null}', json.encode { a = json.null })
    throws("bad argument #1 to 'encode'", function() json.encode() end)
  end)

  it("follows the marks for arrays and objects, and writes an empty table as an object", function()
    assert.equal("{}", json.encode {})
    assert.equal("[]", json.encode(json.array()))
    assert.equal("[]", json.encode(json.array {}))
    assert.equal("{}", json.encode(json.object()))
    assert.equal("[1,2]", json.encode { 1, 2 })
    assert.equal('{"a":[1]}', json.encode(json.object { a = json.array { 1 } }))
  end)

  it("indents with a string or with a number of spaces", function()
    local value = { a = { 1, {} }, b = json.array() }
    local text = '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}'
    assert.equal(text, json.encode(value, { indent = "  " }))
    assert.equal(text, json.encode(value, { indent = 2 }))
    assert.equal((text:gsub("  ", "\t")), json.encode(value, { indent = "\t" }))
    assert.equal('{"a":[1,{}],"b":[]}', json.encode(value, { indent = 0 }))
    assert.equal('{"a":[1,{}],"b":[]}', json.encode(value, {}))
  end)

  it("throws an error for an unknown option, and names the right one", function()
    assert.matches("unknown option 'indnt' %(the only one is 'indent'%)", thrown({}, { indnt = 2 }))
    assert.matches("spaces or tabs", thrown({}, { indent = "--" }))
    assert.matches("0 to 16 spaces", thrown({}, { indent = 17 }))
    assert.matches("a string or a number", thrown({}, { indent = true }))
    assert.matches("table expected", thrown({}, 2))
  end)

  it("throws an error for values that JSON does not have, and names the place", function()
    assert.matches("cannot encode a function$", thrown(print))
    assert.matches("cannot encode a function at %.Query%.0008,0060$", thrown { Query = { ["0008,0060"] = print } })
    assert.matches("cannot encode a thread at %.Resources%[2%]$",
      thrown { Resources = { "x", coroutine.create(print) } })
    assert.matches("cannot encode a userdata at %[1%]%.f$", thrown { { f = io.stdout } })
    assert.matches("cannot encode a table with both numbers and strings as keys at %.a$",
      thrown { a = { 1, 2, x = 3 } })
    assert.matches("cannot encode a hole in an array at %.a%[2%]$", thrown { a = { 1, nil, 3 } })
    assert.matches("cannot encode a hole in an array at %[1%]$", thrown { [2] = 1 })
    assert.matches("cannot encode a table with the key 1.5 at %.a$", thrown { a = { [1.5] = 1 } })
    assert.matches("cannot encode a table with the key 0$", thrown { [0] = 1 })
    assert.matches("cannot encode a table with the key %-1$", thrown { [-1] = 1 })
    assert.matches("cannot encode a table with a boolean as a key$", thrown { [true] = 1 })
    assert.matches("cannot encode a table with a userdata as a key$", thrown { [json.null] = 1 })
    assert.matches("cannot encode a json.array with string keys at %.a$", thrown { a = json.array { b = 1 } })
    assert.matches("cannot encode a json.object with numbers as keys$", thrown(json.object { 1 }))
  end)

  it("shortens long keys and long paths in the place that it names", function()
    local key = ("k"):rep(100)
    assert.matches("cannot encode a function at %." .. ("k"):rep(40) .. "%[1%]$", thrown { [key] = { print } })
    assert.equal('{"' .. key .. '":1}', round_trip('{"' .. key .. '":1}'))
    local deep = print
    for _ = 1, 20 do deep = { [key] = deep } end
    assert.is_true(#thrown(deep) < 250)
  end)

  it("ends at the memory limit, which even a small table can reach", function()
    local result = command.run("--memory-limit", "50M", "-e", [[
      local shared = { "x" }
      for _ = 1, 60 do
        shared = { shared, shared }
      end
      print(pcall(require "modalua.json".encode, shared))]])
    assert.are.equal("false\tnot enough memory\n", result.out, result.err)
  end)

  it("throws an error for cycles, but not for a table that occurs twice", function()
    local cycle = { a = {} }
    cycle.a[1] = cycle
    assert.matches("a table that contains itself at %.a%[1%]$", thrown(cycle))
    local shared = { 1 }
    assert.equal('{"a":[1],"b":[1]}', json.encode { a = shared, b = shared })
  end)

  it("accepts 200 levels and throws an error at 201", function()
    local value = {}
    for _ = 2, 200 do value = { value } end
    assert.equal(nested(199, "{}"), json.encode(value))
    assert.matches("cannot encode more than 200 levels of tables at %[1%]%[1%]", thrown { value })
  end)

  it("returns an error that names the place for invalid data", function()
    local function refused(value)
      local text, err = json.encode(value)
      assert.is_nil(text)
      assert.equal("refused", err.kind)
      return err.message
    end
    assert.equal("cannot encode NaN", refused(0 / 0))
    assert.equal("cannot encode an infinite number at .a[2]", refused { a = { 1, math.huge } })
    assert.equal("cannot encode an infinite number at .a", refused { a = -math.huge })
    assert.equal("cannot encode a string that is not UTF-8 at .Query.0010,0010",
      refused { Query = { ["0010,0010"] = "M\xfcller" } })
    assert.equal("cannot encode a string that is not UTF-8 at .M?ller", refused { ["M\xfcller"] = 1 })
    assert.equal("cannot encode a string that is not UTF-8", refused "\xed\xa0\x80")
  end)

  it("calls no metamethods", function()
    local function never() error "called" end
    local meta = { __index = never, __len = never, __pairs = never, __tostring = never, __eq = never, __name = never }
    assert.equal("[1,2]", json.encode(setmetatable({ 1, 2 }, meta)))
    assert.equal('{"ID":"x","answers":[]}', json.encode(setmetatable({ ID = "x", answers = json.array() }, meta)))
    assert.matches("a table as a key$", thrown { [setmetatable({}, meta)] = 1 })
  end)

  it("grows its buffer far beyond the first size", function()
    local list = {}
    for i = 1, 20000 do list[i] = { name = ("x"):rep(i % 50), n = i } end
    assert.same(list, json.decode(json.encode(list)))
    assert.equal(5000002, #json.encode(("x"):rep(5000000)))
    assert.equal(6 * 100000 + 2, #json.encode(("\1"):rep(100000)))
  end)
end)

describe("json.array and json.object", function()
  it("return the table that they get, and can change its mark", function()
    local t = {}
    assert.equal(t, json.array(t))
    assert.equal(t, json.object(t))
    assert.equal("{}", json.encode(t))
    assert.equal("[]", json.encode(json.array(t)))
  end)

  it("do not change tables with other metatables, and other values", function()
    throws("bad argument #1 to 'array'", function() json.array(setmetatable({}, {})) end)
    throws("bad argument #1 to 'object'", function() json.object(setmetatable({}, {})) end)
    throws("table expected", function() json.array(1) end)
    throws("table expected", function() json.array(json.null) end)
  end)

  it("protect the metatable: scripts see a name instead", function()
    assert.equal("json.array", getmetatable(json.array()))
    assert.equal("json.object", getmetatable(json.object()))
    throws("cannot change a protected metatable", function() setmetatable(json.array(), {}) end)
    assert.matches("^json%.array: ", tostring(json.array()))
  end)
end)

describe("json.get", function()
  local value = json.decode '{"a":{"b":[{"c":5},null]},"n":null,"1":"one"}'

  it("walks keys and indices", function()
    assert.equal(5, json.get(value, "a.b.1.c"))
    assert.equal("one", json.get(value, "1"))
    assert.equal(value.a, json.get(value, "a"))
  end)

  it("returns nil for values that are missing or null", function()
    for _, path in ipairs { "x", "a.x", "a.b.3", "a.b.2", "a.b.2.c", "a.b.1.c.d", "n", "n.x", "", "a.", ".a",
                             "a..b" } do
      assert.is_nil(json.get(value, path))
    end
    assert.is_nil(json.get(nil, "a"))
    assert.is_nil(json.get(json.null, "a"))
  end)

  it("calls no metamethods, and throws an error for other types", function()
    assert.is_nil(json.get(setmetatable({}, { __index = function() error "called" end }), "a.b"))
    throws("table expected", function() json.get("text", "a") end)
    throws("string expected", function() json.get({}) end)
  end)
end)

describe("compared with plain lua-cjson", function()
  local cjson = require("cjson").new()
  local random = math.random

  local function random_string()
    local parts = {}
    for i = 1, random(0, 12) do
      local kind = random(8)
      parts[i] = kind == 1 and utf8.char(random(0xA0, 0xD7FF))
        or kind == 2 and utf8.char(random(0xE000, 0x10FFFF))
        or kind == 3 and ("\\u%04x"):format(random(0, 0xD7FF))
        or kind == 4 and "\\" .. ("\"\\/bfnrt"):match(".", random(8))
        or ("plain text 0123"):sub(1, random(15))
    end
    return '"' .. table.concat(parts) .. '"'
  end

  local function random_number()
    local kind = random(4)
    if kind == 1 then return tostring(random(-1000, 1000)) end
    if kind == 2 then return tostring(random(-(1 << 53), 1 << 53)) end
    if kind == 3 then return ("%.17g"):format((random() - 0.5) * 10.0 ^ random(-300, 300)) end
    return ("%d.%dE%+d"):format(random(0, 99), random(0, 99), random(-20, 20))
  end

  local function space()
    return random(3) == 1 and (" \t\r\n"):sub(1, random(0, 4)) or ""
  end

  local function random_value(depth)
    local kind = random(depth > 0 and 9 or 5)
    if kind <= 2 then return random_string() end
    if kind <= 4 then return random_number() end
    if kind == 5 then return ({ "true", "false", "null" })[random(3)] end
    local parts = {}
    for i = 1, random(0, 6) do
      local value = space() .. random_value(depth - 1) .. space()
      parts[i] = kind <= 7 and value or space() .. ('"k%d"'):format(random(5)) .. space() .. ":" .. value
    end
    local inside = table.concat(parts, ",")
    return kind <= 7 and "[" .. inside .. "]" or "{" .. inside .. "}"
  end

  -- Compares numbers as floats, because lua-cjson has only floats.
  local function same(a, b)
    if math.type(a) and math.type(b) then return a + 0.0 == b + 0.0 end
    if type(a) ~= "table" or type(b) ~= "table" then return a == b end
    for key, value in next, a do
      if not same(value, rawget(b, key)) then return false end
    end
    for key in next, b do
      if rawget(a, key) == nil then return false end
    end
    return true
  end

  it("decodes random texts to the same values, and its own texts again", function()
    for _ = 1, 3000 do
      local text = random_value(5)
      local ours, err = json.decode(text)
      assert.is_nil(err, text)
      assert.is_true(same(cjson.decode(text), ours), text)
      local encoded = json.encode(ours)
      assert.is_true(same(cjson.decode(encoded), ours), encoded)
      assert.equal(encoded, round_trip(encoded))
      assert.equal(encoded, round_trip(json.encode(ours, { indent = random(0, 4) })))
    end
  end)

  it("never accepts a damaged text that lua-cjson refuses", function()
    for _ = 1, 3000 do
      local text = random_value(4)
      local at = random(#text)
      local junk = ("{}[],:\"\\0-+.eE x\0\31"):match(".", random(18))
      local spoilt = text:sub(1, at - 1) .. (random(2) == 1 and junk or "") .. text:sub(at + random(0, 1))
      local ours, err = json.decode(spoilt)
      if err == nil then
        assert.is_true(same(cjson.decode(spoilt), ours), spoilt)
      end
    end
  end)

  it("ignores the settings of lua-cjson and does not change them", function()
    local shared = require "cjson"
    shared.decode_max_depth(2)
    assert.equal("[[[]]]", round_trip "[[[]]]")
    shared.decode_max_depth(1000)
    assert.equal("table", type(shared.decode(nested(300))))
  end)

  it("writes a decimal point in every locale", function()
    local before = os.setlocale(nil, "numeric")
    assert(os.setlocale("de_DE.UTF-8", "numeric"), "the build makes this locale; LOCPATH must point at it")
    local value, text = json.decode "[1.5,-2.25e3]", json.encode { 1.5, 0.1 + 0.2 }
    os.setlocale(before, "numeric")
    assert.same({ 1.5, -2250 }, value)
    assert.equal("[1.5,0.30000000000000004]", text)
  end)
end)
