-- modalua.printing: values as text for people: as Lua (sorted, within limits, cycles marked), as JSON, and answers as a table.
-- Of the user's code, only __tostring is called, in protected mode.
local require = ...
local described = require "core.described"
local doc = require "modalua.doc"
local json = require "modalua.json"
local kinds = require "prompt.kinds"
local letters = require "text.letters"
local lists = require "core.lists"
local modalua = require "modalua"
local native = require "core.native"
local outcomes = require "prompt.outcomes"
local scanning = require "prompt.scanning"
local tables = require "text.table"

local printing = {}

local DEPTH, ITEMS, STRING, WIDTH = 4, 50, 200, 80
local TAB = 8 -- columns of a tab at most
-- The columns that stand first in a table of answers, in this order.
local FIRST_COLUMNS = { "PatientName", "PatientID", "PatientBirthDate", "StudyDate", "StudyTime", "AccessionNumber", "ModalitiesInStudy",
  "Modality", "StudyDescription", "SeriesNumber", "SeriesDescription", "InstanceNumber" }
local KEPT_COLUMNS = { PatientName = true, PatientID = true } -- shown on the narrowest terminal too
-- Orthanc adds these tags to every answer; they are no columns, since they have the same value everywhere.
local HIDDEN_COLUMNS = { QueryRetrieveLevel = true, RetrieveAETitle = true, SpecificCharacterSet = true }

-- Words for the outcome of something, in the colours that the verbs give them.
local OUTCOMES = { Success = "green", Failure = "red", moved = "green", failed = "red", complete = "green", unknown = "red" }
local CODES = { red = "31", green = "32", bold = "1" }

local function coloured(text, colour)
  return colour and ("\27[%sm%s\27[0m"):format(CODES[colour], text) or text
end

-- ---- scalars ----

local function quoted(s, limit)
  local n = utf8.len(s)
  local left = (n or #s) - limit
  if left > 0 then
    s = n and s:sub(1, utf8.offset(s, limit + 1) - 1) or s:sub(1, limit)
  end
  return '"' .. letters.shown((s:gsub('["\\]', "\\%0"))) .. '"' .. (left > 0 and ("…(+%d)"):format(left) or "")
end

-- The result of __tostring with control characters escaped; nil without __tostring.
local function tostring_text(value)
  local meta = debug.getmetatable(value)
  if type(meta) == "table" and rawget(meta, "__tostring") ~= nil and rawget(meta, "__name") ~= "modalua.Found" then
    local ok, text = pcall(tostring, value)
    text = ok and text or ("(its __tostring fails: %s)"):format(text)
    return letters.shown(text)
  end
end

-- A function that has a row is shown by its signature, without what it returns; one that an operation has returned, by what it is.
local function function_text(value)
  local row = doc.of(value)
  return row and "function " .. row.signature:gsub("%s*%->.*", "") or described.of(value) or tostring(value)
end

local function scalar(value, limit)
  if type(value) == "string" then
    return quoted(value, limit)
  elseif value == json.null then
    return "null"
  elseif type(value) == "function" then
    return function_text(value)
  elseif type(value) == "table" or type(value) == "userdata" then
    return tostring_text(value) or type(value) == "userdata" and tostring(value) or nil
  end
  return tostring(value)
end

-- ---- tables ----

local TYPE_ORDER = { number = 1, string = 2, boolean = 3 }

local function key_before(a, b)
  local rank_a, rank_b = TYPE_ORDER[type(a)] or 4, TYPE_ORDER[type(b)] or 4
  if rank_a ~= rank_b then
    return rank_a < rank_b
  elseif rank_a <= 2 then
    return a < b
  end
  return tostring(a) < tostring(b)
end

-- The sorted keys of t other than 1 to n.
local function other_keys(t, n)
  local keys = {}
  for key in next, t do
    if math.type(key) ~= "integer" or key < 1 or key > n then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys, key_before)
  return keys
end

local function key_text(key, limits)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and not lists.has(scanning.KEYWORDS, key) then
    return key .. " = "
  end
  local text = scalar(key, limits.string)
  return ("[%s] = "):format(text or type(key))
end

local dump

-- The text of an item with its colour, and its width without.
local function item_of(head, value, limits, path, indent)
  local text = dump(value, limits, path, indent)
  local colour = limits.colour and (OUTCOMES[value] or kinds.of(value) == "error" and "red")
  return { text = (limits.colour and head ~= "" and coloured(head:sub(1, -4), "bold") .. " = " or head) .. coloured(text, colour),
    width = letters.width(head) + letters.width((text:gsub("\27%[%d+m", ""))), long = text:find("\n", 1, true) ~= nil, named = head ~= "" }
end

-- The items of a table. Beyond the limit, the last one says how many are left out: "…(+10)".
local function items_of(t, limits, path, indent)
  local items, n = {}, rawlen(t)
  local keys = other_keys(t, n)
  for i = 1, math.min(n, limits.items) do
    items[i] = item_of("", rawget(t, i), limits, path, indent)
  end
  for i = 1, math.min(#keys, limits.items - #items) do
    items[#items + 1] = item_of(key_text(keys[i], limits), rawget(t, keys[i]), limits, path, indent)
  end
  local left = n + #keys - #items
  if left > 0 then
    local text = ("…(+%d)"):format(left)
    items[#items + 1] = { text = text, width = letters.width(text), named = #keys > 0 }
  end
  return items
end

-- Whether the item stands on the same line as the one before it, which ends in that column.
local function joins(item, before, column, limits)
  return not (item.long or item.named or before.long or before.named) and column + 1 + item.width + 1 <= limits.width
end

-- All items on one line when they fit. Else those with a name have a line each, and the others fill the lines.
local function lay_out(items, limits, indent)
  local texts, width, long = {}, 4, false
  for i, item in ipairs(items) do
    texts[i], width, long = item.text, width + item.width + (i > 1 and 2 or 0), long or item.long
  end
  if not long and width + #indent <= limits.width then
    return "{ " .. table.concat(texts, ", ") .. " }"
  end
  local inner, column = indent .. "  ", 0
  for i, item in ipairs(items) do
    local before = items[i - 1]
    local same = before and joins(item, before, column, limits)
    texts[i] = (i == 1 and "" or same and " " or "\n" .. inner) .. item.text .. (i < #items and "," or "")
    column = (same and column + 1 or #inner) + item.width + 1
  end
  return "{\n" .. inner .. table.concat(texts) .. "\n" .. indent .. "}"
end

-- `path`: the depth of each table that is being printed, and `depth`, the current one.
function dump(value, limits, path, indent)
  local text = scalar(value, limits.string)
  if text then
    return text
  elseif path[value] then
    return ("<cycle ^%d>"):format(path.depth - path[value])
  elseif next(value) == nil then
    return "{}"
  elseif path.depth >= limits.depth then
    return "{…}"
  end
  path[value], path.depth = path.depth, path.depth + 1
  local items = items_of(value, limits, path, indent .. "  ")
  path[value], path.depth = nil, path.depth - 1
  return lay_out(items, limits, indent)
end

function printing.lua(value, limits)
  limits = limits or {}
  return dump(value, { depth = limits.depth or DEPTH, items = limits.items or ITEMS, string = limits.string or STRING,
    width = limits.width or WIDTH, colour = limits.colour }, { depth = 0 }, "")
end

-- ---- answers ----

-- Whether a value fits in a cell: no table, an object with __tostring, or a list of values, as several values of a tag are.
local function is_cell(value)
  return type(value) ~= "table" or tostring_text(value) ~= nil or type(value) == "table" and rawlen(value) > 0
    and type(rawget(value, 1)) ~= "table"
end

-- Whether the value is a list of tables with names as keys and with values that fit in a cell.
local function are_rows(value)
  if type(value) ~= "table" or rawlen(value) == 0 or #other_keys(value, rawlen(value)) > 0 then
    return false
  end
  for i = 1, rawlen(value) do
    local row = rawget(value, i)
    if type(row) ~= "table" or next(row) == nil or tostring_text(row) then
      return false
    end
    for key, cell in next, row do
      if type(key) ~= "string" or not is_cell(cell) then
        return false
      end
    end
  end
  return true
end

local function place_of(name)
  for i, first in ipairs(FIRST_COLUMNS) do
    if first == name then
      return i
    end
  end
  return math.huge
end

local function colour_of_cell(value)
  return OUTCOMES[value]
end

-- The columns of the rows: FIRST_COLUMNS, then the others by name, then the UIDs.
local function table_columns(rows)
  local names, seen = {}, {}
  for _, row in ipairs(rows) do
    for name in next, row do
      if not seen[name] and not HIDDEN_COLUMNS[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names, function(a, b)
    local place_a, place_b = place_of(a), place_of(b)
    local uid_a, uid_b = a:find("UID$") and 1 or 0, b:find("UID$") and 1 or 0
    if uid_a ~= uid_b then
      return uid_a < uid_b
    end
    return place_a < place_b or place_a == place_b and a < b
  end)
  for i, name in ipairs(names) do
    names[i] = { name = name, keep = KEPT_COLUMNS[name], whole = name:find "Date$" ~= nil, spare = name:find "UID$" ~= nil,
      colour = colour_of_cell }
  end
  return names
end

-- The rows with the lists in their cells joined by backslashes, as DICOM joins several values.
local function rows_as_text(rows, columns)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = {}
    for _, column in ipairs(columns) do
      local value = row[column.name]
      if type(value) == "table" and not tostring_text(value) then
        local parts = {}
        for k = 1, rawlen(value) do
          parts[k] = tostring(rawget(value, k))
        end
        value = table.concat(parts, "\\")
      end
      list[i][column.name] = value
    end
  end
  return list
end

local function plural(n, word)
  return ("%d %s%s"):format(n, word, n == 1 and "" or "s")
end

-- The rows of a value: the answers of a search, or a list of tables; nil when it is neither. The second result: it is a search.
local function rows_of(value)
  local found = type(value) == "table" and type(rawget(value, "answers")) == "table" and rawget(value, "ID") ~= nil
  local rows = value
  if found then
    rows = rawget(value, "answers")
  end
  if not (found and rawlen(rows) == 0) and not are_rows(rows) then
    rows = nil
  end
  return rows, found
end

-- The warning of a search; nil: the value has none.
function printing.warning(value)
  local methods = kinds.methods_of(value)
  local warning = methods and rawget(methods, "warning")
  return warning and letters.shown(tostring(warning))
end

function printing.table(value, options)
  local rows, found = rows_of(value)
  if not rows then
    return nil
  elseif rawlen(rows) == 0 then
    return "no answers"
  end
  local columns = table_columns(rows)
  options = options or {}
  local width = options.width or WIDTH
  local text = tables.fitted(columns, rows_as_text(rows, columns), { width = width, colour = options.colour })
  text = text .. plural(rawlen(rows), found and "answer" or "row")
  local warning = printing.warning(value)
  return warning and text .. "\n" .. native.text_wrapped(warning, width) or text
end

local function as_json(value)
  local ok, text = pcall(json.encode, value)
  return ok and letters.shown(text, "json") or nil
end

-- The same, and a single table of names and values is a row.
local function records_of(value)
  local rows = rows_of(value)
  if not rows and type(value) == "table" and not modalua.is_error(value) and are_rows { value } then
    rows = { value }
  end
  return rows
end

-- On a terminal, control characters are escaped.
local function as_csv(value, options)
  local rows = records_of(value)
  if rows then
    local columns = table_columns(rows)
    local text = tables.csv(columns, rows_as_text(rows, columns), { line_end = "\n" }):gsub("\n$", "")
    return options and options.raw and text or letters.shown(text, "lines")
  end
end

-- A field in each line, and an empty line between two rows.
local function as_lines(value)
  local rows = records_of(value)
  if not rows then
    return nil
  end
  local columns, widest, lines = table_columns(rows), 0, {}
  for _, column in ipairs(columns) do
    widest = math.max(widest, letters.width(column.name))
  end
  for _, row in ipairs(rows_as_text(rows, columns)) do
    lines[#lines + 1] = lines[1] and "" or nil
    for _, column in ipairs(columns) do
      local cell = row[column.name]
      if cell ~= nil then
        lines[#lines + 1] = column.name .. (" "):rep(widest - letters.width(column.name) + 2) .. letters.shown(tostring(cell))
      end
    end
  end
  return lines[1] and table.concat(lines, "\n") or "no answers"
end

local IN_MODE = {
  json = as_json,
  table = function(value, options)
    options = options or {}
    return outcomes.text(value, { width = options.width or WIDTH, colour = options.colour, details = options.details, name = options.name })
      or printing.table(value, options)
  end,
  csv = as_csv,
  lines = as_lines,
}

-- What an operation has returned as a function, with how it is used; nil: the value is no such function.
local function use_text(value, options)
  local text, use = described.of(value, options.name)
  return text and native.text_wrapped(use and ("%s: %s"):format(text, use) or text, options.width or WIDTH)
end

function printing.value(value, mode, options)
  if modalua.is_error(value) then
    return coloured(printing.lua(value), options and options.colour and "red")
  elseif type(value) == "function" then
    return use_text(value, options or {}) or printing.lua(value)
  end
  return IN_MODE[mode] and IN_MODE[mode](value, options) or printing.lua(value, options)
end

-- Values of which each takes only one line, and among them an error. They share a line; when that is too long, it is broken at words.
local function as_sentence(values, options)
  local texts, width = {}, options and options.width or WIDTH
  for i = 1, values.n do
    texts[i] = printing.lua(values[i])
  end
  local text = table.concat(texts, "\t")
  if letters.width(text) + (values.n - 1) * TAB > width then
    text = native.text_wrapped(table.concat(texts, "  "), width)
  end
  return coloured(text, options and options.colour and "red")
end

local function is_closer(value)
  local meta = debug.getmetatable(value)
  return type(value) == "table" and next(value) == nil and meta ~= nil and rawget(meta, "__close") ~= nil
end

-- How many of the values are shown. A nil behind a table is not: it stands for the error of an operation that has succeeded. Nor is what
-- a loop needs behind an iterator.
local function shown_count(values)
  local n, is_iterator = values.n, described.of(values[1]) ~= nil
  while n > 1 and (values[n] == nil and (is_iterator or type(values[1]) == "table") or is_iterator and is_closer(values[n])) do
    n = n - 1
  end
  return n
end

-- The options for the i-th value. At a prompt `details` is an input that shows more of it.
local function options_for(options, i)
  local own = {}
  for name, value in pairs(options or {}) do
    own[name] = value
  end
  if own.names then
    own.name = own.names[i]
    own.details = own.name and ("pp(%s)"):format(own.name) or ".mode lua"
  end
  return own
end

-- The values share a line when each of them takes only one, and the line fits.
function printing.values(values, mode, options)
  local texts, has_long, has_error, columns = {}, false, false, 0
  for i = 1, shown_count(values) do
    texts[i] = printing.value(values[i], mode, options_for(options, i))
    has_long = has_long or texts[i]:find("\n", 1, true)
    has_error = has_error or modalua.is_error(values[i])
    columns = columns + letters.width((texts[i]:gsub("\27%[[%d;]*m", ""))) + (i > 1 and TAB or 0)
  end
  if has_error and not has_long then
    return as_sentence(values, options)
  end
  return table.concat(texts, (has_long or columns > (options and options.width or WIDTH)) and "\n" or "\t")
end

doc.describe(printing.lua, "printing.lua(value [, options]) -> text",
  "Returns a value as a Lua expression: keys are sorted, control characters are escaped, and cycles are marked. Items and "
    .. "characters beyond the limits are counted.",
  {
    options = {
      { "options", "depth", "integer", "levels of tables (default: 4)" },
      { "options", "items", "integer", "items of a table (default: 50)" },
      { "options", "string", "integer", "characters of a string (default: 200)" },
      { "options", "width", "integer", "columns of the terminal (default: 80)" },
      { "options", "colour", "boolean", "true: the terminal has colours" },
    },
    example = [[print(require("modalua.printing").lua(found, { depth = 2 }))]],
  })
doc.describe(printing.table, "printing.table(value [, options]) -> text | nil",
  "Returns the result of modality:find, or a list of rows, as a table that fits the width. For any other value it returns nil.",
  {
    options = {
      { "options", "width", "integer", "columns of the terminal (default: 80)" },
      { "options", "colour", "boolean", "true: the terminal has colours" },
    },
    example = [[print(require("modalua.printing").table(found))]],
  })
doc.describe(printing.warning, "printing.warning(value) -> text | nil",
  "Returns the warning that the result of a search has. printing.table shows it below the table; the other modes have no place for it.",
  { example = [[print(require("modalua.printing").warning(found))]] })
doc.describe(printing.value, "printing.value(value, mode [, options]) -> text",
  'Returns a value as text. The mode is "table", "lines" (a field in each line), "csv", "json" or "lua"; a value that the mode cannot show '
    .. "is shown as Lua.",
  {
    options = {
      { "options", "width", "integer", "columns of the terminal (default: 80)" },
      { "options", "raw", "boolean", "true: CSV has control characters as they are (default: false)" },
      { "options", "colour", "boolean", "true: the terminal has colours" },
    },
    example = [[print(require("modalua.printing").value(found, "json"))]],
  })
doc.describe(printing.values, "printing.values(values, mode [, options]) -> text",
  "Returns several values as text, each like printing.value. `values` is a table like that of table.pack.",
  {
    options = {
      { "options", "names", "table", "at a prompt: list of the variables that have the values, or {} (default: it is no prompt)" },
      { "options", "width", "integer", "columns of the terminal (default: 80)" },
      { "options", "raw", "boolean", "true: CSV has control characters as they are (default: false)" },
      { "options", "colour", "boolean", "true: the terminal has colours" },
    },
    example = [[print(require("modalua.printing").values(table.pack(pacs:echo()), "lua"))]],
  })

return printing
