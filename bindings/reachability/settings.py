"""What is asked of the network about a device's reachability."""

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
            description="what the SCEF is asked to report: UE_REACHABILITY and AVAILABILITY_AFTER_DDN_FAILURE once, "
            "when a downlink waits for a device that cannot be reached; the others always",
            examples=[["UE_REACHABILITY", "PDN_CONNECTIVITY_STATUS"]],
        ),
    ] = ()
    lifetime: Annotated[Span, Meta(description="seconds that a subscription is asked for; renewed before they end")] = (
        86400.0
    )
    detection_time: Annotated[
        Seconds,
        Meta(description="seconds without contact after which LOSS_OF_CONNECTIVITY is reported; 0: the network's own"),
    ] = 0
    maximum_latency: Annotated[
        Seconds,
        Meta(
            description="seconds that a downlink may wait for a sleeping device: sets its periodic update, or its eDRX "
            "cycle; 0: not asked for. An endpoint's option of that name comes first, as for the next two"
        ),
    ] = 0
    maximum_response_time: Annotated[
        Seconds,
        Meta(description="seconds that a device stays reachable after it was heard: its active time; 0: not asked for"),
    ] = 0
    suggested_downlinks: Annotated[
        Packets, Meta(description="packets that the network should be able to keep for a device; 0: not asked for")
    ] = 0
