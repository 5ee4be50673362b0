#!/bin/sh
# Builds modalua, and runs one spec or one test program by its name:
#
#   scripts/spec.sh [--asan|--tsan|--coverage|--apicheck|--dev] [--busy] NAME [ARGUMENT…]
#
# NAME is a test of ctest, with or without its spec- (find: spec/find_spec.lua). Further arguments go to busted: --filter TITLE, --repeat 10.
# Without a name, or with an unknown name, it lists the names. With --busy, four endless loops run at the same time (scripts/busy.sh).
set -eu
cd "$(dirname "$0")/.."

preset=release
wrapper=""
while :; do
    case "${1:-}" in
    --release | --asan | --tsan | --coverage | --apicheck | --dev) preset=${1#--} ;;
    --busy) wrapper=scripts/busy.sh ;;
    -*) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done

scripts/packages.sh
mkdir -p build
log=build/$preset.log
{ [ -f "build/$preset/CTestTestfile.cmake" ] || cmake --preset "$preset"; } >"$log" 2>&1 && cmake --build --preset "$preset" -j "$(nproc)" >"$log" 2>&1 ||
    { cat "$log" >&2; echo "the build of $preset failed" >&2; exit 1; }
ctest --preset "$preset" --show-only=json-v1 >"build/$preset/tests.json"
# shellcheck disable=SC2086 # $wrapper may be empty
exec $wrapper lua5.4 spec/support/run_test.lua "build/$preset/tests.json" "$@"
