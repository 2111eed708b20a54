"""A life of one endpoint: a network, a device and a server with faults drawn from a seed, and what must hold whatever
they do. The network knows what really happened to every message, so that outcomes are held against the truth."""

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from world import DOWNLINKS, LORAWAN, NIDD, START, World, ack, observe, register, request, response, rst

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Kind,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Submission,
)
from bridge.coap.message import Message, Type, uint_value
from bridge.coap.numbers import OptionNumber as Opt
from bridge.coap.transmission import EXCHANGE_LIFETIME
from bridge.coap.udp import decode
from bridge.delivery.network import FREE, NetworkCondition
from bridge.relay import events as ev
from bridge.relay.effects import Cancel, Effect, LookUp, SendToServer, Submit
from bridge.relay.model import Policy, ServerProfile

NEVER_DELIVERED = {"EXPIRED", "CANCELLED", "UNREACHABLE", "RATE_LIMITED", "TOO_LARGE"}
MAX_TRANSMIT_SPAN = 45.0  # seconds, RFC 7252 §4.8.2: from the first copy of a message to the last
TEMPORARY = (Refusal.UNREACHABLE, Refusal.RATE_LIMITED, Refusal.FAILED, Refusal.NETWORK_UNAVAILABLE)
CONDITIONS = (
    NetworkCondition(takes_answers=True, takes_others=False),
    NetworkCondition(takes_answers=False, takes_others=False),
    NetworkCondition(takes_answers=False, takes_others=False, paused_until=START + 1e6),
    NetworkCondition(takes_answers=False, takes_others=False, takes_checks=True, limited_until=START + 1e6),
)
ONCE = ("Execute", "Create", "DTLS")
DTLS = bytes([23, 254, 253]) + bytes(8)
SIZES = (24, 40, 40, 51, 80, 242, 1358)  # bytes that the network carries: from nothing much to anything (R25)
LARGE = bytes(range(200))  # what a server answers to a request for it, at most


def later_block(message: Message, option: int = Opt.BLOCK1) -> bool:
    """Return whether a message is of a transfer that is under way."""
    return (message.uint(option) or 0) >> 4 > 0


@dataclass(slots=True)
class Item:
    """One message in the network."""

    handle: str
    attempt: Submission


@dataclass(slots=True)
class Exchange:
    """One request as its server remembers it."""

    data: bytes
    number: int
    observes: bool
    asked_at: float
    acknowledged: bool = False
    answers: set[bytes] = field(default_factory=set)
    block: bytes = b""  # what it wrote


class Life(World):
    """`run` lets faults happen, `drain` lets them stop; `check` says what must hold."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        south = self.dice.choice([NIDD, LORAWAN])
        ttl = self.dice.choice([None, 40.0, 900.0, 20000.0])
        bounds = Policy(max_exchanges=self.dice.choice([6, 1024]), max_kept=self.dice.choice([4, 64]))
        profile = ServerProfile(patience=self.dice.choice([120.0, 120.0, 1200.0]))
        super().__init__(south, profile, bounds, default_ttl=ttl, confirmed=self.dice.random() < 0.3)
        self.is_lorawan = south is LORAWAN
        self.faults = True
        self.crashing = False
        self.calls: list[Effect] = []  # in flight
        self.items: list[Item] = []
        self.reports_due: list[tuple[Any, ...]] = []
        self.numbers = iter(range(1, 10**6))
        self.delivered: Counter[int] = Counter()
        self.taken: Counter[int] = Counter()
        self.order: list[int] = []
        self.cancelled: set[int] = set()  # downlinks that a person asked to cancel
        self.exchanges: dict[bytes, Exchange] = {}
        self.unacknowledged: list[bytes] = []  # confirmables of the bridge, at the server
        self.own_mids: dict[int, tuple[float, bytes]] = {}
        self.device_kept: dict[int, tuple[float, list[bytes]]] = {}
        self.device_observes: list[Message] = []
        self.device_mid = 0
        self.device_body: dict[int, dict[int, bytes]] = {}  # exchange → what was written to it, by offset
        self.fetching: dict[bytes, tuple[str, bytes]] = {}  # token of a device's request → path, what it has got
        self.fetched = 0
        self.split = 0

    # -- what the bridge wants done ------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return self.faults and self.dice.random() < probability

    def _release(self, effect: Effect) -> None:
        if self.crashing:
            return  # the process ended after the commit
        if isinstance(effect, Submit | LookUp | Cancel):
            assert not self.calls, "one network call at a time"
            if isinstance(effect, Submit):
                attempt = effect.attempt
                assert attempt.deadline is None or self.wall < attempt.deadline, "a submit after deliver_by"
                assert attempt.downlink not in self.cancelled, "a submit after a person's cancel"
                assert len(attempt.payload) <= (self.south.max_downlink or 0), "larger than the network carries"
                first = attempt.kind is Kind.REQUEST and attempt.downlink not in self.order
                if first and not later_block(decode(attempt.payload)):
                    self.order.append(attempt.downlink)
            self.calls.append(effect)
        elif isinstance(effect, SendToServer) and not effect.secure:
            self._server_gets(effect.data)
        else:
            super()._release(effect)

    def _server_gets(self, data: bytes) -> None:
        message = decode(data)
        if message.type in (Type.CON, Type.NON) and message.code:
            at, before = self.own_mids.get(message.mid, (-1e9, b""))
            assert before == data or self.wall - at >= EXCHANGE_LIFETIME, "a message ID was repeated"
            self.own_mids[message.mid] = self.wall, data
        if self.chance(0.2):
            return  # lost
        if message.type is Type.CON and data not in self.unacknowledged:
            self.unacknowledged.append(data)
        if message.is_response:
            exchange = self.exchanges[message.token]
            exchange.acknowledged = True
            if message.code >> 5 == 2:
                assert message.payload == b"%d" % exchange.number, "an answer went to another exchange"
                if exchange.block:
                    told, sent = message.uint(Opt.BLOCK1) or 0, decode(exchange.data).uint(Opt.BLOCK1) or 0
                    assert (told >> 3, told & 7 <= sent & 7) == (sent >> 3, True), "it acknowledges another block"
                    assert self._written(exchange.number) == exchange.block, "the device has another block"
            if message.option(6) is None:
                exchange.answers.add(bytes((message.code,)) + message.payload)
                assert len(exchange.answers) == 1, "two answers to one request"
        elif message.type in (Type.ACK, Type.RST):
            for exchange in self.exchanges.values():
                if decode(exchange.data).mid == message.mid and exchange.data[0] >> 4 & 3 == Type.CON:
                    exchange.acknowledged = True
                    accepted = [row for row in self.downlinks() if row["north_mid"] == message.mid]
                    assert accepted or message.type is Type.RST, "acknowledged before it was committed"

    # -- the network ---------------------------------------------------------------------------------------------

    def _network_answers(self) -> None:
        if not self.calls:
            return
        call = self.calls.pop()
        if isinstance(call, Submit):
            self.event(ev.Submitted(call.attempt.downlink, call.attempt.number, self._take(call.attempt)))
        elif isinstance(call, LookUp):
            self.event(ev.LookedUp(call.attempt.downlink, call.attempt.number, self._find(call.attempt)))
        elif isinstance(call, Cancel):
            self.event(ev.CancelDone(call.downlink, call.number, self._remove(call)))

    def _take(self, attempt: Submission) -> Accepted | Refused | Ambiguous:
        if self.chance(0.15):
            retry_at = self.dice.choice([None, self.wall + 5, self.wall - 100, self.wall + 600])
            why = self.dice.choice(TEMPORARY)
            return Refused(why, "not now", retry_at)
        item = Item(f"h{next(self.numbers)}", attempt)
        if self.chance(0.1):
            return Ambiguous("lost on the way there")
        self.taken[attempt.downlink] += 1
        if self.chance(0.3):
            self.items.append(item)
            return Ambiguous("lost on the way back")
        if self.dice.random() < 0.5:
            self.items.append(item)
            return Accepted(item.handle, NetworkState.BUFFERED)
        self._deliver(item)
        return Accepted(item.handle, NetworkState.SENT)

    def _find(self, attempt: Submission) -> Lookup:
        if self.chance(0.3):
            return Lookup(Presence.FAILED)
        for item in self.items:
            if (item.attempt.downlink, item.attempt.number) == (attempt.downlink, attempt.number):
                return Lookup(Presence.PRESENT, item.handle)
        return Lookup(Presence.ABSENT)

    def _remove(self, call: Cancel) -> Cancellation:
        if self.chance(0.2):
            return Cancellation.UNKNOWN
        for item in self.items:
            if item.handle == call.handle:
                self.items.remove(item)
                return Cancellation.REMOVED
        return Cancellation.GONE

    def _network_is_busy(self) -> None:
        """Let the network take no call for a while, or answers alone; then it is the endpoint's turn."""
        if self.chance(0.1):
            self.condition = self.dice.choice(CONDITIONS)
        elif self.condition is not FREE and not self.chance(0.5):
            self.condition = FREE
            if self.waits:
                self.event(ev.Tick())

    def _network_moves(self) -> None:
        self._network_is_busy()
        for item in list(self.items):
            deadline = item.attempt.deadline
            if deadline is not None and self.wall >= deadline:
                self.items.remove(item)
                if self.south.can_expire and not self.chance(0.3):
                    self.reports_due.append((item.handle, Refusal.EXPIRED))
            elif self.chance(0.05):
                self.items.remove(item)
                self.taken[item.attempt.downlink] -= 1  # given back for certain
                self.event(ev.Reported(item.handle, Refusal.UNREACHABLE))
            elif self.dice.random() < 0.3:
                self.items.remove(item)
                if item.attempt.confirmed and self.chance(0.3):
                    self._deliver(item)  # or not: only its acknowledgement failed to come
                    self.event(ev.Reported(item.handle, None, nack=True))
                    continue
                if not self.chance(0.2):
                    self.reports_due.append(
                        (item.handle, self.dice.choice([NetworkState.SENT, NetworkState.DELIVERED]))
                    )
                self._deliver(item)
        if self.chance(0.01):
            self.items.clear()
            self.event(ev.NetworkFlushed("flushed"))
        if self.chance(0.01) and self.items:
            item = self.items.pop()
            self.event(ev.NetworkFlushed("made way", item.handle))
        if self.chance(0.01):
            self._device_joins()
        self.dice.shuffle(self.reports_due)
        for report in self.reports_due[:]:
            if self.dice.random() < 0.5:
                self.reports_due.remove(report)
                self.event(ev.Reported(*report))

    def _device_joins(self) -> None:
        """It has lost all memory; the network has dropped what it held."""
        self.items.clear()
        self.device_kept.clear()
        self.device_observes.clear()
        self.device_mid = 0
        self.event(ev.DeviceJoined())

    def _deliver(self, item: Item) -> None:
        if self.chance(0.15):
            return  # lost on the air
        self.delivered[item.attempt.downlink] += 1
        self.later.append(item.attempt.payload)

    # -- the device ----------------------------------------------------------------------------------------------

    @property
    def later(self) -> list[bytes]:
        """Return what the device has received and not yet looked at."""
        if not hasattr(self, "_later"):
            self._later: list[bytes] = []
        return self._later

    def _device_moves(self) -> None:
        for data in self.later[:]:
            self.later.remove(data)
            if data[0] < 64:
                continue
            message = decode(data)
            if message.is_request:
                for reply in self._device_replies(message):
                    self._device_says(reply)
            elif message.is_response and message.token in self.fetching:
                self._device_fetches(message)
        roll = self.dice.random()
        self.device_mid = (self.device_mid + 1) & 0xFFFF
        if not self.faults or roll > 0.25:
            return
        if roll < 0.08:
            self._device_says(register(mid=self.device_mid, token=b"r"))
        elif roll < 0.14:
            self._device_says(request(2, "dp", self.device_mid, b"s", b"[]"))
        elif roll < 0.16:
            self._device_says(bytes([0x40, 0, 1, self.device_mid & 255]))
        elif roll < 0.19:
            path = f"large/{self.device_mid}"
            token = b"L" + self.device_mid.to_bytes(2, "big")
            self.fetching[token] = path, b""
            self._device_says(request(1, path, self.device_mid, token))
        elif self.device_observes:
            asked = self.dice.choice(self.device_observes)
            number = asked.strings(11)[-1].encode()
            mtype = self.dice.choice([Type.CON, Type.NON])
            self._device_says(response(asked, 69, number, observe(roll > 0.2), mtype, 30000 + self.device_mid))

    def _device_replies(self, message: Message) -> list[bytes]:
        at, replies = self.device_kept.get(message.mid, (-1e9, []))
        if self.wall - at < self.south.exchange_span:
            return replies
        number = message.strings(11)[-1].encode()
        options = observe(1) if message.uint(6) == 0 else []
        block = message.uint(Opt.BLOCK1)
        if block is not None:
            options.append((int(Opt.BLOCK1), uint_value(block)))
            self.device_body.setdefault(int(number), {})[(block >> 4) * (16 << (block & 7))] = message.payload
        code = 69 if block is None else (95 if block & 8 else 68)
        roll = self.dice.random()
        if self.faults and roll < 0.1:
            replies = []
        elif self.faults and roll < 0.15:
            replies = [rst(message)]
            options.clear()  # what it answers with a Reset it does not observe
        elif roll < 0.3:
            replies = [ack(message), response(message, code, number, options, Type.CON, 60000 + self.device_mid % 5000)]
        else:
            replies = [response(message, code, number, options)]
        if message.uint(6) == 0 and options:
            self.device_observes = [*self.device_observes[-3:], message]
        self.device_kept[message.mid] = self.wall, replies
        return replies

    def _device_fetches(self, message: Message) -> None:
        """Take one block of a large answer, and ask for the next (RFC 7959 §2.4)."""
        if message.code != 69:
            return
        path, got = self.fetching[message.token]
        block = message.uint(Opt.BLOCK2) or 0
        size = 16 << (block & 7)
        if (block >> 4) * size != len(got):
            return  # a repeat
        got += message.payload
        self.fetching[message.token] = path, got
        if not block & 8:
            assert got == _large(path), "another answer than the server gave"
            self.fetched += 1
            return
        self.device_mid = (self.device_mid + 1) & 0xFFFF
        asked = len(got) // size << 4 | block & 7
        options = [(int(Opt.BLOCK2), uint_value(asked))]
        self._device_says(request(1, path, self.device_mid, message.token, b"", options))

    def _written(self, number: int) -> bytes:
        """Return what the device has of the block of an exchange."""
        parts = self.device_body.get(number, {})
        if len(parts) > 1:
            self.split += 1
        return b"".join(part for _, part in sorted(parts.items()))

    def _device_says(self, data: bytes) -> None:
        if self.chance(0.15):
            return
        key = f"k{next(self.numbers)}" if self.is_lorawan else None
        for _ in range(2 if self.chance(0.1) else 1):
            self.event(ev.DeviceMessage(data, key))

    # -- the server ----------------------------------------------------------------------------------------------

    def _server_moves(self) -> None:
        for data in self.unacknowledged[:]:
            if self.chance(0.3):
                continue
            self.unacknowledged.remove(data)
            message = decode(data)
            if message.is_request and not self.chance(0.2):
                path = "/".join(message.strings(11))
                code = {"rd": 65, "dp": 68}.get(path, 69)
                self.event(ev.ServerDatagram("srv", response(message, code, _large(path) if code == 69 else b"")))
            else:
                self.event(ev.ServerDatagram("srv", rst(message) if self.chance(0.05) else ack(message)))
        for exchange in list(self.exchanges.values()):
            given_up = self.wall - exchange.asked_at >= MAX_TRANSMIT_SPAN  # no server sends a copy later than that
            if exchange.acknowledged or given_up or exchange.data[0] >> 4 & 3 != Type.CON:
                continue
            if self.chance(0.3):
                self.event(ev.ServerDatagram("srv", exchange.data))
        if self.faults and self.dice.random() < 0.3:
            self._server_asks()
        if self.chance(0.1):
            self._a_copy_strays()

    def _a_copy_strays(self) -> None:
        """A datagram may wander for long before it arrives (RFC 7252 §4.8.2): it is known nevertheless (R4)."""
        accepted = {row["north_token"] for row in self.downlinks()}
        copies = [e.data for e in self.exchanges.values() if self.wall - e.asked_at < EXCHANGE_LIFETIME]
        copies = [data for data in copies if decode(data).token in accepted]
        if copies:
            before = len(self.downlinks())
            self.event(ev.ServerDatagram("srv", self.dice.choice(copies)))
            assert len(self.downlinks()) == before, "a copy was taken for a request"

    def _server_asks(self) -> None:
        number = next(self.numbers)
        token = number.to_bytes(4, "big")
        kind = self.dice.choice(["Read", "Read", "Execute", "Create", "Write", "Observe", "DTLS", "Block", "Block"])
        if kind == "DTLS":
            self.event(ev.ServerDatagram("srv", DTLS + b"\x00\x04" + token))
            return
        code, path = {
            "Read": (1, f"3/0/{number}"),
            "Execute": (2, f"3/0/{number}"),
            "Create": (2, f"{number}"),
            "Write": (3, f"3/0/{number}"),
            "Observe": (1, f"3/0/{number}"),
            "Block": (3, f"5/0/{number}"),
        }[kind]
        options = observe() if kind == "Observe" else []
        if self.dice.random() < 0.2:
            options.append((self.policy.ttl_option, self.dice.choice([b"\x1e", b"\x0e\x10"])))
        mtype = Type.NON if self.dice.random() < 0.1 else Type.CON
        block = b""
        if kind == "Block":
            szx, more = self.dice.choice([1, 1, 2]), self.dice.random() < 0.7
            block = self.dice.randbytes((16 << szx) - (0 if more else self.dice.randrange(16)))
            options.append((int(Opt.BLOCK1), uint_value(self.dice.randint(1, 5) << 4 | more << 3 | szx)))
        data = request(code, path, number & 0xFFFF, token, block, options, mtype)
        self.exchanges[token] = Exchange(data, number, kind == "Observe", self.wall, block=block)
        self.event(ev.ServerDatagram("srv", data))

    # -- a person ------------------------------------------------------------------------------------------------

    def _person_moves(self) -> None:
        if self.chance(0.01):
            self.event(ev.NorthChanged())
        live = list(self.state.deliveries.live)
        if live and self.chance(0.05):
            self.cancelled.add(downlink := self.dice.choice(live))
            self.event(ev.CancelAsked(downlink))

    # -- the story -----------------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """Let faults happen."""
        for _ in range(steps):
            if self.chance(0.02):
                self._crash()
            if self.chance(0.1):
                self._radio_changes()
            for move in self.dice.sample([self._network_moves, self._device_moves, self._server_moves], 3):
                if self.dice.random() < 0.8:
                    self._network_answers()
                move()
            self._person_moves()
            self.passes(self.dice.choice([0.0, 0.3, 1.0, 3.0, 10.0, 60.0, 60.0 if self.chance(0.9) else 4000.0]))
            self.bounded()

    def _radio_changes(self) -> None:
        """Another data rate: other sizes, both ways."""
        down, up = self.dice.choice(SIZES), self.dice.choice(SIZES)
        self.south = replace(self.south, max_downlink=down, max_uplink=up)

    def _crash(self) -> None:
        """End the process: after a commit whose effects never left, half of the time."""
        self.crashing = True
        if self.chance(0.5):
            self.dice.choice([self._server_moves, self._network_moves, self._person_moves])()
        self.crashing = False
        if self.calls and isinstance(self.calls[0], Submit) and self.chance(0.5):
            self._take(self.calls[0].attempt)  # the network got it, nobody heard
        self.calls.clear()
        self.wall += self.dice.choice([0.1, 30.0, 1000.0])
        self.restart()

    def drain(self) -> None:
        """Let faults stop and time pass: everything comes to its end."""
        self.faults = False
        for _ in range(300):
            for _ in range(10):
                self._network_answers()
            self._network_moves()
            self._device_moves()
            self._server_moves()
            self.passes(400.0)

    def bounded(self) -> None:
        policy, state = self.policy, self.state
        live = Counter(str(row.KIND) for row in state.deliveries.live.values())
        assert live["request"] <= policy.max_requests
        assert live["opaque"] <= policy.max_opaque
        assert live["answer"] <= policy.max_answers + 1
        assert len(state.uplinks) <= policy.max_uplinks + policy.max_requests
        assert len(state.observations) <= policy.max_observations
        assert len(state.deliveries.kept) <= policy.max_exchanges
        assert len(state.exchanges.requests) <= policy.max_exchanges + policy.max_requests
        assert len(state.exchanges.replies) <= len(state.exchanges.requests)
        assert len(state.kept_uplinks) <= policy.max_kept
        assert len(state.kept_others) <= policy.max_kept
        assert len(state.deliveries.reports) <= policy.max_reports

    def check(self) -> None:
        """Hold the ledger against what really happened."""
        rows: list[dict[str, Any]] = self.rows(*DOWNLINKS)
        assert rows
        for row in rows:
            assert row["over"], f"never ended: {row}"
            assert row["finished_at"] >= START
            if row["state"] in NEVER_DELIVERED:
                assert not self.delivered[row["id"]], f"{row['state']}, but it was delivered: {row}"
            if row["operation"] in ONCE:
                assert self.taken[row["id"]] <= 1, f"taken twice: {row}"
                assert self.delivered[row["id"]] <= 1
            is_part = row.get("split_from") or row["reason"].startswith(
                "a part of a block"
            )  # cancelled with those before
            assert row["cancel_asked"] == (row["id"] in self.cancelled) or is_part
            assert row["state"] != "CANCELLED" or row["cancel_asked"]
            if row["state"] == "RESPONDED":
                assert self.delivered[row["id"]], f"answered by nobody: {row}"
        assert not self.state.uplinks
        assert not self.state.deliveries.live
        settled = Counter(s.row for s in self.settled if s.direction == "down")
        assert max(settled.values()) == 1
        assert self.order == sorted(self.order), "submitted in another order than accepted"
        sent = Counter(up["downlink"] for up in self.uplinks("response") if up["state"] == "FORWARDED")
        assert max(sent.values(), default=0) <= 1


def _large(path: str) -> bytes:
    """Return what the server answers to a request for `path`."""
    return LARGE[len(path) % 20 :] if path.startswith("large/") else b""
