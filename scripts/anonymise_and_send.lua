-- Brings studies from a modality to the Orthanc server, and sends anonymised copies of them to another modality.
--
--   modalua scripts/anonymise_and_send.lua --from pacs --to research --max 20 StudyDate=-7d StudyDescription='*CHEST*'
--
-- Prints a line for each study: sent, FAILED or UNKNOWN, its UID, and the UID of the anonymised copy. The copy is removed from the server
-- when it has been sent; what was brought stays there. Orthanc's own profile of anonymisation is used; texts inside of images are not
-- changed.
local modalua = require "modalua"
local arguments = require "modalua.arguments"

local options <close> = arguments.read {
  about = "Sends anonymised copies of studies from one modality to another one.",
  { "--from NAME", "the modality that has the studies", playground = "pacs" },
  { "--to NAME", "the modality that receives the copies", playground = "archive" },
  { "--max N", "does nothing when there are more studies", default = 20 },
  { "Tag=Value…", "which studies", playground = "PatientName=SMITH*" },
}
local orthanc = modalua.connect()
local source, target = orthanc:modality(options.from), orthanc:modality(options.to)
local known, problem = target:configuration()
if not known and problem.code == "unknown_modality" then -- nothing is brought for a target that the server does not know
  error(problem, 0)
end
local found <close> = assert(source:find { Level = "Study", Query = options.query })
if not arguments.announce(options, "send anonymised copies of %d studies from %s to %s", #found.answers, options.from, options.to) then
  return
end
assert(source:move(found, { max = options.max })) -- without `to`, this Orthanc receives

local function send_copy(id)
  local started = assert(orthanc:post("/studies/" .. id .. "/anonymize", { Synchronous = false, KeepSource = true }))
  local copy, err = orthanc:job(started):wait()
  if not copy then
    return nil, err
  end
  local uid = assert(orthanc:get("/studies/" .. copy.ID)).MainDicomTags.StudyInstanceUID
  local sent, why = target:store(copy.ID)
  assert(orthanc:delete("/studies/" .. copy.ID))
  return sent and uid, why
end

local failed = 0
for _, study in ipairs(found.answers) do
  for _, id in ipairs(assert(orthanc:find { Level = "Study", Query = { StudyInstanceUID = study.StudyInstanceUID } })) do
    local uid, err = send_copy(id)
    failed = failed + (uid and 0 or 1)
    print(uid and "sent" or err.kind == "unknown" and "UNKNOWN" or "FAILED", study.StudyInstanceUID, uid or err.message)
  end
end
os.exit(failed > 0 and 1 or 0)
