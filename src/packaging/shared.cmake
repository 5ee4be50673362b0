# shared_link(TARGET): gives the shared library TARGET its code.
#
# It has the code of the library twice, because it serves two Luas:
#   runtime.o   for modalua_*: with a Lua of its own (Debian's static one) and lua-cjson inside. All symbols but modalua_* are local, so that no
#               other Lua in the program, of any version, is taken for it, nor it for another one.
#   opener.o    for luaopen_*: with lua-cjson inside, and the Lua of the host's own state, which src/shared/host_lua.c finds when it is first needed.
# The data (the texts of the Lua half, DICOM's dictionary) are there once.
function(shared_link TARGET)
  set(FOLDER ${CMAKE_CURRENT_BINARY_DIR}/shared)
  set(HERE ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(CODE ${CMAKE_SOURCE_DIR}/src/shared)
  set(OBJECTS "$<TARGET_OBJECTS:modalua_objects>" ${CJSON})
  file(STRINGS ${HERE}/symbols.txt SYMBOLS)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${HERE}/symbols.txt)
  set(OPENERS ${SYMBOLS})
  list(FILTER OPENERS INCLUDE REGEX "^luaopen_")
  list(FILTER SYMBOLS EXCLUDE REGEX "^luaopen_")
  list(TRANSFORM SYMBOLS PREPEND "--keep-global-symbol=")
  list(TRANSFORM OPENERS REPLACE "(.+)" "--redefine-sym;\\1=host_\\1;--keep-global-symbol=host_\\1")

  # Debian's static Lua is not position-independent where it uses these variables of the C library. src/shared/private_lua.c has others for it.
  foreach(NAME stdin stdout stderr)
    list(APPEND STREAMS --redefine-sym ${NAME}=private_lua_${NAME})
  endforeach()
  add_custom_command(OUTPUT ${FOLDER}/runtime.o
    COMMAND ${CMAKE_COMMAND} -E make_directory ${FOLDER}
    COMMAND ${CMAKE_LINKER} -r -o ${FOLDER}/runtime.o ${OBJECTS} ${LUA_ARCHIVE}
    COMMAND ${CMAKE_OBJCOPY} ${STREAMS} ${SYMBOLS} ${FOLDER}/runtime.o
    DEPENDS modalua_objects ${OBJECTS} ${LUA_ARCHIVE} ${HERE}/shared.cmake COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_command(OUTPUT ${FOLDER}/opener.o ${FOLDER}/host_lua_names.h
    COMMAND ${CMAKE_COMMAND} -E make_directory ${FOLDER}
    COMMAND ${CMAKE_LINKER} -r -o ${FOLDER}/opener.o ${OBJECTS}
    COMMAND ${CMAKE_OBJCOPY} ${OPENERS} ${FOLDER}/opener.o
    COMMAND ${CMAKE_COMMAND} -DNM=${CMAKE_NM} -DOBJECT=${FOLDER}/opener.o -DOUTPUT=${FOLDER}/host_lua_names.h -P ${HERE}/host_lua_names.cmake
    DEPENDS modalua_objects ${OBJECTS} ${HERE}/shared.cmake ${HERE}/host_lua_names.cmake COMMAND_EXPAND_LISTS VERBATIM)

  target_sources(${TARGET} PRIVATE ${FOLDER}/runtime.o ${FOLDER}/opener.o ${CODE}/private_lua.c ${CODE}/host_lua.c ${FOLDER}/host_lua_names.h)
  set_source_files_properties(${FOLDER}/runtime.o ${FOLDER}/opener.o PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  set_source_files_properties(${CODE}/host_lua.c PROPERTIES COMPILE_DEFINITIONS _GNU_SOURCE)
  target_include_directories(${TARGET} PRIVATE ${CMAKE_CURRENT_BINARY_DIR} ${CMAKE_SOURCE_DIR}/src)
endfunction()
