-- Tests client:changes with each Orthanc: past changes, and changes that happen while a script follows them.
local expect = require "spec.support.expect"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local samples = require "modalua.samples"
local task = require "modalua.task"
local versions = require "spec.support.versions"

local eventually, contains, throws = expect.eventually, expect.contains, expect.throws

-- Returns all changes that the iterator gives.
local function all(client, options)
  local list = {}
  for change in client:changes(options) do
    list[#list + 1] = change
  end
  return list
end

-- Starts a task that follows the changes. Returns the task and the list of changes that it has seen.
local function follow(client, options)
  local seen = {}
  options.follow, options.interval = true, options.interval or 0.05
  local watcher = task.spawn(function()
    local changes = client:changes(options)
    seen.begun = true
    for change in changes do
      seen[#seen + 1] = change
    end
    seen.ended = true
  end)
  assert.is_truthy(eventually(function() return seen.begun end))
  return watcher, seen
end

for _, version in ipairs(versions) do
  describe("The changes of the Orthanc " .. version.name, function()
    local server, client

    setup(function()
      server = orthanc.start { binary = version.binary, verbose = true, extra = { StableAge = 3600 } }
      client = modalua.connect(server.url)
      assert(samples.store(client))
    end)

    teardown(function()
      server:close()
    end)

    local function last()
      return assert(client:get("/changes", { last = true })).Last
    end

    -- Causes a change of type UpdatedMetadata; some versions add another change.
    local function happen(value)
      local study = assert(client:get "/studies")[1]
      assert(client:put("/studies/" .. study .. "/metadata/1024", value))
      return study
    end

    it("come completely and in order, with any number for each request", function()
      for _, limit in ipairs { 1000, 50, last() } do
        local list = all(client, { limit = limit })
        assert.are.equal(last(), #list)
        for i, change in ipairs(list) do
          assert.are.equal(i, change.Seq)
        end
        assert.is_string(list[1].ID and list[1].ChangeType and list[1].Date)
      end
      assert.are.equal(last(), #all(client))
    end)

    it("can be filtered by number and by type", function()
      local n = last()
      assert.are.same({ n - 1, n }, { all(client, { since = n - 2 })[1].Seq, all(client, { since = n - 2.0, limit = 1 })[2].Seq })
      assert.are.same({}, all(client, { since = n }))
      assert.are.equal(23, #all(client, { type = "NewStudy", limit = 10 }))
      assert.are.equal(35, #all(client, { type = { "NewStudy", "NewPatient" } }))
      assert.are.same({}, all(client, { type = "AnonymizedStudy" }))
    end)

    it("are refused if they are requested wrongly", function()
      for part, options in pairs { ["'since' must"] = { since = -1 }, ["'limit' must"] = { limit = 0 }, ["'follow' must"] = { follow = 1 },
        ["'interval' must"] = { interval = 0 }, ["'patience' must"] = { patience = "x" }, ["'type' must"] = { type = {} },
        ["unknown option 'sinse'"] = { sinse = 1 }, ["'NewStudys'"] = { type = "NewStudys" }, ["'Deleted'"] = { type = { "Deleted" } },
        ["(1.5 was given)"] = { since = 1.5 }, ["must be a table"] = "x" } do
        throws(part, client.changes, client, options)
      end
      assert.are.equal(last(), #all(client, { follow = false }))
    end)

    it("are an error if the given number is beyond the last one: the database is another one", function()
      local ok, err = pcall(all, client, { since = last() + 1 })
      assert.is_false(ok)
      assert.are.same({ "orthanc", "changes_reset", "changes" }, { err.kind, err.code, err.op })
      contains(err.message, "before " .. last() + 1)
    end)

    it("can be followed from now on", function()
      local watcher, seen = follow(client, {})
      local looks = server:count_logged "(http) GET /changes"
      assert.is_truthy(eventually(function() return server:count_logged "(http) GET /changes" >= looks + 3 end))
      assert.are.equal(0, #seen)
      local study = happen "first"
      assert.is_truthy(eventually(function() return seen[1] end))
      assert.are.same({ "UpdatedMetadata", study }, { seen[1].ChangeType, seen[1].ID })
      happen "second"
      assert.is_truthy(eventually(function() return seen[#seen].Seq == last() and #seen >= 2 end))
      watcher:cancel()
      local result, err = watcher:join()
      assert.are.same({ nil, "cancelled", nil }, { result, err.kind, seen.ended })
    end)

    it("can be followed from the first one", function()
      local watcher, seen = follow(client, { since = 0, limit = 20, type = "NewStudy" })
      assert.is_truthy(eventually(function() return #seen == 23 end))
      watcher:cancel()
      watcher:join()
    end)

    it("are followed through a restart of the server", function()
      local watcher, seen = follow(client, {})
      local impatient = follow(client, { patience = 0.01 })
      server:stop "KILL"
      assert.are.equal("network", select(2, impatient:join()).kind) -- so some polls failed while the server was away
      server:start_again()
      happen "third"
      assert.is_truthy(eventually(function() return seen[1] end))
      watcher:cancel()
      watcher:join()
    end)

    it("are no longer waited for when the server stays away", function()
      local watcher = follow(client, { patience = 0.3 })
      server:stop "KILL"
      local result, err = watcher:join()
      assert.are.same({ nil, "network", true }, { result, err.kind, err.retryable })
      assert.is_false(pcall(client.changes, client, { follow = true })) -- the start fails as well
      local ok, why = pcall(all, client)
      assert.are.same({ false, "network" }, { ok, why.kind })
      server:start_again()
    end)

    it("are no longer waited for when the server has another database", function()
      local watcher, seen = follow(client, {})
      server:stop "KILL"
      os.execute(("exec rm -rf -- %s/db"):format(server.folder))
      server:start_again()
      local result, err = watcher:join()
      assert.are.same({ nil, "changes_reset", 0 }, { result, err.code, #seen })
    end)
  end)
end
