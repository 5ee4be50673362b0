-- How much CPU json.decode takes, compared with bare lua-cjson, on an answer of 1,000 studies as Orthanc prints it.
-- Prints one line; the figure is the median over pairs that run in turn.

local cjson = require "cjson"
local json = require "modalua.json"

local PAIRS, CALLS = 41, 10

local STUDY = [[
   {
      "AccessionNumber" : "A%07d",
      "ModalitiesInStudy" : "CT\\SR",
      "PatientBirthDate" : "19%02d0412",
      "PatientID" : "PID-%06d",
      "PatientName" : "Müller^Anna Maria^%d",
      "StudyDate" : "2024%02d%02d",
      "StudyDescription" : "CT Chest with contrast, follow-up %d",
      "StudyInstanceUID" : "1.2.840.113619.2.55.3.604688119.%d.%d"
   }]]

local function answer(count)
  local studies = {}
  for i = 1, count do
    studies[i] = STUDY:format(i, i % 100, i, i, i % 12 + 1, i % 28 + 1, i, i * 7919, i * 104729)
  end
  return "[\n" .. table.concat(studies, ",\n") .. "\n]\n"
end

local function seconds(decode, text)
  collectgarbage()
  local start = os.clock()
  for _ = 1, CALLS do
    decode(text)
  end
  return os.clock() - start
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local text = answer(1000)
local ours, bare, ratios = {}, {}, {}
for i = 1, PAIRS do
  ours[i] = seconds(json.decode, text)
  bare[i] = seconds(cjson.decode, text)
  ratios[i] = ours[i] / bare[i]
end
print(("json.decode / cjson.decode: %.2f of the CPU (%.2f ms / %.2f ms for %d KB)"):format(
  median(ratios), median(ours) / CALLS * 1e3, median(bare) / CALLS * 1e3, #text // 1024))
