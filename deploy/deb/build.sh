#!/bin/sh
# Build a Debian package of the bridge, for Debian and Ubuntu with the Python of this machine:
#
#     deploy/deb/build.sh FOLDER [EXTRAS]
#
# FOLDER gets lwm2m-nonip-bridge_VERSION_ARCHITECTURE.deb. EXTRAS as for deploy/install.sh. The package has a virtual
# environment in /opt/lwm2m-bridge with all that it needs from PyPI; it depends on the interpreter (PYTHON, by default
# /usr/bin/python3) by its minor version, since compiled modules are made for that one.
set -eu
umask 022
folder=${1:?"usage: deploy/deb/build.sh FOLDER [EXTRAS]"}
extras=${2-lorawan}
python=${PYTHON:-/usr/bin/python3}
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
opt=/opt/lwm2m-bridge

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root
mkdir -p "$root/opt"
PYTHON=$python "$project/deploy/install.sh" "$root$opt" "$extras"

# The environment names its folder in its scripts, and in the names of compiled files.
grep -rlIF "$root$opt" "$root$opt/bin" "$root$opt/pyvenv.cfg" | xargs sed -i "s#$root$opt#$opt#g"
find "$root$opt" -name direct_url.json -delete # where the source was at build time
find "$root$opt" -name __pycache__ -prune -exec rm -rf {} +
"$python" -m compileall -q -s "$root" -p / "$root$opt/lib" || true # some packages carry files for other Pythons

version=$("$root$opt/bin/python" -c 'import importlib.metadata as m; print(m.version("lwm2m-nonip-bridge"))')
minor=$("$python" -c 'import sys; print(sys.version_info.minor)')
architecture=$(dpkg --print-architecture)

mkdir -p "$root/usr/bin" "$root/lib/systemd/system" "$root/usr/lib/sysusers.d" "$root/etc/lwm2m-bridge" "$root/DEBIAN"
ln -s "$opt/bin/lwm2m-bridge" "$root/usr/bin/lwm2m-bridge"
install -m 644 "$project/deploy/systemd/lwm2m-bridge.sysusers" "$root/usr/lib/sysusers.d/lwm2m-bridge.conf"
# No credential is named by the configuration that comes along, so none is loaded; `systemctl edit` adds one.
sed '/^LoadCredential=/s/^/#/' "$project/deploy/systemd/lwm2m-bridge.service" \
    >"$root/lib/systemd/system/lwm2m-bridge.service"
(cd "$root$opt" && PYTHONPATH=$(echo lib/python3.*/site-packages) "$python" -m bridge.cli config template) \
    >"$root/etc/lwm2m-bridge/bridge.toml"
chmod 640 "$root/etc/lwm2m-bridge/bridge.toml"

for script in postinst prerm postrm; do
    install -m 755 "$here/$script" "$root/DEBIAN/$script"
done
echo /etc/lwm2m-bridge/bridge.toml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/control" <<CONTROL
Package: lwm2m-nonip-bridge
Version: $version
Architecture: $architecture
Maintainer: The LwM2M Non-IP bridge project
Depends: python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))), passwd
Recommends: ca-certificates
Installed-Size: $(du -sk "$root" | cut -f 1)
Section: net
Priority: optional
Description: LwM2M servers for devices that have no IP
 Lets any LwM2M server manage devices on 3GPP Non-IP Data Delivery, SMS and
 LoRaWAN, with a durable queue and one recorded outcome for each message.
CONTROL
dpkg-deb --root-owner-group -Zgzip --build "$root" "$folder/lwm2m-nonip-bridge_${version}_$architecture.deb"
