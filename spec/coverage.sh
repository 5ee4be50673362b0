#!/bin/sh
# Which lines of src/ and of the Lua half the tests execute: spec/coverage.sh [CTEST ARGUMENTS...]
#
# Builds the preset coverage, runs its tests (with arguments only those that they select, for example -R spec-find), and prints for each file
# the percentage of executed lines, the lowest first, then the percentage of all. build/coverage/gcov/ has each C file with its counts, and
# build/coverage/lua/ each Lua file with marks. Without arguments it fails when fewer lines of all are executed than C_LEAST and LUA_LEAST.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

C_LEAST=96
LUA_LEAST=97
[ $# -eq 0 ] || { C_LEAST=0; LUA_LEAST=0; }

cmake --preset coverage >/dev/null
cmake --build --preset coverage -j "$(nproc)" >/dev/null
find build/coverage -name '*.gcda' -delete
rm -rf build/coverage/lua_lines build/coverage/lua
mkdir -p build/coverage/lua_lines build/coverage/lua
failed=0
# Without the tests that the counting of lines disturbs: kill bounds the time that a script has after its end, and counted code is slower;
# surroundings limits the size of files and the memory, and a process that cannot write its counts damages those of the others.
ctest --preset coverage -j "$(nproc)" -E '^(lint-|installed|symbols|kill$|spec-surroundings$)' "$@" || failed=$?

counts=build/coverage/gcov
rm -rf "$counts"
mkdir -p "$counts"
find "$root/build/coverage/CMakeFiles" -path '*/src/*' -name '*.gcda' >"$counts/list"
[ -s "$counts/list" ] || { echo "no test has executed code of src/" >&2; exit 1; }
(cd "$counts" && xargs gcov --preserve-paths --relative-only --source-prefix "$root" <list 2>/dev/null) |
    awk -F "[':% ]+" -v least="$C_LEAST" '
        /^File / { file = $2 }
        /^Lines executed/ { if (file ~ /^src\/.*\.c$/) { printf "%6.2f %% of %5d  %s\n", $3, $5, file | "sort -n"; hit += $3 * $5; all += $5 } file = "" }
        END {
            close("sort -n")
            printf "%6.2f %% of %5d  all of src/\n", hit / all, all
            if (hit / all < least) {
                printf "%.2f %% of the C lines are executed, and %g %% is the least\n", hit / all, least >"/dev/stderr"
                exit 1
            }
        }' || failed=1
lua5.4 spec/support/line_coverage.lua build/coverage/lua_lines build/coverage/lua "$LUA_LEAST" || failed=1
exit $failed
