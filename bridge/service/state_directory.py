"""The state directory: files that must outlive a restart."""

from pathlib import Path

from bridge.errors import ConfigurationError

MODE = 0o750  # mode of the directory: only its owner reads messages; its group may use the control socket


def make_state_directory(path: Path) -> None:
    """Create the directory if it does not exist, for its owner and group alone. Raises ConfigurationError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(MODE, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"state_directory {path} cannot be made: {error.strerror or error}") from error
