"""Resources and notifications as JSON objects, as one profile writes them."""

import datetime as dt
from typing import Any

import msgspec

from mock_network.scef.core import Scef, Ue
from mock_network.scef.core.monitoring_model import Report, Subscription
from mock_network.scef.core.nidd_model import Configuration, Delivery, GroupDelivery, ManagedPort
from mock_network.scef.core.parameters_model import Provision
from mock_network.scef.core.sms_model import Trigger
from mock_network.scef.schema import DeliveryStatus, T8Type
from mock_network.scef.schema.common import IdentifiedGroup, MonitoringType
from mock_network.scef.schema.monitoring import MonitoringEventReport, PdnConnectionInformation
from mock_network.scef.schema.nidd import ManagePort, NiddDownlinkDataTransfer
from mock_network.scef.t8.links import Links

Body = dict[str, Any]


def plain(value: T8Type) -> Body:
    """Return a T8 type as a JSON object."""
    body: Body = msgspec.to_builtins(value)
    return body


def features(bits: int | None) -> str | None:
    """Return SupportedFeatures (TS 29.571 §5.2.2)."""
    return None if bits is None else f"{bits:X}"


class Bodies:
    """Makes the objects of one SCEF."""

    def __init__(self, scef: Scef, links: Links) -> None:
        self._scef, self._context, self._profile = scef, scef.context, scef.profile
        self.links = links

    def moment(self, when: float | None) -> dt.datetime | None:
        """Return what the SCEF's clock shows at a true moment."""
        return None if when is None else self._context.written(when)

    # NIDD

    def configuration(self, configuration: Configuration, extra: Delivery | GroupDelivery | None = None) -> Body:
        """Return a NiddConfiguration with its pending deliveries, and `extra`, which may be over."""
        pending: dict[str, Delivery | GroupDelivery] = {} if extra is None else {extra.id: extra}
        pending |= {one.id: one for one in self.pending(configuration)}
        body = plain(
            msgspec.structs.replace(
                configuration.terms,
                link=self.links.of(configuration),
                supported_features=features(configuration.features),
                duration=self.moment(configuration.ends),
                request_test_notification=None,
                websock_notif_config=None,
                maximum_packet_size=self._packet_size(configuration),
                nidd_downlink_data_transfers=None,
                status=configuration.status,
            )
        )
        if pending:
            body["niddDownlinkDataTransfers"] = [self.delivery(configuration, one) for one in pending.values()]
        return body

    @staticmethod
    def pending(configuration: Configuration) -> list[Delivery | GroupDelivery]:
        """Return the deliveries of a configuration that are not over."""
        if configuration.group is not None:
            return list(configuration.group_deliveries.values())
        return list(configuration.deliveries.values())

    def _packet_size(self, configuration: Configuration) -> int:
        serves = self._scef.cell.ues.values() if configuration.group is not None else ()
        ues = [ue for ue in serves if configuration in self._scef.configurations.of_ue(ue.name)]
        if configuration.ue is not None:
            ues = [self._scef.cell.ues[configuration.ue]]
        return min((self._scef.downlinks.packet_size(ue) for ue in ues), default=self._profile.maximum_packet_size)

    def delivery(
        self,
        configuration: Configuration,
        delivery: Delivery | GroupDelivery,
        status: DeliveryStatus | None = None,
        retry_at: float | None = None,
    ) -> Body:
        """Return a NiddDownlinkDataTransfer, with its status as it is now unless one is given."""
        if status is None:
            status = DeliveryStatus.SENDING
            if isinstance(delivery, Delivery):
                status, retry_at = self._scef.downlinks.status(delivery), self._scef.downlinks.retry_at(delivery)
        terms: NiddDownlinkDataTransfer = msgspec.structs.replace(
            delivery.terms,
            link=self.links.delivery(configuration, delivery.id),
            delivery_status=status,
            requested_retransmission_time=self.moment(retry_at),
        )
        return self.renamed(plain(terms))

    def renamed(self, body: Body) -> Body:
        """Return a body whose status has the name that the profile gives it."""
        if self._profile.status_member != "deliveryStatus" and "deliveryStatus" in body:
            body[self._profile.status_member] = body.pop("deliveryStatus")
        return body

    def port(self, configuration: Configuration, port: ManagedPort) -> Body:
        """Return a ManagePort."""
        return plain(self.managed(configuration, port))

    def managed(self, configuration: Configuration, port: ManagedPort) -> ManagePort:
        """Return a ManagePort as T8 type."""
        link = self.links.port(configuration, port.id)
        terms: ManagePort = msgspec.structs.replace(port.terms, link=link, manage_entity=port.entity)
        return terms

    # Others

    def trigger(self, trigger: Trigger) -> Body:
        """Return a DeviceTriggering."""
        return plain(
            msgspec.structs.replace(
                trigger.terms,
                link=self.links.of(trigger),
                supported_features=features(trigger.features),
                request_test_notification=None,
                websock_notif_config=None,
                delivery_result=trigger.result,
            )
        )

    def subscription(self, subscription: Subscription, known: list[Report] | None = None) -> Body:
        """Return a MonitoringEventSubscription, with the first report that is known already."""
        return plain(
            msgspec.structs.replace(
                subscription.terms,
                link=self.links.of(subscription),
                supported_features=features(subscription.features),
                request_test_notification=None,
                websock_notif_config=None,
                monitoring_event_report=self.report(subscription, known[0]) if known else None,
            )
        )

    def report(self, subscription: Subscription, report: Report) -> MonitoringEventReport:
        """Return a MonitoringEventReport as T8 type."""
        idle = report.idle
        if idle is not None:
            idle = msgspec.structs.replace(idle, idle_status_timestamp=self.moment(report.idle_since))
        connection = None
        ue = self._scef.cell.ues.get(report.ue)
        if report.pdn_created is not None:
            connection = PdnConnectionInformation(
                status="CREATED" if report.pdn_created else "RELEASED",
                pdn_type="NON_IP",
                apn=None if ue is None else ue.settings.apn,
                interface_ind="EXPOSURE_FUNCTION",
            )
        reachability = subscription.terms.reachability_type or "DATA"
        return MonitoringEventReport(
            monitoring_type=report.kind.value,
            **self.who(subscription.terms, ue),
            event_time=self.moment(report.time),
            idle_status_info=idle,
            loss_of_connect_reason=None if report.lost is None else int(report.lost),
            max_ue_availability_time=self.moment(report.available_until),
            reachability_type=reachability if report.kind is MonitoringType.UE_REACHABILITY else None,
            pdn_conn_info_list=None if connection is None else [connection],
        )

    def provision(self, provision: Provision) -> Body:
        """Return an NpConfiguration."""
        return plain(
            msgspec.structs.replace(
                provision.terms,
                link=self.links.of(provision),
                supported_features=features(provision.features),
                request_test_notification=None,
                websock_notif_config=None,
            )
        )

    @staticmethod
    def who(terms: IdentifiedGroup, ue: Ue | None) -> dict[str, str | None]:
        """Return the identity of a UE as the SCS/AS calls it; of a group's member its External Identifier, if any."""
        if terms.external_group_id is None:
            return {"msisdn": terms.msisdn, "external_id": terms.external_id}
        external_id, msisdn = (ue.settings.external_id, ue.settings.msisdn) if ue is not None else (None, None)
        return {"external_id": external_id} if external_id is not None else {"msisdn": msisdn}
