#!/bin/sh
# Fuzzes the JSON scanner, then the operations of a modality, for SECONDS each: spec/fuzz/run.sh [SECONDS]. If the scanner crashes, its
# input is saved in build/fuzz. The fuzzer of the operations first prints its seed. Needs an ASan build, which scripts/test.sh makes.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/fuzz
clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -iquote src \
    spec/fuzz/json_fuzz.c src/json/scan.c src/json/number.c src/json/placeholder.c src/base/utf8.c -o build/fuzz/json_fuzz
echo "== fuzzing the JSON scanner for ${1:-60} s"
build/fuzz/json_fuzz -max_total_time="${1:-60}" -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/ -max_len=4096

echo "== fuzzing the operations of a modality for ${1:-60} s"
MODALUA_FAULTD=build/asan/bin/faultd build/asan/bin/modalua spec/fuzz/modality_fuzz.lua "${1:-60}"
