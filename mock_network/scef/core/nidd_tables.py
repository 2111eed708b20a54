"""What the SCEF does with a downlink, and how it may end: tables (TS 23.682 §5.13.3, TS 29.122 §4.4.5.3.1)."""

from enum import Enum

from mock_network.scef.core.states import Situation
from mock_network.scef.schema import DeliveryStatus, PdnEstablishmentOption


class Action(Enum):
    """What the SCEF does with a downlink."""

    SEND = "send"
    BUFFER = "buffer"
    TRIGGER = "send a device trigger and buffer"
    REFUSE = "refuse"


# What becomes of a downlink that nothing else forbids; without buffering, whatever is not SEND is refused.
SUBMIT: dict[tuple[Situation, PdnEstablishmentOption], Action] = {
    **{(Situation.REACHABLE, option): Action.SEND for option in PdnEstablishmentOption},
    **{(Situation.UNREACHABLE, option): Action.BUFFER for option in PdnEstablishmentOption},
    (Situation.NO_PDN, PdnEstablishmentOption.WAIT_FOR_UE): Action.BUFFER,
    (Situation.NO_PDN, PdnEstablishmentOption.INDICATE_ERROR): Action.REFUSE,
    (Situation.NO_PDN, PdnEstablishmentOption.SEND_TRIGGER): Action.TRIGGER,
}


class Carried(Enum):
    """What became of a downlink on air."""

    DELIVERED = "delivered"
    LOST = "lost on air"
    UNREACHABLE = "paging failed"
    NO_PDN = "no PDN connection"


# (reliable data service asked for, carried, acknowledged by the UE's RDS layer)
SENT_STATUS: dict[tuple[bool, Carried, bool], DeliveryStatus] = {
    (False, Carried.DELIVERED, False): DeliveryStatus.SUCCESS_NEXT_HOP_ACKNOWLEDGED,
    (False, Carried.LOST, False): DeliveryStatus.SUCCESS_NEXT_HOP_UNACKNOWLEDGED,
    (True, Carried.DELIVERED, True): DeliveryStatus.SUCCESS_ACKNOWLEDGED,
    (True, Carried.DELIVERED, False): DeliveryStatus.SUCCESS_UNACKNOWLEDGED,
    (True, Carried.LOST, False): DeliveryStatus.SUCCESS_UNACKNOWLEDGED,
}
