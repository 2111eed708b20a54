"""What a device keeps over a power failure: nonces that must not be reused, session and radio settings."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mock_network.lorawan.regions import REGIONS, Channel
from mock_network.lorawan.session import RadioSettings, Session


@dataclass(slots=True)
class DeviceMemory:
    """Non-volatile memory; the device writes into it as it goes."""

    next_dev_nonce: int = 0  # where it is a counter
    used_dev_nonces: set[int] = field(default_factory=set)  # where it is random
    last_join_nonce: int = -1
    session: Session | None = None
    settings: RadioSettings | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values. They contain session keys."""
        return {
            "next_dev_nonce": self.next_dev_nonce,
            "used_dev_nonces": sorted(self.used_dev_nonces),
            "last_join_nonce": self.last_join_nonce,
            "session": None if self.session is None else self.session.to_json(),
            "settings": None if self.settings is None else _settings_to_json(self.settings),
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "DeviceMemory":
        """Read what `to_json` wrote. Raises KeyError, TypeError or ValueError on anything else."""
        return cls(
            next_dev_nonce=int(body["next_dev_nonce"]),
            used_dev_nonces={int(n) for n in body["used_dev_nonces"]},
            last_join_nonce=int(body["last_join_nonce"]),
            session=None if body["session"] is None else Session.from_json(body["session"]),
            settings=None if body["settings"] is None else _settings_from_json(body["settings"]),
        )


_STRUCTURED = ("region", "channels", "enabled")


def _settings_to_json(settings: RadioSettings) -> dict[str, Any]:
    plain = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in _STRUCTURED}
    return {
        **plain,
        "region": settings.region.name,
        "channels": {str(i): asdict(channel) for i, channel in settings.channels.items()},
        "enabled": sorted(settings.enabled),
    }


def _settings_from_json(body: dict[str, Any]) -> RadioSettings:
    plain = {f.name: int(body[f.name]) for f in fields(RadioSettings) if f.name not in _STRUCTURED}
    return RadioSettings(
        region=REGIONS[body["region"]],
        channels={int(i): Channel(**channel) for i, channel in body["channels"].items()},
        enabled=frozenset(int(i) for i in body["enabled"]),
        **plain,
    )
