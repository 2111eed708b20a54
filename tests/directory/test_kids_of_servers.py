"""The kids of an endpoint's servers: option `oscore_kids`, refused where it would not say one server."""

from dataclasses import fields

import pytest

from bridge.directory import Draft, EndpointRecord
from bridge.errors import DirectoryError


def draft(option: str) -> Draft:
    return Draft(
        network="nidd", device="d@x.org", name="e", servers=("leshan", "coiote"), options={"oscore_kids": option}
    )


@pytest.mark.parametrize(
    ("option", "kids"),
    [
        ("leshan=01,coiote=A2b3", {"leshan": (b"\x01",), "coiote": (b"\xa2\xb3",)}),
        ("coiote=01, coiote = 02", {"leshan": (), "coiote": (b"\x01", b"\x02")}),
        ("leshan=,coiote=00", {"leshan": (b"",), "coiote": (b"\x00",)}),
        ("coiote=01020304050607", {"leshan": (), "coiote": (bytes(range(1, 8)),)}),
        ("", {"leshan": (), "coiote": ()}),
    ],
)
def test_r23_an_endpoint_has_the_kids_of_its_servers(catalogue, option, kids):
    known = catalogue()
    checked = known.check(draft(option))
    settings = {one.name: getattr(checked, one.name) for one in fields(checked)}
    endpoint = known.endpoint(EndpointRecord(id=1, shard=1, created_at=0.0, changed_at=0.0, **settings))
    assert {server.key: server.oscore_kids for server in endpoint.servers} == kids


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("leshan=0", "kid '0' of server 'leshan' is not hex: write two digits for each byte"),
        ("leshan=xy", "kid 'xy' of server 'leshan' is not hex"),
        ("leshan=0 1a", "is not hex"),
        ("leshan=٠١", "is not hex"),
        ("leshan=0102030405060708", "kid '0102030405060708' of server 'leshan' is longer than 7 bytes"),
        ("leshan=01,coiote=01", "has kid '01' for servers 'leshan' and 'coiote': give each kid to one server"),
        ("leshan=a2,coiote=A2", "for servers 'leshan' and 'coiote'"),
        ("leshan=,coiote=", "has kid '' for servers 'leshan' and 'coiote'"),
        ("leshan=01,leshan=01", "has kid '01' for server 'leshan' twice"),
        ("other=01", "names server 'other', which is not one of the endpoint's (leshan, coiote): write one of them"),
        ("leshan", "must name the kid that the device sends to each server, in hex, such as one=01,two=a2"),
        ("=01", "must name the kid"),
        ("leshan=01,", "must name the kid"),
    ],
)
def test_r23_kids_that_do_not_say_one_server_are_refused(catalogue, option, why):
    with pytest.raises(DirectoryError) as refused:
        catalogue().check(draft(option))
    assert why in str(refused.value)


def test_r23_the_network_does_not_see_the_option():
    from bridge.directory.record import binding_options

    assert binding_options({"oscore_kids": "leshan=01", "rds_port": "1:1"}) == {"rds_port": "1:1"}
