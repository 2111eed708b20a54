"""A device and a server that talk over loopback UDP in one event loop, in virtual time."""

import asyncio
import functools
from contextlib import asynccontextmanager

from mock_network.device.device import Device
from mock_network.device.options import DeviceOptions
from mock_network.lwm2m_server.server import LwM2mServer
from tests.arrived import JumpingSelector


class _Selector(JumpingSelector):
    """Instead of waiting, time jumps; datagrams on loopback are not overtaken."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0

    def select(self, timeout=None):
        if timeout == 0:
            return super().select(0)
        ready = self.ready_now()
        if ready or timeout is None:
            return ready or super().select(1.0)
        self.now += max(timeout, 0.0)
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when there is nothing to do."""

    def __init__(self):
        self._jumping = _Selector()
        super().__init__(self._jumping)

    def time(self):
        return self._jumping.now


def virtual_time(test):
    """Run an async test in a JumpingLoop: hours take milliseconds."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


@asynccontextmanager
async def served(**options):
    """Yield a running server."""
    server = LwM2mServer(seed=1, **options)
    await server.start(("127.0.0.1", 0))
    try:
        yield server
    finally:
        await server.stop()


def uri(server):
    host, port = server.address
    return f"coap://{host}:{port}"


@asynccontextmanager
async def pair(*, registered=True, endpoint="urn:dev:os:test-1", **options):
    """Yield a running server and a device pointed at it."""
    async with served() as server:
        device = Device(DeviceOptions(endpoint, uri(server), seed=2, **options))
        await device.start()
        try:
            if registered:
                await server.wait_registered(endpoint, 60)
                async with asyncio.timeout(60):
                    while not device.registration.registered:  # the answer is on its way
                        await asyncio.sleep(0.001)
            yield device, server
        finally:
            await device.stop()
