"""Payloads that only device and bridge can read (LoRaWAN end to end): the network server has no AppSKey.

A key stream must never encrypt two payloads: whoever has both learns their difference. The network server's
counter (`GetNextFCntDown`) repeats itself when a downlink is removed, and that server is not trusted here.
So the bridge counts itself, for each key, and commits the counter before it uses it.
"""

import logging

from msgspec.structs import replace

from bindings.contract import Events
from bindings.lorawan.app_s_key import ZEROS, Keks, crypt
from bindings.lorawan.network_events import DataUplink
from bindings.lorawan.notes import DeviceNote, DeviceNotes, Sealed
from bindings.lorawan.provider import NewItem, Provider, QueuedItem
from bridge.errors import KeyUnavailable

log = logging.getLogger(__name__)

_LAST_COUNTER = 0xFFFFFFFF


class Sealing:
    """Decrypts uplinks and encrypts downlinks of one network instance."""

    def __init__(self, keks: Keks, provider: Provider, records: DeviceNotes, events: Events, *, required: bool) -> None:
        """`required`: no payload is sent or accepted that the network server can read."""
        self._keks = keks
        self._provider = provider
        self._records = records
        self._events = events
        self._required = required

    def payload(self, event: DataUplink, record: DeviceNote) -> bytes | None:
        """Return the device's payload.

        None: it cannot be decrypted, or the network server could read it although it must not; this is counted and
        logged.
        """
        own = record.sealed
        personal = own is not None and own.personal
        if not (event.sealed or personal or self._required):
            return event.data
        try:
            return self._opened(event, own)
        except KeyUnavailable as error:
            sealed = event.sealed or personal
            self._events.count("lorawan_sealed_uplinks" if sealed else "lorawan_unsealed_uplinks")
            log.warning(
                "an uplink of device %s is dropped: %s", event.device, error, extra={"sample": "lorawan sealed"}
            )
            return None

    def _opened(self, event: DataUplink, own: Sealed | None) -> bytes:
        data, where = event.data, (event.dev_addr, event.f_cnt)
        if event.sealed:
            return self._crypt(self._keks.unwrap(event.app_s_key), data, where)
        if own is None or not own.personal:
            raise KeyUnavailable("the network server could read the payload, and end_to_end.required is set")
        return self._crypt(self._keks.unwrap(own.envelope), self._crypt(ZEROS, data, where), where)

    @staticmethod
    def _crypt(key: bytes, data: bytes, where: tuple[str, int]) -> bytes:
        dev_addr, f_cnt = where
        return crypt(key, data, uplink=True, dev_addr=dev_addr, f_cnt=f_cnt)

    async def seal(self, item: NewItem, record: DeviceNote | None) -> NewItem:
        """Return a downlink as it may be put into the network server's queue.

        Raises KeyUnavailable, CallFailed, StoreUnavailable: then nothing was sent.
        """
        own = record.sealed if record is not None else None
        if own is None or record is None:
            if self._required:
                raise KeyUnavailable("the AppSKey of the device is unknown: its next join or uplink may carry it")
            return item
        key = self._keks.unwrap(own.envelope)
        if not record.dev_addr:
            raise KeyUnavailable("no message of the device came yet, so its DevAddr is unknown")
        counter = max(await self._provider.next_f_cnt_down(item.device), own.next_down)
        if counter > _LAST_COUNTER:
            raise KeyUnavailable("all frame counters of the session are used up: the device has to join again")
        own.next_down = counter + 1
        await self._records.put(item.device, record)
        if record.sealed is not own:
            raise KeyUnavailable("the device joined again")
        data = crypt(key, item.data, uplink=False, dev_addr=record.dev_addr, f_cnt=counter)
        return replace(item, data=data, f_cnt_down=counter)

    def is_of(self, item: QueuedItem, payload: bytes, record: DeviceNote | None) -> bool:
        """Return whether an item in the queue carries a payload."""
        own = record.sealed if record is not None else None
        if not item.encrypted or own is None or record is None or not record.dev_addr:
            return item.data == payload and not item.encrypted
        try:
            key = self._keks.unwrap(own.envelope)
        except KeyUnavailable:
            return False
        return crypt(key, item.data, uplink=False, dev_addr=record.dev_addr, f_cnt=item.f_cnt_down) == payload
