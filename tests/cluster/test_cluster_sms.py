"""SMS on two nodes: reports and SMS at a node that does not serve the device, and wake-ups from node to node."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from tests.cluster.nodes import SMS_PATH, Cluster
from tests.store.stores import postgres_server
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

AWAKE_AT_ONCE = "[policy]\nwake_after = 0.0\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Two nodes, and for each device on NIDD an endpoint on SMS: e0 and s0 are of one device."""
    async with Cluster(tmp_path_factory.mktemp("sms"), postgres_server(), quotas=AWAKE_AT_ONCE, has_sms=True) as made:
        for name in ("a", "b"):
            await made.start(name)
            await made.ready(name)
        await made.balanced("a", "b")
        await made.provisioned()
        added = [{"name": f"s{n}", "network": "sms", "address": f"ue{n}@example.com"} for n in range(made.devices)]
        await made.ask("a", "endpoint.add", endpoints=added)
        made.posts_to = "a"
        yield made


async def test_reports_and_sms_count_once_at_the_node_that_serves_the_device(cluster: Cluster) -> None:
    theirs = next(name for name, holder in cluster.holders().items() if name[0] == "s" and holder == "b")
    asked = await cluster.ask("a", "downlink.send", endpoint=theirs, operation="execute", path="/3/0/4", ttl=60.0)
    state = f"SELECT state FROM downlink WHERE id = {asked['id']}"
    await until(lambda: cluster.rows(state) == [("DELIVERED",)], 30, why="its delivery report is not taken")

    url = f"{cluster._balancer}/{SMS_PATH}"
    await cluster._scef.api.ask("PATCH", "/settings", {"mo_sms_url": url})
    ue = theirs.replace("s", "ue", 1)
    await cluster._scef.api.post(f"/ues/{ue}/sms", {"data": (b"\x52\x02\x00\x07ab\xb2dp\xffhello").hex()})
    sends = "SELECT body FROM uplink WHERE operation = 'Send'"
    await until(lambda: cluster.rows(sends), 30, why="its SMS is not taken")
    assert not cluster.rows("SELECT id FROM inbox")
    assert len(cluster.rows(sends)) == 1
    assert set(cluster.answers) <= {200, 204}


async def test_an_endpoint_of_one_node_is_woken_up_by_one_of_another_node(cluster: Cluster) -> None:
    """Which device the other endpoint has makes no difference here."""
    holders = cluster.holders()
    sleeper = next(name for name, holder in holders.items() if name[0] == "e" and holder == "a")
    by = next(name for name, holder in holders.items() if name[0] == "s" and holder == "b")
    wake = {"wake_endpoint": by, "wake_accepts": "true", "wake_instance": "0"}
    await cluster.ask("a", "endpoint.update", endpoint=sleeper, options=wake)
    await cluster._scef.api.post(f"/ues/{sleeper.replace('e', 'ue', 1)}/pdn-release")
    await cluster.ask("a", "downlink.send", endpoint=sleeper, operation="read", path="/3/0/0", ttl=60.0)
    await until(partial(_triggers, cluster, by), 30, why="no trigger is sent")
    assert await _triggers(cluster, by) == 1
    await until(lambda: not cluster.rows("SELECT id FROM inbox"), 30, why="a notification stays in the inbox")


async def _triggers(cluster: Cluster, endpoint: str) -> int:
    """Return how many SMS with an Execute of /1/0/8 are on air to the device of an endpoint on SMS."""
    air: list[dict[str, Any]] = await cluster._scef.api.get("/air-log", what="sms", ue=endpoint.replace("s", "ue", 1))
    return sum(bytes.fromhex(one["data"]).endswith(b"\xb11\x010\x018") for one in air)
