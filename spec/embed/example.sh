#!/bin/sh
# example.sh FAULTD NAME PROGRAM: checks that the example NAME, built as PROGRAM, prints exactly the expected text. FAULTD plays the Orthanc.
set -eu
faultd=$1
name=$2
program=$3
version='path=/system&to=/status%3Fcode=200%26type=application/json%26body={"Version":"1.12.7"}'

fail() { printf '%s\n' "example.sh: $name: $*" >&2; exit 1; }

# against MAP...: runs the program with a fault server that has these mappings.
against() { timeout 20 "$faultd" "$@" --run "$program"; }

# prints WANTED: checks the output of the program.
prints() {
    got=$(against "$version") || fail "it failed, and printed: $got"
    [ "$got" = "$1" ] || fail "it printed '$got' instead of '$1'"
}

# Talks with the example poll: sends a line when the answers to the last one have arrived. The second request is never answered. The 25 lines
# sent during this request must be answered at once. If a step waited for the network, each would take a second and the test would time out.
talk() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    mkfifo "$work/in" "$work/out"
    against "$version&times=1" 'path=/system&to=/hang' <"$work/in" >"$work/out" &
    exec 3>"$work/in" 4<"$work/out"
    answered asking '"1.12.7"'
    answered asking
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
        answered "one at a time"
    done
    exec 3>&-
    reads cancelled
    wait $! || fail "it failed"
}

# answered WANTED...: sends a line, and checks that the program answers with these lines.
answered() {
    echo >&3
    for wanted; do reads "$wanted"; done
}

# reads WANTED: reads a line from the program and checks it.
reads() {
    IFS= read -r line <&4 || fail "it ended before it printed '$1'"
    [ "$line" = "$1" ] || fail "it printed '$line' instead of '$1'"
}

case $name in
ten)
    prints '"1.12.7"'
    got=$("$program" bogus://x 2>&1) && fail "it takes the URL bogus://x"
    [ -n "$got" ] || fail "it says nothing about the URL bogus://x"
    ;;
poll) talk ;;
threads) prints 'version: "1.12.7"
pause: "rested"
sum: 500500
endless: cancelled' ;;
function) prints 'Ward 3	1.12.7
000007
000008
000009
host	unknown_patient	no such patient' ;;
viewer) prints 'showing ["1.12.7"]
{"code":"viewer","kind":"host","line":1,"message":"nothing to show","modalua_status":-3,"module":"viewer","op":"viewer.show","traceback":"stack traceback:\n\t[C]: in function '"'assert'"'\n\tviewer:1: in main chunk\n\t[C]: in ?","where":"viewer:1"}' ;;
uv) prints 'posted: 0, "TOLD"
"1.12.7"' ;;
glib) prints '"1.12.7"' ;;
watchdog) prints '1.12.7
the script has ended
a time limit ended the run
the script has ended
the process was ended' ;;
*) fail "there is no example with this name" ;;
esac
