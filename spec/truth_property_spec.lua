-- Compares the answers of random searches with those of an oracle that knows the archive (spec/support/oracle.lua), through each Orthanc
-- and each kind of server behind it. No answer may be there that the query excludes, none may be missing that the server has, and none may
-- be there twice; what could not be decided must be said in found.unproven.
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
local SHOWN <const> = 10 -- at most so many failures are printed for each server

local SENDER <const> = { "STORESCU", "127.0.0.1", 1 } -- the calling AE title when the archive is stored

-- The servers behind each Orthanc: the name of the modality, the title of the test, and how the server starts.
local KINDS <const> = {
  { "orthanc", "Orthanc", function(version, client)
    return orthanc.start { binary = version.binary, aet = "PACS", modalities = { client = client, sender = SENDER } }
  end },
  { "dcmqrscp", "dcmqrscp", function(_, client)
    return dcmtk.dcmqrscp { aet = "DCMQR", peers = { client, SENDER } }
  end },
  { "strict", "dcmqrscp --check-find", function(_, client)
    return dcmtk.dcmqrscp { aet = "STRICT", peers = { client, SENDER }, arguments = { "--check-find", "--check-move" } }
  end },
  { "qrd", "a PACS that ignores most keys and repeats answers", function() return qrd.start() end },
  { "empty", "a PACS that answers ignored keys without a value", function()
    return qrd.start { arguments = { "--unmatched=empty", "--once" } }
  end },
  { "value", "a PACS that answers ignored keys with their values", function()
    return qrd.start { arguments = { "--unmatched=value", "--keys=PatientID,StudyInstanceUID,SeriesInstanceUID,SOPInstanceUID" } }
  end },
  { "literal", "a PACS that needs the UIDs of the levels above", function()
    return qrd.start { arguments = { "--keys=all", "--once", "--hierarchical", "--label" } }
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

-- Asks the server for one resource and the same filters, with the UIDs that lead to it: does the server itself say that it matches?
local function server_has(client, name, level, query, resource)
  local body = {}
  for key, value in pairs(query) do
    body[key] = value
  end
  for _, one in ipairs(oracle.order) do
    if one ~= "Patient" or level == "Patient" then
      body[oracle.unique[one]] = resource[oracle.unique[one]]
    end
    if one == level then
      break
    end
  end
  local made = client:post(("/modalities/%s/query"):format(name), { Level = level, Query = body })
  if not made then
    return false -- it refuses one of the filters at this level
  end
  local answers = assert(client:get(("/queries/%s/answers"):format(made.ID), { expand = "", simplify = "" }))
  assert(client:delete("/queries/" .. made.ID))
  for _, answer in ipairs(answers) do
    if answer[oracle.unique[level]] == resource.key then
      return true
    end
  end
  return false
end

for _, version in ipairs(versions) do
  describe("A random search with the Orthanc " .. version.name, function()
    local servers, front, client, right, random, made = {}, nil, nil, nil, archive.random(SEED + version.number), nil

    setup(function()
      made = archive.make(random, STUDIES)
      right = oracle.new(made.instances)
      local ports = orthanc.free_ports(2)
      local us = { "LOCAL", "127.0.0.1", ports[2] }
      local modalities, entries = {}, {}
      for _, kind in ipairs(KINDS) do
        local server = kind[3](version, us)
        servers[kind[1]], modalities[kind[1]] = server, server:modality()
        entries[#entries + 1] = server:modality()
      end
      archive.send(made.instances, entries)
      front = orthanc.start { binary = version.binary, aet = "LOCAL", http_port = ports[1], dicom_port = ports[2], modalities = modalities }
      client = modalua.connect(front.url)
    end)

    teardown(function()
      for _, server in pairs(servers) do
        server:close()
      end
      if front then
        front:close()
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
        elseif asked < 2 and oracle.verdict(resource, query) ~= "no" then
          asked = asked + 1
          if server_has(client, name, level, query, resource) then
            complain("is missing: %s (%s)", resource.key, values_of(resource, query))
          end
        end
      end
      found:close()
      return found.unproven ~= nil
    end

    for _, kind in ipairs(KINDS) do
      it("has the right answers behind " .. kind[2], function()
        local wrong, said, count = {}, 0, math.ceil(QUERIES / #KINDS / #versions)
        for n = 1, count do
          local level, query = queries.random(random, right)
          local shown = queries.shown(level, query)
          local unproven = check(kind[1], level, query, function(form, ...)
            if not wrong[#wrong] or wrong[#wrong].query ~= shown then -- the first complaint about a query is enough
              wrong[#wrong + 1] = { query = shown, ("seed %d, query %d: %s: " .. form):format(SEED, n, shown, ...) }
            end
          end)
          said = said + (unproven and 1 or 0)
        end
        if os.getenv "MODALUA_QUERIES" then
          print(("%s, %s: seed %d: %d searches: %d proven, %d said to be unknown, %d wrong"):format(version.name, kind[2], SEED, count,
            count - said - #wrong, said, #wrong))
        end
        local lines = { ("%d of %d queries have wrong answers"):format(#wrong, count) }
        for i = 1, math.min(#wrong, SHOWN) do
          lines[#lines + 1] = wrong[i][1]
        end
        assert(#wrong == 0, table.concat(lines, "\n"))
      end)
    end
  end)
end
