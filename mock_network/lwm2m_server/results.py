"""Results of the emulated server's operations: responses and observations."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from mock_network.lwm2m.formats import ContentFormat, decode, parse_format
from mock_network.lwm2m.links import Link, parse_links
from mock_network.lwm2m.messages import Response
from mock_network.lwm2m.paths import Path
from mock_network.lwm2m.standard import type_of as known_type_of
from mock_network.lwm2m.values import FormatError, Record, TypeOf, Value


@dataclass(frozen=True, slots=True)
class Result:
    """The response to an operation. `elapsed` in seconds of the loop's clock."""

    endpoint: str
    path: Path
    response: Response
    elapsed: float
    type_of: TypeOf = field(repr=False, default=known_type_of)
    root: str = ""
    """The device's alternate path."""

    @property
    def code(self) -> str:
        """Return the response code, such as `2.05`."""
        return self.response.code

    @property
    def ok(self) -> bool:
        """Return whether the response is a success (2.xx)."""
        return self.response.ok

    @property
    def records(self) -> list[Record]:
        """Return the values in the payload. Raises FormatError or UnsupportedFormat if there are none."""
        return records_of(self.response, self.path, self.type_of, self.root)

    @property
    def value(self) -> Value | None:
        """Return the value if there is exactly one. Raises FormatError if there is none, or several."""
        records = self.records
        if len(records) != 1:
            raise FormatError(f"{len(records)} values, not one")
        return records[0].value

    @property
    def links(self) -> list[Link]:
        """Return the links of a Discover."""
        return parse_links(self.response.payload)


def records_of(response: Response, path: Path, type_of: TypeOf, root: str = "") -> list[Record]:
    """Return the values in a response to a request for `path`. Raises FormatError or UnsupportedFormat if none."""
    if response.content_format is None:
        raise FormatError("a payload without content format")
    return decode(parse_format(response.content_format), path, response.payload, type_of, root=root)


@dataclass(slots=True)
class Observed:
    """An observation. `notifications` holds all that arrived, the first response not among them, in order."""

    endpoint: str
    paths: tuple[Path, ...]
    """One path, or several of an Observe-Composite."""
    token: bytes
    first: Result
    content: ContentFormat | None = None
    """The format of an Observe-Composite; None: an Observe."""
    notifications: list[Response] = field(default_factory=list)
    ended: bool = False
    """The device, a cancellation or a new registration ended it."""
    stop: Callable[[], None] = field(repr=False, default=lambda: None)
    _arrived: asyncio.Event = field(repr=False, default_factory=asyncio.Event)
    _taken: int = 0

    def add(self, notification: Response | None) -> None:
        """Add a notification that came; None: there will be no more."""
        if notification is None:
            self.ended = True
        else:
            self.notifications.append(notification)
        self._arrived.set()

    async def next(self, wait: float) -> Response:
        """Return the next notification not yet taken. Raises TimeoutError after `wait` seconds."""
        async with asyncio.timeout(wait):
            while self._taken >= len(self.notifications):
                self._arrived.clear()
                await self._arrived.wait()
        self._taken += 1
        return self.notifications[self._taken - 1]

    def records_of(self, notification: Response) -> list[Record]:
        """Return the values in a notification. Raises FormatError or UnsupportedFormat if there are none."""
        return records_of(notification, self.first.path, self.first.type_of, self.first.root)

    def value_of(self, notification: Response) -> Value | None:
        """Return the one value in a notification. Raises FormatError if there is none, or several."""
        records = self.records_of(notification)
        if len(records) != 1:
            raise FormatError(f"{len(records)} values, not one")
        return records[0].value
