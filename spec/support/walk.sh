#!/bin/sh
# The way of a reader through the C files: which functions one operation enters, each when it is entered for the first time.
#
#   spec/support/walk.sh [--list] find|move|verified_move|get|store|worklist [PATTERN]
#
# Prints how many functions and files that are, and how often the way leads back to a file that it has left already; for all files, and for
# those whose path matches the Lua pattern (default: src/api/ and src/request/). With --list also the way itself. Builds modalua, with
# -finstrument-functions, in build/walk.
set -eu
cd "$(dirname "$0")/../.."

list=no
if [ "${1:-}" = --list ]; then
    list=yes
    shift
fi
[ $# -gt 0 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }

mkdir -p build/walk
{ cmake -S . -B build/walk -DCMAKE_BUILD_TYPE=Debug -DBUILD_TESTING=OFF "-DCMAKE_C_FLAGS=-O0 -finstrument-functions" &&
    cmake --build build/walk -j "$(nproc)" --target modalua_command; } >build/walk.log 2>&1 || { cat build/walk.log >&2; exit 1; }
cc -O1 -shared -fPIC -o build/walk/walk.so spec/support/walk.c
cc -O1 -D_GNU_SOURCE -o build/walk/serve spec/support/serve.c
MODALUA_SERVE=build/walk/serve WALK=build/walk/trace LD_PRELOAD=build/walk/walk.so build/walk/bin/modalua spec/support/walk.lua "$1"
sort -u build/walk/trace >build/walk/addresses
xargs addr2line -f -e build/walk/bin/modalua <build/walk/addresses >build/walk/names
lua5.4 spec/support/walk.lua --count "$list" "${2:-}" "$PWD/"
