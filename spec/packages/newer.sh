#!/bin/sh
# What check.sh --build runs in a newer Debian: the source tarball, which is in its folder, is built with the libraries there, and passes the
# fast tests.
set -eu
cd "$(dirname "$0")"

# quietly COMMAND...: runs COMMAND, and shows its output only if it fails.
quietly() { "$@" >/tmp/log 2>&1 || { cat /tmp/log >&2; echo "newer: this failed: $*" >&2; exit 1; }; }

tar -x -f modalua-*.tar.gz
cd modalua-*/
echo "== the packages that the build and the tests need"
quietly scripts/packages.sh
curl-config --version
echo "== building"
quietly cmake --preset release
quietly cmake --build --preset release -j "$(nproc)"
echo "== testing"
ctest --preset release -j "$((3 * $(nproc)))" -L fast
