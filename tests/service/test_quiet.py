"""Endpoints with nothing to do stay in memory as long as there is room, by bytes and not by number (R30)."""

from bridge.directory import Draft
from bridge.relay import events as ev
from bridge.service.quiet import ENDPOINT, ROW, QuietEndpoints
from tests.service.runner_bench import Bench


def test_what_was_used_longest_ago_goes_first():
    quiet = QuietEndpoints(3 * ENDPOINT)
    for endpoint in (1, 2, 3):
        quiet.put(endpoint, 0)
    quiet.put(1, 0)
    assert [*quiet.excess()] == []
    quiet.put(4, 0)
    assert [*quiet.excess()] == [2]


def test_an_endpoint_that_remembers_much_takes_the_room_of_several():
    quiet = QuietEndpoints(4 * ENDPOINT)
    for endpoint in (1, 2, 3):
        quiet.put(endpoint, 0)
    quiet.put(4, 2 * ENDPOINT // ROW)
    assert [*quiet.excess()] == [1, 2]
    quiet.put(4, 0)
    quiet.put(5, 0)
    assert [*quiet.excess()] == []


def test_what_is_dropped_takes_no_room():
    quiet = QuietEndpoints(ENDPOINT)
    quiet.put(1, 100)
    quiet.drop(1)
    quiet.drop(2)
    quiet.put(3, 0)
    assert [*quiet.excess()] == []


def test_the_one_that_is_in_use_stays_however_large_it_is():
    quiet = QuietEndpoints(0)
    quiet.put(1, 10_000)
    assert [*quiet.excess()] == []
    quiet.put(2, 10_000)
    assert [*quiet.excess()] == [1]


async def test_an_endpoint_without_room_is_read_anew(bench: Bench) -> None:
    bench.memory = 0
    bench.restart()
    await bench.store.directory.add([Draft("net", "other@example.com", "other", ("srv",))], None, lambda: 0.0)
    for endpoint in (1, 2, 1):
        await bench.runner.stepped(endpoint, ev.Tick())
        assert [*bench.runner.loaded] == [endpoint]
