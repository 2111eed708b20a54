import ipaddress
import socket

import pytest
from hypothesis import given, strategies as st

from bridge.errors import ConfigurationError, NorthUnavailable
from bridge.north.udp.prefixes import LOOPBACK_PREFIX, Pool, Prefix, check_server, pools


def text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


@pytest.mark.parametrize(
    ("prefix", "capacity", "first", "last"),
    [
        ("10.9.8.0/24", 254, "10.9.8.1", "10.9.8.254"),
        ("10.9.8.0/23", 508, "10.9.8.1", "10.9.9.254"),
        ("10.9.8.0/25", 126, "10.9.8.1", "10.9.8.126"),
        ("10.9.8.0/31", 2, "10.9.8.0", "10.9.8.1"),
        ("10.9.8.7/32", 1, "10.9.8.7", "10.9.8.7"),
        ("127.64.0.0/10", 16384 * 254, "127.64.0.1", "127.127.255.254"),
        ("2001:db8::/64", 2**63 - 1, "2001:db8::1", "2001:db8::7fff:ffff:ffff:ffff"),
        ("2001:db8::/112", 65536 - 129, "2001:db8::1", "2001:db8::ff7f"),
        ("2001:db8::5/128", 1, "2001:db8::5", "2001:db8::5"),
    ],
)
def test_a_prefix_leaves_out_addresses_with_a_meaning(prefix, capacity, first, last):
    p = Prefix(prefix)
    assert p.capacity == capacity
    assert text(p.packed(0)) == first
    assert text(p.packed(capacity - 1)) == last


@given(st.sampled_from(["10.0.0.0/8", "10.1.2.0/24", "10.1.2.64/27", "fd00::/48", "fd00::/120"]), st.data())
def test_number_and_address_stand_for_each_other(prefix, data):
    p = Prefix(prefix)
    number = data.draw(st.integers(0, p.capacity - 1))
    packed = p.packed(number)
    assert p.number(packed) == number
    assert packed in p
    if p.family == socket.AF_INET and p.network.num_addresses >= 256:
        assert packed[-1] not in {0, 255}


@pytest.mark.parametrize("address", ["10.1.2.0", "10.1.2.255", "10.1.3.1", "10.1.1.254"])
def test_an_address_of_no_endpoint_has_no_number(address):
    assert Prefix("10.1.2.0/24").number(socket.inet_aton(address)) is None


def test_a_number_keeps_its_address_when_prefixes_grow():
    small = Pool([Prefix("10.0.0.0/24")])
    wider = Pool([Prefix("10.0.0.0/20")])
    more = Pool([Prefix("10.0.0.0/24"), Prefix("10.7.0.0/24")])
    for number in range(small.capacity):
        assert small.packed(number) == wider.packed(number) == more.packed(number)
    assert text(more.packed(254)) == "10.7.0.1"
    assert more.number(socket.inet_aton("10.7.0.1")) == 254
    assert more.capacity == 508


@pytest.mark.parametrize("number", [-1, 254, 10**6])
def test_a_number_outside_the_prefix_is_refused(number):
    with pytest.raises(NorthUnavailable, match="capacity 254"):
        Pool([Prefix("10.0.0.0/24")]).packed(number)


@pytest.mark.parametrize("bad", ["10.0.0.1/24", "nonsense", "10.0.0.0/33", "224.0.0.0/8", "ff00::/8"])
def test_what_is_no_prefix_is_refused_by_name(bad):
    with pytest.raises(ConfigurationError, match=bad.split("/")[0]):
        pools([bad])


def test_overlapping_prefixes_are_refused():
    with pytest.raises(ConfigurationError, match=r"10\.0\.0\.0/8 and 10\.1\.0\.0/16 overlap"):
        pools(["10.0.0.0/8", "10.1.0.0/16"])


def test_a_server_inside_a_prefix_is_refused():
    loopback = Prefix(LOOPBACK_PREFIX)
    check_server([loopback], "127.0.0.1")
    check_server([loopback], "::1")
    with pytest.raises(ConfigurationError, match=r"127\.64\.0\.9 lies inside"):
        check_server([loopback], "127.64.0.9")
