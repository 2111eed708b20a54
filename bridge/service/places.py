"""Finds what an endpoint of the directory uses now: its servers, its own address, its network."""

import logging
from collections.abc import Callable, Mapping

from bindings.contract import Binding, SouthProfile
from bridge.directory import Directory, EndpointRecord
from bridge.errors import ConfigurationError
from bridge.quota.shared import SharedQuotas
from bridge.relay import events as ev
from bridge.service.network_calls import NetworkCalls
from bridge.service.placed import Placed

DISABLED = "the endpoint was disabled"

log = logging.getLogger(__name__)

_NOTHING_GOES = SouthProfile(
    retransmit_interval=60.0,
    max_retransmit=0,
    retransmit_confirmed=False,
    exchange_span=247.0,
    response_timeout=247.0,
    max_attempts=1,
    empty_is_poll=False,
    quick=False,
    can_cancel=False,
    can_expire=False,
    network_up=False,
)
_NO_CALLS = NetworkCalls("", 1, lambda: 0.0, lambda *_, **__: None)
_NO_CALLS.close()


def _no_network(_device: str) -> SouthProfile:
    """Return the profile of a device whose network is not configured: it gets nothing."""
    return _NOTHING_GOES


def own_source(directory: Directory, record: EndpointRecord) -> int | None:
    """Return the number of an endpoint toward servers; None: it has none that the settings in force would give."""
    sources = directory.catalogue.sources
    return record.source if sources is None or sources.has(record) else None


class Places:
    """`leaving` are the endpoints that are being removed: they accept nothing more."""

    def __init__(
        self,
        directory: Directory,
        networks: Mapping[str, Binding],
        calls: Mapping[str, NetworkCalls],
        quotas: SharedQuotas,
        count: Callable[..., None],
    ) -> None:
        self.leaving: set[int] = set()
        self._calls = calls
        self._directory = directory
        self._networks = networks
        self._quotas = quotas
        self._count = count

    def of(self, record: EndpointRecord) -> Placed | None:
        """Return what effects need of an endpoint, or None if it is down: its profile is not configured.

        An endpoint whose network, or whose every server, is not configured accepts nothing. An address that is not of
        the current scheme, or that servers would see differently now, counts as none: the endpoint gets another one,
        and registers anew (R24).
        """
        binding = self._networks.get(record.network)
        if binding is None:
            self._count("endpoints_without_network", network=record.network)
            extra = {"sample": "endpoint down"}
            log.error("endpoint %s is down: network %r is not configured", record.name, record.network, extra=extra)
        source = own_source(self._directory, record)
        try:
            endpoint = self._directory.endpoint(record)
            limits = self._quotas.limits(endpoint.network, endpoint.group)
            if binding is None:
                gone = ev.NetworkRemoved()
                return Placed(endpoint, source, _no_network, _NO_CALLS, limits, takes=False, at_load=gone)
            leaves = record.id in self.leaving
            takes = record.enabled and not leaves and bool(endpoint.servers)
            at_load = None if record.enabled else ev.EndpointRemoved(DISABLED)
            calls = self._calls[record.network]
            return Placed(endpoint, source, binding.south_profile, calls, limits, takes, leaves, at_load)
        except ConfigurationError as error:
            log.error("endpoint is down: %s", error, extra={"sample": "endpoint down"})  # noqa: TRY400  # no trace helps
            return None
