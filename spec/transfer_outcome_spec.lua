-- Tests what a worker makes of the outcome of a transfer (lua/modalua/transfer/recover.lua, send_outcome.lua, send_items.lua, confirm.lua),
-- without a server: the client, the ledger and the answers are tables of this spec.
local json = require "modalua.json"
local part = require "spec.support.part"
local recover, send_items = part "transfer.recover", part "transfer.send_items"
local breaker, native = part "transfer.breaker", part "core.native"

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
    local item = { id = 1, owner = 1, state = "sending", tries = 0, uids = { StudyInstanceUID = "1.2" }, started = 1, recovered = "sending" }
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
