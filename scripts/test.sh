#!/bin/sh
# Installs missing packages, builds modalua, and runs the tests: the release build, the build with AddressSanitizer, LeakSanitizer and
# UndefinedBehaviorSanitizer, and the tests with threads under ThreadSanitizer. Then it fuzzes each target of spec/fuzz for three seconds. With
# --all, it also runs everything with Lua's own checks, transfers an archive of 2 GB, tries 10 000 random searches, kills
# transfers of 2 000 studies, changes every answer of an Orthanc in every way, works for an hour without a pause (spec/soak_spec.lua),
# installs the packages in a bare Debian, runs programs of hosts under valgrind, runs GCC's analyzer, measures which lines are executed,
# fuzzes each target for two minutes and the operations for ten, and measures the figures of spec/bench.
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

# build PRESET: configures and builds it, and prints the log only when this fails.
build() {
    echo "== building: $1"
    log=build/$1.log
    mkdir -p build
    { cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs"; } >"$log" 2>&1 || { cat "$log"; echo "the build of $1 failed" >&2; exit 1; }
}

# run PRESET: its tests. With --all, each spec that talks to an Orthanc does so with each version (spec/support/versions.lua).
run() {
    echo "== testing: $1"
    MODALUA_EVERY_ORTHANC=$all ctest --preset "$1" -j $((3 * jobs)) # most specs wait for servers most of the time
}

for preset in tsan asan release; do
    build "$preset"
    run "$preset"
done

echo "== fuzzing"
if [ $all = yes ]; then spec/fuzz/run.sh 120; else spec/fuzz/run.sh 3; fi

if [ $all = yes ]; then
    build apicheck
    run apicheck
    echo "== an archive of 2 GB, up and down"
    MODALUA_BIG_MB=2048 ctest --preset release -R spec-files --verbose | grep -E "archive of|tests passed|Failed"
    echo "== 10 000 random searches, compared with an oracle"
    MODALUA_QUERIES=10000 MODALUA_SEED=$(date +%s) ctest --preset release -R spec-truth_property --verbose |
        grep -E "searches|moves|seed|tests passed|Failed"
    echo "== every time zone, compared with the program date"
    MODALUA_ZONES=all scripts/spec.sh transfer_pace
    echo "== transfers of 2 000 studies that are killed 20 times, and 100 studies through the plugin for Orthanc"
    for name in transfer_crash transfer_error transfer_postgres orthanc_plugin_migration; do MODALUA_KILLS=20 scripts/spec.sh $name; done
    echo "== every answer changed in every way"
    MODALUA_EVERY_ORTHANC=yes MODALUA_MUTATIONS=all scripts/spec.sh --asan mutate
    echo "== an hour of work without a pause"
    MODALUA_SOAK_MINUTES=60 ctest --preset release -R spec-soak
    echo "== the packages, in a bare Debian"
    if [ "$(id -u)" -eq 0 ]; then spec/packages/check.sh --build; else echo "skipped: debootstrap needs root"; fi
    echo "== programs of hosts under valgrind"
    spec/memcheck.sh
    echo "== GCC's analyzer"
    spec/lint.sh analyzer build/release
    echo "== the lines that are executed"
    spec/coverage.sh
    echo "== the operations of a modality with random arguments and answers, for ten minutes"
    MODALUA_FAULTD=build/asan/bin/faultd build/asan/bin/modalua spec/fuzz/modality_fuzz.lua 600
    spec/bench/run.sh
fi
