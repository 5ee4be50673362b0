-- transfer.ledger_rows: values on their way into a ledger, and out of it.
local require = ...
local json = require "modalua.json"

local ledger_rows = {}

local REPLACEMENT <const> = "\u{FFFD}"

-- A text as both databases can keep it: bytes that are no UTF-8, and NUL, become U+FFFD. nil stays nil.
function ledger_rows.text(value)
  if value == nil then
    return nil
  end
  local text = tostring(value)
  local _, bad = utf8.len(text)
  if bad then
    local parts, start = {}, 1
    while bad do
      parts[#parts + 1] = text:sub(start, bad - 1)
      parts[#parts + 1] = REPLACEMENT
      start = bad + 1
      _, bad = utf8.len(text, start)
    end
    text = table.concat(parts) .. text:sub(start)
  end
  return (text:gsub("\0", REPLACEMENT))
end

-- The value as JSON. A statement reads the fields of a list of objects from it ("{each}" in ledger_schema), so that one statement writes
-- many rows, and no text of SQL is made from a value.
function ledger_rows.json(value)
  return assert(json.encode(value))
end

-- The same for a list, which may be empty.
function ledger_rows.list(values)
  return assert(json.encode(json.array(values)))
end

-- Decodes the UIDs of rows of `item`, and returns the list; nil stays nil.
function ledger_rows.decode_items(list)
  for _, item in ipairs(list or {}) do
    item.uids = json.decode(item.uids)
  end
  return list
end

return ledger_rows
