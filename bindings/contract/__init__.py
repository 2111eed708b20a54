"""The contract between the bridge and a binding: bytes, sizes and delivery reports, never CoAP.

A binding is found by its entry point in the group ``lwm2m_bridge.bindings``. The bridge makes one instance for each
configured network instance, calls `start` once, then `submit`, `lookup` and `cancel` as its ledger requires, and learns
what happens on the network through `Events.deliver`.

All calls come from one event loop. At most one of `submit`, `lookup` and `cancel` runs for one device at a time, and
no two `submit` calls have the same downlink and number. A method raises what its docstring names and nothing else; if
one of these three raises nevertheless, its result counts as unknown.

All times are wall-clock seconds since the epoch. A *device* is a device address in the form of its network (External
Identifier, MSISDN, DevEUI), canonical by `Binding.canonical_device`.
"""

from bindings.contract.abilities import (
    ChecksForNodes,
    ChecksItself,
    ChecksOptions,
    DescribesCounters,
    DeviceMade,
    DeviceState,
    ExplainsOptions,
    ExplainsSettings,
    Keep,
    KnowsDevices,
    KnowsReachability,
    LetsDevicesGo,
    Listener,
    Listens,
    ListsDevices,
    MakesDevices,
    NetworkDevice,
    PassOn,
    Post,
    PostListener,
    ReadNote,
    ReadsShards,
    ReceivesPosts,
    RunsOnNodes,
    SetsIntegration,
    ShowsCalls,
    Succeeds,
)
from bindings.contract.binding import (
    Binding,
    Memory,
)
from bindings.contract.calls import (
    MISS,
    Accepted,
    Ambiguous,
    Attempt,
    Cancellation,
    Kind,
    LimitOf,
    Lookup,
    Miss,
    NetworkState,
    Presence,
    Refusal,
    Refused,
    SouthProfile,
    SubmitResult,
)
from bindings.contract.events import (
    BindingEvent,
    Events,
    Flushed,
    Joined,
    Provisioned,
    Reachable,
    Report,
    UplinkMessage,
)

__all__ = [
    "MISS",
    "Accepted",
    "Ambiguous",
    "Attempt",
    "Binding",
    "BindingEvent",
    "Cancellation",
    "ChecksForNodes",
    "ChecksItself",
    "ChecksOptions",
    "DescribesCounters",
    "DeviceMade",
    "DeviceState",
    "Events",
    "ExplainsOptions",
    "ExplainsSettings",
    "Flushed",
    "Joined",
    "Keep",
    "Kind",
    "KnowsDevices",
    "KnowsReachability",
    "LetsDevicesGo",
    "LimitOf",
    "Listener",
    "Listens",
    "ListsDevices",
    "Lookup",
    "MakesDevices",
    "Memory",
    "Miss",
    "NetworkDevice",
    "NetworkState",
    "PassOn",
    "Post",
    "PostListener",
    "Presence",
    "Provisioned",
    "Reachable",
    "ReadNote",
    "ReadsShards",
    "ReceivesPosts",
    "Refusal",
    "Refused",
    "Report",
    "RunsOnNodes",
    "SetsIntegration",
    "ShowsCalls",
    "SouthProfile",
    "SubmitResult",
    "Succeeds",
    "UplinkMessage",
]
