"""A listener becomes another one while requests come: at no moment is nobody there, and nothing is answered wrongly."""

import asyncio
import socket
import ssl

import aiohttp
import pytest

from bindings.http.callbacks import CallbackListener, ListenerNames
from bindings.t8.settings import Callbacks
from bindings.tls import server_context
from bridge.errors import BindingError
from mock_network.lab import free_port

NAMES = ListenerNames("callbacks", "the network", "callers", "messages", "internal")


class Side:
    """A listener, and what was posted for it."""

    def __init__(self, port, *, shown="", certificate="", bind="127.0.0.1"):
        self.taken = []
        public_url = f"http://127.0.0.1:{port}" if bind == "0.0.0.0" else ""
        place = Callbacks(bind=bind, port=port, certificate=certificate, public_url=public_url)
        context = server_context(certificate, "", "")
        self.listener = CallbackListener(
            NAMES, place, self._take, lambda _name: None, authorization=shown, context=context
        )

    def _take(self, request):
        self.taken.append(request.body)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


async def status(url, shown="", **options):
    headers = {"Authorization": shown} if shown else {}
    async with aiohttp.ClientSession() as session, session.post(url, data=b"x", headers=headers, **options) as answer:
        return answer.status


async def changed(before, after, secret="new", overlap=60.0):
    await before.listener.prepare(after.listener)
    before.listener.replace_with(after.listener, secret, overlap)
    return before.listener


@pytest.fixture
async def first():
    one = Side(free_port(), shown="Bearer old")
    await one.listener.start("old")
    yield one
    await one.listener.stop()


async def test_old_and_new_paths_and_credentials_are_taken_and_no_others(first):
    old = first.listener.url
    second = Side(first.listener.address[1], shown="Bearer new")
    new = (await changed(first, second)).url
    for url in (old, new):
        for shown in ("Bearer old", "Bearer new"):
            assert await status(url, shown) == 204
        assert await status(url, "Bearer other") == 401
        assert await status(url) == 401
    assert await status(new + "er", "Bearer new") == 404
    assert (len(first.taken), len(second.taken)) == (0, 4)


async def test_what_was_shown_before_counts_no_more_when_the_overlap_is_over(first):
    old = first.listener.url
    second = Side(first.listener.address[1], shown="Bearer new")
    new = (await changed(first, second, overlap=0.2)).url
    assert await status(old, "Bearer old") == 204
    await asyncio.sleep(0.25)
    assert await status(old, "Bearer old") == 404
    assert await status(new, "Bearer old") == 401
    assert await status(new, "Bearer new") == 204


async def test_without_an_overlap_only_the_new_secret_counts(first):
    old = first.listener.url
    await changed(first, Side(first.listener.address[1], shown="Bearer new"), overlap=0.0)
    assert await status(old, "Bearer old") == 404


async def test_another_address_is_added_and_one_can_go_back_within_the_overlap(first):
    here, there = first.listener.address[1], free_port()
    old = first.listener.url
    new = (await changed(first, Side(there), secret="old")).url
    assert {await status(old), await status(new)} == {204}
    third = Side(here)
    again = (await changed(first, third, secret="old")).url
    assert again == old
    assert {await status(old), await status(new)} == {204}
    assert len(third.taken) == 2


async def test_an_address_that_is_taken_leaves_everything_as_it_was(first):
    other = Side(free_port())
    await other.listener.start("s")
    with pytest.raises(BindingError, match="cannot listen"):
        await first.listener.prepare(Side(other.listener.address[1]).listener)
    assert await status(first.listener.url, "Bearer old") == 204
    await other.listener.stop()


async def test_another_address_with_the_same_port_is_not_in_its_own_way(first):
    port, old = first.listener.address[1], first.listener.url
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer old"}) as session:
        async with session.post(old, data=b"before") as answer:
            assert answer.status == 204
        new = (await changed(first, Side(port, bind="0.0.0.0"))).url
        assert await status(new.replace("127.0.0.1", "127.0.0.2")) == 204
        async with session.post(old, data=b"on the open connection") as answer:
            assert answer.status == 204
    again = (await changed(first, Side(port), secret="again")).url
    assert await status(again) == 204
    with pytest.raises(aiohttp.ClientConnectionError):
        await status(again.replace("127.0.0.1", "127.0.0.2"))


async def test_an_address_with_the_same_port_that_is_taken_leaves_everything_as_it_was(first):
    port = first.listener.address[1]
    with socket.create_server(("127.0.0.2", port)), pytest.raises(BindingError, match="cannot listen"):
        await first.listener.prepare(Side(port, bind="0.0.0.0").listener)
    assert await status(first.listener.url, "Bearer old") == 204
    assert (await changed(first, Side(port, bind="0.0.0.0"))).address == ("0.0.0.0", port)


async def test_a_former_address_with_the_port_of_the_next_makes_way_too(first):
    port = first.listener.address[1]
    await changed(first, Side(free_port()))
    new = (await changed(first, Side(port, bind="0.0.0.0"))).url
    assert await status(new.replace("127.0.0.1", "127.0.0.2")) == 204


async def test_tls_begins_on_the_same_socket_and_open_connections_stay(first, certificate):
    trusting = ssl.create_default_context(cafile=certificate)
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer old"}) as session:
        async with session.post(first.listener.url, data=b"plain") as answer:
            assert answer.status == 204
        plain = first.listener.url
        new = (await changed(first, Side(first.listener.address[1], certificate=certificate))).url
        assert new.startswith("https://")
        assert await status(new, ssl=trusting) == 204
        async with session.post(plain, data=b"on the open connection") as answer:
            assert answer.status == 204


async def test_what_comes_while_nobody_can_take_it_waits_and_keeps_its_order(first):
    first.listener.pause()
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer old"}) as session:

        async def post(number):
            async with session.post(first.listener.url, data=str(number).encode()) as answer:
                return answer.status

        waiting = []
        for number in range(3):
            waiting.append(asyncio.create_task(post(number)))
            await asyncio.sleep(0.05)
        assert first.taken == []
        first.listener.proceed()
        assert await asyncio.gather(*waiting, post(3)) == [204] * 4
    assert first.taken == [b"0", b"1", b"2", b"3"]
