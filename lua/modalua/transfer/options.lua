-- transfer.options: reads and checks what transfer.run is called with. The C function of its row has checked names and types.
local require = ...
local hints = require "transfer.hints"
local json = require "modalua.json"
local levels = require "core.levels"
local move_target = require "core.move_target"
local native = require "core.native"
local pace = require "transfer.pace"
local steps = require "core.native_steps"

local options = {}

local OP <const> = "run"

local function usage(message, ...)
  native.usage(("run: " .. message):format(...))
end

-- ---- source and destination ----

local KINDS <const> = { ["modalua.Client"] = "client", ["modalua.Modality"] = "modality", ["modalua.Peer"] = "peer" }

local function kind_of(value)
  local meta = type(value) == "userdata" and debug.getmetatable(value)
  return meta and KINDS[meta.__name] or type(value)
end

-- The source: { kind = "modality" | "client", name =, client =, value = } | nil when it is not given.
local function read_from(value)
  local kind = kind_of(value)
  if value == nil then
    return nil
  elseif kind == "modality" then
    return { kind = kind, name = value.modality, client = value.client, value = value }
  elseif kind == "client" then
    return { kind = kind, name = "this Orthanc", client = value, value = value }
  elseif kind == "peer" then
    usage("'from' is the peer '%s', and a peer cannot be searched: connect to that Orthanc, and give its client as 'from'", value.peer)
  elseif kind == "string" then
    usage("'from' must be a modality or a client: client:modality \"%s\"", value)
  end
  usage("'from' must be a modality or a client (a %s was given)", kind)
end

-- The destination: { kind = "modality" | "client" | "peer" | "aet", name =, client = the Orthanc that knows it | nil, modality = | peer = |
-- aet = } | nil when it is not given.
local function read_to(given)
  local value, kind = given.to, kind_of(given.to)
  if value ~= nil and given.TargetAet then
    usage "'to' and 'TargetAet' both name a destination; give one of the two"
  elseif given.TargetAet and not move_target.is_aet(given.TargetAet) then
    usage("'TargetAet' must be an AE title, a string of 1 to 16 ASCII characters without backslash ('%s' was given)",
      native.text_shown(given.TargetAet))
  elseif given.TargetAet then
    return { kind = "aet", name = given.TargetAet, aet = given.TargetAet }
  elseif value == nil then
    return nil
  elseif kind == "string" then
    if not native.is_name(value) then
      usage("'to' must be the name of a modality ('%s' cannot be one)", native.text_shown(value))
    end
    return { kind = "modality", name = value }
  elseif kind == "modality" then
    return { kind = kind, name = value.modality, client = value.client, modality = value }
  elseif kind == "peer" then
    return { kind = kind, name = value.peer, client = value.client, peer = value }
  elseif kind == "client" then
    return { kind = kind, name = "this Orthanc", client = value }
  end
  usage("'to' must be the name of a modality, a modality, a peer or a client (a %s was given)", kind)
end

-- Which pairs there can be.
local function check_sides(from, to)
  if from and to and to.client and native.url(to.client) ~= native.url(from.client) then
    usage("'to' belongs to another server, %s; the source belongs to %s, which must know the destination", native.url(to.client),
      native.url(from.client))
  elseif from and to and from.kind == to.kind and from.name == to.name then
    usage("'from' and 'to' are the same: %s", from.kind == "modality" and "the modality '" .. from.name .. "'" or from.name)
  elseif from and from.kind == "client" and to and to.kind == "aet" then
    usage "from an Orthanc, the destination must be a modality or a peer that it knows: TargetAet is for a C-MOVE from a modality"
  elseif from and from.kind == "modality" and to and to.kind == "peer" then
    usage "from a modality, a C-MOVE cannot send to a peer: use a modality, or give the client as 'from' when that Orthanc has the studies"
  end
end

-- ---- what is transferred ----

local LEVELS <const> = { Study = true, Series = true }
local NO_LEVEL <const> = {
  Patient = "studies are compared and tried again one by one, so a patient is too much: use \"Study\"",
  Instance = "a C-MOVE for each image would take too long: use \"Series\"",
}

local function read_level(level)
  if level ~= nil and not LEVELS[level] then
    local known = native.level(level)
    if NO_LEVEL[known] then
      usage("the level cannot be \"%s\": %s", known, NO_LEVEL[known])
    elseif LEVELS[known] then
      return known
    end
    usage("the level must be \"Study\" or \"Series\" ('%s' was given)", native.text_shown(level))
  end
  return level
end

-- The filters of a query that may have the form { Level =, Query = } too.
local function filters_of(given, level)
  if type(given.Query) ~= "table" and given.Level == nil then
    return given
  end
  for name in pairs(given) do
    if name ~= "Level" and name ~= "Query" then
      usage("the query has the key %s beside Level and Query: write { Query = { … } } with all filters in it, or the filters alone",
        native.text_shown(tostring(name)))
    end
  end
  if given.Query ~= nil and type(given.Query) ~= "table" then
    usage("the query's Query must be a table of filters (a %s was given)", type(given.Query))
  elseif given.Level ~= nil and native.level(tostring(given.Level)) ~= level then
    usage("the query is for the level \"%s\", and the transfer for \"%s\": give level = \"%s\"", tostring(given.Level), level,
      tostring(given.Level))
  end
  return given.Query or {}
end

-- Whether the source can be searched by these filters. One that the search would leave out, so that it found more, is refused.
local function check_filters(query, level, is_client)
  for name, value in pairs(query) do
    local _, own = native.tag(name)
    own = own == "Patient" and "Study" or own or level
    local asked = levels.RANK[own] <= levels.RANK[level] and own or level -- a series is searched by way of its study
    if is_client then
      local advice = steps.not_indexed(name, level)
      if advice then
        usage("the query's %s: the server cannot search its own %s by it: %s", name, level == "Study" and "studies" or "series", advice)
      end
    else
      local sent, message = steps.filter(OP, asked, { [name] = value }, nil, true)
      if not sent then
        usage("%s", hints.plain(message))
      end
    end
  end
end

-- The filters of a query by the names of their tags.
local function read_query(given, level, all, is_client)
  local filters, query = filters_of(given, level), {}
  for key, value in pairs(filters) do
    local fault = type(key) == "string" and native.misspelt(key)
    if type(key) ~= "string" or fault then
      usage("the query has the key %s: %s", native.text_shown(tostring(key)), fault or "keys are keywords, such as StudyDate")
    elseif type(value) ~= "string" then
      usage("the query's %s must be a string (a %s was given)", key, type(value))
    elseif not utf8.len(value) then
      usage("the query's %s = '%s' is not UTF-8", key, native.text_shown(value))
    end
    fault = value ~= "" and hints.fault(key, value)
    if fault then
      usage("the query's %s = '%s' %s", key, native.text_shown(value), fault)
    end
    local _, _, name = native.tag(key)
    name = name or key
    if query[name] then
      usage("the query has %s twice, as '%s' and '%s'", name, query[name], value)
    end
    query[name] = value ~= "" and value or nil
  end
  local sent, message = steps.filter(OP, level, query)
  if not sent then
    usage("%s", hints.plain(message))
  elseif native.is_broad(query, level) and not all then
    check_filters(query, level, is_client) -- a filter that the level lacks narrows nothing: that is said first
    usage "nothing narrows the query, so everything would be sent: all = true allows that"
  end
  return query
end

-- A query by time of day alone cannot be divided: only one day can be split by time.
local function note_of(query)
  if query and query.StudyTime and not (query.StudyDate or ""):find "^%d%d%d%d%d%d%d%d$" then
    return "the query has a StudyTime and not one single StudyDate, so the search cannot be divided: it is proven to be complete only when "
      .. "the source leaves nothing out"
  end
end

local function read_items(items, level)
  local list, message = require "transfer.listed".read(items, { level = level })
  if not list then
    usage("%s", message)
  end
  return list
end

-- ---- settings ----

-- What the ledger keeps of the options, besides the query or list. Those of `set` can be changed while it runs.
local SETTINGS <const> = { "concurrency", "hours", "time_zone", "rate", "share", "gap", "verify", "retries", "join", "max_failed", "order",
  "limit_results", "several", "names", "arrived_at" }
options.CHANGEABLE = { "concurrency", "hours", "rate", "share", "gap", "verify", "retries" }
local PACE <const> = { "hours", "time_zone", "rate", "share", "gap" }
local DEFAULTS <const> = { concurrency = 1, join = 1, retries = 3, max_failed = 1000, order = "newest" }
local WORDS <const> = { verify = { count = true, uids = true, job = true }, order = { newest = true, oldest = true },
  several = { all = true } }
local WORDS_TEXT <const> = { verify = "\"count\", \"uids\" or \"job\"", order = "\"newest\" or \"oldest\"", several = "\"all\"" }

-- Whole numbers: the least and the largest one. Each send at once is a task of its own, with a connection to the server.
local NUMBERS <const> = { concurrency = { 1, 1000 }, join = { 1, 1000 }, retries = { 0, 1000000 }, max_failed = { 1, 1000000 },
  limit_results = { 1, 1000000 } }

-- Checks settings, each by itself. Returns nil and a message when one is wrong.
function options.check_settings(settings)
  for name, range in pairs(NUMBERS) do
    local value = settings[name]
    if value ~= nil and not (math.type(value) and math.tointeger(value) and value >= range[1] and value <= range[2]) then
      return nil, ("%s must be a whole number from %d to %d (%s was given)"):format(name, range[1], range[2],
        native.text_shown(tostring(value)))
    end
  end
  for name, words in pairs(WORDS) do
    if settings[name] ~= nil and not words[settings[name]] then
      return nil, ("%s must be %s ('%s' was given)"):format(name, WORDS_TEXT[name], native.text_shown(tostring(settings[name])))
    end
  end
  local own = {}
  for _, name in ipairs(PACE) do
    own[name] = settings[name] ~= "" and settings[name] or nil
  end
  return pace.read(own)
end

-- Checks settings beside what they are for. `to_kind`, `from_kind`: of the sides; asks_arrived: arrived_at was given.
function options.check_together(settings, from_kind, to_kind, asks_arrived)
  if to_kind ~= "modality" and to_kind ~= "client" and settings.verify ~= "job" and not asks_arrived then
    return nil, ("verify = \"%s\" needs arrived_at, the client of the Orthanc that receives: %s cannot be searched"):format(
      settings.verify, to_kind == "peer" and "a peer" or "a destination that only the source knows")
  elseif (settings.join or 1) > 1 and settings.verify == "job" then
    return nil, "join needs verify = \"count\" or \"uids\": the result of a C-MOVE of several does not say which of them has arrived"
  elseif (settings.join or 1) > 1 and from_kind == "client" then
    return nil, "join is for a C-MOVE: the source must be a modality"
  end
  return true
end

local function default_verify(to, arrived_at)
  return (to.kind == "peer" or to.kind == "aet") and not arrived_at and "job" or "count"
end

-- The settings of a new transfer.
function options.complete(plan)
  local settings = {}
  for _, name in ipairs(SETTINGS) do
    settings[name] = plan.settings[name]
    if settings[name] == nil or settings[name] == "" then -- "" takes a setting away
      settings[name] = DEFAULTS[name]
    end
  end
  settings.verify = settings.verify or default_verify(plan.to, plan.arrived_at)
  return settings
end

-- ---- all of it ----

-- options.read(given) -> plan: { from =, to =, level =, query =, list =, settings = those that were given, arrived_at =, note = }. Throws
-- when something is wrong in itself.
function options.read(given)
  local plan = { from = read_from(given.from), to = read_to(given), level = read_level(given.level), arrived_at = given.arrived_at,
    settings = {}, adds = given.add }
  check_sides(plan.from, plan.to)
  if given.arrived_at ~= nil and kind_of(given.arrived_at) ~= "client" then
    usage("'arrived_at' must be the client of the Orthanc that receives (a %s was given)", kind_of(given.arrived_at))
  elseif given.progress ~= nil and type(given.progress) ~= "boolean" and type(given.progress) ~= "function" then
    usage("'progress' must be true or a function (a %s was given)", type(given.progress))
  elseif given.query and given.items then
    usage "give a query or items, not both"
  end
  if given.hours == "" then -- a variable of the shell that is not set must not allow all hours
    usage("%s", select(2, pace.read { hours = "" }))
  end
  for _, name in ipairs(SETTINGS) do
    plan.settings[name] = given[name]
  end
  plan.settings.arrived_at = plan.arrived_at and native.url(plan.arrived_at) or nil -- a later run finds it by that name
  local good, message = options.check_settings(plan.settings)
  if not good then
    usage("%s", message)
  end
  return plan
end

-- Reads the query or the list into the plan, when the level is known.
function options.read_selection(plan, given, level)
  local query = given.query or given.all and not given.items and {} or nil
  if query then
    plan.query = read_query(query, level, given.all, plan.from and plan.from.kind == "client")
    plan.note = note_of(plan.query)
  elseif given.items then
    plan.list = read_items(given.items, level)
  end
end

-- What a new transfer needs.
function options.check_new(plan)
  if not plan.from then
    usage "the ledger is new, so 'from' is needed: a modality or a client"
  elseif not plan.to then
    usage "the ledger is new, so 'to' or 'TargetAet' is needed: the destination"
  elseif not (plan.query or plan.list) then
    usage "the ledger is new, so 'query' or 'items' is needed: what to transfer (all = true: everything)"
  elseif plan.query then
    check_filters(plan.query, plan.level or "Study", plan.from.kind == "client")
  end
end

-- Throws when the settings do not fit the sides.
function options.check_fit(settings, from_kind, to_kind, arrived_at)
  local good, message = options.check_together(settings, from_kind, to_kind, arrived_at ~= nil)
  if not good then
    usage("%s", message)
  end
end

-- ---- a ledger that exists ----

local function differs(what, kept, given)
  return ("%s: the ledger has %s, and %s was given"):format(what, kept, given)
end

local function side(kind, name)
  local words = { modality = "the modality '%s'", peer = "the peer '%s'", aet = "the AE title '%s'", client = "%s" }
  return words[kind]:format(name)
end

local OTHER_LIST <const> = "a list that was changed needs a new ledger (what the destination has is not sent again), or add = true, which "
  .. "adds its new lines to this one"

-- Where the lines of a list differ from those in the ledger | nil.
local function compare_lines(ledger, row, list)
  local kept = ledger:lines()
  for line in list.each() do
    local known = kept()
    if not known or known.n > row.listed.lines or known.text ~= require "transfer.ledger_rows".text(line.text) then
      return ("items: line %d differs; %s"):format(known and known.n or row.listed.lines + 1, OTHER_LIST)
    end
  end
  return list.count ~= row.listed.lines and ("%s; %s"):format(differs("items", ("%d lines"):format(row.listed.lines),
    tostring(list.count)), OTHER_LIST) or nil
end

local function compare_selection(ledger, row, plan)
  if plan.query and not row.query then
    return "the ledger is of a list, and a query was given"
  elseif plan.list and not row.listed then
    return "the ledger is of a query, and items were given"
  elseif plan.query and json.encode(plan.query) ~= json.encode(row.query) then
    return differs("query", json.encode(row.query), json.encode(plan.query))
  end
  return plan.list and not plan.adds and compare_lines(ledger, row, plan.list) or nil
end

-- options.difference(ledger, row, plan) -> text | nil: what of `from to level query items order` is not as in the ledger.
function options.difference(ledger, row, plan)
  local from, to = plan.from, plan.to
  if from and (from.kind ~= row.from_kind or from.name ~= row.from_name) then
    return differs("from", side(row.from_kind, row.from_name), side(from.kind, from.name))
  elseif to and (to.kind ~= row.to_kind or to.name ~= row.to_name) then
    return differs("to", side(row.to_kind, row.to_name), side(to.kind, to.name))
  elseif plan.level and plan.level ~= row.level then
    return differs("level", row.level, plan.level)
  elseif plan.settings.order and plan.settings.order ~= row.settings.order then
    return differs("order", row.settings.order, plan.settings.order) -- items have their places already
  end
  return compare_selection(ledger, row, plan)
end

return options
