"""InternalService of the emulated server: version, regions, and the event stream with its retained history."""

# ruff: noqa: N802 - gRPC methods have the names of the .proto files

import asyncio
from collections.abc import AsyncIterator

from chirpstack_api import api
from google.protobuf.empty_pb2 import Empty

from .driver import Driver
from .errors import not_found
from .values import eui64

VERSION = "4.20.0"
NARROW = 125_000  # Hz
AT_ONCE = 10  # events per read of the stream, as the real server reads Redis


class InternalService(api.InternalServiceServicer):
    """What bridges and their users ask; users, API keys and frame logs stay unimplemented."""

    def __init__(self, driver: Driver, version: str = VERSION) -> None:
        self._driver = driver
        self._version = version

    async def GetVersion(self, _request: Empty, _: object) -> api.GetVersionResponse:
        """Return the version this emulator follows."""
        return api.GetVersionResponse(version=self._version)

    async def ListRegions(self, _request: Empty, _: object) -> api.ListRegionsResponse:
        """List the one enabled region."""
        region = self._driver.server.context.region
        item = api.RegionListItem(id=region.id, region=region.common_name, description=region.id.upper())
        return api.ListRegionsResponse(regions=[item])

    async def GetRegion(self, request: api.GetRegionRequest, _: object) -> api.GetRegionResponse:
        """Return the enabled region's settings."""
        context = self._driver.server.context
        region, settings = context.region, context.settings
        if request.id != region.id:
            raise not_found(request.id)
        answer = api.GetRegionResponse(
            id=region.id,
            region=region.common_name,
            description=region.id.upper(),
            rx1_delay=settings.rx1_delay,
            rx1_dr_offset=settings.rx1_dr_offset,
            rx2_dr=region.rx2_dr,
            rx2_frequency=region.rx2_frequency,
            class_b_ping_slot_dr=settings.class_b_ping_slot_dr,
            class_b_ping_slot_frequency=settings.class_b_ping_slot_frequency,
        )
        for frequency in (*region.uplink_channels, *region.cf_list):
            answer.uplink_channels.add(
                frequency=frequency, data_rates=[dr for dr in region.up if region.up[dr].bandwidth == NARROW]
            )
        return answer

    async def StreamDeviceEvents(self, request: api.StreamDeviceEventsRequest, _: object) -> AsyncIterator[api.LogItem]:
        """Replay the retained events of a device, then follow new ones; every call begins with the history."""
        dev_eui = eui64(request.dev_eui).hex()
        last = (0, 0)
        while True:
            history = self._driver.server.context.history.get(dev_eui, ())
            for kept in [one for one in history if one.position > last][:AT_ONCE]:
                last = kept.position
                yield kept.log_item()
            await asyncio.sleep(self._driver.server.context.settings.history_pause)
