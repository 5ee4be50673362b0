-- core.local_parts: client:find with an Orthanc before 1.12.5 that has cut a list at its LimitFindResults or LimitFindInstances. All
-- resources of the level are listed by a route that has no limit; of a query that names some by their unique key, only these are looked up.
-- Then the search is made for so few of them at a time that nothing is cut.
local require = ...
local levels = require "core.levels"
local native = require "core.native"
local steps = require "core.native_steps"

local local_parts = {}

local FOLDERS <const> = { Patient = "/patients", Study = "/studies", Series = "/series", Instance = "/instances" }
local PAGE <const> = 200  -- resources of one answer
local MOST <const> = 50   -- identifiers in one search
local RESOURCE <const> = { ID = "stored identifier", MainDicomTags = "object", PatientMainDicomTags = "object?", Series = "list?" }
local FOUND <const> = { each = { ID = "stored identifier", Type = "text" } }

-- ---- all resources of the level ----

local function get(search, path, shape)
  return steps.request(search.operation, "GET", path, "local", nil, shape)
end

-- The resources page by page: a table from identifier to resource. Nil and an error.
local function read_pages(search)
  local resources, first, page, err = {}, 0
  repeat
    page, err = get(search, ("%s?expand&since=%d&limit=%d"):format(FOLDERS[search.level], first, PAGE), { each = RESOURCE })
    for _, resource in ipairs(page or {}) do
      resources[resource.ID] = resource
    end
    first = first + PAGE
  until not page or #page < PAGE
  return page and resources, err
end

-- The list of the resources with these identifiers. known: some of them that have been read. Nil and an error.
local function read_each(search, identifiers, known)
  local list = {}
  for _, id in ipairs(identifiers) do
    local resource, err = known[id], nil
    if not resource then
      resource, err = get(search, FOLDERS[search.level] .. "/" .. id, RESOURCE)
    end
    if not resource and err.status ~= 404 then
      return nil, err
    end
    list[#list + 1] = resource
  end
  return list
end

-- A list of all resources. When one is deleted meanwhile, a page may begin behind its place: what the pages lack is asked for by itself.
local function read_all(search)
  local resources, err = read_pages(search)
  if not resources then
    return nil, err
  end
  local identifiers, failure = get(search, FOLDERS[search.level], "list of stored identifiers")
  if not identifiers then
    return nil, failure
  end
  return read_each(search, identifiers, resources)
end

-- ---- resources by their unique key ----

-- The unique keys that the query itself names: a set; nil when it names none, or gives a pattern.
local function keys_of_query(search)
  local unique, keys = native.tag(levels.UNIQUE[search.level]), nil
  for name, value in pairs(search.body.Query) do
    if native.tag(name) == unique and value:find "%S" and not value:find "[*?]" then
      keys = {}
      for key in value:gmatch "[^\\]+" do
        keys[key] = true
      end
    end
  end
  return keys
end

-- A list of the resources that have one of these keys, by a route that no limit cuts.
local function read_named(search, keys)
  local identifiers, seen = {}, {}
  for key in pairs(keys) do
    local found, err = search.operation.client:post("/tools/lookup", key)
    local wrong = found ~= nil and steps.differs(found, FOUND)
    if found == nil then
      return nil, err
    elseif wrong then
      return steps.unexpected(search.operation, "POST", "/tools/lookup", wrong)
    end
    for _, one in ipairs(found) do
      identifiers[#identifiers + 1] = one.Type == search.level and not seen[one.ID] and one.ID or nil
      seen[one.ID] = true
    end
  end
  return read_each(search, identifiers, {})
end

-- The key to ask for a resource by; nil when there is none. A backslash would divide it into two keys.
local function key_of(search, resource)
  local key = resource.MainDicomTags[levels.UNIQUE[search.level]]
  return type(key) == "string" and key:find "%S" and not key:find("\\", 1, true) and key or nil
end

-- The resources that do not contradict the query. empty: the keys of it that a resource may have no value of.
local function matching_ones(search, resources, empty)
  local rows = {}
  for i, resource in ipairs(resources) do
    rows[i] = { resource = resource }
    for _, tags in ipairs { resource.PatientMainDicomTags or {}, resource.MainDicomTags } do
      for name, value in pairs(tags) do
        rows[i][name] = value
      end
    end
  end
  native.check_answers(rows, search.body.Query, nil, {}, empty)
  for i, row in ipairs(rows) do
    rows[i] = row.resource
  end
  return rows
end

-- The resources to ask for, of which the server decides when one lacks a value; nil when one that may be meant has no key to ask by.
local function chosen_of(search, resources)
  local with, keys = {}, {}
  for _, resource in ipairs(matching_ones(search, resources)) do
    if not key_of(search, resource) then
      return nil
    end
  end
  for _, resource in ipairs(resources) do
    with[#with + 1] = key_of(search, resource) and resource or nil
  end
  for key in pairs(search.body.Query) do
    keys[#keys + 1] = key
  end
  return matching_ones(search, with, keys)
end

-- ---- groups for one search each ----

-- The resources by their unique key: a list of { keys = those that are equal to the server, n = how many resources have one, weight = how
-- many rows of the database they may fill }. Nil when these are more rows than the server gives. It makes no difference between upper and
-- lower case of a PatientID, nor of what is not ASCII.
local function by_key(search, resources, limit)
  local list, known = {}, {}
  for _, resource in ipairs(resources) do
    local key = key_of(search, resource)
    local one = known[key:upper()] or { keys = {}, n = 0, weight = 0 }
    list[#list + 1] = not known[key:upper()] and one or nil
    known[key:upper()], one.n, one.keys[one.n + 1] = one, one.n + 1, key
    one.weight = key:find "[\x80-\xff]" and limit or one.weight + (search.counted ~= search.level and #(resource.Series or {}) or 1)
  end
  for _, one in ipairs(list) do
    if one.n == 1 then -- the database is asked for one resource, and gives it once or more
      one.weight = math.min(one.weight, limit)
    elseif one.weight > limit then
      return nil
    end
  end
  return list
end

-- The lists of keys to search by.
local function divided(list, limit)
  local groups, weight = {}, math.huge
  for _, one in ipairs(list) do
    if weight + one.weight > limit or #groups[#groups] >= MOST then
      groups[#groups + 1], weight = {}, 0
    end
    local group = groups[#groups]
    table.move(one.keys, 1, #one.keys, #group + 1, group)
    weight = weight + one.weight
  end
  return groups
end

-- ---- the search ----

-- The name under which the unique key is added to the caller's query. A filter by it that the query has is written otherwise: the server
-- holds resources against both.
local function free_name(search)
  local unique = levels.UNIQUE[search.level]
  return search.body.Query[unique] and (native.tag(unique)) or unique
end

-- Adds to a list what it does not have. seen: the set of what it has.
local function add_new(list, seen, some)
  for _, found in ipairs(some) do
    local id = type(found) == "table" and found.ID or found
    list[#list + 1] = not seen[id] and found or nil
    seen[id] = true
  end
end

-- Searches for each group of keys, and adds what is found to the list. Returns true, or nil and an error.
local function ask_groups(search, ask, groups, list, seen)
  local name, query = free_name(search), {}
  for key, value in pairs(search.body.Query) do
    query[key] = value
  end
  for _, keys in ipairs(groups) do
    query[name] = table.concat(#keys == 1 and { keys[1], keys[1] } or keys, "\\") -- a list has no wildcards
    local some, err = ask(query)
    if not some then
      return nil, err
    end
    add_new(list, seen, some)
  end
  return true
end

-- Returns all that the search finds, as `ask` returns it, with what is in `first` before the rest; nil when it cannot be divided; nil and
-- an error. ask(query): one search of the server. limit: that it gives so many resources at least. first: what it gave of all.
function local_parts.find(search, ask, limit, first)
  local list, seen = {}, {}
  add_new(list, seen, first)
  if not next(search.body.Query) and not search.body.Expand then
    local identifiers, err = get(search, FOLDERS[search.level], "list of stored identifiers")
    add_new(list, seen, identifiers or {})
    return identifiers and list, err
  elseif limit == 0 then
    return nil
  end
  local named, resources, err = keys_of_query(search), nil, nil
  if named then
    resources, err = read_named(search, named)
  else
    resources, err = read_all(search)
  end
  local chosen = resources and chosen_of(search, resources)
  local keys = chosen and by_key(search, chosen, limit)
  if not keys then
    return nil, err
  end
  local done, failure = ask_groups(search, ask, divided(keys, limit), list, seen)
  return done and list, failure
end

return local_parts
