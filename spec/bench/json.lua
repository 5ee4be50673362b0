-- CPU time of json.decode, compared with bare lua-cjson, for an answer of 1,000 studies as Orthanc writes it.
package.path = "./?.lua;" .. package.path
local bench = require "spec.bench.support"
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

bench.title "JSON"
local text = answer(1000)
local ours, bare, ratios = {}, {}, {}
for i = 1, PAIRS do
  ours[i] = seconds(json.decode, text)
  bare[i] = seconds(cjson.decode, text)
  ratios[i] = ours[i] / bare[i]
end
bench.figure { subject = "json.decode", n = 1000, what = ("json.decode of 1,000 studies, %d KB: CPU"):format(#text // 1024),
  beside = "bare lua-cjson", ours = bench.median(ours) / CALLS, theirs = bench.median(bare) / CALLS, unit = "ms",
  ratio = bench.median(ratios) }
