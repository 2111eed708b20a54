"""An API over a running service, asked over HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import aiohttp

from bridge.config import Events
from bridge.control.client import DirectClient
from bridge.control.rest.server import RestApi
from bridge.operations.types.access import CreateKey
from bridge.service.service import Service
from bridge.store.access import Role
from mock_network.lab import free_port
from tests.service.kit import Kit


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Api:
    """`ask` asks with a key of the role that is named; "" for none."""

    url: str
    service: Service
    session: aiohttp.ClientSession
    rest: RestApi
    keys: dict[str, str] = field(default_factory=dict)
    kit: Kit = field(init=False)

    async def key(self, role: str) -> str:
        """Return a key of a role, made when it is first wanted."""
        if role not in self.keys:
            made = await DirectClient(self.service).ask(CreateKey(name=f"a test that may {role}", role=Role(role)))
            self.keys[role] = made.key
        return self.keys[role]

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        role: str = "admin",
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> Answer:
        sent = dict(headers or {})
        if role:
            sent.setdefault("Authorization", f"Bearer {await self.key(role)}")
        given = {"data": body} if isinstance(body, bytes | BytesIO) else {"json": body} if body is not None else {}
        async with self.session.request(method, path, headers=sent, params=query, **given) as answer:
            is_json = answer.content_type.endswith("json")
            return Answer(answer.status, answer.headers, await answer.json(content_type=None) if is_json else None)


def with_events(kit: Kit) -> Kit:
    """Let the service keep events."""
    kit.config = replace(kit.config, events=Events(keep=3600))
    return kit


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[Api]:
    address = "127.0.0.1", free_port()
    rest = RestApi(service, address, None, ["https://fleet.example"], service.metrics.count)
    await rest.start()
    url = f"http://127.0.0.1:{address[1]}"
    try:
        async with aiohttp.ClientSession(url) as session:
            yield Api(url, service, session, rest)
    finally:
        await rest.stop()
