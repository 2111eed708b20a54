"""`lwm2m-bridge config check` refuses what `run` would refuse, and both name file, section and key."""

import asyncio
import gc
import logging
import os
import signal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bindings.transmission import explanation
from bridge.cli import main
from bridge.cli.run import _serve
from bridge.config import load
from bridge.errors import BindingError, ConfigurationError
from bridge.service import clock
from bridge.service.clock import RealClock
from bridge.service.service import Service
from mock_network.lab import free_port
from tests.waiting import until

SERVICE = """
[service]
state_directory = "state"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.field]
"""
NIDD = SERVICE + 'binding = "nidd"\nscs_as_id = "lab"\n'
LORAWAN = SERVICE + 'binding = "lorawan"\n'
NIDD_API = NIDD + 'api_root = "http://127.0.0.1:9"\n'
LORAWAN_API = LORAWAN + '[networks.field.api]\nserver = "127.0.0.1:9"\nkey = "k"\n'

REFUSED = {
    "api_root without a scheme": (NIDD + 'api_root = "scef.example"', "api_root 'scef.example' must be http"),
    "api_root that ends too late": (NIDD + 'api_root = "http://scef.example/3gpp-nidd/v1"', "api_root 'http://scef."),
    "nidd public_url without a scheme": (
        NIDD_API + 'callbacks = { public_url = "bridge.example" }',
        "callbacks.public_url 'bridge.example' must start",
    ),
    "nidd wildcard": (NIDD_API + 'callbacks = { bind = "0.0.0.0" }', "callbacks.public_url is empty"),
    "nidd callback certificate": (
        NIDD_API + 'callbacks = { certificate = "/nowhere.pem" }',
        "callbacks.certificate: cannot use '/nowhere.pem'",
    ),
    "nidd authorities": (NIDD_API + 'http = { ca_bundle = "/nowhere.pem" }', "http.ca_bundle: cannot use"),
    "lorawan server with a scheme": (
        LORAWAN + '[networks.field.api]\nserver = "http://127.0.0.1:8080"\nkey = "k"',
        "api.server 'http://127.0.0.1:8080' must be host:port",
    ),
    "lorawan server with a scheme, gRPC": (
        LORAWAN + '[networks.field.api]\nserver = "http://127.0.0.1:8080"\nkey = "k"\ntransport = "grpc"',
        "api.server 'http://127.0.0.1:8080' must be host:port",
    ),
    "lorawan key": (LORAWAN + '[networks.field.api]\nserver = "127.0.0.1:9"\nkey = "a\\nb"', "api.key has characters"),
    "lorawan authorities": (LORAWAN_API + 'tls = true\nca_bundle = "/nowhere.pem"', "api.ca_bundle: cannot use"),
    "lorawan authorities, gRPC": (
        LORAWAN_API + 'tls = true\nca_bundle = "/nowhere.pem"\ntransport = "grpc"',
        "api.ca_bundle: cannot use",
    ),
    "lorawan public_url without a scheme": (
        LORAWAN_API + '[networks.field.http]\npublic_url = "bridge.example"',
        "http.public_url 'bridge.example' must start",
    ),
    "lorawan wildcard": (LORAWAN_API + '[networks.field.http]\nbind = "::"', "http.public_url is empty"),
    "broker's authorities": (
        LORAWAN.replace("[networks.field]\n", '[networks.field]\nevents = "mqtt"\n')
        + '[networks.field.mqtt]\ntls = true\nca_bundle = "/nowhere.pem"\n'
        + '[networks.field.api]\nserver = "127.0.0.1:9"\nkey = "k"',
        "mqtt.ca_bundle: cannot use",
    ),
}


def check(directory: Path, text: str) -> Result:
    (directory / "bridge.toml").write_text(text)
    return CliRunner().invoke(main, ["config", "check"])


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_run_refuses_the_check_refuses_with_file_and_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    checked = check(tmp_path, text)
    assert checked.exit_code == 1
    assert f"bridge.toml: [networks.field] {said}" in checked.output
    with pytest.raises(ConfigurationError) as refused:
        asyncio.run(Service(load("bridge.toml")).start())
    assert str(refused.value) in checked.output


@pytest.mark.parametrize(("text", "span"), [(NIDD_API, 247.0), (LORAWAN_API, 7250.0)], ids=["nidd", "lorawan"])
def test_the_check_opens_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, span: float) -> None:
    monkeypatch.chdir(tmp_path)
    checked = check(tmp_path, text)
    assert checked.exit_code == 0
    assert checked.output.splitlines() == [
        "bridge.toml: 1 server, 1 network, 0 endpoints; nothing is wrong",
        f"bridge.toml: [networks.field] {explanation(span)}",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["bridge.toml"]


async def test_a_port_that_is_taken_is_told_with_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    other = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    text = NIDD_API + f"callbacks = {{ port = {port} }}\n[north]\nport = {free_port()}\n"
    (tmp_path / "bridge.toml").write_text(text)
    async with other:
        with pytest.raises(BindingError, match=r"^bridge\.toml: \[networks\.field\] callbacks: cannot listen"):
            await Service(load("bridge.toml")).start()


IDLE = '[service]\nstate_directory = "state"\n[servers.lab]\nuri = "coap://127.0.0.1:10583"\n'


def test_a_bridge_with_nothing_to_do_says_so_when_it_is_checked_and_when_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    sentence = "has nothing to do without a server and a network"
    idle = IDLE + f"[north]\nport = {free_port()}\n"  # its own: other tests run beside this one
    assert f"nothing is wrong, but it {sentence}\n" in check(tmp_path, idle).output

    async def run_until_ready() -> None:
        running = asyncio.create_task(_serve(load("bridge.toml"), RealClock, lambda: load("bridge.toml"), []))
        await until(lambda: f"the bridge {sentence}" in caplog.messages or running.done())
        if not running.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await running

    gc_threshold = gc.get_threshold()
    asyncio.run(run_until_ready())
    gc.set_threshold(*gc_threshold)
    (warned,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert warned == f"the bridge {sentence}"


def test_a_running_bridge_sees_bugs_that_nobody_awaits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.toml").write_text(IDLE + f"[north]\nport = {free_port()}\n")

    def mistaken() -> None:
        raise RuntimeError("a bug")

    async def run_until_seen() -> None:
        running = asyncio.create_task(_serve(load("bridge.toml"), RealClock, lambda: load("bridge.toml"), []))
        await until(lambda: "ready" in caplog.messages or running.done())
        asyncio.get_running_loop().call_soon(mistaken)
        await until(lambda: any(one.name == "bridge.background" for one in caplog.records) or running.done())
        os.kill(os.getpid(), signal.SIGTERM)
        await running

    caplog.set_level(logging.INFO)
    gc_threshold = gc.get_threshold()
    asyncio.run(run_until_seen())
    gc.set_threshold(*gc_threshold)
    assert "RuntimeError: a bug" in caplog.text


def test_a_clock_from_before_the_release_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.toml").write_text(IDLE + f"[north]\nport = {free_port()}\n")
    monkeypatch.setattr(clock, "RELEASED", 4102444800.0)  # 2100-01-01

    async def run_until_ready() -> None:
        running = asyncio.create_task(_serve(load("bridge.toml"), RealClock, lambda: load("bridge.toml"), []))
        await until(lambda: "ready" in caplog.messages or running.done())
        os.kill(os.getpid(), signal.SIGTERM)
        await running

    caplog.set_level(logging.INFO)
    gc_threshold = gc.get_threshold()
    asyncio.run(run_until_ready())
    gc.set_threshold(*gc_threshold)
    (told,) = [one for one in caplog.messages if one.startswith("the clock of this host says 20")]
    assert "this release is of 2100-01-01 at the earliest" in told


def test_a_clock_that_may_be_right_is_not_talked_about() -> None:
    assert clock.behind_the_release(clock.RELEASED) == ""
