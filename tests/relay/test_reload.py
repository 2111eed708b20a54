"""Whatever a network says, in whatever order, through crashes and reloads: what is known of a message only grows, its
outcome is one and never claims too much, and an endpoint that was let go from memory goes on as if it had not been."""

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from world import DOWNLINKS, LORAWAN, NIDD, World, ack, request, response, rst

from bindings.contract import (
    Accepted,
    Ambiguous,
    Cancellation,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
)
from bridge.coap.numbers import OptionNumber
from bridge.delivery.direct import DirectNote
from bridge.delivery.downlinks import DIRECT, ServerRequest
from bridge.delivery.knowledge import GROWS_TO, is_certain
from bridge.delivery.rules import NEVER_DELIVERED
from bridge.quota.usage import Usage
from bridge.relay import events as ev
from bridge.relay.model import EndpointRows
from bridge.relay.state import EndpointState

READ, EXECUTE, WRITE = (1, "3/0/0"), (2, "3/0/4"), (3, "3/0/14")
WORDS = [*NetworkState, *Refusal, None, None, NetworkState.SENT]
LOST = Ambiguous("lost")
ANSWERS = [*[NetworkState.BUFFERED] * 6, *[NetworkState.SENT] * 4, *[LOST] * 3, NetworkState.DELIVERED, *Refusal]

servers_ask = st.tuples(st.just("ask"), st.sampled_from([READ, EXECUTE, WRITE]))
callers_ask = st.tuples(st.just("api"), st.sampled_from([READ, EXECUTE, WRITE]), st.booleans())
asks = st.one_of(servers_ask, servers_ask, callers_ask)
submits = st.tuples(st.just("submit"), st.sampled_from(ANSWERS))
reports = st.tuples(st.just("report"), st.sampled_from([0, 0, 1]), st.sampled_from(WORDS), st.booleans())
others = st.one_of(
    st.tuples(st.just("look up"), st.sampled_from(Presence)),
    st.tuples(st.just("cancelled"), st.sampled_from(Cancellation)),
    st.tuples(st.just("flush"), st.sampled_from([None, 0, 1])),
    st.tuples(st.just("device"), st.sampled_from(["answers", "acknowledges", "resets", "speaks"]), st.integers(0, 2)),
    st.tuples(st.just("person"), st.integers(0, 2)),
    st.tuples(st.just("time"), st.sampled_from([0.5, 6.0, 61.0, 130.0, 400.0, 4000.0])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("reload")),
)
stories = st.builds(
    lambda first, rest: [first, *(move for moves in rest for move in moves)],
    asks,
    st.lists(
        st.one_of(st.tuples(submits), st.tuples(submits, reports), st.tuples(others), st.tuples(asks)), max_size=25
    ),
)


class Watched(World):
    """A world that holds every commit against the one before it."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.network = None
        self.cancel_answer = None
        self.seen: dict[int, dict[int, Any]] = {}
        self.asked = 0
        self.drawn = 0.5
        self.handles = 0

    def event(self, event: ev.Event) -> None:
        super().event(event)
        for row in self.rows(*DOWNLINKS):
            known = {one.number: one.known for one in row["attempts"]}
            for number, before in self.seen.get(row["id"], {}).items():
                after = known.get(number)
                assert after is before or after in GROWS_TO[before] or (after is None and is_certain(before))
            self.seen[row["id"]] = known
            if row["over"] and row["state"] in NEVER_DELIVERED and row["reason"] != "the device answered with a Reset":
                assert all(map(is_certain, known.values())), row
            if row["over"]:
                assert sum(one.row == row["id"] for one in self.settled) == 1, row

    def open_call(self) -> tuple[int, int] | None:
        return self.state.deliveries.call

    def reload(self) -> None:
        """Let the endpoint go from memory and load it again, in the same process."""
        kept = EndpointRows(
            downlinks=[row for row in self.loaded(DOWNLINKS) if row.keep_until > self.wall],
            observations=list(self.state.observations.values()),
            reports=list(self.state.deliveries.reports),
            uplinks=[*self.state.uplinks.values(), *self.state.kept_uplinks.values(), *self.state.kept_others.values()],
            relay=self.state.relay,
            usage=self.loaded([Usage]),
        )
        call = self.state.deliveries.call
        timers = self.state.empty_ack_due, self.state.hold_due, self.state.retransmissions
        self.state = EndpointState(self.endpoint, self.policy, kept, self.drawn)
        self.state.deliveries.call = call
        self.state.empty_ack_due, self.state.hold_due, self.state.retransmissions = timers
        self.event(ev.Tick())

    def move(self, kind: str, *with_: Any) -> None:
        getattr(self, "do_" + kind.replace(" ", "_"))(*with_)

    def do_ask(self, what: tuple[int, str]) -> None:
        self.asked += 1
        code, path = what
        self.server_sends(request(code, path, mid=self.asked, token=self.asked.to_bytes(2, "big"), payload=b"1"))

    def do_api(self, what: tuple[int, str], takes_the_place: bool) -> None:
        """Let somebody ask by the API, in the place of all who asked so before if the story says so."""
        code, path = what
        options = tuple((OptionNumber.URI_PATH, part.encode()) for part in path.split("/"))
        older = [row["id"] for row in self.rows(ServerRequest) if row["server"] == DIRECT]
        id_ = next(self.ids)
        note = DirectNote(id_, 1, self.wall, "a test", None, b"", None)
        supersedes = tuple(older) if takes_the_place else ()
        self.event(ev.DirectRequest(id_, code, options, b"1" if code == WRITE[0] else b"", note, supersedes=supersedes))

    def do_submit(self, said: Any) -> None:
        if self.open_call() is None or not self.submitted:
            return
        key = self.submitted[-1].attempt.downlink, self.submitted[-1].attempt.number
        if self.open_call() != key:
            return
        if isinstance(said, NetworkState):
            self.handles += 1
            said = Accepted(f"h{self.handles}", said)
        elif isinstance(said, Refusal):
            said = Refused(said, said.value)
        self.event(ev.Submitted(*key, said))

    def do_report(self, handle: int, said: NetworkState | Refusal | None, nack: bool) -> None:
        self.reports(f"h{self.handles - handle}", None if nack else said, nack=nack)

    def do_look_up(self, presence: Presence) -> None:
        self.handles += presence is Presence.PRESENT
        self.lookup_answer = Lookup(presence, f"h{self.handles}" if presence is Presence.PRESENT else None)

    def do_cancelled(self, said: Cancellation) -> None:
        if self.cancels and self.open_call() == (self.cancels[-1].downlink, self.cancels[-1].number):
            self.event(ev.CancelDone(self.cancels[-1].downlink, self.cancels[-1].number, said))

    def do_flush(self, handle: int | None) -> None:
        self.event(ev.NetworkFlushed("flushed", None if handle is None else f"h{self.handles - handle}"))

    def do_device(self, what: str, which: int) -> None:
        if what == "speaks" or len(self.submitted) <= which:
            self.device_sends(b"\x40\x00" + self.handles.to_bytes(2, "big"), f"k{len(self.counts)}")
            return
        asked = self.carrier_decodes(self.submitted[-1 - which].attempt.payload)
        if asked is None:
            return
        says = {"answers": response(asked), "acknowledges": ack(asked), "resets": rst(asked)}[what]
        self.device_sends(says, f"k{len(self.counts)}")

    def carrier_decodes(self, payload: bytes) -> Any:
        message = self.state.south_hop.decode(payload)
        return message if message.is_request else None

    def do_person(self, which: int) -> None:
        rows = self.downlinks()
        if len(rows) > which:
            self.event(ev.CancelAsked(rows[-1 - which]["id"]))

    def do_time(self, seconds: float) -> None:
        self.passes(seconds)

    def do_crash(self) -> None:
        self.restart()
        self.drawn = 0.9

    def do_reload(self) -> None:
        """Nothing; the other world does it."""


class Reloaded(Watched):
    """The same, but let go from memory and loaded again wherever the story says so."""

    def do_reload(self) -> None:
        self.reload()


OTHERWISE = {"keep_until", "due", "finished_at", "south_mid", "south_token"}
"""Fields that are no part of a story: a reload may begin with other message IDs once all rows are forgotten."""


def story(world: Watched) -> tuple[Any, ...]:
    rows = [{name: row[name] for name in row if name not in OTHERWISE} for row in world.rows(*DOWNLINKS)]
    calls = [(one.attempt.downlink, one.attempt.number) for one in world.submitted]
    return rows, calls, world.cancels, [one.attempt.number for one in world.lookups]


@given(stories, st.sampled_from([NIDD, LORAWAN]), st.sampled_from([None, 60.0, 3600.0]))
@settings(max_examples=150, deadline=None)
def test_what_is_known_only_grows_and_a_reload_changes_nothing(moves, south, ttl):
    tell(moves, south, ttl)


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(stories, st.sampled_from([NIDD, LORAWAN]), st.sampled_from([None, 60.0, 3600.0]))
@settings(max_examples=5000, deadline=None)
def test_the_same_holds_for_many_more_stories(moves, south, ttl):
    tell(moves, south, ttl)


def tell(moves: list[tuple[Any, ...]], south: SouthProfile, ttl: float | None) -> None:
    worlds = Watched(south, default_ttl=ttl), Reloaded(south, default_ttl=ttl)
    for move in moves:
        for world in worlds:
            world.move(*move)
        assert story(worlds[0]) == story(worlds[1])
    for world in worlds:
        world.network = Accepted(None, NetworkState.SENT)
        world.cancel_answer = Cancellation.REMOVED
        world.restart()  # whatever call was open
        world.passes(10 * 86400.0)
        assert all(row["over"] for row in world.rows(*DOWNLINKS))
