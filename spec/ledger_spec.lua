-- Tests the ledger of a transfer (lua/modalua/transfer/ledger*.lua) on SQLite and on PostgreSQL: states, workers, totals, lines.
-- What only a file can be is in spec/ledger_file_spec.lua.
local expect = require "spec.support.expect"
local ledgers = require "spec.support.ledgers"
local modalua = require "modalua"
local part = require "spec.support.part"
local task = require "modalua.task"
local native = part "transfer.native"
local process = part "transfer.process"

-- The field of each element of a list.
local function pluck(list, name)
  local values = {}
  for i, element in ipairs(list) do
    values[i] = element[name]
  end
  return values
end

local function collect(iterator)
  local list = {}
  for element in iterator do
    list[#list + 1] = element
  end
  return list
end

-- The items of a ledger by their keys.
local function by_key(L)
  local items = {}
  for item in L:items {} do
    items[item.key] = item
  end
  return items
end

-- The numbers of items in the tally, without those that are 0.
local function counts(L)
  local found = {}
  for state, total in pairs(assert(L:totals())) do
    found[state] = total.items ~= 0 and total.items or nil
  end
  return found
end

local function is_whole(L)
  local result = assert(L:check())
  assert.are.same({}, result.problems)
  assert.is_true(result.ok)
end

-- Lets all workers of the ledger but these be dead.
local function let_die(survivor)
  ledgers.now = ledgers.now + 61000
  assert(survivor:renew())
  return survivor:mark_dead()
end

setup(function()
  for _, database in ledgers.databases() do
    database.start()
  end
end)

teardown(function()
  for _, database in ledgers.databases() do
    database.stop()
  end
end)

describe("A schema of PostgreSQL", function()
  local database = ledgers.postgresql

  it("that another application has made is refused, and stays as it is", function()
    local target = database.new_target()
    local schema = "modalua_" .. target:match "#(.*)"
    local db <close> = assert(native.open(database.server.url))
    assert(db:run("CREATE SCHEMA " .. schema))
    assert(db:run(("CREATE TABLE %s.item(id BIGINT)"):format(schema)))
    local err = expect.fails({ kind = "refused", code = "usage" }, part "transfer.ledger".open(target, { create = true }))
    expect.contains(err.message, ("its schema %s belongs to another application"):format(schema))
    assert.are.same({ { tables = 1 } }, db:run("SELECT COUNT(*) AS tables FROM pg_tables WHERE schemaname = $1", schema))
  end)

  it("is made only when a ledger may be made", function()
    local target = database.new_target()
    local err = expect.fails({ kind = "refused", code = "usage", absent = true }, part "transfer.ledger".open(target, {}))
    expect.contains(err.message, ("there is no ledger '%s'"):format(target))
  end)

  it("is used again after the server was restarted", function()
    local L <close> = ledgers.new(database)
    assert(L:add_items(ledgers.items(3), { cursor = "a" }))
    database.server:stop()
    local row, err = L:describe()
    assert.is_nil(row)
    assert.are.same({ "database", true }, { err.kind, err.retryable })
    local added
    added, err = L:add_items(ledgers.items(4), { cursor = "b" })
    assert.is_nil(added)
    assert.is_true(err.retryable)
    database.server:start_again()
    assert.are.equal("a", L:describe().cursor)
    assert.are.equal(1, L:add_items(ledgers.items(4), { cursor = "b" }))
    assert.are.same({ 4, "b" }, { L:totals().todo.items, L:describe().cursor })
  end)

  it("takes nothing from a transaction in which the connection was lost", function()
    local L <close> = ledgers.new(database)
    local calls = 0
    local done, err = L:transaction(function()
      calls = calls + 1
      assert(L:run "UPDATE transfer SET cursor = 'lost'")
      database.server:stop "KILL"
      local first = select(2, L:run "UPDATE transfer SET cap = 1")
      return nil, select(2, L:run "UPDATE transfer SET cap = 2") == first and first or "another error"
    end)
    assert.is_nil(done)
    assert.are.same({ 1, true }, { calls, err.retryable })
    database.server:start_again()
    assert.is_nil(L:describe().cursor)
  end)
end)

for name, database in ledgers.databases() do
  describe("A ledger on " .. name, function()
    local L

    before_each(function()
      L = ledgers.new(database)
    end)

    after_each(function()
      L:close()
    end)

    -- Adds n items and claims them.
    local function claimed(n)
      assert(L:add_items(ledgers.items(n), {}))
      return assert(L:claim(n))
    end

    -- Brings an item into a state, from `sending`.
    local PATHS <const> = { sent = { "sent" }, done = { "sent", "done" }, present = { "present" }, failed = { "failed" },
      unknown = { "sent", "unknown" }, todo = { "todo" } }
    local function bring(item, state, fields)
      local from = "sending"
      for _, to in ipairs(PATHS[state]) do
        local change = { id = item.id, from = from, to = to }
        for field, value in pairs(to == state and fields or {}) do
          change[field] = value
        end
        assert.are.same({}, assert(L:record { change }))
        from = to
      end
    end

    describe("keeps the transfer", function()
      it("as it was begun", function()
        local row = assert(L:describe())
        for field, value in pairs(ledgers.DESCRIPTION) do
          assert.are.same(value, row[field], field)
        end
        assert.are.equal(ledgers.now, row.created)
        assert.are.equal(1, row.settings_version)
      end)

      it("and its settings, with a version and a history of the changes", function()
        assert(L:change_settings { concurrency = 4, hours = "Sat-Sun" })
        assert(L:change_settings { hours = "" })
        assert.are.same({ concurrency = 4 }, L:describe().settings)
        assert.are.equal(3, (L:settings_version()))
        local changes = {}
        for _, row in ipairs(L:history()) do
          changes[#changes + 1] = row.what == "settings" and row.detail or nil
        end
        assert.are.same({ '{"concurrency":4,"hours":"Sat-Sun"}', '{"hours":""}' }, changes)
      end)

      it("and why it is paused", function()
        assert(L:set_paused "asked for")
        assert.are.equal("asked for", select(2, L:settings_version()))
        assert(L:set_paused(nil))
        assert.is_nil((select(2, L:settings_version())))
      end)

      it("with the clock of the database, when a spec gives none", function()
        local plain <close> = assert(part "transfer.ledger".open(L.opened, {}))
        local before = native.wall()
        local now = assert(plain:now())
        assert.is_true(now >= before - 1000 and now <= native.wall() + 1000)
        assert.are.equal("integer", math.type(now))
      end)

      it("when several make it at once", function()
        local target = database.new_target()
        local list, errors = task.map({ 1, 2, 3 }, function()
          return part "transfer.ledger".open(target, { create = true })
        end, { limit = 3 })
        assert.is_nil(errors)
        for _, one in ipairs(list) do
          assert.is_false(one:describe())
          one:close()
        end
      end)

      it("once: a second beginning fails and changes nothing", function()
        local good, err = L:begin(ledgers.DESCRIPTION)
        assert.is_nil(good)
        assert.are.equal("database", err.kind)
        assert.are.equal(1, L:describe().settings_version)
      end)
    end)

    describe("gets items", function()
      it("once, however often they are found, and the cursor with them", function()
        assert.are.equal(3, L:add_items(ledgers.items(3), { cursor = "a", cap = 50, proven = 20 }))
        assert.are.equal(2, L:add_items(ledgers.items(4, 2), { cursor = "b", slice = { kind = "date", first = "2024", proof = "known" } }))
        local row = L:describe()
        assert.are.same({ "b", 50, 20 }, { row.cursor, row.cap, row.proven })
        assert.are.same({ todo = 5 }, counts(L))
        assert.are.same({ slices = 1, finds = 0, answers = 0, unproven = 0 }, L:search())
        is_whole(L)
      end)

      it("from the finder alone: of another worker nothing is written", function()
        local other <close> = ledgers.join(L)
        assert.is_false(other:take_finder())
        local err = expect.fails({ kind = "refused", code = "finder" }, other:add_items(ledgers.items(2), { cursor = "x" }))
        expect.contains(err.message, "another worker is the finder")
        assert.is_nil(L:describe().cursor)
        assert.are.same({}, counts(L))
        assert.is_true(L:take_finder())
      end)

      it("whose texts are data, whatever they are", function()
        local hostile = { "'; DROP TABLE item;--", "\0\1\27[31m", "<script>alert(1)</script>", "\xff\xfe bad \xc3", ("x"):rep(1 << 20),
          "$1 {each} %s \\ \" \u{202e}" }
        local list = ledgers.items(#hostile)
        for i, text in ipairs(hostile) do
          list[i].patient_id, list[i].description, list[i].note = text, text, text
        end
        assert(L:add_items(list, {}))
        local item = assert(L:claim(1))[1]
        assert(L:record { { id = item.id, from = "sending", to = "failed", reason = hostile[1], message = hostile[2],
          attempt = { kind = hostile[3], message = hostile[4] } } })
        local kept = collect(L:items {})
        local as_kept = { [2] = "\u{FFFD}\1\27[31m", [4] = "\u{FFFD}\u{FFFD} bad \u{FFFD}" }
        for i, text in ipairs(hostile) do
          assert.are.equal(as_kept[i] or text, kept[i].patient_id)
          assert.are.equal(as_kept[i] or text, kept[i].note)
        end
        assert.are.same({ hostile[1], as_kept[2] }, { kept[1].reason, kept[1].message })
        assert.are.same({ hostile[3], as_kept[4] }, { L:attempts(item.id)[1].kind, L:attempts(item.id)[1].message })
        is_whole(L)
      end)
    end)

    describe("gives items to workers", function()
      it("in the order of due and id, those to be first before all others, and only when they are due", function()
        local list = ledgers.items(4)
        list[4].first = true
        assert(L:add_items(list, {}))
        local first = assert(L:claim(2))
        assert.are.same({ "1.2.4", "1.2.1" }, pluck(first, "key"))
        assert.are.same({ StudyInstanceUID = "1.2.4" }, first[1].uids)
        bring(first[2], "todo", { due = ledgers.now + 5000, tries = 1 })
        assert.are.same({ "1.2.2", "1.2.3" }, pluck(L:claim(10), "key"))
        assert.are.same({ 1, ledgers.now + 5000 }, { L:waiting(ledgers.now) })
        assert.are.same({}, L:claim(10))
        ledgers.now = ledgers.now + 5000
        assert.are.same({ "1.2.1" }, pluck(L:claim(10), "key"))
        assert.are.same({ 0 }, { L:waiting(ledgers.now) })
      end)

      it("each to one of them", function()
        local other <close> = ledgers.join(L)
        assert(L:add_items(ledgers.items(10), {}))
        local mine, others = assert(L:claim(6)), assert(other:claim(6))
        assert.are.equal(6, #mine)
        assert.are.equal(4, #others)
        local seen = {}
        for _, key in ipairs(table.move(pluck(others, "key"), 1, 4, 7, pluck(mine, "key"))) do
          assert.is_nil(seen[key])
          seen[key] = true
        end
      end)

      it("each to one of them when they all claim at the same moment", function()
        local workers, held = { L, ledgers.join(L), ledgers.join(L), ledgers.join(L) }, {}
        assert(L:add_items(ledgers.items(120), {}))
        local seen, most = {}, 0
        local _, errors = task.map(workers, function(worker, w)
          held[w] = 0
          for _ = 1, 20 do
            for _, item in ipairs(assert(worker:claim(4))) do
              seen[item.key] = (seen[item.key] or 0) + 1
              most = math.max(most, seen[item.key])
              held[w] = held[w] + 1
            end
          end
          return true
        end, { limit = 4 })
        for w = 2, 4 do
          workers[w]:close()
        end
        assert.is_nil(errors)
        assert.are.equal(1, most)
        assert.are.equal(120, held[1] + held[2] + held[3] + held[4])
        assert.are.same({ sending = 120 }, counts(L))
        is_whole(L)
      end)

      it("and takes back what was not begun", function()
        local items = claimed(3)
        assert.are.same({}, L:give_back { items[1], items[3] })
        assert.are.same({ todo = 2, sending = 1 }, counts(L))
        assert.are.same({ "1.2.1", "1.2.3" }, pluck(L:claim(10), "key"))
      end)
    end)

    describe("writes a result", function()
      -- from, to, the fields that are given, the fields that the item has then. false: it has none.
      local CHANGES <const> = {
        { "sending", "sent", { seconds = 1.5 }, { seconds = 1.5, finished = false, tries = 0 } },
        { "sending", "present", { arrived = 3, verified = "count" }, { arrived = 3, verified = "count", finished = true, owner = false } },
        { "sending", "todo", { tries = 1, due = 99, reason = "refused", message = "no" },
          { tries = 1, due = 99, reason = "refused", message = "no", owner = false, finished = false } },
        { "sending", "failed", { tries = 4, reason = "gone" }, { tries = 4, reason = "gone", finished = true, owner = false } },
        { "sent", "done", { arrived = 7, bytes = 1 << 40, verified = "uids", note = "more" },
          { arrived = 7, bytes = 1 << 40, verified = "uids", note = "more", finished = true, owner = false, reason = false } },
        { "sent", "todo", { tries = 1, due = 5, reason = "short" }, { tries = 1, due = 5, reason = "short", owner = false } },
        { "sent", "failed", { reason = "short" }, { reason = "short", finished = true } },
        { "sent", "unknown", { reason = "lost" }, { reason = "lost", finished = true, owner = false } },
        { "sent", "sent", { due = 77, expected = 9 }, { due = 77, expected = 9, finished = false } },
      }

      for _, row in ipairs(CHANGES) do
        local from, to, given, expected = table.unpack(row)
        it(("from %s to %s"):format(from, to), function()
          local item = claimed(1)[1]
          if from == "sent" then
            bring(item, "sent")
          end
          local change = { id = item.id, from = from, to = to }
          for field, value in pairs(given) do
            change[field] = value
          end
          assert.are.same({}, L:record { change })
          local kept = by_key(L)["1.2.1"]
          assert.are.equal(to, kept.state)
          if to == "sent" then
            assert.are.equal(L.worker, kept.owner)
          end
          for field, value in pairs(expected) do
            if field == "finished" and value then
              value = ledgers.now
            end
            assert.are.equal(value or nil, kept[field], field)
          end
          assert.are.same({ [to] = 1 }, counts(L))
          is_whole(L)
        end)
      end

      it("only where the states allow it", function()
        local item = claimed(1)[1]
        for _, pair in ipairs { { "sending", "done" }, { "sending", "unknown" }, { "sent", "present" }, { "done", "todo" },
          { "todo", "sending" }, { "failed", "todo" } } do
          expect.throws(("an item cannot go from %s to %s"):format(pair[1], pair[2]), L.record, L,
            { { id = item.id, from = pair[1], to = pair[2] } })
        end
        assert.are.same({ sending = 1 }, counts(L))
      end)

      it("of many items at once, with failed tries and the minute", function()
        local items = claimed(4)
        bring(items[1], "done", { arrived = 5, bytes = 500 })
        bring(items[2], "done", { arrived = 6, bytes = 600 })
        assert(L:record { { id = items[3].id, from = "sending", to = "failed", reason = "refused",
          attempt = { kind = "dicom", code = "refused", dimse_status = 0xA900, message = "no", started = 17 } } })
        assert.are.same({ { id = 1, item = items[3].id, worker = L.worker, started = 17, ended = ledgers.now, kind = "dicom",
          code = "refused", dimse_status = 0xA900, message = "no" } }, L:attempts(items[3].id))
        assert.are.same({ { minute = ledgers.now // 60000 * 60000, worker = L.worker, done = 2, failed = 1, instances = 11,
          bytes = 1100 } }, L:minutes())
        assert.are.same({}, L:minutes(ledgers.now + 60000))
        assert.are.same({ items = 2, instances = 11, bytes = 1100 }, L:work_since(ledgers.now))
        assert.are.same({ items = 0, instances = 0, bytes = 0 }, L:work_since(ledgers.now + 60000))
        assert.are.same({ items = 2, instances = 11, bytes = 1100 }, L:totals().done)
        assert.are.same({ { state = "failed", reason = "refused", items = 1, example = "1.2.3" } }, L:failures())
      end)

      it("of a worker whose answer was lost a second time without a change", function()
        local item = claimed(1)[1]
        local change = { id = item.id, from = "sending", to = "sent" }
        assert.are.same({}, L:record { change })
        assert.are.same({}, L:record { change })
        assert.are.same({}, L:record { { id = item.id, from = "sent", to = "done", arrived = 2 } })
        assert.are.same({}, L:record { { id = item.id, from = "sent", to = "done", arrived = 2 } })
        assert.are.equal(1, L:minutes()[1].done)
        is_whole(L)
      end)
    end)

    describe("fences a worker", function()
      it("that has not renewed its lease for 60 seconds: others take its items, and its results are refused", function()
        local items = claimed(3)
        bring(items[2], "sent", { seconds = 2 })
        local other <close> = ledgers.join(L)
        assert.are.same({}, other:claim(10))
        assert.are.same({ L.worker }, pluck(let_die(other), "id"))

        local taken = assert(other:claim(2))
        assert.are.same({ "1.2.1", "1.2.2" }, pluck(taken, "key"))
        assert.are.same({ "sending", "sent" }, pluck(taken, "recovered"))
        assert.are.same({ "sending", "sent" }, pluck(taken, "state"))
        assert.are.same({ id = L.worker, host = "here", pid = 1, server = "http://localhost:8042", version = "1.13.0",
          started = L:workers()[1].started }, taken[1].recovered_from)

        assert.are.same({ items[1].id, items[2].id }, L:record {
          { id = items[1].id, from = "sending", to = "sent" }, { id = items[2].id, from = "sent", to = "done", arrived = 1 },
          { id = items[3].id, from = "sending", to = "sent" } }) -- the third one was not taken yet
        assert.are.same({ sending = 1, sent = 2 }, counts(L))
        assert.are.same({}, other:record { { id = items[1].id, from = "sending", to = "sent" },
          { id = items[2].id, from = "sent", to = "done", arrived = 2 } })
        is_whole(L)
      end)

      it("that was marked dead: it cannot renew, claim or find, and begins again as a new one", function()
        local other <close> = ledgers.join(L)
        let_die(other)
        assert.is_false(L:renew())
        expect.fails({ kind = "refused", code = "dead" }, L:claim(1))
        assert.is_false(L:take_finder())
        local before = L.worker
        assert(L:join { host = "here", pid = 1 })
        assert.are_not.equal(before, L.worker)
        assert.is_true(L:renew())
        assert.are.same({}, L:claim(1))
        assert.are.same({ "dead", "live", "live" }, pluck(L:workers(), "state"))
      end)

      it("that has begun again: what it knew under its former id is refused", function()
        local item = claimed(1)[1]
        local other <close> = ledgers.join(L)
        let_die(other)
        assert.are.equal(L.worker, item.owner)
        assert(L:join { host = "here", pid = 1 })
        local again = assert(L:claim(1))[1]
        assert.are.same({ item.id, L.worker }, { again.id, again.owner })
        assert.are.same({ item.id }, L:record { { id = item.id, owner = item.owner, from = "sending", to = "sent" } })
        assert.are.same({ item.id }, L:give_back { item })
        assert.are.same({}, L:give_back { again })
        is_whole(L)
      end)

      it("not before its lease has ended", function()
        local other <close> = ledgers.join(L)
        ledgers.now = ledgers.now + 60000
        assert(other:renew())
        assert.are.same({}, other:mark_dead())
        assert.is_true(L:renew())
      end)

      it("at once when its process on this machine has ended", function()
        local host, pid = process.here()
        assert(L:join { host = host, pid = pid })
        local pipe <close> = assert(io.popen "echo $$")
        local other <close> = ledgers.join(L)
        assert(other:join { host = host, pid = math.tointeger(tonumber(pipe:read "l")) })
        pipe:close()
        assert.are.same({ other.worker }, pluck(L:mark_dead(), "id"))
      end)

      it("that left: another one may have what it still held, and the role of the finder", function()
        claimed(1)
        local other <close> = ledgers.join(L)
        assert.is_false(other:take_finder())
        assert(L:leave())
        assert.is_true(other:take_finder())
        assert.are.same({ "sending" }, pluck(other:claim(1), "recovered"))
        assert.are.same({}, other:mark_dead())
      end)

      it("by a clock that goes on while the process is stopped", function()
        assert.is_true(L:age() < 30)
        L.renewed = L.renewed - 31000
        assert.is_true(L:age() >= 31)
        assert(L:renew())
        assert.is_true(L:age() < 30)
      end)
    end)

    it("tells each worker its rank among those that are alive, and shows what they wait for", function()
      local second <close> = ledgers.join(L)
      local third <close> = ledgers.join(L)
      assert.are.same({ 1, 2, 3 }, { select(2, L:live()), select(2, second:live()), (select(2, third:live())) })
      assert(second:leave())
      assert(third:renew { side = "to", since = 5, reason = "no answer" })
      local list, rank = third:live()
      assert.are.equal(2, rank)
      assert.are.same({ side = "to", since = 5, reason = "no answer" }, list[2].waiting)
    end)

    describe("compares again at the end", function()
      it("what is done and present, each once", function()
        local items = claimed(4)
        bring(items[1], "done", { arrived = 1 })
        bring(items[2], "present", { arrived = 3 })
        bring(items[3], "failed")
        assert.are.same({ "1.2.1", "1.2.2" }, pluck(L:unconfirmed(10), "key"))
        assert.are.same({ "1.2.1" }, pluck(L:unconfirmed(1), "key"))
        assert.are.same({ again = 0, failed = 0 }, L:confirm { { id = items[1].id, arrived = 9 }, { id = items[2].id } })
        assert.are.same({}, L:unconfirmed(10))
        assert.are.same({ 9, 3 }, { by_key(L)["1.2.1"].arrived, by_key(L)["1.2.2"].arrived })
        assert.are.equal(9, L:totals().done.instances)
        is_whole(L)
      end)

      it("and lets what has gone be sent once more; the second time it has failed", function()
        local id = claimed(1)[1].id
        bring({ id = id }, "done", { arrived = 2 })
        assert.are.same({ again = 1, failed = 0 }, L:confirm { { id = id, gone = true, message = "0 of 2 images" } })
        local kept = by_key(L)["1.2.1"]
        assert.are.same({ "todo", "vanished", 0, 0 }, { kept.state, kept.reason, kept.tries, kept.arrived })
        assert.are.equal(id, assert(L:claim(1))[1].id)
        bring({ id = id }, "done", { arrived = 2 })
        assert.are.same({ "1.2.1" }, pluck(L:unconfirmed(10), "key"))
        assert.are.same({ again = 0, failed = 1 }, L:confirm { { id = id, gone = true, message = "0 of 2 images" } })
        kept = by_key(L)["1.2.1"]
        assert.are.same({ "failed", "vanished", "0 of 2 images" }, { kept.state, kept.reason, kept.message })
        is_whole(L)
      end)
    end)

    it("lets items be tried again, all that failed or those with a state or a reason", function()
      local items = claimed(5)
      bring(items[1], "failed", { reason = "gone", tries = 4 })
      bring(items[2], "failed", { reason = "short" })
      bring(items[3], "unknown", { reason = "lost" })
      bring(items[4], "done", { arrived = 1 })
      assert.are.equal(0, L:retry { state = "failed", reason = "lost" })
      assert.are.equal(1, L:retry { reason = "short" })
      assert.are.equal(1, L:retry { state = "unknown" })
      assert.are.equal(1, L:retry {})
      assert.are.same({ todo = 3, done = 1, sending = 1 }, counts(L))
      assert.are.same({ 0, "1.2.1" }, { by_key(L)["1.2.1"].tries, L:claim(1)[1].key })
      is_whole(L)
    end)

    it("iterates over items by state and reason, in pages", function()
      local items = claimed(7)
      for i = 1, 5 do
        bring(items[i], "failed", { reason = i % 2 == 1 and "odd" or "even" })
      end
      assert.are.same({ "1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.6", "1.2.7" }, pluck(collect(L:items { page = 2 }), "key"))
      assert.are.same({ "1.2.1", "1.2.3", "1.2.5" }, pluck(collect(L:items { state = "failed", reason = "odd", page = 2 }), "key"))
      assert.are.same({ "1.2.6", "1.2.7" }, pluck(collect(L:items { state = "sending", page = 2 }), "key"))
      assert.are.same({}, collect(L:items { state = "done" }))
    end)

    it("has the aggregates of the report", function()
      local list = ledgers.items(3)
      list[2].modality, list[2].date = "MR", "19990101"
      assert(L:add_items(list, {}))
      local items = L:claim(3)
      bring(items[1], "done", { arrived = 5 })
      bring(items[2], "done", { arrived = 50, bytes = 10 })
      assert.are.same({ { modality = "CT", year = "2024", state = "done", items = 1, instances = 5, bytes = 0 },
        { modality = "CT", year = "2024", state = "sending", items = 1, instances = 1, bytes = 0 },
        { modality = "MR", year = "1999", state = "done", items = 1, instances = 50, bytes = 10 } }, L:group_items())
      local slowest, largest = L:extremes(2)
      assert.are.same({ {}, { "1.2.2", "1.2.1" } }, { pluck(slowest, "key"), pluck(largest, "key") })
    end)

    describe("keeps the lines of a list", function()
      local function each_of(texts)
        return function()
          local i = 0
          return function()
            i = i + 1
            local text, is_bad = texts[i], texts[i] == "*"
            return text and { tag = "AccessionNumber", text = text, value = text, outcome = is_bad and "INVALID" or nil,
              reason = is_bad and "a wildcard" or nil }
          end
        end
      end

      before_each(function()
        L:close()
        L = ledgers.new(database, { query = false, listed = { lines = 4 }, lines = each_of { "A1", "*", "A3", "A4" } })
      end)

      it("with what was found for each of them", function()
        assert.are.same({ "A1", "A3" }, pluck(L:open_lines(2), "text"))
        assert.are.same({ OPEN = 3, INVALID = 1 }, L:count_lines())
        assert.are.same({ { n = 4, tag = "AccessionNumber", text = "A4", value = "A4", first = false } }, L:open_lines(10, 3))
        local two = ledgers.items(2)
        assert(L:set_lines { { n = 1, outcome = "FOUND", items = two }, { n = 3, outcome = "NOT FOUND", reason = "no study has it" },
          { n = 4, outcome = "FOUND", reason = "also line 1", items = { two[2] } } })
        assert.are.same({}, L:open_lines(10))
        assert.are.same({ FOUND = 2, INVALID = 1, ["NOT FOUND"] = 1 }, L:count_lines())
        local function shown()
          local list = {}
          for line in L:lines() do
            list[line.n] = { line.outcome, line.reason or "", #line.items }
          end
          return list
        end
        assert.are.same({ { "OPEN", "", 2 }, { "INVALID", "a wildcard", 0 }, { "NOT FOUND", "no study has it", 0 },
          { "OPEN", "also line 1", 1 } }, shown())
        local items = L:claim(10)
        bring(items[1], "present", { arrived = 1 })
        bring(items[2], "done", { arrived = 1 })
        assert.are.same({ "SUCCESS", "SUCCESS" }, { shown()[1][1], shown()[4][1] })
        is_whole(L)
      end)

      it("with the outcome of the items that went worst", function()
        local list = ledgers.items(4)
        assert(L:set_lines { { n = 1, outcome = "FOUND", items = { list[1], list[2] } }, { n = 3, outcome = "FOUND", items = { list[3] } },
          { n = 4, outcome = "FOUND", items = { list[2], list[4] } } })
        local items = L:claim(10)
        bring(items[1], "done", { arrived = 1 })
        bring(items[2], "failed")
        bring(items[3], "present", { arrived = 1 })
        bring(items[4], "unknown")
        assert.are.same({ "FAILED", "INVALID", "PRESENT", "FAILED" }, pluck(collect(L:lines()), "outcome"))
        assert(L:retry { state = "failed" })
        assert.are.same({ "OPEN", "INVALID", "PRESENT", "UNKNOWN" }, pluck(collect(L:lines()), "outcome"))
      end)

      it("also of those that are added while it runs; their items can be first", function()
        assert(L:set_lines { { n = 1, outcome = "NOT FOUND" }, { n = 3, outcome = "NOT FOUND" }, { n = 4, outcome = "NOT FOUND" } })
        assert.is_true(L:end_finding())
        assert.are.equal(ledgers.now, L:describe().found_all)
        assert.are.equal(2, L:add_lines(each_of { "A5", "A6" }, true))
        assert.is_nil(L:describe().found_all)
        assert.is_false(L:end_finding())
        assert.are.same({ { 5, true }, { 6, true } }, { { L:open_lines(9)[1].n, L:open_lines(9)[1].first },
          { L:open_lines(9)[2].n, L:open_lines(9)[2].first } })
      end)
    end)

    describe("takes a transaction back", function()
      local function add(value)
        return L:run("INSERT INTO history(at, what, detail) VALUES (1, $1, '')", value)
      end

      local function has(value)
        for _, row in ipairs(assert(L:history())) do
          if row.what == value then
            return true
          end
        end
        return false
      end

      it("when it returns nil, throws, or is cancelled", function()
        assert.are.same({ n = 2, nil, "why" }, table.pack(L:transaction(function()
          assert(add "returned")
          return nil, "why"
        end)))
        expect.throws("boom", L.transaction, L, function()
          assert(add "thrown")
          error "boom"
        end)
        local began = false
        local t = task.spawn(function()
          return L:transaction(function()
            assert(add "cancelled")
            began = true
            task.sleep(60)
            return true
          end)
        end)
        expect.eventually(function() return began end)
        t:cancel()
        local done, err = t:join()
        assert.is_nil(done)
        assert.are.equal("cancelled", err.kind)
        assert.are.same({ false, false, false }, { has "returned", has "thrown", has "cancelled" })
        assert(L:note("kept", "x"))
        assert.is_true(has "kept")
      end)

      -- All that the ledger holds, as text.
      local function content()
        local tables = {}
        for i, table_name in ipairs { "transfer", "slice", "worker", "item", "attempt", "line", "line_item", "tally", "minute",
          "history" } do
          tables[i] = assert(L:query(("SELECT * FROM %s ORDER BY 1, 2"):format(table_name)))
        end
        return tables
      end

      -- Calls f again and again: the first time the first statement fails, then the second one, until none does. Asserts that nothing is
      -- written before that. Returns how many statements there are.
      local function fail_each(f)
        local before, failing, run = content(), 0, L.run
        finally(function() L.run = nil end)
        while true do
          local n = 0
          failing = failing + 1
          function L.run(self, ...)
            n = n + 1
            if n == failing then
              return run(self, "SELECT * FROM no_such_table")
            end
            return run(self, ...)
          end
          local done, err = f()
          L.run = nil
          if done then
            assert.are_not.same(before, content())
            is_whole(L)
            return failing - 1
          end
          assert.are.equal("database", err.kind)
          assert.are.same(before, content())
        end
      end

      it("of several statements, whichever of them fails", function()
        assert.is_true(fail_each(function()
          return L:add_items(ledgers.items(5), { cursor = "a", slices = { { kind = "dates", answers = 5, finds = 1, proof = "none" },
            { kind = "undated", answers = 0, finds = 1, proof = "none" } } })
        end) >= 6)
        assert.is_true(fail_each(function()
          return L:add_lines(function()
            local i = 0
            return function()
              i = i + 1
              return i <= 501 and { tag = "AccessionNumber", text = "A" .. i, value = "A" .. i } or nil
            end
          end, true)
        end) >= 7)
        assert.is_true(fail_each(function()
          return L:set_lines { { n = 1, outcome = "FOUND", items = ledgers.items(2, 5) }, { n = 2, outcome = "NOT FOUND" } }
        end) >= 6)
        local items
        assert.is_true(fail_each(function()
          local err
          items, err = L:claim(6)
          return items, err
        end) >= 6)
        assert.is_true(fail_each(function()
          return L:record { { id = items[1].id, from = "sending", to = "sent" }, { id = items[2].id, from = "sending", to = "present",
            arrived = 2 }, { id = items[3].id, from = "sending", to = "failed", reason = "gone", attempt = { kind = "dicom" } } }
        end) >= 6)
        bring(items[4], "done", { arrived = 1 })
        assert.is_true(fail_each(function()
          return L:confirm { { id = items[2].id, arrived = 3 }, { id = items[4].id, gone = true, message = "it has gone" } }
        end) >= 7)
        assert.is_true(fail_each(function() return L:retry {} end) >= 5)
        assert.is_true(fail_each(function() return L:change_settings { concurrency = 3 } end) >= 3)
      end)

      it("and lets tasks of one worker wait for each other", function()
        local order = {}
        local function one(n)
          return L:transaction(function()
            order[#order + 1] = "begins " .. n
            task.sleep(0.01)
            assert(add("task " .. n))
            order[#order + 1] = "ends " .. n
            return true
          end)
        end
        local results = task.map({ 1, 2, 3 }, one, { limit = 3 })
        assert.are.same({ true, true, true, n = 3 }, results)
        for i = 1, 6, 2 do
          assert.are.equal(order[i]:gsub("begins", "ends"), order[i + 1])
        end
        assert.is_true(has "task 1" and has "task 2" and has "task 3")
      end)
    end)

    describe("is whole", function()
      -- Plays a random transfer of two workers, one of which dies from time to time.
      it("after any sequence of changes: its totals are what a count gives", function()
        local seed = tonumber(os.getenv "MODALUA_SEED") or os.time()
        math.randomseed(seed)
        local workers, held = { L, ledgers.join(L) }, { {}, {} }
        local other <close> = workers[2]
        assert.is_not_nil(other)
        local NEXT <const> = { sending = { "present", "sent", "todo", "failed", "sending" },
          sent = { "done", "todo", "failed", "unknown" } }
        local function step(w)
          local worker, list = workers[w], held[w]
          for _, item in ipairs(assert(worker:claim(math.random(0, 5)))) do
            list[#list + 1] = item
          end
          local changes, left = {}, {}
          for _, item in ipairs(list) do
            local to = NEXT[item.state][math.random(#NEXT[item.state])]
            changes[#changes + 1] = { id = item.id, from = item.state, to = to, arrived = math.random(3), bytes = math.random(1000),
              expected = math.random(3), due = 0 }
            item.state = to
            left[#left + 1] = NEXT[to] and item or nil
          end
          assert.are.same({}, worker:record(changes))
          held[w] = left
        end
        for round = 1, 25 do
          assert(L:add_items(ledgers.items(4, math.random(60)), {}))
          step(math.random(2))
          if math.random(5) == 1 then
            assert(L:retry {})
          end
          local finished = L:unconfirmed(3)
          for i, item in ipairs(finished) do
            finished[i] = { id = item.id, gone = math.random(2) == 1, arrived = math.random(0, 3) }
          end
          assert(L:confirm(finished))
          if round % 8 == 0 then
            let_die(L)
            assert(other:join { host = "elsewhere", pid = 1 })
            held[2] = {}
          end
        end
        local result = assert(L:check())
        assert.are.same({}, result.problems, "MODALUA_SEED=" .. seed)
      end)

      it("no more when somebody changed it by hand, and the check says how", function()
        local DAMAGES <const> = {
          { "UPDATE tally SET items = items + 1 WHERE state = 'done'", "state done: 1 items were counted, and the tally has 2" },
          { "UPDATE item SET expected = 7 WHERE state = 'todo'", "state todo: 7 instances were counted, and the tally has 2" },
          { "UPDATE item SET owner = NULL WHERE state = 'sending'", "an item that is under way has no worker (1 times)" },
          { "UPDATE item SET owner = 'x' WHERE state = 'done'", "an item that is not under way has a worker (1 times)" },
          { "UPDATE item SET finished = NULL WHERE state = 'done'", "a finished item has no time of its end (1 times)" },
          { "INSERT INTO line_item VALUES (1, 99)", "a line names an item that does not exist (1 times)" },
        }
        local items = claimed(3)
        bring(items[1], "todo", {})
        bring(items[2], "done", { arrived = 1 })
        is_whole(L)
        for _, row in ipairs(DAMAGES) do
          local result
          assert.is_nil((L:transaction(function()
            assert(L:run(row[1]))
            L.snapshot = function(_, f) return f() end -- the check sees this transaction
            result = assert(L:check())
            L.snapshot = nil
            return nil
          end)))
          assert.are.same({ row[2] }, result.problems)
          assert.is_false(result.ok)
        end
        is_whole(L)
      end)
    end)

    it("is refused when a newer modalua has made it, and an older one is upgraded as a whole", function()
      local ledger, schema = part "transfer.ledger", part "transfer.ledger_schema"
      local version <const>, target = schema.VERSION, L.opened
      local restore <close> = setmetatable({}, { __close = function()
        schema.VERSION, schema.upgrades[version] = version, nil
      end })
      assert.is_not_nil(restore)
      L:close()

      schema.VERSION, schema.upgrades[version] = version + 1, { "ALTER TABLE item ADD COLUMN colour TEXT", "a mistake" }
      local good, err = ledger.open(target, { create = false })
      assert.is_nil(good)
      assert.are.equal("database", err.kind)
      schema.upgrades[version] = { "ALTER TABLE item ADD COLUMN colour TEXT" } -- would fail if the column were there
      assert(ledger.open(target, { create = false })):close()
      local upgraded <close> = assert(ledger.open(target, { create = false }))
      assert.are.same({}, upgraded:query "SELECT colour FROM item")

      schema.VERSION = version
      err = expect.fails({ kind = "refused", code = "usage" }, ledger.open(target, { create = true }))
      expect.contains(err.message, ("was made by a newer modalua (schema %d; this one knows %d)"):format(version + 1, version))
      assert.is_true(modalua.is_error(err))
    end)
  end)
end
