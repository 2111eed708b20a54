"""A bridge that attacks what passes through it, to see that the ends find out: run as the bridge is, after `HOSTILE`.

What it does stands in the file `attack.json` of its directory, read anew for each message: a list of orders
`{"way": "up" | "down", "endpoint": NAME, "what": WORD, "times": N}`. Each is carried out N times, 1 by default, and is
noted in `attacks.jsonl`. Up is toward the server, down toward the device. The words:

- `alter`: one bit of the last byte is another; `truncate`: the last five bytes are missing
- `drop`: it is lost; `delay`: it goes on `seconds` later
- `replay`: it continues, and once more, as a new message where the frame allows that
- `again`: the first message that was kept with `keep` goes in its place, with this one's message ID and token
- `keep`: it continues, and is kept
- `swap`: it is held until the next one of this way has gone on
- `forge`: a plain message of the bridge's own goes first, `data` in hexadecimal
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bridge.service.actor import NetworkActor

_RUN = "import sys; sys.path.insert(0, {!r}); from tests.end_to_end_security.hostile import main; main()"
HOSTILE = ["-c", _RUN.format(str(Path(__file__).parents[2]))]
"""Arguments of python; what follows them is `-m bridge.cli …`, as for the bridge itself."""

_COAP = range(64, 128)


class Attacker:
    """Decides what becomes of each message."""

    def __init__(self, folder: Path) -> None:
        self._orders = folder / "attack.json"
        self._notes = folder / "attacks.jsonl"
        self._done: dict[str, int] = {}
        self._kept: dict[str, bytes] = {}
        self._held: dict[str, bytes] = {}
        self._mid = 0xF000

    def meet(self, way: str, endpoint: str, data: bytes) -> list[tuple[float, bytes]]:
        """Return what goes on instead of a message, each with the seconds that it is late."""
        held = self._held.pop(way + endpoint, None)
        after = [] if held is None else [(0.0, held)]
        order = self._order(way, endpoint, data)
        if order is None:
            return [(0.0, data), *after]
        with self._notes.open("a") as notes:
            notes.write(json.dumps({**order, "before": data.hex()}) + "\n")
        return self._carry_out(order, way + endpoint, data) + after

    def _order(self, way: str, endpoint: str, data: bytes) -> dict[str, Any] | None:
        text = self._orders.read_text() if self._orders.exists() else "[]"
        for number, order in enumerate(json.loads(text)):
            key = f"{text} {number}"
            if (order["way"], order["endpoint"]) != (way, endpoint) or self._done.get(key, 0) >= order.get("times", 1):
                continue
            if len(data) < order.get("longer_than", 4):  # empty messages protect nothing
                continue
            self._done[key] = self._done.get(key, 0) + 1
            return dict(order)
        return None

    def _carry_out(self, order: dict[str, Any], pair: str, data: bytes) -> list[tuple[float, bytes]]:
        match order["what"]:
            case "alter":
                return [(0.0, data[:-1] + bytes((data[-1] ^ 1,)))]
            case "truncate":
                return [(0.0, data[:-5])]
            case "drop":
                return []
            case "delay":
                return [(order["seconds"], data)]
            case "replay":
                return [(0.0, data), (0.0, self._as_new(data))]
            case "keep":
                self._kept[pair] = data
                return [(0.0, data)]
            case "again":
                return [(0.0, _framed_as(self._kept[pair], data))]
            case "swap":
                self._held[pair] = data
                return []
            case "forge":
                return [(0.0, bytes.fromhex(order["data"])), (0.0, data)]
        raise ValueError(order["what"])

    def _as_new(self, data: bytes) -> bytes:
        """Return a CoAP message with another message ID, so that the receiver does not take it for a repetition."""
        if data[0] not in _COAP:
            return data
        self._mid += 1
        return data[:2] + self._mid.to_bytes(2, "big") + data[4:]


def _framed_as(kept: bytes, data: bytes) -> bytes:
    """Return options and payload of a kept CoAP message, with type, message ID and token of another."""
    if data[0] not in _COAP:
        return kept
    return data[:1] + kept[1:2] + data[2 : 4 + (data[0] & 15)] + kept[4 + (kept[0] & 15) :]


def main() -> None:
    """Run the bridge, attacking."""
    sys.argv = ["lwm2m-bridge", *sys.argv[3:]]
    config = Path(sys.argv[sys.argv.index("-c") + 1])
    attacker = Attacker(config.parent)
    send, submit = NetworkActor._send, NetworkActor._submit
    copies: dict[str, list[Callable[[], Coroutine[Any, Any, Any]]]] = {}
    under_way: list[asyncio.Future[Any]] = []

    def hostile_send(self: Any, placed: Any, effect: Any, result: Any) -> None:
        under_way.extend(asyncio.ensure_future(copy()) for copy in copies.pop(placed.endpoint.name, ()))
        for late, data in attacker.meet("up", placed.endpoint.name, effect.data):
            changed = msgspec.structs.replace(effect, data=data)
            if late:
                asyncio.get_running_loop().call_later(late, send, self, placed, changed, result)
            else:
                send(self, placed, changed, result)

    async def hostile_submit(self: Any, placed: Any, attempt: Any) -> Any:
        messages = attacker.meet("down", placed.endpoint.name, attempt.payload)
        messages = messages or [(0.0, b"\x00")]  # it says that it has sent what it has not

        async def carry_out(late: float, data: bytes) -> Any:
            await asyncio.sleep(late)
            return await submit(self, placed, msgspec.structs.replace(attempt, payload=data))

        own = next((n for n, (_, data) in enumerate(messages) if data == attempt.payload), 0)
        for message in messages[:own]:
            await carry_out(*message)
        result = await carry_out(*messages[own])
        for message in messages[own + 1 :]:  # when the first was answered: a network may keep one message a device
            copies.setdefault(placed.endpoint.name, []).append(partial(carry_out, *message))
        return result

    NetworkActor._send, NetworkActor._submit = hostile_send, hostile_submit  # type: ignore[method-assign]
    from bridge.cli import main as bridge_main

    bridge_main()
