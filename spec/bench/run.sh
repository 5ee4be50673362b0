#!/bin/sh
# Measures modalua against what it stands on, each pair interleaved in one run: spec/bench/run.sh [BUILD_FOLDER]
# Needs a release build (scripts/test.sh makes one).
set -eu
cd "$(dirname "$0")/../.."
build=${1:-build/release}
bin=$build/bin
script=$(mktemp)
trap 'rm -f "$script"' EXIT
echo 'local n = 0 for i = 1, 100 do n = n + i end assert(n == 5050)' >"$script"

echo "Start-up: a script without a request; modalua, and a bare C program that links Lua and libcurl the same way"
"$bin/pair" 101 "$bin/modalua" "$script" -- "$bin/bare" "$script"

echo "JSON: an answer list of 1,000 studies"
"$bin/modalua" spec/bench/json.lua

MODALUA_SERVE=$bin/serve MODALUA_LAG=$bin/lag "$bin/modalua" spec/bench/modality.lua "$bin"
