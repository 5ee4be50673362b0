-- command.characters: the option --utf8, and the warning that answers may lack characters.
local require = ...
local json = require "modalua.json"
local task = require "modalua.task"

local characters = {}

characters.utf8 = { "flag", name = "--utf8", description = "sets the server's DefaultEncoding to Utf8 while it searches, for all who use "
  .. "the server: names in every writing system keep their characters" }

-- ---- the option ----

local TRIES <const> = 3

-- Calls f(…) while the server's encoding is Utf8. Returns its results, packed; nil when it was stopped. f has a task of its own, which the
-- first Ctrl-C ends: in a run that was cancelled no request could put the encoding back. The second result is whether the encoding was Utf8
-- until the end.
local function search_in_utf8(self, f, ...)
  local undo, stopped = self:must(self:client():use_utf8()), false
  local search = task.spawn(function(...) return table.pack(pcall(f, ...)) end, ...)
  local results, kept, undone, err
  do
    local _ <close> = self:listen(function(name)
      stopped = stopped or name == "stop"
      if stopped then
        search:cancel()
      end
    end)
    results = search:join()
    kept = (self:client():default_encoding() or "Utf8") == "Utf8"
    undone, err = undo()
  end
  if not undone then
    self:report_error("the server's DefaultEncoding stays Utf8 until its next start", err)
  end
  return not stopped and results or nil, kept
end

-- Calls f(…), and returns its results; with --utf8 the server's encoding is Utf8 meanwhile. Another run with --utf8 that ends in between
-- puts the encoding back: then f is called again. f must leave nothing on the server, and must not end the run.
function characters.during(self, f, ...)
  if not self.options.utf8 then
    return f(...)
  end
  local results, kept
  for _ = 1, TRIES do
    results, kept = search_in_utf8(self, f, ...)
    if not results then
      os.exit(130)
    elseif not results[1] then
      error(results[2], 0)
    elseif kept or not results[2] then
      return table.unpack(results, 2, results.n)
    end
  end
  self:note("modalua: another program changed the server's DefaultEncoding during the search: names may lack characters")
  return table.unpack(results, 2, results.n)
end

-- ---- the warning ----

-- The warning of a result without the part about characters; nil when nothing is left.
local function rest_of(warning, part)
  if warning:sub(-#part) ~= part then
    return warning
  end
  local rest = warning:sub(1, -#part - 1):gsub("; $", "")
  return rest ~= "" and rest or nil
end

-- Whether the answers are ASCII throughout.
local function are_ascii(answers)
  return not json.encode(answers):find "[\x80-\xff]"
end

-- The short form of the warning `part`, with what helps at the shell. Nil when nothing shows that it matters: the answers are ASCII
-- throughout, and none of them has a sign of a loss, such as the empty parts of "Yamada^Tarou==".
local function short_form(self, part, answers)
  local encoding, signs = self:client():default_encoding(), part:match " %(it shows in [^)]*%)"
  if not signs and are_ascii(answers) then
    return nil
  elseif encoding == "Utf8" then
    return part -- the modality has lost them: --utf8 does not help
  end
  return ("names may lack characters that %s, the server's encoding, does not have%s: --utf8 keeps them"):format(encoding or "?",
    signs or "")
end

-- Prints the warning of a result, a list of answers with the fields warning and characters. That characters may be missing is said once in
-- a run, and only where it matters.
function characters.warn(self, result)
  local warning, part = result.warning, result.characters
  if warning and part then
    warning = rest_of(warning, part)
  end
  if warning then
    self:note("modalua: %s", warning)
  end
  local short = part and not self.has_warned and short_form(self, part, result.answers or result)
  if short then
    self.has_warned = true
    self:note("modalua: %s", short)
  end
end

return characters
