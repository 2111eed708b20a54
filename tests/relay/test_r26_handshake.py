"""R26: a handshake goes through a network whose messages are smaller than the ends' records; its content stays.

Here the ends are bytes; tests/tls/test_small_records.py has real ones.
"""

from dataclasses import replace
from random import Random
from time import process_time

import pytest
from hypothesis import given, strategies as st
from world import LORAWAN, World

from bridge.relay.handshake import Fitting, Fragment, fragments_of, records_of
from bridge.relay.model import Policy, Server, ServerProfile
from bridge.relay.opaque import PIECES

HELLO, SERVER_HELLO, CERTIFICATE, DONE = 1, 2, 11, 14
SMALL = 51  # bytes: a LoRaWAN frame at EU868's data rates 0 to 2


def record(content: int, body: bytes, number: int = 1, epoch: int = 0) -> bytes:
    head = bytes((content, 254, 253)) + epoch.to_bytes(2, "big") + number.to_bytes(6, "big")
    return head + len(body).to_bytes(2, "big") + body


def message(kind: int, content: bytes, order: int = 1) -> bytes:
    size = len(content).to_bytes(3, "big")
    return bytes((kind,)) + size + order.to_bytes(2, "big") + bytes(3) + size + content


def part(kind: int, content: bytes, start: int, end: int, order: int = 1) -> bytes:
    head = bytes((kind,)) + len(content).to_bytes(3, "big") + order.to_bytes(2, "big")
    return Fragment(head, start, content[start:end]).encode()


CONTENT = Random(1).randbytes(400)
FLIGHT = (
    record(22, message(SERVER_HELLO, b"h" * 70, 1), 1)
    + record(22, message(CERTIFICATE, CONTENT, 2), 2)
    + record(22, message(DONE, b"", 3), 3)
)


def messages(datagrams: list[bytes]) -> dict[tuple[int, int], bytes]:
    """Return the messages that a device puts together, by number and type, and check that none is missing a byte."""
    found: dict[bytes, dict[int, int]] = {}
    for datagram in datagrams:
        records = records_of(datagram)
        assert records is not None
        for one in records:
            for fragment in (fragments_of(one) or ()) if one.is_plain_handshake else ():
                known = found.setdefault(fragment.message, {})
                known.update(enumerate(fragment.content, fragment.start))
    for head, known in found.items():
        assert sorted(known) == list(range(int.from_bytes(head[1:4], "big")))
    return {
        (int.from_bytes(head[4:], "big"), head[0]): bytes(known[at] for at in sorted(known))
        for head, known in found.items()
    }


def numbers(datagrams: list[bytes]) -> list[int]:
    return [one.number for datagram in datagrams for one in records_of(datagram) or () if one.epoch == 0]


def small(**changes: object) -> World:
    return World(replace(LORAWAN, max_downlink=SMALL), **changes)


def downlinks(world: World) -> list[bytes]:
    return [one.attempt.payload for one in world.submitted]


class TestAServersHandshake:
    def test_it_is_cut_into_datagrams_that_fit_and_its_content_stays_as_it_is(self) -> None:
        world = small()
        world.server_sends(FLIGHT)
        sent = downlinks(world)
        assert max(map(len, sent)) == SMALL
        assert messages(sent) == messages([FLIGHT])
        assert world.counted("handshake_cut") == 1

    def test_no_record_number_comes_twice_and_numbers_rise(self) -> None:
        world = small()
        verify = record(22, message(3, b"cookie" * 5, 0), 0)
        for datagram in (verify, FLIGHT, record(21, b"\2\50", 4), record(20, b"\1", 5)):
            world.server_sends(datagram)
        found = numbers(downlinks(world))
        assert found == sorted(set(found))
        assert len(found) > 10

    def test_numbers_rise_over_a_restart_of_the_bridge_and_a_change_of_the_size(self) -> None:
        world = small()
        world.server_sends(record(22, message(SERVER_HELLO, b"h" * 70, 1), 1))
        world.restart()
        world.south = replace(world.south, max_downlink=222)
        world.server_sends(record(22, message(CERTIFICATE, CONTENT, 2), 2))
        world.south = replace(world.south, max_downlink=SMALL)
        world.server_sends(record(22, message(DONE, b"", 3), 3))
        found = numbers(downlinks(world))
        assert found == sorted(set(found))

    @pytest.mark.parametrize(
        "sizes", [(SMALL, 1280, SMALL), (1280, SMALL, 1280), (None, SMALL, None), (1279, None, 1280)]
    )
    def test_numbers_rise_when_the_size_crosses_what_ends_expect_of_a_path(self, sizes: tuple[int | None, ...]) -> None:
        world = small()
        flight = (message(SERVER_HELLO, b"h" * 70, 1), message(CERTIFICATE, CONTENT, 2), message(DONE, b"", 3))
        for number, (size, body) in enumerate(zip(sizes, flight, strict=True), 1):
            world.south = replace(world.south, max_downlink=size)
            world.server_sends(record(22, body, number))
        found = numbers(downlinks(world))
        assert found == sorted(set(found))
        assert len(found) >= 3

    def test_after_the_size_rose_what_is_protected_stays_as_it_is(self) -> None:
        """DTLS 1.3 has protected records with other headers, in the same datagram as a plain one."""
        world = small()
        world.server_sends(record(22, message(SERVER_HELLO, b"h", 0), 1))
        world.south = replace(world.south, max_downlink=1280)
        plain, raised = (record(20, b"\1", number) for number in (2, 2 * 256))
        for protected in (
            record(22, Random(2).randbytes(30), 5, epoch=1),
            bytes((0x2F, 0, 1, 0, 30)) + Random(3).randbytes(30),
        ):
            world.server_sends(plain + protected)
            assert downlinks(world)[-1] == raised + protected

    def test_protected_records_are_never_touched(self) -> None:
        world = small()
        finished = record(22, Random(2).randbytes(30), 0, epoch=1)
        world.server_sends(record(20, b"\1", 4) + finished)
        assert b"".join(downlinks(world)).endswith(finished)

    def test_one_that_does_not_fit_is_refused_with_the_reason_and_nothing_of_its_datagram_goes(self) -> None:
        world = small()
        world.server_sends(record(20, b"\1", 4) + record(22, bytes(40), 0, epoch=1))
        assert downlinks(world) == []
        assert world.counted("requests_refused") == 1

    def test_what_waits_is_not_queued_again_however_often_the_server_repeats_it(self) -> None:
        world = small()
        world.network = None
        world.server_sends(FLIGHT)
        rows = [row["body"] for row in world.downlinks("opaque")]
        for again in range(1, 6):
            repeated = b"".join(
                record(22, one.body, one.number + 3 * again) for one in records_of(FLIGHT) or ()
            )  # new numbers
            world.server_sends(repeated)
        assert [row["body"] for row in world.downlinks("opaque")] == rows
        assert world.counted("handshake_replaced") == 5

    def test_of_a_repeated_flight_only_what_has_left_is_queued_again(self) -> None:
        world = small()
        world.server_sends(record(22, message(SERVER_HELLO, b"h" * 70, 1), 1))
        world.network = None
        world.server_sends(record(22, message(CERTIFICATE, CONTENT, 2), 2))
        before = len(world.downlinks("opaque"))
        world.server_sends(FLIGHT)
        after = [row["body"] for row in world.downlinks("opaque")[before:]]
        assert {kind for _, kind in messages(after)} == {SERVER_HELLO, DONE}

    def test_another_handshake_with_other_bytes_does_not_count_as_a_repetition(self) -> None:
        world = small()
        world.network = None
        world.server_sends(record(22, message(SERVER_HELLO, b"h" * 70, 1), 1))
        before = len(world.downlinks("opaque"))
        world.server_sends(record(22, message(SERVER_HELLO, b"i" * 70, 1), 2))
        after = [row["body"] for row in world.downlinks("opaque")[before:]]
        assert messages(after) == {(1, SERVER_HELLO): b"i" * 70}

    def test_what_waits_for_another_server_does_not_count(self) -> None:
        other = Server("other", ServerProfile())
        world = small(servers=(Server("srv", ServerProfile()), other))
        world.network = None
        world.server_sends(FLIGHT)
        before = len(world.downlinks("opaque"))
        world.server_sends(FLIGHT, "other")
        assert len(world.downlinks("opaque")) == 2 * before

    def test_its_pieces_are_bounded_and_take_no_place_of_other_records(self) -> None:
        world = small(policy=Policy(max_opaque=2))
        world.network = None
        world.server_sends(record(22, message(CERTIFICATE, bytes(2000), 2), 2))
        assert len(world.downlinks("opaque")) == 2 * PIECES
        assert world.counted("requests_refused") == 1
        for number in range(5):
            world.server_sends(record(23, b"sealed", number, epoch=1))
        assert len(world.downlinks("opaque")) == 2 * PIECES + 2

    def test_fragments_without_number_take_no_time_without_bound(self) -> None:
        """A datagram of 64 KB in fragments of a byte, while the queue is full of such fragments."""
        world = World(replace(LORAWAN, max_downlink=1279))
        world.network = None

        def flood(byte: bytes, first: int) -> bytes:
            bodies = (
                b"".join(part(CERTIFICATE, byte * 60000, at, at + 1) for at in range(start, start + 64))
                for start in range(first, first + 76 * 64, 64)
            )
            return b"".join(record(22, body, number) for number, body in enumerate(bodies))

        for first in range(0, 40000, 5000):
            world.server_sends(flood(b"a", first))
        began = process_time()
        world.server_sends(flood(b"b", 45000))
        assert process_time() - began < 1.0  # seconds; without a bound it is some ten
        assert world.counted("requests_refused") > 0

    def test_of_a_datagram_with_absurdly_many_fragments_the_first_are_compared_with_what_waits(self) -> None:
        world = World(replace(LORAWAN, max_downlink=1200))
        world.network = None
        tiny = [record(22, part(CERTIFICATE, CONTENT, at, at + 1), at) for at in range(80)]
        for at in range(0, 80, 40):
            world.server_sends(b"".join(tiny[at : at + 40]))
        before = len(world.downlinks("opaque"))
        world.server_sends(b"".join(record(22, part(CERTIFICATE, CONTENT, at, at + 1), 80 + at) for at in range(80)))
        after = [row["body"] for row in world.downlinks("opaque")[before:]]
        assert numbers(after) == [256 * number for number in range(80 + 64, 160)]

    def test_a_network_that_carries_what_ends_expect_gets_it_as_it_is(self) -> None:
        world = World(replace(LORAWAN, max_downlink=1280))
        world.server_sends(FLIGHT)
        assert downlinks(world) == [FLIGHT]

    @pytest.mark.parametrize("largest", [11, 24, 25])
    def test_where_not_even_a_byte_fits_it_is_refused(self, largest: int) -> None:
        world = World(replace(LORAWAN, max_downlink=largest))
        world.server_sends(FLIGHT)
        assert downlinks(world) == []
        assert world.counted("requests_refused") == 1

    @pytest.mark.parametrize(
        "body",
        [
            message(CERTIFICATE, bytes(90))[:-1],  # shorter than it says
            b"\x0b" + bytes(2) + b"\x05" + bytes(2) + b"\0\0\4" + b"\0\0\2" + bytes(80),  # outside of its message
            message(DONE, b"") * 65,  # absurdly many
            bytes(51),
        ],
    )
    def test_a_large_record_that_is_no_handshake_is_refused(self, body: bytes) -> None:
        world = small()
        world.server_sends(record(22, body, 1))
        assert downlinks(world) == []
        assert world.counted("requests_refused") == 1

    def test_a_number_that_no_handshake_reaches_is_refused(self) -> None:
        world = small()
        world.server_sends(record(22, message(DONE, b""), 1 << 40))
        assert downlinks(world) == []
        assert world.counted("requests_refused") == 1


class TestADevicesClientHello:
    hello = Random(3).randbytes(150)

    def parts(self, size: int = 40, first: int = 0) -> list[bytes]:
        starts = range(0, len(self.hello), size)
        return [record(22, part(HELLO, self.hello, at, at + size, 0), first + n) for n, at in enumerate(starts)]

    def test_its_parts_go_to_the_server_as_one_record_with_a_number_of_its_own(self) -> None:
        world = small()
        for one in self.parts(first=7):
            world.device_sends(one)
        assert world.secure == [record(22, message(HELLO, self.hello, 0), 10)]
        assert [row["state"] for row in world.uplinks("opaque")] == ["REPLACED"] * 3 + ["FORWARDED"]

    def test_if_the_rest_does_not_come_nothing_goes_and_the_ledger_does_not_say_that_it_did(self) -> None:
        world = small()
        for one in self.parts()[:2]:
            world.device_sends(one)
        world.passes(500)
        assert world.secure == []
        rows = world.uplinks("opaque")
        assert [row["state"] for row in rows] == ["REPLACED"] * 2
        assert all("and nothing if they do not all come" in row["reason"] for row in rows)

    def test_they_are_still_there_after_a_restart(self) -> None:
        world = small()
        for one in self.parts():
            world.device_sends(one)
            world.restart()
        assert len(world.secure) == 1

    def test_in_any_order_and_with_what_overlaps(self) -> None:
        world = small()
        sent = [(60, 150), (0, 40), (30, 90)]
        for number, (start, end) in enumerate(sent):
            world.device_sends(record(22, part(HELLO, self.hello, start, end, 0), number))
        assert world.secure == [record(22, message(HELLO, self.hello, 0), 2)]

    def test_what_was_lost_comes_with_the_devices_repetition(self) -> None:
        world = small()
        for one in [*self.parts()[:2], *self.parts()[3:], *self.parts(first=4)]:
            world.device_sends(one)
        assert [one[13:] for one in world.secure] == [message(HELLO, self.hello, 0)]

    def test_parts_of_two_hellos_are_never_mixed(self) -> None:
        world = small()
        for one in self.parts(first=0)[:3]:
            world.device_sends(one)
        self.hello = Random(4).randbytes(150)  # after a restart of the device: its numbers begin anew
        for one in self.parts(first=0)[1:]:
            world.device_sends(one)
        assert world.secure == []
        world.device_sends(self.parts(first=9)[0])
        assert [one[13:] for one in world.secure] == [message(HELLO, self.hello, 0)]

    def test_parts_with_larger_numbers_are_of_an_earlier_hello_even_where_nothing_contradicts(self) -> None:
        world = small()
        for one in self.parts(first=5)[:3]:
            world.device_sends(one)
        world.device_sends(self.parts(first=0)[3])  # after a restart of the device; its first parts were lost
        assert world.secure == []

    def test_a_contradiction_ends_what_came_before_it(self) -> None:
        world = small()
        for number, content in enumerate((b"a" * 100, b"b" * 100)):
            world.device_sends(record(22, part(HELLO, content, 20 * number, 20 * number + 60, 0), number))
        world.device_sends(record(22, part(HELLO, b"b" * 100, 50, 100, 0), 2))
        assert world.secure == []

    def test_one_record_is_sent_for_them_however_often_the_last_part_comes(self) -> None:
        world = small()
        parts = self.parts()
        for one in [*parts, parts[-1], record(22, part(HELLO, self.hello, 120, 150, 0), 9)]:
            world.device_sends(one)
        assert len(world.secure) == 1

    def test_after_a_while_they_do_not_count(self) -> None:
        world = small()
        for one in self.parts()[:-1]:
            world.device_sends(one)
        world.passes(Policy().handshake_ttl + 1)
        world.device_sends(self.parts()[-1])
        assert world.secure == []

    @pytest.mark.parametrize(
        "data",
        [
            record(22, part(CERTIFICATE, CONTENT, 0, 20), 5),  # servers put these together themselves
            record(22, part(HELLO, bytes(5000), 0, 20), 5),  # absurdly long
            record(22, part(HELLO, b"x" * 90, 0, 20), 5) + record(22, message(DONE, b""), 6),
            record(22, part(HELLO, b"x" * 90, 0, 0), 5),
            record(22, b"\x01\0\0", 5),
        ],
    )
    def test_anything_else_goes_on_as_it_is(self, data: bytes) -> None:
        world = small()
        world.device_sends(data)
        assert world.secure == [data]


@given(st.binary(max_size=400), st.integers(0, 300), st.lists(st.binary(max_size=120), max_size=4))
def test_no_bytes_raise_anything_and_whatever_is_made_fits(data: bytes, largest: int, waiting: list[bytes]) -> None:
    fitting = Fitting(largest, waiting)
    records = records_of(data)
    if records is not None and all(fitting.add(one) for one in records):
        assert all(len(one) <= largest for one in fitting.datagrams)


@given(
    contents=st.lists(st.binary(max_size=700), min_size=1, max_size=4),
    largest=st.integers(26, 260),
    lost=st.sets(st.integers(0, 20)),
    late=st.sets(st.integers(0, 20)),
)
def test_a_flight_that_is_repeated_arrives_whole_whatever_was_lost_of_it_and_what_waits(
    contents: list[bytes], largest: int, lost: set[int], late: set[int]
) -> None:
    flight = [record(22, message(CERTIFICATE, content, n), n) for n, content in enumerate(contents)]
    arrived: list[bytes] = []
    waiting: list[bytes] = []
    for turn, lost_now in enumerate((lost, set())):
        fitting = Fitting(largest, waiting)
        for number, datagram in enumerate(flight):
            (one,) = records_of(datagram) or ()
            if not fitting.add(replace(one, number=number + turn * len(flight))):
                assert len(contents[number]) / (largest - 25) > 64
                return
        assert all(len(one) <= largest for one in fitting.datagrams)
        waiting += [one for n, one in enumerate(fitting.datagrams) if n in late]
        arrived += [one for n, one in enumerate(fitting.datagrams) if n not in late | lost_now]
    arrived += waiting
    found = numbers(arrived)
    assert len(found) == len(set(found))
    assert messages(arrived) == {(n, CERTIFICATE): content for n, content in enumerate(contents)}
