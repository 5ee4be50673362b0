#!/bin/sh
# Installs the missing packages of vendor/apt-packages.txt; with --all, also those for the long tests. It starts no service, now or at boot.
set -eu
cd "$(dirname "$0")/.."

skip='# --all'
[ "${1:-}" != --all ] || skip='^$'
missing=""
# The installed packages, and what they stand for: on Debian 13 libreadline8t64 is libreadline8.
present=$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Provides}\n' | sed -n 's/^installed //p' | tr ',\n' '  ')
for package in $(grep -v -e "$skip" vendor/apt-packages.txt | sed 's/#.*//'); do
    case " $present " in
    *" $package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "These packages are missing, and only root or sudo can install them:$missing" >&2; exit 1; }
    as_root=sudo
fi
command -v apt-get >/dev/null || { echo "These packages are missing, and there is no apt-get to install them:$missing" >&2; exit 1; }

echo "Installing:$missing"
# While this file exists, the scripts of packages start no service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root sh -c "cat >$policy && chmod 755 $policy"
    trap '$as_root rm -f "$policy"' EXIT INT TERM
fi
$as_root apt-get -q -o Acquire::Retries=3 update >/dev/null || { echo "apt-get update failed" >&2; exit 1; }
# shellcheck disable=SC2086 # $missing is a list
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $missing >/dev/null ||
    { echo "apt-get could not install:$missing" >&2; exit 1; }
for service in orthanc postgresql; do
    case " $missing " in
    *" $service "*) $as_root update-rc.d "$service" disable >/dev/null 2>&1 || true ;;
    esac
done
