"""A node's shards: nothing is served before its parts are ready, and nothing is held after they have let go."""

import asyncio

import pytest

from bridge.cluster.shards import NodeShards
from bridge.errors import BridgeError, NotPossible, StoreUnavailable


class Part:
    """Notes what it is called for, and what holds meanwhile."""

    def __init__(self, name: str, shards: NodeShards, seen: list[str], fails: BaseException | None = None) -> None:
        self._name = name
        self._shards = shards
        self._seen = seen
        self._fails = fails

    async def taken(self, shard: int, epoch: int) -> None:
        self._note(f"took {shard} at {epoch}", shard)
        if self._fails is not None:
            raise self._fails

    async def released(self, shard: int) -> None:
        self._note(f"released {shard}", shard)
        if self._fails is not None:
            raise self._fails

    def _note(self, what: str, shard: int) -> None:
        shards = self._shards
        assert shards.accepts(shard) == what.startswith("took")
        self._seen.append(f"{self._name} {what}, epoch {shards.epoch(shard)}, serves {shards.serves(shard)}")


async def test_parts_prepare_in_order_and_let_go_in_reverse_order() -> None:
    shards, seen = NodeShards("a"), list[str]()
    for name in ("inbox", "addresses"):
        shards.follow(Part(name, shards, seen))
    await shards.take(7, 3)
    assert seen == ["inbox took 7 at 3, epoch 3, serves False", "addresses took 7 at 3, epoch 3, serves False"]
    assert shards.serves(7)
    assert dict(shards.held) == {7: 3}
    seen.clear()
    await shards.release(7)
    assert seen == ["addresses released 7, epoch 3, serves False", "inbox released 7, epoch 3, serves False"]
    assert (shards.epoch(7), shards.serves(7), dict(shards.held)) == (None, False, {})


async def test_a_shard_that_a_part_cannot_serve_is_not_held() -> None:
    shards, seen = NodeShards("a"), list[str]()
    shards.follow(Part("inbox", shards, seen))
    shards.follow(Part("addresses", shards, seen, StoreUnavailable("the route is refused")))
    shards.follow(Part("never", shards, seen))
    with pytest.raises(NotPossible, match="shard 7 cannot be served here: the route is refused"):
        await shards.take(7, 3)
    assert [line.split(",")[0] for line in seen] == [
        "inbox took 7 at 3", "addresses took 7 at 3", "addresses released 7", "inbox released 7",
    ]  # fmt: skip
    assert (shards.epoch(7), shards.serves(7)) == (None, False)


async def test_a_part_that_fails_does_not_keep_a_shard() -> None:
    shards, seen = NodeShards("a"), list[str]()
    shards.follow(Part("inbox", shards, seen))
    await shards.take(7, 3)
    shards.follow(Part("addresses", shards, seen, ValueError("a mistake")))
    await shards.release(7)
    assert [line.split(",")[0] for line in seen][-2:] == ["addresses released 7", "inbox released 7"]
    assert shards.epoch(7) is None


async def test_a_bug_of_a_part_is_as_if_it_could_not_serve_the_shard() -> None:
    shards, seen = NodeShards("a"), list[str]()
    shards.follow(Part("inbox", shards, seen, ValueError("a mistake")))
    with pytest.raises(NotPossible, match="shard 7 cannot be served here: a mistake"):
        await shards.take(7, 3)
    assert (shards.epoch(7), shards.accepts(7)) == (None, False)


async def test_a_part_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.cluster.shards.TIME_LIMIT", 0.05)

    class Hangs:
        async def taken(self, _shard: int, _epoch: int) -> None:
            await asyncio.Event().wait()

        async def released(self, _shard: int) -> None:
            await asyncio.Event().wait()

    shards = NodeShards("a")
    shards.follow(Hangs())
    with pytest.raises(BridgeError, match="Hangs took longer than"):
        await shards.take(7, 3)
    assert shards.epoch(7) is None
