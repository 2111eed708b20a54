"""What nodes of a cluster must have alike, and what may differ while they are changed one after the other."""

from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest

from bridge.cluster.agreement import Agreement, conflicts, differences
from bridge.config import Config
from bridge.config.agreement import agreement
from bridge.config.reading import load
from bridge.errors import StoreUnavailable
from bridge.north.udp.scheme import Scheme
from bridge.service import upkeep
from tests.cluster.two import two_nodes
from tests.waiting import until

OLD, NEW = "11" * 32, "22" * 32


def of(config: Config, **service: str) -> Agreement:
    return agreement(replace(config, service=msgspec.structs.replace(config.service, **service)))


@pytest.fixture
def config(tmp_path) -> Config:
    file = tmp_path / "bridge.toml"
    file.write_text(
        '[servers.lab]\nuri = "coap://127.0.0.1:5683"\n'
        '[networks.net]\nbinding = "nidd"\napi_root = "http://scef"\nscs_as_id = "as"\n'
        'callbacks = { public_url = "http://balancer", path = "unguessable" }\n'
    )
    return load(file)


def with_north(config: Config, **changed: object) -> Config:
    return replace(config, north=msgspec.structs.replace(config.north, **changed))


@pytest.mark.parametrize(
    ("changed", "setting"),
    [({"prefixes": ["10.64.0.0/16"]}, "[north] prefixes"), ({"scheme": Scheme.PREFIX}, "[north] scheme")],
)
def test_addresses_are_given_alike_by_all_nodes(config, changed, setting):
    here, there = agreement(with_north(config, **changed)), agreement(config)
    (what,) = conflicts(here, there)
    assert what.startswith(f"{setting} is {here.alike[setting]} here and {there.alike[setting]} there")


@pytest.mark.parametrize(("section", "waits"), [("networks", "devices of that network"), ("servers", "that server")])
def test_a_node_that_lacks_what_the_others_have_is_refused_and_one_that_has_more_is_not(config, section, waits):
    """It would end what waits for it. So networks and servers are added by restarts, and removed by reloads."""
    less, more = agreement(replace(config, **{section: {}})), agreement(config)
    (what,) = conflicts(less, more)
    assert what.startswith(f"[{section}.{'net' if section == 'networks' else 'lab'}] is there and not here")
    assert waits in what
    assert [*conflicts(more, less)] == []


def test_a_network_is_of_one_kind_at_all_nodes(config):
    of_sms = replace(config, networks={"net": replace(config.networks["net"], binding="sms")})
    (what,) = conflicts(agreement(of_sms), agreement(config))
    assert what.startswith("[networks.net] binding is sms here and nidd there. Give all nodes the same")
    without = replace(config, networks={})
    assert [*differences(agreement(without), agreement(config))] == [
        "[networks.net] public_url is not there here and http://balancer there"
    ]


def test_servers_may_change_on_one_node_after_the_other(config):
    other = {"lab": msgspec.structs.replace(config.servers["lab"], uri="coap://elsewhere")}
    changed = agreement(replace(config, servers=other))
    assert [*conflicts(changed, agreement(config))] == []
    assert [*differences(changed, agreement(config))] == [
        "[servers.lab] uri is coap://elsewhere here and coap://127.0.0.1:5683 there"
    ]


def test_a_node_encrypts_only_what_the_others_can_decrypt(config):
    clear, old, new = of(config), of(config, store_key=OLD), of(config, store_key=NEW)
    for here, there in ((clear, old), (old, clear), (old, new)):
        assert [*conflicts(here, there)], "one of them writes what the other cannot read"
    assert "former_store_key on all nodes first" in next(conflicts(old, clear))


def test_keys_are_exchanged_on_one_node_after_the_other(config):
    """The steps of docs/decisions/secrets-at-rest.md: at each of them, nodes of the step before are still there."""
    steps = (
        of(config, store_key=OLD),
        of(config, store_key=OLD, former_store_key=NEW),
        of(config, store_key=NEW, former_store_key=OLD),
        of(config, store_key=NEW),
    )
    for before, after in pairwise(steps):
        assert [*conflicts(after, before)] == [*conflicts(before, after)] == []
    first_key = (of(config), of(config, former_store_key=OLD), of(config, store_key=OLD))
    for before, after in pairwise(first_key):
        assert [*conflicts(after, before)] == [*conflicts(before, after)] == []


def test_it_holds_no_secret(config):
    said = msgspec.json.encode(of(config, store_key=OLD)).decode()
    assert "unguessable" not in said
    assert OLD not in said


async def test_what_a_node_says_of_itself_follows_a_reload_also_if_the_database_was_away(tmp_path, monkeypatch):
    """Else a node is refused for want of a network that is nowhere any more, or joins without one that is there."""
    monkeypatch.setattr(upkeep, "AGAIN_AFTER", 0.01)
    async with two_nodes(tmp_path, monkeypatch) as both:
        agree, said, failures = both.service.cluster.agree, [], 2

        async def away(what: Agreement) -> None:
            nonlocal failures
            if failures:
                failures -= 1
                raise StoreUnavailable("no answer")
            await agree(what)
            said.append(what)

        monkeypatch.setattr(both.service.cluster, "agree", away)
        before = both.service.config
        lab = msgspec.structs.replace(before.servers["lab"], profile="leshan")
        after = replace(before, servers={**before.servers, "lab": lab})
        await both.service.change(before, after, {})
        await until(lambda: said)
        assert said == [agreement(both.service.config)]
        assert said != [agreement(before)]
