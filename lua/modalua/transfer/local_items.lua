-- transfer.local_items: the inventory of a transfer from what this Orthanc itself holds. client:find lists it completely; then each
-- resource is asked for its tags and its number of images.
local require = ...
local found_items = require "transfer.found_items"
local json = require "modalua.json"
local matching = require "core.matching"
local native = require "core.native"
local requests = require "core.requests"
local steps = require "core.native_steps"

local local_items = {}

local BATCH <const> = 200 -- resources between two commits
local LIMIT <const> = 4   -- requests at once
local FOLDER <const> = { Study = "/studies/", Series = "/series/" }

-- The tags of a resource and of the levels above, in one table.
local function tags_of(...)
  local tags = {}
  for _, resource in ipairs { ... } do
    for _, name in ipairs { "PatientMainDicomTags", "MainDicomTags", "RequestedTags" } do
      for tag, value in pairs(type(resource[name]) == "table" and resource[name] or {}) do
        tags[tag] = value
      end
    end
  end
  return tags
end

-- The item for a resource, and its tags; false when it is gone; nil and an error.
local function item_of(client, level, id, names)
  local path = FOLDER[level] .. id
  local resource, err = client:get(path, { requestedTags = level == "Study" and "ModalitiesInStudy" or nil })
  local statistics, study
  if resource then
    statistics, err = client:get(path .. "/statistics")
  end
  if statistics and level == "Series" then
    study, err = client:get(path .. "/study")
  end
  if not statistics or level == "Series" and not study then
    return err.status ~= 404 and nil, err
  end
  local tags = tags_of(study or {}, resource)
  local item = found_items.of_answer(tags, level, names)
  if item then
    item.expected, item.bytes = math.tointeger(statistics.CountInstances), math.tointeger(tonumber(statistics.DiskSize))
  end
  return item or false, tags
end

-- What there is of the identifiers, in their order: list of { item =, tags =, value = what it has under the tag }; nil and an error.
function local_items.read(client, level, identifiers, names, tag)
  local items, failure = {}, nil
  requests.each(#identifiers, LIMIT, function(i)
    local item, tags = item_of(client, level, identifiers[i], names)
    if item then
      items[i] = { item = item, tags = tags, value = tag and matching.trimmed(tags[tag] or "") }
    elseif item == nil then
      failure = tags
    end
    return not failure
  end)
  local list = {}
  for i = 1, #identifiers do
    list[#list + 1] = items[i] or nil
  end
  return not failure and list or nil, failure
end

-- The items for identifiers, with their places in the order. They are held against the query, as the remote finder does with answers.
local function items_of(order, query, ...)
  local found, err = local_items.read(...)
  if not found then
    return nil, err
  end
  local rows, items = {}, {}
  for i, one in ipairs(found) do
    rows[i], one.tags.item = one.tags, one.item
  end
  native.check_answers(rows, query or {}, nil, {})
  for i, row in ipairs(rows) do
    items[i], row.item.rank = row.item, found_items.rank(row.item, order)
  end
  return items
end

-- The identifiers behind the last one that is done.
local function list(client, level, query, last)
  local all, err
  if matching.has_filter(query or {}) then
    all, err = client:find { Level = level, Query = query }
  else -- this list has no limit: LimitFindResults is one of searches
    all, err = client:get((FOLDER[level]:sub(1, -2)))
  end
  local wrong = all and steps.differs(all, { each = "word" })
  if wrong then
    return steps.unexpected({ op = "transfer" }, "GET", FOLDER[level]:sub(1, -2), wrong)
  elseif not all then
    return nil, err
  end
  table.sort(all)
  local rest = {}
  for _, id in ipairs(all) do
    rest[#rest + 1] = id > last and id or nil
  end
  return rest, all
end

-- options: those of transfer.slices.find. Returns { complete =, unproven = 0 } | nil, err.
function local_items.find(options)
  local L, level = options.ledger, options.level
  local info, err = L:describe()
  if not info then
    return nil, err
  end
  local last = info.cursor and json.decode(info.cursor).last or ""
  local identifiers
  identifiers, err = list(options.client, level, options.query, last)
  if not identifiers then
    return nil, err
  end
  for first = 1, math.max(#identifiers, 1), BATCH do
    if options.stop() then
      return { complete = false, unproven = 0 }
    end
    local batch = table.move(identifiers, first, math.min(first + BATCH - 1, #identifiers), 1, {})
    local items
    items, err = items_of(options.order or info.settings.order, options.query, options.client, level, batch, options.names)
    if not items then
      return nil, err
    end
    local slice = { kind = "local", answers = #items, finds = first == 1 and 1 or 0, proof = "index" }
    local added, failure = L:add_items(items, { cursor = json.encode { last = batch[#batch] or last }, slice = slice })
    if not added then
      return nil, failure
    end
    slice.event = "slice"
    options.tell(slice)
  end
  return { complete = true, unproven = 0 }
end

return local_items
