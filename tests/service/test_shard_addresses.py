"""The addresses of a shard move with it: by commands, of which a failure is seen and tried again."""

import asyncio
import ipaddress
from collections import Counter
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
from bridge.service import shard_addresses
from bridge.service.node import Node
from bridge.service.quota_allotments import QuotaAllotments
from bridge.service.shard_addresses import ShardAddresses
from bridge.store.in_memory import ClusterRows, Disk, InMemoryNode


class Moved:
    """Commands that write what they were asked to a file, and fail as long as a file says so."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self.fails = folder / "fails"
        self.counted: Counter[str] = Counter()
        self.addresses = ShardAddresses(
            [*pools(["10.64.0.0/16", "2001:db8::/64"]).values()],
            self._command("take"),
            self._command("release"),
            self._count,
        )
        self.shards = NodeShards("one")
        self.shards.follow(self.addresses)

    def _command(self, word: str) -> list[str]:
        return ["/bin/sh", "-c", f'echo {word} "$@" >> {self._log}; ! test -e {self.fails}', "sh"]

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
    part = "10.64.7.0/24 2001:db8:0:0:380::/73"
    assert moved.done() == [f"take {part}", f"release {part}"]
    assert moved.counted == {"take_command done": 1, "release_command done": 1}


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


async def test_a_command_that_hangs_is_ended_and_the_shard_given_back(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_addresses, "TIMEOUT", 0.1)
    moved.addresses._take = ["/bin/sh", "-c", "exec sleep 60"]
    with pytest.raises(NotPossible, match=r"took longer than 0\.1 s and was ended"):
        await moved.shards.take(7, 1)


async def test_a_start_releases_what_a_killed_process_left(moved: Moved) -> None:
    await moved.addresses.release_all()
    (line,) = moved.done()
    assert len(line.split()) == 1 + 2 * SHARDS


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
    node = Node(ledger, moved.shards, (), (), 1.0, Metrics(), lambda: None, moved.addresses.release_rest, quotas)
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
    moved.addresses._take = moved.addresses._release = []
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
