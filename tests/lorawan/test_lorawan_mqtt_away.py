"""A broker that is away or refuses: the log, the status and the diagnosis say why, and that it is tried again."""

import asyncio
import contextlib
import gc
import logging
from collections import Counter

import pytest

from bindings.diagnosis import Grade
from bindings.lorawan.chirpstack.diagnosis import _broker
from bindings.lorawan.chirpstack.mqtt import MqttEvents
from bindings.lorawan.settings import Mqtt
from tests.waiting import until

BAD_PASSWORD = bytes([0x20, 3, 0, 0x86, 0])  # CONNACK, MQTT 5.0 §3.2.2.2: bad user name or password
CONNECTED = bytes([0x20, 3, 0, 0, 0])
SUBSCRIPTION_REFUSED = bytes([0x90, 4, 0, 1, 0, 0x87])  # SUBACK of the first packet, §3.9.3: not authorized


@pytest.fixture
async def events(caplog):
    """Return a function that begins to take events from a broker, and tells what was counted."""
    caplog.set_level(logging.INFO)
    async with contextlib.AsyncExitStack() as stack:

        async def start(port, **settings):
            counts = Counter()
            made = MqttEvents(
                Mqtt(host="127.0.0.1", port=port, **settings),
                "",
                commit_event=lambda _kind, _body: asyncio.sleep(0),
                missed=lambda: None,
                count=lambda name: counts.update([name]),
            )
            await made.start("bridge")
            stack.push_async_callback(made.stop)
            return made, counts

        yield start


@contextlib.asynccontextmanager
async def answering(*answers, port=0):
    """Yield a broker that gives each packet its answer, and ends the connection after the last."""

    writers = []

    async def serve(reader, writer):
        writers.append(writer)
        with contextlib.suppress(ConnectionError):
            for answer in answers:
                await reader.read(4096)
                writer.write(answer)
                await writer.drain()
            if SUBSCRIPTION_REFUSED in answers:
                await reader.read()  # until the client ends it
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def warned(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


async def test_a_broker_that_is_away_is_told_at_once_and_again_when_it_is_there(events, caplog):
    async with answering() as port:
        pass  # a port where nobody listens
    made, counts = await events(port)
    await until(lambda: counts["lorawan_mqtt_unreachable"])
    assert (
        warned(caplog)[0]
        == f"the MQTT broker 127.0.0.1:{port} cannot be reached: Connection refused; the bridge tries again"
    )
    assert made.status()["last_error"] == "Connection refused"
    finding = _broker(made)
    assert (finding.grade, finding.detail) == (Grade.BAD, "not connected: Connection refused")
    async with answering(CONNECTED, SUBSCRIPTION_REFUSED, port=port):
        await until(lambda: made.connected)
        assert "connected to the MQTT broker" in [one.getMessage() for one in caplog.records]
        await until(lambda: counts["lorawan_mqtt_refusals"])
        assert _broker(made).detail.startswith("refuses: subscription to")
        assert "Not authorized" in _broker(made).detail


async def test_credentials_that_are_refused_are_told_once_for_each_try(events, caplog):
    async with answering(BAD_PASSWORD) as port:
        made, counts = await events(port, username="u", password="wrong")
        await until(lambda: counts["lorawan_mqtt_refusals"])
        assert "Bad user name or password; the bridge tries again" in warned(caplog)[0]
        await until(lambda: counts["lorawan_mqtt_refusals"] > 1)
        assert not counts["lorawan_mqtt_unreachable"]
        assert "Bad user name or password" in made.status()["last_error"]


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # paho leaves the socket of a failed handshake behind
async def test_a_broker_without_tls_is_told_as_that(events, caplog):
    async with answering(CONNECTED) as port:
        made, counts = await events(port, tls=True)
        await until(lambda: counts["lorawan_mqtt_unreachable"])
        assert made.last_error.startswith("TLS: ")
        assert "cannot be reached: TLS: " in warned(caplog)[0]
        await made.stop()
    gc.collect()  # what is left behind is collected here, not in another test


async def test_a_broker_that_hangs_up_without_a_word_is_told(events, caplog):
    async with answering(b"") as port:
        _, counts = await events(port)
        await until(lambda: counts["lorawan_mqtt_unreachable"])
        assert "without an answer" in warned(caplog)[0]
