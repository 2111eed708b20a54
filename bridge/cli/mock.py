"""`lwm2m-bridge mock` and `demo`: the emulators. No other module of the bridge refers to them."""

import importlib
from importlib.util import find_spec

import click

from bridge.extras import cure

_EXTRA = "emulators"
_DEMO_USES = ("aiocoap", "cbor2", "Crypto", "chirpstack_api", "grpc", "paho")
_COMMANDS = {
    "chirpstack": "mock_network.chirpstack.command:chirpstack",
    "clock": "mock_network.clock.command:clock",
    "scef": "mock_network.scef.command:scef",
    "device": "mock_network.device.command:device",
    "lorawan": "mock_network.lorawan.command:lorawan",
    "server": "mock_network.lwm2m_server.command:server",
}


def _command(target: str) -> click.Command:
    module, _, name = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        return _absent(name, error)
    if not isinstance(found, click.Command):
        raise TypeError(f"{target} is not a command")
    return found


def _absent(name: str, error: ModuleNotFoundError) -> click.Command:
    """Return a command that accepts any arguments and says which package is missing. Raises other import errors."""
    missing = cure(error.name, _EXTRA)
    if missing is None:
        raise error

    def refuse() -> None:
        raise click.ClickException(missing)

    return click.Command(
        name,
        callback=refuse,
        help=f"Not usable: {missing}",
        short_help=f"(needs the extra [{_EXTRA}])",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


class _Lazy(click.Group):
    """Imports an emulator only when its command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        target = _COMMANDS.get(cmd_name)
        return None if target is None else _command(target)


@click.command("mock", cls=_Lazy)
def mock_group() -> None:
    """Emulated networks, devices and servers, to develop against without an operator."""


@click.command("demo")
@click.option("--once", is_flag=True, help="Run the tour once, print a verdict as JSON, and end.")
@click.option("--mqtt", is_flag=True, help="LoRaWAN events over a Mosquitto that the demo starts, not over HTTP.")
@click.option("--break", "broken", type=click.Choice(["expiry", "dedup", "store"]), hidden=True)
def demo(once: bool, mqtt: bool, broken: str | None) -> None:
    """Show everything live: a server manages devices without IP through emulated networks."""
    for module in _DEMO_USES:  # it starts processes, whose errors would be hard to read
        if find_spec(module) is None:
            raise click.ClickException(cure(module, _EXTRA) or module)
    from mock_network.demo import run_demo

    raise SystemExit(run_demo(once=once, broken=broken, mqtt=mqtt))
