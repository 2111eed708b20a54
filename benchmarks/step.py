"""The one step alone, on bytes: processor time of every step of an uplink and of an exchange, without store and I/O."""

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.wire import CONTENT, GET, OBSERVE, coap, notify
from bindings.contract import Accepted, NetworkState, SouthProfile
from bridge.delivery.work import Now
from bridge.relay import events as ev
from bridge.relay.effects import Effect, SendToServer, Submit
from bridge.relay.model import Endpoint, Kept, Policy, Server
from bridge.relay.state import EndpointState
from bridge.relay.step import step

ENDPOINTS = 64
REPEATED = 4  # uplinks and exchanges of each endpoint in one round
NIDD = SouthProfile(60.0, 2, True, 247.0, 247.0, 5, False, True, True, True, 1358)  # as binding nidd gives it
TAKEN = Accepted(None, NetworkState.SENT)


@dataclass(slots=True)
class Peer:
    """One endpoint with its device and server, who answer by hand."""

    state: EndpointState
    token: bytes = b""  # of the device's observation
    mid: int = 0
    sent: list[Effect] = field(default_factory=list)  # by the last step

    def to_server(self) -> bytes:
        """Give the last datagram toward the server."""
        return next(e.data for e in reversed(self.sent) if isinstance(e, SendToServer))

    def submitted(self) -> Submit:
        return next(e for e in self.sent if isinstance(e, Submit))


class Steps:
    """Steps endpoints through their messages; `spent` is the processor time of the steps alone, by name."""

    def __init__(self, kept: int) -> None:
        """`kept`: the rows that every endpoint may keep for repeats (R30)."""
        policy = Policy(max_kept=kept)
        self._ids = itertools.count(1)
        self._random = random.Random(1).random
        self._now = 1_700_000_000.0
        self.spent: dict[str, float] = {}
        self.peers = [Peer(EndpointState(_endpoint(n), policy, Kept(), 0.5)) for n in range(ENDPOINTS)]
        self.exchange("observe", OBSERVE, notify(1))
        for _ in range(kept):
            self.uplink()
            self.exchange()
        self.spent.clear()

    def step(self, name: str, events: Sequence[ev.Event]) -> None:
        """Give each endpoint its event, a millisecond apart."""
        now = Now(self._now, self._now)
        new_id = self._ids.__next__
        results = []
        began = time.process_time()
        for peer, event in zip(self.peers, events, strict=True):
            results.append(step(peer.state, event, now, NIDD, self._random, new_id))
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - began
        self._now += 0.001
        for peer, result in zip(self.peers, results, strict=True):
            peer.sent = result.effects

    def uplink(self) -> None:
        """A NON notification goes to the server as CON, which acknowledges it."""
        for peer in self.peers:
            peer.mid = (peer.mid + 1) & 0xFFFF
        self.step("notification", [ev.DeviceMessage(coap(1, 69, p.mid, p.token, notify(p.mid))) for p in self.peers])
        self.step("its acknowledgement", [ev.ServerDatagram("server", _ack(p.to_server())) for p in self.peers])

    def exchange(self, name: str = "request", options: bytes = GET, answer: bytes = CONTENT) -> None:
        """A CON request goes to the device, whose piggybacked answer goes back piggybacked."""
        for peer in self.peers:
            peer.mid = (peer.mid + 1) & 0xFFFF
        requests = [coap(0, 1, p.mid, p.mid.to_bytes(8, "big"), options) for p in self.peers]
        self.step(name, [ev.ServerDatagram("server", request) for request in requests])
        attempts = [p.submitted().attempt for p in self.peers]
        self.step(f"{name} submitted", [ev.Submitted(a.downlink, a.number, TAKEN) for a in attempts])
        for peer, attempt in zip(self.peers, attempts, strict=True):
            peer.token = peer.token or attempt.payload[4:5]
        answers = [coap(2, 69, a.payload[2] << 8 | a.payload[3], a.payload[4:5], answer) for a in attempts]
        self.step(f"{name} answered", [ev.DeviceMessage(data) for data in answers])
        if any(p.to_server()[0] >> 4 & 3 != 2 for p in self.peers):
            raise AssertionError("an answer that is not piggybacked")


def _endpoint(number: int) -> Endpoint:
    return Endpoint(number, 0, f"bench-{number}", "bench", f"d{number}@bench.example", (Server("server"),))


def _ack(datagram: bytes) -> bytes:
    return coap(2, 0, datagram[2] << 8 | datagram[3], b"")


def measure_steps(rounds: int, kept: int) -> dict[str, float]:
    """Give the least microseconds that a step of each kind took, over rounds."""
    steps = Steps(kept)
    best: dict[str, float] = {}
    for _ in range(rounds):
        steps.spent.clear()
        for _ in range(REPEATED):
            steps.uplink()
            steps.exchange()
        for name, spent in steps.spent.items():
            best[name] = min(best.get(name, spent), spent)
    return {name: spent / (REPEATED * ENDPOINTS) * 1e6 for name, spent in best.items()}


def show_steps(rounds: int) -> None:
    """Print what each step costs, with few rows kept and with all that a policy allows."""
    print("processor time of each step, the least of all rounds")
    for kept in (4, Policy().max_kept):
        found = measure_steps(rounds, kept)
        print(f"\n{kept} rows kept of each kind:")
        for name, spent in found.items():
            print(f"{spent:8.1f} µs  {name}")
