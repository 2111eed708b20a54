"""Quotas that several nodes share: no order of requests, lost answers and deaths lets them use more than there is."""

from dataclasses import replace
from random import Random

import pytest

from bridge.quota.account import Charge
from bridge.quota.allotment import Claim, Grant, key_of
from bridge.quota.allotments import KEPT, Allotments
from bridge.quota.limits import AtLimit, Counted, Per, Quota
from bridge.quota.periods import DAY, MINUTE, Period
from bridge.quota.shared import SharedQuotas
from bridge.quota.usage import Amount, Usage
from bridge.store.in_memory import ClusterRows, Disk, InMemoryNode

START = 20_000 * DAY  # wall time of the ledger when monotonic time is 0: a Thursday, at midnight
QUOTA = Quota("plan", "net", Per.NETWORK, Period.DAY, messages=20, bytes=1000, reserve=0.0)
SIZE = 10


class World:
    def __init__(self, *quotas: Quota) -> None:
        self.now = 10.0
        self.quotas = quotas or (QUOTA,)
        self.rows = ClusterRows(lambda: self.now, lambda: START + self.now)
        self.disk = Disk()


class Node:
    """A node's part of the quotas, and its ledger."""

    def __init__(self, world: World, name: str, wall_is_wrong_by: float = 0.0) -> None:
        self.world = world
        self.wrong = wall_is_wrong_by
        self.ledger = InMemoryNode(world.disk, world.rows, name, 5.0, lambda: None)
        self.allotments = Allotments(lambda: world.now)
        self.shared = SharedQuotas(world.quotas, self.allotments)
        self.sent = 0

    def wall(self) -> float:
        return START + self.world.now + self.wrong

    def send(self, size: int = SIZE, *, is_answer: bool = False, endpoint: int = 1) -> bool:
        """Submit a message if the quotas allow it; return whether they do."""
        wall = self.wall()
        limits = self.shared.limits("net", "")
        # Every quota is asked, as an account does.
        holds = [shared.hold(endpoint, size, wall, is_answer=is_answer) for _, shared in limits.shared]
        if any(hold is not None for hold in holds):
            return False
        self.charge(size)
        return True

    def charge(self, size: int = SIZE, sign: int = 1, at: float | None = None) -> None:
        charge = Charge(self.wall(), Amount(1, size), sign, at=self.world.now if at is None else at)
        self.shared.apply("net", "", [charge])
        self.sent += sign

    def why(self, size: int = SIZE) -> str:
        hold = self.shared.limits("net", "").shared[0][1].hold(1, size, self.wall(), is_answer=False)
        return "" if hold is None else hold.why

    async def turn(self) -> list[int]:
        asked = self.allotments.due()
        return self.allotments.apply_grants(asked, await self.ledger.allot(asked))[1]

    async def send_all(self, most: int, **how: int) -> int:
        """Submit messages, and ask whenever one waits, until that brings nothing; return how many went."""
        sent = 0
        for _ in range(most):
            if not self.send(**how):
                await self.turn()
                if not self.send(**how):
                    break
            sent += 1
        return sent

    async def idle(self) -> None:
        """Let a few seconds pass without messages here."""
        for _ in range(3):
            self.world.now += KEPT
            await self.turn()


async def test_one_node_after_the_other_can_use_all_but_nobody_more() -> None:
    world = World()
    a, b = Node(world, "a"), Node(world, "b")
    assert await a.send_all(5) == 5
    await a.idle()
    assert await b.send_all(12) == 12
    await b.idle()
    assert await a.send_all(99) == 3
    assert await b.send_all(99) == 0
    assert "is used up until 2024-10-05T00:00:00Z" in b.why()
    assert a.shared.standing(0.0)[0][2] == Amount(20, 20 * SIZE)


async def test_bytes_are_not_exceeded_either_and_a_smaller_message_may_still_fit() -> None:
    world = World(replace(QUOTA, messages=None, bytes=100))
    a, b = Node(world, "a"), Node(world, "b")
    assert a.send(70) or (await a.turn() == [1] and a.send(70))
    await a.idle()
    assert not b.send(31)
    assert await b.turn() == []
    assert not b.send(31)
    assert not b.send(30)
    assert await b.turn() == [1]
    assert b.send(30)


async def test_what_waits_for_a_part_is_woken_when_it_is_there() -> None:
    world = World()
    a, b = Node(world, "a"), Node(world, "b")
    asked: list[str] = []
    a.allotments.wanted = lambda: asked.append("a")
    assert not a.send(endpoint=7)
    assert "waits for an allotment" in a.why()
    assert asked, "the ledger is asked at once"
    assert 7 in await a.turn()
    assert a.send(endpoint=7)
    assert not b.send(endpoint=8)
    assert await b.turn() == [8]


async def test_what_is_left_of_an_allotment_comes_back() -> None:
    world = World()
    a, b = Node(world, "a"), Node(world, "b")
    await a.send_all(8)
    await a.turn()
    await a.turn()
    assert await b.send_all(99) < 12, "a has some in advance"
    await a.idle()
    assert await b.send_all(99) + b.sent >= 12
    assert a.sent + b.sent == 20


async def test_a_node_that_dies_loses_what_it_had_and_no_more() -> None:
    world = World()
    a, b = Node(world, "a"), Node(world, "b")
    await a.send_all(4)
    await a.turn()
    had = world.rows.budgets[key_of(QUOTA, "")].rows[1].all[0]
    assert had > 4
    world.now += 6
    await b.ledger.take([0])  # declares a's lease over
    assert await b.send_all(99) == 20 - had
    assert "is used up" in b.why()


async def test_a_node_that_stops_gives_everything_back() -> None:
    world = World()
    a, b = Node(world, "a"), Node(world, "b")
    await a.send_all(4)
    await a.turn()
    asked = a.allotments.due(leaves=True)
    a.allotments.apply_grants(asked, await a.ledger.allot(asked))
    assert not a.send()
    assert await b.send_all(99) == 16


async def test_the_ledgers_clock_says_which_period_it_is() -> None:
    """A node whose clock is an hour ahead uses the same period as the others."""
    world = World(replace(QUOTA, period=Period.HOUR))
    a, b = Node(world, "a"), Node(world, "b", wall_is_wrong_by=3600.0)
    assert await a.send_all(12) == 12
    await a.idle()
    assert await b.send_all(99) == 8
    hold = b.shared.limits("net", "").shared[0][1].hold(1, SIZE, b.wall(), is_answer=False)
    assert hold is not None
    assert hold.until - b.wall() == pytest.approx(3600 - world.now, abs=0.1), "it waits for the ledger's next hour"
    world.now = 3600.1
    assert await b.send_all(99) == 20


async def test_nothing_is_used_after_the_period_before_the_next_one_is_given() -> None:
    world = World(replace(QUOTA, period=Period.MINUTE))
    a = Node(world, "a")
    await a.send_all(3)
    await a.turn()
    assert a.send()
    world.now = MINUTE
    assert not a.send()
    await a.turn()
    assert a.send()


async def test_refused_messages_can_be_used_again_but_only_in_their_period() -> None:
    world = World(replace(QUOTA, period=Period.MINUTE))
    a = Node(world, "a")
    assert await a.send_all(99) == 20
    at = world.now
    a.charge(sign=-1, at=at)
    assert await a.send_all(99) == 1
    world.now = MINUTE + 1.0
    assert await a.send_all(99) == 20
    a.charge(sign=-1, at=at)  # of the minute before
    assert await a.send_all(99) == 0


async def test_requests_leave_the_reserve_to_answers() -> None:
    world = World(replace(QUOTA, reserve=0.25))
    a, b = Node(world, "a"), Node(world, "b")
    assert await a.send_all(10) == 10
    await a.idle()
    assert await b.send_all(99) == 5
    assert await b.send_all(99, is_answer=True) == 5
    assert await a.send_all(99, is_answer=True) == 0


async def test_uplinks_count_for_all_and_hold_downlinks_alone() -> None:
    world = World(replace(QUOTA, counts=Counted.BOTH))
    a, b = Node(world, "a"), Node(world, "b")
    await a.turn()
    a.shared.limits("net", "")
    a.shared.apply("net", "", [Charge(a.wall(), Amount(0, 0, 18, 180), at=world.now)])
    await a.turn()
    await a.turn()
    assert await b.send_all(99) == 2


async def test_a_quota_that_only_warns_counts_over_all_nodes() -> None:
    world = World(replace(QUOTA, at_limit=AtLimit.WARN))
    a, b = Node(world, "a"), Node(world, "b")
    for node in (a, b):
        for _ in range(15):
            assert node.send()
    for node in (a, b, a):
        world.now += 11
        await node.turn()
    assert a.shared.standing(0.0)[0][2] == Amount(30, 300)


async def test_what_was_used_before_the_quota_was_in_force_counts() -> None:
    """As the ledger's rows have it; what nodes had said to have used of allotments is in these rows, too."""
    world = World()
    a, b = Node(world, "a"), Node(world, "b")
    await a.send_all(6)
    await a.idle()
    row = Usage(1, int(START // DAY), "net", "", 0, down_messages=15, down_bytes=150)
    b.shared.load([row], b.wall(), await b.ledger.accounted())
    assert await b.send_all(99) == 20 - 15


async def test_a_lower_limit_counts_at_once() -> None:
    world = World()
    a = Node(world, "a")
    await a.send_all(10)
    await a.turn()
    a.shared.change([replace(QUOTA, messages=12)], [], a.wall(), await a.ledger.accounted())
    assert not a.send()
    assert await a.send_all(99) == 2


async def test_an_answer_that_comes_after_a_later_request_is_not_used() -> None:
    """A node that does not hear of its allotment uses no more than it kept, whatever the ledger has given."""
    world = World()
    a, b = Node(world, "a"), Node(world, "b")
    assert not a.send()
    lost = a.allotments.due()
    await a.ledger.allot(lost)
    assert not a.send()
    assert await b.send_all(99) < 20
    assert await a.send_all(99) >= 1
    assert a.sent + b.sent <= 20


@pytest.mark.parametrize("first", range(0, 200, 50))
async def test_no_order_of_events_passes_a_quota(first: int) -> None:
    for seed in range(first, first + 50):
        await _story(seed)


async def _story(seed: int) -> None:
    draw = Random(seed)
    quota = replace(QUOTA, period=Period.MINUTE, messages=draw.choice([3, 20, None]), bytes=draw.choice([95, 400]))
    world = World(quota)
    nodes = {name: Node(world, name) for name in "abc"}
    on_the_way: dict[str, tuple[list[Claim], list[Grant]]] = {}
    used: dict[int, list[int]] = {}
    died = 0
    for _ in range(600):
        name = draw.choice("abc")
        node = nodes[name]
        what = draw.random()
        if what < 0.6:
            size = draw.randint(1, 30)
            if node.send(size, endpoint=draw.randint(1, 5)):
                used.setdefault(int(world.now // MINUTE), []).append(size)
        elif what < 0.75 and name not in on_the_way:
            asked = node.allotments.due()
            on_the_way[name] = asked, list(await node.ledger.allot(asked))
        elif what < 0.9 and name in on_the_way:
            answered = on_the_way.pop(name)
            if draw.random() < 0.8:  # else the answer is lost
                node.allotments.apply_grants(*answered)
        elif what < 0.91:
            died += 1
            nodes[name] = Node(world, f"{name}{died}")
            on_the_way.pop(name, None)
        else:
            world.now += draw.expovariate(1.0)
    for minute, sizes in used.items():
        assert quota.messages is None or len(sizes) <= quota.messages, (seed, minute)
        assert quota.bytes is None or sum(sizes) <= quota.bytes, (seed, minute)


def test_a_budget_keeps_its_name_when_its_limits_change() -> None:
    assert key_of(QUOTA, "") == key_of(replace(QUOTA, messages=1, at_limit=AtLimit.REFUSE), "")
    assert key_of(QUOTA, "") != key_of(replace(QUOTA, period=Period.HOUR), "")
