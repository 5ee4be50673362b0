-- command.destination: the destination of a move, as an option --to names it; and whether the modality that is to send knows it.
local require = ...
local lists = require "core.lists"

local destination = {}

-- The sorted names of the modalities that have this AE title.
local function names_with(settings, aet)
  local names = {}
  for _, name in ipairs(lists.sorted_keys(settings)) do
    if settings[name].AET == aet then
      names[#names + 1] = name
    end
  end
  return names
end

-- Returns the options of move_resources for the target `to`, and a text that names it; or nil and what is wrong. A name that the server
-- does not know is not used as an AE title: if it is misspelt, the source may know it as another place and send the data there.
function destination.of(self, to)
  local settings = self:settings()
  if not settings or settings[to] then
    return { to = to }, self:resolved(to)
  end
  local names = names_with(settings, to)
  if #names > 0 then
    return { TargetAet = to }, ("the AE title %s (%s)"):format(to, table.concat(names, ", "))
  elseif (self:client():system() or {}).DicomAet == to then
    return { TargetAet = to }, ("the AE title %s (the server itself)"):format(to)
  end
  return nil, self:unknown_modality(to) .. " (--to-aet takes an AE title unknown here)"
end

-- ---- whether the source knows it ----

local UNKNOWN_DESTINATION <const> = 0xA801

-- The AE title of the destination; nil, what is wrong, and the code of this error, if it has one.
local function aet_of(self, system)
  if not self.options.to then
    return self.options.to_aet or system.DicomAet
  end
  local options, why = destination.of(self, self.options.to)
  if not options then
    return nil, why, "unknown_modality"
  end
  local settings = self:settings()
  local aet = options.TargetAet or settings and settings[options.to].AET
  return aet, not aet and "this user may not read the modalities of the server: use --to-aet" or nil
end

-- A StudyInstanceUID that no study has (PS3.5 B.2).
local function unused_uid()
  return ("2.25.%d%09d%09d"):format(math.random(1, 999999999), math.random(0, 999999999), math.random(0, 999999999))
end

-- An AE title that no source can know.
local function unknown_title()
  return ("NONE-%010d"):format(math.random(0, 9999999999))
end

-- Makes the source move a study that does not exist to this AE title, so nothing is sent. Returns the error, or nil.
local function move_nothing(self, aet)
  local moved, err = self:client():post(("/modalities/%s/move"):format(self.options.from), { Level = "Study", TargetAet = aet,
    Synchronous = true, Resources = { { StudyInstanceUID = unused_uid() } }, Timeout = self.options.timeout })
  return not moved and err or nil
end

local function status_of(err)
  return not err and 0 or err.dimse_status
end

-- Whether a source that ends the move so has looked for the study or the destination's address: it has accepted the title then. Others,
-- such as 0xA700 (out of resources), can come before it looks at the title.
local function is_past_title(err)
  local status = status_of(err)
  return status == 0 or status == 0xA701 or status == 0xA702 or status == 0xB000 or status & 0xF000 == 0xC000
end

-- Why it is not known whether the source knows the destination: err and control are the errors of the move to it, and of the move to an
-- impossible title (nil: none; false: there was no such move).
local function why_unknown(from, err, control)
  if control ~= false and status_of(control) == status_of(err) then
    return from .. " does not look at the destination when there is nothing to send"
  end
  return (control or err).message
end

-- Adds a row: whether the source knows the destination. Many sources look at the destination first, and refuse an AE title that they do not
-- know with 0xA801. A source that refuses an impossible title so, and does not refuse this one, knows it. Others, such as Orthanc and
-- dcmqrscp, look for the study first, and answer the same for every title: of these it cannot be told without sending something.
function destination.check(self, add, system)
  local from, aet = self.options.from, nil
  local why, code = self:unknown_modality(from), "unknown_modality"
  if not why then
    self:modality(from) -- refuses what cannot be a name
    aet, why, code = aet_of(self, system)
  end
  if not aet then
    local to = self.options.to or self.options.to_aet or "the server"
    return add("destination", "failed", from .. " → " .. to, why, { message = why, kind = "orthanc", code = code })
  end
  local what, err = ("destination %s of %s"):format(aet, from), move_nothing(self, aet)
  if err and err.dimse_status == UNKNOWN_DESTINATION then
    return add(what, "failed", ("not known: %s does not know the AE title %s (0xA801)"):format(from, aet), ("add %s, with its host and "
      .. "port, to the list of destinations of %s"):format(aet, from), err)
  elseif err and not err.dimse_status then
    return add(what, "failed", err.message, nil, err)
  end
  local control = is_past_title(err) and move_nothing(self, unknown_title())
  if control and control.dimse_status == UNKNOWN_DESTINATION then
    return add(what, "ok", ("known: %s refuses an AE title that it does not know, and does not refuse %s"):format(from, aet))
  end
  add(what, "unknown", "cannot be told: " .. why_unknown(from, err, control),
    ("move one study to be certain: modalua move %s --%s %s StudyInstanceUID=…"):format(from,
      self.options.to_aet and "to-aet" or "to", self.options.to or aet))
end

return destination
