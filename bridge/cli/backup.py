"""`lwm2m-bridge backup` and `restore`: a copy of the ledger, and a ledger from a copy."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from bridge.cli.common import config_option, errors_shown, json_option, moment, print_json, read_config
from bridge.config import Config
from bridge.errors import ConfigurationError


@click.command("backup")
@config_option
@json_option
@click.argument("file", type=click.Path(path_type=Path))
@errors_shown
def backup(config_path: Path, as_json: bool, file: Path) -> None:
    """Write a consistent copy of the ledger to FILE. The service may run.

    The copy is checked, and readable for you alone: it holds payloads.
    """
    from bridge.store.sqlite.backup import back_up

    config = read_config(config_path, secrets=False)
    database = ledger_file(config)
    with progress_shown("copying", shown=not as_json) as step:
        copy = back_up(database, file, step)
    if as_json:
        print_json({"file": str(copy.path), "bytes": copy.bytes, "taken_at": copy.taken_at})
    else:
        click.echo(f"{copy.path}: {copy.bytes} bytes, checked, as of {moment(copy.taken_at)}")


@click.command("restore")
@config_option
@json_option
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="If there is a ledger already, keep it under another name.")
@errors_shown
def restore(config_path: Path, as_json: bool, file: Path, replace: bool) -> None:
    """Make the ledger from a copy that `backup` wrote. The service must be down.

    The copy lacks everything that happened after it was taken. So messages without an outcome end as UNKNOWN, and
    every device has to register anew at its next Update.
    """
    from bridge.service.state_directory import make_state_directory
    from bridge.store.sqlite.backup import restore as make_from

    config = read_config(config_path, secrets=False)
    database = ledger_file(config)
    make_state_directory(config.state_directory)
    with progress_shown("restoring", shown=not as_json) as step:
        done = make_from(file, database, replace=replace, progress=step)
    if as_json:
        print_json(
            {
                "taken_at": done.copy.taken_at or None,
                "endpoints": done.endpoints,
                "messages_ended": done.messages_ended,
                "replaced": None if done.replaced is None else str(done.replaced),
            }
        )
        return
    since = f"as of {moment(done.copy.taken_at)}" if done.copy.taken_at else "of an unknown time"
    click.echo(f"{database}: {done.endpoints} endpoints, {since}")
    if done.messages_ended:
        click.echo(f"{done.messages_ended} messages had no outcome then; what became of them is unknown (UNKNOWN)")
    if done.replaced is not None:
        click.echo(f"the ledger before it is {done.replaced}")


def ledger_file(config: Config) -> Path:
    """Return the ledger's file. Raises ConfigurationError if it is not in one."""
    if isinstance(config.database, Path):
        return config.database
    raise ConfigurationError(
        "the ledger is in PostgreSQL: copy it as that database is backed up, by archiving its WAL (pg_basebackup) or "
        "with pg_dump"
    )


@contextlib.contextmanager
def progress_shown(label: str, *, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a copy on a terminal."""
    error = sys.stderr
    if not (shown and error.isatty()):
        yield lambda _done, _all: None
        return
    with click.progressbar(length=100, label=label, file=error) as bar:

        def step(done: int, whole: int) -> None:
            bar.update(100 * done // max(whole, 1) - bar.pos)

        yield step
