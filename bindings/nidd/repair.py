"""Finds configurations that the SCEF has lost: compares its list with the records."""

import logging
from collections.abc import Awaitable, Callable

from bindings.nidd import operations
from bindings.nidd.life_cycle import LifeCycle
from bindings.nidd.notes import DeviceNote, DeviceNotes, State

log = logging.getLogger(__name__)

_TRIED = 8  # configurations that are checked before the list counts as complete

Doubt = Callable[[str, DeviceNote], Awaitable[None]]


async def find_missing(life: LifeCycle, records: DeviceNotes, doubt: Doubt) -> None:
    """Read the list, and pass each record whose configuration is not in it to `doubt`.

    An incomplete list proves nothing: then nothing is passed on. Raises JobFailed, NotSent, NoAnswer or
    StoreUnavailable.
    """
    listed: set[str] = set()
    if not await life.inventory.read(0.0, listed):
        return
    missing = []
    async for device, record in records.all():
        if record.state is State.ACTIVE and record.configuration not in listed:
            missing.append(device)
    if len(missing) >= _TRIED and await _all_are_there(life, records, missing[:_TRIED]):
        log.warning("the SCEF's list of configurations is incomplete; the bridge does not use it")
        return
    for device in missing:
        now = await records.get(device)
        if now is not None and now.state is State.ACTIVE:
            await doubt(device, now)


async def _all_are_there(life: LifeCycle, records: DeviceNotes, devices: list[str]) -> bool:
    for device in devices:
        one = await records.get(device)
        if one is not None and not (await life.ask(operations.READ, one.configuration)).ok:
            return False
    return True
