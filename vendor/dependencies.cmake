# Finds every library that modalua is built from, and checks its version. apt-packages.txt names the Debian packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# HTTP, TLS, proxies, connection reuse. 7.85 is the first version with CURLOPT_PROTOCOLS_STR.
find_package(CURL 7.85 REQUIRED)

# The language. The command contains it (static, with its symbols exported, so that C modules can be loaded), and so does the shared library
# (src/packaging/shared.cmake). The shared Lua is for hosts that have a state of their own.
pkg_check_modules(LUA REQUIRED IMPORTED_TARGET lua5.4>=5.4.4)
find_library(LUA_ARCHIVE NAMES liblua5.4.a REQUIRED)
option(MODALUA_APICHECK "Link all programs with a Lua that checks every use of its C API, and moves its stack at every call" OFF)
if(MODALUA_APICHECK)
  set(CACHE_FOLDER $ENV{XDG_CACHE_HOME})
  if(NOT CACHE_FOLDER)
    set(CACHE_FOLDER $ENV{HOME}/.cache)
  endif()
  set(HARD_LUA ${CACHE_FOLDER}/modalua/lua-hard)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/spec/support/fetch_lua.sh ${HARD_LUA} COMMAND_ERROR_IS_FATAL ANY)
  set(LUA_ARCHIVE ${HARD_LUA}/liblua5.4.a)
  set_target_properties(PkgConfig::LUA PROPERTIES INTERFACE_LINK_LIBRARIES ${HARD_LUA}/liblua5.4.so)
endif()

# The JSON parser, of which src/packaging/cjson.cmake makes an object file.
find_library(CJSON_ARCHIVE NAMES liblua5.4-cjson.a REQUIRED)

# Parses the words of the verbs. Its text is embedded as the part command.argparse.
pkg_get_variable(LUA_MODULES lua5.4 INSTALL_LMOD)
find_file(ARGPARSE argparse.lua HINTS ${LUA_MODULES} REQUIRED)
file(STRINGS ${ARGPARSE} ARGPARSE_VERSION REGEX "^argparse.version = ")
string(REGEX MATCH "[0-9][0-9.]*" ARGPARSE_VERSION "${ARGPARSE_VERSION}")
if(ARGPARSE_VERSION VERSION_LESS 0.7.1)
  message(FATAL_ERROR "argparse for Lua 0.7.1 or later is needed; ${ARGPARSE} is ${ARGPARSE_VERSION}")
endif()

# The databases of a transfer's ledger. Only their headers are needed: the libraries are loaded when a script first opens a ledger
# (src/database/library.h).
pkg_check_modules(SQLITE REQUIRED sqlite3>=3.40)
pkg_check_modules(POSTGRESQL REQUIRED libpq>=12)
set(DATABASE_INCLUDE_DIRS ${SQLITE_INCLUDE_DIRS} ${POSTGRESQL_INCLUDE_DIRS})

# The line editor of a prompt without GNU readline (src/command/readline_library.h), for the command only. 3.1 is the first version whose
# own interface (histedit.h) takes UTF-8. It and the libraries that it needs are static: four more shared libraries would make every start of
# the command a tenth slower.
pkg_check_modules(EDIT REQUIRED libedit>=3.1)
set(EDIT_ARCHIVES "")
foreach(name edit tinfo bsd md)
  find_library(ARCHIVE_OF_${name} NAMES lib${name}.a REQUIRED)
  list(APPEND EDIT_ARCHIVES ${ARCHIVE_OF_${name}})
endforeach()

# The dictionary with the names of the DICOM tags, for completion at the prompt. It is read when modalua is built.
file(GLOB DICTIONARY_FOLDERS /usr/share/libdcmtk* /usr/share/dcmtk*)
find_file(DICOM_DICTIONARY dicom.dic PATHS ${DICTIONARY_FOLDERS} REQUIRED)
