--- A modality in memory, which answers C-FINDs at the Study level as a PACS of a certain kind does. It is for counting C-FINDs: a thousand
--- of them take no time.
--
--   local pacs = simulated.new(studies, { cap = 50, excess = "cut", open_start = true })
--   pacs.finds                               -- how many C-FINDs it has answered
--
-- Options: cap (the most answers that it gives; nil = no limit), excess (what it does when there are more: "refuse" with 0xFE00, "cut", or
-- "nothing"), open_start (a range that is open at its start matches an empty value), lists (a longer list of UIDs matches nothing; nil = no
-- limit). No range matches an absent value, as at an Orthanc.
-- Studies are tables from keywords to texts.
local part = require "spec.support.part"

local simulated = {}

local Modality = {}
Modality.__index = Modality

local FOUND <const> = { __close = function() end }

function simulated.new(studies, options)
  local by_date, dates = {}, {}
  for _, study in ipairs(studies) do
    local date = study.StudyDate or ""
    if not by_date[date] then
      by_date[date] = {}
      dates[#dates + 1] = date
    end
    table.insert(by_date[date], study)
  end
  table.sort(dates)
  return setmetatable({ by_date = by_date, dates = dates, options = options, finds = 0, asked = {} }, Modality)
end

-- Whether a value is in a range of dates or times, or equals a date. No range matches an absent value (nil).
local function is_in_range(self, value, range)
  if not value then
    return false
  end
  local from, to = range:match "^([^-]*)%-([^-]*)$"
  if value == "" then
    return from == "" and self.options.open_start
  end
  from, to = from or range, to or range
  return (from == "" or value >= from) and (to == "" or value <= to or value:sub(1, #to) == to)
end

local RANGES <const> = { StudyDate = true, StudyTime = true, PatientBirthDate = true }

local function matches_list(self, value, list)
  local n, found = 0, false
  for one in list:gmatch "[^\\]+" do
    n, found = n + 1, found or one == value
  end
  return found and n <= (self.options.lists or math.huge)
end

local function matches_one(self, name, value, filter)
  if filter == "" then -- universal
    return true
  elseif filter:find("\\", 1, true) then
    return matches_list(self, value, filter)
  elseif RANGES[name] then
    return is_in_range(self, value, filter)
  end
  value = value or ""
  if filter:sub(-1) == "*" then
    return value:sub(1, #filter - 1) == filter:sub(1, -2)
  end
  return value == filter
end

local function matches(self, study, query)
  for name, filter in pairs(query) do
    if not matches_one(self, name, study[name], filter) then
      return false
    end
  end
  return true
end

-- The studies that match.
local function matching_studies(self, query)
  local found = {}
  for _, date in ipairs(self.dates) do
    if (query.StudyDate or "") == "" or is_in_range(self, date, query.StudyDate) then
      for _, study in ipairs(self.by_date[date]) do
        found[#found + 1] = matches(self, study, query) and study or nil
      end
    end
  end
  return found
end

function Modality:find(data)
  self.finds = self.finds + 1
  table.insert(self.asked, data.Query)
  local native = part "core.native"
  if self.failure then
    local failure = self.failure
    self.failure = nil
    return nil, native.fail("find", failure, nil, "the modality fails as the spec wants it")
  end
  local found, cap, excess = matching_studies(self, data.Query), self.options.cap or math.huge, self.options.excess
  if #found > cap then
    if excess == "refuse" then
      local err = native.fail("find", "dicom", nil, "too many matches")
      err.dimse_status = 0xFE00
      return nil, err
    end
    found = excess == "cut" and table.move(found, 1, cap, 1, {}) or {}
  end
  return setmetatable({ answers = found }, FOUND)
end

return simulated
