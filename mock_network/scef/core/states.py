"""The states of a UE in the network: TS 23.682 §4.5, TS 23.401 §4.6, TS 24.301 §5.3.11."""

from enum import Enum


class UeState(Enum):
    """Where a UE is. The last five have a PDN connection; PSM and EDRX_SLEEP are those in which it cannot be paged."""

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

# Triggers that need the UE to be heard, or to hear.
NEED_COVERAGE = frozenset({_T.ATTACH, _T.PDN_CONNECT, _T.UPLINK, _T.PAGED, _T.TAU, _T.WAKE})

# At these the UE learns its timers.
UPDATES = frozenset({_T.ATTACH, _T.TAU})


class Situation(Enum):
    """The network's view of a UE to which something is to be sent."""

    REACHABLE = "reachable"
    UNREACHABLE = "temporarily not reachable"
    NO_PDN = "no PDN connection"
