"""One UDP socket on the event loop: batched receive, direct send, a short queue when the socket would block."""

import asyncio
import errno
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from bridge.north.contract import Counters, Sending
from bridge.north.udp.addresses import SocketAddress
from bridge.north.udp.system import reason

_log = logging.getLogger("bridge.north")

BATCH = 128
"""Datagrams read in one wake-up, before other work gets its turn: a few milliseconds at about 10 µs each."""

QUEUE = 4096
"""Datagrams that wait, at most, while a socket would block."""

_LARGEST = 65535  # bytes of a UDP payload, at most
_buffer = bytearray(_LARGEST)
_view = memoryview(_buffer)
"""One receive buffer for all sockets: they are read by one thread, one after another."""

_BLOCKED = {errno.EAGAIN, errno.EWOULDBLOCK}

Ancillary = list[tuple[int, int, bytes]]


class DatagramSocket:
    """A socket that stays open until `close`, in spite of errors. `receive` gets (ancillary data, remote, bytes)."""

    __slots__ = ("_ancillary_size", "_counters", "_loop", "_queue", "_receive", "_sock")

    def __init__(
        self,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        counters: Counters,
        receive: Callable[[Ancillary, SocketAddress, bytes], None],
        ancillary_size: int = 0,
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._counters = counters
        self._receive = receive
        self._ancillary_size = ancillary_size
        self._queue: deque[tuple[bytes, Ancillary, SocketAddress]] | None = None
        loop.add_reader(sock.fileno(), self._readable)

    @property
    def socket(self) -> socket.socket:
        return self._sock

    @property
    def is_free(self) -> bool:
        """Return whether no datagram waits because the socket would have blocked."""
        return not self._queue

    def send(self, data: bytes, ancillary: Ancillary, destination: SocketAddress) -> Sending:
        """Send now, queue while the socket would block, or drop if the queue is full."""
        if self._queue:
            return self._defer(data, ancillary, destination)
        try:
            self._sock.sendmsg((data,), ancillary, 0, destination)
        except OSError as error:
            if error.errno in _BLOCKED:
                return self._defer(data, ancillary, destination)
            self._refused(error, destination)
            return Sending.DROPPED
        counters = self._counters
        counters.sent += 1
        counters.sent_bytes += len(data)
        return Sending.LEFT

    def close(self) -> None:
        """Stop and close; harmless when called twice."""
        fd = self._sock.fileno()
        if fd >= 0:
            self._loop.remove_reader(fd)
            self._loop.remove_writer(fd)
            self._sock.close()
        self._queue = None

    def _defer(self, data: bytes, ancillary: Ancillary, destination: SocketAddress) -> Sending:
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= QUEUE:
            self._counters.send_dropped += 1
            return Sending.DROPPED
        if not self._queue:
            self._loop.add_writer(self._sock.fileno(), self._writable)
        self._queue.append((data, ancillary, destination))
        self._counters.deferred += 1
        return Sending.WAITS

    def _writable(self) -> None:
        queue = self._queue
        while queue:
            data, ancillary, destination = queue[0]
            try:
                self._sock.sendmsg((data,), ancillary, 0, destination)
            except OSError as error:
                if error.errno in _BLOCKED:
                    return
                self._refused(error, destination)
            else:
                self._counters.sent += 1
                self._counters.sent_bytes += len(data)
            queue.popleft()
        self._loop.remove_writer(self._sock.fileno())

    def _refused(self, error: OSError, destination: SocketAddress) -> None:
        self._counters.send_failed += 1
        _log.warning("datagram not sent", extra={"to": destination, "why": reason(error), "sample": "send"})

    def _readable(self) -> None:
        counters = self._counters
        receive = self._receive
        buffers: list[Any] = [_buffer]
        for _ in range(BATCH):
            try:
                size, ancillary, _flags, remote = self._sock.recvmsg_into(buffers, self._ancillary_size)
            except OSError as error:
                if error.errno in _BLOCKED:
                    return
                # An ICMP error of an earlier datagram, most likely: reading it has cleared it.
                counters.receive_failed += 1
                _log.debug("error on a socket toward servers", extra={"why": reason(error), "sample": "receive"})
                if self._sock.fileno() < 0:
                    return
                continue
            counters.received += 1
            counters.received_bytes += size
            try:
                receive(ancillary, remote, bytes(_view[:size]))
            except Exception:  # noqa: BLE001  (whatever it is, the other endpoints' datagrams must be read)
                counters.receiver_failed += 1
                _log.exception("a datagram could not be handled", extra={"from": remote, "sample": "receiver"})
            if self._sock.fileno() < 0:
                return  # the receiver closed it
