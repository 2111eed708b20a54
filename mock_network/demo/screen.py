"""How the tour looks on a terminal."""

import time
from typing import Any

from rich.console import Console
from rich.table import Table


class Screen:
    """Prints the tour as it goes; seconds since its start stand in front."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=False)
        self._began = time.monotonic()

    def title(self, text: str) -> None:
        self._console.print(f"\n[bold]{text}[/bold]")

    def say(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:5.1f}[/dim]  {text}")

    def step(self, number: int, name: str, what: str) -> None:
        self._console.print(
            f"\n[dim]{time.monotonic() - self._began:5.1f}[/dim]  [bold]{number}. {name}[/bold]  {what}"
        )

    def held(self, text: str) -> None:
        self._console.print(f"       [green]✓[/green] {text}")

    def broke(self, text: str) -> None:
        self._console.print(f"       [red]✗ {text}[/red]")

    def addresses(self, rows: list[tuple[str, str, str]]) -> None:
        """Show where everything is, and what to try."""
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def plain(self, text: Any) -> None:
        """Print a line as it is, without looking for markup in it."""
        self._console.print(str(text), markup=False)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
