"""Downlinks at the SCEF: submitted, looked up, cancelled (TS 29.122 §4.4.5.3.1)."""

import base64
import logging
from typing import Any
from urllib.parse import unquote

import msgspec

from bindings.contract import (
    MISS,
    Accepted,
    Ambiguous,
    Cancellation,
    Events,
    LimitOf,
    Lookup,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    Submission,
    SubmitResult,
)
from bindings.http.client import NoAnswer, NotSent
from bindings.nidd import operations
from bindings.nidd.answers import read_submit
from bindings.nidd.endpoint_options import rds_ports
from bindings.nidd.life_cycle import bridge_keeps, pdn_option
from bindings.nidd.models import Delivery, delivery_outcome, read_port
from bindings.nidd.notes import DeviceNote, DeviceNotes, State
from bindings.nidd.packet_size import FLOOR
from bindings.nidd.provisioning import Provisioning
from bindings.nidd.settings import NiddSettings
from bindings.reachability.watch import ReachabilityMonitor
from bindings.t8.answer import Answer
from bindings.t8.client import T8Client, TooLate
from bindings.t8.identity import identity_member
from bindings.t8.links import delivery_handle
from bindings.t8.reading import decode_data, read_tolerant, read_tolerant_list
from bridge.errors import BridgeError

log = logging.getLogger(__name__)

_GONE = {404, 410}
_NOT_OFFERED = {405, 501}
_RDS_DISABLED = "RDS_DISABLED"  # in a cause or a delivery status
_KEPT = 4096  # devices without RDS that are remembered
_FORGOTTEN_AFTER = 86_400.0  # seconds after which an operation that the SCEF did not offer is tried again


class DownlinkCalls:
    """The calls of one network instance about downlinks. None of them is repeated here."""

    def __init__(
        self,
        settings: NiddSettings,
        client: T8Client,
        records: DeviceNotes,
        provisioning: Provisioning,
        events: Events,
        watch: ReachabilityMonitor,
    ) -> None:
        self._watch = watch
        self._all_settings = settings
        self._settings = settings.downlinks
        self._cancellation = 1 << settings.features.cancellation - 1
        self._gateway_refusals = frozenset(settings.quirks.resolved.gateway_refusals)
        self._client = client
        self._records = records
        self._provisioning = provisioning
        self._events = events
        self._without_rds_since: dict[str, float] = {}
        self._refused_cancel_at: float | None = None  # when the SCEF last refused to cancel as not offered

    # Submitting

    async def submit(self, attempt: Submission) -> SubmitResult:
        """POST the attempt. A missing configuration is created first."""
        device = attempt.device
        if self._is_too_late(attempt):
            return Refused(Refusal.EXPIRED, "less than a second left")  # maximumLatency counts whole seconds
        record = await self._configured(device)
        if isinstance(record, Refused):
            return record

        def body() -> dict[str, Any] | None:
            # The configuration, a token and a free connection may have taken a while.
            return None if self._is_too_late(attempt) else self._body(attempt, record, reliable=reliable)

        reliable = self._is_reliable(attempt, record)
        patience = self._settings.rds_timeout if reliable else None
        try:
            answer = await self._client.ask(operations.SUBMIT, record.configuration, body=body, patience=patience)
        except TooLate as error:
            return Refused(Refusal.EXPIRED, str(error))
        except NotSent as error:
            return Refused(Refusal.NETWORK_UNAVAILABLE, str(error))
        except NoAnswer as error:
            self._events.count("nidd_submits_without_answer")
            return Ambiguous(str(error))
        result = read_submit(answer, record.configuration, self._client.clock, self._gateway_refusals)
        if not answer.ok:
            self._events.count("nidd_submit_errors", status=str(answer.status))
        if answer.status in _GONE and answer.own:
            return await self._without_configuration(device, record, str(answer))
        if isinstance(result, Refused) and result.why is Refusal.TOO_LARGE:
            await self._learn(device, len(attempt.payload))
        if isinstance(result, Refused) and reliable and _RDS_DISABLED in result.detail:
            return self._without_rds(device, result.detail)
        if isinstance(result, Refused) and result.why is Refusal.UNREACHABLE:
            return self._parked(device, result)
        if (
            isinstance(result, Accepted)
            and result.state is NetworkState.BUFFERED
            and bridge_keeps(record, self._all_settings)
        ):
            return await self._cancel_unwanted_buffering(device, result, answer)
        return result

    async def _configured(self, device: str) -> DeviceNote | Refused:
        """Return the record of a device with a configuration, or why a downlink cannot be sent: nothing was sent."""
        record = self._records.cached(device)
        if record is not MISS and record is not None and record.state is State.ACTIVE:
            return record
        try:
            return await self._provisioning.ensure(device) or await self._no_configuration(device)
        except BridgeError as error:
            return Refused(Refusal.RATE_LIMITED, str(error), self._events.now() + 1, LimitOf.BINDING)

    def _parked(self, device: str, refused: Refused) -> Refused:
        """Ask the SCEF to report when the device can be reached; until then the retry time follows its power saving."""
        self._watch.cannot_be_reached(device)
        if refused.retry_at is None:
            return Refused(refused.why, refused.detail, self._watch.wakes_at(device))
        return refused

    def _is_reliable(self, attempt: Submission, record: DeviceNote) -> bool:
        """Return whether the modem's acknowledgement is requested (RDS): not if it was refused recently."""
        refused_at = self._without_rds_since.get(attempt.device)
        if refused_at is not None and 0 <= self._events.now() - refused_at < _FORGOTTEN_AFTER:
            return False
        wanted = self._settings.reliable_data_service if record.reliable is None else record.reliable
        return wanted or attempt.confirmed

    def rds_is_disabled(self, device: str) -> None:
        """Record that the network has no RDS for a device: downlinks are sent without RDS for a day."""
        self._events.count("nidd_rds_disabled")
        log.warning("device %s has no RDS; its downlinks are sent without it", device, extra={"sample": "nidd rds"})
        self._without_rds_since.pop(device, None)
        self._without_rds_since[device] = self._events.now()
        if len(self._without_rds_since) > _KEPT:
            del self._without_rds_since[next(iter(self._without_rds_since))]

    def _without_rds(self, device: str, detail: str) -> Refused:
        self.rds_is_disabled(device)
        return Refused(Refusal.UNREACHABLE, detail, self._events.now() + 1)

    async def _cancel_unwanted_buffering(self, device: str, accepted: Accepted, answer: Answer) -> SubmitResult:
        """Cancel a downlink that the SCEF buffers although asked not to; else it counts as buffered by the SCEF."""
        state = read_tolerant(answer.body, Delivery).state or ""
        if accepted.handle is None or state == "SENDING":  # it is being sent, not buffered
            return accepted
        self._events.count("nidd_kept_by_the_scef")
        if await self.cancel(device, accepted.handle) is not Cancellation.REMOVED:
            return accepted
        until = read_tolerant(answer.body, Delivery).requestedRetransmissionTime
        return self._parked(
            device,
            Refused(Refusal.UNREACHABLE, f"{state}: cancelled in the network", self._client.clock.wait_until(until)),
        )

    def _is_too_late(self, attempt: Submission) -> bool:
        return attempt.deadline is not None and attempt.deadline - self._events.now() < 1

    async def _no_configuration(self, device: str) -> Refused:
        record = await self._records.get(device)
        if record is None:
            return Refused(Refusal.UNREACHABLE, f"{device} is not provisioned")
        if self._provisioning.is_resting:
            error = self._provisioning.last_error
            return Refused(Refusal.NETWORK_UNAVAILABLE, f"a NIDD configuration cannot be created now: {error}")
        retry_at = max(float(record.due), self._events.now() + 1)
        return Refused(Refusal.UNREACHABLE, "no NIDD configuration yet; see the network's status", retry_at)

    def _body(self, attempt: Submission, record: DeviceNote, *, reliable: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "data": base64.b64encode(attempt.payload).decode(),
            identity_member(attempt.device): attempt.device,
        }
        if bridge_keeps(record, self._all_settings):
            body["maximumLatency"] = 0  # TS 23.682 §5.13.3: buffering is not allowed
        elif attempt.deadline is not None:
            body["maximumLatency"] = int(attempt.deadline - self._events.now())
        if attempt.priority:
            body["priority"] = attempt.priority
        if option := pdn_option(record, self._all_settings):
            body["pdnEstablishmentOption"] = option
        if port := attempt.port or record.rds_port:
            body["rdsPort"] = rds_ports(port)
        if reliable:
            body["reliableDataService"] = True
        return body

    async def _without_configuration(self, device: str, record: DeviceNote, detail: str) -> Refused:
        """Check a configuration that the SCEF says it does not know; it is created again if it is gone."""
        current = await self._records.get(device)
        if current is not None and current.configuration == record.configuration and current.state is State.ACTIVE:
            try:
                await self._provisioning.doubt(device, current)
            except BridgeError as error:  # the attempt's own result is returned, even if the store fails
                log.warning("configuration of %s: %s", device, error, extra={"sample": "nidd note"})
        try:
            found = await self._provisioning.ensure(device)
            if found is None:
                return await self._no_configuration(device)
        except BridgeError as error:
            log.warning("configuration of %s: %s", device, error, extra={"sample": "nidd note"})
        return Refused(Refusal.UNREACHABLE, detail, self._events.now() + 1)

    async def _learn(self, device: str, refused: int) -> None:
        """Stay below a size that was refused, in spite of maximumPacketSize, until the next configuration.

        A refusal of a size that every Non-IP network carries is ignored: it would end all traffic.
        """
        try:
            record = await self._records.get(device)
            if record is None or refused <= FLOOR or (record.learned and refused - 1 >= record.learned):
                return
            log.warning(
                "%d bytes are too large for device %s: its messages are smaller from now on",
                refused,
                device,
                extra={"sample": "nidd size"},
            )
            await self._records.put(device, msgspec.structs.replace(record, learned=refused - 1))
        except BridgeError as error:  # the attempt's own result is returned, even if the store fails
            log.warning("packet size of %s: %s", device, error, extra={"sample": "nidd note"})

    # Looking up and cancelling

    async def lookup(self, attempt: Submission) -> Lookup:
        """GET the pending deliveries and compare their data with the attempt's."""
        record = await self._records.get(attempt.device)
        if record is None or not record.configuration:
            return Lookup(Presence.ABSENT)
        try:
            answer = await self._client.ask(operations.PENDING, record.configuration)
        except (NotSent, NoAnswer):
            return Lookup(Presence.FAILED)
        if answer.own and answer.status in _GONE:
            return Lookup(Presence.ABSENT)
        if answer.own and answer.status in _NOT_OFFERED:
            return Lookup(Presence.UNSUPPORTED)
        pending = read_tolerant_list(answer.body, Delivery) if answer.ok else None
        if pending is None:
            return Lookup(Presence.FAILED)
        for one in reversed(pending):
            over = one.state is not None and isinstance(delivery_outcome(one.state)[0], Refusal)
            if not over and decode_data(one.data) == attempt.payload and _may_have_port(one, attempt.port):
                handle = delivery_handle(one.self)
                if handle is not None:
                    return Lookup(Presence.PRESENT, handle)
        return Lookup(Presence.ABSENT)

    def can_cancel(self, record: DeviceNote) -> bool:
        """Return whether a cancel may succeed, by the negotiated features, or else by the SCEF's earlier behaviour."""
        if record.features >= 0:
            return bool(record.features & self._cancellation)
        refused_at = self._refused_cancel_at
        return refused_at is None or not 0 <= self._events.now() - refused_at < _FORGOTTEN_AFTER

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """DELETE a pending delivery. 204 is certain; 404 and 409 mean that it was sent, if cancelling is offered."""
        record = await self._records.get(device)
        if record is not None and not self.can_cancel(record):
            return Cancellation.UNKNOWN
        configuration, delivery = (unquote(part) for part in handle.split("/", 1))
        try:
            answer = await self._client.ask(operations.CANCEL, configuration, delivery)
            if answer.status == 204:  # noqa: PLR2004  # the only success that the operation has
                return Cancellation.REMOVED
            if answer.own and answer.status in _NOT_OFFERED:
                self._refused_cancel_at = self._events.now()
                return Cancellation.UNKNOWN
            if not answer.own or answer.status not in {404, 409, 410}:
                return Cancellation.UNKNOWN
            if answer.status != 409 and (record is None or record.features < 0):  # noqa: PLR2004
                return await self._gone_or_not_offered(configuration, delivery)
        except (NotSent, NoAnswer):
            return Cancellation.UNKNOWN
        return Cancellation.GONE

    async def _gone_or_not_offered(self, configuration: str, delivery: str) -> Cancellation:
        """Distinguish a 404 about the delivery from one about the operation: read the delivery."""
        answer = await self._client.ask(operations.DELIVERY, configuration, delivery)
        if answer.own and answer.status in _GONE:
            return Cancellation.GONE
        if answer.ok:
            self._refused_cancel_at = self._events.now()
        return Cancellation.UNKNOWN


def _may_have_port(pending: Delivery, port: str | None) -> bool:
    """Return whether a pending delivery has these RDS ports, or the SCEF does not say which."""
    return port is None or read_port(pending.rdsPort) in (None, port)
