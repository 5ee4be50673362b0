-- prompt.scanning: where a place in the text of a script is: in which brackets, in a string, or in a comment. It runs no code.
local scanning = {}

-- The words that are no names in Lua.
scanning.KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
  "or", "repeat", "return", "then", "true", "until", "while" }

-- Returns the end of the comment or long string that begins at i, else nil. Returns nil and true when it does not end before the cursor.
local function end_of_long(text, i)
  local comment, level = text:match("^(%-?%-?)%[(=*)%[", i)
  if level and (comment == "" or comment == "--") then
    local _, last = text:find("]" .. level .. "]", i, true)
    return last and last + 1, not last
  end
  if text:find("^%-%-", i) then
    local newline = text:find("\n", i, true)
    return newline, not newline
  end
end

-- The position of the closing quote, or nil.
local function closing_quote(text, i, quote)
  while i <= #text do
    local c = text:sub(i, i)
    if c == quote or c == "\n" then
      return i
    end
    i = i + (c == "\\" and 2 or 1)
  end
end

-- Returns the list of brackets that are open at the end of the text, each { at = its position, kind = the bracket, from = where its current
-- item begins, items = the number of that item }. The second result is the position of an open string; true inside a comment or a long
-- string; else nil. The third is the last pair of brackets that is closed: { from =, to = }.
function scanning.open_brackets(text)
  local open, closed, i = {}, nil, 1
  while i <= #text do
    local c = text:sub(i, i)
    local next_i, unfinished = end_of_long(text, i)
    if unfinished then
      return open, true, closed
    elseif next_i then
      i = next_i - 1
    elseif c == '"' or c == "'" then
      local last = closing_quote(text, i + 1, c)
      if not last then
        return open, i, closed
      end
      i = last
    elseif c == "{" or c == "(" or c == "[" then
      open[#open + 1] = { at = i, kind = c, from = i + 1, items = 1 }
    elseif c == "}" or c == ")" or c == "]" then
      closed = #open > 0 and { from = open[#open].at, to = i } or closed
      open[#open] = nil
    elseif (c == "," or c == ";") and #open > 0 then
      open[#open].from, open[#open].items = i + 1, open[#open].items + 1
    end
    i = i + 1
  end
  return open, nil, closed
end

local BEFORE_STATEMENTS = { ["do"] = true, ["else"] = true, ["repeat"] = true, ["then"] = true }

-- Returns the places where a statement may begin: at the start of a line, behind `;`, `do`, `else`, `repeat`, `then`. A list of { at =
-- position, depth = number of open brackets }.
function scanning.statements(text)
  local places, depth, i = { { at = 1, depth = 0 } }, 0, 1
  while i <= #text do
    local c = text:sub(i, i)
    local word = text:match("^[%a_][%w_]*", i)
    local next_i, unfinished = end_of_long(text, i)
    if unfinished then
      break
    elseif next_i then
      i = next_i - 1
    elseif c == '"' or c == "'" then
      i = closing_quote(text, i + 1, c) or #text
    elseif c:find "[%({%[]" then
      depth = depth + 1
    elseif c:find "[%)}%]]" then
      depth = depth - 1
    elseif word then
      i = i + #word - 1
    end
    if c == "\n" or c == ";" or BEFORE_STATEMENTS[word] then
      places[#places + 1] = { at = i + 1, depth = depth }
    end
    i = i + 1
  end
  return places
end

return scanning
