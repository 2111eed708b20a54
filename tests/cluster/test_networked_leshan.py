"""A real Leshan over DTLS, and two nodes, each a machine of its own: it finds its devices at whichever serves them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.networked import NUMBERS, Network
from tests.cluster.networked_servers import KEYS, key_of
from tests.cluster.nodes import Cluster
from tests.components import LESHAN
from tests.conftest import need_component
from tests.interop.leshan_server import Leshan, LeshanProcess, start_leshan
from tests.namespaces import Machines, made
from tests.store.stores import postgres_server
from tests.waiting import until

pytestmark = pytest.mark.slow

DEVICES = [f"e{number}" for number in range(6)]
PATIENCE = 120.0  # seconds, on a busy machine


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with made(Machines(*NUMBERS.values())) as machines:
        found = Network(tmp_path, machines=machines)
        machines.inside(NUMBERS["server"], "ip", "route", "add", found.prefix, "dev", "eth0")
        yield found


@pytest.fixture
def process(network: Network) -> Iterator[LeshanProcess]:
    need_component(LESHAN)
    keys = [("--psk", f"{name},{name},{key_of(name).hex()}") for name in DEVICES]
    started = start_leshan(coap_address=network.host("server"), secure=keys, within=network.within("server"))
    network.server = f"coaps://{started.host}:{started.coaps_port}"
    yield started
    started.stop()


async def answers(leshan: Leshan, names: list[str]) -> float:
    """Read of each device until it answers; return after how many seconds the last one did."""
    began = time.monotonic()
    for name in names:

        async def answered(name: str = name) -> bool:
            return (await leshan.read(name, "/3/0/9", timeout=5)).get("code") == "2.05"

        await until(answered, PATIENCE, why=f"the server gets no answer of {name}")
    return time.monotonic() - began


async def registered(leshan: Leshan) -> dict[str, tuple[str, str, int]]:
    found = await leshan.registrations()
    return {one["endpoint"]: (one["registration_id"], one["address"], one["port"]) for one in found}


@pytest.mark.timeout(600)
async def test_a_real_server_reaches_its_devices_by_dtls_through_each_node_that_takes_them(
    network: Network, process: LeshanProcess, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, postgres_server(), devices=len(DEVICES), site=network, ttl=20.0)
    cluster.more = lambda _port: KEYS.format(kind="lab")
    async with cluster, Leshan(process, network.dialler("server")) as leshan:
        for name in "ab":
            await cluster.start(name)
        for name in "ab":
            await cluster.ready(name)
        await cluster.balanced("a", "b", wait=PATIENCE)
        await cluster.provisioned()
        await cluster.lab.start_device(
            "e{n}", f"coap://{network.host('scef')}:{network.modem_port(0)}", "--port-step", "1", "--first", "0",
            "--count", str(len(DEVICES)), "--listen", f"{network.host('device')}:0", "--lifetime", "86400",
        )  # fmt: skip

        async def all_registered() -> bool:
            return len(await leshan.registrations()) == len(DEVICES)

        await until(all_registered, PATIENCE, why="not all devices are registered")
        before = await registered(leshan)
        await answers(leshan, DEVICES)

        its = [endpoint for endpoint, holder in cluster.holders().items() if holder == "a"]
        assert its
        cluster.nodes["a"].kill()
        await network.withdraw("a")
        print(f"served again after {await answers(leshan, its):.1f} s, a kill of the node")
        assert set(cluster.holders().values()) == {"b"}

        await cluster.start("a")
        await cluster.ready("a")
        await cluster.balanced("a", "b", wait=PATIENCE)
        print(f"served again after {await answers(leshan, its):.1f} s, handed over one by one")
        assert cluster.holders() == {**cluster.holders(), **dict.fromkeys(its, "a")}
        assert await registered(leshan) == before, "a device has another registration or address"
        assert not (await cluster.judge()).lost
