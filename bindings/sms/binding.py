"""The SMS binding: the contract of `bindings.contract` over T8.

A downlink is a device trigger (3gpp-device-triggering), an uplink an MSISDN-less MO SMS (3gpp-msisdn-less-mo-sms, of
which the bridge is the server). Each carries one CoAP message.
"""

from collections.abc import Awaitable, Mapping
from functools import cache
from typing import Any

from bindings.contract import Events, Memory, SouthProfile
from bindings.diagnosis import Finding
from bindings.http.messages import Answer, Request
from bindings.sms.diagnosis import diagnose
from bindings.sms.downlinks import TriggerCalls
from bindings.sms.endpoint_options import check_options
from bindings.sms.notifications import Notifications, answer_kept
from bindings.sms.settings import SmsSettings
from bindings.t8.binding import T8Binding
from bindings.t8.identity import canonical_device
from bindings.transmission import explanation


class SmsBinding(T8Binding[SmsSettings, TriggerCalls]):
    """SMS by one SCEF or NEF. Options of an endpoint: application_port, block2.

    A device with an MSISDN cannot send SMS over this API (TS 23.682 §5.15): messages can only be sent to it. Pending
    triggers stay at the SMS centre when the binding stops.
    """

    def __init__(self, name: str, settings: SmsSettings) -> None:
        """Check the settings, open nothing. Raises ConfigurationError."""
        super().__init__(name, settings, "sms", "SMS by SCEF/NEF", None, answer_kept, reads_before=True)
        self._profile = cache(self._made_profile)

    @classmethod
    def settings(cls) -> type[SmsSettings]:
        """Return the type of this binding's section in the configuration."""
        return SmsSettings

    # Life

    def _open(self, events: Events, memory: Memory) -> None:  # noqa: ARG002  # SMS keeps no notes
        self._notifications = Notifications(self._settings, events)

    async def _begin(self, events: Events, url: str) -> None:
        self._downlinks = TriggerCalls(self._settings, self._client, events, url, self._notifications.named)

    def _commit(self, request: Request) -> Awaitable[Answer | None]:
        return self._notifications.commit(request)

    # Devices: SMS needs no provisioning

    def explain_settings(self) -> list[str]:
        """Return for how long devices' repeats are recognised."""
        return [explanation(self._settings.downlinks.exchange_span)]

    def check_options(self, options: Mapping[str, str]) -> None:
        """Raise ConfigurationError for an unknown option."""
        check_options(options)

    def device_came(self, device: str) -> None:
        """Do nothing: nothing is cached of a device (bindings.contract.RunsOnNodes)."""

    async def provision(self, device: str, options: Mapping[str, str]) -> None:
        """Check the options. Raises ConfigurationError."""
        canonical_device(device)
        check_options(options)

    async def deprovision(self, device: str) -> None:
        """Do nothing."""

    # For the core and for people

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
        """Return reachability, credentials and callbacks, as JSON values."""
        found = {**super().status()}
        if self._calls.open:
            heard = {"report_at": self._notifications.reported_at, "sms_at": self._notifications.heard_at}
            found["callbacks"] = {**found["callbacks"], **heard}
        return found

    async def check(self) -> list[Finding]:
        """Check that the SCEF is reachable, accepts the credentials, and reaches the bridge; with the cures."""
        self._check_running()
        return await diagnose(
            self._settings, self._client, self.listener, self._notifications, is_shared=self.is_shared
        )
