-- One question for each of many values: modality:find_each. Loaded with modalua, after modality.lua; from src/lremote.c come ours:
-- methods (of Modality), tag, level, fail, usage, spawn, describe; from modality.lua is_hopeless and in_time. To it go ours.each,
-- ours.check_options, ours.same and ours.trimmed.
local ours = ...
local UNIQUE = ours.arrival.UNIQUE
local OP = "find_each"

-- ---- several at once ----

local CANCELLED_AT_END = { __close = function(helpers)
  for _, helper in ipairs(helpers) do
    helper:cancel()
  end
end }

-- Calls f(i) for each i up to n, in this order, at most `limit` at a time, until one gives false. What f throws is thrown here, and stops
-- the others; so does the end of the task that calls. That one works too: what is wrong with all of them is thrown at the script's own
-- line before anything is sent, and where no other task can run it does everything.
function ours.each(n, limit, f)
  local last, stopped, started = 0, false, {}
  local function work()
    while last < n and not stopped do
      last = last + 1
      stopped = f(last) == false or stopped
    end
  end
  local helpers <close> = setmetatable({}, CANCELLED_AT_END)
  for i = 1, math.min(limit, n) - 1 do
    helpers[i] = ours.spawn(function()
      started[i] = true
      local good, err = pcall(work)
      if not good then
        stopped = true
        error(err, 0)
      end
      return true
    end)
  end
  work()
  for i, helper in ipairs(helpers) do
    if started[i] then
      local done, err = helper:join()
      if not done then
        error(err, 0)
      end
    end
  end
end

-- ---- options ----

local AT_ONCE = 2 -- C-FINDs, unless the caller says limit: many a PACS serves few associations

-- Splits the table of options into what goes to find and `limit`. `known`: the names that there are, nil = whatever find takes.
function ours.check_options(op, options, known)
  local own, limit = {}, AT_ONCE
  if options ~= nil and type(options) ~= "table" then
    ours.usage(("%s: options must be a table (a %s was given)"):format(op, type(options)))
  end
  for name, value in pairs(options or {}) do
    if name == "limit" then
      limit = math.type(value) and value >= 1 and value < 1e6 and math.tointeger(value)
        or ours.usage(("%s: option 'limit' must be a whole number, 1 or more"):format(op))
    elseif name == "wait_timeout" and not (math.type(value) and value > 0) then
      ours.usage(("%s: option 'wait_timeout' must be a number of seconds above 0, or math.huge for no limit"):format(op))
    elseif known and not known[name] then
      ours.usage(("%s: unknown option '%s'; there are LocalAet, Timeout, limit and wait_timeout"):format(op, tostring(name)))
    else
      own[name] = value
    end
  end
  return own, limit
end

-- ---- comparing ----

-- Without the blanks around it, which mean nothing in DICOM.
function ours.trimmed(value)
  return value:match "^ *(.-) *$"
end

-- Whether two values name the same: some modalities do not tell small letters from capital ones.
function ours.same(a, b)
  return ours.trimmed(a):lower() == ours.trimmed(b):lower()
end

-- What names one thing is written one way only, so that answers can be compared with the question.
local COMPARABLE = { PatientID = true, AccessionNumber = true, StudyID = true, StudyInstanceUID = true, SeriesInstanceUID = true,
  SOPInstanceUID = true }

-- Whether an answer is about the value; nil when it does not tell. A value with wildcards owns whatever it was given.
local function is_about(answer, asked, value)
  if not asked.comparable or value:find "[*?\x80-\xff]" then
    return true
  end
  local given = answer[asked.name]
  if type(given) ~= "string" or ours.trimmed(given) == "" then
    return nil
  end
  return ours.same(given, value)
end

-- ---- what is asked ----

local function refused(position, value, why)
  local err = ours.fail(OP, "refused", "bad_value", ("value %d, '%s', %s: nothing was asked"):format(position, value, why))
  err.position, err.value = position, value
  return nil, err
end

-- A value as it is sent; or nil and an error. An empty cell of a table is what must not pull everything.
local function read_value(position, value)
  local text = math.type(value) == "integer" and tostring(value) or value
  if type(text) ~= "string" then
    ours.usage(("find_each: value %d must be a string, or a whole number (a %s was given)"):format(position,
      math.type(value) or type(value)))
  end
  text = ours.trimmed(text)
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
    ours.usage(("find_each: values must be a list (a %s was given)"):format(type(values)))
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
    ours.usage(("find_each: the tag must be a name or gggg,eeee (a %s was given)"):format(type(tag)))
  end
  local asked, _, level = {}, ours.tag(tag)
  asked.name = select(3, ours.tag(tag)) or tag
  asked.data, asked.limit = ours.check_options(OP, data)
  if asked.data.Level == nil then
    asked.data.Level = level == "Patient" and "Study" or level
      or ours.usage(("find_each: give a Level: which one '%s' belongs to is not known"):format(tag))
  end
  if asked.data.Query ~= nil and type(asked.data.Query) ~= "table" then
    ours.usage(("find_each: Query must be a table (a %s was given)"):format(type(asked.data.Query)))
  elseif (asked.data.Query or {})[tag] ~= nil then
    ours.usage(("find_each: Query holds '%s', whose values are given already"):format(tag))
  end
  asked.comparable = COMPARABLE[asked.name]
  local level_asked = type(asked.data.Level) == "string" and ours.level(asked.data.Level)
  asked.listed = asked.name == UNIQUE[level_asked] and level_asked ~= "Patient"
  asked.tag, asked.left = tag, ours.in_time(asked.data)
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
      own, err = nil, ours.fail(OP, "unknown", "unmatched",
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
    local item = by_uid[ours.trimmed(answer[asked.name] or "")]
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
    items[1].error = err and ours.is_hopeless(err) and err or nil
  end
  for _, item in ipairs(items) do
    if err and ours.is_hopeless(err) then
      return err
    elseif not item.answers then
      ask_one(modality, asked, item)
      err = item.error
      asked.listed = asked.listed and not (item.answers and item.answers[1] and #items > 1) -- such lists find nothing here
    end
  end
  return err and ours.is_hopeless(err) and err
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
  local err = ours.fail(OP, first.kind, first.code, ("%d of %d values could not be asked; the first of them, '%s': %s"):format(#failed,
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
      item.error = item.error or ours.fail(OP, hopeless.kind, "not_attempted", "not asked, after: " .. hopeless.message)
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

function ours.methods:find_each(tag, values, data)
  local asked = read_asked(tag, data)
  local items, err = read_values(values)
  if not items then
    return nil, err
  end
  local batches, hopeless = batches_of(items, asked), nil
  ours.each(#batches, asked.limit, function(i)
    hopeless = ask_batch(self, asked, batches[i]) or hopeless
    return not hopeless
  end)
  return outcome(items, asked, hopeless)
end

ours.describe(ours.methods.find_each,
  "modality:find_each(tag, values [, {Level =, Query = {…}, limit = 2, LocalAet =, Timeout =, Normalize =, keep =, wait_timeout =, "
    .. "extra =}]) -> by_value, missing [, warning] | nil, err",
  "C-FIND of each of many values, such as accession numbers, `limit` at a time: a table from the value to the list of its answers, and the "
    .. "list of the values that the modality does not have. A value that is blank or would match everything is refused before anything is "
    .. "asked. When some questions fail, err.found, err.missing and err.errors (by value) have the rest.")
