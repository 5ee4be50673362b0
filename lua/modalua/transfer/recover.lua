-- transfer.recover: items that may have been sent, or may still be under way: those of a worker that died, and those of a transfer from
-- which no answer came.
--
-- The order decides whether something is sent twice: first the jobs of the server that name the item are waited for; then the destination
-- is compared; and only what it does not have is sent. Where the jobs cannot be known (before 1.11.1 a C-MOVE is no job; the other worker
-- used another server), two comparisons must agree that are ten seconds apart.
local require = ...
local breaker = require "transfer.breaker"
local native = require "core.native"
local points = require "transfer.points"
local running_jobs = require "core.running_jobs"
local steps = require "core.native_steps"

local recover = {}

local MOVE_JOBS <const> = "1.11.1" -- from here on a C-MOVE of resources is a job
local POLL_SECONDS <const>, AGREE_SECONDS <const> = 0.5, 10
local CLOCK_SECONDS <const> = 60 -- a server's clock may be so much behind that of the ledger
local NO_LIST <const> = { [403] = true, [404] = true, [405] = true } -- HTTP statuses with which a server hides its jobs

-- Whether the server's list of jobs shows everything that could be moving this item. nil and an error.
local function jobs_tell(self, item)
  if item.recovered_from and item.recovered_from.server ~= self.server then
    return false
  elseif self.is_local then
    return true
  end
  return steps.at_least({ client = self.client, op = "transfer", method = "GET", path = "/jobs" }, MOVE_JOBS)
end

-- Whether one of these jobs, which has not ended, sends the item. nil and an error.
local function has_job(self, jobs, item)
  if not self.is_local then
    return running_jobs.of_resources(jobs, { level = self.level, resources = { item.uids }, ignored = {} }) ~= nil
  end
  local id, err = self.send:identifier_of(item)
  if id == nil then
    return nil, err
  end
  return id and running_jobs.has_store(jobs, id)
end

-- The items without a job; nil and an error. `waiting`: gets the others.
local function without_job(self, items, waiting)
  local jobs, err = self.client:jobs { expand = true }
  local hidden = not jobs and NO_LIST[err.status]
  if not jobs and not hidden then
    return nil, err
  end
  local free = {}
  for _, item in ipairs(items) do
    local busy, failure = has_job(self, jobs or {}, item)
    if busy == nil then
      return nil, failure
    elseif hidden then
      item.tells = false
    elseif item.tells == nil then
      item.tells, failure = jobs_tell(self, item)
      if item.tells == nil then
        return nil, failure
      end
    end
    item.had_job = item.had_job or busy
    local list = busy and waiting or free
    list[#list + 1] = item
  end
  return free
end

-- Neither a job nor the destination has it: it is sent.
local function again(self, item)
  if item.state == "sending" then
    self:offer(item)
  else
    self:change(item, "todo", { due = 0, reason = item.reason, message = item.message })
  end
end

-- The destination has less than all of an item that no job moves. Returns whether another comparison must follow.
local function on_short(self, item)
  local now = native.now()
  if item.had_job then -- what the job has sent may arrive a little later
    self:sent(item)
  elseif item.tells and item.held == 0 then
    again(self, item)
  elseif item.held_before == item.held and now - item.held_since >= points.seconds(AGREE_SECONDS) then
    again(self, item)
  else
    if item.held_before ~= item.held then
      item.held_before, item.held_since = item.held, now
    end
    return true
  end
end

-- The verdicts of transfer.compare. `waiting`: gets the items that are compared again.
local function decide(self, items, waiting)
  for _, item in ipairs(items) do
    if item.state == "sending" and (item.verdict ~= "short" or item.had_job) then
      self:change(item, "sent")
    end
  end
  self:flush()
  for _, item in ipairs(self:conclude(items)) do
    if on_short(self, item) then
      waiting[#waiting + 1] = item
    end
  end
end

-- ---- where nothing can be compared ----

-- The configuration of a modality among all of them; nil when another one has the same AE title, since jobs do not tell them apart.
local function single_entry(modalities, name)
  local entry = modalities and modalities[name]
  for other, settings in pairs(entry and modalities or {}) do
    if other ~= name and settings.AET == entry.AET then
      return nil
    end
  end
  return entry
end

-- The AE titles of the source and of the destination, as jobs have them; nil when they do not tell which modality it was.
local function titles_of(self)
  local source = single_entry(self.client:modalities { expand = true }, self.source.modality)
  return source and source.AET, self.send:destination_aet()
end

-- Since when a job can be that of the item, as Orthanc writes times; nil when that is not known. The server's clock may be slow.
local function since_of(item)
  local ms = item.started or item.recovered_from and item.recovered_from.started
  return ms and os.date("!%Y%m%dT%H%M%S", ms // 1000 - CLOCK_SECONDS)
end

-- Where this Orthanc itself sends to, as its jobs have it: { aet = } | { url = }; nil when they do not tell which place it was.
local function target_of_stores(self)
  local to = self.destination
  if to.kind == "modality" then
    local entry = single_entry(self.client:modalities { expand = true }, to.modality.modality)
    return entry and { aet = entry.AET }
  end
  local entry = to.kind == "peer" and to.peer:configuration()
  return entry and type(entry.Url) == "string" and { url = entry.Url:gsub("/+$", "") } or nil
end

-- Returns a function that gets the server's jobs, an item and the time since when a job can be that of the item, and returns the ID of the
-- ended job; nil when jobs do not tell their sides.
local function finder_of_jobs(self)
  local source, target
  if self.is_local then
    target = target_of_stores(self)
    return target and function(jobs, item, since)
      local id = self.send:identifier_of(item)
      return id and running_jobs.ended_store(jobs, id, target, since) or nil
    end
  end
  source, target = titles_of(self)
  return source and function(jobs, item, since)
    return running_jobs.ended_move(jobs, { level = self.level, resources = { item.uids } }, source, target, since)
  end
end

-- The server keeps jobs that have ended (JobsHistorySize). Ends an item by what its job said. Returns whether there was one.
local function ask_job(self, item, jobs, find)
  local since = since_of(item)
  local id = since and find(jobs, item, since)
  if not id then
    return false
  end
  local result, err = self.client:job(id):wait()
  if not result and not (err.code == "unproven" and err.result and not err.orthanc_status) then
    local class = breaker.class_of(err)
    if class == "item" then
      self:fail(item, err)
    elseif class == "side" or class == "undecided" then
      self:postpone(item, err)
    end
    return class ~= "doubt" and class ~= "stop"
  end
  if item.state == "sending" then
    self:change(item, "sent")
  end
  self:done(item, "job")
  return true
end

-- Returns the items of which no job tells the outcome.
local function without_outcome(self, items)
  local find = finder_of_jobs(self)
  local jobs = find and self.client:jobs { expand = true }
  local open = {}
  for _, item in ipairs(items) do
    local tells = jobs and not (item.recovered_from and item.recovered_from.server ~= self.server)
    open[#open + 1] = not (tells and ask_job(self, item, jobs, find)) and item or nil
  end
  return open
end

-- Nothing can be compared, and what the sender said is lost.
local function set_unknown(self, items)
  for _, item in ipairs(items) do
    if item.state == "sending" then
      self:change(item, "sent")
    end
  end
  self:flush()
  for _, item in ipairs(items) do
    self:change(item, "unknown", { reason = "unproven", message = "its transfer was interrupted, and the destination cannot be asked" })
    self.tell { event = "failure", item = item, state = "unknown", reason = "unproven", message = item.change.message }
  end
end

-- One look at the jobs and at the destination. Returns the items that are still open.
local function look(self, items)
  local waiting, own = {}, {}
  for _, item in ipairs(items) do
    own[#own + 1] = self:owns(item) and item or nil
  end
  if self.breaker.state == "open" then
    return own
  end
  local free, err = without_job(self, own, waiting)
  if not free then
    self:side_failed(err, "server")
    return own
  elseif #free > 0 and not self:compares() then
    set_unknown(self, without_outcome(self, free))
  elseif #free > 0 then
    local good, failure, side = self.compare:after(free, self.settings.verify)
    if not good then
      self:side_failed(failure, side)
      return own
    end
    decide(self, free, waiting)
  end
  return waiting
end

-- Decides about the items in a task of its own. `self`: as transfer.send_items makes it. What is still open when the run ends is recovered
-- by the next one.
function recover.begin(self, items)
  self.recovering = self.recovering + #items
  self.spawn(function()
    local open = items
    while #open > 0 and not self.ended do
      local before = #open
      open = look(self, open)
      self.recovering = self.recovering - before + #open
      self.bell:ring()
      if #open > 0 then
        native.sleep(POLL_SECONDS)
      end
    end
  end)
end

return recover
