-- prompt.outcomes: results of operations, of which a person wants to know first whether all went well: a line or a short table takes the
-- place of the whole value. No metamethod is called.
local require = ...
local jobs = require "text.jobs"
local letters = require "text.letters"
local levels = require "core.levels"
local modalua = require "modalua"
local native = require "core.native"
local tables = require "text.table"

local outcomes = {}

-- Words that have a colour on a terminal.
local WORDS <const> = { { "%f[%d][1-9]%d* failed", "31" }, { "%f[%d][1-9]%d* unknown", "31" }, { "%f[%a]verified: all", "32" } }

local function field(value, name, kind)
  local content = rawget(value, name)
  return type(content) == kind and content or nil
end

-- The text, and how to see more, broken at words.
local function summary(options, format, ...)
  local more = options.details and (" (%s shows the details)"):format(options.details) or ""
  local text = native.text_wrapped(format:format(...) .. more, options.width)
  for _, word in ipairs(options.colour and WORDS or {}) do
    text = text:gsub(word[1], "\27[" .. word[2] .. "m%0\27[0m")
  end
  return text
end

-- Whether every item of a list, which has at least one, satisfies f; and the value has no other keys.
local function is_list_of(value, f)
  local n = rawlen(value)
  for key, item in next, value do
    if math.type(key) ~= "integer" or key < 1 or key > n or type(item) ~= "table" or not f(item) then
      return false
    end
  end
  return n > 0
end

-- ---- a move, get or store ----

local LEVEL_KEYS <const> = { "QueryRetrieveLevel", "0008,0052" }

-- The level of an entry in the field Query of such a result; nil when it does not tell.
local function level_of_entry(entry)
  for _, key in ipairs(type(entry) == "table" and LEVEL_KEYS or {}) do
    local value = rawget(entry, key)
    value = type(value) == "table" and rawget(value, "Value") or value
    if levels.OF_WORD[value] then
      return levels.OF_WORD[value]
    end
  end
end

-- "3 studies"; "3 resources" where the entries do not have the same level.
local function count_of_query(query)
  local level
  for i = 1, rawlen(query) do
    local own = level_of_entry(rawget(query, i))
    level = i == 1 and own or level == own and own or nil
  end
  local n = rawlen(query)
  return level and levels.count(n, level) or ("%d resource%s"):format(n, n == 1 and "" or "s")
end

-- What has been verified, in words. Only a move, a get, and a store with a check have the field.
local function check_text(result)
  local verified, why = rawget(result, "verified"), field(result, "unverified", "string")
  return verified == true and "verified: all of it has arrived" or "not verified" .. (why and ": " .. letters.shown(why) or "")
end

local function transfer_text(result, options)
  local query, images = field(result, "Query", "table"), field(result, "InstancesCount", "number")
  local remote = letters.shown(field(result, "RemoteAet", "string") or "")
  if rawget(result, "ID") ~= nil then
    return nil
  elseif query and remote ~= "" then
    local target = letters.shown(field(result, "TargetAet", "string") or "")
    return summary(options, "%s sent %s%s; %s", remote, rawlen(query) > 0 and count_of_query(query) or "nothing",
      target ~= "" and " to " .. target or "", check_text(result))
  elseif images and (field(result, "ParentResources", "table") or rawget(result, "verified") ~= nil) then
    local failed = field(result, "FailedInstancesCount", "number") or 0
    return summary(options, "%d of %s sent%s%s; %s", images - failed, levels.count(images, "Instance"),
      remote ~= "" and " to " .. remote or "", failed > 0 and (", %d failed"):format(failed) or "", check_text(result))
  end
end

-- ---- outcomes of move_resources ----

local OUTCOME_COLUMNS <const> = { { name = "outcome", title = "state", whole = true, colour = function() return "red" end }, "kind",
  { name = "resource", spare = true }, "error" }

local function is_outcome(item)
  return field(item, "resource", "table") and (rawget(item, "result") ~= nil or modalua.is_error(rawget(item, "error")))
end

-- The level that an identifier belongs to, and its value.
local function level_of_keys(keys)
  for i = #levels.NAMES, 1, -1 do
    local value = rawget(keys, levels.UNIQUE[levels.NAMES[i]])
    if value ~= nil then
      return levels.NAMES[i], tostring(value)
    end
  end
  return "Study", ""
end

-- Those that were not moved as rows, the number of those that are verified, and why one is not.
local function sort_outcomes(list)
  local rows, verified, why = {}, 0, nil
  for i = 1, rawlen(list) do
    local err, result = rawget(list[i], "error"), rawget(list[i], "result")
    if err then
      local _, key = level_of_keys(rawget(list[i], "resource"))
      rows[#rows + 1] = { outcome = err.kind == "unknown" and "unknown" or "failed", kind = err.kind, resource = key, error = err.message }
    elseif type(result) == "table" and rawget(result, "verified") == true then
      verified = verified + 1
    else
      why = why or type(result) == "table" and field(result, "unverified", "string")
    end
  end
  return rows, verified, why
end

local function outcomes_text(list, options)
  local rows, verified, why = sort_outcomes(list)
  local n, level = rawlen(list), level_of_keys(rawget(rawget(list, 1), "resource"))
  local unknown = 0 -- may have been sent
  for _, row in ipairs(rows) do
    unknown = unknown + (row.outcome == "unknown" and 1 or 0)
  end
  return (rows[1] and tables.fitted(OUTCOME_COLUMNS, rows, options) or "") .. summary(options, "%d of %s sent%s; %s%s", n - #rows,
    levels.count(n, level), unknown > 0 and (", %d unknown"):format(unknown) or "",
    verified == n and "verified: all of it has arrived" or ("%d verified"):format(verified),
    why and (", not verified: " .. letters.shown(why)) or "")
end

-- ---- jobs ----

local function is_job(item)
  return field(item, "ID", "string") and field(item, "State", "string") and field(item, "Type", "string") and rawget(item, "Progress")
end

local function jobs_text(list, options)
  local n = rawlen(list)
  return tables.fitted(jobs.COLUMNS, jobs.rows(jobs.sorted(list)), options) .. ("%d job%s"):format(n, n == 1 and "" or "s")
end

-- What starts a job and does not wait for it.
local function job_name_text(value, options)
  local id, path = field(value, "ID", "string"), field(value, "Path", "string")
  if id and path == "/jobs/" .. id then
    local shown = letters.shown(id)
    local next_steps = ("; orthanc:job%s:wait() waits for it, .jobs shows it"):format(options.name and ("(%s)"):format(options.name)
      or (' "%s"'):format(shown))
    return native.text_wrapped(("job %s has begun%s"):format(shown, options.details and next_steps or ""), options.width)
  end
end

-- ---- modalities ----

local SETTINGS <const> = { { name = "name", keep = true }, "AET", "Host", { name = "Port", right = true }, "Manufacturer" }

local function modalities_text(value, options)
  local rows = {}
  for name, settings in next, value do
    if type(name) ~= "string" or type(settings) ~= "table" or not (field(settings, "AET", "string") and rawget(settings, "Host")) then
      return nil
    end
    rows[#rows + 1] = { name = name, AET = settings.AET, Host = settings.Host, Port = rawget(settings, "Port"),
      Manufacturer = rawget(settings, "Manufacturer") }
  end
  table.sort(rows, function(a, b) return a.name < b.name end)
  return tables.fitted(SETTINGS, rows, options) .. summary(options, "%d modalit%s", #rows, #rows == 1 and "y" or "ies")
end

-- ---- a bulk transfer, and a storage commitment ----

local STATES <const> = { "done", "present", "sent", "sending", "todo", "unknown", "failed" }

local function summary_text(value, options)
  local items, settings = field(value, "items", "table"), field(value, "settings", "table")
  local found, level = field(value, "found", "number"), field(value, "level", "string")
  if not (items and settings and found and levels.RANK[level] and field(value, "state", "string")) then
    return nil
  end
  local parts = {}
  for _, state in ipairs(STATES) do
    local n = field(items, state, "number") or 0
    parts[#parts + 1] = n > 0 and ("%d %s"):format(n, state) or nil
  end
  local unproven = field(value, "unproven", "number") or 0
  return summary(options, "%s → %s is %s: %s found%s%s; %s%s", letters.shown(tostring(rawget(value, "from"))),
    letters.shown(tostring(rawget(value, "to"))), letters.shown(rawget(value, "state")), levels.count(found, level),
    rawget(value, "complete") and ", all there are" or " so far",
    unproven > 0 and (", unproven parts of the search: %d"):format(unproven) or "",
    parts[1] and table.concat(parts, ", ") or "nothing to do",
    rawget(value, "finished_before") and "; it was finished before, and nothing was looked at again" or "")
end

local function commitment_text(value, options)
  local kept, failures, status = field(value, "Success", "table"), field(value, "Failures", "table"), field(value, "Status", "string")
  if not (kept and failures and status) then
    return nil
  end
  return summary(options, "%s: of %s, %d failed", letters.shown(status), levels.count(rawlen(kept) + rawlen(failures), "Instance"),
    rawlen(failures))
end

-- ---- all of them ----

-- The text for such a value; nil: it is none. `options`: width, colour, and at a prompt `details`, which is an input that shows more of the
-- value, and `name`, a variable that has it.
function outcomes.text(value, options)
  local meta = debug.getmetatable(value)
  if type(value) ~= "table" or next(value) == nil or meta and rawget(meta, "__tostring") ~= nil then
    return nil
  elseif is_list_of(value, is_outcome) then
    return outcomes_text(value, options)
  elseif is_list_of(value, is_job) then
    return jobs_text(value, options)
  end
  for _, text_of in ipairs { transfer_text, job_name_text, summary_text, commitment_text, modalities_text } do
    local text = text_of(value, options)
    if text then
      return text
    end
  end
end

-- Where an error has more to tell than its text; nil: it has not.
function outcomes.rest_of_error(err)
  if modalua.is_error(err) and type(err.outcomes) == "table" then
    return "_err.outcomes has the outcome of each resource"
  elseif modalua.is_error(err) and type(err.missing) == "table" then
    return "_err.missing lists what has not arrived"
  end
end

return outcomes
