# The Debian packages, which CPack makes: one for each component of install.cmake. scripts/package.sh configures a build for them (prefix
# /usr, the hardening flags of Debian), and calls CPack.
#
# debian_package(COMPONENT NAME SECTION DEPENDS RECOMMENDS SUGGESTS SYNOPSIS TEXT) adds a package. CPack adds the libraries that its programs
# are linked with to DEPENDS. A further package is a component and one more call.
function(debian_package COMPONENT NAME SECTION DEPENDS RECOMMENDS SUGGESTS SYNOPSIS TEXT)
  string(TOUPPER ${COMPONENT} KEY)
  set(CPACK_DEBIAN_${KEY}_PACKAGE_NAME ${NAME} PARENT_SCOPE)
  set(CPACK_DEBIAN_${KEY}_PACKAGE_SECTION ${SECTION} PARENT_SCOPE)
  set(CPACK_DEBIAN_${KEY}_PACKAGE_DEPENDS "${DEPENDS}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${KEY}_PACKAGE_RECOMMENDS "${RECOMMENDS}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${KEY}_PACKAGE_SUGGESTS "${SUGGESTS}" PARENT_SCOPE)
  set(CPACK_DEBIAN_${KEY}_DESCRIPTION "${SYNOPSIS}\n${TEXT}" PARENT_SCOPE)
  set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${COMPONENT} PARENT_SCOPE)
endfunction()

set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_PACKAGE_NAME modalua)
set(CPACK_PACKAGE_VENDOR "The modalua authors")
# CPack writes a summary of all packages as the first line of each description, except this one, its default.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${CMAKE_PROJECT_NAME} built using CMake")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian_tree.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian_control.cmake)

set(MODALUA_MAINTAINER "modalua maintainers <maintainers@modalua.invalid>" CACHE STRING "The maintainer that the Debian packages name")
set(CPACK_DEBIAN_PACKAGE_MAINTAINER ${MODALUA_MAINTAINER})
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_LIBRARY_OUTPUT_DIRECTORY})
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)

# These are loaded while a program runs (src/database/library.h): the databases of ledgers. Without ca-certificates every HTTPS server needs
# the option `ca`, and without tzdata there are no time zones for the hours of a transfer.
set(DATABASES "libsqlite3-0, libpq5, ca-certificates, tzdata")
set(LIBRARY_PACKAGE libmodalua${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(VERSION ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
set(ABOUT "modalua runs Lua scripts that find and move DICOM studies between modalities,
through an Orthanc server. It never searches for more than it was asked for,
and it reports a study as moved only when the study was moved.
")

set(CPACK_COMPONENTS_ALL "")
debian_package(command modalua net "" "libreadline8, ${DATABASES}" "orthanc, lua5.4, ${LIBRARY_PACKAGE}"
  "Lua scripts for DICOM query and retrieve through Orthanc" "${ABOUT}
This package has the command with its verbs, its prompt and its playground, and
the module for Lua 5.4 of Debian.")
debian_package(library ${LIBRARY_PACKAGE} libs "" "${DATABASES}" ""
  "Lua scripts for DICOM query and retrieve - shared library" "${ABOUT}
This package has the shared library for programs in C. Its Lua is inside, and
meets no other Lua of the program.")
debian_package(development libmodalua-dev libdevel "${LIBRARY_PACKAGE} (= ${VERSION})"
  "libcurl4-openssl-dev | libcurl-dev, liblua5.4-dev, pkgconf | pkg-config" "modalua"
  "Lua scripts for DICOM query and retrieve - development files" "${ABOUT}
This package has the header, the static library, and what pkg-config and CMake
need to find them. The recommended packages are for the static library.")
if(TARGET orthanc_plugin)
  debian_package(plugin orthanc-modalua science "${LIBRARY_PACKAGE} (= ${VERSION}), orthanc (>= ${ORTHANC_PLUGIN_NEEDS})" "" "modalua"
    "Lua scripts for DICOM query and retrieve - plugin for Orthanc" "${ABOUT}
This package has the plugin for the Orthanc server, which runs scripts inside
the server.")
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib) # the plugin's libmodalua is of the same build
endif()

# ---- the source: all files of the source folder but the builds and git's ----
set(CPACK_SOURCE_GENERATOR TGZ)
set(CPACK_SOURCE_PACKAGE_FILE_NAME modalua-${PROJECT_VERSION})
set(CPACK_SOURCE_IGNORE_FILES "^${CMAKE_SOURCE_DIR}/build/" "^${CMAKE_SOURCE_DIR}/\\\\.git" "/compile_commands\\\\.json$" "~$")

include(CPack)
