# What `cmake --install` installs, and where. All paths are relative to the prefix, so that --prefix and DESTDIR work, and the installed
# tree can be moved.
include(CMakePackageConfigHelpers)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/link) # symbolic links that are installed

# All that is installed, without the tests: scripts/demo.sh builds this.
add_custom_target(installable DEPENDS modalua_command modalua_module modalua modalua_static manual completion)
if(TARGET orthanc_plugin)
  add_dependencies(installable orthanc_plugin)
endif()

# The folder of the module for stock Lua. In the prefix of the system's Lua it is the one that Lua's package names. In any other prefix it is
# lib/lua/5.4, where stock Lua looks below /usr/local.
set(CMOD lib/lua/5.4)
pkg_get_variable(LUA_PREFIX lua5.4 prefix)
if(CMAKE_INSTALL_PREFIX STREQUAL LUA_PREFIX)
  pkg_get_variable(CMOD lua5.4 INSTALL_CMOD)
  file(RELATIVE_PATH CMOD "${LUA_PREFIX}" "${CMOD}")
endif()
set(MODALUA_LUA_CMOD "${CMOD}" CACHE STRING "Where the module for stock Lua goes, below the prefix")

# Each file belongs to a component, which is a Debian package too (debian.cmake): command, library, development, plugin.
install(TARGETS modalua_command COMPONENT command)
install(TARGETS modalua_module LIBRARY DESTINATION "${MODALUA_LUA_CMOD}" COMPONENT command)
install(FILES ${MANUAL} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT command)
# Where each shell looks for the completions of packages. zsh of Debian looks in vendor-completions below /usr, others in site-functions.
set(ZSH_FOLDER ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" AND EXISTS /etc/debian_version)
  set(ZSH_FOLDER ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
endif()
set(MODALUA_ZSH_FOLDER "${ZSH_FOLDER}" CACHE STRING "Where the completion for zsh goes, below the prefix")
set(COMPLETION ${CMAKE_BINARY_DIR}/completion/modalua)
install(FILES ${COMPLETION}.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME modalua COMPONENT command)
install(FILES ${COMPLETION}.zsh DESTINATION "${MODALUA_ZSH_FOLDER}" RENAME _modalua COMPONENT command)
install(FILES ${COMPLETION}.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME modalua.fish COMPONENT command)
install(TARGETS modalua EXPORT modalua LIBRARY COMPONENT library NAMELINK_COMPONENT development)
install(TARGETS modalua_static EXPORT modalua ARCHIVE COMPONENT development)
install(FILES src/modalua.h TYPE INCLUDE COMPONENT development)

# ---- the plugin, where Orthanc looks for plugins ----
if(TARGET orthanc_plugin)
  install(TARGETS orthanc_plugin LIBRARY DESTINATION lib/orthanc COMPONENT plugin)
  file(CREATE_LINK ../../../lib/orthanc/libOrthancModalua.so ${CMAKE_BINARY_DIR}/link/libOrthancModalua.so SYMBOLIC)
  install(FILES ${CMAKE_BINARY_DIR}/link/libOrthancModalua.so DESTINATION ${CMAKE_INSTALL_DATADIR}/orthanc/plugins COMPONENT plugin)
  install(FILES src/orthanc_plugin/modalua_find_filter.lua DESTINATION ${CMAKE_INSTALL_DATADIR}/orthanc COMPONENT plugin)
endif()

# ---- the documents, in their folders, so that their links work, and the examples: the scripts, and the programs in C ----
install(FILES LICENSE TYPE DOC COMPONENT licence)
install(FILES src/packaging/copyright TYPE DOC COMPONENT command)
file(GLOB_RECURSE DOCUMENTS RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS lua/*.md scripts/*.md spec/*.md src/*.md src/command/captures/*.txt
  vendor/*.md)
file(GLOB_RECURSE SCRIPTS RELATIVE ${CMAKE_SOURCE_DIR} CONFIGURE_DEPENDS scripts/*)
list(FILTER SCRIPTS EXCLUDE REGEX "\\.(md|sh)$")
foreach(FILE README.md CHANGELOG.md src/modalua.h spec/bench/figures.svg ${DOCUMENTS} ${SCRIPTS})
  cmake_path(GET FILE PARENT_PATH FOLDER)
  install(FILES ${FILE} DESTINATION ${CMAKE_INSTALL_DOCDIR}/${FOLDER} COMPONENT command)
endforeach()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/embed/README.md)
file(READ src/embed/README.md EMBEDDING)
string(REGEX MATCHALL "spec/embed/[a-z_]+\\.[a-z]+" EXAMPLE_PROGRAMS "${EMBEDDING}")
list(REMOVE_DUPLICATES EXAMPLE_PROGRAMS)
install(FILES ${EXAMPLE_PROGRAMS} DESTINATION ${CMAKE_INSTALL_DOCDIR}/spec/embed COMPONENT development)
# The place where people look for examples.
file(CREATE_LINK scripts ${CMAKE_BINARY_DIR}/link/examples SYMBOLIC)
install(FILES ${CMAKE_BINARY_DIR}/link/examples TYPE DOC COMPONENT command)

# ---- for CMake: modalua::modalua, modalua::modalua_static ----
set(PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/modalua)
install(EXPORT modalua NAMESPACE modalua:: FILE modaluaTargets.cmake DESTINATION ${PACKAGE} COMPONENT development)
configure_package_config_file(src/packaging/modaluaConfig.cmake.in modaluaConfig.cmake INSTALL_DESTINATION ${PACKAGE})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/modaluaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/modaluaConfig.cmake ${CMAKE_BINARY_DIR}/modaluaConfigVersion.cmake DESTINATION ${PACKAGE} COMPONENT development)

# ---- for pkg-config: the path from the folder of modalua.pc to the prefix, and from there to the header ----
set(PC_FOLDER "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH PC_PREFIX "${PC_FOLDER}" "${CMAKE_INSTALL_PREFIX}")
string(REGEX REPLACE "/$" "" PC_PREFIX "${PC_PREFIX}")
file(RELATIVE_PATH PC_INCLUDEDIR "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
file(RELATIVE_PATH PC_LIBDIR "${CMAKE_INSTALL_PREFIX}" "${CMAKE_INSTALL_FULL_LIBDIR}")
configure_file(src/packaging/modalua.pc.in modalua.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/modalua.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
