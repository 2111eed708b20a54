"""Server profiles by name: how common LwM2M servers behave, as data.

Sources are the servers' own code, at the commits named.
"""

import difflib
from collections.abc import Iterable
from types import MappingProxyType

from bridge.errors import ConfigurationError
from bridge.relay.model import QueueMode, ServerProfile

DEFAULT = "default"

PROFILES = MappingProxyType(
    {
        # A Register with everything that LwM2M 1.1 servers demand, and the patience of the common ones.
        DEFAULT: ServerProfile(),
        # Eclipse Leshan 4810538: LeshanServer.DEFAULT_TIMEOUT is 2 min; a Register without `lwm2m` is refused,
        # and with `Q` QueueModeLwM2mRequestSender refuses to send after 93 s instead of queueing.
        # The timeout of a request counts for all blocks of it together, from the first. Register, Update, notifications
        # and responses make a client with Q awake for 93 s, a Send does not; a timeout makes it asleep.
        "leshan": ServerProfile(
            patience=120.0, queue_mode=QueueMode.STRIP, binding="U", transfer=120.0, asleep_after_timeout=True
        ),
        # Its demo's REST API waits 5 s unless a call says `timeout` (ClientServlet); 5.04 must come before that. So
        # `?timeout=` of a call has no effect with this profile: to raise it, use `leshan` and set `patience`.
        "leshan-demo": ServerProfile(
            patience=5.0,
            margin=0.5,
            queue_mode=QueueMode.STRIP,
            binding="U",
            transfer=5.0,
            asleep_after_timeout=True,
        ),
        # ThingsBoard dfe65d5, on Leshan 2.0.0-M15: LwM2M timeout 120 s; a downlink to a client that
        # it thinks asleep is dropped with a trace log, so it must not think so. It sends to a client with PSM or
        # eDRX for 10 s after each of its messages (psm_activity_timer, paging_transmission_window).
        "thingsboard": ServerProfile(
            patience=120.0,
            queue_mode=QueueMode.STRIP,
            binding="U",
            transfer=120.0,
            awake_time=10.0,
            awake_by_any=True,
        ),
        # EMQX gateway 50e04386d: a Register needs `lt` (emqx_lwm2m_channel); queue mode only from a binding with Q,
        # and then it sends for 22 s after it heard the client.
        "emqx": ServerProfile(
            queue_mode=QueueMode.STRIP, binding="U", default_lifetime=86400, awake_time=22.0, awake_by_any=True
        ),
        # Wakaama f91cfe0: a transaction without an acknowledgement or answer ends after about 15 s, and a block-wise
        # write continues only from the answer in an acknowledgement.
        "wakaama": ServerProfile(
            patience=15.0, margin=1.0, queue_mode=QueueMode.STRIP, binding="U", piggybacked_blocks=True
        ),
        # lwm2m-node-lib on node-coap acknowledges no notification of an observation, also not a device's own.
        "lwm2m-node-lib": ServerProfile(acknowledges_notifications=False),
        # Servers that accept only LwM2M 1.1 over UDP, as commercial ones may.
        "strict": ServerProfile(queue_mode=QueueMode.STRIP, binding="U", default_lifetime=86400),
        # Changes nothing in a Register: for servers that know binding N, and for tests of the device itself.
        "transparent": ServerProfile(fit_register=False, binding=None, queue_mode=QueueMode.KEEP),
    }
)


def profile(name: str) -> ServerProfile:
    """Return a profile by name. Raises ConfigurationError that lists the names."""
    found = PROFILES.get(name)
    if found is None:
        raise ConfigurationError(f"unknown server profile {name!r}{nearest(name, PROFILES)}")
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error text: the nearest name (whatever the case), and all known names."""
    names = sorted(known)
    folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(word.casefold(), folded, 1)
    hint = f"; did you mean {folded[close[0]]!r}?" if close else ""
    return f"{hint} (known: {', '.join(names) or 'none'})"
