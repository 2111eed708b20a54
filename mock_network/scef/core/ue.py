"""One UE and the network's knowledge of it. Mutable, owned by the core."""

import random
from dataclasses import dataclass, field

from mock_network.scef.core.nidd_model import Delivery
from mock_network.scef.core.rate import RateControl
from mock_network.scef.core.sms_model import Trigger
from mock_network.scef.core.states import UeState
from mock_network.scef.core.ue_settings import SettingsError, UeSettings

__all__ = ["SettingsError", "Ue", "UeSettings"]


@dataclass(slots=True, eq=False)
class Ue:
    """One UE. Provisioned timers (TS 23.682 §4.5.21) replace those in the settings after they are granted."""

    name: str
    settings: UeSettings
    state: UeState = UeState.DETACHED
    since: float = 0.0
    silent: bool = False  # a page was not answered: taken for unreachable until it is heard again
    reported_lost: bool = False
    queue: list[Delivery] = field(default_factory=list)  # downlinks that wait
    in_flight: Delivery | None = None
    sms_queue: list[Trigger] = field(default_factory=list)
    sms_in_flight: Trigger | None = None
    last_arrival: float = 0.0  # of an uplink at the SCEF: they do not overtake each other
    rate: RateControl = field(default_factory=RateControl)
    trigger_pending: bool = False
    provisioned_t3324: float | None = None  # wanted by 3gpp-network-parameter-configuration
    provisioned_t3412: float | None = None
    granted_t3324: float | None = None  # what of it the UE has got
    granted_t3412: float | None = None
    detection_time: float | None = None  # maximumDetectionTime of a monitoring subscription

    @property
    def t3324(self) -> float | None:
        """Return the active time in force, seconds; None: no PSM."""
        return self.settings.t3324 if self.granted_t3324 is None else self.granted_t3324

    @property
    def t3412(self) -> float | None:
        """Return the period of tracking area updates in force, seconds; None: none."""
        return self.settings.t3412 if self.granted_t3412 is None else self.granted_t3412

    def latency(self, rng: random.Random) -> float:
        """Return a one-way time on air."""
        jitter = self.settings.radio_jitter
        return self.settings.radio_latency + (rng.uniform(0, jitter) if jitter else 0.0)
