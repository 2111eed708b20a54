"""One device's configuration: create, adopt, check, renew, redirect, replace, remove (TS 29.122 §4.4.5.2).

Each job ends with a committed record of the new state, or raises JobFailed, NotSent, NoAnswer
or BridgeError; then a second attempt can continue.
"""

import logging
import re
import zlib
from typing import Any

import msgspec

from bindings.contract import Events, Flushed
from bindings.nidd import operations
from bindings.nidd.endpoint_options import configured_ports, ports_of, power_options
from bindings.nidd.inventory import Inventory
from bindings.nidd.models import Configuration, read_port
from bindings.nidd.notes import DeviceNote, DeviceNotes, State
from bindings.nidd.packet_size import unit_warning
from bindings.nidd.settings import NiddSettings
from bindings.reachability.watch import ReachabilityMonitor
from bindings.t8.answer import Answer
from bindings.t8.client import T8Client
from bindings.t8.identity import identity_member, same_identity
from bindings.t8.links import bare_name, configuration_id
from bindings.t8.operations import Operation
from bindings.t8.reading import read_tolerant
from bindings.t8.trouble import FailureCause, JobFailed, is_passing, refused
from bridge.errors import UnknownDevice

log = logging.getLogger(__name__)

_HEX = re.compile("[0-9A-Fa-f]+")
REPORTS = "reports"
"""The path segment after the callback URL for monitoring events."""

SHORTEST_LIFE = 60.0  # minimum of seconds between two renewals, and between two creations, whatever the SCEF grants
_LISTED_JUST_NOW = 60.0  # seconds for which a list can be used after a refusal that may be a conflict
_LISTED_AT_A_CONFLICT = 2.0  # the same after a plain conflict
_GONE = {404, 410}
_NOT_OFFERED = {405, 501}
_SIZE_WARNINGS = 10  # sizes about which a warning was logged


class LifeCycle:
    """Carries out the jobs. Set `destination`, the URL to which the SCEF posts, before the first job."""

    def __init__(
        self, settings: NiddSettings, client: T8Client, records: DeviceNotes, events: Events, watch: ReachabilityMonitor
    ) -> None:
        self.watch = watch
        self._all_settings = settings
        self._settings = settings.configurations
        self._quirks = settings.quirks.resolved
        self._downlinks = settings.downlinks
        self._test_notification = 1 << settings.features.test_notification - 1
        self._client = client
        self._records = records
        self._events = events
        self.inventory = Inventory(client, records)
        self.size_warnings: list[str] = []
        self._destination = ""
        self.mark = 0  # check sum of the destination

    @property
    def destination(self) -> str:
        """Return the URL to which the SCEF posts notifications."""
        return self._destination

    @destination.setter
    def destination(self, url: str) -> None:
        self._destination = self.inventory.destination = url
        self.watch.destination = f"{url}/{REPORTS}"
        self.mark = zlib.crc32(url.encode()) or 1

    def mark_of(self, record: DeviceNote) -> int:
        """Return the check sum of what a PATCH changes in a configuration: the destination, and RDS ports."""
        ports = ports_of(record)
        if not ports:
            return self.mark
        return zlib.crc32(f"{self._destination} {','.join(ports)}".encode()) or 1

    async def work(self, device: str, record: DeviceNote) -> None:
        """Carry out the job that a record needs."""
        match record.state:
            case State.REMOVING:
                await self._remove(device, record)
            case State.DOUBTED:
                await self._find_out(device, record)
            case State.ACTIVE if record.destination != self.mark_of(record):
                await self._redirect(device, record)
            case State.ACTIVE if record.due and record.due <= self._events.now():
                await self._renew(device, record)
            case State.ACTIVE:
                pass
            case _:
                await self._make(device, record)
        await self._renew_subscriptions(device)

    async def _renew_subscriptions(self, device: str) -> None:
        """Update the subscriptions for an ACTIVE device's reachability, if that is due."""
        record = await self._records.get(device)
        if record is None or record.state is not State.ACTIVE or self.watch_due(record) > self._events.now():
            return
        options = power_options(record)
        due = await self.watch.see_to(device, options)
        current = await self._records.get(device)
        if current is not None and current.state is State.ACTIVE:
            watched = {"watched": self.watch.wanted(options), "watch_due": int(due)}
            await self._records.put(device, msgspec.structs.replace(current, **watched))

    def watch_due(self, record: DeviceNote) -> float:
        """Return when the reachability of an ACTIVE device needs work; never: infinity."""
        if record.watched != self.watch.wanted(power_options(record)):
            return 0.0
        return float(record.watch_due) if record.watch_due else float("inf")

    # Creating and adopting

    async def _make(self, device: str, record: DeviceNote) -> None:
        good = _LISTED_JUST_NOW if record.configuration or self._quirks.lists_late else None
        if self._settings.adopt and await self._adopt(device, record, good):
            return
        answer = await self.ask(operations.CREATE, body=self._creation(device, record))
        if not answer.ok:
            # SCEFs report an existing configuration in many ways: 409, 403, 400, 500.
            good = _LISTED_AT_A_CONFLICT if answer.status == 409 else _LISTED_JUST_NOW  # noqa: PLR2004
            conflict = answer.own and answer.status in {400, 403, 409, 500}
            if conflict and await self._adopt(device, record, good):
                return
            if not answer.own:
                self.inventory.doubt()
            raise refused("POST configurations", answer, self._client.clock)
        body = read_tolerant(answer.body, Configuration)
        name = _name_of(answer, body)
        if name is None:
            self.inventory.doubt()
            if await self._adopt(device, record, 0.0):
                return
            raise JobFailed("POST configurations: neither Location nor self names the configuration")
        await self._activate(device, record, name, body)
        self._events.count("nidd_configurations_made")

    def _creation(self, device: str, record: DeviceNote) -> dict[str, Any]:
        settings = self._settings
        body: dict[str, Any] = {"notificationDestination": self._destination, identity_member(device): device}
        features = settings.supported_features
        if settings.request_test_notification:
            body["requestTestNotification"] = True
            if features:
                features = f"{int(features, 16) | self._test_notification:X}"
        if features:
            body["supportedFeatures"] = features
        if settings.mtc_provider_id:
            body["mtcProviderId"] = settings.mtc_provider_id
        if settings.duration:
            body["duration"] = self._client.clock.theirs(self._events.now() + settings.duration)
        if option := pdn_option(record, self._all_settings):
            body["pdnEstablishmentOption"] = option
        if ports := configured_ports(record):
            body["rdsPorts"] = ports
        if self._downlinks.reliable_data_service if record.reliable is None else record.reliable:
            body["reliableDataService"] = True
        return body

    async def _adopt(self, device: str, record: DeviceNote, good: float | None) -> bool:
        """Adopt a configuration that the SCEF lists for the device; False if there is none.

        `good`: allowed age of the list in real seconds; None: since the start of this process.
        """
        await self.inventory.read(good)
        name = self.inventory.strays.get(device)
        if name is None:
            return False
        self.inventory.strays.pop(device, None)
        if not await self.take_over(device, record, name):
            return False
        log.info("adopted configuration %s of %s", name, device, extra={"sample": "nidd adopted"})
        return True

    async def take_over(self, device: str, record: DeviceNote, name: str, former: str = "") -> bool:
        """Adopt a configuration of the SCEF for the device; False if it has none of that name for the device.

        `former` is one that it replaces: that one is removed first, and what it held is reported as dropped.
        """
        answer = await self.ask(operations.READ, name)
        if answer.own and answer.status in _GONE:
            return False
        body = read_tolerant(answer.body, Configuration) if answer.ok else Configuration()
        if not answer.ok and not (answer.own and answer.status in _NOT_OFFERED):
            raise refused("GET configuration", answer, self._client.clock)
        if (body.status or "").startswith("TERMINATED") or same_identity(device, body.externalId, body.msisdn) is False:
            return False
        good = body.notificationDestination == self._destination and _has_ports(body, record)
        if not good and not await self._point_here(name, record):
            await self._delete(name)
            return False
        if former:  # before the record names the other one: else nobody would do it after a failure
            await self._discard(device, former)
        await self._activate(device, record, name, body)
        self._events.count("nidd_configurations_adopted")
        return True

    async def _activate(self, device: str, record: DeviceNote, name: str, body: Configuration) -> None:
        now = self._events.now()
        expires = self._client.clock.ours(body.duration)
        if self._settings.duration and (expires is None or expires <= now):
            expires = now + self._settings.duration
        span, due = self._renewal(now, expires)
        size = max(0, min(body.maximumPacketSize or record.packet_size, 1 << 31))
        self._note_size(size)
        current = await self._records.get(device) or record
        if current.state is State.REMOVING:  # no longer wanted meanwhile
            await self._records.put(device, msgspec.structs.replace(current, configuration=name, due=int(now)))
            return
        await self._records.put(
            device,
            msgspec.structs.replace(
                current,
                state=State.ACTIVE,
                due=due,
                configuration=name,
                packet_size=size,
                learned=0,
                span=span,
                failures=0,
                destination=self.mark_of(record),  # what was sent; the options may have changed since
                made=int(now),
                features=read_features(body.supportedFeatures),
            ),
        )

    def _renewal(self, now: float, expires: float | None) -> tuple[int, int]:
        """Return the seconds granted and when to renew; zeros if there is no end."""
        if expires is None:
            return 0, 0
        span = max(1.0, expires - now)
        return round(span), int(max(expires - min(self._settings.renewal_margin, span / 2), now + SHORTEST_LIFE))

    def _note_size(self, size: int) -> None:
        if self._quirks.small_packets:
            return
        warning = unit_warning(size, self._downlinks.packet_size_unit)
        if warning is not None and warning not in self.size_warnings and len(self.size_warnings) < _SIZE_WARNINGS:
            self.size_warnings.append(warning)
            self._events.count("nidd_suspicious_packet_size")
            log.warning("%s", warning)

    # Keeping

    async def _find_out(self, device: str, record: DeviceNote) -> None:
        """Check at the SCEF whether a configuration is gone, and only then create it again."""
        answer = await self.ask(operations.READ, record.configuration)
        if answer.ok:
            body = read_tolerant(answer.body, Configuration)
            if (body.status or "").startswith("TERMINATED"):
                await self.lost(device, record, f"the SCEF has ended it: {body.status:.60}")
            elif same_identity(device, body.externalId, body.msisdn) is False:
                await self.lost(device, record, "the SCEF has another device under that name")
            else:
                await self._is_there(device, record, body)
                return
        elif answer.own and answer.status in _GONE:
            await self.lost(device, record, f"the SCEF does not know it: {answer}")
        elif answer.own and answer.status in _NOT_OFFERED:
            since_the_doubt = self._events.now() - record.due - 1.0  # the record counts whole seconds
            await self.inventory.read(max(0.0, since_the_doubt))
            if self.inventory.strays.get(device) == record.configuration:
                await self._is_there(device, record, Configuration(notificationDestination=self._destination))
                return
            await self.lost(device, record, "the SCEF does not list it")
        else:
            raise refused("GET configuration", answer, self._client.clock)
        now_lost = await self._records.get(device)
        if now_lost is not None and now_lost.due <= self._events.now():
            await self._make(device, now_lost)

    async def _is_there(self, device: str, record: DeviceNote, body: Configuration) -> None:
        """Record that the configuration exists: the doubt came from what was not the SCEF's own word."""
        self._events.count("nidd_configurations_doubted_wrongly")
        current = await self._records.get(device) or record
        here = body.notificationDestination in (None, self._destination) and _has_ports(body, current)
        changes = {"state": State.ACTIVE, "failures": 0, "destination": self.mark_of(current) if here else 0}
        due = int(self._events.now() + record.span / 2) if record.span else 0
        await self._records.put(device, msgspec.structs.replace(current, due=due, **changes))

    async def lost(self, device: str, record: DeviceNote, why: str) -> None:
        """Report to the core that a configuration is gone (R31), and create it again. Raises StoreUnavailable.

        After a brief life as that of the one before, there is a pause first: a SCEF that ends each one must not
        cause a loop.
        """
        log.warning("configuration of %s is gone: %s", device, why, extra={"sample": "nidd lost"})
        self._events.count("nidd_configurations_lost")
        await self._tell_flushed(device, why)
        current = await self._records.get(device) or record
        now = self._events.now()
        short = current.short_lives + 1 if 0 <= now - current.made < SHORTEST_LIFE else 0
        pause = min(SHORTEST_LIFE * 2 ** (short - 2), self._settings.retry_max) if short > 1 else 0.0
        due = int(max(now + pause, current.not_before))
        lost = {"state": State.LOST, "due": due, "learned": 0, "not_before": 0, "short_lives": min(short, 20)}
        await self._records.put(device, msgspec.structs.replace(current, **lost))

    async def _renew(self, device: str, record: DeviceNote) -> None:
        now = self._events.now()
        wanted = now + (self._settings.duration or record.span)
        body = {"duration": self._client.clock.theirs(wanted)}
        answer = await self.ask(operations.CHANGE, record.configuration, body=body)
        if answer.ok:
            granted = read_tolerant(answer.body, Configuration)
            granted.duration = granted.duration or body["duration"]
            if granted.supportedFeatures is None and record.features >= 0:
                granted.supportedFeatures = f"{record.features:X}"
            await self._activate(device, record, record.configuration, granted)
            return
        if answer.own and answer.status in _GONE:
            await self._find_out(device, record)
            return
        if is_passing(answer, record.failures):
            raise refused("PATCH configuration", answer, self._client.clock)
        await self._replace(device, record, f"renewal refused: {answer}")

    async def _redirect(self, device: str, record: DeviceNote) -> None:
        """Send the SCEF the new callback URL, or the RDS ports of the device's servers."""
        if await self._point_here(record.configuration, record):
            current = await self._records.get(device) or record
            changed = {"destination": self.mark_of(record), "failures": 0}  # what was sent; it may have changed since
            await self._records.put(device, msgspec.structs.replace(current, **changed))
            return
        await self._replace(device, record, "the callback URL or RDS ports have changed and cannot be patched")

    async def _replace(self, device: str, record: DeviceNote, why: str) -> None:
        """Delete and create again: downlinks that the SCEF held in it are dropped (R31)."""
        await self._delete(record.configuration)
        await self.lost(device, record, why)
        await self._make(device, await self._records.get(device) or record)

    async def _point_here(self, name: str, record: DeviceNote) -> bool:
        """Change notificationDestination (Rel-17) and the RDS ports.

        False if this SCEF does not offer it, or ignores the PATCH.
        """
        if not self._quirks.patches_destination:
            return False
        body: dict[str, Any] = {"notificationDestination": self._destination}
        if ports := configured_ports(record):
            body["rdsPorts"] = ports
        answer = await self.ask(operations.CHANGE, name, body=body)
        if answer.ok:
            now = read_tolerant(answer.body, Configuration)
            return now.notificationDestination in (None, self._destination) and (
                now.rdsPorts is None or _has_ports(now, record)
            )
        if is_passing(answer, record.failures):
            raise refused("PATCH configuration", answer, self._client.clock)
        return False

    async def _remove(self, device: str, record: DeviceNote) -> None:
        await self.watch.forget(device)
        if record.configuration:
            await self._delete(record.configuration)
        current = await self._records.get(device)
        if current is not None and current.state is not State.REMOVING:
            return  # wanted again meanwhile: it is LOST and will be created
        await self._records.remove(device)
        self._events.count("nidd_configurations_removed")

    async def ports_missing(self, record: DeviceNote) -> list[str] | None:
        """Return the RDS ports of an endpoint that its configuration at the SCEF lacks; None: the SCEF does not say.

        Raises JobFailed, NotSent or NoAnswer.
        """
        answer = await self.ask(operations.READ, record.configuration)
        if not answer.ok:
            raise refused("GET configuration", answer, self._client.clock)
        body = read_tolerant(answer.body, Configuration)
        if body.rdsPorts is None:
            return None
        return [port for port in ports_of(record) if port not in ports_there(body)]

    async def _discard(self, device: str, name: str) -> None:
        """Delete a configuration that another one replaces; downlinks in it are dropped (R31)."""
        try:
            await self._delete(name)
        except JobFailed as error:
            if error.whose is not FailureCause.DEVICE:
                raise
            log.warning("configuration %s of %s stays there: %s", name, device, error, extra={"sample": "nidd surplus"})
            return  # the SCEF itself refuses to remove it, so nothing was dropped
        await self._tell_flushed(device, "another configuration replaced it")

    async def _tell_flushed(self, device: str, why: str) -> None:
        try:
            await self._events.deliver(Flushed(device, why))
        except UnknownDevice:
            log.info(
                "device %s is not in the directory: no endpoint is notified", device, extra={"sample": "nidd lost"}
            )

    async def _delete(self, name: str) -> None:
        answer = await self.ask(operations.DELETE, name)
        if not answer.ok and not (answer.own and answer.status in _GONE):
            raise refused("DELETE configuration", answer, self._client.clock)

    async def ask(self, operation: Operation, *names: str, body: dict[str, Any] | None = None) -> Answer:
        return await self._client.ask(operation, *names, body=body, bounded=False)


def bridge_keeps(record: DeviceNote, settings: NiddSettings) -> bool:
    """Return whether downlinks for a sleeping device wait in the bridge, and the SCEF must not buffer."""
    if record.buffer or settings.downlinks.buffer:
        return (record.buffer or settings.downlinks.buffer) == "bridge"
    return not settings.quirks.resolved.keeps_downlinks


def _has_ports(body: Configuration, record: DeviceNote) -> bool:
    """Return whether a configuration has the endpoint's RDS ports, as far as the SCEF says."""
    return {*ports_there(body)}.issuperset(ports_of(record))


def ports_there(body: Configuration) -> list[str | None]:
    """Return the RDS ports of a configuration, `UE:SCEF` each; None for what is no pair of ports."""
    return [read_port(one) for one in body.rdsPorts] if isinstance(body.rdsPorts, list) else []


def pdn_option(record: DeviceNote, settings: NiddSettings) -> str:
    """Return pdnEstablishmentOption: what the SCEF does while the device has no PDN connection; empty: its default."""
    if bridge_keeps(record, settings):
        return "INDICATE_ERROR"
    return record.pdn or settings.downlinks.pdn_establishment_option


def read_features(text: str | None) -> int:
    """Return the negotiated features in an answer (TS 29.571 SupportedFeatures); -1: it does not say.

    Features above the 31st are none that the bridge knows.
    """
    return int(text[-8:], 16) & 0x7FFFFFFF if text and _HEX.fullmatch(text) else -1


def _name_of(answer: Answer, body: Configuration) -> str | None:
    for link in (answer.location, body.self or ""):
        name = configuration_id(link) or bare_name(link)
        if name is not None:
            return name
    return None
