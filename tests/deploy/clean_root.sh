#!/bin/sh
# What deploy/Dockerfile does, in a Debian that has nothing else: as root, tests/deploy/clean_root.sh [--make] FOLDER
#
# debootstrap makes the Debian in FOLDER, once; with --make that is all. There deploy/install.sh gets the files that
# Dockerfile.dockerignore lets pass, and nothing of this machine but the addresses of its name servers and its
# certificate authorities. Then the bridge starts as the image does: as user 10001, on a root that cannot be written, with a
# state directory of its own.
set -eu
only=
[ "${1-}" != --make ] || { only=make; shift; }
root=${1:?"usage: tests/deploy/clean_root.sh [--make] FOLDER"}
project=$(cd "$(dirname "$0")/../.." && pwd)

if [ ! -e "$root/made" ]; then
    rm -rf "$root"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root"
    touch "$root/made"
fi
[ -z "$only" ] || exit 0
cp /etc/resolv.conf "$root/etc/resolv.conf"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

rm -rf "$root/source" "$root/opt/lwm2m-bridge" "$root/var/lib/lwm2m-bridge"
mkdir -p "$root/source"
(cd "$project" && sed -n 's/^!//p' deploy/Dockerfile.dockerignore | tar --create --exclude=__pycache__ --files-from=-) |
    tar --extract --directory "$root/source"
chroot "$root" /source/deploy/install.sh /opt/lwm2m-bridge lorawan
chroot "$root" install --directory --mode=0750 --owner=10001 --group=10001 /var/lib/lwm2m-bridge
rm -rf "$root/source"

mkdir -p "$root/etc/lwm2m-bridge"
cp "$project/tests/deploy/small.toml" "$root/etc/lwm2m-bridge/bridge.toml"

# shellcheck disable=SC2016  # the inner shell's own variables
unshare --mount sh -euc '
    mount --bind "$1" "$1"
    mount --bind "$1/var/lib/lwm2m-bridge" "$1/var/lib/lwm2m-bridge"
    mount -o remount,bind,ro "$1"
    bridge="chroot --userspec=10001:10001 $1 /opt/lwm2m-bridge/bin/lwm2m-bridge"
    config=/etc/lwm2m-bridge/bridge.toml
    $bridge config check --config $config
    $bridge run --config $config &
    began=$(date +%s)
    until $bridge status --config $config >/dev/null 2>&1; do
        [ $(($(date +%s) - began)) -lt 60 ] || { echo "it is not up after a minute" >&2; exit 1; }
        sleep 1
    done
    $bridge status --config $config
    kill "$!"
    wait "$!"
' sh "$root"
echo "it runs in a clean root"
