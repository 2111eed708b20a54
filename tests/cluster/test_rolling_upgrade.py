"""Nodes of two releases beside each other on one PostgreSQL, as processes, with a change of the schema between them.

The older release is the last commit before the newest migration was added: it is taken out of the history.
"""

import asyncio
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.store.postgres.schema import migrations
from tests.cluster.nodes import Cluster, NodeProcess
from tests.conftest import need_program
from tests.store.stores import postgres_server
from tests.waiting import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
OF_POSTGRES = "bridge/store/postgres/migrations"
DEVICES = 8


def git(*arguments: str) -> str:
    """Return what git says of this clone; nothing where it cannot say it."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture
def older(tmp_path: Path) -> Mapping[str, str]:
    """The environment in which `python -m bridge.cli` is the older release."""
    need_program("git")
    newest = migrations()[-1]
    added = git("log", "-1", "--format=%H", "--diff-filter=A", "--", f"{OF_POSTGRES}/*_{newest.name}.sql")
    before = git("rev-parse", "--verify", "--quiet", f"{added}^") if added else ""
    if not before:
        pytest.skip(f"the history has no commit before migration {newest.name}: the clone has too little of it")
    folder = tmp_path / "older"
    folder.mkdir()
    archive = tmp_path / "older.tar"
    git("archive", "-o", str(archive), before, "bridge", "bindings")
    subprocess.run(["tar", "-xf", str(archive), "-C", str(folder)], check=True)
    assert not [*(folder / OF_POSTGRES).glob(f"*_{newest.name}.sql")]
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}  # not from the folder in which it is started


def of(cluster: Cluster, node: str) -> list[str]:
    return [endpoint for endpoint, holder in cluster.holders().items() if holder == node]


def version(cluster: Cluster) -> int:
    ((found,),) = cluster.rows("SELECT max(version) FROM schema_version")
    return int(found)


async def ended(node: NodeProcess) -> str:
    """Wait until a node has ended by itself, and return what it said."""
    await until(lambda: not node.process.running, 60, why=f"{node.name} goes on")
    return node.process.said()


async def test_nodes_of_two_releases_serve_beside_each_other_and_nothing_is_lost(
    tmp_path: Path, older: Mapping[str, str]
) -> None:
    async with Cluster(tmp_path, postgres_server(), devices=DEVICES) as cluster:
        for name in ("a", "b"):
            await cluster.start(name, environment=older)
            await cluster.ready(name)
        await cluster.settled("a", "b")
        await cluster.provisioned()
        assert version(cluster) == len(migrations()) - 1, "these nodes are not of the older release"
        traffic = asyncio.create_task(cluster.trickle(0.2))

        await cluster.start("c")  # expand: it changes the schema while the others write
        await cluster.ready("c")
        assert version(cluster) == len(migrations())
        await cluster.settled("a", "b", "c")
        for name in "abc":
            assert cluster.nodes[name].process.running, cluster.nodes[name].process.said()[-3000:]
        # Each asks each for what only the other one can do, and takes notifications for each.
        for asked, serves in (("a", "c"), ("c", "a"), ("b", "c"), ("c", "b")):
            endpoint = of(cluster, serves)[0]
            assert (await cluster.ask(asked, "endpoint.disable", name=endpoint))["enabled"] is False
            assert (await cluster.ask(asked, "endpoint.enable", name=endpoint))["enabled"] is True
        for cluster.posts_to in ("a", "c", ""):
            for name in "abc":
                endpoint = of(cluster, name)[0]
                await cluster.send(endpoint, f"{endpoint} by {cluster.posts_to}")

        cluster.nodes["a"].kill()
        await cluster.settled("b", "c")
        again = await cluster.start("a", environment=older)
        assert "run the newer release" in await ended(again), "it goes on, or says nothing that helps"
        assert cluster.nodes["b"].process.running, "one that runs is not stopped by that"

        for name in ("a", "b"):  # contract: the new release, one node after the other
            await cluster.start(name)
            await cluster.ready(name)
            await cluster.settled("a", "b", "c")
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        await cluster.traffic(1)
        await until(lambda: not cluster.rows("SELECT id FROM inbox"), 20, why="a notification stays")
        sends = [bytes(body) for (body,) in cluster.rows("SELECT body FROM uplink WHERE operation = 'Send'")]
        assert len(sends) == len(set(sends)) == cluster.asked["sends"], "each counts once"
        verdict = await cluster.judge()
        assert not verdict.lost
        assert not verdict.twice
        assert not verdict.expired_on_air
        assert verdict.on_air >= len(cluster.accepted) // 2, "the test has shown little"
