"""A week of 50 UEs with every fault that the emulated SCEF has: one outcome each, and none that claims too much."""

import asyncio

import pytest

from tests.durability.judge import NIDD, Evidence
from tests.interop.raw_device import CON, POST, Message, encode, uri
from tests.week.ends import Server, Udp
from tests.week.happenings import FAULTS
from tests.week.jumping import JumpingLoop
from tests.week.week import DAYS, OUTCOMES, deadlines, week


@pytest.mark.timeout(900)  # half a minute of a free core
def test_a_week(tmp_path):
    async def live():
        async with week(tmp_path, 50, 1, FAULTS) as one:
            await one.live(DAYS)
            return one.wrong(), one.rare(), set(one.outcomes())

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        wrong, rare, outcomes = runner.run(live())
    assert wrong == []
    assert rare == []
    assert outcomes == OUTCOMES


def test_a_week_in_which_something_never_came_says_so(tmp_path):
    async def live():
        async with week(tmp_path, 1, 1, ()) as one:
            return one.rare()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        rare = runner.run(live())
    assert "outcome UNKNOWN came 0 times" in rare
    assert "fault http_error came 0 times" in rare


@pytest.mark.parametrize(("later", "taken"), [(200.0, 1), (300.0, 2)])
def test_the_server_knows_a_message_id_again_for_as_long_as_rfc_7252_has_it(later, taken):
    """A bridge may use the message ID for another Send after that time."""

    async def live():
        server, answered = Server(), asyncio.Event()
        address = await server.open()
        bridge = await Udp.open(lambda *_: answered.set(), remote_addr=address)
        for payload in (b"first", b"second"):
            bridge.transport.sendto(encode(Message(CON, POST, 7, b"t", uri("/dp"), payload)))
            await answered.wait()
            answered.clear()
            await asyncio.sleep(later)
        bridge.transport.close()
        server.close()
        return len(server.taken)

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        assert runner.run(live()) == taken


@pytest.mark.parametrize(
    ("state", "at", "said"),
    [
        ("SENT", 50.0, []),
        ("SENT", 150.0, ["downlink 7 was on air 50.0 s after its deadline"]),
        ("EXPIRED", 50.0, ["downlink 7 is EXPIRED and was on air"]),
        ("EXPIRED", -1.0, []),  # of an earlier request that had the same message ID
    ],
)
def test_what_was_on_air_is_judged(state, at, said):
    row = {
        "id": 7, "kind": "request", "device": "d", "state": state, "accepted_at": 0.0, "deliver_by": 100.0,
        "south_token": b"t", "coap_type": 0, "code": 1, "south_mid": 5, "body": b"",
    }  # fmt: skip
    seen = Evidence(NIDD, downlinks=[row], on_air=[(at, ("d", b"\x41\x01\x00\x05t"))])
    assert deadlines(seen) == said
