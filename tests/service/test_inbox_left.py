"""Posts that an earlier run with [standby] has left in the ledger, and a bridge without it."""

from pathlib import Path

import pytest

from bindings.contract import Post
from bridge.config import parse
from bridge.service.service import Service
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


async def test_posts_that_were_acknowledged_are_taken_although_standby_is_off_now(tmp_path: Path) -> None:
    where = postgres_server().uri()
    await PostgresStore.open(where).close()  # makes the tables
    ingress = PostgresIngress(where)
    await ingress.keep("net", Post("", "", b"{}"))
    await ingress.close()
    ports = {name: free_port() for name in ("north", "server", "scef", "callback")}
    text = CONFIG.format(where=where, state=tmp_path, **ports)
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
