-- core.arrival: looks at the destination of a transfer. What a server or a modality calls a success is no proof that anything has
-- arrived: modalities report success for what they do not have, and for what the destination did not take.
--
-- `data` describes the transfer: op, client, modality, level and resources (or ids, of a store), deadline, job, result; target = the AE
-- title of the destination or nil for this Orthanc, and to = the name of a modality when the caller gave one; believed = nothing is
-- looked at; found_nothing = the find of this client had no answers either; joined = another call started the job, which may move more.
--
-- An item is one resource: { level =, keys =, doubt = why the server's success is no proof at all, or nil }. Without a doubt the numbers of
-- instances at the source and at the destination are compared, in one question for many resources; with one, each instance is.
-- arrival.examine sets item.state:
--   "arrived"    item.n = the number of its instances, where that is known
--   "missing"    item.missing = the SOPInstanceUIDs that are not there, or nil when none of item.n is there
--   "absent"     the source does not have it
--   "unchecked"  item.why = what prevented the check
--   "unproven"   item.why = what the check has shown: it is not known whether all is there
local require = ...
local holdings = require "core.holdings"
local levels = require "core.levels"
local native = require "core.native"
local steps = require "core.native_steps"

local arrival = {}

local UNIQUE = levels.UNIQUE

-- A reason is an error object or a string.
local function reason_text(reason)
  return type(reason) == "table" and reason.message or tostring(reason)
end
arrival.reason_text = reason_text

local function transfer_error(data, kind, code, message)
  local err = native.fail(data.called or data.op, kind, code, message)
  err.job, err.result, err.path, err.method = data.job, data.result or nil, data.path, "POST"
  return err
end

-- ---- the destination ----

local function address_of(settings)
  return ("%s:%s"):format(settings.Host, settings.Port)
end

-- The name of the modality with that AE title; nil and the reason when there is none, or two at different places.
local function name_of(modalities, aet)
  local address, name
  for other, settings in pairs(modalities) do
    if settings.AET == aet then
      if address and address ~= address_of(settings) then
        return nil, ("two modalities, at %s and at %s, have the AE title %s"):format(address, address_of(settings), aet)
      end
      address, name = address_of(settings), other
    end
  end
  if name and not native.is_name(name) then
    return nil, ("modalua cannot use the name of the modality %s, which has the AE title %s"):format(native.said(name), aet)
  end
  return name, ("this server knows no modality with the AE title %s"):format(aet)
end

-- Returns the place that a transfer goes to; nil and the reason when it cannot be asked: an error when this server has not answered.
function arrival.destination(data)
  local client, aet = data.client, data.target
  if data.op == "store" then
    local body = data.body
    if data.peer then
      return nil, "this server cannot ask a peer which instances it has"
    elseif body.CalledAet or body.Host or body.Port then
      return nil, "CalledAet, Host or Port led to another place than the modality, and that place cannot be asked"
    end
    return holdings.modality(data.modality)
  end
  if not aet then
    return holdings.here(client)
  end
  local system, err = client:system()
  if system and system.DicomAet == aet then
    return holdings.here(client)
  elseif data.to then
    return holdings.modality(client:modality(data.to))
  elseif not system then
    return nil, err
  end
  local modalities, failure = client:modalities { expand = true }
  if not modalities then
    return nil, failure
  end
  local name, why = name_of(modalities, aet)
  return name and holdings.modality(client:modality(name)), why
end

-- ---- comparing numbers ----

-- Sets item[field] to what the place has of each item, as holdings.count tells: nil where it cannot be asked.
local function count(place, data, items, field)
  local by_level = {}
  for _, item in ipairs(items) do
    by_level[item.level] = by_level[item.level] or {}
    table.insert(by_level[item.level], item)
  end
  for level, some in pairs(by_level) do
    local list = {}
    for i, item in ipairs(some) do
      list[i] = item.keys
    end
    local numbers = holdings.count(place, data, level, list)
    for i, item in ipairs(some) do
      item[field] = numbers and numbers[i]
    end
  end
end

-- Sets the state of an item as the numbers show it. Leaves it open when each instance has to be looked at.
local function judge(item, source, target)
  local sent, held = item.sent, item.held
  if not target.place or target.place.fault then
    item.state, item.why = sent == false and "absent" or "unchecked", target.place and target.place.fault or target.why
  elseif sent == false and held == false then
    item.state = "absent"
  elseif sent == false then
    item.state, item.why = "unproven", "the modality does not have it (any more), so nothing can be compared"
  elseif sent == nil and held == false then
    item.state = "missing"
  elseif sent == nil then
    item.state, item.why = "unchecked", source.fault
  elseif math.type(sent) and math.type(held) and held >= sent then
    item.state, item.n = "arrived", sent
  elseif math.type(sent) and not held then
    item.state, item.n = "missing", sent
  end
end

-- Some modalities report success before their last instances have arrived, so a comparison that finds a gap is repeated. An Orthanc that
-- fetches with C-GET has what it has.
local ATTEMPTS, SECONDS_BETWEEN = 3, 0.5

local function attempts_of(data)
  return data.op == "get" and 1 or ATTEMPTS
end

-- Whether more of the item may still be on its way.
local function is_late(item)
  return item.state == "missing" or item.state == nil and item.held ~= true
end

-- Compares the numbers of the items; those that it leaves open have no state.
local function compare_numbers(data, items, source, target)
  count(source, data, items, "sent")
  local late = items
  for attempt = 1, attempts_of(data) do
    if target.place then
      count(target.place, data, late, "held")
    end
    local still = {}
    for _, item in ipairs(late) do
      item.state = nil
      judge(item, source, target)
      if is_late(item) then
        still[#still + 1], item.waited = item, true
      end
    end
    late = still
    if #late == 0 or attempt == attempts_of(data) then
      return
    end
    native.sleep(SECONDS_BETWEEN)
  end
end

-- ---- comparing instances ----

local LISTED_MAX = 10 -- so many resources of which nothing has arrived get the list of their instances; it costs C-FINDs for each

-- As holdings.instances. A place says how many instances a series has where that is asked for: in a list of series.
local function instances_at(place, data, item)
  local held, why = holdings.instances(place, data, item.level, item.keys)
  if held and item.level == "Series" and place.modality then
    local numbers = holdings.count(place, data, "Series", { item.keys })
    held.said = math.max(held.said, numbers and math.type(numbers[1]) and numbers[1] or 0)
  end
  return held, why
end

-- Sets item.expected to the instances that the source has. Returns true; or sets the state of the item.
local function expect(data, item, source)
  if item.expected then
    return true
  end
  local held, why = instances_at(source, data, item)
  if not held then
    item.state, item.why = "unchecked", why
  elseif held.n == 0 and not item.doubt then
    item.state = "absent"
  elseif held.n == 0 then
    item.state, item.why = "unchecked", ("the source lists no instance of %s"):format(item.keys[UNIQUE[item.level]])
  else
    item.expected, item.n = held.uids, held.n
    item.said = math.max(held.said, math.type(item.sent) and item.sent or 0)
    return true
  end
end

local function missing_of(item, held)
  local missing = {}
  for uid, keys in pairs(item.expected) do
    if not held.uids[uid] then
      missing[#missing + 1] = { SOPInstanceUID = uid, StudyInstanceUID = keys.StudyInstanceUID, SeriesInstanceUID = keys.SeriesInstanceUID }
    end
  end
  return missing
end

-- Compares each instance of an item, and sets its state. `target`: { place =, why = why there is none }.
function arrival.compare_instances(data, item, source, target)
  if not target.place then
    item.state, item.why = "unchecked", target.why
    return
  elseif not expect(data, item, source) then
    return
  end
  local held, why = instances_at(target.place, data, item)
  if not held then
    item.state, item.why = "unchecked", why
    return
  end
  local missing = missing_of(item, held)
  if #missing > 0 and held.said > held.n then -- it has cut its list
    holdings.find_more(target.place, data, missing, held)
    missing = missing_of(item, held)
  end
  item.state = #missing > 0 and "missing" or "arrived"
  item.missing = {}
  for i, keys in ipairs(missing) do
    item.missing[i] = keys.SOPInstanceUID
  end
  if #missing == 0 and item.said > item.n and held.said < item.said then
    item.state, item.why = "unproven", ("the source lists only %d of its %d instances"):format(item.n, item.said)
  end
end

local function compare_all_instances(data, items, source, target)
  for attempt = 1, attempts_of(data) do
    local still = {}
    for _, item in ipairs(items) do
      arrival.compare_instances(data, item, source, target)
      if item.state == "missing" and not item.waited then
        still[#still + 1] = item
      end
    end
    items = still
    if #items == 0 or attempt == attempts_of(data) then
      return
    end
    native.sleep(SECONDS_BETWEEN)
  end
end

-- ---- the items ----

function arrival.examine(data, items)
  local place, why = arrival.destination(data)
  local source, target = data.modality and holdings.modality(data.modality), { place = place, why = why }
  local numbers, instances, empty = {}, {}, 0
  for _, item in ipairs(items) do
    if not item.doubt then
      numbers[#numbers + 1] = item
    end
  end
  compare_numbers(data, numbers, source, target)
  for _, item in ipairs(items) do
    if item.state == "missing" and item.n then
      empty = empty + 1
    end
    if not item.state or item.state == "missing" and item.n and empty <= LISTED_MAX then
      instances[#instances + 1] = item
    end
  end
  compare_all_instances(data, instances, source, target)
end

-- The items of a transfer of data.resources.
function arrival.items(data, doubt)
  local items = {}
  for i, keys in ipairs(data.resources) do
    items[i] = { level = data.level, keys = keys, doubt = doubt }
  end
  return items
end

local function of_state(items, state)
  local some = {}
  for _, item in ipairs(items) do
    if item.state == state then
      some[#some + 1] = item
    end
  end
  return some, some[1]
end

local function uid_of(item)
  return item.keys[UNIQUE[item.level]]
end

local function fail_incomplete(data, items, some, reason)
  local missing, n, listed = {}, 0, true
  for _, item in ipairs(items) do
    n = n + (item.n or 0)
    listed = listed and item.n ~= nil
  end
  for _, item in ipairs(some) do
    listed = listed and item.missing ~= nil
    table.move(item.missing or {}, 1, #(item.missing or {}), #missing + 1, missing)
  end
  local what = ("%d of %d resources have not arrived, or not all of their instances; the first of them is %s"):format(#some, #items,
    uid_of(some[1]))
  if listed then
    what = ("%d of %d instances have not arrived"):format(#missing, n)
  elseif #items == 1 then
    what = "nothing of it has arrived"
  end
  local err = transfer_error(data, "dicom", "incomplete", ("%s (%s)"):format(what, reason))
  err.missing = #missing > 0 and missing or nil
  return nil, err
end

local BELIEVED = "the server reports success; verify = false would have believed it"

-- Returns the result of the transfer of these items, or nil and an error, after arrival.examine. `reason`: why the server's success is no
-- proof, or nil.
function arrival.conclude(data, items, reason)
  local missing, unproven, unchecked = of_state(items, "missing"), of_state(items, "unproven"), of_state(items, "unchecked")
  local absent, first = of_state(items, "absent")
  if #missing > 0 then
    return fail_incomplete(data, items, missing, reason or BELIEVED)
  elseif #absent > 0 then
    return nil, transfer_error(data, "dicom", "not_found", #items == 1
      and "the modality reports success, but it does not have this resource: nothing was moved"
      or ("the modality reports success, but it does not have %d of %d resources; the first of them is %s"):format(#absent, #items,
        uid_of(first)))
  elseif #unproven > 0 or reason and #unchecked > 0 then
    local why = reason_text((unproven[1] or unchecked[1]).why)
    return nil, transfer_error(data, "unknown", "unproven", unproven[1]
      and ("it is unknown whether everything arrived: %s"):format(why)
      or ("it is unknown whether everything arrived: %s, and modalua cannot check it: %s"):format(reason, why))
  end
  local n = 0
  for _, item in ipairs(items) do
    n = n + (item.n or 0)
  end
  local result = data.result or { Description = "verified by modalua: " .. tostring(reason), InstancesCount = n }
  result.verified = #unchecked == 0
  result.unverified = unchecked[1] and reason_text(unchecked[1].why)
  return result
end

-- Whether the server says that the transfer was one of nothing, and nothing contradicts that.
local function is_of_nothing(data, reason)
  return data.result and steps.differs(data.result.Query, "list") == nil and #data.result.Query == 0
    and (not reason or data.found_nothing)
end

-- Adds an item for what cannot be compared because it is not known. A comparison of nothing proves nothing.
local function add_unknown(data, items, reason)
  local query = data.result and data.result.Query
  local asked = type(query) == "table" and #query or 0
  if #items == 0 and not is_of_nothing(data, reason) then
    items[1] = { state = "unproven", why = "the list of what was to be moved is empty, so nothing can be compared" }
  elseif asked > #items and not data.joined then
    items[#items + 1] = { state = "unchecked", why = ("the server moved %d resources, and listed only %d of them before"):format(asked,
      #items) }
  end
end

-- The items of a transfer of data.resources, after arrival.examine.
function arrival.examined(data, doubt)
  local items = arrival.items(data, doubt)
  arrival.examine(data, items)
  add_unknown(data, items, doubt)
  return items
end

-- Examines the resources of a transfer, and returns its result, or nil and an error.
function arrival.verify(data, reason)
  return arrival.conclude(data, arrival.examined(data, reason), reason)
end

-- ---- failures that are none ----

-- Texts of Orthanc about an association that was not made, so that no C-MOVE can have gone out.
local NEVER_SENT = { "TCP Initialization Error", "Association Rejected", "unknown host", "network read timeout", "No presentation context" }
local WARNING, NETWORK = 0xB000, 9 -- a DIMSE status; an OrthancStatus

-- Whether the error leaves it open what has arrived: a warning (also of a destination that only coerces values), or an association that
-- broke off. Returns why.
function arrival.doubt_of(err)
  if err.dimse_status == WARNING then
    return "the modality's warning 0xB000 says that some of it failed, or was changed"
  elseif err.orthanc_status ~= NETWORK or (err.dimse_status or 0) > 0 then
    return nil
  end
  local text = tostring(err.details or err.message)
  for _, part in ipairs(NEVER_SENT) do
    if text:find(part, 1, true) then
      return nil
    end
  end
  return "the association with the modality broke off"
end

-- It is not known what has arrived. `why`: what prevented the check.
function arrival.set_unproven(err, why)
  err.kind, err.code = "unknown", "unproven"
  err.message = ("it is unknown whether everything arrived: %s; modalua cannot check it: %s"):format(err.message, reason_text(why))
end

-- Decides, after arrival.examine, about an item whose transfer failed with such an error: returns a result or nil and an error.
function arrival.settle(data, items, err, doubt)
  local first = items[1]
  if #of_state(items, "arrived") == #items and first then
    data.result = err.result or nil
    return arrival.conclude(data, items, doubt)
  end
  local missing = {}
  for _, item in ipairs(items) do
    table.move(item.missing or {}, 1, #(item.missing or {}), #missing + 1, missing)
  end
  if #missing > 0 then
    err.missing = missing
  elseif err.dimse_status ~= WARNING and #of_state(items, "missing") == 0 then
    local why = (of_state(items, "unchecked")[1] or of_state(items, "unproven")[1] or {}).why
    arrival.set_unproven(err, why)
  end
  return nil, err
end

-- ---- stores ----

-- Asks this Orthanc about what it was to send. `shape`: of the answer (src/request/shape.h).
local function ask(data, method, path, body, shape)
  return steps.request({ client = data.client, op = data.called or data.op, method = method, path = path }, method, path, "local", body,
    shape)
end

local INSTANCE <const> = { ParentSeries = "word", MainDicomTags = { SOPInstanceUID = "text" } }
local SERIES <const> = { ParentStudy = "word", MainDicomTags = { SeriesInstanceUID = "text" } }
local STUDY <const> = { MainDicomTags = { StudyInstanceUID = "text" } }
local INSTANCE_ROUTES <const> = { "/studies/%s/instances", "/series/%s/instances", "/instances/%s", "/patients/%s/instances" }

-- The instances of a resource of any level, as Orthanc describes them; nil and the reason on failure. There is at least one: Orthanc has no
-- resource without an instance. To an identifier of another level 1.10.1 answers 400, or with an empty list.
local function instances_of_id(data, id)
  for _, route in ipairs(INSTANCE_ROUTES) do
    local one = route == "/instances/%s"
    local found, err = ask(data, "GET", route:format(id), nil, one and INSTANCE or { each = INSTANCE })
    if found and (one or found[1]) then
      return one and { found } or found
    elseif err and err.status ~= 404 and err.status ~= 400 then
      return nil, err
    end
  end
  return nil, "this Orthanc lists no instance of the resource " .. id
end

-- The series that an instance belongs to, as an item without instances; nil and the reason on failure.
local function item_of_series(data, id, doubt)
  local series, err = ask(data, "GET", "/series/" .. id, nil, SERIES)
  local study, failure
  if series then
    study, failure = ask(data, "GET", "/studies/" .. series.ParentStudy, nil, STUDY)
  end
  if not study then
    failure = failure or err
    return nil, failure.status == 404 and ("this Orthanc does not have the series %s any more"):format(id) or failure
  end
  return { level = "Series", expected = {}, n = 0, said = 0, doubt = doubt,
    keys = { StudyInstanceUID = study.MainDicomTags.StudyInstanceUID, SeriesInstanceUID = series.MainDicomTags.SeriesInstanceUID } }
end

-- The series that a store was asked to send, as items with the instances that are expected; nil and the reason on failure.
local function items_of_store(data, doubt)
  local items, by_series = {}, {}
  for _, id in ipairs(data.resources) do
    local instances, err = instances_of_id(data, id)
    if not instances then
      return nil, err
    end
    for _, instance in ipairs(instances) do
      local item = by_series[instance.ParentSeries]
      if not item then
        local failure
        item, failure = item_of_series(data, instance.ParentSeries, doubt)
        if not item then
          return nil, failure
        end
        by_series[instance.ParentSeries] = item
        items[#items + 1] = item
      end
      local uid = instance.MainDicomTags.SOPInstanceUID
      item.n = item.n + (item.expected[uid] and 0 or 1)
      item.expected[uid] = item.keys
    end
  end
  return items
end

local function verify_store(data, reason)
  local place, why = arrival.destination(data)
  local items
  if place then
    items, why = items_of_store(data, reason)
  end
  if not items then
    items = { { state = "unchecked", why = why } }
  else
    arrival.examine(data, items)
  end
  return arrival.conclude(data, items, reason)
end

-- Orthanc 1.12.7 refuses a store with an unknown identifier. 1.13.0 skips it without an error when it knows another one.
local SKIPS <const> = "1.12.8"

-- Whether the server may have skipped identifiers of a store. A server that does not tell its version may.
local function may_have_skipped(data)
  return #data.resources > 1 and (data.result.Resources ~= nil
    or steps.at_least({ client = data.client, op = data.called or data.op, method = "GET", path = "/system" }, SKIPS) ~= false)
end

local function fail_unproven(data, why)
  return nil, transfer_error(data, "unknown", "unproven",
    "it is unknown whether the server had every resource and sent it: " .. reason_text(why))
end

local function check_none_skipped(data)
  local known, err = ask(data, "POST", "/tools/bulk-content", { Resources = data.resources, Short = true },
    { each = { ID = "stored identifier" } })
  if not known then
    return fail_unproven(data, err)
  elseif #known == 0 then -- it has sent at least one of them
    return fail_unproven(data, "it lists none of them")
  end
  local is_known = {}
  for _, resource in ipairs(known) do
    is_known[resource.ID] = true
  end
  for _, id in ipairs(data.resources) do
    if not is_known[id] then
      return nil, transfer_error(data, "orthanc", "not_found", ("this Orthanc has no resource %s; the others were sent"):format(id))
    end
  end
  return data.result
end

-- Returns what a get or a store, or the wait for any transfer, returns to the script. `reason`: why the server's success is no proof, or
-- nil.
function arrival.resolve(data, reason)
  if data.op ~= "store" then
    data.target = data.target or data.body.TargetAet
    if not reason and data.believed then
      data.result.verified = false
      return data.result
    end
    return arrival.verify(data, reason)
  elseif reason then
    return verify_store(data, reason)
  elseif may_have_skipped(data) then
    return check_none_skipped(data)
  end
  return data.result
end

return arrival
