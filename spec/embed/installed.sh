#!/bin/sh
# What `cmake --install` puts down works for those who find it: installed.sh BUILD, a folder in which everything has been built.
# The prefix is moved after the installation, so nothing in it may know where it was installed.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)

work=$(mktemp -d "$build/installed.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() { echo "installed: $*" >&2; exit 1; }

# quietly COMMAND...: shows what it says when it fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "this failed: $*"; }; }

# prints WANTED COMMAND...: COMMAND succeeds and prints just that.
prints() {
    wanted=$1
    shift
    got=$("$@") || fail "this failed: $*"
    [ "$got" = "$wanted" ] || fail "$* printed '$got', not '$wanted'"
}

# example NAME PROGRAM: prints what the example NAME prints.
example() { "$here/example.sh" "$build/bin/faultd" "$1" "$2" || fail "the example $1 does not do what it should: $2"; }

# needs FILE NAME: whether FILE asks for the shared library NAME, a pattern.
needs() { readelf -d "$1" | grep -qE "\(NEEDED\).*\[$2\]"; }

# ---- installed, and moved ----
quietly env DESTDIR="$work/root" cmake --install "$build" --prefix /first/place
prefix=$work/moved
mv "$work/root/first/place" "$prefix"
[ -z "$(find "$work/root" ! -type d)" ] || fail "files outside the prefix: $(find "$work/root" ! -type d)"
lib=$(dirname "$(dirname "$(find "$prefix" -name modalua.pc)")")
module=$(find "$prefix" -name modalua.so)
for file in bin/modalua include/modalua.h share/man/man1/modalua.1 share/doc/modalua/LICENSE share/doc/modalua/CHANGELOG.md; do
    [ -s "$prefix/$file" ] || fail "no $file"
done
[ -n "$module" ] || fail "no module for stock Lua"
cd "$work"
export PKG_CONFIG_PATH="${lib#"$work"/}/pkgconfig" # relative, because what it gives is split at blanks, and $work may have some
version=$(pkg-config --modversion modalua)

# ---- another CMake project ----
quietly cmake -S "$here/consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror" -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror"
grep -qF "modalua_DIR:PATH=$prefix/" "$work/consumer/CMakeCache.txt" || fail "CMake found another modalua"
quietly cmake --build "$work/consumer"
for name in ten poll threads function viewer; do
    example $name "$work/consumer/$name"
done
example ten "$work/consumer/ten_static"
needs "$work/consumer/ten" "libmodalua.so.${version%.*}" || fail "modalua::modalua is not shared, or has another soname"
if needs "$work/consumer/ten_static" 'libmodalua.*'; then fail "modalua::modalua_static is shared"; fi

# ---- the same, where nothing is installed that the static library needs ----
quietly env PKG_CONFIG_LIBDIR=/nowhere cmake -S "$here/consumer" -B "$work/bare" -DCMAKE_PREFIX_PATH="$prefix" -DSHARED_ONLY=ON -DCMAKE_DISABLE_FIND_PACKAGE_CURL=ON
quietly cmake --build "$work/bare" --target ten
example ten "$work/bare/ten"

# ---- the compiler alone ----
[ "$(env PKG_CONFIG_LIBDIR="$PKG_CONFIG_PATH" PKG_CONFIG_PATH= pkg-config --libs-only-l modalua | tr -d ' ')" = -lmodalua ] || fail "pkg-config asks for more than modalua"
cc="cc -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror"
# shellcheck disable=SC2046,SC2086 # lists of words
{
    quietly $cc "$here/ten.c" $(pkg-config --cflags --libs modalua) -o "$work/shared"
    quietly $cc "$here/ten.c" $(pkg-config --static --cflags --libs modalua | sed 's/-lmodalua/-l:libmodalua.a/') -o "$work/static"
    quietly $cc "$here/own_state.c" $(pkg-config --cflags --libs modalua lua5.4) -o "$work/own_state"
}
[ "$(pkg-config --libs-only-l modalua | tr -d ' ')" = -lmodalua ] || fail "the shared library's users are linked with what is its own affair"
if needs "$work/static" 'libmodalua.*'; then fail "the static library was not taken"; fi
example ten "$work/static"
export LD_LIBRARY_PATH="$lib"
example ten "$work/shared"
example ten "$work/own_state"
unset LD_LIBRARY_PATH

# ---- stock Lua, the command, its manual page ----
prints "$version" env LUA_CPATH="$(dirname "$module")/?.so" lua5.4 -e 'print(require "modalua".version)'
prints "modalua $version" "$prefix/bin/modalua" -v
quietly groff -K utf8 -man -Tutf8 -ww -z "$prefix/share/man/man1/modalua.1"
[ ! -s "$work/log" ] || { cat "$work/log" >&2; fail "the manual page is not clean"; }

# ---- no word of where it was made ----
for file in "$prefix/bin/modalua" "$lib/libmodalua.so" "$module"; do
    if readelf -d "$file" | grep -E '\((RPATH|RUNPATH)\)'; then fail "$file looks for libraries in a folder of its own"; fi
done
# What debuggers read does name the sources.
strip --strip-debug "$prefix/bin/modalua" "$lib/libmodalua.so" "$lib/libmodalua.a" "$module"
for folder in "$source" "$build" /first/place; do
    if grep -rlF -e "$folder" "$prefix"; then fail "these name $folder"; fi
done
