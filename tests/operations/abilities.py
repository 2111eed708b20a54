"""A binding with every ability of `bindings.contract`, as a third party would write it; its network is a dictionary."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from bindings.contract import DeviceMade, NetworkDevice
from bindings.diagnosis import Finding, Grade
from bridge.errors import BindingError
from tests.service.scripted_binding import ScriptedBinding


class DeviceSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A pigeon."""

    colour: Annotated[str, Meta(description="of its feathers")] = "grey"
    ring: Annotated[str, Meta(description="number on its ring", extra={"secret": True})] = ""
    speed: Annotated[int, Meta(ge=1, description="metres a second")] = 20


class AbleBinding(ScriptedBinding):
    """`made` is what its network holds: device → (name, settings)."""

    made: dict[str, tuple[str, DeviceSettings]]

    def __init__(self, name: str, settings: Any) -> None:
        super().__init__(name, settings)
        self.made = {}
        self.directed_to: list[str] = []
        self.broken = ""

    @classmethod
    def device_settings(cls) -> type[DeviceSettings]:
        return DeviceSettings

    async def make_device(self, device: str, name: str, settings: DeviceSettings) -> DeviceMade:
        if self.broken:
            raise BindingError(self.broken)
        new = device not in self.made
        self.made[device] = (name, settings)
        return DeviceMade((f"a {settings.colour} pigeon",) if new else (), "loft", ("feed it",))

    async def network_devices(self) -> Sequence[NetworkDevice]:
        return [NetworkDevice(device, name) for device, (name, _) in self.made.items()]

    async def set_integration(self, scope: str = "") -> bool:
        self.directed_to.append(scope)
        return len(self.directed_to) == 1

    async def check(self) -> Sequence[Finding]:
        return [Finding("pigeons", Grade.GOOD, f"{len(self.made)} in the loft")]
