-- transfer.compare: what the destination of a transfer has of items, and what the source has. An item is a row of the ledger, with `uids`.
--
-- One C-FIND asks for 50 studies (core.holdings), or as many as it is called with at the end. Whether a place knows such lists is seen from
-- its first answers: until then run.lua asks for few items at a time.
local require = ...
local arrival = require "core.arrival"
local holdings = require "core.holdings"
local native = require "core.native"
local steps = require "core.native_steps"

local compare = {}

local ROUTES <const> = { Study = "studies", Series = "series" }
local OP <const> = "transfer"

local Compare = {}
Compare.__index = Compare

-- ---- places ----

-- The place where the destination can be asked; nil and the reason.
local function destination_place(setup)
  local to = setup.destination
  if setup.arrived_at then
    return holdings.here(setup.arrived_at)
  elseif to.kind == "client" then
    return holdings.here(setup.client)
  elseif to.kind == "modality" then
    return holdings.modality(to.modality)
  elseif to.kind == "peer" then
    return nil, "this server cannot ask a peer which instances it has: give arrived_at, or verify = \"job\""
  end
  return arrival.destination { op = OP, client = setup.client, target = to.aet }
end

-- `setup`: { client =, source = a Modality or the Client itself, is_local = the source is the Client, destination =, arrived_at =,
-- level = }.
function compare.new(setup)
  local self = setmetatable({ client = setup.client, level = setup.level, arrived_at = setup.arrived_at }, Compare)
  self.source = setup.is_local and holdings.here(setup.client) or holdings.modality(setup.source)
  self.target, self.why = destination_place(setup)
  return self
end

-- Whether it is still open if the destination knows lists of UIDs.
function Compare:is_probing()
  return self.target ~= nil and self.target.modality ~= nil and self.target.knows_lists == nil
end

local function as_error(reason)
  return native.is_error(reason) and reason or native.fail(OP, "decode", nil, tostring(reason))
end

local function keys_of(items)
  local list = {}
  for i, item in ipairs(items) do
    list[i] = item.uids
  end
  return list
end

-- Items were asked for as a list, and then one by one when the place found none so.
local function note_lists(place, found)
  if found > 1 and place.knows_lists == nil then
    place.knows_lists = false -- it had several of them, and did not find them by a list
  end
end

-- The side of a place, for transfer.send_items: "arrived_at" is another server than that which sends.
local function side_of(self, place)
  return place == self.source and "from" or self.arrived_at and "arrived_at" or "to"
end

-- The number of instances of each item at a place: 0 where it has none of it. nil, an error and the side. most: how many are asked for
-- together.
local function count(self, place, items, most)
  place.fault = nil -- it may answer again
  local numbers, reason = holdings.count(place, { uids_per_list = most }, self.level, keys_of(items))
  local found = 0
  for i, item in ipairs(numbers and items or {}) do
    if numbers[i] == true then -- it is there, and the place gives no number
      local held
      held, reason = holdings.instances(place, {}, self.level, item.uids)
      if not held then
        return nil, as_error(reason), side_of(self, place)
      end
      numbers[i] = held.said
    end
    found = found + (numbers[i] and 1 or 0)
    numbers[i] = numbers[i] or 0
  end
  note_lists(place, found)
  if not numbers then
    return nil, as_error(reason), side_of(self, place)
  end
  return numbers
end

-- Sets item.expected to what the source has, of the items that have none, or with `again` of all. An item that the source does not have
-- gets `absent`. Returns true; or nil, an error and the side.
function Compare:expect(items, again)
  local open = {}
  for _, item in ipairs(items) do
    open[#open + 1] = (again or not item.expected) and item or nil
  end
  if #open == 0 then
    return true
  end
  local numbers, err, side = count(self, self.source, open)
  for i, item in ipairs(numbers and open or {}) do
    item.absent = numbers[i] == 0
    item.expected = not item.absent and numbers[i] or item.expected
  end
  return numbers and true, err, side
end

-- Sets item.held to what the destination has. Returns true; or nil, an error and the side. most: how many are asked for together.
function Compare:look(items, most)
  local numbers, err, side = count(self, self.target, items, most)
  for i, item in ipairs(numbers and items or {}) do
    item.held = numbers[i]
  end
  return numbers and true, err, side
end

-- Sets item.now to the number that the source has at this moment, where one question about all of them tells it. Returns true; false when
-- the source can never be asked so; or nil and an error when it did not answer. most: how many are asked for together.
function Compare:look_at_source(items, most)
  local source = self.source
  if source.knows_lists == false then
    return false -- one question for each would take too long
  end
  source.fault = nil
  local numbers, reason = holdings.count(source, { uids_per_list = most }, self.level, keys_of(items))
  local found, told = 0, 0
  for i, item in ipairs(numbers and items or {}) do
    item.now = math.type(numbers[i]) and numbers[i] or nil
    found, told = found + (numbers[i] and 1 or 0), told + (item.now and 1 or 0)
  end
  note_lists(source, found)
  if not numbers then
    return nil, as_error(reason)
  end
  return told > 0 or found == 0
end

-- ---- verdicts ----

-- Compares the instances of an item by their UIDs: sets item.verdict. Returns true; or nil, an error and the side.
local function compare_uids(self, item)
  local one = { level = self.level, keys = item.uids }
  self.source.fault, self.target.fault = nil, nil
  arrival.compare_instances({}, one, self.source, { place = self.target })
  if one.state == "arrived" then
    item.verdict, item.expected, item.held = "full", one.n, math.max(item.held, one.n)
  elseif one.state == "missing" then
    item.verdict, item.expected, item.held = "short", one.n, one.n - #one.missing
  elseif one.state == "absent" then
    item.verdict = "gone" -- nothing is left with which it could be compared
  else
    return nil, as_error(one.why), side_of(self, self.target.fault and self.target or self.source)
  end
  return true
end

-- Whether the source has instances of an item that the destination lacks. nil, an error and the side.
function Compare:has_grown(item)
  local good, err, side = compare_uids(self, item)
  return good and item.verdict == "short", err, side
end

local function judge(item)
  local is_full = item.held > 0 and item.expected and item.held >= item.expected
  item.verdict = is_full and "full" or item.absent and "gone" or "short"
end

-- What is special about an item that is complete; nil when nothing is.
local function note_of(item)
  if item.held > item.expected then
    return ("the destination has more: %d of %d instances"):format(item.held, item.expected)
  end
end

-- The error of an item with the verdict "gone".
function compare.gone(item)
  local message = "neither the source nor the destination has it"
  if item.held > 0 then
    message = ("the source no longer has it, and the destination has %d of %s instances"):format(item.held,
      item.expected or "an unknown number of")
  end
  return native.fail(OP, "dicom", "gone", message)
end

-- The bytes of an item at an Orthanc that can be asked over REST; nil when they are not known.
local function bytes_of(self, item)
  local uid = item.uids[self.level == "Study" and "StudyInstanceUID" or "SeriesInstanceUID"]
  local found = self.target.client:post("/tools/lookup", uid)
  for _, resource in ipairs(steps.differs(found, { each = { ID = "word", Type = "text" } }) == nil and found or {}) do
    if resource.Type == self.level then
      local statistics = self.target.client:get(("/%s/%s/statistics"):format(ROUTES[self.level], resource.ID))
      return statistics and math.tointeger(tonumber(statistics.DiskSize))
    end
  end
end

-- Sets item.bytes where an Orthanc has received the item that can be asked over REST.
function Compare:read_bytes(item)
  if not item.bytes and self.target and not self.target.modality then
    item.bytes = bytes_of(self, item)
  end
end

-- Looks at items that may have arrived. Sets item.verdict to "full", "short", or "gone" (something is missing, and the source no longer has
-- the item), with item.held, and item.note and item.bytes where there is something to say. Returns true; or nil, an error and the side.
function Compare:after(items, verify)
  local good, err, side = self:look(items)
  if not good then
    return nil, err, side
  end
  local short = {}
  for _, item in ipairs(items) do
    item.absent = nil
    judge(item)
    short[#short + 1] = item.verdict == "short" and item or nil
  end
  good, err, side = self:expect(short, true) -- a study may have grown or shrunk since it was found
  if not good then
    return nil, err, side
  end
  for _, item in ipairs(items) do
    judge(item)
    if item.verdict == "full" and verify == "uids" then
      good, err, side = compare_uids(self, item)
    end
    if not good then
      return nil, err, side
    end
    item.note = item.verdict == "full" and note_of(item) or nil
    if item.verdict == "full" then
      self:read_bytes(item)
    end
  end
  return true
end

-- Looks at items that have not been sent. Sets item.verdict to "full" for those that the destination has. Returns true; or nil, an error
-- and the side.
function Compare:before(items, verify)
  local good, err, side = self:look(items)
  if not good then
    return nil, err, side
  end
  local there = {}
  for _, item in ipairs(items) do
    item.verdict = "short"
    there[#there + 1] = item.held > 0 and item or nil
  end
  if #there == 0 then
    return true
  end
  return self:after(there, verify)
end

return compare
