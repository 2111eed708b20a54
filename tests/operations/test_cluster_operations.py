"""What one sees of a cluster: of its nodes and shards, and of an endpoint who serves it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from bridge.cli import cluster as commands, endpoint as endpoint_commands, network as network_commands
from bridge.cli.status import print_status
from bridge.cluster.balance import misplaced, wanted
from bridge.cluster.requests import OwnerAnswer
from bridge.cluster.view import ClusterView, NodeView, ShardView
from bridge.delivery.rows import Insert
from bridge.errors import NotFound, NotServedHere
from bridge.north.udp.prefixes import SHARDS
from bridge.operations import networks, waiting
from bridge.operations.types.cluster import Cluster, ClusterNode, DrainNode, GetCluster, ListShards
from bridge.operations.types.direct import DirectView, SendDownlink
from bridge.operations.types.endpoints import (
    ExplainEndpoint,
    GetEndpointState,
    ImportEndpoints,
    ListEndpoints,
    ListWaiting,
)
from bridge.operations.types.messages import CountMessages
from bridge.operations.types.networks import ForgetLimits, LimitsForgotten
from bridge.operations.types.request import Request
from bridge.operations.types.state import GetMetrics, GetStatus
from bridge.store.sealing import KEY_BYTES, Seal, SealedOwnerRequests

pytest.importorskip("psycopg")

from bridge.directory import Draft
from bridge.lwm2m.requests import Operation
from tests.cluster.two import ENDPOINTS, RIGHT, TwoNodes, two_nodes
from tests.store.conftest import make_downlink
from tests.waiting import until

KEY = bytes(range(KEY_BYTES))


@pytest.fixture
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TwoNodes]:
    async with two_nodes(tmp_path, monkeypatch) as made:
        yield made


async def test_who_serves_what_is_seen(both: TwoNodes) -> None:
    cluster = await both.ask(GetCluster())
    shards = (await both.ask(ListShards())).items
    assert [one.shard for one in shards] == [*range(SHARDS)]
    assert [one.node for one in shards] == RIGHT
    assert all(one.epoch > 0 and one.since > 1e9 for one in shards)
    a, b = cluster.nodes
    for node in (a, b):
        its = [one for one in shards if one.node == node.name]
        assert (node.shards, node.endpoints) == (len(its), sum(one.endpoints for one in its))
    assert a.endpoints + b.endpoints == ENDPOINTS
    assert min(a.endpoints, b.endpoints) > 0, "the test shows nothing"
    assert (cluster.node, cluster.unserved, cluster.to_move) == ("a", 0, 0)

    listed = (await both.ask(ListEndpoints())).items
    assert [one.node for one in listed] == [shards[one.shard].node for one in listed]
    ours = next(one for one in listed if one.node == "a")
    theirs = next(one for one in listed if one.node == "b")
    assert (await both.ask(ExplainEndpoint(ours.name))).endpoint.node == "a"
    assert (await both.ask(GetEndpointState(theirs.name))).node == "b"


async def test_the_status_counts_all_endpoints_and_those_of_this_node(
    both: TwoNodes, capsys: pytest.CaptureFixture[str]
) -> None:
    before = await both.ask(GetStatus())
    assert before.endpoints == ENDPOINTS
    await both.b.directory.add([Draft("net", "late", "late", ("lab",))], None, lambda: 0.0)
    status = await both.ask(GetStatus())
    assert status.endpoints == ENDPOINTS + 1, "node b added one"
    cluster = await both.ask(GetCluster())
    assert status.node is not None
    assert (status.node.name, status.node.nodes) == ("a", ("a", "b"))
    assert (status.node.shards, status.node.endpoints) == (cluster.nodes[0].shards, cluster.nodes[0].endpoints)
    print_status(status, await both.ask(CountMessages()))
    shown = capsys.readouterr().out
    assert f"node\n  name                   a\n  endpoints              {status.node.endpoints}\n" in shown
    assert "\n  nodes                  a b\n" in shown


async def test_metrics_say_who_holds_how_much_and_until_when(both: TwoNodes) -> None:
    cluster = await both.ask(GetCluster())
    text = (await both.ask(GetMetrics())).text
    for node in cluster.nodes:
        assert f'lwm2m_bridge_cluster_node_shards{{node="{node.name}"}} {float(node.shards)}' in text
        assert f'lwm2m_bridge_cluster_node_lease_seconds{{node="{node.name}"}}' in text
    assert "lwm2m_bridge_cluster_shards_to_move 0.0" in text
    for name in ("shards", "nodes", "shards_unserved", "shards_to_move", "node_shards", "node_lease_seconds"):
        assert f"# HELP lwm2m_bridge_cluster_{name} " in text


async def test_what_a_node_has_otherwise_is_shown(both: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    here = (await both.b.agreements())["a"]
    (profile,) = (name for name in here.in_time if name.endswith("profile"))
    await both.b.agree(
        msgspec.structs.replace(
            here, alike={**here.alike, "[north] prefixes": "10.9.0.0/16"}, in_time={**here.in_time, profile: "leshan"}
        )
    )
    shown = Shown(monkeypatch, GetCluster=await both.ask(GetCluster())).run(commands.cluster_group, "status")
    assert "b contradicts a: [north] prefixes is" in shown.output
    assert f"b differs from a: {profile} is default here and leshan there" in shown.output


@pytest.mark.parametrize(("shards", "state"), [(5, "takes no more"), (0, "cannot serve")])
async def test_a_node_that_fails_for_some_shards_is_not_said_to_serve_none(
    both: TwoNodes, monkeypatch: pytest.MonkeyPatch, shards: int, state: str
) -> None:
    await both.b.unfit(on=True)
    await both.b.failing(1, "shard 7: the command ended with 1")
    cluster = await both.ask(GetCluster())
    a, b = cluster.nodes
    assert (a.failing, a.failing_why) == (0, "")
    b = msgspec.structs.replace(b, shards=shards)
    shown = Shown(monkeypatch, GetCluster=msgspec.structs.replace(cluster, nodes=(a, b)))
    output = shown.run(commands.cluster_group, "status").output
    assert state in output
    assert "b could not serve 1 of the shards that it tried: shard 7: the command ended with 1" in output


async def test_a_node_that_drains_and_one_that_stops_are_seen_as_such(both: TwoNodes) -> None:
    await both.ask(DrainNode(node="b"))
    await both.b.leaving()
    a, b = (await both.ask(GetCluster())).nodes
    assert (a.draining, a.leaving, b.draining, b.leaving) == (False, False, True, True)
    assert (await both.ask(GetCluster())).to_move == b.shards


class Shown:
    """Runs commands with the client of a test instead of one that connects."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: object) -> None:
        self._monkeypatch = monkeypatch
        self._answers = answers

    def run(self, command: object, *arguments: str) -> Result:
        def ask(_target: object, asked: Request[object]) -> object:
            found = self._answers[type(asked).__name__]
            if isinstance(found, Exception):
                raise found
            return found

        self._monkeypatch.setattr("bridge.cli.access.Target.ask", ask)
        return CliRunner().invoke(command, arguments, catch_exceptions=False)  # type: ignore[arg-type]


async def test_commands_show_it(both: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (await both.ask(ListEndpoints())).items
    theirs = next(one for one in listed if one.node == "b")
    shown = Shown(
        monkeypatch,
        GetCluster=await both.ask(GetCluster()),
        ListShards=await both.ask(ListShards()),
        GetEndpointState=await both.ask(GetEndpointState(theirs.name)),
        ExplainEndpoint=NotServedHere("node b serves it"),
    )
    status = shown.run(commands.cluster_group, "status")
    assert "a (asked)" in status.output
    assert f"{(await both.ask(GetCluster())).nodes[1].endpoints}" in status.output
    shards = shown.run(commands.cluster_group, "status", "--shards")
    lines = shards.output.splitlines()
    assert len(lines) == SHARDS + 1
    assert lines[1 + theirs.shard].split()[:2] == [str(theirs.shard), "b"]
    assert all(len(line) <= 80 for line in lines)
    as_json = msgspec.json.decode(shown.run(commands.cluster_group, "status", "--shards", "--json").output)
    assert as_json["items"][theirs.shard]["node"] == "b"
    one = shown.run(endpoint_commands.endpoint_group, "show", theirs.name)
    assert f"{theirs.shard}, served by b" in one.output
    assert "why messages wait is known to the node that serves it" in one.output


@pytest.mark.parametrize(
    ("shards", "draining", "looks", "ended_with"),
    [([16, 8, 0], False, 3, 0), ([16, 8, 8, 8, 8], False, 5, 1), ([16, 16], True, 1, 0)],
    ids=["until it has none", "not longer than it may", "not where nobody could take them"],
)
def test_a_drain_may_wait(
    monkeypatch: pytest.MonkeyPatch, shards: list[int], draining: bool, looks: int, ended_with: int
) -> None:
    """By default for the node that is asked. The other one can take shards unless it drains."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    asked: list[object] = []

    def seen(number: int) -> Cluster:
        node = {
            "alive": True,
            "lease": 5.0,
            "leaving": False,
            "unfit": False,
            "failing": 0,
            "failing_why": "",
            "release": "1",
            "started_at": 0.0,
            "endpoints": 0,
            "contradictions": (),
            "differences": (),
        }
        a = ClusterNode(name="a", draining=True, shards=number, **node)
        b = ClusterNode(name="b", draining=draining, shards=SHARDS - number, **node)
        return Cluster(node="a", nodes=(a, b), shards=SHARDS, to_move=number, unserved=0)

    def ask(_target: object, request: Request[object]) -> object:
        asked.append(request)
        return seen(shards[max(len(asked) - 2, 0)])

    monkeypatch.setattr("bridge.cli.access.Target.ask", ask)
    done = CliRunner().invoke(commands.cluster_group, ["drain", "--wait", "2"])
    assert asked[:2] == [GetCluster(), DrainNode(node="a")]
    assert len(asked) == 1 + looks
    assert done.exit_code == ended_with, done.output


def test_shards_that_nobody_holds_or_another_should_have_are_to_move() -> None:
    nodes = {name: NodeView(name, 1.0, draining=False) for name in ("a", "b")}
    right = {shard: ShardView(wanted(shard, nodes), 1) for shard in range(SHARDS)}
    assert misplaced(ClusterView(nodes, right)) == 0
    other = {"a": "b", "b": "a"}
    wrong = right | {3: ShardView("", 1), 4: ShardView(other[right[4].holder], 1)}
    assert misplaced(ClusterView(nodes, wrong)) == 2


async def test_what_is_asked_of_another_node_is_encrypted_while_it_is_in_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A direct request can write a key, as a bootstrap server does."""
    async with two_nodes(tmp_path, monkeypatch, KEY.hex()) as both:
        stored = both.b.owner_requests
        theirs = next(one for one in (await both.ask(ListEndpoints())).items if one.node == "b")
        write = SendDownlink(endpoint=theirs.name, operation=Operation.WRITE, path="/3/0/15", value="planted")
        asked: asyncio.Task[DirectView] = asyncio.create_task(both.ask(write))

        async def waits() -> bool:
            return bool(await stored.waiting([theirs.shard]))

        await until(waits, 20, why="nothing is asked")
        (request,) = await stored.waiting([theirs.shard])
        assert b"planted" not in request.body
        opened = SealedOwnerRequests(stored, Seal(KEY))
        (request,) = await opened.waiting([theirs.shard])
        assert b"planted" in request.body
        assert await opened.begin(request.id)
        await opened.answer(request.id, OwnerAnswer(error="NotFound", text="it is gone"))
        with pytest.raises(NotFound, match="it is gone"):
            await asked


async def test_why_a_message_waits_is_said_by_the_node_that_serves_the_endpoint(
    both: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses, limits and quotas of the asked node say nothing of it."""
    monkeypatch.setattr(waiting, "OWNER_ANSWERS", 0.5)
    theirs = next(one for one in (await both.ask(ListEndpoints())).items if one.node == "b")
    record = await both.service.directory.by_name(theirs.name)
    assert record is not None
    row = make_downlink(both.b.next_id(), record.id, shard=record.shard, deliver_by=2e9, answer_by=2e9, server="lab")
    await both.b.committed([Insert.of(row)])
    (page,) = (await both.ask(ListWaiting())).items
    assert page.endpoint == theirs.name
    assert page.messages[0].why.startswith("node b serves the endpoint and knows why")
    assert page.messages[0].next_at is None

    ours = next(one for one in (await both.ask(ListEndpoints())).items if one.node == "a")
    said = msgspec.structs.replace(page.messages[0], why="the network is paused there")
    answer = msgspec.structs.replace(await both.ask(ExplainEndpoint(ours.name)), waiting=(said,))
    monkeypatch.setattr(waiting, "OWNER_ANSWERS", 20.0)
    asked = asyncio.create_task(both.ask(ListWaiting()))

    async def answered() -> bool:
        for request in await both.b.owner_requests.waiting([theirs.shard]):
            await both.b.owner_requests.answer(request.id, OwnerAnswer(msgspec.json.encode(answer)))
        return asked.done()

    await until(answered, 20, why="the other node is not asked")
    (page,) = (await asked).items
    assert page.messages == (said,)


async def test_all_nodes_forget_the_limits_of_a_network_and_those_that_did_not_are_named(
    both: TwoNodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "OTHER_NODES", 0.5)
    found = await both.ask(ForgetLimits("net"))
    assert (found.nodes, found.not_reached) == ({}, {"b": "no answer within 0 s"})
    monkeypatch.setattr(networks, "OTHER_NODES", 20.0)
    asked = asyncio.create_task(both.ask(ForgetLimits("net")))

    async def answered() -> bool:
        for request in await both.b.owner_requests.waiting([shard for shard, node in enumerate(RIGHT) if node == "b"]):
            assert msgspec.json.decode(request.body, type=ForgetLimits) == ForgetLimits("net", only_here=True)
            answer = LimitsForgotten(limits="10 messages an hour")
            await both.b.owner_requests.answer(request.id, OwnerAnswer(msgspec.json.encode(answer)))
        return asked.done()

    await until(answered, 20, why="the other node is not asked")
    assert await asked == LimitsForgotten(limits=None, nodes={"b": "10 messages an hour"})


async def test_a_node_that_is_asked_by_another_one_asks_no_further(both: TwoNodes) -> None:
    assert await both.ask(ForgetLimits("net", only_here=True)) == LimitsForgotten(limits=None)


def test_the_command_shows_what_each_node_forgot_and_fails_if_one_was_not_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = LimitsForgotten(limits=None, nodes={"b": "10 an hour"}, not_reached={"c": "no answer within 5 s"})
    monkeypatch.setattr("bridge.cli.access.Target.ask", lambda *_: answer)
    done = CliRunner().invoke(network_commands.network_group, ["forget-limits", "net"])
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "no limits of this network were known",
        "node b: forgotten: 10 an hour",
        "node c may still know limits: no answer within 5 s; ask again later",
    ]


async def test_an_import_changes_endpoints_of_this_node_and_reports_the_lines_of_others(both: TwoNodes) -> None:
    """The request is not passed on: no node serves all endpoints of a file."""
    listed = (await both.ask(ListEndpoints(limit=ENDPOINTS))).items
    lines = [f"{one.name},{one.network},{one.address},{';'.join(one.servers)},77" for one in listed]
    csv = "\n".join(["endpoint,network,address,servers,default_ttl", *lines, "new,net,new,lab,77"])
    done = await both.ask(ImportEndpoints(csv=csv.encode(), update=True))
    theirs = {number: one.name for number, one in enumerate(listed, 2) if one.node == "b"}
    assert 0 < len(theirs) < ENDPOINTS, "the test shows nothing"
    assert (done.added, done.changed) == (1, ENDPOINTS - len(theirs))
    assert [fault.line for fault in done.faults] == [*theirs]
    assert all(f"endpoint {theirs[fault.line]!r}" in fault.reason for fault in done.faults)
    assert "change the endpoint by `endpoint set`" in done.faults[0].reason
