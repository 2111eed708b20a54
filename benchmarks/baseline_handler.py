"""Baseline (a): a bare aiohttp handler that decodes the notification and answers 204, nothing else."""

import sys

import msgspec
from aiohttp import web


class Notification(msgspec.Struct):
    niddConfiguration: str  # noqa: N815  # T8's member name
    data: bytes
    externalId: str | None = None  # noqa: N815


decoder = msgspec.json.Decoder(Notification)


async def handle(request: web.Request) -> web.Response:
    decoder.decode(await request.read())
    return web.Response(status=204)


app = web.Application()
app.router.add_post("/{path:.*}", handle)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
