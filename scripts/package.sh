#!/bin/sh
# Makes the Debian packages and the source tarball in build/package/packages: modalua, libmodalua0.1, libmodalua-dev and orthanc-modalua
# for the Debian that it runs on, and modalua-VERSION.tar.gz. Installs missing packages first. DEBFULLNAME and DEBEMAIL, as for other tools
# of Debian, name the maintainer.
set -eu
cd "$(dirname "$0")/.."

scripts/packages.sh
build=build/package
log=build/package.log
mkdir -p build
# The time of all files in the packages, so that two runs make the same: that of the last commit, or else of the last change noted.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH
DEB_BUILD_MAINT_OPTIONS=hardening=+bindnow
export DEB_BUILD_MAINT_OPTIONS
flags="$(dpkg-buildflags --get CPPFLAGS) $(dpkg-buildflags --get CFLAGS)"

echo "== building"
{ cmake -S . -B $build -DCMAKE_BUILD_TYPE=None -DBUILD_TESTING=OFF -DCMAKE_INSTALL_PREFIX=/usr "-DCMAKE_C_FLAGS=-DNDEBUG $flags" \
    "-DCMAKE_EXE_LINKER_FLAGS=$(dpkg-buildflags --get LDFLAGS)" "-DCMAKE_SHARED_LINKER_FLAGS=$(dpkg-buildflags --get LDFLAGS)" \
    "-DCMAKE_MODULE_LINKER_FLAGS=$(dpkg-buildflags --get LDFLAGS)" \
    ${DEBEMAIL:+"-DMODALUA_MAINTAINER=${DEBFULLNAME:-modalua maintainers} <$DEBEMAIL>"} &&
    cmake --build $build -j "$(nproc)"; } >"$log" 2>&1 || { cat "$log"; echo "the build failed" >&2; exit 1; }

echo "== packing"
out=$PWD/$build/packages
rm -rf "$out"
for config in CPackConfig.cmake CPackSourceConfig.cmake; do
    cpack --config $build/$config -B "$out" >>"$log" 2>&1 || { cat "$log"; echo "cpack failed" >&2; exit 1; }
done
rm -rf "$out/_CPack_Packages"
ls -1 "$out"
