"""DTLS between the emulated device and the emulated server, by certificates, over real sockets."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from lwm2m_pair import served

from mock_network.clock import current_clock
from mock_network.device.device import Device
from mock_network.device.options import SHORT_SERVER_ID, DeviceOptions
from mock_network.lwm2m.credentials import (
    DOMAIN_ISSUED,
    PreSharedKey,
    client_certificate_from,
    server_certificate_from,
)
from mock_network.lwm2m.messages import Request
from tests.tls.pki import YEAR, Authority, self_signed
from tests.waiting import until

EP = "urn:dev:os:test-1"
AUTHORITY, OTHER = Authority("Operator"), Authority("Somebody")
SERVER = AUTHORITY.issue("server", names=("server.example", "127.0.0.1"))
DEVICE = AUTHORITY.issue(EP)


def words(own, **more):
    return {"certificate": own.pem.decode(), "private_key": own.key_pem.decode(), **more}


@asynccontextmanager
async def secured(*, server=SERVER, own=DEVICE, trusted=AUTHORITY, host="127.0.0.1", usage=2, **options):
    async with served() as made:
        shown = words(server, authorities=AUTHORITY.pem.decode())
        made.identities.use_certificate(server_certificate_from(shown))
        trust = {"server": trusted.pem.decode(), "usage": usage}
        certificate = client_certificate_from(words(own, **trust))
        uri = f"coaps://{host}:{made.address[1]}"
        pipe = None if host == "127.0.0.1" else made.address
        device = Device(DeviceOptions(EP, uri, pipe=pipe, certificate=certificate, seed=2, **options))
        await device.start()
        try:
            yield device, made
        finally:
            await device.stop()


async def refused(device, server):
    """Wait until the device has refused a handshake; nobody is registered then, and no session is open."""
    assert (await until(lambda: device.session_failures, 10, "no handshake fails"))[0] == "certificate verify failed"
    assert not server.identities.sessions()
    assert not server.clients


async def test_a_device_is_managed_and_known_by_the_name_in_its_certificate():
    async with secured() as (_, server):
        await server.wait_registered(EP, 10)
        assert (await server.read(EP, "/3/0/9")).value == 100
        assert [(one["name"], one["issuer"]) for one in server.identities.sessions()] == [(EP, "Operator")]


async def test_the_server_is_known_by_the_name_in_its_uri():
    async with secured(host="server.example") as (_, server):
        await server.wait_registered(EP, 10)
    async with secured(host="another.example") as (device, server):
        await refused(device, server)


@pytest.mark.parametrize(
    "server",
    [
        self_signed("server", "server.example", "127.0.0.1"),
        OTHER.issue("server", names=("127.0.0.1",)),
        AUTHORITY.issue("server", names=("127.0.0.1",), valid=(-YEAR, -timedelta(days=1))),
        AUTHORITY.issue("server"),
    ],
    ids=["self-signed", "of another authority", "expired", "without a name"],
)
async def test_a_server_that_the_device_cannot_trust_is_refused(server):
    async with secured(server=server) as (device, made):
        await refused(device, made)


async def test_a_certificate_of_the_servers_own_needs_no_authority_and_no_name():
    alone = self_signed("anything")
    pinned = type("Pinned", (), {"pem": alone.pem})
    async with secured(server=alone, trusted=pinned, usage=DOMAIN_ISSUED) as (_, server):
        await server.wait_registered(EP, 10)
    async with secured(server=self_signed("anything"), trusted=pinned, usage=DOMAIN_ISSUED) as (device, server):
        await refused(device, server)


@pytest.mark.parametrize(
    "own",
    [OTHER.issue(EP), AUTHORITY.issue(EP, valid=(-YEAR, -timedelta(days=1)))],
    ids=["of another authority", "expired"],
)
async def test_a_device_that_the_server_cannot_trust_gets_an_alert(own):
    async with secured(own=own) as (device, server):
        assert await until(lambda: device.tree.get_or((1, 0, 11), 0), 10, "no alert") in {
            42,
            45,
            46,
            48,
        }  # RFC 5246 §7.2.2
        assert not server.clients


async def test_another_name_than_that_of_the_certificate_registers_nobody():
    async with secured(own=AUTHORITY.issue("urn:dev:os:another")) as (device, server):
        assert await until(lambda: device.registration.failures, 10, "no answer to the Register") == ["4.03"]
        assert not server.clients


async def test_without_a_clock_no_certificate_is_believed_until_the_time_is_written():
    """PKI-002: only who knows the time can tell whether a certificate is valid."""
    async with secured(has_clock=False) as (device, server):
        await refused(device, server)
        device.clock.write(int(current_clock().wall()))
        assert (await device.register()).code == "2.01"


async def test_keys_and_certificates_go_side_by_side_and_a_name_can_be_bound():
    async with secured(own=AUTHORITY.issue("serial 17")) as (_, server):
        server.identities.bind_certificate(EP, "serial 17")
        server.identities.use_key("urn:dev:os:keyed", PreSharedKey("keyed", bytes(16)))
        keyed = Device(
            DeviceOptions(
                "urn:dev:os:keyed", f"coaps://127.0.0.1:{server.address[1]}", psk=PreSharedKey("keyed", bytes(16))
            )
        )
        await keyed.start()
        try:
            await server.wait_registered(EP, 10)
            await server.wait_registered("urn:dev:os:keyed", 10)
        finally:
            await keyed.stop()


async def test_nobody_bootstraps_under_the_name_of_another():
    async with secured(own=AUTHORITY.issue("urn:dev:os:another")) as (device, _):
        answer = await device.client.request(Request("0.02", ("bs",), query=(f"ep={EP}",)), SHORT_SERVER_ID)
        assert answer.code == "4.03"


@pytest.mark.parametrize(
    "change",
    [{"usage": 0}, {"certificate": "x"}, {"private_key": "x"}, {"server": None}],
    ids=["usage", "certificate", "key", "server"],
)
def test_what_cannot_be_used_is_refused(change):
    given = words(DEVICE, server=AUTHORITY.pem.decode()) | change
    with pytest.raises(ValueError, match=next(iter(change))):
        client_certificate_from({name: value for name, value in given.items() if value is not None})
