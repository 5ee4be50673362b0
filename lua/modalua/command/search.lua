-- command.search: the code that the verbs find and move share: the arguments Tag=Value as a query, the C-FIND, the columns of its answers.
local require = ...
local characters = require "command.characters"
local dates = require "command.dates"
local doc = require "modalua.doc"
local levels = require "core.levels"
local lists = require "core.lists"
local matching = require "core.matching"
local modalua = require "modalua"
local native = require "core.native"
local session = require "command.session"
local tag_help = require "prompt.tag_help"

local search = {}

-- The columns that are shown for each level. The identifiers stand last, where a narrow terminal cuts them first.
local COLUMNS = {
  Patient = { "PatientName", "PatientBirthDate", "PatientSex", "PatientID" },
  Study = { "StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "StudyDescription", "AccessionNumber", "StudyInstanceUID" },
  Series = { "Modality", "SeriesNumber", "SeriesDescription", "StudyInstanceUID", "SeriesInstanceUID" },
  Instance = { "InstanceNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID" },
}
local LEVELS = { "Patient", "Study", "Series", "Instance" }

-- These columns may also be given by number, so that no column appears twice.
local NAME_OF_NUMBER = {}
for _, names in pairs(COLUMNS) do
  for _, name in ipairs(names) do
    NAME_OF_NUMBER[native.tag(name)] = name
  end
end

-- Tags that servers add to every answer.
local ADDED_BY_SERVER = { QueryRetrieveLevel = true, RetrieveAETitle = true, SpecificCharacterSet = true }

search.count = levels.count

-- ---- the arguments ----

-- The value of a filter in DICOM's form. Shows on standard error how a date is sent that was typed in another form. A date that is none is
-- wrong usage.
local function value_to_send(self, tag, value)
  local sent, why = dates.to_filter(tag, value, self.options.keep)
  if not sent then
    self:usage_error("%s", why)
  elseif sent ~= value then
    self:note("%s=%s", tag, sent)
  end
  return sent
end

-- Refuses a word without '=' that can be no tag: 4711 in `find pacs PatientID 4711`.
local function check_column(self, word, before)
  if word:find "=" or word:find "^%a%w*$" or native.tag(word) then
    return
  end
  local is_value = before and not before:find "=" and native.tag(before)
  self:usage_error("'%s' is no tag%s", word, is_value and ("; did you mean %s=%s?"):format(before, word) or ", and not Tag=Value")
end

-- Returns the arguments Tag=Value, and Tag, as a query, and the list of their tags. `refuse_empty`: whether Tag= is an error.
function search.read(self, refuse_empty)
  local query, order = {}, {}
  for i, argument in ipairs(self.options.tags) do
    if not utf8.len(argument) then
      self:usage_error("'%s' is not UTF-8: check the encoding of the terminal, or of the script", argument)
    end
    check_column(self, argument, self.options.tags[i - 1])
    local tag, value = argument:match "^([^=]*)=(.*)$"
    tag = tag or argument
    tag = NAME_OF_NUMBER[native.tag(tag) or tag] or tag
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
  end
  return query, order
end

-- ---- the options ----

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

-- Reads one tag. Answers have their values under the keywords of tags.
local function to_tag(text)
  local tag = text:match "^%s*(.-)%s*$"
  if tag == "" or tag:find "[=%s]" then
    return nil, ("a tag is expected, such as StudyDate, not '%s'"):format(text)
  end
  return native.keyword(tag) or tag
end

local function to_columns(text)
  local tags, seen = {}, {}
  for part in (text:gsub("%f[%w](%x%x%x%x),(%x%x%x%x)%f[%W]", "%1%2") .. ","):gmatch "([^,]*)," do
    local tag, message = to_tag(part)
    if not tag then
      return nil, message
    end
    if seen[tag] then
      return nil, tag .. " is given twice"
    end
    tags[#tags + 1], seen[tag] = tag, true
  end
  return tags
end

local function to_sort_key(text)
  local tag, message = to_tag(text:gsub("^%-", "", 1))
  if tag and tag:find "," and not native.tag(tag) then
    return nil, ("one tag is expected, not '%s'"):format(text)
  end
  return tag and { name = tag, falling = text:find "^%-" ~= nil }, message
end

search.level = { "option", name = "-L --level", argname = "LEVEL", default = "Study", convert = to_level,
  description = "Patient, Study, Series or Instance" }
search.keep = { "option", name = "--keep", argname = "TAG", count = "*",
  description = "sends the filter by this tag although its level does not have it, or DICOM does not allow its value" }
search.utf8 = characters.utf8
search.tags = { "argument", name = "Tag=Value", argname = "Tag=Value", target = "tags", args = "*",
  description = "a filter, as DICOM matches it: * is any text, ? any character, 20240101-20240331 a range; a date may also be 2024-01-31, "
    .. "2024-01-01..2024-03-31, today, yesterday, -7d, -4w, -3m or -1y (since then); Tag without '=' adds a column" }

-- The options of find alone.
search.shape = {
  { "option", name = "--columns", argname = "TAG,TAG", convert = to_columns, description = "shows these tags, in this order, and no "
    .. "others" },
  { "option", name = "--sort", argname = "TAG", convert = to_sort_key,
    description = "sorts the answers by this tag; --sort=-TAG puts the greatest value first" },
  { "option", name = "--limit", argname = "N", convert = session.positive_integer "", description = "shows N answers at most" },
  { "flag", name = "--count", description = "prints only the number of answers" },
}

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
  for _, name in ipairs(renamed and lists.sorted_keys(returned) or {}) do
    if not ADDED_BY_SERVER[name] then
      add(name, true)
    end
  end
  return columns
end

-- The keywords that are shown by themselves.
local function shown_names()
  local names = {}
  for _, level in ipairs(LEVELS) do
    table.move(COLUMNS[level], 1, #COLUMNS[level], #names + 1, names)
  end
  return names
end

-- Refuses a column that is a misspelt keyword. One that is like no keyword may be in the dictionary of the server, which decides. find
-- itself refuses a filter.
local function refuse_misspelt(self, query, order)
  local keep = table.concat(self.options.keep, " ")
  for _, tag in ipairs(order) do
    local is_unknown = query[tag] == "" and not native.tag(tag) and not keep:find(tag, 1, true)
    local near = is_unknown and (doc.nearest(tag, shown_names()) or doc.nearest(tag, tag_help.keywords()))
    if near then
      self:usage_error("%s is no DICOM keyword; did you mean %s?", tag, near)
    end
  end
end

-- After the server refused a tag: which is the first one that is no keyword of DICOM, else "".
local function suggestion_for(order)
  for _, tag in ipairs(order) do
    if not native.tag(tag) then
      return ("; %s is no DICOM keyword"):format(tag)
    end
  end
  return ""
end

-- Adds the tags of --columns and --sort to the query.
local function add_tags(options, query, order)
  local tags = table.move(options.columns or {}, 1, #(options.columns or {}), 1, {})
  tags[#tags + 1] = options.sort and options.sort.name
  for _, tag in ipairs(tags) do
    if not query[tag] then
      query[tag], order[#order + 1] = "", tag
    end
  end
end

-- Returns what modality:find(options) returns; the server has forgotten the query then.
local function find_and_close(modality, options)
  local found, err = modality:find(options)
  if found then
    found:close()
  end
  return found, err
end

-- For a search that found nothing: DICOM compares a name as a whole, and people leave out the '*'.
function search.explain_nothing(self, query, order)
  for _, tag in ipairs(order) do
    local facts, value = native.tag_facts(tag), query[tag]
    if facts and facts.vr == "PN" and value ~= "" and not value:find "[*?\\]" then
      self:note("modalua: a name is compared as a whole: %s='%s*' finds those that begin so", tag, value)
    end
  end
end

-- Sends the C-FIND, and prints the warnings of its result. Returns the result of find, its columns, and its level. The server has forgotten
-- the query then, whatever becomes of the output. After a failure, prints the error and returns nil.
function search.find(self, modality, query, order)
  local level = self.options.level
  add_tags(self.options, query, order)
  refuse_misspelt(self, query, order)
  for _, name in ipairs(COLUMNS[level]) do
    query[name] = query[name] or ""
  end
  local keep = self.options.keep[1] and self.options.keep
  local good, found, err = pcall(characters.during, self, find_and_close, modality, { Level = level, Query = query, keep = keep })
  if not good and modalua.is_error(found) then
    error(found, 0)
  elseif not good then
    self:usage_error("%s", found:gsub("^find: ", ""))
  elseif not found then
    return self:report_error(tostring(err) .. (err.status == 400 and suggestion_for(order) or ""))
  end
  if #found.dropped > 0 then
    self:note("modalua: left out, since %s do not have these tags: %s", levels.PLURALS[level], table.concat(found.dropped, ", "))
  end
  characters.warn(self, found)
  if not found.answers[1] then
    search.explain_nothing(self, query, order)
  end
  return found, search_columns(level, order, found.answers), level
end

-- ---- the answers that are shown ----

-- The kind of a value, and the value, as they are compared: numbers stand before texts.
local function rank_of(value)
  local text = type(value) == "string" and matching.trimmed(value) or ""
  return text == "" and 3 or text:find "^[+-]?%d+%.?%d*$" and 1 or 2, text
end

-- Whether a value stands before another one; nil when they are equal. An answer without a value stands at the end.
local function is_before(a, b, falling)
  local a_rank, a_text = rank_of(a)
  local b_rank, b_text = rank_of(b)
  local x, y = a_rank == 1 and tonumber(a_text) or a_text, b_rank == 1 and tonumber(b_text) or b_text
  if a_rank ~= b_rank and (a_rank == 3 or b_rank == 3) then
    return b_rank == 3
  elseif a_rank ~= b_rank then
    return (a_rank < b_rank) ~= falling
  elseif x ~= y then
    return (x < y) ~= falling
  end
end

local function sorted(answers, key)
  local places = {}
  for i, answer in ipairs(answers) do
    places[i] = { at = i, answer = answer }
  end
  table.sort(places, function(a, b)
    local before = is_before(a.answer[key.name], b.answer[key.name], key.falling)
    if before == nil then
      return a.at < b.at
    end
    return before
  end)
  for i, place in ipairs(places) do
    places[i] = place.answer
  end
  return places
end

-- Returns the columns and the answers that --columns, --sort and --limit leave.
function search.shaped(options, columns, answers)
  local rows = table.move(answers, 1, #answers, 1, {})
  if options.sort then
    rows = sorted(rows, options.sort)
  end
  rows = table.move(rows, 1, math.min(#rows, options.limit or #rows), 1, {})
  if not options.columns then
    return columns, rows
  end
  local shown = {}
  for i, name in ipairs(options.columns) do
    shown[i] = { name = name, keep = true }
  end
  for i, answer in ipairs(rows) do
    rows[i] = {}
    for _, name in ipairs(options.columns) do
      rows[i][name] = answer[name]
    end
  end
  return shown, rows
end

return search
