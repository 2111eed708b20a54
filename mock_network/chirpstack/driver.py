"""The emulated server in an event loop: passes the time to the core, wakes it up, and carries out its effects."""

import asyncio
import time
from collections.abc import Callable

from chirpstack_api import gw, integration

from .context import Effect
from .network import NetworkServer

Clock = Callable[[], float]
Carry = Callable[[Effect], None]
LONGEST_SLEEP = 1.0  # seconds; a foreign clock may be moved while the loop sleeps


class Driver:
    """Drives one `NetworkServer`. `clock` returns UNIX seconds; `carry_out` gets each effect, immediately and in order.

    All calls are made in the event loop's thread.
    """

    def __init__(self, server: NetworkServer, carry_out: Carry, clock: Clock = time.time) -> None:
        self.server = server
        self.now = clock
        self._carry_out = carry_out
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to serve timers; call in a running loop."""
        self._task = asyncio.create_task(self._run(), name="chirpstack driver")

    async def stop(self) -> None:
        """Serve no more timers."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def wake(self) -> None:
        """Carry out the core's pending effects, and read its timers again."""
        while effects := self.server.drain():
            for effect in effects:
                self._carry_out(effect)
        self._wake.set()

    def uplink(self, frame: gw.UplinkFrame) -> None:
        """Pass on a gateway's uplink."""
        self.server.uplink(frame, self.now())
        self.wake()

    def tx_ack(self, ack: gw.DownlinkTxAck) -> None:
        """Pass on a gateway's acknowledgement."""
        self.server.tx_ack(ack, self.now())
        self.wake()

    def command_down(self, application_id: str, command: integration.DownlinkCommand) -> None:
        """Hand over an MQTT downlink command."""
        self.server.command_down(application_id, command, self.now())
        self.wake()

    async def _run(self) -> None:
        while True:
            self.server.advance(self.now())
            self.wake()
            self._wake.clear()
            due = self.server.next_due()
            pause = LONGEST_SLEEP if due is None else min(max(due - self.now(), 0.0), LONGEST_SLEEP)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                pass
