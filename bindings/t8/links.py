"""Links to T8 resources, read for the names in them.

A link may be absolute, relative, with another host or prefix (a SCEF behind a proxy), or only a name: the last segments
say what it is.
"""

import re
from urllib.parse import quote, unquote

_CONFIGURATION = re.compile(r"(?:^|/)configurations/([^/?#]+)")
_DELIVERY = re.compile(r"/downlink-data-deliveries/([^/?#]+)")


def configuration_id(link: str) -> str | None:
    """Find the configuration in a link of any form: absolute, relative, with another prefix, or of a delivery."""
    _, marker, tail = link.rpartition("/configurations/")
    if marker and tail.isalnum():
        return tail
    found = _CONFIGURATION.search(link)
    return unquote(found[1]) if found else None


def delivery_handle(link: str | None) -> str | None:
    """Make the handle of a delivery from its link: `configuration/delivery`, both percent-encoded.

    The configuration belongs to it: a SCEF may number deliveries anew in a configuration that was made again.
    """
    if not link:
        return None
    configuration, delivery = configuration_id(link), _DELIVERY.search(link)
    if configuration is None or delivery is None:
        return None
    return f"{quote(configuration, safe='')}/{quote(unquote(delivery[1]), safe='')}"
