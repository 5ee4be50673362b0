-- command.search: what the verbs find and move share: the words Tag=Value as a query, the C-FIND, and the columns of its answers.
local require = ...
local doc = require "modalua.doc"
local modalua = require "modalua"
local session = require "command.session"

local search = {}

-- What people want to see of each level; what names the resource stands last, where a narrow terminal cuts it first.
local COLUMNS = {
  Patient = { "PatientName", "PatientBirthDate", "PatientSex", "PatientID" },
  Study = { "StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "StudyDescription", "AccessionNumber", "StudyInstanceUID" },
  Series = { "Modality", "SeriesNumber", "SeriesDescription", "StudyInstanceUID", "SeriesInstanceUID" },
  Instance = { "InstanceNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID" },
}
local LEVELS = { "Patient", "Study", "Series", "Instance" }
local PLURALS = { Patient = "patients", Study = "studies", Series = "series", Instance = "instances" }

-- Those of them that people may give by their numbers.
local NUMBERS = {
  ["00100010"] = "PatientName", ["00100020"] = "PatientID", ["00100030"] = "PatientBirthDate", ["00100040"] = "PatientSex",
  ["00080020"] = "StudyDate", ["00080061"] = "ModalitiesInStudy", ["00081030"] = "StudyDescription", ["00080050"] = "AccessionNumber",
  ["0020000d"] = "StudyInstanceUID", ["00080060"] = "Modality", ["00200011"] = "SeriesNumber", ["0008103e"] = "SeriesDescription",
  ["0020000e"] = "SeriesInstanceUID", ["00200013"] = "InstanceNumber", ["00080018"] = "SOPInstanceUID",
}

-- What servers add to answers by themselves.
local ADDED = { QueryRetrieveLevel = true, RetrieveAETitle = true, SpecificCharacterSet = true }

function search.count(n, level)
  return ("%d %s"):format(n, n == 1 and level:lower() or PLURALS[level])
end

-- ---- its words ----

-- The words Tag=Value, and Tag, as a query, and the tags in their order. `empty`: what is wrong with Tag=, or nil.
function search.read(self, empty)
  local query, order = {}, {}
  for i, word in ipairs(self.options.tags) do
    local tag, value = word:match "^([^=]*)=(.*)$"
    tag = tag or word
    tag = NUMBERS[tag:lower():gsub(",", "", 1)] or tag
    if tag == "" then
      self:wrong("'%s' is no Tag=Value", word)
    elseif query[tag] then
      self:wrong("%s is given twice", tag)
    elseif value == "" and empty then
      self:wrong("%s= is empty, %s", tag, empty)
    end
    query[tag], order[i] = value or "", tag
  end
  return query, order
end

local function to_level(text)
  for _, level in ipairs(LEVELS) do
    if text:lower() == level:lower() then
      return level
    end
  end
  local near = doc.nearest(text, LEVELS)
  return nil, ("there is no level '%s'; %s"):format(text, near and ("did you mean %s?"):format(near)
    or "the levels are " .. table.concat(LEVELS, ", "))
end

search.level = { "option", name = "-L --level", argname = "LEVEL", default = "Study", convert = to_level,
  description = "Patient, Study, Series or Instance" }
search.tags = { "argument", name = "Tag=Value", argname = "Tag=Value", target = "tags", args = "*",
  description = "what to look for, as DICOM matches it: * and ? for any letters, 20240101-20240331 for a range; Tag alone is a column" }

-- ---- the question ----

-- The level's own columns, then what was asked for, which is shown on any terminal, then what else came under another name than it was
-- asked for by.
local function columns_of(level, order, answers)
  local columns, known = {}, {}
  local function add(name, keep)
    if not known[name] then
      known[name] = true
      columns[#columns + 1] = { name = name, keep = keep, spare = name:find "UID$" ~= nil }
    end
  end
  local others = {}
  for _, answer in ipairs(answers) do
    for name in pairs(answer) do
      others[name] = true
    end
  end
  for _, name in ipairs(COLUMNS[level]) do
    add(name)
  end
  local renamed = false
  for _, name in ipairs(order) do
    if others[name] or not name:find "^%x%x%x%x" then
      add(name, true)
    else
      renamed = true
    end
  end
  for _, name in ipairs(renamed and session.sorted_names(others) or {}) do
    if not ADDED[name] then
      add(name, true)
    end
  end
  return columns
end

-- A tag whose name the server does not know, and which it was that was meant.
local function meant(order)
  local names = {}
  for _, level in ipairs(LEVELS) do
    table.move(COLUMNS[level], 1, #COLUMNS[level], #names + 1, names)
  end
  for _, tag in ipairs(order) do
    local near = not tag:find "^%x%x%x%x" and doc.nearest(tag, names)
    if near and near ~= tag then
      return ("; did you mean %s where it says %s?"):format(near, tag)
    end
  end
  return ""
end

-- Asks the modality, and says what there is to know of its answer. What find gave, its columns, and its level; or nil, when it has been
-- said what failed.
function search.ask(self, modality, query, order)
  local level = self.options.level
  for _, name in ipairs(COLUMNS[level]) do
    query[name] = query[name] or ""
  end
  local good, found, err = pcall(modality.find, modality, { Level = level, Query = query })
  if not good and modalua.is_error(found) then
    error(found, 0)
  elseif not good then
    self:wrong("%s", found:gsub("^find: ", ""))
  elseif not found then
    return self:complain(tostring(err) .. (err.status == 400 and meant(order) or ""))
  end
  if #found.dropped > 0 then
    self:note("modalua: not asked for, as no tag of %s: %s", PLURALS[level], table.concat(found.dropped, ", "))
  end
  if found.warning then
    self:note("modalua: %s", found.warning)
  end
  return found, columns_of(level, order, found.answers), level
end

return search
