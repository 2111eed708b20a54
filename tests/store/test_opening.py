"""Which ledger a configuration names."""

import sys
from pathlib import Path

import pytest

from bridge.config import parse
from bridge.errors import ConfigurationError, NotRunning
from bridge.store.opening import open_store, open_to_read
from bridge.store.sqlite import SqliteStore
from tests.store.conftest import DRAFTS
from tests.store.stores import postgres_server


def database(name, directory):
    return parse(f'[service]\nstate_directory = "state"\ndatabase = "{name}"\n', "bridge.toml", directory).database


def test_a_name_is_a_file_of_the_state_directory_and_a_uri_a_database(tmp_path):
    assert database("bridge.db", tmp_path) == tmp_path / "state" / "bridge.db"
    assert database("postgresql://db/bridge", tmp_path) == "postgresql://db/bridge"
    assert database("postgres://db/bridge", tmp_path) == "postgres://db/bridge"


async def test_a_file_is_opened_with_sqlite(tmp_path):
    store = open_store(tmp_path / "bridge.db")
    assert isinstance(store, SqliteStore)
    await store.close()


async def test_a_uri_is_opened_with_postgresql_and_read_while_no_service_runs():
    uri = postgres_server().uri()
    with pytest.raises(NotRunning, match="the first start of the service makes it"):
        open_to_read(uri)
    store = open_store(uri)
    await store.directory.add(DRAFTS, None, lambda: 100.0)
    await store.close()

    asking = open_to_read(uri)
    page = await asking.directory.page(network=None, server="leshan", enabled=True, prefix="", after="", limit=100)
    assert [record.name for record in page] == [draft.name for draft in DRAFTS]
    assert asking.directory.size == len(DRAFTS)
    with pytest.raises(NotRunning, match="opened for reading only"):
        await asking.directory.remove(1, lambda: 1.0)
    await asking.close()


@pytest.mark.parametrize("opened", [open_store, open_to_read])
@pytest.mark.parametrize(
    ("uri", "reason"),
    [("postgresql://bridge:secret@db/bridge", "keep the password out"), ("postgresql://db/?a=b", "invalid")],
)
def test_a_uri_that_cannot_be_used_is_a_clear_error(opened, uri, reason):
    pytest.importorskip("psycopg")
    with pytest.raises(ConfigurationError, match=rf"\[service\] database: .*{reason}") as raised:
        opened(uri)
    assert "secret" not in str(raised.value)


def test_without_psycopg_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lwm2m-nonip-bridge\[postgresql\]'"):
        open_store("postgresql://db/bridge")


def test_a_path_is_never_taken_for_a_uri():
    with pytest.raises(ConfigurationError, match="there is no database"):
        open_to_read(Path("postgresql:") / "db")
