#!/bin/sh
# Makes the packages, and tries them in a bare Debian, as root: spec/packages/check.sh [--build] [SUITE]
#
# SUITE is a Debian, by default that of this machine. In a bare one (in_root.sh) the packages are installed with apt, used (inside.sh), and
# removed. With --build, `scripts/demo.sh` and `luarocks make` then build the source tarball there, and the fast tests run on newer Debians
# (newer.sh). lintian must find no error and no warning.
set -eu
cd "$(dirname "$0")/../.."

build=""
[ "${1:-}" != --build ] || { build=$1; shift; }
suite=${1:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
packages=$PWD/build/package/packages

scripts/package.sh

echo "== lintian"
# The packages are not for Debian's archive: no bug there asks for them. And the maintainer is whoever makes the packages.
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs,bogus-mail-host "$packages"/*.deb

trial=build/package/trial
rm -rf "$trial"
mkdir "$trial"
cp "$packages"/* spec/packages/inside.sh spec/packages/newer.sh spec/embed/ten.c "$trial/"
# shellcheck disable=SC2086 # it may be empty
spec/packages/in_root.sh "$suite" "$trial" inside.sh $build
if [ -n "$build" ]; then
    for newer in trixie sid; do
        spec/packages/in_root.sh $newer "$trial" newer.sh
    done
fi
echo "the packages work"
