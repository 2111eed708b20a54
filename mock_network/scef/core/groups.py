"""Group message delivery by unicast NIDD (TS 23.682 §5.5.3): one downlink for all members of an External Group."""

from mock_network.scef.core.context import Context
from mock_network.scef.core.downlinks import Downlinks
from mock_network.scef.core.nidd_model import Configuration, GroupDelivery
from mock_network.scef.core.refusals import Refusal, RefusedError
from mock_network.scef.core.ue import Ue
from mock_network.scef.schema import DeliveryStatus
from mock_network.scef.schema.nidd import NiddDownlinkDataTransfer


class Groups:
    """Downlinks for groups. Nothing is buffered for a member that cannot be reached."""

    def __init__(self, context: Context, downlinks: Downlinks) -> None:
        self._context, self._downlinks = context, downlinks

    def submit(
        self, configuration: Configuration, ues: list[Ue], terms: NiddDownlinkDataTransfer, now: float
    ) -> GroupDelivery:
        """Send to every member; one notification will have all results. Raises RefusedError."""
        if terms.reliable_data_service:
            raise RefusedError(Refusal.RDS_IN_GROUP)
        if ues and len(terms.data) * 8 > min(self._downlinks.packet_size(ue) for ue in ues):
            raise RefusedError(Refusal.DATA_TOO_LARGE)
        number, name = self._context.new_id()
        group = GroupDelivery(name, number, configuration.id, terms)
        configuration.group_deliveries[name] = group
        parts = []
        for ue in ues:
            delivery = self._downlinks.make(configuration, ue, terms, now)
            delivery.reliable, delivery.group = False, group
            group.parts[ue.name] = delivery
            parts.append((ue, delivery))
        for ue, delivery in parts:
            try:
                self._downlinks.begin(configuration, ue, delivery, now, as_pending=True)
            except RefusedError as refused:
                status = failure(refused.why)
                self._downlinks.finish(delivery, status, now, retry_at=refused.retry_at)
        return group


def failure(why: Refusal) -> DeliveryStatus:
    """Return the delivery status of a downlink that was refused where no answer can say so."""
    if why is Refusal.UNREACHABLE:
        return DeliveryStatus.FAILURE_TEMPORARILY_NOT_REACHABLE
    if why is Refusal.RDS_DISABLED:
        return DeliveryStatus.FAILURE_RDS_DISABLED
    return DeliveryStatus.FAILURE
