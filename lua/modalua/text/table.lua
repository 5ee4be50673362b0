-- modalua.table: rows as a table that fits a terminal, as lines that scripts read, and as CSV. Without terminal code: texts come out.
--
-- A column is just a key of the rows, or { name = the key, title = its head, right = true: aligned there, keep = true: shown however narrow
-- the terminal is, whole = true: never cut, spare = true: cut before the others, colour = function(value, row) -> "red" | "green" | nil }.
local require = ...
local doc = require "modalua.doc"
local json = require "modalua.json"
local letters = require "text.letters"

local tables = {}

local GAP = "  "
local MORE = "…" -- there are more columns
local COLOURS = { red = "31", green = "32" }

-- The text of a value: sequences of DICOM as JSON.
local function text_of(value)
  if value == nil or value == json.null then
    return ""
  end
  return type(value) == "table" and json.encode(value) or tostring(value)
end

local function normal(columns)
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

-- The most that one of several may take, so that all of them together take no more than there is room for.
local function most_of(widths, room)
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

-- Adds to the widths what they want, as far as there is room: the widest get less, and what rounding leaves goes to the left. Gives the
-- room that is left.
local function grow(widths, wanted, room)
  local most = most_of(wanted, room)
  local short = {}
  for i, want in ipairs(wanted) do
    local more = math.min(want, most)
    widths[i], short[i], room = widths[i] + more, want - more, room - more
  end
  for i, want in ipairs(short) do
    if want > 0 and room > 0 then
      widths[i], room = widths[i] + 1, room - 1
    end
  end
  return room
end

local LEAST = 8 -- of a column that is worth showing

local function least_of(column, width)
  return column.whole and width or math.min(width, LEAST)
end

-- Which columns are shown: from the right, as many as need be are left out, though none that is to be kept.
local function choose(columns, data, width)
  local chosen, need = {}, -#GAP
  for c, column in ipairs(columns) do
    chosen[c] = c
    need = need + least_of(column, data[c]) + #GAP
  end
  for place = #columns, 2, -1 do
    if need > width - (#chosen < #columns and #GAP + 1 or 0) and not columns[place].keep then
      table.remove(chosen, place)
      need = need - least_of(columns[place], data[place]) - #GAP
    end
  end
  return chosen
end

-- Shares the room among columns: what is to be whole first, then what is in them, then the heads, and last what can be spared.
local function share(columns, natural, data, room)
  local widths = {}
  for i, column in ipairs(columns) do
    widths[i] = column.whole and data[i] or column.spare and math.min(data[i], LEAST) or 1
    room = room - widths[i]
  end
  local function give(aims, spare)
    local wanted = {}
    for i, column in ipairs(columns) do
      wanted[i] = (spare or not column.spare) and math.max(aims[i] - widths[i], 0) or 0
    end
    room = grow(widths, wanted, math.max(room, 0))
  end
  give(data, false)
  give(natural, false)
  give(natural, true)
  return widths
end

-- The columns that are shown, and the width of each.
local function fit(columns, natural, data, width)
  local chosen = choose(columns, data, width)
  local shown, wanted, needed = {}, {}, {}
  for i, c in ipairs(chosen) do
    shown[i], wanted[i], needed[i] = columns[c], natural[c], data[c]
  end
  local room = width - #GAP * (#chosen - 1) - (#chosen < #columns and #GAP + 1 or 0)
  return shown, share(shown, wanted, needed, room)
end

local function pad(text, width, right)
  local blanks = (" "):rep(width - letters.width(text))
  return right and blanks .. text or text .. blanks
end

-- The cells of all rows as they are shown, and the width that those of each column take.
local function cells_of(columns, rows)
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

-- `texts` as a line; `codes`: terminal codes by column, or nil.
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

local function codes_of(columns, row)
  local codes = {}
  for c, column in ipairs(columns) do
    codes[c] = COLOURS[column.colour and column.colour(row[column.name], row)] or false
  end
  return codes
end

-- The heads, and the width of each column with its own.
local function heads_of(columns, data)
  local heads, natural = {}, {}
  for c, column in ipairs(columns) do
    heads[c] = letters.shown(title_of(column))
    natural[c] = math.max(data[c], letters.width(heads[c]))
  end
  return heads, natural
end

function tables.fitted(columns, rows, options)
  options = options or {}
  local all = normal(columns)
  local _, data = cells_of(all, rows)
  local _, widths = heads_of(all, data)
  local shown = all
  if options.width then
    shown, widths = fit(all, widths, data, options.width)
  end
  local cells = cells_of(shown, rows)
  local heads, bold = heads_of(shown, widths), {}
  for c in ipairs(shown) do
    bold[c] = "1"
  end
  local lines = { line_of(shown, widths, heads, options.colour and bold) }
  if #shown < #all then
    lines[1] = lines[1]:sub(1, -2) .. GAP .. MORE .. "\n"
  end
  for r, row in ipairs(rows) do
    lines[#lines + 1] = line_of(shown, widths, cells[r], options.colour and codes_of(shown, row))
  end
  return table.concat(lines)
end

doc.describe(tables.fitted, "table.fitted(columns, rows [, options]) -> text",
  "Returns the rows as a table with a head, for a terminal. Characters of any writing system are aligned, and control characters "
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
      { "options", "width", "integer", "columns of the terminal; what does not fit is cut or left out (default: no limit)" },
      { "options", "colour", "boolean", "true: writes the head bold, and cells in the colours that the columns choose" },
    },
    example = [=[
local tables = require "modalua.table"
local columns = { "PatientName", { name = "StudyDate", title = "date", right = true } }
print(tables.fitted(columns, found.answers, { width = 60 }))]=],
  })

-- ---- lines for scripts ----

function tables.lines(columns, rows)
  columns = normal(columns)
  local cells = cells_of(columns, rows)
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

local function csv_cell(text)
  return text:find '[",\r\n]' and '"' .. text:gsub('"', '""') .. '"' or text
end

function tables.csv(columns, rows)
  columns = normal(columns)
  local lines = {}
  local function add(text_at)
    local texts = {}
    for c, column in ipairs(columns) do
      texts[c] = csv_cell(text_at(column))
    end
    lines[#lines + 1] = table.concat(texts, ",") .. "\r\n"
  end
  add(title_of)
  for _, row in ipairs(rows) do
    add(function(column) return text_of(row[column.name]) end)
  end
  return table.concat(lines)
end

doc.describe(tables.csv, "table.csv(columns, rows) -> text",
  "Returns the rows as CSV (RFC 4180) in UTF-8, with a head. Lines end in CR LF, and cells are unchanged.",
  { example = [[io.write(require("modalua.table").csv({ "PatientID", "StudyDate" }, found.answers))]] })

return tables
