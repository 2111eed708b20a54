"""Each endpoint keeps one source toward servers, over restarts, and nobody else gets it for a long time."""

import pytest

from bridge.directory import Sources
from bridge.directory.sources import REUSE_AFTER
from bridge.errors import DirectoryError
from bridge.north.udp.ports import PortsScheme
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import pools


async def test_sources_are_given_in_order_and_kept_over_restarts(opened, draft):
    directory = await opened()
    given = [(await directory.add(draft(n))).source for n in range(3)]
    directory = await opened()
    assert given == [0, 1, 2]
    assert [(await directory.by_name(f"ep{n}")).source for n in range(3)] == given
    assert (await directory.add(draft(3))).source == 3


async def test_the_source_of_a_removed_endpoint_is_not_given_to_the_next(opened, draft):
    directory = await opened()
    await directory.add(draft(1))
    await directory.remove("ep1")
    assert await directory.by_source(0) is None
    assert (await directory.add(draft(2))).source == 1
    directory = await opened()
    assert (await directory.add(draft(3))).source == 2


async def test_full_means_a_clear_refusal_until_a_source_has_rested(opened, draft, catalogue, sources, clock):
    directory = await opened(catalogue(sources(first=40, count=2)))
    await directory.add_all([draft(1), draft(2)])
    with pytest.raises(DirectoryError, match=r"all 2 are in use.*configure a larger range"):
        await directory.add(draft(3))
    assert await directory.by_name("ep3") is None

    await directory.remove("ep1")
    clock.time += REUSE_AFTER - 1
    with pytest.raises(DirectoryError, match="no addresses are left"):
        await directory.add(draft(3))
    clock.time += 2
    assert (await directory.add(draft(3))).source == 40
    assert (await directory.by_source(40)).name == "ep3"


async def test_a_larger_range_is_used_at_both_ends(opened, draft, catalogue, sources):
    directory = await opened(catalogue(sources(first=40, count=2)))
    await directory.add_all([draft(1), draft(2)])
    directory = await opened(catalogue(sources(first=38, count=5)))
    assert await directory.renew_sources() == 0
    assert sorted([(await directory.add(draft(n))).source for n in (3, 4, 5)]) == [38, 39, 42]
    with pytest.raises(DirectoryError):
        await directory.add(draft(6))


async def test_r24_an_endpoint_outside_the_new_range_gets_another_source_and_is_told(opened, draft, catalogue, sources):
    directory = await opened(catalogue(sources(first=0, count=3)))
    await directory.add_all([draft(n) for n in range(3)])
    directory = await opened(catalogue(sources(first=2, count=5)))
    heard = []
    directory.subscribe(heard.append)

    assert await directory.renew_sources() == 2

    assert [(change.after.name, change.north_changed) for change in heard] == [("ep0", True), ("ep1", True)]
    assert [(await directory.by_name(f"ep{n}")).source for n in range(3)] == [3, 4, 2]
    assert (await directory.by_source(3)).name == "ep0"


async def test_r24_another_prefix_is_another_address_with_the_same_number(opened, draft, catalogue, sources):
    directory = await opened()
    await directory.add(draft())
    directory = await opened(catalogue(sources(host="10.0.0.{}")))
    heard = []
    directory.subscribe(heard.append)

    assert await directory.renew_sources() == 1

    assert heard[0].north_changed
    assert (await directory.by_name("ep1")).locals == ("10.0.0.0:56830",)
    assert await directory.renew_sources() == 0


async def test_one_more_address_family_changes_nothing_for_servers(opened, draft, catalogue):
    directory = await opened()
    made = await directory.add(draft())
    both = Sources("prefix", range(1000), lambda number: (f"127.64.0.{number}:56830", f"[fd00::{number}]:56830"))
    directory = await opened(catalogue(both))
    heard = []
    directory.subscribe(heard.append)
    assert await directory.renew_sources() == 1
    assert not heard[0].north_changed
    assert set(made.locals) < set((await directory.by_name("ep1")).locals)


async def test_numbers_of_another_scheme_are_other_addresses(opened, draft, catalogue, sources):
    directory = await opened()
    await directory.add_all([draft(n) for n in range(2)])
    directory = await opened(catalogue(sources(first=1, count=5, scheme="ports")))
    assert await directory.by_source(1) is None
    assert await directory.renew_sources() == 2
    assert [(await directory.by_name(f"ep{n}")).source for n in range(2)] == [1, 2]
    directory = await opened()
    await directory.renew_sources()
    assert [(await directory.by_name(f"ep{n}")).source for n in range(2)] == [2, 3], "the old addresses rest"


async def test_an_endpoint_that_cannot_have_a_source_keeps_what_it_had_and_is_logged(
    opened, draft, catalogue, sources, caplog
):
    directory = await opened()
    await directory.add_all([draft(n) for n in range(3)])
    directory = await opened(catalogue(sources(first=50, count=1)))
    assert await directory.renew_sources() == 1
    assert "endpoint ep1 is down: no addresses are left" in caplog.text
    assert "1 more endpoints" in caplog.text
    directory = await opened()
    assert (await directory.by_name("ep1")).source == 1


async def test_the_transports_own_numbers_are_used(opened, draft, catalogue):
    prefix = PrefixScheme(pools(["127.64.0.0/16", "fd00:1::/64"]), 56830)
    directory = await opened(catalogue(Sources.of(prefix)))
    made = await directory.add(draft())
    assert made.locals == ("127.64.0.1:56830", "[fd00:1::1]:56830")
    ports = PortsScheme({2: "127.0.0.1"}, range(20000, 20010))
    directory = await opened(catalogue(Sources.of(ports)))
    assert (await directory.add(draft(2))).locals == ("127.0.0.1:20000",)
