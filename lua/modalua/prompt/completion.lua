-- modalua.completion: the candidates for TAB. Completion runs no code of the user and sends no request: it reads fields without
-- metamethods, and takes the names of modalities from completion.remember.
local require = ...
local doc = require "modalua.doc"
local help = require "prompt.help"
local native = require "core.native"

local completion = {}

local COMMANDS = { ".edit", ".help", ".history", ".jobs", ".load", ".mode", ".numbers", ".once", ".output", ".quit", ".save", ".schema",
  ".time", ".trace", ".watch" }
local KEYWORDS = { "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil", "not",
  "or", "repeat", "return", "then", "true", "until", "while" }
local LEVELS = { "Patient", "Study", "Series", "Instance" }
local MODES = { "csv", "json", "lines", "lua", "table" }
local TAKES_TAGS = { find_worklist = true, studies = true, series = true, instances = true } -- methods with a table of tags as an argument
local INDEX_DEPTH = 10 -- __index tables that are followed

local modalities = setmetatable({}, { __mode = "k" }) -- client -> the names of its modalities
local tags -- the sorted names of all tags in the dictionary

local function tag_names()
  if not tags then
    tags = {}
    for name in require "prompt.tags":gmatch "[^\n]+" do
      tags[#tags + 1] = name
    end
    table.sort(tags)
  end
  return tags
end

function completion.remember(client, names)
  modalities[client] = names
end

function completion.remembers(client)
  return modalities[client] ~= nil
end

function completion.forget()
  for client in next, modalities do
    modalities[client] = nil
  end
end

function completion.is_modality(name)
  for _, names in next, modalities do
    for _, known in ipairs(names) do
      if known == name then
        return true
      end
    end
  end
  return false
end

-- ---- where the cursor is ----

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
-- string; else nil.
local function open_brackets(text)
  local open, i = {}, 1
  while i <= #text do
    local c = text:sub(i, i)
    local next_i, unfinished = end_of_long(text, i)
    if unfinished then
      return open, true
    elseif c == '"' or c == "'" then
      next_i = closing_quote(text, i + 1, c)
      if not next_i then
        return open, i
      end
      next_i = next_i + 1
    elseif c == "{" or c == "(" or c == "[" then
      open[#open + 1] = { at = i, kind = c, from = i + 1, items = 1 }
    elseif c == "}" or c == ")" or c == "]" then
      open[#open] = nil
    elseif (c == "," or c == ";") and #open > 0 then
      open[#open].from, open[#open].items = i + 1, open[#open].items + 1
    end
    i = next_i or i + 1
  end
  return open, nil
end

-- ---- values ----

-- Reads a field, and follows __index tables, but calls no metamethod.
local function raw_field(value, key)
  for _ = 1, INDEX_DEPTH do
    local field
    if type(value) == "table" then
      field = rawget(value, key)
    end
    if field ~= nil then
      return field
    end
    local methods = help.methods_of(value)
    if not methods then
      return nil
    end
    value = methods
  end
end

-- The value of the expression at the end of the text: a path such as modalua.task. For a call such as `orthanc:modality "x"`, the table of
-- the methods that its result would have. For a string literal, the module string.
local function receiver(before)
  local constructor = before:match(":%s*([%a_]+)%s*%(?%s*[\"'][^\"']*[\"']%s*%)?$")
  if constructor then
    return help.methods(constructor)
  end
  local path = before:match("[%a_][%w_%.]*$")
  if not path then
    return before:find("[\"']%s*%)?$") and string or nil
  end
  local value = _G
  for name in path:gmatch "[^%.]+" do
    value = raw_field(value, name)
  end
  return value
end

local function add_matching(list, word, names, suffix)
  for _, name in ipairs(names) do
    if name:sub(1, #word) == word then
      list[#list + 1] = name .. (suffix or "")
    end
  end
end

-- Adds the matching names in a table and in its __index tables. `callable`: functions only.
local function add_fields(list, word, value, callable)
  local seen = {}
  for _ = 1, INDEX_DEPTH do
    if type(value) == "table" then
      for key, field in next, value do
        if type(key) == "string" and key:find("^[%a_][%w_]*$") and key:sub(1, #word) == word and not seen[key]
          and (not callable or type(field) == "function") then
          seen[key] = true
          list[#list + 1] = key
        end
      end
    end
    value = help.methods_of(value)
    if not value then
      return
    end
  end
end

-- The names of the modalities of this client; of all clients when the client is nil or unknown. A name that client:modality refuses is
-- none: it could end the string in which it is offered.
local function modality_names(client)
  local list, seen = {}, {}
  for known, names in next, modalities do
    if client == nil or not modalities[client] or known == client then
      for _, name in ipairs(names) do
        list[#list + 1] = not seen[name] and native.is_name(name) and name or nil
        seen[name] = true
      end
    end
  end
  return list
end

local function module_names()
  local list = {}
  for name in next, package.preload do
    list[#list + 1] = name:find "^[%w%._-]+$" and name or nil
  end
  return list
end

-- ---- inside a string ----

-- Each of the three functions complete_… adds candidates to the list, and returns the word before the cursor that they replace.

local function complete_string(list, before, start)
  local quote, word, outside = before:sub(start, start), before:sub(start + 1), before:sub(1, start - 1)
  local client = outside:match("([%a_][%w_%.]*)%s*:%s*modality%s*%(?%s*$")
  if client then
    add_matching(list, word, modality_names(receiver(client)), quote)
  elseif outside:find("%f[%w_]to%s*=%s*$") then
    add_matching(list, word, modality_names(), quote)
  elseif outside:find("%f[%w_]Level%s*=%s*$") then
    add_matching(list, word, LEVELS, quote)
  elseif outside:find("%f[%w_]require%s*%(?%s*$") then
    add_matching(list, word, module_names(), quote)
  end
  return word
end

-- ---- inside a table ----

local CALL = "^(.-)%s*([%.:]?)%s*([%a_][%w_]*)%s*$" -- the text before the bracket of a call

-- The table that begins at open[depth] is an argument of a call: returns the row of the called function, its name, and the number of the
-- argument.
local function called_function(before, open, depth)
  local from, separator, name = before:sub(1, open[depth].at - 1):match(CALL)
  local argument = 1
  if not name and depth > 1 and open[depth - 1].kind == "(" then
    from, separator, name = before:sub(1, open[depth - 1].at - 1):match(CALL)
    argument = open[depth - 1].items
  end
  if name then
    local f = separator ~= "" and raw_field(receiver(from), name)
    return doc.of(f) or help.row(name), name, argument
  end
end

-- The names of the function's options in this argument. When the argument has none, the names of all its options.
local function option_names(row, argument)
  local arguments, all, of_argument = {}, {}, {}
  for name in row.signature:match("%((.-)%)"):gmatch "[%w_]+" do
    arguments[#arguments + 1] = name
  end
  for _, option in ipairs(row.options or {}) do
    all[#all + 1] = option.name
    of_argument[#of_argument + 1] = option.argument == arguments[argument] and option.name or nil
  end
  return of_argument[1] and of_argument or all
end

-- Adds keys when the word is the first of an item in a table, where a key may stand. Returns whether keys are the right candidates.
local function add_keys(list, word, before, open)
  local depth = #open
  local bracket = open[depth]
  if not bracket or bracket.kind ~= "{" or before:sub(bracket.from, -#word - 1):find("%S") then
    return false
  end
  if before:sub(1, bracket.at - 1):find("%f[%w_]Query%s*=%s*$") then
    add_matching(list, word, tag_names(), " = ")
    return true
  end
  local row, name, argument = called_function(before, open, depth)
  if name and TAKES_TAGS[name] then
    add_matching(list, word, tag_names(), " = ")
  elseif row then
    add_matching(list, word, option_names(row, argument), " = ")
  end
  return row ~= nil
end

local function complete_code(list, before)
  local word = before:match("[%w_]*$")
  local outside = before:sub(1, -#word - 1)
  local from, separator = outside:match("^(.-)%s*([%.:])%s*$")
  if from and not from:find("%.$") then
    add_fields(list, word, receiver(from), separator == ":")
    return word
  end
  local open = open_brackets(before)
  if not add_keys(list, word, before, open) and word ~= "" then
    add_matching(list, word, KEYWORDS)
    add_fields(list, word, _G)
  end
  return word
end

-- ---- commands of the prompt ----

local function complete_command(list, before)
  local word = before:match("%S*$")
  if before == word then
    add_matching(list, word, COMMANDS)
  elseif before:find("^%.mode%s") then
    add_matching(list, word, MODES)
  elseif before:find("^%.time%s") then
    add_matching(list, word, { "off", "on" })
  end
  return word
end

function completion.complete(input)
  local before = input.text:sub(1, input.cursor or #input.text)
  local list = {}
  local word
  if before:find("^%.%a*$") or before:find("^%.%a+%s") then
    word = complete_command(list, before)
  else
    before = before:gsub("^%?", "")
    local _, string_start = open_brackets(before)
    if string_start == true then
      return { 0 }
    end
    word = string_start and complete_string(list, before, string_start) or complete_code(list, before)
  end
  table.sort(list)
  table.insert(list, 1, #word)
  return list
end

doc.describe(completion.complete, "completion.complete(input) -> {n, candidate, …}",
  "Returns the candidates for the text at the cursor. The first item is the number of bytes before the cursor that a candidate "
    .. "replaces. It runs no code of yours, and sends no request.",
  {
    options = {
      { "input", "text", "string", "the line of input" },
      { "input", "cursor", "integer", "number of bytes before the cursor (default: all)" },
    },
    example = [[print(table.unpack(require("modalua.completion").complete { text = "orthanc:mod" }))]],
  })
doc.describe(completion.remember, "completion.remember(client, names)",
  "Stores the names of a server's modalities, which completion.complete then offers.",
  { example = [[require("modalua.completion").remember(orthanc, assert(orthanc:modalities()))]] })
doc.describe(completion.remembers, "completion.remembers(client) -> boolean",
  "Returns whether completion.remember has stored names for this client.",
  { example = [[print(require("modalua.completion").remembers(orthanc))]] })
doc.describe(completion.forget, "completion.forget()",
  "Forgets the names of the modalities of all servers.",
  { example = [[require("modalua.completion").forget()]] })
doc.describe(completion.is_modality, "completion.is_modality(name) -> boolean",
  "Returns whether completion.remember has stored this name for any client.",
  { example = [[print(require("modalua.completion").is_modality "pacs")]] })

return completion
