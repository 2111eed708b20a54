"""What a binding's event becomes (`bindings.commits.Commit`): a future that also tells somebody in the same turn."""

import asyncio

import pytest

from bindings.commits import Commit
from bridge.errors import StoreUnavailable


async def test_it_is_told_in_the_same_turn() -> None:
    commit, told = Commit(), []
    commit.then = told.append
    assert not told
    commit.complete(None)
    assert told == [commit]
    assert commit.result() is None


async def test_whoever_awaits_it_goes_on_too() -> None:
    commit = Commit()
    waiting = asyncio.ensure_future(commit)
    commit.complete(StoreUnavailable("no room"))
    with pytest.raises(StoreUnavailable, match="no room"):
        await waiting


async def test_it_completes_once() -> None:
    commit, told = Commit(), []
    commit.then = told.append
    commit.complete(None)
    commit.complete(StoreUnavailable("too late"))
    assert told == [commit]
    assert commit.exception() is None


async def test_nobody_is_told_of_one_that_is_cancelled() -> None:
    commit, told = Commit(), []
    commit.then = told.append
    commit.cancel()
    commit.complete(None)
    assert not told


async def test_a_fault_of_who_is_told_does_not_reach_the_other_commits_of_the_group() -> None:
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    commit, failure = Commit(), ValueError("a bug")

    def fails(_commit: Commit) -> None:
        raise failure

    commit.then = fails
    commit.complete(None)
    assert [context["exception"] for context in reported] == [failure]
