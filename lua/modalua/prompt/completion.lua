-- modalua.completion: the candidates for TAB. Completion runs no code of the user and sends no request: it reads fields without
-- metamethods, and takes the names of modalities from completion.remember.
local require = ...
local commands = require "prompt.commands"
local doc = require "modalua.doc"
local help = require "prompt.help"
local hint = require "prompt.hint"
local kinds = require "prompt.kinds"
local native = require "core.native"
local scanning = require "prompt.scanning"
local tag_help = require "prompt.tag_help"
local values = require "prompt.values"

local completion = {}

local COMMANDS = { ".edit", ".exit", ".help", ".history", ".jobs", ".load", ".mode", ".numbers", ".once", ".output", ".quit", ".save",
  ".schema", ".shell", ".time", ".trace", ".watch" }
local LEVELS = { "Patient", "Study", "Series", "Instance" }
-- The words that may follow a command of the prompt.
local COMMAND_WORDS = { mode = { "csv", "json", "lines", "lua", "table" }, time = { "off", "on" }, numbers = { "off", "on" },
  schema = { "Patient", "Study", "Series", "Instance", "Worklist" } }
-- Commands of the prompt with a file as an argument.
local FILE_COMMANDS = { load = true, once = true, output = true, save = true, shell = true }
-- Functions without a row whose first argument is a file.
local FILE_FUNCTIONS = { dofile = true, loadfile = true, open = true, lines = true, input = true, output = true }
local FILE_ARGUMENTS = { file = true, ledger = true } -- arguments in the signatures of rows
-- Methods with a table of tags as the argument `query`, and the level of the tags.
local TAG_LEVELS = { find_worklist = "Worklist", studies = "Study", series = "Series", instances = "Instance" }
local STEP_SEQUENCE = "ScheduledProcedureStepSequence"

local MOST_IDS = 100 -- of one list

local modalities = setmetatable({}, { __mode = "k" }) -- client -> the names of its modalities

function completion.remember(client, names)
  modalities[client] = names
end

function completion.remembers(client)
  return modalities[client] ~= nil
end

function completion.forget()
  for client in next, modalities do
    modalities[client] = nil
  end
end

function completion.is_modality(name)
  for _, names in next, modalities do
    for _, known in ipairs(names) do
      if known == name then
        return true
      end
    end
  end
  return false
end

-- ---- candidates ----

-- A search has the word before the cursor, the list of candidates, and `fold`: whether upper and lower case are the same.

local function fits(search, name)
  local beginning = name:sub(1, #search.word)
  return beginning == search.word or search.fold and beginning:lower() == search.word:lower()
end

local function add(search, names, suffix)
  for _, name in ipairs(names) do
    if fits(search, name) then
      search.list[#search.list + 1] = name .. (suffix or "")
    end
  end
end

-- Adds the names of the fields of a value. `callable`: of its methods only.
local function add_fields(search, value, callable)
  local seen = {}
  values.each_name(value, function(name, field)
    if not seen[name] and fits(search, name) and (not callable or type(field) == "function") then
      seen[name] = true
      search.list[#search.list + 1] = name
    end
  end)
  for _, field in ipairs(not callable and native.fields(value) or {}) do
    if not seen[field.name] then
      add(search, { field.name })
    end
  end
end

-- The names of the modalities of this client; of all clients when the client is nil or unknown. A name that client:modality refuses is
-- none: it could end the string in which it is offered.
local function modality_names(client)
  local list, seen = {}, {}
  for known, names in next, modalities do
    if client == nil or not modalities[client] or known == client then
      for _, name in ipairs(names) do
        list[#list + 1] = not seen[name] and native.is_name(name) and name or nil
        seen[name] = true
      end
    end
  end
  return list
end

local function module_names()
  local list = {}
  for name in next, package.preload do
    list[#list + 1] = name:find "^[%w%._-]+$" and name or nil
  end
  return list
end

-- Adds the files whose names begin with the word. A name that a string of Lua cannot hold as it is is left out; a file whose name
-- begins with a dot is offered after that dot alone.
local function add_files(search, suffix)
  local folder, beginning = search.word:match "^(.*/)([^/]*)$"
  local ok, names = pcall(native.folder, folder or ".")
  local paths = {}
  for _, name in ipairs(ok and names or {}) do
    if not name:find "[%c\"'\\]" and utf8.len(name) and (name:sub(1, 1) ~= "." or (beginning or search.word):sub(1, 1) == ".") then
      paths[#paths + 1] = (folder or "") .. name
    end
  end
  for _, path in ipairs(paths) do
    add(search, { path }, path:sub(-1) == "/" and "" or suffix)
  end
end

-- Adds the tags of the level ("Worklist" and "Step" too; nil: of every level). All other tags only when none of these fits.
local function add_tags(search, level, suffix)
  local seen = {}
  for _, one in ipairs(level and { level } or LEVELS) do
    for _, name in ipairs(native.level_tags(one)) do
      if not seen[name] then
        seen[name] = true
        add(search, { name }, suffix)
      end
    end
  end
  if #search.list == 0 then
    add(search, tag_help.keywords(), suffix)
  end
end

-- ---- the call around the cursor ----

-- The call to which the item at the end of open[depth] belongs: its row, the name of its function, and the name of the argument, as far
-- as they are known. A table or a string can be an argument without parentheses.
local function call_around(before, open, depth, has_own_bracket)
  local bracket = open[depth]
  if has_own_bracket then
    local row, name, value = values.called(before:sub(1, bracket.at - 1))
    if name then
      return row, name, 1, value
    end
    depth = depth - 1
    bracket = open[depth]
  end
  if bracket and bracket.kind == "(" then
    local row, name, value = values.called(before:sub(1, bracket.at - 1))
    return row, name, bracket.items, value
  end
end

-- The name of the n-th argument in the signature of a row.
local function argument_name(row, n)
  local i = 0
  for name in row.signature:match("%((.-)%)"):gmatch "[%w_]+" do
    i = i + 1
    if i == n then
      return name
    end
  end
end

local function option_of(row, name)
  for _, option in ipairs(row and row.options or {}) do
    if option.name == name then
      return option
    end
  end
end

-- ---- inside a string ----

-- Adds the values of an option: those that its help has in quotes.
local function add_option_values(search, name, row, quote)
  local option = option_of(row, name)
  if name == "Level" or name == "level" then
    add(search, LEVELS, quote)
  elseif name == "to" or name == "from" then
    add(search, modality_names(), quote)
  elseif row and name == "type" and row.signature:find "^client:changes" then
    add(search, require "core.changes".types(), quote)
  elseif option and option.help:find "^file " or name == "file" then
    add_files(search, quote)
  elseif option then
    for word in option.help:gmatch '"(%a[%w-]*)"' do
      add(search, { word }, quote)
    end
  end
end

-- The identifier of a job or a query that a value has, or is.
local function id_of(value, kind)
  if type(value) == "string" then
    return value:match "^%x+%-%x+%-%x+%-%x+%-%x+$"
  elseif kinds.of(value) == kind then
    return value.ID
  elseif type(value) ~= "table" then
    return nil
  end
  local id = rawget(value, "ID")
  if type(id) ~= "string" then
    return nil
  end
  local is_job = rawget(value, "State") ~= nil and rawget(value, "Type") ~= nil or rawget(value, "Path") == "/jobs/" .. id
  return (kind == "job" and is_job or kind == "query" and kinds.of(value) == "found") and id or nil
end

-- Adds the identifiers of jobs or queries that the session has seen: in its global variables, _1, _2, … too, and by .jobs.
-- `kind`: "job" or "query". Identifiers alone, as jobs() and queries() return them, may be either.
local function add_ids(search, kind, quote)
  local seen, list = {}, {}
  local function look(value, depth)
    local id = id_of(value, kind)
    if type(id) == "string" and id:find "^[%w.-]+$" and not seen[id] then
      seen[id], list[#list + 1] = true, id
    end
    for i = 1, type(value) == "table" and depth > 0 and math.min(rawlen(value), MOST_IDS) or 0 do
      look(rawget(value, i), depth - 1)
    end
  end
  for _, value in next, _G do
    look(value, 1)
  end
  look(kind == "job" and commands.state.jobs or nil, 1)
  add(search, list, quote)
end

-- Adds what fits an argument of a call that is a string.
local function add_argument_values(search, row, name, n, outside, quote)
  local argument = row and argument_name(row, n)
  if argument == "level" then
    add(search, LEVELS, quote)
  elseif argument == "name" and (name == "modality" or name == "Modality" or name == "RemoteModality") then
    add(search, modality_names(values.at_end(outside:match("^(.-)%s*:%s*modality%s*%(?%s*$") or "")), quote)
  elseif argument == "id" and name == "job" then
    add_ids(search, "job", quote)
  elseif argument == "id" and name == "query" or argument == "query_id" then
    add_ids(search, "query", quote)
  elseif argument == "tag" then
    add_tags(search, nil, quote)
  elseif row and FILE_ARGUMENTS[argument] or not row and n == 1 and FILE_FUNCTIONS[name] then
    add_files(search, quote)
  elseif name == "require" then
    add(search, module_names(), quote)
  elseif name == "help" then
    add(search, help.topics(), quote)
    if #search.list == 0 then
      add(search, tag_help.keywords(), quote)
    end
  end
end

local function complete_string(search, before, start, open)
  local quote, outside = before:sub(start, start), before:sub(1, start - 1)
  local depth = #open
  local option = outside:match "%f[%w_]([%a_][%w_]*)%s*=%s*$"
  if not option and depth > 0 and open[depth].kind == "{" then
    option = before:sub(1, open[depth].at - 1):match "%f[%w_]([%a_][%w_]*)%s*=%s*$" -- a list of values
    depth = option and depth - 1 or depth
  end
  if option then
    local row = depth > 0 and open[depth].kind == "{" and call_around(before, open, depth, true)
    return add_option_values(search, option, row or nil, quote)
  end
  local row, name = values.called(outside)
  local n = 1
  if not name or name == "return" then
    row, name, n = call_around(outside, open, depth, false)
  end
  if name then
    add_argument_values(search, row, name, n, outside, quote)
  end
end

-- ---- inside a table ----

-- The names of the function's options in this argument. When the argument has none, the names of all its options.
local function option_names(row, argument)
  local all, of_argument = {}, {}
  for _, option in ipairs(row.options or {}) do
    all[#all + 1] = option.name
    of_argument[#of_argument + 1] = option.argument == argument and option.name or nil
  end
  return of_argument[1] and of_argument or all
end

-- Adds the names that the table does not have yet.
local function add_new_keys(search, names, inside)
  local new = {}
  for _, name in ipairs(names) do
    if not inside:find("%f[%w_]" .. name .. "%s*=[^=]") then
      new[#new + 1] = name
    end
  end
  add(search, new, " = ")
end

-- The level of the tags in the table at open[depth], if it is a table of tags: second result true.
local function level_of_tags(before, open, depth)
  local outside = before:sub(1, open[depth].at - 1)
  if outside:find "%f[%w_]Query%s*=%s*$" then
    local around = depth > 1 and before:sub(open[depth - 1].at) or ""
    return around:match "%f[%w_]Level%s*=%s*[\"'](%a+)", true
  end
  if depth > 1 and open[depth - 1].kind == "{" then
    local sequence = before:sub(1, open[depth - 1].at - 1):match "%f[%w_]([%a_][%w_]*)%s*=%s*$"
    return sequence == STEP_SEQUENCE and "Step" or nil, sequence ~= nil and sequence:find "Sequence$" ~= nil
  end
  return nil, false
end

-- Adds keys when the word is the first of an item in a table, where a key may stand. Returns whether keys are the right candidates.
local function add_keys(search, before, open)
  local depth = #open
  local bracket = open[depth]
  if not bracket or bracket.kind ~= "{" or before:sub(bracket.from, -#search.word - 1):find("%S") then
    return false
  end
  local level, has_tags = level_of_tags(before, open, depth)
  if has_tags then
    add_tags(search, level, " = ")
    return true
  end
  local row, name, n = call_around(before, open, depth, true)
  local argument = row and argument_name(row, n)
  if TAG_LEVELS[name] and (not row or argument == "query") then
    add_tags(search, TAG_LEVELS[name], " = ")
  elseif row then
    add_new_keys(search, option_names(row, argument), before:sub(bracket.at))
  end
  return row ~= nil
end

local function complete_code(search, before, open)
  local outside = before:sub(1, -#search.word - 1)
  local from, separator = outside:match("^(.-)%s*([%.:])%s*$")
  if from and not from:find("%.$") then
    add_fields(search, values.at_end(from), separator == ":")
  elseif not add_keys(search, before, open) and search.word ~= "" then
    add(search, scanning.KEYWORDS)
    add_fields(search, _G)
  end
end

-- ---- commands and questions of the prompt ----

local function complete_command(search, before)
  local name = before:match "^%.(%a+)%s"
  if not name then
    add(search, COMMANDS)
  elseif FILE_COMMANDS[name] then
    add_files(search)
  else
    add(search, COMMAND_WORDS[name] or {})
  end
end

-- After `?`: the variables, then what help knows.
local function complete_topic(search)
  add_fields(search, _G)
  if search.word ~= "" then
    add(search, help.topics())
  end
  if #search.list == 0 then
    add(search, tag_help.keywords())
  end
end

-- ---- all of it ----

-- Fills the search; the word is what the candidates replace. `kind`: "command", "topic", "string" or "code".
local function candidates(kind, word, fold, ...)
  local search = { word = word, list = {}, fold = fold }
  local complete = { command = complete_command, topic = complete_topic, string = complete_string, code = complete_code }
  complete[kind](search, ...)
  return search.list
end

-- Where the text ends: the kind of candidates, the word, and what the function for that kind needs. nil: there is nothing to complete.
local function place_of(before)
  before = before:gsub("^%.watch%s+[%d.]+%s+", "")
  if before:find "^%.%a*$" or before:find "^%.%a+%s" then
    return "command", before:match "%S*$", before
  end
  local topic = before:match "^%s*%?%s*([%a_][%w_]*)$"
  if topic then
    return "topic", topic
  end
  before = before:gsub("^%s*%?", "")
  local open, string_start = scanning.open_brackets(before)
  if string_start == true then
    return nil
  elseif string_start then
    return "string", before:sub(string_start + 1), before, string_start, open
  end
  return "code", before:match "[%w_]*$", before, open
end

local function without_repeats(list)
  table.sort(list)
  for i = #list, 2, -1 do
    if list[i] == list[i - 1] then
      table.remove(list, i)
    end
  end
  return list
end

function completion.complete(input)
  local before = input.text:sub(1, input.cursor or #input.text)
  local place = table.pack(place_of(before))
  local kind, word = place[1], place[2]
  if not kind then
    return { 0 }
  end
  local list = candidates(kind, word, false, table.unpack(place, 3, place.n))
  if #list == 0 and word ~= "" then
    list = candidates(kind, word, true, table.unpack(place, 3, place.n))
  end
  list = without_repeats(list)
  table.insert(list, 1, #word)
  return list
end

doc.describe(completion.complete, "completion.complete(input) -> {n, candidate, …}",
  "Returns the candidates for the text at the cursor. The first item is the number of bytes before the cursor that a candidate "
    .. "replaces. It runs no code of yours, and sends no request.",
  {
    options = {
      { "input", "text", "string", "the line of input" },
      { "input", "cursor", "integer", "number of bytes before the cursor (default: all)" },
    },
    example = [[print(table.unpack(require("modalua.completion").complete { text = "orthanc:mod" }))]],
  })
function completion.hint(input)
  return hint.at_end(input.text)
end

doc.describe(completion.hint, "completion.hint(input) -> text | nil",
  "Returns what to show while a call is typed, with the cursor at the end of the text: the signature of the function, and the options "
    .. "that its table does not have yet. It runs no code of yours, and sends no request.",
  {
    options = { { "input", "text", "string", "the input up to the cursor" } },
    example = [[print(require("modalua.completion").hint { text = "modalua.connect {" })]],
  })
doc.describe(completion.remember, "completion.remember(client, names)",
  "Stores the names of a server's modalities, which completion.complete then offers.",
  { example = [[require("modalua.completion").remember(orthanc, assert(orthanc:modalities()))]] })
doc.describe(completion.remembers, "completion.remembers(client) -> boolean",
  "Returns whether completion.remember has stored names for this client.",
  { example = [[print(require("modalua.completion").remembers(orthanc))]] })
doc.describe(completion.forget, "completion.forget()",
  "Forgets the names of the modalities of all servers.",
  { example = [[require("modalua.completion").forget()]] })
doc.describe(completion.is_modality, "completion.is_modality(name) -> boolean",
  "Returns whether completion.remember has stored this name for any client.",
  { example = [[print(require("modalua.completion").is_modality "pacs")]] })

return completion
