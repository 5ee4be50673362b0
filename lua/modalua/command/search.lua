-- command.search: the code that the verbs find and move share: the arguments Tag=Value as a query, the C-FIND, the columns of its answers.
local require = ...
local dates = require "command.dates"
local doc = require "modalua.doc"
local modalua = require "modalua"
local session = require "command.session"

local search = {}

-- The columns that are shown for each level. The identifiers stand last, where a narrow terminal cuts them first.
local COLUMNS = {
  Patient = { "PatientName", "PatientBirthDate", "PatientSex", "PatientID" },
  Study = { "StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "StudyDescription", "AccessionNumber", "StudyInstanceUID" },
  Series = { "Modality", "SeriesNumber", "SeriesDescription", "StudyInstanceUID", "SeriesInstanceUID" },
  Instance = { "InstanceNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID" },
}
local LEVELS = { "Patient", "Study", "Series", "Instance" }
local PLURALS = { Patient = "patients", Study = "studies", Series = "series", Instance = "instances" }

-- These columns may also be given by number, so that no column appears twice.
local KEYWORD_OF_NUMBER = {
  ["00100010"] = "PatientName", ["00100020"] = "PatientID", ["00100030"] = "PatientBirthDate", ["00100040"] = "PatientSex",
  ["00080020"] = "StudyDate", ["00080061"] = "ModalitiesInStudy", ["00081030"] = "StudyDescription", ["00080050"] = "AccessionNumber",
  ["0020000d"] = "StudyInstanceUID", ["00080060"] = "Modality", ["00200011"] = "SeriesNumber", ["0008103e"] = "SeriesDescription",
  ["0020000e"] = "SeriesInstanceUID", ["00200013"] = "InstanceNumber", ["00080018"] = "SOPInstanceUID",
}

-- Tags that servers add to every answer.
local ADDED_BY_SERVER = { QueryRetrieveLevel = true, RetrieveAETitle = true, SpecificCharacterSet = true }

function search.count(n, level)
  return ("%d %s"):format(n, n == 1 and level:lower() or PLURALS[level])
end

-- ---- the arguments ----

-- The value of a filter in DICOM's form. Shows on standard error how a date is sent that was typed in another form. After an error, prints
-- it and returns nil.
local function value_to_send(self, tag, value)
  local sent, message = dates.to_filter(tag, value, self.options.keep)
  if not sent then
    return self:report_error(message)
  elseif sent ~= value then
    self:note("%s=%s", tag, sent)
  end
  return sent
end

-- Returns the arguments Tag=Value, and Tag, as a query, and the list of their tags. `refuse_empty`: whether Tag= is an error. After an error
-- in a value, prints it and returns nil.
function search.read(self, refuse_empty)
  local query, order = {}, {}
  for i, argument in ipairs(self.options.tags) do
    local tag, value = argument:match "^([^=]*)=(.*)$"
    tag = tag or argument
    tag = KEYWORD_OF_NUMBER[tag:lower():gsub(",", "", 1)] or tag
    if tag == "" then
      self:usage_error("'%s' is not Tag=Value", argument)
    elseif query[tag] then
      self:usage_error("%s is given twice", tag)
    elseif value == "" and refuse_empty then
      self:usage_error("%s= has no value and would match everything; without '=' it is a column", tag)
    end
    query[tag], order[i] = value or "", tag
  end
  for _, tag in ipairs(order) do
    query[tag] = value_to_send(self, tag, query[tag])
    if not query[tag] then
      return nil
    end
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
search.keep = { "option", name = "--keep", argname = "TAG", count = "*",
  description = "sends the filter by this tag although its level does not have it, or DICOM no such value" }
search.tags = { "argument", name = "Tag=Value", argname = "Tag=Value", target = "tags", args = "*",
  description = "a filter, as DICOM matches it: * is any text, ? any character, 20240101-20240331 a range; a date may also be 2024-01-31, "
    .. "2024-01-01..2024-03-31, today, yesterday, -7d, -4w, -3m or -1y (since then); Tag without '=' adds a column" }

-- ---- the C-FIND ----

-- Returns the columns of the level, then the tags of the arguments, which are shown on the narrowest terminal too. A tag that was given by
-- number comes back under its name, which is unknown here: then every other tag of the answers follows.
local function search_columns(level, order, answers)
  local columns, seen = {}, {}
  local function add(name, keep)
    if not seen[name] then
      seen[name] = true
      columns[#columns + 1] = { name = name, keep = keep, spare = name:find "UID$" ~= nil }
    end
  end
  local returned = {}
  for _, answer in ipairs(answers) do
    for name in pairs(answer) do
      returned[name] = true
    end
  end
  for _, name in ipairs(COLUMNS[level]) do
    add(name)
  end
  local renamed = false
  for _, name in ipairs(order) do
    if returned[name] or not name:find "^%x%x%x%x" then
      add(name, true)
    else
      renamed = true
    end
  end
  for _, name in ipairs(renamed and session.sorted_names(returned) or {}) do
    if not ADDED_BY_SERVER[name] then
      add(name, true)
    end
  end
  return columns
end

-- After the server refused a tag: "; did you mean … instead of …?" for the first tag that resembles a known one, else "".
local function suggestion_for(order)
  local names = {}
  for _, level in ipairs(LEVELS) do
    table.move(COLUMNS[level], 1, #COLUMNS[level], #names + 1, names)
  end
  for _, tag in ipairs(order) do
    local near = not tag:find "^%x%x%x%x" and doc.nearest(tag, names)
    if near and near ~= tag then
      return ("; did you mean %s instead of %s?"):format(near, tag)
    end
  end
  return ""
end

-- Sends the C-FIND, and prints the warnings of its result. Returns the result of find, its columns, and its level. After a failure, prints
-- the error and returns nil.
function search.find(self, modality, query, order)
  local level = self.options.level
  for _, name in ipairs(COLUMNS[level]) do
    query[name] = query[name] or ""
  end
  local keep = self.options.keep[1] and self.options.keep
  local good, found, err = pcall(modality.find, modality, { Level = level, Query = query, keep = keep })
  if not good and modalua.is_error(found) then
    error(found, 0)
  elseif not good then
    self:usage_error("%s", found:gsub("^find: ", ""))
  elseif not found then
    return self:report_error(tostring(err) .. (err.status == 400 and suggestion_for(order) or ""))
  end
  if #found.dropped > 0 then
    self:note("modalua: left out, since %s do not have these tags: %s", PLURALS[level], table.concat(found.dropped, ", "))
  end
  if found.warning then
    self:note("modalua: %s", found.warning)
  end
  return found, search_columns(level, order, found.answers), level
end

return search
