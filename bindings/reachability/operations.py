"""The operations of 3gpp-monitoring-event and 3gpp-network-parameter-configuration that are used."""

from bindings.t8.operations import JSON, MERGE_PATCH, Operation

MONITORING = "3gpp-monitoring-event/v1"
PARAMETERS = "3gpp-network-parameter-configuration/v1"

SUBSCRIBE = Operation(MONITORING, "POST", "/subscriptions", frozenset({200, 201}), JSON, redirects=False)
UNSUBSCRIBE = Operation(MONITORING, "DELETE", "/subscriptions/{}", frozenset({200, 204}))

SET_PARAMETERS = Operation(PARAMETERS, "POST", "/configurations", frozenset({201}), JSON, redirects=False)
CHANGE_PARAMETERS = Operation(PARAMETERS, "PATCH", "/configurations/{}", frozenset({200, 204}), MERGE_PATCH)
DROP_PARAMETERS = Operation(PARAMETERS, "DELETE", "/configurations/{}", frozenset({200, 204}))
