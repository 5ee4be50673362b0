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

local NAMED_ESCAPES = { ["\t"] = "\\t", ["\n"] = "\\n", ["\r"] = "\\r" }

local function escape_byte(byte)
  return NAMED_ESCAPES[byte] or ("\\x%02X"):format(byte:byte())
end

-- Whether a character above ASCII must be escaped: it is a control character or a line separator, or it changes the direction of writing,
-- so that the reader would see another text.
local function is_control(code)
  return code < 0xA0 or code == 0x061C or code >= 0x200E and code <= 0x200F or code >= 0x2028 and code <= 0x202E
    or code >= 0x2066 and code <= 0x2069
end

local function escape_character(sequence)
  local code = utf8.codepoint(sequence)
  return is_control(code) and ("\\u{%04X}"):format(code) or sequence
end

-- The valid UTF-8 from `first` on, and the position of the first invalid byte after it, or nil.
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
    parts[#parts + 1] = good:gsub("[\xC2-\xF4][\x80-\xBF]+", escape_character):gsub("%c", escape_byte)
    if bad then
      parts[#parts + 1] = escape_byte(text:sub(bad, bad))
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
