-- core.find_proof: C-FINDs that settle what the answers of a find leave open: whether the modality has looked at a filter whose value no
-- answer shows, and whether it understands a list of values. src/api/find.c calls `finish`.
local require = ...
local find_notes = require "core.find_notes"
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"
local query_guard = require "core.query_guard"
local requests = require "core.requests"

local find_proof = {}

local RANK, UNIQUE = levels.RANK, levels.UNIQUE
local PROOFS_MAX = 200 -- C-FINDs of one find; what would need more stays unproven
local LIMIT = 2        -- at a time, as in core.requests

-- The options of the find that its further C-FINDs have too.
local SHARED = { "LocalAet", "Timeout", "extra", "keep", "Normalize" }

-- One more C-FIND. `prove`: it may need others itself.
local function find(search, level, query)
  local data = { Level = level, Query = query, prove = false, relational = true }
  for _, name in ipairs(SHARED) do
    data[name] = search.data[name]
  end
  if search.deadline then
    data.wait_timeout = math.max(search.deadline - native.now(), 0.001)
  end
  return search.modality:find(data, search.format)
end

-- ---- lists of values ----

-- The elements that an answer may match; all when it does not show its value.
local function matching_elements(elements, key, answer)
  local value, some = native.value(answer, key), {}
  for _, element in ipairs(elements) do
    if value == nil or native.matches(key, element, value) ~= false then
      table.insert(some, element)
    end
  end
  return some, value == nil
end

-- The elements of a list for which the modality may not have looked; nil when there is a wildcard among them. An answer that matches
-- several elements (ModalitiesInStudy) shows none of them: it may have come for another one.
local function missing_elements(search, key, list)
  local elements, shown, missing = {}, {}, {}
  if list:find "[*?]" then
    return nil
  end
  for element in list:gmatch "[^\\]+" do
    table.insert(elements, element)
  end
  for _, answer in ipairs(search.answers) do
    local some, all = matching_elements(elements, key, answer)
    for _, element in ipairs((all or #some == 1) and some or {}) do
      shown[element] = true
    end
  end
  for _, element in ipairs(elements) do
    if not shown[element] then
      table.insert(missing, element)
    end
  end
  return missing
end

-- Adds the answers that have a new identifier.
local function add_answers(search, answers)
  for _, answer in ipairs(answers) do
    local uid = matching.value(answer, UNIQUE[search.level])
    if uid == "" or not search.seen[uid] then
      search.seen[uid] = true
      table.insert(search.answers, answer)
      search.changed = true
    end
  end
end

-- Asks singly for the elements of a list that have no answer: some modalities understand no lists, or only their beginning. Returns true,
-- or nil and an error.
local function ask_elements(search, key, elements)
  local failure
  requests.each(#elements, LIMIT, function(i)
    local query = {}
    for name, value in pairs(search.query) do
      query[name] = value
    end
    query[key] = elements[i]
    local found <close>, err = find(search, search.level, query)
    if not found then
      failure = failure or err
      return false
    end
    find_notes.add(search.notes, found)
    add_answers(search, found.answers)
  end)
  return not failure, failure
end

-- Completes the answers to each filter that is a list. Returns true, or nil and an error.
local function complete_lists(search)
  for key, value in pairs(search.query) do
    if value:find("\\", 1, true) then
      local missing = missing_elements(search, key, value) or {}
      if #missing > PROOFS_MAX then
        local name = select(3, native.tag(key)) or key
        search.notes.odd = ("%d values of the list %s have no answer, too many to ask for each alone: the modality may support no lists")
          :format(#missing, name)
      else
        local done, err = ask_elements(search, key, missing)
        if not done then
          return nil, err
        end
      end
    end
  end
  return true
end

-- ---- filters whose value no answer shows ----

-- Where the value of a filter can be read: { level =, tag =, key = the identifier that leads there }; nil = nowhere. A filter beyond ASCII
-- is not asked for: its value would get lost on the same way again.
local function place_of(search, key, name)
  if search.query[key]:find "[\x80-\xff]" then
    return nil
  end
  if name == "ModalitiesInStudy" and search.level == "Study" then
    return { level = "Series", tag = "Modality", key = UNIQUE.Study }
  end
  local _, own = native.tag(key)
  if own and RANK[own] < RANK[search.level] then
    return { level = own, tag = name, key = UNIQUE[own] }
  end
end

-- The values at that place of the resource that the answer names, joined as in a list; nil when the place does not show them either, and
-- an error when it could not be asked.
local function read_values(search, place, answer)
  local key = matching.value(answer, place.key)
  if key == "" or key:find "[*?\\]" then
    return nil
  end
  local query = { [place.key] = key, [place.tag] = "" }
  if place.level == "Series" then
    query.StudyInstanceUID = matching.value(answer, "StudyInstanceUID")
  end
  local found <close>, err = find(search, place.level, query)
  if not found then
    return nil, err
  end
  local values = {}
  for _, row in ipairs(found.answers) do
    local value = native.value(row, place.tag)
    if value and value:find "%S" then
      table.insert(values, value)
    end
  end
  return values[1] and table.concat(values, "\\")
end

-- Reads the values of one filter for all answers. Returns a list of values, with false where there is none; or nil and an error that is
-- fatal for all.
local function read_all(search, place)
  local values, by_key, failure = {}, {}, nil
  requests.each(#search.answers, LIMIT, function(i)
    local key = native.value(search.answers[i], place.key) or ""
    if by_key[key] == nil then
      local value, err = read_values(search, place, search.answers[i])
      if err then
        failure = failure or err
        return false
      end
      by_key[key] = value or false
    end
    values[i] = by_key[key]
  end)
  return not failure and values or nil, failure
end

-- Removes the answers whose value contradicts the filter. False when some values stay unknown.
local function remove_contradicting(search, key, name, values)
  local kept, removed, proven = {}, 0, true
  for i, answer in ipairs(search.answers) do
    local matches
    if values[i] then
      matches = native.matches(key, search.query[key], values[i])
    end
    if matches == false then
      removed = removed + 1
    else
      proven = proven and matches == true
      table.insert(kept, answer)
    end
  end
  if removed > 0 then
    for i = 1, #search.answers do
      search.answers[i] = kept[i]
    end
    find_notes.add_ignored(search.notes, name, removed)
    search.changed = true
  end
  return proven
end

-- Whether it can be proven that the answers match the filter of that name.
local function prove_filter(search, name)
  for key in pairs(search.query) do
    if key == name or select(3, native.tag(key)) == name then
      local place = #search.answers <= PROOFS_MAX and place_of(search, key, name)
      local values = place and read_all(search, place)
      return values and remove_contradicting(search, key, name, values)
    end
  end
  return false
end

-- ---- a find ----

-- Completes the result of a find, which the table `result` describes (find_result_push). data, format: what find got; query: what it sent;
-- deadline: as native.now tells the time, or nil.
function find_proof.finish(result, modality, data, format, query, deadline)
  local guard <close> = query_guard.new(modality.client:query(result.id)) -- when the script does not get it
  local search = { modality = modality, data = data, format = format, query = query, deadline = deadline, level = result.level,
    answers = result.answers, notes = result.notes, seen = {}, changed = false }
  for _, answer in ipairs(search.answers) do
    search.seen[matching.value(answer, UNIQUE[search.level])] = true
  end
  local done, err = complete_lists(search)
  if not done then
    return nil, err
  end
  local unproven = {}
  for _, name in ipairs(search.notes.unproven or {}) do
    if not prove_filter(search, name) and #search.answers > 0 then
      table.insert(unproven, name)
    end
  end
  search.notes.unproven = unproven[1] and unproven or nil
  result.by_resource = result.by_resource or search.changed
  guard.query = nil
  return native.found(result)
end

return find_proof
