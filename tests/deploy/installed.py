"""`python -m tests.deploy.installed` runs deploy/install.sh in a clean folder, as the Dockerfile does (from PyPI)."""

import sys

from tests.components.component import BUILD, ROOT, Component, why_absent
from tests.components.fetching import fetch

_INSTALL = f'rm -rf venv && PYTHON="{sys.executable}" "{ROOT}/deploy/install.sh" venv'

DEPLOYED = Component(
    name="deployed",
    title="the bridge by deploy/install.sh (pip)",
    programs=(),
    sources=(ROOT / "pyproject.toml", ROOT / "deploy" / "install.sh"),
    command=("sh", "-c", _INSTALL),
    offline=("sh", "-c", f"export PIP_NO_INDEX=1; {_INSTALL}"),
    directory=BUILD / "deployed",
    fetched=r"Downloading |Using cached ",
    unreachable=r"No matching distribution|Could not find a version|Could not fetch|Could not install .* OSError",
)


if __name__ == "__main__":
    fetch(DEPLOYED, lambda _line: None)
    sys.exit(why_absent(DEPLOYED))
