"""The Secure Component object of this project: identity, certificate, challenge, and what is stored in it."""

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from lwm2m_pair import pair, virtual_time
from test_access_control import OTHER, two_servers

from mock_network.device.options import DEFAULT_OBJECTS
from mock_network.lwm2m.formats import ContentFormat
from mock_network.lwm2m.values import ObjectLink, Record

EP = "urn:dev:os:test-1"
COMPONENT = DEFAULT_OBJECTS | {26252}
STORED = "/26252/0/4"


def link(key, object_id, instance_id):
    return Record((26252, 0, 4, key), ObjectLink(object_id, instance_id))


@pytest.mark.requirement("LightweightM2M-SCS-2")
@virtual_time
async def test_a_server_authenticates_the_component():
    async with pair(objects=COMPONENT) as (_, server):
        assert (await server.read(EP, "/26252/0/0")).value == f"sc-{EP}"
        certificate = x509.load_der_x509_certificate((await server.read(EP, "/26252/0/1")).value)
        challenge = bytes(range(32))
        written = await server.write(EP, "/26252/0/2", challenge, content_format=ContentFormat.OPAQUE)
        assert written.code == "2.04"
        response = (await server.read(EP, "/26252/0/3")).value
        certificate.public_key().verify(response, challenge, ec.ECDSA(hashes.SHA256()))
        with pytest.raises(InvalidSignature):
            certificate.public_key().verify(response, challenge[1:], ec.ECDSA(hashes.SHA256()))
        assert (await server.read(EP, "/26252/0/2")).code == "4.05"
        short = await server.write(EP, "/26252/0/2", b"short", content_format=ContentFormat.OPAQUE)
        assert short.code == "4.00"


@pytest.mark.requirement("LightweightM2M-SCS-3", "LwM2M-SCS-4", "LwM2M-SCS-5", "LwM2M-SCS-6")
@virtual_time
async def test_the_owner_says_where_an_instance_is_stored_and_readers_ask():
    async with two_servers(objects=COMPONENT) as (_, owner, other):
        assert (await owner.write(EP, STORED, [link(0, 3303, 0)], replace=False)).code == "2.04"
        # The same operations as anywhere else.
        assert (await owner.read(EP, "/3303/0/5700")).value == 20.0
        assert (await owner.write(EP, "/3303/0/5750", "vault")).code == "2.04"
        assert (await owner.execute(EP, "/3303/0/5605")).code == "2.04"
        assert (await owner.observe(EP, "/3303/0/5700")).first.code == "2.05"
        assert "/3303/0/5750" in [found.target for found in (await owner.discover(EP, "/3303/0")).links]
        assert (await other.read(EP, STORED)).records == [link(0, 3303, 0)]
        assert (await other.write(EP, STORED, [link(1, 1, 1)], replace=False)).code == "4.01"
        control = next(one for one in _controls(_) if one[1:] == (26252, 0))[0]
        _.tree.set((2, control, 2, OTHER), 3)  # read and write
        assert (await other.write(EP, STORED, [link(1, 1, 1)], replace=False)).code == "2.04"  # its own account
        for records, replace in (([link(2, 3, 0)], False), ([link(0, 1, 1)], False), ([link(1, 1, 1)], True)):
            assert (await other.write(EP, STORED, records, replace=replace)).code == "4.01"
        assert (await other.delete(EP, f"{STORED}/0")).code == "4.01"
        assert (await other.delete(EP, f"{STORED}/1")).code == "2.02"
        assert (await owner.write(EP, STORED, [link(0, 3303, 9)])).code == "4.00"
        assert (await owner.write(EP, STORED, [])).code == "2.04"
        assert (await other.read(EP, STORED)).records == []


def _controls(device):
    return [(path[1], device.tree.get((*path, 0)), device.tree.get((*path, 1))) for path in device.tree.instances((2,))]
