"""Names of options of an endpoint that the bridge reads itself. All others belong to its binding."""

CONFIRMED_OPERATIONS = "confirmed_operations"
"""Option of an endpoint that the bridge reads itself: operations, such as "Execute Write", that are sent confirmed."""

BLOCK2 = "block2"
"""Option of an endpoint that the bridge reads itself: "false" for a device that does not support Block2 (RFC 7959)."""

SERVER_PORTS = "server_ports"
"""Option of an endpoint that the bridge and its binding read: the servers' application ports, `one=1:1,two=2:2,*=3:3`.

How a port is written is the network's: for NIDD the RDS ports of the UE and of the SCEF (`endpoint_options.rds_ports`),
for LoRaWAN an FPort. An endpoint without it, and without one of `ONE_PORT`, has its network's setting of this name.
"""

ONE_PORT = frozenset({"rds_port", "f_port"})
"""Options of an endpoint that give all its servers one port: of NIDD and of LoRaWAN."""

GROUP = "group"
"""Option of an endpoint that the bridge reads itself, and bindings never see: its group of shared quotas."""

WAKE_ENDPOINT = "wake_endpoint"
"""Likewise: the name of the endpoint by which this device is woken up, such as its SMS (Core TS 1.1 §6.6)."""

WAKE_ACCEPTS = "wake_accepts"
"""Likewise: "true" says that the device accepts triggers: /1/x/21 is true, /0/x/6 is NoSec, /0/x/9 is the sender."""

WAKE_BY = "wake_by"
"""Likewise: the resource of a trigger, "update" (/1/x/8, the default) or "bootstrap" (/1/x/9)."""

WAKE_INSTANCE = "wake_instance"
"""Likewise: x, the instance of the server in the device's object 1; default: the only one of the Register's list."""

OSCORE_KIDS = "oscore_kids"
"""Likewise: the kids by which the device's OSCORE messages name its servers, in hex: `one=01,two=a2` (R23)."""

OF_THE_BRIDGE = frozenset({GROUP, OSCORE_KIDS, WAKE_ENDPOINT, WAKE_ACCEPTS, WAKE_BY, WAKE_INSTANCE})
"""Options that bindings never see."""
