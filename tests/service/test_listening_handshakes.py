"""TLS handshakes with the API's listener are limited in number: silent callers do not keep others out."""

import asyncio
import ssl
from contextlib import suppress

import aiohttp
import pytest
from aiohttp import web

from bindings.http import handshakes
from bridge.listening import Listening
from mock_network.lab import free_port


async def test_silent_callers_give_way_to_one_who_speaks(certificate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshakes, "MOST", 8)
    app = web.Application()

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="here")

    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    port = free_port()
    listening = Listening(runner, "[api] listen")
    await listening.at(("127.0.0.1", port), context)
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
    try:
        trusting = ssl.create_default_context(cafile=certificate)
        async with aiohttp.ClientSession() as session, session.get(f"https://127.0.0.1:{port}/", ssl=trusting) as reply:
            assert await reply.text() == "here"
        async with asyncio.timeout(8):
            for reader, _ in silent[:22]:  # the oldest went first
                with suppress(ConnectionError):
                    assert await reader.read() == b""
    finally:
        for _, writer in silent:
            writer.close()
        await listening.at(None, None)
        await runner.cleanup()
