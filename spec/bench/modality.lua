-- What echo and find cost beside one curl process that makes the same requests: modalua spec/bench/modality.lua BIN
-- Two Orthancs on loopback (the installed one, with TCP_NODELAY=1), 1,000 studies at the remote one. Each pair runs in turn; the figures
-- are medians of whole processes, and of their ratios. BIN is the build's bin folder.
package.path = "./?.lua;" .. package.path
local lag = require "spec.support.lag"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local task = require "modalua.task"

local BIN = assert(arg[1], "usage: modalua spec/bench/modality.lua BIN")
local STUDIES, ECHOES, RUNS, AWAY = 1000, 200, 21, 0.010 -- seconds each way

local function fill(client)
  local next_study = 0
  local tasks = {}
  for i = 1, 8 do
    tasks[i] = task.spawn(function()
      while next_study < STUDIES do
        next_study = next_study + 1
        local i_th = next_study
        assert(client:post("/tools/create-dicom", { Tags = { PatientID = ("P%06d"):format(i_th), PatientName = ("Doe^John %d"):format(i_th),
          StudyDescription = "CT Chest with contrast", AccessionNumber = ("A%06d"):format(i_th), StudyDate = "20240101",
          SOPClassUID = "1.2.840.10008.5.1.4.1.1.2", Modality = "CT" } }))
      end
    end)
  end
  for _, t in ipairs(tasks) do
    t:join()
  end
end

local function file(text)
  local path = os.tmpname()
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
  return path
end

local function pair(title, runs, ours, theirs)
  print(title)
  io.stdout:flush()
  assert(os.execute(("%s/pair %d %s -- %s"):format(BIN, runs, ours, theirs)))
end

local servers <close> = orthanc.network({ "LOCAL", "PACS" }, { extra = { QueryRetrieveSize = 1000 } })
fill(modalua.connect(servers.PACS.url))
local client = modalua.connect(servers.LOCAL.url)
local QUERY = '{"Level":"Study","Query":{"PatientID":"","PatientName":"","StudyDate":"","StudyDescription":"","AccessionNumber":""}}'
local found = assert(client:modality "pacs":find(modalua.json.decode(QUERY)))
assert(#found.answers == STUDIES)

local function find_script(url)
  return file(([[
    local found = assert(require "modalua".connect(%q):modality "pacs":find { Level = "Study",
      Query = { PatientID = "", PatientName = "", StudyDate = "", StudyDescription = "", AccessionNumber = "" } })
    assert(#found.answers == %d)]]):format(url, STUDIES))
end

local find = find_script(servers.LOCAL.url)
local body = file(QUERY)
-- curl cannot read the query's ID out of its first answer: it asks for the answers of one like it.
local curl_find = ("curl -s -o /dev/null -d @%s %s/modalities/pacs/query --next -s -o /dev/null '%s/queries/%s/answers?expand&simplify'")
  :format(body, servers.LOCAL.url, servers.LOCAL.url, found.ID)
pair(("find of %d studies; modalua, and one curl process with the same two requests"):format(STUDIES), RUNS,
  BIN .. "/modalua " .. find, curl_find)

local empty = file ""
pair("the same; modalua, and the bare C program that links Lua and libcurl and does nothing (for the memory)", 5,
  BIN .. "/modalua " .. find, BIN .. "/bare " .. empty)

do
  local proxy <close> = lag.start(servers.LOCAL.http_port, AWAY * 1000)
  local away = find_script(proxy.url)
  pair(("the same; with the server %g ms away (there and back), and at hand"):format(AWAY * 2000), 5, BIN .. "/modalua " .. away,
    BIN .. "/modalua " .. find)
  os.remove(away)
end

local echo = file(([[
  local pacs = require "modalua".connect(%q):modality "pacs"
  for _ = 1, %d do assert(pacs:echo()) end]]):format(servers.LOCAL.url, ECHOES))
local curl_echo = ("curl -s -d {} '%s/modalities/pacs/echo?[1-%d]'"):format(servers.LOCAL.url, ECHOES)
pair(("%d echoes, one after the other; modalua, and one curl process"):format(ECHOES), RUNS, BIN .. "/modalua " .. echo, curl_echo)

for _, path in ipairs { find, body, empty, echo } do
  os.remove(path)
end
