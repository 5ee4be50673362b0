-- transfer.listed: transfers by a list of values: reading it, and finding what it lists.
--
-- listed.read(items, { level = }) -> list | nil, message. items: rows, or { file =, column =, encoding = }. A row is a text, a table with
-- one key, { AccessionNumber = "…" }, or one with the UID of the level, such as an answer of find. list: { count =, file =, column =, each
-- = function() -> iterator over { tag =, text = the cell as it is, value = what is searched for or nil, outcome = "INVALID" or nil, reason
-- = } }.
--
-- listed.find{ ledger =, modality = | client =, level =, several =, names =, order =, stop =, tell = } -> { complete =, unproven = 0 } |
-- nil, err: looks for the lines of the ledger that have no outcome. Their items keep the order of the lines, but with order = "oldest", and
-- in the ledger of a query.
local require = ...
local csv = require "transfer.csv"
local find_all = require "core.find_all"
local find_each = require "core.find_each"
local found_items = require "transfer.found_items"
local hints = require "transfer.hints"
local letters = require "text.letters"
local levels = require "core.levels"
local local_items = require "transfer.local_items"
local matching = require "core.matching"
local native = require "core.native"
local requests = require "core.requests"

local listed = {}

-- ---- a cell ----

local IS_UID <const> = { StudyInstanceUID = true, SeriesInstanceUID = true, SOPInstanceUID = true }

local MOST <const> = 10240 -- bytes: no value that can be searched for has more

-- In two steps: one pattern would try each run of blanks again and again.
local function trimmed(text)
  local plain = text:gsub("\u{a0}", " ")
  local from = plain:find "%S"
  return from and plain:match("^.*%S", from) or ""
end

-- A range finds other days and times than the one that the cell is.
local function is_range(tag, value)
  return (native.is_date(tag) or tag == "StudyTime" or tag == "SeriesTime") and value:find "-" ~= nil
end

-- Why a value cannot be searched for; nil when it can.
local function fault_of(tag, value)
  if #value > MOST then
    return ("the cell has %d bytes, and no value has so many"):format(#value)
  elseif not utf8.len(value) then
    return "the cell is not UTF-8"
  elseif value == "" then
    return "the cell is blank"
  elseif value:find "[*?\\]" then
    return "a '*', '?' or '\\' would find other things too"
  elseif value:find "[%z\1-\31\127]" then
    return "the cell has a control character"
  elseif not value:find "[%w\x80-\xff]" then
    return "the cell has no letter and no digit"
  elseif value:find "^[+-]?%d+[.,]?%d*[eE]%+?%d+$" then
    return "a spreadsheet has rounded the number: format the column as text"
  elseif is_range(tag, value) then
    return hints.fault(tag, value) or "a range would find other things too"
  elseif value:find "^[=#]" then
    return "the cell is a formula or an error of a spreadsheet"
  elseif IS_UID[tag] and not (#value <= 64 and value:find "^%d[%d.]*%d$" and not value:find "%.%.") then
    return "the cell is not a UID"
  end
  return hints.fault(tag, value)
end

local function line_of(tag, text)
  local value = trimmed(text)
  local fault = fault_of(tag, value)
  return { tag = tag, text = text, value = not fault and value or nil, outcome = fault and "INVALID" or nil, reason = fault }
end

-- ---- what is a key ----

-- The keyword that a column's name stands for, however it is spelt: AccessionNumber, "Accession Number", 0008,0050. nil = it is none.
local KEYS <const> = { "AccessionNumber", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "StudyID" }

local function key_of(name)
  local bare = trimmed(name)
  for _, key in ipairs(KEYS) do
    if bare:gsub("[%s_-]", ""):lower() == key:lower() then
      return key
    end
  end
  local number, level, keyword = native.tag(bare)
  return number and level and keyword or nil
end

-- Why values of the key cannot be searched for at the level; nil when they can.
local function key_fault(key, level)
  local _, own = native.tag(key)
  if levels.RANK[own] > levels.RANK[level] then
    return ("%s does not name what is sent, as the level is \"%s\""):format(key, level)
  end
end

-- ---- rows ----

-- Reads one row. Returns its key and its text; or nil and a message.
local function read_row(i, row, level)
  local key, text = levels.UNIQUE[level], row
  local uid = type(row) == "table" and native.value(row, key)
  if uid then
    text = uid
  elseif type(row) == "table" then
    key, text = next(row)
    if key == nil or next(row, key) ~= nil then
      return nil, ("row %d must have the %s, or one other key, such as { AccessionNumber = \"A1\" }"):format(i, levels.UNIQUE[level])
    end
  end
  local known = type(key) == "string" and key_of(key)
  local fault = known and key_fault(known, level)
  if not known or fault then
    fault = fault or ("'%s' is not a DICOM key, such as AccessionNumber"):format(native.text_shown(tostring(key)))
    return nil, ("row %d: %s"):format(i, fault)
  end
  text = math.type(text) == "integer" and tostring(text) or text
  if type(text) ~= "string" then
    return nil, ("row %d: the value must be a string (a %s was given)"):format(i, math.type(text) or type(text))
  end
  return known, text
end

-- The name of a field that is no row; nil when there is none.
local function other_field(rows)
  for key in pairs(rows) do
    if math.type(key) ~= "integer" or key < 1 or key > #rows then
      return native.text_shown(tostring(key))
    end
  end
end

local function read_rows(rows, level)
  local name = other_field(rows)
  if name then
    return nil, ("items has the field '%s', which is no row: give a list of rows, or { file =, column =, encoding = }"):format(name)
  end
  for i = 1, #rows do
    local key, message = read_row(i, rows[i], level)
    if not key then
      return nil, message
    end
  end
  local function each()
    local i = 0
    return function()
      i = i + 1
      return rows[i] ~= nil and line_of(read_row(i, rows[i], level)) or nil
    end
  end
  return { count = #rows, each = each }
end

-- ---- a file ----

local ENCODINGS <const> = { ["utf-8"] = "utf-8", utf8 = "utf-8", latin1 = "latin1", ["iso-8859-1"] = "latin1" }

local function to_utf8(text)
  return (text:gsub("[\x80-\xff]", function(c) return utf8.char(c:byte()) end))
end

-- The fields in UTF-8; nil and a message.
local function decoded(fields, line, encoding)
  for i, text in ipairs(fields) do
    if encoding == "latin1" then
      fields[i] = to_utf8(text)
    elseif not utf8.len(text) then
      return nil, ("line %d is not UTF-8: save the file as UTF-8, or give encoding = \"latin1\""):format(line)
    end
  end
  return fields, line
end

-- The names of columns, for a message.
local function shown_columns(fields)
  local names = {}
  for i, text in ipairs(fields) do
    names[i] = "'" .. letters.cut(native.text_shown(trimmed(text)), 60) .. "'"
  end
  return table.concat(names, ", ", 1, math.min(#names, 30))
end

-- The number of the column with that name; without regard to case when none has it exactly.
local function place_of(fields, name)
  for _, same in ipairs { function(text) return text end, string.lower } do
    for i, text in ipairs(fields) do
      if same(trimmed(text)) == same(trimmed(name)) then
        return i
      end
    end
  end
end

-- What the first line says: { place = number of the column, key =, is_header = boolean }; nil and a message.
local function read_head(fields, column, level)
  local alone, name = #fields == 1, column or trimmed(fields[1])
  local place = column and place_of(fields, column) or not column and alone and key_of(name) and 1
  local is_header = place and true
  local key = key_of(name)
  if not place and alone and column and key and fields[1]:find "%d" then -- one value a line, the first one too
    place = 1
  elseif not place and alone and not column and not fault_of("StudyInstanceUID", name) and name:find "%..*%." then
    place, key = 1, level == "Series" and "SeriesInstanceUID" or "StudyInstanceUID"
  end
  if not place then
    return nil, column and ("there is no column '%s'; the columns are %s"):format(native.text_shown(column), shown_columns(fields))
      or ("say which column has the values, as column = \"…\"; the columns are %s"):format(shown_columns(fields))
  elseif not key then
    return nil, ("the column '%s' is not named as a DICOM key, such as AccessionNumber, PatientID or StudyInstanceUID: rename it"):format(
      native.text_shown(name))
  end
  local fault = key_fault(key, level)
  return not fault and { place = place, key = key, is_header = is_header } or nil, fault
end

-- What the system says of a file, without its name.
local function reason_of(problem, path)
  return problem:sub(1, #path + 2) == path .. ": " and problem:sub(#path + 3) or problem
end

-- Opens the file, or its text when that is known. Returns a function that returns the next fields and the number of their line, or nil and
-- a message, and the file.
local function open(path, encoding, text)
  local file, problem = text and csv.source_of(text), nil
  if not text then
    file, problem = io.open(path, "rb")
  end
  if not file then
    return nil, reason_of(problem, path)
  end
  local reader, message = csv.reader(file)
  if not reader then
    file:close()
    return nil, message
  end
  return function()
    local fields, line = reader:read()
    if not fields then
      return nil, line
    end
    return decoded(fields, line, encoding)
  end, file
end

local function is_empty(fields)
  return #fields == 1 and fields[1] == ""
end

-- Returns an iterator over the lines of the file, which gives nil and a message on a fault; nil and a message.
local function lines_of(items, encoding, level, text)
  local next_fields, file = open(items.file, encoding, text)
  if not next_fields then
    return nil, file
  end
  local fields, message = next_fields()
  local head
  if fields then
    head, message = read_head(fields, items.column, level)
  end
  if not head then
    file:close()
    return nil, message or "the file is empty"
  end
  local empty, row = 0, not head.is_header and fields or nil -- empty lines, and the line behind them, that are to be given next
  return function()
    while not row do -- empty lines at the end of a file are no lines of the list
      local fault
      row, fault = next_fields()
      if not row then
        file:close()
        return nil, fault
      elseif is_empty(row) then
        empty, row = empty + 1, nil
      end
    end
    if empty > 0 then
      empty = empty - 1
      return line_of(head.key, "")
    end
    local given = row
    row = nil
    return line_of(head.key, given[head.place] or "")
  end
end

local function read_file(items, level)
  local encoding = ENCODINGS[(items.encoding or "utf-8"):lower()]
  if not encoding then
    return nil, ("the encoding must be \"utf-8\" or \"latin1\" ('%s' was given)"):format(native.text_shown(items.encoding))
  end
  local function fault(message)
    return nil, ("'%s': %s"):format(native.text_shown(items.file), message)
  end
  local text, problem = csv.text_of(items.file)
  if problem then
    return fault(reason_of(problem, items.file))
  end
  local next_line, message = lines_of(items, encoding, level, text)
  if not next_line then
    return fault(message)
  end
  local count = 0
  while true do
    local line
    line, message = next_line()
    if not line then
      break
    end
    count = count + 1
  end
  if message then
    return fault(message)
  end
  local function each()
    return assert(lines_of(items, encoding, level, text))
  end
  return { count = count, file = items.file, column = items.column, each = each }
end

function listed.read(items, options)
  if type(items) ~= "table" then
    return nil, ("items must be rows, or a table with the field file (a %s was given)"):format(type(items))
  elseif items.file == nil then
    return read_rows(items, options.level)
  end
  for name in pairs(items) do
    if name ~= "file" and name ~= "column" and name ~= "encoding" then
      return nil, ("items has no field '%s'; the fields are file, column and encoding"):format(native.text_shown(tostring(name)))
    end
  end
  for _, name in ipairs { "file", "column", "encoding" } do
    if items[name] ~= nil and type(items[name]) ~= "string" then
      return nil, ("items.%s must be a string (a %s was given)"):format(name, type(items[name]))
    end
  end
  return read_file(items, options.level)
end

-- ---- finding ----

local LINES <const> = 50 -- that are looked for between two commits
local SHOWN <const> = 10 -- study UIDs of an ambiguous line

-- What a value was found as: a list of { item =, value = what it has under the tag, study = its UID }.
local function of_answers(answers, search)
  local found = {}
  for _, answer in ipairs(answers) do
    local item = found_items.of_answer(answer, search.level, search.names)
    found[#found + 1] = item and { item = item, value = matching.value(answer, search.tag) } or nil
  end
  return found
end

-- Asks for those of the values that can be asked for. Returns the errors of the others by value, and what find_each returns.
local function find_good(search, values)
  local good, refused = table.move(values, 1, #values, 1, {}), {}
  while true do
    local result, missing = find_each.ask(search.modality, search.tag, good,
      { Level = search.level, Query = search.query, limit = search.limit }, search.lists)
    local bad = not result and missing.code == "bad_value" and table.remove(good, missing.position)
    if not bad then
      return refused, result, missing
    end
    refused[bad] = missing
  end
end

local CUT <const> = 0xFE00 -- the DIMSE status of an Orthanc that has more than it may give

-- All that a value finds at a source that has cut the answers to it, or may have: a search that is divided. Returns what was found; nil
-- and an error.
local function find_whole(search, value)
  local query, answers, walk = { [search.tag] = value }, {}, nil
  for key, filter in pairs(search.query) do
    query[key] = filter
  end
  local good, err = pcall(function()
    local next_answer
    next_answer, walk = find_all.begin(search.modality, { Level = search.level, Query = query })
    for answer in next_answer do
      answers[#answers + 1] = answer
    end
  end)
  if not good and not (walk and (err == walk.failed or native.is_error(err) and err.code == "incomplete")) then
    error(err, 0)
  end
  return good and of_answers(answers, search) or nil, err
end

-- Whether a source may have cut these answers, and what it left out would be sent. One that has given more does not cut at that number.
local function may_be_cut(search, found)
  return #found > search.proven and (search.several == "all" or search.level == "Series")
end

-- Looks again for the values of which a source has cut the answers, or may have.
local function complete(search, found, errors)
  for value, err in pairs(errors) do
    if err.dimse_status == CUT then
      found[value], errors[value] = find_whole(search, value)
    end
  end
  for value, some in pairs(found) do
    if may_be_cut(search, some) then
      found[value], errors[value] = find_whole(search, value)
      search.proven = math.max(search.proven, found[value] and #found[value] == #some and #some or 1)
    end
  end
  return found, errors
end

-- Looks for values at a modality. Returns tables by value: what was found, and errors; or nil and an error that is one of all.
local function ask_modality(search, values)
  local errors, result, missing = find_good(search, values)
  local found = {}
  if not result then
    local err = missing
    if not err.errors then
      return nil, err
    end
    result, missing = err.found, err.missing
    for value, failure in pairs(err.errors) do
      errors[value] = failure
    end
  end
  for value, answers in pairs(result) do
    found[value] = of_answers(answers, search)
  end
  for _, value in ipairs(missing) do
    found[value] = {}
  end
  return complete(search, found, errors)
end

-- The same in this Orthanc.
local function ask_client(search, values)
  local found, errors = {}, {}
  for _, value in ipairs(values) do
    local identifiers, err = search.client:find { Level = search.level, Query = { [search.tag] = value } }
    local items = identifiers
    if identifiers then
      items, err = local_items.read(search.client, search.level, identifiers, search.names, search.tag)
    end
    found[value], errors[value] = items, err
  end
  return found, errors
end

-- DIMSE statuses that are not of one value: out of resources, and Orthanc's own for too many matches.
local function is_of_side(err)
  local status = err.kind == "dicom" and (err.dimse_status or 0xA700)
  return requests.is_fatal(err) or status and (status & 0xFF00 == 0xA700 or status == 0xFE00 or status == 0x0122)
end

-- The outcome of a line, from what its value was found as.
local function settle(line, found, search)
  local items, studies, seen, other = {}, {}, {}, nil
  for _, one in ipairs(found) do
    local study = one.item.uids.StudyInstanceUID
    if one.value ~= line.value then
      other = one.value
    else
      one.item.first = line.first or nil
      one.item.rank = search.order and found_items.rank(one.item, search.order) or nil
      items[#items + 1] = one.item
      studies[#studies + 1] = not seen[study] and study or nil
      seen[study] = true
    end
  end
  local settled = { n = line.n, outcome = "FOUND", items = items }
  if #items == 0 then
    settled.outcome, settled.items = "NOT FOUND", nil
    settled.reason = other and ("the source has '%s' only"):format(native.text_shown(other)) or nil
  elseif #studies > 1 and search.several ~= "all" then
    settled.outcome, settled.items = "AMBIGUOUS", nil
    settled.reason = ("%d studies: %s%s"):format(#studies, table.concat(studies, ", ", 1, math.min(#studies, SHOWN)),
      #studies > SHOWN and ", …" or "")
  end
  return settled
end

-- Looks for lines with the same tag. Returns the list for L:set_lines, and an error when some could not be looked for.
local function look_for(search, lines)
  local values, asked, settled = {}, {}, {}
  for _, line in ipairs(lines) do
    if not asked[line.value] then
      asked[line.value] = true
      values[#values + 1] = line.value
    end
  end
  local found, errors = (search.client and ask_client or ask_modality)(search, values)
  if not found then
    return settled, errors
  end
  local failure
  for _, line in ipairs(lines) do
    local err, one = errors[line.value], nil
    if found[line.value] then
      one = settle(line, found[line.value], search)
    elseif err and is_of_side(err) then
      failure = err
    elseif err and err.kind == "refused" then
      one = { n = line.n, outcome = "INVALID", reason = hints.plain(err.message) }
    else
      one = { n = line.n, outcome = "FAILED", reason = err and err.message or "the source did not answer" }
    end
    local double = search.seen[search.tag .. line.value]
    if one and double and double ~= line.n then
      one.reason = ("the same value as line %d%s"):format(double, one.reason and "; " .. one.reason or "")
    elseif one then
      search.seen[search.tag .. line.value] = line.n
    end
    settled[#settled + 1] = one
  end
  return settled, failure
end

-- Divides lines by their tags, which nearly always is one.
local function by_tag(lines)
  local groups, list = {}, {}
  for _, line in ipairs(lines) do
    if not groups[line.tag] then
      groups[line.tag] = {}
      list[#list + 1] = groups[line.tag]
    end
    table.insert(groups[line.tag], line)
  end
  return list
end

-- Looks for a batch of lines. Returns true, or nil and an error.
local function find_batch(options, search, lines)
  for _, group in ipairs(by_tag(lines)) do
    search.tag = group[1].tag
    search.query = found_items.query({ [search.tag] = "" }, options.level, options.names)
    search.query[search.tag] = nil
    local settled, failure = look_for(search, group)
    local done, err = true, nil
    if settled[1] then
      done, err = options.ledger:set_lines(settled)
    end
    if not done or failure then
      return nil, err or failure
    end
  end
  return true
end

function listed.find(options)
  local info, err = options.ledger:describe()
  if not info then
    return nil, err
  end
  local order = options.order or info.settings.order
  local search = { order = (info.query or order == "oldest") and order or nil, modality = options.modality, client = options.client,
    level = options.level, names = options.names, seen = {}, lists = find_each.new_lists(), proven = 1,
    several = options.several or info.settings.several, limit = math.max(2, math.min(info.settings.concurrency or 1, 8)) }
  while not (options.stop and options.stop()) do
    local lines
    lines, err = options.ledger:open_lines(LINES)
    if not lines then
      return nil, err
    elseif #lines == 0 then
      return { complete = true, unproven = 0 }
    end
    local done
    done, err = find_batch(options, search, lines)
    if not done then
      return nil, err
    end
  end
  return { complete = false, unproven = 0 }
end

return listed
