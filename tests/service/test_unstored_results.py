"""R7: the result of a network call counts also if the store fails when it comes: what is certain is not in doubt."""

import pytest

from bindings.contract import Accepted, NetworkState, Refusal, Refused, SubmitResult
from bridge.delivery.states import DownlinkState
from bridge.relay import events as ev
from bridge.relay.effects import LookUp, Submit
from tests.service.runner_bench import Bench, read_request

REFUSED = Refused(Refusal.REJECTED, "no such port")
ACCEPTED = Accepted("h", NetworkState.BUFFERED)


async def submitted(bench: Bench) -> Submit:
    await bench.take(read_request(7))
    submit = bench.actor.of(Submit)[-1]
    assert isinstance(submit, Submit)
    bench.actor.calls[1] = submit.attempt.downlink, submit.attempt.number
    return submit


def answer(bench: Bench, submit: Submit, result: SubmitResult) -> None:
    bench.actor.calls.clear()
    bench.actor.end_call(ev.Submitted(submit.attempt.downlink, submit.attempt.number, result))


@pytest.mark.parametrize(
    ("result", "state"),
    [(REFUSED, DownlinkState.REJECTED), (ACCEPTED, DownlinkState.BUFFERED)],
    ids=["refused", "accepted"],
)
async def test_a_result_whose_commit_fails_is_stored_when_the_endpoint_is_loaded_again(
    bench: Bench, result: SubmitResult, state: DownlinkState
) -> None:
    submit = await submitted(bench)
    for _ in range(2):  # the second time it is stepped at the load
        bench.store.faults.commits_wait = True
        if bench.runner.loaded:
            answer(bench, submit, result)
        else:
            await bench.event(ev.Tick())
        await bench.fail()
        assert 1 not in bench.runner.loaded
    await bench.event(ev.Tick())
    await bench.go()
    assert [row.state for row in await bench.rows()] == [state]
    assert not bench.actor.of(LookUp)


@pytest.mark.parametrize(
    ("result", "state"),
    [(REFUSED, DownlinkState.REJECTED), (ACCEPTED, DownlinkState.BUFFERED)],
    ids=["refused", "accepted"],
)
async def test_a_result_for_an_endpoint_that_cannot_be_read_is_stored_when_it_can(
    bench: Bench, result: SubmitResult, state: DownlinkState
) -> None:
    submit = await submitted(bench)
    bench.runner.forget(1)
    bench.store.faults.reads_fail = True
    answer(bench, submit, result)
    await bench.loaded()
    bench.store.faults.reads_fail = False
    await bench.event(ev.Tick())
    await bench.go()
    assert [row.state for row in await bench.rows()] == [state]
    assert not bench.actor.of(LookUp)


async def test_a_result_of_a_shard_that_was_let_go_is_forgotten_with_it(bench: Bench) -> None:
    submit = await submitted(bench)
    bench.runner.forget(1)
    bench.store.faults.reads_fail = True
    answer(bench, submit, REFUSED)
    await bench.loaded()
    bench.runner.forget_shard(0)
    assert bench.runner._unstored.call(1) is None


async def test_a_result_that_a_step_cannot_take_is_not_tried_for_ever(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = await submitted(bench)

    def fails(*_: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("bridge.service.runner.step", fails)
    answer(bench, submit, REFUSED)
    monkeypatch.undo()
    assert bench.runner._unstored.call(1) is None
