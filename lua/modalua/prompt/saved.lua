-- prompt.saved: the inputs of a session as a script that runs by itself.
local saved = {}

local HEAD <const> = [[
-- Saved by the prompt of modalua: the inputs that have succeeded.
local modalua = require "modalua"
local orthanc = modalua.connect()
]]

-- It does not quote the input, which may hold a secret: the console looks for secrets in inputs only.
local LAST_ERROR <const> = "\n-- An input about the last error was left out.\n"

-- What the prompt has and a script lacks: the name, and the lines that make it.
local NAMES <const> = {
  { "show", [[

-- Prints values as the prompt does, and returns the first one.
local function show(...)
  print(require("modalua.printing").values(table.pack(...), "table"))
  return (...)
end
]] },
  { "help", [[

local function help(value)
  print(require("modalua.help").of(value))
end
]] },
  { "pp", [[

local function pp(...)
  for i = 1, select("#", ...) do
    print(require("modalua.printing").lua((select(i, ...))))
  end
end
]] },
  { "In", "\nlocal In = {}\n" },
  { "Out", "\nlocal Out = {}\n" },
}

local function uses(text, name)
  return text:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil
end

-- An input as statements. What `local` declares ends with the input, as at the prompt; a `return` gives the input's value. An input without
-- a value leaves `_` as it is.
local function statement_of(input)
  local text = input.text:gsub("^%s*=", "")
  local returns = uses(text, "return")
  if input.kind == "expression" and not input.has_value then
    return ("do\n%s\nend"):format(text) -- a call
  elseif input.kind == "expression" then
    local expression = text:gsub("%s*;%s*$", "") .. (text:find("--", 1, true) and "\n" or "")
    return (input.text:find ";%s*$" and "_ = (%s)" or "_ = show(%s)"):format(expression)
  elseif returns and not input.has_value then
    return ("do\n(function()\n%s\nend)()\nend"):format(text)
  elseif returns then
    return ("_ = show((function()\n%s\nend)())"):format(text)
  end
  local in_block = uses(text, "local") or text:find("::", 1, true) -- a label exists once in a block
  return in_block and ("do\n%s\nend"):format(text) or text:gsub("^%s*%(", ";%0") -- else it would call the value before it
end

-- The statement of input i, with what later inputs take from it; `used` are the names that the inputs use.
local function piece_of(input, i, used)
  local text = statement_of(input)
  used.show = used.show or text:find "^_ = show%(" ~= nil
  if input.has_value and used.numbers then
    text = ("%s; _%d = _"):format(text, i)
  end
  if input.has_value and used.Out then
    text = ("%s; Out[%d] = _"):format(text, i)
  end
  return used.In and ("In[%d] = %q\n%s"):format(i, input.text, text) or text
end

-- Returns the head of the script, and then each input as a statement.
function saved.pieces(inputs)
  local pieces, used, head = { "" }, {}, HEAD
  for _, input in ipairs(inputs) do
    used.numbers = used.numbers or input.text:find "%f[%w_]_%d+%f[^%w_]" ~= nil
    for _, row in ipairs(NAMES) do
      used[row[1]] = used[row[1]] or row[1] ~= "show" and input.succeeded and uses(input.text, row[1])
    end
  end
  for i, input in ipairs(inputs) do
    if input.succeeded and uses(input.text, "_err") then
      pieces[#pieces] = pieces[#pieces] .. LAST_ERROR
    elseif input.succeeded then
      pieces[#pieces + 1] = piece_of(input, i, used)
    end
  end
  for _, row in ipairs(NAMES) do
    head = head .. (used[row[1]] and row[2] or "")
  end
  pieces[1] = head .. pieces[1]
  return pieces
end

return saved
