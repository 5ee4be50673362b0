-- Tests how the numbers of images of many studies are asked for, at a simulated modality.
local part = require "spec.support.part"
local simulated = require "spec.support.simulated"

local holdings, native = part "core.holdings", part "core.native"

describe("A modality that is asked for the numbers of images of many studies", function()
  -- What it says of the studies 1 to n, of which it has the first `held`, in lists of `most`; and how many C-FINDs that took.
  local function count(place, n, held, most)
    local keys = {}
    for i = 1, n do
      keys[i] = { StudyInstanceUID = "1.2." .. i }
    end
    local before = place.modality.finds
    local numbers = assert(holdings.count(place, { uids_per_list = most }, "Study", keys))
    for i = 1, n do
      assert.are.equal(i <= held and 3, numbers[i])
    end
    return place.modality.finds - before
  end

  local function place_of(n, options)
    local studies = {}
    for i = 1, n do
      studies[i] = { StudyInstanceUID = "1.2." .. i, StudyDate = "20240101", NumberOfStudyRelatedInstances = "3" }
    end
    return holdings.modality(simulated.new(studies, options))
  end

  it("is asked for as many at once as are wanted", function()
    assert.are.equal(2, count(place_of(100, {}), 100, 100))
    assert.are.equal(1, count(place_of(100, {}), 100, 100, 100))
  end)

  it("is asked for fewer when it refuses so many answers, and remembers that", function()
    local place = place_of(100, { cap = 10, excess = "refuse" })
    count(place, 100, 100)
    assert.are.equal(15, count(place, 100, 100)) -- lists of 7
  end)

  it("is asked one by one when it refuses every list, and remembers that from the first one on", function()
    assert.are.equal(6 + 200, count(place_of(200, { cap = 1, excess = "refuse" }), 200, 200)) -- lists of 50, 25, 13, 7, 4, 2
  end)

  it("is asked again for what it leaves out", function()
    count(place_of(100, { cap = 10, excess = "cut" }), 100, 100)
  end)

  it("is not believed to lack what a list did not find that is longer than usual", function()
    local place = place_of(100, { lists = 60 })
    assert.are.equal(1, count(place, 2, 2))
    assert.are.equal(3, count(place, 100, 100, 100))
    assert.are.equal(4 + 1, count(place, 200, 100, 200))
  end)

  it("is asked one by one when it matches no lists", function()
    assert.are.equal(11, count(place_of(10, { lists = 1 }), 10, 10))
  end)

  -- Makes the modality reject what is asked while it answers another question.
  local function single(place)
    local modality, find, is_busy = place.modality, place.modality.find, false
    function modality.find(self, data)
      if is_busy then
        native.sleep(0.001)
        return nil, native.fail("find", "dicom", "rejected", "the association was rejected")
      end
      is_busy = true
      native.sleep(0.005)
      is_busy = false
      return find(self, data)
    end
    return place
  end

  it("is not believed to lack what it had no association left for, and is then asked one question at a time", function()
    local place = single(place_of(7, { lists = 1 }))
    count(place, 10, 7)
    assert.are.equal(11, count(place, 10, 7)) -- a list, and each one
  end)

  it("cannot be asked when one of two questions fails again and again", function()
    local place = place_of(4, { lists = 1 })
    local find = place.modality.find
    function place.modality.find(self, data)
      if data.Query.StudyInstanceUID == "1.2.1" then
        native.sleep(0.001)
        return nil, native.fail("find", "dicom", nil, "the association broke off")
      end
      native.sleep(0.005)
      return find(self, data)
    end
    local numbers, err = holdings.count(place, {}, "Study", { { StudyInstanceUID = "1.2.1" }, { StudyInstanceUID = "1.2.2" } })
    assert.are.same({ n = 2, nil, "the association broke off" }, table.pack(numbers, err and err.message))
  end)

  it("is asked in shorter lists for what a long one did not find, when it is seen meanwhile that it knows lists", function()
    local place = place_of(100, { lists = 60 })
    local find = place.modality.find
    function place.modality.find(self, data)
      place.knows_lists = not data.Query.StudyInstanceUID:find("\\", 1, true) or place.knows_lists
      return find(self, data)
    end
    count(place, 100, 100, 100)
  end)
end)
