# CPack runs this on the finished Debian packages. In those of the libraries it changes what CPack cannot make: a trigger takes the place of the
# scripts that call ldconfig, and packages of several architectures can be installed together.
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(PACKAGE IN LISTS CPACK_PACKAGE_FILES)
  if(PACKAGE MATCHES "/libmodalua[^/]*\\.deb$")
    set(ROOT ${PACKAGE}.root)
    run(dpkg-deb --raw-extract ${PACKAGE} ${ROOT})
    if(EXISTS ${ROOT}/DEBIAN/postinst)
      file(REMOVE ${ROOT}/DEBIAN/postinst ${ROOT}/DEBIAN/postrm)
      file(WRITE ${ROOT}/DEBIAN/triggers "activate-noawait ldconfig\n")
    endif()
    file(READ ${ROOT}/DEBIAN/control CONTROL)
    string(STRIP "${CONTROL}" CONTROL)
    file(WRITE ${ROOT}/DEBIAN/control "${CONTROL}\nMulti-Arch: same\n")
    run(dpkg-deb --root-owner-group --build ${ROOT} ${PACKAGE})
    file(REMOVE_RECURSE ${ROOT})
  endif()
endforeach()
