"""What nodes of a cluster must have alike, and what may differ while they are changed one after the other."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from bridge.cluster.agreement import ALIKE, NOTHING_SAID, Agreement, conflicts, differences, unlike
from bridge.config import Config
from bridge.config.agreement import agreement
from bridge.config.difference import in_force
from bridge.config.reading import load
from bridge.errors import ConfigurationError, StoreUnavailable
from bridge.north.udp.scheme import Scheme
from bridge.operations.types.cluster import GetCluster
from bridge.operations.types.state import GetMetrics, GetStatus
from bridge.service import node_agreement, reload, upkeep
from bridge.service.node_agreement import NodeAgreement
from bridge.service.reload import Reloader
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
    """What waits for a network would end at a node without it. Restarts add networks, reloads remove them."""
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

        async def away(what: Agreement, *check: Any) -> None:
            nonlocal failures
            if failures and not check:
                failures -= 1
                raise StoreUnavailable("no answer")
            await agree(what, *check)
            if not check:
                said.append(what)

        monkeypatch.setattr(both.service.cluster, "agree", away)
        before = both.service.config
        lab = msgspec.structs.replace(before.servers["lab"], profile="leshan")
        after = replace(before, servers={**before.servers, "lab": lab})
        await both.service.change(before, after, {})
        await until(lambda: said)
        assert said == [agreement(both.service.config)]
        assert said != [agreement(before)]


def test_running_nodes_contradict_each_other_in_what_must_be_alike_and_not_in_what_one_of_them_lacks(config):
    """A network or a server is added and removed on one node after the other; its kind is not changed so."""
    here = agreement(config)
    of_sms = agreement(replace(config, networks={"net": replace(config.networks["net"], binding="sms")}))
    less = agreement(replace(config, networks={}))
    assert unlike(here, here) == unlike(here, NOTHING_SAID) == unlike(NOTHING_SAID, here) == ALIKE
    (what,) = unlike(here, of_sms).contradictions
    assert what.startswith("[networks.net] binding is nidd here and sms there")
    assert unlike(less, here).contradictions == unlike(here, less).contradictions == ()
    assert unlike(less, here).differences


def test_a_key_counts_from_the_start_on_also_after_a_reload(config):
    """The store of a node that runs goes on with its key: what a reload finds in the file is no key of that node."""
    before = replace(config, service=msgspec.structs.replace(config.service, store_key=OLD))
    after = replace(config, service=msgspec.structs.replace(config.service, store_key=NEW, former_store_key=OLD))
    assert agreement(in_force(before, after)) == agreement(before)


def of_another_kind(config: Config) -> Agreement:
    """Return what a node says whose network is of another kind."""
    said = agreement(config)
    (name,) = (name for name in said.alike if name.startswith("[networks."))
    return msgspec.structs.replace(said, alike={**said.alike, name: "another"})


def with_profile(config: Config, profile: str) -> Config:
    lab = msgspec.structs.replace(config.servers["lab"], profile=profile)
    return replace(config, servers={**config.servers, "lab": lab})


async def test_a_reload_that_would_contradict_another_node_changes_nothing(tmp_path, monkeypatch):
    async with two_nodes(tmp_path, monkeypatch) as both:
        before = both.service.config
        (net,) = before.networks
        after = replace(
            with_profile(before, "leshan"), networks={net: replace(before.networks[net], binding="another")}
        )
        await both.b.agree(agreement(before))
        with pytest.raises(ConfigurationError, match=r"contradict node 'b', so nothing is changed: .*another here and"):
            await both.service.change(before, after, {})
        assert both.service.config == before
        assert (await both.b.agreements())["a"] == agreement(before)


def of_kind(config: Config, kind: str) -> Config:
    (net,) = config.networks
    return replace(config, networks={net: replace(config.networks[net], binding=kind)})


async def test_a_dry_run_says_that_a_reload_would_contradict_another_node(tmp_path, monkeypatch):
    async with two_nodes(tmp_path, monkeypatch) as both:
        before = both.service.config
        monkeypatch.setattr(reload, "checked", lambda _config: {})
        both.service.reloader = Reloader(lambda: of_kind(before, "another"), before, (), both.service.metrics.count)
        assert await both.service.reload(dry_run=True), "node b says nothing yet"
        await both.b.agree(agreement(before))
        with pytest.raises(ConfigurationError, match="contradict node 'b', so nothing is changed"):
            await both.service.reload(dry_run=True)
        assert (await both.b.agreements())["a"] == agreement(before)


async def test_of_two_reloads_at_one_moment_that_contradict_each_other_only_one_begins(tmp_path, monkeypatch):
    """The others know what a reload wants before it changes anything; so the second one is refused."""
    async with two_nodes(tmp_path, monkeypatch) as both:
        ledgers = {"a": both.service.cluster, "b": both.b}
        before = replace(both.service.config, networks={})
        for ledger in ledgers.values():
            await ledger.agree(agreement(before))
        after = {node: of_kind(both.service.config, kind) for node, kind in (("a", "one"), ("b", "another"))}
        begun, may_end = list[str](), asyncio.Event()

        async def begin(node: str) -> None:
            async def change() -> node_agreement.Changed:
                begun.append(node)
                await may_end.wait()
                return after[node], ()

            own = NodeAgreement(ledgers[node], node, before)
            await own.through(before, after[node], change, nothing_later)

        reloads = [asyncio.create_task(begin(node)) for node in ledgers]
        done, _ = await asyncio.wait(reloads, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        with pytest.raises(ConfigurationError, match="so nothing is changed"):
            await refused
        assert len(begun) == 1
        may_end.set()
        await asyncio.gather(*reloads, return_exceptions=True)
        assert (await both.b.agreements())[begun[0]] == agreement(after[begun[0]])


@pytest.mark.parametrize("why", [ConfigurationError("no port"), StoreUnavailable("no answer")])
async def test_what_a_reload_wanted_is_taken_back_if_it_changes_nothing(tmp_path, monkeypatch, why):
    async with two_nodes(tmp_path, monkeypatch) as both:
        before = both.service.config

        async def change() -> node_agreement.Changed:
            assert (await both.b.agreements())["a"] == agreement(with_profile(before, "leshan"))
            raise why

        own = NodeAgreement(both.service.cluster, "a", before)
        with pytest.raises(type(why)):
            await own.through(before, with_profile(before, "leshan"), change, nothing_later)
        assert (await both.b.agreements())["a"] == agreement(before)


def nothing_later(work: Any) -> None:
    raise AssertionError("the ledger has answered")


async def test_a_reload_that_cannot_be_compared_changes_nothing_unless_it_says_nothing_to_others(tmp_path, monkeypatch):
    async with two_nodes(tmp_path, monkeypatch) as both:

        async def away(what: Agreement, *check: Any) -> None:
            if check:
                raise StoreUnavailable("no answer")
            await agree(what)

        agree = both.service.cluster.agree
        monkeypatch.setattr(both.service.cluster, "agree", away)
        before = both.service.config
        with pytest.raises(StoreUnavailable):
            await both.service.change(before, with_profile(before, "leshan"), {})
        assert both.service.config == before
        longer = replace(before, service=msgspec.structs.replace(before.service, retention=1e6))
        assert (await both.service.change(before, longer, {}))[0] == longer


async def test_nodes_that_have_come_apart_are_seen_until_they_are_alike_again(tmp_path, monkeypatch, caplog):
    """Such as by reloads at one moment, or by a node of a release that did not compare. Other reloads go on."""
    monkeypatch.setattr(node_agreement, "EVERY", 0.02)
    async with two_nodes(tmp_path, monkeypatch) as both:
        before = both.service.config

        async def contradicts() -> tuple[str, ...]:
            status = (await both.ask(GetStatus())).node
            assert status is not None
            return status.contradicts

        async def seen(expected: tuple[str, ...]) -> None:
            while await contradicts() != expected:
                await asyncio.sleep(0.01)

        assert await contradicts() == ()
        await both.b.agree(of_another_kind(before))
        async with asyncio.timeout(10):
            await seen(("b",))
        a, b = (await both.ask(GetCluster())).nodes
        assert (a.contradictions, a.differences, b.differences) == ((), (), ())
        assert "another there" in b.contradictions[0]
        assert 'cluster_settings_contradicting{node="b"} 1.0' in (await both.ask(GetMetrics())).text
        assert "this node contradicts node 'b'" in caplog.text

        await both.service.change(before, with_profile(before, "leshan"), {})  # it makes nothing worse
        _, b = (await both.ask(GetCluster())).nodes
        assert b.differences == ("[servers.lab] profile is leshan here and default there",)

        await both.b.agree(agreement(both.service.config))
        async with asyncio.timeout(10):
            await seen(())
        assert "cluster_settings_contradicting{" not in (await both.ask(GetMetrics())).text
