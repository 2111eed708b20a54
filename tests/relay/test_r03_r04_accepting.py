"""R3: accepted when committed, refused at once. R4: retransmissions never reach the radio."""

from dataclasses import replace
from math import ceil

import pytest
from world import LORAWAN, NIDD, World, ack, observe, request, response, rst

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bridge.coap.message import Type, uint_value
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.relay import exchanges
from bridge.relay.model import Policy


def test_r03_a_full_queue_is_refused_at_once_with_max_age(south):
    world = World(south, policy=Policy(max_requests=3))
    for n in range(3):
        world.server_sends(request(mid=n, token=bytes((n,))))
    (answer,) = world.server_sends(request(mid=9, token=b"over"))
    assert (answer.type, answer.code, answer.mid, answer.token) == (Type.ACK, Code.SERVICE_UNAVAILABLE, 9, b"over")
    assert answer.uint(Opt.MAX_AGE) == 60
    assert len(world.downlinks()) == 3


def test_r03_a_network_that_is_down_is_no_refusal_unless_asked_for(south):
    down = replace(south, network_up=False)
    world = World(down)
    world.network = Refused(Refusal.UNREACHABLE, "down")
    world.server_sends(request())
    assert world.states() == ["QUEUED"]
    strict = World(down, policy=Policy(refuse_when_down=True))
    (answer,) = strict.server_sends(request())
    assert answer.code == Code.SERVICE_UNAVAILABLE
    assert strict.downlinks() == []


def test_r03_a_server_that_the_directory_does_not_name_for_the_endpoint_asks_in_vain(world: World):
    assert world.server_sends(request(), server="elsewhere") == []
    assert world.server_sends(b"\x16\xfe\xfd" + bytes(20), server="elsewhere") == []
    assert world.downlinks() == []
    assert [count.label for count in world.counts if count.name == "requests_of_strangers"] == ["elsewhere"] * 2


def test_r03_the_bridge_is_no_forward_proxy(world: World):
    (answer,) = world.server_sends(request(options=[(Opt.PROXY_URI, b"coap://elsewhere")]))
    assert answer.code == Code.PROXYING_NOT_SUPPORTED
    assert world.submitted == []


def test_r04_a_retransmission_never_reaches_the_radio(world: World):
    world.server_sends(request())
    for _ in range(3):
        world.passes(2)
        world.server_sends(request())
    assert len(world.submitted) == 1
    assert len(world.downlinks()) == 1


def test_r04_a_retransmission_gets_an_empty_ack_while_the_answer_is_out(world: World):
    world.server_sends(request())
    world.passes(2)
    (again,) = world.server_sends(request())
    assert (again.type, again.code, again.mid) == (Type.ACK, 0, 100)


@pytest.mark.parametrize("restarts", [False, True])
def test_r04_a_retransmission_gets_the_piggybacked_answer_again(restarts):
    world = World(NIDD)
    world.server_sends(request())
    world.device_sends(response(world.last_south(), payload=b"v"))
    answer = world.to_server[-1]
    if restarts:
        world.restart()
    world.server_sends(request())
    assert world.to_server[-1] == answer
    assert len(world.submitted) == 1


@pytest.mark.parametrize("restarts", [False, True])
def test_r04_a_retransmission_gets_the_devices_reset_again(restarts):
    world = World(NIDD)
    world.server_sends(request())
    world.device_sends(rst(world.last_south()))
    assert world.last_north().type is Type.RST
    if restarts:
        world.restart()
    (again,) = world.server_sends(request())
    assert (again.type, again.mid) == (Type.RST, 100)


@pytest.mark.parametrize("when", ["queued", "submitting", "sent", "responded"])
def test_r04_holds_across_a_restart_in_every_state(south, when):
    world = World(south)
    world.network = None if when == "submitting" else Accepted("h", NetworkState.SENT)
    if when == "queued":
        world.network = Refused(Refusal.UNREACHABLE, "asleep", retry_at=world.wall + 50)
    world.server_sends(request())
    if when == "responded":
        world.device_sends(response(world.last_south()))
    before = len(world.submitted)
    world.network = Accepted("h2", NetworkState.SENT)
    world.restart()
    world.server_sends(request())
    assert len(world.downlinks()) == 1
    if when in ("sent", "responded"):
        assert len(world.submitted) == before


def test_r04_after_247_seconds_the_same_ids_are_a_new_request(world: World):
    world.server_sends(request())
    world.device_sends(response(world.last_south()))
    if world.last_north().type is Type.CON:
        world.server_sends(ack(world.last_north()))
    world.passes(248)
    world.server_sends(request())
    assert len(world.downlinks()) == 2


def test_r04_forgetting_an_old_row_does_not_forget_the_newer_one_with_the_same_ids():
    world = World(NIDD, policy=Policy(late_grace=300.0))
    world.server_sends(request())
    world.passes(320)  # unanswered 247 s after the last copy at 60 s; kept for late answers until 607 s
    assert world.states() == ["UNANSWERED"]
    world.passes(270)
    world.server_sends(request())
    world.device_sends(response(world.last_south()))
    sent = len(world.submitted)
    world.passes(60)
    world.server_sends(request(mid=55, token=b"x"))  # the older row is forgotten by now
    world.server_sends(request())
    assert len(world.downlinks()) == 3
    assert len(world.submitted) == sent + 1


def executed(world: World, count: int) -> list[bytes]:
    """Let a server execute something so many times, and the device do it; return the requests."""
    asked = []
    for n in range(count):
        asked.append(request(2, "3/0/4", n, b"e%d" % n))
        world.server_sends(asked[-1])
        world.device_sends(response(world.last_south(), Code.CHANGED, b"%d" % n))
        if world.last_north().type is Type.CON:
            world.server_sends(ack(world.last_north()))
        world.passes(1)
    return asked


@pytest.mark.parametrize("restarts", [False, True])
def test_r04_what_was_done_within_247_seconds_is_never_forgotten_a_further_request_is_refused(south, restarts):
    world = World(south, policy=Policy(max_exchanges=6, max_kept=2))
    asked = executed(world, 6)
    if restarts:
        world.restart()
    north = len(world.submitted)
    (refused,) = world.server_sends(request(2, "3/0/4", 99, b"one more"))
    assert (refused.type, refused.code) == (Type.ACK, Code.SERVICE_UNAVAILABLE)
    assert refused.uint(Opt.MAX_AGE) == 241  # the oldest is free then
    assert refused.payload == b"too many exchanges: 6 within 247 s"
    assert [(c.label, c.text) for c in world.counts if c.name == "requests_refused"] == [
        ("too many exchanges", "urn:dev:1: too many exchanges: 6 within 247 s")
    ]
    for n, again in enumerate(asked):
        (answer,) = world.server_sends(again)
        assert (answer.type, answer.mid) == (Type.ACK, n)
        if south.quick:
            assert (answer.code, answer.payload) == (Code.CHANGED, b"%d" % n)  # what it was last sent
    assert len(world.submitted) == north
    world.passes(241)
    world.server_sends(request(2, "3/0/4", 100, b"later"))
    assert len(world.submitted) == north + 1
    (refused,) = world.server_sends(request(2, "3/0/4", 101, b"too soon"))
    assert refused.uint(Opt.MAX_AGE) == 1
    world.server_sends(asked[5])
    assert len(world.submitted) == north + 1


def pushed(world: World, count: int, pause: float) -> list[bytes]:
    """Let a server write so many blocks, one every `pause` seconds, until one is refused; return those accepted."""
    asked = []
    for n in range(count):
        options = [(int(Opt.BLOCK1), uint_value(n << 4 | 8))]
        block = request(3, "5/0/0", n, n.to_bytes(2, "big"), bytes(16), options)
        if world.server_sends(block):
            break
        asked.append(block)
        world.device_sends(response(world.last_south(), 95, b"", options))
        assert world.last_north().code == 95
        world.passes(pause)
    return asked


@pytest.mark.parametrize("restarts", [False, True])
def test_r04_what_may_be_repeated_is_remembered_less_strictly_so_that_a_push_goes_on(restarts):
    """A transfer at 60 ms a round: its copies are known by their IDs, after a restart too."""
    world = World(NIDD, policy=Policy(max_exchanges=64))
    asked = pushed(world, 300, 0.06)
    if restarts:
        world.restart()
    north = len(world.submitted)
    for n in 0, 100, 299:
        (again,) = world.server_sends(asked[n])
        assert (again.type, again.mid, again.code) == (Type.ACK, n, 95)
    assert len(world.submitted) == north
    assert len(world.state.deliveries.kept) == 64


def test_r04_an_execute_among_them_is_never_forgotten():
    world = World(NIDD, policy=Policy(max_exchanges=8))
    (execute,) = executed(world, 1)
    pushed(world, 500, 0.06)
    north = len(world.submitted)
    world.server_sends(execute)
    assert len(world.submitted) == north


def test_r04_a_push_of_1500_blocks_at_60_ms_is_remembered_whole():
    world = World(NIDD, policy=Policy(max_exchanges=64))
    asked = pushed(world, 1500, 0.06)
    north = len(world.submitted)
    for again in asked[::50]:
        world.server_sends(again)
    assert len(world.submitted) == north
    assert world.counted("requests_refused") == 0


@pytest.mark.parametrize("restarts", [False, True])
def test_r04_what_finds_no_room_is_not_forgotten_a_further_request_is_refused(monkeypatch, restarts):
    """What is remembered less strictly is bounded by bytes and by age."""
    monkeypatch.setattr(exchanges, "FADED", 16 << 10)
    world = World(NIDD, policy=Policy(max_exchanges=16))
    taken = pushed(world, 200, 0.5)
    assert 80 < len(taken) < 120
    if restarts:
        world.restart()
    (refused,) = world.server_sends(request(3, "5/0/0", 999, b"more", bytes(16)))
    free_in = 247 - len(taken) / 2  # the oldest is forgotten then
    assert refused.code == Code.SERVICE_UNAVAILABLE
    assert refused.uint(Opt.MAX_AGE) == ceil(free_in)
    north = len(world.submitted)
    for again in taken:
        world.server_sends(again)
    assert len(world.submitted) == north
    world.passes(free_in)
    world.server_sends(request(3, "5/0/0", 1000, b"late", bytes(16)))
    assert len(world.submitted) == north + 1
    world.passes(250)
    world.server_sends(taken[-1])  # its IDs may be used anew
    assert len(world.submitted) == north + 2


def test_r04_what_is_under_way_counts():
    world = World(NIDD, policy=Policy(max_exchanges=3))
    world.network = Accepted("h", NetworkState.BUFFERED)
    for n in range(5):
        world.server_sends(request(mid=n, token=b"t%d" % n, options=[(world.policy.ttl_option, b"\x0e\x10")]))
    assert len(world.downlinks()) == 3
    world.passes(240)
    assert world.counted("requests_refused") == 2
    world.passes(10)  # they wait on, but no retransmission of them can come any more
    world.server_sends(request(mid=9, token=b"t9"))
    assert len(world.downlinks()) == 4


def test_r04_max_age_is_no_longer_than_247_seconds_after_the_clock_was_set_back():
    world = World(NIDD, policy=Policy(max_exchanges=2))
    executed(world, 2)
    world.wall -= 10_000
    (refused,) = world.server_sends(request(mid=9, token=b"t9"))
    assert refused.uint(Opt.MAX_AGE) == 247


@pytest.mark.parametrize("mtype", [Type.CON, Type.NON])
def test_r04_a_copy_of_a_refused_request_is_not_accepted_after_all(mtype):
    """The server was told, or is being told, that its request was not taken: it must not be carried out then."""
    world = World(NIDD, policy=Policy(max_requests=1))
    world.server_sends(request(mid=1, token=b"1"))
    late = request(2, "3/0/4", 2, b"2", mtype=mtype)
    (refused,) = world.server_sends(late)
    assert refused.code == Code.SERVICE_UNAVAILABLE
    world.device_sends(response(world.last_south()))
    again = world.server_sends(late)
    assert again == ([refused] if mtype is Type.CON else [])
    assert len(world.downlinks()) == 1
    world.passes(250)
    world.server_sends(late)  # its IDs may be used anew
    assert len(world.downlinks()) == 2


def test_r04_requests_that_share_only_one_of_their_ids_are_different(world: World):
    world.server_sends(request(mid=100, token=b"a"))
    world.server_sends(request(mid=100, token=b"b"))
    world.server_sends(request(mid=101, token=b"a"))
    assert len(world.downlinks()) == 3


def test_r04_other_servers_have_their_own_ids():
    from bridge.relay.model import Server

    world = World(LORAWAN, servers=(Server("one"), Server("two")))
    world.server_sends(request(), "one")
    world.server_sends(request(), "two")
    assert len(world.downlinks()) == 2


def test_r04_a_retransmitted_observe_is_one_observation(world: World):
    world.server_sends(request(options=observe()))
    world.server_sends(request(options=observe()))
    world.device_sends(response(world.last_south(), options=observe(1)))
    assert len(world.submitted) == 1
    assert len(world.state.observations) == 1
