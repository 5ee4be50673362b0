#!/bin/sh
# Installs missing packages, builds modalua without its tests, and runs a script in its playground, which consists of three real Orthanc
# servers.
# The script leaves no process and no service behind, and no file except the build.
set -eu
cd "$(dirname "$0")/.."

scripts/packages.sh
echo "== building"
log=build/demo.log
mkdir -p build
{ cmake --preset release && cmake --build --preset release -j "$(nproc)" --target installable; } >"$log" 2>&1 ||
    { cat "$log"; echo "the build failed" >&2; exit 1; }

echo "== running scripts/first_steps.lua in the playground"
exec build/release/bin/modalua playground scripts/first_steps.lua
