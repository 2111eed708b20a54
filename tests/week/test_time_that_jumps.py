"""A loop whose time jumps never overtakes what is on its way on this machine."""

import asyncio
import selectors
import socket
from unittest.mock import patch

from tests.arrived import Courier, JumpingSelector
from tests.week.jumping import JumpingLoop

TIMES = 300


def test_time_stands_still_while_messages_go_to_and_fro():
    """New connections, each with a request and its answer, while a timer waits for which time would jump."""

    async def answer(reader, writer):
        writer.write(await reader.readexactly(7))
        writer.close()

    async def live():
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        waits = asyncio.create_task(asyncio.sleep(3600))
        await asyncio.sleep(0)
        began = loop.time()
        for _ in range(TIMES):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"request")
            assert await reader.read() == b"request"
            writer.close()
        stood = loop.time() - began
        await waits
        server.close()
        return stood, loop.time() - began

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        stood, passed = runner.run(live())
    assert stood == 0.0
    assert passed >= 3600.0


def test_what_arrives_late_is_found_before_time_jumps():
    """As if the kernel, on a busy machine, delivered a datagram only after the call that sent it."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    selector = JumpingSelector()
    selector.register(there, selectors.EVENT_READ)
    with patch.object(Courier, "travel", lambda *_: here.send(b"late")):
        ready = selector.ready_now()
    assert [key.fileobj for key, _ in ready] == [there]
    selector.close()
    here.close()
    there.close()
