"""Interprets notifications: a delivery report (TS 29.122 §5.7.2.1.3), an SMS of a device (§5.15), a test."""

import logging
from collections.abc import Awaitable

from bindings.commits import NOTHING_TO_COMMIT
from bindings.contract import Events, Report, UplinkMessage
from bindings.http.messages import Answer, Request
from bindings.sms.answers import transaction_name
from bindings.sms.destinations import NamedAttempts, read_reference
from bindings.sms.models import Notification, delivery_result, read_notification, result_words
from bindings.sms.settings import SmsSettings
from bindings.t8.identity import canonical_device
from bindings.t8.reading import decode_data
from bindings.t8.self_check import SelfChecks
from bridge.errors import ConfigurationError, NotificationError, UnknownDevice

log = logging.getLogger(__name__)

ACCEPTED = Answer(200, b'{"supportedFeatures":"0"}', (("Content-Type", "application/json"),))
"""The answer to an SMS of a device: MsisdnLessMoSmsNotificationReply is mandatory, and no feature is defined."""


class Notifications:
    """Translates notifications to events of the core."""

    def __init__(self, settings: SmsSettings, events: Events) -> None:
        self._ports = frozenset(settings.uplinks.application_ports)
        self._is_proof = settings.downlinks.results_are_proof
        self._events = events
        self.named = NamedAttempts()
        self.checks = SelfChecks()  # test notifications of the bridge itself
        self.reported_at: float | None = None
        self.heard_at: float | None = None

    def commit(self, request: Request) -> Awaitable[Answer | None]:
        """Commit one notification; the awaitable returns its answer.

        Raises, now or when awaited, NotificationError with the HTTP status to answer, UnknownDevice or
        StoreUnavailable.
        """
        notification = read_notification(request.body)
        if notification.sms is not None:
            return self._uplink(notification)
        if notification.transaction is not None:
            return self._report(request.before, notification, notification.transaction)
        if notification.subscription is None:
            raise NotificationError("the notification has no member that says its kind")
        checked = self.checks.answer_to(notification.subscription)
        if checked is not None:
            return checked
        self._events.count("sms_notifications_test")
        return NOTHING_TO_COMMIT

    async def _report(self, name: str, notification: Notification, link: str) -> None:
        reference, handle, result = read_reference(name), transaction_name(link), notification.result
        if result is None:
            raise NotificationError("result is missing")
        if reference is None or handle is None:
            self._events.count("sms_reports_unknown_transaction")
            raise NotificationError(f"{link[:200]!r} does not name a transaction of the bridge", 404)
        outcome, is_standard = delivery_result(result, is_proof=self._is_proof)
        if not is_standard:
            self._warn(
                "sms_unknown_delivery_result", "delivery result %.60r of %s is not in TS 29.122; read as pending",
                result, reference.device,
            )  # fmt: skip
        self.reported_at = self._events.now()
        self.named.add(reference, handle)
        await self._events.deliver(Report(reference.device, handle, outcome, result_words(result)))

    async def _uplink(self, notification: Notification) -> Answer:
        devices = [one for one in (_canonical(notification.externalId), _canonical(notification.msisdn)) if one]
        if not devices:
            raise NotificationError("externalId is missing, or is none")
        if self._ports and notification.applicationPort not in self._ports:
            self._events.count("sms_uplinks_other_port")
            raise NotificationError(f"the bridge has no application on port {notification.applicationPort}", 404)
        payload = decode_data(notification.sms)
        if payload is None:
            self._warn("sms_uplinks_bad_base64", "SMS of %s: sms is not base64; answered 200, dropped", devices[0])
            return ACCEPTED
        self.heard_at = now = self._events.now()
        *first, last = devices
        for device in first:
            try:
                await self._events.deliver(UplinkMessage(device, payload, None, now))
            except UnknownDevice:
                continue  # the directory may know it by the other identity
            return ACCEPTED
        await self._events.deliver(UplinkMessage(last, payload, None, now))
        return ACCEPTED

    def _warn(self, counter: str, text: str, *facts: object) -> None:
        """Count what a peer did, and log it sampled: a peer can do it at will."""
        self._events.count(counter)
        log.warning(text, *facts, extra={"sample": counter})


def answer_kept(request: Request) -> Answer | None:
    """Return the answer to a notification that is kept or passed on; None: 204."""
    try:
        return None if read_notification(request.body).sms is None else ACCEPTED
    except NotificationError:
        return None


def _canonical(said: str | None) -> str | None:
    try:
        return canonical_device(said) if said else None
    except ConfigurationError:
        return None
