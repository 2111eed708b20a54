"""Messages that no sane peer sends, against the one step."""

from bridge.coap.codec import Type
from bridge.delivery.ledger import Downlink
from tests.relay.world import World, ack, observe, request, response

LARGEST_INTEGER = 2**63 - 1  # of an SQLite column


def test_a_retransmission_after_a_late_answer_is_acknowledged():
    """The device answered after the 5.04, and then the server repeats its request."""
    world = World()
    world.server_sends(request(mid=100))
    world.passes(130)
    world.server_sends(ack(world.last_north()))
    world.device_sends(response(world.last_south()))
    before = len(world.submitted)
    (again,) = world.server_sends(request(mid=100))
    assert (again.type, again.code, again.mid) == (Type.ACK, 0, 100)
    assert len(world.submitted) == before


def test_an_observe_value_of_any_length_can_be_kept():
    """An option of a length outside its range is one that is not known (RFC 7252 §5.4.3), not a number for the row."""
    world = World()
    world.server_sends(request(options=[(6, b"\xff" * 9)]))
    (row,) = world.rows(Downlink)
    assert row["observe"] is None
    assert all(abs(value) <= LARGEST_INTEGER for value in row.values() if isinstance(value, int))
    world.device_sends(response(world.last_south(), payload=b"read", options=observe(1)))
    assert world.last_north().payload == b"read"
