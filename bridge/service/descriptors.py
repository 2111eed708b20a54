"""File descriptors: raises the limit, and checks that there are enough."""

import logging
import resource

from bridge.errors import ConfigurationError

log = logging.getLogger(__name__)

LEAST = 128  # the ledger, listeners, and some connections of networks
BESIDE = 2048  # for connections of networks, in addition to a port for each endpoint
_CURE = "raise the limit: LimitNOFILE= of a systemd unit, ulimit -n in a shell, --ulimit nofile= of a container"


def take_all() -> int:
    """Raise this process's limit to the hard limit, and return it.

    Raises ConfigurationError if that is too little.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < LEAST:
        raise ConfigurationError(f"this process may open {hard} files at once, and needs {LEAST} at least; {_CURE}")
    return hard


def warn_if_too_few(limit: int, ports: int) -> None:
    """Log a warning if the limit is too low for a port for each endpoint (scheme `ports`)."""
    if limit != resource.RLIM_INFINITY and limit < ports + BESIDE:
        log.error(
            "%d endpoints with a port each need %d file descriptors, this process may have %d: some will be down; %s",
            ports,
            ports + BESIDE,
            limit,
            _CURE,
        )
