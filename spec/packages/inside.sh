#!/bin/sh
# What check.sh runs in the bare Debian: inside.sh [--build]. The packages, the source tarball and ten.c are in its folder.
set -eu
cd "$(dirname "$0")"

fail() { echo "packages: $*" >&2; exit 1; }

# quietly COMMAND...: runs COMMAND, and shows its output only if it fails.
quietly() { "$@" >/tmp/log 2>&1 || { cat /tmp/log >&2; fail "this failed: $*"; }; }

# prints WANTED COMMAND...: checks that COMMAND succeeds and prints exactly WANTED.
prints() {
    wanted=$1
    shift
    got=$("$@") || fail "this failed: $*"
    [ "$got" = "$wanted" ] || fail "$* printed '$got' instead of '$wanted'"
}

# refuses WANTED COMMAND...: checks that COMMAND fails, and says WANTED.
refuses() {
    wanted=$1
    shift
    if "$@" >/tmp/log 2>&1; then cat /tmp/log >&2; fail "this succeeds: $*"; fi
    grep -qF "$wanted" /tmp/log || { cat /tmp/log >&2; fail "this does not say '$wanted': $*"; }
}

# answers: checks that the prompt, on a terminal, shows the value of an expression.
answers() {
    echo '6 * 7' | TERM=xterm script -qec modalua /dev/null >/tmp/log 2>&1 || { cat /tmp/log >&2; fail "the prompt failed"; }
    grep -qE '(^|[^0-9])42[^0-9]' /tmp/log || { cat /tmp/log >&2; fail "the prompt does not show a value"; }
}

version=$(echo modalua-*.tar.gz | sed 's/modalua-//; s/\.tar\.gz$//')
quietly apt-get -q update

echo "== the library alone, without what is recommended"
quietly apt-get -q install -y --no-install-recommends ./libmodalua0.1_*.deb
[ -e "$(find /usr/lib -name 'libmodalua.so.0.1')" ] || fail "the library is missing"
/sbin/ldconfig -p | grep -q 'libmodalua\.so\.0\.1 ' || fail "ldconfig does not know the library"
quietly apt-get -q purge -y libmodalua0.1

echo "== the command, without what is recommended"
quietly apt-get -q install -y --no-install-recommends ./modalua_*.deb
for file in libsqlite3.so.0 libpq.so.5 libreadline.so.8; do
    if /sbin/ldconfig -p | grep -qF "$file "; then fail "$file is in the bare Debian already"; fi
done
echo 'print(arg[1], require "modalua".version)' >script.lua
prints "x	$version" modalua script.lua x
answers
echo "no ledger" >none.ledger
refuses "install the package libsqlite3-0" modalua transfer status none.ledger
refuses "install the package libpq5" modalua transfer status postgresql://localhost/transfers#lung
refuses "apt install orthanc" modalua playground echo pacs

echo "== the command"
quietly apt-get -q purge -y modalua
quietly apt-get -q install -y ./modalua_*.deb
for file in libsqlite3.so.0 libpq.so.5 libreadline.so.8; do
    /sbin/ldconfig -p | grep -qF "$file " || fail "apt does not install $file with modalua"
done
prints "x	$version" modalua script.lua x
answers
# A ledger is in SQLite, or in PostgreSQL: the library is loaded then.
refuses "it is no SQLite database" modalua transfer status none.ledger
refuses "localhost" modalua transfer status postgresql://localhost/transfers#lung
refuses "localhost:8042" modalua echo nothing
for file in README.md examples/README.md examples/first_steps.lua copyright changelog.Debian.gz; do
    [ -s /usr/share/doc/modalua/$file ] || fail "/usr/share/doc/modalua/$file is missing"
done

echo "== its manual page"
quietly apt-get -q install -y --no-install-recommends man-db
man modalua >/tmp/log 2>&1 || fail "man modalua failed"
grep -q "^NAME" /tmp/log || fail "man modalua does not show a page"

echo "== the module in Lua 5.4"
quietly apt-get -q install -y --no-install-recommends lua5.4
prints "$version" lua5.4 -e 'print(require "modalua".version)'
prints true lua5.4 -e 'print(require "modalua".task == require "modalua.task")'

echo "== a host in C"
quietly apt-get -q install -y --no-install-recommends ./libmodalua-dev_*.deb ./libmodalua0.1_*.deb gcc libc6-dev pkg-config
# shellcheck disable=SC2046 # a list
quietly cc -Wall -Werror ten.c $(pkg-config --cflags --libs modalua) -o ten
./ten >/tmp/log 2>&1 && fail "a host without a server succeeds"
grep -q "localhost:8042" /tmp/log || { cat /tmp/log; fail "the host does not name the server"; }
quietly apt-get -q purge -y libmodalua-dev
quietly apt-get -q install -y ./libmodalua-dev_*.deb cmake make # with what is recommended: now the static library can be linked, too
mkdir -p consumer
cp ten.c consumer/
cat >consumer/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(modalua 0.1 REQUIRED)
foreach(library modalua modalua_static)
  add_executable(with_${library} ten.c)
  target_link_libraries(with_${library} PRIVATE modalua::${library})
endforeach()
CMAKE
quietly cmake -S consumer -B consumer/build
quietly cmake --build consumer/build
for library in modalua modalua_static; do
    consumer/build/with_$library >/tmp/log 2>&1 && fail "a host without a server succeeds"
    grep -q "localhost:8042" /tmp/log || { cat /tmp/log; fail "the host does not name the server"; }
done
# shellcheck disable=SC2046 # a list
quietly cc -Wall -Werror ten.c $(pkg-config --static --cflags --libs modalua | sed 's/-lmodalua/-l:libmodalua.a/') -o ten
[ -s /usr/share/doc/libmodalua-dev/examples/ten.c ] || fail "the examples in C are missing"

echo "== the playground"
quietly apt-get -q install -y --no-install-recommends orthanc
modalua playground /usr/share/doc/modalua/examples/echo_all.lua >/tmp/log 2>&1 || { cat /tmp/log; fail "the playground failed"; }
grep -q "answers" /tmp/log || { cat /tmp/log; fail "no modality of the playground answers"; }

echo "== the plugin"
quietly apt-get -q install -y ./orthanc-modalua_*.deb
[ -z "$(dpkg -V modalua libmodalua0.1 libmodalua-dev orthanc-modalua)" ] || fail "files of a package are changed"
echo '{ "HttpPort": 18042, "DicomPort": 14242, "StorageDirectory": "/tmp/storage", "IndexDirectory": "/tmp/storage",
  "Plugins": ["/usr/share/orthanc/plugins"] }' >orthanc.json
/usr/sbin/Orthanc orthanc.json >orthanc.log 2>&1 &
orthanc=$!
echo 'local modalua = require "modalua"
  local server = modalua.connect("http://localhost:18042", { retries = 20 })
  for _, name in ipairs(assert(server:get "/plugins")) do
    print(name)
  end' >plugins.lua
modalua plugins.lua >/tmp/log 2>&1 || { cat orthanc.log /tmp/log; fail "Orthanc does not answer"; }
grep -qx modalua /tmp/log || { cat orthanc.log /tmp/log; fail "Orthanc has not loaded the plugin"; }
mv /etc/ssl/certs/ca-certificates.crt /tmp/
refuses "the package ca-certificates" modalua --url https://localhost:18042 echo nothing
mv /tmp/ca-certificates.crt /etc/ssl/certs/
kill $orthanc
wait $orthanc || fail "Orthanc with the plugin failed"

echo "== all removed"
dpkg -L modalua libmodalua0.1 libmodalua-dev orthanc-modalua | grep modalua >installed
quietly apt-get -q purge -y modalua libmodalua0.1 libmodalua-dev orthanc-modalua
while read -r file; do
    [ ! -e "$file" ] || fail "$file is left"
done <installed
left=$(find / -xdev -name '*modalua*' -not -path '/trial/*' -not -path '/root/*' -not -path '/tmp/*' -not -path '/var/cache/man/*')
[ -z "$left" ] || fail "this is left: $left"

[ "${1:-}" = --build ] || exit 0
echo "== the source tarball, built by scripts/demo.sh"
tar -x -f modalua-*.tar.gz
cd "modalua-$version"
scripts/demo.sh >/tmp/log 2>&1 || { cat /tmp/log; fail "scripts/demo.sh failed"; }
grep -q "^pacs has 3 studies of a chest" /tmp/log || { cat /tmp/log; fail "scripts/demo.sh does not show what it does"; }

echo "== cmake --install, after scripts/demo.sh"
quietly cmake --install build/release
quietly ldconfig
hash -r # the shell forgets where the command was
prints /usr/local/bin/modalua command -v modalua
prints "modalua $version" modalua -v
prints "$version" lua5.4 -e 'print(require "modalua".version)'
quietly modalua playground /usr/local/share/doc/modalua/examples/echo_all.lua
# shellcheck disable=SC2046 # a list
quietly cc -Wall -Werror ../ten.c $(pkg-config --cflags --libs modalua) -o ten
refuses "localhost:8042" ./ten
[ -e /usr/local/lib/orthanc/libOrthancModalua.so ] || fail "the plugin is missing"
if grep -rlIF -e "$PWD" /usr/local >/tmp/log; then cat /tmp/log; fail "these files contain the path $PWD"; fi

echo "== luarocks make"
quietly apt-get -q install -y --no-install-recommends luarocks
quietly luarocks --lua-version 5.4 --tree /tmp/rocks make src/packaging/modalua-"$version"-1.rockspec
prints "$version" env LUA_CPATH='/tmp/rocks/lib/lua/5.4/?.so' lua5.4 -e 'print(require "modalua".version)'
