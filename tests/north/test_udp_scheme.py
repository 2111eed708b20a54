import pytest

from bridge.errors import ConfigurationError
from bridge.north.udp.ports import PortsScheme
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.scheme import Scheme, build, choose

LOOPBACK = ("127.0.0.1", 5683)
OUTSIDE = ("192.0.2.9", 5683)
OUTSIDE6 = ("2001:db8::9", 5683, 0, 0)


@pytest.mark.parametrize(
    ("scheme", "prefixes", "servers", "expected"),
    [
        (Scheme.AUTO, ["10.0.0.0/16"], [OUTSIDE], (Scheme.PREFIX, ["10.0.0.0/16"])),
        (Scheme.AUTO, [], [LOOPBACK], (Scheme.PREFIX, ("127.64.0.0/10",))),
        (Scheme.AUTO, [], [OUTSIDE], (Scheme.PORTS, ())),
        (Scheme.AUTO, [], [LOOPBACK, OUTSIDE], (Scheme.PORTS, ())),
        (Scheme.AUTO, [], [("::1", 5683, 0, 0)], (Scheme.PORTS, ())),
        (Scheme.AUTO, [], [], (Scheme.PORTS, ())),
        (Scheme.AUTO, [], [LOOPBACK, None], (Scheme.PORTS, ())),
        (Scheme.PORTS, ["10.0.0.0/16"], [LOOPBACK], (Scheme.PORTS, ())),
        (Scheme.PREFIX, [], [LOOPBACK], (Scheme.PREFIX, ("127.64.0.0/10",))),
    ],
)
def test_auto_is_the_prefix_else_loopback_else_ports(scheme, prefixes, servers, expected):
    assert choose(scheme, prefixes, servers) == expected


def make(scheme=Scheme.AUTO, servers=(LOOPBACK,), **more):
    return build(scheme, servers, port=15683, ports=range(20000, 30000), **more)


def test_build_gives_the_transport_of_the_scheme():
    assert isinstance(make(servers=[None]), PortsScheme)
    assert isinstance(make(), PrefixScheme)
    assert (make().scheme, make(Scheme.PORTS).scheme) == (Scheme.PREFIX, Scheme.PORTS)
    assert isinstance(make(Scheme.PORTS), PortsScheme)
    assert make(Scheme.PORTS).sources == range(20000, 30000)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"scheme": Scheme.PREFIX, "servers": [OUTSIDE]}, "needs .* prefixes"),
        ({"prefixes": ["192.0.2.0/24"], "servers": [OUTSIDE]}, "lies inside"),
        ({"prefixes": ["10.0.0.0/24"], "servers": [OUTSIDE6]}, "over IPv6"),
        ({"prefixes": ["2001:db8:1::/64"], "servers": [OUTSIDE]}, "over IPv4"),
        ({"scheme": Scheme.PORTS, "source_address": "here"}, "not an IP address"),
        ({"scheme": Scheme.PORTS, "source_address": "::1"}, "over IPv4"),
    ],
)
def test_what_cannot_work_is_refused_with_the_cure(arguments, text):
    with pytest.raises(ConfigurationError, match=text):
        make(**arguments)
