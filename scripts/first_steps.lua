-- First steps: checks which DICOM modalities answer, finds studies at one of them, and moves these studies to another one.
--
--   modalua playground scripts/first_steps.lua
--
-- The servers of the playground exist only during this run, so the script leaves nothing behind. Elsewhere it does nothing.
local modalua = require "modalua"
local playground = require "modalua.playground"
local task = require "modalua.task"

if not playground.is_entered() then
  io.stderr:write "this script moves studies, and is only for the playground: modalua playground scripts/first_steps.lua\n"
  os.exit(2)
end
local orthanc = modalua.connect()
local system = assert(orthanc:system())
print(("Orthanc %s, AET %s"):format(system.Version, system.DicomAet))

-- All echoes run at the same time: each task waits for its own answer.
for name, settings in pairs(assert(orthanc:modalities { expand = true })) do
  task.spawn(function()
    assert(orthanc:modality(name):echo { Timeout = 5 })
    print(("%s answers (AET %s, %s:%d)"):format(name, settings.AET, settings.Host, settings.Port))
  end)
end
task.sleep(0) -- the tasks start when this one waits; then they all run together

-- A C-FIND takes two requests for any number of answers. At the end of the block, <close> removes the query from the server.
local pacs = orthanc:modality "pacs"
local found <close> = assert(pacs:find {
  Level = "Study",
  Query = { StudyDescription = "*Chest*", PatientName = "", StudyDate = "", ModalitiesInStudy = "" },
})
table.sort(found.answers, function(a, b) return a.StudyDate < b.StudyDate end)
print(("pacs has %d studies of a chest:"):format(#found.answers))
for _, study in ipairs(found.answers) do
  print("", study.StudyDate, study.ModalitiesInStudy, study.PatientName, study.StudyDescription)
end

-- A C-MOVE of all studies that were found: pacs sends them to the archive. Then the archive is asked what has arrived.
assert(pacs:move(found, { to = "archive", max = 10 }))
local arrived = assert(playground.servers().archive:get("/statistics"))
print(("the archive itself counts %d studies, %d instances"):format(arrived.CountStudies, arrived.CountInstances))

-- Orthanc would ignore this filter without a message. modalua returns an error that says what is wrong, where, and what would be right.
local none, err = pacs:find { Level = "Study", Query = { Modality = "CT" } }
assert(none == nil)
print("as expected: " .. tostring(err))
