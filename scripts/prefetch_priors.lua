-- Reads a worklist, and moves the last studies of each scheduled patient (the priors) from an archive to where they will be read.
--
--   modalua scripts/prefetch_priors.lua WORKLIST SOURCE TARGET [--date DATE] [--modality M] [--priors N] [--dry-run]
--   modalua scripts/prefetch_priors.lua ris archive reading --date 20260102 --modality CT
--
-- WORKLIST, SOURCE and TARGET are names of modalities, as scripts/echo_all.lua lists them. DATE is a date of the worklist or a range
-- (default: today), M the modality that is scheduled (default: any), N the number of priors of each patient (default: 3). A study with as
-- many images at the TARGET as at the SOURCE is not sent again. Prints a line for each prior, with tabs: outcome, PatientID, date,
-- description, StudyInstanceUID. Call it from cron, each evening or each hour.
-- The exit status is 1 when a patient could not be looked up, or a study was not moved.
-- The server is the one in MODALUA_URL, or the default server of your configuration file (modalua --help).
local modalua = require "modalua"

local function usage()
  io.stderr:write("usage: modalua scripts/prefetch_priors.lua WORKLIST SOURCE TARGET [--date DATE] [--modality M] [--priors N] "
    .. "[--dry-run]\n")
  os.exit(2)
end

local options, names, i = { date = os.date "%Y%m%d", modality = "", priors = 3 }, {}, 1
while arg[i] do
  local name = arg[i]:match "^%-%-(.*)$"
  if name == "dry-run" then
    options.dry_run = true
  elseif name then
    i = i + 1
    options[options[name] and name or usage()] = arg[i] or usage()
  else
    names[#names + 1] = arg[i]
  end
  i = i + 1
end
options.priors = math.tointeger(tonumber(options.priors)) or usage()
if #names ~= 3 or options.priors < 1 then
  usage()
end

local orthanc = modalua.connect()
local worklist, source, target = orthanc:modality(names[1]), orthanc:modality(names[2]), orthanc:modality(names[3])
local failures = 0

local function complain(...)
  failures = failures + 1
  io.stderr:write(table.concat({ ... }, ": "), "\n")
end

-- The identifiers of the scheduled patients, in the order of the worklist, and the set of the scheduled studies, which are no priors.
local function scheduled()
  local step = { ScheduledProcedureStepStartDate = options.date, Modality = options.modality }
  local entries = assert(worklist:find_worklist { PatientID = "", StudyInstanceUID = "", ScheduledProcedureStepSequence = { step } })
  local patients, seen, studies = {}, {}, {}
  for _, entry in ipairs(entries) do
    local id = entry.PatientID or ""
    studies[entry.StudyInstanceUID or ""] = true
    if id == "" then
      complain "an entry of the worklist has no PatientID"
    elseif id:find "[*?\\]" then
      complain(id, "this PatientID has a wildcard, and would find the studies of other patients")
    elseif not seen[id] then
      seen[id] = true
      patients[#patients + 1] = id
    end
  end
  return patients, studies
end

-- The last studies of a patient, the newest first.
local function priors_of(id, excluded)
  local query = { PatientID = id, StudyDate = "", StudyTime = "", StudyDescription = "", NumberOfStudyRelatedInstances = "" }
  local found <close>, err = source:find { Level = "Study", Query = query }
  if not found then
    complain(id, tostring(err))
    return {}
  end
  local priors = {}
  for _, study in ipairs(found.answers) do
    if study.PatientID == id and not excluded[study.StudyInstanceUID] then -- some servers ignore upper and lower case
      priors[#priors + 1] = study
    end
  end
  local function age_key(study)
    return (study.StudyDate or "") .. (study.StudyTime or "") .. study.StudyInstanceUID
  end
  table.sort(priors, function(a, b) return age_key(a) > age_key(b) end)
  return table.move(priors, 1, options.priors, 1, {})
end

-- From the UID of each study to the number of its images at the target. A target that cannot be asked is sent everything.
local function images_at_target(studies)
  local uids, images = {}, {}
  for n, study in ipairs(studies) do
    uids[n] = study.StudyInstanceUID
  end
  local by_uid = uids[1] and target:find_each("StudyInstanceUID", uids, { Query = { NumberOfStudyRelatedInstances = "" } })
  for uid, answers in pairs(by_uid or {}) do
    images[uid] = tonumber(answers[1].NumberOfStudyRelatedInstances)
  end
  return images
end

local function send(study)
  if options.dry_run then
    return "would move"
  end
  local moved, err = source:move_resources("Study", study, { to = target })
  if not moved then
    complain(study.StudyInstanceUID, tostring(err))
  end
  return moved and "moved" or err.kind == "unknown" and "UNKNOWN" or "FAILED"
end

local patients, excluded = scheduled()
local count = 0
for _, id in ipairs(patients) do
  local priors = priors_of(id, excluded)
  local there = images_at_target(priors)
  for _, study in ipairs(priors) do
    local images = tonumber(study.NumberOfStudyRelatedInstances)
    local outcome = images and there[study.StudyInstanceUID] == images and "present" or send(study)
    print(outcome, id, study.StudyDate or "", (study.StudyDescription or ""):gsub("%c", " "), study.StudyInstanceUID)
    count = count + 1
  end
end
io.stderr:write(("%d priors of %d patients\n"):format(count, #patients))
if failures > 0 then
  os.exit(1)
end
