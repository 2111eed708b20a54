"""The data types of the T8 APIs (TS 29.122 §5, TS 29.522), as the emulated SCEF reads and writes them.

Written by hand after the clauses that each type names. A request is converted to one of them with `msgspec.convert`;
invalid values raise `msgspec.ValidationError` with the path. Members of a later release are ignored, as TS 29.122
§5.2.6 requires. `READ_ONLY` names the members that a client must not send.
"""

from mock_network.scef.schema.common import (
    DeliveryResult,
    DeliveryStatus,
    NiddStatus,
    PdnEstablishmentOption,
    T8Type,
)

__all__ = ["DeliveryResult", "DeliveryStatus", "NiddStatus", "PdnEstablishmentOption", "T8Type"]
