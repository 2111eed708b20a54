"""What the commands share: the configuration, errors with a cure, readable times."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
import msgspec

from bridge.errors import BridgeError, ConfigurationError
from bridge.operations.types.request import Problem

if TYPE_CHECKING:  # a completion or a help text needs no configuration
    from bridge.config import Config

P = ParamSpec("P")
R = TypeVar("R")

DEFAULT_CONFIG = "bridge.toml"

config_option = click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="LWM2M_BRIDGE_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="Configuration file; also from LWM2M_BRIDGE_CONFIG.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def errors_shown(function: Callable[P, R]) -> Callable[P, R]:
    """Print a BridgeError as one line, or with --json as JSON, and exit with code 1."""

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BridgeError as error:
            if kwargs.get("as_json"):
                print_json(Problem(error=type(error).__name__, detail=error.text))
                sys.exit(1)
            raise click.ClickException(str(error)) from error

    return inner


def require(path: Path) -> Path:
    """Return the path of an existing configuration. Raises ConfigurationError with the cure."""
    if not path.exists():
        raise ConfigurationError(
            f"no configuration {path}; write one with `lwm2m-bridge config template > {path}`, or name it with --config"
        )
    return path


def read_config(path: Path, *, secrets: bool = True) -> "Config":
    """Read the configuration. Raises ConfigurationError with the cure."""
    from bridge.config import load

    return load(require(path), secrets=secrets)


def print_json(value: Any) -> None:
    """Print a result of an operation, or other plain values, as JSON."""
    text = msgspec.json.encode(value)
    click.echo((msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text).decode())


def moment(seconds: float | None) -> str:
    """Return a wall-clock time for people."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(seconds: float | None) -> str:
    """Return a duration in its largest suitable unit."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment_near(seconds: float | None, other: float | None) -> str:
    """Return a wall-clock time that is shown next to `other`: without the date if both have the same."""
    text, beside = moment(seconds), moment(other)
    date = 10  # characters
    return text[date + 1 :] if text[:date] == beside[:date] else text


def outline(value: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Return nested settings as indented lines that fit a terminal; settings without a value are left out."""
    for key, part in value.items():
        if part in (None, "", {}, (), []):
            continue
        if isinstance(part, Mapping):
            yield f"{'  ' * depth}{key}"
            yield from outline(part, depth + 1)
        else:
            shown = " ".join(map(_plain, part)) if isinstance(part, list | tuple) else _plain(part)
            yield f"{'  ' * depth}{key:<{24 - 2 * depth}} {shown}"


def _plain(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def pairs(options: Sequence[str]) -> dict[str, str]:
    """Read options of the form NAME=VALUE. Raises BadParameter."""
    found = dict(option.split("=", 1) for option in options if "=" in option)
    if len(found) != len(options):
        raise click.BadParameter("write NAME=VALUE", param_hint="--option")
    return found


_UNITS = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86400}  # seconds


class _Span(click.ParamType[float]):
    """Seconds, or a number with its unit: 90, 15min, 6h, 2d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|h|d|)", str(value))
        if match is None:
            self.fail(f"{value!r} is not a duration: write seconds, or 15min, 6h, 2d", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


SPAN = _Span()
