"""A request is accepted when it is committed (R3): no effect leaves before the commit of its step."""

from bridge.errors import StoreUnavailable
from bridge.relay.effects import Submit
from tests.service.runner_bench import Bench, read_request


async def test_no_effect_leaves_before_its_commit_is_told(bench: Bench) -> None:
    bench.store.faults.commits_wait = True
    told: list[BaseException | None] = []
    await bench.event(read_request(7), told.append)
    assert bench.actor.effects == []
    assert told == []
    await bench.go()
    assert [type(effect) for effect in bench.actor.effects] == [Submit]
    assert told == [None]


async def test_nothing_of_a_step_leaves_whose_commit_failed(bench: Bench) -> None:
    bench.store.faults.commits_wait = True
    told: list[BaseException | None] = []
    await bench.event(read_request(7), told.append)
    bench.runner.stop()
    await bench.fail()
    assert not bench.actor.of(Submit)
    assert isinstance(told[0], StoreUnavailable)
