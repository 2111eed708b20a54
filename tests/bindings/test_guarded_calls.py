"""Calls into a binding: nothing is ever raised, and a stop waits for them, but not forever."""

import asyncio
from collections import Counter

import pytest

from bindings import guarded_calls
from bindings.guarded_calls import GuardedCalls
from bridge.errors import StoreUnavailable


@pytest.fixture
def counts():
    return Counter()


@pytest.fixture
def calls(counts):
    calls = GuardedCalls("net", "net_internal_errors", lambda name: counts.update([name]))
    calls.open = True
    return calls


async def result(value):
    return value


async def mistake():
    raise ZeroDivisionError


async def test_a_call_gives_its_result(calls, counts):
    assert await calls.run(result("done"), "otherwise") == "done"
    assert not counts


async def test_a_mistake_is_told_and_counted_and_nothing_is_raised(calls, counts, caplog):
    assert await calls.run(mistake(), "otherwise") == "otherwise"
    assert counts == {"net_internal_errors": 1}
    assert "network net: a bug in the bridge" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_store_that_fails_is_told_and_is_no_bug(calls, counts, caplog):
    async def fails():
        raise StoreUnavailable("the disk is full")

    assert await calls.run(fails(), "otherwise") == "otherwise"
    assert not counts
    assert "network net: a call has no result: the disk is full" in caplog.text
    assert "bug" not in caplog.text


async def test_no_call_is_begun_when_none_is_taken(calls, counts):
    calls.open = False
    assert await calls.run(mistake(), "otherwise") == "otherwise"
    assert not counts


async def test_a_cancelled_call_is_no_mistake(calls, counts):
    task = asyncio.create_task(calls.run(asyncio.Event().wait(), otherwise=True))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not counts


async def test_finish_waits_for_what_is_under_way(calls):
    gate = asyncio.Event()
    task = asyncio.create_task(calls.run(gate.wait(), otherwise=False))
    await asyncio.sleep(0)
    finishing = asyncio.create_task(calls.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    gate.set()
    await finishing
    assert task.result() is True


async def test_finish_does_not_wait_for_ever(calls):
    task = asyncio.create_task(calls.run(asyncio.Event().wait(), otherwise=False))
    await asyncio.sleep(0)
    await calls.finish(patience=0.01)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_finish_with_nothing_under_way_returns_at_once(calls):
    await calls.run(result(1), 0)
    await calls.finish(patience=60)


async def test_background_work_that_a_bug_ended_begins_again(calls, counts, monkeypatch, caplog):
    monkeypatch.setattr(guarded_calls, "AGAIN", 0.0)
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            await mistake()

    await calls.keep_up(work)
    assert begun == 3
    assert counts == {"net_internal_errors": 2}
    assert "the background work that it ended begins again" in caplog.text


async def test_a_call_whose_own_work_was_cancelled_has_a_result_all_the_same(calls, counts):
    job = asyncio.create_task(asyncio.sleep(1000))

    async def waits_for_it():
        await asyncio.shield(job)

    asyncio.get_running_loop().call_soon(job.cancel)
    call = asyncio.create_task(calls.run(waits_for_it(), "otherwise"))
    await asyncio.wait([call])
    assert call.result() == "otherwise"
    assert counts == {"net_internal_errors": 1}


async def test_a_call_that_is_cancelled_itself_ends(calls, counts):
    call = asyncio.create_task(calls.run(asyncio.sleep(1000), "otherwise"))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    assert not counts
