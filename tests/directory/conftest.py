import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.directory import Catalogue, Directory, Draft, Sources
from bridge.errors import ConfigurationError
from bridge.relay.model import Server, ServerProfile
from bridge.store.contract import Store
from tests.store.stores import KINDS


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


def canonical(network: str, device: str) -> str:
    """Return a network of each kind of spelling rule: External Identifiers, and DevEUIs in either letter case."""
    if network == "nidd":
        if "@" not in device:
            raise ConfigurationError(f"{device!r} is no External Identifier")
        return device.lower()
    if network == "lora":
        if not re.fullmatch(r"[0-9a-fA-F]{16}", device):
            raise ConfigurationError(f"{device!r} is no DevEUI")
        return device.lower()
    raise ConfigurationError(f"network {network!r} is not configured")


def make_sources(first: int = 0, count: int = 1000, scheme: str = "prefix", host: str = "127.64.0.{}") -> Sources:
    return Sources(scheme, range(first, first + count), lambda number: (host.format(number) + ":56830",))


def make_catalogue(sources: Sources | None = None) -> Catalogue:
    return Catalogue(
        servers={key: Server(key) for key in ("leshan", "coiote")},
        canonical=canonical,
        sources=make_sources() if sources is None else sources,
        profiles={"transparent": ServerProfile(fit_register=False)},
        default_servers=("leshan",),
        templates={"lora": "urn:dev:mac:{deveui}"},
    )


def make_draft(number: int = 1, **given: object) -> Draft:
    return Draft(**({"network": "nidd", "device": f"d{number}@x.org", "name": f"ep{number}"} | given))  # type: ignore[arg-type]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Every kind of store in its turn."""
    kind = KINDS[request.param](tmp_path)
    yield kind
    kind.end()


@pytest.fixture
async def opened(stores: Any, clock: Clock) -> AsyncIterator[Callable[..., Directory]]:
    """Return a function that opens the directory, anew at each call, as after a restart."""
    opened: list[Store] = []

    async def reopen(catalogue: Catalogue | None = None, cached: int = 4096) -> Directory:
        for store in opened:
            await store.close()
        opened.append(await stores.open())
        directory = Directory(opened[-1].directory, catalogue or make_catalogue(), clock, cached)
        directory.store = opened[-1]  # type: ignore[attr-defined]  # for tests alone
        return directory

    yield reopen
    for store in opened:
        await store.close()


@pytest.fixture
async def directory(opened: Callable[..., Directory]) -> Directory:
    return await opened()


@pytest.fixture
def draft() -> Callable[..., Draft]:
    return make_draft


@pytest.fixture
def sources() -> Callable[..., Sources]:
    return make_sources


@pytest.fixture
def catalogue() -> Callable[..., Catalogue]:
    return make_catalogue
