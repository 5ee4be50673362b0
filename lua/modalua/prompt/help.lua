-- modalua.help: what is known of modalua's functions, as text. All of it comes from their descriptor rows.
local require = ...
local doc = require "modalua.doc"
local modalua = require "modalua"

local help = {}

local NEAREST = 5 -- of the functions that a misspelt word may mean
local LEAST = 3 -- letters of a part of a name that mean something

local entries -- of every documented function: {name =, kind =, method =, row =}
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

local function add(kind, separator, name, f)
  local row = type(f) == "function" and doc.of(f)
  if row then
    entries[#entries + 1] = { name = kind .. separator .. name, kind = kind, method = name, row = row }
  end
end

local function load_entries()
  if entries then
    return
  end
  entries, methods = {}, {}
  for kind, object in pairs(samples()) do
    methods[kind] = help.methods_of(object)
    for name, f in next, methods[kind] do
      add(kind, ":", name, f)
    end
  end
  for name, f in next, modalua do
    add("modalua", ".", name, f)
  end
  for _, part in ipairs { "task", "json" } do
    for name, f in next, modalua[part] do
      add(part, ".", name, f)
    end
  end
  table.sort(entries, function(a, b) return a.name < b.name end)
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

local function about(row)
  return row.signature .. "\n" .. row.help
end

local function list(title, kind)
  local lines = { title }
  for _, entry in ipairs(entries) do
    if entry.kind == kind then
      local signature = entry.row.signature
      lines[#lines + 1] = "  " .. (signature:find("^" .. kind) and "" or kind .. ".") .. signature
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
  lines[#lines + 1] = "kinds: client modality peer query job commitment task; modules: modalua task json"
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
  if methods[name] or name == "modalua" or name == "task" or name == "json" then
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

doc.describe(help.of_name, "of_name(path) -> text",
  "The same for what stands under a path such as pacs.find, or for a word; nothing is called.")
doc.describe(help.of, "of([value | name]) -> text",
  "Signature and help of a function, what can be called on an object, or what is known under a name; without an argument, " ..
  "where to begin.")
doc.describe(help.methods_of, "methods_of(object) -> table | nil", "The methods of an object, found without calling anything of it.")
doc.describe(help.methods, "methods(kind) -> table | nil",
  'The methods of a kind of object, "client", "modality" and so on, by their names.')
doc.describe(help.row, "row(method) -> {signature =, help =} | nil", "What is known of a method by its name alone, of whatever kind it is.")

return help
