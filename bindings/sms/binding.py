"""The SMS binding: the contract of `bindings.contract` over T8.

A downlink is a device trigger (3gpp-device-triggering), an uplink an MSISDN-less MO SMS (3gpp-msisdn-less-mo-sms, of
which the bridge is the server). Each carries one CoAP message.
"""

import logging
from collections.abc import Awaitable, Mapping
from functools import cache
from typing import Any

from bindings.contract import (
    Ambiguous,
    Attempt,
    Cancellation,
    Events,
    Listener,
    Lookup,
    Memory,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bindings.diagnosis import Finding
from bindings.generated_values import secret_path
from bindings.guarded_calls import GuardedCalls
from bindings.http.messages import Answer, Request
from bindings.sms.diagnosis import diagnose
from bindings.sms.downlinks import TriggerCalls
from bindings.sms.endpoint_options import check_options
from bindings.sms.notifications import Notifications
from bindings.sms.settings import SmsSettings
from bindings.t8.client import T8Client
from bindings.t8.identity import canonical_device
from bindings.t8.listener import t8_listener
from bindings.transmission import explanation
from bridge.errors import BindingError

log = logging.getLogger(__name__)


class SmsBinding:
    """SMS by one SCEF or NEF. Options of an endpoint: application_port, block2."""

    def __init__(self, name: str, settings: SmsSettings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        self.name = name
        self._settings = settings
        self._client = T8Client(settings)
        self._listener = t8_listener(settings.callbacks, "sms", self._take, self._count)
        self._events: Events | None = None
        self._calls = GuardedCalls(name, "sms_internal_errors", self._count)
        self._profile = cache(self._made_profile)

    @classmethod
    def settings(cls) -> type[SmsSettings]:
        """Return the type of this binding's section in the configuration."""
        return SmsSettings

    # Life

    async def start(self, events: Events, memory: Memory) -> None:
        """Open the listener. Raises BindingError (port taken), StoreUnavailable."""
        self._events = events
        path = await secret_path(memory, self._settings.callbacks.path)
        self._client.open(events.now)
        self._notifications = Notifications(self._settings, events)
        try:
            await self._listener.start(path)
        except BaseException:
            await self._client.close()
            raise
        self._downlinks = TriggerCalls(self._settings, self._client, events, self._listener.url)
        self._calls.open = True
        host, port = self._listener.address
        log.info("network %s: SMS by SCEF/NEF %s, callbacks on %s port %d", self.name, self._client.root, host, port)

    async def stop(self) -> None:
        """Take no more notifications, finish the calls under way; pending triggers stay at the SMS centre."""
        if not self._calls.open:
            return
        self._calls.open = False
        await self._listener.stop()
        await self._calls.finish()
        await self._client.close()

    def _take(self, request: Request) -> Awaitable[Answer | None]:
        return self._notifications.take(request)

    def _count(self, name: str) -> None:
        if self._events is not None:
            self._events.count(name)

    # Devices: SMS needs nothing to be made for them

    def canonical_device(self, device: str) -> str:
        """Return the one spelling of an External Identifier or MSISDN. Raises ConfigurationError.

        SMS of a device with an MSISDN do not come by this API (TS 23.682 §5.15): it can only be sent to.
        """
        return canonical_device(device)

    def listeners(self) -> list[Listener]:
        """Return the listener for callbacks."""
        callbacks = self._settings.callbacks
        return [Listener("callbacks.port", callbacks.bind, callbacks.port)]

    def explain_settings(self) -> list[str]:
        """Return for how long devices' repeats are recognised."""
        return [explanation(self._settings.downlinks.exchange_span)]

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise ConfigurationError for an option that is none."""
        check_options(options)

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Check the options. Raises ConfigurationError."""
        canonical_device(device)
        check_options(options)

    async def deprovision(self, device: str) -> None:
        """Do nothing."""

    # Downlinks

    @property
    def capacity(self) -> int:
        """Return how many connections to the SCEF there are at the same time."""
        return self._settings.http.pool_size

    async def submit(self, attempt: Attempt) -> SubmitResult:
        """POST a device trigger; TS 29.122 §4.4.6."""
        if not self._calls.open:
            return Refused(Refusal.NETWORK_UNAVAILABLE, "the network instance is not running")
        mistake: SubmitResult = Ambiguous("a bug in the bridge, see the log")
        return await self._calls.run(self._downlinks.submit(attempt), mistake)

    async def lookup(self, attempt: Attempt) -> Lookup:
        """GET the transactions and find the attempt's."""
        if not self._calls.open:
            return Lookup(Presence.FAILED)
        return await self._calls.run(self._downlinks.lookup(attempt), Lookup(Presence.FAILED))

    async def cancel(self, device: str, handle: str) -> Cancellation:
        """DELETE a pending trigger (recall)."""
        if not self._calls.open:
            return Cancellation.UNKNOWN
        return await self._calls.run(self._downlinks.cancel(device, handle), Cancellation.UNKNOWN)

    # What the core and people ask

    def south_profile(self, device: str) -> SouthProfile:  # noqa: ARG002  # all are alike
        """Return the profile, the same for every device. CoAP does not retransmit over SMS."""
        return self._profile(not self._calls.open or self._downlinks.can_recall)

    def _made_profile(self, can_cancel: bool) -> SouthProfile:
        numbers = self._settings.downlinks
        return SouthProfile(
            retransmit_interval=numbers.repeat_interval,
            max_retransmit=0,
            retransmit_confirmed=False,
            exchange_span=numbers.exchange_span,
            response_timeout=numbers.response_timeout,
            max_attempts=numbers.max_attempts,
            empty_is_poll=False,
            quick=False,
            can_cancel=can_cancel,
            can_expire=True,
            max_downlink=numbers.max_payload,
            max_uplink=self._settings.uplinks.max_payload,
        )

    def status(self) -> Mapping[str, Any]:
        """Return reachability, credentials and callbacks, as plain JSON values."""
        host, port = self._listener.address
        callbacks: dict[str, Any] = {"bind": host, "port": port, "taken": self._listener.taken}
        if self._calls.open:
            callbacks["report_at"] = self._notifications.reported_at
            callbacks["sms_at"] = self._notifications.heard_at
        return {
            "provider": "t8",
            "running": self._calls.open,
            "api": self._client.root,
            "client": self._client.status(),
            "callbacks": callbacks,
        }

    async def check(self) -> list[Finding]:
        """Look for what will hurt: SCEF reachable, credentials taken, callbacks reaching us; each with its cure."""
        if not self._calls.open:
            raise BindingError(f"network {self.name} is not running: start it before it is checked")
        return await diagnose(self._settings, self._client, self._listener, self._notifications)
