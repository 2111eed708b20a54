"""A start with too few file descriptors says so, with the cure; none of its parts is missing in silence."""

import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bindings.http.server import HttpServer, Limits
from bridge.service.descriptors import LEAST, warn_if_too_few

CONFIG = """
[service]
state_directory = "state"
metrics_listen = "127.0.0.1:0"
[servers.lab]
uri = "coap://127.0.0.1:10583"
[networks.nidd]
binding = "nidd"
api_root = "http://127.0.0.1:9"
scs_as_id = "lab"
callbacks = { port = 0 }
"""


def run(directory: Path, soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    (directory / "bridge.toml").write_text(CONFIG)
    return subprocess.run(
        ["timeout", "20", sys.executable, "-m", "bridge.cli", "run", "--config", str(directory / "bridge.toml")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("limit", [20, LEAST - 1])
def test_a_start_with_too_few_is_refused_with_the_cure(tmp_path: Path, limit: int) -> None:
    done = run(tmp_path, limit, limit)
    assert done.returncode == 1
    assert f"may open {limit} files at once, and needs {LEAST}" in done.stderr
    assert "LimitNOFILE=" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_listener_without_a_socket_is_no_listener() -> None:
    """asyncio passes over a socket that it cannot make, and returns a server that hears nobody."""
    server = HttpServer(SimpleNamespace(), Limits(1000))  # type: ignore[arg-type]  # nobody is answered
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            await server.start("127.0.0.1", 0, None)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_ports_that_will_be_down_are_told(caplog: pytest.LogCaptureFixture) -> None:
    warn_if_too_few(65536, 1000)
    assert not caplog.records
    warn_if_too_few(4096, 10_000)
    assert "10000 endpoints with a port each need 12048 file descriptors" in caplog.text
