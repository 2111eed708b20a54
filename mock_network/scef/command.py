"""The command of the emulated SCEF."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mock_network.command_line import clock_option, control_option, forever, parse_address, ready, run
from mock_network.scef.model import SettingsError
from mock_network.scef.profiles import PROFILES
from mock_network.scef.service import Options, ScefService


async def serve(options: Options, told: Callable[[dict[str, Any]], None]) -> None:
    """Run an emulated SCEF until cancelled; `told` is called with its addresses. Raises OSError or SettingsError."""
    service = ScefService(options)
    try:
        await service.start()
        told(service.ready())
        await forever()
    finally:
        await service.stop()


def read_ues(path: Path) -> tuple[dict[str, Any], ...]:
    """Read a file of UEs: tables `[[ue]]` with settings, `name` and `port`. Raises SettingsError or OSError."""
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(f"{path}: {error}") from error
    ues = body.pop("ue", [])
    if body or not isinstance(ues, list) or not all(isinstance(ue, dict) for ue in ues):
        raise SettingsError(f"{path}: only tables [[ue]] are expected")
    return tuple(ues)


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, help="T8 API: address and port; port 0: any")
@control_option()
@click.option("--ues", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="TOML file of UEs: [[ue]]")
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="strict-r17", show_default=True)
@click.option("--seed", default=0, show_default=True, help="of everything that is left to chance")
@clock_option
@click.option("--token", envvar="SCEF_TOKEN", help="bearer token and client secret; default: one is made and printed")
@click.option("--client-id", default="scs-as", show_default=True, help="of OAuth 2.0 client credentials and HTTP Basic")
@click.option("--token-lifetime", default=3600.0, show_default=True, help="of issued access tokens; seconds")
@click.option("--no-auth", is_flag=True, help="take every request")
@click.option("--modem-host", default="127.0.0.1", show_default=True, help="where the modems' UDP ports are")
@click.option("--public-url", help="apiRoot to be used in links; default: as bound")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="PEM file: T8 over TLS")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="PEM file of the certificate's key")
def scef(
    listen: str,
    control: tuple[str, int],
    ues: Path | None,
    profile: str,
    seed: int,
    clock: str,
    token: str | None,
    client_id: str,
    token_lifetime: float,
    no_auth: bool,
    modem_host: str,
    public_url: str | None,
    certificate: str | None,
    key: str | None,
) -> None:
    """Emulate a 3GPP SCEF/NEF with its UEs; prints one line of JSON with all addresses when ready."""
    try:
        options = Options(
            listen=parse_address(listen),
            control=control,
            modem_host=modem_host,
            profile=PROFILES[profile],
            seed=seed,
            token=token,
            client_id=client_id,
            token_lifetime=token_lifetime,
            authentication=not no_auth,
            public_url=public_url,
            certificate=certificate,
            key=key,
            ues=read_ues(ues) if ues is not None else (),
        )
        run(lambda: serve(options, lambda addresses: ready(**addresses)), clock)
    except (SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from error
