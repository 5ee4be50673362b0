-- transfer.csv: reads the text format CSV (RFC 4180) piece by piece: fields in quotes may have line ends, lines end in CR LF, LF or CR, and
-- fields are divided by ',', ';' or a tab, as the first line shows.
local require = ...
local native = require "core.native"

local csv = {}

local PIECE <const> = 65536 -- bytes that are read at once, at least
local DIVIDERS <const> = ",;\t"

local Reader = {}
Reader.__index = Reader

-- Reads more, and the more of a long field the more there is of it already: what is there is copied each time. Returns whether there was
-- more. Sets self.problem when it cannot be read.
local function fill(self)
  local piece, problem = self.file:read(math.max(PIECE, #self.text - self.place + 1))
  if not piece then
    self.problem = problem
    return false
  end
  self.text, self.place = self.text:sub(self.place) .. piece, 1
  return true
end

-- The place of the first character of the set, a pattern, from the present place on; nil at the end of the file.
local function find(self, set)
  local from = self.place
  while true do
    local at = self.text:find(set, from)
    if at then
      return at
    end
    local done = #self.text - self.place + 1
    if not fill(self) then
      return nil
    end
    from = self.place + done
  end
end

-- The next character; "" at the end of the file. It stays.
local function peek(self)
  if self.place > #self.text then
    fill(self)
  end
  return self.text:sub(self.place, self.place)
end

-- What was read up to that place, and goes on there; to the end of the file without one.
local function take(self, at)
  local text = self.text:sub(self.place, (at or #self.text + 1) - 1)
  self.place = at or #self.text + 1
  return text
end

-- Goes behind the end of a line, which is at the present place.
local function skip_line_end(self)
  local first = take(self, self.place + 1)
  if first == "\r" and peek(self) == "\n" then
    take(self, self.place + 1)
  end
  self.line = self.line + 1
end

local function count_lines(text)
  local _, n = text:gsub("\r\n", "\n"):gsub("[\r\n]", "")
  return n
end

-- The rest of a field in quotes, behind the first one. Returns nil and a message when the quotes are not closed.
local function quoted(self)
  local parts, begun = {}, self.line
  while true do
    local at = find(self, '"')
    if not at then
      return nil, ("line %d: a quote (\") is not closed"):format(begun)
    end
    parts[#parts + 1] = take(self, at)
    take(self, self.place + 1)
    if peek(self) ~= '"' then
      break
    end
    parts[#parts + 1] = take(self, self.place + 1)
  end
  local text = table.concat(parts)
  self.line = self.line + count_lines(text)
  return text
end

-- A field, up to what divides it from the next.
local function field(self)
  local text = ""
  if peek(self) == '"' then
    local message
    take(self, self.place + 1)
    text, message = quoted(self)
    if not text then
      return nil, message
    end
  end
  return text .. take(self, find(self, self.ends))
end

-- Which of the dividers the first line, of which there is as much as one piece has, has most of; nil when it has none.
local function divider_of(text)
  local counts, in_quotes = {}, false
  for c in text:gmatch '[",;\t\r\n]' do
    if c == '"' then
      in_quotes = not in_quotes
    elseif not in_quotes and (c == "\r" or c == "\n") then
      break
    elseif not in_quotes then
      counts[c] = (counts[c] or 0) + 1
    end
  end
  local best
  for c in DIVIDERS:gmatch "." do
    best = (counts[c] or 0) > (best and counts[best] or 0) and c or best
  end
  return best
end

-- The next line as a list of fields, and its number; an empty line has one empty field. nil at the end, nil and a message on a fault.
function Reader:read()
  if peek(self) == "" then
    return nil, self.problem
  end
  local fields, line = {}, self.line
  while true do
    local text, message = field(self)
    if not text then
      return nil, message
    end
    fields[#fields + 1] = text
    local c = peek(self)
    if c == "\r" or c == "\n" then
      skip_line_end(self)
      return fields, line
    elseif c == "" then
      return not self.problem and fields or nil, self.problem or line
    end
    take(self, self.place + 1)
  end
end

-- Goes behind the line that Excel reads in front of a table, and that only says what divides the fields: sep=;. Returns the divider that
-- it names; nil without such a line.
local function skip_sep(self)
  while #self.text - self.place < 10 and fill(self) do end
  local divider, at = self.text:match('^"?[sS][eE][pP]=([,;\t])"?()[\r\n]', self.place)
  if divider then
    take(self, at)
    skip_line_end(self)
  end
  return divider
end

-- Returns a reader of a file that is open for reading, or of what has its method `read(n)`. A byte order mark is skipped. nil and a message
-- for UTF-16.
function csv.reader(file)
  local self = setmetatable({ file = file, text = "", place = 1, line = 1 }, Reader)
  fill(self)
  if self.text:find "^\xfe\xff" or self.text:find "^\xff\xfe" then
    return nil, "line 1: the text is UTF-16: save it as UTF-8"
  elseif self.text:sub(1, 3) == "\xef\xbb\xbf" then
    self.place = 4
  end
  self.divider = skip_sep(self) or divider_of(self.text)
  self.ends = ("[%s\r\n]"):format(self.divider or "")
  return self
end

-- ---- what can be read once only ----

local MOST <const> = 1 << 26 -- bytes: a device may have no end

-- The text of a pipe or a device; nil for a file; nil and a message.
function csv.text_of(path)
  if native.path_kind(path) ~= "other" then
    return nil
  end
  local file <close>, problem = io.open(path, "rb")
  local text = file and (file:read(MOST + 1) or "")
  if text and #text > MOST then
    return nil, ("it has more than %d MB: save it as a file"):format(MOST >> 20)
  end
  return text, problem
end

-- A text in place of a file.
function csv.source_of(text)
  local place = 1
  return { close = function() end, read = function(_, n)
    local piece = text:sub(place, place + n - 1)
    place = place + n
    return piece ~= "" and piece or nil
  end }
end

return csv
