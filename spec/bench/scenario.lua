-- What spec/bench/instructions.lua counts: no network, and the same work each time.
local json = require "modalua.json"
local modalua = require "modalua"
local task = require "modalua.task"

local parts = {}

function parts.start()
  modalua.connect("http://localhost:8042"):modality "pacs"
end

function parts.json()
  local studies = {}
  for i = 1, 500 do
    studies[i] = { PatientID = ("P%06d"):format(i), PatientName = "Müller^Anna " .. i, StudyDate = "20240101",
      StudyInstanceUID = "1.2.840.113619.2.55.3." .. i * 7919, NumberOfStudyRelatedInstances = i }
  end
  for _ = 1, 20 do
    studies = json.decode(json.encode(studies))
  end
  assert(#studies == 500 and studies[500].NumberOfStudyRelatedInstances == 500)
end

function parts.tasks()
  local list = {}
  for i = 1, 2000 do
    list[i] = i
  end
  local results, errors = task.map(list, function(i)
    for _ = 1, 10 do
      task.sleep(0)
    end
    return task.timeout(60, function() return 2 * i end)
  end, { limit = 8 })
  assert(not errors and results[2000] == 4000)
end

parts[arg[1]]()
