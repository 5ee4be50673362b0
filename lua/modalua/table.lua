-- modalua.table: rows as a table that fits a terminal, as lines that scripts read, and as CSV. Without terminal code: texts come out.
--
-- A column is { name = key of the rows [, title = head] [, right = true] [, colour = function(value, row) -> "red" | "green" | nil] }, or
-- just the key.
local doc = require "modalua.doc"
local json = require "modalua.json"
local letters = require "modalua.letters"

local tables = {}

local GAP = "  "
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

-- The most that the widest columns may take, so that all of them together take no more than there is room for.
local function widest(widths, room)
  local sorted = table.move(widths, 1, #widths, 1, {})
  table.sort(sorted)
  for i, width in ipairs(sorted) do
    local share = room // (#sorted - i + 1)
    if width > share then
      return math.max(share, 1)
    end
    room = room - width
  end
  return math.huge
end

-- Gives what was left over by rounding to the columns that were cut, from the left.
local function fit(widths, width)
  local room = width - #GAP * (#widths - 1)
  local most = widest(widths, room)
  local taken, fitted = 0, {}
  for i, natural in ipairs(widths) do
    fitted[i] = math.min(natural, most)
    taken = taken + fitted[i]
  end
  for i, natural in ipairs(widths) do
    if taken < room and fitted[i] < natural then
      fitted[i], taken = fitted[i] + 1, taken + 1
    end
  end
  return fitted
end

local function pad(text, width, right)
  local blanks = (" "):rep(width - letters.width(text))
  return right and blanks .. text or text .. blanks
end

-- The cells of all rows as they are shown, and the width of each column.
local function cells_of(columns, rows)
  local cells, widths = {}, {}
  for c, column in ipairs(columns) do
    widths[c] = letters.width(letters.shown(title_of(column)))
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

function tables.fitted(columns, rows, options)
  options = options or {}
  columns = normal(columns)
  local cells, widths = cells_of(columns, rows)
  if options.width then
    widths = fit(widths, options.width)
  end
  local titles, bold = {}, {}
  for c, column in ipairs(columns) do
    titles[c], bold[c] = letters.shown(title_of(column)), "1"
  end
  local lines = { line_of(columns, widths, titles, options.colour and bold) }
  for r, row in ipairs(rows) do
    lines[#lines + 1] = line_of(columns, widths, cells[r], options.colour and codes_of(columns, row))
  end
  return table.concat(lines)
end

doc.describe(tables.fitted, "fitted(columns, rows [, {width =, colour =}]) -> text", "The rows as a table for a terminal, with a head: "
  .. "letters of any script aligned, control characters escaped, and, when there is a width, cut with … where it has no room. "
  .. "colour = true: with the terminal's codes for bold heads and for the colours that the columns choose.")

-- ---- lines for scripts ----

function tables.lines(columns, rows)
  columns = normal(columns)
  local cells = cells_of(columns, rows)
  for r, row in ipairs(cells) do
    cells[r] = table.concat(row, "\t") .. "\n"
  end
  return table.concat(cells)
end

doc.describe(tables.lines, "lines(columns, rows) -> text", "The rows as lines of cells with a tab between them, whole, without a head; "
  .. "tabs, line ends and other control characters in them are escaped, so that a row is a line.")

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

doc.describe(tables.csv, "csv(columns, rows) -> text", "The rows as CSV (RFC 4180): a head, lines that end in CR LF, cells whole and as "
  .. "they are, UTF-8.")

return tables
