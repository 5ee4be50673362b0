#!/bin/sh
# Checks the exported symbols against src/packaging/symbols.txt: symbols.sh LIBRARY MODULE, where LIBRARY is libmodalua.so and MODULE the
# module for stock Lua.
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

# exported FILE: prints the exported symbols, sorted.
exported() { nm -D --defined-only "$1" | sed 's/.* //' | sort; }

exported "$library" >"$work/library"
diff -u src/packaging/symbols.txt "$work/library" >&2 ||
    fail "libmodalua.so (+) does not export the symbols of src/packaging/symbols.txt (-). If the change is intended, update this file and CHANGELOG.md."

# The header declares exactly the exported functions.
tr '\n' ' ' <src/modalua.h | grep -o 'MODALUA_API [^(;]*(' | sed 's/ *($//; s/.*[ *]//' | grep '^modalua_' | sort >"$work/declared"
grep -v '^luaopen_' src/packaging/symbols.txt >"$work/functions"
diff -u "$work/functions" "$work/declared" >&2 || fail "src/modalua.h (+) does not declare the functions of src/packaging/symbols.txt (-)."
while read -r name; do
    grep -qw -e "$name" CHANGELOG.md || fail "CHANGELOG.md does not mention $name."
done <"$work/functions"

# The module uses the Lua of the program that loads it, so it must not contain or link a Lua.
exported "$module" >"$work/module"
grep '^luaopen_' src/packaging/symbols.txt >"$work/openers"
diff -u "$work/openers" "$work/module" >&2 || fail "The module (+) must export exactly the luaopen_ functions of src/packaging/symbols.txt (-)."
if nm "$module" | grep -E ' [Tt] luaL?_' | grep -v ' lua_cjson_' >&2; then fail "The module contains a copy of Lua."; fi
if readelf -d "$module" | grep -E 'NEEDED.*\[liblua[0-9.]*\.so' >&2; then fail "The module is linked with a Lua library."; fi

# lua-cjson cannot end the process; in the library, Lua itself could.
if nm -D --undefined-only "$module" | grep -E ' (exit|_exit|abort|__assert_fail)(@|$)' >&2; then fail "The module can end the process."; fi

# The library has a Lua of its own, and asks the dynamic linker for no function of another one.
if nm -D --undefined-only "$library" | grep -E ' luaL?_' >&2; then fail "The library uses another Lua."; fi
if readelf -d "$library" | grep -E 'NEEDED.*\[liblua[0-9.]*\.so' >&2; then fail "The library is linked with a Lua library."; fi
for file in "$library" "$module"; do
    readelf -d "$file" | grep -q 'FLAGS_1.*NODELETE' || fail "dlclose can unload $file, while a thread of libcurl is in it."
done
exit $failed
