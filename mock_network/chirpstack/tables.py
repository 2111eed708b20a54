"""Tenants, applications, device profiles, devices, gateways: creating, reading and changing them as the real API does.

Every method raises `Refused` with the status the real server answers with. A second object under the same key and a
reference to an object that is not there are database errors in ChirpStack 4.20, so callers see INTERNAL
(storage/error.rs `from_diesel`); `duplicates_already_exist` gives ALREADY_EXISTS instead.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from chirpstack_api import api

from .errors import Refused, Status, already_exists, invalid, not_found
from .model import Application, Device, DeviceKeys, DeviceProfile, Gateway, QueueItem, Session, Tenant
from .values import aes_key, eui64, uuid

Row = TypeVar("Row")
MAX_RX1_DELAY = 15  # seconds, four bits in RXTimingSetupReq


def page(rows: Iterable[Row], limit: int, offset: int) -> list[Row]:
    """Give one page; a limit of 0 gives no rows, only the count is of interest then."""
    return list(rows)[offset : offset + limit]


@dataclass(slots=True)
class Tables:
    """All rows of the emulated server. `rng` makes the identifiers."""

    rng: random.Random
    duplicates_already_exist: bool = False
    tenants: dict[UUID, Tenant] = field(default_factory=dict)
    applications: dict[UUID, Application] = field(default_factory=dict)
    profiles: dict[UUID, DeviceProfile] = field(default_factory=dict)
    devices: dict[bytes, Device] = field(default_factory=dict)
    gateways: dict[bytes, Gateway] = field(default_factory=dict)
    queue: dict[UUID, QueueItem] = field(default_factory=dict)
    _queue_of: dict[bytes, dict[UUID, QueueItem]] = field(default_factory=dict)  # the same items, by device
    _by_dev_addr: dict[int, list[Device]] = field(default_factory=dict)

    def new_id(self) -> UUID:
        """Give a fresh random UUID (version 4)."""
        return UUID(int=self.rng.getrandbits(128), version=4)

    def duplicate(self, table: str, identifier: str) -> Refused:
        """Give the refusal of a second object under the same key."""
        if self.duplicates_already_exist:
            return already_exists(identifier)
        return Refused(Status.INTERNAL, f'duplicate key value violates unique constraint "{table}_pkey"')

    @staticmethod
    def _dangling(table: str, reference: str) -> Refused:
        text = f'insert or update on table "{table}" violates foreign key constraint "{table}_{reference}_fkey"'
        return Refused(Status.INTERNAL, text)

    def create_tenant(self, message: api.Tenant, now: float) -> Tenant:
        """Add a tenant; the caller's id is ignored."""
        if not message.name:
            raise invalid("name is not set")
        row = Tenant(self.new_id(), api.Tenant(), now, now)
        row.message.CopyFrom(message)
        row.message.id = str(row.id)
        self.tenants[row.id] = row
        return row

    def update_tenant(self, message: api.Tenant, now: float) -> Tenant:
        """Change a tenant."""
        row = self.tenant(message.id)
        if not message.name:
            raise invalid("name is not set")
        row.message.CopyFrom(message)
        row.message.id = str(row.id)
        row.updated_at = now
        return row

    def tenant(self, identifier: str) -> Tenant:
        """Read a tenant."""
        return self._get(self.tenants, uuid(identifier))

    def delete_tenant(self, identifier: str) -> None:
        """Remove a tenant and all that belongs to it."""
        row = self.tenant(identifier)
        for application in [item for item in self.applications.values() if item.tenant_id == row.id]:
            self.delete_application(str(application.id))
        self.profiles = {key: item for key, item in self.profiles.items() if item.tenant_id != row.id}
        self.gateways = {key: item for key, item in self.gateways.items() if item.tenant_id != row.id}
        del self.tenants[row.id]

    def create_application(self, message: api.Application, now: float) -> Application:
        """Add an application to a tenant."""
        tenant_id = uuid(message.tenant_id)
        if not message.name:
            raise invalid("name is not set")
        if tenant_id not in self.tenants:
            raise self._dangling("application", "tenant_id")
        row = Application(self.new_id(), tenant_id, api.Application(), now, now)
        row.message.CopyFrom(message)
        row.message.id = str(row.id)
        self.applications[row.id] = row
        return row

    def update_application(self, message: api.Application, now: float) -> Application:
        """Change an application; its tenant stays."""
        row = self.application(message.id)
        if not message.name:
            raise invalid("name is not set")
        row.message.CopyFrom(message)
        row.message.id, row.message.tenant_id = str(row.id), str(row.tenant_id)
        row.updated_at = now
        return row

    def application(self, identifier: str) -> Application:
        """Read an application."""
        return self._get(self.applications, uuid(identifier))

    def delete_application(self, identifier: str) -> None:
        """Remove an application with its devices."""
        row = self.application(identifier)
        for device in [item for item in self.devices.values() if item.application_id == row.id]:
            self.delete_device(device.eui)
        del self.applications[row.id]

    @staticmethod
    def _check_profile(message: api.DeviceProfile) -> None:
        if not message.name:
            raise invalid("name is not set")
        if message.rx1_delay > MAX_RX1_DELAY:
            raise invalid("RX1 Delay must be between 0 - 15")

    def create_profile(self, message: api.DeviceProfile, now: float) -> DeviceProfile:
        """Add a device profile to a tenant."""
        tenant_id = uuid(message.tenant_id)
        self._check_profile(message)
        if tenant_id not in self.tenants:
            raise self._dangling("device_profile", "tenant_id")
        row = DeviceProfile(self.new_id(), tenant_id, api.DeviceProfile(), now, now)
        row.message.CopyFrom(message)
        row.message.id = str(row.id)
        self.profiles[row.id] = row
        return row

    def update_profile(self, message: api.DeviceProfile, now: float) -> DeviceProfile:
        """Change a device profile; its tenant stays."""
        row = self.profile(message.id)
        self._check_profile(message)
        row.message.CopyFrom(message)
        row.message.id, row.message.tenant_id = str(row.id), str(row.tenant_id)
        row.updated_at = now
        return row

    def profile(self, identifier: str) -> DeviceProfile:
        """Read a device profile."""
        return self._get(self.profiles, uuid(identifier))

    def delete_profile(self, identifier: str) -> None:
        """Remove a device profile that no device uses."""
        row = self.profile(identifier)
        if any(device.device_profile_id == row.id for device in self.devices.values()):
            raise self._dangling("device", "device_profile_id")
        del self.profiles[row.id]

    def create_device(self, message: api.Device, now: float) -> Device:
        """Add a device to an application."""
        dev_eui, join_eui = eui64(message.dev_eui), eui64(message.join_eui)
        application_id, profile_id = uuid(message.application_id), uuid(message.device_profile_id)
        if application_id not in self.applications:
            raise Refused(Status.INTERNAL, "Record not found")
        tenant = self.tenants[self.applications[application_id].tenant_id]
        allowed = tenant.message.max_device_count
        if allowed and self._devices_of(tenant) >= allowed:
            raise Refused(Status.INVALID_ARGUMENT, "Not allowed (Max number of devices exceeded for tenant)")
        if dev_eui in self.devices:
            raise self.duplicate("device", dev_eui.hex())
        if profile_id not in self.profiles:
            raise self._dangling("device", "device_profile_id")
        row = Device(dev_eui, application_id, profile_id, api.Device(), now, now)
        row.message.CopyFrom(message)
        row.message.dev_eui, row.message.join_eui = dev_eui.hex(), join_eui.hex()
        self.devices[dev_eui] = row
        return row

    def _devices_of(self, tenant: Tenant) -> int:
        return sum(self.applications[device.application_id].tenant_id == tenant.id for device in self.devices.values())

    def update_device(self, message: api.Device, now: float) -> Device:
        """Change a device, or move it to another application or profile."""
        row = self.device(message.dev_eui)
        join_eui = eui64(message.join_eui)
        application_id, profile_id = uuid(message.application_id), uuid(message.device_profile_id)
        if not message.name:
            raise invalid("name is not set")
        if application_id not in self.applications:
            raise self._dangling("device", "application_id")
        if profile_id not in self.profiles:
            raise self._dangling("device", "device_profile_id")
        row.application_id, row.device_profile_id = application_id, profile_id
        row.message.CopyFrom(message)
        row.message.dev_eui, row.message.join_eui = row.eui, join_eui.hex()
        row.updated_at = now
        return row

    def device(self, dev_eui: str) -> Device:
        """Read a device."""
        return self._get(self.devices, eui64(dev_eui))

    def delete_device(self, dev_eui: str) -> None:
        """Remove a device, its keys and its queue."""
        row = self.device(dev_eui)
        for item in self.queued(row.dev_eui):
            self.remove_item(item)
        self.set_session(row, None)
        del self.devices[row.dev_eui]

    def create_keys(self, message: api.DeviceKeys, now: float) -> None:
        """Give a device its root keys."""
        key = eui64(message.dev_eui)
        fresh = DeviceKeys(aes_key(message.nwk_key), aes_key(message.app_key), aes_key(message.gen_app_key), now, now)
        if key not in self.devices:
            raise self._dangling("device_keys", "dev_eui")
        device = self.devices[key]
        if device.keys is not None:
            raise self.duplicate("device_keys", device.eui)
        device.keys = fresh

    def keys(self, dev_eui: str) -> DeviceKeys:
        """Read a device's root keys."""
        device = self.devices.get(eui64(dev_eui))
        if device is None or device.keys is None:
            raise not_found(eui64(dev_eui).hex())
        return device.keys

    def update_keys(self, message: api.DeviceKeys, now: float) -> None:
        """Change a device's root keys; used nonces stay."""
        row = self.keys(message.dev_eui)
        row.nwk_key, row.app_key = aes_key(message.nwk_key), aes_key(message.app_key)
        row.gen_app_key, row.updated_at = aes_key(message.gen_app_key), now

    def delete_keys(self, dev_eui: str) -> None:
        """Take a device's root keys away."""
        self.keys(dev_eui)
        self.devices[eui64(dev_eui)].keys = None

    def create_gateway(self, message: api.Gateway, now: float) -> Gateway:
        """Register a gateway."""
        key, tenant_id = eui64(message.gateway_id), uuid(message.tenant_id)
        if not message.name:
            raise invalid("name is not set")
        if tenant_id not in self.tenants:
            raise Refused(Status.INTERNAL, "Record not found")
        if not self.tenants[tenant_id].message.can_have_gateways:
            raise Refused(Status.INVALID_ARGUMENT, "Not allowed (Tenant can not have gateways)")
        if key in self.gateways:
            raise self.duplicate("gateway", key.hex())
        row = Gateway(key, tenant_id, api.Gateway(), now, now)
        row.message.CopyFrom(message)
        row.message.gateway_id = key.hex()
        self.gateways[key] = row
        return row

    def update_gateway(self, message: api.Gateway, now: float) -> Gateway:
        """Change a gateway; its tenant stays."""
        row = self.gateway(message.gateway_id)
        if not message.name:
            raise invalid("name is not set")
        row.message.CopyFrom(message)
        row.message.gateway_id, row.message.tenant_id = row.id.hex(), str(row.tenant_id)
        row.updated_at = now
        return row

    def gateway(self, identifier: str) -> Gateway:
        """Read a gateway."""
        return self._get(self.gateways, eui64(identifier))

    def delete_gateway(self, identifier: str) -> None:
        """Remove a gateway."""
        del self.gateways[self.gateway(identifier).id]

    def sessions(self, dev_addr: int) -> list[tuple[Device, Session]]:
        """Give the enabled devices that hold this DevAddr (several may)."""
        return [
            (device, device.session)
            for device in self._by_dev_addr.get(dev_addr, ())
            if device.session and not device.message.is_disabled
        ]

    def set_session(self, device: Device, session: Session | None) -> None:
        """Give a device a session, or take it away; only here, so that the DevAddr finds the device."""
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
        """Give a device's queue items, oldest first."""
        return sorted(self._queue_of.get(dev_eui, {}).values(), key=lambda item: item.created_at)

    def with_queue(self) -> list[Device]:
        """Give the devices that have anything queued, by DevEUI."""
        return [self.devices[dev_eui] for dev_eui in sorted(self._queue_of)]

    @staticmethod
    def _get(table: "dict[UUID, Row] | dict[bytes, Row]", key: UUID | bytes) -> Row:
        row = table.get(key)  # type: ignore[arg-type] # the caller's table has the caller's kind of key
        if row is None:
            raise not_found(key.hex() if isinstance(key, bytes) else str(key))
        return row
