"""Files of an operator: the configuration and the CSV of endpoints. What is wrong is said, with the cure."""

import io
from pathlib import Path

from bridge.config import parse, template
from bridge.directory.csvfile import read_drafts
from bridge.errors import ConfigurationError
from tests.fuzz.target import Target, refusal

NOWHERE = Path("/nonexistent")


def configuration(data: bytes) -> None:
    """Any text is a configuration, or a ConfigurationError that says what is wrong."""
    text = data.decode("utf-8", "replace")
    said = refusal(lambda: parse(text, "fuzz.toml", NOWHERE), ConfigurationError)
    assert said is None or said.startswith("fuzz.toml")


def endpoints(data: bytes) -> None:
    """Any file has lines that are endpoints or faults, or ConfigurationError says that its head is wrong."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", errors="surrogateescape", newline="")
    lines: list[int] = []
    said = refusal(lambda: lines.extend(number for number, _, _ in read_drafts(text)), ConfigurationError)
    assert said != ""
    assert lines == sorted(lines)


MINIMAL = b"""[servers.main]
uri = "coap://127.0.0.1:5683"
[networks.operator]
binding = "nidd"
api_root = "https://scef.example"
scs_as_id = "a"
[[endpoints]]
name = "urn:dev:1"
network = "operator"
address = "a@b"
"""
LORAWAN = b"""[networks.field]
binding = "lorawan"
api = { server = "127.0.0.1:8080", key = "k" }
"""
CSV = b'endpoint,network,address,servers,profile,default_ttl,object_list\r\na,n,d@e,main,leshan,60,"</1/0>,</3/0>"\r\n'
BARE = b"\xef\xbb\xbfnetwork,address\nn,d\n"

CONFIGURATION = Target("configuration", configuration, lambda: [MINIMAL, LORAWAN, template().encode()])
ENDPOINTS = Target("endpoints-csv", endpoints, lambda: [CSV, BARE, b"address,network\n,\n"])
