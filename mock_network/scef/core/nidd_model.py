"""NIDD resources: configurations, downlink deliveries, reserved RDS ports. Mutable, owned by the core."""

from collections import OrderedDict
from dataclasses import dataclass, field

from mock_network.scef.schema import DeliveryStatus, NiddStatus, PdnEstablishmentOption
from mock_network.scef.schema.nidd import ManagePort, NiddConfiguration, NiddDownlinkDataTransfer, RdsPort

FINISHED_REMEMBERED = 1_000  # ended deliveries per configuration that are remembered


@dataclass(slots=True, eq=False)
class Delivery:
    """One downlink for one UE that a SCS/AS handed in; `terms` is its request."""

    id: str
    number: int  # order of arrival
    configuration: str
    ue: str
    terms: NiddDownlinkDataTransfer
    reliable: bool
    status: DeliveryStatus = DeliveryStatus.SENDING
    deadline: float | None = None
    group: "GroupDelivery | None" = None  # it is the part of one member
    unanswered: bool = False  # its POST waits
    announced: bool = False  # its POST was answered as pending: its end will be notified
    triggered: bool = False
    transmissions: int = 0  # on air, with those that RDS repeats
    on_air: bool = False  # it was sent to a UE that was there: it may have been received
    received: bool = False  # by the UE, at least once

    @property
    def priority(self) -> int:
        """Return its priority; 0 if none was asked for."""
        return self.terms.priority or 0


@dataclass(frozen=True, slots=True)
class MemberResult:
    """What became of a group's downlink at one member."""

    external_id: str | None
    msisdn: str | None
    status: DeliveryStatus
    retry_at: float | None = None


@dataclass(slots=True, eq=False)
class GroupDelivery:
    """One downlink for all members of a group."""

    id: str
    number: int
    configuration: str
    terms: NiddDownlinkDataTransfer
    parts: dict[str, Delivery] = field(default_factory=dict)  # by UE, those that are not over
    results: list[MemberResult] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ManagedPort:
    """One reserved pair of RDS ports."""

    id: str
    port: RdsPort
    terms: ManagePort
    entity: str  # who reserved it: UE or AS
    pending: bool = False  # the UE has not been asked yet
    release: bool = False  # to be released once the UE was reached
    announced: bool = False  # the request was answered as accepted: its end will be notified


@dataclass(slots=True, eq=False)
class Configuration:
    """One NIDD configuration of one SCS/AS for one UE or one group; `terms` is its request."""

    id: str
    number: int
    scs_as: str
    ue: str | None
    group: str | None  # External Group Identifier
    terms: NiddConfiguration
    features: int | None  # negotiated bit map; None: one of both sides sends none
    ends: float | None = None
    status: NiddStatus = NiddStatus.ACTIVE
    deliveries: dict[str, Delivery] = field(default_factory=dict)  # pending
    group_deliveries: dict[str, GroupDelivery] = field(default_factory=dict)  # pending
    finished: "OrderedDict[str, DeliveryStatus]" = field(default_factory=OrderedDict)  # the latest that are over
    ports: dict[str, ManagedPort] = field(default_factory=dict)

    def option(self, terms: NiddDownlinkDataTransfer) -> PdnEstablishmentOption | None:
        """Return the option that holds for a downlink; an unknown value counts as none."""
        for word in (terms.pdn_establishment_option, self.terms.pdn_establishment_option):
            for option in PdnEstablishmentOption:
                if option.value == word:
                    return option
        return None

    def finish(self, delivery: str, status: DeliveryStatus) -> None:
        """Remember for a while how a delivery ended."""
        self.finished[delivery] = status
        while len(self.finished) > FINISHED_REMEMBERED:
            self.finished.popitem(last=False)

    def ports_known(self) -> set[tuple[int, int]]:
        """Return the pairs of RDS ports (UE, SCEF) that are configured or reserved."""
        ports = [*(self.terms.rds_ports or ()), *(port.port for port in self.ports.values() if not port.pending)]
        return {(port.ue, port.scef) for port in ports}
