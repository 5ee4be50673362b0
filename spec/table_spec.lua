-- Tests rows as a table, as lines and as CSV; and the width of characters on a terminal.
local command = require "spec.support.command"
local doc = require "modalua.doc"
local letters = require "modalua.letters"
local tables = require "modalua.table"

describe("modalua.letters", function()
  it("knows the width of characters of any writing system", function()
    for text, width in pairs { ["abc"] = 3, ["Müller"] = 6, ["山田^太郎"] = 9, ["やまだ"] = 6, ["ﾔﾏﾀﾞ"] = 4, ["Иванов"] = 6, ["Νίκος"] = 5,
      ["u\u{308}"] = 1, ["김희중"] = 6, ["\u{1112}\u{1174}"] = 2, ["สวัสดี"] = 4, ["a\u{200B}b"] = 2, ["😀"] = 2, [""] = 0,
      ["שלום"] = 4, ["ＡＢ"] = 4, ["…"] = 1, ["\u{20000}"] = 2 } do
      assert.are.equal(width, letters.width(text), text)
    end
  end)

  it("knows the width in every locale", function()
    for _, locale in ipairs { "LC_ALL=C", "LC_ALL=C.UTF-8" } do
      local result = command.shell(locale .. [[ "$M" -e 'print(require "modalua.letters".width "山田^太郎")']])
      assert.are.same({ "9\n", "" }, { result.out, result.err })
    end
  end)

  it("escapes control characters", function()
    for text, shown in pairs { ["a b"] = "a b", ["山田"] = "山田", ["a\27[31mb"] = "a\\x1B[31mb", ["a\tb\nc\r\0"] = "a\\tb\\nc\\r\\x00",
      ["\127"] = "\\x7F", ["\u{9B}31m"] = "\\u{009B}31m", ["a\u{202E}b"] = "a\\u{202E}b", ["a\xffb\xc3"] = "a\\xFFb\\xC3",
      ["山\xe5\xb1"] = "山\\xE5\\xB1", ["\xed\xa0\x80"] = "\\xED\\xA0\\x80" } do
      assert.are.equal(shown, letters.shown(text))
    end
  end)

  it("cuts between characters, and never exceeds the width", function()
    assert.are.equal("abc", letters.cut("abc", 3))
    assert.are.equal("ab…", letters.cut("abcd", 3))
    assert.are.equal("山…", letters.cut("山田太郎", 4))
    assert.are.equal("山田…", letters.cut("山田太郎", 5))
    assert.are.equal("e\u{301}…", letters.cut("e\u{301}tude", 2))
    assert.are.equal("…", letters.cut("abc", 1))
    assert.are.equal("", letters.cut("abc", 0))
  end)
end)

describe("modalua.table", function()
  local rows = {
    { id = "1", name = "Yamada^Tarou=山田^太郎", n = 7 },
    { id = "22", name = "Иванов^Иван", n = 1234 },
    { id = "3", name = "O'Brien, \"Mo\"\n" },
  }
  local columns = { "id", { name = "name", title = "who" }, { name = "n", right = true } }

  it("aligns columns under their headings", function()
    assert.are.equal(table.concat({
      "id  who                        n",
      "1   Yamada^Tarou=山田^太郎     7",
      "22  Иванов^Иван             1234",
      "3   O'Brien, \"Mo\"\\n",
      "" }, "\n"), tables.fitted(columns, rows, { width = 80 }))
  end)

  it("fits a width by shortening the widest columns, and only as much as needed", function()
    local text = tables.fitted(columns, rows, { width = 24 })
    for line in text:gmatch "[^\n]+" do
      assert.is_true(letters.width(line) <= 24, line)
    end
    assert.are.equal("id  who                n\n1   Yamada^Tarou=…     7\n22  Иванов^Иван     1234\n3   O'Brien, \"Mo\"…\n", text)
    assert.are.equal("aaaa  bb\n1     2\n", tables.fitted({ "aaaa", "bb" }, { { aaaa = 1, bb = 2 } }, { width = 8 }))
    assert.are.equal("aa…  b…\n1    2\n", tables.fitted({ "aaaa", "bbb" }, { { aaaa = 1, bbb = 2 } }, { width = 7 }))
  end)

  it("shortens the less important columns first, never shortens protected columns, and omits columns if there is no space", function()
    local long = { { a = "aaaaaaaaaaaa", b = "bbbbbbbbbbbb", c = "cccccccccccc" } }
    assert.are.equal("a             b         c\naaaaaaaaaaaa  bbbbbbb…  cccccccccccc\n",
      tables.fitted({ "a", { name = "b", spare = true }, "c" }, long, { width = 36 }))
    assert.are.equal("a         b\naaaaaaa…  bbbbbbbbbbbb\n", tables.fitted({ "a", { name = "b", whole = true } }, long, { width = 22 }))
    assert.are.equal("a         b  …\naaaaaaa…  bbbbbbb…\n", tables.fitted({ "a", "b", "c" }, long, { width = 21 }))
    assert.are.equal("a         c  …\naaaaaaa…  ccccccc…\n",
      tables.fitted({ "a", "b", { name = "c", keep = true } }, long, { width = 21 }))
  end)

  it("uses colours only on request", function()
    local coloured = { { name = "a", colour = function(value) return value == "no" and "red" or "green" end }, "b" }
    local data = { { a = "no", b = "x" }, { a = "yes" } }
    assert.is_nil(tables.fitted(coloured, data):find "\27")
    assert.are.equal("\27[1ma  \27[0m  \27[1mb\27[0m\n\27[31mno \27[0m  x\n\27[32myes\27[0m\n",
      tables.fitted(coloured, data, { colour = true }))
  end)

  it("writes lines with one complete row each", function()
    assert.are.equal("1\tYamada^Tarou=山田^太郎\t7\n22\tИванов^Иван\t1234\n3\tO'Brien, \"Mo\"\\n\t\n", tables.lines(columns, rows))
  end)

  it("writes CSV as RFC 4180 describes it", function()
    assert.are.equal("id,who,n\r\n1,Yamada^Tarou=山田^太郎,7\r\n22,Иванов^Иван,1234\r\n3,\"O'Brien, \"\"Mo\"\"\n\",\r\n",
      tables.csv(columns, rows))
    assert.are.equal("s\r\n\"[{\"\"a\"\":1}]\"\r\n", tables.csv({ "s" }, { { s = { { a = 1 } } } }))
    assert.are.equal("a\r\n", tables.csv({ "a" }, {}))
  end)

  it("writes CSV with other line ends, without a head, and with cells that no spreadsheet runs", function()
    local cells = { { a = "=1" }, { a = "+1" }, { a = "-1" }, { a = "@1" }, { a = "\t1" }, { a = "\r1" }, { a = "1=" }, { a = "=\"1" } }
    assert.are.equal(
      "a\n'=1\n'+1\n'-1\n'@1\n'\t1\n\"'\r1\"\n1=\n\"'=\"\"1\"\n", tables.csv({ "a" }, cells, { line_end = "\n", safe = true }))
    assert.are.equal("=1\r\n", tables.csv({ "a" }, { cells[1] }, { head = false }))
  end)

  it("leaves the head out of a table, and its width too", function()
    assert.are.equal("1   x\n22\n", tables.fitted({ "number", "b" }, { { number = 1, b = "x" }, { number = 22 } }, { head = false }))
  end)
end)

describe("doc.nearest", function()
  it("returns the most similar name, or nil", function()
    local names = { "find", "move", "modalities" }
    assert.are.equal("find", doc.nearest("fnid", names))
    assert.are.equal("modalities", doc.nearest("modalites", names))
    assert.is_nil(doc.nearest("chests", names))
    assert.is_nil(doc.nearest("find", {}))
  end)
end)
