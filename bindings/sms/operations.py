"""The operations of 3gpp-device-triggering that the binding uses (TS 29.122 §5.7.3)."""

from bindings.t8.operations import JSON, Operation

API = "3gpp-device-triggering/v1"

TRANSACTIONS = "transactions"
_COLLECTION = f"/{TRANSACTIONS}"
_TRANSACTION = f"/{TRANSACTIONS}/{{}}"

LIST = Operation(API, "GET", _COLLECTION, frozenset({200}))
SUBMIT = Operation(API, "POST", _COLLECTION, frozenset({201}), JSON, redirects=False)
READ = Operation(API, "GET", _TRANSACTION, frozenset({200}))
RECALL = Operation(API, "DELETE", _TRANSACTION, frozenset({200, 204}))
