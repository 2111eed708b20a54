"""Groups of commands that are imported only when one of them runs: help, completion and `--version` stay quick."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem


class CommandPlace(NamedTuple):
    """Where a command is, as MODULE:NAME, and its line in the help of its group."""

    place: str
    short_help: str


class LazyGroup(click.Group):
    """A group that imports a command when it runs; lists of commands are made from `commands_at`."""

    def __init__(self, *arguments: Any, commands_at: Mapping[str, CommandPlace], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # as above
        at = self.commands_at.get(cmd_name)
        return None if at is None else imported(at.place)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, at.short_help) for name, at in self.commands_at.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        options = click.Command.shell_complete(self, ctx, incomplete)
        names = [name for name in self.commands_at if name.startswith(incomplete)]
        return [*(CompletionItem(name, help=self.commands_at[name].short_help) for name in names), *options]


def imported(place: str) -> click.Command:
    """Import a command. Raises ModuleNotFoundError if a package that it uses is not installed."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not isinstance(found, click.Command):
        raise TypeError(f"{place} is not a command")
    return found
