"""Direct requests by the API beside the traffic of a server: each is asked for again until it has its outcome."""

import asyncio
import itertools
import sqlite3
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import aiohttp

from tests.durability.judge import Evidence, Fault
from tests.durability.nidd import NiddTraffic
from tests.e2e.kit import SetUp

TTL = 200.0  # virtual seconds that a request may wait to be delivered
AGAIN = 0.1  # seconds until a caller asks again
WAIT = "0.3"  # seconds that the API waits for an outcome


class DirectTraffic(NiddTraffic):
    """A caller of the API that repeats each request under its idempotency key, whatever happens to the bridge."""

    def __init__(self, found: SetUp, devices: tuple[str, ...], api: str) -> None:
        super().__init__(found, devices)
        self._api = api
        self._key = ""
        self._numbers_of_keys = itertools.count(1)
        self.ids: dict[str, set[int]] = {}  # idempotency key → the downlinks that it was said to be
        self.outcomes: dict[str, set[str]] = {}
        self.refused = 0  # answers that nothing was accepted
        self.unanswered = 0  # requests that the bridge did not live to answer

    async def prepare(self) -> None:
        await super().prepare()
        self._key = (await self.bridge.ask("key.create", name="a caller", role="operate"))["key"]

    def operations(self, name: str, number: int) -> list[Coroutine[Any, Any, Any]]:
        argument = f"{10_000 + number}"  # no Execute of the server has it
        return [
            *super().operations(name, number),
            self._direct(name, {"operation": "execute", "path": "/3303/0/5605", "arguments": argument}),
            self._direct(name, {"operation": "read", "path": "/3/0/1"}),
        ]

    async def _direct(self, name: str, body: dict[str, Any]) -> None:
        key = f"{name}-{next(self._numbers_of_keys)}"
        ids, outcomes = self.ids.setdefault(key, set()), self.outcomes.setdefault(key, set())
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": key}
        again = 3  # times that it is asked for once more when it is over: the outcome stays what it is
        async with aiohttp.ClientSession(self._api, headers=headers) as session:
            while again:
                try:
                    path, asked = f"/v1/endpoints/{name}/downlinks", {**body, "ttl": TTL}
                    async with session.post(path, json=asked, params={"wait": WAIT}) as answer:
                        found = await answer.json(content_type=None)
                except (aiohttp.ClientError, OSError):
                    self.unanswered += 1
                else:
                    if answer.status >= 400:
                        assert answer.status in {409, 429, 503}, found  # full, or the service starts or stops
                        # "The service is starting; ask again later" says nothing of the request.
                        assert not ids or found["error"] == "NotRunning", (
                            f"an accepted request is refused later: {found}"
                        )
                        self.refused += 1
                    else:
                        ids.add(found["id"])
                        if found["over"]:
                            outcomes.add(found["downlink"]["state"])
                            again -= 1
                await asyncio.sleep(AGAIN)

    async def gather(self) -> list[Evidence]:
        """Return what was seen; the caller's requests count as the server's: by their tokens."""
        (seen,) = await super().gather()
        for (id_,) in filter(None, self.ids.values()):
            token = id_.to_bytes(8, "big").hex()
            seen.asked.add(token)
            seen.acknowledged.add(token)
        return [seen]

    def faults(self) -> list[Fault]:
        """Return what is wrong with keys and outcomes; the judge has looked at rows and the radio."""
        path = self.lab.directory / "bridge.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            kept = dict(connection.execute("SELECT idempotency_key, id FROM direct"))
            settled = Counter(
                id_
                for (id_,) in connection.execute(
                    "SELECT json_extract(data, '$.id') FROM event WHERE type = 'message.outcome'"
                    " AND json_extract(data, '$.direction') = 'down'"
                )
            )
        found = [
            Fault(f"key {key} was said to be the downlinks {sorted(ids)}, and is {kept.get(key)} in the ledger")
            for key, ids in self.ids.items()
            if ids != {kept.get(key)}
        ]
        found += [Fault(f"key {key} had the outcomes {one}") for key, one in self.outcomes.items() if len(one) != 1]
        found += [Fault(f"the ledger has the key {key}, which nobody sent") for key in kept.keys() - self.ids.keys()]
        found += [
            Fault(f"downlink {id_}, key {key}, has {settled[id_]} events of its outcome")
            for key, id_ in kept.items()
            if settled[id_] != 1
        ]
        return found
