-- Sends each study that becomes stable on the Orthanc server to other places, by rules, and asks for storage commitment. A study is stable
-- when the server has received no new image of it for a while (the server's StableAge).
--
--   modalua scripts/route_stable_studies.lua --rules rules.lua --place /var/lib/modalua/route
--
-- The rules are a Lua file. Each rule that fits sends the study to a modality (`to`) or a peer (`peer`). `filters` are those of
-- orthanc:find; `commit` is how many seconds the modality has to promise that it keeps the images:
--
--   return {
--     { to = "archive", commit = 600 },
--     { to = "ctworkstation", filters = { ModalitiesInStudy = "CT", StudyDescription = "*CHEST*" } },
--     { peer = "research", filters = { InstitutionName = "Ward ?" } },
--   }
--
-- The place is a file with the number of the last change that has been dealt with: after a stop, the script goes on there. Without the file
-- it begins with the studies that become stable from now on. A transient failure is tried again, after 10 s, then twice as long each time,
-- up to 10 minutes; the studies behind it wait. A study that cannot be sent is reported, and its line is added to PLACE.failed.
-- With --once the script ends when nothing is left to do (status 1 when a study could not be sent); without it, it waits for more.
local modalua = require "modalua"
local arguments = require "modalua.arguments"

local options <close> = arguments.read {
  about = "Sends each study that becomes stable on the server to other places, by rules.",
  { "--rules FILE", "a Lua file that returns the rules" },
  { "--place FILE", "keeps how far the script is" },
  { "--once", "ends when nothing is left to do" },
}
local orthanc = modalua.connect()
local KEYS = { to = "string", peer = "string", filters = "table", commit = "number" }
local chunk, fault = loadfile(options.rules, "t", {})
if not chunk then
  arguments.refuse(fault)
end
local is_read, rules = pcall(chunk)
if not is_read then
  arguments.refuse(tostring(rules))
elseif type(rules) ~= "table" or not rules[1] then
  arguments.refuse "the file must return a list of rules"
end
for i, rule in ipairs(rules) do
  if type(rule) ~= "table" then
    arguments.refuse(("rule %d is no table"):format(i))
  elseif not (rule.to or rule.peer) then
    arguments.refuse(("rule %d has neither `to` nor `peer`"):format(i))
  end
  for key, value in pairs(rule) do
    if type(value) ~= KEYS[key] or rule.to and rule.peer or key == "commit" and value <= 0 then
      arguments.refuse(("rule %d: '%s' is not expected here, or its value is wrong"):format(i, key))
    end
  end
  local query = { StudyInstanceUID = "2.25.0" } -- no study has this UID: a wrong filter is told now, and not at the first study
  for tag, value in pairs(rule.filters or {}) do
    query[tag] = value
  end
  local is_name, why = pcall(rule.peer and orthanc.peer or orthanc.modality, orthanc, rule.peer or rule.to)
  local is_query, found, err = pcall(orthanc.find, orthanc, { Level = "Study", Query = query })
  if is_name and is_query and not found and (err.kind == "refused" or err.code == "unknown_tag") then
    why, is_query = err.message, false
  elseif is_name and not is_query then
    why = found
  end
  if not (is_name and is_query) then
    arguments.refuse(("rule %d: %s"):format(i, tostring(why):gsub("^[^\n]-:%d+: ", "")))
  end
end
local failures = 0

-- Whether it may help to ask again: the server, the way to the destination, or the destination has failed, and not this study.
local function may_pass(err)
  local is_lasting = err.code == "unproven" or err.code == "truncated"
  return err.retryable or err.kind == "network" or err.kind == "timeout" or err.kind == "unknown" and not is_lasting
    or err.kind == "dicom" and not err.dimse_status
end

-- Calls f until it returns something, or an error that does not pass. what: what a failure means.
local function insist(what, f, ...)
  local result, err = f(...)
  local pause = 10
  while not result and may_pass(err) do
    io.stderr:write(("%s, next try in %d s: %s\n"):format(what, pause, err.message))
    modalua.task.sleep(pause)
    pause = math.min(2 * pause, 600)
    result, err = f(...)
  end
  return result, err
end

-- The server itself compares the study with the filters. A study that was removed fits no rule.
local function fits(rule, id)
  local what = "the rules cannot be compared with " .. id
  local study, err = insist(what, orthanc.get, orthanc, "/studies/" .. id)
  if not study then
    return err.status ~= 404 and error(err, 0)
  end
  local query = { StudyInstanceUID = study.MainDicomTags.StudyInstanceUID }
  for tag, value in pairs(rule.filters or {}) do
    query[tag] = value
  end
  return assert(insist(what, orthanc.find, orthanc, { Level = "Study", Query = query }))[1] == id
end

-- Sends, and asks for the promise. Returns true; or nil and the error.
local function send(rule, id)
  local target, what = rule.peer and orthanc:peer(rule.peer) or orthanc:modality(rule.to), id .. " cannot be sent to "
  local done, err = insist(what .. (rule.to or rule.peer), target.store, target, id)
  if done and rule.commit then
    done, err = target:storage_commitment(id)
    if done then
      done, err = done:wait { wait_timeout = rule.commit }
    end
  end
  return done, err
end

-- Written beside and renamed, so that a crash leaves the old number or the new one.
local function write_place(number)
  local file = assert(io.open(options.place .. ".new", "w"))
  assert(file:write(number, "\n"))
  assert(file:close())
  assert(os.rename(options.place .. ".new", options.place))
end

local file = io.open(options.place)
local place = file and (math.tointeger(file:read "n") or arguments.refuse "the file of --place does not hold a number")
if not place then
  place = assert(orthanc:get "/changes?last").Last
  write_place(place)
end
-- The server may get to know a destination later: now it is only a warning.
for _, rule in ipairs(rules) do
  local name, known = rule.to or rule.peer, rule.peer and orthanc:peers() or rule.to and orthanc:modalities()
  if known and not ("," .. table.concat(known, ",") .. ","):find("," .. name .. ",", 1, true) then
    io.stderr:write(("the server knows no %s '%s' now\n"):format(rule.peer and "peer" or "modality", name))
  end
end
arguments.announce(options, "send what becomes stable after change %d, by %d rules of %s", place, #rules, options.rules)
io.stdout:setvbuf "line"
for change in orthanc:changes { since = place, type = "StableStudy", follow = not options.once and not options.dry_run } do
  for _, rule in ipairs(rules) do
    local name, fit = rule.to or rule.peer, fits(rule, change.ID)
    local sent, err
    if fit and options.dry_run then
      print(change.ID, name, "would be sent")
    elseif fit then
      sent, err = send(rule, change.ID)
      print(change.ID, name, sent and "sent" or "FAILED")
    end
    if err then
      failures = failures + 1
      io.stderr:write(("%s was not sent to %s: %s\n"):format(change.ID, name, err.message))
      local list <close> = assert(io.open(options.place .. ".failed", "a"))
      assert(list:write(change.ID, "\t", name, "\t", err.message, "\n"))
    end
  end
  if not options.dry_run then
    write_place(change.Seq)
  end
end
os.exit(failures > 0 and 1 or 0)
