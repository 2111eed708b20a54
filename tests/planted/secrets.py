"""Which settings of a configuration are secrets."""

import re
from pathlib import Path

_SETTINGS = re.compile(r'\b(?:key|store_key|former_store_key|token|password|secret|client_secret)\s*=\s*"([^"]{8,})"')
_ELSEWHERE = ("file:", "env:", "credential:", "pkcs11:")
_FILE = re.compile(r'"file:([^"]+)"')
_SHORTEST = 8  # characters: shorter ones stand everywhere by chance


def secrets_in(configuration: Path) -> set[bytes]:
    """Return the secrets in a TOML file, and in the files that it names."""
    try:
        text = configuration.read_text()
    except (OSError, UnicodeError):
        return set()
    plain = {one for one in _SETTINGS.findall(text) if not one.startswith(_ELSEWHERE) and not _names_a_file(one)}
    named = {_content(configuration.parent / name) for name in _FILE.findall(text)}
    return {one.encode() for one in plain | named if len(one) >= _SHORTEST}


def _names_a_file(value: str) -> bool:
    return "/" in value or value.endswith((".pem", ".key", ".csv"))


def _content(file: Path) -> str:
    try:
        return file.read_text().rstrip("\r\n")
    except (OSError, UnicodeError):
        return ""
