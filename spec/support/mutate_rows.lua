--- The operations whose answers spec/mutate_spec.lua changes: a row for each method that talks to a server, and for each verb.
--
-- A row is { name, succeeds =, fails =, shape =, … }. `succeeds` and each entry of `fails` is a case: { function(world) -> result, err,
-- before =, after =, … } or the function alone. Each operation in `fails` truly fails, whatever an answer says, so its result must
-- never be a success. Fields of a row:
--    shape      function(result): throws unless the result of a success has the shape that help promises
--    iterates   true: the operation returns an iterator, which may throw an error object
--    since      the first version of Orthanc that has it
--    short      true: belongs to the short run
--    truths     { { what =, because = }, … }: changes after which a success is right although the operation failed
-- Fields of a case: before(world) prepares it without a changed answer, and its result is given to the operation; after(world, it)
-- cleans up; server = the name of the Orthanc behind the proxy.
local archive = require "spec.support.archive"
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local json = require("modalua").json

local rows = {}

local CT <const> = "1.2.840.10008.5.1.4.1.1.2"

-- ---- shapes ----

local function is(expected, value, what)
  if type(value) ~= expected then
    error(("%s is a %s, not a %s"):format(what or "the result", value == json.null and "null" or type(value), expected), 0)
  end
  return value
end

local function is_true(result)
  if result ~= true then
    error("the result is not true", 0)
  end
end

local function is_string(result)
  is("string", result)
end

local function is_table(...)
  local fields = table.pack(...)
  return function(result)
    is("table", result)
    for _, field in ipairs(fields) do
      if result[field] == nil or result[field] == json.null then
        error("the result has no " .. field, 0)
      end
    end
  end
end

-- A list without gaps and without other keys than these; each element has this type.
local function is_list(element, result, ...)
  local allowed, n = {}, 0
  for _, key in ipairs { ... } do
    allowed[key] = true
  end
  is("table", result)
  for key in pairs(result) do
    if math.type(key) == "integer" then
      n = n + 1
    elseif not allowed[key] then
      error("the list has the key " .. tostring(key), 0)
    end
  end
  if n ~= #result then
    error("the list has gaps", 0)
  end
  for i, value in ipairs(result) do
    is(element, value, "element " .. i)
  end
end

local function list_of(element, ...)
  local keys = { ... }
  return function(result) is_list(element, result, table.unpack(keys)) end
end

local function is_map_of_tables(result)
  is("table", result)
  for key, value in pairs(result) do
    is("string", key, "a name")
    is("table", value, "the entry of " .. key)
  end
end

local function is_found(result)
  is("table", result)
  is("string", result.ID, "found.ID")
  is_list("table", result.answers, "warning")
end

local function is_transferred(result)
  is("table", result)
  if result.HttpStatus or result.HttpError then
    error("the result is an error object of the server", 0)
  end
end

local function is_commitment(result)
  is("userdata", result)
  is("string", result.id, "commitment.id")
end

-- ---- truths ----

local SUCCESSES <const> = { ["200"] = true, ["201"] = true, ["202"] = true, ["203"] = true, ["204"] = true, ["205"] = true,
  ["206"] = true, ["299"] = true }

local ANY_ROUTE <const> = { what = function(change) return SUCCESSES[change.change] and not change.place end,
  because = "a route of the script's own choice has no other yes than its status" }

-- Orthanc's yes to a DELETE of a query is an empty 200, and its 401 is empty too.
local EMPTY_YES <const> = { what = function(change) return change.change == "200" and not change.place end,
  because = "an empty 200 is all that Orthanc says for yes" }

-- move reads the filters of the query again, and leaves out the answers that contradict them.
local OTHER_QUERY <const> = { what = function(change) return change.route:find("/queries/%*/query") and change.place end,
  because = "a query for another study found no answer that it asked for, so there is nothing to be moved" }

-- ---- helpers of operations ----

local STUDY <const> = { Level = "Study", Query = { PatientID = "MOD-0001", StudyDescription = "" } }

-- dicomd's patients, for the modalities that fail after a find.
local FAKES <const> = { Level = "Study", Query = { PatientID = "FP*" } }

local function collect(f)
  local list = {}
  for item in f() do
    list[#list + 1] = item
    if #list > 100000 then
      error("the iterator does not end", 0)
    end
  end
  return list
end

local function modality(name)
  return function(world) return world.client:modality(name) end
end

-- A find through the server itself, whose query the operation then uses.
local function with_query(name, query)
  return function(world)
    return assert(world.direct:modality(name):find(query or STUDY)).ID
  end
end

local function drop_query(world, id)
  world.direct:query(id):close()
end

local TRANSFER <const> = { wait_timeout = 5 }

local function transfer(more)
  local options = { wait_timeout = TRANSFER.wait_timeout }
  for key, value in pairs(more or {}) do
    options[key] = value
  end
  return options
end

local function add(row)
  rows[#rows + 1] = row
end

local pacs = modality "pacs"

-- ---- modality ----

add { "modality:echo", short = true, shape = is_true,
  succeeds = function(w) return pacs(w):echo() end,
  fails = {
    unreachable = function(w) return w.client:modality "gone":echo { wait_timeout = 5 } end,
    refused = function(w) return w.client:modality "rejects":echo() end,
    ["a status"] = function(w) return w.client:modality "echo-fails":echo() end,
  } }

add { "modality:find", short = true, shape = is_found,
  succeeds = function(w) return pacs(w):find(STUDY) end,
  fails = {
    ["a status"] = function(w) return w.client:modality "find-fails":find(STUDY) end,
    ["a status after answers"] = function(w) return w.client:modality "find-breaks":find(STUDY) end,
    unreachable = function(w) return w.client:modality "gone":find(STUDY) end,
  } }

add { "modality:find_each", shape = is_map_of_tables,
  succeeds = function(w) return pacs(w):find_each("PatientID", { "MOD-0001", "MOD-0002" }) end,
  fails = {
    ["a status"] = function(w) return w.client:modality "find-fails":find_each("PatientID", { "MOD-0001" }) end,
  } }

add { "modality:find_all", short = true, shape = list_of "table", iterates = true,
  succeeds = function(w)
    return collect(function() return pacs(w):find_all { Level = "Study", Query = { PatientID = "MOD-*" } } end)
  end,
  fails = {
    ["a status"] = function(w) return collect(function() return w.client:modality "find-fails":find_all(STUDY) end) end,
  } }

add { "modality:studies", shape = list_of("table", "warning"),
  succeeds = function(w) return pacs(w):studies { PatientID = "MOD-0001" } end,
  fails = { ["a status"] = function(w) return w.client:modality "find-fails":studies { PatientID = "MOD-0001" } end } }

add { "modality:series", short = true, shape = list_of("table", "warning"),
  succeeds = function(w) return pacs(w):series(w.study) end,
  fails = { ["a status"] = function(w) return w.client:modality "find-fails":series(w.study) end } }

add { "modality:instances", shape = list_of("table", "warning"),
  succeeds = function(w) return pacs(w):instances(w.study) end,
  fails = { ["a status"] = function(w) return w.client:modality "find-fails":instances(w.study) end } }

add { "modality:find_worklist", short = true, shape = list_of("table", "warning", "ignored", "unproven"),
  succeeds = function(w) return w.client:modality "ris":find_worklist { PatientID = "", PatientName = "" } end,
  fails = {
    ["a status"] = function(w) return w.client:modality "find-fails":find_worklist { PatientID = "" } end,
    unreachable = function(w) return w.client:modality "gone":find_worklist { PatientID = "" } end,
  } }

add { "modality:get_query_answers", shape = list_of("table", "warning"),
  succeeds = { function(w, id) return pacs(w):get_query_answers(id) end, before = with_query "pacs", after = drop_query },
  fails = { gone = function(w) return pacs(w):get_query_answers(w.no_id) end } }

add { "modality:move", short = true, shape = is_transferred, truths = { OTHER_QUERY },
  succeeds = { function(w, id) return pacs(w):move(id, transfer { to = "archive" }) end, before = with_query "pacs", after = drop_query },
  fails = {
    ["a status"] = { function(w, id) return w.client:modality "move-fails":move(id, transfer { to = "archive" }) end,
      before = with_query("move-fails", FAKES), after = drop_query },
    ["an unreachable target"] = { function(w, id) return pacs(w):move(id, transfer { to = "gone" }) end,
      before = with_query "pacs", after = drop_query },
    ["a status that Permissive hides"] = {
      function(w, id) return w.client:modality "move-fails":move(id, transfer { to = "archive", Permissive = true }) end,
      before = with_query("move-fails", FAKES), after = drop_query },
    ["a lie"] = { function(w, id) return w.client:modality "lies":move(id, transfer { to = "archive", verify = true }) end,
      before = with_query("lies", { Level = "Study", Query = { StudyInstanceUID = "1.2.3.4" } }), after = drop_query },
    ["a status, in one request"] = {
      function(w, id) return w.client:modality "move-fails":move(id, transfer { to = "archive", Synchronous = true }) end,
      before = with_query("move-fails", FAKES), after = drop_query },
  } }

add { "modality:get", since = 11206, shape = is_transferred,
  succeeds = function(w) return pacs(w):get("Study", w.study, transfer()) end,
  fails = {
    unreachable = function(w) return w.client:modality "gone":get("Study", w.study_elsewhere, transfer()) end,
    -- Orthanc 1.12.7 does not see the status, and waits for its Timeout.
    ["a status"] = function(w) return w.client:modality "get-fails":get("Study", w.study_elsewhere, transfer { Timeout = 1 }) end,
    ["a lie"] = function(w) return w.client:modality "lies":get("Study", w.study_elsewhere, transfer { verify = true }) end,
  } }

add { "modality:store", short = true, shape = is_transferred,
  succeeds = function(w) return w.client:modality "archive":store(w.stored, transfer()) end,
  fails = {
    ["a status"] = function(w) return w.client:modality "store-fails":store(w.stored, transfer()) end,
    unreachable = function(w) return w.client:modality "gone":store(w.stored, transfer()) end,
    ["a status that Permissive hides"] = function(w)
      return w.client:modality "store-fails":store(w.stored, transfer { Permissive = true })
    end,
    ["a status, in one request"] = function(w)
      return w.client:modality "store-fails":store(w.stored, transfer { Synchronous = true })
    end,
  } }

add { "modality:store_straight", shape = is_table("SOPClassUID", "SOPInstanceUID"),
  succeeds = function(w) return w.client:modality "archive":store_straight { data = w.file } end,
  fails = {
    ["a status"] = function(w) return w.client:modality "store-fails":store_straight { data = w.file } end,
    unreachable = function(w) return w.client:modality "gone":store_straight { data = w.file } end,
  } }

add { "modality:move_resources", shape = list_of("table", "verified", "unverified"),
  succeeds = function(w) return pacs(w):move_resources("Study", w.study, transfer { to = "archive" }) end,
  fails = {
    ["a status"] = function(w)
      return w.client:modality "move-fails":move_resources("Study", w.study, transfer { to = "archive" })
    end,
    ["an unreachable target"] = function(w) return pacs(w):move_resources("Study", w.study, transfer { to = "gone" }) end,
  } }

add { "modality:storage_commitment", shape = is_commitment,
  succeeds = function(w) return pacs(w):storage_commitment(w.stored) end,
  fails = {
    ["a status"] = function(w) return w.client:modality "commitment-fails":storage_commitment(w.stored) end,
    unreachable = function(w) return w.client:modality "gone":storage_commitment(w.stored) end,
  } }

-- An entry of the server, for operations that change it. Each world has its own.
local function make_modality(w)
  local name = w.name .. "-own"
  assert(w.direct:put("/modalities/" .. name, { "OWN", "127.0.0.1", 4242 }))
  return name
end

local function remove_modality(w, name)
  w.direct:delete("/modalities/" .. name)
end

add { "modality:configuration", short = true, shape = is_table("AET", "Host", "Port"),
  succeeds = function(w) return pacs(w):configuration() end,
  fails = { unknown = function(w) return w.client:modality "nosuch":configuration() end } }

add { "modality:configure", shape = is_table("AET", "Host", "Port"),
  succeeds = { function(w, name) return w.client:modality(name):configure { Port = 4243 } end,
    before = make_modality, after = remove_modality },
  fails = {
    unknown = function(w) return w.client:modality "nosuch":configure { Port = 4243 } end,
    refused = { function(w, name) return w.client:modality(name):configure { Manufacturer = "Nobody" } end,
      before = make_modality, after = remove_modality },
  } }

add { "modality:remove", shape = is_true,
  succeeds = { function(w, name) return w.client:modality(name):remove() end, before = make_modality, after = remove_modality },
  fails = { unknown = function(w) return w.client:modality "nosuch":remove() end } }

-- ---- client ----

-- With this server's password, which the client does not have, everything truly fails.
local function guarded(f)
  return { f, server = "guarded" }
end

add { "client:get", short = true, truths = { ANY_ROUTE },
  succeeds = function(w) return w.client:get "/statistics" end,
  fails = { unknown = function(w) return w.client:get("/studies/" .. w.no_resource) end } }

add { "client:post", truths = { ANY_ROUTE },
  succeeds = function(w) return w.client:post("/tools/find", STUDY) end,
  fails = { refused = function(w) return w.client:post("/tools/find", { Level = "Galaxy", Query = {} }) end } }

add { "client:put", truths = { ANY_ROUTE },
  succeeds = function(w) return w.client:put("/modalities/" .. w.name .. "-own", { "OWN", "127.0.0.1", 4242 }) end,
  fails = { refused = function(w) return w.client:put("/modalities/" .. w.name .. "-own", { "OWN" }) end } }

add { "client:delete", truths = { ANY_ROUTE },
  succeeds = { function(w, name) return w.client:delete("/modalities/" .. name) end, before = make_modality, after = remove_modality },
  fails = { unknown = function(w) return w.client:delete("/modalities/nosuch") end } }

local function is_number_of_bytes(result)
  if math.type(result) ~= "integer" then
    error("the result is not a number of bytes", 0)
  end
end

add { "client:download", short = true, shape = is_number_of_bytes,
  succeeds = function(w) return w.client:download("/studies/" .. w.stored .. "/archive", w.path) end,
  fails = {
    unknown = function(w) return w.client:download("/studies/" .. w.no_resource .. "/archive", w.path) end,
    ["unknown file"] = function(w) return w.client:download("/instances/" .. w.no_resource .. "/file", w.path) end,
  } }

-- A table, or for an archive a list of them.
local function is_stored(result)
  for _, one in ipairs(is("table", result)[1] and result or { result }) do
    is_table("ID", "Status")(one)
  end
end

add { "client:upload", shape = is_stored,
  succeeds = function(w) return w.client:upload { data = w.file } end,
  fails = { ["no DICOM file"] = function(w) return w.client:upload { data = ("no DICOM file "):rep(100) } end } }

add { "client:system", shape = is_table("Version"),
  succeeds = function(w) return w.client:system() end,
  fails = { ["no password"] = guarded(function(w) return w.client:system() end) } }

add { "client:modalities", short = true, shape = list_of "string",
  succeeds = function(w) return w.client:modalities() end,
  fails = { ["no password"] = guarded(function(w) return w.client:modalities() end) } }

add { "client:modalities", shape = is_map_of_tables,
  succeeds = function(w) return w.client:modalities { expand = true } end,
  fails = { ["no password"] = guarded(function(w) return w.client:modalities { expand = true } end) } }

add { "client:peers", shape = list_of "string",
  succeeds = function(w) return w.client:peers() end,
  fails = { ["no password"] = guarded(function(w) return w.client:peers() end) } }

add { "client:peers", shape = is_map_of_tables,
  succeeds = function(w) return w.client:peers { expand = true } end,
  fails = { ["no password"] = guarded(function(w) return w.client:peers { expand = true } end) } }

add { "client:queries", shape = list_of "string",
  succeeds = { function(w) return w.client:queries() end, before = with_query "pacs", after = drop_query },
  fails = { ["no password"] = guarded(function(w) return w.client:queries() end) } }

add { "client:jobs", shape = list_of "string",
  succeeds = function(w) return w.client:jobs() end,
  fails = { ["no password"] = guarded(function(w) return w.client:jobs() end) } }

add { "client:jobs", shape = list_of "table",
  succeeds = function(w) return w.client:jobs { expand = true } end,
  fails = { ["no password"] = guarded(function(w) return w.client:jobs { expand = true } end) } }

add { "client:find", short = true, shape = list_of("string", "warning"),
  succeeds = function(w) return w.client:find { Level = "Study", Query = { PatientID = "MOD-*" } } end,
  fails = { ["no password"] = guarded(function(w) return w.client:find { Level = "Study", Query = { PatientID = "MOD-*" } } end) } }

add { "client:find", shape = list_of("table", "warning"),
  succeeds = function(w) return w.client:find { Level = "Study", Query = { PatientID = "MOD-*" }, Expand = true } end,
  fails = { ["no password"] = guarded(function(w)
    return w.client:find { Level = "Study", Query = { PatientID = "MOD-*" }, Expand = true }
  end) } }

add { "client:default_encoding", short = true, shape = is_string,
  succeeds = function(w) return w.client:default_encoding() end,
  fails = { ["no password"] = guarded(function(w) return w.client:default_encoding() end) } }

add { "client:use_utf8", shape = function(result) is("function", result) end,
  succeeds = function(w) return w.client:use_utf8() end,
  fails = { ["no password"] = guarded(function(w) return w.client:use_utf8() end) } }

add { "client:changes", short = true, shape = list_of "table", iterates = true,
  succeeds = function(w) return collect(function() return w.client:changes { limit = 5 } end) end,
  fails = { ["no password"] = guarded(function(w) return collect(function() return w.client:changes() end) end) } }

-- ---- query ----

-- To close a query that is gone is a success, so that fails only without the password.
local function query_row(name, shape, f)
  local function of_no_query(w) return f(w.client:query(w.no_id)) end
  add { "query:" .. name, shape = shape, truths = name == "close" and { EMPTY_YES } or nil,
    succeeds = { function(w, id) return f(w.client:query(id)) end, before = with_query "pacs", after = drop_query },
    fails = name == "close" and { ["no password"] = guarded(of_no_query) } or { gone = of_no_query } }
end

query_row("answers", list_of("table", "warning"), function(query) return query:answers() end)
query_row("level", is_string, function(query) return query:level() end)
query_row("modality", is_string, function(query) return query:modality() end)
query_row("close", is_true, function(query) return query:close() end)
query_row("move", is_transferred, function(query) return query:move(transfer { to = "archive" }, 1) end)

add { "found:close", shape = is_true,
  succeeds = { function(_, found) return found:close() end, before = function(w) return assert(pacs(w):find(STUDY)) end },
  fails = {} }

-- ---- job ----

-- A job that has ended: a move that failed, or that succeeded.
local function ended_job(name, target, query_data, by)
  return function(w)
    local query <close> = assert(w.direct:modality(name):find(query_data or STUDY))
    local handle = assert(w[by or "direct"]:modality(name):move(query.ID, { to = target, Synchronous = false }))
    assert(expect.eventually(function() return json.get(w.direct:job(handle):status(), "CompletionTime") end))
    return handle.ID
  end
end

-- A job that waits behind another one, on a server that runs one at a time.
local function pending_job(w)
  return assert(w.busy:modality "archive":store(w.stored_at_busy, { Synchronous = false })).ID
end

local function paused_job(w)
  local id = pending_job(w)
  assert(w.busy:job(id):pause())
  return id
end

local function cancel_job(w, id)
  w.busy:job(id):cancel()
end

local function job_control(name, before)
  local function f(w, id) return w.client:job(id)[name](w.client:job(id)) end
  return f, { f, before = before, after = cancel_job, server = "busy" }
end

add { "job:status", short = true, shape = is_table "State",
  succeeds = { function(w, id) return w.client:job(id):status() end, before = ended_job("pacs", "archive") },
  fails = { unknown = function(w) return w.client:job(w.no_id):status() end } }

-- Of a job that another client has started, Orthanc 1.10.1 does not show the destination, and so wait cannot tell.
add { "job:wait", since = 11200, shape = is_transferred,
  succeeds = { function(w, id) return w.client:job(id):wait(TRANSFER) end, before = ended_job("pacs", "archive") }, fails = {} }

add { "job:wait", short = true, shape = is_transferred,
  succeeds = { function(w, id) return w.client:job(id):wait(TRANSFER) end, before = ended_job("pacs", "archive", STUDY, "client") },
  fails = {
    unknown = function(w) return w.client:job(w.no_id):wait(TRANSFER) end,
    failed = { function(w, id) return w.client:job(id):wait(TRANSFER) end, before = ended_job("move-fails", "archive", FAKES) },
  } }

-- Orthanc also says yes when a job that has ended is cancelled or paused.
for name, before in pairs { cancel = pending_job, pause = pending_job, resume = paused_job } do
  local f, succeeds = job_control(name, before)
  add { "job:" .. name, short = name == "cancel", shape = is_true, succeeds = succeeds, fails = {
    ended = name == "resume" and { f, before = ended_job("pacs", "archive") } or nil,
    unknown = function(w) return f(w, w.no_id) end,
  } }
end

do
  local f = job_control("resubmit", pending_job)
  add { "job:resubmit", shape = is_true,
    succeeds = { f, before = ended_job("move-fails", "archive", FAKES) },
    fails = { ended = { f, before = ended_job("pacs", "archive") }, unknown = function(w) return f(w, w.no_id) end } }
end

-- ---- commitment ----

-- A commitment that has its answer: kept by pacs, or not.
local function answered(resources)
  return function(w)
    local commitment = assert(w.direct:modality "pacs":storage_commitment(resources(w)))
    assert(expect.eventually(function() return assert(commitment:status()).Status ~= "Pending" end))
    return commitment.id
  end
end

-- Stores a new instance here and at pacs, and asks pacs for its commitment.
local function new_instance(w)
  local uid = w.new_uid()
  local stored = assert(w.direct:upload { data = archive.file { SOPClassUID = CT, SOPInstanceUID = uid .. ".1.1",
    StudyInstanceUID = uid, SeriesInstanceUID = uid .. ".1", PatientID = "COMMITTED" } })
  assert(w.direct:modality "pacs":store(stored.ID))
  return stored.ID
end

local function kept(w) return w.stored end
local function missing() return { SOPClassUID = CT, SOPInstanceUID = "1.2.3.4" } end

local STATUS <const> = is_table "Status"

add { "commitment:status", shape = STATUS,
  succeeds = { function(w, id) return w.client:commitment(id):status() end, before = answered(kept) },
  fails = { unknown = function(w) return w.client:commitment "1.2.3":status() end } }

add { "commitment:wait", short = true, shape = STATUS,
  succeeds = { function(w, id) return w.client:commitment(id):wait(TRANSFER) end, before = answered(kept) },
  fails = {
    unknown = function(w) return w.client:commitment "1.2.3":wait(TRANSFER) end,
    refused = { function(w, id) return w.client:commitment(id):wait(TRANSFER) end, before = answered(missing) },
  } }

add { "commitment:remove", shape = is_true,
  succeeds = { function(w, id) return w.client:commitment(id):remove() end, before = answered(new_instance) },
  fails = {
    refused = { function(w, id) return w.client:commitment(id):remove() end, before = answered(missing) },
    unknown = function(w) return w.client:commitment "1.2.3":remove() end,
  } }

-- ---- peer ----

local function make_peer(w)
  local name = w.name .. "-own"
  assert(w.direct:put("/peers/" .. name, { Url = "http://127.0.0.1:1/" }))
  return name
end

local function remove_peer(w, name)
  w.direct:delete("/peers/" .. name)
end

-- What another Orthanc says about itself has a name or a version.
local function is_system(result)
  is("string", is("table", result).Name or result.Version, "the name or version")
end

add { "peer:system", short = true, shape = is_system,
  succeeds = function(w) return w.client:peer "far":system(TRANSFER) end,
  fails = { unreachable = function(w) return w.client:peer "gone":system(TRANSFER) end } }

add { "peer:store", shape = is_transferred,
  succeeds = function(w) return w.client:peer "far":store(w.stored, transfer()) end,
  fails = { unreachable = function(w) return w.client:peer "gone":store(w.stored, transfer()) end } }

add { "peer:configuration", shape = is_table "Url",
  succeeds = function(w) return w.client:peer "far":configuration() end,
  fails = { unknown = function(w) return w.client:peer "nosuch":configuration() end } }

add { "peer:configure", shape = is_table "Url",
  succeeds = { function(w, name) return w.client:peer(name):configure { Username = "u", Password = "p" } end,
    before = make_peer, after = remove_peer },
  fails = { unknown = function(w) return w.client:peer "nosuch":configure { Username = "u" } end } }

add { "peer:remove", shape = is_true,
  succeeds = { function(w, name) return w.client:peer(name):remove() end, before = make_peer, after = remove_peer },
  fails = { unknown = function(w) return w.client:peer "nosuch":remove() end } }

-- ---- verbs ----

-- Runs a verb, whose exit status says whether it has succeeded. Any other status is a crash.
local function run_verb(w, ...)
  w.note(select(2, ...))
  local result = command.shell(("MODALUA_URL=%s \"$M\" %s"):format(w.client_url, command.quote(...)))
  if result.status > 1 then
    error(("the exit status is %d: %s"):format(result.status, result.err), 0)
  end
  local texts = { out = result.out, err = result.err }
  if result.status == 1 then
    return nil, texts
  end
  return texts
end

local function verb(...)
  local words = table.pack(...)
  return function(w) return run_verb(w, table.unpack(words, 1, words.n)) end
end

local function is_json(texts)
  assert(json.decode(texts.out))
end

local function verb_row(name, succeeds, fails, short)
  add { "modalua " .. name, verb = true, short = short, shape = is_json, succeeds = succeeds, fails = fails }
end

verb_row("echo", verb("echo", "pacs", "--json"),
  { unreachable = verb("echo", "gone", "--json"), ["one of two"] = verb("echo", "pacs", "gone", "--json") })
verb_row("find", verb("find", "pacs", "PatientID=MOD-0001", "--json"),
  { ["a status"] = verb("find", "find-fails", "PatientID=MOD-0001", "--json") }, true)
verb_row("jobs", verb("jobs", "--json"), { ["no password"] = guarded(verb("jobs", "--json")) })
verb_row("modalities", verb("modalities", "--json"), { ["no password"] = guarded(verb("modalities", "--json")) })
verb_row("queries", verb("queries", "--json"), { ["no password"] = guarded(verb("queries", "--json")) })
verb_row("move", verb("move", "pacs", "--to", "archive", "PatientID=MOD-0001", "--json"),
  { ["a status"] = verb("move", "move-fails", "--to", "archive", "PatientID=MOD-0001", "--json"),
    ["an unreachable target"] = verb("move", "pacs", "--to", "gone", "PatientID=MOD-0001", "--json") })

-- Rows of verbs that print no JSON document.
local function lines_verb_row(name, shape, succeeds, fails, truths)
  add { "modalua " .. name, verb = true, shape = shape, succeeds = succeeds, fails = fails, truths = truths }
end

local function is_text(texts)
  is("string", texts.out)
end

lines_verb_row("api", is_text, verb("api", "GET", "/system"),
  { ["no password"] = guarded(verb("api", "GET", "/system")), unknown = verb("api", "GET", "/nosuch") }, { ANY_ROUTE })
lines_verb_row("follow", is_text, verb("follow", "--once", "--type", "NewPatient"),
  { ["no password"] = guarded(verb("follow", "--once")) })
verb_row("check", verb("check", "pacs", "--json"), { ["no password"] = guarded(verb("check", "--json")) })
verb_row("commit", function(w) return run_verb(w, "commit", "pacs", w.stored, "--no-wait", "--json") end,
  { unreachable = function(w) return run_verb(w, "commit", "gone", w.stored, "--no-wait", "--json") end })
verb_row("configure", { function(w, name) return run_verb(w, "configure", name, "Port=4243", "--json") end,
  before = make_modality, after = remove_modality },
  { unknown = verb("configure", "nosuch", "Port=4243", "--json") })
verb_row("download", function(w) return run_verb(w, "download", "/studies/" .. w.stored .. "/archive", w.path, "--json") end,
  { unknown = function(w) return run_verb(w, "download", "/studies/" .. w.no_resource .. "/archive", w.path, "--json") end })
add { "modalua get", verb = true, since = 11206, shape = is_json, succeeds = verb("get", "pacs", "PatientID=MOD-0001", "--json"),
  fails = { ["a status"] = verb("get", "find-fails", "PatientID=MOD-0001", "--json") } }
verb_row("job", { function(w, id) return run_verb(w, "job", id, "--json") end,
  before = function(w) return assert(w.direct:modality "archive":store(w.stored, { Synchronous = false })).ID end },
  { unknown = function(w) return run_verb(w, "job", w.no_id, "--json") end })
verb_row("store", function(w) return run_verb(w, "store", "archive", w.stored, "--json") end,
  { ["a status"] = function(w) return run_verb(w, "store", "store-fails", w.stored, "--json") end,
    unreachable = function(w) return run_verb(w, "store", "gone", w.stored, "--json") end })

-- The case of an upload of a file with this content.
local function upload_case(content_of)
  return { function(w) return run_verb(w, "upload", w.path, "--json") end,
    before = function(w)
      local file <close> = assert(io.open(w.path, "wb"))
      file:write(content_of(w))
    end }
end

verb_row("upload", upload_case(function(w) return w.file end),
  { ["no DICOM file"] = upload_case(function() return ("no DICOM file "):rep(100) end) })
verb_row("worklist", verb("worklist", "ris", "--json"),
  { ["a status"] = verb("worklist", "find-fails", "--json"), unreachable = verb("worklist", "gone", "--json") })

--- Methods and verbs that send no request. `modalua transfer` sends many, but it waits until a failure has passed, so that a run does not
-- end; the operations that it uses have rows of their own.
rows.silent = { ["client:modality"] = true, ["client:peer"] = true, ["client:query"] = true, ["client:job"] = true,
  ["client:commitment"] = true, ["modalua manual"] = true, ["modalua help"] = true, ["modalua version"] = true,
  ["modalua completion"] = true,  ["modalua transfer"] = true }

return rows
