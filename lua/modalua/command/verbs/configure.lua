-- command.verbs.configure: shows or changes the settings of a modality on the server.
local require = ...
local doc = require "modalua.doc"
local lists = require "core.lists"
local modalua = require "modalua"

local INTEGERS = { Port = true, Timeout = true }
local TEXTS = { AET = true, Host = true, Manufacturer = true, LocalAet = true, RetrieveMethod = true }
local BOOLEANS = { AllowEcho = true, AllowFind = true, AllowFindWorklist = true, AllowGet = true, AllowMove = true, AllowStore = true,
  AllowStorageCommitment = true, AllowNAction = true, AllowEventReport = true, AllowTranscoding = true, UseDicomTls = true }
local WORDS = { ["true"] = true, ["false"] = false }

-- For the completion of shells.
local words_of_settings = {}
for name in pairs(TEXTS) do
  words_of_settings[#words_of_settings + 1] = name .. "="
end
for name in pairs(INTEGERS) do
  words_of_settings[#words_of_settings + 1] = name .. "="
end
for name in pairs(BOOLEANS) do
  table.move({ name .. "=true", name .. "=false" }, 1, 2, #words_of_settings + 1, words_of_settings)
end
table.sort(words_of_settings)

-- The value of a setting; nil and what would be right.
local function value_of(key, text)
  if TEXTS[key] then
    return text
  elseif INTEGERS[key] then
    return math.tointeger(tonumber(text)), "a whole number is expected"
  elseif BOOLEANS[key] then
    return WORDS[text], "true or false is expected"
  end
  local names = {}
  for _, list in ipairs { TEXTS, INTEGERS, BOOLEANS } do
    table.move(lists.sorted_keys(list), 1, #lists.sorted_keys(list), #names + 1, names)
  end
  local near = doc.nearest(key, names)
  return nil, near and ("there is no such setting; did you mean %s?"):format(near) or "the settings are " .. table.concat(names, ", ")
end

local function settings_of(self)
  local settings = {}
  for _, word in ipairs(self.options.settings) do
    local key, text = word:match "^([^=]+)=(.*)$"
    if not key then
      self:usage_error("'%s' is not Setting=Value", word)
    elseif settings[key] ~= nil then
      self:usage_error("%s is given twice", key)
    end
    local value, why = value_of(key, text)
    if value == nil then
      self:usage_error("%s: %s", word, why)
    end
    settings[key] = value
  end
  return settings
end

local function show_configuration(self, configuration)
  local rows = {}
  for i, name in ipairs(lists.sorted_keys(configuration)) do
    rows[i] = { setting = name, value = configuration[name] }
  end
  self:show({ "setting", "value" }, rows, configuration)
end

local function run_configure(self)
  local settings = settings_of(self)
  local modality = self.options.create and modalua.Modality(self:client(), self.options.name) or self:modality(self.options.name)
  if not modality then
    return false
  end
  local configuration, note
  if next(settings) == nil and not self.options.create then
    configuration = self:must(modality:configuration())
  else
    settings.create = self.options.create
    configuration, note = modality:configure(settings)
    self:must(configuration, note)
  end
  show_configuration(self, configuration)
  if note then
    self:note("modalua: %s", note)
  end
  return true
end

return {
  run = run_configure,
  usage = "NAME [Setting=Value…]",
  summary = "shows or changes the settings of a modality",
  description = "Shows the settings of a modality on the server. With Setting=Value, it changes these settings and keeps the others: "
    .. "AET, Host, Port, Manufacturer, Timeout, LocalAet, RetrieveMethod, UseDicomTls, AllowEcho, AllowFind, AllowFindWorklist, "
    .. "AllowGet, AllowMove, AllowStore, AllowStorageCommitment, AllowNAction, AllowEventReport, AllowTranscoding.",
  examples = {
    { "modalua configure pacs", "the settings of pacs" },
    { "modalua configure ct AET=CT1 Host=10.0.0.7 Port=104 --create", "a new modality" },
    { "modalua configure ct Timeout=20 AllowEcho=false", "changes two settings" },
  },
  arguments = {
    { "argument", name = "NAME", argname = "NAME", target = "name", complete = "modality",
      description = "the modality's name at the server" },
    { "argument", name = "Setting=Value", argname = "Setting=Value", target = "settings", args = "*", complete = words_of_settings,
      description = "a new value of a "
      .. "setting" },
    { "flag", name = "--create", description = "makes a new modality when the server has none of that name" },
  },
}
