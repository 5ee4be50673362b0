#!/bin/sh
# Runs a command on a machine that is busy: scripts/busy.sh COMMAND [ARGUMENT…]. Four endless loops compete with it for the processors, and
# end with it. Specs must be green so as well: none may depend on how fast the machine is.
set -eu
loops=""
for _ in 1 2 3 4; do
    sh -c 'while :; do :; done' &
    loops="$loops $!"
done
# shellcheck disable=SC2064,SC2086 # now, and a list of words
trap "kill $loops" EXIT
trap 'exit 1' HUP INT TERM
"$@"
