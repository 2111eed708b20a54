"""Links to T8 resources, read for the names in them; one parser for links of every form.

A link may be absolute, relative, with another host or prefix (a SCEF behind a proxy), with a query, with a slash at its
end, or only a name: its last segments say what it is. A segment that looks like a collection may also be a name (an
scsAsId `configurations`), so that the last one counts.
"""

from urllib.parse import quote, unquote

CONFIGURATIONS = "configurations"
DELIVERIES = "downlink-data-deliveries"
PORTS = "rds-ports"


def resource_name(link: str, collection: str) -> str | None:
    """Return the name that stands behind `collection` in a link, decoded; None if there is none."""
    segments = _segments(link)
    at = _last(segments, collection)
    return None if at is None else unquote(segments[at + 1])


def configuration_id(link: str) -> str | None:
    """Return the configuration of a link to it, or to a delivery or a port of it; None if there is none."""
    _, found, name = link.rpartition("/configurations/")
    if found and name.isalnum() and "?" not in link and "#" not in link:  # most links
        return name
    configuration = _configuration(_segments(link))
    return None if configuration is None else unquote(configuration)


def delivery_handle(link: str | None) -> str | None:
    """Return the handle of a delivery from its link: `configuration/delivery`, both percent-encoded; else None.

    The configuration belongs to it: a SCEF may number deliveries anew in a configuration that was made again.
    """
    segments = _segments(link or "")
    at = _last(segments, DELIVERIES)
    configuration = _configuration(segments)
    if at is None or configuration is None:
        return None
    return handle_of(unquote(configuration), unquote(segments[at + 1]))


def handle_of(configuration: str, delivery: str) -> str:
    """Return the handle of a delivery whose names are known."""
    return f"{quote(configuration, safe='')}/{quote(delivery, safe='')}"


def bare_name(link: str) -> str | None:
    """Return the name of a link that is relative to its collection, like `365`; None if it is more, or nothing."""
    segments = _segments(link)
    return unquote(segments[0]) if len(segments) == 1 and ":" not in segments[0] else None


def _segments(link: str) -> list[str]:
    path = link.partition("#")[0].partition("?")[0]
    return [segment for segment in path.split("/") if segment]


def _configuration(segments: list[str]) -> str | None:
    for inside in (DELIVERIES, PORTS):
        at = _last(segments, inside)
        if at is not None:
            segments = segments[:at]
            break
    at = _last(segments, CONFIGURATIONS)
    return None if at is None else segments[at + 1]


def _last(segments: list[str], collection: str) -> int | None:
    """Return where the last `collection` stands that has a name behind it."""
    for at in range(len(segments) - 2, -1, -1):
        if segments[at] == collection:
            return at
    return None
