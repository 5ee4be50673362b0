#!/bin/sh
# Which lines of src/ the tests execute: spec/coverage.sh [CTEST ARGUMENTS...]
#
# Builds the preset coverage, runs its tests (with arguments only those that they select, for example -R spec-find), and prints for each file
# the percentage of executed lines, the lowest first, then the percentage of all. build/coverage/gcov/ has each file with its counts.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

cmake --preset coverage >/dev/null
cmake --build --preset coverage -j "$(nproc)" >/dev/null
find build/coverage -name '*.gcda' -delete
failed=0
ctest --preset coverage "$@" || failed=$?

counts=build/coverage/gcov
rm -rf "$counts"
mkdir -p "$counts"
find "$root/build/coverage/CMakeFiles" -path '*/src/*' -name '*.gcda' >"$counts/list"
[ -s "$counts/list" ] || { echo "no test has executed code of src/" >&2; exit 1; }
(cd "$counts" && xargs gcov --preserve-paths --relative-only --source-prefix "$root" <list 2>/dev/null) |
    awk -F "[':% ]+" '
        /^File / { file = $2 }
        /^Lines executed/ { if (file ~ /^src\/.*\.c$/) { printf "%6.2f %% of %5d  %s\n", $3, $5, file | "sort -n"; hit += $3 * $5; all += $5 } file = "" }
        END { close("sort -n"); printf "%6.2f %% of %5d  all of src/\n", hit / all, all }'
exit $failed
