"""Monitoring events of UEs (TS 23.682 §5.6, TS 29.122 §4.4.2): subscriptions, and the reports that they get."""

import msgspec

from mock_network.scef.core import effects as e
from mock_network.scef.core.cell import Cell, Reach
from mock_network.scef.core.context import Context
from mock_network.scef.core.monitoring_model import LossReason, Report, Subscription
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.states import UeState
from mock_network.scef.core.subscribers import Subscribers
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema.common import MonitoringType
from mock_network.scef.schema.monitoring import IdleStatusInfo, MonitoringEventSubscription

_EXPIRY, _GUARD = "monitorExpireTime", "groupReportGuardTime"
_IDLE = frozenset({UeState.IDLE_ACTIVE, UeState.EDRX_PTW, UeState.PSM})
_KIND = MonitoringType


class Monitoring:
    """All subscriptions of all SCS/ASs."""

    def __init__(self, context: Context, cell: Cell, subscribers: Subscribers) -> None:
        self._context, self._timers, self._cell, self._subscribers = context, context.timers, cell, subscribers
        self.all: dict[str, Subscription] = {}
        self._of_ue: dict[str, list[Subscription]] = {}
        self._timers.handle(_EXPIRY, self._expired)
        self._timers.handle(_GUARD, lambda name, now: self._notify_held(self.all[name], now))

    # POST, PUT, PATCH, DELETE

    def create(self, scs_as: str, terms: MonitoringEventSubscription, now: float) -> tuple[Subscription, list[Report]]:
        """Subscribe, and return what is known already; that may end the subscription. Raises RefusedError."""
        ues = self._subscribers.all_of(scs_as, terms)
        number, name = self._context.new_id()
        features = None
        if terms.supported_features is not None and self._context.profile.features is not None:
            features = int(terms.supported_features or "0", 16) & self._context.profile.monitoring_features
        kind = _kind(terms)
        subscription = Subscription(name, number, scs_as, kind, tuple(ue.name for ue in ues), terms, features)
        self.all[name] = subscription
        for ue in ues:
            self._of_ue.setdefault(ue.name, []).append(subscription)
        self._begin(subscription, now)
        known = [report for ue in ues if (report := self._known(subscription, ue, now)) is not None]
        for report in known:
            self._count(subscription, report)
        self._end_if_over(subscription, now)
        return subscription, known

    def change(self, subscription: Subscription, terms: MonitoringEventSubscription, now: float) -> None:
        """Replace the terms; who and what is monitored cannot change. Reports count anew. Raises RefusedError."""
        old = subscription.terms
        if terms.identities() != old.identities() or terms.monitoring_type != old.monitoring_type:
            raise RefusedError(Refusal.IDENTITY_MISMATCH)
        subscription.terms = msgspec.structs.replace(terms, supported_features=old.supported_features)
        subscription.left.clear()
        self._begin(subscription, now)

    def remove(self, subscription: Subscription, now: float) -> list[Report]:
        """Forget a subscription, and return the reports that it still held back."""
        self._timers.cancel(subscription.id, _EXPIRY, _GUARD)
        del self.all[subscription.id]
        for name in subscription.ues:
            self._of_ue[name].remove(subscription)
            self._watch(name, now)
        held, subscription.held = subscription.held, []
        return held

    def remove_ue(self, ue: Ue, now: float) -> None:
        """Report that a UE was purged; subscriptions to only this UE are cancelled by the network."""
        self._report(ue, _KIND.LOSS_OF_CONNECTIVITY, now, lost=LossReason.UE_PURGED_MME)
        for subscription in list(self._of_ue.pop(ue.name, ())):
            subscription.ues = tuple(name for name in subscription.ues if name != ue.name)
            if not subscription.ues:
                self._timers.cancel(subscription.id, _EXPIRY, _GUARD)
                del self.all[subscription.id]
                self._context.out.append(e.NotifyReports(subscription, cancelled=True))

    def _begin(self, subscription: Subscription, now: float) -> None:
        terms = subscription.terms
        if terms.maximum_number_of_reports is not None:
            subscription.left = dict.fromkeys(subscription.ues, terms.maximum_number_of_reports)
        subscription.ends = self._context.read(terms.monitor_expire_time)
        self._timers.cancel(subscription.id, _EXPIRY)
        if subscription.ends is not None:
            self._timers.set(_EXPIRY, subscription.id, subscription.ends)
        for name in subscription.ues:
            self._watch(name, now)

    def _watch(self, name: str, now: float) -> None:
        """Have the loss of a UE's connectivity detected as soon as a subscription asks for."""
        wanted = [
            one.terms.maximum_detection_time
            for one in self._of_ue.get(name, ())
            if one.kind is _KIND.LOSS_OF_CONNECTIVITY and one.terms.maximum_detection_time is not None
        ]
        ue, shortest = self._cell.ues[name], min(wanted, default=None)
        if ue.detection_time != shortest:
            ue.detection_time = shortest
            self._cell.watch_for_loss(ue, now)

    def _expired(self, name: str, now: float) -> None:
        if held := self.all[name].held:
            self._context.out.append(e.NotifyReports(self.all[name], tuple(held)))
        self.remove(self.all[name], now)

    # What happens

    def moved(self, ue: Ue, was: Reach, before: UeState, now: float) -> None:
        """Report a UE's change of state."""
        if ue.name not in self._of_ue:
            return
        reach = self._cell.reach(ue)
        if reach.pdn != was.pdn:
            self._report(ue, _KIND.PDN_CONNECTIVITY_STATUS, now, pdn_created=reach.pdn)
        if (reach.data and not was.data) or (reach.sms and not was.sms):
            self._reachable(ue, was, reach, now)
        if ue.state in _IDLE and before is UeState.CONNECTED:
            self._idle(ue, now)
        if ue.state is UeState.DETACHED and before is not UeState.DETACHED:
            self._report(ue, _KIND.LOSS_OF_CONNECTIVITY, now, lost=LossReason.UE_DETACHED_MME)

    def lost(self, ue: Ue, now: float) -> None:
        """Report that a UE has not been heard for longer than it may be silent."""
        self._report(ue, _KIND.LOSS_OF_CONNECTIVITY, now, lost=LossReason.MAX_DETECTION_TIME_EXPIRED_MME)

    def downlink_failed(self, ue: Ue) -> None:
        """Take note that data could not be sent: the UE's next contact is an event."""
        for subscription in self._of_ue.get(ue.name, ()):
            if subscription.kind is _KIND.AVAILABILITY_AFTER_DDN_FAILURE:
                subscription.failed.add(ue.name)

    def _reachable(self, ue: Ue, was: Reach, reach: Reach, now: float) -> None:
        until = self._cell.available_until(ue, now)
        for subscription in list(self._of_ue.get(ue.name, ())):
            if subscription.kind is _KIND.UE_REACHABILITY:
                sms = subscription.terms.reachability_type == "SMS"
                happened = reach.sms and not was.sms if sms else reach.data and not was.data
            else:
                happened = ue.name in subscription.failed and reach.data
                subscription.failed.discard(ue.name)
            if happened:
                self._notify(subscription, Report(subscription.kind, ue.name, now, available_until=until), now)

    def _idle(self, ue: Ue, now: float) -> None:
        """Report when a UE that saves power can be reached, to who asked for that."""
        if ue.t3324 is None and ue.settings.edrx_cycle is None:
            return
        for subscription in list(self._of_ue.get(ue.name, ())):
            if subscription.kind in {_KIND.UE_REACHABILITY, _KIND.AVAILABILITY_AFTER_DDN_FAILURE}:
                if not subscription.terms.idle_status_indication:
                    continue
                info = IdleStatusInfo(
                    active_time=None if ue.t3324 is None else int(ue.t3324),
                    edrx_cycle_length=ue.settings.edrx_cycle,
                    periodic_au_timer=None if ue.t3412 is None else int(ue.t3412),
                    suggested_number_of_dl_packets=subscription.terms.suggested_number_of_dl_packets,
                )
                self._notify(subscription, Report(subscription.kind, ue.name, now, idle=info, idle_since=now), now)

    def _known(self, subscription: Subscription, ue: Ue, now: float) -> Report | None:
        """Return what can be reported immediately."""
        reach = self._cell.reach(ue)
        if subscription.kind is _KIND.UE_REACHABILITY:
            if reach.sms if subscription.terms.reachability_type == "SMS" else reach.data:
                return Report(subscription.kind, ue.name, now, available_until=self._cell.available_until(ue, now))
        elif subscription.kind is _KIND.PDN_CONNECTIVITY_STATUS and reach.pdn:
            return Report(subscription.kind, ue.name, now, pdn_created=True)
        return None

    # Notifying

    def _report(
        self,
        ue: Ue,
        kind: MonitoringType,
        now: float,
        *,
        lost: LossReason | None = None,
        pdn_created: bool | None = None,
    ) -> None:
        report = Report(kind, ue.name, now, lost=lost, pdn_created=pdn_created)
        for subscription in [one for one in self._of_ue.get(ue.name, ()) if one.kind is kind]:
            self._notify(subscription, report, now)

    def _notify(self, subscription: Subscription, report: Report, now: float) -> None:
        if subscription.left.get(report.ue, 1) == 0:
            return
        self._count(subscription, report)
        guard = subscription.terms.group_report_guard_time
        if guard and subscription.terms.external_group_id is not None:
            subscription.held.append(report)
            if self._timers.when(_GUARD, subscription.id) is None:
                self._timers.set(_GUARD, subscription.id, now + guard)
            return
        self._context.out.append(e.NotifyReports(subscription, (report,)))
        self._end_if_over(subscription, now)

    def _notify_held(self, subscription: Subscription, now: float) -> None:
        held, subscription.held = tuple(subscription.held), []
        self._context.out.append(e.NotifyReports(subscription, held))
        self._end_if_over(subscription, now)

    @staticmethod
    def _count(subscription: Subscription, report: Report) -> None:
        if report.ue in subscription.left:
            subscription.left[report.ue] -= 1

    def _end_if_over(self, subscription: Subscription, now: float) -> None:
        """Forget a subscription whose reports are used up."""
        if subscription.left and not any(subscription.left.values()) and not subscription.held:
            self.remove(subscription, now)


def _kind(terms: MonitoringEventSubscription) -> MonitoringType:
    try:
        return MonitoringType(terms.monitoring_type)
    except ValueError as error:
        raise RefusedError(Refusal.EVENT_UNSUPPORTED) from error
