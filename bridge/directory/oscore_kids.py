"""Reads by which OSCORE kids a device names each of its servers (R23): option `oscore_kids` of an endpoint."""

from collections.abc import Mapping

from bindings.option_names import OSCORE_KIDS
from bridge.coap.oscore import LONGEST_KID
from bridge.errors import DirectoryError

_DIGITS = frozenset("0123456789abcdefABCDEF")


def read_oscore_kids(text: str) -> dict[bytes, str]:
    """Return the server of each kid, from `SERVER=KID,SERVER=KID` with kids in hex; "" names none.

    A server may have several kids, and one kid may be empty (`SERVER=`), as a Sender ID may. Raises DirectoryError for
    another form, bad hex, a kid that is too long, and one that is named twice. The catalogue checks whether the
    servers are the endpoint's.
    """
    found: dict[bytes, str] = {}
    for item in text.split(",") if text else ():
        server, separator, kid = (part.strip() for part in item.rpartition("="))
        if not (server and separator):
            raise DirectoryError(
                f"option {OSCORE_KIDS} {text[:80]!a} must name the kid that the device sends to each server, in hex, "
                "such as one=01,two=a2"
            )
        known = _kid(server, kid)
        if known in found:
            whose = f"servers {found[known]!r} and {server!r}" if found[known] != server else f"server {server!r} twice"
            raise DirectoryError(
                f"option {OSCORE_KIDS} has kid {kid!r} for {whose}: give each kid to one server, and name it once"
            )
        found[known] = server
    return found


def kids_by_server(options: Mapping[str, str]) -> dict[str, tuple[bytes, ...]]:
    """Return the kids of each server that has some, by options that were checked."""
    found: dict[str, tuple[bytes, ...]] = {}
    for kid, server in read_oscore_kids(options.get(OSCORE_KIDS, "")).items():
        found[server] = (*found.get(server, ()), kid)
    return found


def _kid(server: str, text: str) -> bytes:
    if len(text) % 2 or not _DIGITS.issuperset(text):
        raise DirectoryError(
            f"option {OSCORE_KIDS}: kid {text[:40]!a} of server {server[:40]!a} is not hex: "
            "write two digits for each byte"
        )
    if len(text) > 2 * LONGEST_KID:
        raise DirectoryError(
            f"option {OSCORE_KIDS}: kid {text[:40]!a} of server {server[:40]!a} is longer than {LONGEST_KID} bytes"
        )
    return bytes.fromhex(text)
