-- transfer.report_page: an HTML page that is one file, without a script and without anything from elsewhere. All texts are escaped here,
-- and each table has a limit of its size, so that no ledger makes the page too large.
local require = ...
local letters = require "text.letters"
local view_text = require "transfer.view_text"

local report_page = {}

local CELL_COLUMNS <const>, CELL_BYTES <const> = 120, 600

local ESCAPES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

-- A text for the page: control characters and changes of direction become visible, and nothing of it is markup.
function report_page.escape(text)
  return (letters.shown(text):gsub("[&<>\"']", ESCAPES))
end

-- The same for a cell, which shows the beginning of a long text.
function report_page.cell(value)
  if value == nil then
    return ""
  end
  local text = tostring(value)
  local shown = letters.cut(letters.shown(text:sub(1, CELL_BYTES)), CELL_COLUMNS)
  if #text > CELL_BYTES and shown:sub(-3) ~= "…" then
    shown = shown .. "…"
  end
  return (shown:gsub("[&<>\"']", ESCAPES))
end

local STYLE <const> = [[
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5c6670; --paper: #fff; --line: #d5dade; --shade: #f1f3f5; --good: #1a7f37;
  --bad: #b42318;  --open: #8a5a00; --bar: #2f6fb0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ea; --soft: #9aa5ae; --paper: #14181b; --line: #343c43; --shade: #1e2428;
  --good: #56c271;
   --bad: #ff8a7d; --open: #e0b050; --bar: #6ca9e6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem; font: 15px/1.5 system-ui,
  sans-serif; color: var(--ink); background: var(--paper); }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); break-after: avoid; }
p { margin: .4rem 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.verdict { padding: .7rem 1rem; border-left: .3rem solid var(--open); background: var(--shade); font-size: 1.05rem; }
.verdict.good { border-color: var(--good); } .verdict.bad { border-color: var(--bad); }
.wide { overflow-x: auto; margin-bottom: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
th,
  td { text-align: left; vertical-align: top; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; } td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.s { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 9rem; } td.key { width: 13rem; }
tr { break-inside: avoid; }
td.uid { min-width: 11rem; } td.t { min-width: 13rem; } td.w { white-space: nowrap; }
td.uid, pre { font-family: ui-monospace, monospace; font-size: .8rem; }
pre { background: var(--shade); padding: .7rem 1rem; overflow-x: auto; }
.failed { color: var(--bad); }
details { margin: .5rem 0; } summary { cursor: pointer; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif; }
.done { fill: var(--bar); } .lost { fill: var(--bad); } .shut { fill: var(--line); opacity: .6; }
.axis { stroke: var(--soft); stroke-width: 1; }
@page { size: A4; margin: 15mm; }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --paper: #fff; --line: #bbb; --shade: #f1f3f5; --good: #1a7f37;
    --bad: #b42318; --open: #8a5a00; --bar: #2f6fb0; }
  body { padding: 0; max-width: none; font-size: 10pt; } td.t { min-width: 7rem; } .wide,
    pre { overflow: visible; } pre { white-space: pre-wrap; overflow-wrap: anywhere; } }
]]

local HEAD <const> = [[<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>%s</title>
<style>
%s</style>
</head>
<body>
]]

local Page = {}
Page.__index = Page

function report_page.new(title)
  title = report_page.cell(title)
  return setmetatable({ parts = { HEAD:format(title, STYLE) } }, Page)
end

-- Adds markup.
function Page:add(markup)
  self.parts[#self.parts + 1] = markup
end

function Page:heading(text)
  self:add(("<h2>%s</h2>\n"):format(report_page.escape(text)))
end

-- Adds a paragraph of texts, which are escaped. class may be nil.
function Page:paragraph(text, class)
  self:add(("<p%s>%s</p>\n"):format(class and (' class="%s"'):format(class) or "", report_page.escape(text)))
end

local function class_of(column)
  return column[3] and (' class="%s"'):format(column[3]) or ""
end

-- A table without titles needs no head.
local function add_head(page, columns)
  local cells, titles = {}, ""
  for i, column in ipairs(columns) do
    cells[i], titles = ("<th%s>%s</th>"):format(class_of(column), report_page.escape(column[1])), titles .. column[1]
  end
  if titles ~= "" then
    page:add("<thead><tr>" .. table.concat(cells) .. "</tr></thead>\n") -- printed again on each page of paper
  end
end

-- Adds a table. columns: list of { title, name, class }; a class is n (a number), s (a short text that may be cut), w (one of our own
-- words), t (a long text), uid or key. rows: a list of tables, or an iterator over them; their values are cells. most:
-- how many bytes the table may take, and how many rows. Below the table of a list stands how many of its rows were left out; `rest` says
-- it, with a place for that number. Returns the number of rows that were added.
function Page:table(columns, rows, most, rest)
  local size, n = 0, 0
  self:add '<div class="wide"><table>\n'
  add_head(self, columns)
  local next_row, i = rows, 0
  if type(rows) == "table" then
    function next_row()
      i = i + 1
      return rows[i]
    end
  end
  for row in next_row do
    local cells = { "<tr>" }
    for c, column in ipairs(columns) do
      cells[c + 1] = ("<td%s>%s</td>"):format(class_of(column), report_page.cell(row[column[2]]))
    end
    local line = table.concat(cells) .. "</tr>\n"
    size = size + #line
    if size > most.bytes or n == most.rows then
      break
    end
    n = n + 1
    self:add(line)
  end
  self:add "</table></div>\n"
  if type(rows) == "table" and n < #rows then
    self:paragraph((rest or "… and %s more."):format(view_text.count(#rows - n)), "soft")
  end
  return n
end

function Page:text()
  return table.concat(self.parts) .. "</body>\n</html>\n"
end

return report_page
