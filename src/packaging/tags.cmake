# Writes the names of the DICOM tags as a Lua module that returns a text, a name on each line: cmake -DOUTPUT=… -DDICTIONARY=dicom.dic -P tags.cmake
# A line of the dictionary is "(gggg,eeee)	VR	Name	VM	Version". Left out are groups 0000 (commands) and 0002 (file meta information), which
# cannot be part of a query, and retired tags, whose names (RETIRED_…) do not match the expression.
file(STRINGS "${DICTIONARY}" lines REGEX "^\\([0-9a-fA-F]+,[0-9a-fA-F]+\\)\t[A-Za-z]+\t[A-Za-z0-9]+\t")
list(FILTER lines EXCLUDE REGEX "^\\(000[02],")
set(names "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "^[^\t]*\t[^\t]*\t([A-Za-z0-9]+)\t.*" "\\1" name "${line}")
  string(APPEND names "${name}\n")
endforeach()
if(names STREQUAL "")
  message(FATAL_ERROR "${DICTIONARY} has no tags: it is not a dictionary of DCMTK")
endif()
file(WRITE "${OUTPUT}" "return [[\n${names}]]\n")
