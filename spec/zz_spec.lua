local ledgers = require "spec.support.ledgers"
local part = require "spec.support.part"
local simulated = require "spec.support.simulated"
local archive = require "spec.support.archive"
local days = part "core.slices"
local transfer_slices = part "transfer.slices"
local _, database = ledgers.databases()()
setup(database.start) teardown(database.stop)
local function make(n, n_days, undated, untimed)
  local random, list, first = archive.random(n), {}, days.day "20230101"
  local function add(root, i, day, time)
    list[#list + 1] = { StudyInstanceUID = ("1.2.%d.%d"):format(root, i), StudyDate = day and days.date(first + day) or "",
      StudyTime = time, PatientID = ("P%05d"):format(i // 2), NumberOfStudyRelatedInstances = "3", ModalitiesInStudy = "CT" }
  end
  for i = 1, n do
    add(1, i, i % n_days, ("%02d%02d%02d"):format(random:between(7, 19), random:between(0, 59), random:between(0, 59)))
  end
  for i = 1, undated do add(2, i, nil, ("%02d%02d00"):format(i % 24, i % 60)) end
  for i = 1, untimed do add(3, i, i % n_days, "") end
  return list
end
it("x", function()
  local pacs = simulated.new(make(4000, 40, 60, 20), { cap = 50, excess = "nothing", open_start = true })
  local f = pacs.find
  local cjson = require "cjson"
  function pacs:find(d) local r, e = f(self, d) if (d.Query.PatientID or "") ~= "" and self.finds < 80000 then io.stderr:write(self.finds, " ", tostring(d.Query.StudyDate), " ", tostring(d.Query.StudyTime), " ", tostring(d.Query.PatientID), " ", r and #r.answers or -1, "\n") end return r, e end
  local L = ledgers.new(database, { query = {} })
  transfer_slices.find{ ledger = L, modality = pacs, level = "Study", query = {} }
end)
