#!/bin/bash
# Installs what is missing, builds modalua, starts an Orthanc of its own on free ports, and runs a script that talks to it.
# Leaves no process, no service and no file behind but the build.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/packages.sh
echo "== building"
log=build/demo.log
mkdir -p build
{ cmake --preset release && cmake --build --preset release -j "$(nproc)" --target modalua_command serve; } >"$log" 2>&1 ||
    { cat "$log"; echo "the build failed" >&2; exit 1; }

folder=$(mktemp -d)
trap 'exec 3<&-; rm -rf "$folder"' EXIT
read -r http dicom < <(build/release/bin/serve --free-ports 2 | xargs)
cat >"$folder/orthanc.json" <<END
{ "Name": "DEMO", "StorageDirectory": "$folder/db", "IndexDirectory": "$folder/db", "HttpPort": $http, "DicomPort": $dicom,
  "DicomAet": "DEMO", "RemoteAccessAllowed": false, "AuthenticationEnabled": false, "Plugins": [],
  "DicomAlwaysAllowEcho": false, "DicomAlwaysAllowStore": false, "DicomCheckCalledAet": true, "DicomModalities": {} }
END
echo "== starting Orthanc on port $http"
exec 3< <(SERVE_LOG=$folder/log SERVE_GRACE=0 exec build/release/bin/serve "$http" 30 -- "$(PATH=$PATH:/usr/sbin command -v Orthanc)" "$folder/orthanc.json")
read -r -u 3 ready
[ "$ready" = ready ] || { echo "Orthanc did not start: $ready" >&2; exit 1; }

echo "== running scripts/first_steps.lua"
MODALUA_URL=http://127.0.0.1:$http build/release/bin/modalua scripts/first_steps.lua
