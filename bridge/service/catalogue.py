"""The directory's catalogue as a configuration has it."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bindings.contract import Binding
from bridge.config import PROFILES, Config
from bridge.directory import Catalogue, Sources
from bridge.errors import ConfigurationError


def catalogue(config: Config, networks: Callable[[], Mapping[str, Binding]], sources: Sources | None) -> Catalogue:
    """Return what entries of the directory may name. `networks` is called when a device address is to be read."""

    def canonical(network: str, device: str) -> str:
        there = networks()
        if network not in there:
            raise ConfigurationError(f"network {network!r} is not configured (known: {', '.join(there) or 'none'})")
        return there[network].canonical_device(device)

    return Catalogue(
        servers={key: config.server(key) for key in config.servers},
        canonical=canonical,
        sources=sources,
        profiles=PROFILES,
        default_servers=config.default_servers,
        templates=config.name_templates(),
        addresses=config.server_addresses(),
    )


def make_state_directory(path: Path) -> None:
    """Make the directory of what must outlive a restart. Raises ConfigurationError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"state_directory {path} cannot be made: {error.strerror or error}") from error
