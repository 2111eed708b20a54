"""TenantService, DeviceProfileService and GatewayService of the emulated server."""

# ruff: noqa: N802 - gRPC methods have the names of the .proto files

from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from .api_device import required
from .pump import Pump
from .tables import page
from .values import timestamp, uuid

OFFLINE_AFTER = 60.0  # seconds without a frame; a registered gateway's stats interval is 30 s


class TenantService(api.TenantServiceServicer):
    """Tenants; their users are not emulated."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump

    async def Create(self, request: api.CreateTenantRequest, _: object) -> api.CreateTenantResponse:
        """Add a tenant."""
        tables = self._pump.server.context.tables
        row = tables.create_tenant(required(request, "tenant"), self._pump.now())
        return api.CreateTenantResponse(id=str(row.id))

    async def Get(self, request: api.GetTenantRequest, _: object) -> api.GetTenantResponse:
        """Read a tenant."""
        row = self._pump.server.context.tables.tenant(request.id)
        return api.GetTenantResponse(
            tenant=row.message, created_at=timestamp(row.created_at), updated_at=timestamp(row.updated_at)
        )

    async def Update(self, request: api.UpdateTenantRequest, _: object) -> Empty:
        """Change a tenant."""
        self._pump.server.context.tables.update_tenant(required(request, "tenant"), self._pump.now())
        return Empty()

    async def Delete(self, request: api.DeleteTenantRequest, _: object) -> Empty:
        """Remove a tenant with everything it has."""
        self._pump.server.context.tables.delete_tenant(request.id)
        return Empty()

    async def List(self, request: api.ListTenantsRequest, _: object) -> api.ListTenantsResponse:
        """List tenants by name; a limit of 0 gives the count only."""
        rows = [
            row
            for row in self._pump.server.context.tables.tenants.values()
            if request.search.lower() in row.message.name.lower()
        ]
        rows.sort(key=lambda row: row.message.name)
        answer = api.ListTenantsResponse(total_count=len(rows))
        for row in page(rows, request.limit, request.offset):
            answer.result.add(
                id=str(row.id),
                created_at=timestamp(row.created_at),
                updated_at=timestamp(row.updated_at),
                name=row.message.name,
                can_have_gateways=row.message.can_have_gateways,
                max_gateway_count=row.message.max_gateway_count,
                max_device_count=row.message.max_device_count,
            )
        return answer


class DeviceProfileService(api.DeviceProfileServiceServicer):
    """Device profiles; the vendor catalogue is not emulated."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump

    async def Create(self, request: api.CreateDeviceProfileRequest, _: object) -> api.CreateDeviceProfileResponse:
        """Add a device profile."""
        tables = self._pump.server.context.tables
        row = tables.create_profile(required(request, "device_profile"), self._pump.now())
        return api.CreateDeviceProfileResponse(id=str(row.id))

    async def Get(self, request: api.GetDeviceProfileRequest, _: object) -> api.GetDeviceProfileResponse:
        """Read a device profile."""
        row = self._pump.server.context.tables.profile(request.id)
        return api.GetDeviceProfileResponse(
            device_profile=row.message, created_at=timestamp(row.created_at), updated_at=timestamp(row.updated_at)
        )

    async def Update(self, request: api.UpdateDeviceProfileRequest, _: object) -> Empty:
        """Change a device profile."""
        self._pump.server.context.tables.update_profile(required(request, "device_profile"), self._pump.now())
        return Empty()

    async def Delete(self, request: api.DeleteDeviceProfileRequest, _: object) -> Empty:
        """Remove a device profile that no device uses."""
        self._pump.server.context.tables.delete_profile(request.id)
        return Empty()

    async def List(self, request: api.ListDeviceProfilesRequest, _: object) -> api.ListDeviceProfilesResponse:
        """List a tenant's device profiles by name; a limit of 0 gives the count only."""
        tenant_id = uuid(request.tenant_id) if request.tenant_id else None
        rows = [
            row
            for row in self._pump.server.context.tables.profiles.values()
            if tenant_id in (None, row.tenant_id) and request.search.lower() in row.message.name.lower()
        ]
        rows.sort(key=lambda row: row.message.name)
        answer = api.ListDeviceProfilesResponse(total_count=len(rows))
        for row in page(rows, request.limit, request.offset):
            answer.result.add(
                id=str(row.id),
                created_at=timestamp(row.created_at),
                updated_at=timestamp(row.updated_at),
                name=row.message.name,
                region=row.message.region,
                mac_version=row.message.mac_version,
                reg_params_revision=row.message.reg_params_revision,
                supports_otaa=row.message.supports_otaa,
                supports_class_b=row.message.supports_class_b,
                supports_class_c=row.message.supports_class_c,
            )
        return answer

    async def ListAdrAlgorithms(self, _request: Empty, _: object) -> api.ListDeviceProfileAdrAlgorithmsResponse:
        """List the ADR algorithms a profile may name."""
        answer = api.ListDeviceProfileAdrAlgorithmsResponse(total_count=1)
        answer.result.add(id="default", name="Default ADR algorithm (LoRa only)")
        return answer


class GatewayService(api.GatewayServiceServicer):
    """Gateways; metrics, certificates and relay gateways stay unimplemented."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump

    async def Create(self, request: api.CreateGatewayRequest, _: object) -> Empty:
        """Register a gateway."""
        self._pump.server.context.tables.create_gateway(required(request, "gateway"), self._pump.now())
        return Empty()

    async def Get(self, request: api.GetGatewayRequest, _: object) -> api.GetGatewayResponse:
        """Read a gateway."""
        row = self._pump.server.context.tables.gateway(request.gateway_id)
        answer = api.GetGatewayResponse(
            gateway=row.message, created_at=timestamp(row.created_at), updated_at=timestamp(row.updated_at)
        )
        if row.last_seen_at is not None:
            answer.last_seen_at.CopyFrom(timestamp(row.last_seen_at))
        return answer

    async def Update(self, request: api.UpdateGatewayRequest, _: object) -> Empty:
        """Change a gateway."""
        self._pump.server.context.tables.update_gateway(required(request, "gateway"), self._pump.now())
        return Empty()

    async def Delete(self, request: api.DeleteGatewayRequest, _: object) -> Empty:
        """Remove a gateway."""
        self._pump.server.context.tables.delete_gateway(request.gateway_id)
        return Empty()

    async def List(self, request: api.ListGatewaysRequest, _: object) -> api.ListGatewaysResponse:
        """List gateways by name; a limit of 0 gives the count only."""
        tenant_id = uuid(request.tenant_id) if request.tenant_id else None
        rows = [
            row
            for row in self._pump.server.context.tables.gateways.values()
            if tenant_id in (None, row.tenant_id)
            and request.search.lower() in f"{row.message.name} {row.message.gateway_id}".lower()
        ]
        rows.sort(key=lambda row: row.message.name)
        answer = api.ListGatewaysResponse(total_count=len(rows))
        now = self._pump.now()
        for row in page(rows, request.limit, request.offset):
            item = answer.result.add(
                tenant_id=str(row.tenant_id),
                gateway_id=row.message.gateway_id,
                name=row.message.name,
                description=row.message.description,
                created_at=timestamp(row.created_at),
                updated_at=timestamp(row.updated_at),
            )
            if row.last_seen_at is not None:
                item.last_seen_at.CopyFrom(timestamp(row.last_seen_at))
                item.state = api.ONLINE if now - row.last_seen_at < OFFLINE_AFTER else api.OFFLINE
        return answer
