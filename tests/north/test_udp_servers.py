import asyncio
import contextlib
import socket

from bridge import background
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, pools
from bridge.north.udp.servers import ServerName, Servers
from bridge.north.udp.transport import UdpNorth
from mock_network.lab import free_port
from tests.waiting import until


def servers():
    return Servers([ServerName("leshan", "lwm2m.example", 5683, 5684)])


async def test_a_server_has_a_plain_and_a_secure_address():
    table = Servers([ServerName("a", "127.0.0.1", 5683, 5684), ServerName("b", "::1", 5685, 5686)])
    assert await table.resolve() == frozenset()
    assert table.destination("a") == ("127.0.0.1", 5683)
    assert table.destination("a", secure=True) == ("127.0.0.1", 5684)
    assert table.destination("b") == ("::1", 5685, 0, 0)
    assert table.at(("127.0.0.1", 5683)) == ("a",)
    assert table.at(("::1", 5686, 0, 0)) == ("b",)
    assert table.at(("127.0.0.1", 9)) == ()
    assert table.destination("c") is None


async def test_an_unknown_name_is_logged_and_looked_up_again(names, caplog):
    table = servers()
    assert await table.resolve() == {"leshan"}
    assert table.destination("leshan") is None
    assert "cannot be resolved; check `uri` of the server" in caplog.text
    assert all(hasattr(one, "sample") for one in caplog.records), "it is looked up again and again"
    names["lwm2m.example"] = ["192.0.2.1"]
    watch = asyncio.create_task(table.watch(interval=60, soonest=0.01))
    await until(lambda: table.destination("leshan"))
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch


async def test_a_server_that_does_not_answer_is_looked_up_again(names):
    names["lwm2m.example"] = ["192.0.2.1"]
    table = servers()
    await table.resolve()
    names["lwm2m.example"] = ["192.0.2.2"]
    watch = asyncio.create_task(table.watch(interval=60, soonest=0.01))
    table.resolve_again("leshan")
    table.resolve_again("no such server")
    await until(lambda: table.destination("leshan") == ("192.0.2.2", 5683))
    assert table.at(("192.0.2.1", 5683)) == ("leshan",)  # an answer may still be under way
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch


async def test_a_server_stays_where_it_is_while_its_name_still_says_so(names):
    names["lwm2m.example"] = ["192.0.2.1", "192.0.2.2"]
    table = servers()
    await table.resolve()
    names["lwm2m.example"] = ["192.0.2.2", "192.0.2.1"]
    await table.resolve()
    assert table.destination("leshan") == ("192.0.2.1", 5683)


async def test_only_families_that_can_be_reached_are_used(names, caplog):
    names["lwm2m.example"] = ["2001:db8::1", "192.0.2.1"]
    table = servers()
    await table.resolve()
    assert table.destination("leshan") == ("192.0.2.1", 5683)
    table.restrict({socket.AF_INET6})
    assert table.destination("leshan") is None
    await table.resolve()
    assert table.destination("leshan") == ("2001:db8::1", 5683, 0, 0)
    names["lwm2m.example"] = ["192.0.2.1"]
    await table.resolve()
    assert "no address of a family" in caplog.text


async def test_a_name_server_that_is_slow_holds_nobody_up_for_long(names, monkeypatch):
    answer = asyncio.Event()

    async def slow(_loop, _host, port, **_):
        await answer.wait()
        return [(socket.AF_INET, 2, 17, "", ("192.0.2.1", port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", slow)
    table = servers()
    assert await table.resolve(within=0.01) == {"leshan"}
    answer.set()
    await until(lambda: table.destination("leshan") == ("192.0.2.1", 5683))
    await table.stop()


async def test_what_no_name_can_be_is_logged_like_a_name_that_is_not_found(caplog):
    table = Servers([ServerName("leshan", "lwm2m..example", 5683, 5684)])
    assert await table.resolve() == {"leshan"}
    assert "cannot be resolved; check `uri` of the server" in caplog.text


async def test_a_bug_ends_no_resolving_of_names(monkeypatch):
    told = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["message"]))
    monkeypatch.setattr(background, "AGAIN", 0.0)
    north = UdpNorth(PrefixScheme(pools([LOOPBACK_PREFIX]), free_port()), servers())
    watch, fail = north.servers.watch, [True]

    async def once(interval):
        if fail:
            fail.clear()
            raise RuntimeError("a bug")
        told.append("watched")
        await watch(interval)

    monkeypatch.setattr(north.servers, "watch", once)
    await north.start(None)
    await until(lambda: "watched" in told)
    await north.stop()
    assert "resolving names of servers was ended by a bug" in told[0]
