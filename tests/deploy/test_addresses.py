"""The scripts that move addresses between machines: each is a network namespace, and a router beside them judges."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.namespaces import ROUTER, Machines, made, run
from tests.waiting import until

SCRIPTS = Path(__file__).parents[2] / "deploy" / "addresses"


@pytest.fixture
def machines() -> Iterator[Machines]:
    with made(Machines()) as network:
        yield network


@pytest.mark.slow
async def test_on_one_network_addresses_move_with_their_neighbours_being_told(machines: Machines) -> None:
    script, prefixes = str(SCRIPTS / "layer2"), ("10.0.0.64/28", "fd00::40/124")
    addresses = ("10.0.0.64", "10.0.0.79", "fd00::41")
    assert not machines.reaches("10.0.0.65")
    machines.inside("1", script, "take", "eth0", *prefixes)
    for address in addresses:
        assert machines.reaches(address), address
        assert machines.neighbour(address) == machines.mac("1")
    machines.inside("1", script, "release", "eth0", *prefixes)
    machines.inside("2", script, "take", "eth0", *prefixes)
    for address in addresses:  # by the announcement alone: the router has sent nothing since
        await until(lambda one=address: machines.neighbour(one) == machines.mac("2"), 20, why=f"who has {address}")  # type: ignore[misc]
        assert machines.reaches(address), address
    machines.inside("2", script, "take", "eth0", *prefixes)  # again
    machines.inside("1", script, "release", "eth0", *prefixes)
    assert machines.reaches("fd00::41")
    with pytest.raises(AssertionError, match=r"there is no interface eth7|does not exist"):
        machines.inside("1", script, "take", "eth7", *prefixes)
    with pytest.raises(AssertionError, match="more than 4096 addresses"):
        machines.inside("1", script, "take", "eth0", "10.0.0.0/8")


_ROUTER_CONF = """
router id 10.0.0.254;
protocol device {}
protocol direct { ipv4; ipv6; }
protocol kernel four { ipv4 { import none; export all; }; }
protocol kernel six { ipv6 { import none; export all; }; }
protocol bgp one4 { local 10.0.0.254 as 64512; neighbor 10.0.0.1 as 64512; ipv4 { import all; export none; }; }
protocol bgp one6 { local fd00::254 as 64512; neighbor fd00::1 as 64512; ipv6 { import all; export none; }; }
protocol bgp two4 { local 10.0.0.254 as 64512; neighbor 10.0.0.2 as 64512; ipv4 { import all; export none; }; }
protocol bgp two6 { local fd00::254 as 64512; neighbor fd00::2 as 64512; ipv6 { import all; export none; }; }
"""


@pytest.fixture
def routed(machines: Machines, tmp_path: Path) -> Machines:
    """The machines with BIRD: on each the example as it is shipped, with its own addresses."""
    need_program("bird")
    example = (SCRIPTS / "bird.conf").read_text()
    second = example.replace("10.0.0.1;", "10.0.0.2;").replace("10.0.0.1 ", "10.0.0.2 ").replace("fd00::1 ", "fd00::2 ")
    for number, text in (("1", example), ("2", second), (ROUTER, _ROUTER_CONF)):
        file = tmp_path / f"{number}.conf"
        file.write_text(text)
        machines.begin(number, "bird", "-f", "-c", str(file), "-s", str(tmp_path / f"{number}.ctl"))
    return machines


@pytest.mark.slow
async def test_a_routed_prefix_moves_with_its_route(routed: Machines) -> None:
    script, prefixes = str(SCRIPTS / "bird"), ("192.0.2.0/28", "2001:db8::/124")
    routed.inside("1", script, "take", *prefixes)
    for prefix, hop, address in zip(prefixes, ("10.0.0.1", "fd00::1"), ("192.0.2.5", "2001:db8::5"), strict=True):
        await until(lambda p=prefix, h=hop: routed.next_hop(p) == h, 60, why=f"no route to {prefix}", every=0.2)  # type: ignore[misc]
        assert routed.reaches(address), address
    routed.inside("1", script, "release", *prefixes)
    routed.inside("2", script, "take", *prefixes)
    for prefix, hop, address in zip(prefixes, ("10.0.0.2", "fd00::2"), ("192.0.2.5", "2001:db8::5"), strict=True):
        await until(lambda p=prefix, h=hop: routed.next_hop(p) == h, 60, why=f"no route to {prefix}", every=0.2)  # type: ignore[misc]
        assert routed.reaches(address), address
    routed.inside("2", script, "take", *prefixes)  # again
    routed.inside("2", script, "release", *prefixes)
    await until(lambda: not routed.next_hop("192.0.2.0/28"), 60, why="the route stays", every=0.2)
    routed.inside("2", script, "release", *prefixes)  # again


def test_the_scripts_have_no_mistake_that_shellcheck_knows() -> None:
    need_program("shellcheck")
    run("shellcheck", "-x", str(SCRIPTS / "bird"), str(SCRIPTS / "layer2"))
