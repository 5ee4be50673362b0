-- core.find_each: modality:find_each, one C-FIND for each of many values.
local require = ...
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"
local requests = require "core.requests"

local find_each = {}

local UNIQUE = levels.UNIQUE
local OP = "find_each"

-- What names one thing is written one way only, so that answers can be compared with the question.
local COMPARABLE = { PatientID = true, AccessionNumber = true, StudyID = true, StudyInstanceUID = true, SeriesInstanceUID = true,
  SOPInstanceUID = true }

-- Whether an answer is about the value; nil when it does not tell. A value with wildcards owns whatever it was given.
local function is_about(answer, asked, value)
  if not asked.comparable or value:find "[*?\x80-\xff]" then
    return true
  end
  local given = answer[asked.name]
  if type(given) ~= "string" or matching.trimmed(given) == "" then
    return nil
  end
  return matching.same(given, value)
end

-- ---- what is asked ----

local function refused(position, value, why)
  local err = native.fail(OP, "refused", "bad_value", ("value %d, '%s', %s: nothing was asked"):format(position, value, why))
  err.position, err.value = position, value
  return nil, err
end

-- A value as it is sent; or nil and an error. An empty cell of a table is what must not pull everything.
local function read_value(position, value)
  local text = math.type(value) == "integer" and tostring(value) or value
  if type(text) ~= "string" then
    native.usage(("find_each: value %d must be a string, or a whole number (a %s was given)"):format(position,
      math.type(value) or type(value)))
  end
  text = matching.trimmed(text)
  if text == "" then
    return refused(position, value, "is blank, and would match everything")
  elseif text:find "%c" then
    return refused(position, text:gsub("%c", " "), "holds a control character")
  elseif not text:find "[%w\x80-\xff]" then
    return refused(position, text, "has nothing but wildcards, and would match everything")
  elseif text:find("\\", 1, true) then
    return refused(position, text, "is a list of several")
  end
  return text
end

-- The values, each once: a list of { value = as it is sent, keys = as the caller writes it }.
local function read_values(values)
  if type(values) ~= "table" then
    native.usage(("find_each: values must be a list (a %s was given)"):format(type(values)))
  end
  local items, by_text, known = {}, {}, {}
  for i = 1, #values do
    local text, err = read_value(i, values[i])
    if not text then
      return nil, err
    end
    local item = by_text[text]
    if not item then
      item = { value = text, keys = {} }
      by_text[text], items[#items + 1] = item, item
    end
    if not known[values[i]] then
      known[values[i]] = true
      table.insert(item.keys, values[i])
    end
  end
  return items
end

-- What the caller asks, of `tag`: its level, its name, what goes to find.
local function read_asked(tag, data)
  if type(tag) ~= "string" then
    native.usage(("find_each: the tag must be a name or gggg,eeee (a %s was given)"):format(type(tag)))
  end
  local asked, _, level = {}, native.tag(tag)
  asked.name = select(3, native.tag(tag)) or tag
  asked.data, asked.limit = requests.check_options(OP, data)
  if asked.data.Level == nil then
    asked.data.Level = level == "Patient" and "Study" or level
      or native.usage(("find_each: give a Level: which one '%s' belongs to is not known"):format(tag))
  end
  if asked.data.Query ~= nil and type(asked.data.Query) ~= "table" then
    native.usage(("find_each: Query must be a table (a %s was given)"):format(type(asked.data.Query)))
  elseif (asked.data.Query or {})[tag] ~= nil then
    native.usage(("find_each: Query holds '%s', whose values are given already"):format(tag))
  end
  asked.comparable = COMPARABLE[asked.name]
  local level_asked = type(asked.data.Level) == "string" and native.level(asked.data.Level)
  asked.listed = asked.name == UNIQUE[level_asked] and level_asked ~= "Patient"
  asked.tag, asked.left = tag, requests.in_time(asked.data)
  return asked
end

-- ---- asking ----

-- The answers of one C-FIND; nil and an error.
local function ask(modality, asked, value)
  local data = {}
  for name, given in pairs(asked.left()) do
    data[name] = given
  end
  data.Query = { [asked.tag] = value }
  for name, given in pairs(asked.data.Query or {}) do
    data.Query[name] = given
  end
  local found <close>, err = modality:find(data)
  if not found then
    return nil, err
  end
  asked.warning = asked.warning or found.warning
  return found.answers
end

-- Of one value: sets item.answers, or item.error.
local function ask_one(modality, asked, item)
  local answers, err = ask(modality, asked, item.value)
  local own = {}
  for _, answer in ipairs(answers or {}) do
    local about = is_about(answer, asked, item.value)
    if about == nil then
      own, err = nil, native.fail(OP, "unknown", "unmatched",
        ("the answers about '%s' do not tell their %s, so the modality may not have looked at it"):format(item.value, asked.name))
      break
    elseif about then
      own[#own + 1] = answer
    end
  end
  item.answers, item.error = answers and own, err
end

-- Of several UIDs, joined (List of UID Matching, DICOM PS3.4 C.2.2.2.2). What that finds is found; it proves of nothing that it is not
-- there, since there are modalities that know no lists, look at the first UID alone, or at the first few.
local function ask_list(modality, asked, items)
  local uids, by_uid = {}, {}
  for i, item in ipairs(items) do
    uids[i], by_uid[item.value] = item.value, item
  end
  local answers, err = ask(modality, asked, table.concat(uids, "\\"))
  for _, answer in ipairs(answers or {}) do
    local item = by_uid[matching.trimmed(answer[asked.name] or "")]
    if item then
      item.answers = item.answers or {}
      table.insert(item.answers, answer)
    end
  end
  return answers and true, err
end

-- Asks a batch: in a list where that can be done, then one by one what the list has not found. So a value is only ever called missing after
-- a question about it alone; where nothing is there, that costs what it would cost without lists, and one question in fifty.
local function ask_batch(modality, asked, items)
  local err
  if #items > 1 and asked.listed then
    err = select(2, ask_list(modality, asked, items))
    items[1].error = err and requests.is_hopeless(err) and err or nil
  end
  for _, item in ipairs(items) do
    if err and requests.is_hopeless(err) then
      return err
    elseif not item.answers then
      ask_one(modality, asked, item)
      err = item.error
      asked.listed = asked.listed and not (item.answers and item.answers[1] and #items > 1) -- such lists find nothing here
    end
  end
  return err and requests.is_hopeless(err) and err
end

local LIST = 50 -- UIDs in a list

local function batches_of(items, asked)
  local batches, batch = {}, nil
  for _, item in ipairs(items) do
    local alone = not asked.listed or item.value:find "[*?]"
    if alone then
      batches[#batches + 1] = { item }
    else
      if not batch or #batch == LIST then
        batch = {}
        batches[#batches + 1] = batch
      end
      batch[#batch + 1] = item
    end
  end
  return batches
end

-- ---- find_each ----

local PASSED_ON = { "status", "orthanc_status", "dimse_status", "details", "method", "path", "retryable", "still_running" }

-- The error of what could not be asked.
local function overall(items, failed, result, missing)
  local first = failed[1].error
  local err = native.fail(OP, first.kind, first.code, ("%d of %d values could not be asked; the first of them, '%s': %s"):format(#failed,
    #items, failed[1].value, first.message))
  for _, field in ipairs(PASSED_ON) do
    err[field] = first[field]
  end
  err.found, err.missing, err.errors = result, missing, {}
  for _, item in ipairs(failed) do
    for _, key in ipairs(item.keys) do
      err.errors[key] = item.error
    end
  end
  return err
end

-- What has become of each value.
local function outcome(items, asked, hopeless)
  local result, missing, failed = {}, {}, {}
  for _, item in ipairs(items) do
    if not item.answers then
      item.error = item.error or native.fail(OP, hopeless.kind, "not_attempted", "not asked, after: " .. hopeless.message)
      failed[#failed + 1] = item
    end
    for _, key in ipairs(item.answers and item.keys or {}) do
      if item.answers[1] then
        result[key] = item.answers
      else
        missing[#missing + 1] = key
      end
    end
  end
  if failed[1] then
    return nil, overall(items, failed, result, missing)
  end
  return result, missing, asked.warning
end

function find_each.find_each(modality, tag, values, data)
  local asked = read_asked(tag, data)
  local items, err = read_values(values)
  if not items then
    return nil, err
  end
  local batches, hopeless = batches_of(items, asked), nil
  requests.each(#batches, asked.limit, function(i)
    hopeless = ask_batch(modality, asked, batches[i]) or hopeless
    return not hopeless
  end)
  return outcome(items, asked, hopeless)
end

return find_each
