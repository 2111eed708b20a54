"""A real broker for the tests that need one."""

import shutil
import socket
import subprocess
import time

import pytest


@pytest.fixture
def mosquitto(need, tmp_path):
    """Give the port of a broker on loopback that lives as long as the test."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    need(program, "mosquitto is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "mosquitto does not listen"
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(5)
