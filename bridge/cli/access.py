"""How a command reaches a bridge: the running service through its local socket, or its ledger's file."""

import contextlib
import logging
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bridge.cli.common import config_option, read_config, require
from bridge.control.contract import Client
from bridge.errors import NotPossible, NotRunning
from bridge.operations.types.request import Access, Request

if TYPE_CHECKING:  # imported late: completion and help need none of this, and the imports take most of the time
    from bridge.config import Config

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """The bridge that a command is for: that of a configuration, or that behind a socket."""

    config: Path
    socket: Path | None = None

    def ask(self, request: Request[T]) -> T:
        """Return the result of one operation. Raises a BridgeError."""
        return self.use(lambda client: client.ask(request), changes=request.ACCESS is not Access.READ)

    def use(self, work: Callable[[Client], Awaitable[T]], *, changes: bool = False) -> T:
        """Run `work` with a client. `changes`: it may change something. Raises a BridgeError."""
        import asyncio

        async def inner() -> T:
            async with self.connect(changes=changes) as client:
                return await work(client)

        return asyncio.run(inner())

    @contextlib.asynccontextmanager
    async def connect(self, *, changes: bool = False) -> AsyncIterator[Client]:
        """Connect to the running service; if there is none, open its ledger. Raises a BridgeError."""
        from bridge.config import control_socket
        from bridge.control.client import DirectClient, SocketClient

        path = self.socket or control_socket(require(self.config))
        if answers(path):
            async with SocketClient(path) as client:
                yield client
        elif self.socket is not None:
            raise NotRunning(f"nobody answers at {path}; start the service: lwm2m-bridge run --config FILE")
        else:
            from bridge.service.at_rest import BridgeAtRest

            logging.getLogger().setLevel(logging.WARNING)
            async with BridgeAtRest(self.configuration(), lambda: read_config(self.config), changes=changes) as bridge:
                yield DirectClient(bridge)

    def configuration(self) -> "Config":
        """Read the configuration without its secrets. Raises ConfigurationError."""
        return read_config(self.config, secrets=False)


def answers(path: Path) -> bool:
    """Return whether a service listens at a local socket. Raises NotPossible if this user may not connect."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except PermissionError:
            raise NotPossible(f"you may not use {path}; {_how_to_be_allowed(path)}") from None
        except OSError:
            return False
    return True


def _how_to_be_allowed(path: Path) -> str:
    import grp
    import pwd

    for place in (path, *path.parents):  # this user may not look into the directory
        with contextlib.suppress(OSError, KeyError):
            there = place.stat()
            group, owner = grp.getgrgid(there.st_gid).gr_name, pwd.getpwuid(there.st_uid).pw_name
            return f"run this as the service's user (sudo -u {owner} …), or become a member of the group {group}"
    return "run this as the service's user, with sudo -u, or become a member of its group"


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for a configuration or a socket to a command, which gets `target`."""

    @config_option
    @click.option(
        "--socket",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="LWM2M_BRIDGE_SOCKET",
        help="The running service's local socket, in place of a configuration; also from LWM2M_BRIDGE_SOCKET.",
    )
    @wraps(command)
    def inner(*, config_path: Path, socket: Path | None, **given: Any) -> Any:
        return command(target=Target(config_path, socket), **given)

    return inner
