"""Options of devices as words: `id=2,uri=coap://192.0.2.1,lifetime=60`, for the command line and the control API."""

from collections.abc import Callable, Mapping
from typing import Any

from mock_network.command_line import parse_address
from mock_network.device.options import BearerOptions, ServerOptions
from mock_network.lwm2m.oscore import OscoreKeys, keys_from
from mock_network.lwm2m.transport import Address

_BOOLEANS = {"true": True, "false": False}


def _boolean(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError(f"{text!r} is not true or false")
    return _BOOLEANS[text]


def _oscore(text: str) -> OscoreKeys:
    return keys_from(dict(zip(("secret", "sender", "recipient"), text.split(":"), strict=True)))


_SERVER: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "id": ("server_id", int),
    "uri": ("uri", str),
    "lifetime": ("lifetime", int),
    "binding": ("binding", str),
    "order": ("order", int),
    "delay": ("initial_delay", int),
    "block": ("failure_block", _boolean),
    "bootstrap": ("bootstrap_on_failure", _boolean),
    "retries": ("retry_count", int),
    "retry-timer": ("retry_timer", int),
    "sequence-delay": ("sequence_delay", int),
    "sequences": ("sequence_count", int),
    "rds": ("rds_port", int),
    "oscore": ("oscore", _oscore),  # SECRET:SENDER:RECIPIENT in hex
}
SERVER_WORDS = ", ".join(_SERVER)
_BEARER: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "binding": ("binding", str),
    "bind": ("bind", parse_address),
    "pipe": ("pipe", parse_address),
    "apn": ("apn", str),
}
BEARER_WORDS = f"{', '.join(_BEARER)}, rds.PORT"


def server_options(text: str) -> ServerOptions:
    """Return the server account that the words describe; ValueError."""
    found = _words(text, _SERVER, SERVER_WORDS)
    for needed in ("server_id", "uri"):
        if needed not in found:
            raise ValueError("a server needs id and uri")
    return ServerOptions(**found)


def bearer_options(text: str) -> BearerOptions:
    """Return the bearer that the words describe; ValueError, click.BadParameter for an address."""
    items = text.split(",")
    rds = [item.removeprefix("rds.") for item in items if item.startswith("rds.")]
    found = _words(",".join(item for item in items if not item.startswith("rds.")), _BEARER, BEARER_WORDS)
    return BearerOptions(**found, rds_pipes=tuple(map(rds_pipe, rds)))


def rds_pipe(text: str) -> tuple[int, Address]:
    """Return the RDS destination port and the modem's address of `PORT=ADDRESS`; ValueError, click.BadParameter."""
    port, _, address = text.partition("=")
    return int(port), parse_address(address)


def _words(text: str, known: Mapping[str, tuple[str, Callable[[str], Any]]], names: str) -> dict[str, Any]:
    found = {}
    for item in filter(None, text.split(",")):
        name, separator, value = item.partition("=")
        if name not in known or not separator:
            raise ValueError(f"{item!r} is not NAME=VALUE with a name of {names}")
        field, parse = known[name]
        try:
            found[field] = parse(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found
