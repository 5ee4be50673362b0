-- modalua.letters: how much room texts in any script take on a terminal, and how they are shown there without doing anything to it.
local require = ...
local doc = require "modalua.doc"
local native = require "core.native"

local letters = {}

-- ---- how much room they take ----

function letters.width(text)
  return native.text_columns(text)
end

doc.describe(letters.width, "letters.width(text) -> number of columns",
  "Returns the number of columns that a text needs on a terminal: two for a character of Chinese, Japanese or Korean, none for a "
    .. "combining mark. Call letters.shown first when the text may have control characters.",
  { example = [=[
local letters = require "modalua.letters"
print(letters.width "山田")]=] })

-- ---- what a terminal would obey ----

local NAMED = { ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r" }

local function escape(byte)
  return NAMED[byte] or ("\\x%02X"):format(byte:byte())
end

-- The control characters above ASCII, those that turn the direction of writing and so show a text as another, and line separators.
local function is_control(letter)
  return letter < 0xA0 or letter == 0x061C or letter >= 0x200E and letter <= 0x200F or letter >= 0x2028 and letter <= 0x202E
    or letter >= 0x2066 and letter <= 0x2069
end

local function escape_letter(sequence)
  local letter = utf8.codepoint(sequence)
  return is_control(letter) and ("\\u{%04X}"):format(letter) or sequence
end

-- The part of the text from first on that is UTF-8, and where the rest begins: with a byte that is not.
local function valid_part(text, first)
  local _, bad = utf8.len(text, first)
  return text:sub(first, (bad or #text + 1) - 1), bad
end

function letters.shown(text)
  if not text:find "[%c\x80-\xff]" then
    return text
  end
  local parts, first = {}, 1
  repeat
    local good, bad = valid_part(text, first)
    parts[#parts + 1] = good:gsub("[\xC2-\xF4][\x80-\xBF]+", escape_letter):gsub("%c", escape)
    if bad then
      parts[#parts + 1] = escape(text:sub(bad, bad))
      first = bad + 1
    end
  until not bad
  return table.concat(parts)
end

doc.describe(letters.shown, "letters.shown(text) -> text",
  "Returns the text in a form that is safe on a terminal. Control characters, characters that change the direction of writing, "
    .. "and bytes that are not UTF-8 are escaped, as in \\n, \\x1B and \\u{202E}.",
  { example = [=[
local letters = require "modalua.letters"
print(letters.shown "two\nlines")]=] })

-- ---- what fits ----

function letters.cut(text, width)
  if native.text_columns(text) <= width then
    return text
  end
  return width > 0 and native.text_fitting(text, width - 1) .. "…" or ""
end

doc.describe(letters.cut, "letters.cut(text, width) -> text",
  "Returns as much of a text as fits into that many columns, with … in place of the rest. Call letters.shown first when the "
    .. "text may have control characters.",
  { example = [=[
local letters = require "modalua.letters"
print(letters.cut("CT Thorax/Abdomen nativ", 10))]=] })

return letters
