"""Each endpoint has a shard: the part of the prefix that its address lies in. All its rows and notes carry it."""

import ipaddress
from dataclasses import replace
from itertools import pairwise

import pytest

from bridge.delivery.reports import UnattributedReport
from bridge.delivery.rows import Insert
from bridge.directory import Draft, Sources
from bridge.directory.allocation import Allocator, shard_of_new
from bridge.directory.keys import ById
from bridge.errors import ConfigurationError, DirectoryError
from bridge.north.udp.ports import PortsScheme
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.prefixes import SHARDS, Prefix, division, networks_of_shard, pools
from bridge.relay.model import Observation, RelayState
from tests.store.asking import load, rows
from tests.store.conftest import make_downlink, make_uplink


def prefixes(*texts):
    return Sources.of(PrefixScheme(pools(texts), 56830))


@pytest.mark.parametrize("text", ["127.64.0.0/10", "10.0.0.0/16", "10.0.0.0/8", "2001:db8::/64", "2001:db8::/112"])
def test_the_addresses_of_a_shard_are_a_prefix_of_their_own(text):
    prefix = Prefix(text)
    assert prefix.is_divisible
    network = ipaddress.ip_network(text)
    length = max(network.prefixlen, network.max_prefixlen - 63) + 8
    for shard in (0, 1, 2, 127, 254, 255):
        part = prefix.part(shard)
        first, last = (ipaddress.ip_address(prefix.packed(number)) for number in (part[0], part[-1]))
        own = ipaddress.ip_network((first, length), strict=False)
        assert last in own
        assert {prefix.shard_of(number) for number in (part[0], part[-1])} == {shard}
    assert [prefix.part(n).stop for n in range(SHARDS - 1)] == [prefix.part(n).start for n in range(1, SHARDS)]
    assert (prefix.part(0).start, prefix.part(SHARDS - 1).stop) == (0, prefix.capacity)


def test_a_prefix_with_few_addresses_is_not_divided():
    assert prefixes("10.0.0.0/16").divided
    assert not prefixes("10.0.0.0/17").divided
    assert not prefixes("10.0.0.0/16", "10.9.0.0/24").divided
    assert prefixes("10.0.0.0/17").part(7) == (range(32512),)


def test_ports_are_not_divided():
    sources = Sources.of(PortsScheme({2: "127.0.0.1"}, range(20000, 20010)))
    assert sources.part(3) == (range(20000, 20010),)
    assert sources.shard_of(20003) is None


def test_a_shard_has_its_part_of_each_prefix():
    sources = prefixes("10.0.0.0/16", "10.7.0.0/16")
    first, second = sources.part(3)
    assert [sources.seen(part[0]) for part in (first, second)] == [("10.0.3.1:56830",), ("10.7.3.1:56830",)]
    assert sources.shard_of(first[0]) == sources.shard_of(second[-1]) == 3


async def test_new_endpoints_go_to_the_shards_in_their_turn(opened, draft, catalogue):
    directory = await opened(catalogue(prefixes("127.64.0.0/10")))
    made = await directory.add_all([draft(n) for n in range(300)])
    assert [record.shard for record in made] == [n % SHARDS for n in range(300)]
    assert [one.locals[0] for one in made[:3]] == ["127.64.0.1:56830", "127.64.64.1:56830", "127.64.128.1:56830"]
    assert made[256].locals == ("127.64.0.2:56830",)
    assert all(directory.catalogue.sources.has(record) for record in made)


async def test_an_endpoint_that_got_no_address_yet_has_a_shard_and_keeps_it(opened, draft, catalogue):
    directory = await opened(replace(catalogue(), sources=None))
    made = await directory.add_all([draft(n) for n in range(3)])
    assert [(record.shard, record.source) for record in made] == [(0, None), (1, None), (2, None)]
    directory = await opened(catalogue(prefixes("127.64.0.0/10")))
    await directory.renew_sources()
    found = [await directory.by_name(f"ep{n}") for n in range(3)]
    assert [(one.shard, one.locals[0]) for one in found] == [
        (0, "127.64.0.1:56830"), (1, "127.64.64.1:56830"), (2, "127.64.128.1:56830"),
    ]  # fmt: skip


async def test_under_ports_the_shard_is_the_turn_alone(opened, draft, catalogue, sources):
    directory = await opened(catalogue(sources(first=20000, count=10, scheme="ports")))
    made = await directory.add_all([draft(n) for n in range(3)])
    assert [(record.shard, record.source) for record in made] == [(0, 20000), (1, 20001), (2, 20002)]


async def test_a_shard_without_room_leaves_the_endpoint_to_the_next_one(opened, draft, catalogue):
    class Two:
        """Numbers of which the lower half is shard 0's, the upper one shard 1's."""

        def part(self, shard):
            return [range(shard * 2, shard * 2 + 2)] if shard < 2 else [range(0)]

        def shard_of(self, number):
            return number // 2

    two = Sources("prefix", range(4), lambda number: (str(number),), Two())
    directory = await opened(catalogue(two))
    made = [await directory.add(draft(n)) for n in range(4)]
    assert sorted((record.shard, record.source) for record in made) == [(0, 0), (0, 1), (1, 2), (1, 3)]
    with pytest.raises(DirectoryError, match="all 4 are in use"):
        await directory.add(draft(4))


async def test_every_row_and_note_follows_an_endpoint_to_its_shard(opened, draft, catalogue):
    """As after an upgrade from a version that knew no shards: endpoints have addresses, and all of them shard 0."""
    directory = await opened(catalogue(prefixes("10.0.0.0/17")))  # not divided
    made = (await directory.add_all([draft(n) for n in range(300)]))[299]
    assert made.shard == shard_of_new(made.id) == 43
    store = directory.store
    given = [
        make_downlink(store.next_id(), made.id),
        make_uplink(store.next_id(), made.id),
        UnattributedReport(store.next_id(), made.id, 0, "handle", "sent", "", None, False, 100.0),
        Observation(made.id, b"1", 0, "leshan", b"", 1.0),
        RelayState(made.id, 0),
    ]
    await store.committed([Insert.of(row) for row in given])
    await store.memories.of("nidd").put("d/ep", b"", made.device)

    directory = await opened(catalogue(prefixes("10.0.0.0/16")))  # the same addresses, of a larger prefix
    await directory.renew_sources()

    after = await directory.by_id(made.id)
    assert (after.locals, after.shard) == (made.locals, 1)
    kept = await rows(directory.store, made.id)
    loaded = [*kept.downlinks, *kept.uplinks, *kept.reports, *kept.observations, kept.relay]
    assert [row.shard for row in loaded] == [1] * 5


def test_the_allocator_takes_what_rested_before_it_leaves_the_shard():
    class Used:
        def largest(self, numbers):
            return numbers.stop - 1

        def smallest(self, numbers):
            return numbers.start

        def rested(self, numbers, before):
            return 5 * 254 + 3 if 5 * 254 + 3 in numbers else None

    allocator = Allocator(Used(), prefixes("10.0.0.0/16"), 1e9)
    assert allocator.free(5) == (5 * 254 + 3, 5)
    assert allocator.free(6) == (5 * 254 + 3, 5), "all others are full: any that rested"


async def test_the_shard_is_in_what_the_core_gets(opened, draft, catalogue):
    directory = await opened(catalogue(prefixes("127.64.0.0/10")))
    _, second = await directory.add_all([draft(1), draft(2)])
    assert directory.endpoint(second).shard == 1
    assert (await load(directory.store, ById(second.id))).record.shard == 1


async def test_a_device_that_moves_takes_the_shard_of_its_endpoint(opened, draft, catalogue):
    directory = await opened(catalogue(prefixes("127.64.0.0/10")))
    await directory.add_all([draft(1), Draft("nidd", "other@x.org", "other")])
    memory = directory.store.memories.of("nidd")
    await memory.put("d/new", b"", "new@x.org")
    await directory.update("other", device="new@x.org")
    assert (await load(directory.store, ById(2))).notes == {"d/new": b""}


@pytest.mark.parametrize(
    "texts",
    [
        ("10.64.0.0/16", "2001:db8::/64"),
        ("10.0.0.0/8", "2001:db8::/112"),  # IPv6 has fewer addresses, so that its parts are those of shards
        ("10.0.0.0/16", "10.7.0.0/16", "2001:db8::/111", "2001:db8:7::/64"),
    ],
)
def test_each_address_of_an_endpoint_moves_with_its_shard_in_both_families(texts):
    """One number has an address in each family: the parts of the second family's prefixes have other numbers."""
    found = pools(texts)
    dividing = division(found)
    networks = {shard: networks_of_shard(found, shard) for shard in range(SHARDS)}
    for shard in (0, 1, 7, 128, 255):
        for part in dividing.part(shard):
            for number in (part[0], part[len(part) // 2], part[-1]):
                for pool in found.values():
                    address = ipaddress.ip_address(pool.packed(number))
                    assert [one for one, its in networks.items() if any(address in network for network in its)] == [
                        shard
                    ]


def test_no_two_shards_have_an_address_in_common():
    found = pools(("10.64.0.0/16", "2001:db8::/64"))
    every = [one for shard in range(SHARDS) for one in networks_of_shard(found, shard)]
    for version in (4, 6):
        its = sorted((one for one in every if one.version == version), key=lambda one: one.network_address)
        assert not [(one, two) for one, two in pairwise(its) if one.overlaps(two)]


def test_numbers_that_cannot_be_divided_have_no_networks_of_shards():
    with pytest.raises(ConfigurationError, match=r"10.0.0.0/17 has too few addresses .* use a /16, or a larger prefix"):
        networks_of_shard(pools(("10.0.0.0/17", "2001:db8::/64")), 7)
