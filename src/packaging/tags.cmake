# Writes the names of DICOM's tags as a Lua module, a name a line: cmake -DOUTPUT=… -DDICTIONARY=dicom.dic -P tags.cmake
# A line of the dictionary is "(gggg,eeee)	VR	Name	VM	Version". Commands (group 0000) and file meta information are no keys of queries,
# and names that DICOM has given up begin with RETIRED_.
file(STRINGS "${DICTIONARY}" lines REGEX "^\\([0-9a-fA-F]+,[0-9a-fA-F]+\\)\t[A-Za-z]+\t[A-Za-z0-9]+\t")
list(FILTER lines EXCLUDE REGEX "^\\(000[02],")
set(names "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "^[^\t]*\t[^\t]*\t([A-Za-z0-9]+)\t.*" "\\1" name "${line}")
  string(APPEND names "${name}\n")
endforeach()
if(names STREQUAL "")
  message(FATAL_ERROR "${DICTIONARY} has no tags: it is no dictionary of DCMTK's")
endif()
file(WRITE "${OUTPUT}" "return [[\n${names}]]\n")
