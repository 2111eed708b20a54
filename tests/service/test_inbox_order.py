"""Events of networks that came directly, and earlier posts about the same shards."""

from bindings.contract import MISS, Miss
from bridge.directory import EndpointRecord
from bridge.directory.keys import ByDevice
from bridge.service.inbox_order import InboxOrder

A, B, UNKNOWN = (ByDevice("net", name) for name in ("a", "b", "unknown"))


def record(id_: int, shard: int, name: str) -> EndpointRecord:
    return EndpointRecord(id_, shard, name, "net", name, ("srv",), "", None, None, False, {}, True, 0.0, 0.0)


RECORDS = {A: record(1, 7, "a"), B: record(2, 8, "b")}


class Order(InboxOrder):
    """Notes what went on."""

    def __init__(self) -> None:
        super().__init__(self.look)
        self.records = dict(RECORDS)
        self.gone: list[str] = []

    def look(self, key: ByDevice) -> EndpointRecord | Miss:
        return self.records.get(key, MISS)

    def come(self, *events: tuple[ByDevice, str]) -> None:
        for device, what in events:
            self.enter(device, lambda what=what: self.gone.append(what))  # type: ignore[misc]


def test_events_go_at_once_while_no_posts_are_being_read() -> None:
    order = Order()
    order.come((A, "a1"), (B, "b1"))
    assert (order.gone, order.is_open) == (["a1", "b1"], True)


def test_events_of_a_shard_wait_in_order_and_those_of_others_do_not() -> None:
    order = Order()
    order.close([7])
    order.come((A, "a1"), (B, "b1"), (A, "a2"))
    assert (order.gone, len(order)) == (["b1"], 2)
    order.open([7])
    assert (order.gone, order.is_open, len(order)) == (["b1", "a1", "a2"], True, 0)


def test_a_shard_that_was_closed_twice_is_opened_by_the_second_call() -> None:
    order = Order()
    order.close([7])
    order.close([7, 8])
    order.come((A, "a1"), (B, "b1"))
    order.open([7])
    assert order.gone == []
    order.open([7, 8])
    assert order.gone == ["a1", "b1"]


def test_a_device_that_is_not_in_memory_waits_for_all_shards_and_its_later_events_behind_it() -> None:
    order = Order()
    order.close([7])
    order.come((UNKNOWN, "u1"))
    order.records[UNKNOWN] = RECORDS[B]  # it was read meanwhile
    order.come((UNKNOWN, "u2"), (B, "b1"))
    assert order.gone == ["b1"]
    order.open([7])
    assert order.gone == ["b1", "u1", "u2"]
