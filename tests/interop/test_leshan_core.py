"""The one step toward a real Leshan: relay rules in real time. The device is bytes, right behind the step."""

import asyncio

import pytest

from bridge.relay.model import ServerProfile
from tests.interop.raw_device import (
    ACK,
    CON,
    CONTENT_FORMAT,
    EMPTY,
    GET,
    LOCATION_PATH,
    OBSERVE,
    POST,
    PUT,
    RST,
    Message,
    code,
    uri,
)

TEXT = (CONTENT_FORMAT, b"")  # 0, text/plain

pytestmark = pytest.mark.timeout(30)


async def test_a_register_with_binding_n_and_nothing_else_is_made_fit(leshan, bridges):
    """R21: Leshan refuses a Register without ep or lwm2m."""
    bridge = bridges("core-fit")
    answer = await bridge.register(None)
    assert (answer.type, answer.dotted(), answer.mid, answer.token) == (ACK, "2.01", 1, b"\x01")
    registration = await leshan.registration("core-fit")
    assert (registration["binding"], registration["lwm2m"], registration["lifetime"]) == ("U", "1.1", 300)
    location = [value.decode() for number, value in answer.options if number == LOCATION_PATH]
    bridge.uplink(Message(CON, POST, 2, b"", uri("/" + "/".join(location), "lt=400")))
    assert (await bridge.downlink()).dotted() == "2.04"
    assert (await leshan.registration("core-fit"))["lifetime"] == 400


async def test_read_write_and_execute_with_a_one_byte_token_on_air(leshan, bridges):
    bridge = bridges("core-operations")
    await bridge.register("core-operations")
    for order, method, dotted in (("read", GET, "2.05"), ("write", PUT, "2.04"), ("execute", POST, "2.04")):
        path = "/3/0/4" if order == "execute" else "/3/0/14"
        started = await leshan.start(order, "core-operations", path, value="+02:00", format="TEXT")
        request = await bridge.downlink()
        assert (request.type, request.code, request.path(), len(request.token)) == (CON, method, path, 1)
        bridge.answer(request, dotted, *((b"+01:00", TEXT) if order == "read" else ()))
        result = await leshan.result(started)
        assert result["code"] == dotted
        assert result.get("values") == ({path: "+01:00"} if order == "read" else None)


async def test_a_burst_of_requests_goes_on_air_one_at_a_time(leshan, bridges):
    """R6: Leshan sends all at once."""
    bridge = bridges("core-burst")
    await bridge.register("core-burst")
    started = [await leshan.start("read", "core-burst", f"/3/0/{n}", format="TEXT") for n in (0, 1, 2)]
    for number in range(3):
        request = await bridge.downlink()
        assert request.path() == f"/3/0/{number}"
        await asyncio.sleep(0.1)
        assert bridge.downlinks_on_air.empty()
        bridge.answer(request, "2.05", b"x", TEXT)
    assert [(await leshan.result(n))["code"] for n in started] == ["2.05"] * 3


async def test_a_slow_answer_reaches_the_caller_and_survives_a_kill(leshan, bridges):
    """R5, R32: Empty ACK after the piggyback window; the answer comes after memory was lost."""
    bridge = bridges("core-slow")
    await bridge.register("core-slow")
    started = await leshan.start("read", "core-slow", "/3/0/0", timeout=20, format="TEXT")
    request = await bridge.downlink()
    await leshan.acknowledged(started)
    bridge.killed_and_started_again()
    bridge.answer(request, "2.05", b"ACME", TEXT)
    result = await leshan.result(started)
    assert (result["code"], result["values"]) == ("2.05", {"/3/0/0": "ACME"})
    rows = bridge.downlinks()
    assert [row["state"] for row in rows] == ["RESPONDED"]


async def test_without_an_answer_the_caller_gets_5_04_and_the_late_answer_disturbs_nobody(leshan, bridges):
    """R10, R12."""
    bridge = bridges("core-late", profile=ServerProfile(patience=3.0, margin=1.0))
    await bridge.register("core-late")
    result = await leshan.read("core-late", "/3/0/0", timeout=20)
    assert (result["state"], result["code"]) == ("response", "5.04")
    assert 1.5 < result["seconds"] < 15  # the bridge's patience, not the caller's
    bridge.answer(await bridge.downlink(), "2.05", b"ACME", TEXT)
    assert (await bridge.send(9, 20.5)).dotted() == "2.04"


async def test_observe_and_send_go_on_after_a_kill_without_a_new_register(leshan, bridges):
    bridge = bridges("core-restart")
    await bridge.register("core-restart")
    before = await leshan.registration("core-restart")
    started = await leshan.start("observe", "core-restart", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["values"] == {"/3303/0/5700": 20.5}
    for life in (1, 2, 3):
        bridge.uplink(
            Message(CON, code("2.05"), 50 + life, observe.token, (TEXT, (OBSERVE, bytes([1 + life]))), b"21.%d" % life)
        )
        assert await bridge.downlink() == Message(ACK, EMPTY, 50 + life)
        assert (await leshan.event("notification", "core-restart"))["values"] == {"/3303/0/5700": 21 + life / 10}
        assert (await bridge.send(60 + life, 22.5 + life)).dotted() == "2.04"
        assert (await leshan.event("send", "core-restart"))["values"] == {"/3303/0/5700": 22.5 + life}
        bridge.killed_and_started_again()
    assert await leshan.registration("core-restart") == before


async def test_a_forgotten_observation_ends_on_the_device(leshan, bridges):
    """R19: the server's RST goes on to the device, again and again if it did not hear the first."""
    bridge = bridges("core-forgotten")
    await bridge.register("core-forgotten")
    started = await leshan.start("observe", "core-forgotten", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["success"]
    await leshan.run("forget-observe", "core-forgotten", "/3303/0/5700")
    for mid in (70, 71, 72):
        bridge.uplink(Message(CON, code("2.05"), mid, observe.token, (TEXT, (OBSERVE, bytes([mid]))), b"%d" % mid))
        assert await bridge.downlink() == Message(RST, EMPTY, mid)


async def test_an_observation_of_the_registration_before_ends_on_the_device(leshan, bridges):
    """R20: Leshan drops its observations when a device registers anew."""
    bridge = bridges("core-again")
    await bridge.register("core-again")
    started = await leshan.start("observe", "core-again", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["success"]
    assert (await bridge.register("core-again", "lt=301&b=N")).dotted() == "2.01"
    bridge.uplink(Message(CON, code("2.05"), 80, observe.token, (TEXT, (OBSERVE, b"\x02")), b"21.5"))
    assert await bridge.downlink() == Message(RST, EMPTY, 80)


async def test_a_cancel_on_the_wire_keeps_the_south_token(leshan, bridges):
    """R1: Leshan's GET with Observe 1 has the token of its Observe."""
    bridge = bridges("core-cancel")
    await bridge.register("core-cancel")
    started = await leshan.start("observe", "core-cancel", "/3303/0/5700", format="TEXT")
    observe = await bridge.downlink()
    bridge.answer(observe, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["success"]
    started = await leshan.start("cancel-observe", "core-cancel", "/3303/0/5700")
    cancel = await bridge.downlink()
    assert (cancel.option(OBSERVE), cancel.token) == (b"\x01", observe.token)
    bridge.answer(cancel, "2.05", b"20.5", TEXT)
    assert (await leshan.result(started))["success"]


async def test_a_device_may_not_register_under_another_name(leshan, bridges):
    """R22."""
    assert (await bridges("core-honest").register("core-other")).dotted() == "4.03"
    assert await leshan.registration("core-other") is None
