from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridge.delivery.downlinks import ServerRequest
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.uplinks import Notification
from bridge.directory import Draft
from bridge.store.contract import Store
from bridge.store.sqlite import SqliteStore
from tests.store.stores import KINDS


def make_downlink(id_: int, endpoint: int = 1, **given: object) -> ServerRequest:
    """Return a server's request; `given` are fields that are not as in a new one."""
    row = ServerRequest.accepted(
        id_, endpoint, 0, 100.0, "Read", True, 300.0, b"\xb13", 0, 1, 9, b"\x05", "leshan", 7, b"\x01\x02",
        None, 0, 200.0,
    )  # fmt: skip
    return msgspec.structs.replace(row, **given)


def make_uplink(id_: int, endpoint: int = 1, **given: object) -> Notification:
    """Return a device's notification; `given` are fields that are not as in a new one."""
    row = Notification.received(
        id_, endpoint, 0, 100.0, "leshan", "Notify", None, 69, b"\xff1", b"\x01", False, 3, b"\x05", b"d", "k"
    )
    row.coap_type, row.north_mid = 0, 8
    return msgspec.structs.replace(row, **given)


def make_report(id_: int, endpoint: int = 1) -> UnattributedReport:
    return UnattributedReport(id_, endpoint, 0, "handle", "sent", "", None, False, 100.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.db"


DRAFTS = [Draft("net", f"device-{number}", f"endpoint-{number}", ("leshan",)) for number in range(1, 10)]


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Every kind of store in its turn."""
    kind = KINDS[request.param](tmp_path)
    yield kind
    kind.end()


@pytest.fixture
async def store(stores: Any) -> AsyncIterator[Store]:
    """A store of every kind in its turn, with endpoints 1 to 9."""
    opened = await stores.open()
    await opened.directory.add(DRAFTS, None, lambda: 100.0)
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite(path: Path) -> AsyncIterator[SqliteStore]:
    """A store in SQLite, with endpoints 1 to 9."""
    opened = SqliteStore.open(path)
    await opened.directory.add(DRAFTS, None, lambda: 100.0)
    yield opened
    await opened.close()


@pytest.fixture
def downlink() -> Callable[..., ServerRequest]:
    return make_downlink


@pytest.fixture
def uplink() -> Callable[..., Notification]:
    return make_uplink


@pytest.fixture
def report() -> Callable[..., UnattributedReport]:
    return make_report
