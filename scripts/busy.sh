#!/bin/sh
# Runs a command on a busy machine: scripts/busy.sh COMMAND [ARGUMENT…]. Four endless loops compete with the command for the processors,
# and end with it. The specs must pass in this way too: none may depend on the speed of the machine.
set -eu
loops=""
for _ in 1 2 3 4; do
    sh -c 'while :; do :; done' &
    loops="$loops $!"
done
# shellcheck disable=SC2064,SC2086 # $loops is expanded now, and is a list
trap "kill $loops" EXIT
trap 'exit 1' HUP INT TERM
"$@"
