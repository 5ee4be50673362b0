-- modalua.table: rows as a table that fits a terminal, as lines for other programs, and as CSV. Every function returns text.
--
-- A column is a key of the rows, or a table of the settings that the help of table.fitted lists.
local require = ...
local doc = require "modalua.doc"
local json = require "modalua.json"
local letters = require "text.letters"

local tables = {}

local GAP = "  "
local MORE = "…" -- in the head, when columns are left out
local COLOURS = { red = "31", green = "32" }

-- The text of a value. A table, such as a DICOM sequence, is written as JSON.
local function text_of(value)
  if value == nil or value == json.null then
    return ""
  end
  return type(value) == "table" and json.encode(value) or tostring(value)
end

local function as_tables(columns)
  local list = {}
  for i, column in ipairs(columns) do
    list[i] = type(column) == "table" and column or { name = column }
  end
  return list
end

local function title_of(column)
  return column.title or column.name
end

-- ---- a table ----

-- Widths are in characters of the terminal. `natural`: the width of a column with its head; `data`: that of its cells alone. `room`: the
-- width that is still free.

-- The upper limit for each width that makes all of them fit into the room: narrow columns keep their width, wide ones share the rest.
local function limit_of(widths, room)
  local sorted = table.move(widths, 1, #widths, 1, {})
  table.sort(sorted)
  for i, width in ipairs(sorted) do
    local share = room // (#sorted - i + 1)
    if width > share then
      return math.max(share, 0)
    end
    room = room - width
  end
  return math.huge
end

-- Adds to each width what it lacks, as far as there is room: the widest columns get less. What rounding leaves over goes to the columns at
-- the left. Returns the room that is left.
local function widen(widths, lacking, room)
  local limit = limit_of(lacking, room)
  local still_lacking = {}
  for i, lack in ipairs(lacking) do
    local more = math.min(lack, limit)
    widths[i], still_lacking[i], room = widths[i] + more, lack - more, room - more
  end
  for i, lack in ipairs(still_lacking) do
    if lack > 0 and room > 0 then
      widths[i], room = widths[i] + 1, room - 1
    end
  end
  return room
end

local LEAST_WIDTH = 8 -- a narrower column shows too little

local function least_width(column, width)
  return column.whole and width or math.min(width, LEAST_WIDTH)
end

-- The indexes of the columns that are shown. Columns are left out from the right until the others fit, but none with `keep`.
local function choose_columns(columns, data, width)
  local chosen, needed = {}, -#GAP
  for c, column in ipairs(columns) do
    chosen[c] = c
    needed = needed + least_width(column, data[c]) + #GAP
  end
  for c = #columns, 2, -1 do
    if needed > width - (#chosen < #columns and #GAP + 1 or 0) and not columns[c].keep then
      table.remove(chosen, c)
      needed = needed - least_width(columns[c], data[c]) - #GAP
    end
  end
  return chosen
end

-- Shares the room among the columns: first for columns that are never cut, then for the cells of the others, then for the heads, and last
-- for the columns with `spare`.
local function share_room(columns, natural, data, room)
  local widths = {}
  for i, column in ipairs(columns) do
    widths[i] = column.whole and data[i] or column.spare and math.min(data[i], LEAST_WIDTH) or 1
    room = room - widths[i]
  end
  local function widen_to(targets, with_spare)
    local lacking = {}
    for i, column in ipairs(columns) do
      lacking[i] = (with_spare or not column.spare) and math.max(targets[i] - widths[i], 0) or 0
    end
    room = widen(widths, lacking, math.max(room, 0))
  end
  widen_to(data, false)
  widen_to(natural, false)
  widen_to(natural, true)
  return widths
end

-- The columns that are shown, and the width of each.
local function fit(columns, natural, data, width)
  local chosen = choose_columns(columns, data, width)
  local shown, shown_natural, shown_data = {}, {}, {}
  for i, c in ipairs(chosen) do
    shown[i], shown_natural[i], shown_data[i] = columns[c], natural[c], data[c]
  end
  local room = width - #GAP * (#chosen - 1) - (#chosen < #columns and #GAP + 1 or 0)
  return shown, share_room(shown, shown_natural, shown_data, room)
end

local function pad(text, width, right)
  local blanks = (" "):rep(width - letters.width(text))
  return right and blanks .. text or text .. blanks
end

-- The cells of all rows with control characters escaped, and the width of the widest cell of each column.
local function escaped_cells(columns, rows)
  local cells, widths = {}, {}
  for c in ipairs(columns) do
    widths[c] = 0
  end
  for r, row in ipairs(rows) do
    cells[r] = {}
    for c, column in ipairs(columns) do
      local text = letters.shown(text_of(row[column.name]))
      cells[r][c] = text
      widths[c] = math.max(widths[c], letters.width(text))
    end
  end
  return cells, widths
end

-- The cells or heads of one line as text. `codes`: the terminal's colour code for each column, or nil.
local function line_of(columns, widths, texts, codes)
  local parts = {}
  for c, column in ipairs(columns) do
    local text = letters.cut(texts[c], widths[c])
    if c < #columns or column.right then
      text = pad(text, widths[c], column.right)
    end
    parts[c] = codes and codes[c] and ("\27[%sm%s\27[0m"):format(codes[c], text) or text
  end
  return table.concat(parts, GAP):gsub(" +$", "") .. "\n"
end

local function colour_codes(columns, row)
  local codes = {}
  for c, column in ipairs(columns) do
    codes[c] = COLOURS[column.colour and column.colour(row[column.name], row)] or false
  end
  return codes
end

-- The heads, and the width of each column with its head. `has_heads` false: the heads are empty.
local function heads_of(columns, data, has_heads)
  local heads, natural = {}, {}
  for c, column in ipairs(columns) do
    heads[c] = has_heads and letters.shown(title_of(column)) or ""
    natural[c] = math.max(data[c], letters.width(heads[c]))
  end
  return heads, natural
end

function tables.fitted(columns, rows, options)
  options = options or {}
  local all = as_tables(columns)
  local _, data = escaped_cells(all, rows)
  local has_heads = options.head ~= false
  local _, widths = heads_of(all, data, has_heads)
  local shown = all
  if options.width then
    shown, widths = fit(all, widths, data, options.width)
  end
  local cells = escaped_cells(shown, rows)
  local heads, bold = heads_of(shown, widths, has_heads), {}
  for c in ipairs(shown) do
    bold[c] = "1"
  end
  local lines = { line_of(shown, widths, heads, options.colour and bold) }
  if #shown < #all then
    lines[1] = lines[1]:sub(1, -2) .. GAP .. MORE .. "\n"
  end
  if not has_heads then
    lines = {}
  end
  for r, row in ipairs(rows) do
    lines[#lines + 1] = line_of(shown, widths, cells[r], options.colour and colour_codes(shown, row))
  end
  return table.concat(lines)
end

doc.describe(tables.fitted, "table.fitted(columns, rows [, options]) -> text",
  "Returns the rows as a table with a head, for a terminal. Columns are aligned in any writing system, and control characters "
    .. "are escaped. A column is a key of the rows, or a table of the settings below.",
  {
    options = {
      { "columns", "name", "string", "key of the rows" },
      { "columns", "title", "string", "head of the column (default: its name)" },
      { "columns", "right", "boolean", "true: aligned at the right" },
      { "columns", "keep", "boolean", "true: shown on the narrowest terminal too" },
      { "columns", "whole", "boolean", "true: its cells are never cut" },
      { "columns", "spare", "boolean", "true: its cells are cut before others" },
      { "columns", "colour", "function", 'colour(value, row) returns "red", "green" or nil' },
      { "options", "width", "integer", "width of the terminal; cells are cut, or columns left out, to fit (default: no limit)" },
      { "options", "head", "boolean", "false: no head (default: true)" },
      { "options", "colour", "boolean", "true: writes the head bold, and cells in the colours that the columns choose" },
    },
    example = [=[
local tables = require "modalua.table"
local columns = { "PatientName", { name = "StudyDate", title = "date", right = true } }
print(tables.fitted(columns, found.answers, { width = 60 }))]=],
  })

-- ---- lines for other programs ----

function tables.lines(columns, rows)
  columns = as_tables(columns)
  local cells = escaped_cells(columns, rows)
  for r, row in ipairs(cells) do
    cells[r] = table.concat(row, "\t") .. "\n"
  end
  return table.concat(cells)
end

doc.describe(tables.lines, "table.lines(columns, rows) -> text",
  "Returns one line for each row, with a tab between the cells and without a head, for other programs to read. Tabs, line ends "
    .. "and other control characters in the cells are escaped.",
  { example = [[io.write(require("modalua.table").lines({ "PatientID", "StudyDate" }, found.answers))]] })

-- ---- CSV ----

local function csv_cell(text, safe)
  text = safe and text:find "^[=+@\t\r-]" and "'" .. text or text
  return text:find '[",\r\n]' and '"' .. text:gsub('"', '""') .. '"' or text
end

function tables.csv(columns, rows, options)
  options = options or {}
  columns = as_tables(columns)
  local lines, line_end = {}, options.line_end or "\r\n"
  local function add_line(text_of_column)
    local texts = {}
    for c, column in ipairs(columns) do
      texts[c] = csv_cell(text_of_column(column), options.safe)
    end
    lines[#lines + 1] = table.concat(texts, ",") .. line_end
  end
  if options.head ~= false then
    add_line(title_of)
  end
  for _, row in ipairs(rows) do
    add_line(function(column) return text_of(row[column.name]) end)
  end
  return table.concat(lines)
end

doc.describe(tables.csv, "table.csv(columns, rows [, options]) -> text",
  "Returns the rows as CSV (RFC 4180) in UTF-8, with a head. Lines end in CR LF, and cells are unchanged, unless the options say "
    .. "otherwise.",
  {
    options = {
      { "options", "head", "boolean", "false: no head (default: true)" },
      { "options", "line_end", "string", "end of each line (default: CR LF)" },
      { "options", "safe", "boolean", "true: puts a quote in front of cells that begin with = + - @, TAB or CR, as a spreadsheet would run "
        .. "them" },
    },
    example = [[io.write(require("modalua.table").csv({ "PatientID", "StudyDate" }, found.answers, { line_end = "\n", safe = true }))]],
  })

return tables
