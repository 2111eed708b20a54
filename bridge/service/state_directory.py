"""The directory of what must outlive a restart."""

from pathlib import Path

from bridge.errors import ConfigurationError


def make_state_directory(path: Path) -> None:
    """Make the directory if it is not there. Raises ConfigurationError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"state_directory {path} cannot be made: {error.strerror or error}") from error
