-- Tests the oracle of spec/truth_property_spec.lua with cases for which DICOM PS3.4 C.2.2.2 gives the answer.
local oracle = require "spec.support.oracle"

-- The verdict, the value representation, the value that is asked for, and the values that get this verdict.
local CASES <const> = {
  { "yes", "PN", "Smi*", "Smith", "Smith^John", "Smi" }, -- C.2.2.2.4: "*" also matches nothing
  { "yes", "PN", "Sm?th^J*", "Smith^John", "Smyth^J" },
  { "yes", "PN", "Smith^John", "Smith^John", "Smith^John^^", "Smith^John " },
  { "maybe", "PN", "SMITH*", "Smith^John", "smith" }, -- names may be compared without case and accents
  { "maybe", "PN", "Muller*", "Müller^Jörg" },
  { "maybe", "PN", "Mueller*", "Müller^Jörg" },
  { "maybe", "PN", "Li^*", "Li", "li", "Li=Ri^Na" }, -- PS3.5 6.2: "Li^^^^" says the same
  { "no", "PN", "Li^?n*", "Li" },
  { "maybe", "PN", "Li^Na", "Li^Na=Ri^Na" }, -- or group by group
  { "maybe", "PN", "Ri*", "Li^Na=Ri^Na" },
  { "no", "PN", "Smith", "Smith^John", "Smithson", "" },
  { "no", "PN", "Smith*", "" },
  { "maybe", "PN", "*^*", "" },
  { "yes", "LO", "", "anything", "" }, -- C.2.2.2.3: universal matching
  { "yes", "LO", "*", "anything", "" },
  { "yes", "LO", "CT Chest", "CT Chest", "CT Chest  " },
  { "yes", "LO", "x*y*z", "xyz", "x-y-z", "xxyyzz" },
  { "yes", "LO", "?ller", "üller" }, -- one character, not one byte
  { "maybe", "LO", "ct chest", "CT Chest" },
  { "maybe", "LO", "**", "" },
  { "no", "LO", "CT Chest", "CT Chest 2", "CT", "" },
  { "no", "LO", "x*y*z", "xyzz1", "xz" },
  { "yes", "CS", "CT", "CT", { "MR", "CT" } }, -- one of several values
  { "no", "CS", "CT", { "MR", "SR" }, {}, "" },
  { "yes", "UI", "1.2\\1.3", "1.2", "1.3" }, -- C.2.2.2.2
  { "no", "UI", "1.2\\1.3", "1.2.3", "1.30", "" },
  { "yes", "DA", "20200101-20200131", "20200101", "20200115", "20200131" }, -- C.2.2.2.5: both ends are included
  { "yes", "DA", "-20200131", "19000101", "20200131" },
  { "yes", "DA", "20200131-", "20200131", "20240101" },
  { "no", "DA", "20200101-20200131", "20191231", "20200201", "" },
  { "no", "DA", "-20200131", "20200201", "" }, -- C.2.2.1.2: an unknown value matches no key
  { "yes", "TM", "101500", "101500", "101500.000" },
  { "maybe", "TM", "1015", "101530" },
  { "maybe", "TM", "101530", "1015" },
  { "no", "TM", "1015", "101600", "101459" },
  { "yes", "TM", "1000-1130", "1000", "113000", "110000.5" },
  { "maybe", "TM", "1000-1130", "113030" },
  { "no", "TM", "1000-1130", "095959.999", "113100", "" },
  { "yes", "IS", "1", "1" },
  { "maybe", "IS", "1", "01" },
  { "no", "IS", "1", "11", "" },
}

describe("The oracle", function()
  for _, case in ipairs(CASES) do
    it(("says %s for %s %q"):format(case[1], case[2], case[3]), function()
      for i = 4, #case do
        assert.are.equal(case[1], oracle.value_verdict(case[2], case[3], case[i]), "value " .. i - 3)
      end
    end)
  end

  it("says no for a value that is absent", function()
    assert.are.equal("no", oracle.value_verdict("LO", "a", nil))
    assert.are.equal("yes", oracle.value_verdict("LO", "", nil))
  end)

  it("takes the worst verdict of all keys, and leaves out those that it shall not look at", function()
    local study = { PatientID = "P1", PatientName = "Smith", StudyDescription = "Head" }
    assert.are.equal("yes", oracle.verdict(study, { PatientID = "P1", PatientName = "S*" }))
    assert.are.equal("maybe", oracle.verdict(study, { PatientID = "P1", PatientName = "s*" }))
    assert.are.equal("no", oracle.verdict(study, { PatientName = "s*", StudyDescription = "Knee" }))
    assert.are.equal("maybe", oracle.verdict(study, { PatientName = "s*", StudyDescription = "Knee" }, { "StudyDescription" }))
  end)

  it("lets a server take a range of dates and a range of times together", function() -- C.2.2.2.5.4
    local query = { StudyDate = "20060705-20060707", StudyTime = "1000-1800" }
    assert.are.equal("yes", oracle.verdict({ StudyDate = "20060706", StudyTime = "120000" }, query))
    assert.are.equal("maybe", oracle.verdict({ StudyDate = "20060706", StudyTime = "090000" }, query))
    assert.are.equal("no", oracle.verdict({ StudyDate = "20060706", StudyTime = "090000" }, query, nil, true))
    assert.are.equal("no", oracle.verdict({ StudyDate = "20060705", StudyTime = "090000" }, query))
    assert.are.equal("no", oracle.verdict({ StudyDate = "20060707", StudyTime = "180100" }, query))
  end)

  it("has the resources of each level once", function()
    local right = oracle.new {
      { PatientID = "P", StudyInstanceUID = "1", SeriesInstanceUID = "1.1", SOPInstanceUID = "1.1.1", Modality = "CT" },
      { PatientID = "P", StudyInstanceUID = "1", SeriesInstanceUID = "1.2", SOPInstanceUID = "1.2.1", Modality = "SR" },
      { PatientID = "P", StudyInstanceUID = "1", SeriesInstanceUID = "1.2", SOPInstanceUID = "1.2.2", Modality = "SR" },
    }
    assert.are.same({ 1, 1, 2, 3 }, { #right.levels.Patient, #right.levels.Study, #right.levels.Series, #right.levels.Instance })
    assert.are.same({ "CT", "SR", CT = true, SR = true }, right.levels.Study[1].ModalitiesInStudy)
    assert.are.equal(2, right.by_key.Series["1.2"].instances)
  end)
end)
