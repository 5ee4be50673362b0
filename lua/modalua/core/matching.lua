-- core.matching: compares values of DICOM attributes.
local matching = {}

-- Without the blanks around it, which mean nothing in DICOM.
function matching.trimmed(value)
  return value:match "^ *(.-) *$"
end

-- Whether two values name the same: some modalities do not tell small letters from capital ones.
function matching.same(a, b)
  return matching.trimmed(a):lower() == matching.trimmed(b):lower()
end

return matching
