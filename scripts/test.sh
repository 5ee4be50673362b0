#!/bin/sh
# Installs what is missing, builds, and runs the tests: as shipped, under AddressSanitizer with leak checks and
# UndefinedBehaviorSanitizer, and, what has threads, under ThreadSanitizer. With --all also an archive of 2 GB, a long fuzz of
# the JSON scanner, and the figures.
set -eu
cd "$(dirname "$0")/.."

all=no
case "${1:-}" in
"") ;;
--all) all=yes ;;
*) echo "usage: scripts/test.sh [--all]" >&2; exit 2 ;;
esac

if [ $all = yes ]; then scripts/packages.sh --all; else scripts/packages.sh; fi
jobs=$(nproc)

# build PRESET: configures and builds it, quietly unless it fails.
build() {
    echo "== building: $1"
    log=build/$1.log
    mkdir -p build
    { cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"; } >"$log" 2>&1 || { cat "$log"; echo "the build of $1 failed" >&2; exit 1; }
}

for preset in tsan asan release; do
    build "$preset"
    echo "== testing: $preset"
    ctest --preset "$preset" -j "$jobs"
done

if [ $all = yes ]; then
    build apicheck
    echo "== testing: apicheck"
    ctest --preset apicheck -j "$jobs" -R '^spec-'
    echo "== an archive of 2 GB, up and down"
    MODALUA_BIG_MB=2048 ctest --preset release -R spec-files --verbose | grep -E "archive of|tests passed|Failed"
    spec/fuzz/run.sh 600
    spec/bench/run.sh
fi
