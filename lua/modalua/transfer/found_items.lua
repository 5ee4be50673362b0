-- transfer.found_items: items of a transfer, from answers of a search and from resources of an Orthanc.
local require = ...
local levels = require "core.levels"
local matching = require "core.matching"
local native = require "core.native"
local slices = require "core.slices"

local found_items = {}

local FIRST_DAY <const> = slices.day "00010101"

local NUMBER_OF <const> = { Study = "NumberOfStudyRelatedInstances", Series = "NumberOfSeriesRelatedInstances" }
local MODALITY <const> = { Study = "ModalitiesInStudy", Series = "Modality" }
local DESCRIPTION <const> = { Study = "StudyDescription", Series = "SeriesDescription" }

-- What a search at the level is to return besides its own keys. names: patients' names too.
function found_items.keys(level, names)
  local keys = { "PatientID", "AccessionNumber", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyDescription", MODALITY[level],
    DESCRIPTION[level], NUMBER_OF[level], levels.UNIQUE[level] }
  keys[#keys + 1] = names and "PatientName" or nil
  return keys
end

-- A copy of the query with these keys where it has no filter by them.
function found_items.query(query, level, names)
  local full, has = {}, {}
  for key, value in pairs(query or {}) do
    full[key] = value
    has[select(3, native.tag(key)) or key] = true
  end
  for _, key in ipairs(found_items.keys(level, names)) do
    if not has[key] then
      full[key] = ""
    end
  end
  return full
end

-- ---- the order in which items are sent ----

local LAST <const> = 400000000000 -- more seconds than there are until the year 9999, and less than the milliseconds of any time of ours
local SECONDS <const> = 86400

-- The place of an item in the order, a positive number: items with a smaller one are sent first. What has no date comes last, and within
-- a day what has no time. order: "newest" or "oldest".
function found_items.rank(item, order)
  local day = slices.day(item.date or "")
  local is_oldest = order == "oldest"
  if not day then
    return LAST
  end
  local second = slices.second(item.time or "") or (is_oldest and SECONDS - 1 or 0)
  local moment = (day - FIRST_DAY) * SECONDS + second + 1
  return is_oldest and moment or LAST - moment
end

-- ---- answers ----

local function is_uid(text)
  return #text <= 64 and text:find "^%d[%d.]*$" ~= nil
end

local function some(text)
  return text ~= "" and text or nil
end

-- The item for an answer; nil when it does not name one resource. study: the answer at the Study level that a series belongs to, if any.
function found_items.of_answer(answer, level, names, study)
  local function value(name)
    local own = matching.value(answer, name)
    return own == "" and study and matching.value(study, name) or own
  end
  local uids = { StudyInstanceUID = value "StudyInstanceUID", SeriesInstanceUID = level == "Series" and value "SeriesInstanceUID" or nil }
  for _, uid in pairs(uids) do
    if not is_uid(uid) then
      return nil
    end
  end
  return { key = uids[levels.UNIQUE[level]], uids = uids, patient_id = some(value "PatientID"), accession = some(value "AccessionNumber"),
    date = some(value "StudyDate"), time = some(value "StudyTime"), modality = some(value(MODALITY[level])),
    description = some(value(DESCRIPTION[level])), expected = math.tointeger(tonumber(value(NUMBER_OF[level]))),
    patient_name = names and some(value "PatientName") or nil }
end

return found_items
