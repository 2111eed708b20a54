"""A listener moves to another address: somebody listens at every moment, and a move that fails leaves all as it was."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import aiohttp
import msgspec
import pytest
from aiohttp import web

from bridge.config import Config
from bridge.errors import ConfigurationError
from bridge.listening import Listening
from bridge.service.reload import Reloader
from mock_network.lab import free_port
from tests.service.kit import Kit
from tests.service.test_networks_changed import Changing


@pytest.fixture
async def runner() -> AsyncIterator[web.AppRunner]:
    app = web.Application()
    app.router.add_get("/", _answer)
    made = web.AppRunner(app)
    yield made
    await made.cleanup()


async def _answer(_request: web.Request) -> web.Response:
    return web.Response(text="here")


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port on which another program listens, at all addresses but 127.0.0.1."""
    with socket.create_server(("127.0.0.2", 0)) as other:
        yield other.getsockname()[1]


async def answers(url: str, **options: ssl.SSLContext) -> bool:
    async with aiohttp.ClientSession() as session:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with session.get(url, **options) as answer:  # type: ignore[arg-type]  # `ssl` alone
                return await answer.text() == "here"
    return False


async def test_a_move_within_one_port_is_not_in_its_own_way(runner: web.AppRunner) -> None:
    listening, port = Listening(runner, "[api] listen"), free_port()
    await listening.at(("127.0.0.1", port), None)
    await listening.at(("0.0.0.0", port), None)
    assert await answers(f"http://127.0.0.2:{port}")
    await listening.at(("127.0.0.1", port), None)
    assert await answers(f"http://127.0.0.1:{port}")
    assert not await answers(f"http://127.0.0.2:{port}")


async def test_a_move_within_one_port_that_fails_leaves_the_listener_where_it_was(
    runner: web.AppRunner, taken: int
) -> None:
    listening = Listening(runner, "[api] listen")
    await listening.at(("127.0.0.1", taken), None)
    with pytest.raises(ConfigurationError, match="end the program that uses it"):
        await listening.at(("0.0.0.0", taken), None)
    assert await answers(f"http://127.0.0.1:{taken}")
    await listening.at(("127.0.0.1", taken), None)


async def test_tls_on_the_same_port_is_undone_with_the_rest_of_a_change(
    runner: web.AppRunner, certificate: str
) -> None:
    listening, port = Listening(runner, "[api] listen"), free_port()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await listening.at(("127.0.0.1", port), None)
    with pytest.raises(KeyError):
        async with listening.moving(("127.0.0.1", port), context):
            raise KeyError
    assert await answers(f"http://127.0.0.1:{port}")
    assert listening.context is None
    await listening.at(("127.0.0.1", port), context)
    assert await answers(f"https://127.0.0.1:{port}", ssl=ssl.create_default_context(cafile=certificate))


async def test_a_reload_that_is_refused_closes_no_listener(kit: Kit, runner: web.AppRunner, taken: int) -> None:
    """The metrics' port is taken, or servers need other addresses: the API is still at its former address."""
    first, second = free_port(), free_port()
    api, metrics = Listening(runner, "[api] listen"), Listening(runner, "[service] metrics_listen")
    await api.at(("127.0.0.1", first), None)

    def api_moves(_after: Config) -> contextlib.AbstractAsyncContextManager[None]:
        return api.moving(("127.0.0.1", second), None)

    async with kit.running() as service:
        file = Changing(kit, service)
        file.reloader = Reloader(
            lambda: file.config,
            kit.config,
            [],
            service.metrics.count,
            listen=[api_moves, lambda _after: metrics.moving(("127.0.0.2", taken), None)],
        )
        with pytest.raises(ConfigurationError, match="metrics_listen"):
            await file.reload()
        assert await answers(f"http://127.0.0.1:{first}")
        assert not await answers(f"http://127.0.0.1:{second}")
        file.reloader = Reloader(
            lambda: file.config, kit.config, [], service.metrics.count, listen=[api_moves], change=service.change
        )
        lab = msgspec.structs.replace(kit.config.servers["lab"], uri="coap://192.0.2.1:5683")
        file.config = replace(kit.config, servers={"lab": lab})
        with pytest.raises(ConfigurationError, match="restart the service"):
            await file.reload()
        assert await answers(f"http://127.0.0.1:{first}")
        assert not await answers(f"http://127.0.0.1:{second}")
        file.config = kit.config
        await file.reload()
        assert not await answers(f"http://127.0.0.1:{first}")
        assert await answers(f"http://127.0.0.1:{second}")
