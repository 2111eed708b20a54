"""Reads gateways, devices with their modems' ports, and links from a TOML file."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mock_network.lorawan.device_config import DeviceConfig, parse_device
from mock_network.lorawan.gateway import GatewayConfig
from mock_network.lorawan.regions import REGIONS

Read = TypeVar("Read")
MAX_PORT = 0xFFFF  # of UDP


class PopulationError(ValueError):
    """An invalid file; the text says where and what is wrong."""


@dataclass(frozen=True, slots=True)
class Population:
    """The content of a file."""

    gateways: tuple[GatewayConfig, ...] = ()
    devices: tuple[tuple[DeviceConfig, int], ...] = ()  # with the modem's port; 0: any
    links: tuple[dict[str, Any], ...] = ()  # bodies of action `link`, with the device's `dev_eui`


def read_population(path: Path) -> Population:
    """Read a file of nothing else. Raises PopulationError or OSError."""
    return read_tables(path, parse_population)


def read_tables(path: Path, parse: Callable[[dict[str, Any]], Read]) -> Read:
    """Read a TOML file with `parse`. Raises PopulationError, with the file's name, or OSError."""
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise PopulationError(f"{path}: {error}") from error


def parse_population(body: dict[str, Any]) -> Population:
    """Read tables `[[device]]`, `[[gateway]]` and `[[link]]`. Raises PopulationError."""
    tables = {name: body.get(name, []) for name in ("gateway", "device", "link")}
    if unknown := set(body) - set(tables):
        raise PopulationError(f"unknown table: {', '.join(sorted(unknown))}")
    if not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in tables.values()):
        raise PopulationError("[[gateway]], [[device]] and [[link]] are tables")
    return Population(
        tuple(_gateway(number, dict(row)) for number, row in enumerate(tables["gateway"], 1)),
        tuple(_device(number, dict(row)) for number, row in enumerate(tables["device"], 1)),
        tuple(dict(row) for row in tables["link"]),
    )


def _gateway(number: int, row: dict[str, Any]) -> GatewayConfig:
    try:
        return GatewayConfig(region=REGIONS[row.pop("region", "EU868")], **row)
    except (ValueError, KeyError, TypeError) as error:
        raise PopulationError(f"[[gateway]] {number}: {error}") from error


def _device(number: int, row: dict[str, Any]) -> tuple[DeviceConfig, int]:
    port = row.pop("port", 0)
    if not isinstance(port, int) or not 0 <= port <= MAX_PORT:
        raise PopulationError(f"[[device]] {number}: port is 0..{MAX_PORT}")
    try:
        return parse_device(row), port
    except ValueError as error:
        raise PopulationError(f"[[device]] {number}: {error}") from error
