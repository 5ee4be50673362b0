#!/bin/sh
# Fuzzes with libFuzzer: spec/fuzz/run.sh [SECONDS [TARGET…]]
#
# Builds the targets (NAME_fuzz.c here), and runs each for SECONDS (60), beginning with its corpus; as many at a time as there are processors.
# Inputs that find something, and new ones that reach new code, are saved in build/fuzz/found/NAME. Without a TARGET it runs all of them.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(ls spec/fuzz/*_fuzz.c | sed 's!.*/\(.*\)_fuzz\.c!\1!')

log=build/fuzz.log
mkdir -p build
{ [ -f build/fuzz/Makefile ] || cmake --preset fuzz; } >"$log" 2>&1 && cmake --build --preset fuzz -j "$(nproc)" >>"$log" 2>&1 ||
    { cat "$log" >&2; echo "the build of the fuzz targets failed" >&2; exit 1; }

# A target prints one line at its end, or all that it has to say when it fails.
cat >build/fuzz/one.sh <<'END'
name=$1 seconds=$2
found=build/fuzz/found/$name
mkdir -p "$found"
options=""
[ ! -f "spec/fuzz/$name.dict" ] || options="-dict=spec/fuzz/$name.dict"
build/fuzz/bin/fuzz-$name -max_total_time=$seconds -max_len=4096 -timeout=60 -print_final_stats=1 -verbosity=0 $options \
    -artifact_prefix="$found/" "$found" "spec/fuzz/corpus/$name" >"$found.log" 2>&1 || { cat "$found.log"; echo "== $name: an input that fails is in $found"; exit 1; }
echo "== $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log") runs in $seconds s"
END
printf '%s\n' "$@" | xargs -P "$(nproc)" -I NAME sh build/fuzz/one.sh NAME "$seconds"
