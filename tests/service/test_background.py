"""Background work that a bug ends is logged, counted and begun again; what nobody awaits is seen as well."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from bridge import background
from bridge.background import kept_up, told_to
from bridge.north.revocation.contract import RevocationVerdict
from bridge.north.revocation.judging import Judging
from bridge.service import provisioning
from bridge.service.tasks import Tasks
from tests.service.kit import Kit
from tests.waiting import until


@pytest.fixture
async def counts() -> Counter[str]:
    """Return the counters that the event loop's handler of a running bridge would change."""
    found: Counter[str] = Counter()
    asyncio.get_running_loop().set_exception_handler(told_to(lambda name: found.update([name])))
    return found


def fails(times: int) -> tuple[list[float], Callable[[], Awaitable[None]]]:
    """Return when the work began each time, and work that a bug ends so many times."""
    begun: list[float] = []

    async def work() -> None:
        begun.append(asyncio.get_running_loop().time())
        if len(begun) <= times:
            raise RuntimeError("a bug")

    return begun, work


async def test_work_that_a_bug_ended_begins_again_after_pauses_that_grow(
    counts: Counter[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "AGAIN", 0.02)
    monkeypatch.setattr(background, "LONGEST", 0.05)
    begun, work = fails(3)
    await kept_up("counting sheep", work)
    assert counts == {"failed_tasks": 3}
    pauses = [later - earlier for earlier, later in pairwise(begun)]
    assert all(found >= least for found, least in zip(pauses, (0.02, 0.04, 0.05), strict=True))
    assert len(begun) == 4
    assert "counting sheep was ended by a bug in the bridge, and begins again" in caplog.text
    assert "RuntimeError: a bug" in caplog.text


async def test_tasks_of_the_service_keep_work_up(counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN", 0.0)
    begun, work = fails(2)
    tasks = Tasks(lambda name: counts.update([name]))
    tasks.keep_up("work", work)
    await until(lambda: len(begun) == 3)
    await tasks.stop()
    assert counts == {"failed_tasks": 2}


async def test_a_task_that_nobody_awaited_and_a_callback_are_counted(counts: Counter[str]) -> None:
    async def mistaken() -> None:
        raise RuntimeError("a bug")

    def callback() -> None:
        raise RuntimeError("a bug")

    asyncio.create_task(mistaken())  # noqa: RUF006  # that nobody holds it is the point
    asyncio.get_running_loop().call_soon(callback)
    await until(lambda: counts["failed_tasks"] == 2)


async def test_what_is_no_bug_is_logged_and_not_counted(counts: Counter[str], caplog: pytest.LogCaptureFixture) -> None:
    context = {"message": "no descriptor is left", "exception": OSError("EMFILE"), "socket": "a secret"}
    asyncio.get_running_loop().call_exception_handler(context)
    assert not counts
    assert "no descriptor is left" in caplog.text
    assert "a secret" not in caplog.text


async def test_a_bug_while_provisioning_states_are_stored_leaves_none_behind(
    kit: Kit, counts: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "AGAIN", 0.0)
    flush, fail = provisioning.ProvisioningNotes.flush, [True]

    async def once(self: provisioning.ProvisioningNotes) -> None:
        if fail:
            fail.clear()
            raise RuntimeError("a bug")
        await flush(self)

    async with kit.running() as service:
        await until(lambda: kit.network.provisioned == ["d1"])
        await service.parts.notes.flush()
        monkeypatch.setattr(provisioning.ProvisioningNotes, "flush", once)
        told = kit.network.events.deliver(provisioning.Provisioned("d1", provisioning.ProvisioningState.READY))
        await asyncio.wait_for(told, 5)
    assert counts == {"failed_tasks": 1}


async def test_a_bug_in_a_check_of_a_certificate_refuses_it_and_proves_nothing(counts: Counter[str]) -> None:
    async def mistaken() -> RevocationVerdict:
        raise RuntimeError("a bug")

    verdict = await Judging().begin(mistaken())
    assert verdict.refusal
    assert not verdict.certain
    assert verdict.again > 0
    assert counts == {"failed_tasks": 1}
