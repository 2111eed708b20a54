"""Which node should have which shard, and what a node does about it."""

from hypothesis import given, settings, strategies as st

from bridge.cluster.balance import UNDER_WAY, plan, wanted
from bridge.cluster.view import ClusterView, NodeView, ShardView

SHARDS = range(256)
_names = st.sets(st.text("abcdefgh0123456789-", min_size=1, max_size=8), min_size=1, max_size=6)


def view(nodes, holders, draining=()):
    """Return a view of `nodes` (name → whether it is alive) with `holders` (shard → name)."""
    return ClusterView(
        {name: NodeView(name, 3.0 if alive else 0.0, name in draining) for name, alive in nodes.items()},
        {shard: ShardView(holders.get(shard, ""), 1) for shard in SHARDS},
    )


@settings(max_examples=20)
@given(_names)
def test_a_node_that_comes_moves_only_what_becomes_its_own(names):
    before = {shard: wanted(shard, names - {"new"} or {"z"}) for shard in SHARDS}
    after = {shard: wanted(shard, (names - {"new"} or {"z"}) | {"new"}) for shard in SHARDS}
    assert all(after[shard] in (before[shard], "new") for shard in SHARDS)


def test_three_nodes_get_about_a_third_each():
    parts = [sum(wanted(shard, {"a", "b", "c"}) == name for shard in SHARDS) for name in "abc"]
    assert sum(parts) == 256
    assert min(parts) > 60


class Ledger:
    """Rows of shards that nodes change as their plans say; it refuses what the real one would refuse."""

    def __init__(self, nodes, holders, draining=()):
        self.nodes = dict(nodes)
        self.holders = dict(holders)
        self.draining = set(draining)
        self.unserved = 0  # shards that no living node held at once, at most

    def turn(self, name):
        """Let a node do what its plan says; return whether there was anything to do."""
        held = [shard for shard, holder in self.holders.items() if holder == name]
        todo = plan(view(self.nodes, self.holders, self.draining), name, held)
        for shard in todo.take:
            assert not self.nodes.get(self.holders.get(shard, ""), False), "a living node's"
            self.holders[shard] = name
        for shard in todo.release:
            assert self.holders[shard] == name
            self.holders[shard] = ""
        free = sum(not self.nodes.get(holder, False) for holder in self.holders.values())
        self.unserved = max(self.unserved, free)
        return bool(todo.take or todo.release)

    def settle(self):
        """Let the living nodes act until none has anything to do; return the number of rounds."""
        for rounds in range(200):
            acted = [self.turn(name) for name, alive in self.nodes.items() if alive]
            if not any(acted):
                return rounds
        raise AssertionError("it never settles")


@settings(max_examples=15)  # each takes 50 ms
@given(
    nodes=st.dictionaries(st.sampled_from("abcdef"), st.booleans(), min_size=1).filter(lambda n: any(n.values())),
    data=st.data(),
)
def test_from_any_state_every_shard_comes_to_the_living_node_that_should_have_it(nodes, data):
    holders = {shard: data.draw(st.sampled_from(["", "gone", *nodes])) for shard in range(0, 256, 16)}
    draining = {name for name in nodes if data.draw(st.booleans())}
    ledger = Ledger(nodes, {shard: holders[shard // 16 * 16] for shard in SHARDS}, draining)
    ledger.settle()
    alive = {name for name, is_alive in nodes.items() if is_alive}
    working = alive - draining or alive
    assert ledger.holders == {shard: wanted(shard, working) for shard in SHARDS}


def test_shards_are_handed_over_a_few_at_a_time():
    ledger = Ledger({"a": True}, {})
    ledger.settle()
    ledger.nodes["b"] = True
    ledger.unserved = 0
    rounds = ledger.settle()
    assert ledger.unserved <= UNDER_WAY
    assert rounds > 5
    moved = [shard for shard, holder in ledger.holders.items() if holder == "b"]
    assert moved == [shard for shard in SHARDS if wanted(shard, {"a", "b"}) == "b"]


def test_a_drained_node_keeps_its_shards_as_long_as_it_is_alone():
    ledger = Ledger({"a": True}, {}, {"a"})
    ledger.settle()
    assert set(ledger.holders.values()) == {"a"}
    ledger.nodes["b"] = True
    ledger.settle()
    assert set(ledger.holders.values()) == {"b"}


def test_a_shard_that_is_a_nodes_without_its_knowledge_is_taken_once_more():
    right = wanted(3, {"a", "b"})
    todo = plan(view({"a": True, "b": True}, dict.fromkeys(SHARDS, right)), right, [4])
    assert 3 in todo.take
    assert 4 not in todo.take


def test_one_that_another_node_should_have_is_released_first_however_many_are_offered():
    its = [shard for shard in SHARDS if wanted(shard, {"a", "b"}) == "b"]
    last = its[-1]
    todo = plan(view({"a": True, "b": True}, {last: "a"}), "a", [])
    assert todo.release == (last,)
    assert not todo.settled
