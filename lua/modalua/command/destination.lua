-- command.destination: the destination of a move, as an option --to names it; and whether the modality that is to send knows it.
local require = ...
local session = require "command.session"

local destination = {}

-- The sorted names of the modalities that have this AE title.
local function names_with(settings, aet)
  local names = {}
  for _, name in ipairs(session.sorted_names(settings)) do
    if settings[name].AET == aet then
      names[#names + 1] = name
    end
  end
  return names
end

-- Returns the options of move_resources for the target `to`, and a text that names it. After an error, prints it and returns nil. A name
-- that the server does not know is not used as an AE title: if it is misspelt, the source may know it as another place and send the data
-- there.
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
  return self:report_error(self:unknown_modality(to) .. " (for an AE title that only the source knows, use --to-aet)")
end

-- ---- whether the source knows it ----

local UNKNOWN_DESTINATION <const> = 0xA801

-- The AE title of the destination; nil after an error, when it is printed.
local function aet_of(self, system)
  if not self.options.to then
    return system.DicomAet
  end
  local options = destination.of(self, self.options.to)
  return options and (options.TargetAet or self:settings() and self:settings()[options.to].AET)
end

-- A StudyInstanceUID that no study has (PS3.5 B.2).
local function unused_uid()
  return ("2.25.%d%09d%09d"):format(math.random(1, 999999999), math.random(0, 999999999), math.random(0, 999999999))
end

-- Makes the source move a study that does not exist, so nothing is sent. Many sources look at the destination first, and say whether they
-- know it. An Orthanc and a dcmqrscp look for the study first, and give the same answer for both.
function destination.check(self, add, system)
  local from = self.options.from
  local source = self:modality(from)
  local aet = source and aet_of(self, system)
  if not aet then
    return add("destination", "FAILED", from .. " → " .. (self.options.to or "the server"), "standard error says why it was not checked")
  end
  local what = ("destination %s of %s"):format(aet, from)
  local moved, err = self:client():post(("/modalities/%s/move"):format(from), { Level = "Study", TargetAet = aet, Synchronous = true,
    Resources = { { StudyInstanceUID = unused_uid() } }, Timeout = self.options.timeout })
  if moved or err.dimse_status and err.dimse_status ~= UNKNOWN_DESTINATION then
    add(what, "unknown", "the source does not refuse it; some look at the destination only when there is something to send",
      ("move one study to be certain: modalua move %s --to %s StudyInstanceUID=…"):format(from, self.options.to or aet))
  elseif err.dimse_status then
    add(what, "FAILED", ("%s does not know the AE title %s (0xA801)"):format(from, aet), ("add %s, with its host and port, to the list of "
      .. "destinations of %s"):format(aet, from), err)
  else
    add(what, "FAILED", err.message, nil, err)
  end
end

return destination
