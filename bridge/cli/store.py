"""`lwm2m-bridge store`: the ledger's own place."""

from pathlib import Path

import click

from bridge.cli.backup import ledger_file, progress_shown
from bridge.cli.common import config_option, errors_shown, json_option, print_json, read_config


@click.group("store")
def store_group() -> None:
    """The place of the ledger: move it from its file into PostgreSQL."""


@store_group.command("migrate")
@config_option
@json_option
@click.argument("uri")
@errors_shown
def migrate(config_path: Path, as_json: bool, uri: str) -> None:
    """Move the ledger from its file into the PostgreSQL database at URI. The service must be down.

    Every row is copied and compared. If the move breaks off, the same command goes on with it. Afterwards the file has
    another name, and URI belongs into [service] database.
    """
    from bridge.store.opening import check_uri

    config = read_config(config_path, secrets=False)
    check_uri(uri)
    from bridge.store.moving import move

    with progress_shown("moving", shown=not as_json) as step:
        done = move(ledger_file(config), uri, step)
    if as_json:
        print_json({"rows": done.rows, "endpoints": done.endpoints, "kept": str(done.kept)})
        return
    click.echo(f"{done.endpoints} endpoints, {done.rows} rows copied and compared; the file is now {done.kept}")
    click.echo(f'set in the configuration: [service] database = "{uri}"')
