-- Calls the operations of a modality with random arguments, against a server that gives random answers. No call may crash. Each call must
-- return a result, return nil and an error object, or throw an error. Run it under ASan: modalua spec/fuzz/modality_fuzz.lua SECONDS [SEED]
package.path = "./?.lua;" .. package.path
local faultd = require "spec.support.faultd"
local modalua = require "modalua"
local json = modalua.json
local task = require "modalua.task"

local seconds, seed = tonumber(arg[1]) or 30, tonumber(arg[2]) or os.time()
math.randomseed(seed)
print("seed " .. seed)

local random = math.random
local function pick(list)
  return list[random(#list)]
end

local STORED = "6816cb19-844d5aee-85245eba-28e841e6-2414fae2"
local BODIES = { "{}", "[]", "null", "3", '"x"', "", "garbage", "Study", "Patient", "pacs", '{"ID":"1-1"}',
  '{"ID":"2-2","Path":"/jobs/2-2"}', "[null]", "[[1]]",
  '[{"PatientID":null}]', '[{"StudyInstanceUID":"1.2","QueryRetrieveLevel":"STUDY","PatientName":"^^"}]',
  '{"State":"Success"}', '{"State":"Success","Content":null}', '{"State":3}', '{"State":"Failure"}',
  '{"State":"Success","Content":{"Details":[1,{"DimseErrorStatus":"x"},{"DimseErrorStatus":3}]}}',
  '{"State":"Success","Content":{"Details":{"a":1},"Resources":[]}}',
  '{"State":"Success","Content":{"Details":[{"ReceivedInstancesIds":[]}],"LocalAet":"A"}}',
  '{"State":"Failure","ErrorCode":9,"ErrorDetails":"DIMSE status 0xA801"}', '{"Version":"1.12.7","DicomAet":"L"}', '{"Version":3}',
  '{"archive":{"AET":"ARCHIVE","Host":"h","Port":1}}', '{"archive":{"AET":5}}', '{"archive":3}',
  '{"ID":"1.2"}', '{"Status":"Pending"}', '{"Status":"Success","Success":[{"SOPInstanceUID":"1.2"},null]}', '{"Status":"Success"}',
  '{"Status":"Failure","Failures":[null]}', '{"Status":"Failure","Failures":{"a":3}}',
  '[{"0040,0100":[{"0040,0006":"^"},null,[[]]],"0008,1030":{"Value":[{"X":null}]}}]',
  '[{"ID":"x","ParentSeries":"s","MainDicomTags":{"SOPInstanceUID":"1"}}]' }
local PATHS = { "/system", "/modalities", "/modalities/pacs/query", "/modalities/pacs/move", "/modalities/pacs/get",
  "/modalities/pacs/store", "/modalities/pacs/echo", "/modalities/pacs/find-worklist",
  "/modalities/pacs/storage-commitment", "/storage-commitment/1.2", "/queries/1-1/answers", "/queries/1-1/level", "/queries/1-1/modality",
  "/queries/1-1/query",
  "/queries/1-1/retrieve", "/queries/1-1/answers/0/retrieve", "/jobs/1-1", "/jobs/2-2", "/jobs", "/tools/find",
  "/tools/default-encoding", "/tools/bulk-content", "/studies/*" }
local KEYS = { "Level", "Query", "Normalize", "LocalAet", "Timeout", "keep", "extra", "wait_timeout", "TargetAet", "to", "all", "max",
  "verify", "Synchronous", "Asynchronous", "Permissive", "Priority", "RetrieveMethod", "UserData", "Simplify",
  "Host", "Port", "CheckFind", "x", 1 }
local TAGS = { "PatientID", "PatientName", "StudyDate", "0010,0020", "00100020", "0009,1001", "Modality", "ModalitiesInStudy",
  "StationName",
  "SpecificCharacterSet", "QueryRetrieveLevel", "Nonsense", "0008,0070", "\xff", "" }
local STRINGS = { "", "*", "1.2", "C-GET", "C-MOVE", "SystemDefault", "archive", "ARCHIVE", "Иванов", "Müller", "1-1", "2-2", "Study",
  "ISO_IR 100", ("x"):rep(40), "2.25\\2.26", STORED, "\xff", "\0", "?", "^", "=" }

local function value(depth)
  local kind = random(12)
  if kind == 1 then
    return nil
  elseif kind == 2 then
    return random(-3, 70000)
  elseif kind == 3 then
    return random() * 10
  elseif kind == 4 then
    return random(2) == 1
  elseif kind == 5 then
    return pick { json.null, print }
  elseif kind == 6 and depth < 3 then
    local t = {}
    for _ = 1, random(0, 3) do
      t[pick { 1, 2, "AET", "x", "StudyInstanceUID", "ID", "to", "Level" }] = value(depth + 1)
    end
    return t
  end
  return pick(STRINGS)
end

local function options()
  local t = {}
  for _ = 1, random(0, 4) do
    t[pick(KEYS)] = value(0)
  end
  if random(2) == 1 then
    t.Level, t.Query = pick { "Study", "Patient", "Series", "Instance" }, {}
    for _ = 1, random(0, 4) do
      t.Query[pick(TAGS)] = value(1)
    end
  end
  t.wait_timeout = 0.05
  return t
end

local function worklist(depth)
  local t = {}
  for _ = 1, random(0, 3) do
    t[pick(TAGS)] = value(1)
  end
  if random(2) == 1 and depth < 12 then
    t[pick { "ScheduledProcedureStepSequence", "0040,0100", "Nonsense" }] = pick { { worklist(depth + 1) }, worklist(depth + 1), {} }
  end
  return t
end

local server <close> = faultd.start()
local client = modalua.connect(server.url, { timeout = 2 })
local pacs, archive = client:modality "pacs", client:modality "archive"
local ROWS = { { StudyInstanceUID = "1.2", PatientID = "1" } }

local CALLS = {
  function() return pacs:echo(options()) end,
  function() return pacs:find(options(), pick { {}, { short = true } }) end,
  function()
    local found = assert(pacs:find(options()))
    return pacs:move(found, options())
  end,
  function() return pacs:move(pick { "1-1", "2-2", { ID = "1-1" } }, options()) end,
  function() return pacs:move(value(0), options()) end,
  function() return pacs:move("1-1", { to = pick { archive, client:job "1-1" } }) end,
  function() return client:query "1-1":move(options(), random(3)) end,
  function() return pacs:get(pick { "Study", "Patient", "x" }, pick { ROWS, ROWS[1], {} }, options()) end,
  function() return pacs:get(value(0), value(0), options()) end,
  function() return pacs:store(pick { STORED, { STORED, STORED }, "x", {} }, options()) end,
  function() return pacs:move_resources(pick { "Study", "Patient" }, ROWS, options()) end,
  function() return pacs:get_query_answers(value(0), value(0)) end,
  function() return client:query(value(0)):answers(value(0)) end,
  function() return pacs:find_worklist(worklist(0), options()) end,
  function() return pacs:find_worklist(worklist(0), { keep = { pick(TAGS) }, wait_timeout = 0.05 }) end,
  function() return pacs:storage_commitment(pick { STORED, ROWS, { STORED, { SOPClassUID = "1", SOPInstanceUID = "1.2" } } }) end,
  function() return pacs:storage_commitment(value(0), options()) end,
  function() return client:commitment "1.2":wait { wait_timeout = 0.02 } end,
  function() return client:commitment "1.2":remove() end,
  function() return client:job(pick { "1-1", "2-2" }):wait { wait_timeout = 0.02 } end,
}

local function shuffle_answers()
  for _ = 1, 3 do
    local path = pick(PATHS)
    assert(client:get(faultd.map { path = path }))
    local kind = pick { "application/json", "application/json", "text/plain" }
    assert(client:get(faultd.map { path = path, to = faultd.route("/status", { code = 200, type = kind, body = pick(BODIES) }) }))
  end
end

local calls, stop = 0, task.now() + seconds
while task.now() < stop do
  shuffle_answers()
  local t = task.spawn(function()
    local call = random(#CALLS)
    local ok, result, err = pcall(CALLS[call])
    assert(not ok or result or modalua.is_error(err), ("call %d returned neither a result nor an error"):format(call))
  end)
  if random(4) == 1 then
    task.sleep(random() * 0.01)
    t:cancel()
  end
  local _, failure = t:join()
  assert(failure == nil or modalua.is_error(failure) and failure.kind == "cancelled", failure)
  calls = calls + 1
end
print(calls .. " calls")
