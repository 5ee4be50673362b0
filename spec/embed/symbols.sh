#!/bin/sh
# What the libraries export is what was decided: symbols.sh LIBRARY MODULE, libmodalua.so and the module for stock Lua.
set -eu
library=$1
module=$2
cd "$(dirname "$0")/../.."
export LC_ALL=C

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
failed=0
fail() { echo "symbols: $*" >&2; failed=1; }

# exported FILE
exported() { nm -D --defined-only "$1" | sed 's/.* //' | sort; }

exported "$library" >"$work/library"
diff -u src/packaging/symbols.txt "$work/library" >&2 ||
    fail "src/packaging/symbols.txt (-) is not what libmodalua.so exports (+). If that is meant, make it so there, and say in CHANGELOG.md what changes."

# The header declares those, and no others.
tr '\n' ' ' <src/modalua.h | grep -o 'MODALUA_API [^(;]*(' | sed 's/ *($//; s/.*[ *]//' | grep '^modalua_' | sort >"$work/declared"
grep -v '^luaopen_' src/packaging/symbols.txt >"$work/functions"
diff -u "$work/functions" "$work/declared" >&2 || fail "src/packaging/symbols.txt (-) is not what src/modalua.h declares (+)."
while read -r name; do
    grep -qw -e "$name" CHANGELOG.md || fail "CHANGELOG.md does not name $name."
done <"$work/functions"

# The module takes its Lua from who loads it.
exported "$module" >"$work/module"
grep '^luaopen_' src/packaging/symbols.txt >"$work/openers"
diff -u "$work/openers" "$work/module" >&2 || fail "The module (+) does not export the openers of src/packaging/symbols.txt (-), and nothing else."
if nm "$module" | grep -E ' [Tt] luaL?_' >&2; then fail "The module has a Lua inside."; fi
if readelf -d "$module" | grep -E 'NEEDED.*\[liblua[0-9.]*\.so' >&2; then fail "The module is linked with a Lua."; fi
exit $failed
