#!/bin/sh
# Runs programs of spec/embed under valgrind's memcheck: spec/memcheck.sh [PROGRAM…]
#
# It needs the preset release, built. A program fails when it reads or writes memory wrongly, or decides by a value that was never set, and
# when it loses memory. So Debian's Lua and libcurl are looked at too, which AddressSanitizer does not see. Without a PROGRAM it runs those
# that take seconds. They do not measure time, and have no locale of their own: libp11-kit loses one then.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- operations streams transport bytes objects spawned replies host server_config log plugin_host

# faultd gives it the URL before the other arguments.
cat >build/release/memcheck.sh <<'END'
#!/bin/sh
url=$1
shift
exec valgrind -q --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99 "$@" "$url"
END
chmod +x build/release/memcheck.sh
failed=0
for name; do
    if build/release/bin/faultd --run build/release/memcheck.sh "build/release/bin/$name" >build/release/memcheck.log 2>&1; then
        echo "== $name: no error"
    else
        cat build/release/memcheck.log
        echo "== $name: failed" >&2
        failed=1
    fi
done
exit $failed
