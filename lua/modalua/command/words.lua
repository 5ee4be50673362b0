-- command.words: what can stand at the end of a command line, for the completion of shells. It reads the same rows as the manual page: the
-- options of the command, and the arguments of the verbs. A row says by `complete`, or else by its argname, what its values are.
local require = ...
local config_servers = require "command.config_servers"
local letters = require "text.letters"
local lists = require "core.lists"
local modalua = require "modalua"
local native = require "core.native"
local tag_help = require "prompt.tag_help"
local verbs = require "command.verbs"

local words = {}

words.FILES = "files" -- in place of a list of candidates: the shell completes names of files

local TIMEOUT <const> = { timeout = 3, connect_timeout = 2, retries = 0 } -- of the request for the names of modalities
local KINDS <const> = { FILE = "file", LEDGER = "file", LEVEL = "level", TAG = "tag", ["TAG,TAG"] = "tags", ["Tag=Value"] = "filter",
  ["ID|Tag=Value"] = "filter" }
local SERVER_OPTIONS <const> = { "ca", "cert", "key", "insecure" } -- of the command, and of connect

-- ---- rows ----

-- An option of the command itself as a row.
local function command_row(option)
  local names = {}
  names[#names + 1] = option.letter and "-" .. option.letter
  names[#names + 1] = option.long and "--" .. option.long
  return { names = names, key = option.long or option.letter, argname = option.argument, description = option.help,
    complete = option.argument and (option.argument == "FILE" and "file" or option.long == "profile" and "profile" or "none") }
end

-- A row for argparse as a row here. `key` is the name under which its value is kept.
local function verb_row(row)
  local names = {}
  for name in row.name:gmatch "%S+" do
    names[#names + 1] = name
  end
  return { names = names, key = row.target or names[#names]:gsub("^%-+", ""), argname = row[1] == "option" and row.argname or nil,
    description = row.description, complete = row.complete or KINDS[row.argname] or "none", is_argument = row[1] == "argument",
    is_last = row.args == "*" or row.args == "+" }
end

-- The rows of the options that may stand here, and those of the arguments.
local function rows_of(about, state)
  local options, arguments = { { names = { "-h", "--help" }, key = "help", description = "show this help" } }, {}
  local verb = state.command or state.verb
  for _, option in ipairs(about.options) do
    if not verb or option.anywhere then
      options[#options + 1] = command_row(option)
    end
  end
  for _, list in ipairs(verb and { verb.arguments, verb.is_plain and {} or verbs.COMMON } or {}) do
    for _, row in ipairs(list) do
      local own = verb_row(row)
      table.insert(own.is_argument and arguments or options, own)
    end
  end
  return options, arguments
end

local function option_named(options, name)
  for _, row in ipairs(options) do
    for _, own in ipairs(row.names) do
      if own == name then
        return row
      end
    end
  end
end

-- The row of a word that is an option, its value in the same word, and the part of the word before this value.
local function read_option(options, word)
  local name, value = word:match "^(%-%-[^=]+)=(.*)$"
  if name then
    return option_named(options, name), value, name .. "="
  end
  local row = option_named(options, word)
  if row or word:find "^%-%-" then
    return row
  end
  return option_named(options, word:sub(1, 2)), word:sub(3), word:sub(1, 2)
end

-- ---- the words before the cursor ----

local function command_named(verb, name)
  for _, command in ipairs(verb.commands) do
    if command.name == name then
      return command
    end
  end
end

-- Notes a word that is neither an option nor its value.
local function take_word(about, state, word)
  if state.verb and state.verb.commands and not state.command then
    state.command = command_named(state.verb, word)
  elseif state.verb then
    state.position = state.position + 1
  elseif word == "playground" and not state.playground then
    state.playground = true
  elseif lists.has(about.verbs, word) then
    state.verb = verbs.load(word)
  else
    state.is_script = true
  end
end

-- What the words before the last one say: verb, command, position (of the argument that comes next), values (of options, by their keys),
-- waiting (the option of which the value comes next).
local function read_words(about, given)
  local state = { position = 1, values = {} }
  for i = 1, #given - 1 do
    local word, options = given[i], rows_of(about, state)
    if state.waiting then
      state.values[state.waiting.key], state.waiting = word, nil
    elseif word == "--" and not state.ended then
      state.ended = true
    elseif word:find "^%-." and not state.ended and not state.is_script then
      local row, value = read_option(options, word)
      if row and row.argname and not value then
        state.waiting = row
      elseif row then
        state.values[row.key] = value or true
      end
    else
      take_word(about, state, word)
    end
  end
  return state
end

-- ---- candidates ----

-- Adds a candidate when it begins with the text.
local function add(list, text, candidate, description)
  if candidate:sub(1, #text) == text then
    list[#list + 1] = { candidate, description }
  end
end

local function matching(text, names, ending)
  local list = {}
  for _, name in ipairs(names) do
    add(list, text, name .. (ending or ""))
  end
  return list
end

-- The tags of the dictionary that begin so, in any case of the letters.
local function dictionary_tags(text)
  local list = {}
  for _, name in ipairs(tag_help.keywords()) do
    if name:sub(1, #text):lower() == text:lower() then
      list[#list + 1] = name
    end
  end
  table.sort(list)
  return list
end

-- The names of tags that begin with the text: those that the level can have, or else all of the dictionary.
local function tag_names(state, text)
  local level = native.level(tostring(state.values.level or "Study")) or "Study"
  local names, found = native.level_tags(level), {}
  for _, name in ipairs(names) do
    if name:sub(1, #text):lower() == text:lower() then
      found[#found + 1] = name
    end
  end
  table.sort(found)
  return #found == 0 and text ~= "" and dictionary_tags(text) or found
end

local MODALITIES <const> = { "CR", "CT", "DX", "ES", "MG", "MR", "NM", "OT", "PT", "RF", "SR", "US", "XA" }
local VALUES <const> = { Modality = MODALITIES, ModalitiesInStudy = MODALITIES, PatientSex = { "F", "M", "O" } }
local DATES <const> = { "today", "yesterday", "tomorrow", "-7d", "-4w", "-3m", "-1y" }

local values = {} -- by the kind: a function (state, text, about) that returns a list of candidates, or FILES

function values.none()
  return {}
end

function values.file()
  return words.FILES
end

function values.level(_, text)
  return matching(text, { "Patient", "Study", "Series", "Instance" })
end

-- The names as candidates, each behind what stands before them.
local function behind(beginning, names)
  local list = {}
  for i, name in ipairs(names) do
    list[i] = { beginning .. name }
  end
  return list
end

function values.tag(state, text)
  local sign, name = text:match "^(%-?)(.*)$"
  return behind(sign, tag_names(state, name))
end

-- Several tags, with commas between them.
function values.tags(state, text)
  local before, last = text:match "^(.*,)([^,]*)$"
  return behind(before or "", tag_names(state, last or text))
end

-- Tag=Value
function values.filter(state, text)
  local tag, value = text:match "^([^=]*)=(.*)$"
  local list = {}
  if not tag then
    for i, name in ipairs(tag_names(state, text)) do
      list[i] = { name .. "=" }
    end
    return list
  end
  local facts = native.tag_facts(tag)
  local is_date = facts and facts.vr == "DA"
  local range, last = value:match "^(.*%.%.)([^.]*)$"
  local before = is_date and range or ""
  for _, known in ipairs(VALUES[tag] or is_date and DATES or {}) do
    add(list, is_date and last or value, known)
  end
  for _, candidate in ipairs(list) do
    candidate[1] = tag .. "=" .. before .. candidate[1]
  end
  return list
end

function values.verb(_, text, about)
  local list = {}
  for _, name in ipairs(about.verbs) do
    add(list, text, name, verbs.load(name).summary)
  end
  return list
end

function values.profile(_, text, about)
  local names = {}
  for name in pairs((config_servers.read(about.config_file))) do
    names[#names + 1] = type(name) == "string" and name or nil
  end
  table.sort(names)
  return matching(text, names)
end

-- Whether a command of the user gives a secret of the server that is meant. The key TAB runs no such command: it may ask for something.
local function needs_command(state, about)
  local servers, default = config_servers.read(about.config_file)
  local server = not state.values.url and servers[state.values.profile or default or ""]
  return type(server) == "table" and (server.password_command or server.token_command or server.key_password_command) ~= nil
end

-- The client that the options on the command line mean; nil when they are wrong.
local function client_of(state, about)
  if needs_command(state, about) then
    return nil
  end
  local options = { profile = state.values.profile }
  for _, list in ipairs { TIMEOUT, SERVER_OPTIONS } do
    for name, value in pairs(list) do
      if list == TIMEOUT then
        options[name] = value
      else
        options[value] = state.values[value]
      end
    end
  end
  options.url = state.values.url
  local good, client = pcall(modalua.connect, options)
  return good and client or nil
end

-- The modalities of the server; nothing when it does not answer in time.
function values.modality(state, text, about)
  if state.playground then
    return matching(text, { "archive", "pacs" })
  end
  local client = client_of(state, about)
  local settings = client and client:modalities { expand = true } or {}
  local list = {}
  for name, own in pairs(settings) do
    if native.is_name(name) then -- anything else could be read by the shell as a command
      add(list, text, name, type(own) == "table" and type(own.AET) == "string" and letters.shown(own.AET) or nil)
    end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- ---- the end of the line ----

local function options_matching(options, text)
  local list = {}
  for _, row in ipairs(options) do
    for _, name in ipairs(row.names) do
      if #name > 2 or text ~= "--" and #text > 1 then
        add(list, text, name, row.description)
      end
    end
  end
  return list
end

local function verbs_matching(state, text, about)
  local list = values.verb(state, text, about)
  if not state.playground then
    add(list, text, "playground", "starts servers to try everything with")
  end
  return #list > 0 and list or words.FILES
end

local function commands_matching(verb, text)
  local list = {}
  for _, command in ipairs(verb.commands) do
    add(list, text, command.name, command.summary)
  end
  return list
end

-- What a row can have, behind `before`, the part of the word that stands before it.
local function values_of(row, state, text, about, before)
  local kind = row.complete
  local list = type(kind) == "table" and matching(text, kind) or values[kind](state, text, about)
  for _, candidate in ipairs(before and list ~= words.FILES and list or {}) do
    candidate[1] = before .. candidate[1]
  end
  return list
end

-- The candidates for the last of the words of a command line, without the command's own name: a list of { text, description | nil }, or
-- words.FILES. `about`: the options and verbs of the command, as verbs.main has them.
function words.candidates(about, given)
  local state, text = read_words(about, given), given[#given] or ""
  local options, arguments = rows_of(about, state)
  if state.waiting then
    return values_of(state.waiting, state, text, about)
  elseif state.is_script then
    return words.FILES
  elseif text:find "^%-" and not state.ended then
    local row, value, before = read_option(options, text)
    if row and row.argname and value then
      return values_of(row, state, value, about, before)
    end
    return options_matching(options, text)
  elseif not state.verb then
    return verbs_matching(state, text, about)
  elseif state.verb.commands and not state.command then
    return commands_matching(state.verb, text)
  end
  local row = arguments[math.min(state.position, #arguments)]
  if not row or state.position > #arguments and not row.is_last then
    return {}
  end
  return values_of(row, state, text, about)
end

return words
