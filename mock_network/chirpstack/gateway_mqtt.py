"""The gateway side over MQTT: `{region}/gateway/{id}/event/{up|ack|stats}` in, `.../command/down` out.

Each message is JSON or protobuf; a gateway gets its commands in the encoding of its last message.
"""

import logging
from typing import TypeVar

from chirpstack_api import gw
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError

from .driver import Driver
from .mqtt import BrokerAddress, Mqtt

log = logging.getLogger(__name__)

Frame = TypeVar("Frame", gw.UplinkFrame, gw.DownlinkTxAck, gw.GatewayStats)
EVENT_LEVELS = 4  # gateway/{id}/event/{type}, after the prefix
MAX_KNOWN_GATEWAYS = 10_000


class GatewayMqtt:
    """The gateway backend of one region; `prefix` is its topic prefix."""

    def __init__(self, broker: BrokerAddress, driver: Driver, prefix: str) -> None:
        self._driver, self._prefix = driver, prefix
        self._json: dict[str, bool] = {}
        self._mqtt = Mqtt(broker, [f"{prefix}/gateway/+/event/+"], self._message)

    async def start(self) -> None:
        """Connect. Raises OSError or TimeoutError."""
        await self._mqtt.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._mqtt.stop()

    def knows(self, gateway_id: str) -> bool:
        """Return whether this gateway was heard here."""
        return gateway_id in self._json

    def send(self, frame: gw.DownlinkFrame) -> None:
        """Send a frame to a gateway, to be transmitted."""
        as_json = self._json.get(frame.gateway_id, False)
        body = MessageToJson(frame, indent=None).encode() if as_json else frame.SerializeToString()
        self._mqtt.publish(f"{self._prefix}/gateway/{frame.gateway_id}/command/down", body)

    def _message(self, topic: str, payload: bytes) -> None:
        levels = topic.removeprefix(f"{self._prefix}/").split("/")
        if len(levels) != EVENT_LEVELS:
            return
        gateway_id, kind = levels[1], levels[3]
        as_json = b"gatewayId" in payload
        try:
            if kind == "up":
                self._note(gateway_id, as_json=as_json)
                self._driver.uplink(_decode(gw.UplinkFrame(), payload, as_json=as_json))
            elif kind == "ack":
                self._note(gateway_id, as_json=as_json)
                self._driver.tx_ack(_decode(gw.DownlinkTxAck(), payload, as_json=as_json))
            elif kind == "stats":
                self._note(gateway_id, as_json=as_json)
                stats = _decode(gw.GatewayStats(), payload, as_json=as_json)
                self._driver.server.gateway_seen(stats.gateway_id or gateway_id, self._driver.now())
        except (ParseError, DecodeError, ValueError, RecursionError) as error:
            log.warning("message on %s ignored: %s", topic, error)

    def _note(self, gateway_id: str, *, as_json: bool) -> None:
        if gateway_id in self._json or len(self._json) < MAX_KNOWN_GATEWAYS:
            self._json[gateway_id] = as_json


def _decode(message: Frame, payload: bytes, *, as_json: bool) -> Frame:
    if as_json:
        return Parse(payload, message, ignore_unknown_fields=True)
    message.ParseFromString(payload)
    return message
