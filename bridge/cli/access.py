"""How a command reaches a bridge: the running service through its local socket, or its ledger's file."""

import asyncio
import contextlib
import logging
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from bridge.cli.common import config_option, read_config, require
from bridge.config import Config, control_socket
from bridge.control.client import Client, DirectClient, SocketClient
from bridge.errors import NotRunning
from bridge.operations.types.request import Request

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """The bridge that a command is for: the one of a configuration, or the one behind a socket."""

    config: Path
    socket: Path | None = None

    def ask(self, request: Request[T]) -> T:
        """Return the result of one operation. Raises a BridgeError."""
        return self.use(lambda client: client.ask(request))

    def use(self, work: Callable[[Client], Awaitable[T]]) -> T:
        """Run `work` with a client, to the end. Raises a BridgeError."""

        async def inner() -> T:
            async with self.connect() as client:
                return await work(client)

        return asyncio.run(inner())

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """Reach the running service; if there is none, open its ledger here. Raises a BridgeError."""
        path = self.socket or control_socket(require(self.config))
        if answers(path):
            async with SocketClient(path) as client:
                yield client
        elif self.socket is not None:
            raise NotRunning(f"nobody answers at {path}; start the service: lwm2m-bridge run --config FILE")
        else:
            from bridge.service.at_rest import BridgeAtRest

            logging.getLogger().setLevel(logging.WARNING)
            async with BridgeAtRest(self.configuration(), lambda: read_config(self.config)) as bridge:
                yield DirectClient(bridge)

    def configuration(self) -> Config:
        """Read the configuration without its secrets. Raises ConfigurationError."""
        return read_config(self.config, secrets=False)


def answers(path: Path) -> bool:
    """Return whether somebody listens at a local socket."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command be called for a configuration or for a socket: it gets `target`."""

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
