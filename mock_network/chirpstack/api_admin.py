"""TenantService, DeviceProfileService and GatewayService of the emulated server."""

# ruff: noqa: N802 - gRPC methods have the names of the .proto files

from typing import Any

from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from .api_rows import Rows
from .model import Gateway
from .values import timestamp

OFFLINE_AFTER = 60.0  # seconds without a frame; a registered gateway's stats interval is 30 s


class TenantService(Rows, api.TenantServiceServicer):
    """Tenants; their users are not emulated."""

    table, field = "tenants", "tenant"
    created, got, listed = api.CreateTenantResponse, api.GetTenantResponse, api.ListTenantsResponse


class DeviceProfileService(Rows, api.DeviceProfileServiceServicer):
    """Device profiles; the vendor catalogue is not emulated."""

    table, field = "profiles", "device_profile"
    created, got = api.CreateDeviceProfileResponse, api.GetDeviceProfileResponse
    listed = api.ListDeviceProfilesResponse

    async def ListAdrAlgorithms(self, _request: Empty, _: object) -> api.ListDeviceProfileAdrAlgorithmsResponse:
        """List the ADR algorithms a profile may name."""
        answer = api.ListDeviceProfileAdrAlgorithmsResponse(total_count=1)
        answer.result.add(id="default", name="Default ADR algorithm (LoRa only)")
        return answer


class GatewayService(Rows, api.GatewayServiceServicer):
    """Gateways; metrics, certificates and relay gateways stay unimplemented."""

    table, field, key = "gateways", "gateway", "gateway_id"
    got, listed = api.GetGatewayResponse, api.ListGatewaysResponse

    def more_of(self, row: Gateway, answer: Any) -> None:
        """Add when it was heard last."""
        if row.last_seen_at is None:
            return
        answer.last_seen_at.CopyFrom(timestamp(row.last_seen_at))
        if isinstance(answer, api.GatewayListItem):
            heard = self._driver.now() - row.last_seen_at < OFFLINE_AFTER
            answer.state = api.ONLINE if heard else api.OFFLINE
