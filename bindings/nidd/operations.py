"""The operations of 3gpp-nidd that the binding uses (TS 29.122 §5.6.3)."""

from bindings.t8.operations import JSON, MERGE_PATCH, Operation

API = "3gpp-nidd/v1"

_CONFIGURATIONS = "/configurations"
_CONFIGURATION = "/configurations/{}"
_DELIVERIES = "/configurations/{}/downlink-data-deliveries"
_DELIVERY = "/configurations/{}/downlink-data-deliveries/{}"

LIST = Operation(API, "GET", _CONFIGURATIONS, frozenset({200}))
CREATE = Operation(API, "POST", _CONFIGURATIONS, frozenset({201}), JSON, redirects=False)
READ = Operation(API, "GET", _CONFIGURATION, frozenset({200}))
CHANGE = Operation(API, "PATCH", _CONFIGURATION, frozenset({200, 204}), MERGE_PATCH)
DELETE = Operation(API, "DELETE", _CONFIGURATION, frozenset({204}))
SUBMIT = Operation(API, "POST", _DELIVERIES, frozenset({200, 201}), JSON)
PENDING = Operation(API, "GET", _DELIVERIES, frozenset({200}))
CANCEL = Operation(API, "DELETE", _DELIVERY, frozenset({204}))
DELIVERY = Operation(API, "GET", _DELIVERY, frozenset({200}))
