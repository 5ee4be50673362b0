-- modalua.help: the help texts of modalua's functions and objects. They are made from the descriptor rows.
local require = ...
local doc = require "modalua.doc"
local modalua = require "modalua"

local help = {}

local MAX_SUGGESTIONS = 5 -- for a word without help
local LEAST_PART = 3 -- characters of a word that is searched for inside names

-- A signature begins with one of these names: a kind of object, or a module.
local OBJECTS = { "client", "modality", "peer", "found", "query", "job", "commitment", "task" }
local MODULES = { "modalua", "task", "json", "transfer" }
local OTHER_MODULES = { "doc", "arguments", "letters", "table", "playground", "samples" } -- a script must require these
local HOSTS = { "evaluate", "completion", "help", "printing" } -- modules for the console of a host

-- The examples in the rows use these variables. The values are for the prompt of `modalua playground`.
help.context = [[
modalua = require "modalua"
json, task, transfer = modalua.json, modalua.task, modalua.transfer
orthanc = modalua.connect()
pacs, archive = orthanc:modality "pacs", orthanc:modality "archive"
found = assert(pacs:find { Level = "Study", Query = { PatientName = "SMITH*", StudyDate = "", StudyDescription = "" } })
clinic = orthanc:peer "clinic"]]

local entries -- list of every documented function: { name =, kind =, method =, row = }
local methods -- kind ("modality") -> its methods: name -> function

-- The methods of an object of modalua. No metamethod is called: the methods are the __index of the metatable, or an upvalue of that
-- function.
function help.methods_of(object)
  local meta = debug.getmetatable(object)
  local index = type(meta) == "table" and rawget(meta, "__index")
  if type(index) ~= "function" then
    return type(index) == "table" and index or nil
  end
  local name = rawget(meta, "__name")
  if type(name) == "string" and name:find("^modalua%.") then
    local _, kept = debug.getupvalue(index, 2)
    return type(kept) == "table" and kept or nil
  end
end

-- One object of each kind. Making them sends no request.
local function sample_objects()
  local client = modalua.connect "http://localhost"
  return { client = client, modality = client:modality "x", peer = client:peer "x", query = client:query "0-0", job = client:job "0-0",
    commitment = client:commitment "1.2", task = modalua.task.spawn(function() end) }
end

local function is_one_of(name, list)
  for _, one in ipairs(list) do
    if one == name then
      return true
    end
  end
  return false
end

-- The entries of all functions that are loaded so far, sorted by name.
local function entries_of_rows()
  local list = {}
  for _, row in ipairs(doc.rows()) do
    local kind, separator, method = row.signature:match "^([%a_][%w_]*)([:.])([%a_][%w_]*)"
    if kind then
      list[#list + 1] = { name = kind .. separator .. method, kind = kind, method = method, row = row }
    end
  end
  table.sort(list, function(x, y) return x.name < y.name end)
  return list
end

local function load_entries()
  if entries then
    return
  end
  entries, methods = {}, {}
  for kind, object in pairs(sample_objects()) do
    methods[kind] = help.methods_of(object)
  end
  for _, entry in ipairs(entries_of_rows()) do
    if is_one_of(entry.kind, OBJECTS) or is_one_of(entry.kind, MODULES) then
      entries[#entries + 1] = entry
    end
  end
end

-- Every public function, in sections for the reference. Loads all public modules.
function help.sections()
  local list, by_kind = {}, {}
  for _, kinds in ipairs { { "modalua" }, OBJECTS, { "json", "transfer" }, OTHER_MODULES, HOSTS } do
    for _, kind in ipairs(kinds) do
      if is_one_of(kind, OTHER_MODULES) or is_one_of(kind, HOSTS) then
        require("modalua." .. kind)
      end
      by_kind[kind] = { name = kind, entries = {} }
      list[#list + 1] = by_kind[kind]
    end
  end
  for _, entry in ipairs(entries_of_rows()) do
    if by_kind[entry.kind] then
      table.insert(by_kind[entry.kind].entries, entry)
    end
  end
  return list
end

-- The methods of a kind of object ("modality"): name -> function; nil for an unknown kind.
function help.methods(kind)
  load_entries()
  return methods[kind]
end

-- The row of the first method with this name, of any kind of object.
function help.row(method)
  load_entries()
  for _, entry in ipairs(entries) do
    if entry.method == method then
      return entry.row
    end
  end
end

-- Adds a line for each option of a row, under the name of the argument that takes it.
local function add_options(lines, options)
  local argument
  for _, option in ipairs(options) do
    if option.argument ~= argument then
      argument = option.argument
      lines[#lines + 1] = "\n" .. argument .. ":"
    end
    lines[#lines + 1] = ("  %s%s: %s"):format(option.name, option.type and " (" .. option.type .. ")" or "", option.help)
  end
end

local function row_text(row)
  local lines = { row.signature, row.help }
  add_options(lines, row.options or {})
  if row.example then
    lines[#lines + 1] = "\nexample:\n  " .. row.example:gsub("\n", "\n  ")
  end
  return table.concat(lines, "\n")
end

local function signatures_of(title, kind)
  local lines = { title }
  for _, entry in ipairs(entries) do
    if entry.kind == kind then
      lines[#lines + 1] = "  " .. entry.row.signature
    end
  end
  return table.concat(lines, "\n")
end

local function overview()
  local lines = {}
  for _, line in ipairs {
    "orthanc                      the server of this session; modalua.connect(url) connects to another one",
    'pacs = orthanc:modality "x"  a modality that the server knows; orthanc:modalities() lists them',
    'pacs:find { Level = "Study", Query = { PatientName = "A*" } }',
    "",
    "help(pacs), ?pacs.find, ?modality   explains an object, a function, a kind of object",
  } do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = ("kinds: %s; modules: %s"):format(table.concat(OBJECTS, " "), table.concat(MODULES, " "))
  lines[#lines + 1] = ".help lists the commands of the prompt"
  return table.concat(lines, "\n")
end

-- The names of functions that resemble a word: those that contain it, and the one with the most similar spelling.
local function similar_names(word)
  local all_methods, names = {}, {}
  for i, entry in ipairs(entries) do
    all_methods[i] = entry.method
  end
  local nearest = doc.nearest(word, all_methods)
  for _, entry in ipairs(entries) do
    if #names < MAX_SUGGESTIONS and (entry.method == nearest or #word >= LEAST_PART and entry.method:find(word, 1, true)) then
      names[#names + 1] = entry.name
    end
  end
  return table.concat(names, ", ")
end

local function help_of_word(name)
  local found = {}
  for _, entry in ipairs(entries) do
    if entry.name == name or entry.method == name then
      found[#found + 1] = row_text(entry.row)
    end
  end
  if is_one_of(name, OBJECTS) or is_one_of(name, MODULES) then
    found[#found + 1] = signatures_of(name .. ":", name)
  end
  if #found > 0 then
    return table.concat(found, "\n\n")
  end
  local similar = similar_names(name:match("[%w_]*$"))
  return ("there is no help for '%s'%s"):format(name, similar ~= "" and "; similar names: " .. similar or "")
end

-- The kind of an object of modalua, or the name of a module; nil for any other value.
local function kind_of(value)
  if value == modalua then
    return "modalua"
  end
  for _, part in ipairs { "task", "json", "transfer" } do
    if value == modalua[part] then
      return part
    end
  end
  local own_methods = help.methods_of(value)
  for kind, kind_methods in next, methods do
    if own_methods == kind_methods then
      return kind
    end
  end
end

function help.of(value)
  load_entries()
  if value == nil then
    return overview()
  end
  if type(value) == "string" then
    return help_of_word(value)
  end
  local row = type(value) == "function" and doc.of(value)
  if row then
    return row_text(row)
  end
  local kind = type(value) ~= "function" and kind_of(value)
  if kind then
    return signatures_of(kind .. ":", kind)
  end
  return ("there is no help for this %s"):format(type(value))
end

-- A field or a method of a value. No metamethod is called.
local function field_of(value, key)
  local own_methods = help.methods_of(value)
  local field
  if type(value) == "table" then
    field = rawget(value, key)
  end
  if field == nil and own_methods then
    field = rawget(own_methods, key)
  end
  return field
end

-- The path is evaluated from the globals (`pacs.find`). When that gives no value with help, it is treated as a word ("find").
function help.of_name(path)
  if path == "" then
    return help.of()
  end
  load_entries()
  local value = _G
  for name in path:gmatch "[^%.:]+" do
    value = field_of(value, name)
  end
  if value == nil or type(value) == "function" and not doc.of(value) or type(value) == "string" then
    return help_of_word(path)
  end
  return help.of(value)
end

doc.describe(help.of_name, "help.of_name(path) -> text",
  "Returns the help text for a path such as pacs.find, or for a word. It runs no code of yours.",
  { example = [[print(require "modalua.help".of_name "json.encode")]] })
doc.describe(help.of, "help.of([value]) -> text",
  "Returns the help text for a function, an object or a name. For a function: signature, help, options and example. For an object: its "
    .. "methods. Without an argument: how to start.",
  { example = [[print(require "modalua.help".of(pacs.echo))]] })
doc.describe(help.methods_of, "help.methods_of(object) -> table | nil",
  "Returns the methods of an object, without calling its metamethods.",
  { example = [[for name in pairs(require "modalua.help".methods_of(pacs)) do print(name) end]] })
doc.describe(help.methods, "help.methods(kind) -> table | nil",
  'Returns the methods of a kind of object, such as "client" or "modality", by their names.',
  { example = [[print(require "modalua.help".methods "job".wait)]] })
doc.describe(help.row, "help.row(method) -> row | nil",
  "Returns the row of the first method with this name, of any kind of object.",
  { example = [[print(require "modalua.help".row "move_resources".signature)]] })
doc.describe(help.sections, "help.sections() -> list",
  "Returns every public function in sections, for a reference: { { name =, entries = { { name =, row = }, … } }, … }.",
  { example = [[for _, section in ipairs(require "modalua.help".sections()) do print(section.name, #section.entries) end]] })

return help
