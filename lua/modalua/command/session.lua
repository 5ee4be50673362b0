-- command.session: what a run of a verb has: its words, the server, and where its output goes. Part of command.verbs.
--
-- Data goes to standard output: as a table on a terminal, else as lines with tabs, or as JSON or CSV when that was asked for. Everything
-- else goes to standard error.
local require = ...
local doc = require "modalua.doc"
local json = require "modalua.json"
local letters = require "text.letters"
local modalua = require "modalua"
local tables = require "text.table"

local session = {}

local Session = {}
Session.__index = Session

function session.new(parser, options, terminal)
  return setmetatable({ parser = parser, options = options, terminal = terminal, failed = false }, Session)
end

-- ---- what is said ----

-- Takes the bar away, if there is one.
local function clear()
  modalua.bar { over = true }
end

-- A line for people; a server's texts may be part of it.
function Session:note(format, ...)
  if self.terminal.errors then
    clear()
  end
  io.stderr:write(letters.shown(format:format(...)), "\n")
end

-- A failure, which does not end the run, and makes its exit status 1.
function Session:complain(...)
  local parts = table.pack(...)
  for i = 1, parts.n do
    parts[i] = tostring(parts[i])
  end
  self.failed = true
  self:note("modalua: %s", table.concat(parts, ": "))
end

-- Wrong words: ends the run.
function Session:wrong(format, ...)
  self.parser:error(format:format(...))
end

-- What an operation gave; when it failed, nothing else can be done, and the run ends.
function Session:must(value, err)
  if not value then
    self:complain(err)
    os.exit(1)
  end
  return value
end

-- Gives rows to whoever asked for them. `document`: what --json shows in their place.
function Session:show(columns, rows, document)
  clear()
  local text
  if self.options.json then
    text = json.encode(document or json.array(rows))
  elseif self.options.csv then
    text = tables.csv(columns, rows)
  elseif self.terminal.output then
    text = #rows > 0 and tables.fitted(columns, rows, { width = self.terminal.width, colour = self.terminal.colour })
  else
    text = tables.lines(columns, rows)
  end
  if text and text ~= "" then
    print((text:gsub("\n$", "")))
  end
end

-- ---- the server ----

function Session:client()
  if not self.server then
    local good, server = pcall(modalua.connect)
    self.server = self:must(good and server, server)
  end
  return self.server
end

-- The settings of the server's modalities by their names; nil when it does not tell this user.
function Session:settings()
  if self.known == nil then
    local settings, err = self:client():modalities { expand = true }
    if not settings and err.status ~= 403 then
      self:must(nil, err)
    end
    self.known = settings or false
  end
  return self.known or nil
end

--- For a verb's words: what reads a whole number, 1 or more; `unit` is what its complaint adds (" of seconds").
function session.counted(unit)
  return function(text)
    local n = math.tointeger(tonumber(text))
    if not n or n < 1 then
      return nil, ("a whole number%s, 1 or more, is expected, not '%s'"):format(unit, text)
    end
    return n
  end
end

function session.address(settings)
  return settings.Host and settings.Port and ("%s:%d"):format(settings.Host, settings.Port) or ""
end

-- "pacs → PACS (127.0.0.1:4244)"
function Session:resolved(name)
  local known = (self:settings() or {})[name]
  return known and ("%s → %s (%s)"):format(name, known.AET, session.address(known)) or name
end

local function sorted_names(settings)
  local names = {}
  for name in pairs(settings) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

session.sorted_names = sorted_names

-- The modalities of the server as rows, sorted by their names.
function session.modality_rows(settings)
  local rows = {}
  for i, name in ipairs(sorted_names(settings)) do
    local own = settings[name]
    rows[i] = { name = name, AET = own.AET, address = session.address(own), Manufacturer = own.Manufacturer }
  end
  return rows
end

-- Why nothing of that name is a modality of the server: nil when it is one, or when the server does not tell.
function Session:unknown(name)
  local settings = self:settings()
  if not settings or settings[name] then
    return nil
  end
  local names = sorted_names(settings)
  local near = doc.nearest(name, names)
  return ("the server knows no modality '%s'; %s"):format(name, near and ("did you mean '%s'?"):format(near)
    or #names == 0 and "it knows none" or "it knows " .. table.concat(names, ", "))
end

-- The modality of that name; nil, and it has been said why, when there is none.
function Session:modality(name)
  local why = self:unknown(name)
  if why then
    return self:complain(why)
  end
  local good, modality = pcall(modalua.Modality, self:client(), name)
  if not good then
    self:wrong("%s", tostring(modality):gsub("^.-: ", "", 1))
  end
  return modality
end

return session
