"""The command of the emulated server: alone it runs one, with a further word it has a running one do something."""

import logging
import tomllib
from pathlib import Path

import click

from mock_network.command_line import (
    block_size_option,
    clock_option,
    control_option,
    forever,
    parse_address,
    ready,
    run,
)
from mock_network.control_api import authority, listening
from mock_network.lwm2m.messages import Tuning
from mock_network.lwm2m.object_files import DefinitionError, read_files
from mock_network.lwm2m.oscore import OscoreKeys, keys_from
from mock_network.lwm2m.standard import standard_model
from mock_network.lwm2m_server.ask import COMMANDS
from mock_network.lwm2m_server.bootstrap_plan import Plan, read_plans
from mock_network.lwm2m_server.control import make_app
from mock_network.lwm2m_server.profiles import PROFILES
from mock_network.lwm2m_server.server import LwM2mServer

_PROFILES = "\n\n".join(f"{profile.name}: {profile.summary}" for profile in PROFILES.values())


@click.group(
    "server",
    invoke_without_command=True,
    epilog=f"Profiles are {_PROFILES}",
    commands={command.name or "": command for command in COMMANDS},
)
@click.option("--listen", default="127.0.0.1:5683", show_default=True, help="UDP address; port 0: any")
@click.option(
    "--profile",
    default="plain",
    show_default=True,
    type=click.Choice(sorted(PROFILES)),
    help="the server of the field that it acts like",
)
@click.option(
    "--bootstrap",
    "plans_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with bootstrap plans by endpoint: the server is a bootstrap server, too",
)
@click.option(
    "--object-files",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="further object definitions: a file or folder of the OMA registry's XML, or of TOML",
)
@click.option(
    "--oscore",
    "oscore_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='TOML file with OSCORE keys by endpoint: ["NAME"] with secret, sender, recipient, salt, context in hex',
)
@click.option("--nstart-1", "nstart_one", is_flag=True, help="one un-ACKed request per device at a time (RFC 7252)")
@block_size_option
@click.option("--ack-timeout", default=2.0, show_default=True, help="seconds (RFC 7252 §4.8)")
@click.option("--max-retransmit", default=4, show_default=True, help="RFC 7252 §4.8")
@click.option("--seed", default=None, type=int, help="of random numbers")
@control_option(what="control API: of the new server, or of the running one that a command is for")
@clock_option
@click.pass_context
def server(
    context: click.Context,
    listen: str,
    profile: str,
    plans_file: Path | None,
    object_files: tuple[Path, ...],
    oscore_file: Path | None,
    nstart_one: bool,
    block_size: int,
    ack_timeout: float,
    max_retransmit: int,
    seed: int | None,
    control: tuple[str, int],
    clock: str,
) -> None:
    """Run an emulated LwM2M 1.1 server, or have a running one do something.

    Without a command a server runs; it prints one line of JSON with its addresses when it is ready. With a command, the
    running server whose control API is at --control does it:

        lwm2m-bridge mock server --control 127.0.0.1:8001 read urn:dev:os:meter-1 /3/0/9
    """
    context.obj = control
    if context.invoked_subcommand is not None:
        return
    address = parse_address(listen)
    plans, keys = _plans(plans_file), _keys(oscore_file)
    try:
        model = standard_model().with_objects(read_files(object_files))
    except (DefinitionError, OSError) as error:
        raise click.BadParameter(str(error), param_hint="--object-files") from error

    async def main() -> None:
        lwm2m_server = LwM2mServer(
            tuning=Tuning(ack_timeout=ack_timeout, max_retransmit=max_retransmit, block_exponent=block_size),
            nstart_unlimited=False if nstart_one else None,
            type_of=model.type_of,
            seed=seed,
            profile=PROFILES[profile],
        )
        lwm2m_server.bootstrap.plans.update(plans)
        for endpoint, own in keys.items():
            lwm2m_server.identities.use_oscore(endpoint, own)
        bound = await lwm2m_server.start(address)
        try:
            async with listening(make_app(lwm2m_server), control) as base:
                ready(coap=f"coap://{authority(*bound)}", control=f"http://{base}/control")
                await forever()
        finally:
            await lwm2m_server.stop()

    run(main, clock, logging.WARNING)


def _plans(file: Path | None) -> dict[str, Plan]:
    if file is None:
        return {}
    try:
        return read_plans(file.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--bootstrap") from error


def _keys(file: Path | None) -> dict[str, OscoreKeys]:
    if file is None:
        return {}
    try:
        return {endpoint: keys_from(words) for endpoint, words in tomllib.loads(file.read_text("utf-8")).items()}
    except (ValueError, TypeError, OSError) as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="--oscore") from error
