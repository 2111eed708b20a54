"""Checks of single kinds of rows: a delay, limits of a tenant."""

from collections.abc import Callable, Mapping
from uuid import UUID

from chirpstack_api import api

from .errors import Refused, Status, invalid
from .model import Application, Device, DeviceProfile, Gateway, Tenant
from .table import Duplicate, KeyColumn, Table
from .values import eui64

MAX_RX1_DELAY = 15  # seconds, four bits in RXTimingSetupReq
Tenants = Table[UUID, api.Tenant, Tenant]
Applications = Table[UUID, api.Application, Application]


class Profiles(Table[UUID, api.DeviceProfile, DeviceProfile]):
    """Device profiles."""

    def validated(self, message: api.DeviceProfile, *, new: bool) -> api.DeviceProfile:
        """Refuse a delay that cannot be encoded for a device."""
        kept = super().validated(message, new=new)
        if kept.rx1_delay > MAX_RX1_DELAY:
            raise invalid("RX1 Delay must be between 0 - 15")
        return kept


class Gateways(Table[bytes, api.Gateway, Gateway]):
    """Gateways, as many as their tenant may have."""

    def __init__(self, tenants: Tenants, duplicate: Duplicate) -> None:
        key = KeyColumn("gateway_id", eui64, bytes.hex)
        super().__init__("gateway", Gateway, key, parents={"tenant_id": tenants}, duplicate=duplicate)
        self._tenants = tenants

    def admit(self, parents: Mapping[str, UUID]) -> None:
        """Check the tenant's limits; a missing tenant is NOT_FOUND here."""
        tenant = self._tenants.get(str(parents["tenant_id"]))
        if not tenant.message.can_have_gateways:
            raise _not_allowed("Tenant can not have gateways")
        allowed = tenant.message.max_gateway_count
        if allowed and sum(row.tenant_id == tenant.id for row in self.rows.values()) >= allowed:
            raise _not_allowed("Max number of gateways exceeded for tenant")


class Devices(Table[bytes, api.Device, Device]):
    """Devices, as many as their tenant may have; they may move to another application or profile."""

    moves = True
    named_at_first = False

    def __init__(
        self,
        tenants: Tenants,
        applications: Applications,
        profiles: Profiles,
        duplicate: Duplicate,
        removed: Callable[[Device], None],
    ) -> None:
        super().__init__(
            "device",
            Device,
            KeyColumn("dev_eui", eui64, bytes.hex),
            parents={"application_id": applications, "device_profile_id": profiles},
            duplicate=duplicate,
            removed=removed,
        )
        self._tenants, self._applications = tenants, applications

    def validated(self, message: api.Device, *, new: bool) -> api.Device:
        """Read the JoinEUI."""
        join_eui = eui64(message.join_eui)
        kept = super().validated(message, new=new)
        kept.join_eui = join_eui.hex()
        return kept

    def admit(self, parents: Mapping[str, UUID]) -> None:
        """Check the tenant's limits; without the application there is no tenant, and no error."""
        application = self._applications.rows.get(parents["application_id"])
        if application is None:
            raise Refused(Status.INTERNAL, "Record not found")
        tenant = self._tenants.rows[application.tenant_id]
        allowed = tenant.message.max_device_count
        if allowed and self._count(tenant) >= allowed:
            raise _not_allowed("Max number of devices exceeded for tenant")

    def _count(self, tenant: Tenant) -> int:
        applications = self._applications.rows
        return sum(applications[device.application_id].tenant_id == tenant.id for device in self.rows.values())


def _not_allowed(reason: str) -> Refused:
    return Refused(Status.INVALID_ARGUMENT, f"Not allowed ({reason})")
