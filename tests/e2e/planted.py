"""Secrets of a set-up's configuration must stand nowhere that the bridge writes: every end-to-end test looks."""

import re
from pathlib import Path

_SETTINGS = re.compile(r'\b(?:key|token|password|secret|client_secret)\s*=\s*"([^"]{8,})"')
WRITTEN = ("bridge.log", "*.db*", "*.sqlite*", "*ledger*", "*backup*")  # by the bridge, in a set-up's directory


def secrets_of(directory: Path) -> list[str]:
    """Return the secrets in the configuration of a set-up."""
    configuration = directory / "bridge.toml"
    return _SETTINGS.findall(configuration.read_text()) if configuration.exists() else []


def reveals(directory: Path, text: str) -> list[str]:
    """Return the secrets of a set-up that stand in a text."""
    return [secret for secret in secrets_of(directory) if secret in text]


def places(directory: Path) -> list[str]:
    """Return the files of the bridge in which a secret of the set-up stands."""
    secrets = [secret.encode() for secret in secrets_of(directory)]
    files = {file for pattern in WRITTEN for file in directory.rglob(pattern) if file.is_file()}
    return sorted(str(file) for file in files if any(secret in file.read_bytes() for secret in secrets))
