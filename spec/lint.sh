#!/bin/sh
# Lint: spec/lint.sh STEP BUILD_FOLDER, where STEP is `format` (clang-format of all C), `tidy` (clang-tidy of src/, by .clang-tidy) or `luacheck`.
# Prints what is wrong, and fails then.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
format) find src spec -name '*.[ch]' -o -name '*.cpp' | xargs clang-format --dry-run -Werror ;;
tidy) printf '%s\n' src/*/*.c | xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$2" 2>/dev/null ;;
luacheck) luacheck --quiet lua spec scripts ;;
*) echo "usage: spec/lint.sh format | tidy BUILD_FOLDER | luacheck" >&2; exit 2 ;;
esac
