"""Rate control of one UE: serving PLMN (TS 23.401 §4.7.7.2), APN (§4.7.7.3), and counting in windows for both."""

from dataclasses import dataclass, field

from mock_network.scef.core.ue_settings import UeSettings

APN_UNITS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0, "week": 604_800.0}  # seconds, TS 24.008 §10.5.6.3.2


@dataclass(slots=True)
class RateWindow:
    """Counts packets in windows that begin with their first packet."""

    begun: float | None = None
    used: int = 0

    def wait(self, now: float, limit: int | None, window: float) -> float:
        """Return the seconds until one more packet may go; 0: now."""
        if limit is None or self.begun is None or now >= self.begun + window or self.used < limit:
            return 0.0
        return self.begun + window - now

    def count(self, now: float, window: float) -> None:
        """Count one packet."""
        if self.begun is None or now >= self.begun + window:
            self.begun, self.used = now, 0
        self.used += 1


@dataclass(slots=True)
class RateControl:
    """Counters of one UE; the limits are in its settings."""

    plmn_down: RateWindow = field(default_factory=RateWindow)
    plmn_up: RateWindow = field(default_factory=RateWindow)
    apn_down: RateWindow = field(default_factory=RateWindow)
    apn_up: RateWindow = field(default_factory=RateWindow)
    exceptions: RateWindow = field(default_factory=RateWindow)

    def plmn_wait(self, settings: UeSettings, now: float) -> float:
        """Return the seconds until the serving PLMN allows a downlink."""
        return self.plmn_down.wait(now, settings.downlink_rate, settings.rate_window)

    def apn_wait(self, settings: UeSettings, now: float) -> float:
        """Return the seconds until the APN allows a downlink."""
        return self.apn_down.wait(now, settings.apn_downlink_rate, APN_UNITS[settings.apn_rate_unit])

    def downlink_wait(self, settings: UeSettings, now: float) -> float:
        """Return the seconds until a downlink is allowed by both."""
        return max(self.plmn_wait(settings, now), self.apn_wait(settings, now))

    def take_downlink(self, settings: UeSettings, now: float) -> None:
        """Count a downlink."""
        self.plmn_down.count(now, settings.rate_window)
        self.apn_down.count(now, APN_UNITS[settings.apn_rate_unit])

    def uplink_allowed(self, settings: UeSettings, now: float, *, exception: bool) -> bool:
        """Count an uplink if it is allowed. The serving PLMN does not count exception reports, the APN does."""
        unit = APN_UNITS[settings.apn_rate_unit]
        if not exception and self.plmn_up.wait(now, settings.uplink_rate, settings.rate_window):
            return False
        if not self.apn_up.wait(now, settings.apn_uplink_rate, unit):
            self.apn_up.count(now, unit)
        elif exception and not self.exceptions.wait(now, settings.apn_exception_reports, unit):
            self.exceptions.count(now, unit)
        else:
            return False
        if not exception:
            self.plmn_up.count(now, settings.rate_window)
        return True
