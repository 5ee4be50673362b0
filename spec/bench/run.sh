#!/bin/sh
# Measures modalua against what it stands on and what it stands beside, each pair interleaved in one run; prints medians, their ratios and
# the goals, and leaves figures.tsv and figures.svg in BUILD_FOLDER/bench.
#
#   spec/bench/run.sh [--quick] [--keep] [--only SUBJECT] [BUILD_FOLDER]
#
# --quick: fewer runs, the installed Orthanc alone; --keep: also writes them, and the counts of instructions, into spec/bench, and
# the table of spec/bench/README.md; --only: one of the subjects below, without a chart; what is kept of the others stays as it is.
# Needs a release build and the packages that `scripts/packages.sh --all` installs.
set -eu
cd "$(dirname "$0")/../.."

keep=no
quick=no
subjects="start prompt json tasks instructions hosting finds echoes moves transfer plugin"
only=""
while :; do
    case "${1:-}" in
    --quick) quick=yes ;;
    --keep) keep=yes ;;
    --only)
        shift
        only=${1:-}
        case " $subjects " in *" $only "*) ;; *) echo "--only takes one of: $subjects" >&2; exit 2 ;; esac
        subjects=$only
        ;;
    -*) echo "usage: spec/bench/run.sh [--quick] [--keep] [--only SUBJECT] [BUILD_FOLDER]" >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done
build=${1:-build/release}
bin=$build/bin
for program in "$bin/modalua" "$bin/pair" "$bin/bare" "$bin/hosting" "$bin/serve" "$bin/lag" "$bin/dicomd" "$bin/terminal"; do
    [ -x "$program" ] || { echo "$program is missing: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
done
python=/usr/bin/python3 # what a version manager puts before it takes longer to start
[ -x "$python" ] || python=python3
for program in curl wrk findscu movescu valgrind "$python"; do
    command -v "$program" >/dev/null || { echo "$program is missing: scripts/packages.sh --all installs it" >&2; exit 1; }
done
"$python" -c 'import httpx' || { echo "Python's httpx is missing: scripts/packages.sh --all installs it" >&2; exit 1; }

orthancs=""
if [ $quick = no ]; then
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/modalua
    for suite in trixie sid; do
        spec/support/fetch_orthanc.sh "$suite" "$cache/orthanc-$suite"
        orthancs="$orthancs${orthancs:+:}$cache/orthanc-$suite/run"
    done
fi

mkdir -p "$build/bench"
figures=$build/bench/figures.tsv
chart=$build/bench/figures.svg
: >"$figures"
export BENCH_BIN="$bin" BENCH_QUICK=$quick BENCH_KEEP=$keep BENCH_FIGURES="$figures" BENCH_PYTHON="$python"
export MODALUA="$bin/modalua" MODALUA_PLUGIN="$(cd "$build" && pwd)/lib/libOrthancModalua.so" MODALUA_ORTHANCS="$orthancs" MODALUA_SERVE="$bin/serve" MODALUA_LAG="$bin/lag" MODALUA_DICOMD="$bin/dicomd"

for subject in $subjects; do
    "$bin/modalua" "spec/bench/$subject.lua"
done
if [ -z "$only" ]; then
    "$bin/modalua" spec/bench/chart.lua "$figures" >"$chart"
elif [ $keep = yes ]; then # the other figures, and then these
    awk -F '\t' 'NR == FNR { new[$1, $2]; next } !(($1, $2) in new)' "$figures" spec/bench/figures.tsv >"$figures.all"
    cat "$figures" >>"$figures.all"
    mv "$figures.all" "$figures"
    cp spec/bench/figures.svg "$chart"
fi
if [ $keep = yes ]; then
    cp "$figures" "$chart" spec/bench/
    "$bin/modalua" spec/bench/table.lua "$figures" spec/bench/README.md
fi
printf '\n%s figures, of which %s goals are not reached; %s\n' "$(wc -l <"$figures")" "$(grep -c 'NOT reached' "$figures" || true)" "$build/bench"
