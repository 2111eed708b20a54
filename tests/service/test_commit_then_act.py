"""A request is accepted when it is committed (R3): no effect leaves before the commit of its step."""

from collections.abc import Callable, Mapping, Sequence

from bindings.contract import MISS, Miss, SouthProfile
from bridge.delivery.rows import Change
from bridge.directory import Record
from bridge.directory.keys import Key
from bridge.errors import StoreUnavailable
from bridge.relay import events as ev
from bridge.relay.effects import Effect, Submit
from bridge.relay.model import Endpoint, Kept, Policy, Server
from bridge.service.placed import Placed
from bridge.service.runner import Runner
from bridge.store.contract import Found, FoundEndpoint

READ = bytes.fromhex("4101000174b13301300130")
SOUTH = SouthProfile(60.0, 2, True, 247.0, 247.0, 5, False, True, True, True)


RECORD = Record(1, 0, "ep", "net", "dev", ("srv",), "", None, None, False, {}, True, 0.0, 0.0)


class StillClock:
    def wall(self) -> float:
        return 1_700_000_000.0

    def monotonic(self) -> float:
        return 1000.0


class SlowStore:
    """Keeps what it is given, and tells nobody until it is asked to."""

    def __init__(self) -> None:
        self.told: list[Callable[[BaseException | None], None]] = []
        self.ids = 0

    def load(self, key: Key, now: float, done: FoundEndpoint) -> None:
        done(Found(RECORD, Kept()), None)

    def commit(
        self, changes: Sequence[Change], done: Callable[[BaseException | None], None], *, endpoint: int | None = None
    ) -> None:
        self.told.append(done)

    def next_id(self) -> int:
        self.ids += 1
        return self.ids


class NoRecords:
    def cached(self, _key: Key) -> Miss:
        return MISS

    def keep(self, found: Record) -> None:
        pass


class NoNotes:
    def hold(self, network: str, device: str, notes: Mapping[str, bytes]) -> None:
        pass

    def release(self, network: str, device: str) -> None:
        pass


class Noting:
    def __init__(self) -> None:
        self.acts: list[Effect] = []

    def act(self, _placed: Placed, effect: Effect, _result: object) -> None:
        self.acts.append(effect)

    def call_in_flight(self, _endpoint: int) -> None:
        return None


def runner() -> tuple[Runner, SlowStore, Noting]:
    store, actor = SlowStore(), Noting()
    endpoint = Endpoint(1, 0, "ep", "net", "dev", (Server("srv"),))
    placed = Placed(endpoint, 1, lambda _device: SOUTH)
    made = Runner(
        store,
        NoRecords(),
        NoNotes(),
        StillClock(),
        Policy(),
        lambda _record: placed,
        actor,
        lambda: 0.5,
        lambda *_, **__: None,
    )
    return made, store, actor


async def test_no_effect_leaves_before_its_commit_is_told() -> None:
    made, store, actor = runner()
    told: list[BaseException | None] = []
    made.event(1, ev.ServerDatagram("srv", READ), told.append)
    assert actor.acts == []
    assert told == []
    store.told[0](None)
    assert [type(act) for act in actor.acts] == [Submit]
    assert told == [None]
    made.stop()


async def test_nothing_of_a_step_leaves_whose_commit_failed() -> None:
    made, store, actor = runner()
    told: list[BaseException | None] = []
    made.event(1, ev.ServerDatagram("srv", READ), told.append)
    made.stop()
    store.told[0](StoreUnavailable("disk full"))
    assert not [act for act in actor.acts if isinstance(act, Submit)]
    assert isinstance(told[0], StoreUnavailable)
