-- Tests the pace of a transfer: time zones, the hours of the week, the rate and the rests.
local command = require "spec.support.command"
local expect = require "spec.support.expect"
local part = require "spec.support.part"
local task = require "modalua.task"

local pace = part "transfer.pace"
local time_zone = part "transfer.time_zone"

local contains = expect.contains

local HOUR <const> = 3600

-- Seconds of "2026-10-25 00:30" in UTC, after the C library.
local function utc(text)
  local year, month, day, hour, minute, second = text:match "^(%d+)-(%d+)-(%d+) (%d+):(%d+):?(%d*)$"
  local here = os.time { year = year, month = month, day = day, hour = hour, min = minute, sec = tonumber(second) or 0, isdst = false }
  local shown = os.date("!*t", here)
  shown.isdst = false
  return here + (here - os.time(shown))
end

local function utc_text(seconds)
  return os.date("!%Y-%m-%d %H:%M", seconds)
end

local function read(hours, zone)
  return assert(pace.read { hours = hours, time_zone = zone or "UTC" })
end

-- The windows between two instants as text: { "2026-10-24 17:00 to 2026-10-25 04:00" } in UTC.
local function windows(p, from, to)
  local list, at = {}, utc(from)
  local limit = utc(to)
  while at < limit do
    local open, change = p:window(at * 1000)
    local till = math.min(change and change // 1000 or limit, limit)
    if open then
      list[#list + 1] = utc_text(at) .. " to " .. utc_text(till)
    end
    at = till
  end
  return list
end

describe("A time zone", function()
  -- What the program date says: the offset of each instant in seconds.
  local function offsets_of_date(zone, instants)
    local lines = {}
    for i, instant in ipairs(instants) do
      lines[i] = "@" .. instant .. "\n"
    end
    local file = command.file(table.concat(lines))
    local pipe = assert(io.popen(("LC_ALL=C TZ=%s date -f %s +%%::z"):format(command.quote(zone), file)))
    local offsets = {}
    for sign, hours, minutes, seconds in pipe:read("a"):gmatch "([+-])(%d+):(%d+):(%d+)" do
      offsets[#offsets + 1] = math.tointeger((hours * 3600 + minutes * 60 + seconds) * (sign == "-" and -1 or 1))
    end
    assert(pipe:close())
    os.remove(file)
    assert.are.equal(#instants, #offsets, zone)
    return offsets
  end

  -- Instants from 1902 to 2150: one a month, and those around each change that the zone has according to our reader.
  local function instants_of(zone)
    local list, at = {}, utc "1902-01-01 00:00"
    local last = utc "2150-01-01 00:00"
    for instant = at, last, 2629743 do
      list[#list + 1] = instant
    end
    while at < last do
      local _, change = zone:at(at)
      at = math.min(change, last)
      for instant = at - 1, at + 1 do
        list[#list + 1] = instant
      end
    end
    return list
  end

  local function compare(name, shown_as)
    local zone = assert(time_zone.open(name))
    local instants = instants_of(zone)
    local offsets = offsets_of_date(shown_as or name, instants)
    for i, instant in ipairs(instants) do
      if zone:at(instant) ~= offsets[i] then
        error(("%s at %d: %d instead of %d"):format(name, instant, zone:at(instant), offsets[i]))
      end
    end
    return #instants
  end

  -- Rules of every form: hours below 0 and above 24, last weeks, the southern half, half hours, summer time that is below standard time.
  local ZONES <const> = { "Europe/Vienna", "America/New_York", "Europe/Dublin", "America/Nuuk", "Asia/Gaza", "Asia/Jerusalem",
    "Australia/Lord_Howe", "Africa/Cairo", "America/Santiago", "Pacific/Easter", "Antarctica/Troll", "Africa/Casablanca", "Pacific/Apia",
    "Asia/Kolkata", "Asia/Kathmandu", "Etc/GMT+5", "UTC", "America/St_Johns", "Pacific/Chatham", "America/Havana", "Asia/Beirut",
    "Asia/Tehran", "America/Sao_Paulo", "America/Phoenix", "Africa/Monrovia" }

  it("has the offsets that the program date shows, in its file and by its last rule", function()
    for _, name in ipairs(ZONES) do
      assert.is_true(compare(name) > 2900)
    end
  end)

  it("has the offsets that the program date shows, for every zone of this machine", function()
    if not os.getenv "MODALUA_ZONES" then
      return -- it takes ten seconds: scripts/test.sh --all
    end
    local pipe = assert(io.popen "cd /usr/share/zoneinfo && find . -name right -prune -o -type f -size -20k -print")
    local n = 0
    for path in pipe:lines() do
      local file <close> = assert(io.open("/usr/share/zoneinfo/" .. path))
      if file:read(4) == "TZif" then
        compare(path:sub(3))
        n = n + 1
      end
    end
    assert.is_true(n > 300)
    pipe:close()
  end)

  describe("of a file without times behind 2007", function()
    -- Compiles a zone into a folder of its own, with further options of the compiler; runs code there.
    local function in_folder(rules, code, environment, options)
      local folder = os.tmpname()
      os.remove(folder)
      local file = command.file(rules)
      local made = command.shell(("mkdir %s && PATH=$PATH:/usr/sbin zic -b slim %s -d %s %s"):format(folder, options or "", folder, file))
      os.remove(file)
      assert.are.equal(0, made.status, made.err)
      local script = command.file([[
        package.path = "./?.lua;" .. package.path
        local time_zone = require "spec.support.part" "transfer.time_zone"
        ]] .. code)
      local result = command.shell(("TZDIR=%s %s $M %s"):format(folder, environment or "", script))
      os.remove(script)
      command.shell("rm -r " .. folder)
      return result
    end

    it("is refused when it counts leap seconds", function()
      local leaps = command.file "Leap\t2016\tDec\t31\t23:59:60\t+\tS\n"
      local result = in_folder("Zone Test/Slim 1:00 - CET\n", 'print(select(2, time_zone.open "Test/Slim"))', nil, "-L " .. leaps)
      os.remove(leaps)
      assert.matches("counts leap seconds", result.out)
    end)

    local RULE <const> = "Rule X 2000 max - Mar lastSun 2:00 1:00 S\nRule X 2000 max - Oct lastSun 3:00 0 -\nZone Test/Slim 1:00 X CE%sT\n"

    it("follows its rule", function()
      local result = in_folder(RULE, ([[
        local zone = assert(time_zone.open "Test/Slim")
        print(#zone.times <= 2, (zone:at(%d)), zone:at(%d))]]):format(utc "2300-12-01 00:00", utc "2300-07-01 00:00"))
      assert.are.equal(("true\t3600\t7200\t%d\n"):format(utc "2300-10-28 01:00"), result.out, result.err)
    end)

    it("is refused when its file is cut at any place, or says another number", function()
      local result = in_folder(RULE, [[
        local path = os.getenv "TZDIR" .. "/Test/"
        local file = assert(io.open(path .. "Slim", "rb"))
        local data = file:read "a"
        file:close()
        local function try(text)
          local other = assert(io.open(path .. "Other", "wb"))
          other:write(text):close()
          return time_zone.open "Test/Other"
        end
        assert(try(data))
        for size = 0, #data - 1 do
          local zone, message = try(data:sub(1, size))
          assert(not zone and message:find("'Test/Other'", 1, true), message)
        end
        for place = 20, 200 do -- a damaged file is refused, or a zone; it never throws
          local zone, message = try(data:sub(1, place) .. "\xFF" .. data:sub(place + 2))
          assert(zone or message:find("'Test/Other' cannot be used as time zone: ", 1, true))
        end
        print "good"]])
      assert.are.equal("good\n", result.out, result.err)
    end)
  end)

  it("is that of the machine when no name is given: TZ as a name, a path or a rule", function()
    local instants = { utc "2026-07-01 00:00", utc "2026-12-01 00:00" }
    for _, text in ipairs { "Europe/Vienna", ":America/New_York", "/usr/share/zoneinfo/Asia/Kolkata", "CET-1CEST,M3.5.0,M10.5.0/3",
      "EST5EDT4",
      "<+0330>-3:30", "XYZ-1ABC,J60/1:30,299/2", "", "AAA3BBB,0/0,J365/25" } do
      local script = command.file(([[
        package.path = "./?.lua;" .. package.path
        local zone = assert(require "spec.support.part" "transfer.time_zone".open())
        io.write((zone:at(%d)), " ", (zone:at(%d)))]]):format(instants[1], instants[2]))
      local result = command.shell(("TZ=%s $M %s"):format(command.quote(text), script))
      os.remove(script)
      assert.are.equal(table.concat(offsets_of_date(text, instants), " "), result.out, text .. result.err)
    end
  end)

  it("is refused when its name leads elsewhere, or when there is none of that name", function()
    for name, words in pairs { ["../../../etc/passwd"] = "is no name of a time zone", ["/etc/localtime"] = "is no name of a time zone",
      ["Europe/../Europe/Vienna"] = "is no name", ["Europe//Vienna"] = "is no name", ["Europe/"] = "is no name", [""] = "is no name",
      ["Europe/Vienna\0x"] = "is no name", ["\27[2J"] = "\\x1B[2J", [("x"):rep(1000000)] = "is no name",
        ["Europe/Wien"] = "there is no time zone",
      ["Europe"] = "there is no time zone 'Europe'", ["leapseconds"] = "it is no file of a time zone" } do
      local zone, message = time_zone.open(name)
      assert.is_nil(zone)
      contains(message, words)
      assert.is_true(#message < 300)
    end
    local _, message = time_zone.open(7)
    contains(message, "a number was given")
  end)
end)

describe("The hours", function()
  it("are open on the named days, from a time to a time", function()
    assert.are.same({ "2026-11-30 08:00 to 2026-11-30 12:30", "2026-12-01 08:00 to 2026-12-01 12:30" },
      windows(read "Mon-Tue 8:00-12:30", "2026-11-27 00:00", "2026-12-07 00:00"))
  end)

  it("reach over midnight, and belong to the day on which they begin", function()
    assert.are.same({ "2026-11-26 19:00 to 2026-11-27 06:00", "2026-11-27 19:00 to 2026-11-28 06:00",
      "2026-11-30 19:00 to 2026-12-01 06:00" },
      windows(read "Mon-Fri 19:00-06:00", "2026-11-26 12:00", "2026-12-01 12:00"))
  end)

  it("reach over the end of the week", function()
    assert.are.same({ "2026-11-29 00:00 to 2026-11-29 06:00", "2026-11-29 19:00 to 2026-11-30 06:00" },
      windows(read "Sat-Sun 19:00-06:00", "2026-11-29 00:00", "2026-12-05 00:00"))
    assert.are.same({ "2026-11-28 00:00 to 2026-12-01 00:00" }, windows(read "Sat-Mon", "2026-11-27 00:00", "2026-12-04 00:00"))
  end)

  it("are whole days without times, every day without days, and join where they touch or overlap", function()
    for hours, expected in pairs {
      ["Wed"] = { "2026-12-02 00:00 to 2026-12-03 00:00" },
      ["Wednesday"] = { "2026-12-02 00:00 to 2026-12-03 00:00" },
      ["wed 00:00-24:00"] = { "2026-12-02 00:00 to 2026-12-03 00:00" },
      ["WED 00:00-00:00"] = { "2026-12-02 00:00 to 2026-12-03 00:00" },
      ["Tue 20:00-20:00"] = { "2026-12-01 20:00 to 2026-12-02 20:00" },
      ["22:00-23:00"] = { "2026-11-30 22:00 to 2026-11-30 23:00", "2026-12-01 22:00 to 2026-12-01 23:00",
        "2026-12-02 22:00 to 2026-12-02 23:00",
        "2026-12-03 22:00 to 2026-12-03 23:00" },
      [" Mon 20:00 - 02:00 ,Tue 01:00-03:00,Tue 03:00-04:00 "] = { "2026-11-30 20:00 to 2026-12-01 04:00" },
      ["Mon 08:00-20:00, Mon 10:00-11:00"] = { "2026-11-30 08:00 to 2026-11-30 20:00" },
    } do
      assert.are.same(expected, windows(read(hours), "2026-11-30 00:00", "2026-12-04 00:00"), hours)
    end
  end)

  it("may restrict nothing", function()
    for _, hours in ipairs { "Mon-Sun", "always", "Mon-Fri, Sat-Sun", "00:00-24:00", "Mon-Sun 19:00-19:00",
      "Mon-Sun 18:00-06:00, Mon-Sun 06:00-18:00" } do
      assert.are.same({ true, nil }, { read(hours):window(utc "2026-11-28 12:00" * 1000) }, hours)
    end
    assert.are.same({ true, nil }, { assert(pace.read {}):window(0) })
  end)

  it("say in milliseconds when they end, and when they begin", function()
    local p = read "Mon 10:00-11:00"
    local ten = utc "2026-11-30 10:00" * 1000
    assert.are.same({ false, ten }, { p:window(ten - 1) })
    assert.are.same({ true, ten + HOUR * 1000 }, { p:window(ten) })
    assert.are.same({ true, ten + HOUR * 1000 }, { p:window(ten + HOUR * 1000 - 1) })
    assert.are.same({ false, ten + 7 * 24 * HOUR * 1000 }, { p:window(ten + HOUR * 1000) })
  end)

  it("are refused when they are wrong, with what would be right", function()
    for hours, words in pairs { [""] = "hours say nothing", [" , "] = "hours say nothing", ["Mon-Fri,"] = "nothing at a comma",
      ["Mon-Fri,,Sat"] = "nothing at a comma", ["Fry 19:00-06:00"] = "there is no day 'Fry'; the days are Mon Tue", ["Mon-Fry"] = "no day",
      ["Mon 25:00-06:00"] = "'25:00-06:00' is not understood", ["Mon 24:00-06:00"] = "is not understood",
        ["Mon 19:60-06:00"] = "not understood",
      ["Mon 19-06"] = "write times such as 19:00-06:00", ["Mon 19:00"] = "not understood", ["19:00-06:00 Mon"] = "not understood",
      ["Mon 19:00-24:01"] = "not understood", ["Mon Tue"] = "there is no day 'Mon Tue'", ["\27[2J"] = "'\\x1B['", ["Mon\0"] = "'Mon\\x00'",
      [("Mon,"):rep(100000)] = "more than 1000", [(" "):rep(1000000)] = "more than 1000",
        [("<script>"):rep(20)] = "there is no day '<script>" } do
      local p, message = pace.read { hours = hours }
      assert.is_nil(p)
      contains(message, words)
      assert.is_true(#message < 300)
    end
    local _, message = pace.read { hours = 7 }
    contains(message, "hours must be a text such as")
    _, message = pace.read { hours = "Mon", time_zone = "Europe/Wien" }
    contains(message, "there is no time zone 'Europe/Wien'")
  end)
end)

describe("The nights in which the clock is changed", function()
  -- The rows: zone, hours, the night as two instants in UTC, and the windows in UTC.
  local ROWS <const> = {
    -- Vienna, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
    { "Europe/Vienna", "Sat 19:00-06:00", "2026-03-28 12:00", "2026-03-29 12:00", { "2026-03-28 18:00 to 2026-03-29 04:00" } }, -- 10 hours
    { "Europe/Vienna", "Sun 02:30-04:00", "2026-03-28 12:00", "2026-03-29 12:00", { "2026-03-29 01:00 to 2026-03-29 02:00" } },
    { "Europe/Vienna", "Sun 02:00-05:00", "2026-03-28 12:00", "2026-03-29 12:00", { "2026-03-29 01:00 to 2026-03-29 03:00" } },
    { "Europe/Vienna", "Sun 01:00-02:30", "2026-03-28 12:00", "2026-03-29 12:00", { "2026-03-29 00:00 to 2026-03-29 01:00" } },
    { "Europe/Vienna", "Sun 02:10-02:50", "2026-03-28 12:00", "2026-04-04 00:00", {} }, -- the whole window is skipped
    { "Europe/Vienna", "Sun", "2026-03-28 12:00", "2026-03-31 00:00", { "2026-03-28 23:00 to 2026-03-29 22:00" } }, -- 23 hours
    -- Vienna, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
    { "Europe/Vienna", "Sat 19:00-06:00", "2026-10-24 12:00", "2026-10-25 12:00", { "2026-10-24 17:00 to 2026-10-25 05:00" } }, -- 12 hours
    { "Europe/Vienna", "Sun 02:15-02:45", "2026-10-24 12:00", "2026-10-25 12:00",
      { "2026-10-25 00:15 to 2026-10-25 00:45", "2026-10-25 01:15 to 2026-10-25 01:45" } }, -- twice
    { "Europe/Vienna", "Sun 01:00-02:30", "2026-10-24 12:00", "2026-10-25 12:00",
      { "2026-10-24 23:00 to 2026-10-25 00:30", "2026-10-25 01:00 to 2026-10-25 01:30" } },
    { "Europe/Vienna", "Sun 02:30-04:00", "2026-10-24 12:00", "2026-10-25 12:00",
      { "2026-10-25 00:30 to 2026-10-25 01:00", "2026-10-25 01:30 to 2026-10-25 03:00" } },
    { "Europe/Vienna", "Sun 02:00-03:00", "2026-10-24 12:00", "2026-10-25 12:00", { "2026-10-25 00:00 to 2026-10-25 02:00" } },
    { "Europe/Vienna", "Sun", "2026-10-24 12:00", "2026-10-27 00:00", { "2026-10-24 22:00 to 2026-10-25 23:00" } }, -- 25 hours
    -- New York, 2026-03-08: 02:00 becomes 03:00 at 07:00 UTC; 2026-11-01: 02:00 becomes 01:00 at 06:00 UTC.
    { "America/New_York", "Sat 19:00-06:00", "2026-03-07 12:00", "2026-03-08 12:00", { "2026-03-08 00:00 to 2026-03-08 10:00" } },
    { "America/New_York", "Sun 02:30-04:00", "2026-03-07 12:00", "2026-03-08 12:00", { "2026-03-08 07:00 to 2026-03-08 08:00" } },
    { "America/New_York", "Sat 19:00-06:00", "2026-10-31 12:00", "2026-11-01 12:00", { "2026-10-31 23:00 to 2026-11-01 11:00" } },
    { "America/New_York", "Sun 01:15-01:45", "2026-10-31 12:00", "2026-11-01 12:00",
      { "2026-11-01 05:15 to 2026-11-01 05:45", "2026-11-01 06:15 to 2026-11-01 06:45" } },
    { "America/New_York", "Sun 00:30-01:30", "2026-10-31 12:00", "2026-11-01 12:00",
      { "2026-11-01 04:30 to 2026-11-01 05:30", "2026-11-01 06:00 to 2026-11-01 06:30" } },
    -- The southern half: Sydney, 2026-04-05 back and 2026-10-04 forward.
    { "Australia/Sydney", "Sun 02:15-02:45", "2026-04-04 06:00", "2026-04-05 06:00",
      { "2026-04-04 15:15 to 2026-04-04 15:45", "2026-04-04 16:15 to 2026-04-04 16:45" } },
    { "Australia/Sydney", "Sun 02:30-04:00", "2026-10-03 06:00", "2026-10-04 06:00", { "2026-10-03 16:00 to 2026-10-03 17:00" } },
    -- By half an hour: Lord Howe, 2026-04-05, 02:00 becomes 01:30 at 15:00 UTC.
    { "Australia/Lord_Howe", "Sun 01:30-01:45", "2026-04-04 06:00", "2026-04-05 06:00",
      { "2026-04-04 14:30 to 2026-04-04 14:45", "2026-04-04 15:00 to 2026-04-04 15:15" } },
    -- At midnight: Havana, 2024-11-03, 01:00 becomes 00:00; Beirut, 2026-10-25, 00:00 becomes 23:00 of Saturday.
    { "America/Havana", "Sun 00:00-00:30", "2024-11-02 12:00", "2024-11-03 12:00",
      { "2024-11-03 04:00 to 2024-11-03 04:30", "2024-11-03 05:00 to 2024-11-03 05:30" } },
    { "Asia/Beirut", "Sat", "2026-10-23 12:00", "2026-10-26 12:00", { "2026-10-23 21:00 to 2026-10-24 22:00" } }, -- 25 hours
    { "Asia/Beirut", "Sun", "2026-03-27 12:00", "2026-03-30 12:00", { "2026-03-28 22:00 to 2026-03-29 21:00" } }, -- 00:00 is skipped
    -- A day that did not exist: Apia had no Friday 2011-12-30.
    { "Pacific/Apia", "Fri 20:00-06:00", "2011-12-29 12:00", "2012-01-05 00:00", { "2011-12-30 10:00 to 2011-12-30 16:00" } },
    -- No change at all.
    { "Asia/Kolkata", "Sun 02:30-04:00", "2026-03-28 12:00", "2026-03-29 12:00", { "2026-03-28 21:00 to 2026-03-28 22:30" } },
    { "Etc/GMT+5", "Sun 02:30-04:00", "2026-10-24 12:00", "2026-10-25 12:00", { "2026-10-25 07:30 to 2026-10-25 09:00" } },
  }

  it("have the windows of the local clock", function()
    for _, row in ipairs(ROWS) do
      local zone, hours, from, to, expected = table.unpack(row)
      assert.are.same(expected, windows(read(hours, zone), from, to), ("%s in %s, %s"):format(hours, zone, from))
    end
  end)

  it("are right in all years to 2100: the program date shows a time in the hours at each minute that is open, and at no other", function()
    local p = read("Sat 22:30-02:30, Sun 03:15-05:00, Tue", "Europe/Vienna")
    local instants, lines = {}, {}
    for year = 2024, 2100 do
      for _, month in ipairs { 3, 10 } do
        local last = utc(("%d-%02d-31 12:00"):format(year, month))
        local sunday = last - os.date("!*t", last).wday * 24 * HOUR + 24 * HOUR
        for instant = sunday - 16 * HOUR, sunday, 15 * 60 do
          instants[#instants + 1] = instant
          lines[#lines + 1] = "@" .. instant .. "\n"
        end
      end
    end
    local file = command.file(table.concat(lines))
    local pipe = assert(io.popen(("LC_ALL=C TZ=Europe/Vienna date -f %s '+%%a %%H%%M'"):format(file)))
    local n = 0
    for day, time in pipe:read("a"):gmatch "(%a+) (%d+)\n" do
      n, time = n + 1, tonumber(time)
      local expected = day == "Tue" or day == "Sat" and time >= 2230 or day == "Sun" and (time < 230 or time >= 315 and time < 500)
      assert.are.equal(expected, (p:window(instants[n] * 1000)), utc_text(instants[n]))
    end
    pipe:close()
    os.remove(file)
    assert.are.equal(#instants, n)
  end)
end)

describe("The allowed time", function()
  local p = read("Sat 19:00-06:00, Mon 10:00-12:00", "Europe/Vienna")
  local from, to = utc "2026-10-24 12:00" * 1000, utc "2026-10-26 10:00" * 1000

  it("between two instants is the time of the windows, with the hour that is repeated", function()
    assert.are.equal(13 * HOUR * 1000, p:allowed(from, to))
    assert.are.equal(0, p:allowed(to, from))
    assert.are.equal(1500, assert(pace.read {}):allowed(1000, 2500))
  end)

  it("of a length ends at an instant", function()
    assert.are.equal(to, p:after(from, 13 * HOUR * 1000))
    assert.are.equal(utc "2026-10-25 05:00" * 1000, p:after(from, 12 * HOUR * 1000))
    assert.are.equal(from + 5, assert(pace.read {}):after(from, 5))
    assert.is_nil(p:after(from, 20 * 365 * 13 * HOUR * 1000))
    assert.is_nil(assert(pace.read {}):after(from, 4000 * 24 * HOUR * 1000))
  end)

  it("lies between the closed times", function()
    assert.are.same({ { from = from, to = utc "2026-10-24 17:00" * 1000 },
      { from = utc "2026-10-25 05:00" * 1000, to = utc "2026-10-26 09:00" * 1000 } }, p:closed(from, to))
  end)
end)

describe("The rate", function()
  -- Sends with so many slots until `limit` (ms), and returns how many sends began. Each has so many images and lasts so many seconds.
  local function simulate(p, limit, slots, images, seconds, workers, expected)
    local ends, begun = {}, 0
    for now = 0, limit - 1 do
      for slot = 1, slots do
        if ends[slot] and ends[slot] <= now then
          p:sent(now, slot, images, seconds, workers)
          ends[slot] = nil
        end
        if not ends[slot] and p:delay(now, slot) == 0 then
          p:begun(now, slot, 1, expected, workers)
          ends[slot], begun = now + seconds * 1000, begun + 1
        end
      end
    end
    return begun
  end

  it("counts items, whatever the number of slots", function()
    for text, n in pairs { ["600/min"] = 100, ["10/s"] = 100, ["36000/h"] = 100, ["300 studies/min"] = 50, [" 2.5 / sec "] = 25,
      ["60 series/min"] = 10 } do
      assert.are.equal(n, simulate(pace.read { rate = text }, 10000, 1, 7, 0.01), text)
      assert.are.equal(n, simulate(pace.read { rate = text }, 10000, 4, 7, 0.3), text)
    end
  end)

  it("counts images, also when their number is known only afterwards, or was expected wrongly", function()
    assert.are.equal(20, simulate(pace.read { rate = "1200 images/min" }, 10000, 1, 10, 0.01, 1, 10))
    assert.are.equal(20, simulate(pace.read { rate = "1200 images/min" }, 10000, 1, 10, 0.01, 1, nil))
    assert.are.equal(20, simulate(pace.read { rate = "1200 images/min" }, 10000, 1, 10, 0.01, 1, 3))
    assert.are.equal(20, simulate(pace.read { rate = "20 images/s" }, 10000, 2, 10, 0.4, 1, 10))
  end)

  it("is shared by the workers, and saves nothing up in a pause", function()
    assert.are.equal(25, simulate(pace.read { rate = "10/s" }, 10000, 2, 1, 0.01, 4))
    local p = assert(pace.read { rate = "1/s" })
    p:begun(0, 1, 1)
    assert.are.same({ 1000, 1, 0 }, { p:delay(0, 1), p:delay(999, 1), p:delay(1000, 1) })
    p:begun(100000, 1, 1)
    assert.are.equal(1000, p:delay(100000, 2))
  end)

  it("of several items in one send is that of each", function()
    local p = assert(pace.read { rate = "60/min" })
    p:begun(0, 1, 10)
    assert.are.equal(10000, p:delay(0, 1))
  end)

  it("is refused when it is no rate", function()
    for _, rate in ipairs { "fast", "", "40", "0/min", "-1/min", "40/fortnight", "40 bytes/min", "nan/s", "1e3/s", "40/min/s", 40, {}, true,
      ("9"):rep(1000000), "40/min\0" } do
      local p, message = pace.read { rate = rate }
      assert.is_nil(p)
      contains(message, "is not understood; write a number for each s, min or h")
      assert.is_true(#message < 250 and not message:find "0x")
    end
  end)

  it("may be none", function()
    assert.are.equal(0, assert(pace.read { rate = "none" }):delay(0, 1))
  end)
end)

describe("The rests", function()
  it("are a share of the time, or a gap in seconds, whichever is longer, for each slot by itself", function()
    for _, row in ipairs { { 0.5, nil, 4, 4000 }, { 0.25, nil, 4, 12000 }, { 1, nil, 4, 0 }, { nil, 3, 4, 3000 }, { 0.5, 3, 1, 3000 },
      { 0.5, 3, 8, 8000 },
      { nil, nil, 4, 0 }, { nil, 0, 4, 0 } } do
      local share, gap, seconds, rest = table.unpack(row, 1, 4)
      local p = assert(pace.read { share = share, gap = gap })
      p:begun(0, 1, 1)
      p:sent(5000, 1, 10, seconds)
      assert.are.same({ rest, 0, 0 }, { p:delay(5000, 1), p:delay(5000 + rest, 1), p:delay(5000, 2) })
    end
  end)

  it("are refused when they are out of range", function()
    for _, row in ipairs { { "share", 0 }, { "share", -0.5 }, { "share", 1.01 }, { "share", 0 / 0 }, { "share", "half" }, { "share",
      {} }, { "gap", -1 },
      { "gap", 1 / 0 }, { "gap", 0 / 0 }, { "gap", "3" }, { "gap", true } } do
      local p, message = pace.read { [row[1]] = row[2] }
      assert.is_nil(p)
      contains(message, row[1] .. " must be a number ")
      assert.is_nil(message:find "0x")
    end
  end)
end)

describe("The clock", function()
  it("shows the time of the system in milliseconds, and never goes back", function()
    local last = 0
    for _ = 1, 200 do
      local before, now, after = os.time(), pace.now(), os.time()
      assert.are.equal("integer", math.type(now))
      assert.is_true(now >= before * 1000 and now < (after + 1) * 1000 and now >= last)
      last = now
      task.sleep(0.003)
    end
  end)

  it("is set by specs: by an offset, or to an instant", function()
    local script = command.file [[
      package.path = "./?.lua;" .. package.path
      local now = require "spec.support.part" "transfer.pace".now()
      io.write(now // 1000)]]
    for text, check in pairs {
      ["+3600"] = function(n) return n - os.time() end,
      ["-86400"] = function(n) return n - os.time() end,
      ["1792888200"] = function(n) return n - 1792888200 end,
    } do
      local result = command.shell(("MODALUA_TRANSFER_CLOCK=%s $M %s"):format(text, script))
      local difference = check(tonumber(result.out)) - (text:find "^[+-]" and tonumber(text) or 0)
      assert.is_true(math.abs(difference) <= 60, result.err .. text .. ": " .. difference) -- a watchdog for busy machines
    end
    os.remove(script)
  end)
end)
