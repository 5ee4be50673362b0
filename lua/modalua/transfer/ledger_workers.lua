-- transfer.ledger_workers: the workers of a transfer, their leases, and the role of the finder.
local require = ...
local json = require "modalua.json"
local native = require "transfer.native"
local points = require "transfer.points"
local process = require "transfer.process"
local rows = require "transfer.ledger_rows"

local ledger_workers = { methods = {} }

local methods = ledger_workers.methods

-- Seconds: a worker renews its lease so often; it begins nothing when the last renewal is older than FENCE; others mark it dead after
-- LEASE.
ledger_workers.RENEW = points.seconds(15)
ledger_workers.FENCE = points.seconds(30)
ledger_workers.LEASE = points.seconds(60)

-- L:join{ host =, pid =, server =, version = } -> id. This process becomes a new worker; L.worker is its id. server: the URL of its Orthanc
-- without credentials; version: that of Orthanc.
function methods:join(facts)
  local id = native.random() -- no other worker had it or will have it
  local begun = native.boot()
  local joined, err = self:transaction(function(now)
    local done, failure = self:run "SELECT one FROM transfer {lock}" -- two workers that join at once get two numbers
    if done then
      done, failure = self:run([[INSERT INTO worker(id, number, host, pid, server, version, started, seen, state)
        SELECT CAST($1 AS TEXT), COALESCE(MAX(number), 0) + 1, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT),
          CAST($6 AS BIGINT), CAST($7 AS BIGINT), 'live' FROM worker]], id, rows.text(facts.host), facts.pid,
        rows.text(facts.server), rows.text(facts.version), now, now)
    end
    return done and true, failure
  end)
  if not joined then
    return nil, err
  end
  self.worker, self.renewed = id, begun
  return id
end

-- L:renew(waiting | nil) -> true | false: this worker was marked dead, and must give up all that it holds. waiting: { side =, since =,
-- reason = } while nothing is sent because of a side.
function methods:renew(waiting)
  local begun = native.boot()
  local live, err = self:transaction(function(now)
    local done, err, changed = self:run("UPDATE worker SET seen = $1, waiting = $2 WHERE id = $3 AND state = 'live'", now,
      waiting and rows.json(waiting), self.worker)
    if not done then
      return nil, err
    end
    return changed == 1
  end)
  if live then
    self.renewed = begun
  end
  return live, err
end

-- L:age() -> seconds since this worker is known to have renewed its lease. The clock goes on while the process or the machine sleeps.
function methods:age()
  return (native.boot() - self.renewed) / 1000
end

-- L:fence() -> the moment of that clock, in milliseconds, after which this worker sends nothing unless it has renewed its lease.
function methods:fence()
  return self.renewed + ledger_workers.FENCE * 1000
end

-- L:leave() -> true. This worker has ended. What it still holds is recovered by the next claim of another one.
function methods:leave()
  return self:transaction(function(now)
    local done, err = self:run("UPDATE worker SET state = 'left', seen = $1, waiting = NULL WHERE id = $2 AND state = 'live'", now,
      self.worker)
    return done and true, err
  end)
end

-- The live workers on this machine that have no process any more.
local function find_gone(self)
  local list, err = self:run("SELECT id, host, pid FROM worker WHERE state = 'live' AND id <> $1", self.worker or "")
  local gone = {}
  for _, worker in ipairs(list or {}) do
    if process.is_gone(worker.host, worker.pid) then
      gone[#gone + 1] = { id = worker.id }
    end
  end
  return list and gone, err
end

-- L:mark_dead() -> list of { id =, host =, pid =, server = }: the workers that this call has found dead. Their lease has ended, or their
-- process on this machine.
function methods:mark_dead()
  return self:transaction(function(now)
    local gone, err = find_gone(self)
    if not gone then
      return nil, err
    end
    return self:run([[UPDATE worker SET state = 'dead', waiting = NULL WHERE state = 'live' AND (seen < $2
      OR id IN (SELECT e.value ->> 'id' FROM {each})) RETURNING id, host, pid, server]], rows.list(gone),
      now - (ledger_workers.LEASE * 1000 // 1 | 0))
  end)
end

local function decode(list)
  for _, row in ipairs(list or {}) do
    row.waiting = row.waiting and json.decode(row.waiting)
  end
  return list
end

-- L:workers() -> list of all rows of `worker`, in the order in which they joined.
function methods:workers()
  local list, err = self:query "SELECT * FROM worker ORDER BY number"
  return decode(list), err
end

-- L:live() -> list of the live workers in the order in which they joined, this worker's rank in it | nil.
function methods:live()
  local list, err = self:query "SELECT * FROM worker WHERE state = 'live' ORDER BY number"
  if not list then
    return nil, err
  end
  for rank, row in ipairs(decode(list)) do
    if row.id == self.worker then
      return list, rank
    end
  end
  return list
end

-- L:take_finder() -> boolean. Whether this worker has the role of the finder: it has had it, or no live worker has.
function methods:take_finder()
  return self:transaction(function()
    local done, err, changed = self:run([[UPDATE transfer SET finder = $1 WHERE (finder IS NULL OR finder = $1
      OR finder IN (SELECT id FROM worker WHERE state <> 'live'))
      AND EXISTS (SELECT 1 FROM worker WHERE id = $1 AND state = 'live')]], self.worker)
    if not done then
      return nil, err
    end
    return changed == 1
  end)
end

-- L:end_finding() -> boolean. The search has ended, and all lines were looked for; false when lines were added meanwhile.
function methods:end_finding()
  return self:transaction(function(now)
    local done, err, changed = self:run([[UPDATE transfer SET found_all = $1
      WHERE finder = $2 AND NOT EXISTS (SELECT 1 FROM line WHERE outcome IS NULL)]], now, self.worker)
    if not done then
      return nil, err
    end
    return changed == 1
  end)
end

return ledger_workers
