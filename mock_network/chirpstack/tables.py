"""All rows of the emulated server: tenants, applications, device profiles, gateways, devices with keys and queue."""

import random
from uuid import UUID

from chirpstack_api import api

from .errors import Refused, Status, already_exists, not_found
from .kinds import Applications, Devices, Gateways, Profiles, Tenants
from .model import Application, Device, DeviceKeys, DeviceProfile, QueueItem, Session, Tenant
from .table import KeyColumn, dangling
from .values import aes_key, eui64, uuid


class Tables:
    """All rows of the emulated server. `rng` makes the identifiers.

    A second row under the same key is INTERNAL, as in ChirpStack 4.20; ALREADY_EXISTS with `duplicates_already_exist`.
    """

    def __init__(self, rng: random.Random, *, duplicates_already_exist: bool = False) -> None:
        self._rng, self._duplicates_already_exist = rng, duplicates_already_exist
        key, duplicate = KeyColumn("id", uuid, str, self.new_id), self.duplicate
        self.tenants = Tenants("tenant", Tenant, key, duplicate=duplicate)
        of_tenant = {"tenant_id": self.tenants}
        self.applications = Applications("application", Application, key, parents=of_tenant, duplicate=duplicate)
        self.profiles = Profiles("device_profile", DeviceProfile, key, parents=of_tenant, duplicate=duplicate)
        self.gateways = Gateways(self.tenants, duplicate)
        self.devices = Devices(self.tenants, self.applications, self.profiles, duplicate, self._device_removed)
        self.queue: dict[UUID, QueueItem] = {}
        self._queue_of: dict[bytes, dict[UUID, QueueItem]] = {}  # the same items, by device
        self._by_dev_addr: dict[int, list[Device]] = {}

    def new_id(self) -> UUID:
        """Return a fresh random UUID (version 4)."""
        return UUID(int=self._rng.getrandbits(128), version=4)

    def duplicate(self, table: str, identifier: str) -> Refused:
        """Return the refusal of a second row under the same key."""
        if self._duplicates_already_exist:
            return already_exists(identifier)
        return Refused(Status.INTERNAL, f'duplicate key value violates unique constraint "{table}_pkey"')

    def _device_removed(self, device: Device) -> None:
        for item in self.queued(device.dev_eui):
            self.remove_item(item)
        self.set_session(device, None)

    def create_keys(self, message: api.DeviceKeys, now: float) -> None:
        """Set the root keys of a device."""
        fresh = DeviceKeys(aes_key(message.nwk_key), aes_key(message.app_key), aes_key(message.gen_app_key), now, now)
        device = self.devices.rows.get(eui64(message.dev_eui))
        if device is None:
            raise dangling("device_keys", "dev_eui")
        if device.keys is not None:
            raise self.duplicate("device_keys", device.eui)
        device.keys = fresh

    def keys(self, dev_eui: str) -> DeviceKeys:
        """Read a device's root keys."""
        return self._with_keys(dev_eui)[1]

    def update_keys(self, message: api.DeviceKeys, now: float) -> None:
        """Change a device's root keys; used nonces stay."""
        row = self.keys(message.dev_eui)
        row.nwk_key, row.app_key = aes_key(message.nwk_key), aes_key(message.app_key)
        row.gen_app_key, row.updated_at = aes_key(message.gen_app_key), now

    def delete_keys(self, dev_eui: str) -> None:
        """Remove a device's root keys."""
        self._with_keys(dev_eui)[0].keys = None

    def _with_keys(self, dev_eui: str) -> tuple[Device, DeviceKeys]:
        device = self.devices.rows.get(eui64(dev_eui))
        if device is None or device.keys is None:
            raise not_found(eui64(dev_eui).hex())
        return device, device.keys

    def sessions(self, dev_addr: int) -> list[tuple[Device, Session]]:
        """Return the enabled devices that hold this DevAddr (several may)."""
        return [
            (device, device.session)
            for device in self._by_dev_addr.get(dev_addr, ())
            if device.session and not device.message.is_disabled
        ]

    def set_session(self, device: Device, session: Session | None) -> None:
        """Set or remove the session of a device; only here, so that the DevAddr finds the device."""
        if device.session is not None:
            holders = self._by_dev_addr[device.session.dev_addr]
            holders.remove(device)
            if not holders:
                del self._by_dev_addr[device.session.dev_addr]
        device.session = session
        if session is not None:
            self._by_dev_addr.setdefault(session.dev_addr, []).append(device)

    def add_item(self, item: QueueItem) -> None:
        """Add a queue item."""
        self.queue[item.id] = item
        self._queue_of.setdefault(item.dev_eui, {})[item.id] = item

    def remove_item(self, item: QueueItem) -> None:
        """Remove a queue item, if it is there."""
        if self.queue.pop(item.id, None) is not None:
            mine = self._queue_of[item.dev_eui]
            del mine[item.id]
            if not mine:
                del self._queue_of[item.dev_eui]

    def queued(self, dev_eui: bytes) -> list[QueueItem]:
        """Return a device's queue items, oldest first."""
        return sorted(self._queue_of.get(dev_eui, {}).values(), key=lambda item: item.created_at)

    def with_queue(self) -> list[Device]:
        """Return the devices that have anything queued, by DevEUI."""
        return [self.devices.rows[dev_eui] for dev_eui in sorted(self._queue_of)]
