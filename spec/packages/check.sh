#!/bin/sh
# Makes the packages, and tries them in a bare Debian, as root: spec/packages/check.sh [--build] [SUITE]
#
# SUITE is a Debian, by default that of this machine. debootstrap makes a root folder with nothing but apt in it. There the packages are
# installed with apt, used (inside.sh), and removed. With --build, `scripts/demo.sh` and `luarocks make` then build the source tarball there.
# lintian must find no error and no warning. The mirror is the one that apt already uses.
set -eu
cd "$(dirname "$0")/../.."

build=""
[ "${1:-}" != --build ] || { build=$1; shift; }
suite=${1:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
[ "$(id -u)" -eq 0 ] || { echo "debootstrap needs root" >&2; exit 1; }
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | head -n 1)
packages=$PWD/build/package/packages

scripts/package.sh

echo "== lintian"
# The packages are not for Debian's archive: no bug there asks for them. And the maintainer is whoever makes the packages.
lintian --allow-root --fail-on error,warning --suppress-tags initial-upload-closes-no-bugs,bogus-mail-host "$packages"/*.deb

echo "== a bare $suite"
root=$(mktemp -d "${TMPDIR:-/tmp}/modalua-root.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
trap 'exit 1' HUP INT TERM
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
rm "$root.log"
# Of a frozen mirror the release files are past their date.
printf 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\nAcquire::Retries "3";\n' >"$root/etc/apt/apt.conf.d/99modalua"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no package starts a service
chmod 755 "$root/usr/sbin/policy-rc.d"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
mkdir "$root/trial"
cp "$packages"/* spec/packages/inside.sh spec/embed/ten.c "$root/trial/"

# In name spaces of its own: what is mounted for the root folder, and the processes that are left in it, end with it.
# shellcheck disable=SC2016 # the inner shell expands it
unshare --mount --pid --fork --kill-child sh -euc '
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive chroot "$1" sh /trial/inside.sh $2' sh "$root" "$build" </dev/null
echo "the packages work"
