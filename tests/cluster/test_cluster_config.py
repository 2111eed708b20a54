"""[cluster]: what several nodes cannot do is refused, with the reason."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bindings.lorawan import LorawanBinding
from bridge.cli import main
from bridge.config import checked
from bridge.config.reading import parse
from bridge.errors import ConfigurationError, LedgerInUse
from bridge.service import at_rest
from bridge.store.contract import Store

POSTGRES = '[service]\ndatabase = "postgresql://bridge@db.example/bridge"\n'
CLUSTER = "[cluster]\nenabled = true\n"
SERVER = '[servers.s]\nuri = "coap://127.0.0.1"\n'
NIDD = (
    '[networks.n]\nbinding = "nidd"\napi_root = "http://127.0.0.1:1"\nscs_as_id = "a"\n'
    'credentials = { kind = "bearer", token = "t" }\n'
)
LORAWAN = '[networks.n]\nbinding = "lorawan"\napi = { server = "127.0.0.1:9", key = "k" }\n'
QUOTA = '[[quotas]]\nname = "q"\nnetwork = "n"\nperiod = "day"\nmessages = 9\nper = "network"\n'


def configured(text: str, tmp_path: Path) -> None:
    checked(parse(text, "bridge.toml", tmp_path))


def test_nodes_with_nidd_on_postgresql_are_accepted(tmp_path: Path) -> None:
    configured(POSTGRES + CLUSTER + SERVER + NIDD, tmp_path)
    configured(POSTGRES + CLUSTER + SERVER + NIDD + QUOTA, tmp_path)


def test_a_node_may_have_its_name_from_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def name(more: str = "") -> str:
        config = parse(POSTGRES + CLUSTER + more + SERVER + NIDD, "bridge.toml", tmp_path)
        checked(config)
        return config.cluster.name

    monkeypatch.setenv("LWM2M_BRIDGE_NODE", "field-2")
    assert name() == "field-2"
    assert name('node = "own"\n') == "own"
    monkeypatch.setenv("LWM2M_BRIDGE_NODE", "no name")
    with pytest.raises(ConfigurationError, match="'no name' is no name of a node: set LWM2M_BRIDGE_NODE"):
        name()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CLUSTER + SERVER + NIDD, "needs a ledger in PostgreSQL"),
        (POSTGRES + CLUSTER + "[standby]\nenabled = true\n" + SERVER + NIDD, "set \\[standby\\] enabled = false"),
        (POSTGRES + CLUSTER + '[north]\nscheme = "ports"\n' + SERVER + NIDD, "a port cannot move to another node"),
        (POSTGRES + CLUSTER + "lease = 2.0\n" + SERVER + NIDD, "renew 1 is more than a quarter of lease 2"),
        (POSTGRES + CLUSTER + 'node = "a b"\n' + SERVER + NIDD, "node"),
        (POSTGRES + CLUSTER + '[north]\nprefixes = ["10.9.0.0/17"]\n' + SERVER + NIDD, r"10.9.0.0/17 .* use a /16"),
        (
            POSTGRES + CLUSTER + '[north]\nprefixes = ["10.0.0.0/8", "2001:db8::/113"]\n' + SERVER + NIDD,
            r"2001:db8::/113 has too few addresses to be divided among 256 shards; use a /112",
        ),
    ],
)
def test_what_nodes_cannot_do_is_refused_with_the_reason(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=why):
        configured(text, tmp_path)


def test_sms_runs_on_several_nodes_beside_nidd(tmp_path: Path) -> None:
    sms = NIDD.replace("networks.n]", "networks.sms]").replace('"nidd"', '"sms"')
    assert sms != NIDD
    configured(POSTGRES + CLUSTER + SERVER + NIDD + "callbacks = { port = 8091 }\n" + sms, tmp_path)


def test_a_network_that_cannot_run_on_several_nodes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(LorawanBinding, "device_came")
    with pytest.raises(ConfigurationError, match="binding lorawan of network n cannot run on several nodes yet; move"):
        configured(POSTGRES + CLUSTER + SERVER + LORAWAN, tmp_path)


def test_lorawan_runs_on_several_nodes_if_chirpstack_posts_to_all_of_them(tmp_path: Path) -> None:
    http = 'http = { public_url = "http://lb.example", path = "p" }'
    configured(POSTGRES + CLUSTER + SERVER + LORAWAN + http, tmp_path)
    with pytest.raises(ConfigurationError, match=r"networks.n\] http: on several nodes, set public_url to the URL"):
        configured(POSTGRES + CLUSTER + SERVER + LORAWAN, tmp_path)
    configured(SERVER + LORAWAN, tmp_path)


def test_a_network_with_the_name_that_nodes_use_for_wake_ups_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="choose another one"):
        configured(POSTGRES + CLUSTER + SERVER + NIDD.replace("networks.n]", 'networks."(wake-ups)"]'), tmp_path)


async def test_a_command_where_the_node_is_down_says_where_to_type_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_use(_database: object) -> Store:
        raise LedgerInUse("the database is in use by another bridge: stop that one")

    monkeypatch.setattr(at_rest, "open_store", in_use)
    for settings, why in ((CLUSTER, "type the command there"), ("", "stop that one")):
        state = f'state_directory = "{tmp_path}"\n'
        config = parse(POSTGRES + state + settings + SERVER + NIDD, "bridge.toml", tmp_path)
        async with at_rest.BridgeAtRest(config, lambda: config, changes=True) as bridge:  # noqa: B023
            with pytest.raises(LedgerInUse, match=why):
                await bridge.directory.count()


def shown(tmp_path: Path, north: str, *arguments: str) -> Result:
    """Return what `cluster prefixes` prints."""
    file = tmp_path / "bridge.toml"
    file.write_text(POSTGRES + CLUSTER + north + SERVER + NIDD)
    return CliRunner().invoke(main, ["cluster", "prefixes", "--config", str(file), *arguments])


def test_the_networks_of_shards_are_printed_without_a_service(tmp_path: Path) -> None:
    north = '[north]\nprefixes = ["10.64.0.0/16", "2001:db8::/64"]\n'
    lines = shown(tmp_path, north).output.splitlines()
    assert len(lines) == 256
    assert lines[7].split()[:2] == ["7", "10.64.7.0/24"]
    found = json.loads(shown(tmp_path, north, "--shard", "1", "--json").output)
    assert found[0]["shard"] == 1
    assert found[0]["networks"][:3] == ["10.64.1.0/24", "2001:db8::ff/128", "2001:db8::100/121"]


def test_without_prefixes_it_is_said_that_nothing_moves(tmp_path: Path) -> None:
    result = shown(tmp_path, "")
    assert result.exit_code == 1
    assert "nothing moves with a shard" in result.output
