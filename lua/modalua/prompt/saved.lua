-- prompt.saved: the inputs of a session as a script that runs by itself.
local saved = {}

local HEAD <const> = [[
-- Saved by the prompt of modalua: the inputs that have succeeded.
local modalua = require "modalua"
local orthanc = modalua.connect()
]]

local SHOW <const> = [[

-- Prints values as the prompt does, and returns the first one.
local function show(...)
  print(require("modalua.printing").values(table.pack(...), "table"))
  return (...)
end
]]

-- An input as statements. What `local` declares ends with the input, as at the prompt; a `return` gives the input's value. An input without
-- a value leaves `_` as it is.
local function statement_of(input)
  local text = input.text:gsub("^%s*=", "")
  local returns = text:find "%f[%w_]return%f[^%w_]"
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
  return text:find "%f[%w_]local%f[^%w_]" and ("do\n%s\nend"):format(text) or text
end

-- Returns the head of the script, and then each input as a statement.
function saved.pieces(inputs)
  local pieces, shows, numbers = { HEAD }, false, false
  for _, input in ipairs(inputs) do
    numbers = numbers or input.text:find "%f[%w_]_%d+%f[^%w_]" ~= nil
  end
  for i, input in ipairs(inputs) do
    if input.succeeded then
      local text = statement_of(input)
      shows = shows or text:find "^_ = show%(" ~= nil
      pieces[#pieces + 1] = input.has_value and numbers and ("%s; _%d = _"):format(text, i) or text
    end
  end
  if shows then
    pieces[1] = HEAD .. SHOW
  end
  return pieces
end

return saved
