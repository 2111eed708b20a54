"""The client half: follow a clock process, and control one."""

import http.client
import ipaddress
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import urlsplit

from mock_network.clock.mapping import Mapping

log = logging.getLogger(__name__)

REAL = "real"
CONNECT_TIMEOUT = 5.0  # real seconds
POLL_TIMEOUT = 60.0  # real seconds; twice what the clock process holds a poll
RETRY_INTERVAL = 0.2  # real seconds between attempts to reach a clock process that is gone


class ClockError(Exception):
    """The clock cannot be used: an invalid or not local URL, no clock process there, or a refused change."""


class Clock(Protocol):
    """What a process reads time from."""

    def wall(self) -> float:
        """Return seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go back; the same line as `loop.time()` of the process's event loop."""

    def close(self) -> None:
        """Stop following; the clock goes on as it last was."""


class RealClock:
    """The machine's own time."""

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return CLOCK_MONOTONIC."""
        return time.monotonic()

    def close(self) -> None:
        """Do nothing."""


class FollowedClock:
    """The time of a clock process; its mapping is known when the constructor returns. Raises ClockError.

    `on_change` is called in another thread whenever the mapping has changed.
    """

    def __init__(self, url: str, on_change: Callable[[], None] | None = None) -> None:
        self.url = url
        self.on_change = on_change
        self._address = _loopback_address(url)
        self._follower = uuid.uuid4().hex
        self._mapping = Mapping.from_json(_request(self._address, "GET", "/"))
        self._closed = threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._follow, name="test-clock", daemon=True)
        self._thread.start()
        log.warning("TEST CLOCK: time of this process is virtual, dictated by %s; never use this in production", url)

    def wall(self) -> float:
        """Return virtual seconds since the epoch."""
        return self._mapping.wall(time.monotonic())

    def monotonic(self) -> float:
        """Return virtual monotonic seconds."""
        return self._mapping.monotonic(time.monotonic())

    def real_delay(self, delay: float) -> float | None:
        """Return the real seconds that `delay` virtual seconds from now will take; None if time does not run."""
        mapping, real = self._mapping, time.monotonic()
        return mapping.real_delay(mapping.monotonic(real) + delay, real)

    def close(self) -> None:
        """Stop following."""
        self._closed.set()
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread out of its poll
            except OSError as error:
                log.debug("test clock connection was already down: %s", error)
        self._thread.join(CONNECT_TIMEOUT)

    def _follow(self) -> None:
        lost = False
        while not self._closed.is_set():
            try:
                self._poll()
                lost = False
            except (OSError, http.client.HTTPException, KeyError, TypeError, ValueError) as error:
                if self._closed.is_set():
                    return
                if not lost:
                    log.warning("test clock %s does not answer, time goes on as it was: %r", self.url, error)
                lost = True
                self._closed.wait(RETRY_INTERVAL)

    def _poll(self) -> None:
        """Hold one connection and ask on it until it breaks."""
        connection = http.client.HTTPConnection(*self._address, timeout=POLL_TIMEOUT)
        try:
            connection.connect()
            self._connection = connection  # before the flag is looked at: `close` sets the flag, then looks for this
            while not self._closed.is_set():
                path = f"/?since={self._mapping.version}&follower={self._follower}"
                connection.request("GET", path)
                mapping = Mapping.from_json(json.loads(connection.getresponse().read()))
                if mapping.version != self._mapping.version:
                    self._mapping = mapping
                    if self.on_change is not None:
                        self.on_change()
        finally:
            connection.close()


class ClockControl:
    """Changes a clock process; blocks for some milliseconds, until its followers have the change. Raises ClockError."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._address = _loopback_address(url)

    def mapping(self) -> Mapping:
        """Return the mapping as it is now."""
        return Mapping.from_json(_request(self._address, "GET", "/"))

    def wall(self) -> float:
        """Return virtual seconds since the epoch."""
        return self.mapping().wall(time.monotonic())

    def monotonic(self) -> float:
        """Return virtual monotonic seconds."""
        return self.mapping().monotonic(time.monotonic())

    def step(self, seconds: float, *, over: float = 0.0) -> Mapping:
        """Let `seconds` pass at once, or within `over` real seconds so that timers set on the way fire as well."""
        return Mapping.from_json(_request(self._address, "POST", "/step", {"seconds": seconds, "over": over}))

    def rate(self, rate: float) -> Mapping:
        """Let virtual time run `rate` times as fast as real time; 0 stops it."""
        return Mapping.from_json(_request(self._address, "POST", "/rate", {"rate": rate}))


def connect(url: str) -> Clock:
    """Return the clock that `url` names, or the machine's own for the word ``real``. Raises ClockError."""
    return RealClock() if url == REAL else FollowedClock(url)


def _loopback_address(url: str) -> tuple[str, int]:
    """Take host and port out of the URL; anything but this machine itself is refused."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ClockError(f"the clock's URL is not valid: {url}: {error}") from error
    if parts.scheme != "http" or not host or not port:
        raise ClockError(f"a clock is 'real' or a URL such as http://127.0.0.1:4711, not {url}")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ClockError(f"a test clock must be on this machine, at a loopback address: {url}")
    return host, port


def _request(address: tuple[str, int], method: str, path: str, body: object = None) -> dict[str, Any]:
    connection = http.client.HTTPConnection(*address, timeout=CONNECT_TIMEOUT)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ClockError(f"no clock process answers at {address[0]}:{address[1]}: {error}") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK or not isinstance(answer, dict):
        raise ClockError(f"the clock process refused {method} {path}: {answer}")
    return answer
