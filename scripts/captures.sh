#!/bin/sh
# Writes src/command/captures: what the prompt of the playground shows in a window of 40, 80 and 200 columns. It needs tmux.
#
#   scripts/captures.sh [path of the command]
set -eu
cd "$(dirname "$0")/.."
command=${1:-build/release/bin/modalua}

on_screen() { tmux -f /dev/null -L "captures-$$-$columns" "$@"; }
trap 'on_screen kill-server 2>/dev/null || true' EXIT

# Waits until the prompt is empty, which it is after each input.
wait_for_prompt() {
    tries=0
    until on_screen capture-pane -p | grep -v '^ *$' | tail -1 | grep -q '^> *$'; do
        tries=$((tries + 1))
        [ "$tries" -lt 300 ] || { echo "no prompt comes:" >&2; on_screen capture-pane -p >&2; exit 1; }
        sleep 0.1
    done
}

for columns in 40 80 200; do
    on_screen new-session -d -x "$columns" -y 150 "LC_ALL=C.UTF-8 MODALUA_HISTORY= XDG_CONFIG_HOME=/nowhere PAGER= $command playground"
    wait_for_prompt
    while IFS= read -r input; do
        on_screen send-keys -l "$input"
        sleep 0.2 # until the input is shown, so that the prompt is not empty
        on_screen send-keys Enter
        wait_for_prompt
    done <<'INPUTS'
pacs = orthanc:modality "pacs"
undo = orthanc:use_utf8()
f = pacs:find { Level = "Study", Query = { StudyDate = "2023-", PatientName = "" } }
f = pacs:find { Level = "Study", Query = { StudyDate = "20230601-", PatientName = "", StudyDescription = "" } }
f
.mode lines
f[1]
.mode table
pacs:fnid {}
pacs:move(f, { to = "archvie" })
pacs:move(f, { to = "archive" })
1, _
orthanc:changes()
help(pacs)
?StudyDate
INPUTS
    on_screen capture-pane -p | sed 's/ *$//' | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' |
        sed 's/127\.0\.0\.1:[0-9]*/127.0.0.1:8042/' >"src/command/captures/$columns.txt"
    on_screen kill-server
done
