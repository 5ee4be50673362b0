#!/bin/sh
# Installs what is missing, builds modalua, and runs a script in its playground: three real Orthanc servers, which echo, find and move.
# Leaves no process, no service and no file behind but the build.
set -eu
cd "$(dirname "$0")/.."

scripts/packages.sh
echo "== building"
log=build/demo.log
mkdir -p build
{ cmake --preset release && cmake --build --preset release -j "$(nproc)" --target modalua_command; } >"$log" 2>&1 ||
    { cat "$log"; echo "the build failed" >&2; exit 1; }

echo "== running scripts/first_steps.lua in the playground"
exec build/release/bin/modalua playground scripts/first_steps.lua
