"""What can be known without opening anything is found by `config check`, and by `run` in the same words."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.config import checked, parse
from bridge.errors import ConfigurationError
from bridge.north.udp.system import ephemeral_ports
from bridge.service.service import Service

SERVER = '[servers.lab]\nuri = "coap://127.0.0.1:10583"\n'
OUTSIDE = '[servers.lab]\nuri = "coap://192.0.2.1"\n'
TAKEN = ephemeral_ports()


def network(name: str, port: int, more: str = "") -> str:
    return (
        f'[networks.{name}]\nbinding = "nidd"\napi_root = "http://127.0.0.1:9"\nscs_as_id = "lab"\n'
        f"callbacks = {{ port = {port}{more} }}\n"
    )


def endpoint(name: str, address: str, more: str = "") -> str:
    return f'[[endpoints]]\nname = "{name}"\nnetwork = "one"\naddress = "{address}"\n{more}\n'


LORAWAN = f'[networks.two]\nbinding = "lorawan"\napi = {{ server = "127.0.0.1:9", key = "{"k" * 20}" }}\n'

WRONG = {
    "the FPort of MAC commands for a server": (
        SERVER + LORAWAN + 'server_ports = { lab = "0" }\n',
        r"\[networks\.two\] server_ports: option server_ports '0': FPort 0 carries MAC commands; use 1 to 223",
    ),
    "the FPort of certification tests for a server": (
        SERVER + LORAWAN + 'server_ports = { lab = "224" }\n',
        r"\[networks\.two\] server_ports: option server_ports '224': 224 is reserved for certification tests; use 1 to",
    ),
    "the FPort of the relay protocol for a server": (
        SERVER + LORAWAN + 'server_ports = { lab = "226" }\n',
        r"\[networks\.two\] server_ports: option server_ports '226': 226 is reserved for the relay protocol; use 1 to",
    ),
    "a server with the name of the API's callers": (
        SERVER.replace("lab", '"(API)"') + network("one", 8180),
        r"is the name of requests that come by the API; choose another one",
    ),
    "a key of secrets that is too short": (
        '[service]\nstore_key = "0001"\n' + network("one", 8180),
        r"\[service\] store_key: must be 64 hexadecimal digits; openssl rand -hex 32 makes them",
    ),
    "one port for two networks": (
        network("one", 8180) + network("two", 8180),
        r"\[networks\.two\] callbacks\.port: port 8180 is already used by .*\[networks\.one\] callbacks\.port",
    ),
    "a port on all addresses and on one": (
        network("one", 8180, ', bind = "0.0.0.0", public_url = "http://bridge.example"') + network("two", 8180),
        r"\[networks\.two\] callbacks\.port: port 8180 is already used by",
    ),
    "the port of metrics": (
        '[service]\nmetrics_listen = "127.0.0.1:8180"\n' + network("one", 8180),
        r"\[networks\.one\] callbacks\.port: port 8180 is already used by .*\[service\] metrics_listen",
    ),
    "two kinds of network": (
        network("one", 8181)
        + f'[networks.two]\nbinding = "lorawan"\napi = {{ server = "127.0.0.1:9", key = "{"k" * 20}" }}\n',
        r"\[networks\.two\] http\.port: port 8181 is already used by .*\[networks\.one\] callbacks\.port",
    ),
    "ports that the system hands out": (
        OUTSIDE + f'[north]\nports = "{TAKEN.start}-{TAKEN.start + 10}"\n',
        r"\[north\] ports .* overlap .*ip_local_port_range",
    ),
    "a prefix that a server is in": (
        OUTSIDE + '[north]\nprefixes = ["192.0.2.0/24"]\n',
        r"\[north\] server 192\.0\.2\.1 lies inside 192\.0\.2\.0/24",
    ),
    "a family without an address": (
        '[servers.lab]\nuri = "coap://[2001:db8::1]"\n[north]\nsource_address = "192.0.2.9"\n',
        r"\[north\] a server is reached over IPv6",
    ),
    "an address that is none": (
        SERVER + network("one", 8180) + endpoint("e1", "nonsense"),
        r"\[\[endpoints\]\] e1: .*not a 3GPP device address",
    ),
    "two spellings of one device": (
        SERVER + network("one", 8180) + endpoint("e1", "A@iot.example") + endpoint("e2", "A@IOT.example"),
        r"\[\[endpoints\]\] e2 address: .* belongs to endpoint e1",
    ),
    "an option that is none": (
        SERVER + network("one", 8180) + endpoint("e1", "a@iot.example", 'options = { colour = "red" }'),
        r"\[\[endpoints\]\] e1: unknown option 'colour'",
    ),
    "a name that is none": (
        SERVER + network("one", 8180) + endpoint(" e1", "a@iot.example"),
        r"\[\[endpoints\]\]  e1: the endpoint name ' e1' begins or ends with a space",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
async def test_it_is_refused_by_the_check_and_by_the_start(tmp_path: Path, text: str, said: str) -> None:
    config = parse('[service]\nstate_directory = "state"\n' * ("[service]" not in text) + text, "b.toml", tmp_path)
    with pytest.raises(ConfigurationError, match=said) as refused:
        checked(config)
    assert str(refused.value).startswith("b.toml: ")
    with pytest.raises(ConfigurationError) as again:
        await Service(config).start()
    assert str(again.value) == str(refused.value)
    assert not (tmp_path / "state").exists()


RIGHT = {
    "any free port, twice": network("one", 0) + network("two", 0),
    "one port on two addresses": network("one", 8180) + network("two", 8180, ', bind = "127.0.0.2"'),
    "a server whose name decides the scheme": '[servers.lab]\nuri = "coap://lab.example"\n[north]\nscheme = "prefix"\n',
    "options that there are": SERVER
    + network("one", 8180)
    + endpoint("e1", "a@iot.example", 'options = { max_packet_size = "100" }'),
}


@pytest.mark.parametrize("text", RIGHT.values(), ids=RIGHT)
def test_it_is_allowed(tmp_path: Path, text: str) -> None:
    checked(parse(text, "b.toml", tmp_path))


def test_f_ports_that_chirpstack_may_use_itself_are_told(tmp_path: Path) -> None:
    file = tmp_path / "bridge.toml"
    file.write_text(SERVER + LORAWAN + 'downlinks = { f_port = 202 }\nserver_ports = { lab = "201", "*" = "5" }\n')
    done = CliRunner().invoke(main, ["config", "check", "-c", str(file)])
    assert done.exit_code == 0, done.output
    said = [line for line in done.output.splitlines() if "FPort" in line]
    assert len(said) == 2
    assert "[networks.two] downlinks.f_port: FPort 202 is by default that of clock synchronization (TS003)" in said[0]
    assert "[networks.two] server_ports: FPort 201 is by default that of fragmented data blocks (TS004)" in said[1]
    assert all("use another one, or compare with `lwm2m-bridge doctor`" in line for line in said)
