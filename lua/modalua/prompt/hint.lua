-- prompt.hint: what is shown below a line while a call is typed: the signature of the function, and the options of its table.
local require = ...
local scanning = require "prompt.scanning"
local values = require "prompt.values"

local hint = {}

-- The row of the function that is called by what stands before the bracket or the quote at `at`.
local function row_before(text, at)
  local outside = text:sub(1, at - 1)
  return outside:find "[%w_]%s*$" and values.called(outside) or nil
end

-- The options that a table can have, without those that it has already.
local function options_text(row, inside)
  local names = {}
  for _, option in ipairs(row.options or {}) do
    names[#names + 1] = not inside:find("%f[%w_]" .. option.name .. "%s*=[^=]") and option.name or nil
  end
  return #names > 0 and "   { " .. table.concat(names, ", ") .. " }" or ""
end

-- The hint for the cursor at the end of the text: that of the innermost call that has a row. nil: there is none.
function hint.at_end(text)
  if text:find "^%.%a" then
    return nil
  end
  local open, string_start = scanning.open_brackets(text)
  if string_start == true then
    return nil
  end
  local row = string_start and row_before(text, string_start)
  if row then
    return row.signature
  end
  for depth = #open, 1, -1 do
    local bracket = open[depth]
    row = bracket.kind ~= "[" and row_before(text, bracket.at)
    if row then
      local inner = bracket.kind == "{" and bracket or open[depth + 1]
      return row.signature .. (inner and inner.kind == "{" and options_text(row, text:sub(inner.at)) or "")
    end
  end
end

return hint
