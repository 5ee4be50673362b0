-- Tests what a worker makes of the outcome of a transfer (lua/modalua/transfer/recover.lua, send_outcome.lua, send_items.lua, confirm.lua),
-- without a server: the client, the ledger and the answers are tables of this spec.
local json = require "modalua.json"
local part = require "spec.support.part"
local confirm, recover, send_items = part "transfer.confirm", part "transfer.recover", part "transfer.send_items"
local breaker, native, send_outcome = part "transfer.breaker", part "core.native", part "transfer.send_outcome"
local check_items, send = part "transfer.check_items", part "transfer.send"

local STUDY <const> = "0123abcd-0123abcd-0123abcd-0123abcd-0123abcd"

-- A client of an Orthanc that has one study. fields: what it has besides, or answers otherwise.
local function client_of(fields)
  local client = { modality = function(_, name) return { modality = name } end,
    peer = function(_, name) return { peer = name, configuration = function() return fields.peers[name] end } end,
    modalities = function() return fields.modalities end, jobs = function() return fields.jobs end,
    job = function() return { wait = function() return {} end } end,
    post = function() return json.array { { ID = STUDY, Type = "Study" } } end }
  return client
end

-- A ledger of the worker 1 that takes all changes, but those of the items in `refused` (a set of IDs).
local function ledger_of(refused)
  return { worker = 1, record = function(_, changes)
    local list = {}
    for _, change in ipairs(changes) do
      list[#list + 1] = refused[change.id] and change.id or nil
    end
    return list
  end }
end

-- A worker that sends what this Orthanc has to the destination.
local function worker_of(client, destination, settings, refused)
  local worker = send_items.new { client = client, ledger = ledger_of(refused or {}), is_local = true, source = client,
    destination = destination, level = "Study", breaker = breaker.new(native.now), settings = settings, share = 1,
    now = function() return 1000 end, tell = function() end, gate = function() return true end }
  function worker.spawn(f) f() end
  function worker.side_failed(_, err) error(err.message) end
  return worker
end

describe("A transfer that was interrupted, where nothing can be compared,", function()
  -- What becomes of a study that was sent to the destination, when the server has this record of an ended job.
  local function outcome(destination, fields)
    fields.jobs = { { ID = STUDY, Type = fields.type, State = "Success", CreationTime = "20260101T000000", Content = fields.content } }
    fields.content.ParentResources = { STUDY }
    local worker = worker_of(client_of(fields), destination, { verify = "job" })
    local item = { id = 1, owner = 1, state = "sending", tries = 0, uids = { StudyInstanceUID = "1.2" }, started = 1,
      recovered = "sending" }
    recover.begin(worker, { item })
    return item.state
  end

  local function to_modality(modalities)
    return outcome({ kind = "modality", modality = { modality = "archive" } }, { modalities = modalities, type = "DicomModalityStore",
      content = { RemoteAet = "ARCHIVE" } })
  end

  it("is done when the job says so, and unknown when the job may have sent to another modality with the same AE title", function()
    assert.are.equal("done", to_modality { archive = { AET = "ARCHIVE" }, other = { AET = "OTHER" } })
    assert.are.equal("unknown", to_modality { archive = { AET = "ARCHIVE" }, other = { AET = "ARCHIVE" } })
    assert.are.equal("unknown", to_modality { archive = { AET = "ANOTHER" } })
  end)

  it("is done when the job of a peer says so, in the short and the long form of the peer", function()
    for _, peer in ipairs { { "http://clinic/", "u" }, { Url = "http://clinic/", HttpHeaders = { "X-Token" } } } do
      local client = client_of { peers = { clinic = { Url = "http://clinic" } } }
      assert.are.equal("done", outcome({ kind = "peer", peer = client:peer "clinic" },
        { peers = {}, type = "OrthancPeerStore", content = { Peer = peer } }))
    end
  end)
end)

describe("The time until the job of a transfer is first asked for", function()
  local set_usual, set_latest, take_unfinished = native.set_usual, native.set_latest, native.take_unfinished

  teardown(function()
    native.set_usual, native.set_latest, native.take_unfinished = set_usual, set_latest, take_unfinished
  end)

  -- The times that are set by transfers the jobs of which were last seen unfinished after so many seconds. nil: a transfer without a job.
  local function times(list, n)
    local set, at = {}, 0
    function native.set_usual(_, seconds) set[#set + 1] = seconds end
    function native.set_latest() end
    function native.take_unfinished() return list[at] end
    local client = client_of {}
    function client.peer()
      return { store = function()
        at = at + 1
        return {}
      end }
    end
    local sender = send.new { client = client, level = "Study", is_local = true,
      destination = { kind = "peer", peer = { peer = "clinic" } } }
    for _ = 1, n or #list do
      sender:run { { uids = { StudyInstanceUID = "1.2" } } }
    end
    return set
  end

  it("is a part of what the shortest of the last eight needed", function()
    local set = times { 8 / 64, 8 / 64, 8 / 64, 5 / 64, 8 / 64, 8 / 64, 8 / 64, 7.5 / 64, 8 / 64, 8 / 64, 8 / 64, 8 / 64 }
    assert.are.same({ 0.0625, 0.0625, 0.0625, 0.0625, 0.09375 }, set)
  end)

  it("is never long, since the next item may be small", function()
    assert.are.same({ 0.1 }, times { 60, 60, 60, 60, 60, 60, 60, 60 })
  end)

  it("is none when the first poll has found one of them ended", function()
    assert.are.same({ 0 }, times { 1, 1, 1, 0, 1, 1, 1, 1 })
  end)

  it("is not learned from transfers without a job", function()
    assert.are.same({}, times({ 1, 1, 1, nil, 1, 1, 1, 1 }, 8))
  end)
end)

describe("The destination of a C-MOVE, of which only the AE title is known,", function()
  -- What Send:echo_destination returns, with a server that gives these answers; false: it does not answer.
  local function echo(system, modalities)
    local silence = native.fail("system", "network", nil, "the server is away")
    local client = client_of {}
    function client.system() return system or nil, not system and silence or nil end
    function client.modalities() return modalities or nil, not modalities and silence or nil end
    function client.modality() return { echo = function() return true end } end
    local sender = send.new { client = client, level = "Study", source = { modality = "pacs" },
      destination = { kind = "aet", aet = "FAR" } }
    local answers, err, side = sender:echo_destination()
    return { answers, err == silence, side }
  end

  local OURS <const>, FAR <const> = { DicomAet = "LOCAL" }, { far = { AET = "FAR", Host = "10.0.0.9", Port = 104 } }

  it("answers when a modality of this server has the title", function()
    assert.are.same({ true, false }, echo(OURS, FAR))
  end)

  it("cannot be asked when no modality has it", function()
    assert.are.same({ nil, false }, echo(OURS, {}))
  end)

  it("is not blamed when this server does not answer", function()
    assert.are.same({ false, true, "server" }, echo(false, FAR))
    assert.are.same({ false, true, "server" }, echo(OURS, false))
  end)
end)

describe("A worker counts as failed", function()
  it("what the ledger has or gets, not what it gave up, nor what another worker has", function()
    local worker = worker_of(client_of {}, { kind = "modality", modality = { modality = "archive" } }, { verify = "job", retries = 0 },
      { [3] = true })
    local function fail(id)
      worker:fail({ id = id, owner = 1, state = "sending", tries = 0 }, native.fail("store", "orthanc", nil, "refused"))
    end
    fail(1)
    assert.are.same({ 1, 0 }, { worker:count_failed(), worker.failed })
    worker:abandon()
    assert.are.equal(0, worker:count_failed())
    fail(2)
    fail(3)
    assert.are.equal(2, worker:count_failed())
    assert(worker:flush())
    assert.are.same({ 1, 1 }, { worker:count_failed(), worker.failed })
  end)
end)

describe("A side that is out of resources", function()
  local full = native.fail("store", "dicom", nil, "out of resources")
  full.dimse_status = 0xA700

  -- A worker that notes what becomes of items: losers, those that lost a try; alone, those that are sent alone.
  local function listener()
    return { breaker = breaker.new(native.now), settings = { retries = 3 }, run_n = 1, alone = {}, losers = {},
      ledger = { totals = function() return {} end },
      postpone = function() end, sent = function() end, fail = function(self, item) table.insert(self.losers, item.id) end,
      compare = { expect = function() return true end }, send = { echo_destination = function() return true end } }
  end

  local function good(worker, began)
    send_outcome.take(worker, { { id = 0, began = began } }, {}, nil)
  end

  local function refuse(worker, ...)
    local group = {}
    for i, id in ipairs { ... } do
      group[i] = { id = id, began = math.huge }
    end
    send_outcome.take(worker, group, nil, full)
  end

  it("is away as far as the transfers tell that had begun before it refused an item", function()
    local worker, began = listener(), native.now()
    good(worker, began)
    refuse(worker, 1)
    for _ = 1, 3 do
      good(worker, began)
    end
    refuse(worker, 1)
    assert.are.same({}, worker.losers)
    for _ = 1, 3 do
      good(worker, native.now())
    end
    refuse(worker, 1)
    assert.are.same({ 1 }, worker.losers)
  end)

  it("costs the item no try with which it is tried whether the side is there again", function()
    local worker = listener()
    good(worker, native.now())
    refuse(worker, 1)
    for _ = 1, 3 do
      good(worker, native.now())
    end
    worker.breaker:stay_open("to", "out of resources")
    worker.breaker:try_one()
    refuse(worker, 1)
    assert.are.same({ "open" }, { worker.breaker.state, table.unpack(worker.losers) })
  end)

  it("gets the items of a transfer alone that it refuses while others go through", function()
    local worker = listener()
    good(worker, native.now())
    refuse(worker, 1, 2)
    assert.are.same({}, worker.alone)
    for _ = 1, 3 do
      good(worker, native.now())
    end
    refuse(worker, 1, 2)
    assert.are.same({ true, true }, worker.alone)
    assert.are.same({}, worker.losers)
  end)
end)

describe("0xC000 of a source, where this server cannot ask the destination,", function()
  -- What becomes of an item: "later", or "failed". moved: something was moved before; goods: how many transfers have ended well since the
  -- item was first refused.
  local function outcome(retries, moved, goods)
    local err, seen = native.fail("move", "dicom", nil, "cannot process"), nil
    err.dimse_status = 0xC000
    local books = { totals = function() return { todo = { items = 9 }, done = { items = moved and 1 or 0 } } end,
      describe = function() return {} end }
    local worker = { suspicion = part "transfer.unknown_target".new("pacs", books), breaker = breaker.new(native.now), run_n = 1,
      settings = { retries = retries }, ledger = books, compare = { expect = function() return true end },
      send = { echo_destination = function() end }, sent = function() end, postpone = function() seen = "later" end,
      fail = function() seen = "failed" end }
    local function good()
      send_outcome.take(worker, { { id = 0, began = native.now() } }, {}, nil)
    end
    local function refuse()
      send_outcome.take(worker, { { id = 1, began = math.huge } }, nil, err)
    end
    if moved then
      good()
    end
    refuse()
    for i = 1, goods or 0 do
      good()
      seen = i == goods and refuse() or seen
    end
    return seen, worker.breaker.sides
  end

  it("is no answer of the destination: the item loses no try, and the side is to be blamed", function()
    assert.are.same({ "later", 1 }, { outcome(3, true) })
    assert.are.same({ "later", 1 }, { outcome(0, true) })
  end)

  it("is of the item when others go through meanwhile", function()
    assert.are.equal("failed", (outcome(3, true, 3)))
    assert.are.equal("later", (outcome(3, true, 2)))
  end)

  it("may be of a source that does not know the destination, while nothing was moved", function()
    assert.are.same({ "later", 0 }, { outcome(3, false) }) -- transfer.unknown_target
    assert.are.same({ "failed", 0 }, { outcome(0, false) }) -- which needs another try
  end)
end)

describe("A transfer at its last items", function()
  local now, clock = native.now, 0

  setup(function()
    function native.now() return clock end
  end)

  teardown(function()
    native.now = now
  end)

  -- A worker that has sent something, on a ledger in which the items of `open` are not finished. answers: what the destination does.
  local function worker_with(open, answers)
    local methods = getmetatable(worker_of(client_of {}, { kind = "peer", peer = { peer = "clinic" } }, {}))
    local worker = { breaker = breaker.new(native.now), settings = { retries = 3 }, goods = 1, run_n = 1, done = 1, open = open,
      losers = {}, compare = { expect = function() return true end }, send = { echo_destination = function() return answers end },
      bell = { ring = function() end }, postpone = function() end, side_failed = methods.side_failed, blame = methods.blame,
      fail = function(self, item) table.insert(self.losers, item.id) end }
    worker.ledger = { describe = function() return { found_all = 1 } end, open_ids = function() return worker.open end,
      open_items = function() return { todo = #worker.open, sending = 0, sent = 0 } end,
      totals = function() return { done = { items = worker.done } } end }
    return worker
  end

  -- A side fails with each of these items, after so many seconds.
  local function refuse(worker, seconds, status, ...)
    clock = clock + seconds
    local err = native.fail("store", "dicom", nil, "refused")
    err.dimse_status = status
    for _, id in ipairs { ... } do
      send_outcome.take(worker, { { id = id, began = clock } }, nil, err)
    end
  end

  it("tries none of them for ever that a side refuses for a quarter of an hour", function()
    local worker = worker_with({ 7, 8 }, true)
    refuse(worker, 0, 0x0122, 7, 8)
    refuse(worker, 899, 0x0122, 7, 8)
    assert.are.same({}, worker.losers)
    refuse(worker, 1, 0x0122, 7, 8)
    assert.are.same({ 7, 8 }, worker.losers)
  end)

  it("is not there yet while the destination does not answer", function()
    local worker = worker_with({ 7 }, false)
    refuse(worker, 0, 0xA702, 7)
    refuse(worker, 900, 0xA702, 7)
    assert.are.same({}, worker.losers)
  end)

  it("is not there yet while an item was not tried, however many have failed and ended", function()
    local worker = worker_with({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, true)
    refuse(worker, 0, 0x0122, 1, 2, 3, 4, 5, 6, 7)
    worker.open = { 7, 8, 9 }
    refuse(worker, 900, 0x0122, 7)
    assert.are.same({}, worker.losers)
  end)

  it("is not there yet for an item that has failed once", function()
    local worker = worker_with({ 7 }, true)
    refuse(worker, 0, 0x0122, 7)
    worker.open = { 7, 8 } -- transfer.add
    refuse(worker, 900, 0x0122, 8)
    assert.are.same({}, worker.losers)
    refuse(worker, 1, 0x0122, 7)
    assert.are.same({ 7 }, worker.losers)
  end)

  it("is not there yet when another worker has sent something", function()
    local worker = worker_with({ 7 }, true)
    refuse(worker, 0, 0x0122, 7)
    worker.done = 2
    refuse(worker, 900, 0x0122, 7)
    assert.are.same({}, worker.losers)
    refuse(worker, 900, 0x0122, 7)
    assert.are.same({ 7 }, worker.losers)
  end)

  it("is not there yet when a side has not answered a question meanwhile", function()
    local worker = worker_with({ 7 }, true)
    refuse(worker, 0, 0x0122, 7)
    clock = clock + 1
    worker:side_failed(native.fail("find", "network", nil, "no answer"), "to")
    refuse(worker, 900, 0x0122, 7)
    assert.are.same({}, worker.losers)
  end)

  it("waits for a destination that cannot be asked whether it is there", function()
    local worker = worker_with({ 7 }, nil)
    refuse(worker, 0, 0xA702, 7)
    refuse(worker, 900, 0xA702, 7)
    assert.are.same({}, worker.losers)
  end)
end)

describe("What waits for its comparison when verify becomes \"job\"", function()
  -- What becomes of an item whose transfer ended well or with this error, and of which so much has arrived: the changes of it.
  local function changes(err, held)
    local settings = { verify = "count", retries = 3 }
    local worker = worker_of(client_of {}, { kind = "peer", peer = { peer = "clinic" } }, settings)
    local list = {}
    function worker.ledger.record(_, batch)
      for _, change in ipairs(batch) do
        list[#list + 1] = { change.to, change.verified, change.reason }
      end
      return {}
    end
    function worker.compare.read_bytes() end
    function worker.compare.after(_, items)
      items[1].verdict, items[1].held, items[1].expected = "short", held, 10
      return true
    end
    -- The checker's next look at what has ended.
    local function check()
      worker.ended = nil
      worker.bell = { ring = function() worker.ended = true end, wait = function() worker.ended = true end }
      check_items.run(worker)
    end
    send_outcome.take(worker, { { id = 1, owner = 1, state = "sending", tries = 0, uids = {}, began = 0 } }, not err and {} or nil, err)
    if held then
      check()
      worker.late[1].again = 0
    end
    settings.verify = "job"
    check()
    assert(worker:flush())
    return list
  end

  it("is done when its transfer has ended well", function()
    assert.are.same({ { "sent" }, { "done", "job" } }, changes(nil, nil))
  end)

  it("is not done when its transfer has failed", function()
    local err = native.fail("store", "dicom", nil, "the association broke off")
    err.orthanc_status = 9
    assert.are.same({ { "sent" }, { "todo", nil, "dicom" } }, changes(err, nil))
  end)

  it("is not done when a part of it is missing", function()
    assert.are.same({ { "sent" }, { "todo", nil, "short" } }, changes(nil, 3))
  end)
end)

describe("A transfer that has failed, where nothing can be compared,", function()
  -- What becomes of the item: "later", "failed" or "sent".
  local function outcome(code, status, dimse_status)
    local err, seen = native.fail("store", "dicom", code, "the exchange failed"), nil
    err.orthanc_status, err.dimse_status = status, dimse_status
    assert.are.equal("doubt", (breaker.class_of(err)))
    local worker = { breaker = breaker.new(native.now), settings = { retries = 3 }, run_n = 1, compares = function() return false end,
      postpone = function() seen = "later" end, fail = function() seen = "failed" end, sent = function() seen = "sent" end }
    send_outcome.take(worker, { { id = 1, began = 1 } }, nil, err)
    return seen
  end

  it("is not done: it is tried again", function()
    assert.are.equal("later", outcome("peer_failed", 9))
    assert.are.equal("failed", outcome("incomplete", nil, 0xB000))
  end)
end)

describe("The comparison at the end", function()
  -- Compares three studies of which the source seems to have got more. Of the second one that cannot be told; case.fault: the source
  -- has not answered; case.word: what the run is as its task begins. Returns the numbers of those that are confirmed, the notes, the sides
  -- that have failed, and the run. spawn: that of the run. No real source says that it has more than it lists.
  local function compared(case, spawn)
    local open, confirmed, notes, failures = {}, {}, {}, {}
    for i = 1, 3 do
      open[i] = { id = i, key = "1.2." .. i, expected = 5, arrived = 5, verified = "uids" }
    end
    local run = { breaker = { state = "closed" }, control_stop = function() return #failures > 0 end,
      tell = function(event) table.insert(notes, event.message) end, spawn = spawn or function(f) f() end }
    run.ledger = { take_finder = function() return true end, unconfirmed = function() return table.move(open, 1, #open, 1, {}) end,
      confirm = function(_, results)
        for _, result in ipairs(results) do
          table.insert(confirmed, result.id)
          table.remove(open, 1)
        end
        return {}
      end }
    local compare = { source = {}, target = {} }
    function compare.look(_, items)
      for _, item in ipairs(items) do
        item.held, item.now = 5, 7
      end
      return true
    end
    compare.look_at_source = compare.look
    function compare.has_grown(_, item)
      if item.id ~= 2 then
        return false
      end
      compare.source.fault = case.fault
      return nil, native.fail("transfer", "decode", nil, "the source lists only 5 of its 7 instances"), "from"
    end
    run.items = { compare = compare, compares = function() return true end, bell = { ring = function() end },
      side_failed = function(_, _, side) table.insert(failures, side) end }
    if case.word then
      run[case.word] = true
    end
    assert.is_false(confirm.is_confirmed(run))
    return confirmed, notes, failures, run
  end

  for title, case in pairs {
    ["confirms a study of which the source lists less than it says, with a note"] = { confirmed = { 1, 2, 3 },
      notes = { "whether the source has got more of 1.2.2 is not known: the source lists only 5 of its 7 instances" }, sides = {} },
    ["records what it has compared before a side fails"] = { fault = "away", confirmed = { 1 }, notes = {}, sides = { "from" } },
    ["stops when the run is paused"] = { word = "paused", confirmed = {}, notes = {}, sides = {} },
    ["stops when the run is ending"] = { word = "ending", confirmed = {}, notes = {}, sides = {} },
  } do
    it(title, function()
      local confirmed, notes, sides, run = compared(case)
      assert.are.same({ case.confirmed, case.notes, case.sides }, { confirmed, notes, sides })
      assert.is_false(run.confirming)
    end)
  end

  it("is one task, beside which the loop of the run goes on", function()
    local tasks = {}
    local confirmed, _, _, run = compared({}, function(f) table.insert(tasks, f) end)
    assert.is_false(confirm.is_confirmed(run))
    assert.are.same({ 1, {} }, { #tasks, confirmed })
    tasks[1]()
    assert.are.same({ 1, 2, 3 }, confirmed)
    assert.is_true(confirm.is_confirmed(run))
    assert.are.equal(1, #tasks)
  end)
end)
