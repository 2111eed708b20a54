"""LwM2M servers of the field differ: one bridge with an emulated server of each kind, and a device for each."""

from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.kit import SetUp, set_up
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="session")

KINDS = ("emqx", "leshan", "leshan-demo", "strict", "thingsboard", "wakaama")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(
        tmp_path_factory.mktemp("kinds"),
        servers=dict.fromkeys(KINDS, "127.0.0.1"),
        kinds={kind: kind for kind in KINDS},
        lines_of={kind: f'profile = "{kind}"' for kind in KINDS},
        service='default_servers = ["leshan"]',
    ) as found:
        yield found


@pytest.mark.parametrize("kind", KINDS)
async def test_a_device_in_queue_mode_that_says_binding_n_is_managed_by_every_kind_of_server(servers: SetUp, kind: str):
    name = f"device-{kind}"
    device = {"binding": "N", "queue_mode": True, "omit": ["lt"]}
    await servers.add_device(name, endpoint={"servers": [kind]}, device=device, registered=kind)
    client = await servers.registered(name, kind)
    assert client["lifetime"] == 86400
    assert (await servers.ask(name, "read", "/3/0/1", server=kind))["values"] == {"/3/0/1": "Emulated device"}
    assert (await servers.ask(name, "write", "/3/0/14", server=kind, value="+02:00"))["code"] == "2.04"
    assert (await servers.ask(name, "execute", "/3303/0/5605", server=kind))["code"] == "2.04"
    assert (await servers.ask(name, "observe", "/3303/0/5700", server=kind))["code"] == "2.05"
    await servers.set_value(name, "/3303/0/5700", 21.25)

    async def notified() -> bool:
        observed = await servers.server(kind).get("/observations")
        return any(one["endpoint"] == name and len(one["notifications"]) == 1 for one in observed)

    await until(notified)
    assert (await servers.act(name, "update"))["code"] == "2.04"
    assert (await servers.act(name, "send", paths=["/3/0/9"]))["code"] == "2.04"


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_server_writes_in_blocks(servers: SetUp, kind: str):
    name = f"blocks-{kind}"
    await servers.add_device(name, endpoint={"servers": [kind]}, device={}, registered=kind)
    package = {"base64": b64encode(bytes(range(256)) * 12).decode()}
    answer = await servers.ask(name, "write", "/5/0/0", server=kind, value=package, timeout=60)
    assert answer["code"] == "2.04", answer
    blocks = [line for line in await servers.air(name, "downlink") if len(line["data"]) > 64]
    assert len(blocks) >= 3
