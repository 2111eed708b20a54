"""What a real Eclipse Leshan does with a device: the facts about servers that the relay rules rest on.

Each test is one fact, shown by a device that is nothing but bytes. `quick_leshan` runs its CoAP timers about
40 times as fast
(see conftest.py), so that "longer than MAX_TRANSMIT_WAIT" is seconds here.
"""

import asyncio
from collections.abc import Iterator

import cbor2
import pytest

from tests.interop.leshan_server import Leshan
from tests.interop.raw_device import (
    ACCEPT,
    ACK,
    BLOCK1,
    BLOCK2,
    CON,
    CONTENT_FORMAT,
    EMPTY,
    GET,
    LOCATION_PATH,
    NON,
    OBSERVE,
    POST,
    PUT,
    RST,
    URI_PATH,
    Message,
    RawDevice,
    block,
    unblock,
    uri,
)

TEXT = (CONTENT_FORMAT, b"")  # 0, text/plain
SENML_CBOR = (CONTENT_FORMAT, b"\x70")  # 112
QUICK_MAX_RETRANSMIT = 2
QUICK_TRANSMIT_WAIT_S = 2.1  # of `quick_leshan`: three waits of 0.3, 0.6 and 1.2 s
QUICK_EXCHANGE_LIFETIME_S = 3
SHORT_S = 1.5  # a caller that gives up early, but not before a busy machine has sent its request

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def device(leshan: Leshan) -> Iterator[RawDevice]:
    with RawDevice((leshan.host, leshan.coap_port), "127.64.0.1") as device:
        yield device


@pytest.fixture
def quick_device(quick_leshan: Leshan) -> Iterator[RawDevice]:
    with RawDevice((quick_leshan.host, quick_leshan.coap_port), "127.64.0.1") as device:
        yield device


async def registered(device: RawDevice, endpoint: str, query: str = "lt=300&lwm2m=1.1&b=U") -> str:
    """Register and return the Location's last segment, the registration id."""
    answer = await device.register(f"ep={endpoint}&{query}")
    assert answer.dotted() == "2.01", answer
    location = [value.decode() for number, value in answer.options if number == LOCATION_PATH]
    assert location[0] == "rd"
    return location[1]


async def observed(device: RawDevice, leshan: Leshan, endpoint: str) -> Message:
    """Start an observation of /3303/0/5700 and give the Observe request."""
    started = await leshan.start("observe", endpoint, "/3303/0/5700")
    request = await device.receive()
    assert request.option(OBSERVE) == b""
    device.answer(request, "2.05", b"20.5", TEXT, (OBSERVE, b"\x01"))
    assert (await leshan.result(started))["values"] == {"/3303/0/5700": 20.5}
    return request


def senml(path: str, value: float) -> bytes:
    return cbor2.dumps([{0: path, 2: value}])  # RFC 8428 §6: 0 is the name, 2 the value


async def send(device: RawDevice, value: float) -> Message:
    """Send a temperature to /dp (Core §6.4.6) and return the server's answer."""
    return await device.exchange(CON, POST, (*uri("/dp"), SENML_CBOR), senml("/3303/0/5700", value))


class TestOperations:
    async def test_a_device_registers_is_read_written_executed_discovered_and_sends(self, leshan, device):
        registration_id = await registered(device, "all-operations")
        registration = await leshan.registration("all-operations")
        assert registration["registration_id"] == registration_id
        assert (registration["address"], registration["port"]) == ("127.64.0.1", device.port)
        assert (registration["lifetime"], registration["binding"], registration["lwm2m"]) == (300, "U", "1.1")
        assert registration["object_links"] == ["</1/0>", "</3/0>", "</5/0>", "</3303/0>"]

        started = await leshan.start("read", "all-operations", "/3/0/0", format="TEXT")
        request = await device.receive()
        assert (request.type, request.code, request.path(), request.option(ACCEPT)) == (CON, GET, "/3/0/0", b"")
        assert len(request.token) == 8
        device.answer(request, "2.05", b"ACME", TEXT)
        assert (await leshan.result(started))["values"] == {"/3/0/0": "ACME"}

        started = await leshan.start("write", "all-operations", "/3/0/14", value="+02:00", format="TEXT")
        request = await device.receive()
        assert (request.code, request.path(), request.payload) == (PUT, "/3/0/14", b"+02:00")
        device.answer(request, "2.04")
        assert (await leshan.result(started))["code"] == "2.04"

        started = await leshan.start("execute", "all-operations", "/3/0/4")
        request = await device.receive()
        assert (request.type, request.code, request.path()) == (CON, POST, "/3/0/4")
        device.answer(request, "2.04")
        assert (await leshan.result(started))["success"]

        started = await leshan.start("discover", "all-operations", "/3/0")
        request = await device.receive()
        assert request.option(ACCEPT) == b"\x28"
        device.answer(request, "2.05", b"</3/0>,</3/0/0>", (CONTENT_FORMAT, b"\x28"))
        assert (await leshan.result(started))["links"] == ["</3/0>", "</3/0/0>"]

        started = await leshan.start("write-attributes", "all-operations", "/3303/0/5700", attributes="pmin=1&pmax=10")
        request = await device.receive()
        assert (request.code, request.payload) == (PUT, b"")
        device.answer(request, "2.04")
        assert (await leshan.result(started))["success"]

        assert (await send(device, 21.5)).dotted() == "2.04"
        assert (await leshan.event("send", "all-operations"))["values"] == {"/3303/0/5700": 21.5}

    async def test_a_device_is_observed_with_con_and_non_notifications(self, leshan, device):
        await registered(device, "observed")
        request = await observed(device, leshan, "observed")
        device.respond(request, "2.05", b"21.5", TEXT, (OBSERVE, b"\x02"), mid=1, type_=CON)
        assert await device.receive() == Message(ACK, EMPTY, 1)
        assert (await leshan.event("notification", "observed"))["values"] == {"/3303/0/5700": 21.5}
        device.respond(request, "2.05", b"22.5", TEXT, (OBSERVE, b"\x03"), mid=2, type_=NON)
        assert (await leshan.event("notification", "observed"))["values"] == {"/3303/0/5700": 22.5}

    async def test_errors_of_the_device_reach_the_caller_with_their_diagnostic_payload(self, leshan, device):
        """So 5.04 and 5.03 are usable for what a bridge must report (R3, R10)."""
        await registered(device, "errors")
        for dotted in ("5.04", "5.03", "4.04", "4.29"):
            started = await leshan.start("read", "errors", "/3/0/0")
            device.answer(await device.receive(), dotted, b"not delivered")
            result = await leshan.result(started)
            assert (result["state"], result["code"], result["success"]) == ("response", dotted, False)
            assert result["message"] == "not delivered"

    async def test_a_reset_of_a_request_is_a_rejection(self, leshan, device):
        await registered(device, "rejects")
        started = await leshan.start("read", "rejects", "/3/0/0")
        device.send(Message(RST, EMPTY, (await device.receive()).mid))
        assert (await leshan.result(started))["error"] == "RequestRejectedException"


class TestIdentity:
    async def test_two_addresses_with_the_same_port_are_two_registrations(self, leshan, device):
        with RawDevice(device.server, "127.64.0.2", device.port) as other:
            await registered(device, "first-address")
            await registered(other, "second-address")
            one, two = await leshan.registration("first-address"), await leshan.registration("second-address")
            assert (one["address"], two["address"]) == ("127.64.0.1", "127.64.0.2")
            assert one["port"] == two["port"] == device.port
            assert (await send(other, 1.5)).dotted() == "2.04"
            assert (await leshan.event("send"))["endpoint"] == "second-address"

    async def test_a_new_socket_on_the_same_address_and_port_goes_on_without_a_register(self, leshan, device):
        """What a restarted bridge relies on: Send and notifications belong to the address alone."""
        await registered(device, "same-address")
        request = await observed(device, leshan, "same-address")
        device.close()
        with RawDevice(device.server, device.address, device.port, device.mids) as again:
            assert (await send(again, 2.5)).dotted() == "2.04"
            again.respond(request, "2.05", b"23.5", TEXT, (OBSERVE, b"\x05"), mid=77)
            assert await again.receive() == Message(ACK, EMPTY, 77)
            assert (await leshan.event("notification", "same-address"))["values"] == {"/3303/0/5700": 23.5}

    async def test_a_new_socket_that_begins_its_mids_again_is_given_old_answers(self, leshan, device):
        """R2: message identifiers must outlive a restart as the address does."""
        await registered(device, "same-mid")
        device.close()
        with RawDevice(device.server, device.address, device.port) as again:
            assert (await send(again, 2.5)).dotted() == "2.01"  # the answer to the Register that had this MID

    async def test_a_send_from_another_address_is_refused_until_an_update_moves_the_registration(self, leshan, device):
        location = await registered(device, "moves")
        with RawDevice(device.server, "127.64.0.3", device.port) as moved:
            assert (await send(moved, 3.5)).dotted() == "4.00"
            assert (await moved.exchange(CON, POST, uri(f"/rd/{location}"))).dotted() == "2.04"
            assert (await leshan.registration("moves"))["address"] == "127.64.0.3"
            assert (await send(moved, 4.5)).dotted() == "2.04"

    async def test_a_response_from_another_address_is_not_accepted(self, leshan, device):
        await registered(device, "strict")
        started = await leshan.start("read", "strict", "/3/0/0", timeout=SHORT_S)
        request = await device.receive()
        device.acknowledge(request)
        with RawDevice(device.server, "127.64.0.4", device.port) as other:
            other.respond(request, "2.05", b"ACME", TEXT, mid=5)
            assert await other.receive() == Message(RST, EMPTY, 5)
        assert (await leshan.result(started))["error"] == "TimeoutException"

    async def test_a_new_register_drops_all_observations(self, leshan, device):
        await registered(device, "again")
        request = await observed(device, leshan, "again")
        await registered(device, "again")
        assert await leshan.observations("again") == []
        device.respond(request, "2.05", b"1", TEXT, (OBSERVE, b"\x06"), mid=6)
        assert await device.receive() == Message(RST, EMPTY, 6)


class TestRegister:
    """R21: what a Register must carry for this server."""

    @pytest.mark.parametrize(
        ("query", "links", "code"),
        [
            ("ep=fit&lt=300&b=U", "</3/0>", "4.00"),  # no lwm2m
            ("ep=fit&lt=300&lwm2m=1.1&b=U", "", "4.00"),  # no object list: never 4.09
            ("lt=300&lwm2m=1.1&b=U", "</3/0>", "4.03"),  # no ep, and NoSec vouches for none
            ("ep=fit&lt=300&lwm2m=1.2&b=U", "</3/0>", "4.12"),
            ("ep=fit&lt=300&lwm2m=1.0&b=N", "</3/0>", "4.00"),  # N came with 1.1
            ("ep=fit&lt=300&lwm2m=1.1&b=M", "</3/0>", "5.00"),
        ],
    )
    async def test_is_refused(self, leshan, device, query, links, code):
        answer = await device.register(query, links)
        assert answer.dotted() == code, answer.payload
        assert await leshan.registration("fit") is None

    async def test_as_non_is_refused(self, device):
        assert (await device.register("ep=non&lt=300&lwm2m=1.1&b=U", type_=NON)).dotted() == "4.00"

    async def test_with_binding_n_is_accepted_and_kept_as_it_is(self, leshan, device):
        await registered(device, "binding-n", "lt=300&lwm2m=1.1&b=N")
        registration = await leshan.registration("binding-n")
        assert (registration["binding"], registration["queue_mode"]) == ("N", False)
        started = await leshan.start("read", "binding-n", "/3/0/0", format="TEXT")
        device.answer(await device.receive(), "2.05", b"ACME", TEXT)
        assert (await leshan.result(started))["success"]

    async def test_without_lifetime_lives_a_day(self, leshan, device):
        """A LoRaWAN device thinks of 30 days (Transport §6.8.4): the bridge must add `lt`."""
        await registered(device, "no-lifetime", "lwm2m=1.1")
        assert (await leshan.registration("no-lifetime"))["lifetime"] == 86400


class TestLatency:
    async def test_a_separate_response_is_accepted_long_after_max_transmit_wait(self, quick_leshan, quick_device):
        """Once ACKed, only the caller's own timeout counts: the mechanism that R5 builds on."""
        await registered(quick_device, "slow")
        started = await quick_leshan.start("read", "slow", "/3/0/0", timeout=30)
        request = await quick_device.receive()
        quick_device.acknowledge(request)
        wait = QUICK_EXCHANGE_LIFETIME_S + 2
        assert wait > 2 * QUICK_TRANSMIT_WAIT_S
        await quick_device.silence(wait)
        assert quick_device.copies < QUICK_MAX_RETRANSMIT  # the ACK ended them, were it a late one
        quick_device.respond(request, "2.05", b"ACME", TEXT, mid=9)
        assert await quick_device.receive() == Message(ACK, EMPTY, 9)
        result = await quick_leshan.result(started)
        assert (result["code"], result["values"]) == ("2.05", {"/3/0/0": "ACME"})
        assert result["seconds"] >= wait

    @pytest.mark.slow
    @pytest.mark.timeout(120)
    async def test_a_separate_response_is_accepted_after_100_seconds_with_default_timers(self, leshan, device):
        await registered(device, "slower")
        started = await leshan.start("read", "slower", "/3/0/0")
        request = await device.receive()
        device.acknowledge(request)
        await device.silence(100)
        device.respond(request, "2.05", b"ACME", TEXT, mid=9)
        assert (await device.receive()).type == ACK
        assert (await leshan.result(started))["code"] == "2.05"

    async def test_without_an_ack_the_request_ends_after_max_transmit_wait(self, quick_leshan, quick_device):
        await registered(quick_device, "mute")
        started = await quick_leshan.start("read", "mute", "/3/0/0", timeout=30)
        copies = [await quick_device.receive() for _ in range(3)]
        assert copies[0] == copies[1] == copies[2]
        result = await quick_leshan.result(started)
        assert (result["error"], result["timeout"]) == ("TimeoutException", "COAP_TIMEOUT")
        assert QUICK_TRANSMIT_WAIT_S - 0.1 < result["seconds"] < 15  # not the caller's 30

    async def test_a_con_response_that_overtakes_its_ack_is_accepted(self, leshan, device):
        await registered(device, "overtakes")
        started = await leshan.start("read", "overtakes", "/3/0/0")
        device.respond(await device.receive(), "2.05", b"ACME", TEXT, mid=10)
        assert await device.receive() == Message(ACK, EMPTY, 10)
        assert (await leshan.result(started))["code"] == "2.05"
        await device.silence(3.5)  # the request needs no ACK any more (RFC 7252 §5.2.2)

    async def test_a_non_response_after_an_ack_is_accepted(self, leshan, device):
        await registered(device, "non-response")
        started = await leshan.start("read", "non-response", "/3/0/0")
        request = await device.receive()
        device.acknowledge(request)
        device.respond(request, "2.05", b"ACME", TEXT, mid=11, type_=NON)
        assert (await leshan.result(started))["code"] == "2.05"

    @pytest.mark.parametrize("type_", [CON, NON])
    async def test_a_response_after_the_callers_timeout_is_answered_rst(self, leshan, device, type_):
        """R12: the bridge records it as late and swallows this RST."""
        await registered(device, "late")
        started = await leshan.start("read", "late", "/3/0/0", timeout=SHORT_S)
        request = await device.receive()
        device.acknowledge(request)
        result = await leshan.result(started)
        assert (result["error"], result["timeout"]) == ("TimeoutException", "RESPONSE_TIMEOUT")
        device.respond(request, "2.05", b"ACME", TEXT, mid=12 + type_, type_=type_)
        assert await device.receive() == Message(RST, EMPTY, 12 + type_)

    async def test_a_piggybacked_response_after_the_callers_timeout_is_ignored(self, leshan, device):
        await registered(device, "late-ack")
        started = await leshan.start("read", "late-ack", "/3/0/0", timeout=SHORT_S)
        request = await device.receive()
        assert (await leshan.result(started))["error"] == "TimeoutException"
        device.answer(request, "2.05", b"ACME", TEXT)
        await device.silence(0.5)

    async def test_requests_leave_in_a_burst_without_waiting_for_each_other(self, leshan, device):
        """NSTART is not held (RFC 7252 §4.7 asks for 1): the queue before the radio is the bridge's."""
        await registered(device, "burst")
        started = [await leshan.start("read", "burst", f"/3/0/{resource}", format="TEXT") for resource in (0, 1, 2, 3)]
        requests: dict[str, Message] = {}
        async with asyncio.timeout(15):
            while len(requests) < len(started):  # copies come too where this takes more than ACK_TIMEOUT
                request = await device.receive()
                requests[request.path()] = request
        assert set(requests) == {"/3/0/0", "/3/0/1", "/3/0/2", "/3/0/3"}
        for request in requests.values():
            device.answer(request, "2.05", b"x", TEXT)
        assert [(await leshan.result(number))["code"] for number in started] == ["2.05"] * 4


class TestMessageIdentifiers:
    async def test_a_con_response_with_a_reused_mid_is_acked_and_not_delivered(self, leshan, device):
        """R2: a north MID that comes back within 247 s loses an answer without a trace."""
        await registered(device, "reuse")
        for expected, timeout in (("response", 20), ("error", SHORT_S)):
            started = await leshan.start("read", "reuse", "/3/0/0", timeout=timeout)
            request = await device.receive()
            device.acknowledge(request)
            device.respond(request, "2.05", b"ACME", TEXT, mid=500)
            assert await device.receive() == Message(ACK, EMPTY, 500)
            assert (await leshan.result(started))["state"] == expected

    async def test_a_mid_may_be_reused_after_exchange_lifetime(self, quick_leshan, quick_device):
        await registered(quick_device, "reuse-later")
        for pause in (0, QUICK_EXCHANGE_LIFETIME_S + 0.5):
            await asyncio.sleep(pause)
            started = await quick_leshan.start("read", "reuse-later", "/3/0/0", timeout=20)
            request = await quick_device.receive()
            quick_device.acknowledge(request)
            quick_device.respond(request, "2.05", b"ACME", TEXT, mid=500)
            assert await quick_device.receive() == Message(ACK, EMPTY, 500)
            assert (await quick_leshan.result(started))["state"] == "response"

    async def test_a_request_with_a_reused_mid_gets_the_old_answer_and_is_not_processed(self, leshan, device):
        await registered(device, "cached")
        first = Message(CON, POST, 600, b"\x01", (*uri("/dp"), SENML_CBOR), senml("/3303/0/5700", 1.5))
        second = Message(CON, POST, 600, b"\x02", (*uri("/dp"), SENML_CBOR), senml("/3303/0/5700", 2.5))
        answer = await device.request(first)
        assert (answer.dotted(), answer.token) == ("2.04", b"\x01")
        assert await device.request(second) == answer  # with the old token: nobody who asked anew would take it
        assert (await leshan.event("send", "cached"))["values"] == {"/3303/0/5700": 1.5}
        with pytest.raises(AssertionError, match="no send"):
            await leshan.event("send", "cached", wait=0.3)

    async def test_a_ping_is_answered_rst(self, device):
        assert await device.request(Message(CON, EMPTY, 700)) == Message(RST, EMPTY, 700)


class TestObserve:
    async def test_a_notification_after_a_forgotten_observation_is_answered_rst(self, leshan, device):
        """R19: this RST must end the observation on the device."""
        await registered(device, "forgotten")
        request = await observed(device, leshan, "forgotten")
        await leshan.run("forget-observe", "forgotten", "/3303/0/5700")
        for mid, type_ in ((20, CON), (21, NON)):
            device.respond(request, "2.05", b"1", TEXT, (OBSERVE, b"\x09"), mid=mid, type_=type_)
            assert await device.receive() == Message(RST, EMPTY, mid)

    async def test_a_cancel_is_a_get_with_observe_1_on_the_same_token(self, leshan, device):
        """R1: such a request must keep the south token of the observation."""
        await registered(device, "cancelled")
        request = await observed(device, leshan, "cancelled")
        started = await leshan.start("cancel-observe", "cancelled", "/3303/0/5700")
        cancel = await device.receive()
        assert (cancel.code, cancel.option(OBSERVE), cancel.token) == (GET, b"\x01", request.token)
        assert cancel.path() == request.path()
        device.answer(cancel, "2.05", b"30.5", TEXT)
        assert (await leshan.result(started))["success"]
        assert await leshan.observations("cancelled") == []
        device.respond(request, "2.05", b"1", TEXT, (OBSERVE, b"\x09"), mid=22)
        assert await device.receive() == Message(RST, EMPTY, 22)

    async def test_an_observation_that_started_too_late_is_answered_rst(self, leshan, device):
        """R12: a device may hold an observation that the server never got to know."""
        await registered(device, "late-observe")
        started = await leshan.start("observe", "late-observe", "/3303/0/5700", timeout=SHORT_S)
        request = await device.receive()
        device.acknowledge(request)
        assert (await leshan.result(started))["error"] == "TimeoutException"
        for mid, sequence in ((23, b"\x01"), (24, b"\x02")):
            device.respond(request, "2.05", b"1", TEXT, (OBSERVE, sequence), mid=mid)
            assert await device.receive() == Message(RST, EMPTY, mid)

    async def test_a_stale_notification_is_delivered_all_the_same(self, leshan, device):
        """Nobody checks the sequence of RFC 7641 §3.4 here: keeping the order per token is the bridge's duty (R17)."""
        await registered(device, "stale")
        request = await observed(device, leshan, "stale")
        for mid, sequence, value in ((30, b"\x09", b"9"), (31, b"\x08", b"8")):
            device.respond(request, "2.05", value, TEXT, (OBSERVE, sequence), mid=mid)
            assert await device.receive() == Message(ACK, EMPTY, mid)
        values = [(await leshan.event("notification", "stale"))["values"] for _ in range(2)]
        assert values == [{"/3303/0/5700": 9.0}, {"/3303/0/5700": 8.0}]


class TestBlockWise:
    VALUE = bytes(range(200)).hex()  # 200 bytes in one message, below PREFERRED_BLOCK_SIZE

    async def test_4_13_with_a_smaller_block1_makes_the_server_go_block_wise(self, leshan, device):
        """R25: how a request that does not fit the radio is refused so that it comes again in pieces."""
        await registered(device, "too-large")
        started = await leshan.start("write", "too-large", "/5/0/0", value=self.VALUE, format="OPAQUE")
        request = await device.receive()
        assert (len(request.payload), request.option(BLOCK1)) == (200, None)
        device.answer(request, "4.13", b"", (BLOCK1, block(0, more=False, size=64)))
        payload, number, tokens = b"", 0, []
        while True:
            part = await device.receive()
            got, more, size = unblock(part.option(BLOCK1) or b"")
            assert (got, size) == (number, 64)
            assert part.mid != request.mid
            tokens.append(part.token)
            payload += part.payload
            number += 1
            device.answer(part, "2.31" if more else "2.04", b"", (BLOCK1, block(got, more=more, size=64)))
            if not more:
                break
        assert payload.hex() == self.VALUE
        assert tokens[0] == request.token  # the first block is the request again, the others have tokens of their own:
        assert len(set(tokens)) == len(tokens) == 4  # a transfer is known by its path and block number, not its token
        assert (await leshan.result(started))["code"] == "2.04"

    async def test_4_13_without_a_hint_makes_the_server_try_the_next_smaller_block(self, leshan, device):
        await registered(device, "no-hint")
        started = await leshan.start("write", "no-hint", "/5/0/0", value=self.VALUE, format="OPAQUE")
        device.answer(await device.receive(), "4.13")
        part = await device.receive()
        assert unblock(part.option(BLOCK1) or b"") == (0, True, 128)
        device.answer(part, "5.03")
        assert (await leshan.result(started))["code"] == "5.03"

    async def test_4_13_with_a_hint_not_below_the_refused_size_reaches_the_caller(self, leshan, device):
        await registered(device, "no-help")
        started = await leshan.start("write", "no-help", "/5/0/0", value=self.VALUE, format="OPAQUE")
        device.answer(await device.receive(), "4.13", b"", (BLOCK1, block(0, more=False, size=256)))
        assert (await leshan.result(started))["code"] == "4.13"

    async def test_a_long_answer_is_fetched_block_by_block_with_fresh_tokens(self, leshan, device):
        await registered(device, "long-answer")
        started = await leshan.start("read", "long-answer", "/3/0/0", format="TEXT")
        request = await device.receive()
        device.answer(request, "2.05", b"a" * 64, TEXT, (BLOCK2, block(0, more=True, size=64)))
        more = await device.receive()
        assert unblock(more.option(BLOCK2) or b"") == (1, False, 64)
        assert more.token != request.token
        assert (more.code, more.path()) == (GET, "/3/0/0")
        device.answer(more, "2.05", b"b" * 6, TEXT, (BLOCK2, block(1, more=False, size=64)))
        assert (await leshan.result(started))["values"] == {"/3/0/0": "a" * 64 + "b" * 6}

    async def test_4_13_after_block_0_ends_the_transfer(self, leshan, device):
        await registered(device, "mid-transfer")
        started = await leshan.start("write", "mid-transfer", "/5/0/0", value=self.VALUE, format="OPAQUE")
        device.answer(await device.receive(), "4.13", b"", (BLOCK1, block(0, more=False, size=64)))
        device.answer(await device.receive(), "2.31", b"", (BLOCK1, block(0, more=True, size=64)))
        device.answer(await device.receive(), "4.13", b"", (BLOCK1, block(1, more=False, size=32)))
        assert (await leshan.result(started))["code"] == "4.13"

    async def test_a_smaller_size_in_2_31_is_followed(self, leshan, device):
        """R25: in mid-transfer the size may still shrink; the next number counts in the new size."""
        await registered(device, "shrinks")
        started = await leshan.start("write", "shrinks", "/5/0/0", value=self.VALUE, format="OPAQUE")
        device.answer(await device.receive(), "4.13", b"", (BLOCK1, block(0, more=False, size=64)))
        device.answer(await device.receive(), "2.31", b"", (BLOCK1, block(0, more=True, size=32)))
        part = await device.receive()
        assert unblock(part.option(BLOCK1) or b"") == (2, True, 32)
        assert part.payload == bytes(range(64, 96))
        device.answer(part, "5.03")
        assert (await leshan.result(started))["code"] == "5.03"


class TestQueueMode:
    async def test_a_sleeping_client_gets_no_request_until_an_update(self, quick_leshan, quick_device):
        """R21: with Q the server refuses the caller; neither a Send nor a ping wakes the client."""
        location = await registered(quick_device, "queue", "lt=300&lwm2m=1.1&b=U&Q")
        assert (await quick_leshan.registration("queue"))["queue_mode"]
        await quick_leshan.event("sleeping", "queue")
        assert (await send(quick_device, 5.5)).dotted() == "2.04"
        assert (await quick_device.request(Message(CON, EMPTY, 800))).type == RST
        result = await quick_leshan.read("queue", "/3/0/0")
        assert (result["state"], result["error"]) == ("error", "ClientSleepingException")
        async with asyncio.timeout(15):
            while True:  # it is awake for a second only: a slow machine needs another Update
                assert (await quick_device.exchange(CON, POST, uri(f"/rd/{location}"))).dotted() == "2.04"
                started = await quick_leshan.start("read", "queue", "/3/0/0", format="TEXT")
                if (await quick_leshan.result(started, wait=0))["state"] == "pending":
                    break
        quick_device.answer(await quick_device.receive(), "2.05", b"ACME", TEXT)
        assert (await quick_leshan.result(started))["code"] == "2.05"

    async def test_a_response_timeout_puts_the_client_to_sleep(self, leshan, device):
        await registered(device, "queue-timeout", "lt=300&lwm2m=1.1&b=U&Q")
        await leshan.event("awake", "queue-timeout")  # the 2.01 came before; a sleeper is sent nothing
        started = await leshan.start("read", "queue-timeout", "/3/0/0", timeout=SHORT_S)
        device.acknowledge(await device.receive())
        assert (await leshan.result(started))["error"] == "TimeoutException"
        assert (await leshan.read("queue-timeout", "/3/0/0"))["error"] == "ClientSleepingException"


def test_the_device_of_these_tests_builds_messages_by_the_book():
    """RFC 7252 §3, figure 7: options in order, extended lengths, the payload marker."""
    from tests.interop.raw_device import decode, encode

    message = Message(CON, POST, 0x1234, b"\xaa", ((OBSERVE, b""), (URI_PATH, b"x" * 20)), b"p")
    assert encode(message).hex() == "41021234aa" + "60" + "5d07" + "78" * 20 + "ff70"
    assert decode(encode(message)) == message
