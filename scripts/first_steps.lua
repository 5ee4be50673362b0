-- First steps among DICOM modalities: who answers, what one of them holds, and some of it sent from there to another one.
--
--   modalua playground scripts/first_steps.lua
--
-- The playground's servers are there for this run only: nothing that this script does is left behind.
local modalua = require "modalua"
local playground = require "modalua.playground"
local task = require "modalua.task"

local orthanc = modalua.connect()
local system = assert(orthanc:system())
print(("Orthanc %s, AET %s"):format(system.Version, system.DicomAet))

-- All echoes at once: each task waits for its own.
for name, settings in pairs(assert(orthanc:modalities { expand = true })) do
  task.spawn(function()
    assert(orthanc:modality(name):echo { Timeout = 5 })
    print(("%s answers (AET %s, %s:%d)"):format(name, settings.AET, settings.Host, settings.Port))
  end)
end
task.sleep(0) -- they start when this task waits; it goes on beside them

-- A C-FIND: two requests, however many answers there are. The query is removed from the server at the end of the scope.
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

-- A C-MOVE of all that was found: pacs itself sends it to the archive, which is then asked what has arrived.
assert(pacs:move(found, { to = "archive" }))
local arrived = assert(playground.servers().archive:get("/statistics"))
print(("the archive itself counts %d studies, %d instances"):format(arrived.CountStudies, arrived.CountInstances))

-- What would go wrong elsewhere without a word is an error that says what failed, where and why.
local none, err = pacs:find { Level = "Study", Query = { Modality = "CT" } }
assert(none == nil)
print("as expected: " .. tostring(err))
