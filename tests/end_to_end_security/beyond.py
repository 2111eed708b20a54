"""What lies beyond an LwM2M client: an application within the device, or a device without LwM2M behind a gateway.

It speaks CoAP in OSCORE, and no LwM2M: one setting that is read and written, and must be written by a fresh request.
"""

import asyncio
import random
from typing import Any

from mock_network.device.freshness import Freshness
from mock_network.lwm2m.messages import GET, PUT, Request, Response
from mock_network.lwm2m.oscore import OscoreError, OscoreKeys, new_context
from mock_network.lwm2m.tunnelled import answer

SETTING = "/setting"


class Beyond(asyncio.DatagramProtocol):
    """Listens on a UDP port, at which the LwM2M client reaches it. `now` returns the time in seconds."""

    def __init__(self, keys: OscoreKeys, *, fresh_within: float | None = None) -> None:
        self.setting = "as it was"
        self.written: list[str] = []
        self.heard: list[bytes] = []
        self.now = 0.0
        self.is_blocked = False  # somebody between lets no answer through
        self._context = new_context(keys)
        self._freshness = None if fresh_within is None else Freshness(fresh_within, random.Random(1))

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)
        try:
            back = answer(data, self._find, self._perform)
        except OscoreError:
            return  # no CoAP at all
        if not self.is_blocked:
            self._transport.sendto(back, addr)

    def _find(self, kid: bytes, _context: bytes | None) -> Any:
        return self._context if kid == self._context.recipient_id else None

    def _perform(self, request: Request) -> Response:
        if request.path != ("setting",):
            return Response("4.04")
        if request.code == GET:
            return Response("2.05", self.setting.encode())
        asked = None if self._freshness is None else self._freshness.challenge(request, self.now)
        if asked is not None or request.code != PUT:
            return asked or Response("4.05")
        self.setting = request.payload.decode()
        self.written.append(self.setting)
        return Response("2.04")
