"""A node whose machine has a wrong wall clock takes the endpoints of another one: it knows what that one has sent."""

import time
from pathlib import Path

from tests.cluster.nodes import Cluster, OneMachine
from tests.store.stores import postgres_server
from tests.waiting import until

SENDS = 3  # to each node
AN_HOUR_AHEAD = "tests.cluster.hour_ahead"


async def test_a_node_an_hour_ahead_uses_no_message_id_again(tmp_path: Path) -> None:
    """Message IDs toward a server go on: within 247 s it takes a message with an ID that it knows for a repetition."""
    site = OneMachine(tmp_path)
    async with Cluster(tmp_path, postgres_server(), devices=1, site=site) as cluster:
        site.server = (await cluster.lab.start_server()).ready["coap"]
        await cluster.start("a")
        await cluster.ready("a")
        await cluster.provisioned()
        for number in range(SENDS):
            await cluster.send("e0", f"to a {number}")
        finished = "SELECT count(*) FROM uplink WHERE keep_until < 9e18"
        await until(lambda: cluster.rows(finished) == [(SENDS,)], why="the server has not answered each Send")

        cluster.nodes["a"].kill()
        await cluster.start("b", program=AN_HOUR_AHEAD)
        await cluster.settled("b")
        cluster.posts_to = "b"
        for number in range(SENDS):
            await cluster.send("e0", f"to b {number}")

        rows = cluster.rows("SELECT north_mid, received_at FROM uplink ORDER BY id")
        first = rows[0][0]
        assert [mid for mid, _ in rows] == [first + number & 0xFFFF for number in range(2 * SENDS)]
        assert abs(rows[-1][1] - time.time()) < 60, "the ledger has the time of a wrong clock"
