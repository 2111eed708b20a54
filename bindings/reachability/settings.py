"""Settings of reachability."""

from typing import Annotated, Literal

from msgspec import Meta

from bindings.ranges import Span
from bindings.secret import Masked

Kind = Literal["UE_REACHABILITY", "LOSS_OF_CONNECTIVITY", "AVAILABILITY_AFTER_DDN_FAILURE", "PDN_CONNECTIVITY_STATUS"]
Seconds = Annotated[int, Meta(ge=0, le=31_536_000)]  # a year
Packets = Annotated[int, Meta(ge=0, le=65_535)]


class Reachability(Masked, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Monitoring events and network parameters (TS 29.122 §5.3, §5.12); the operator must offer them."""

    events: Annotated[
        tuple[Kind, ...],
        Meta(
            description="monitoring events to subscribe to: UE_REACHABILITY and AVAILABILITY_AFTER_DDN_FAILURE are "
            "subscribed to once, when a downlink waits for a device that cannot be reached; the others always",
            examples=[["UE_REACHABILITY", "PDN_CONNECTIVITY_STATUS"]],
        ),
    ] = ()
    lifetime: Annotated[
        Span, Meta(description="requested duration of a subscription, seconds; it is renewed before it ends")
    ] = 86400.0
    detection_time: Annotated[
        Seconds,
        Meta(
            description="seconds without contact after which LOSS_OF_CONNECTIVITY is reported; 0: the network's default"
        ),
    ] = 0
    maximum_latency: Annotated[
        Seconds,
        Meta(
            description="seconds that a downlink may wait for a sleeping device: sets its periodic update timer or its "
            "eDRX cycle; 0: not requested. An endpoint's option of the same name overrides it, as for the next two "
            "settings"
        ),
    ] = 0
    maximum_response_time: Annotated[
        Seconds,
        Meta(
            description="seconds that a device stays reachable after its last message: its active time; 0: not "
            "requested"
        ),
    ] = 0
    suggested_downlinks: Annotated[
        Packets, Meta(description="packets that the network should be able to buffer for a device; 0: not requested")
    ] = 0
