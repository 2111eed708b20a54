"""What people ask a node that does not serve the endpoint: the one that does carries it out, once, or nobody does."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from bridge.cluster.requests import OwnerAnswer, OwnerRequest
from bridge.errors import ConfigurationError, NotFound, NotServedHere, ServiceFailed, StoreUnavailable
from bridge.service import owner_requests
from bridge.service.owner_requests import AskOwners, OwnerWork
from bridge.store.in_memory.owner_requests import InMemoryOwnerRequests, OwnerRequestRows
from bridge.store.sealing import KEY_BYTES, Seal, SealedOwnerRequests
from tests.waiting import until

SHARD = 7
LEASE = 5.0  # seconds


class Shards:
    """Shards of one node."""

    def __init__(self, *held: int) -> None:
        self.held: Mapping[int, int] = dict.fromkeys(held, 1)
        self.served = set(held)

    def serves(self, shard: int) -> bool:
        return shard in self.served


class Ledger:
    """What the nodes share."""

    def __init__(self) -> None:
        self.now = 0.0
        self.rows = OwnerRequestRows(lambda: self.now)
        self.owners: list[Owner] = []
        self.is_away = False

    async def readable(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the ledger is away")

    def requests(self) -> InMemoryOwnerRequests:
        return InMemoryOwnerRequests(self.rows, self.readable, self.tell)

    def tell(self, shards: frozenset[int]) -> None:
        for owner in self.owners:
            if shards & owner.shards.served:
                owner.work.tell()


class Owner:
    """A node that holds shards; what it was asked. `carry_out` may be replaced by what a test wants."""

    def __init__(self, ledger: Ledger, *held: int) -> None:
        self.asked: list[tuple[str, bytes, str]] = []
        self.shards: Any = Shards(*held)
        self.failed = Counter[str]()
        self.work = OwnerWork(ledger.requests(), self.shards, self._carry_out, self._count)
        self.carry_out: Any = self.echo
        ledger.owners.append(self)

    def _count(self, name: str, **_labels: str) -> None:
        self.failed[name] += 1

    async def _carry_out(self, operation: str, body: bytes, who: str) -> bytes:
        self.asked.append((operation, body, who))
        return bytes(await self.carry_out(body))

    async def echo(self, body: bytes) -> bytes:
        return b"done " + body


class Cluster:
    def __init__(self) -> None:
        self.ledger = Ledger()
        self.counted: Counter[str] = Counter()
        self.asker = AskOwners(self.ledger.requests(), LEASE, self._count)
        self.running: list[asyncio.Task[None]] = []

    def _count(self, _name: str, *, operation: str, result: str) -> None:
        self.counted[f"{operation} {result}"] += 1

    def owner(self, *held: int) -> Owner:
        made = Owner(self.ledger, *held)
        self.running.append(asyncio.create_task(made.work.run()))
        return made

    async def ask(self, body: bytes = b"1", wait: float = 0.0) -> bytes:
        return await self.asker.carry_out(SHARD, "endpoint.enable", body, "key 3", wait)


@pytest.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    monkeypatch.setattr(owner_requests, "ASKED_EVERY", 0.0)
    monkeypatch.setattr(owner_requests, "POLL", 0.0)
    made = Cluster()
    yield made
    for task in made.running:
        task.cancel()
    await asyncio.gather(*made.running, return_exceptions=True)


async def test_the_node_that_holds_the_shard_carries_it_out_and_its_result_comes_back(cluster: Cluster) -> None:
    other, owner = cluster.owner(8), cluster.owner(SHARD)
    assert await cluster.ask() == b"done 1"
    assert (owner.asked, other.asked) == ([("endpoint.enable", b"1", "key 3")], [])
    assert cluster.ledger.rows.rows == {}, "nothing is left of it"
    assert cluster.counted == {"endpoint.enable done": 1}


async def test_an_error_of_the_operation_comes_back_as_it_was(cluster: Cluster) -> None:
    async def refuse(_body: bytes) -> bytes:
        raise NotFound("no endpoint 'x'")

    cluster.owner(SHARD).carry_out = refuse
    with pytest.raises(NotFound, match="no endpoint 'x'"):
        await cluster.ask()
    assert cluster.counted == {"endpoint.enable refused": 1}


async def test_an_error_of_what_another_process_had_begun_does_not_say_that_nothing_was_done(cluster: Cluster) -> None:
    """The owner removed the endpoint and died: the next one finds none. That is no answer to whoever asked."""
    first = Owner(cluster.ledger, SHARD)
    hangs = asyncio.Event()

    async def removes_and_dies(_body: bytes) -> bytes:
        hangs.set()
        await asyncio.sleep(60)
        return b""

    first.carry_out = removes_and_dies
    cluster.running.append(asyncio.create_task(first.work.run()))
    asked = asyncio.create_task(cluster.ask())
    await hangs.wait()
    cluster.running[0].cancel()

    async def finds_none(_body: bytes) -> bytes:
        raise NotFound("no endpoint 'x'")

    cluster.owner(SHARD).carry_out = finds_none
    with pytest.raises(StoreUnavailable, match=r"may have carried it out: look before you ask again.*no endpoint 'x'"):
        await asked


async def test_a_bug_there_is_one_here_and_no_silence(cluster: Cluster) -> None:
    async def fail(_body: bytes) -> bytes:
        raise ZeroDivisionError

    cluster.owner(SHARD).carry_out = fail
    with pytest.raises(ServiceFailed, match="see the log of the node that serves the endpoint"):
        await cluster.ask()


async def test_where_no_node_serves_the_shard_nothing_is_done_and_that_is_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.asker, "_begun_within", 0.01)
    with pytest.raises(NotServedHere, match="nothing was done; ask again"):
        await cluster.ask()
    owner = cluster.owner(SHARD)
    await owner.work.turn()
    assert (owner.asked, cluster.ledger.rows.rows) == ([], {}), "a late owner does not do what was given up"
    assert cluster.counted == {"endpoint.enable withdrawn": 1}


async def test_a_request_waits_for_the_take_over_however_long_leases_are(cluster: Cluster) -> None:
    cluster.asker = AskOwners(cluster.ledger.requests(), 60.0, cluster._count)
    asked = asyncio.create_task(cluster.ask())
    await until(lambda: bool(cluster.ledger.rows.rows))
    cluster.ledger.now = 61.0
    cluster.owner(SHARD)
    assert await asked == b"done 1"


async def test_a_request_of_a_node_that_died_is_not_begun_after_its_time(cluster: Cluster) -> None:
    await cluster.ledger.requests().ask(OwnerRequest(SHARD, "endpoint.enable", b"1", ""), 12.0)
    cluster.ledger.now = 12.5
    owner = cluster.owner(SHARD)
    await owner.work.turn()
    assert owner.asked == []


async def test_what_was_begun_and_not_answered_is_called_unknown(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def hang(_body: bytes) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(owner_requests, "ANSWERED_WITHIN", 0.01)
    owner = cluster.owner(SHARD)
    owner.carry_out = hang
    asked = asyncio.create_task(cluster.ask())
    await begun.wait()
    monkeypatch.setattr(cluster.asker, "_begun_within", 0.01)
    again = asyncio.create_task(cluster.ask(b"2"))
    with pytest.raises(StoreUnavailable, match="has begun with the request and does not answer"):
        await again
    asked.cancel()
    await asyncio.wait({asked})


async def test_the_next_holder_carries_out_what_a_dead_one_had_begun(cluster: Cluster) -> None:
    begun = asyncio.Event()

    async def hang(_body: bytes) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    first = cluster.owner(SHARD)
    first.carry_out = hang
    asked = asyncio.create_task(cluster.ask())
    await begun.wait()
    (died,) = cluster.running
    died.cancel()
    await asyncio.wait({died})
    second = cluster.owner(SHARD)
    assert await asked == b"done 1"
    assert len(second.asked) == 1


async def test_a_shard_that_moves_meanwhile_takes_the_request_with_it(cluster: Cluster) -> None:
    tried = asyncio.Event()

    async def elsewhere(_body: bytes) -> bytes:
        tried.set()
        raise NotServedHere("it is being released", SHARD)

    first = cluster.owner(SHARD)
    first.carry_out = elsewhere
    asked = asyncio.create_task(cluster.ask())
    await tried.wait()
    first.shards.served.clear()
    cluster.owner(SHARD)
    assert await asked == b"done 1"


async def test_a_ledger_that_is_away_for_a_moment_delays_it(cluster: Cluster) -> None:
    owner = cluster.owner(SHARD)
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(body: bytes) -> bytes:
        begun.set()
        await go.wait()
        return b"done " + body

    owner.carry_out = slow
    asked = asyncio.create_task(cluster.ask())
    await begun.wait()
    cluster.ledger.is_away = True
    go.set()
    await until(lambda: not owner.work._running)
    cluster.ledger.is_away = False
    assert await asked == b"done 1"


async def test_a_look_that_fails_because_of_a_bug_is_followed_by_the_next(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = cluster.owner(SHARD)
    turn = owner.work.turn

    async def fails_once() -> None:
        monkeypatch.setattr(owner.work, "turn", turn)
        raise AssertionError

    monkeypatch.setattr(owner.work, "turn", fails_once)
    assert await cluster.ask() == b"done 1"
    assert owner.failed["failed_tasks"] == 1


async def test_many_that_take_long_hold_up_no_other(cluster: Cluster) -> None:
    go = asyncio.Event()

    async def slow(body: bytes) -> bytes:
        if body != b"quick":
            await go.wait()
        return b"done " + body

    cluster.owner(SHARD).carry_out = slow
    long = [asyncio.create_task(cluster.ask(b"%d" % number)) for number in range(150)]
    await until(lambda: len(cluster.ledger.rows.rows) == 150)
    assert await cluster.ask(b"quick") == b"done quick"
    go.set()
    await asyncio.gather(*long)


async def test_a_quiet_node_keeps_no_task_for_each_look(cluster: Cluster) -> None:
    owner = cluster.owner(SHARD)
    await owner.work.turn()
    before = len(asyncio.all_tasks())
    for _ in range(500):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= before + 1


async def test_many_are_asked_at_a_time(cluster: Cluster) -> None:
    cluster.owner(SHARD)
    bodies = [b"%d" % number for number in range(250)]
    assert await asyncio.gather(*(cluster.ask(body) for body in bodies)) == [b"done " + body for body in bodies]


async def test_an_answer_is_taken_once(cluster: Cluster) -> None:
    requests = cluster.ledger.requests()
    id_ = await requests.ask(OwnerRequest(SHARD, "endpoint.enable", b"1", ""), 12.0)
    await requests.answer(id_, OwnerAnswer(b"x"))
    assert await requests.answers([id_]) == {id_: OwnerAnswer(b"x")}
    assert await requests.answers([id_]) == {}


async def sealed_answer(owner_key: bytes, answer_key: bytes) -> tuple[OwnerAnswer, list[OwnerRequest], bytes]:
    """Have a request sealed by one node, with the first key; return its answer, what its owner reads, and the rows."""
    ledger = Ledger()
    asker = SealedOwnerRequests(ledger.requests(), Seal(FIRST))
    owner = SealedOwnerRequests(ledger.requests(), Seal(owner_key))
    id_ = await asker.ask(OwnerRequest(SHARD, "downlink.send", b"planted", "key 3"), 12.0)
    found = [*await owner.waiting([SHARD])]
    if found:
        await SealedOwnerRequests(ledger.requests(), Seal(answer_key)).answer(id_, OwnerAnswer(b"planted, too"))
    rows = repr(ledger.rows.rows).encode()
    return (await asker.answers([id_]))[id_], found, rows


FIRST, SECOND = bytes(KEY_BYTES), bytes([1]) * KEY_BYTES


async def test_nodes_with_one_key_see_what_is_encrypted_in_the_ledger() -> None:
    answer, (request,), rows = await sealed_answer(FIRST, FIRST)
    assert (request.body, request.who, answer) == (b"planted", "key 3", OwnerAnswer(b"planted, too"))
    assert b"planted" not in rows


async def test_what_a_node_cannot_decrypt_is_answered_with_that_and_not_carried_out() -> None:
    answer, found, _ = await sealed_answer(SECOND, SECOND)
    assert (found, answer.error) == ([], ConfigurationError.__name__)
    assert "is encrypted under the key with id" in answer.text


async def test_an_answer_that_cannot_be_decrypted_is_no_refusal() -> None:
    answer, found, _ = await sealed_answer(FIRST, SECOND)
    assert len(found) == 1
    assert answer.text.startswith("it was carried out, and its result cannot be read here")


async def test_a_request_for_which_nobody_waits_any_more_is_withdrawn(cluster: Cluster) -> None:
    asked = asyncio.create_task(cluster.ask())
    await until(lambda: len(cluster.ledger.rows.rows) == 1)
    asked.cancel()
    await until(lambda: not cluster.ledger.rows.rows)
    assert cluster.counted == {"endpoint.enable abandoned": 1}
    assert cluster.owner(SHARD).asked == []


async def test_one_that_is_abandoned_before_it_is_in_the_ledger_is_withdrawn_too(cluster: Cluster) -> None:
    readable, goes_on = cluster.ledger.readable, asyncio.Event()

    async def slowly() -> None:
        await goes_on.wait()
        await readable()

    cluster.asker = AskOwners(
        InMemoryOwnerRequests(cluster.ledger.rows, slowly, cluster.ledger.tell), LEASE, cluster._count
    )
    asked = asyncio.create_task(cluster.ask())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    goes_on.set()
    await until(lambda: not cluster.asker._abandoned)
    assert cluster.ledger.rows.rows == {}


async def test_the_answer_to_one_that_was_abandoned_after_a_node_had_begun_is_removed(cluster: Cluster) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(_body: bytes) -> bytes:
        begun.set()
        await goes_on.wait()
        return b"done"

    cluster.owner(SHARD).carry_out = slowly
    asked = asyncio.create_task(cluster.ask())
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    goes_on.set()
    await until(lambda: not cluster.ledger.rows.rows, why="the answer stays in the ledger")
