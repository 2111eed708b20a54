"""A bridge at rest with two networks, and a client that asks it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.config import Config, load
from bridge.control.client import DirectClient
from bridge.service.at_rest import BridgeAtRest

CONFIG = """
[service]
state_directory = "state"
default_servers = ["lab"]
[servers.lab]
uri = "coap://127.0.0.1:10583"
[servers.other]
uri = "coap://127.0.0.1:10584"
[servers.twin]
uri = "coap://127.0.0.1:10583"
[networks.nidd]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
name_template = "urn:{device}"
[networks.second]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "bridge.toml").write_text(CONFIG)
    return load(tmp_path / "bridge.toml")


@pytest.fixture
async def bridge(config: Config) -> AsyncIterator[BridgeAtRest]:
    async with BridgeAtRest(config, lambda: config, changes=True) as opened:
        yield opened


@pytest.fixture
def client(bridge: BridgeAtRest) -> DirectClient:
    return DirectClient(bridge)
