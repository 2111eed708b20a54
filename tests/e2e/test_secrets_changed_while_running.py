"""Secrets, keys and certificates are changed while messages are under way, and the new ones are in force at once.

Judged from outside: by what the server and the devices saw, and by what was shown to whoever asks for a secret.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mock_network.lab import TOKEN
from tests.e2e.changing import File, reloaded, traffic
from tests.e2e.fronts import DtlsFront, TlsFront
from tests.e2e.kit import SetUp, set_up
from tests.tls.peers import Wants
from tests.tls.pki import Authority, Issued
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

BEARER = f'credentials = {{ kind = "bearer", token = "{TOKEN}" }}'


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SetUp]:
    async with set_up(tmp_path_factory.mktemp("secrets")) as found:
        yield found


def write(folder: Path, name: str, issued: Issued) -> None:
    (folder / f"{name}.pem").write_bytes(issued.pem)
    (folder / f"{name}.key").write_bytes(issued.key_pem)


async def test_an_oauth2_secret_changes_while_both_are_good_and_then_only_the_new_one_is(world: SetUp, file: File):
    await world.add_device("tokens", endpoint={}, device={})
    scef = world.lab.scefs["nidd"].ready
    credentials = 'credentials = {{ kind = "oauth2", token_url = "{}", client_id = "{}", client_secret = "{}" }}'
    file.change(BEARER, credentials.format(scef["token_url"], scef["client_id"], TOKEN))
    await reloaded(world)
    async with traffic(world, "tokens"):
        await world.scef().ask("PATCH", "/settings", {"client_secrets": [TOKEN, "a-new-secret"]})
        file.change(f'client_secret = "{TOKEN}"', 'client_secret = "a-new-secret"')
        assert await reloaded(world) == {"[networks.nidd.credentials] client_secret": "now"}
    assert [one for one in world.proxies["nidd"].records if one["status"] == 401] == []
    await world.scef().ask("PATCH", "/settings", {"client_secrets": ["a-new-secret"]})
    await world.scef().post("/tokens/revoke")
    async with traffic(world, "tokens"):
        pass
    await world.scef().ask("PATCH", "/settings", {"client_secrets": [TOKEN]})


async def test_a_client_certificate_and_the_authorities_of_the_scef_change(world: SetUp, file: File, tmp_path: Path):
    await world.add_device("mutual", endpoint={}, device={})
    first, second = Authority("First root"), Authority("Second root")
    of_scef = [one.issue("scef", names=("127.0.0.1",)) for one in (first, second)]
    host, _, port = world.proxies["nidd"].url.removeprefix("http://").partition(":")
    (tmp_path / "roots.pem").write_bytes(first.pem)
    write(tmp_path, "client", first.issue("the first client"))
    async with TlsFront((host, int(port))) as front:
        front.show(of_scef[0], first)
        file.change(f'api_root = "http://{host}:{port}', f'api_root = "https://127.0.0.1:{front.port}')
        names = {"ca_bundle": "roots.pem", "client_certificate": "client.pem", "client_key": "client.key"}
        lines = "".join(f'{setting} = "{tmp_path / name}"\n' for setting, name in names.items())
        file.add(f"[networks.nidd.http]\n{lines}")
        await reloaded(world)
        async with traffic(world, "mutual"):
            await until(lambda: front.clients)
            assert set(front.clients) == {"the first client"}
            (tmp_path / "roots.pem").write_bytes(first.pem + second.pem)
            write(tmp_path, "client", second.issue("the second client"))
            front.show(of_scef[1], second)  # whoever connects from now on
            before = len(front.clients)
            found = await reloaded(world)
            assert found == {f"[networks.nidd.http] {setting}": "now" for setting in names}
            await until(lambda: front.clients[before:])
        assert front.clients[before] == "the second client"
        async with traffic(world, "mutual"):
            pass
        assert front.clients[-1] == "the second client"
        file.path.write_text(file.first)
        await reloaded(world)


async def test_a_servers_keys_suites_and_authorities_change(world: SetUp, file: File, tmp_path: Path):
    coap = world.lab.servers["lab"].ready["coap"]
    host, _, port = coap.removeprefix("coap://").partition(":")
    keys = {b"secured": bytes(range(16))}
    async with DtlsFront(Wants(keys=keys), (host, int(port))) as front:
        file.change(f'uri = "{coap}"', f'uri = "coaps://127.0.0.1:{front.port}"')
        security = '[servers.lab.security]\nmode = "psk"\nkey_from = "shared"\n'
        file.add(f'{security}key = "{keys[b"secured"].hex()}"\n')
        await reloaded(world)
        await world.add_device("secured", endpoint={}, device={})
        assert front.handshakes == 1
        async with traffic(world, "secured"):
            keys[b"secured"] = bytes(range(16, 32))
            file.change(bytes(range(16)).hex(), keys[b"secured"].hex())
            assert await reloaded(world) == {"[servers.lab.security] key": "now"}
            assert front.handshakes == 1  # a session that is open goes on
            front.close_session(b"secured")
            await until(lambda: front.handshakes == 2)
        async with traffic(world, "secured"):
            file.add('suites = ["TLS_PSK_WITH_AES_128_CBC_SHA256"]\nmtu = 600\n')
            assert set((await reloaded(world)).values()) == {"now"}
            front.close_session(b"secured")
            await until(lambda: front.handshakes == 3)
        assert front.ciphers == ["PSK-AES128-CCM8", "PSK-AES128-CCM8", "PSK-AES128-CBC-SHA256"]


async def test_the_authorities_of_a_server_change(world: SetUp, file: File, tmp_path: Path):
    coap = world.lab.servers["lab"].ready["coap"]
    host, _, port = coap.removeprefix("coap://").partition(":")
    first, second = Authority("First root"), Authority("Second root")
    of_server = [one.issue("server", names=("127.0.0.1",)) for one in (first, second)]
    write(tmp_path, "certified", first.issue("certified"))
    (tmp_path / "roots.pem").write_bytes(first.pem)
    async with DtlsFront(Wants(own=of_server[0], clients=first.pem), (host, int(port))) as front:
        file.change(f'uri = "{coap}"', f'uri = "coaps://127.0.0.1:{front.port}"')
        files = f'certificate = "{tmp_path}/{{endpoint}}.pem"\nprivate_key = "{tmp_path}/{{endpoint}}.key"\n'
        file.add(f'[servers.lab.security]\nmode = "certificate"\n{files}ca_bundle = "{tmp_path}/roots.pem"\n')
        await reloaded(world)
        await world.add_device("certified", endpoint={}, device={})
        async with traffic(world, "certified"):
            (tmp_path / "roots.pem").write_bytes(second.pem)
            assert await reloaded(world) == {"[servers.lab.security] ca_bundle": "now"}
            front.wants = Wants(own=of_server[1], clients=first.pem)
            front.close_session(front.latest)
            await until(lambda: front.handshakes == 2)
