#!/bin/sh
# Lint: spec/lint.sh STEP BUILD_FOLDER, where STEP is
#   format     clang-format of all C
#   tidy       clang-tidy of src/, by .clang-tidy
#   luacheck   luacheck of all Lua
#   cppcheck   cppcheck of src/
#   analyzer   GCC's -fanalyzer of src/, which takes minutes: only scripts/test.sh --all runs it
# What they find changes with their versions, so format, tidy and cppcheck only judge with those of Debian 12, and are skipped with others (status 77).
# Prints what is wrong, and fails then. (-Wconversion is among the flags of the build.)
set -eu
cd "$(dirname "$0")/.."

# with TOOL VERSION: ends this script when TOOL has another version.
with() {
    "$1" --version | grep -q "$2" || { echo "skipped: $1 has another version than $2"; exit 77; }
}

case "${1:-}" in
format)
    with clang-format ' 14\.'
    find src spec -name '*.[ch]' -o -name '*.cpp' | xargs clang-format --dry-run -Werror
    ;;
tidy)
    with clang-tidy ' 14\.'
    printf '%s\n' src/*/*.c | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$2" 2>/dev/null
    ;;
luacheck) luacheck --quiet lua spec scripts src ;;
cppcheck)
    with cppcheck ' 2\.10'
    cppcheck -j "$(nproc)" --quiet --error-exitcode=1 --enable=warning,portability,performance --std=c11 \
        --library=spec/support/cppcheck.cfg -D_GNU_SOURCE '-DVERSION="0"' '-DHOST_LUA_NAMES(X)=' -DHOST_LUA_COUNT=1 -Isrc --suppress=missingIncludeSystem src
    ;;
analyzer)
    cmake -S . -B "$2/analyzer" -DBUILD_TESTING=OFF -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_COMPILE_WARNING_AS_ERROR=ON \
        -DCMAKE_C_FLAGS=-fanalyzer >/dev/null
    cmake --build "$2/analyzer" -j "$(nproc)" --target modalua_command >/dev/null
    ;;
*) echo "usage: spec/lint.sh format | tidy BUILD_FOLDER | luacheck | cppcheck | analyzer BUILD_FOLDER" >&2; exit 2 ;;
esac
