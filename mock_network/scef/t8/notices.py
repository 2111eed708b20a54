"""Notifications to the SCS/AS: what each effect of the core becomes, and where it is to go."""

from dataclasses import dataclass

from mock_network.scef.core import Scef, effects as e
from mock_network.scef.core.nidd_model import Configuration
from mock_network.scef.schema.monitoring import MonitoringNotification
from mock_network.scef.schema.nidd import (
    GmdNiddDownlinkDataDeliveryNotification,
    GmdResult,
    ManagePortNotification,
    NiddConfigurationStatusNotification,
    NiddDownlinkDataDeliveryStatusNotification,
    NiddUplinkDataNotification,
    RdsPort,
)
from mock_network.scef.schema.parameters import ConfigurationNotification
from mock_network.scef.schema.sms import DeviceTriggeringDeliveryReportNotification
from mock_network.scef.t8.bodies import Bodies, Body, plain
from mock_network.scef.t8.links import Owned


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification. `kind` is one of `KINDS`; `queue` names those that are sent one after the other."""

    kind: str
    scs_as: str
    queue: str
    ue: str
    destination: str
    body: Body
    subject: str  # id of a delivery or resource, or number of an air log line
    status: str = ""


KINDS = (
    "uplink",
    "delivery",
    "group-delivery",
    "configuration",
    "rds-ports",
    "trigger",
    "monitoring",
    "parameters",
    "test",
    "mo-sms",
    "nidd-trigger",
)


class Notices:
    """Writes the notifications of one SCEF."""

    def __init__(self, scef: Scef, bodies: Bodies) -> None:
        self._scef, self._bodies = scef, bodies

    def of(self, effect: e.Effect) -> Notice | None:
        """Return the notification that an effect asks for; None if it asks for none."""
        match effect:
            case e.NotifyUplink():
                return self._uplink(effect)
            case e.NotifyDelivery():
                return self._delivery(effect)
            case e.NotifyGroupDelivery():
                return self._group(effect)
            case e.NotifyConfiguration():
                return self._configuration(effect)
            case e.NotifyPorts():
                return self._ports(effect)
            case e.NotifyTrigger():
                return self._trigger(effect)
            case e.NotifyReports():
                return self._reports(effect)
            case e.NotifyParameters():
                return self._parameters(effect)
            case e.NotifyTest():
                link = self._bodies.links.of(effect.resource)
                return self._notice("test", effect.resource, {"subscription": link}, effect.resource.id)
            case _:
                return None

    def _notice(self, kind: str, resource: Owned, body: Body, subject: str, ue: str = "", status: str = "") -> Notice:
        destination = resource.terms.notification_destination or ""
        if not ue:
            ue = resource.ue or resource.group or "" if isinstance(resource, Configuration) else ""
        return Notice(kind, resource.scs_as, resource.id, ue, destination, body, subject, status)

    def _uplink(self, effect: e.NotifyUplink) -> Notice:
        configuration, uplink = effect.configuration, effect.uplink
        ue = self._scef.cell.ues.get(effect.ue)
        port = uplink.rds_port
        body = plain(
            NiddUplinkDataNotification(
                nidd_configuration=self._bodies.links.of(configuration),
                **self._bodies.who(configuration.terms, ue),
                data=uplink.data,
                reliable_data_service=uplink.reliable or None,
                rds_port=None if port is None else RdsPort(ue=port[0], scef=port[1]),
            )
        )
        if self._scef.profile.both_identities and ue is not None:
            both = {"msisdn": ue.settings.msisdn, "externalId": ue.settings.external_id}
            body |= {name: value for name, value in both.items() if value is not None}
        return self._notice("uplink", configuration, body, str(effect.number), effect.ue)

    def _delivery(self, effect: e.NotifyDelivery) -> Notice:
        delivery, status = effect.delivery, effect.status
        body = plain(
            NiddDownlinkDataDeliveryStatusNotification(
                nidd_downlink_data_transfer=self._bodies.links.delivery(effect.configuration, delivery.id),
                delivery_status=status,
                requested_retransmission_time=self._bodies.moment(effect.retry_at),
            )
        )
        body = self._bodies.renamed(body)
        return self._notice("delivery", effect.configuration, body, delivery.id, delivery.ue, status.value)

    def _group(self, effect: e.NotifyGroupDelivery) -> Notice:
        results = [
            GmdResult(
                external_id=one.external_id,
                msisdn=one.msisdn if one.external_id is None else None,
                delivery_status=one.status,
                requested_retransmission_time=self._bodies.moment(one.retry_at),
            )
            for one in effect.delivery.results
        ]
        body = plain(
            GmdNiddDownlinkDataDeliveryNotification(
                nidd_downlink_data_transfer=self._bodies.links.delivery(effect.configuration, effect.delivery.id),
                gmd_results=results,
            )
        )
        return self._notice("group-delivery", effect.configuration, body, effect.delivery.id)

    def _configuration(self, effect: e.NotifyConfiguration) -> Notice:
        configuration = effect.configuration
        terms = configuration.terms
        body = plain(
            NiddConfigurationStatusNotification(
                nidd_configuration=self._bodies.links.of(configuration),
                status=effect.status,
                external_id=terms.external_id or terms.external_group_id,
                msisdn=terms.msisdn,
                rds_cap_indication=effect.rds_capable,
                rds_port=effect.rds_port,
            )
        )
        return self._notice("configuration", configuration, body, configuration.id, status=effect.status.value)

    def _ports(self, effect: e.NotifyPorts) -> Notice:
        configuration = effect.configuration
        body = plain(
            ManagePortNotification(
                nidd_configuration=self._bodies.links.of(configuration),
                external_id=configuration.terms.external_id,
                msisdn=configuration.terms.msisdn,
                managed_ports=[self._bodies.managed(configuration, port) for port in effect.ports] or None,
            )
        )
        return self._notice("rds-ports", configuration, body, configuration.id)

    def _trigger(self, effect: e.NotifyTrigger) -> Notice:
        trigger, result = effect.trigger, effect.result
        link = self._bodies.links.of(trigger)
        body = plain(DeviceTriggeringDeliveryReportNotification(transaction=link, result=result))
        return self._notice("trigger", trigger, body, trigger.id, trigger.ue, result.value)

    def _reports(self, effect: e.NotifyReports) -> Notice:
        subscription = effect.subscription
        reports = [self._bodies.report(subscription, one) for one in effect.reports]
        body = plain(
            MonitoringNotification(
                subscription=self._bodies.links.of(subscription),
                monitoring_event_reports=reports or None,
                cancel_ind=effect.cancelled or None,
            )
        )
        ue = effect.reports[0].ue if effect.reports else ""
        return self._notice("monitoring", subscription, body, subscription.id, ue, subscription.kind.value)

    def _parameters(self, effect: e.NotifyParameters) -> Notice:
        provision = effect.provision
        body = plain(
            ConfigurationNotification(
                configuration=self._bodies.links.of(provision),
                config_results=list(effect.failed) or None,
                applied_param=effect.applied,
            )
        )
        return self._notice("parameters", provision, body, provision.id)
