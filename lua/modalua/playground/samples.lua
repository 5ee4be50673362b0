-- modalua.samples: small DICOM studies for trying things out. They vary as real studies do. No image has pixels.
--
-- modalua writes the DICOM files itself. POST /tools/create-dicom would choose new UIDs each time, and does not support character sets
-- with code extensions. Here the UIDs are always the same, and the Japanese names have the bytes that Japanese devices send.
local require = ...
local dicom_file = require "playground.dicom_file"
local doc = require "modalua.doc"
local task = require "modalua.task"

local samples = {}

local element, uid_of = dicom_file.element, dicom_file.uid_of

-- ---- character sets ----

-- The texts below are UTF-8 unless noted. `encode` converts a text to the character set of the file, SpecificCharacterSet.

-- A character set with one byte for each character: the byte is the code point minus `offset`.
local function eight_bit(name, offset)
  return { name = name, encode = function(text)
    return (text:gsub("[\xc2-\xf4][\x80-\xbf]+", function(character)
      return string.char(utf8.codepoint(character) - offset)
    end))
  end }
end

-- A character set for texts that are already encoded.
local function encoded(name)
  return { name = name, encode = function(text) return text end }
end

local ASCII = encoded ""
local LATIN_1 = eight_bit("ISO_IR 100", 0)
local CYRILLIC = eight_bit("ISO_IR 144", 0x360)
local GREEK = eight_bit("ISO_IR 126", 0x2d0)
local UTF_8 = encoded "ISO_IR 192"
local JAPANESE = encoded "\\ISO 2022 IR 87" -- its texts have escape sequences that switch to JIS X 0208 and back
local CHINESE = encoded "GB18030"

-- ---- the studies ----

-- A study: date, time, accession number, description, and its series as { modality, description, number of instances }.
local patients = {
  { id = "MOD-0001", name = "Müller^Jörg", birth = "19540312", sex = "M", charset = LATIN_1,
    { "20190304", "081512", "A100001", "CT Thorax/Abdomen nativ",
      { "CT", "Topogramm", 1 }, { "CT", "Lunge 1,5 mm", 5 }, { "CT", "Weichteil", 4 } },
    { "20210617", "143055", "A100417", "MR Schädel", { "MR", "T1 axial", 3 }, { "MR", "T2 sagittal", 3 }, { "MR", "FLAIR", 2 } },
    { "20240201", "0955", "", "Rö Thorax p.a.", { "CR", "", 1 } } },
  { id = "MOD-0002", name = "SMITH^JOHN^A^DR", birth = "19700101", sex = "M", charset = ASCII,
    { "20200115", "101500", "A100102", "CT CHEST W CONTRAST", { "CT", "SCOUT", 1 }, { "CT", "CHEST 3.0 B40f", 5 } },
    { "20230322", "161803.250000", "A100688", "PET/CT *WHOLE BODY*",
      { "CT", "CT AC", 4 }, { "PT", "PET AC", 4 }, { "SR", "Dose report", 1 } } },
  { id = "MOD-0003", name = "SMITH^JOHN", birth = "19980523", sex = "M", charset = ASCII, -- another patient with the same name
    { "20240201", "074500", "A100801", "XR KNEE LT (AP/LAT)?", { "CR", "AP", 1 }, { "CR", "LATERAL", 1 } } },
  { id = "03HD012", name = "Dupré^Hélène^^Mme", birth = "19621130", sex = "F", charset = LATIN_1,
    { "20180912", "133000", "F-7731", "Mammographie bilatérale",
      { "MG", "R CC", 1 }, { "MG", "L CC", 1 }, { "MG", "R MLO", 1 }, { "MG", "L MLO", 1 } },
    { "20220914", "092000", "F-9120", "Échographie du sein", { "US", "", 4 } } },
  { id = "03HD044", name = "Lindström^Åsa", birth = "", sex = "F", charset = LATIN_1,
    { "20201224", "235959", "A100355", "Chest PA", { "CR", "PA", 1 } },
    { "20201225", "000001", "A100356", "Chest lateral", { "CR", "LAT", 1 } } },
  { id = "JP-77001", name = "Yamada^Tarou=\27$B;3ED\27(B^\27$BB@O:\27(B=\27$B$d$^$@\27(B^\27$B$?$m$&\27(B", birth = "19481009",
    sex = "M", charset = JAPANESE,
    { "20190520", "110203", "J0001", "\27$B6;It\27(BCT", { "CT", "\27$B6;It\27(B", 5 } },
    { "20231103", "150000", "J0042", "MR \27$BJ\"It\27(B", { "MR", "T2", 3 }, { "MR", "DWI", 3 } } },
  { id = "JP-77002", name = "Satou^Hanako=佐藤^花子=さとう^はなこ", birth = "19850615", sex = "F", charset = UTF_8,
    { "20240410", "084100", "J0050", "腹部超音波検査", { "US", "肝臓", 3 }, { "SR", "所見", 1 } } },
  { id = "RU-5501", name = "Иванов^Иван^Иванович", birth = "19660204", sex = "M", charset = CYRILLIC,
    { "20170711", "120000", "R-001", "КТ грудной клетки", { "CT", "Лёгкие", 4 } },
    { "20240117", "", "R-019", "МРТ головного мозга", { "MR", "T1", 2 }, { "MR", "T2", 2 } } },
  { id = "GR-204", name = "Παπαδόπουλος^Νίκος", birth = "19770808", sex = "M", charset = GREEK,
    { "20211028", "171500", "G204-1", "Αξονική θώρακος", { "CT", "Πνεύμονες", 3 } } },
  { id = "CN-8800", name = "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", birth = "19910301", sex = "M", charset = CHINESE,
    { "20220601", "103012", "C8800", "\xd0\xd8\xb2\xbfCT\xc6\xbd\xc9\xa8", { "CT", "\xd0\xd8\xb2\xbf", 4 } } },
  { id = "QA PHANTOM", name = "", birth = "", sex = "O", charset = ASCII, -- a phantom: no name, no dates
    { "", "", "", "", { "CT", "", 2 } },
    { "", "", "", "100% water?", { "PT", "UNIFORMITY", 3 }, { "CT", "", 1 } },
    { "20240229", "060000", "", "Daily QA", { "MR", "", 1 } } },
  { id = "MOD-0012", name = "O'Brien-Núñez^María José", birth = "20150730", sex = "F", charset = LATIN_1,
    { "20160105", "093000", "A100009", "US hip, both sides", { "US", "L", 2 }, { "US", "R", 2 } },
    { "20230811", "194500", "A100702", "CT Head w/o contrast", { "CT", "Head 5.0", 3 }, { "SR", "", 1 } },
    { "20230811", "201000", "A100702", "CT Chest w/o contrast", { "CT", "Chest 5.0", 3 } } }, -- two studies with one accession number
}

-- ---- DICOM files ----

local SOP_CLASSES = {
  CR = "1.2.840.10008.5.1.4.1.1.1", CT = "1.2.840.10008.5.1.4.1.1.2", MG = "1.2.840.10008.5.1.4.1.1.1.2", MR = "1.2.840.10008.5.1.4.1.1.4",
  PT = "1.2.840.10008.5.1.4.1.1.128", SR = "1.2.840.10008.5.1.4.1.1.88.11", US = "1.2.840.10008.5.1.4.1.1.6.1",
}

-- The file of one instance. DICOM requires the tags in rising order. `at`: the numbers of the study, the series and the instance.
local function instance_file(patient, study, series, at)
  local class, uid, text = SOP_CLASSES[series[1]], uid_of(at.study, at.series, at.instance), patient.charset.encode
  return dicom_file.make(class, uid, table.concat {
    element(0x08, 0x05, "CS", patient.charset.name),
    element(0x08, 0x16, "UI", class),
    element(0x08, 0x18, "UI", uid),
    element(0x08, 0x20, "DA", study[1]),
    element(0x08, 0x30, "TM", study[2]),
    element(0x08, 0x50, "SH", study[3]),
    element(0x08, 0x60, "CS", series[1]),
    element(0x08, 0x90, "PN", ""),
    element(0x08, 0x1030, "LO", text(study[4])),
    element(0x08, 0x103e, "LO", text(series[2])),
    element(0x10, 0x10, "PN", text(patient.name)),
    element(0x10, 0x20, "LO", patient.id),
    element(0x10, 0x30, "DA", patient.birth),
    element(0x10, 0x40, "CS", patient.sex),
    element(0x20, 0x0d, "UI", uid_of(at.study, 0, 0)),
    element(0x20, 0x0e, "UI", uid_of(at.study, at.series, 0)),
    element(0x20, 0x10, "SH", tostring(at.study)),
    element(0x20, 0x11, "IS", tostring(at.series)),
    element(0x20, 0x13, "IS", tostring(at.instance)),
  })
end

-- The files of all instances, and the number of studies.
local function instance_files()
  local files, number = {}, 0
  for _, patient in ipairs(patients) do
    for _, study in ipairs(patient) do
      number = number + 1
      for s, series in ipairs { table.unpack(study, 5) } do
        for i = 1, series[3] do
          files[#files + 1] = instance_file(patient, study, series, { study = number, series = s, instance = i })
        end
      end
    end
  end
  return files, number
end

function samples.store(client)
  local files, studies = instance_files()
  local tasks = {}
  for i, data in ipairs(files) do
    tasks[i] = task.spawn(client.upload, client, { data = data })
  end
  for _, t in ipairs(tasks) do
    local stored, err = t:join()
    if not stored then
      return nil, err
    end
  end
  return studies
end

doc.describe(samples.store, "samples.store(client) -> number of studies | nil, err",
  "Stores the sample studies of the playground in an Orthanc. Their UIDs are always the same, so a second call changes nothing.",
  { example = [[print(assert(require("modalua.samples").store(orthanc)) .. " studies")]] })

return samples
