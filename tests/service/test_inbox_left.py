"""Posts that an earlier run with [standby] has left in the ledger, and a bridge without it."""

from pathlib import Path

import pytest

from bindings.contract import Post
from bridge.config import parse
from bridge.service.service import Service
from bridge.store.sealing import Seal, SealedIngress
from mock_network.lab import free_port
from tests.store.stores import postgres_server
from tests.waiting import until

pytest.importorskip("psycopg")

from bridge.store.postgres import PostgresStore
from bridge.store.postgres.ingress import PostgresIngress

CONFIG = """
[service]
state_directory = "{state}"
database = "{where}"
[north]
port = {north}
[servers.lab]
uri = "coap://127.0.0.1:{server}"
[networks.net]
binding = "nidd"
api_root = "http://127.0.0.1:{scef}"
scs_as_id = "lab"
credentials = {{ kind = "bearer", token = "secret" }}
callbacks = {{ port = {callback}, path = "unguessable" }}
"""


@pytest.mark.parametrize("key", ["", "ab" * 32], ids=["in the clear", "encrypted"])
async def test_posts_that_were_acknowledged_are_taken_although_standby_is_off_now(tmp_path: Path, key: str) -> None:
    where = postgres_server().uri()
    await PostgresStore.open(where).close()  # makes the tables
    ingress = SealedIngress(PostgresIngress(where), Seal(bytes.fromhex(key) or None))
    await ingress.keep("net", Post("", "", b'{"planted": 1}'))
    await ingress.close()
    store = PostgresStore.open(where)
    assert [b"planted" in row.body for row in await store.inbox.rows(1)] == [not key]
    await store.close()
    ports = {name: free_port() for name in ("north", "server", "scef", "callback")}
    text = CONFIG.format(where=where, state=tmp_path, **ports)
    text = text.replace("[north]", f'store_key = "{key}"\n[north]')
    service = Service(parse(text, "bridge.toml", tmp_path))
    await service.start()
    try:
        inbox = service.store.inbox
        assert inbox is not None

        async def is_empty() -> bool:
            return not await inbox.rows(1)

        await until(is_empty, 60, why="the post is not taken")
    finally:
        await service.stop()
