-- Sends each study that becomes stable on the Orthanc server to other places, as rules say. A study is stable when the server has received
-- no new image of it for a while (the server's StableAge).
--
--   modalua scripts/route_stable_studies.lua RULES PLACE [--once]
--   modalua scripts/route_stable_studies.lua rules.lua /var/lib/routing/place
--
-- RULES is a Lua file that returns a list of rules; each rule that fits sends the study. `to` is the name of a modality, or `peer` that of
-- a peer; the other fields are tags of the study or the patient, in which * is any text and ? any character. Modality fits when one of
-- the study's series has it:
--
--   return {
--     { to = "archive" },
--     { to = "ctworkstation", Modality = "CT", StudyDescription = "*CHEST*" },
--     { peer = "research", InstitutionName = "Ward ?" },
--   }
--
-- PLACE is a file with the number of the last change that has been dealt with: after a stop, the script goes on there. Without the file it
-- begins with the studies that become stable from now on. A failure that may pass is tried again, after 10 s, then twice as long each time,
-- up to 10 minutes; the studies behind it wait. A study that cannot be sent is reported, and its line is added to PLACE.failed.
-- With --once the script ends when nothing is left to do (status 1 when a study could not be sent); without it, it waits for more.
-- The server is the one in MODALUA_URL, or the default server of your configuration file (modalua --help).
local modalua = require "modalua"
local task = require "modalua.task"

local FIRST_PAUSE, LONGEST_PAUSE = 10, 600 -- seconds

local function fail(status, ...)
  io.stderr:write(table.concat({ ... }, ": "), "\n")
  os.exit(status)
end

local rules_file, place_file, word = arg[1], arg[2], arg[3]
if not place_file or arg[4] or word and word ~= "--once" then
  fail(2, "usage", "modalua scripts/route_stable_studies.lua RULES PLACE [--once]")
end
local once = word == "--once"

-- ---- the rules ----

-- A Lua pattern for a text with * and ?.
local function pattern_of(text)
  return "^" .. text:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0"):gsub("%*", ".*"):gsub("%?", ".") .. "$"
end

-- The rules as a list of { name = of the destination, target = a modality or a peer, tests = tag -> pattern }.
local function read_rules(orthanc)
  local chunk, message = loadfile(rules_file, "t", {})
  if not chunk then
    fail(2, "the rules cannot be read", message)
  end
  local rules = chunk()
  if type(rules) ~= "table" or #rules == 0 then
    fail(2, rules_file, 'it must return a list of rules, such as { { to = "archive" } }')
  end
  local list = {}
  for i, rule in ipairs(rules) do
    local tests, name = {}, rule.to or rule.peer
    if not name or rule.to and rule.peer then
      fail(2, rules_file, ("rule %d must have either `to` or `peer`"):format(i))
    end
    for tag, value in pairs(rule) do
      if tag ~= "to" and tag ~= "peer" then
        tests[tag] = pattern_of(tostring(value))
      end
    end
    list[i] = { name = name, tests = tests, target = rule.to and orthanc:modality(name) or orthanc:peer(name) }
  end
  return list
end

-- ---- the place ----

-- The number in the file; nil when there is no file.
local function read_place()
  local file = io.open(place_file)
  if not file then
    return nil
  end
  local number = math.tointeger(tonumber(file:read "l"))
  file:close()
  return number or fail(2, place_file, "it does not hold a number; remove it to begin with what becomes stable from now on")
end

-- Written beside and renamed, so that a crash leaves the old number or the new one.
local function write_place(number)
  local file = assert(io.open(place_file .. ".new", "w"))
  assert(file:write(number, "\n") and file:close())
  assert(os.rename(place_file .. ".new", place_file))
end

-- ---- a study ----

-- Reads from the server; nil when the study is gone.
local function read(orthanc, path)
  local value, err = orthanc:get(path)
  assert(value or err.status == 404, err)
  return value
end

-- From each tag to the list of its values in the study: one value, but of Modality one for each series. nil: the study is gone.
local function tags_of(orthanc, id)
  local study, series = read(orthanc, "/studies/" .. id), read(orthanc, "/studies/" .. id .. "/series")
  if not study or not series then
    return nil
  end
  local tags = { Modality = {} }
  for _, group in ipairs { study.MainDicomTags, study.PatientMainDicomTags } do
    for tag, value in pairs(group) do
      tags[tag] = { value }
    end
  end
  for i, one in ipairs(series) do
    tags.Modality[i] = one.MainDicomTags.Modality or ""
  end
  return tags
end

local function fits(rule, tags)
  for tag, pattern in pairs(rule.tests) do
    local found = false
    for _, value in ipairs(tags[tag] or { "" }) do
      found = found or value:find(pattern) ~= nil
    end
    if not found then
      return false
    end
  end
  return true
end

-- Whether it may help to send again: the way to the destination, or the destination itself, has failed, and not this study.
local function may_pass(err)
  return err.retryable or err.kind == "network" or err.kind == "timeout" or err.kind == "unknown" and err.code ~= "unproven"
    or err.kind == "dicom" and not err.dimse_status
end

-- Returns true, or false and the error.
local function send(rule, id)
  local pause = FIRST_PAUSE
  while true do
    local sent, err = rule.target:store(id)
    if sent or not may_pass(err) then
      return sent and true or false, err
    end
    io.stderr:write(("%s cannot be sent to %s, next try in %d s: %s\n"):format(id, rule.name, pause, err.message))
    task.sleep(pause)
    pause = math.min(2 * pause, LONGEST_PAUSE)
  end
end

local failures = 0

local function report_failure(id, rule, err)
  failures = failures + 1
  io.stderr:write(("%s was not sent to %s: %s\n"):format(id, rule.name, err.message))
  local file <close> = assert(io.open(place_file .. ".failed", "a"))
  assert(file:write(("%s\t%s\t%s\n"):format(id, rule.name, err.message:gsub("%c", " "))))
end

local function route(orthanc, rules, id)
  local tags = tags_of(orthanc, id)
  if not tags then
    print(id, "is gone")
    return
  end
  for _, rule in ipairs(rules) do
    if fits(rule, tags) then
      local sent, err = send(rule, id)
      if sent then
        print(id, rule.name)
      else
        report_failure(id, rule, err)
      end
    end
  end
end

-- ---- the loop ----

local orthanc = modalua.connect()
local rules = read_rules(orthanc)
local place = read_place()
if not place then
  place = assert(orthanc:get "/changes?last").Last
  write_place(place)
end
io.stdout:setvbuf "line"
for change in orthanc:changes { since = place, type = "StableStudy", follow = not once } do
  route(orthanc, rules, change.ID)
  write_place(change.Seq)
end
if failures > 0 then
  os.exit(1)
end
