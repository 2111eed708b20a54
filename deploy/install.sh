#!/bin/sh
# Install the bridge into a virtual environment of its own:
#
#     deploy/install.sh FOLDER [EXTRAS]
#
# FOLDER must not be there yet; EXTRAS are those of pyproject.toml, such as `lorawan` (the default), `lorawan,pkcs11`, or
# "" for NIDD and SMS alone. PYTHON names the interpreter. The Dockerfile runs this script and nothing else.
set -eu
folder=${1:?"usage: deploy/install.sh FOLDER [EXTRAS]"}
extras=${2-lorawan}
source=$(cd "$(dirname "$0")/.." && pwd)

if [ -e "$folder" ]; then
    echo "$folder is there already: name another folder, or remove it" >&2
    exit 1
fi
"${PYTHON:-python3}" -m venv "$folder"
# A copy: the build leaves folders in its source, which may be read-only.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R "$source/pyproject.toml" "$source/README.md" "$source/LICENSE" "$source/bridge" "$source/bindings" \
    "$source/mock_network" "$copy/"
"$folder/bin/python" -m pip install --disable-pip-version-check "$copy${extras:+[$extras]}"
"$folder/bin/lwm2m-bridge" --version
