"""The command of the emulated SCEF."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mock_network.command_line import clock_option, control_option, forever, parse_address, ready, run
from mock_network.faults import Fault, FaultError
from mock_network.scef.advice import advice
from mock_network.scef.auth import KINDS
from mock_network.scef.core import SettingsError
from mock_network.scef.options import Options, World, read_world
from mock_network.scef.own_profile import own_profile
from mock_network.scef.profiles import PROFILES
from mock_network.scef.service import ScefService

_FILE = click.Path(exists=True, dir_okay=False)


async def serve(options: Options, told: Callable[[dict[str, Any]], None]) -> None:
    """Run an emulated SCEF until cancelled; `told` is called with its addresses. Raises OSError or SettingsError."""
    service = ScefService(options)
    try:
        await service.start()
        told(service.ready())
        await forever()
    finally:
        await service.stop()


def _ues(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[dict[str, Any], ...]:
    """Read `IDENTITY[:PORT[:SMS_PORT]]`."""
    ues = []
    for value in values:
        identity, *ports = value.split(":")
        member = "external_id" if "@" in identity else "msisdn"
        try:
            port, sms_port = [*(int(one) for one in ports), 0, 0][:2]
        except ValueError as error:
            raise click.BadParameter(f"{value!r} is not IDENTITY[:PORT[:SMS_PORT]]") from error
        ues.append({member: identity, "port": port, "sms_udp_port": sms_port})
    return tuple(ues)


def _faults(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Fault, ...]:
    try:
        return tuple(Fault.parse(json.loads(value)) for value in values)
    except (FaultError, ValueError, AttributeError, TypeError) as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="T8 APIs: address and port; port 0: any")
@control_option()
@click.option(
    "--ue", "ues", multiple=True, callback=_ues, help="a UE: External Identifier or MSISDN, [:PORT[:SMS_PORT]]"
)
@click.option(
    "--ues", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file of [[ue]], [[group]], [[scs_as]], [[fault]] and [profile]",
)  # fmt: skip
@click.option(
    "--on-first-use", multiple=True,
    help="pattern, such as *@iot.example, of identities whose UEs are made when they are first named; "
    "* where no UE is given otherwise",
)  # fmt: skip
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="strict-r17", show_default=True)
@click.option("--fault", "faults", multiple=True, callback=_faults, help='JSON, such as {"kind": "http_error"}')
@click.option("--seed", default=0, show_default=True, help="of everything that is left to chance")
@clock_option
@click.option("--clock-skew", default=0.0, show_default=True, help="seconds that the SCEF's own clock is ahead")
@click.option("--token", envvar="SCEF_TOKEN", help="bearer token and client secret; default: one is made and printed")
@click.option("--client-id", default="scs-as", show_default=True, help="of OAuth 2.0 client credentials and HTTP Basic")
@click.option("--token-lifetime", default=3600.0, show_default=True, help="of issued access tokens; seconds")
@click.option(
    "--credentials", multiple=True, type=click.Choice(sorted(KINDS)), help="what is taken; default: all kinds"
)
@click.option("--no-auth", is_flag=True, help="take every request")
@click.option("--modem-host", default="127.0.0.1", show_default=True, help="where the modems' UDP ports are")
@click.option("--public-url", help="apiRoot to be used in links; default: as bound")
@click.option("--certificate", type=_FILE, help="PEM file: T8 over TLS")
@click.option("--key", type=_FILE, help="PEM file of the certificate's key; default: it is in the same file")
@click.option("--client-ca", type=_FILE, help="PEM file of authorities: a client certificate is needed")
@click.option("--callback-authorization", help="value of the Authorization header of notifications")
@click.option(
    "--callback-ca", type=_FILE, help="PEM file of authorities to trust for notifications; default: the system's"
)
@click.option("--callback-certificate", type=_FILE, help="PEM file of certificate and key shown to who is notified")
@click.option("--mo-sms-url", help="where SMS of UEs are posted to (3gpp-msisdn-less-mo-sms)")
@click.option("--nidd-trigger-url", help="where UEs without configuration are posted to (NIDDConfigurationTrigger)")
def scef(**given: Any) -> None:
    """Emulate a 3GPP SCEF/NEF with its UEs; prints one line of JSON with all addresses when ready."""
    try:
        world = read_world(given["file"]) if given["file"] is not None else World()
        first_use = given["on_first_use"]
        if not first_use and not given["ues"] and given["file"] is None:
            first_use = ("*",)
        options = Options(
            listen=parse_address(given["listen"]),
            profile=own_profile(world.profile, given["profile"]) if world.profile else PROFILES[given["profile"]],
            authentication=not given["no_auth"],
            credentials=frozenset(given["credentials"]) or KINDS,
            ues=(*world.ues, *given["ues"]),
            groups=world.groups,
            scs_as=world.scs_as,
            faults=(*world.faults, *given["faults"]),
            on_first_use=first_use,
            **{
                name: given[name]
                for name in (
                    "control", "seed", "clock_skew", "token", "client_id", "token_lifetime", "modem_host", "public_url",
                    "certificate", "key", "client_ca", "callback_authorization", "callback_ca", "callback_certificate",
                    "mo_sms_url", "nidd_trigger_url",
                )
            },
        )  # fmt: skip
        run(lambda: serve(options, lambda addresses: _told(addresses, options)), given["clock"])
    except (SettingsError, FaultError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _told(addresses: dict[str, Any], options: Options) -> None:
    """Print all addresses, for programs; and on a terminal, the next steps."""
    ready(**addresses)
    if sys.stderr.isatty():
        click.echo(advice(addresses, options), err=True)
