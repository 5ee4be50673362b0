-- prompt.failures: failures that an input of the prompt drops, as `f = pacs:find { … }` drops the error behind its nil. The values of such
-- statements go through a function, which notes the errors that the statement has no variable for.
local require = ...
local letters = require "text.letters"
local modalua = require "modalua"
local scanning = require "prompt.scanning"

local failures = {}

local KEEP = "modalua_keep" -- the local variable of the input that holds that function
local MOST_LINES = 100 -- of one statement
local MOST_NOTES = 5
-- A line that begins so continues the expression of the line before.
local CONTINUES = { "^%s*[%.:%(%[{=~<>%+%*/%%^&|]", "^%s*or%f[^%w_]", "^%s*and%f[^%w_]" }
local KEYWORDS = {}
for word in ("and break do else elseif end false for function goto if in nil not or repeat return then true until while"):gmatch "%a+" do
  KEYWORDS[word] = true
end

local function compiles(expression)
  return load(("return %s(0, %s)"):format(KEEP, expression)) ~= nil
end

local function continues(line)
  for _, pattern in ipairs(CONTINUES) do
    if line:find(pattern) then
      return true
    end
  end
end

-- The end of the longest beginning of the line from first to last that completes the expression from `from`; nil: there is none.
local function end_in_line(source, from, first, last)
  for at = last, math.max(first, from), -1 do
    if (at == last or source:find("^[%s;]", at + 1) or source:find("^%-%-", at + 1)) and source:sub(at, at):find "[%)}%]\"'%w_]"
      and compiles(source:sub(from, at)) then
      return at
    end
  end
end

-- The position of the last character of the expression that begins at `from`; nil: it is not known.
local function end_of_expression(source, from)
  local first = from
  for _ = 1, MOST_LINES do
    local last = (source:find("\n", first, true) or #source + 1) - 1
    local call = ("return %s(0, %s\n"):format(KEEP, source:sub(from, last))
    local complete = load(call .. ")") ~= nil
    local _, message = load(call) -- a right beginning fails at its end
    local more = message:sub(-5) == "<eof>"
    if complete and not continues(source:sub(last + 2):match "^[^\n]*") or not complete and not more then
      return end_in_line(source, from, first, last)
    end
    if last >= #source then
      return nil
    end
    first = last + 2
  end
end

-- The part of a line before the expression of an assignment, and its targets. For a call as a statement: the indentation, and nothing.
local function head_of(line)
  local head = line:match "^%s*[%a_][%w_%.%[%]\"',%s<>]-=%s*"
  if head and line:sub(#head + 1, #head + 1) ~= "=" then
    return head, head:match "^%s*local%s+(.-)%s*=%s*$" or head:match "^%s*(.-)%s*=%s*$"
  end
  if line:find "^%s*[%a_][%w_%.]*%s*[:%(]" then
    return line:match "^%s*", nil
  end
end

-- A name for the last target, and the number of all targets.
local function targets_of(text)
  local _, commas = text:gsub(",", "")
  return text:match("[^,]*$"):gsub("<%a+>", ""):match "^%s*(.-)%s*$", commas + 1
end

-- What the statement at this place is replaced by: its expression (from, to), and the text, or nil when the expression is no call.
-- Returns nothing when the end of the statement is not known.
local function mark_of(source, place)
  local text = source:sub(place.at):match "^[^\n]*"
  local head, targets = head_of(text)
  if not head or KEYWORDS[text:match "^%s*([%a_]+)"] or not targets and place.depth > 0 then
    return nil
  end
  local from = place.at + #head
  local to = end_of_expression(source, from)
  if not to or not source:sub(from, to):find "[%({\"'].*[%)}\"']$" then
    return from, to
  end
  local name, n = "", 0
  if targets then
    name, n = targets_of(targets)
  end
  return from, to, ("%s(%d, %q, %s)"):format(KEEP, n, name, source:sub(from, to))
end

-- The source with the calls of KEEP, as a function; nil: it has no such statement.
local function marked(source, chunk_name)
  local parts, at = {}, 1
  for _, place in ipairs(scanning.statements(source)) do
    while place and place.at >= at do
      local from, to, text = mark_of(source, place)
      if text then
        parts[#parts + 1] = source:sub(at, from - 1) .. text
        at = to + 1
      end
      local rest = to and source:sub(to + 1):match "^[^\n;]*"
      place = rest and rest:find "^%s+[%a_]" and { at = to + 1, depth = place.depth } -- another statement, in the same line
    end
  end
  return at > 1 and load(("local %s = ... "):format(KEEP) .. table.concat(parts) .. source:sub(at), chunk_name, "t") or nil
end

-- The function KEEP: notes the error behind a nil or false that is the last of the n values that the statement takes, and makes it _err.
-- `notes` is a list of texts, and has the number of each by its text.
local function keeper(notes)
  return function(n, name, ...)
    local last, err = select(math.max(n, 1), ...)
    if not last and modalua.is_error(err) then
      local text = letters.shown((n > 0 and name .. " is " .. tostring(last) .. ": " or "") .. tostring(err))
      if not notes[text] then
        notes[#notes + 1] = text
      end
      notes[text] = (notes[text] or 0) + 1
      rawset(_G, "_err", err)
    end
    return ...
  end
end

local function text_of(notes)
  local lines = {}
  for i = 1, math.min(#notes, MOST_NOTES) do
    local times = notes[notes[i]]
    lines[i] = notes[i] .. (times > 1 and (" (%d times)"):format(times) or "")
  end
  if #notes > MOST_NOTES then
    lines[#lines + 1] = ("… and %d more"):format(#notes - MOST_NOTES)
  end
  return lines[1] and table.concat(lines, "\n")
end

-- Compiles statements. Returns a function for them, and a function that returns what they have dropped so far, as a text or nil; or nil.
function failures.compile(source, chunk_name)
  local f = marked(source, chunk_name)
  local notes = {}
  if f then
    return function() return f(keeper(notes)) end, function() return text_of(notes) end
  end
end

return failures
