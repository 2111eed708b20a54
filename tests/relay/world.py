"""One endpoint in virtual time: a byte-level device and server around the one step, and what it committed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from operator import itemgetter
from random import Random
from typing import Any

from bindings.contract import (
    Accepted,
    Cancellation,
    Kind,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    SouthProfile,
    SubmitResult,
)
from bridge.coap.message import Message, Type, encode_body, uint_value
from bridge.coap.numbers import OptionNumber as Opt
from bridge.coap.udp import decode, empty, frame
from bridge.delivery.downlinks import Answer, OpaqueDownlink, ServerRequest, Trigger
from bridge.delivery.network import FREE, Turn
from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import FOREVER, Delete, Insert, Row, inserted
from bridge.delivery.states import UplinkState
from bridge.delivery.uplinks import DeviceRequest, Notification, OpaqueUplink, Response, Verdict
from bridge.delivery.work import Now
from bridge.quota.account import Charge
from bridge.quota.limits import NO_LIMITS, Limits
from bridge.quota.usage import Usage, needed_since
from bridge.relay import events as ev
from bridge.relay.effects import (
    Cancel,
    Count,
    Effect,
    LookUp,
    RegistrationNoted,
    SendToServer,
    ServerSilent,
    Settled,
    Submit,
)
from bridge.relay.model import Endpoint, EndpointRows, Observation, Policy, RelayState, Server, ServerProfile
from bridge.relay.state import EndpointState
from bridge.relay.step import Result, step

NIDD = SouthProfile(
    retransmit_interval=60.0,
    max_retransmit=2,
    retransmit_confirmed=True,
    exchange_span=247.0,
    response_timeout=247.0,
    max_attempts=5,
    empty_is_poll=False,
    quick=True,
    can_cancel=True,
    can_expire=True,
    max_downlink=1358,
)
"""The south profile of 3GPP NIDD (R8)."""

LORAWAN = replace(
    NIDD,
    retransmit_interval=300.0,
    max_retransmit=4,
    retransmit_confirmed=False,
    exchange_span=7250.0,
    response_timeout=1500.0,
    empty_is_poll=True,
    quick=False,
    can_cancel=False,
    max_downlink=51,
    default_lifetime=2592000,
)
"""The south profile of LoRaWAN, OMA Transport App. C."""

START = 1_700_000_000.0

DOWNLINKS = ServerRequest, Answer, OpaqueDownlink, Trigger
UPLINKS = DeviceRequest, Notification, Response, Verdict, OpaqueUplink


class World:
    """Feeds events to the step, keeps what it committed, and lets time pass on demand.

    `to_server` and `submitted` collect what left, in order; `network` says how submits are answered: a result, or None
    to leave the call open.
    """

    def __init__(
        self,
        south: SouthProfile = NIDD,
        profile: ServerProfile | None = None,
        policy: Policy | None = None,
        **endpoint: Any,
    ) -> None:
        self.south = south
        self.policy = policy or Policy()
        self.endpoint = Endpoint(
            **{
                "id": 1,
                "shard": 0,
                "name": "urn:dev:1",
                "network": "net",
                "device": "dev@example.com",
                "servers": (Server("srv", profile or ServerProfile()),),
                **endpoint,
            }
        )
        self.wall = START
        self.mono = 1000.0
        self.random = Random(1)
        self.ids = count(1)
        self.tables: dict[type[Row], dict[tuple[Any, ...], tuple[Any, ...]]] = {}
        self.to_server: list[bytes] = []
        self.submitted: list[Submit] = []
        self.cancels: list[Cancel] = []
        self.lookups: list[LookUp] = []
        self.counts: list[Count] = []
        self.settled: list[Settled] = []
        self.noted: list[RegistrationNoted] = []
        self.silent: list[str] = []  # servers
        self.network: SubmitResult | None = Accepted(None, NetworkState.SENT)
        self.condition = FREE  # of the network
        self.waits: Turn | None = None  # for a call
        self.lookup_answer = Lookup(Presence.ABSENT)
        self.cancel_answer: Cancellation | None = Cancellation.REMOVED
        self.wake: float | None = None  # wall time
        self.secure: list[bytes] = []
        self.down: set[str] = set()  # servers for which nothing leaves
        self.most_to_server = 1 << 16  # bytes that may leave for a server now
        self.limits: Limits = NO_LIMITS
        self.state = EndpointState(self.endpoint, self.policy, EndpointRows(), 0.5)

    # -- time and events -----------------------------------------------------------------------------------------

    def event(self, event: ev.Event) -> None:
        now = Now(self.wall, self.mono)
        draw, ids = self.random.random, self.ids
        result = step(
            self.state, event, now, self.south, draw, lambda: next(ids), self.condition, self.limits, self._carries
        )
        self.used(result.charges)
        for change in result.changes:
            table = self.tables.setdefault(change.row, {})
            columns = change.row.columns()
            if isinstance(change, Insert):
                row = dict(zip(columns, change.values, strict=True))
                key = tuple(row[k] for k in change.row.KEY)
                assert key not in table
                table[key] = change.values
            elif isinstance(change, Delete):
                del table[change.values]
            else:
                mutable = change.row.mutable()
                key = change.values[len(mutable) :]
                old = dict(zip(columns, table[key], strict=True))
                if change.row in DOWNLINKS and old["over"]:
                    assert change.values[mutable.index("state")] == old["state"], "an outcome never changes"
                old.update(zip(mutable, change.values, strict=False))
                table[key] = tuple(old[c] for c in columns)
                row = old
            if not isinstance(change, Delete):
                self._check_kept(change.row, row)
        self._check_calls(result)
        self.waits = result.waits_for_call
        self.wake = None if result.wake is None else self.wall + result.wake
        for effect in result.effects:
            self._release(effect)

    def _carries(self, server: str, message: bytes, _secure: bool) -> bool:
        return server not in self.down and len(message) <= self.most_to_server

    def link_fails(self, server: str = "srv") -> None:
        """Let no message leave for a server."""
        self.down.add(server)

    def link_opens(self, server: str = "srv") -> None:
        """Let messages leave for a server again."""
        self.down.discard(server)
        self.event(ev.LinkOpened(server, new_address=False))

    def _check_calls(self, result: Result) -> None:
        """At most one call begins, only where the network takes it; the step says so, or that it waits for one."""
        begun = [effect for effect in result.effects if isinstance(effect, Submit | LookUp | Cancel)]
        assert len(begun) == int(result.begins_call)
        assert not (result.begins_call and result.waits_for_call)
        for effect in begun:
            is_answer = isinstance(effect, Submit) and effect.attempt.kind is Kind.ANSWER
            is_other = isinstance(effect, Submit) and not is_answer
            assert self.condition.takes(Turn.ANSWER if is_answer else Turn.OTHER if is_other else Turn.CHECK)
        if result.waits_for_call:
            assert not self.condition.takes(result.waits_for_call)

    def used(self, charges: list[Charge]) -> None:
        """Take what a step used; for those that share quotas."""

    def _check_kept(self, kind: type[Row], row: dict[str, Any]) -> None:
        """What is not over, or falls due, is kept without an end: a store finds it among such rows only."""
        unfinished = kind in DOWNLINKS and not row["over"]
        unfinished = unfinished or (kind in UPLINKS and row["state"] == UplinkState.RECEIVED)
        assert row.get("keep_until") == FOREVER or not (unfinished or row.get("due") is not None)

    def _release(self, effect: Effect) -> None:
        if isinstance(effect, SendToServer):
            if effect.server in self.down:
                return
            (self.secure if effect.secure else self.to_server).append(effect.data)
            if effect.row is not None:
                self.event(ev.LeftForServer(effect.row))
        elif isinstance(effect, Submit):
            deadline = effect.attempt.deadline
            assert deadline is None or self.wall < deadline, "nothing is sent to a device after deliver_by"
            self.submitted.append(effect)
            if self.network is not None:
                attempt = effect.attempt
                self.event(ev.Submitted(attempt.downlink, attempt.number, self.network))
        elif isinstance(effect, Cancel):
            self.cancels.append(effect)
            if self.cancel_answer is not None:
                self.event(ev.CancelDone(effect.downlink, effect.number, self.cancel_answer))
        elif isinstance(effect, LookUp):
            self.lookups.append(effect)
            attempt = effect.attempt
            self.event(ev.LookedUp(attempt.downlink, attempt.number, self.lookup_answer))
        elif isinstance(effect, Settled):
            self.settled.append(effect)
        elif isinstance(effect, RegistrationNoted):
            self.noted.append(effect)
        elif isinstance(effect, ServerSilent):
            self.silent.append(effect.server)
        elif isinstance(effect, Count):
            self.counts.append(effect)

    def passes(self, seconds: float) -> None:
        """Let time pass, stepping whenever the step asked to be woken."""
        end = self.wall + seconds
        for _ in range(100_000):
            if self.wake is None or self.wake > end:
                break
            pause = max(self.wake - self.wall, 0.001)
            self.wall += pause
            self.mono += pause
            self.event(ev.Tick())
        else:
            raise AssertionError("the step never comes to rest")
        self.mono += end - self.wall
        self.wall = end

    def restart(self) -> None:
        """Lose the memory, load the committed rows, as after a crash; the monotonic clock starts anew."""
        now = self.wall
        kept = EndpointRows(
            downlinks=[row for row in self.loaded(DOWNLINKS) if row.keep_until > now],
            uplinks=[row for row in self.loaded(UPLINKS) if row.keep_until > now],
            observations=self.loaded([Observation]),
            reports=self.loaded([UnattributedReport]),
            relay=next(iter(self.loaded([RelayState])), None),
            usage=[row for row in self.loaded([Usage]) if row.day >= needed_since(now)],
            usage_since=needed_since(now),
        )
        self.state = EndpointState(self.endpoint, self.policy, kept, 0.9)
        self.mono = 5.0
        self.event(ev.Started())

    def loaded(self, kinds: Sequence[type[Row]]) -> list[Any]:
        """Return the committed rows of some types, created again."""
        return [inserted(Insert(kind, values)) for kind in kinds for values in self.tables.get(kind, {}).values()]

    # -- the two peers -------------------------------------------------------------------------------------------

    def reports(self, handle: str, outcome: NetworkState | Refusal | None, **more: Any) -> None:
        """Let the network say what became of a downlink."""
        self.event(ev.Reported(handle, outcome, **more))

    def answers_open_call(self, result: SubmitResult) -> None:
        """Answer the network call that `network = None` left open."""
        attempt = self.submitted[-1].attempt
        self.event(ev.Submitted(attempt.downlink, attempt.number, result))

    def server_sends(self, data: bytes, server: str = "srv") -> list[Message]:
        """Deliver a server's datagram to the endpoint; return what the server got in reply."""
        before = len(self.to_server)
        self.event(ev.ServerDatagram(server, data))
        return [decode(d) for d in self.to_server[before:]]

    def device_sends(self, data: bytes, duplicate_key: str | None = None, heard_at: float | None = None) -> list[bytes]:
        """Deliver a device's bytes to the endpoint; return what was handed to the network in reply."""
        before = len(self.submitted)
        self.event(ev.DeviceMessage(data, duplicate_key, heard_at))
        return [s.attempt.payload for s in self.submitted[before:]]

    def last_south(self) -> Message:
        return decode(self.submitted[-1].attempt.payload)

    def last_north(self) -> Message:
        return decode(self.to_server[-1])

    def rows(self, *kinds: type[Row]) -> list[dict[str, Any]]:
        """Return the committed rows of some types as dictionaries, in the order of their keys."""
        found = [(key, decoded(kind, values)) for kind in kinds for key, values in self.tables.get(kind, {}).items()]
        return [row for _, row in sorted(found, key=itemgetter(0))]

    def states(self, kind: str = "request") -> list[str]:
        """Return the states of all downlinks of a kind, in order."""
        return [str(row["state"]) for row in self.downlinks(kind)]

    def downlinks(self, kind: str = "request") -> list[dict[str, Any]]:
        return self.rows(*(row for row in DOWNLINKS if kind == row.KIND))

    def uplinks(self, kind: str) -> list[dict[str, Any]]:
        return self.rows(*(row for row in UPLINKS if kind == row.KIND))

    def rows_of_text(self) -> list[str]:
        """Return every text that was committed."""
        tables = self.tables.values()
        return [value for table in tables for row in table.values() for value in row if isinstance(value, str)]

    def counted(self, name: str) -> int:
        return sum(1 for c in self.counts if c.name == name)


def decoded(kind: type[Row], values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the columns of a row by name, each value as the row's field has it."""
    row = dict(zip(kind.columns(), values, strict=True))
    for name, codec in kind.CODECS.items():
        row[name] = codec.decode(row[name])
    return row


def ack(of: Message | int) -> bytes:
    """Return an Empty acknowledgement of a message or message ID."""
    return empty(Type.ACK, of if isinstance(of, int) else of.mid)


def rst(of: Message | int) -> bytes:
    """Return a Reset for a message or message ID."""
    return empty(Type.RST, of if isinstance(of, int) else of.mid)


def observe(value: int = 0) -> list[tuple[int, bytes]]:
    """Return an Observe option."""
    return [(int(Opt.OBSERVE), uint_value(value))]


def notification(of: Message, mid: int, number: int = 2, payload: bytes = b"21", mtype: Type = Type.CON) -> bytes:
    """Return a notification of the observation that the request `of` asked for."""
    return response(of, payload=payload, options=observe(number), mtype=mtype, mid=mid)


def observed(world: World, mid: int = 100, token: bytes = b"12345678", path: str = "3/0/0") -> Message:
    """Let the server observe and the device agree; return the request as the device got it."""
    world.server_sends(request(path=path, mid=mid, token=token, options=observe()))
    south = world.last_south()
    world.device_sends(response(south, options=observe(1)))
    north = world.last_north()
    if north.type is Type.CON:
        world.server_sends(ack(north))
    return south


def registered(world: World, mid: int = 1, location: bytes = b"abc") -> None:
    """Let the device register and the server agree."""
    world.device_sends(register(mid=mid, token=bytes((mid & 255,))))
    options = [(int(Opt.LOCATION_PATH), b"rd"), (int(Opt.LOCATION_PATH), location)]
    world.server_sends(response(world.last_north(), 65, b"", options))


def request(
    code: int = 1,
    path: str = "3/0/0",
    mid: int = 100,
    token: bytes = b"12345678",
    payload: bytes = b"",
    options: list[tuple[int, bytes]] | None = None,
    mtype: Type = Type.CON,
) -> bytes:
    """Return a request as a peer would send it."""
    all_options = [(int(Opt.URI_PATH), part.encode()) for part in path.split("/")] + (options or [])
    return frame(mtype, code, mid, token, encode_body(all_options, payload))


def response(
    to: Message,
    code: int = 69,
    payload: bytes = b"x",
    options: list[tuple[int, bytes]] | None = None,
    mtype: Type = Type.ACK,
    mid: int | None = None,
) -> bytes:
    """Return a response to a message as its receiver would: piggybacked, unless another type is asked for."""
    return frame(mtype, code, to.mid if mid is None else mid, to.token, encode_body(options or [], payload))


def register(ep: str | None = "urn:dev:1", mid: int = 1, token: bytes = b"r", **extra: Any) -> bytes:
    """Return a Register as a device sends it."""
    queries = [f"ep={ep}"] if ep is not None else []
    queries += extra.pop("queries", ["lt=300", "lwm2m=1.1", "b=N"])
    options = [(int(Opt.URI_QUERY), q.encode()) for q in queries]
    payload = extra.pop("payload", b"</1/0>,</3/0>")
    if payload:
        options.insert(0, (int(Opt.CONTENT_FORMAT), b"\x28"))
    return request(2, "rd", mid, token, payload, options, **extra)
