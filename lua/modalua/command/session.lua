-- command.session: one run of a verb: its options, its server, and its output.
--
-- Data goes to standard output (command.output). Everything else goes to standard error.
local require = ...
local doc = require "modalua.doc"
local json = require "modalua.json"
local letters = require "text.letters"
local lists = require "core.lists"
local modalua = require "modalua"
local native = require "core.native"
local output = require "command.output"
local task = require "modalua.task"

local session = {}

local Session = {}
Session.__index = Session

function session.new(parser, options, terminal)
  local fault = output.fault(options)
  if fault then
    parser:error(fault)
  end
  return setmetatable({ parser = parser, options = options, terminal = terminal, failed = false }, Session)
end

-- ---- output ----

local function remove_bar()
  modalua.bar { over = true }
end

-- Prints a line on standard error; a terminal gets it broken at blanks. Control characters are escaped, since a part of the line may come
-- from a server.
function Session:note(format, ...)
  if self.terminal.errors then
    remove_bar()
  end
  io.stderr:write(native.text_wrapped_for_stderr(letters.shown(format:format(...))), "\n")
end

-- Prints an error, and makes 1 the exit status of the run, which goes on.
function Session:report_error(...)
  local parts = table.pack(...)
  for i = 1, parts.n do
    parts[i] = tostring(parts[i])
  end
  self.failed = true
  self:note("modalua: %s", table.concat(parts, ": "))
end

-- Prints an error in the arguments and the usage, and ends the run with status 2.
function Session:usage_error(format, ...)
  self.parser:error(format:format(...))
end

-- Returns the value that an operation returned. When it failed, prints its error and ends the run with status 1.
function Session:must(value, err)
  if not value then
    self:report_error(err)
    os.exit(1)
  end
  return value
end

-- Whether the output is for other programs: JSON, JSON lines or CSV. There each value has a column of its own, numbers are numbers, and
-- names are written like_this, but for the keywords of DICOM tags. Tables and lines with tabs are for people.
function Session:is_for_programs()
  return self.options.json or self.options.jsonl or self.options.csv or false
end

-- The word for an outcome that people must not overlook: in capitals for them, "failed" for programs.
function Session:loud(word)
  return self:is_for_programs() and word or word:upper()
end

-- Puts the fields error, kind and code of an error into a row.
function session.set_error(row, err)
  row.error, row.kind, row.code = err.message, err.kind, err.code
end

-- Prints a text, as output.write does.
function Session:write(text)
  remove_bar()
  output.write(self.terminal, text)
end

-- Prints rows in the format that the options ask for. `document`: the value that --json prints instead of the rows.
function Session:show(columns, rows, document)
  self:write(output.text(self.options, self.terminal, columns, rows, self.has_shown, document))
  self.has_shown = true
end

local ROWS_AT_ONCE = 500

-- A piece of the rows of show_each as text.
function Session:piece_text(columns, rows, is_first)
  if not self.options.json then
    return output.text(self.options, self.terminal, columns, rows, not is_first)
  end
  local lines = {}
  for i, row in ipairs(rows) do
    lines[i] = self.terminal.output and letters.shown(json.encode(row), "json") or json.encode(row)
  end
  return (is_first and "[" or ",\n") .. table.concat(lines, ",\n")
end

-- Prints the rows of an iterator (the values of a generic for) as show does, but in pieces as they come. So any number of rows needs little
-- memory, except on a terminal: there the first megabytes are kept for the pager.
function Session:show_each(columns, ...)
  remove_bar()
  local rows, is_first = {}, true
  for row in ... do
    rows[#rows + 1] = row
    if #rows == ROWS_AT_ONCE then
      output.write_piece(self.terminal, self:piece_text(columns, rows, is_first))
      rows, is_first = {}, false
    end
  end
  if is_first or rows[1] then
    output.write_piece(self.terminal, self:piece_text(columns, rows, is_first))
  end
  output.write(self.terminal, self.options.json and "]\n" or "")
end

-- ---- signals ----

local Listener = {}
Listener.__index = Listener

function Listener:__close()
  self.task:cancel()
end

-- Until the returned value is closed, calls handle("stop") for the first Ctrl-C, SIGTERM or SIGHUP, which then does not cancel the run (the
-- next one does), and handle("progress") for each SIGUSR1. The command gives the function next_signal to verbs (src/command/signals.h).
function Session.listen(_, handle)
  local next_signal = _G.next_signal
  local function listen()
    for name in next_signal do
      handle(name)
    end
  end
  return setmetatable({ task = task.spawn(listen) }, Listener)
end

-- ---- the server ----

function Session:client()
  if not self.server then
    local good, server = pcall(modalua.connect)
    if not good and modalua.is_error(server) then
      error(server, 0) -- cancelled, while a command of the user was to give a password
    end
    self.server = self:must(good and server, server)
  end
  return self.server
end

-- The settings of the server's modalities by their names; nil when this user may not read them.
function Session:settings()
  if self.modality_settings == nil then
    local settings, err = self:client():modalities { expand = true }
    if not settings and err.status ~= 403 then
      self:must(nil, err)
    end
    self.modality_settings = settings or false
  end
  return self.modality_settings or nil
end

-- For `convert` of an argument: a function that reads a whole number, 1 or more. `unit` is a part of its error message (" of seconds").
function session.positive_integer(unit)
  return function(text)
    local n = math.tointeger(tonumber(text))
    if not n or n < 1 then
      return nil, ("a whole number%s, 1 or more, is expected, not '%s'"):format(unit, text)
    end
    return n
  end
end

function session.address(settings)
  return settings.Host and settings.Port and ("%s:%s"):format(tostring(settings.Host), tostring(settings.Port)) or ""
end

-- A modality for a message: "pacs → PACS (127.0.0.1:4244)".
function Session:resolved(name)
  local known = (self:settings() or {})[name]
  return known and ("%s → %s (%s)"):format(name, known.AET, session.address(known)) or name
end

-- The modalities of the server as rows, sorted by their names: name, aet, host, port, manufacturer.
function session.modality_rows(settings)
  local rows = {}
  for i, name in ipairs(lists.sorted_keys(settings)) do
    local own = settings[name]
    rows[i] = { name = name, aet = own.AET, host = own.Host, port = own.Port, manufacturer = own.Manufacturer }
  end
  return rows
end

-- The host and port of such a row, for people.
function session.row_address(row)
  return row.host and row.port and ("%s:%s"):format(tostring(row.host), tostring(row.port)) or ""
end

-- The error message when the server knows no modality of that name. Nil when it knows one, or when this user may not read the settings.
function Session:unknown_modality(name)
  local settings = self:settings()
  if not settings or settings[name] then
    return nil
  end
  local names = lists.sorted_keys(settings)
  local near = doc.nearest(name, names)
  return ("the server knows no modality '%s'; %s"):format(name, near and ("did you mean '%s'?"):format(near)
    or #names == 0 and "it knows none" or "it knows " .. table.concat(names, ", "))
end

-- The modality of that name. When the server knows none, prints an error and returns nil.
function Session:modality(name)
  local message = self:unknown_modality(name)
  if message then
    return self:report_error(message)
  end
  local good, modality = pcall(modalua.Modality, self:client(), name)
  if not good then
    self:usage_error("%s", tostring(modality):gsub("^.-: ", "", 1))
  end
  return modality
end

return session
