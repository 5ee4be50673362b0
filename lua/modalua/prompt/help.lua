-- modalua.help: what is known of modalua's functions, as text. All of it comes from their descriptor rows.
local require = ...
local doc = require "modalua.doc"
local modalua = require "modalua"

local help = {}

local NEAREST = 5 -- functions that a misspelt word may mean, at most
local LEAST = 3 -- characters of a part of a name that is looked for

-- What the signatures of functions begin with: kinds of objects, and modules.
local OBJECTS = { "client", "modality", "peer", "found", "query", "job", "commitment", "task" }
local MODULES = { "modalua", "task", "json" }
local OTHER_MODULES = { "doc", "letters", "table", "playground", "samples" } -- which a script has to require
local HOSTS = { "evaluate", "completion", "help", "printing" } -- modules for the console of a host

-- What the examples in the rows assume, for the prompt of `modalua playground`.
help.context = [[
modalua = require "modalua"
json, task = modalua.json, modalua.task
orthanc = modalua.connect()
pacs, archive = orthanc:modality "pacs", orthanc:modality "archive"
found = assert(pacs:find { Level = "Study", Query = { PatientName = "SMITH*", StudyDate = "", StudyDescription = "" } })
clinic = orthanc:peer "clinic"]]

local entries -- list of every documented function: { name =, kind =, method =, row = }
local methods -- kind ("modality") -> its methods: name -> function

-- The methods of an object of modalua's, without calling anything: they are its metatable's __index, or what that function keeps.
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

-- Objects without a server: making one asks nothing.
local function samples()
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

-- The rows of the functions that are loaded, by the names in their signatures.
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
  for kind, object in pairs(samples()) do
    methods[kind] = help.methods_of(object)
  end
  for _, entry in ipairs(entries_of_rows()) do
    if is_one_of(entry.kind, OBJECTS) or is_one_of(entry.kind, MODULES) then
      entries[#entries + 1] = entry
    end
  end
end

-- Every public function, in sections for a reference.
function help.sections()
  local list, by_kind = {}, {}
  for _, kinds in ipairs { { "modalua" }, OBJECTS, { "json" }, OTHER_MODULES, HOSTS } do
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

-- What can be called on a kind of object ("modality"): name -> function; nil for a kind that there is not.
function help.methods(kind)
  load_entries()
  return methods[kind]
end

-- The row of a method by its name alone, of whatever kind.
function help.row(method)
  load_entries()
  for _, entry in ipairs(entries) do
    if entry.method == method then
      return entry.row
    end
  end
end

-- The options of a row as lines, after the name of the table that takes them.
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

local function about(row)
  local lines = { row.signature, row.help }
  add_options(lines, row.options or {})
  if row.example then
    lines[#lines + 1] = "\nexample:\n  " .. row.example:gsub("\n", "\n  ")
  end
  return table.concat(lines, "\n")
end

local function list(title, kind)
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
    "orthanc                      the server that you are connected to; modalua.connect(url) gives another",
    'pacs = orthanc:modality "x"  a modality that the server knows; orthanc:modalities() lists them',
    'pacs:find { Level = "Study", Query = { PatientName = "A*" } }',
    "",
    "help(pacs), ?pacs.find, ?modality   what an object, a function, a kind of object offers",
  } do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = ("kinds: %s; modules: %s"):format(table.concat(OBJECTS, " "), table.concat(MODULES, " "))
  lines[#lines + 1] = ".help lists the commands of the prompt"
  return table.concat(lines, "\n")
end

-- The functions that a word may mean: those whose names it is a part of, else the one that is spelt nearly so.
local function nearest(word)
  local methods_named, names = {}, {}
  for i, entry in ipairs(entries) do
    methods_named[i] = entry.method
  end
  local near = doc.nearest(word, methods_named)
  for _, entry in ipairs(entries) do
    if #names < NEAREST and (entry.method == near or #word >= LEAST and entry.method:find(word, 1, true)) then
      names[#names + 1] = entry.name
    end
  end
  return table.concat(names, ", ")
end

local function by_name(name)
  local found = {}
  for _, entry in ipairs(entries) do
    if entry.name == name or entry.method == name then
      found[#found + 1] = about(entry.row)
    end
  end
  if is_one_of(name, OBJECTS) or is_one_of(name, MODULES) then
    found[#found + 1] = list(name .. ":", name)
  end
  if #found > 0 then
    return table.concat(found, "\n\n")
  end
  local near = nearest(name:match("[%w_]*$"))
  return ("nothing is known of '%s'%s"):format(name, near ~= "" and "; near it: " .. near or "")
end

-- The kind of one of modalua's objects or modules.
local function kind_of(value)
  if value == modalua then
    return "modalua"
  end
  for _, part in ipairs { "task", "json" } do
    if value == modalua[part] then
      return part
    end
  end
  local own = help.methods_of(value)
  for kind, its in next, methods do
    if own == its then
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
    return by_name(value)
  end
  local row = type(value) == "function" and doc.of(value)
  if row then
    return about(row)
  end
  local kind = type(value) ~= "function" and kind_of(value)
  if kind then
    return list(kind .. ":", kind)
  end
  return ("nothing is known of this %s"):format(type(value))
end

-- A field of a value, looked up raw.
local function field(value, key)
  local its = help.methods_of(value)
  local own
  if type(value) == "table" then
    own = rawget(value, key)
  end
  if own == nil and its then
    own = rawget(its, key)
  end
  return own
end

-- `pacs.find` as far as there is something of that name, else as words: "find".
function help.of_name(path)
  if path == "" then
    return help.of()
  end
  load_entries()
  local value = _G
  for name in path:gmatch "[^%.:]+" do
    value = field(value, name)
  end
  if value == nil or type(value) == "function" and not doc.of(value) or type(value) == "string" then
    return by_name(path)
  end
  return help.of(value)
end

doc.describe(help.of_name, "help.of_name(path) -> text",
  "Returns the help text for a path such as pacs.find, or for a word. Nothing of yours is called.",
  { example = [[print(require "modalua.help".of_name "json.encode")]] })
doc.describe(help.of, "help.of([value]) -> text",
  "Returns the help text for a function, an object or a name: signature, help, options and example, or what can be called on the object. "
    .. "Without an argument it says where to begin.",
  { example = [[print(require "modalua.help".of(pacs.echo))]] })
doc.describe(help.methods_of, "help.methods_of(object) -> table | nil",
  "Returns the methods of an object. Nothing of the object is called.",
  { example = [[for name in pairs(require "modalua.help".methods_of(pacs)) do print(name) end]] })
doc.describe(help.methods, "help.methods(kind) -> table | nil",
  'Returns the methods of a kind of object, such as "client" or "modality", by their names.',
  { example = [[print(require "modalua.help".methods "job".wait)]] })
doc.describe(help.row, "help.row(method) -> row | nil",
  "Returns the row of a method by its name alone, of whichever kind of object.",
  { example = [[print(require "modalua.help".row "move_resources".signature)]] })
doc.describe(help.sections, "help.sections() -> list",
  "Returns every public function in sections, for a reference: { { name =, entries = { { name =, row = }, … } }, … }.",
  { example = [[for _, section in ipairs(require "modalua.help".sections()) do print(section.name, #section.entries) end]] })

return help
