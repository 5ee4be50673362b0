#!/bin/sh
# Fuzzes the JSON scanner: spec/fuzz/run.sh [SECONDS]. A crash leaves its input in build/fuzz.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p build/fuzz
clang -std=c11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -iquote src \
    spec/fuzz/json_fuzz.c src/jscan.c -o build/fuzz/json_fuzz
echo "== fuzzing the JSON scanner for ${1:-60} s"
build/fuzz/json_fuzz -max_total_time="${1:-60}" -print_final_stats=1 -verbosity=0 -artifact_prefix=build/fuzz/ -max_len=4096
