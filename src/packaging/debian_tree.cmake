# CPack runs this on the installed files of each component before it makes their Debian packages. It adds and changes what only these
# need: licences, the history of the package, compressed manual pages, and a static library without debug information.
cmake_minimum_required(VERSION 3.25)
if(NOT CPACK_GENERATOR STREQUAL "DEB")
  return()
endif()

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

string(TIMESTAMP NOW "%a, %d %b %Y %H:%M:%S +0000" UTC)
foreach(COMPONENT IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${COMPONENT} KEY)
  set(NAME ${CPACK_DEBIAN_${KEY}_PACKAGE_NAME})
  set(ROOT ${CPACK_TEMPORARY_DIRECTORY}/${COMPONENT}/usr)
  set(DOC ${ROOT}/share/doc/${NAME})
  file(MAKE_DIRECTORY ${DOC})
  file(COPY ${CMAKE_CURRENT_LIST_DIR}/copyright DESTINATION ${DOC})
  file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/../../CHANGELOG.md ${DOC}/changelog)
  file(WRITE ${DOC}/changelog.Debian "modalua (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium

  * Built from the sources of modalua ${CPACK_PACKAGE_VERSION}: see changelog.gz.

 -- ${CPACK_DEBIAN_PACKAGE_MAINTAINER}  ${NOW}
")
  file(GLOB PAGES ${ROOT}/share/man/man*/*)
  run(gzip -9nf ${DOC}/changelog ${DOC}/changelog.Debian ${PAGES})
  file(GLOB_RECURSE ARCHIVES ${ROOT}/lib/*.a)
  if(ARCHIVES)
    run(${CMAKE_COMMAND} -E env strip --strip-debug --remove-section=.comment --enable-deterministic-archives ${ARCHIVES})
  endif()
  if(COMPONENT STREQUAL "command")
    file(WRITE ${ROOT}/share/lintian/overrides/${NAME} "# libedit, for a prompt without readline, is static: four more shared libraries would make every start slower.
${NAME}: embedded-library ncurses *
")
  elseif(COMPONENT STREQUAL "development")
    file(CREATE_LINK ../modalua/spec/embed ${DOC}/examples SYMBOLIC)
  endif()
endforeach()
