-- command.output: rows as the text that a verb prints: one JSON document, JSON lines, or CSV when the options ask for that; else a table
-- on a terminal, and lines with tabs between the cells elsewhere.
local require = ...
local json = require "modalua.json"
local letters = require "text.letters"
local tables = require "text.table"

local output = {}

-- Each verb takes one of these.
output.FORMATS = {
  { "flag", name = "--json", description = "one JSON document on standard output" },
  { "flag", name = "--jsonl", description = "JSON lines on standard output: one object for each row" },
  { "flag", name = "--csv", description = "CSV on standard output, with a header; lines end in LF" },
}

-- Each verb takes these too.
output.DETAILS = {
  { "flag", name = "--no-header", description = "no header in CSV, and none above a table" },
  { "flag", name = "--crlf", description = "the lines of CSV end in CR LF, as in RFC 4180" },
  { "flag", name = "--safe-csv", description = "a quote in front of CSV cells that begin with = + - @, TAB or CR, as a spreadsheet would "
    .. "run them" },
}

-- What is wrong with the options of a verb, or nil.
function output.fault(options)
  if options.no_header and (options.json or options.jsonl) then
    return "--no-header is for CSV and tables: JSON has no header"
  end
  for name, given in pairs { ["--crlf"] = options.crlf, ["--safe-csv"] = options.safe_csv } do
    if given and not options.csv then
      return name .. " is for CSV: it needs --csv"
    end
  end
end

local function csv_text(options, columns, rows, has_head)
  return tables.csv(columns, rows, { head = has_head, safe = options.safe_csv or false, line_end = options.crlf and "\r\n" or "\n" })
end

local function json_lines(rows)
  local lines = {}
  for i, row in ipairs(rows) do
    lines[i] = json.encode(row) .. "\n"
  end
  return table.concat(lines)
end

-- Prints a text; on a terminal, where it does not fit, through the pager. The command gives the functions show_paged and hold_paged to
-- verbs. After Ctrl-C no function of the command can be called any more.
function output.write(terminal, text)
  if not (terminal.output and pcall(_G.show_paged, text)) then
    io.write(text)
  end
end

-- Prints a piece of a text that output.write(terminal, "") ends: a terminal gets it with the rest, through the pager.
function output.write_piece(terminal, text)
  if not (terminal.output and pcall(_G.hold_paged, text)) then
    io.write(text)
  end
end

-- On a terminal, control characters are escaped. `style`: as in letters.shown.
local function for_terminal(terminal, text, style)
  return terminal.output and letters.shown(text:gsub("\r\n", "\n"), style) or text
end

-- Returns the rows as text; "" when there is nothing to print. `is_next`: the text follows another one of the same run, and has no header.
-- `document`: the value that --json prints instead of the rows.
function output.text(options, terminal, columns, rows, is_next, document)
  local has_head = not is_next and not options.no_header
  if options.json then
    return for_terminal(terminal, json.encode(document or json.array(rows)) .. "\n", "json")
  elseif options.jsonl then
    return for_terminal(terminal, json_lines(rows), "json")
  elseif options.csv then
    return for_terminal(terminal, csv_text(options, columns, rows, has_head), "lines")
  elseif not terminal.output then
    return tables.lines(columns, rows)
  end
  return #rows > 0 and tables.fitted(columns, rows, { width = terminal.width, colour = terminal.colour, head = has_head }) or ""
end

return output
