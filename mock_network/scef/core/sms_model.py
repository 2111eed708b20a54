"""A device trigger on its way as an SMS. Mutable, owned by the core."""

from dataclasses import dataclass

from mock_network.scef.schema import DeliveryResult
from mock_network.scef.schema.sms import DeviceTriggering

# 140 octets of user data, less a header of 7 for the two application ports (TS 23.040 §9.2.3.24.4)
SMS_OCTETS = 133


@dataclass(slots=True, eq=False)
class Trigger:
    """One transaction of 3gpp-device-triggering; `terms` is the SCS/AS's request."""

    id: str
    number: int
    scs_as: str
    ue: str
    terms: DeviceTriggering
    features: int | None
    result: DeliveryResult = DeliveryResult.TRIGGERED
    attempts: int = 0
    not_before: float = 0.0  # the next attempt

    @property
    def pending(self) -> bool:
        """Return whether it may still reach the UE."""
        return self.result in {DeliveryResult.TRIGGERED, DeliveryResult.REPLACED}

    @property
    def urgent(self) -> bool:
        """Return whether it is sent before triggers without priority."""
        return self.terms.priority == "PRIORITY"
