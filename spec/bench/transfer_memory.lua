-- A whole transfer of so many studies. Source and destination are computed, and keep nothing: what grows is what the transfer keeps.
--
--   modalua spec/bench/transfer_memory.lua NUMBER LEDGER
--
-- Prints how many studies are done, and the largest memory of the process in KB.
package.path = "./?.lua;" .. package.path
local part = require "spec.support.part"
local modalua = require "modalua"
local native = part "core.native"
local ledger, run, send, status, view = part "transfer.ledger", part "transfer.run", part "transfer.send", part "transfer.status",
  part "transfer.view"

local STUDIES <const>, PATH <const> = math.tointeger(tonumber(arg[1])), arg[2]
local CAP <const> = 500 -- of the answers of one C-FIND
local EACH_DAY <const>, DAY <const>, FIRST_DAY <const> = 50, 86400, os.time { year = 2000, month = 1, day = 1, hour = 12 }

-- ---- studies: number n has the UID 1.2.n, and the day n // EACH_DAY; number 0 has no date ----

local function study(n)
  return { StudyInstanceUID = "1.2." .. n, StudyDate = n > 0 and os.date("!%Y%m%d", FIRST_DAY + n // EACH_DAY * DAY) or "",
    StudyTime = "120000", PatientID = "P" .. n, AccessionNumber = "A" .. n, ModalitiesInStudy = "CT", StudyDescription = "Thorax",
    NumberOfStudyRelatedInstances = "3" }
end

-- The day of a date, as a number from the first one on.
local function day_of(date)
  local seconds = os.time { year = tonumber(date:sub(1, 4)), month = tonumber(date:sub(5, 6)), day = tonumber(date:sub(7, 8)), hour = 12 }
  return (seconds - FIRST_DAY) // DAY
end

-- The numbers of the first and the last study in a range of dates; the range is "" for all. A range that is open at its start has the study
-- without a date.
local function limits(range)
  local from, to = range:match "^(%d*)%-?(%d*)$"
  to = range:find("-", 1, true) and to or from
  local first = from == "" and 0 or math.max(1, day_of(from) * EACH_DAY)
  local last = to == "" and STUDIES - 1 or day_of(to) * EACH_DAY + EACH_DAY - 1
  return first, math.min(math.max(last, from == "" and 0 or -1), STUDIES - 1)
end

local FOUND <const> = { __close = function() end }

-- A modality that has the studies for which has(n) is true.
local function modality(name, client, has)
  local self = { modality = name, client = client }
  function self.find(_, data)
    modalua.task.sleep(0) -- as every request does, it lets others run
    local answers, uids = {}, data.Query.StudyInstanceUID or ""
    if uids ~= "" then
      for n in uids:gmatch "1%.2%.(%d+)" do
        answers[#answers + 1] = has(math.tointeger(tonumber(n))) and study(math.tointeger(tonumber(n))) or nil
      end
    elseif not data.Query.PatientID or data.Query.PatientID == "" then
      local first, last = limits(data.Query.StudyDate or "")
      if last - first >= CAP then
        local err = native.fail("find", "dicom", nil, "too many matches")
        err.dimse_status = 0xFE00
        return nil, err
      end
      for n = first, last do
        answers[#answers + 1] = study(n)
      end
    end
    return setmetatable({ answers = answers }, FOUND)
  end
  function self.echo()
    return true
  end
  return self
end

-- ---- the run ----

local sent = {} -- bits: what a table of numbers would take is more than all else

local client = {}
function client.system()
  return { Version = "1.12.7", DicomAet = "LOCAL" }
end
function client.jobs()
  return {}
end
local source = modality("pacs", client, function() return true end)
local destination = modality("archive", client, function(n) return (sent[n // 60] or 0) >> n % 60 & 1 == 1 end)

function send.new()
  return { can_join = function() return true end, echo_source = source.echo, echo_destination = source.echo, run = function(_, items)
    modalua.task.sleep(0)
    for _, item in ipairs(items) do
      local n = math.tointeger(tonumber(item.key:match "%d+$"))
      sent[n // 60] = (sent[n // 60] or 0) | 1 << n % 60
    end
    return { FailedInstancesCount = 0 }
  end }
end

local L <close> = assert(ledger.open(PATH, { create = true }))
assert(L:begin { from_kind = "modality", from_name = "pacs", to_kind = "modality", to_name = "archive", level = "Study", query = {},
  settings = { concurrency = 4, verify = "count", retries = 3, order = "newest", limit_results = CAP } })
local shown <close> = assert(view.new {})
shown:watch(L)
local summary = assert(run.run { ledger = L, client = client, source = source,
  destination = { kind = "modality", name = "archive", modality = destination }, options = { yes = true }, status = status.of,
  tell = function(event) shown:tell(event) end })

for line in io.lines "/proc/self/status" do
  local kilobytes = line:match "^VmHWM:%s*(%d+)"
  if kilobytes then
    print(summary.items.done, kilobytes)
  end
end
