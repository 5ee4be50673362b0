-- Compares the answers of random searches with those of an oracle that knows the archive (spec/support/oracle.lua), through each Orthanc
-- and each kind of server behind it. No answer may be there that the query excludes, none may be missing that the server has, and none may
-- be there twice; what could not be decided must be said in found.unproven. A move must send what was found, and nothing else.
--
--    MODALUA_QUERIES   how many queries in all (default: 300); when it is set, a line with the numbers is printed for each server
--    MODALUA_SEED      the seed of the archive and of the queries, which each failure prints (default: 1)
local archive = require "spec.support.archive"
local dcmtk = require "spec.support.dcmtk"
local modalua = require "modalua"
local oracle = require "spec.support.oracle"
local orthanc = require "spec.support.orthanc"
local qrd = require "spec.support.qrd"
local queries = require "spec.support.queries"
local versions = require "spec.support.versions"

local QUERIES <const> = tonumber(os.getenv "MODALUA_QUERIES") or 300
local SEED <const> = math.tointeger(tonumber(os.getenv "MODALUA_SEED")) or 1
local STUDIES <const> = 200
local MOVES <const> = 10 -- one move for so many searches
local SHOWN <const> = 10 -- at most so many failures are printed for each server

local SENDER <const> = { "STORESCU", "127.0.0.1", 1 } -- the calling AE title when the archive is stored

-- The servers behind each Orthanc: the name of the modality, the title of the test, and how the server starts. `us` is the Orthanc before
-- it, `archived` the destination of moves. The first one is of the same version as the Orthanc before it; the others serve all versions.
local KINDS <const> = {
  { "orthanc", "Orthanc", function(us, archived, version)
    return orthanc.start { binary = version.binary, aet = "PACS", modalities = { us = us, archive = archived, sender = SENDER } }
  end },
  { "dcmqrscp", "dcmqrscp", function(us, archived)
    return dcmtk.dcmqrscp { aet = "DCMQR", peers = { us, archived, SENDER } }
  end },
  { "strict", "dcmqrscp --check-find", function(us, archived)
    return dcmtk.dcmqrscp { aet = "STRICT", peers = { us, archived, SENDER }, arguments = { "--check-find", "--check-move" } }
  end },
  { "qrd", "a PACS that ignores most keys and repeats answers", function(_, archived)
    return qrd.start { peers = { archived } }
  end },
  { "empty", "a PACS that answers ignored keys without a value", function(_, archived)
    return qrd.start { peers = { archived }, arguments = { "--unmatched=empty", "--once" } }
  end },
  { "value", "a PACS that answers ignored keys with their values", function(_, archived)
    return qrd.start { peers = { archived },
      arguments = { "--unmatched=value", "--keys=PatientID,StudyInstanceUID,SeriesInstanceUID,SOPInstanceUID" } }
  end },
  { "literal", "a PACS that needs the UIDs of the levels above", function(_, archived)
    return qrd.start { peers = { archived }, arguments = { "--keys=all", "--once", "--hierarchical", "--label" } }
  end },
}

-- The values of a resource for the keys of a query, as text.
local function values_of(resource, query)
  local parts = {}
  for key in pairs(query) do
    local value = resource[key]
    parts[#parts + 1] = ("%s = %s"):format(key, type(value) == "table" and table.concat(value, "\\") or value)
  end
  table.sort(parts)
  return table.concat(parts, ", ")
end

-- Sends a C-FIND as it is, and returns whether one of the answers is this resource. A server that refuses one of the filters does not have
-- it.
local function asked_for(client, name, level, query, key)
  local made = client:post(("/modalities/%s/query"):format(name), { Level = level, Query = query })
  if not made then
    return false
  end
  local answers = assert(client:get(("/queries/%s/answers"):format(made.ID), { expand = "", simplify = "" }))
  assert(client:delete("/queries/" .. made.ID))
  for _, answer in ipairs(answers) do
    if answer[oracle.unique[level]] == key then
      return true
    end
  end
  return false
end

-- Does the server itself say that a resource matches? Asks it at each level for the resource, or what it belongs to, with the filters of
-- that level and the UIDs that lead to it: so every server can look at every filter. A filter by the unique key must match for certain, as
-- the key itself is asked for.
local function server_has(client, name, level, query, resource)
  local uids = {}
  for _, at in ipairs(oracle.order) do
    local key = oracle.unique[at]
    if query[key] and oracle.verdict(resource, { [key] = query[key] }) ~= "yes" then
      return false
    end
    local body, filtered = {}, at == level
    for filter, value in pairs(query) do
      if queries.level_of[filter] == at and value ~= "" then
        body[filter], filtered = value, true
      end
    end
    if at == "Patient" then
      body[key] = resource[key]
    else
      uids[key] = resource[key]
      for uid, value in pairs(uids) do
        body[uid] = value
      end
    end
    if filtered and not asked_for(client, name, at, body, resource[key]) then
      return false
    end
    if at == level then
      return true
    end
  end
end

local made = archive.make(archive.random(SEED), STUDIES)
local right = oracle.new(made.instances)
local ports = orthanc.free_ports(4)
local us, archived = { "LOCAL", "127.0.0.1", ports[2] }, { "ARCHIVE", "127.0.0.1", ports[4] }
local servers = {} -- by the name of the modality

setup(function()
  local entries = {}
  for i = 2, #KINDS do
    local name, _, start = table.unpack(KINDS[i])
    servers[name] = start(us, archived)
    entries[#entries + 1] = servers[name]:modality()
  end
  archive.send(made.instances, entries)
end)

teardown(function()
  for _, server in pairs(servers) do
    server:close()
  end
end)

for _, version in ipairs(versions) do
  describe("A random search with the Orthanc " .. version.name, function()
    local client, target
    local own = {} -- the servers of this version

    setup(function()
      own.orthanc = KINDS[1][3](us, archived, version)
      archive.send(made.instances, { own.orthanc:modality() })
      local modalities = { orthanc = own.orthanc:modality(), archive = archived }
      for name, server in pairs(servers) do
        modalities[name] = server:modality()
      end
      own.us = orthanc.start { binary = version.binary, aet = "LOCAL", http_port = ports[1], dicom_port = ports[2],
        modalities = modalities }
      own.archive = orthanc.start { binary = version.binary, aet = "ARCHIVE", http_port = ports[3], dicom_port = ports[4],
        modalities = { us = us }, extra = { DicomAlwaysAllowStore = true } }
      client, target = modalua.connect(own.us.url), modalua.connect(own.archive.url)
    end)

    teardown(function()
      for _, server in pairs(own) do
        server:close()
      end
    end)

    -- Returns the set of the unique keys of answers. Complains about answers without one, and about answers that are there twice.
    local function set_of(answers, level, complain)
      local set = {}
      for _, answer in ipairs(answers) do
        local key = answer[oracle.unique[level]] or ""
        if not right.by_key[level][key] then
          complain("not in the archive: '%s'", key)
        elseif set[key] then
          complain("twice: %s", key)
        end
        set[key] = true
      end
      return set
    end

    -- Compares the answers of one query with the oracle, and calls `complain` for what is wrong. Returns whether something was
    -- said to be unproven, or to be impossible.
    local function check(name, level, query, complain)
      local found, err = client:modality(name):find { Level = level, Query = query }
      if not found and name == "strict" and (level == "Series" or level == "Instance") and err.dimse_status == 0xA900 then
        return true -- it accepts no key of another level but the UIDs, and Orthanc always sends PatientID and AccessionNumber
      elseif not found then
        return complain("%s", tostring(err))
      end
      local answered, asked = set_of(found.answers, level, complain), 0
      for _, resource in ipairs(right.levels[level]) do
        if answered[resource.key] then
          if oracle.verdict(resource, query, found.unproven) == "no" then
            complain("does not match: %s (%s)", resource.key, values_of(resource, query))
          end
        elseif asked < 2 and oracle.verdict(resource, query, nil, true) ~= "no" then
          asked = asked + 1
          if server_has(client, name, level, query, resource) then
            complain("is missing: %s (%s)", resource.key, values_of(resource, query))
          end
        end
      end
      found:close()
      return found.unproven ~= nil
    end

    -- A query that a few resources match or may match, of some 30 instances at most.
    local function narrow_query(random)
      while true do
        local level, query = queries.random(random, right)
        local resources, instances = 0, 0
        for _, resource in ipairs(right.levels[level]) do
          if oracle.verdict(resource, query) ~= "no" then
            resources, instances = resources + 1, instances + resource.instances
          end
        end
        if resources > 0 and resources <= 8 and instances <= 30 then
          return level, query
        end
      end
    end

    -- Removes all that has arrived in the archive, and returns the set of its SOPInstanceUIDs and their number.
    local function take_arrived()
      local set, n = {}, 0
      for _, instance in ipairs(assert(target:get("/instances", { expand = "" }))) do
        set[instance.MainDicomTags.SOPInstanceUID] = true
        n = n + 1
      end
      for _, id in ipairs(assert(target:get "/patients")) do
        assert(target:delete("/patients/" .. id))
      end
      return set, n
    end

    -- Complains unless exactly the instances of these resources have arrived.
    local function check_arrival(level, answered, complain)
      local arrived, n = take_arrived()
      local expected = 0
      for _, instance in ipairs(made.instances) do
        if answered[instance[oracle.unique[level]]] then
          expected = expected + 1
          if not arrived[instance.SOPInstanceUID] then
            complain("has not arrived: %s", instance.SOPInstanceUID)
          end
        end
      end
      if n > expected then
        complain("%d instances have arrived, and %d were found", n, expected)
      end
    end

    -- Moves what a query finds, and calls `complain` when something else arrives. Returns whether it was not moved because something was
    -- said to be unproven, or to be impossible.
    local function check_move(name, level, query, complain)
      local pacs, peer = client:modality(name), servers[name] or own[name]
      local found = pacs:find { Level = level, Query = query }
      if not found or #found.answers == 0 or #found.answers > 8 then
        return true -- the test of searches looks at this
      end
      local before = peer.logged and peer:count "C-MOVE"
      local moved, err = pacs:move(found, { to = "archive", max = #found.answers })
      if moved and before and peer:count "C-MOVE" - before ~= #found.answers then
        complain("%d resources were moved by %d C-MOVEs", #found.answers, peer:count "C-MOVE" - before)
      elseif not moved and not (found.unproven and err.kind == "refused" and err.code == "unproven")
        and not (level == "Patient" and (name == "dcmqrscp" or name == "strict")) then
        complain("%s", tostring(err)) -- Orthanc moves patients in the Study Root model, where dcmqrscp does not know their level
      end
      check_arrival(level, moved and set_of(found.answers, level, complain) or {}, complain)
      found:close()
      return not moved
    end

    -- Runs `check_one` with `count` random queries from `make`, and fails when it has complained. `number` makes the queries of each test
    -- different.
    local function try(number, count, make, kind, what, check_one)
      local random = archive.random(SEED + 1000 * version.number + number)
      local wrong, said = {}, 0
      for n = 1, count do
        local level, query = make(random, right)
        local shown = queries.shown(level, query)
        local function complain(form, ...)
          if not wrong[#wrong] or wrong[#wrong].number ~= n then -- the first complaint about a query is enough
            wrong[#wrong + 1] = { number = n, ("seed %d, number %d: %s: " .. form):format(SEED, n, shown, ...) }
          end
        end
        local done, unknown = pcall(check_one, kind[1], level, query, complain)
        if not done then
          complain("threw %s", tostring(unknown))
        end
        said = said + (done and unknown and 1 or 0)
      end
      if os.getenv "MODALUA_QUERIES" then
        print(("%s, %s: seed %d: %d %s: %d said to be unknown, %d wrong"):format(version.name, kind[2], SEED, count, what, said, #wrong))
      end
      local lines = { ("%d of %d %s are wrong"):format(#wrong, count, what) }
      for i = 1, math.min(#wrong, SHOWN) do
        lines[#lines + 1] = wrong[i][1]
      end
      assert(#wrong == 0, table.concat(lines, "\n"))
    end

    for i, kind in ipairs(KINDS) do
      it("has the right answers behind " .. kind[2], function()
        try(i, math.ceil(QUERIES / #KINDS / #versions), queries.random, kind, "searches", check)
      end)

      it("is moved as it was found behind " .. kind[2], function()
        try(#KINDS + i, math.ceil(QUERIES / MOVES / #KINDS / #versions), narrow_query, kind, "moves", check_move)
      end)
    end
  end)
end
