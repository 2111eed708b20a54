"""CoRE link format, content format 40 (RFC 6690), as Register and Discover use it (Core TS 1.1 §6.2.1, §6.3.2)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mock_network.lwm2m.values import FormatError


@dataclass(frozen=True, slots=True)
class Link:
    """One link: target and attributes. An attribute without a value is None; quotes are taken off."""

    target: str
    attributes: Mapping[str, str | None] = field(default_factory=dict)


# RFC 6690 §2: a parameter value is a token or a quoted string.
_ATTRIBUTE = re.compile(r';\s*([A-Za-z0-9!#$&+\-.^_`|~*]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^",;\s]+)))?')
_TARGET = re.compile(r"\s*<([^<>]*)>")
_SEPARATOR = re.compile(r"\s*(,|$)")


def format_links(links: Iterable[Link]) -> bytes:
    """Return the links as a CoRE link payload. Numbers stay bare, other values are quoted, as OMA's examples do."""
    return ",".join(_format_link(link) for link in links).encode()


def _format_link(link: Link) -> str:
    text = f"<{link.target}>"
    for name, value in link.attributes.items():
        if value is None:
            text += f";{name}"
        elif re.fullmatch(r"[0-9.+-]+", value):
            text += f";{name}={value}"
        else:
            text += f';{name}="{value}"'
    return text


def parse_links(payload: bytes) -> list[Link]:
    """Return the links in a CoRE link payload. Raises FormatError if it is none. An empty payload holds no link."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise FormatError("links that are not UTF-8") from None
    links: list[Link] = []
    position = 0
    while position < len(text):
        target = _TARGET.match(text, position)
        if target is None:
            raise FormatError(f"no link at character {position}")
        position = target.end()
        attributes: dict[str, str | None] = {}
        while attribute := _ATTRIBUTE.match(text, position):
            name, quoted, bare = attribute.groups()
            attributes.setdefault(name, bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
            position = attribute.end()
        links.append(Link(target[1], attributes))
        separator = _SEPARATOR.match(text, position)
        if separator is None:
            raise FormatError(f"no comma at character {position}")
        position = separator.end()
        if separator[1] == "," and position >= len(text):
            raise FormatError("a comma after the last link")
    return links
