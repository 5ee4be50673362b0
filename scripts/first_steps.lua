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
local tasks = {}
for name, modality in pairs(assert(orthanc:modalities { expand = true })) do
  tasks[name] = task.spawn(function()
    assert(orthanc:post("/modalities/" .. name .. "/echo", { Timeout = 5 }))
    return ("%s answers (AET %s, %s:%d)"):format(name, modality.AET, modality.Host, modality.Port)
  end)
end
for name, t in pairs(tasks) do
  local line, err = t:join()
  print(line or name .. " does not answer: " .. tostring(err))
end

-- A C-FIND: the query stays on the server, its answers are read from there.
local query = assert(orthanc:post("/modalities/pacs/query", {
  Level = "Study",
  Query = { StudyDescription = "*Chest*", PatientName = "", StudyDate = "", ModalitiesInStudy = "" },
}))
local studies = assert(orthanc:get(query.Path .. "/answers", { expand = true, simplify = true }))
print(("pacs has %d studies of a chest:"):format(#studies))
table.sort(studies, function(a, b) return a.StudyDate < b.StudyDate end)
for _, study in ipairs(studies) do
  print("", study.StudyDate, study.ModalitiesInStudy, study.PatientName, study.StudyDescription)
end

-- A C-MOVE of all that was found: pacs itself sends it to the archive, which is then asked what has arrived.
assert(orthanc:post(query.Path .. "/retrieve", { TargetAet = "ARCHIVE", Synchronous = true }))
local archive = playground.servers().archive
local arrived = assert(archive:get("/statistics"))
print(("the archive now holds %d studies, %d instances"):format(arrived.CountStudies, arrived.CountInstances))

-- A failure is nil and an error that says what failed, where and why.
local none, err = orthanc:post("/modalities/nosuch/echo", {})
assert(none == nil)
print("as expected: " .. tostring(err))
