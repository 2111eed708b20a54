"""The components that tests use."""

import sys

from tests.components.component import BUILD, ROOT, Component

_LESHAN = ROOT / "tests" / "interop" / "leshan"
_MAVEN = ("mvn", "-B", "--update-snapshots", "process-classes")

LESHAN = Component(
    name="leshan",
    title="Eclipse Leshan (Maven)",
    programs=("java", "javac", "mvn"),
    sources=(_LESHAN / "pom.xml", _LESHAN / "src"),
    command=_MAVEN,
    offline=(*_MAVEN, "--offline"),  # all of it may be in the local repository
    directory=_LESHAN,
    fetched=r"Downloaded from ",
    unreachable=r"could not be resolved|Could not transfer|Could not find artifact|offline mode",
)

_BOOTSTRAP = ROOT / "tests" / "interop" / "leshan-bootstrap"

LESHAN_BOOTSTRAP = Component(
    name="leshan-bootstrap",
    title="Eclipse Leshan's bootstrap server (Maven)",
    programs=LESHAN.programs,
    sources=(_BOOTSTRAP / "pom.xml", _BOOTSTRAP / "src"),
    command=LESHAN.command,
    offline=LESHAN.offline,
    directory=_BOOTSTRAP,
    fetched=LESHAN.fetched,
    unreachable=LESHAN.unreachable,
)


def _of_npm(name: str, version: str) -> Component:
    """Return a package of npm with what it depends on; no script that a package brings is run."""
    npm = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=http", "--prefix")
    command = (*npm, str(BUILD / name))
    return Component(
        name=name,
        title=f"{name} (npm)",
        programs=("node", "npm"),
        sources=(),
        command=(*command, f"{name}@{version}"),
        offline=(*command, "--offline", f"{name}@{version}"),
        directory=BUILD,
        fetched=r"http fetch GET 200",
        unreachable=r"code (E[A-Z]*|ERR_[A-Z_]*)\b",
    )


LORA_PACKET = _of_npm("lora-packet", "0.9.3")

NODE_SERVER = _of_npm("lwm2m-node-lib", "1.4.0")
"""An LwM2M server (Telefonica) on node-coap."""

_PIP = f'"{sys.executable}" -m venv venv && venv/bin/python -m pip install --editable "{ROOT}"'

BASE_INSTALL = Component(
    name="base-install",
    title="the bridge without extras (pip)",
    programs=(),
    sources=(ROOT / "pyproject.toml",),
    command=("sh", "-c", _PIP),
    offline=("sh", "-c", _PIP.replace("pip install", "pip install --no-index")),
    directory=BUILD / "base-install",
    fetched=r"Downloading |Using cached ",
    unreachable=r"No matching distribution|Could not find a version|Could not fetch|Could not install .* OSError",
)
"""A virtual environment in `venv` with what `pip install .` brings."""

COMPONENTS = (LESHAN, LESHAN_BOOTSTRAP, LORA_PACKET, NODE_SERVER, BASE_INSTALL)
