import dataclasses
import socket
from pathlib import Path

import pytest

from bridge.config import Config, PolicySettings, control_socket, load, parse
from bridge.config.uris import ServerUri, read_uri
from bridge.errors import ConfigurationError
from bridge.north.udp.ports import PortsScheme
from bridge.north.udp.prefix import PrefixScheme
from bridge.north.udp.scheme import Scheme
from bridge.north.udp.servers import ServerName
from bridge.relay.model import Policy, QueueMode, Server, ServerProfile

GOOD = """
[service]
state_directory = "state"
default_servers = ["other"]

[north]
prefixes = ["10.64.0.0/16", "2001:db8:5::/64"]

[policy]
max_requests = 8
piggyback_window = 0

[servers.leshan]
uri = "coap://lwm2m.example"
profile = "leshan"
patience = 30
queue_mode = "keep"
binding = ""

[servers.other]
uri = "coap://[2001:db8::7]:5783"
secure_port = 5784

[networks.north-sea]
binding = "radio"
name_template = "urn:radio:{device}"
root = "http://127.0.0.1:9"
token = "t0ken-inline"
http = { timeout = 3, password = "file:password.txt", headers = { "X-Key" = "env:RADIO_KEY" } }

[[endpoints]]
name = "urn:dev:1"
network = "north-sea"
address = "a1"
default_ttl = 3600
options = { fport = "7" }

[[endpoints]]
name = "urn:dev:2"
network = "north-sea"
address = "a2"
servers = ["leshan"]
profile = "transparent"
confirmed = true
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("RADIO_KEY", "key-from-environment")
    (tmp_path / "password.txt").write_text("from-a-file\n")
    (tmp_path / "bridge.toml").write_text(GOOD)
    return load(tmp_path / "bridge.toml")


def test_a_configuration_is_read(config, installed, tmp_path):
    assert config.state_directory == tmp_path / "state"
    assert config.database == tmp_path / "state" / "bridge.db"
    assert config.control_socket == tmp_path / "state" / "control.sock" == control_socket(tmp_path / "bridge.toml")
    assert config.policy.policy() == Policy(max_requests=8, piggyback_window=0.0)
    assert config.places() == [
        ServerName("leshan", "lwm2m.example", 5683, 5684),
        ServerName("other", "2001:db8::7", 5783, 5784),
    ]
    network = config.networks["north-sea"]
    assert (network.binding, network.factory) == ("radio", installed)
    assert network.settings.http.timeout == 3.0
    assert network.create().created_with == ("north-sea", network.settings)
    assert config.name_templates() == {"north-sea": "urn:radio:{device}"}
    assert config.default_servers == ("other",)
    assert config.endpoints[0].servers == ["other"]
    assert config.endpoints[0].default_ttl == 3600.0
    assert config.endpoints[1].confirmed


def test_a_server_section_overrides_single_values_of_its_profile(config):
    leshan = ServerProfile(
        patience=30.0, queue_mode=QueueMode.KEEP, binding=None, transfer=30.0, asleep_after_timeout=True
    )
    assert config.server("leshan") == Server("leshan", leshan, ("lwm2m.example",), 5683)
    assert config.server("other") == Server("other", ServerProfile(), ("2001:db8::7",), 5783)


def test_secrets_come_from_the_file_a_file_or_the_environment_and_are_not_shown(config):
    settings = config.networks["north-sea"].settings
    assert settings.token == "t0ken-inline"
    assert settings.http.password == "from-a-file"
    assert settings.http.headers == {"X-Key": "key-from-environment"}
    assert config.secrets == {"t0ken-inline", "from-a-file", "key-from-environment"}
    for secret in config.secrets:
        assert secret not in repr(config)


def test_policy_has_the_names_and_defaults_of_the_relay():
    assert [f.name for f in dataclasses.fields(Policy)] == list(PolicySettings.__struct_fields__)
    assert PolicySettings().policy() == Policy()


def test_the_transport_follows_the_configuration(config):
    transport = config.north.addresses([("192.0.2.1", 5683)])
    assert isinstance(transport, PrefixScheme)
    assert transport.local(0, socket.AF_INET) == ("10.64.0.1", 15683)
    ports = parse('[north]\nscheme = "ports"\nports = "20000-20009"', "x", Path()).north
    assert ports.scheme is Scheme.PORTS
    made = ports.addresses([("192.0.2.1", 5683)])
    assert isinstance(made, PortsScheme)
    assert made.sources == range(20000, 20010)


@pytest.mark.parametrize(
    ("text", "families"),
    [
        ("", {socket.AF_INET, socket.AF_INET6}),
        ('prefixes = ["2001:db8::/64"]', {socket.AF_INET6}),
        ('prefixes = ["2001:db8::/64", "10.0.0.0/8"]', {socket.AF_INET, socket.AF_INET6}),
        ('source_address = "192.0.2.1"', {socket.AF_INET}),
        ('scheme = "ports"\nprefixes = ["10.0.0.0/8"]\nsource_address = "::1"', {socket.AF_INET6}),
    ],
)
def test_names_are_resolved_to_addresses_that_can_be_reached(text, families):
    assert parse("[north]\n" + text, "x", Path()).north.families() == families


def test_an_endpoint_without_servers_has_the_only_one(tmp_path):
    text = """
    [servers.only]
    uri = "coap://localhost"
    [networks.n]
    binding = "radio"
    root = "r"
    [[endpoints]]
    name = "e"
    network = "n"
    address = "a"
    """
    assert parse(text, "x", tmp_path).endpoints[0].servers == ["only"]


def test_nothing_given_is_all_defaults(tmp_path):
    assert parse("", "x", tmp_path) == Config(tmp_path)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("coap://host", ("coap", "host", 5683)),
        ("coap://host:5783/", ("coap", "host", 5783)),
        ("COAP://192.0.2.1:1", ("coap", "192.0.2.1", 1)),
        ("coap://[::1]", ("coap", "::1", 5683)),
        ("coap://[2001:db8::1]:5685", ("coap", "2001:db8::1", 5685)),
        ("coaps://Host", ("coaps", "host", 5684)),
        ("coap+tcp://host", ("coap+tcp", "host", 5683)),
        ("coaps+tcp://host", ("coaps+tcp", "host", 5684)),
    ],
)
def test_a_uri_is_a_scheme_a_host_and_a_port(uri, expected):
    assert read_uri(uri) == ServerUri(*expected)


@pytest.mark.parametrize(
    "uri",
    [
        "", "host:5683", "coap:host", "coap://", "coap://host:0", "coap://host:70000", "coap://host:x", "coap://[::1",
        "coap://[nonsense]", "coap://::1:5683:7", "coap://host/rd", "coap://host?ep=1", "coap://user@host", "coap+ws://host",
        "http://host",
    ],
)  # fmt: skip
def test_any_other_uri_is_refused_with_the_cure(uri):
    with pytest.raises(ConfigurationError, match="write coap://host:port"):
        read_uri(uri)


SECURE = '[servers.s]\nuri = "coaps://h"\n[servers.s.security]\nmode = "certificate"\ncertificate = "c"\n'
SERVER = '[servers.s]\nuri = "coap://h"\n'
NETWORK = '[networks.n]\nbinding = "radio"\nroot = "r"\n'
TWO_SPELLINGS = """
[service]
default_servers = ["a", "b"]
[servers.a]
uri = "coap://[2001:db8::0:7]"
[servers.b]
uri = "coap://[2001:db8::7]"
"""
ENDPOINT = '[[endpoints]]\nname = "e"\nnetwork = "n"\naddress = "a"\n'
QUOTA = '[[quotas]]\nname = "q"\nnetwork = "n"\nperiod = "day"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[north\n", ["is not TOML", "line 1"]),
        ("[a.b]\n[a.b]", ["is not TOML", "Cannot declare [a.b] twice", "line 2"]),
        ("[nort]", ["unknown section [nort]", "did you mean 'north'?"]),
        ("service = 3", ["[service]", "must be a section"]),
        ('[north]\nprefxes = ["10.0.0.0/8"]', ["[north] prefxes: unknown key", "did you mean 'prefixes'?"]),
        ('[north]\nport = "15683"', ["[north] port: expected int, got str", "the one UDP source port"]),
        ("[north]\nport = 0", ["[north] port: expected int >= 1"]),
        ('[north]\nscheme = "prefixes"', ["[north] scheme", "prefixes", "one of auto, prefix, ports"]),
        ('[north]\nports = "many"', ["[north] ports:", "first and last UDP source port"]),
        ('[north]\nprefixes = ["10.0.0.1/8"]', ["[north] prefixes:", "10.0.0.1/8"]),
        ("[north]\nprefixes = [8]", ["[north] prefixes: expected str, got int"]),
        ("[policy]\nmax_requests = 0", ["[policy] max_requests: expected int >= 1", "answered 5.03"]),
        ("[policy]\nnotify_hold = -1", ["[policy] notify_hold"]),
        ('[service]\ndefault_servers = ["s"]', ["[service] default_servers: unknown server 's'"]),
        ('[networks.n]\nbinding = "radio"\nname_template = 3', ["[networks.n] name_template: must be a text"]),
        (NETWORK + 'name_template = "same"', ["[networks.n] name_template:", "names all devices alike"]),
        (NETWORK + "server_ports = 3", ["[networks.n] server_ports: must be a table of ports"]),
        (NETWORK + "server_ports = { s = 3 }", ["[networks.n] server_ports: must be a table of ports"]),
        (
            SERVER + NETWORK + 'server_ports = { t = "1:1" }',
            ["[networks.n] server_ports: unknown server 't'", "known: s"],
        ),
        (
            SERVER + NETWORK + 'server_ports = { s = "1:1", "*" = "1:1" }',
            ["[networks.n] server_ports: option server_ports has port 1:1 for two servers"],
        ),
        (f'[service]\nmetrics_listen = "h:{"9" * 5000}"', ["[service] metrics_listen", "like 127.0.0.1:9464"]),
        ('[service]\nmetrics_listen = "9464"', ["[service] metrics_listen", "like 127.0.0.1:9464"]),
        ('[service]\nstate_directory = "/' + "x" * 120 + '"', ["[service] control_socket", "107 bytes"]),
        ('[servers.s]\nprofile = "leshan"', ["[servers.s] uri: missing", "coap://host:port"]),
        ('[servers.s]\nuri = "coaps://h"', ["[servers.s]", "coaps://h", "secure_port"]),
        (SECURE + 'ocsp_responder = "ldap://h"\nrevocation = "ocsp"', ["ocsp_responder", "http:// or https:// URL"]),
        (SECURE + 'ocsp_unavailable = "accept"', ['ocsp_unavailable has no effect without revocation = "ocsp"']),
        (SECURE + 'private_key = "pkcs11:token=a;object=b"', ["private_key", "PKCS #11 token", "name a PEM file"]),
        (SECURE + 'revocation = "ask"', ["revocation", "one of lists, staple, ocsp"]),
        (SERVER + 'profile = "lehsan"', ["[servers.s]", "did you mean 'leshan'?", "thingsboard"]),
        (SERVER + "patience = 2", ["[servers.s]", "margin 5.0 s leave no time"]),
        (SERVER + 'queue_mode = "drop"', ["[servers.s] queue_mode", "one of strip, keep, add"]),
        (SERVER + 'profile = "LESHAN"', ["[servers.s]", "did you mean 'leshan'?"]),
        ("[servers]\nuri = 1", ["[servers.uri]", "must be a section", "write the keys below [servers.NAME]"]),
        ("servers = 1", ["[servers.NAME]"]),
        ("[networks.n]\nroot = 1", ["[networks.n] binding: missing"]),
        ('[networks.n]\nbinding = "rado"', ["unknown binding 'rado'", "did you mean 'radio'?"]),
        ('[networks.n]\nbinding = "broken"', ["[networks.n] binding", "cannot be loaded", "antenna"]),
        ('[networks.n]\nbinding = "radio"', ["[networks.n] root: missing", "where it is, a URL"]),
        (NETWORK + "toke = 1", ["[networks.n] toke: unknown key", "did you mean 'token'?"]),
        (NETWORK + "http.timeot = 1", ["[networks.n.http] timeot", "did you mean 'timeout'?"]),
        (NETWORK + "http.timeout = 0", ["[networks.n.http] timeout: expected float > 0", "seconds to wait"]),
        (NETWORK + "http = 1", ["[networks.n.http]", "must be a section"]),
        (NETWORK + 'token = "file:absent"', ["[networks.n] token", "absent", "No such file"]),
        (NETWORK + 'http.password = "file:absent"', ["[networks.n.http] password", "create it, or name another file"]),
        (NETWORK + 'http.password = "env:ABSENT"', ["[networks.n.http] password", "ABSENT is not set"]),
        (NETWORK + 'http.password = "$PASSWORD"', ["[networks.n.http] password", "write env:PASSWORD", "file:PATH"]),
        (NETWORK + 'http.password = "${pass_word}"', ["[networks.n.http] password", "write env:pass_word"]),
        (NETWORK + "http.password = 17", ["[networks.n.http] password: expected str, got int"]),
        (ENDPOINT, ["number 1 (e) network: unknown network 'n'", "known: none"]),
        (NETWORK + ENDPOINT, ["number 1 (e) servers: missing", "add a section [servers.NAME]"]),
        (SERVER + NETWORK + ENDPOINT + 'servers = ["t"]', ["unknown server 't'", "known: s"]),
        (SERVER + NETWORK + ENDPOINT + 'profile = "x"', ["(e) profile: unknown server profile 'x'"]),
        (SERVER + NETWORK + ENDPOINT + "default_ttl = 0", ["(e) default_ttl: expected float > 0"]),
        (SERVER + NETWORK + ENDPOINT + ENDPOINT, ["number 2 (e) name: given twice"]),
        (SERVER + NETWORK + ENDPOINT + ENDPOINT.replace('"e"', '"f"'), ["number 2 (f) address", "another endpoint"]),
        (SERVER + NETWORK + ENDPOINT + "options = { fport = 7 }", ["(e) options: expected str, got int"]),
        ('[[endpoints]]\nnetwork = "n"', ["number 1 name: missing"]),
        ("endpoints = [3]", ["number 1: must be a section"]),
        ("[endpoints]\nname = 3", ["written [[endpoints]]"]),
        ("[quotas]\nname = 3", ["written [[quotas]]"]),
        (QUOTA + "messages = 1", ["number 1 (q) network: unknown network 'n'", "known: none"]),
        (NETWORK + QUOTA, ["number 1 (q)", "limits nothing", "set messages, bytes or both"]),
        (NETWORK + QUOTA + "messages = 0", ["(q) messages: expected int >= 1"]),
        (NETWORK + QUOTA + "messages = 1\nreserve = 1.0", ["(q) reserve: expected float < 1", "answers to devices"]),
        (NETWORK + QUOTA.replace("day", "month") + "messages = 1", ["(q) period", "one of minute, hour, day, week"]),
        (NETWORK + QUOTA + 'messages = 1\ncounts = "uplinks"', ["(q)", "never held or refused", 'at_limit = "warn"']),
        (NETWORK + (QUOTA + "messages = 1\n") * 2, ["number 2 (q) name: given twice"]),
    ],
)  # fmt: skip
def test_every_fault_names_file_section_key_and_cure(text, expected, tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "bridge.toml", tmp_path)
    shown = str(caught.value)
    assert shown.startswith("bridge.toml: ")
    for part in expected:
        assert part in shown


def test_a_file_that_cannot_be_read_is_refused_with_the_cure(tmp_path):
    with pytest.raises(ConfigurationError, match=r"No such file.*config template"):
        load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def test_no_error_tells_a_secret(tmp_path):
    text = NETWORK + 'token = "hush-hush"\nhttp.password = ["hush-hush"]'
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "x", tmp_path)
    assert "hush" not in str(caught.value)


def test_where_the_service_listens_for_commands_is_read_whatever_stands_elsewhere_in_the_file(tmp_path):
    """A command must reach a running service while its configuration is being edited."""
    file = tmp_path / "bridge.toml"
    file.write_text('[service]\nstate_directory = "state"\n[nonsense]\n[servers.lab]\nuri = 5\n')
    assert control_socket(file) == tmp_path / "state" / "control.sock"
    file.write_text("[service]\nstate = 5\n")
    with pytest.raises(ConfigurationError, match="unknown key"):
        control_socket(file)


def test_without_its_secrets_a_configuration_tells_everything_else(tmp_path, installed, monkeypatch):
    monkeypatch.delenv("RADIO_KEY", raising=False)
    (tmp_path / "bridge.toml").write_text(GOOD)
    config = load(tmp_path / "bridge.toml", secrets=False)
    assert list(config.networks) == ["north-sea"]
    assert config.secrets == frozenset()


TWO_AT_ONE = """
[servers.a]
uri = "coap://LWM2M.example"
[servers.b]
uri = "coap://lwm2m.example:5683"
[servers.c]
uri = "coap://lwm2m.example:5783"
[networks.n]
binding = "radio"
root = "http://127.0.0.1:9"
token = "t"
"""
TWO_SPELLINGS = """
[service]
default_servers = ["a", "b"]
[servers.a]
uri = "coap://[2001:db8::0:7]"
[servers.b]
uri = "coap://[2001:db8::7]"
"""
ENDPOINT = '[[endpoints]]\nname = "{0}"\nnetwork = "n"\naddress = "{0}"\nservers = {1}\n'


def test_two_servers_at_one_address_serve_different_endpoints(tmp_path, installed):
    text = TWO_AT_ONE + ENDPOINT.format("e1", '["a", "c"]') + ENDPOINT.format("e2", '["b"]')
    assert len(parse(text, "bridge.toml", tmp_path).endpoints) == 2


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (TWO_AT_ONE + ENDPOINT.format("e1", '["a", "b"]'), r"\[\[endpoints\]\] number 1 \(e1\) servers"),
        ('[service]\ndefault_servers = ["b", "c", "a"]\n' + TWO_AT_ONE, r"\[service\] default_servers"),
        (TWO_SPELLINGS, r"\[service\] default_servers"),
    ],
)
def test_one_endpoint_cannot_have_two_servers_at_one_address(tmp_path, installed, text, where):
    with pytest.raises(ConfigurationError, match=rf"{where}: servers '.' and '.' are both at .* port 5683"):
        parse(text, "bridge.toml", tmp_path)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_a_third_party_s_number_is_finite_too(tmp_path, installed, value):
    text = f'[networks.n]\nbinding = "radio"\nroot = "r"\nhttp = {{ timeout = {value} }}\n'
    with pytest.raises(ConfigurationError, match=rf"\[networks\.n\.http\] timeout: {value} is no finite number"):
        parse(text, "bridge.toml", tmp_path)
