-- Tests the functions of modalua.transfer around the ledger (lua/modalua/transfer/transfer.lua and options.lua): what run refuses before
-- anything is written, how it goes on with a ledger that exists, and the functions that only touch a ledger. What a run does after that is
-- not tested here: a function of this spec takes its place.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local ledgers = require "spec.support.ledgers"
local modalua = require "modalua"
local orthanc = require "spec.support.orthanc"
local part = require "spec.support.part"
local served = require "spec.support.served"
local transfer = require "modalua.transfer"
local ledger, native = part "transfer.ledger", part "core.native"
local running = part "transfer.run"

local servers, client, pacs, peer, folder, real_run
local count = 0

local function new_path()
  count = count + 1
  return ("%s/%d.ledger"):format(folder, count)
end

setup(function()
  servers = orthanc.network({ "LOCAL", "PACS", "ARCHIVE" }, { extra = { OrthancPeers = { clinic = { "http://127.0.0.1:1/" } } } })
  client = modalua.connect(servers.LOCAL.url)
  pacs, peer = client:modality "pacs", client:peer "clinic"
  folder, real_run = served.folder "transfer_api", running.run
end)

teardown(function()
  running.run = real_run
  servers:close()
  served.output_of("exec rm -r " .. served.quoted { folder })
end)

-- What transfer.run of the part was called with last.
local work

before_each(function()
  work = nil
  function running.run(given)
    work = given
    work.row = assert(given.ledger:describe())
    return given.status(given.ledger)
  end
end)

-- Options for a new ledger; fields of the table replace them, false removes them.
local function options(changes)
  local all = { ledger = new_path(), from = pacs, to = "archive", query = { StudyDate = "19950101-" } }
  for name, value in pairs(changes or {}) do
    all[name] = value or nil
  end
  return all
end

-- Asserts that run throws that text, and writes nothing.
local function refuses(changes, message)
  local given = options(changes)
  local good, err = pcall(transfer.run, given)
  assert.is_false(good, "run accepted: " .. message)
  expect.contains(tostring(err), message)
  assert.is_string(err)
  assert.is_nil(work)
  assert.are.equal("", served.output_of(("ls %s | grep '^%d.ledger' || true"):format(folder, count)))
end

describe("transfer.run refuses", function()
  local CASES <const> = {
    { "a call without a ledger", { ledger = false }, "option 'ledger' is needed" },
    { "an option that it does not have", { leder = "x" }, "unknown option 'leder'; did you mean 'ledger'?" },
    { "a source that is a name", { from = "pacs" }, "'from' must be a modality or a client: client:modality \"pacs\"" },
    { "a source that is a number", { from = 1 }, "'from' must be a modality or a client (a number was given)" },
    { "a new ledger without a source", { from = false }, "the ledger is new, so 'from' is needed" },
    { "a new ledger without a destination", { to = false }, "the ledger is new, so 'to' or 'TargetAet' is needed" },
    { "a new ledger without a selection", { query = false }, "the ledger is new, so 'query' or 'items' is needed" },
    { "two destinations", { TargetAet = "X" }, "'to' and 'TargetAet' both name a destination" },
    { "a destination that cannot be one", { to = "a/b" }, "'to' must be the name of a modality ('a/b' cannot be one)" },
    { "a query and items", { items = { { AccessionNumber = "1" } } }, "give a query or items, not both" },
    { "the level Patient, with the reason", { level = "Patient" },
      "the level cannot be \"Patient\": studies are compared and tried again" },
    { "the level Instance, with the reason", { level = "instance" }, "the level cannot be \"Instance\": a C-MOVE for each image" },
    { "a level that is none", { level = "Frame" }, "the level must be \"Study\" or \"Series\" ('Frame' was given)" },
    { "everything, unless it is asked for", { query = {} },
      "nothing narrows the query, so everything would be sent: all = true allows that" },
    { "a query that only has keys without values", { query = { PatientName = "" } }, "nothing narrows the query" },
    { "a key that DICOM does not have", { query = { StudyDat = "2024" } }, "the query has the key StudyDat" },
    { "a value that is no string", { query = { StudyDate = 20240101 } }, "the query's StudyDate must be a string (a number was given)" },
    { "a date that is none", { query = { StudyDate = "2024-13-45" } }, "the query's StudyDate = '2024-13-45' " },
    { "a query for another level", { query = { Level = "Series", Query = { StudyDate = "19950101-" } } },
      "the query is for the level \"Series\", and the transfer for \"Study\"" },
    { "a verification that does not exist", { verify = "md5" }, "verify must be \"count\", \"uids\" or \"job\" ('md5' was given)" },
    { "an order that does not exist", { order = "random" }, "order must be \"newest\" or \"oldest\" ('random' was given)" },
    { "several that is not all", { several = "first" }, "several must be \"all\" ('first' was given)" },
    { "join with the sender's word", { join = 2, verify = "job" }, "join needs verify = \"count\" or \"uids\"" },
    { "hours that say nothing", { hours = "sometimes" }, "hours" },
    { "a time zone that does not exist", { hours = "Sat", time_zone = "Europe/Atlantis" }, "Europe/Atlantis" },
    { "a rate that is none", { rate = "fast" }, "rate" },
    { "a share above 1", { share = 2 }, "share" },
    { "a gap below 0", { gap = -1 }, "gap" },
    { "a concurrency of 0", { concurrency = 0 }, "option 'concurrency' must be a whole number, 1 or more" },
    { "the modality as its own destination", { to = "pacs" }, "'from' and 'to' are the same: the modality 'pacs'" },
    { "the AE title of the source as destination", { to = false, TargetAet = "PACS" }, "'TargetAet' is the source itself" },
    { "an arrived_at that is no client", { arrived_at = "x" }, "'arrived_at' must be the client of the Orthanc that receives" },
  }

  for _, case in ipairs(CASES) do
    local title, changes, message = table.unpack(case)
    it(title, function()
      refuses(changes, message)
    end)
  end

  it("sides that cannot be a source or a destination of each other", function()
    refuses({ from = peer }, "'from' is the peer 'clinic', and a peer cannot be searched")
    refuses({ from = client, to = client }, "'from' and 'to' are the same: this Orthanc")
    refuses({ from = client, to = false, TargetAet = "X" }, "TargetAet is for a C-MOVE from a modality")
    refuses({ to = peer }, "a C-MOVE cannot send to a peer")
    refuses({ from = client, to = peer, verify = "count" }, "verify = \"count\" needs arrived_at")
    refuses({ to = false, TargetAet = "SOMEWHERE", verify = "uids" }, "verify = \"uids\" needs arrived_at")
    refuses({ from = client, join = 4 }, "join is for a C-MOVE: the source must be a modality")
    local other = modalua.connect(servers.ARCHIVE.url)
    refuses({ to = other:modality "pacs" }, "'to' belongs to another server")
    refuses({ to = other }, "'to' belongs to another server")
  end)

  it("what the server does not know, as an error of the operation", function()
    local function fails(code, changes, message)
      local given = options(changes)
      local err = expect.fails({ kind = "orthanc", code = code }, transfer.run(given))
      expect.contains(err.message, message)
      assert.is_nil(io.open(given.ledger))
    end
    fails("unknown_modality", { from = client:modality "pasc" }, "the server knows no modality 'pasc' to send from; did you mean 'pacs'?")
    fails("unknown_modality", { to = "archiv" }, "the server knows no modality 'archiv' to send to; did you mean 'archive'?")
    fails("unknown_peer", { from = client, to = client:peer "far" }, "the server knows no peer 'far' to send to")
  end)

  it("what fails for another reason than the call, with a log that tells it", function()
    local log = folder .. "/failed.log"
    local err = expect.fails({ code = "unknown_peer" }, transfer.run(options { from = client, to = client:peer "far", log = log }))
    expect.contains(served.read_file(log) or "there is no log", err.message)
    expect.fails({ code = "usage" }, transfer.run(options { ledger = folder, log = log .. ".2" }))
    assert.is_nil(served.read_file(log .. ".2"))
  end)

  it("a ledger that cannot be one, before the server is asked", function()
    local err = expect.fails({ kind = "refused", code = "usage" }, transfer.run(options { ledger = folder }))
    expect.contains(err.message, "is a folder")
    expect.contains(expect.fails({ code = "usage" }, transfer.run(options { ledger = "postgresql://u:p@h/d#x" })).message, "has a password")
    expect.contains(expect.fails({ code = "usage" }, transfer.run(options { ledger = folder .. "/no/such" })).message, "cannot be opened")
  end)

  it("everything in a sandbox, and require does not give the module there", function()
    local function sandboxed(code)
      local result = command.run("--sandbox", "-e", code)
      return result.out .. result.err
    end
    for name in pairs(transfer) do
      local argument = name == "run" and "{ ledger = 'x' }" or "'x', { html = 'x', gap = 1 }"
      if name == "add" or name == "retry" or name == "items" or name == "set" or name == "report" then
        argument = ({ add = "'x', { {} }", set = "'x', { gap = 1 }", report = "'x', { html = 'y' }" })[name] or "'x'"
      end
      expect.contains(sandboxed(("local good, err = pcall(require 'modalua'.transfer.%s, %s) print(good, err.code, err.message)")
        :format(name, argument)), "false\tsandbox\ta sandboxed script has no transfers")
    end
    expect.contains(sandboxed "require 'modalua.transfer'", "a sandboxed script has no module 'modalua.transfer'")
    for _, name in ipairs { "transfer.native", "transfer.ledger", "modalua.transfer.native" } do -- the database
      expect.contains(sandboxed(("require %q"):format(name)), "a sandboxed script has no module")
    end
  end)
end)

describe("transfer.run begins a ledger", function()
  it("with the names and AE titles of both sides, the query and the settings", function()
    local summary = assert(transfer.run(options { concurrency = 4, hours = "Sat-Sun", time_zone = "Europe/Vienna", level = "series",
      query = { ["0008,0020"] = "19950101-", PatientName = "" } }))
    local row = work.row
    assert.are.same({ "modality", "pacs", "PACS", "modality", "archive", "ARCHIVE", servers.LOCAL.url, "Series" },
      { row.from_kind, row.from_name, row.from_aet, row.to_kind, row.to_name, row.to_aet, row.server, row.level })
    assert.are.same({ StudyDate = "19950101-" }, row.query)
    assert.are.same({ concurrency = 4, hours = "Sat-Sun", time_zone = "Europe/Vienna", verify = "count", join = 1, retries = 3,
      max_failed = 1000, order = "newest" }, row.settings)
    assert.are.same({ "stopped", 0, false }, { summary.state, summary.found, summary.complete })
    assert.are.equal("pacs", work.source.modality)
    assert.are.same({ false, "modality", "archive" }, { work.is_local, work.destination.kind, work.destination.modality.modality })
  end)

  it("with the query as find takes it, or everything when that is asked for", function()
    assert(transfer.run(options { query = { Level = "Study", Query = { PatientID = "A*" } } }))
    assert.are.same({ PatientID = "A*" }, work.row.query)
    assert(transfer.run(options { query = false, all = true }))
    assert.are.same({}, work.row.query)
  end)

  it("whose verification is the sender's word where the destination cannot be compared", function()
    assert(transfer.run(options { from = client, to = peer }))
    assert.are.same({ "job", "peer", "clinic", true }, { work.row.settings.verify, work.row.to_kind, work.row.to_name, work.is_local })
    assert(transfer.run(options { to = false, TargetAet = "SOMEWHERE" }))
    assert.are.same({ "job", "aet", "SOMEWHERE" }, { work.row.settings.verify, work.row.to_kind, work.destination.aet })
    local arrived_at = modalua.connect(servers.ARCHIVE.url)
    assert(transfer.run(options { from = client, to = peer, arrived_at = arrived_at, verify = "uids" }))
    assert.are.equal("uids", work.row.settings.verify)
    assert.are.equal(arrived_at, work.arrived_at)
    assert(transfer.run(options { from = pacs, to = client }))
    assert.are.same({ "count", "client" }, { work.row.settings.verify, work.destination.kind })
  end)

  it("with the Orthanc at which is compared what arrives, which a later run need not name again", function()
    local arrived_at = modalua.connect { url = servers.ARCHIVE.url, username = "u", password = "secret" }
    local given = options { from = client, to = peer, arrived_at = arrived_at, verify = "uids" }
    assert(transfer.run(given))
    assert.are.equal(servers.ARCHIVE.url, work.row.settings.arrived_at)
    assert(transfer.run { ledger = given.ledger, from = client })
    assert.are.equal(servers.ARCHIVE.url, native.url(work.arrived_at))
    assert(transfer.set(given.ledger, { verify = "count" }))
    local L <close> = assert(ledger.open(given.ledger, { create = false }))
    assert(L:change_settings { arrived_at = "nowhere" })
    expect.throws("what arrives is compared at 'nowhere', and that Orthanc is not known here: give arrived_at again", transfer.run,
      { ledger = given.ledger, from = client })
    local closed <close> = orthanc.start { users = { u = "secret" } } -- luacheck: ignore
    assert(L:change_settings { arrived_at = closed.url })
    expect.throws("refuses the connection with the status 401: give arrived_at again; the ledger keeps no password", transfer.run,
      { ledger = given.ledger, from = client })
  end)

  it("of a query by time over several days, with a note that it cannot be divided", function()
    local log = folder .. "/log"
    assert(transfer.run(options { query = { StudyTime = "0800-0900" }, log = log }))
    local file <close> = assert(io.open(log))
    expect.contains(file:read "a", "the query has a StudyTime and not one single StudyDate, so the search cannot be divided")
    local other = folder .. "/other.log"
    assert(transfer.run(options { query = { StudyTime = "0800-0900", StudyDate = "20240131" }, log = other }))
    local text = io.open(other)
    assert.is_nil(text and text:read("a"):find("cannot be divided", 1, true))
  end)
end)

describe("transfer.run goes on with a ledger", function()
  local given

  before_each(function()
    given = options { concurrency = 2, rate = "40/min" }
    assert(transfer.run(given))
    work = nil
  end)

  local function again(changes)
    local more = { ledger = given.ledger, from = pacs }
    for name, value in pairs(changes) do
      more[name] = value or nil
    end
    return transfer.run(more)
  end

  it("when only the ledger is given, and the connection is to its server", function()
    local program = ([[
      local transfer = require "modalua".transfer
      print(pcall(transfer.run, { ledger = %q }))]]):format(given.ledger)
    local result = command.shell(('MODALUA_URL=%s "$M" -e %s'):format(servers.ARCHIVE.url, command.quote(program)))
    expect.contains(result.out, ("this transfer uses the Orthanc at %s, and the connection is to %s"):format(servers.LOCAL.url,
      servers.ARCHIVE.url))
    assert(again {})
    assert.are.same({ "pacs", "archive", "ARCHIVE" }, { work.source.modality, work.destination.name, work.destination.modality and
      work.row.to_aet })
    assert(again { to = "archive", level = "Study", query = { StudyDate = "19950101-" } })
    assert.are.equal(1, work.row.settings_version)
  end)

  it("and names what differs from it, and changes nothing", function()
    local function differs(changes, message)
      local good, err = pcall(again, changes)
      assert.is_false(good)
      expect.contains(err, ("the ledger '%s' is of another transfer: "):format(given.ledger))
      expect.contains(err, message)
      assert.is_nil(work)
    end
    differs({ from = client:modality "archive" }, "from: the ledger has the modality 'pacs', and the modality 'archive' was given")
    differs({ from = client }, "from: the ledger has the modality 'pacs', and this Orthanc was given")
    differs({ to = client:modality "local" }, "to: the ledger has the modality 'archive', and the modality 'local' was given")
    differs({ TargetAet = "ARCHIVE" }, "to: the ledger has the modality 'archive', and the AE title 'ARCHIVE' was given")
    differs({ level = "Series" }, "level: the ledger has Study, and Series was given")
    differs({ query = { StudyDate = "19960101-" }, concurrency = 9 },
      'query: the ledger has {"StudyDate":"19950101-"}, and {"StudyDate":"19960101-"} was given')
    assert.are.equal(2, transfer.status(given.ledger).settings.concurrency)
  end)

  it("and writes the settings that are given and differ", function()
    assert(again { concurrency = 8, rate = "", verify = "uids" })
    assert.are.same({ 8, nil, "uids", 2 }, { work.row.settings.concurrency, work.row.settings.rate, work.row.settings.verify,
      work.row.settings_version })
    expect.throws("join needs verify", again, { join = 3, verify = "job" })
    assert.are.equal(1, transfer.status(given.ledger).settings.join)
  end)

  it("but not when the AE title of a side has become another one", function()
    assert(client:put("/modalities/archive", { AET = "OTHER", Host = "127.0.0.1", Port = servers.ARCHIVE.dicom_port }))
    local good, err = pcall(again, {})
    assert(client:put("/modalities/archive", { AET = "ARCHIVE", Host = "127.0.0.1", Port = servers.ARCHIVE.dicom_port }))
    assert.is_false(good)
    expect.contains(err, "to: 'archive' had the AE title 'ARCHIVE' when the ledger was made, and has 'OTHER' now: use a new ledger")
  end)
end)

describe("A list of items", function()
  -- Writes a file and returns its path.
  local function file(text)
    local path = new_path() .. ".csv"
    served.write_file(path, text)
    return path
  end

  local function lines_of(path)
    local L <close> = assert(ledger.open(path, {}))
    local list = {}
    for line in L:lines() do
      list[#list + 1] = line.text
    end
    return list
  end

  it("is kept in the ledger, line by line", function()
    local given = options { query = false, items = { { AccessionNumber = "A1" }, { AccessionNumber = "*" }, { PatientID = "P1" } } }
    local status = assert(transfer.run(given))
    assert.are.same({ lines = 3 }, work.row.listed)
    assert.is_nil(work.row.query)
    assert.are.same({ "A1", "*", "P1" }, lines_of(given.ledger))
    assert.are.same({ OPEN = 2, INVALID = 1 }, status.lines)
  end)

  it("may have new lines, in any order, when these are to be added", function()
    local function rows(...)
      local list = {}
      for i, value in ipairs { ... } do
        list[i] = { AccessionNumber = value }
      end
      return list
    end
    local given = options { query = false, items = rows("A1", "A2", "A1"), add = true }
    assert(transfer.run(given))
    for _, case in ipairs { { rows("A2", "A1"), "A1 A2 A1" }, { rows("A3", "A2", "A3"), "A1 A2 A1 A3" }, { rows("A3"), "A1 A2 A1 A3" },
      { { { PatientID = "A1" } }, "A1 A2 A1 A3 A1" } } do
      given.items = case[1]
      assert(transfer.run(given))
      assert.are.equal(case[2], table.concat(lines_of(given.ledger), " "))
    end
  end)

  it("may be given again, and must then be the same", function()
    local path = file "Name,AccessionNumber\nx,A1\ny,A2\n"
    local given = options { query = false, items = { file = path, column = "AccessionNumber" } }
    assert(transfer.run(given))
    assert.are.same({ "A1", "A2" }, lines_of(given.ledger))
    work = nil
    assert(transfer.run(given))
    assert.is_table(work)
    assert.is_true(transfer.add(given.ledger, { { AccessionNumber = "A3" } }) == 1)
    assert(transfer.run(given))
    for text, message in pairs { ["AccessionNumber\nA1\n"] = "items: the ledger has 2 lines, and 1 was given",
      ["AccessionNumber\nA1\nB2\n"] = "items: line 2 differs", ["AccessionNumber\nA1\nA2\nA3\n"] = "items: line 3 differs" } do
      served.write_file(path, text)
      expect.throws(message, transfer.run, given)
    end
    expect.throws("or add = true, which adds its new lines to this one", transfer.run, given)
    given.items, given.query = nil, { StudyDate = "20240101" }
    expect.throws("the ledger is of a list, and a query was given", transfer.run, given)
    local other = options()
    assert(transfer.run(other))
    other.query, other.items = nil, { { AccessionNumber = "A1" } }
    expect.throws("the ledger is of a query, and items were given", transfer.run, other)
  end)

  it("is refused without the column, with the columns that it has, or when it is not UTF-8; nothing is written then", function()
    local function refuses_file(text, changes, ...)
      local given = options { query = false, items = { file = file(text), column = changes.column, encoding = changes.encoding } }
      local good, err = pcall(transfer.run, given)
      assert.is_false(good)
      for _, part_of_message in ipairs { ... } do
        expect.contains(tostring(err), part_of_message)
      end
      assert.is_nil(io.open(given.ledger))
    end
    refuses_file("Name;Number\nx;A1\n", { column = "Accession" }, "Accession", "Name", "Number")
    refuses_file("AccessionNumber\nA1\nM\xfcller\n", {}, "3", "latin1")
    refuses({ query = false, items = { file = "/nowhere/list.csv" } }, "/nowhere/list.csv")
  end)

  it("can be added to a ledger that exists, also first, and from a file", function()
    local given = options()
    assert(transfer.run(given))
    local path = given.ledger
    assert.are.equal(2, transfer.add(path, { { AccessionNumber = "A1" }, { StudyInstanceUID = "1.2.3" } }))
    assert.are.equal(1, transfer.add(path, { file = file "AccessionNumber\nA9\n" }, { first = true }))
    local L <close> = assert(ledger.open(path, {}))
    local shown = {}
    for i, line in ipairs(L:open_lines(10)) do
      shown[i] = { line.tag, line.value, line.first }
    end
    assert.are.same({ { "AccessionNumber", "A1", false }, { "StudyInstanceUID", "1.2.3", false }, { "AccessionNumber", "A9", true } },
      shown)
    assert.are.equal(1, transfer.add(path, { { PatientID = "P1", StudyInstanceUID = "1.2.4", ModalitiesInStudy = { "CT", "MR" } } }))
    assert.are.same({ "StudyInstanceUID", "1.2.4" }, { L:open_lines(1, 3)[1].tag, L:open_lines(1, 3)[1].value })
    expect.throws("rows must be a list with at least one row", transfer.add, path, {})
    expect.throws("add: ", transfer.add, path, { { Colour = "red" } })
    assert.are.equal(4, #L:open_lines(10))
  end)
end)

describe("Without a run, a ledger", function()
  local path, L

  before_each(function()
    local given = options()
    assert(transfer.run(given))
    path = given.ledger
    L = assert(ledger.open(path, {}))
    assert(L:join { host = "elsewhere", pid = 1 })
    assert(L:take_finder())
    local list = ledgers.items(3)
    list[2].note = "the UID has two patients"
    assert(L:add_items(list, {}))
  end)

  after_each(function()
    L:close()
  end)

  it("tells its state: running, paused, waiting, stopped, finished", function()
    assert.are.equal("running", transfer.status(path).state)
    assert(transfer.pause(path))
    assert.are.equal("paused", transfer.status(path).state)
    assert(transfer.resume(path))
    assert(L:renew { side = "to", since = 5, reason = "no answer" })
    local status = assert(transfer.status(path))
    assert.are.same({ "waiting", { side = "to", since = 5, reason = "no answer" }, 3, false }, { status.state, status.waiting, status.found,
      status.complete })
    assert(L:renew())
    local changes = {}
    for i, item in ipairs(L:claim(10)) do
      changes[i] = { id = item.id, from = "sending", to = i == 1 and "failed" or "present", arrived = 1 }
    end
    assert(L:record(changes))
    assert(L:end_finding())
    status = assert(transfer.status(path))
    assert.are.same({ "finished", true, 0 }, { status.state, status.complete, status.left or 0 })
    assert.are.same({ todo = 0, sending = 0, sent = 0, done = 0, present = 2, failed = 1, unknown = 0 }, status.items)
    assert(transfer.retry(path))
    assert(L:leave())
    assert.are.equal("stopped", transfer.status(path).state)
  end)

  it("has no column of the ledger that is not meant for others", function()
    local names = {}
    for name in pairs(assert(transfer.status(path))) do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.are.equal("bytes complete found from instances items level settings state to unproven workers", table.concat(names, " "))
  end)

  it("tells the rate of its run, and the time that is left by images", function()
    local changes = {}
    local items = assert(L:claim(1))
    assert(L:record { { id = items[1].id, from = "sending", to = "sent" } })
    assert(L:record { { id = items[1].id, from = "sent", to = "done", arrived = 10, bytes = 1000 } })
    assert(L:end_finding())
    assert(L:query("UPDATE worker SET started = started - 120000"))
    assert.are.same({}, changes)
    local status = assert(transfer.status(path))
    assert.is_true(math.abs(status.run_rate.instances - 5) < 0.5, status.run_rate.instances)
    assert.is_true(math.abs(status.run_rate.bytes - 500) < 50)
    assert.are.equal(status.rate.items, status.run_rate.items)
    local expected = 4 / status.rate.instances * 60 -- items 2 and 3 have 3 and 1 images
    assert.is_true(math.abs(status.left - expected) < 1, status.left)

    -- While it waits, it has no rate now; and what is tried again later takes at least so long.
    assert(L:renew { side = "to", since = 5, reason = "no answer" })
    assert(L:query("UPDATE item SET due = $1 WHERE id = $2", assert(L:now()) + 600000, items[1].id + 1))
    local waits = assert(transfer.status(path))
    assert.are.same({ "waiting", nil, true }, { waits.state, waits.rate, waits.run_rate ~= nil })
    assert.is_true(waits.left > 500, waits.left)
    local shown = command.shell('"$M" transfer status ' .. command.quote(path)).out
    assert.matches("\nwaiting for\t" .. waits.to .. " since [^\n]*: no answer\n", shown)
    assert(L:query("UPDATE item SET due = 0 WHERE id = $1", items[1].id + 1))
    assert(L:renew())

    -- Of a run of ten minutes, in a window that opened one to two minutes ago, only the time in the window counts.
    assert(L:query "UPDATE worker SET started = started - 480000")
    assert.is_true(transfer.status(path).run_rate.instances < 1.5)
    local now = assert(L:now())
    local minute = os.date("!%a %H:%M", now // 1000 // 60 * 60 - 60)
    assert(transfer.set(path, { hours = minute .. "-" .. os.date("!%H:%M", now // 1000 + 7200) }))
    assert(L:change_settings { time_zone = "UTC" })
    local narrow = assert(transfer.status(path))
    assert.is_true(narrow.window.open)
    assert.is_true(narrow.run_rate.instances > 4, narrow.run_rate.instances)
  end)

  it("takes settings, and checks them", function()
    assert(transfer.set(path, { concurrency = 3, hours = "Sat", gap = 2 }))
    assert(transfer.set(path, { hours = "" }))
    local settings = transfer.status(path).settings
    assert.are.same({ 3, nil, 2 }, { settings.concurrency, settings.hours, settings.gap })
    expect.throws("give at least one of the settings concurrency, hours", transfer.set, path, {})
    expect.throws("unknown option 'join'", transfer.set, path, { join = 2 })
    expect.throws("set: verify must be", transfer.set, path, { verify = "x" })
    expect.throws("rate", transfer.set, path, { rate = "fast" })
    assert.are.same(settings, transfer.status(path).settings)
  end)

  it("gives its items, and lets those that failed be tried again", function()
    local items = L:claim(2)
    assert(L:record { { id = items[1].id, from = "sending", to = "failed", tries = 4, reason = "gone", message = "not there" } })
    local list = {}
    for item in transfer.items(path) do
      list[#list + 1] = item
    end
    assert.are.same({ key = "1.2.1", patient_id = "P1", date = "20240101", modality = "CT", state = "failed", reason = "gone", tries = 4,
      expected = 2, finished = list[1].finished, message = "not there" }, list[1])
    assert.are.same({ "sending", "the UID has two patients" }, { list[2].state, list[2].message })
    assert.are.equal("1.2.3", transfer.items(path, { state = "todo" })().key)
    expect.throws("there is no state 'broken'", transfer.items, path, { state = "broken" })
    expect.throws("the state must be \"failed\" or \"unknown\" ('done' was given)", transfer.retry, path, { state = "done" })
    assert.are.equal(0, transfer.retry(path, { reason = "short" }))
    assert.are.equal(1, transfer.retry(path, { state = "failed" }))
    assert.are.same({ ok = true, problems = {}, items = 3 }, transfer.check(path))
  end)

  it("must exist, and have a transfer", function()
    local names = { "status", "pause", "resume", "check", "retry" }
    for _, name in ipairs(names) do
      local missing = new_path()
      expect.contains(expect.fails({ kind = "refused", code = "usage" }, transfer[name](missing)).message, "there is no ledger")
      assert.is_nil(io.open(missing))
      assert(ledger.open(missing, { create = true })):close()
      expect.contains(expect.fails({ kind = "refused", code = "usage" }, transfer[name](missing)).message, "has no transfer yet")
      expect.throws(name .. ": the ledger must be a path, or postgresql://host/database#name (a number was given)", transfer[name], 1)
    end
    expect.throws("there is no ledger", transfer.items, new_path())
  end)
end)
