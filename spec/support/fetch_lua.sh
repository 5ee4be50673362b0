#!/bin/sh
# Builds Debian's Lua 5.4 with its own checks and hard tests, under AddressSanitizer: fetch_lua.sh FOLDER
#
# FOLDER/liblua5.4.a and FOLDER/liblua5.4.so are the libraries. LUA_USE_APICHECK checks every call of Lua's C API (stack space, indices,
# types), and LUAI_ASSERT checks Lua's own invariants; a failed check ends the process with a message. HARDSTACKTESTS moves the stack at
# every call. HARDMEMTESTS and EMERGENCYGCTESTS collect all garbage at every opportunity, also inside functions that only set a field:
# see hard_lua.h, which also says how they are switched on. The source is Debian's source package, from the mirror that apt already uses;
# nothing is installed, and no root is needed. A folder that is complete, and made from these files, is left as it is.
set -eu
folder=$1
support=$(cd "$(dirname "$0")" && pwd)
made_from=$(cat "$0" "$support"/hard_lua.* | cksum)
[ "$(cat "$folder/made_from" 2>/dev/null)" != "$made_from" ] || exit 0

mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | head -n 1)
[ -n "$mirror" ] || { echo "apt has no source of Debian" >&2; exit 1; }

rm -rf "$folder.part"
mkdir -p "$folder.part/apt/lists/partial" "$folder.part/apt/cache/archives/partial"
here=$(cd "$folder.part" && pwd)
: >"$here/apt/status"
printf 'deb-src [check-valid-until=no signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s bookworm main\n' "$mirror" >"$here/apt/sources.list"
own_apt() {
    apt-get -q -o Dir::State="$here/apt" -o Dir::State::status="$here/apt/status" -o Dir::Cache="$here/apt/cache" \
        -o Dir::Etc::sourcelist="$here/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}
own_apt update >"$here/log" 2>&1 || { cat "$here/log" >&2; echo "the lists of Debian's source packages cannot be fetched" >&2; exit 1; }
(cd "$here" && own_apt source --download-only lua5.4 >>log 2>&1) ||
    { tail -n 20 "$here/log" >&2; echo "the source package of Lua 5.4 cannot be fetched" >&2; exit 1; }

# The source is compiled without Debian's patches; of these only the module paths matter here.
path=$(env -u LUA_PATH -u LUA_PATH_5_4 lua5.4 -e 'print(package.path)')
cpath=$(env -u LUA_CPATH -u LUA_CPATH_5_4 lua5.4 -e 'print(package.cpath)')
mkdir "$here/source" "$here/objects"
tar -x -f "$here"/lua5.4_*.orig.tar.* -C "$here/source" --strip-components=1
for file in "$support"/hard_lua.*; do
    cp "$file" "$here/source/src"
done
echo '#include "hard_lua.h"' >>"$here/source/src/llimits.h"
# The emergency collections have their condition in a function, which no header can replace.
sed -i 's/if (completestate(g) && ns > 0) .*/if (completestate(g) \&\& ns > 0 \&\& !g->gcstopem \&\& gcrunning(g) \&\& hard_lua_collects())/' "$here/source/src/lmem.c"
grep -q hard_lua_collects "$here/source/src/lmem.c" || { echo "lmem.c of this Lua is not as expected" >&2; exit 1; }
cd "$here/objects"
for file in "$here"/source/src/*.c; do
    case $file in */lua.c | */luac.c) continue ;; esac
    cc -std=gnu11 -O1 -g -fPIC -fsanitize=address -fno-omit-frame-pointer -DLUA_COMPAT_5_3 -DLUA_USE_LINUX \
        -DLUA_USE_APICHECK -DLUAI_ASSERT -DHARDSTACKTESTS -DHARDMEMTESTS -DEMERGENCYGCTESTS \
        "-DLUA_PATH_DEFAULT=\"$path\"" "-DLUA_CPATH_DEFAULT=\"$cpath\"" -I"$here/source/src" -c "$file"
done
ar rcs "$here/liblua5.4.a" ./*.o
cc -shared -fsanitize=address -Wl,-soname,liblua5.4.so -o "$here/liblua5.4.so" ./*.o -lm -ldl
rm -rf "$here/apt" "$here/objects" "$here"/lua5.4_* "$folder"
echo "$made_from" >"$here/made_from"
mv "$folder.part" "$folder"
