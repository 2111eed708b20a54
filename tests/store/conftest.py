from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bridge.delivery.ledger import Downlink, UnattributedReport, Uplink
from bridge.directory import Draft
from bridge.store.sqlite import SqliteStore


def make_downlink(id_: int, endpoint: int = 1, **given: object) -> Downlink:
    values: dict[str, object] = {
        "shard": 0, "kind": "request", "accepted_at": 100.0, "server": "leshan", "north_mid": 7,
        "north_token": b"\x01\x02", "confirmable": True, "operation": "Read", "observe": None, "repeatable": True,
        "south_mid": 9, "south_token": b"\x05", "answers": None, "priority": 0, "payload": b"\x41\x01",
    }  # fmt: skip
    return Downlink(id=id_, endpoint=endpoint, **(values | given))  # type: ignore[arg-type]


def make_uplink(id_: int, endpoint: int = 1, **given: object) -> Uplink:
    values: dict[str, object] = {
        "shard": 0, "kind": "notification", "received_at": 100.0, "server": "leshan", "operation": "Notify",
        "confirmable": False, "south_mid": 3, "south_token": b"\x05", "digest": b"d", "duplicate_key": "k",
        "downlink": None, "north_token": b"\x01", "north_confirmable": True, "north_mid": 8, "payload": b"\x51",
    }  # fmt: skip
    return Uplink(id=id_, endpoint=endpoint, **(values | given))  # type: ignore[arg-type]


def make_report(id_: int, endpoint: int = 1) -> UnattributedReport:
    return UnattributedReport(id_, endpoint, 0, "handle", "sent", "", None, False, 100.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore.open(path)
    drafts = [Draft("net", f"device-{number}", f"endpoint-{number}", ("leshan",)) for number in range(1, 10)]
    await opened.directory.add(drafts, None, lambda: 100.0)  # ids 1 to 9
    yield opened
    await opened.close()


@pytest.fixture
def downlink() -> Callable[..., Downlink]:
    return make_downlink


@pytest.fixture
def uplink() -> Callable[..., Uplink]:
    return make_uplink


@pytest.fixture
def report() -> Callable[..., UnattributedReport]:
    return make_report
