"""Interprets notifications (TS 29.122 §5.6.3.5): distinguished by their members, checked against the records."""

import logging
from collections.abc import Awaitable, Callable

from bindings.commits import NOTHING_TO_COMMIT
from bindings.contract import MISS, Events, NetworkState, Refusal, Report, UplinkMessage
from bindings.http.messages import Answer
from bindings.nidd.models import Notification, delivery_outcome, delivery_words, read_port
from bindings.nidd.notes import DeviceNotes, State
from bindings.nidd.provisioning import Provisioning
from bindings.t8.identity import canonical_device, same_identity
from bindings.t8.links import configuration_id, delivery_handle
from bindings.t8.self_check import SelfChecks
from bindings.t8.times import PeerClock
from bridge.errors import ConfigurationError, NotificationError

log = logging.getLogger(__name__)

_NOT_AUTHORISED_PAUSE = 600.0  # seconds before a configuration withdrawn by the HSS is requested again


class Notifications:
    """Translates notifications to events of the core; each call returns when the event is committed."""

    def __init__(
        self,
        records: DeviceNotes,
        provisioning: Provisioning,
        events: Events,
        clock: PeerClock,
        without_rds: Callable[[str], None],
        unreachable: Callable[[str], None],
        heard: Callable[[str, float], None],
    ) -> None:
        """`without_rds`, `unreachable` and `heard` are called for devices.

        Of them: that a device has no RDS, that it cannot be reached now, that it was heard or has received something,
        and when (wall seconds).
        """
        self._heard = heard
        self._without_rds = without_rds
        self._unreachable = unreachable
        self._records = records
        self._provisioning = provisioning
        self._events = events
        self._clock = clock
        self.tested_at: float | None = None
        self.heard_at: float | None = None
        self.checks = SelfChecks()

    def commit(self, notification: Notification, data: bytes | None) -> Awaitable[Answer | None]:
        """Commit one notification.

        Raises, now or when awaited, NotificationError with the HTTP status to answer, UnknownDevice or
        StoreUnavailable (NotServedHere: nothing was done here for the device of another node).
        """
        if notification.data is not None:
            device = self._records.cached_device_of(_configuration_of(notification))
            if device is MISS:
                return self._early_uplink(notification, data)
            return self._uplink(device, notification, data)
        if notification.deliveryStatus is not None and notification.gmdResults is None:
            return self._delivery(notification, notification.deliveryStatus)
        if notification.gmdResults is not None:
            self._events.count("nidd_notifications_group")
        elif notification.niddDownlinkDataTransfer is not None and notification.status is not None:
            return self._delivery(notification, notification.status)  # one operator's name for deliveryStatus
        elif notification.status is not None:
            return self._status(notification, notification.status)
        elif notification.managedPorts is not None:
            self._events.count("nidd_notifications_ports")
        elif notification.subscription is not None:
            return self._test(notification.subscription)
        else:
            raise NotificationError("the notification has no member that says its kind")
        return NOTHING_TO_COMMIT

    def _test(self, subscription: str) -> Awaitable[Answer | None]:
        checked = self.checks.answer_to(subscription)
        if checked is not None:
            return checked
        self.tested_at = self._events.now()
        self._events.count("nidd_notifications_test")
        return NOTHING_TO_COMMIT

    def _uplink(self, device: str, notification: Notification, data: bytes | None) -> Awaitable[None]:
        if data is None:
            self._warn("nidd_uplinks_bad_base64", "uplink of %s: data is not base64; answered 204, dropped", device)
            return NOTHING_TO_COMMIT
        if not self._matches(device, notification):
            return NOTHING_TO_COMMIT
        self.heard_at = now = self._events.now()
        self._heard(device, now)
        return self._events.deliver(UplinkMessage(device, data, None, now, read_port(notification.rdsPort)))

    async def _early_uplink(self, notification: Notification, data: bytes | None) -> None:
        await self._uplink(await self._device(notification), notification, data)

    def _delivery(self, notification: Notification, status: str) -> Awaitable[None]:
        link = notification.niddDownlinkDataTransfer
        if link is None:
            raise NotificationError("niddDownlinkDataTransfer is missing")
        handle = delivery_handle(link)
        name = configuration_id(link)
        if handle is None or name is None:
            raise self._unknown(link)
        device = self._records.cached_device_of(name)
        if device is MISS:
            return self._early_delivery(notification, status, handle, name)
        return self._report(device, notification, status, handle)

    async def _early_delivery(self, notification: Notification, status: str, handle: str, name: str) -> None:
        device = await self._records.device_of(name)
        if device is None:
            raise self._unknown(notification.niddDownlinkDataTransfer or "")
        await self._report(device, notification, status, handle)

    def _unknown(self, link: str) -> NotificationError:
        self._events.count("nidd_notifications_unknown_configuration")
        return NotificationError(f"{link[:200]!r} does not name a configuration of the bridge", 404)

    def _report(self, device: str, notification: Notification, status: str, handle: str) -> Awaitable[None]:
        outcome, standard = delivery_outcome(status)
        if status == "FAILURE_RDS_DISABLED":
            report = Report(device, handle, Refusal.UNREACHABLE, delivery_words(status), self._events.now() + 1)
            return self._reported(report, self._without_rds)  # it is sent again, without RDS
        if not standard:
            read_as = outcome.value
            self._warn(
                "nidd_unknown_delivery_status", "delivery status %.60r of %s is not in TS 29.122; read as %s",
                status, device, read_as,
            )  # fmt: skip
        retry_at = self._clock.wait_until(notification.requestedRetransmissionTime)
        report = Report(device, handle, outcome, delivery_words(status), retry_at)
        if outcome is Refusal.UNREACHABLE:
            return self._reported(report, self._unreachable)
        if outcome is NetworkState.DELIVERED:
            return self._reported(report, lambda device: self._heard(device, self._events.now()))
        return self._events.deliver(report)

    async def _reported(self, report: Report, then: Callable[[str], None]) -> None:
        """Deliver a report, then call `then` with its device: not for the device of another node."""
        await self._events.deliver(report)
        then(report.device)

    async def _status(self, notification: Notification, status: str) -> None:
        device = await self._device(notification)
        if not self._matches(device, notification):
            return
        await self._events.check_served(device)
        if status.startswith("TERMINATED"):
            record = await self._records.get(device)
            name = configuration_id(notification.niddConfiguration or "")
            if record is None or record.configuration != name or record.state is not State.ACTIVE:
                return  # of a configuration that is no longer ours, or repeated
            withdrawn = status == "TERMINATED_UE_NOT_AUTHORIZED"
            not_before = self._events.now() + _NOT_AUTHORISED_PAUSE if withdrawn else 0.0
            await self._provisioning.doubt(device, record, not_before=not_before)
        elif status == "RDS_PORT_UNKNOWN":
            self._events.count("nidd_rds_port_unknown")
        elif status != "ACTIVE":
            self._warn(
                "nidd_unknown_configuration_status", "configuration status %.60r of %s is not in TS 29.122",
                status, device,
            )  # fmt: skip

    async def _device(self, notification: Notification) -> str:
        """Return the device by the configuration; the identity in the body alone is never trusted."""
        name = _configuration_of(notification)
        device = await self._records.device_of(name) if name else None
        if device is not None:
            return device
        for said in (_canonical(notification.externalId), _canonical(notification.msisdn)):
            if said is None or not name:
                continue
            await self._events.check_served(said)
            # The first uplink may overtake the answer with the configuration's id.
            await self._provisioning.settled(said)
            device = await self._records.device_of(name)
            if device is not None:
                return device
            if await self._provisioning.claims(said, name):
                return said
        raise self._unknown(notification.niddConfiguration or "")

    def _matches(self, device: str, notification: Notification) -> bool:
        same = same_identity(device, notification.externalId, notification.msisdn)
        if same is False:
            self._warn(
                "nidd_notifications_wrong_identity",
                "a notification for the configuration of %s names another device; dropped", device,
            )  # fmt: skip
        return same is not False

    def _warn(self, counter: str, text: str, *facts: object) -> None:
        """Count what a peer did, and log it sampled: a peer can do it at will."""
        self._events.count(counter)
        log.warning(text, *facts, extra={"sample": counter})


def _configuration_of(notification: Notification) -> str:
    """Return the id of the configuration that a notification names; empty if its link has none."""
    if notification.niddConfiguration is None:
        raise NotificationError("niddConfiguration is missing")
    return configuration_id(notification.niddConfiguration) or ""


def _canonical(said: str | None) -> str | None:
    try:
        return canonical_device(said) if said else None
    except ConfigurationError:
        return None
