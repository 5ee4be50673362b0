-- modalua.letters: the width of texts of any writing system on a terminal, and a form of them that cannot control the terminal.
local require = ...
local doc = require "modalua.doc"

local letters = {}

-- Ranges of code points of Unicode 14.0. ZERO_WIDTH: categories Mn, Me and Cf, and the vowels and finals of Hangul, which combine with the
-- character before them. TWO_COLUMNS: East Asian Width W and F. Unassigned code points are in the same range as their neighbours.
local ZERO_WIDTH = [[
  300-36F 483-489 591-5BD 5BF 5C1-5C2 5C4-5C5 5C7 610-61A 61C 64B-65F 670 6D6-6DC 6DF-6E4 6E7-6E8 6EA-6ED 70F 711 730-74A 7A6-7B0
  7EB-7F3 7FD 816-819 81B-823 825-827 829-82D 859-85B 890-89F 8CA-8E1 8E3-902 93A 93C 941-948 94D 951-957 962-963 981 9BC 9C1-9C4 9CD
  9E2-9E3 9FE-A02 A3C A41-A51 A70-A71 A75 A81-A82 ABC AC1-AC8 ACD AE2-AE3 AFA-B01 B3C B3F B41-B44 B4D-B56 B62-B63 B82 BC0 BCD C00 C04
  C3C C3E-C40 C46-C56 C62-C63 C81 CBC CBF CC6 CCC-CCD CE2-CE3 D00-D01 D3B-D3C D41-D44 D4D D62-D63 D81 DCA DD2-DD6 E31 E34-E3A E47-E4E
  EB1 EB4-EBC EC8-ECD F18-F19 F35 F37 F39 F71-F7E F80-F84 F86-F87 F8D-FBC FC6 102D-1030 1032-1037 1039-103A 103D-103E 1058-1059
  105E-1060 1071-1074 1082 1085-1086 108D 109D 1160-11FF 135D-135F 1712-1714 1732-1733 1752-1753 1772-1773 17B4-17B5 17B7-17BD 17C6
  17C9-17D3 17DD 180B-180F 1885-1886 18A9 1920-1922 1927-1928 1932 1939-193B 1A17-1A18 1A1B 1A56 1A58-1A60 1A62 1A65-1A6C 1A73-1A7F
  1AB0-1B03 1B34 1B36-1B3A 1B3C 1B42 1B6B-1B73 1B80-1B81 1BA2-1BA5 1BA8-1BA9 1BAB-1BAD 1BE6 1BE8-1BE9 1BED 1BEF-1BF1 1C2C-1C33
  1C36-1C37 1CD0-1CD2 1CD4-1CE0 1CE2-1CE8 1CED 1CF4 1CF8-1CF9 1DC0-1DFF 200B-200F 202A-202E 2060-206F 20D0-20F0 2CEF-2CF1 2D7F
  2DE0-2DFF 302A-302D 3099-309A A66F-A672 A674-A67D A69E-A69F A6F0-A6F1 A802 A806 A80B A825-A826 A82C A8C4-A8C5 A8E0-A8F1 A8FF
  A926-A92D A947-A951 A980-A982 A9B3 A9B6-A9B9 A9BC-A9BD A9E5 AA29-AA2E AA31-AA32 AA35-AA36 AA43 AA4C AA7C AAB0 AAB2-AAB4 AAB7-AAB8
  AABE-AABF AAC1 AAEC-AAED AAF6 ABE5 ABE8 ABED FB1E FE00-FE0F FE20-FE2F FEFF FFF9-FFFB 101FD 102E0 10376-1037A 10A01-10A0F 10A38-10A3F
  10AE5-10AE6 10D24-10D27 10EAB-10EAC 10F46-10F50 10F82-10F85 11001 11038-11046 11070 11073-11074 1107F-11081 110B3-110B6 110B9-110BA
  110BD 110C2-110CD 11100-11102 11127-1112B 1112D-11134 11173 11180-11181 111B6-111BE 111C9-111CC 111CF 1122F-11231 11234 11236-11237
  1123E 112DF 112E3-112EA 11300-11301 1133B-1133C 11340 11366-11374 11438-1143F 11442-11444 11446 1145E 114B3-114B8 114BA 114BF-114C0
  114C2-114C3 115B2-115B5 115BC-115BD 115BF-115C0 115DC-115DD 11633-1163A 1163D 1163F-11640 116AB 116AD 116B0-116B5 116B7 1171D-1171F
  11722-11725 11727-1172B 1182F-11837 11839-1183A 1193B-1193C 1193E 11943 119D4-119DB 119E0 11A01-11A0A 11A33-11A38 11A3B-11A3E 11A47
  11A51-11A56 11A59-11A5B 11A8A-11A96 11A98-11A99 11C30-11C3D 11C3F 11C92-11CA7 11CAA-11CB0 11CB2-11CB3 11CB5-11CB6 11D31-11D45 11D47
  11D90-11D91 11D95 11D97 11EF3-11EF4 13430-13438 16AF0-16AF4 16B30-16B36 16F4F 16F8F-16F92 16FE4 1BC9D-1BC9E 1BCA0-1CF46 1D167-1D169
  1D173-1D182 1D185-1D18B 1D1AA-1D1AD 1D242-1D244 1DA00-1DA36 1DA3B-1DA6C 1DA75 1DA84 1DA9B-1DAAF 1E000-1E02A 1E130-1E136 1E2AE
  1E2EC-1E2EF 1E8D0-1E8D6 1E944-1E94A E0001-E01EF
]]
local TWO_COLUMNS = [[
  1100-115F 231A-231B 2329-232A 23E9-23EC 23F0 23F3 25FD-25FE 2614-2615 2648-2653 267F 2693 26A1 26AA-26AB 26BD-26BE 26C4-26C5 26CE
  26D4 26EA 26F2-26F3 26F5 26FA 26FD 2705 270A-270B 2728 274C 274E 2753-2755 2757 2795-2797 27B0 27BF 2B1B-2B1C 2B50 2B55 2E80-3029
  302E-303E 3041-3096 309B-3247 3250-4DBF 4E00-A4C6 A960-A97C AC00-D7A3 F900-FAD9 FE10-FE19 FE30-FE6B FF01-FF60 FFE0-FFE6 16FE0-16FE3
  16FF0-1B2FB 1F004 1F0CF 1F18E 1F191-1F19A 1F200-1F320 1F32D-1F335 1F337-1F37C 1F37E-1F393 1F3A0-1F3CA 1F3CF-1F3D3 1F3E0-1F3F0 1F3F4
  1F3F8-1F43E 1F440 1F442-1F4FC 1F4FF-1F53D 1F54B-1F54E 1F550-1F567 1F57A 1F595-1F596 1F5A4 1F5FB-1F64F 1F680-1F6C5 1F6CC 1F6D0-1F6D2
  1F6D5-1F6DF 1F6EB-1F6EC 1F6F4-1F6FC 1F7E0-1F7F0 1F90C-1F93A 1F93C-1F945 1F947-1F9FF 1FA70-1FAF6 20000-3FFFD
]]

-- The ranges as one list: the first and the last code point of each.
local function read_ranges(text)
  local ranges = {}
  for first, last in text:gmatch "(%x+)%-?(%x*)" do
    ranges[#ranges + 1] = tonumber(first, 16)
    ranges[#ranges + 1] = tonumber(last ~= "" and last or first, 16)
  end
  return ranges
end

local zero_width, two_columns = read_ranges(ZERO_WIDTH), read_ranges(TWO_COLUMNS)

local function is_in(ranges, code)
  local low, high = 1, #ranges // 2
  while low <= high do
    local middle = (low + high) // 2
    if code < ranges[2 * middle - 1] then
      high = middle - 1
    elseif code > ranges[2 * middle] then
      low = middle + 1
    else
      return true
    end
  end
  return false
end

local function columns_of(code)
  if code < 0x300 then
    return 1
  end
  return is_in(zero_width, code) and 0 or is_in(two_columns, code) and 2 or 1
end

function letters.width(text)
  if not text:find "[\x80-\xff]" then
    return #text
  end
  local width = 0
  for _, code in utf8.codes(text) do
    width = width + columns_of(code)
  end
  return width
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
  if letters.width(text) <= width then
    return text
  end
  local used = 0
  for position, code in utf8.codes(text) do
    used = used + columns_of(code)
    if used > width - 1 then
      return text:sub(1, position - 1) .. (width > 0 and "…" or "")
    end
  end
  return text
end

doc.describe(letters.cut, "letters.cut(text, width) -> text",
  "Returns the text when it fits into that many columns, else its beginning and …. Call letters.shown first when the "
    .. "text may have control characters.",
  { example = [=[
local letters = require "modalua.letters"
print(letters.cut("CT Thorax/Abdomen nativ", 10))]=] })

return letters
