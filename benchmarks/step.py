"""The one step alone, on bytes: processor time of every step of an uplink and of an exchange, without store and I/O."""

import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.wire import CONTENT, GET, OBSERVE, coap, notify
from bindings.contract import Accepted, NetworkState, SouthProfile
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.delivery.network import FREE
from bridge.delivery.work import Now
from bridge.quota.limits import Counted, Per, Quota
from bridge.quota.periods import Period
from bridge.quota.shared import SharedQuotas
from bridge.relay import events as ev
from bridge.relay.effects import Effect, SendToServer, Submit
from bridge.relay.model import Endpoint, EndpointRows, Policy, Server
from bridge.relay.state import EndpointState
from bridge.relay.step import step

ENDPOINTS = 64
REPEATED = 4  # uplinks and exchanges of each endpoint in one round
NIDD = SouthProfile(60.0, 2, True, 247.0, 247.0, 5, False, True, True, True, 1358)  # as binding nidd gives it
QUOTAS = (
    Quota("own", "bench", Per.ENDPOINT, Period.DAY, messages=1 << 40, bytes=1 << 50, counts=Counted.BOTH),
    Quota("all", "bench", Per.NETWORK, Period.HOUR, messages=1 << 40, bytes=1 << 50, counts=Counted.BOTH),
)
"""None of them is used up, and both count what devices send, too."""
TAKEN = Accepted(None, NetworkState.SENT)


@dataclass(slots=True)
class Peer:
    """One endpoint with its device and server, who answer by hand."""

    state: EndpointState
    token: bytes = b""  # of the device's observation
    mid: int = 0
    sent: list[Effect] = field(default_factory=list)  # by the last step

    def to_server(self) -> bytes:
        """Return the last datagram toward the server."""
        return next(e.data for e in reversed(self.sent) if isinstance(e, SendToServer))

    def submitted(self) -> Submit:
        return next(e for e in self.sent if isinstance(e, Submit))


class Steps:
    """Steps endpoints through their messages; `spent` is the processor time of the steps alone, by name."""

    def __init__(self, kept: int, quotas: Sequence[Quota] = ()) -> None:
        """`kept`: how many exchanges every endpoint remembers, by the time that passes between two of them."""
        policy = Policy()
        self._quotas = SharedQuotas(quotas)
        self._limits = self._quotas.limits("bench", "")
        self._interval = EXCHANGE_LIFETIME / kept
        self._ids = itertools.count(1)
        self._random = random.Random(1).random
        self._now = 1_700_000_000.0
        self.spent: dict[str, float] = {}
        self.peers = [Peer(EndpointState(_endpoint(n), policy, EndpointRows(), 0.5)) for n in range(ENDPOINTS)]
        self.exchange("observe", OBSERVE, notify(1))
        self.some(kept + 1)
        self.spent.clear()

    def some(self, count: int) -> None:
        """Deliver to every endpoint so many uplinks and exchanges in turns."""
        for _ in range(count):
            self.uplink()
            self.exchange()
            self._now += self._interval

    def step(self, name: str, events: Sequence[ev.Event]) -> None:
        """Deliver to each endpoint its event, a millisecond apart."""
        now = Now(self._now, self._now)
        new_id = self._ids.__next__
        results = []
        began = time.process_time()
        for peer, event in zip(self.peers, events, strict=True):
            result = step(peer.state, event, now, NIDD, self._random, new_id, FREE, self._limits)
            if result.charges:
                self._quotas.apply("bench", "", result.charges)
            results.append(result)
        self.spent[name] = self.spent.get(name, 0.0) + time.process_time() - began
        self._now += 0.001
        for peer, result in zip(self.peers, results, strict=True):
            peer.sent = result.effects

    def uplink(self) -> None:
        """A NON notification goes to the server as CON, which acknowledges it."""
        for peer in self.peers:
            peer.mid = (peer.mid + 1) & 0xFFFF
        self.step("notification", [ev.DeviceMessage(coap(1, 69, p.mid, p.token, notify(p.mid))) for p in self.peers])
        acks = [coap(2, 0, _mid(p.to_server()), b"") for p in self.peers]
        self.step("its acknowledgement", [ev.ServerDatagram("server", ack) for ack in acks])

    def exchange(self, name: str = "request", options: bytes = GET, answer: bytes = CONTENT) -> None:
        """A CON request goes to the device, whose piggybacked answer goes back piggybacked."""
        for peer in self.peers:
            peer.mid = (peer.mid + 1) & 0xFFFF
        requests = [coap(0, 1, p.mid, p.mid.to_bytes(8, "big"), options) for p in self.peers]
        self.step(name, [ev.ServerDatagram("server", request) for request in requests])
        attempts = [p.submitted().attempt for p in self.peers]
        self.step(f"{name} submitted", [ev.Submitted(a.downlink, a.number, TAKEN) for a in attempts])
        for peer, attempt in zip(self.peers, attempts, strict=True):
            peer.token = peer.token or _token(attempt.payload)
        answers = [coap(2, 69, _mid(a.payload), _token(a.payload), answer) for a in attempts]
        self.step(f"{name} answered", [ev.DeviceMessage(data) for data in answers])
        if any(p.to_server()[0] >> 4 & 3 != 2 for p in self.peers):
            raise AssertionError("an answer that is not piggybacked")


def _endpoint(number: int) -> Endpoint:
    return Endpoint(number, 0, f"bench-{number}", "bench", f"d{number}@bench.example", (Server("server"),))


def _mid(message: bytes) -> int:
    return message[2] << 8 | message[3]


def _token(message: bytes) -> bytes:
    return message[4 : 4 + (message[0] & 15)]


def measure_steps(rounds: int, kept: int, *quotas: Sequence[Quota]) -> list[dict[str, float]]:
    """Return the least microseconds that a step of each kind took, over rounds: for each set of quotas, in turns."""
    all_steps = [Steps(kept, one) for one in quotas or [()]]
    best: list[dict[str, float]] = [{} for _ in all_steps]
    for _ in range(rounds):
        for steps, found in zip(all_steps, best, strict=True):
            steps.spent.clear()
            steps.some(REPEATED)
            for name, spent in steps.spent.items():
                found[name] = min(found.get(name, spent), spent)
    return [{name: spent / (REPEATED * ENDPOINTS) * 1e6 for name, spent in found.items()} for found in best]


def show_steps(rounds: int) -> None:
    """Print what each step costs, with few and with many rows kept: the figures should not differ."""
    print("processor time of each step, the least of all rounds")
    for kept in (4, 64, 512):
        (found,) = measure_steps(rounds, kept)
        print(f"\n{kept} exchanges remembered, of each endpoint:")
        for name, spent in found.items():
            print(f"{spent:8.1f} µs  {name}")
    show_steps_with_quotas(rounds)


def show_steps_with_quotas(rounds: int) -> None:
    """Print what quotas cost: of each endpoint, and beside them one of the whole network."""
    without, own, both = measure_steps(rounds, 64, (), QUOTAS[:1], QUOTAS)
    print("\n64 exchanges remembered; without quotas, with one of each endpoint, and with one of the network beside:")
    for name in without:
        print(f"{without[name]:8.1f} {own[name]:8.1f} {both[name]:8.1f} µs  {name}")
    for title, names in (("an uplink", [*without][:2]), ("an exchange", [*without][2:])):
        sums = [sum(found[name] for name in names) for found in (without, own, both)]
        print(f"{sums[0]:8.1f} {sums[1]:8.1f} {sums[2]:8.1f} µs  {title}")
