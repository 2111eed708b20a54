"""One observation by a server, as the CoAP endpoint asks for it: waits for what makes a notification due."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from mock_network.device.observation import Observation
from mock_network.lwm2m.messages import Request, Response
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.transport import Address
from mock_network.lwm2m.values import Record


class Watch:
    """A `Subscription`. `values` reads the observed paths, `content` makes the next notification,
    `on_closed` is called when the observation ends."""

    def __init__(
        self,
        server: int,
        request: Request,
        observation: Observation,
        values: Callable[["Watch"], list[Record]],
        content: Callable[["Watch"], Response],
        on_closed: Callable[["Watch"], None],
    ) -> None:
        self.server = server
        self.request = request
        self.observation = observation
        self.wake = asyncio.Event()
        self._values, self._content, self._on_closed = values, content, on_closed

    @property
    def peer(self) -> Address:
        """Return where the notifications go."""
        return self.request.peer

    def changed(self, path: Path) -> None:
        """Learn that something changed at `path`."""
        if self.observation.observes(path):
            self.observation.change(path, self._values(self), asyncio.get_running_loop().time())
            self.wake.set()

    async def notifications(self) -> AsyncIterator[Response]:
        """Yield each notification when it is due."""
        loop = asyncio.get_running_loop()
        while True:
            self.observation.evaluate(self._values(self), loop.time())
            due = self.observation.notification_due()
            if due is None or due > loop.time():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self.observation.due()):
                        await self.wake.wait()
                self.wake.clear()
                continue
            notification = self._content(self)
            self.observation.sent(self._values(self), loop.time())
            yield notification

    def closed(self) -> None:
        """End: the observation has ended."""
        self._on_closed(self)
