"""OMA LwM2M Transport, §6.8.4 and Appendix C, in virtual time: each rule by its name."""

from dataclasses import replace
from itertools import pairwise

import pytest
from world import LORAWAN, World, register, request, response

from bindings.contract import Accepted, NetworkState, Refusal, Refused
from bindings.lorawan.notes import DeviceNote
from bindings.lorawan.settings import Downlinks
from bindings.lorawan.south import SouthProfiles
from bridge.coap.message import Type
from bridge.coap.numbers import Code, OptionNumber as Opt
from bridge.relay import events as ev
from bridge.relay.model import ServerProfile

PATIENT = ServerProfile(patience=86400.0)


def world(**endpoint) -> World:
    found = World(LORAWAN, PATIENT, **endpoint)
    found.network = Accepted("h1", NetworkState.BUFFERED)
    return found


def states(found: World) -> list[str]:
    return [row["state"] for row in found.downlinks()]


# C.2, C.3.2.2: downlink CON over unconfirmed frames


def test_ack_timeout_is_300_s_from_the_sent_notification_not_from_the_submit():
    found = world()
    found.server_sends(request())
    found.passes(1000)
    assert len(found.submitted) == 1
    found.event(ev.Reported("h1", NetworkState.SENT))
    found.passes(299)
    assert len(found.submitted) == 1
    found.passes(2)
    assert len(found.submitted) == 2


def test_max_retransmit_is_4_without_back_off_and_with_the_same_bytes():
    found = world()
    found.server_sends(request())
    at = []
    for _ in range(5):
        at.append(found.wall)
        found.event(ev.Reported("h1", NetworkState.SENT))
        found.passes(300.5)
    found.passes(3000)
    assert len(found.submitted) == 5
    assert len({one.attempt.payload for one in found.submitted}) == 1
    assert {round(b - a) for a, b in pairwise(at)} == {300}


def test_an_answer_ends_the_retransmissions():
    found = world()
    found.server_sends(request())
    found.event(ev.Reported("h1", NetworkState.SENT))
    found.device_sends(response(found.last_south()), "u1")
    found.passes(2000)
    assert len(found.submitted) == 1
    assert states(found) == ["RESPONDED"]


def test_a_class_c_device_is_asked_again_while_the_server_still_waits():
    """Two minutes are what Leshan waits; 300 s would let no repetition go."""
    numbers = Downlinks()
    found = World(SouthProfiles(numbers).of(DeviceNote(device_class="C"), network_up=True), ServerProfile())
    found.network = Accepted("h1", NetworkState.SENT)
    found.server_sends(request())
    found.passes(numbers.class_c_retransmit_interval + 1)
    assert len(found.submitted) == 2
    found.device_sends(response(found.last_south()), "u1")
    assert found.last_north().code == Code.CONTENT
    assert states(found) == ["RESPONDED"]


# C.3.1.2: downlink CON over confirmed frames


def test_over_confirmed_frames_coap_does_not_retransmit():
    found = world(confirmed=True)
    found.server_sends(request())
    assert found.submitted[0].attempt.confirmed
    found.event(ev.Reported("h1", NetworkState.SENT))
    found.passes(1400)
    assert len(found.submitted) == 1


def test_single_operations_may_go_confirmed():
    found = world(options={"confirmed_operations": "Write Execute"})
    found.server_sends(request(3, "3/0/14", mid=1, token=b"1", payload=b"x"))
    assert found.submitted[0].attempt.confirmed
    found.event(ev.Reported("h1", NetworkState.SENT))
    found.passes(1400)
    assert len(found.submitted) == 1
    found.device_sends(response(found.last_south(), Code.CHANGED), "u1")
    found.server_sends(request(mid=2, token=b"2"))
    assert not found.submitted[1].attempt.confirmed


def test_a_nack_sends_the_confirmed_frame_again_at_most_5_times_in_all():
    found = world(confirmed=True)
    found.server_sends(request())
    for number in range(1, 6):
        assert len(found.submitted) == number
        found.event(ev.Reported("h1", NetworkState.SENT))
        found.event(ev.Reported("h1", None, "no ack", nack=True))
    assert len(found.submitted) == 5
    assert states(found) == ["NACKED"]


def test_an_answer_to_the_device_is_never_a_confirmed_frame():
    found = world(confirmed=True)
    found.device_sends(register(), "u1")
    found.server_sends(response(found.last_north(), Code.CREATED))
    assert not found.submitted[-1].attempt.confirmed


# C.3.2.1: uplink CON


def test_a_repeated_uplink_con_gets_the_same_reply_and_is_not_processed_again():
    found = world()
    found.network = Accepted("h1", NetworkState.SENT)
    found.device_sends(request(2, "dp", 5, b"t", b"{}"), "u1")
    found.server_sends(response(found.last_north(), Code.CHANGED))
    first = found.submitted[-1].attempt.payload
    north = len(found.to_server)
    found.passes(600)
    found.device_sends(request(2, "dp", 5, b"t", b"{}"), "u2")
    assert found.submitted[-1].attempt.payload == first
    assert len(found.submitted) == 2
    assert len(found.to_server) == north


def test_the_same_frame_twice_is_the_networks_doing_and_gives_nothing():
    found = world()
    found.network = Accepted("h1", NetworkState.SENT)
    found.device_sends(request(2, "dp", 5, b"t", b"{}"), "u1")
    found.server_sends(response(found.last_north(), Code.CHANGED))
    before = len(found.submitted)
    found.device_sends(request(2, "dp", 5, b"t", b"{}"), "u1")
    assert len(found.submitted) == before
    assert found.counted("network_duplicates") == 1


def test_answers_are_piggybacked_also_when_the_server_answers_separately():
    found = world()
    found.device_sends(register(mid=9), "u1")
    north = found.last_north()
    found.server_sends(bytes((0x60, 0, north.mid >> 8, north.mid & 255)))
    assert found.submitted == []
    found.passes(20)
    found.server_sends(response(north, Code.CREATED, mtype=Type.CON, mid=4711))
    south = found.last_south()
    assert (south.type, south.mid, south.code) == (Type.ACK, 9, Code.CREATED)


def test_a_join_ends_the_devices_exchanges():
    found = world()
    found.network = Accepted("h1", NetworkState.SENT)
    found.device_sends(request(2, "dp", 5, b"t", b"{}"), "u1")
    found.server_sends(response(found.last_north(), Code.CHANGED))
    north = len(found.to_server)
    found.event(ev.DeviceJoined())
    found.device_sends(request(2, "dp", 5, b"t", b"{}"), "u2")
    assert len(found.to_server) == north + 1


# C.3: polls


@pytest.mark.parametrize("poll", [b"\x40\x00\x12\x34", b"\x50\x00\x12\x34"], ids=["CON", "NON"])
def test_an_empty_message_is_a_poll_and_is_not_answered(poll):
    found = world()
    assert found.device_sends(poll, "u1") == []
    assert found.counted("polls") == 1


def test_a_poll_lets_out_what_waited_for_the_device():
    found = world()
    found.network = None
    found.server_sends(request())
    attempt = found.submitted[0].attempt
    refused = Refused(Refusal.UNREACHABLE, "later", found.wall + 3600)
    found.event(ev.Submitted(attempt.downlink, attempt.number, refused))
    assert states(found) == ["QUEUED"]
    found.device_sends(b"\x50\x00\x12\x34", "u1")
    assert len(found.submitted) == 2


# 6.8.4: Register with everything optional


def test_a_register_without_anything_is_given_ep_lifetime_and_version():
    found = world(object_list="</1/0>,</3/0>")
    found.device_sends(register(ep=None, queries=[], payload=b""), "u1")
    north = found.last_north()
    queries = north.strings(Opt.URI_QUERY)
    assert "ep=urn:dev:1" in queries
    assert "lt=2592000" in queries
    assert any(query.startswith("lwm2m=") for query in queries)
    assert north.payload == b"</1/0>,</3/0>"


def test_a_register_without_objects_that_are_known_nowhere_is_a_conflict():
    found = world()
    found.device_sends(register(ep=None, queries=[], payload=b""), "u1")
    assert found.to_server == []
    assert found.last_south().code == Code.CONFLICT


# Classes and sizes


def test_a_class_a_device_is_not_waited_for_with_the_acknowledgement():
    found = world()
    (empty,) = found.server_sends(request())
    assert (empty.type, empty.code) == (Type.ACK, 0)


def test_a_class_c_device_may_answer_within_the_piggyback_window():
    found = world()
    found.south = replace(LORAWAN, quick=True)
    found.network = Accepted("h1", NetworkState.SENT)
    assert found.server_sends(request()) == []


def test_one_request_at_a_time_is_in_the_network_servers_queue():
    found = world()
    found.server_sends(request(mid=1, token=b"1"))
    found.server_sends(request(mid=2, token=b"2"))
    assert len(found.submitted) == 1
    found.event(ev.Reported("h1", NetworkState.SENT))
    assert len(found.submitted) == 1
    found.device_sends(response(found.last_south()), "u1")
    assert len(found.submitted) == 2


def test_an_oversize_write_is_told_to_go_block_wise_below_the_payload_that_fits():
    found = world()
    (refused,) = found.server_sends(request(3, "3/0/14", payload=b"x" * 60))
    assert refused.code == Code.REQUEST_ENTITY_TOO_LARGE
    assert refused.uint(Opt.BLOCK1) & 7 == 1  # 32 bytes and the head fit 51
    assert found.submitted == []
