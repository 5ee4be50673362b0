-- Tests that an answer with another shape than expected is an error, of each operation and of each request that it sends. faultd plays the
-- Orthanc, since a real one never answers so.
local faultd = require "spec.support.faultd"
local json = require "modalua.json"
local modalua = require "modalua"

local QUERY <const>, JOB <const> = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
local STORED <const> = "11111111-22222222-33333333-44444444-55555555"
local JSON <const>, TEXT <const> = "application/json", "text/plain"

-- ---- wrong answers ----

-- Each is a body, of JSON when no type is given.
local function answer(body, type)
  return { body = body, type = type or JSON }
end

local HTML <const> = answer("<html>Log in</html>", "text/html")
local LONG <const> = ("x"):rep(70000)

local function answers(bodies, others)
  local list = { HTML, answer "", answer("", TEXT), answer '[{"PatientID":"1"', answer '"', answer "x", answer("{}", TEXT),
    answer("[]", TEXT) }
  for _, body in ipairs(bodies) do
    list[#list + 1] = answer(body)
  end
  table.move(others or {}, 1, #(others or {}), #list + 1, list)
  return list
end

local NO_OBJECT <const> = { "[]", "null", "12", "true", '"a"', "[{}]" }
local NO_LIST <const> = { "{}", "null", "12", "false", '"a"', '{"0":{}}' }

-- The wrong answers instead of an object; `format` puts each wrong value into it.
local function no_object(format, values)
  local bodies = table.move(NO_OBJECT, 1, #NO_OBJECT, 1, {})
  for _, value in ipairs(values or {}) do
    bodies[#bodies + 1] = format:format(value)
  end
  return answers(bodies)
end

local function no_list(...)
  local bodies = table.move(NO_LIST, 1, #NO_LIST, 1, {})
  return answers(table.move({ ... }, 1, select("#", ...), #bodies + 1, bodies))
end

local NO_TEXT <const> = { "null", "12", "true", "[]", "{}" }
local NO_IDENTIFIER <const> = { "null", "12", "true", "[]", "{}", '""', '"../x"', '"a/b"', '"1\\u0000"', json.encode(LONG) }

local OBJECTS <const> = no_list("[12]", "[{},null]", '[{},"a"]', "[{},[]]", "[[{}]]", "[{},true]")
local NAMES <const> = no_list("[12]", "[null]", "[{}]", '["a",["a"]]')
local IDENTIFIERS <const> = no_list("[12]", "[null]", "[{}]", "[[]]", '[""]', '["../a"]', '["' .. LONG .. '"]', '["1\\u0000"]')
local NAME <const> = answers({ '"CT"', "12", "null", "{}", '["CT"]' }, { answer("<html>", TEXT), answer("a\0", TEXT), answer("a\n", TEXT),
  answer(LONG, TEXT) })
local WORD <const> = table.move(NAME, 1, #NAME, 3, { answer("a b", TEXT), answer("a/../b", TEXT) })

-- The answers of a modality: also the members must be texts.
local ROWS <const> = no_list("[12]", "[{},null]", '[{},"a"]', "[[{}]]", '[{"PatientID":12}]', '[{"PatientID":true}]', '[{"PatientID":{}}]',
  '[{"PatientID":[]}]', '[{"StudyInstanceUID":{"Value":"1"}}]')

-- Answers of which the UID is none; it would be a filter of the next search.
local NO_UID <const> = {}
for i, uid in ipairs { '""', '" "', '"1*"', '"1.2\\\\1.3"', '"../x"', '"IMAGE"', '"1\\u00002"', '"\\u001b[31m"', json.encode(LONG) } do
  NO_UID[i] = '[{"PatientID":"P","StudyInstanceUID":' .. uid .. "}]"
end

-- ---- operations ----

local ROW <const> = { PatientID = "P", StudyInstanceUID = "1.2", SeriesInstanceUID = "1.2.3", QueryRetrieveLevel = "STUDY" }
local ENTRY <const> = '{"AET":"PACS","Host":"localhost","Port":104}'
local PEER <const> = '{"Url":"http://localhost/"}'

-- A request of an operation: its path, the right answer to it, and the wrong ones.
local function ask(path, right, wrong, type)
  return { path = path, right = answer(right, type), wrong = wrong }
end

local FIND <const> = ask("/modalities/pacs/query", json.encode { ID = QUERY, Path = "/queries/" .. QUERY },
  no_object('{"ID":%s}', NO_IDENTIFIER))
local ANSWERS <const> = ask("/queries/" .. QUERY .. "/answers", json.encode { ROW }, ROWS)
local SYSTEM <const> = ask("/system", '{"Version":"1.13.0","DicomAet":"LOCAL"}', no_object('{"Version":%s}', NO_TEXT))
local OLD_SYSTEM <const> = ask("/system", '{"Version":"1.10.1"}', no_object('{"Version":%s}', NO_TEXT))
local ENCODING <const> = ask("/tools/default-encoding", "Latin1", WORD, TEXT)

-- The log with one change, of which a member has the format of a value.
local function change(member, value)
  return ('{"Changes":[{"Seq":1,"ChangeType":"NewStudy"},{"Seq":2,"ChangeType":"NewStudy","%s":%s}],"Last":2,"Done":true}'):format(member,
    value)
end

local CHANGES <const> = no_object('{"Changes":%s,"Last":2,"Done":true}', { "null", "12", "{}", '"a"', "[12]", "[null]", "[{}]", "[[]]",
  '[{"Seq":"1","ChangeType":"a"}]', '[{"Seq":1.5,"ChangeType":"a"}]', '[{"Seq":1e308,"ChangeType":"a"}]',
  '[{"Seq":null,"ChangeType":"a"}]', '[{"Seq":-1,"ChangeType":"a"}]', '[{"Seq":9223372036854775808,"ChangeType":"a"}]',
  '[{"Seq":1,"ChangeType":12}]', '[{"Seq":0,"ChangeType":"a"}]', '[{"Seq":1,"ChangeType":"a"},{"Seq":1,"ChangeType":"a"}]',
  '[{"Seq":2,"ChangeType":"a"},{"Seq":1,"ChangeType":"a"}]' })
for _, value in ipairs { '{"Changes":[],"Last":0,"Done":false}', '{"Changes":[],"Last":"2","Done":true}', '{"Changes":[],"Done":true}',
  '{"Changes":[],"Last":2}', '{"Changes":[],"Last":2,"Done":1}', '{"Changes":[],"Last":2.5,"Done":true}', change("ID", "12"),
  change("Seq", "2.5") } do
  CHANGES[#CHANGES + 1] = answer(value)
end

local function all(iterator, ...)
  local list = {}
  for value in iterator, ... do
    list[#list + 1] = value
  end
  return list
end

-- Each operation, with its requests in their order. `throws`: it is an iterator.
local OPERATIONS = {
  { "client:system", function(client) return client:system() end, SYSTEM },
  { "client:modalities", function(client) return client:modalities() end, ask("/modalities", '["pacs"]', NAMES) },
  { "client:modalities { expand = true }", function(client) return client:modalities { expand = true } end,
    ask("/modalities", '{"pacs":' .. ENTRY .. "}", no_object('{"pacs":%s}', { "null", "12", '"a"', "[]", "true" })) },
  { "client:peers", function(client) return client:peers() end, ask("/peers", '["clinic"]', NAMES) },
  { "client:peers { expand = true }", function(client) return client:peers { expand = true } end,
    ask("/peers", '{"clinic":' .. PEER .. "}", no_object('{"clinic":%s}', { "null", "12", '"a"', "[]", "true" })) },
  { "client:queries", function(client) return client:queries() end, ask("/queries", '["' .. QUERY .. '"]', IDENTIFIERS) },
  { "client:jobs", function(client) return client:jobs() end, ask("/jobs", '["' .. JOB .. '"]', IDENTIFIERS) },
  { "client:jobs { expand = true }", function(client) return client:jobs { expand = true } end, ask("/jobs", "[{}]", OBJECTS) },
  { "client:default_encoding", function(client) return client:default_encoding() end, ENCODING },
  { "client:changes", function(client) return all(client:changes()) end, ask("/changes", change("ID", '"a"'), CHANGES), throws = true },
  { "client:find", function(client) return client:find { Level = "Study", Query = {} } end, SYSTEM,
    ask("/tools/find", '["' .. STORED .. '"]', IDENTIFIERS) },
  { "client:find { Expand = true }", function(client) return client:find { Level = "Study", Query = {}, Expand = true } end, SYSTEM,
    ask("/tools/find", '[{"ID":"' .. STORED .. '","MainDicomTags":{}}]', no_list("[12]", "[{},null]", '["' .. STORED .. '"]', "[[]]",
      '[{"ID":12}]', '[{"ID":"../x"}]', '[{"MainDicomTags":12}]', '[{"PatientMainDicomTags":[]}]', '[{"RequestedTags":"a"}]')) },
  { "client:find with an old Orthanc", function(client) return client:find { Level = "Study", Query = {} } end, OLD_SYSTEM,
    ask("/tools/find", '["' .. STORED .. '"]', IDENTIFIERS),
    ask("/statistics", '{"CountStudies":1}', no_object('{"CountStudies":%s}', { '"1"', "null", "-1", "1.5", "1e308", "[]", "{}" })) },
  { "modality:find", function(_, pacs) return pacs:find { Level = "Study", Query = { PatientID = "P" } } end, FIND, ANSWERS },
  { "modality:find { simplify = false }", function(_, pacs)
    return pacs:find({ Level = "Study", Query = { PatientID = "P" } }, { simplify = false })
  end, FIND, ask(ANSWERS.path, '[{"0010,0020":{"Name":"PatientID","Type":"String","Value":"P"}}]', no_list("[12]", '[{"0010,0020":"P"}]',
    '[{"0010,0020":{"Value":12}}]', '[{"0010,0020":{"Value":{}}}]', '[{"0010,0020":[]}]')) },
  { "modality:find by a tag of the level above", function(_, pacs)
    return pacs:find { Level = "Series", Query = { PatientID = "P" } }
  end, FIND, ask(ANSWERS.path, ANSWERS.right.body, no_list(table.unpack(NO_UID))) },
  { "modality:series", function(_, pacs) return pacs:series(ROW) end, FIND, ANSWERS },
  { "modality:find_each", function(_, pacs) return pacs:find_each("StudyInstanceUID", { "1.2", "1.3" }) end, FIND, ANSWERS },
  { "modality:find_all", function(_, pacs)
    return all(pacs:find_all { Level = "Study", Query = { StudyInstanceUID = "1.2" } })
  end, FIND, ANSWERS, throws = true },
  { "modality:find_all for series", function(_, pacs)
    return all(pacs:find_all { Level = "Series", Query = { PatientID = "P" } })
  end, FIND, ask(ANSWERS.path, ANSWERS.right.body, no_list(table.unpack(NO_UID))), throws = true },
  { "modality:find_worklist", function(_, pacs) return pacs:find_worklist { PatientID = "P" } end,
    ask("/modalities/pacs/find-worklist", '[{"PatientID":"P","ScheduledProcedureStepSequence":[{"Modality":"CT"}]}]',
      no_list("[12]", "[{},null]", '[{},"a"]', "[[{}]]", '[{"PatientID":12}]', '[{"PatientID":{"Value":"P"}}]', '[{"PatientID":[]}]',
        '[{"ScheduledProcedureStepSequence":[12]}]', '[{"ScheduledProcedureStepSequence":[{"Modality":12}]}]',
        '[{"ScheduledProcedureStepSequence":[null]}]', '[{"ScheduledProcedureStepSequence":{"Modality":"CT"}}]')) },
  { "modality:get_query_answers", function(_, pacs) return pacs:get_query_answers(QUERY) end, ANSWERS },
  { "query:answers", function(client) return client:query(QUERY):answers() end, ANSWERS },
  { "query:level", function(client) return client:query(QUERY):level() end,
    ask("/queries/" .. QUERY .. "/level", "Study", WORD, TEXT) },
  { "query:modality", function(client) return client:query(QUERY):modality() end,
    ask("/queries/" .. QUERY .. "/modality", "pacs", NAME, TEXT) },
  { "job:status", function(client) return client:job(JOB):status() end,
    ask("/jobs/" .. JOB, '{"State":"Running"}', no_object('{"State":%s}', NO_TEXT)) },
  { "commitment:status", function(client) return client:commitment "1.2":status() end,
    ask("/storage-commitment/1.2", '{"Status":"Pending"}', no_object('{"Status":%s}', NO_TEXT)) },
  { "modality:configuration", function(_, pacs) return pacs:configuration() end,
    ask("/modalities/pacs/configuration", ENTRY, no_object('{"AET":%s,"Host":"a","Port":1}', NO_TEXT)) },
  { "peer:configuration", function(client) return client:peer "clinic":configuration() end,
    ask("/peers/clinic/configuration", PEER, no_object('{"Url":%s}', NO_TEXT)) },
  { "peer:system", function(client) return client:peer "clinic":system() end,
    ask("/peers/clinic/system", '{"Name":"CLINIC"}', no_object('{"Name":%s}', NO_TEXT)) },
}

-- ---- one place changed ----

local VALUES <const> = { "null", "-1", "1e308", '""', '"other"', '"\\u0000\\u001b"', "{}", "[null]", json.encode(LONG),
  ("["):rep(900) .. ("]"):rep(900) }

-- Calls f with the JSON text of the value in which each place is changed in turn. `wrap` makes the whole text of that of the value.
local function change_each(value, wrap, f)
  for _, text in ipairs(VALUES) do
    f(wrap(text))
  end
  if type(value) ~= "table" then
    return
  end
  local is_list = json.encode(value):sub(1, 1) == "["
  local function with(key, text) -- "" = without that member
    local parts = {}
    for name, member in pairs(value) do
      local written = name == key and text or json.encode(member)
      if written ~= "" then
        parts[#parts + 1] = is_list and written or json.encode(name) .. ":" .. written
      end
    end
    return wrap((is_list and "[%s]" or "{%s}"):format(table.concat(parts, ",")))
  end
  for key, member in pairs(value) do
    f(with(key, ""))
    change_each(member, function(text) return with(key, text) end, f)
  end
end

-- ---- the test ----

local NEVER <const> = { "attempt to", "bad argument", "%.lua:%d", "stack traceback", "\n", "%z", "\27" }

-- What is wrong with an error; nil when nothing is.
local function fault_of(err)
  if not modalua.is_error(err) then
    return "no error object, but " .. tostring(err):sub(1, 200)
  elseif #err.message > 2000 then
    return "its message is very long"
  end
  for _, pattern in ipairs(NEVER) do
    if err.message:find(pattern) then
      return "its message is: " .. err.message
    end
  end
end

describe("An answer of another shape", function()
  local server, client

  setup(function()
    server = faultd.start()
  end)

  teardown(function()
    server:close()
  end)

  local function says(path, said)
    assert(client:get(faultd.map { path = path }))
    assert(client:get(faultd.map { path = path, to = faultd.route("/status", { code = 200, type = said.type, body = said.body }) }))
  end

  local function say_all(operation)
    client = modalua.connect(server.url)
    for i = 3, #operation do
      says(operation[i].path, operation[i].right)
    end
  end

  -- Runs an operation with a client that knows nothing about the server. Returns its results; of an iterator, which throws, nil and the
  -- error. `request` is answered by `said`.
  local function run(operation, request, said)
    client = modalua.connect(server.url)
    says(request.path, said)
    local good, result, err = pcall(operation[2], client, client:modality "pacs")
    if not good and operation.throws then
      return nil, result
    end
    assert.is_true(good, ("%s answered by %s: %s"):format(request.path, said.body:sub(1, 80), tostring(result)))
    return result, err
  end

  for _, operation in ipairs(OPERATIONS) do
    it("is an error of " .. operation[1], function()
      say_all(operation)
      local faults = {}
      for i = 3, #operation do
        local request = operation[i]
        for _, wrong in ipairs(request.wrong) do
          local got, err = run(operation, request, wrong)
          local fault = got == nil and (fault_of(err) or err.kind ~= "decode" and tostring(err)) or got ~= nil and "a success"
          if fault then
            faults[#faults + 1] = ("%s answered by %s (%s): %s"):format(request.path, wrong.body:sub(1, 80), wrong.type, fault)
          end
        end
        assert(run(operation, request, request.right)) -- it works with the right answers
      end
      assert.are.same({}, faults)
    end)

    if not operation[1]:find "find_all" then -- it makes many C-FINDs of one answer
      it("does not make " .. operation[1] .. " throw, whatever place of it is changed", function()
        say_all(operation)
        local faults = {}
        for i = 3, #operation do
          local request = operation[i]
          local good, value = pcall(json.decode, request.right.body)
          change_each(good and value or request.right.body, function(text) return text end, function(body)
            local got, err = run(operation, request, { body = body, type = request.right.type })
            local fault = got == nil and fault_of(err)
            if fault then
              faults[#faults + 1] = ("%s answered by %s: %s"):format(request.path, body:sub(1, 80), fault)
            end
          end)
          says(request.path, request.right)
        end
        assert.are.same({}, faults)
      end)
    end
  end

  it("ends find_all when each search gets the same answer, which lies outside of it", function()
    local outside = { PatientID = "other", StudyInstanceUID = "1.2", StudyDate = "20240101" }
    say_all { "", false, FIND, ask(ANSWERS.path, json.encode { outside }) }
    local good, err = pcall(function() return all(client:modality "pacs":find_all { Level = "Study", Query = { PatientID = "P*" } }) end)
    assert.is_false(good)
    assert.are.same({ "unknown", "incomplete" }, { err.kind, err.code })
  end)

  it("says which request was answered, which part of the answer is what, and what it should be", function()
    client = modalua.connect(server.url)
    says("/queries/" .. QUERY .. "/answers", answer "[{},{},12]")
    local _, err = client:query(QUERY):answers()
    assert.are.equal(("unexpected response from /queries/%s/answers: element 3 is a number, not an object"):format(QUERY), err.message)
    assert.are.same({ "decode", "answers", "GET", 200 }, { err.kind, err.op, err.method, err.status })
    says("/changes", answer '{"Changes":[{"Seq":"x","ChangeType":"NewStudy"}],"Last":1,"Done":true}')
    local good, thrown = pcall(all, client:changes())
    assert.is_false(good)
    assert.are.equal("unexpected response from /changes: Seq of element 1 of Changes is a text, not a whole number, 0 or more",
      thrown.message)
    says("/modalities/pacs/configuration", answer '{"AET":null,"Host":"h","Port":104}')
    assert.are.equal("unexpected response from /modalities/pacs/configuration: AET is null, not a text",
      select(2, client:modality "pacs":configuration()).message)
  end)
end)
