-- prompt.values: the value that an expression has, without running code of the user: fields are read without metamethods, and a call
-- of a method of modalua is known by the kind of object that it returns.
local require = ...
local doc = require "modalua.doc"
local help = require "prompt.help"
local kinds = require "prompt.kinds"
local native = require "core.native"
local scanning = require "prompt.scanning"

local values = {}

local INDEX_DEPTH = 10 -- __index tables that are followed
local LOCAL_DEPTH = 5 -- local variables whose values are other local variables
local CALL = "^(.-)%s*([%.:]?)%s*([%a_][%w_]*)%s*$" -- the text before the bracket of a call

-- Reads a field, and follows __index tables, but calls no metamethod. A number is the place of an answer in a result of find.
function values.field(value, key)
  local answers = type(value) == "table" and math.type(key) == "integer" and kinds.of(value) == "found" and rawget(value, "answers")
  value = type(answers) == "table" and answers or value
  for _ = 1, INDEX_DEPTH do
    local field
    if type(value) == "table" then
      field = rawget(value, key)
    end
    if field == nil and native.fields(value) and key == "client" then
      _, field = pcall(function() return value.client end) -- of modalua's own objects
    end
    if field ~= nil then
      return field
    end
    value = kinds.methods_of(value)
    if not value then
      return nil
    end
  end
end

-- Calls f(name) for each name in a table and in its __index tables.
function values.each_name(value, f)
  for _ = 1, INDEX_DEPTH do
    if type(value) == "table" then
      for key, field in next, value do
        if type(key) == "string" and key:find "^[%a_][%w_]*$" then
          f(key, field)
        end
      end
    end
    value = kinds.methods_of(value)
    if not value then
      return
    end
  end
end

local value_at_end

-- The value of the local variable, or of the variable of a loop, that the text declared last.
local function declared(name, text, depth)
  local list = text:match(("^.*%%f[%%w_]for%%s+[%%w_]+%%s*,%%s*%s%%s+in%%s+i?pairs%%s*(%%b())"):format(name))
  if list then
    return values.field(value_at_end(list:sub(2, -2), depth + 1), 1)
  end
  local expression = text:match(("^.*%%f[%%w_]local%%s+%s%%s*=%%s*([^\n;]+)[\n;]"):format(name))
  if expression then
    return value_at_end(expression:gsub("%s+$", ""), depth + 1)
  end
end

-- The value of a path such as found[1].PatientName.
local function value_of_path(path, text, depth)
  local first, rest = path:match "^([%a_][%w_]*)(.*)$"
  local value = depth < LOCAL_DEPTH and declared(first, text:sub(1, -#path - 1), depth) or nil
  if value == nil then
    value = values.field(_G, first)
  end
  if value == nil and first == "err" then
    value = kinds.sample "error"
  end
  for dot, name in rest:gmatch "([%.%[])([%w_]+)" do
    value = values.field(value, dot == "." and name or math.tointeger(name))
  end
  return value
end

-- The row of the function that is called by what stands before a bracket: "pacs:find". Also returns its name.
function values.called(before, depth)
  local from, separator, name = before:match(CALL)
  if not name then
    return nil
  end
  local value
  if separator == "" then
    value = values.field(_G, name)
  else
    value = values.field(value_at_end(from, depth or 0), name)
  end
  return doc.of(value) or separator ~= "" and value == nil and help.row(name) or nil, name, value
end

-- An object of the kind that a call returns, as its row says: "… -> modality". assert(x) is x.
local function result_of_call(before, arguments, depth)
  local row, name = values.called(before, depth)
  if name == "assert" then
    return value_at_end(arguments, depth + 1)
  end
  local kind = row and row.signature:match "%-> ([%a_]+)"
  return kind and kinds.sample(kind)
end

-- The value of the expression at the end of the text: a path such as modalua.task, a call, or a string.
function value_at_end(text, depth)
  depth = depth or 0
  text = text:gsub("%s+$", "")
  local path = text:match "[%a_][%w_%.%[%]]*$"
  if path and not path:find "^[%w_]*%]" then
    return value_of_path(path, text, depth)
  end
  local before, quote = text:match "^(.-)%s*([\"'])[^\"'\n]*%2$"
  if quote then
    return before:find "[%w_]$" and result_of_call(before, "", depth) or string
  end
  local _, string_start, closed = scanning.open_brackets(text)
  if depth > LOCAL_DEPTH or string_start or not closed or closed.to ~= #text then
    return nil
  end
  local inner = text:sub(closed.from + 1, -2)
  before = text:sub(1, closed.from - 1)
  if not before:find "[%w_]%s*$" then
    return inner:find "^%s*[\"'].*[\"']%s*$" and string or value_at_end(inner, depth + 1)
  end
  return result_of_call(before, inner, depth)
end

values.at_end = value_at_end

return values
