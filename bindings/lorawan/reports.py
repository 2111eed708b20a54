"""Turns the network server's events about downlinks into reports for the bridge, live or from a history."""

from asyncio import Future

from bindings.contract import Events, NetworkState, Refusal, Report
from bindings.lorawan import network_events as net
from bindings.lorawan.evidence import Evidence
from bindings.lorawan.notes import Queued
from bindings.lorawan.outstanding import Outstanding

_DISCARDED = {
    net.DiscardReason.EXPIRED: Refusal.EXPIRED,
    net.DiscardReason.TOO_LARGE: Refusal.TOO_LARGE,
    net.DiscardReason.STALE_COUNTER: Refusal.FAILED,
}
_DETAIL = 200  # characters of a network server's text
_TOLERATED = 1.0  # seconds that an item may expire before its time by our clock


class Reports:
    """The reports of one network instance. Methods raise StoreUnavailable and UnknownDevice when awaited."""

    def __init__(self, outstanding: Outstanding, evidence: Evidence, events: Events) -> None:
        self._outstanding = outstanding
        self._evidence = evidence
        self._events = events

    def transmitted(self, event: net.TxAck) -> Future[None]:
        """Report that a gateway has a downlink. When that is committed, call `forget_transmitted`."""
        if event.item not in self._outstanding.of(event.device):
            self.forget_transmitted(event)  # the call that queued it may not have returned yet
        return self._events.deliver(Report(event.device, event.item, NetworkState.SENT))

    def forget_transmitted(self, event: net.TxAck) -> None:
        """Record that a downlink has left the queue: not before its report is committed, which else is never made."""
        self._outstanding.transmitted(event.device, event.item)

    async def acknowledged(self, event: net.Ack) -> None:
        """Report that the device acknowledged a confirmed downlink, or did not."""
        if event.acknowledged:
            report = Report(event.device, event.item, NetworkState.DELIVERED)
        else:
            detail = "the device did not acknowledge the frame"
            report = Report(event.device, event.item, None, detail, nack=True)
        await self._deliver(report)

    async def discarded(self, event: net.Discarded) -> None:
        """Report that the network server discarded an item.

        This does not prove that it was not transmitted before.
        """
        certain = await self._evidence.of_discarded(event)
        noted = self._outstanding.of(event.device).get(event.item)
        if certain and event.why is net.DiscardReason.EXPIRED and noted is not None and self._is_early(noted):
            self._events.count("lorawan_expired_early")
            text = "the message expired at the network server before its deadline: its clock and ours are apart"
            report = Report(event.device, event.item, Refusal.FAILED, text)
        elif certain:
            report = Report(event.device, event.item, _DISCARDED[event.why], event.text[:_DETAIL])
        else:
            self._events.count("lorawan_discarded_in_doubt")
            text = f"{event.text}; it may have been transmitted before"
            report = Report(event.device, event.item, None, text[:_DETAIL])
        await self._deliver(report)

    async def _deliver(self, report: Report) -> None:
        """Report that a downlink left the queue; forget it when the report is committed.

        If that fails, its queue is still looked at, and the report made again.
        """
        is_noted = report.handle in self._outstanding.of(report.device)
        if not is_noted:
            self._outstanding.drop(report.device, report.handle)  # the call that queued it may not have returned yet
        await self._events.deliver(report)
        if is_noted:
            self._outstanding.drop(report.device, report.handle)

    def _is_early(self, noted: Queued) -> bool:
        return noted.deadline is not None and self._events.now() < noted.deadline - _TOLERATED
