#!/bin/sh
# Checks that the files of `cmake --install` work: installed.sh BUILD, where BUILD is the folder of a complete build.
# It moves the prefix after the installation. So the files must work although their paths have changed.
set -eu
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)

work=$(mktemp -d "$build/installed.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() { echo "installed: $*" >&2; exit 1; }

# quietly COMMAND...: runs COMMAND, and shows its output only if it fails.
quietly() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "this failed: $*"; }; }

# prints WANTED COMMAND...: checks that COMMAND succeeds and prints exactly WANTED.
prints() {
    wanted=$1
    shift
    got=$("$@") || fail "this failed: $*"
    [ "$got" = "$wanted" ] || fail "$* printed '$got' instead of '$wanted'"
}

# example NAME PROGRAM: checks that PROGRAM prints what the example NAME must print.
example() { "$here/example.sh" "$build/bin/faultd" "$1" "$2" || fail "the example $1 failed: $2"; }

# needs FILE NAME: true if FILE needs the shared library NAME (a pattern).
needs() { readelf -d "$1" | grep -qE "\(NEEDED\).*\[$2\]"; }

# ---- installed, and moved ----
quietly env DESTDIR="$work/root" cmake --install "$build" --prefix /first/place
prefix=$work/moved
mv "$work/root/first/place" "$prefix"
[ -z "$(find "$work/root" ! -type d)" ] || fail "files outside the prefix: $(find "$work/root" ! -type d)"
lib=$(dirname "$(dirname "$(find "$prefix" -name modalua.pc)")")
module=$(find "$prefix" -name modalua.so)
for file in bin/modalua include/modalua.h share/man/man1/modalua.1 share/doc/modalua/LICENSE share/doc/modalua/CHANGELOG.md \
    share/bash-completion/completions/modalua share/zsh/site-functions/_modalua share/fish/vendor_completions.d/modalua.fish; do
    [ -s "$prefix/$file" ] || fail "$file is missing or empty"
done
[ -n "$module" ] || fail "the module for stock Lua is missing"

# ---- the documents, with all that they link to ----
(cd "$prefix/share/doc/modalua" && grep -roE --include='*.md' '\]\([^)#: ]+' .) | grep -vE '\(https?$' >"$work/links"
[ -s "$work/links" ] || fail "the documents have no links"
while IFS= read -r line; do
    document=${line%%:*}
    [ -e "$prefix/share/doc/modalua/${document%/*}/${line#*](}" ] || fail "$document links to ${line#*](}, which is not installed"
done <"$work/links"
for script in "$source"/scripts/*.lua; do
    [ -s "$prefix/share/doc/modalua/examples/$(basename "$script")" ] || fail "the example $script is missing"
done

# ---- each file is in a Debian package, by its component; and the rock has the same version ----
quietly env DESTDIR="$work/rest" cmake --install "$build" --component Unspecified
[ ! -e "$work/rest" ] || fail "these files are in no package: $(find "$work/rest" ! -type d)"
cd "$work"
export PKG_CONFIG_PATH="${lib#"$work"/}/pkgconfig" # relative, because its output is split at blanks, and $work may contain blanks
version=$(pkg-config --modversion modalua)
grep -q "^version = \"$version-1\"" "$source/src/packaging/modalua-$version-1.rockspec" || fail "the rockspec has another version than $version"

# ---- another CMake project ----
quietly cmake -S "$here/consumer" -B "$work/consumer" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_FLAGS="-Wall -Wextra -Werror" -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror"
grep -qF "modalua_DIR:PATH=$prefix/" "$work/consumer/CMakeCache.txt" || fail "CMake found a modalua in another place"
quietly cmake --build "$work/consumer"
for name in ten poll threads function viewer; do
    example $name "$work/consumer/$name"
done
example ten "$work/consumer/ten_static"
needs "$work/consumer/ten" "libmodalua.so.${version%.*}" || fail "modalua::modalua is not shared, or has another soname"
if needs "$work/consumer/ten_static" 'libmodalua.*'; then fail "modalua::modalua_static is shared"; fi

# ---- the same, without the libraries that the static library needs ----
quietly env PKG_CONFIG_LIBDIR=/nowhere cmake -S "$here/consumer" -B "$work/bare" -DCMAKE_PREFIX_PATH="$prefix" -DSHARED_ONLY=ON -DCMAKE_DISABLE_FIND_PACKAGE_CURL=ON
quietly cmake --build "$work/bare" --target ten
example ten "$work/bare/ten"

# ---- the header, in all versions of C and C++ ----
printf '#include <modalua.h>\nint main(void) { return modalua_version_number() == MODALUA_VERSION_NUMBER ? 0 : 1; }\n' >"$work/header.c"
cp "$work/header.c" "$work/header.cpp"
for standard in c89 c99 c11 c17 c2x; do
    quietly cc -std=$standard -pedantic -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -I"$prefix/include" -c "$work/header.c" -o "$work/header.o"
done
for standard in c++98 c++11 c++17 c++20; do
    quietly c++ -std=$standard -pedantic -Wall -Wextra -Wshadow -Werror -I"$prefix/include" -c "$work/header.cpp" -o "$work/header.o"
done
quietly cc -DMODALUA_API=extern -Werror -I"$prefix/include" -c "$work/header.c" -o "$work/header.o"

# ---- a project that uses pkg-config ----
[ "$(env PKG_CONFIG_LIBDIR="$PKG_CONFIG_PATH" PKG_CONFIG_PATH= pkg-config --libs-only-l modalua | tr -d ' ')" = -lmodalua ] || fail "pkg-config lists more libraries than modalua"
cc="cc -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror"
# shellcheck disable=SC2046,SC2086 # lists of words
{
    quietly $cc "$here/ten.c" $(pkg-config --cflags --libs modalua) -o "$work/shared"
    quietly $cc "$here/ten.c" $(pkg-config --static --cflags --libs modalua | sed 's/-lmodalua/-l:libmodalua.a/') -o "$work/static"
    quietly $cc "$here/own_state.c" $(pkg-config --cflags --libs modalua lua5.4) -o "$work/own_state"
}
[ "$(pkg-config --libs-only-l modalua | tr -d ' ')" = -lmodalua ] || fail "pkg-config makes users of the shared library link its private libraries"
if needs "$work/static" 'libmodalua.*'; then fail "the program uses the shared library instead of the static one"; fi
example ten "$work/static"
export LD_LIBRARY_PATH="$lib"
example ten "$work/shared"
example ten "$work/own_state"
unset LD_LIBRARY_PATH

# ---- stock Lua, the command, its manual page ----
prints "$version" env LUA_CPATH="$(dirname "$module")/?.so" lua5.4 -e 'print(require "modalua".version)'
prints "modalua $version" "$prefix/bin/modalua" -v
quietly groff -K utf8 -man -Tutf8 -ww -z "$prefix/share/man/man1/modalua.1"
[ ! -s "$work/log" ] || { cat "$work/log" >&2; fail "groff has warnings for the manual page"; }

# ---- no file contains a path of the build ----
find "$prefix" -type f \( -name '*.so*' -o -name '*.a' -o -path '*/bin/*' \) >"$work/binaries"
while IFS= read -r file; do
    if readelf -d "$file" | grep -E '\((RPATH|RUNPATH)\)'; then fail "$file has a fixed search path for libraries (RPATH or RUNPATH)"; fi
    strip --strip-debug "$file" # debug information may contain the paths of the sources
done <"$work/binaries"
for folder in "$source" "$build" /first/place; do
    if grep -rlF -e "$folder" "$prefix"; then fail "these files contain the path $folder"; fi
done
