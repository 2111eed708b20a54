"""The NIDD binding: the contract of `bindings.contract` over T8 (3gpp-nidd/v1, TS 29.122 §4.4.5 and §5.6)."""

import base64
import functools
import logging
from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from bindings import contract
from bindings.calls import Calls
from bindings.contract import (
    Ambiguous,
    Attempt,
    Cancellation,
    Events,
    Lookup,
    Memory,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bindings.diagnosis import Finding
from bindings.http.client import NoAnswer, NotSent
from bindings.http.messages import Request
from bindings.made_once import secret_path
from bindings.nidd import operations
from bindings.nidd.answers import read_submit
from bindings.nidd.configurations import Configurations
from bindings.nidd.diagnosis import diagnose
from bindings.nidd.models import Delivery, delivery_outcome, read_notification
from bindings.nidd.notifications import Notifications
from bindings.nidd.packet_size import FLOOR, packet_bytes
from bindings.nidd.records import Record, Records, State
from bindings.nidd.settings import NiddSettings
from bindings.options import number_of_bytes
from bindings.t8.client import T8Client, TooLate
from bindings.t8.identity import canonical_device, identity_member
from bindings.t8.links import delivery_handle
from bindings.t8.listener import t8_listener
from bindings.t8.reading import decode_data, read_tolerant_list
from bridge.errors import BindingError, BridgeError, ConfigurationError

log = logging.getLogger(__name__)

_NOTHING_KNOWN = Record()
_PDN_OPTIONS = {"", "WAIT_FOR_UE", "INDICATE_ERROR", "SEND_TRIGGER"}


class NiddBinding:
    """One SCEF or NEF.

    Options of an endpoint: max_packet_size, pdn_establishment_option, reliable_data_service, block2.
    """

    def __init__(self, name: str, settings: NiddSettings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        self.name = name
        self._settings = settings
        self._client = T8Client(settings)
        self._listener = t8_listener(settings.callbacks, "nidd", self._take, self._count)
        self._events: Events | None = None
        self._calls = Calls(name, "nidd_internal_errors", self._count)

    @classmethod
    def settings(cls) -> type[NiddSettings]:
        """Give the type of this binding's section in the configuration."""
        return NiddSettings

    # Life

    async def start(self, events: Events, memory: Memory) -> None:
        """Open the listener and begin to see to the configurations.

        Raises BindingError (port taken), StoreUnavailable.
        """
        self._events = events
        self._records = Records(memory)
        path = await secret_path(memory, self._settings.callbacks.path)
        self._configurations = Configurations(self._settings, self._client, self._records, events)
        self._notifications = Notifications(self._records, self._configurations, events)
        await self._client.open()
        try:
            await self._listener.start(path)
        except BaseException:
            await self._client.close()
            raise
        self._configurations.start(self._listener.url)
        self._calls.open = True
        host, port = self._listener.address
        log.info("network %s: SCEF/NEF %s, callbacks on %s port %d", self.name, self._client.root, host, port)

    async def stop(self) -> None:
        """Take no more notifications, finish the calls under way; configurations stay at the SCEF."""
        if not self._calls.open:
            return
        self._calls.open = False
        await self._listener.stop()
        await self._configurations.stop()
        await self._calls.finish()
        await self._client.close()

    def _take(self, request: Request) -> Awaitable[None]:
        return self._notifications.take(*read_notification(request.body))

    def _count(self, name: str) -> None:
        if self._events is not None:
            self._events.count(name)

    # Devices

    def canonical_device(self, device: str) -> str:
        """Give the one spelling of an External Identifier or MSISDN. Raises ConfigurationError."""
        return canonical_device(device)

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Note that the device is wanted; its configuration is made or adopted soon, at the configured pace.

        Raises ConfigurationError for an option that is none, StoreUnavailable.
        """
        device = canonical_device(device)
        before = self._records.get(device)
        record = _with_options(before or Record(), options)
        if before is None:
            await self._configurations.want(device, record)
        elif before.state is State.REMOVING:
            due = int(self._now())
            await self._configurations.want(device, msgspec.structs.replace(record, state=State.LOST, due=due))
        elif record != before:
            await self._records.put(device, record)

    async def deprovision(self, device: str) -> None:
        """Have the device's configuration deleted, soon. Raises StoreUnavailable."""
        device = canonical_device(device)
        record = self._records.get(device)
        if record is not None:
            due = int(self._now())
            await self._configurations.want(
                device, msgspec.structs.replace(record, state=State.REMOVING, due=due, failures=0)
            )

    # Downlinks

    @property
    def capacity(self) -> int:
        """Return how many connections to the SCEF there are at the same time."""
        return self._settings.http.pool_size

    async def submit(self, attempt: Attempt) -> SubmitResult:
        """POST the attempt; TS 29.122 §4.4.5.3.1. A missing configuration is made first."""
        if not self._calls.open:
            return Refused(Refusal.UNREACHABLE, "the network instance is not running")
        mistake: SubmitResult = Ambiguous("a mistake in the bridge, see the log")
        return await self._calls.run(self._submit(attempt), mistake)

    async def lookup(self, attempt: Attempt) -> Lookup:
        """GET the pending deliveries and compare their data with the attempt's."""
        return await self._calls.run(self._lookup(attempt), Lookup(Presence.FAILED))

    async def cancel(self, device: str, handle: str) -> Cancellation:  # noqa: ARG002  # the handle names the configuration
        """DELETE a pending delivery: 204 is certain, 404 and 409 say that it had left."""
        return await self._calls.run(self._cancel(handle), Cancellation.UNKNOWN)

    async def _submit(self, attempt: Attempt) -> SubmitResult:
        now = self._now()
        if attempt.deadline is not None and attempt.deadline - now < 1:
            return Refused(Refusal.EXPIRED, "less than a second left")  # maximumLatency counts whole seconds
        device = attempt.device
        record = await self._configurations.ensure(device)
        if record is None:
            return self._no_configuration(device)

        def body() -> dict[str, Any] | None:
            # The configuration, a token and a free connection may have taken a while.
            now = self._now()
            too_late = attempt.deadline is not None and attempt.deadline - now < 1
            return None if too_late else self._body(attempt, record, now)

        try:
            answer = await self._client.ask(operations.SUBMIT, record.configuration, body=body)
        except TooLate as error:
            return Refused(Refusal.EXPIRED, str(error))
        except NotSent as error:
            return self._later(str(error))
        except NoAnswer as error:
            self._count("nidd_submits_without_answer")
            return Ambiguous(str(error))
        result = read_submit(answer, record.configuration, self._now())
        if isinstance(result, Refused) and result.why is Refusal.UNREACHABLE and result.retry_at is None:
            result = self._later(result.detail)
        if not answer.ok and self._events is not None:
            self._events.count("nidd_submit_errors", status=str(answer.status))
        if answer.status == 404:  # noqa: PLR2004
            await self._lost(device, record)
        elif isinstance(result, Refused) and result.why is Refusal.TOO_LARGE:
            await self._learn(device, len(attempt.payload))
        return result

    def _later(self, detail: str) -> Refused:
        """Refuse without prejudice: an outage of the SCEF is none of the downlink's attempts (R3)."""
        return Refused(Refusal.UNREACHABLE, detail, self._now() + self._settings.downlinks.unreachable_pause)

    def _no_configuration(self, device: str) -> Refused:
        record = self._records.get(device)
        if record is None:
            return self._later(f"{device} is not provisioned")
        retry_at = max(float(record.due), self._now() + 1)
        return Refused(Refusal.UNREACHABLE, "no NIDD configuration yet; see the network's status", retry_at)

    def _body(self, attempt: Attempt, record: Record, now: float) -> dict[str, Any]:
        body: dict[str, Any] = {
            "data": base64.b64encode(attempt.payload).decode(),
            identity_member(attempt.device): attempt.device,
        }
        if attempt.deadline is not None:
            body["maximumLatency"] = int(attempt.deadline - now)
        if attempt.priority:
            body["priority"] = attempt.priority
        if option := record.pdn or self._settings.downlinks.pdn_establishment_option:
            body["pdnEstablishmentOption"] = option
        reliable = self._settings.downlinks.reliable_data_service if record.reliable is None else record.reliable
        if reliable or attempt.confirmed:
            body["reliableDataService"] = True
        return body

    async def _lost(self, device: str, record: Record) -> None:
        """Have a configuration that the SCEF does not know any more made again, before the attempt is repeated."""
        current = self._records.get(device)
        if current is None or current.configuration != record.configuration or current.state is not State.ACTIVE:
            return
        try:
            await self._configurations.lost(device, current, "the SCEF does not know the configuration (404)")
        except BridgeError as error:  # the attempt's own result stands, whatever the store says
            log.warning("configuration of %s: loss cannot be noted: %s", device, error)
            return
        await self._configurations.ensure(device)

    async def _learn(self, device: str, refused: int) -> None:
        """Keep below a size that was refused, whatever maximumPacketSize says, until the next configuration.

        A refusal of what every Non-IP network carries says nothing about size, and would end all traffic if believed.
        """
        record = self._records.get(device)
        if record is not None and refused > FLOOR and (not record.learned or refused - 1 < record.learned):
            log.warning("%d bytes are too large for %s; less from now on", refused, device)
            await self._records.put(device, msgspec.structs.replace(record, learned=refused - 1))

    async def _lookup(self, attempt: Attempt) -> Lookup:
        record = self._records.get(attempt.device)
        if record is None or not record.configuration:
            return Lookup(Presence.ABSENT)
        try:
            answer = await self._client.ask(operations.PENDING, record.configuration)
        except (NotSent, NoAnswer):
            return Lookup(Presence.FAILED)
        if answer.status in {404, 410}:
            return Lookup(Presence.ABSENT)
        if answer.status in {405, 501}:
            return Lookup(Presence.UNSUPPORTED)
        pending = read_tolerant_list(answer.body, Delivery) if answer.ok else None
        if pending is None:
            return Lookup(Presence.FAILED)
        for one in reversed(pending):
            over = one.state is not None and isinstance(delivery_outcome(one.state)[0], Refusal)
            if not over and decode_data(one.data) == attempt.payload:
                handle = delivery_handle(one.self)
                if handle is not None:
                    return Lookup(Presence.PRESENT, handle)
        return Lookup(Presence.ABSENT)

    async def _cancel(self, handle: str) -> Cancellation:
        configuration, _, delivery = handle.partition("/")
        try:
            answer = await self._client.ask(operations.CANCEL, unquote(configuration), unquote(delivery))
        except (NotSent, NoAnswer):
            return Cancellation.UNKNOWN
        if answer.status in {200, 204}:
            return Cancellation.REMOVED
        return Cancellation.GONE if answer.status in {404, 409} else Cancellation.UNKNOWN

    # What the core and people ask

    def south_profile(self, device: str) -> SouthProfile:
        """Give the profile: NIDD's numbers, and the packet size of the device's configuration once it is known."""
        record = self._records.get(device) or _NOTHING_KNOWN
        return self._profile(record.packet_size, record.learned, record.max_packet_size)

    @functools.lru_cache(maxsize=256)  # noqa: B019  # one instance for each network, as long as the process
    def _profile(self, packet_size: int, learned: int, max_packet_size: int) -> SouthProfile:
        numbers = self._settings.downlinks
        # Both ways: the UE was told the same maximum (TS 29.122, maximumPacketSize). What was learned is of downlinks.
        both = (packet_bytes(packet_size, numbers.packet_size_unit), max_packet_size, numbers.max_packet_size)
        return SouthProfile(
            retransmit_interval=numbers.retransmit_interval,
            max_retransmit=numbers.max_retransmit,
            retransmit_confirmed=True,
            exchange_span=numbers.exchange_span,
            response_timeout=numbers.response_timeout,
            max_attempts=numbers.max_attempts,
            empty_is_poll=False,
            quick=numbers.quick,
            can_cancel=True,
            can_expire=True,
            max_downlink=min((limit for limit in (*both, learned) if limit), default=None),
            max_uplink=min((limit for limit in both if limit), default=None),
        )

    def status(self) -> Mapping[str, Any]:
        """Give reachability, credentials, configurations by state and callbacks, as plain JSON values."""
        host, port = self._listener.address
        report: dict[str, Any] = {
            "provider": "t8",
            "running": self._calls.open,
            "api": self._client.root,
            "client": self._client.status(),
            "callbacks": {"bind": host, "port": port, "taken": self._listener.taken},
        }
        if self._calls.open:
            report["configurations"] = self._configurations.status()
            report["callbacks"]["test_notification_at"] = self._notifications.tested_at
        return report

    async def check(self) -> list[Finding]:
        """Look for what will hurt: SCEF reachable, credentials taken, callbacks reaching us; each with its cure."""
        if not self._calls.open:
            raise BindingError(f"network {self.name} is not running: start it before it is checked")
        return await diagnose(self._settings, self._client, self._listener, self._notifications, self._configurations)

    def _now(self) -> float:
        if self._events is None:
            raise BindingError(f"network {self.name} is not started")
        return self._events.now()


def _with_options(record: Record, options: Mapping[str, str]) -> Record:
    size, pdn, reliable = 0, "", None
    for name, value in options.items():
        match name:
            case "max_packet_size":
                size = number_of_bytes(name, value)
            case "pdn_establishment_option":
                if value not in _PDN_OPTIONS:
                    raise ConfigurationError(
                        f"option pdn_establishment_option {value!r} must be WAIT_FOR_UE, INDICATE_ERROR or SEND_TRIGGER"
                    )
                pdn = value
            case "reliable_data_service":
                if value not in {"true", "false"}:
                    raise ConfigurationError(f"option reliable_data_service {value!r} must be true or false")
                reliable = value == "true"
            case contract.BLOCK2 if value not in {"true", "false"}:
                raise ConfigurationError(f"option block2 {value!r} must be true or false")
            case contract.BLOCK2:
                pass  # the bridge reads it
            case _:
                raise ConfigurationError(
                    f"unknown option {name!r}: a NIDD endpoint has max_packet_size, pdn_establishment_option, "
                    "reliable_data_service, block2"
                )
    return msgspec.structs.replace(record, max_packet_size=size, pdn=pdn, reliable=reliable)
