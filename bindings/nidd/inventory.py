"""The bridge's configurations at the SCEF, read from its list as a stream.

T8 has no pages: the list of 100 000 devices is one array. The array is read item by item, and only the name of
each configuration is kept; the rest is read when it is adopted.
"""

import asyncio
import logging
from typing import Any, NamedTuple

from bindings.http.client import NoAnswer
from bindings.nidd import operations
from bindings.nidd.models import Configuration
from bindings.nidd.notes import DeviceNote, DeviceNotes, State
from bindings.t8.array import ArrayReader, NoArray
from bindings.t8.client import T8Client
from bindings.t8.identity import canonical_device
from bindings.t8.links import bare_name, configuration_id
from bindings.t8.reading import pick
from bindings.t8.trouble import JobFailed, refused
from bridge.errors import ConfigurationError

log = logging.getLogger(__name__)

_LIMIT = 1 << 30  # bytes; a million configurations
_PATIENCE = 600.0  # seconds for a whole list
_NOT_OFFERED = {404, 405, 406, 501}  # some SCEFs answer so if there are none
_TOGETHER = 256  # listed configurations whose records are read together
_SURPLUS_KEPT = 1000  # configurations without a record that are remembered; all of them are counted


class Inventory:
    """The bridge's configurations at the SCEF that are in no record.

    `strays`: device to name, of devices without a configuration in the records. `surplus`: name to device, of second
    configurations of a device that send their notifications to the bridge.
    """

    def __init__(self, client: T8Client, records: DeviceNotes) -> None:
        self._client = client
        self._records = records
        self._lock = asyncio.Lock()
        self._read_at: float | None = None
        self.destination = ""  # our own
        self.strays: dict[str, str] = {}
        self.surplus: dict[str, str] = {}
        self.offered = True  # whether this SCEF offers the list, if known

    def doubt(self) -> None:
        """Record that a configuration may have been created since the list was read."""
        self._read_at = None

    async def read(self, good: float | None, seen: set[str] | None = None) -> bool:
        """Read the list, unless it was read less than `good` seconds ago (None: ever); return whether there is a list.

        The names of all configurations are added to `seen`. Raises JobFailed, NotSent or NoAnswer.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with self._lock:
            if seen is None and self._read_at is not None and (good is None or self._read_at >= began - good):
                return self.offered
            self.strays, self.surplus = {}, {}
            listed: asyncio.Queue[_Listed | None] = asyncio.Queue()
            reader = ArrayReader(lambda item: self._add_listed(item, seen, listed), _LIMIT)
            sorting = asyncio.create_task(self._sort(listed))  # while the list is being received
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await self._client.ask(operations.LIST, part=reader.feed, bounded=False)
                    listed.put_nowait(None)
                    await sorting
            except TimeoutError as error:
                raise NoAnswer(f"no complete list of configurations within {_PATIENCE:g} s") from error
            finally:
                sorting.cancel()
                await asyncio.gather(sorting, return_exceptions=True)
            if answer.status == 204:  # noqa: PLR2004  # the field's way to say that there are none
                self.offered = True
            elif 200 <= answer.status < 300:  # noqa: PLR2004  # RFC 9110 §15.3
                try:
                    reader.finish()
                except NoArray as error:
                    raise JobFailed(f"GET configurations: {answer.status} without a list: {error}") from None
                self.offered = True
            elif answer.own and answer.status in _NOT_OFFERED:
                self.offered = False
            else:
                raise refused("GET configurations", answer, self._client.clock)
            self._read_at = began
            return self.offered

    def _add_listed(self, item: Any, seen: set[str] | None, listed: "asyncio.Queue[_Listed | None]") -> None:
        one = pick(item, Configuration)
        name = configuration_id(one.self or "") or bare_name(one.self or "")
        if name is None or (one.status or "").startswith("TERMINATED"):
            return
        if seen is not None:
            seen.add(name)
        devices = [device for said in (one.externalId, one.msisdn) if (device := _canonical(said)) is not None]
        if devices:
            listed.put_nowait(_Listed(name, devices, one.notificationDestination == self.destination))

    async def _sort(self, listed: "asyncio.Queue[_Listed | None]") -> None:
        """Compare listed configurations with the records, until None comes. Raises StoreUnavailable."""
        ended = False
        while not ended:
            some = [await listed.get()]
            while len(some) < _TOGETHER and not listed.empty():
                some.append(listed.get_nowait())
            ended = some[-1] is None
            those = [one for one in some if one is not None]
            found = await asyncio.gather(*map(self._record, those))
            for one, (device, record) in zip(those, found, strict=True):
                self._note(one.name, device, record, ours=one.ours)

    async def _record(self, one: "_Listed") -> tuple[str, DeviceNote | None]:
        """Return the device of a listed configuration, by the identity in the records, and its record."""
        for device in one.devices:
            record = await self._records.get(device)
            if record is not None:
                return device, record
        return one.devices[0], None

    def _note(self, name: str, device: str, record: DeviceNote | None, *, ours: bool) -> None:
        if record is not None and record.configuration == name:
            if record.state is not State.ACTIVE:
                self.strays[device] = name
        elif record is not None and record.state is State.ACTIVE:
            self._note_surplus(name, device, ours=ours)
        elif device not in self.strays:
            self.strays[device] = name
        elif ours:
            self._note_surplus(self.strays[device], device, ours=True)
            self.strays[device] = name
        else:
            self._note_surplus(name, device, ours=ours)

    def _note_surplus(self, name: str, device: str, *, ours: bool) -> None:
        if ours and len(self.surplus) < _SURPLUS_KEPT:
            self.surplus[name] = device


class _Listed(NamedTuple):
    """A configuration of the list: its name, possible devices, and whether its notifications come to the bridge."""

    name: str
    devices: list[str]
    ours: bool


def _canonical(said: str | None) -> str | None:
    try:
        return canonical_device(said or "")
    except ConfigurationError:
        return None
