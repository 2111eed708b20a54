"""Baseline (b): the glue of an afternoon, written fairly.

One aiocoap context for each endpoint toward the server, aiohttp in and out, one SQLite row in autocommit for each
message, with the bridge's own pragmas. No deadlines, no repetition on the network, no duplicates, no restart.
"""

import asyncio
import base64
import itertools
import json
import sqlite3
import sys
from pathlib import Path

import aiocoap
import aiohttp
from aiocoap import resource
from aiohttp import web


class Glue:
    def __init__(self, options: dict) -> None:
        self.options = options
        self.db = sqlite3.connect(options["database"], isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, endpoint TEXT, direction TEXT, payload BLOB)")
        self.pending: dict[tuple[str, int], asyncio.Future] = {}
        self.mids = itertools.count(1)

    async def start(self) -> None:
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32))
        app = web.Application()
        app.router.add_post("/callback", self.uplink)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
        for device in self.options["devices"]:
            await self.provision(device, url)
            await aiocoap.Context.create_server_context(Endpoint(self, device), bind=tuple(device["bind"]))

    async def provision(self, device: dict, callback: str) -> None:
        url = f"{self.options['api_root']}/3gpp-nidd/v1/bench/configurations"
        body = {"externalId": device["external_id"], "notificationDestination": callback}
        async with self.session.post(url, json=body) as answer:
            device["url"] = answer.headers["Location"] + "/downlink-data-deliveries"

    async def uplink(self, request: web.Request) -> web.Response:
        body = await request.json()
        payload = base64.b64decode(body["data"])
        self.db.execute("INSERT INTO message VALUES (NULL, ?, 'up', ?)", (body["externalId"], payload))
        message = aiocoap.Message.decode(payload)
        waiting = self.pending.pop((body["externalId"], message.mid), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        return web.Response(status=204)

    async def downlink(self, device: dict, request: aiocoap.Message) -> aiocoap.Message:
        south = aiocoap.Message(code=request.code, payload=request.payload)
        south.opt.uri_path = request.opt.uri_path
        south.mtype = aiocoap.CON
        south.mid = next(self.mids) & 0xFFFF
        south.token = b"\x01"
        south.direction = aiocoap.message.Direction.OUTGOING
        payload = south.encode()
        self.db.execute("INSERT INTO message VALUES (NULL, ?, 'down', ?)", (device["external_id"], payload))
        future = asyncio.get_running_loop().create_future()
        self.pending[device["external_id"], south.mid] = future
        body = {"externalId": device["external_id"], "data": base64.b64encode(payload).decode()}
        async with self.session.post(device["url"], json=body) as answer:
            await answer.read()
        return await asyncio.wait_for(future, 120)


class Endpoint(resource.Resource, resource.PathCapable):
    """Everything that the server asks goes to the device."""

    def __init__(self, glue: Glue, device: dict) -> None:
        super().__init__()
        self.glue = glue
        self.device = device

    async def needs_blockwise_assembly(self, _request: aiocoap.Message) -> bool:
        return False

    async def render(self, request: aiocoap.Message) -> aiocoap.Message:
        answer = await self.glue.downlink(self.device, request)
        return aiocoap.Message(code=answer.code, payload=answer.payload)


OPTIONS = json.loads(Path(sys.argv[1]).read_text())


async def main() -> None:
    await Glue(OPTIONS).start()
    await asyncio.Event().wait()


asyncio.run(main())
