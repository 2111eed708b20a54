"""The command `trace` beside a running service, from its first line to Ctrl-C."""

import asyncio
import signal
import sys
from pathlib import Path

from bridge.coap.message import Type
from bridge.coap.numbers import Code
from bridge.coap.udp import frame
from bridge.control.local_socket import LocalSocket
from tests.cli.pcapng_reading import read
from tests.service.kit import Kit
from tests.waiting import PATIENCE, until


async def test_a_person_sees_a_read_pass_and_ends_the_trace(kit: Kit, tmp_path: Path) -> None:
    path = tmp_path / "trace.pcapng"
    async with kit.running() as service:
        local = LocalSocket(service, tmp_path / "socket")
        await local.start()
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bridge.cli", "trace", "e1", "--socket", str(tmp_path / "socket"),
            "--pcap", str(path),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert command.stdout is not None
        assert command.stderr is not None
        try:
            assert await command.stderr.readline() == b"tracing e1; Ctrl-C ends it\n"
            await until(lambda: service.parts.runner.tap is not None)
            kit.ask(7)
            line = (await asyncio.wait_for(command.stdout.readline(), PATIENCE)).decode()
            assert line.rstrip().endswith("lab → bridge: CON GET mid 7 token 07, Read /3")
            while "bridge → device (net): CON GET" not in line:
                line = (await asyncio.wait_for(command.stdout.readline(), PATIENCE)).decode()
            command.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(command.wait(), PATIENCE) == 0
        finally:
            if command.returncode is None:
                command.kill()
                await command.wait()
        assert service.parts.runner.tap is None
        await local.stop()
    packets = read(path.read_bytes()).packets
    assert packets[0].payload == frame(Type.CON, Code.GET, 7, b"\x07", b"\xb1\x33")
    assert {packet.interface for packet in packets} == {0, 1}
