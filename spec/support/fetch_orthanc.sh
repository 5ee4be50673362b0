#!/bin/sh
# Downloads the Orthanc of another Debian suite into a folder, so that it runs on this machine: fetch_orthanc.sh SUITE FOLDER
#
# It downloads the packages from the mirror that apt already uses, and checks their signatures. It uses its own apt directories below
# FOLDER: it installs nothing and needs no root rights. FOLDER/run CONFIG.json starts the server with its own libraries and DICOM dictionaries. If
# FOLDER is already complete, it does nothing.
set -eu
suite=$1
folder=$2
[ ! -x "$folder/run" ] || exit 0

mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sed -n 's/^Debian Debian //p' | head -n 1)
[ -n "$mirror" ] || { echo "apt has no source of Debian" >&2; exit 1; }
architecture=$(dpkg --print-architecture)

rm -rf "$folder.part"
mkdir -p "$folder.part/apt/lists/partial" "$folder.part/apt/cache/archives/partial" "$folder.part/root"
here=$(cd "$folder.part" && pwd)
: >"$here/apt/status"
# check-valid-until=no: in a frozen mirror the release files of a suite are past their date. Their signatures are still checked.
printf 'deb [check-valid-until=no signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$mirror" "$suite" >"$here/apt/sources.list"
own_apt() {
    apt-get -q -o Dir::State="$here/apt" -o Dir::State::status="$here/apt/status" -o Dir::Cache="$here/apt/cache" \
        -o Dir::Etc::sourcelist="$here/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o APT::Sandbox::User="$(id -un)" -o APT::Architecture="$architecture" -o APT::Install-Recommends=false \
        -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}
own_apt update >"$here/log" 2>&1 || { cat "$here/log" >&2; echo "cannot download the package lists of $suite" >&2; exit 1; }
own_apt install -y --download-only orthanc >>"$here/log" 2>&1 ||
    { tail -n 20 "$here/log" >&2; echo "cannot download the packages of $suite" >&2; exit 1; }
for package in "$here"/apt/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$here/root" --exclude='./usr/share/doc/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/man/*'
done
rm -rf "$here/apt"

cat >"$here/run" <<'RUN'
#!/bin/sh
# Orthanc with its own libraries; its plug-ins are in root/usr/share/orthanc/plugins.
here=$(cd "$(dirname "$0")" && pwd)
root=$here/root
dictionaries=$(dirname "$(find "$root/usr/share" -name dicom.dic | head -n 1)")
export DCMDICTPATH="$dictionaries/dicom.dic:$dictionaries/private.dic"
[ ! -d "$dictionaries/csmapper" ] || export DCMICONVPATH="$dictionaries"
libraries=$(find "$root/lib" "$root/usr/lib" -maxdepth 2 -name 'lib*.so*' -printf '%h\n' 2>/dev/null | sort -u | tr '\n' ':')
loader=$(find "$root/lib64" "$root/usr/lib64" "$root/lib" "$root/usr/lib" -maxdepth 2 -name 'ld-linux*.so*' 2>/dev/null | head -n 1)
exec "$loader" --library-path "$libraries" "$root/usr/sbin/Orthanc" "$@"
RUN
chmod +x "$here/run"
mv "$folder.part" "$folder"
