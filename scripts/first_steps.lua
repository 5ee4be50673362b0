-- First steps with an Orthanc server: what it is, a few instances stored in it, and a search among them.
--
--   modalua -u http://localhost:8042 scripts/first_steps.lua
--
-- It stores three small instances of a patient "MODALUA-DEMO" and deletes them at the end.
local modalua = require "modalua"
local task = require "modalua.task"

local orthanc = modalua.connect()

local system = assert(orthanc:system())
print(("Orthanc %s, AET %s"):format(system.Version, system.DicomAet))

-- Three requests at once: each task waits for its own.
local tasks = {}
for i, description in ipairs { "CT Chest", "MR Head", "CT Abdomen" } do
  tasks[i] = task.spawn(function()
    return assert(orthanc:post("/tools/create-dicom", {
      Tags = {
        SOPClassUID = "1.2.840.10008.5.1.4.1.1.7", -- Secondary Capture
        PatientID = "MODALUA-DEMO", PatientName = "Müller^Jörg", SpecificCharacterSet = "ISO_IR 192",
        StudyDescription = description, Modality = description:sub(1, 2), StudyDate = "2026010" .. i,
      },
    })).ParentStudy
  end)
end
for _, t in ipairs(tasks) do
  print("stored study " .. assert(t:join()))
end

local found = assert(orthanc:post("/tools/find", {
  Level = "Study", Expand = true, Query = { PatientID = "MODALUA-DEMO", StudyDescription = "CT*" },
}))
print(("%d of them are CT:"):format(#found))
for _, study in ipairs(found) do
  print("", study.PatientMainDicomTags.PatientName, study.MainDicomTags.StudyDate, study.MainDicomTags.StudyDescription)
end

-- A failure is nil and an error that says what failed, where and why.
local none, err = orthanc:get("/patients/nosuch")
assert(none == nil)
print("as expected: " .. tostring(err))

for _, patient in ipairs(assert(orthanc:post("/tools/find", { Level = "Patient", Query = { PatientID = "MODALUA-DEMO" } }))) do
  assert(orthanc:delete("/patients/" .. patient))
end
