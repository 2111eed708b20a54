"""Server profiles by name: how the LwM2M servers of the field behave, as data.

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
        # A Register with what every LwM2M 1.1 server wants, and the patience of the common ones.
        DEFAULT: ServerProfile(),
        # Eclipse Leshan 4810538: LeshanServer.DEFAULT_TIMEOUT is 2 min; a Register without `lwm2m` is refused,
        # and with `Q` QueueModeLwM2mRequestSender refuses to send after 93 s instead of queueing.
        "leshan": ServerProfile(patience=120.0, queue_mode=QueueMode.STRIP, binding="U"),
        # Its demo's REST API waits 5 s unless a call says `timeout` (ClientServlet); 5.04 must come before that.
        "leshan-demo": ServerProfile(patience=5.0, margin=0.5, queue_mode=QueueMode.STRIP, binding="U"),
        # ThingsBoard dfe65d5, on Leshan 2.0.0-M15: LwM2M timeout 120 s; a downlink to a client that
        # it takes to sleep is dropped with a trace log, so it must not think so.
        "thingsboard": ServerProfile(patience=120.0, queue_mode=QueueMode.STRIP, binding="U"),
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
    """Return the end of an error text: the likely meant name, and all there are."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{hint} (known: {', '.join(names) or 'none'})"
