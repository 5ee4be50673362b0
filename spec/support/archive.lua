--- Makes random archives of DICOM instances, which have no pixels, and sends them to servers.
--
--   local random = archive.random(seed)
--   local made = archive.make(random, 200)                        -- 200 studies
--   archive.send(made.instances, { pacs:modality(), … })          -- by C-STORE
--
-- made.instances is a list of instances, each a table keyword -> value in UTF-8; an absent key means that the element is absent.
-- Does not need modalua.

local served = require "spec.support.served"

local archive = {}

-- Tag and value representation of the keywords that instances may have.
archive.elements = {
  SOPClassUID = { "00080016", "UI" }, SOPInstanceUID = { "00080018", "UI" }, InstanceCreationDate = { "00080012", "DA" },
  StudyDate = { "00080020", "DA" }, SeriesDate = { "00080021", "DA" }, StudyTime = { "00080030", "TM" }, SeriesTime = { "00080031", "TM" },
  AccessionNumber = { "00080050", "SH" }, Modality = { "00080060", "CS" }, ReferringPhysicianName = { "00080090", "PN" },
  StudyDescription = { "00081030", "LO" }, SeriesDescription = { "0008103e", "LO" }, OperatorsName = { "00081070", "PN" },
  PatientName = { "00100010", "PN" }, PatientID = { "00100020", "LO" }, PatientBirthDate = { "00100030", "DA" },
  PatientSex = { "00100040", "CS" }, BodyPartExamined = { "00180015", "CS" }, ProtocolName = { "00181030", "LO" },
  StudyInstanceUID = { "0020000d", "UI" }, SeriesInstanceUID = { "0020000e", "UI" }, StudyID = { "00200010", "SH" },
  SeriesNumber = { "00200011", "IS" }, InstanceNumber = { "00200013", "IS" }, SpecificCharacterSet = { "00080005", "CS" },
}

-- ---- random numbers: the same for a seed on every machine, and independent of math.random ----

local Random = {}
Random.__index = Random

--- A source of random numbers.
function archive.random(seed)
  return setmetatable({ state = seed }, Random)
end

--- An integer from 1 to n. (The generator is splitmix64.)
function Random:below(n)
  self.state = self.state + 0x9E3779B97F4A7C15
  local z = self.state
  z = (z ~ z >> 30) * 0xBF58476D1CE4E5B9
  z = (z ~ z >> 27) * 0x94D049BB133111EB
  return (z ~ z >> 31 & 0x7FFFFFFFFFFFFFFF >> 1) % n + 1
end

--- True with the probability 1/n.
function Random:chance(n)
  return self:below(n) == 1
end

function Random:one_of(list)
  return list[self:below(#list)]
end

function Random:between(first, last)
  return first + self:below(last - first + 1) - 1
end

-- ---- random archives ----

-- All characters are in Latin-1. Some values differ in case, accents or component groups only.
local FAMILIES <const> = { "Smith", "SMITH", "Smithson", "Müller", "Muller", "MULLER", "Núñez", "Dupré", "O'Neil", "Lindström", "Ångström",
  "Wei", "de la Cruz", "Li", "Lee" }
local GIVEN <const> = { "John", "JOHN", "Jörg", "Hélène", "Ann", "Ann^Mary", "José^María^^Dr", "", "Xiao Dong", "J" }
local GROUPS <const> = { "=Wei^Ming", "=Li^Na=Ri^Na", "==Yi" }
local DESCRIPTIONS <const> = { "CT Chest", "Chest AP", "chest ap", "Abdomen", "ABDOMEN 2 phases", "Schädel", "Schadel", "Knie links",
  "Head*", "T1 (axial)", "T2_axial", "50% contrast", "Follow-up", "A" }
local MODALITIES <const> = { "CT", "MR", "CR", "US", "DX", "MG", "NM", "PT", "SR", "OT" }
local BODY_PARTS <const> = { "CHEST", "HEAD", "KNEE", "ABDOMEN" }
local CLASSES <const> = { "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7" }

local function name(random)
  if random:chance(25) then
    return ""
  end
  local text = random:one_of(FAMILIES)
  local given = random:one_of(GIVEN)
  return (given == "" and text or text .. "^" .. given) .. (random:chance(8) and random:one_of(GROUPS) or "")
end

local function date(random, first_year, last_year)
  return ("%04d%02d%02d"):format(random:between(first_year, last_year), random:below(12), random:below(28))
end

-- A time of each precision that TM allows.
local function time(random)
  local text = ("%02d%02d%02d"):format(random:between(0, 23), random:between(0, 59), random:between(0, 59))
  local form = random:below(6)
  return form == 1 and text:sub(1, 4) or form == 2 and text .. (".%03d"):format(random:between(0, 999))
    or form == 3 and text .. ".000000" or text
end

-- Is nil (the element is absent), or "", or the value.
local function maybe(random, value)
  local n = random:below(12)
  return n > 2 and value or n == 2 and "" or nil
end

local function new_patient(random, n)
  local id = random:one_of { "P%04d", "%06d", "PAT-%d", "M%dX", "A%d B", "%d.1" }
  return {
    SpecificCharacterSet = "ISO_IR 100",
    PatientID = id:format(n * 37 + random:below(30)), PatientName = name(random),
    PatientBirthDate = maybe(random, date(random, 1930, 2015)), PatientSex = maybe(random, random:one_of { "M", "F", "O" }),
  }
end

-- `from` has the elements of the level above.
local function copy(from)
  local to = {}
  for key, value in pairs(from) do
    to[key] = value
  end
  return to
end

local function new_study(random, patient, root, n)
  local study = copy(patient)
  study.StudyInstanceUID = ("%s.%d"):format(root, n)
  study.StudyDate = maybe(random, date(random, 2018, 2024))
  study.StudyTime = maybe(random, time(random))
  study.AccessionNumber = random:chance(15) and "" or random:one_of { "A%06d", "%d", "ACC.%d", "a%06d" }:format(n + random:below(3))
  study.StudyID = maybe(random, tostring(random:below(60)))
  study.StudyDescription = maybe(random, random:one_of(DESCRIPTIONS))
  study.ReferringPhysicianName = maybe(random, name(random))
  return study
end

local function new_series(random, study, n)
  local series = copy(study)
  series.SeriesInstanceUID = ("%s.%d"):format(study.StudyInstanceUID, n)
  series.Modality = random:one_of(MODALITIES)
  series.SeriesNumber = random:one_of { "%d", "%d", "%02d" }:format(n)
  series.SeriesDescription = maybe(random, random:one_of(DESCRIPTIONS))
  series.SeriesDate = maybe(random, date(random, 2018, 2024))
  series.SeriesTime = maybe(random, time(random))
  series.BodyPartExamined = maybe(random, random:one_of(BODY_PARTS))
  series.ProtocolName = maybe(random, random:one_of(DESCRIPTIONS))
  series.OperatorsName = maybe(random, name(random))
  return series
end

local function add_series(random, study, n, instances)
  local series = new_series(random, study, n)
  local class = random:one_of(CLASSES)
  for k = 1, random:chance(3) and random:between(2, 4) or 1 do
    local instance = copy(series)
    instance.SOPClassUID = class
    instance.SOPInstanceUID = ("%s.%d"):format(series.SeriesInstanceUID, k)
    instance.InstanceNumber = tostring(k)
    instance.InstanceCreationDate = maybe(random, date(random, 2018, 2024))
    instances[#instances + 1] = instance
  end
end

--- Makes an archive of `count` studies of about half as many patients. No two patients have PatientIDs that differ in case only.
function archive.make(random, count)
  local root = ("1.2.3.%d"):format(random:below(999999))
  local instances, patients = {}, {}
  for n = 1, count do
    local patient = random:chance(2) and #patients > 0 and random:one_of(patients) or new_patient(random, n)
    patients[#patients + 1] = patient
    local study = new_study(random, patient, root, n)
    for k = 1, random:chance(3) and random:between(2, 3) or 1 do
      add_series(random, study, k, instances)
    end
  end
  return { instances = instances }
end

-- ---- files ----

--- Converts UTF-8 text to Latin-1.
function archive.latin1(text)
  return (text:gsub(utf8.charpattern, function(c) return #c > 1 and string.char(utf8.codepoint(c)) or nil end))
end

local LONG <const> = { OB = true, SQ = true, UN = true, UT = true }

-- An element in explicit VR little endian.
local function element(tag, vr, value)
  if #value % 2 == 1 then
    value = value .. (vr == "UI" and "\0" or " ")
  end
  local group, number = tonumber(tag:sub(1, 4), 16), tonumber(tag:sub(5), 16)
  return string.pack(LONG[vr] and "<I2I2c2xxs4" or "<I2I2c2s2", group, number, vr, value)
end

--- The bytes of a DICOM file. The texts are in Latin-1, or as they are if `raw`.
function archive.file(instance, raw)
  local elements = {}
  for key, value in pairs(instance) do
    local known = assert(archive.elements[key], key)
    elements[#elements + 1] = { known[1], element(known[1], known[2], raw and value or archive.latin1(value)) }
  end
  table.sort(elements, function(a, b) return a[1] < b[1] end)
  local meta = element("00020001", "OB", "\0\1") .. element("00020002", "UI", instance.SOPClassUID)
    .. element("00020003", "UI", instance.SOPInstanceUID) .. element("00020010", "UI", "1.2.840.10008.1.2.1")
    .. element("00020012", "UI", "1.2.3.99")
  local parts = { ("\0"):rep(128), "DICM", element("00020000", "UL", string.pack("<I4", #meta)), meta }
  for _, one in ipairs(elements) do
    parts[#parts + 1] = one[2]
  end
  return table.concat(parts)
end

--- Writes each instance into a file of a new folder, and returns the folder.
function archive.write(instances, raw)
  local folder = served.folder "archive"
  for i, instance in ipairs(instances) do
    local file <close> = assert(io.open(("%s/%05d.dcm"):format(folder, i), "wb"))
    assert(file:write(archive.file(instance, raw)))
  end
  return folder
end

--- Stores the instances by C-STORE in each of the servers { AET, host, port }, over one association each. `calling` is the calling AE
-- title.
function archive.send(instances, servers, calling, raw)
  local folder = archive.write(instances, raw)
  local lines = {}
  for i, server in ipairs(servers) do
    lines[i] = ('env TCP_NODELAY=1 storescu --required --propose-little -aet %s -aec %s --scan-directories %s %d %s & pids="$pids $!"')
      :format(calling or "STORESCU", server[1], server[2], server[3], folder)
  end
  lines[#lines + 1] = "for pid in $pids; do wait $pid || exit 1; done"
  served.output_of(("exec 2>&1; pids=; %s"):format(table.concat(lines, "\n")))
  served.output_of("exec rm -rf " .. served.quoted { folder })
end

-- Removes all that the Orthanc of a client has.
function archive.empty(client)
  for _, id in ipairs(assert(client:get "/patients")) do
    assert(client:delete("/patients/" .. id))
  end
end

return archive
