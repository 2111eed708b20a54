"""The addresses of a shard move with it: by commands, of which a failure is seen and tried again."""

import asyncio
import contextlib
import ipaddress
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.cluster.shards import NodeShards
from bridge.config import parse
from bridge.config.checking import checked
from bridge.errors import ConfigurationError, NotPossible
from bridge.metrics import Metrics
from bridge.north.udp.prefixes import SHARDS, Prefix, pools
from bridge.quota.allotments import Allotments
from bridge.quota.shared import SharedQuotas
from bridge.service import command_turns, shard_addresses
from bridge.service.address_commands import AddressCommand, CommandLimits
from bridge.service.node import Node
from bridge.service.node_agreement import NodeAgreement
from bridge.service.node_clock import NodeClock
from bridge.service.quota_allotments import QuotaAllotments
from bridge.service.shard_addresses import ShardAddresses
from bridge.store.in_memory import ClusterRows, Disk, InMemoryNode
from tests.waiting import until

ALL = 'for p in "$@"; do echo "done $p"; done'  # what a command prints that moves all its prefixes
FIRST = "shift 2; test $# = 0 || exit 1"  # ... one that knows the two prefixes of one shard, and refuses more
ONE = "sleep 0"  # ... one that moves its first prefixes, does not look at the others, and is content
AT_ONE_IT_HANGS = 'for p in "$@"; do case $p in 10.64.8.0/*) exec sleep 60 ;; esac; echo "done $p"; done'
ONE_IS_BAD = """
for p in "$@"; do case $p in 10.64.8.0/*) echo no route; exit 1 ;; esac; done
for p in "$@"; do echo "done $p"; done
"""


PATIENT = CommandLimits(silence=50.0, kill_wait=25.0)  # however loaded the machine is
HASTY = replace(PATIENT, silence=0.3)


class Moved:
    """Commands that write what they were asked to a file, and fail as long as a file says so."""

    def __init__(self, folder: Path, then: str = ALL, limits: CommandLimits = PATIENT) -> None:
        """`then`: what a command does in the end."""
        self._then = then
        self._log = folder / "log"
        self.fails = folder / "fails"
        self.counted: Counter[str] = Counter()
        self.addresses = ShardAddresses(
            pools(["10.64.0.0/16", "10.80.0.0/16"]),
            self._command("take"),
            self._command("release"),
            self._count,
            limits,
        )
        self.shards = NodeShards("one")
        self.shards.follow(self.addresses)

    async def take(self, *shards: int) -> list[int]:
        """Take shards at the same time; return those that are served then."""
        await asyncio.gather(*(self.shards.take(shard, 1) for shard in shards), return_exceptions=True)
        return [shard for shard in shards if self.shards.serves(shard)]

    def _command(self, word: str) -> list[str]:
        return [
            "/bin/sh",
            "-c",
            f'echo {word} "$@" >> {self._log}; if test -e {self.fails}; then exit 1; fi; {self._then}',
            "sh",
        ]

    def _count(self, _name: str, *, command: str, result: str) -> None:
        self.counted[f"{command} {result}"] += 1

    def done(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def moved(tmp_path: Path) -> Moved:
    return Moved(tmp_path)


async def test_the_parts_of_a_shard_are_taken_and_released(moved: Moved) -> None:
    await moved.shards.take(7, 1)
    assert moved.shards.serves(7)
    await moved.shards.release(7)
    part = "10.64.7.0/24 10.80.7.0/24"
    assert moved.done() == [f"take {part}", f"release {part}"]
    await until(lambda: moved.counted == {"take_command done": 1, "release_command done": 1}, 10)


async def test_a_shard_whose_addresses_cannot_be_taken_is_not_served(moved: Moved) -> None:
    moved.fails.touch()
    with pytest.raises(NotPossible, match=r"\[cluster\] take_command: .* ended with 1"):
        await moved.shards.take(7, 1)
    assert not moved.shards.serves(7)
    assert moved.counted["take_command failed"] == 1


async def test_addresses_that_cannot_be_released_are_tried_again_until_it_works(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_addresses, "AGAIN", 0.01)
    await moved.shards.take(7, 1)
    moved.fails.touch()
    await moved.shards.release(7)
    assert moved.addresses.stuck == {7}
    assert moved.counted["release_command failed"] == 2
    moved.fails.unlink()
    trying = asyncio.create_task(moved.addresses.run())
    while moved.addresses.stuck:
        await asyncio.sleep(0.01)
    trying.cancel()


async def test_addresses_that_are_taken_again_are_not_released_late(moved: Moved) -> None:
    await moved.shards.take(7, 1)
    moved.fails.touch()
    await moved.shards.release(7)
    moved.fails.unlink()
    await moved.shards.take(7, 2)
    assert moved.addresses.stuck == set()
    assert moved.done()[-1].startswith("take")


async def test_a_command_that_hangs_is_ended_and_the_shard_given_back(tmp_path: Path) -> None:
    moved = Moved(tmp_path, "exec sleep 60", HASTY)
    with pytest.raises(NotPossible, match=r"took longer than 0\.3 s and was ended"):
        await moved.shards.take(7, 1)


async def test_shards_that_are_taken_and_released_together_take_one_call(moved: Moved) -> None:
    assert await moved.take(7, 9, 8) == [7, 9, 8]
    await asyncio.gather(*(moved.shards.release(shard) for shard in (7, 8, 9)))
    parts = " ".join(part for shard in (7, 8, 9) for part in moved.addresses.prefixes(shard))
    assert moved.done() == [f"take {parts}", f"release {parts}"]
    assert moved.addresses.stuck == set()


async def test_a_shard_is_served_as_soon_as_its_addresses_are_here(tmp_path: Path) -> None:
    moved = Moved(
        tmp_path, f'echo "done $1"; echo "done $2"; while ! test -e {tmp_path}/more; do sleep 0.01; done; {ALL}'
    )
    taking = asyncio.create_task(moved.take(7, 8))
    await until(lambda: moved.shards.serves(7), 10)
    assert not moved.shards.serves(8), "the command has not said so"
    (tmp_path / "more").touch()
    assert await taking == [7, 8]


async def test_a_command_that_knows_one_shard_at_a_time_goes_on_working(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What it does not prove is not believed, also with exit status 0: it is called for each shard by itself."""
    moved = Moved(tmp_path, ONE)
    assert await moved.take(7, 8) == [7, 8]
    parts = [" ".join(moved.addresses.prefixes(shard)) for shard in (7, 8)]
    assert moved.done() == [f"take {' '.join(parts)}", f"take {parts[0]}", f"take {parts[1]}"]
    assert "print a line `done PREFIX` for each" in caplog.text
    before = len(moved.done())
    assert await moved.take(9, 10) == [9, 10]
    assert len(moved.done()) == before + 2, "it is not asked for several any more"


async def test_a_command_that_refuses_several_shards_is_called_for_each(tmp_path: Path) -> None:
    assert await Moved(tmp_path, FIRST).take(7, 8) == [7, 8]


async def test_one_failure_says_nothing_of_how_many_shards_a_command_can_move(tmp_path: Path) -> None:
    once = tmp_path / "once"
    moved = Moved(tmp_path, f"if ! test -e {once}; then touch {once}; exit 1; fi; {ALL}")
    assert await moved.take(7, 8) == [7, 8]
    before = len(moved.done())
    assert await moved.take(9, 10, 11) == [9, 10, 11]
    assert len(moved.done()) == before + 1, "it is asked for several still"


async def test_a_release_does_not_wait_for_the_rest_of_a_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that takes many shards gives way, and goes on with the others afterwards, without a call for each."""
    monkeypatch.setattr(command_turns, "YIELD", 0.05)
    more, hang = tmp_path / "more", f"while ! test -e {tmp_path}/more; do sleep 0.01; done"
    moved = Moved(tmp_path, f'if test $# -gt 5; then echo "done $1"; echo "done $2"; {hang}; fi; {ALL}')
    taking = asyncio.create_task(moved.take(6, 7, 8, 9))
    await until(lambda: moved.shards.serves(6), 10)
    async with asyncio.timeout(20):  # the command would have been ended after 50 s without a word
        await moved.shards.release(6)
    assert moved.addresses.stuck == set()
    more.touch()
    assert await taking == [7, 8, 9]
    parts = {shard: " ".join(moved.addresses.prefixes(shard)) for shard in (6, 7, 8, 9)}
    rest = f"{parts[7]} {parts[8]} {parts[9]}"
    assert moved.done() == [f"take {parts[6]} {rest}", f"release {parts[6]}", f"take {rest}"]
    await until(lambda: moved.counted.total() == 3, 10)
    assert moved.counted == {"take_command ended": 1, "take_command done": 1, "release_command done": 1}


async def test_a_take_that_gives_way_has_moved_a_shard_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a take would never end while releases come."""
    monkeypatch.setattr(command_turns, "YIELD", 0.0)
    begun, more = tmp_path / "begun", tmp_path / "more"
    moved = Moved(tmp_path, f"touch {begun}; while ! test -e {more}; do sleep 0.01; done; {ALL}")
    taking = asyncio.create_task(moved.take(7, 8))
    await until(begun.exists, 10)
    releasing = asyncio.create_task(moved.shards.release(6))
    await asyncio.sleep(0.2)
    assert len(moved.done()) == 1, "the take goes on"
    more.touch()
    assert await taking == [7, 8]
    await releasing


async def test_a_stop_waits_for_no_command_that_has_moved_nothing_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_turns, "YIELD", 0.05)
    begun = tmp_path / "begun"
    moved = Moved(tmp_path, f"if ! test -e {begun}; then touch {begun}; exec sleep 60; fi; {ALL}")
    taking = asyncio.create_task(moved.take(7, 8))
    await until(begun.exists, 10)
    async with asyncio.timeout(20):
        await moved.addresses.release_rest([6])
    assert moved.done()[-1].startswith("release")
    assert await taking == [7, 8]


@pytest.mark.parametrize("shards", [(7,), (7, 8)])
async def test_a_command_for_which_nobody_waits_any_more_is_ended(tmp_path: Path, shards: tuple[int, ...]) -> None:
    """So a node that stops does not wait for takes that it has given up."""
    begun = tmp_path / "begun"
    hangs = f"if test -e {begun}; then {ALL}; exit 0; fi; touch {begun}; echo begun; exec sleep 60"
    moved = Moved(tmp_path, hangs)
    takes = [asyncio.create_task(moved.shards.take(shard, 1)) for shard in shards]
    await until(begun.exists, 10)
    async with asyncio.timeout(20):
        for take in takes:
            take.cancel()
        await asyncio.wait(takes)
        await until(lambda: moved.counted.total() == 1, 20)
    await moved.addresses.release_rest(shards)
    assert moved.addresses.stuck == set()
    assert moved.counted == {"take_command ended": 1, "release_command done": 1}


async def test_one_shard_that_cannot_be_taken_does_not_keep_the_others(tmp_path: Path) -> None:
    moved = Moved(tmp_path, ONE_IS_BAD)
    assert await moved.take(7, 8, 9) == [7, 9]
    assert await moved.take(10, 11) == [10, 11]
    parts = " ".join(part for shard in (10, 11) for part in moved.addresses.prefixes(shard))
    assert moved.done()[-1] == f"take {parts}", "such a command is asked for several still"


async def test_what_a_command_has_proved_before_it_hangs_is_served(tmp_path: Path) -> None:
    moved = Moved(tmp_path, 'echo "done $1"; echo "done $2"; shift 2; test $# = 0 || exec sleep 60', HASTY)
    assert await moved.take(7, 8) == [7, 8]
    assert moved.counted["take_command failed"] == 1
    assert moved.done()[1:] == [f"take {' '.join(moved.addresses.prefixes(8))}"]


async def test_a_shard_at_which_the_command_hangs_keeps_the_others_waiting_once(tmp_path: Path) -> None:
    """The others go on without the shard after `command_silence`; from then on it comes last, by itself."""
    moved = Moved(tmp_path, AT_ONE_IT_HANGS, HASTY)
    assert await moved.take(7, 8, 9, 10) == [7, 9, 10]
    parts = {shard: " ".join(moved.addresses.prefixes(shard)) for shard in range(7, 13)}
    takes = [line for line in moved.done() if line.startswith("take")]
    assert takes == [
        f"take {parts[7]} {parts[8]} {parts[9]} {parts[10]}",
        f"take {parts[9]} {parts[10]}",
        f"take {parts[8]}",
    ]
    assert await moved.take(8, 11, 12) == [11, 12]
    takes = [line for line in moved.done() if line.startswith("take")]
    assert takes[3:] == [f"take {parts[11]} {parts[12]}", f"take {parts[8]}"]


@pytest.mark.parametrize("what", ["take", "release"])
async def test_others_do_not_wait_for_a_command_that_hangs_again(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they are to be taken or released; and what hangs may be a take or a release."""
    monkeypatch.setattr(command_turns, "YIELD", 0.05)
    moved = Moved(tmp_path, AT_ONE_IT_HANGS, HASTY)
    assert await moved.take(8, 9) == [9]
    assert moved.addresses.stuck == {8}
    moved.addresses._limits = PATIENT
    before = len(moved.done())
    hangs = asyncio.create_task(moved.take(8) if what == "take" else moved.addresses._release_once(8))
    await until(lambda: len(moved.done()) > before, 10)
    async with asyncio.timeout(20):  # the command would have been ended after 50 s without a word
        assert await moved.take(10) == [10]
        await moved.shards.release(9)
        await hangs
    assert moved.addresses.stuck == {8}


async def test_a_shard_at_which_a_command_hung_is_served_as_soon_as_it_works(tmp_path: Path) -> None:
    moved = Moved(tmp_path, f"if ! test -e {tmp_path}/works; then exec sleep 60; fi; {ALL}", HASTY)
    assert await moved.take(7, 8) == []
    (tmp_path / "works").touch()
    moved.addresses._limits = PATIENT
    assert await moved.take(7, 8) == [7, 8]
    assert await moved.take(9, 10) == [9, 10]
    await asyncio.gather(*(moved.shards.release(shard) for shard in (7, 8)))
    before = len(moved.done())
    assert await moved.take(7, 8) == [7, 8]
    assert len(moved.done()) == before + 1, "nothing is suspected any more"


async def test_a_command_that_always_hangs_is_run_three_times_for_a_take(tmp_path: Path) -> None:
    moved = Moved(tmp_path, "exec sleep 60", HASTY)
    takes = [asyncio.create_task(moved.addresses._taking.ask(shard)) for shard in range(20)]
    failed = await asyncio.gather(*takes, return_exceptions=True)
    assert all(isinstance(one, ConfigurationError) for one in failed)
    assert moved.counted == {"take_command failed": 3}


async def test_a_start_does_not_wait_long_for_a_command_that_hangs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Four times `command_silence` for all shards, since it may print all lines at its end; then twice that time."""
    moved = Moved(tmp_path, "exec sleep 60", replace(HASTY, silence=0.1))
    async with asyncio.timeout(20):
        await moved.addresses.release_all()
    assert moved.counted == {"release_command failed": 3}
    assert "addresses of an earlier run may still lead to this node: 256 shards" in caplog.text


async def test_a_start_releases_all_others_where_a_command_hangs_at_one_shard(tmp_path: Path) -> None:
    moved = Moved(tmp_path, AT_ONE_IT_HANGS, replace(HASTY, silence=0.1))
    moved.addresses.stuck = {*range(SHARDS)}
    async with asyncio.timeout(20):
        await moved.addresses.release_all()
    assert moved.addresses.stuck == {8}
    assert moved.counted == {"release_command failed": 2, "release_command done": 1}


async def test_how_long_a_command_may_take_is_a_setting(tmp_path: Path) -> None:
    text = (
        '[service]\ndatabase = "postgresql:///x"\n[cluster]\nenabled = true\ntake_command = ["/bin/sleep"]\n'
        'command_silence = 0.2\ncommand_kill_wait = 9\ncommand_limit = 5\n[north]\nprefixes = ["10.64.0.0/16"]\n'
    )
    addresses = shard_addresses.shard_addresses(parse(text, "bridge.toml", tmp_path), Metrics())
    assert addresses._limits == CommandLimits(silence=0.2, many=5.0, kill_wait=9.0)
    with pytest.raises(ConfigurationError, match=r"command_silence 0\.2 is more than command_limit 0\.1"):
        parse(text.replace("command_limit = 5", "command_limit = 0.1"), "bridge.toml", tmp_path)


async def test_a_command_that_fails_for_three_shards_is_not_run_for_the_others(moved: Moved) -> None:
    moved.fails.touch()
    assert await moved.take(*range(20)) == []
    assert moved.counted == {"take_command failed": 4, "release_command failed": 4}
    assert moved.addresses.stuck == {*range(20)}
    tries = (moved.addresses.taken(shard, 2) for shard in range(20))
    refused = [str(error) for error in await asyncio.gather(*tries, return_exceptions=True)]
    told = [why for why in refused if "was not run for this one. The last of them: [cluster] take_command: " in why]
    assert len(told) == 17


async def test_addresses_that_could_not_be_released_are_released_together(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_addresses, "AGAIN", 0.01)
    await moved.take(7, 8)
    moved.fails.touch()
    await asyncio.gather(*(moved.shards.release(shard) for shard in (7, 8)))
    assert moved.addresses.stuck == {7, 8}
    moved.fails.unlink()
    before = len(moved.done())
    trying = asyncio.create_task(moved.addresses.run())
    await until(lambda: not moved.addresses.stuck, 10)
    trying.cancel()
    assert len(moved.done()) == before + 1


async def test_a_release_that_is_under_way_ends_also_when_it_is_tried_again_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_addresses, "AGAIN", 0.01)
    moved = Moved(tmp_path, f"while ! test -e {tmp_path}/more; do sleep 0.01; done; {ALL}")
    first = asyncio.create_task(moved.shards.release(6))
    await until((tmp_path / "log").exists, 10)  # the others wait for this
    releasing = asyncio.gather(*(moved.shards.release(shard) for shard in (7, 8)))
    trying = asyncio.create_task(moved.addresses.run())
    await asyncio.sleep(0.1)
    (tmp_path / "more").touch()
    async with asyncio.timeout(10):
        await asyncio.gather(first, releasing)
    trying.cancel()
    assert moved.addresses.stuck == set()


async def test_a_take_that_is_given_up_moves_nothing_afterwards(tmp_path: Path) -> None:
    moved = Moved(tmp_path, f"while ! test -e {tmp_path}/more; do sleep 0.01; done; {ALL}")
    first = asyncio.create_task(moved.shards.take(7, 1))
    await until((tmp_path / "log").exists, 10)
    second = asyncio.create_task(moved.shards.take(8, 1))  # it waits for the first
    await asyncio.sleep(0)
    second.cancel()
    (tmp_path / "more").touch()
    await asyncio.gather(first, second, return_exceptions=True)
    await moved.shards.release(8)
    parts = [" ".join(moved.addresses.prefixes(shard)) for shard in (7, 8)]
    assert moved.done() == [f"take {parts[0]}", f"release {parts[1]}"]


@pytest.mark.parametrize("command", ["wait", "exit"])
async def test_what_a_command_that_is_ended_has_started_ends_with_it(tmp_path: Path, command: str) -> None:
    """Else it would move the addresses later, when another node has them; also if the command itself is gone then."""
    late = tmp_path / "late"
    moved = Moved(tmp_path, f"(while ! test -e {tmp_path}/more; do sleep 0.01; done; touch {late}) & {command}", HASTY)
    assert await moved.take(7) == []
    (tmp_path / "more").touch()
    with pytest.raises(pytest.fail.Exception):
        await until(late.exists, 0.5)


async def test_what_a_command_that_fails_has_started_ends_with_it(tmp_path: Path) -> None:
    late, more = tmp_path / "late", tmp_path / "more"
    moved = Moved(tmp_path, f"(while ! test -e {more}; do sleep 0.01; done; touch {late}) > /dev/null 2>&1 & exit 1")
    assert await moved.take(7) == []
    more.touch()
    with pytest.raises(pytest.fail.Exception):
        await until(late.exists, 0.5)


async def test_a_command_that_cannot_be_killed_does_not_keep_the_node_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one that runs as another user."""

    asked = list[Any]()

    def refuse(*what: object) -> None:
        asked.append(what[0])
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr("os.killpg", refuse)
        patched.setattr("subprocess.Popen.kill", refuse)
        async with asyncio.timeout(20):
            hangs = f"while ! test -e {tmp_path}/more; do sleep 0.01; done"
            assert await Moved(tmp_path, hangs, replace(HASTY, kill_wait=0.1)).take(7) == []
    (tmp_path / "more").touch()
    started = [one for one in asked if isinstance(one, subprocess.Popen)]  # to take, and twice to release
    assert len(started) == 3
    await until(lambda: all(process.poll() is not None for process in started), 10)
    assert "could not be killed, and may still act" in caplog.text


async def test_a_command_is_over_also_when_a_process_that_it_has_started_escapes(tmp_path: Path) -> None:
    moved = Moved(tmp_path, "setsid sleep 30 & sleep 60", HASTY)
    async with asyncio.timeout(20):
        assert await moved.take(7) == []


@given(
    said=st.lists(
        st.sampled_from([b"done a", b"done b", b"done a b", b" done b", b"", b"done", b"\xff\n" + b"x" * 70_000])
    )
)
async def test_only_a_line_of_its_own_is_proof(tmp_path_factory: pytest.TempPathFactory, said: list[bytes]) -> None:
    file, proved = tmp_path_factory.mktemp("said") / "said", list[str]()
    file.write_bytes(b"".join(line + b"\n" for line in said))
    command = AddressCommand("take_command", ["/bin/cat", str(file)], lambda *_, **__: None)
    with contextlib.suppress(ConfigurationError):  # there is no file `a`
        await command.run(["a", "b"], proved.append, seconds=10)
    assert proved == [line[5:].decode() for line in said if line in (b"done a", b"done b")]


async def test_a_start_releases_what_a_killed_process_left(moved: Moved) -> None:
    await moved.addresses.release_all()
    (line,) = moved.done()
    assert len(line.split()) == 1 + 2 * SHARDS


async def test_a_start_and_a_stop_release_shard_by_shard_what_a_command_has_not_proved(tmp_path: Path) -> None:
    """A command that knows one shard has released the first one, although it ends with 0."""
    moved = Moved(tmp_path, ONE)
    await moved.addresses.release_all()
    parts = [" ".join(moved.addresses.prefixes(shard)) for shard in range(SHARDS)]
    assert moved.done() == [f"release {' '.join(parts)}"] + [f"release {part}" for part in parts]
    await moved.addresses.release_rest([7, 8])
    assert moved.done()[-3:] == [f"release {parts[7]} {parts[8]}", f"release {parts[7]}", f"release {parts[8]}"]
    assert moved.addresses.stuck == set()


async def test_a_start_warns_of_addresses_that_were_not_released_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await Moved(tmp_path, "sleep 0.2", replace(PATIENT, many=0.5)).addresses.release_all()
    assert "addresses of an earlier run may still lead to this node: 25" in caplog.text


async def test_what_a_node_still_holds_when_it_stops_is_released_at_once(moved: Moved) -> None:
    for shard in (7, 9, 8):
        await moved.shards.take(shard, 1)
    moved.fails.touch()
    await moved.shards.release(9)  # its addresses are stuck
    moved.fails.unlink()
    await moved.addresses.release_rest(moved.shards.held)
    parts = [part for shard in (7, 8, 9) for part in moved.addresses.prefixes(shard)]
    assert moved.done()[-1] == f"release {' '.join(parts)}"
    assert moved.addresses.stuck == set()


async def test_a_node_that_stops_alone_releases_the_addresses_of_all_its_shards(moved: Moved) -> None:
    rows = ClusterRows(lambda: 0.0)
    ledger = InMemoryNode(Disk(), rows, "one", 5.0, lambda: None)
    nobody: Any = None
    quotas = QuotaAllotments(SharedQuotas((), Allotments(lambda: 0.0)), ledger, nobody, lambda *_, **__: None)
    release = moved.addresses.release_rest
    clock = NodeClock(ledger, lambda: 0.0)
    agreement = NodeAgreement(ledger, "one", parse("", "bridge.toml", Path()))
    node = Node(ledger, moved.shards, (), (), 1.0, Metrics(), lambda: None, release, quotas, clock, agreement)
    for shard, epoch in (await ledger.take([7])).items():
        await moved.shards.take(shard, epoch)
    await node.leave()
    assert moved.done()[-1] == f"release {' '.join(moved.addresses.prefixes(7))}"


async def test_addresses_that_cannot_be_released_at_a_stop_do_not_hold_it_up(
    moved: Moved, caplog: pytest.LogCaptureFixture
) -> None:
    await moved.shards.take(7, 1)
    moved.fails.touch()
    await moved.addresses.release_rest(moved.shards.held)
    assert "addresses still lead to this node, which stops" in caplog.text
    assert moved.counted["release_command failed"] == 1


async def test_without_commands_nothing_is_run(moved: Moved) -> None:
    moved.addresses._take.program = moved.addresses._release.program = []
    await moved.addresses.release_all()
    await moved.shards.take(7, 1)
    assert moved.counted == {}


@given(prefix=st.sampled_from(["10.0.0.0/8", "10.64.0.0/16", "2001:db8::/48", "2001:db8::/64", "2001:db8::/104"]),
       shard=st.integers(0, SHARDS - 1), where=st.floats(0, 1, exclude_max=True))  # fmt: skip
def test_every_address_of_a_shard_is_in_its_part_and_in_no_other(prefix: str, shard: int, where: float) -> None:
    one = Prefix(prefix)
    numbers = one.part(shard)
    address = ipaddress.ip_address(
        one.packed(numbers[int(where * len(numbers))] if len(numbers) < 2**60 else numbers[0])
    )
    assert [other for other in range(SHARDS) if address in one.network_of(other)] == [shard]
    assert one.network_of(shard).subnet_of(one.network)  # type: ignore[arg-type]  # both of one family


def test_commands_without_a_prefix_are_refused(tmp_path: Path) -> None:
    text = '[service]\ndatabase = "postgresql:///x"\n[cluster]\nenabled = true\ntake_command = ["/bin/true"]\n'
    with pytest.raises(ConfigurationError, match="there is no prefix whose parts could move"):
        checked(parse(text, "bridge.toml", tmp_path))
