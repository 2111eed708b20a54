"""Secrets in settings: plain, `file:PATH`, `env:NAME` or `credential:NAME`; no error text contains one."""

import os
import re
from pathlib import Path
from typing import Any

from bridge.errors import ConfigurationError

FILE = "file:"
ENVIRONMENT = "env:"
CREDENTIAL = "credential:"  # of systemd: a file in $CREDENTIALS_DIRECTORY
_OF_A_SHELL = re.compile(r"\$\{(\w+)\}|\$([A-Z_][A-Z0-9_]+)")  # what a shell would replace, and TOML does not


def reveal(value: Any, directory: Path, found: set[str]) -> Any:
    """Resolve references to secrets, in a string or in the strings of a table; all secrets are added to `found`.

    The last line end of a file is removed. Raises ConfigurationError if there is no such file or variable, and for a
    variable as a shell writes it, which nobody would replace.
    """
    if isinstance(value, dict):
        return {key: reveal(item, directory, found) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    secret = value
    if value.startswith(FILE):
        secret = _read(directory / value.removeprefix(FILE))
    elif value.startswith(CREDENTIAL):
        name = value.removeprefix(CREDENTIAL)
        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        if not credentials:
            raise ConfigurationError(
                f"credential {name}: systemd passed no such credential; add LoadCredential={name}:FILE to the unit"
            )
        if "/" in name or name in {"", ".", ".."}:
            raise ConfigurationError(f"{name!r} is not a valid name of a credential")
        secret = _read(Path(credentials) / name)
    elif value.startswith(ENVIRONMENT):
        name = value.removeprefix(ENVIRONMENT)
        if name not in os.environ:
            raise ConfigurationError(f"environment variable {name} is not set; set it before the start")
        secret = os.environ[name]
    elif variable := _OF_A_SHELL.fullmatch(value):
        name = variable[1] or variable[2]
        raise ConfigurationError(
            f"variables of a shell are not replaced here; write env:{name}, or file:PATH if the secret itself looks so"
        )
    if secret:
        found.add(secret)
    return secret


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
        cure = "create it, or name another file" if isinstance(error, FileNotFoundError) else "make it readable"
        raise ConfigurationError(f"secret file {path} cannot be read ({why}); {cure}") from None
