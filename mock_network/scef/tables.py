"""The words and the state tables of the emulated network: TS 29.122 §5.6.2.3, TS 23.682 §4.5, TS 24.301 §5.3.11."""

from enum import Enum


class UeState(Enum):
    """Where a UE is. The last four have a PDN connection; PSM and EDRX_SLEEP are those in which it cannot be paged."""

    DETACHED = "detached"
    ATTACHED_NO_PDN = "attached, no PDN connection"
    CONNECTED = "connected"
    IDLE_ACTIVE = "idle, listening"
    EDRX_PTW = "eDRX paging time window"
    EDRX_SLEEP = "eDRX sleep"
    PSM = "power saving mode"


class UeTrigger(Enum):
    """What moves a UE from one state to another."""

    ATTACH = "attach"
    PDN_CONNECT = "pdn-connect"
    PDN_RELEASE = "pdn-release"
    DETACH = "detach"
    UPLINK = "uplink"
    PAGED = "paged"
    INACTIVE = "inactivity"  # the network released the radio connection
    ACTIVE_TIME_OVER = "T3324"
    TAU = "T3412"
    WINDOW_CLOSES = "PTW over"
    WINDOW_OPENS = "PTW begins"
    SLEEP = "sleep"  # by the control API
    WAKE = "wake"  # by the control API


IDLE = "idle"  # the idle state that the UE's own settings lead to

_S, _T = UeState, UeTrigger
_WITH_PDN = (_S.CONNECTED, _S.IDLE_ACTIVE, _S.EDRX_PTW, _S.EDRX_SLEEP, _S.PSM)
_IDLE_STATES = (_S.IDLE_ACTIVE, _S.EDRX_PTW, _S.EDRX_SLEEP, _S.PSM)

# A pair that is not here changes nothing: the trigger is void in that state.
TRANSITIONS: dict[tuple[UeState, UeTrigger], UeState | str] = {
    (_S.DETACHED, _T.ATTACH): _S.ATTACHED_NO_PDN,
    (_S.ATTACHED_NO_PDN, _T.PDN_CONNECT): _S.CONNECTED,
    (_S.ATTACHED_NO_PDN, _T.DETACH): _S.DETACHED,
    **{(state, _T.DETACH): _S.DETACHED for state in _WITH_PDN},
    **{(state, _T.PDN_RELEASE): _S.ATTACHED_NO_PDN for state in _WITH_PDN},
    **{(state, _T.UPLINK): _S.CONNECTED for state in _WITH_PDN},
    (_S.CONNECTED, _T.PAGED): _S.CONNECTED,
    (_S.IDLE_ACTIVE, _T.PAGED): _S.CONNECTED,
    (_S.EDRX_PTW, _T.PAGED): _S.CONNECTED,
    (_S.CONNECTED, _T.INACTIVE): IDLE,
    **{(state, _T.TAU): IDLE for state in _IDLE_STATES},
    **{(state, _T.WAKE): _S.CONNECTED for state in _WITH_PDN},
    (_S.IDLE_ACTIVE, _T.ACTIVE_TIME_OVER): _S.PSM,
    (_S.EDRX_PTW, _T.ACTIVE_TIME_OVER): _S.PSM,
    (_S.EDRX_SLEEP, _T.ACTIVE_TIME_OVER): _S.PSM,
    (_S.EDRX_PTW, _T.WINDOW_CLOSES): _S.EDRX_SLEEP,
    (_S.EDRX_SLEEP, _T.WINDOW_OPENS): _S.EDRX_PTW,
    **{(state, _T.SLEEP): _S.PSM for state in _WITH_PDN},
}

HAS_PDN = frozenset(_WITH_PDN)
PAGEABLE = frozenset({_S.CONNECTED, _S.IDLE_ACTIVE, _S.EDRX_PTW})


class Situation(Enum):
    """What the SCEF knows of a UE when a downlink comes."""

    REACHABLE = "reachable"
    UNREACHABLE = "temporarily not reachable"
    NO_PDN = "no PDN connection"


class PdnOption(Enum):
    """PdnEstablishmentOptions, TS 29.122 §5.6.2.3.2."""

    WAIT_FOR_UE = "WAIT_FOR_UE"
    INDICATE_ERROR = "INDICATE_ERROR"
    SEND_TRIGGER = "SEND_TRIGGER"


class Action(Enum):
    """What the SCEF does with a downlink."""

    SEND = "send"
    BUFFER = "buffer"
    TRIGGER = "send a device trigger and buffer"
    REFUSE = "refuse"


# What becomes of a downlink that nothing else forbids; without buffering, whatever is not SEND is refused.
SUBMIT: dict[tuple[Situation, PdnOption], Action] = {
    **{(Situation.REACHABLE, option): Action.SEND for option in PdnOption},
    **{(Situation.UNREACHABLE, option): Action.BUFFER for option in PdnOption},
    (Situation.NO_PDN, PdnOption.WAIT_FOR_UE): Action.BUFFER,
    (Situation.NO_PDN, PdnOption.INDICATE_ERROR): Action.REFUSE,
    (Situation.NO_PDN, PdnOption.SEND_TRIGGER): Action.TRIGGER,
}


class Status(Enum):
    """DeliveryStatus, TS 29.122 §5.6.2.3.3."""

    SUCCESS = "SUCCESS"
    SUCCESS_NEXT_HOP_ACKNOWLEDGED = "SUCCESS_NEXT_HOP_ACKNOWLEDGED"
    SUCCESS_NEXT_HOP_UNACKNOWLEDGED = "SUCCESS_NEXT_HOP_UNACKNOWLEDGED"
    SUCCESS_ACKNOWLEDGED = "SUCCESS_ACKNOWLEDGED"
    SUCCESS_UNACKNOWLEDGED = "SUCCESS_UNACKNOWLEDGED"
    TRIGGERED = "TRIGGERED"
    BUFFERING = "BUFFERING"
    BUFFERING_TEMPORARILY_NOT_REACHABLE = "BUFFERING_TEMPORARILY_NOT_REACHABLE"
    SENDING = "SENDING"
    FAILURE = "FAILURE"
    FAILURE_RDS_DISABLED = "FAILURE_RDS_DISABLED"
    FAILURE_NEXT_HOP = "FAILURE_NEXT_HOP"
    FAILURE_TIMEOUT = "FAILURE_TIMEOUT"
    FAILURE_TEMPORARILY_NOT_REACHABLE = "FAILURE_TEMPORARILY_NOT_REACHABLE"

    @property
    def success(self) -> bool:
        """Whether the network carried the data."""
        return self.name.startswith("SUCCESS")

    @property
    def final(self) -> bool:
        """Whether nothing more will come."""
        return self.success or self.name.startswith("FAILURE")


# (reliable data service asked for, radio delivery known to have worked, acknowledged by the UE's RDS layer)
SENT_STATUS: dict[tuple[bool, bool, bool], Status] = {
    (False, True, False): Status.SUCCESS_NEXT_HOP_ACKNOWLEDGED,
    (False, False, False): Status.SUCCESS_NEXT_HOP_UNACKNOWLEDGED,
    (True, True, True): Status.SUCCESS_ACKNOWLEDGED,
    (True, True, False): Status.SUCCESS_UNACKNOWLEDGED,
    (True, False, False): Status.SUCCESS_UNACKNOWLEDGED,
}


class NiddStatus(Enum):
    """NiddStatus, TS 29.122 §5.6.2.3.4."""

    ACTIVE = "ACTIVE"
    TERMINATED = "TERMINATED"
    TERMINATED_UE_NOT_AUTHORIZED = "TERMINATED_UE_NOT_AUTHORIZED"
    RDS_PORT_UNKNOWN = "RDS_PORT_UNKNOWN"


class Refusal(Enum):
    """Why a T8 request is refused; `REFUSALS` says how."""

    CONFIGURATION_UNKNOWN = "no such NIDD configuration"
    DELIVERY_UNKNOWN = "no such pending downlink data delivery"
    UE_UNKNOWN = "no such subscriber"
    UE_NOT_AUTHORISED = "the subscriber is not authorised for NIDD"
    GROUP_UNSUPPORTED = "group message delivery is not offered here"
    ALREADY_CONFIGURED = "an NIDD configuration for this subscriber exists"
    IDENTITY_MISMATCH = "the subscriber is not the one of the configuration"
    DATA_TOO_LARGE = "the data exceeds maximumPacketSize"
    RDS_PORT_UNKNOWN = "the RDS port is not configured"
    RDS_DISABLED = "the reliable data service is not enabled for this subscriber"
    QUOTA_EXCEEDED = "the quota of the SCS/AS is used up"
    RATE_EXCEEDED = "the rate limit of the subscriber is reached"
    QUEUE_FULL = "the buffer of the subscriber is full"
    NO_PDN = "the UE has no PDN connection"
    UNREACHABLE = "the UE is temporarily not reachable"
    TIMEOUT = "the UE was not reached within maximumLatency"
    NEXT_HOP = "the next hop did not take the data"
    ALREADY_SENT = "the data has already been sent"
    ALREADY_FAILED = "the delivery has failed already, nothing is pending"


# Refusal → (HTTP status, cause). DATA_TOO_LARGE and RDS_PORT_UNKNOWN are TS 29.122 §4.4.5.3.1; a failed delivery is 500
# with NiddDownlinkDataDeliveryFailure, §5.6.3.4. A profile may override single rows.
REFUSALS: dict[Refusal, tuple[int, str]] = {
    Refusal.CONFIGURATION_UNKNOWN: (404, "CONFIGURATION_NOT_FOUND"),
    Refusal.DELIVERY_UNKNOWN: (404, "DELIVERY_NOT_FOUND"),
    Refusal.UE_UNKNOWN: (404, "USER_UNKNOWN"),
    Refusal.UE_NOT_AUTHORISED: (403, "USER_NOT_AUTHORIZED"),
    Refusal.GROUP_UNSUPPORTED: (403, "OPERATION_PROHIBITED"),
    Refusal.ALREADY_CONFIGURED: (409, "CONFIGURATION_EXISTS"),
    Refusal.IDENTITY_MISMATCH: (403, "OPERATION_PROHIBITED"),
    Refusal.DATA_TOO_LARGE: (403, "DATA_TOO_LARGE"),
    Refusal.RDS_PORT_UNKNOWN: (403, "RDS_PORT_UNKNOWN"),
    Refusal.RDS_DISABLED: (500, "RDS_DISABLED"),
    Refusal.QUOTA_EXCEEDED: (403, "QUOTA_EXCEEDED"),
    Refusal.RATE_EXCEEDED: (429, "RATE_LIMIT_EXCEEDED"),
    Refusal.QUEUE_FULL: (500, "BUFFER_FULL"),
    Refusal.NO_PDN: (500, "NO_PDN_CONNECTION"),
    Refusal.UNREACHABLE: (500, "TEMPORARILY_NOT_REACHABLE"),
    Refusal.TIMEOUT: (500, "TIMEOUT"),
    Refusal.NEXT_HOP: (500, "NEXT_HOP_FAILURE"),
    Refusal.ALREADY_SENT: (409, "ALREADY_DELIVERED"),
    Refusal.ALREADY_FAILED: (409, "DELIVERY_FAILED"),
}

# How a delivery that failed after all is refused, where its POST is still unanswered.
FAILED_REFUSAL: dict[Status, Refusal] = {
    Status.FAILURE: Refusal.NEXT_HOP,
    Status.FAILURE_RDS_DISABLED: Refusal.RDS_DISABLED,
    Status.FAILURE_NEXT_HOP: Refusal.NEXT_HOP,
    Status.FAILURE_TIMEOUT: Refusal.TIMEOUT,
    Status.FAILURE_TEMPORARILY_NOT_REACHABLE: Refusal.UNREACHABLE,
}
