"""Unknown devices (zero touch): a NEF reports a device without a NIDD configuration (TS 29.522 §5.9)."""

import logging
from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec

from bindings.contract import Events
from bindings.http.messages import Answer
from bindings.nidd.endpoint_options import with_options
from bindings.nidd.notes import DeviceNote, State
from bindings.nidd.provisioning import Provisioning
from bindings.nidd.settings import ZeroTouch
from bindings.t8.identity import canonical_device
from bindings.t8.reading import pick, read_json
from bridge.errors import ConfigurationError, DirectoryError, NotificationError

log = logging.getLogger(__name__)

TRIGGER = "trigger"
"""The path segment after the callback URL for triggers."""

ACCEPTED = Answer(200, b'{"suppFeat":"0"}', (("Content-Type", "application/json"),))  # TS 29.522 §5.9.1.2.3
_GPSI = ("extid-", "msisdn-")  # TS 29.571 Gpsi


class Trigger(msgspec.Struct, gc=False):
    """NiddConfigurationTrigger; every member optional here."""

    afId: str | None = None  # noqa: N815  # the standard's spelling, and decoded by name
    gpsi: str | None = None


class Newcomers:
    """Adds an endpoint for each reported device that the settings allow."""

    def __init__(
        self, settings: ZeroTouch, provisioning: Callable[[], Provisioning], events: Callable[[], Events]
    ) -> None:
        """Check the settings; `provisioning` and `events` return those of the running network.

        Raises ConfigurationError.
        """
        self._settings = settings
        self._provisioning = provisioning
        self._events = events
        self._name("a@b.example")
        with_options(DeviceNote(), settings.options)

    def _name(self, device: str) -> str:
        local, _, domain = device.partition("@")
        try:
            return self._settings.name.format(device=device, local=local, domain=domain)
        except (LookupError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"zero_touch.name {self._settings.name!r} may hold {{device}}, {{local}} and {{domain}}: {error!r}"
            ) from error

    async def commit(self, body: bytes) -> Answer:
        """Process the device of a trigger; return the answer.

        Raises NotificationError, or StoreUnavailable (NotServedHere: another node serves a device that is known).
        """
        device = self._device(body)
        events = self._events()
        if not any(fnmatchcase(device, pattern) for pattern in self._settings.allow):
            events.count("nidd_triggers_not_allowed")
            raise NotificationError(f"zero_touch.allow does not name {device}", 403)
        try:
            new = await events.add_endpoint(device, self._name(device), self._settings.options)
        except DirectoryError as error:
            events.count("nidd_triggers_refused")
            raise NotificationError(f"no endpoint for {device}: {error}", 403) from error
        events.count("nidd_triggers")
        if new:
            log.info("device %s, which was unknown, was added as an endpoint", device, extra={"sample": "nidd trigger"})
            return ACCEPTED
        await events.check_served(device)
        record = await self._provisioning().noted(device)
        if record is not None and record.state is State.ACTIVE:
            await self._provisioning().doubt(device, record)  # the NEF says that it has no configuration
        return ACCEPTED

    def _device(self, body: bytes) -> str:
        trigger = pick(read_json(body), Trigger)
        gpsi = trigger.gpsi or ""
        kind = next((kind for kind in _GPSI if gpsi.startswith(kind)), "")
        try:
            return canonical_device(gpsi.removeprefix(kind))
        except ConfigurationError as error:
            raise NotificationError(f"no trigger of a NIDD configuration: gpsi: {error}") from error
