-- modalua.help: the help texts of modalua's functions and objects. They are made from the descriptor rows.
local require = ...
local doc = require "modalua.doc"
local kinds = require "prompt.kinds"
local letters = require "text.letters"
local lists = require "core.lists"
local modalua = require "modalua"
local native = require "core.native"
local tag_help = require "prompt.tag_help"

local help = {}

local MAX_SUGGESTIONS = 5 -- for a word without help
local ERROR_TITLE = "err, which an operation returns behind nil"
local LEAST_PART = 3 -- characters of a word that is searched for inside names
local NAME_COLUMNS = 24 -- width of the names in a list of methods; a longer name moves what follows

-- A signature begins with one of these names: a kind of object, or a module.
local OBJECTS = { "client", "modality", "peer", "found", "query", "job", "commitment", "task" }
local MODULES = { "modalua", "task", "json", "transfer" }
local OTHER_MODULES = { "doc", "arguments", "letters", "table", "time_zone", "playground", "samples" } -- a script must require these
local HOSTS = { "evaluate", "completion", "help", "printing" } -- modules for the console of a host
local WORDS = { -- variables of the prompt
  _ = "_ is the last value, and _3 the value of input 3: ?Out",
  In = "In[3] is the text of input 3. .numbers on shows the numbers of the inputs",
  Out = "Out[3] is the value of input 3, and so is _3; the values of the last 100 inputs are kept. .numbers on shows the numbers",
}
local ALIASES = { err = "error", _err = "error", result = "found" } -- usual names of variables: the kind of what they hold

-- The examples in the rows use these variables. The values are for the prompt of `modalua playground`.
help.context = [[
modalua = require "modalua"
json, task, transfer = modalua.json, modalua.task, modalua.transfer
orthanc = modalua.connect()
pacs, archive = orthanc:modality "pacs", orthanc:modality "archive"
found = assert(pacs:find { Level = "Study", Query = { PatientName = "SMITH*", StudyDate = "", StudyDescription = "" } })
clinic = orthanc:peer "clinic"]]

local entries -- list of every documented function: { name =, kind =, method =, row = }

help.methods_of = kinds.methods_of

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

-- Loads the entries of objects and modules; `all`: also those of the modules that a script must require.
local function load_entries(all)
  if entries and (not all or entries.all) then
    return
  end
  for _, module in ipairs(all and OTHER_MODULES or {}) do
    require("modalua." .. module)
  end
  entries = { all = all }
  for _, entry in ipairs(entries_of_rows()) do
    if lists.has(OBJECTS, entry.kind) or lists.has(MODULES, entry.kind) or all and lists.has(OTHER_MODULES, entry.kind) then
      entries[#entries + 1] = entry
    end
  end
end

-- Every public function, in sections for the reference. Loads all public modules.
function help.sections()
  local list, by_kind = {}, {}
  for _, names in ipairs { { "modalua" }, OBJECTS, { "json", "transfer" }, OTHER_MODULES, HOSTS } do
    for _, kind in ipairs(names) do
      if lists.has(OTHER_MODULES, kind) or lists.has(HOSTS, kind) then
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
  local sample = kinds.sample(kind)
  return sample and kinds.methods_of(sample)
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

local function option_line(option)
  return ("%s%s: %s"):format(option.name, option.type and " (" .. option.type .. ")" or "", option.help)
end

-- Adds a line for each option of a row, under the name of the argument that takes it.
local function add_options(lines, options)
  local argument
  for _, option in ipairs(options) do
    if option.argument ~= argument then
      argument = option.argument
      lines[#lines + 1] = "\n" .. argument .. ":"
    end
    lines[#lines + 1] = "  " .. option_line(option)
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

-- ---- kinds of objects, and modules ----

-- A line for a name and what it is for. Where the second part begins, evaluate.show aligns the following lines of a narrow window.
local function named_line(name, text)
  return ("  %s%s  %s"):format(name, (" "):rep(NAME_COLUMNS - letters.width(name)), text)
end

-- The first sentence of a help text.
local function summary_of(text)
  return text:match "^(.-[%.])%s" or text
end

-- How a function is called, without the object: ":find(data, …)". … stands for arguments that may be left out.
local function call_of(signature)
  local call = signature:match "^[%w_]*(.-%))" or signature:match "^[%w_]*(%S*)"
  return (call:gsub(",? ?%[.*%]", ", …"):gsub("%(, ", "("))
end

-- A line for each function and each field of a kind of object, or of a module.
local function members_text(kind)
  local lines, seen, first = { (kind == "error" and ERROR_TITLE or kind) .. ":" }, {}, nil
  for _, entry in ipairs(entries) do
    local call = call_of(entry.row.signature)
    if entry.kind == kind and not seen[call] then
      seen[call], first = true, first or entry.name
      lines[#lines + 1] = named_line(call, summary_of(entry.row.help))
    end
  end
  for _, field in ipairs(kinds.fields(kind)) do
    lines[#lines + 1] = named_line("." .. field.name, field.help)
  end
  if first then
    lines[#lines + 1] = ("?%s says more about one of them, with options and an example"):format(first)
  end
  return table.concat(lines, "\n")
end

local function overview()
  local lines = {
    "orthanc                      the server of this session; modalua.connect(url) connects to another one",
    'pacs = orthanc:modality "x"  a modality that the server knows; orthanc:modalities() lists them',
    'pacs:find { Level = "Study", Query = { PatientName = "A*" } }',
    "",
    "help(pacs), ?pacs.find, ?modality   explains an object, a function, a kind of object",
    "?TargetAet, ?StudyDate, ?err.kind   explains an option, a DICOM tag, a field",
    ("kinds: %s; modules: %s"):format(table.concat(OBJECTS, " "), table.concat(MODULES, " ")),
    ".help lists the commands of the prompt",
  }
  return table.concat(lines, "\n")
end

-- ---- words ----

-- Each of the functions …_texts adds to the list of texts what it knows of a word.

local function function_texts(texts, word)
  local seen = {}
  for _, entry in ipairs(entries) do
    if (entry.name:gsub(":", ".") == word:gsub(":", ".") or entry.method == word) and not seen[entry.row.signature] then
      seen[entry.row.signature] = true
      texts[#texts + 1] = row_text(entry.row)
    end
  end
end

local function kind_texts(texts, word)
  word = ALIASES[word] or word
  if lists.has(OBJECTS, word) or lists.has(MODULES, word) or word == "error" or entries.all and lists.has(OTHER_MODULES, word) then
    texts[#texts + 1] = members_text(word)
  end
end

-- An option may belong to many functions. Those that say the same of it share a text.
local function option_texts(texts, word)
  local of_line, order = {}, {}
  for _, entry in ipairs(entries) do
    for _, option in ipairs(entry.row.options or {}) do
      if option.name == word then
        local line = option_line(option)
        if not of_line[line] then
          order[#order + 1], of_line[line] = line, {}
        end
        table.insert(of_line[line], entry.name)
      end
    end
  end
  for _, line in ipairs(order) do
    local names = of_line[line]
    texts[#texts + 1] = ("%s\n  option of %s\n  ?%s shows an example"):format(line, table.concat(names, ", "), names[1])
  end
end

-- The word may be a path, as in err.kind.
local function field_texts(texts, word)
  local owner, name = word:match "^([%a_][%w_]*)%.([%a_][%w_]*)$"
  owner = ALIASES[owner] or owner
  for _, kind in ipairs { "error", table.unpack(OBJECTS) } do
    for _, field in ipairs((not owner or owner == kind) and kinds.fields(kind) or {}) do
      if field.name == (name or word) then
        texts[#texts + 1] = ("%s.%s: %s"):format(kind == "error" and "err" or kind, field.name, field.help)
      end
    end
  end
end

local function variable_texts(texts, word)
  texts[#texts + 1] = WORDS[word]
end

local function tag_texts(texts, word)
  texts[#texts + 1] = tag_help.of(word)
end

local function texts_of_word(word)
  local texts = {}
  for _, add in ipairs { function_texts, kind_texts, option_texts, field_texts, variable_texts, tag_texts } do
    add(texts, word)
  end
  return texts
end

-- Every word that has help, except the tags.
function help.topics()
  load_entries()
  local list, seen = {}, {}
  local function add(name)
    if not seen[name] then
      seen[name] = true
      list[#list + 1] = name
    end
  end
  for _, names in ipairs { OBJECTS, MODULES, { "error" } } do
    for _, name in ipairs(names) do
      add(name)
    end
  end
  for _, entry in ipairs(entries) do
    add(entry.method)
    for _, option in ipairs(entry.row.options or {}) do
      add(option.name)
    end
  end
  return list
end

-- The word as help knows it, when only upper and lower case differ.
local function in_other_case(word)
  for _, name in ipairs(help.topics()) do
    if name:lower() == word:lower() then
      return name
    end
  end
  for _, name in ipairs(tag_help.keywords()) do
    if name:lower() == word:lower() then
      return name
    end
  end
end

-- The names that resemble a word: those of functions that contain it, and the function, option or tag with the most similar spelling.
local function similar_names(word)
  local topics, names = help.topics(), {}
  local nearest = doc.nearest(word, topics)
  for _, entry in ipairs(entries) do
    if #names < MAX_SUGGESTIONS and (entry.method == nearest or #word >= LEAST_PART and entry.method:find(word, 1, true)) then
      names[#names + 1] = entry.name
    end
  end
  if #names == 0 then
    names[1] = nearest or native.misspelt(word) and native.misspelt(word):match "Did you mean (%w+)"
  end
  return table.concat(names, ", ")
end

-- The text for a function of Lua's own, such as string.format.
local function text_of_lua(name, value)
  local module, method = name:match "^(%a+)%.(%w+)$"
  local library = module and package.loaded[module] or _G
  if type(value) == "function" and type(library) == "table" and rawget(library, method or name) == value then
    return ("%s is a function of Lua: https://www.lua.org/manual/5.4/manual.html#pdf-%s"):format(name, name)
  end
end

local function help_of_word(name, value)
  local texts = texts_of_word(name)
  if #texts == 0 then
    texts[1] = text_of_lua(name, value)
  end
  if #texts == 0 then
    load_entries(true)
    texts = texts_of_word(name)
  end
  local other = #texts == 0 and in_other_case(name)
  if other then
    texts = texts_of_word(other)
  end
  if #texts > 0 then
    return table.concat(texts, "\n\n")
  end
  local similar = similar_names(name:match("[%w_]*$"))
  return ("there is no help for '%s'%s"):format(name, similar ~= "" and "; similar names: " .. similar or "")
end

-- ---- values ----

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
  local kind = kinds.of(value)
  return kind and kinds.sample(kind) and kind
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
    return members_text(kind)
  end
  return ("there is no help for this %s; ?name explains a word"):format(type(value))
end

-- A field or a method of a value. No metamethod is called.
local function field_of(value, key)
  local own_methods = kinds.methods_of(value)
  local field
  if type(value) == "table" then
    field = rawget(value, key)
  end
  if field == nil and own_methods then
    field = rawget(own_methods, key)
  end
  return field
end

-- The value of a path, and the help for its last field when the path ends in a field of an object of modalua.
local function value_of_path(path)
  local value, owner, last = _G, nil, nil
  for name in path:gmatch "[^%.:]+" do
    value, owner, last = field_of(value, name), value, name
  end
  local kind = owner ~= _G and kinds.of(owner)
  for _, field in ipairs(kind and kinds.fields(kind) or {}) do
    if field.name == last then
      return value, ("%s.%s: %s"):format(kind == "error" and "err" or kind, last, field.help)
    end
  end
  return value
end

-- The path is evaluated from the globals (`pacs.find`). When that gives no value with help, it is treated as a word ("find").
function help.of_name(path)
  if path == "" then
    return help.of()
  end
  load_entries()
  local value, text = value_of_path(path)
  if text then
    return text
  elseif type(value) == "function" and doc.of(value) or type(value) ~= "function" and kind_of(value) then
    return help.of(value)
  end
  return help_of_word(path, value)
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
doc.describe(help.topics, "help.topics() -> list",
  "Returns every word that has a help text, except the names of DICOM tags: kinds of objects, modules, functions and options.",
  { example = [[print(#require "modalua.help".topics())]] })
doc.describe(help.sections, "help.sections() -> list",
  "Returns every public function in sections, for a reference: { { name =, entries = { { name =, row = }, … } }, … }.",
  { example = [[for _, section in ipairs(require "modalua.help".sections()) do print(section.name, #section.entries) end]] })

return help
