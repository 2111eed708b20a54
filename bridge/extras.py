"""Optional parts of the installation, and the command to install one."""

from importlib.metadata import Distribution

DISTRIBUTION = "lwm2m-nonip-bridge"
_OURS = frozenset({"bridge", "bindings", "mock_network"})


def cure(module: str | None, extra: str, distribution: str = DISTRIBUTION) -> str | None:
    """Return the package of a missing module and the command that installs it; None for a module of the bridge."""
    package = (module or "").partition(".")[0]
    if not package or package in _OURS:
        return None
    return f"{package} is not installed; type: pip install '{distribution}[{extra}]'"


def has_extra(distribution: Distribution, extra: str) -> bool:
    """Return whether a distribution declares this extra."""
    return extra in (distribution.metadata.get_all("Provides-Extra") or ())
