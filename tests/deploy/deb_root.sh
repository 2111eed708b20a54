#!/bin/sh
# The Debian package in a Debian that has nothing else: as root, tests/deploy/deb_root.sh FOLDER PACKAGE
#
# FOLDER is made by tests/deploy/clean_root.sh --make. The package is installed, started with the configuration that an
# operator wrote, installed again as an upgrade, removed and purged: the operator's file outlives the upgrade, and the
# ledger all of it.
set -eu
root=${1:?"usage: tests/deploy/deb_root.sh FOLDER PACKAGE"}
package=${2:?"usage: tests/deploy/deb_root.sh FOLDER PACKAGE"}
fail() { echo "$1" >&2; exit 1; }
inside() { chroot "$root" "$@"; }
# Whoever installs has no Python from elsewhere, and no network.
installs() { unshare --net chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg "$@"; }

inside dpkg --purge lwm2m-nonip-bridge >/dev/null 2>&1 || true
inside userdel lwm2m-bridge 2>/dev/null || true
rm -rf "$root/var/lib/lwm2m-bridge" "$root/etc/lwm2m-bridge" "$root/opt/lwm2m-bridge"
cp "$package" "$root/bridge.deb"
trap 'rm -f "$root/bridge.deb"' EXIT

installs --install /bridge.deb
config=/etc/lwm2m-bridge/bridge.toml
[ "$(inside stat -c '%a %U:%G' $config)" = "640 root:lwm2m-bridge" ] || fail "$config has other owners or another mode"
[ "$(inside stat -c '%a %U:%G' /var/lib/lwm2m-bridge)" = "750 lwm2m-bridge:lwm2m-bridge" ] || fail "the state directory is not the bridge's"
as_bridge="setpriv --reuid=lwm2m-bridge --regid=lwm2m-bridge --clear-groups"
inside $as_bridge lwm2m-bridge config check --config $config | grep -q "nothing is wrong, but it has nothing to do" ||
    fail "the configuration that comes along is not one that waits to be filled in"
grep -q "^ExecStart=/opt/lwm2m-bridge/bin/lwm2m-bridge run --config $config" "$root/lib/systemd/system/lwm2m-bridge.service"
! grep -q "^LoadCredential=" "$root/lib/systemd/system/lwm2m-bridge.service" || fail "the unit wants a credential that is not there"
! grep -rlIF "$(dirname "$(readlink -f "$package")")" "$root/opt/lwm2m-bridge/bin" || fail "a script names the folder of the build"

cat "$(dirname "$0")/small.toml" >"$root$config" # the file keeps its owner and mode
inside $as_bridge lwm2m-bridge config check --config $config
# What systemd does, without it: the service's user, and its state directory.
chroot --userspec=lwm2m-bridge:lwm2m-bridge "$root" /opt/lwm2m-bridge/bin/lwm2m-bridge run --config $config &
service=$!
began=$(date +%s)
until inside $as_bridge lwm2m-bridge status --config $config >/dev/null 2>&1; do
    [ $(($(date +%s) - began)) -lt 120 ] || fail "it is not up after two minutes"
    sleep 1
done
inside $as_bridge lwm2m-bridge endpoint add urn:dev:os:meter-1 --network operator --address meter-1@iot.example --config $config
kill "$service"
wait "$service"

installs --install /bridge.deb
grep -q "meter\|as1" "$root$config" || fail "an upgrade has changed the operator's configuration"
inside $as_bridge lwm2m-bridge endpoint list --config $config | grep -q urn:dev:os:meter-1 || fail "an upgrade has lost the ledger"
installs --remove lwm2m-nonip-bridge
[ -s "$root$config" ] || fail "removing the package has removed the configuration"
[ ! -e "$root/usr/bin/lwm2m-bridge" ] || fail "removing the package leaves the program"
installs --purge lwm2m-nonip-bridge | tee "$root/said"
grep -q "/var/lib/lwm2m-bridge is kept" "$root/said" || fail "purging does not say that the ledger is kept"
[ ! -e "$root$config" ] || fail "purging leaves the configuration, which may hold secrets"
[ -s "$root/var/lib/lwm2m-bridge/bridge.db" ] || fail "purging has removed the ledger"
echo "the package installs, runs, is upgraded and purged in a clean root"
