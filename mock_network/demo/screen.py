"""Prints the tour on a terminal."""

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Screen:
    """Prints the tour while it runs; each line begins with the seconds since its start."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=False)
        self._began = time.monotonic()

    def title(self, text: str) -> None:
        self._console.print(f"\n[bold]{escape(text)}[/bold]")

    def say(self, text: str) -> None:
        self._line(f"[dim]{self.seconds:5.1f}[/dim]", escape(text))

    def step(self, number: int, name: str, what: str) -> None:
        self._console.print()
        self._line(f"[dim]{self.seconds:5.1f}[/dim]", f"[bold]{number}. {escape(name)}[/bold]  {escape(what)}")

    def held(self, text: str) -> None:
        self._line("", f"[green]✓[/green] {escape(text)}")

    def broke(self, text: str) -> None:
        self._line("", f"[red]✗ {escape(text)}[/red]")

    def _line(self, margin: str, text: str) -> None:
        """Print a text beside the margin of seconds, also where it is broken into lines."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=5)
        table.add_column()
        table.add_row(margin, text)
        self._console.print(table)

    def addresses(self, rows: list[tuple[str, str, str]]) -> None:
        """Show where everything is, and below each what to try, on one line, so that it can be copied."""
        for name, address, what in rows:
            self._console.print(f"[bold]{escape(name.ljust(14))}[/bold]{escape(address)}", soft_wrap=True)
            self._console.print(f"    {what}", markup=False, soft_wrap=True)

    def plain(self, text: Any) -> None:
        """Print a line as it is, without looking for markup in it."""
        self._console.print(str(text), markup=False)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
