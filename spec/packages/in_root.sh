#!/bin/sh
# Runs a script in a bare Debian, as root: spec/packages/in_root.sh SUITE FOLDER SCRIPT [ARGUMENT...]
#
# debootstrap makes a root folder with nothing but apt in it, from the mirror that apt already uses. It gets a copy of FOLDER as /trial, where
# SCRIPT is. The root folder, and the processes that are left in it, end with the script.
set -eu

suite=$1
folder=$2
script=$3
shift 3
[ "$(id -u)" -eq 0 ] || { echo "debootstrap needs root" >&2; exit 1; }
mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | head -n 1)

echo "== a bare $suite"
root=$(mktemp -d "${TMPDIR:-/tmp}/modalua-root.XXXXXX")
trap 'rm -rf --one-file-system "$root" "$root.log"' EXIT
trap 'exit 1' HUP INT TERM
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
chmod 755 "$root" # mktemp makes it for its owner alone; in the root folder there are other users, too
# Of a frozen mirror the release files are past their date.
printf 'Acquire::Check-Valid-Until "false";\nAcquire::Check-Date "false";\nAcquire::Retries "3";\nDpkg::Use-Pty "false";\n' >"$root/etc/apt/apt.conf.d/99trial"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/99trial" # dpkg does not wait for the disk: the root folder is thrown away
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # no package starts a service
chmod 755 "$root/usr/sbin/policy-rc.d"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cp -R "$folder" "$root/trial"

# In name spaces of its own: what is mounted for the root folder, and the processes that are left in it, end with it.
# shellcheck disable=SC2016 # the inner shell expands it
unshare --mount --pid --fork --kill-child sh -euc '
    root=$1
    shift
    mount --make-rprivate /
    mount --bind "$root" "$root" # a root folder that is no mount point has no name spaces of its own: specs use unshare
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive chroot "$root" sh "/trial/$@"' sh "$root" "$script" "$@" </dev/null
