-- transfer.send: one transfer of one item, or of several together, by the way that source and destination need: a C-MOVE, a C-STORE by this
-- Orthanc, or a request to a peer. Nothing is compared here.
local require = ...
local arrival = require "core.arrival"
local move_target = require "core.move_target"
local moves = require "core.moves"
local native = require "core.native"
local steps = require "core.native_steps"

local send = {}

local OP <const> = "move_resources" -- under this name errors explain what a C-MOVE needs
local NO_LIMIT <const> = 1000 -- run.lua limits how many transfers run at once
local REMEMBERED <const>, LEAST_SHARE <const>, MOST_SECONDS <const> = 8, 0.8, 0.1 -- of what jobs have needed

local Send = {}
Send.__index = Send

-- `setup` as in transfer.compare.
function send.new(setup)
  local self = setmetatable({ client = setup.client, level = setup.level, destination = setup.destination, arrived_at = setup.arrived_at,
    last = { n = 0 } }, Send)
  self.is_local = setup.is_local
  local options = { max_moves = NO_LIMIT }
  if not setup.is_local then
    self.modality = setup.client:modality(setup.source.modality, options)
    self.path = ("/modalities/%s/move"):format(setup.source.modality)
  elseif setup.destination.kind == "peer" then
    self.to = setup.client:peer(setup.destination.peer.peer, options)
  else
    self.to = setup.client:modality(setup.destination.modality.modality, options)
  end
  return self
end

-- Whether several items can be sent together.
function Send:can_join()
  return not self.is_local
end

-- ---- C-MOVE ----

-- The destination's AE title, which is looked for once. nil and an error.
local function target_of(self)
  local to = self.destination
  if not self.target then
    local err
    self.target, err = move_target.find({ client = self.client, op = OP, method = "POST", path = self.path },
      { to = to.kind == "modality" and to.modality.modality or nil, TargetAet = to.aet })
    return self.target, err
  end
  return self.target
end

-- The AE title of the destination, for messages.
function Send:destination_aet()
  local target = target_of(self)
  local system = not (target and target.aet) and self.client:system()
  return target and target.aet or system and system.DicomAet or "of this Orthanc"
end

local function move(self, items, progress, latest)
  local target, err = target_of(self)
  if not target then
    return nil, err
  end
  local resources = {}
  for i, item in ipairs(items) do
    resources[i] = item.uids
  end
  local plan = moves.plan({ op = OP, modality = self.modality, level = self.level, resources = resources, path = self.path,
    options = function() return { verify = false, TargetAet = target.aet, progress = progress } end,
    send = function(options, more)
      more.together = #resources > 1
      native.set_latest(self.modality, latest)
      return native.move_one(self.modality, self.level, resources, options, more)
    end }, target, { verify = false })
  local result, failure, part = moves.submit(plan)
  if part == "part" then
    return "part"
  end
  return result, result == nil and failure or nil
end

-- ---- what this Orthanc holds ----

-- The identifier of an item at this Orthanc; false when it has none of that level; nil and an error.
function Send:identifier_of(item)
  local uid = item.uids[self.level == "Study" and "StudyInstanceUID" or "SeriesInstanceUID"]
  local found, err = self.client:post("/tools/lookup", uid)
  if found == nil then
    return nil, err
  end
  local wrong = steps.differs(found, { each = { ID = "stored identifier", Type = "text" } })
  if wrong then
    return steps.unexpected({ op = "store" }, "POST", "/tools/lookup", wrong)
  end
  for _, resource in ipairs(found) do
    if resource.Type == self.level then
      return resource.ID
    end
  end
  return false
end

local function store(self, items, progress, latest)
  local id, err = self:identifier_of(items[1])
  if id == nil then
    return nil, err
  elseif not id then
    return nil, native.fail("store", "orthanc", "gone", "this Orthanc no longer has it")
  end
  native.set_latest(self.to, latest)
  return self.to:store({ id }, { progress = progress })
end

-- ---- both ----

-- Notes how long a job has needed at least. A transfer of a run is much like those before it: while the job of most of them has not ended,
-- a poll only costs time, here and at the server. The shortest of the last ones counts, and never much time, as the next item may be
-- smaller.
-- Only the polls that have seen a job unfinished are learned from: the time of the whole transfer has the wait in it that was learned.
local function note_seconds(self)
  local last, seconds = self.last, native.take_unfinished(self.modality or self.to)
  if not seconds then
    return
  end
  last.n = last.n % REMEMBERED + 1
  last[last.n] = seconds
  if #last == REMEMBERED then
    native.set_usual(self.modality or self.to, math.min(LEAST_SHARE * math.min(table.unpack(last)), MOST_SECONDS))
  end
end

-- Transfers the items. Returns the server's result; false when the server has removed the job before its outcome was read; "part" when jobs
-- move some of the items already, so that each must be sent alone; or nil and an error. `progress`: a function, as that of move_resources.
-- `latest`: a moment of the clock of ledger:fence; a request that has not left by then never leaves, and the error has the code "late".
function Send:run(items, progress, latest)
  local result, err = (self.is_local and store or move)(self, items, progress, latest)
  if type(result) == "table" then
    note_seconds(self)
  end
  return result, err
end

-- Whether an Orthanc, or a peer, answers; false and an error.
local function has_system(server)
  local system, err = server:system()
  return system ~= nil, err
end

-- Whether a destination answers of which only the AE title is known: a modality of this server may have it. nil when none has.
local function echo_title(self)
  local place, why = arrival.destination { op = OP, client = self.client, target = self.destination.aet }
  if place and place.modality then
    return place.modality:echo()
  elseif place then
    return has_system(place.client)
  elseif native.is_error(why) then -- it is not known whether this server has it
    return false, why, "server"
  elseif self.arrived_at then
    local answers, err = has_system(self.arrived_at)
    return answers, err, "arrived_at"
  end
end

-- Whether the destination answers; false, an error, and "arrived_at" or "server" when that one is silent. nil when this server cannot
-- ask the destination.
function Send:echo_destination()
  local to = self.destination
  if to.kind == "aet" then
    return echo_title(self)
  elseif to.kind == "modality" then
    return to.modality:echo()
  end
  return has_system(to.kind == "peer" and to.peer or self.client)
end

-- The same of the source.
function Send:echo_source()
  if not self.is_local then
    return self.modality:echo()
  end
  return has_system(self.client)
end

return send
