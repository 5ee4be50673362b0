-- modalua.letters: the width of texts of any writing system on a terminal, and a form of them that cannot control the terminal.
local require = ...
local doc = require "modalua.doc"
local native = require "core.native"

local letters = {}

-- ---- width ----

function letters.width(text)
  return native.text_columns(text)
end

doc.describe(letters.width, "letters.width(text) -> number of columns",
  "Returns the number of columns that a text needs on a terminal: two for a character of Chinese, Japanese or Korean, none for a "
    .. "combining mark. Call letters.shown first when the text may have control characters.",
  { example = [=[
local letters = require "modalua.letters"
print(letters.width "山田")]=] })

-- ---- escaping ----

function letters.shown(text, style)
  return native.text_shown(text, style)
end

doc.describe(letters.shown, "letters.shown(text [, style]) -> text",
  "Returns the text in a form that is safe on a terminal. Control characters, characters that change the direction of writing, "
    .. "and bytes that are not UTF-8 are escaped, as in \\n, \\x1B and \\u{202E}. With the style \"lines\", line ends and tabs stay. With "
    .. "the style \"json\", a JSON text stays JSON with the same meaning.",
  { example = [=[
local letters = require "modalua.letters"
print(letters.shown "two\nlines")]=] })

-- ---- cutting ----

function letters.cut(text, width)
  if native.text_columns(text) <= width then
    return text
  end
  return width > 0 and native.text_fitting(text, width - 1) .. "…" or ""
end

doc.describe(letters.cut, "letters.cut(text, width) -> text",
  "Returns the text when it fits into that many columns, else its beginning and …. Call letters.shown first when the "
    .. "text may have control characters.",
  { example = [=[
local letters = require "modalua.letters"
print(letters.cut("CT Thorax/Abdomen nativ", 10))]=] })

return letters
