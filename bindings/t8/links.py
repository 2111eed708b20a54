"""Reads the names in links to T8 resources; one parser for links of every form.

A link may be absolute, relative, with another host or prefix (a SCEF behind a proxy), with a query, with a final slash,
or only a name: its last segments identify the resource. A segment that looks like a collection may also be a name (an
scsAsId `configurations`), so that the last one counts. `.` and `..` are no names, however they are encoded: in a
request they would lead to another resource, such as from a delivery to its configuration.
"""

from urllib.parse import quote, unquote, urljoin

CONFIGURATIONS = "configurations"
DELIVERIES = "downlink-data-deliveries"
PORTS = "rds-ports"


def resource_name(link: str, collection: str) -> str | None:
    """Return the name after `collection` in a link, decoded; None if there is none."""
    segments = _segments(link)
    at = _last(segments, collection)
    return None if at is None else _name(segments[at + 1])


def configuration_id(link: str) -> str | None:
    """Return the configuration of a link to it, or to a delivery or a port of it; None if there is none."""
    _, found, name = link.rpartition("/configurations/")
    if found and name.isalnum() and "?" not in link and "#" not in link:  # most links
        return name
    configuration = _configuration(_segments(link))
    return None if configuration is None else _name(configuration)


def delivery_handle(link: str | None) -> str | None:
    """Return the handle of a delivery from its link: `configuration/delivery`, both percent-encoded; else None.

    The configuration is part of the handle: a SCEF may number deliveries anew in a configuration that was created
    again.
    """
    if not link:
        return None
    before, found, delivery = link.rpartition("/downlink-data-deliveries/")
    _, inside, name = before.rpartition("/configurations/")
    if found and inside and _is_plain(name) and _is_plain(delivery) and "?" not in link and "#" not in link:
        return f"{name}/{delivery}"  # most links
    segments = _segments(link)
    at = _last(segments, DELIVERIES)
    configuration = _configuration(segments)
    if at is None or configuration is None:
        return None
    outer, inner = _name(configuration), _name(segments[at + 1])
    return None if outer is None or inner is None else handle_of(outer, inner)


def relative_delivery_handle(link: str, configuration: str) -> str | None:
    """Return the handle of a delivery from a link that is relative to the deliveries of a configuration; else None.

    A name alone is relative to the collection, though RFC 3986 §5.2 has it otherwise: SCEFs write it so.
    """
    name = bare_name(link)
    if name is not None:
        return None if name == DELIVERIES else handle_of(configuration, name)
    try:
        return delivery_handle(urljoin(f"/{CONFIGURATIONS}/{quote(configuration, safe='')}/{DELIVERIES}", link))
    except ValueError:
        return None


def handle_of(configuration: str, delivery: str) -> str:
    """Return the handle of a delivery whose names are known."""
    return f"{quote(configuration, safe='')}/{quote(delivery, safe='')}"


def bare_name(link: str) -> str | None:
    """Return the name of a link that is relative to its collection, like `365`; None if it is more, or nothing."""
    segments = [segment for segment in _segments(link) if segment != "."] if link else []
    return _name(segments[0]) if len(segments) == 1 and ":" not in segments[0] else None


def _name(segment: str) -> str | None:
    """Return the name that a segment is; None if it is none."""
    name = unquote(segment)
    return None if name in {".", ".."} else name


def _is_plain(name: str) -> bool:
    """Return whether a name is the same with and without percent-encoding."""
    return name.isalnum() and name.isascii()


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
    """Return the position of the last `collection` that is followed by a name."""
    for at in range(len(segments) - 2, -1, -1):
        if segments[at] == collection:
            return at
    return None
