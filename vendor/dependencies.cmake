# Every library modalua is built from: the least version, and how it is found. No foreign source lives here; apt-packages.txt names the
# Debian packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# HTTP, TLS, proxies, connection reuse. 7.85: CURLOPT_PROTOCOLS_STR.
find_package(CURL 7.85 REQUIRED)

# The language. The command has it inside (static, symbols exported, so that C modules load); the library links it shared, because
# Debian's archive is not position-independent.
pkg_check_modules(LUA REQUIRED IMPORTED_TARGET lua5.4>=5.4.4)
find_library(LUA_ARCHIVE NAMES liblua5.4.a REQUIRED)
option(MODALUA_APICHECK "Link the command with a Lua that checks every use of its C API" OFF)
if(MODALUA_APICHECK)
  set(CACHE_FOLDER $ENV{XDG_CACHE_HOME})
  if(NOT CACHE_FOLDER)
    set(CACHE_FOLDER $ENV{HOME}/.cache)
  endif()
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/spec/support/fetch_lua.sh ${CACHE_FOLDER}/modalua/lua-apicheck COMMAND_ERROR_IS_FATAL ANY)
  set(LUA_ARCHIVE ${CACHE_FOLDER}/modalua/lua-apicheck/liblua5.4.a)
endif()

# The JSON parser of record; it links no Lua of its own.
pkg_check_modules(CJSON REQUIRED lua5.4-cjson)
find_library(CJSON_LIBRARY NAMES lua5.4-cjson REQUIRED)
find_library(CJSON_ARCHIVE NAMES liblua5.4-cjson.a REQUIRED)

# The words behind the command's verbs: embedded as modalua.argparse.
pkg_get_variable(LUA_MODULES lua5.4 INSTALL_LMOD)
find_file(ARGPARSE argparse.lua HINTS ${LUA_MODULES} REQUIRED)
file(STRINGS ${ARGPARSE} ARGPARSE_VERSION REGEX "^argparse.version = ")
string(REGEX MATCH "[0-9][0-9.]*" ARGPARSE_VERSION "${ARGPARSE_VERSION}")
if(ARGPARSE_VERSION VERSION_LESS 0.7.1)
  message(FATAL_ERROR "argparse for Lua 0.7.1 or later is needed; ${ARGPARSE} is ${ARGPARSE_VERSION}")
endif()

# The prompt's line editor, in the command alone. 3.1: its own interface takes UTF-8. It is static, with what it needs: four shared libraries
# more would make every start of the command a tenth slower.
pkg_check_modules(EDIT REQUIRED libedit>=3.1)
set(EDIT_ARCHIVES "")
foreach(name edit tinfo bsd md)
  find_library(ARCHIVE_OF_${name} NAMES lib${name}.a REQUIRED)
  list(APPEND EDIT_ARCHIVES ${ARCHIVE_OF_${name}})
endforeach()

# The names of DICOM's tags, for completion: read when modalua is built.
file(GLOB DICTIONARY_FOLDERS /usr/share/libdcmtk* /usr/share/dcmtk*)
find_file(DICOM_DICTIONARY dicom.dic PATHS ${DICTIONARY_FOLDERS} REQUIRED)
