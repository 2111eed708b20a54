"""Traffic of LoRaWAN devices, and what ChirpStack, air and server saw of it."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any

from bindings.lorawan.settings import Downlinks
from mock_network.lab import ApiError, Broker, Lab
from tests.durability.judge import LORAWAN_HTTP, LORAWAN_MQTT, Evidence, Of, hear_server, is_send
from tests.durability.mqtt_witness import Witness
from tests.durability.story import Happening
from tests.durability.traffic import JUMP, Traffic
from tests.e2e.kit import until
from tests.lorawan.lorawan_kit import CLIENT, LorawanSetUp, device, lorawan_set_up
from tests.repeats import fit

PATIENCE = 900.0  # seconds that server and bridge wait for an answer
ACK_TIMEOUT = CLIENT.ack_timeout
EXCHANGE_SPAN = Downlinks().exchange_span  # seconds in which the bridge recognises what a device repeats
F_PORT = 10
DEVICES = {"one": "70b3d57ed0000001", "two": "70b3d57ed0000002"}
CLASS_C = "two"
GATEWAYS = {"one": "00000000000000a1", "two": "00000000000000a2"}  # one for each: a gateway that sends is deaf
RATE = 20.0  # virtual seconds per real one
RX1_DELAY = ("--rx1-delay", "2")  # so late that a busy machine misses few windows at this rate
POLL_INTERVAL = 10.0  # virtual seconds
RESTS = 10  # looks at the ledger in which nothing has moved


@contextlib.asynccontextmanager
async def lorawan_traffic(
    directory: Path,
    names: tuple[str, ...] = tuple(DEVICES),
    *,
    prefix: Sequence[str] = (),
    mqtt: bool = False,
    also: Callable[[Lab], Awaitable[str]] | None = None,
) -> AsyncIterator["LorawanTraffic"]:
    """Start a set-up; `mqtt`: events come over a broker, whose messages to the bridge are witnessed.

    `also` starts more before the bridge, and returns sections of the bridge's configuration for it.
    """
    fit(CLIENT, EXCHANGE_SPAN, late=JUMP)
    described = {
        "one": device(DEVICES["one"]),  # class A: nothing comes down before it has spoken
        CLASS_C: device(DEVICES[CLASS_C], device_class="C"),
    }
    async with contextlib.AsyncExitStack() as stack:
        witness = None
        more: dict[str, Any] = {}
        if mqtt:
            broker = Broker(directory, persistent=True)
            broker.start()
            stack.callback(broker.stop)
            witness = await stack.enter_async_context(Witness(broker.port))
            more = {"mqtt": broker.address, "mqtt_of_bridge": f"127.0.0.1:{witness.port}"}
        found = await stack.enter_async_context(
            lorawan_set_up(
                directory / "lab",
                devices=[described[name] for name in names],
                endpoints=[
                    {"name": name, "network": "lorawan", "address": DEVICES[name], "servers": ["lab"]} for name in names
                ],
                also=also,
                gateways=[GATEWAYS[name] for name in names],
                profile={"class_c_timeout": 10, "rx1_delay": 4},
                arguments=("--history", "1000", *RX1_DELAY),
                lines=f"catch_up = {{ patience = {RATE / 2} }}\n",  # half a second of the machine's
                server_lines=f"patience = {PATIENCE}",
                rate=RATE,
                prefix=prefix,
                **more,
            )
        )
        polls = asyncio.create_task(_poll(found, "one"))
        stack.callback(polls.cancel)
        yield LorawanTraffic(found, names, witness)


async def _poll(found: LorawanSetUp, name: str) -> None:
    """Let a class A device open its windows from time to time, as one that expects something does."""
    while True:
        await asyncio.sleep(POLL_INTERVAL / RATE)
        await found.act("poll", name)


class LorawanTraffic(Traffic):
    """Devices behind an emulated ChirpStack, of class A and C."""

    over_after = max(2 * PATIENCE, EXCHANGE_SPAN + 60.0)
    answered_after = 2 * (EXCHANGE_SPAN + 2 * PATIENCE)
    rests = RESTS
    leap = ACK_TIMEOUT  # a jump misses receive windows

    def __init__(self, found: LorawanSetUp, devices: tuple[str, ...], witness: Witness | None = None) -> None:
        super().__init__(found.lab, devices)
        self.found = found
        self._witness = witness

    async def prepare(self) -> None:
        await asyncio.gather(*(self._prepare(name) for name in self.devices))

    async def _prepare(self, name: str) -> None:
        for other in set(self.devices) - {name}:
            await self.found.act("unlink", name, gateway_id=GATEWAYS[other])
        await self.found.start_client(name)
        await self.found.known(name)
        assert (await self._ask(name, "observe", "/3303/0/5700"))["code"] == "2.05"

    def operations(self, name: str, number: int) -> list[Coroutine[Any, Any, Any]]:
        write, read = ("write", "/3/0/14", {"value": f"+{number}"}), ("read", "/3/0/0", {})
        # One of the two each time: the air is slow.
        operation, path, body = write if number // len(self.devices) % 2 else read
        return [
            self._ask(name, operation, path, **body),
            self._ask(name, "execute", "/3303/0/5605", arguments=f"{number}"),
            self.send(name, number),
            self.found.devices.ask("PUT", f"/devices/{name}/resources/3303/0/5700", {"value": 20.0 + number}),
        ]

    async def _ask(self, name: str, operation: str, path: str, **body: Any) -> Any:
        return await self.found.server.post(
            f"/clients/{name}/{operation}", {"path": path, "timeout": 2 * PATIENCE, **body}
        )

    async def send(self, name: str, number: int) -> Any:
        """Let a device Send; what was answered, or why nothing was."""
        body = {"paths": ["/3303/0/5750"], "timestamp": 1_700_000_000 + number}
        try:
            return await self.found.devices.post(f"/devices/{name}/send", body)
        except ApiError as error:
            return str(error)

    async def repeat(self, name: str) -> None:
        """Let a device that did not hear the answer to its last Send repeat it, as App. C.3.2.1 wants it."""
        last = [one for one in await self._sent() if one["dev_eui"] == DEVICES[name] and is_send(_message(one)[1])][-1]
        await self.pass_time(ACK_TIMEOUT)
        before = len(await self._heard(name))
        await self.found.act("send", name, payload=last["payload"])
        mid = last["payload"][4:8]

        async def answered() -> bool:
            return any(one["payload"][4:8] == mid for one in (await self._heard(name))[before:])

        await until(answered, 20.0, f"{name} got no answer to the repeated Send")

    async def noticed(self) -> None:
        """Return when devices, their radios and ChirpStack have done what was due."""
        await self.found.devices.get("/devices")
        await self.found.radio.get("/state")

    async def _sent(self) -> list[dict[str, Any]]:
        """Return the frames of devices with something for LwM2M in them, repetitions by the MAC left out."""
        air = await self.found.radio.get("/radio/air")
        return [one for one in air if one["what"] == "sent" and one["attempt"] == 1 and one["f_port"] == F_PORT]

    async def _heard(self, name: str) -> list[dict[str, Any]]:
        return [one for one in await self.found.heard(name) if one["what"] == "received" and one["f_port"] == F_PORT]

    async def at_server(self) -> Evidence:
        """Return what the server has seen so far."""
        devices = frozenset(DEVICES[name] for name in self.devices)
        rules = LORAWAN_HTTP if self._witness is None else LORAWAN_MQTT
        seen = Evidence(rules, devices, listeners=devices & {DEVICES[CLASS_C]})
        await hear_server(seen, self.found.server)
        return seen

    async def gather(self) -> list[Evidence]:
        seen = await self.at_server()
        sent = await self._sent()
        seen.sent = [_message(one) for one in sent]
        frames = [one for one in await self.found.radio.get("/air") if one["fPort"] == F_PORT]
        seen.on_air = list(submissions(one for one in frames if one["status"] in ("OK", "no tx ack")))
        seen.happened += self.chronicle
        seen.happened += [Happening(one["time"], f"device: sent, FCnt {one['f_cnt']}", _message(one)) for one in sent]
        seen.happened += [
            Happening(
                one["time"],
                f"network: downlink frame of item {one['queueItemId'][:8]}, {one['status']}",
                (one["devEui"], bytes.fromhex(one["payload"])),
            )
            for one in frames
        ]
        for name in self.devices:
            history = await self.found.radio.get(f"/history/{DEVICES[name]}")
            seen.retained += _datagrams(one["event"] for one in history if one["kind"] == "up")
        if self._witness is None:
            posts = [
                one for one in await self.found.radio.get("/posts") if one["kind"] == "up" and one["f_port"] == F_PORT
            ]
            seen.accepted = [(one["dev_eui"], bytes.fromhex(one["data"])) for one in posts if one["status"] == 200]
            seen.happened += [
                Happening(
                    one["time"],
                    f"network: posted, FCnt {one['f_cnt']}, answered {one['status']}",
                    (one["dev_eui"], bytes.fromhex(one["data"])),
                )
                for one in posts
            ]
        else:
            seen.accepted = _datagrams(
                json.loads(body) for topic, body in self._witness.acknowledged if topic.endswith("/event/up")
            )
        return [seen]


def submissions(frames: Iterable[dict[str, Any]]) -> Iterable[tuple[float, Of]]:
    """Yield when each item of ChirpStack's queue was first on air, and what it was.

    An item is one submission of the bridge. ChirpStack sends it again until its gateway has said that it was sent; how
    often that happens on a busy machine is not the bridge's doing.
    """
    items: set[str] = set()
    for one in frames:
        if one["queueItemId"] not in items:
            items.add(one["queueItemId"])
            yield one["time"], (one["devEui"], bytes.fromhex(one["payload"]))


def _message(logged: dict[str, Any]) -> Of:
    return logged["dev_eui"], bytes.fromhex(logged["payload"])


def _datagrams(events: Iterable[dict[str, Any]]) -> list[Of]:
    """Return what `up` events have for LwM2M."""
    return [(one["deviceInfo"]["devEui"], base64.b64decode(one["data"])) for one in events if one["fPort"] == F_PORT]
