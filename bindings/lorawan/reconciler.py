"""Reads queues of devices whose downlinks should have been sent without an event, or stay longer than a window.

For the first, the history or the queue says what became of them. For the second, the queue proves that they were
not transmitted.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial

from bindings.contract import Events, Report
from bindings.lorawan.catch_up import CatchUp
from bindings.lorawan.evidence import Evidence
from bindings.lorawan.notes import DeviceNotes
from bindings.lorawan.outstanding import DoubtfulDevices, Outstanding, QueuesToRead
from bindings.lorawan.provider import Provider
from bridge.errors import BridgeError, NotServedHere

log = logging.getLogger(__name__)

STOP_PATIENCE = 5.0  # seconds that a stop waits for a history that is being read


class Reconciler:
    """Takes devices from `doubts`, one task for each, and from `queues_to_read`, one after the other."""

    def __init__(
        self,
        doubts: DoubtfulDevices,
        queues_to_read: QueuesToRead,
        catch_up: CatchUp,
        evidence: Evidence,
        records: DeviceNotes,
        provider: Provider,
        outstanding: Outstanding,
        events: Events,
    ) -> None:
        self._doubts = doubts
        self._queues_to_read = queues_to_read
        self._evidence = evidence
        self._records = records
        self._catch_up = catch_up
        self._provider = provider
        self._outstanding = outstanding
        self._events = events
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            device = await self._doubts.next_device()
            if device not in self._tasks:
                task = asyncio.create_task(self._settle(device))
                self._tasks[device] = task
                task.add_done_callback(partial(self._settled, device))

    async def check_queues_to_read(self) -> None:
        """Work until cancelled."""
        while True:
            device = await self._queues_to_read.next_device()
            try:
                left = await self._evidence.settle(device)
                if left is not None:
                    self._queues_to_read.add(device, left)  # it was heard again
            except NotServedHere:
                continue
            except BridgeError as error:
                log.info(
                    "the queue of device %s could not be read: %s", device, error, extra={"sample": "lorawan lingering"}
                )

    async def stop(self) -> None:
        """Wait until reports are committed; a history that takes longer is read after the next start."""
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_PATIENCE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def release(self, devices: Iterable[str]) -> None:
        """Ask nothing about these devices any more; return when nothing is asked."""
        tasks = [task for task in map(self._tasks.get, devices) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settled(self, device: str, _done: asyncio.Task[None]) -> None:
        del self._tasks[device]

    async def _settle(self, device: str) -> None:
        try:
            await self._records.get(device)
            waiting = list(self._outstanding.of(device))
            await self._catch_up.device(device)
            present = {item.id for item in await self._provider.queue(device)}
            await self._records.get(device)
            for item_id, item in list(self._outstanding.of(device).items()):
                if item_id in present:
                    item.uplinks = 0  # another message was sent first
                elif item_id in waiting:
                    text = "it left the network server's queue, and no event says why"
                    await self._events.deliver(Report(device, item_id, None, text))
                    self._events.count("lorawan_downlinks_without_report")
                    self._outstanding.drop(device, item_id)  # not before the commit: else it is never reported again
        except NotServedHere:
            return
        except BridgeError as error:
            log.info("the queue of device %s could not be read: %s", device, error, extra={"sample": "lorawan settle"})
