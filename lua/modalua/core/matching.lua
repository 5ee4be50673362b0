-- core.matching: compares values of DICOM attributes.
local matching = {}

-- Removes the blanks at both ends: they are padding in DICOM.
function matching.trimmed(value)
  return value:match "^ *(.-) *$"
end

-- Whether two values are the same to a modality. Upper and lower case count as equal, since some modalities do not distinguish them.
function matching.same(a, b)
  return matching.trimmed(a):lower() == matching.trimmed(b):lower()
end

return matching
