# The plugin for the Orthanc server, libOrthancModalua.so, when the header of Orthanc's plugins is there (Debian: orthanc-dev). It uses the
# shared library through the public header, and has its own copy of two files of src/base.
find_path(ORTHANC_PLUGIN_INCLUDE_DIR orthanc/OrthancCPlugin.h)
mark_as_advanced(ORTHANC_PLUGIN_INCLUDE_DIR)
if(NOT ORTHANC_PLUGIN_INCLUDE_DIR)
  message(STATUS "orthanc/OrthancCPlugin.h is not installed: the plugin for Orthanc is not built")
  return()
endif()

set(PLUGIN_FOLDER ${CMAKE_SOURCE_DIR}/src/orthanc_plugin)
set(PLUGIN_TEXTS settings.lua host.lua schedule.lua page.html)
list(TRANSFORM PLUGIN_TEXTS PREPEND ${PLUGIN_FOLDER}/ OUTPUT_VARIABLE PLUGIN_TEXT_FILES)
list(TRANSFORM PLUGIN_TEXTS REPLACE "^([a-z]+)\\.(.*)$" "\\1=${PLUGIN_FOLDER}/\\1.\\2")
set(PLUGIN_PARTS ${CMAKE_BINARY_DIR}/plugin_parts.c)
add_custom_command(OUTPUT ${PLUGIN_PARTS}
  COMMAND ${CMAKE_COMMAND} -DOUTPUT=${PLUGIN_PARTS} "-DPARTS=${PLUGIN_TEXTS}" -P ${CMAKE_SOURCE_DIR}/src/packaging/plugin_parts.cmake
  DEPENDS ${PLUGIN_TEXT_FILES} src/packaging/plugin_parts.cmake VERBATIM)

file(GLOB PLUGIN_SOURCES CONFIGURE_DEPENDS src/orthanc_plugin/*.c)
add_library(orthanc_plugin_objects OBJECT ${PLUGIN_SOURCES} ${PLUGIN_PARTS} src/base/shown.c src/base/utf8.c)
target_compile_definitions(orthanc_plugin_objects PRIVATE _GNU_SOURCE)
target_compile_options(orthanc_plugin_objects PRIVATE $<$<C_COMPILER_ID:GNU>:-Wconversion>)
target_include_directories(orthanc_plugin_objects PRIVATE src)
target_include_directories(orthanc_plugin_objects SYSTEM PUBLIC ${ORTHANC_PLUGIN_INCLUDE_DIR})
target_link_libraries(orthanc_plugin_objects PUBLIC modalua Threads::Threads)
add_library(orthanc_plugin MODULE)
target_link_libraries(orthanc_plugin PRIVATE orthanc_plugin_objects)
set_target_properties(orthanc_plugin PROPERTIES OUTPUT_NAME OrthancModalua LINKER_LANGUAGE C)
# A script inside a call that cannot be interrupted may still run when Orthanc unloads its plugins.
target_link_options(orthanc_plugin PRIVATE LINKER:-z,nodelete)

# The oldest Orthanc that takes the plugin: that of the header.
set(ORTHANC_PLUGIN_NEEDS "")
foreach(PART MAJOR MINOR REVISION)
  file(STRINGS ${ORTHANC_PLUGIN_INCLUDE_DIR}/orthanc/OrthancCPlugin.h NUMBER REGEX "define ORTHANC_PLUGINS_MINIMAL_${PART}_NUMBER")
  string(REGEX MATCH "[0-9]+$" NUMBER "${NUMBER}")
  list(APPEND ORTHANC_PLUGIN_NEEDS ${NUMBER})
endforeach()
list(JOIN ORTHANC_PLUGIN_NEEDS "." ORTHANC_PLUGIN_NEEDS)
